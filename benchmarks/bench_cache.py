"""Cost of the cache (`memory`) in a search, and the time it saves a repeated search.

    python benchmarks/bench_cache.py [--quick] [--json PATH]

A fused GridSearchCV (digits, a StandardScaler, 12 candidates x 5 folds, the defaults): without
`memory`, with an empty folder each time, and with a folder of all networks. Equal scores are
asserted first. Then the time to write the checkpoints of a stack of 16 networks, once a minute;
and one epoch on random rows, whose time is mostly that of hashing them.
"""

import os

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}

import shutil
import statistics
import tempfile
import time
from pathlib import Path

import joblib
import numpy as np
from _bench import parse_arguments, print_table, ratio, time_interleaved, write_json
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skscale import ScaledMLPClassifier
from skscale.training import stack

GRID = {"width": [16, 32, 64], "dropout": [0.0, 0.2], "weight_decay": [0.0, 0.02]}


def search(memory, device):
    X, y = load_digits(return_X_y=True)
    network = ScaledMLPClassifier(random_state=0, memory=memory, device=device)
    grid = {f"scaledmlpclassifier__{name}": values for name, values in GRID.items()}
    with joblib.parallel_config(backend="skscale"):
        return GridSearchCV(make_pipeline(StandardScaler(), network), grid).fit(X, y)


def fit_once(memory, X, y, device):
    network = ScaledMLPClassifier(
        memory=memory, max_epochs=1, early_stopping=False, preprocessing=None,
        random_state=0, device=device,
    )  # fmt: skip
    return network.fit(X, y)


def checkpoint_seconds(folder, device):
    """Return the seconds that a stack of 16 needs to write its checkpoints, by width."""
    found, real = {}, stack.Stack._save_checkpoints

    def timed(self, now):
        start = time.perf_counter()
        real(self, now)
        seconds.append(time.perf_counter() - start)

    X, y = load_digits(return_X_y=True)
    stack.Stack._save_checkpoints, stack.SECONDS_BETWEEN_CHECKPOINTS = timed, 0.0
    for width in (32, 512):
        shutil.rmtree(folder, ignore_errors=True)
        seconds = []
        network = ScaledMLPClassifier(
            random_state=0,
            memory=folder,
            device=device,
            width=width,
            n_estimators=16,
            max_epochs=2,
        )
        network.fit(X, y)
        found[width] = statistics.median(seconds)
    stack.Stack._save_checkpoints, stack.SECONDS_BETWEEN_CHECKPOINTS = real, 60.0
    return found


def bytes_in(folder):
    return [p.stat().st_size for p in Path(folder).rglob("*") if p.is_file()]


def main():
    """Measure, print the tables, write JSON."""
    arguments = parse_arguments(__doc__.splitlines()[0])
    repeats, device = (2 if arguments.quick else 5), arguments.device
    with tempfile.TemporaryDirectory() as root:
        full, empty = f"{root}/full", f"{root}/empty"

        def in_empty():
            shutil.rmtree(empty, ignore_errors=True)
            return search(empty, device)

        sides = {
            "without memory": lambda: search(None, device),
            "an empty folder": in_empty,
            "a full folder": lambda: search(full, device),
        }
        search(full, device)
        expected = sides["without memory"]().cv_results_["mean_test_score"]
        for name, run in sides.items():
            found = run().cv_results_["mean_test_score"]
            np.testing.assert_allclose(found, expected, atol=0.005, err_msg=name)
        times = time_interleaved(sides, repeats)
        sizes = bytes_in(full)
        rows, results = [], {}
        for name, seconds in times.items():
            shares = ratio(seconds, times["without memory"])
            results[name] = {"seconds": seconds, "of_without": shares}
            of_without = f"{shares[0]:.2f} ({shares[1]:.2f} to {shares[2]:.2f})"
            rows.append([name, f"{statistics.median(seconds):.2f}", of_without])
        print_table(["search", "s", "of the time without"], rows)
        print(f"\n{len(sizes)} entries, {sum(sizes) / len(sizes) / 1e3:.1f} kB each (mean)\n")
        results["entries"] = {"n": len(sizes), "bytes": sum(sizes)}

        results["checkpoints"] = checkpoint_seconds(empty, device)
        print(
            "Checkpoints of 16 networks of three layers (ms, by width):",
            {w: round(1e3 * s, 1) for w, s in results["checkpoints"].items()},
        )

        n_rows = 20_000 if arguments.quick else 200_000
        X = np.random.default_rng(0).standard_normal((n_rows, 100), dtype=np.float32)
        y = (X[:, 0] > 0).astype(int)
        fit_once(full, X, y, device)
        times = time_interleaved(
            {
                "without memory": lambda: fit_once(None, X, y, device),
                "cached": lambda: fit_once(full, X, y, device),
            },
            repeats,
        )
        shares = ratio(times["cached"], times["without memory"])
        results["one epoch"] = {"bytes": X.nbytes, "seconds": times, "of_without": shares}
        cached = statistics.median(times["cached"])
        print(
            f"One epoch of {X.nbytes / 1e6:.0f} MB: "
            f"{statistics.median(times['without memory']):.2f} s; cached {cached:.2f} s"
        )
    write_json(arguments.json, "cache", device, results)


if __name__ == "__main__":
    main()
