"""What a finer encoding of the numbers of a table brings, and what it costs.

    python benchmarks/bench_resolution_tables.py [--seeds 3]

Resolution 0, 8 and 32 on the nine tables of `bench_accuracy`, one thread: accuracy or R2 on
unseen rows, with the standard error over the seeds of the difference to resolution 0;
parameters, CPU seconds of a fit, microseconds of a row's prediction.
"""

import time
import warnings

import numpy as np
import torch
from _bench import parse_arguments, print_table, write_json
from bench_accuracy import SETS, load, row_latency
from threadpoolctl import threadpool_limits

from skscale import ScaledMLPClassifier, ScaledMLPRegressor

RESOLUTIONS = (0, 8, 32)


def measure(name, seed, resolution):
    """Fit once; return the figures."""
    X_train, X_test, y_train, y_test, is_regression = load(name, seed)
    Network = ScaledMLPRegressor if is_regression else ScaledMLPClassifier
    network = Network(resolution=resolution, random_state=seed)
    start = time.process_time()
    network.fit(X_train, y_train)
    seconds = time.process_time() - start
    return {
        "score": network.score(X_test, y_test),
        "cpu_s": seconds,
        "n_parameters": network.complexity_.n_parameters,
        "latency_us": row_latency(network.predict, X_test[:1], 0.2),
    }


def main():
    """Measure, print the table, write JSON."""
    options = parse_arguments(__doc__.splitlines()[0], seeds={"type": int, "default": 3})
    torch.set_num_threads(1)
    threadpool_limits(1)
    warnings.simplefilter("ignore")
    seeds = range(1 if options.quick else options.seeds)
    results, rows = {}, []
    for name in SETS[:9]:
        runs = {r: [measure(name, seed, r) for seed in seeds] for r in RESOLUTIONS}
        results[name] = runs

        def mean(resolution, key, runs=runs):
            return np.mean([run[key] for run in runs[resolution]])

        row = [name, f"{mean(0, 'score'):.4f}"]
        for r in RESOLUTIONS[1:]:
            differences = [
                a["score"] - b["score"] for a, b in zip(runs[r], runs[0], strict=True)
            ]
            error = np.std(differences, ddof=1) / len(seeds) ** 0.5 if len(seeds) > 1 else 0
            row.append(f"{np.mean(differences):+.4f} (+- {error:.4f})")
        for key, form in (("n_parameters", ",.0f"), ("cpu_s", ".2f"), ("latency_us", ",.0f")):
            row.append(", ".join(format(mean(r, key), form) for r in RESOLUTIONS))
        rows.append(row)
        print(row, flush=True)
    print()
    print_table(
        ["table", "score at 0", "8", "32", "parameters", "CPU s", "row, us (a frame)"], rows
    )
    write_json(options.json, "bench_resolution_tables", options.device, results)


if __name__ == "__main__":
    main()
