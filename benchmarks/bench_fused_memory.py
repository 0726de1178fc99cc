"""How much memory does a fused search take, and what does a limit on it cost?

GridSearchCV over a StandardScaler and a small network, 60 candidates and five folds, 300
fits on 200,000 x 50 float32, under `parallel_config(backend="skscale", max_bytes=...)`:
half of the free memory (the default), then 1 GiB. Each search runs in a fresh
process, which imports everything and fits something tiny first; its peak of resident
memory beyond that baseline must stay below `max_bytes` plus the peak of one plain fit of
the same pipeline, measured likewise. The scores of all searches must be equal to 0.005
(float32, and stacks of other sizes sum in another order).

    python benchmarks/bench_fused_memory.py
"""

import json
import subprocess
import sys
import time

from _bench import parse_arguments, print_table, write_json

N_FEATURES = 50


def resident_bytes():
    import resource

    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


def peak_bytes():
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def run_one(kind, max_bytes, rows, device):
    """Run a search, or one plain fit, in this process; return its figures."""
    import joblib
    import numpy as np
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from skscale import ScaledMLPClassifier
    from skscale.fusion import last_fused_run
    from skscale.fusion.free_memory import free_bytes

    network = ScaledMLPClassifier(
        depth=1, width=16, max_epochs=5, early_stopping=False, random_state=0, device=device
    )
    model = make_pipeline(StandardScaler(), network)
    grid = {
        "scaledmlpclassifier__learning_rate": np.geomspace(5e-4, 5e-3, 10).tolist(),
        "scaledmlpclassifier__weight_decay": [0.0, 0.001, 0.01, 0.03, 0.1, 0.3],
    }
    search = GridSearchCV(model, grid, cv=5, refit=False, error_score="raise")
    tiny = np.random.default_rng(0).standard_normal((200, N_FEATURES)).astype(np.float32)
    with joblib.parallel_config(backend="skscale"):  # what is imported late is imported
        search.fit(tiny, tiny[:, 0] > 0)
    baseline = resident_bytes()

    rng = np.random.default_rng(0)
    X = rng.standard_normal((rows, N_FEATURES), dtype=np.float32)
    y = X[:, 0] + X[:, 1] * X[:, 2] > 0
    limit = free_bytes() // 2 if max_bytes is None else max_bytes
    start = time.perf_counter()
    if kind == "plain fit":
        n = rows * 4 // 5
        score = model.fit(X[:n], y[:n]).score(X[n:], y[n:])
        figures = {"score": float(score)}
    else:
        with joblib.parallel_config(backend="skscale", max_bytes=limit):
            search.fit(X, y)
        run = last_fused_run()
        figures = {
            "score": float(search.best_score_),
            "scores": search.cv_results_["mean_test_score"].tolist(),
            "n_fits": run.n_fits,
            "n_gathered": run.n_gathered,
            "most_in_flight": run.most_in_flight,
            "largest_stack": max(run.stack_sizes),
            "training_seconds": run.training_seconds,
        }
    return figures | {
        "seconds": time.perf_counter() - start,
        "limit_bytes": limit,
        "array_bytes": X.nbytes,
        "baseline_bytes": baseline,
        "peak_bytes": max(0, peak_bytes() - baseline),
    }


def in_fresh_process(kind, max_bytes, arguments):
    request = json.dumps([kind, max_bytes, arguments.rows, arguments.device])
    answer = subprocess.run(
        [sys.executable, __file__, "--one", request], check=True, capture_output=True, text=True
    )
    return json.loads(answer.stdout.splitlines()[-1])


def main():
    arguments = parse_arguments(
        __doc__, rows={"type": int, "default": 200_000}, one={"default": None}
    )
    if arguments.one:
        print(json.dumps(run_one(*json.loads(arguments.one))))
        return 0
    plain = in_fresh_process("plain fit", None, arguments)
    limits = [None, 1 << 30] if not arguments.quick else [1 << 30]
    searches = [in_fresh_process("search", limit, arguments) for limit in limits]
    rows, too_much = [], 0
    for figures in searches:
        allowed = figures["limit_bytes"] + plain["peak_bytes"]
        too_much += figures["peak_bytes"] > allowed
        for a, b in zip(figures["scores"], searches[0]["scores"], strict=True):
            assert abs(a - b) < 0.005, (a, b)
        rows.append(
            [
                f"{figures['limit_bytes'] / 1e9:.2f}",
                f"{allowed / 1e9:.2f}",
                f"{figures['peak_bytes'] / 1e9:.2f}",
                figures["most_in_flight"],
                f"{figures['n_fits'] / len(figures['n_gathered']):.0f}",
                figures["largest_stack"],
                f"{figures['seconds']:.0f}",
                f"{figures['training_seconds']:.0f}",
            ]
        )
    print(
        f"One plain fit: {plain['peak_bytes'] / 1e9:.2f} GB beyond the imports "
        f"(X is {plain['array_bytes'] / 1e9:.3f} GB), {plain['seconds']:.1f} s\n"
    )
    print_table(
        ["max_bytes, GB", "+ one plain fit", "peak beyond imports, GB", "most in flight",
         "trained together (mean)", "largest stack", "seconds", "of it training"],
        rows,
    )  # fmt: skip
    write_json(
        arguments.json,
        "bench_fused_memory",
        arguments.device,
        {"plain_fit": plain, "searches": searches},
    )
    return too_much


if __name__ == "__main__":
    sys.exit(main())
