"""What does a second OpenMP thread gain a fit, and what does it cost beside a busy core?

A fit of equal epochs at each scale with one thread, with two threads by force, and with
the number that skscale chooses from the work of a step; with all cores idle, and with one
core busy in another process. Small steps with two threads and a busy core wait for the
scheduler at the end of every operation.

    python benchmarks/bench_threads.py
"""

import contextlib
import multiprocessing

import numpy as np
import torch
from _bench import parse_arguments, print_table, ratio, time_interleaved, write_json
from sklearn.datasets import make_classification

from skscale import ScaledMLPClassifier
from skscale.training import engine, threads

# width, depth, batch size
SCALES = [
    (32, 2, 128), (128, 2, 128), (512, 2, 256), (512, 3, 256), (1024, 2, 256),
    (1024, 3, 256), (1024, 3, 512), (2048, 2, 512),
]  # fmt: skip
N_ROWS, N_FEATURES, WORK = 2048, 64, 3e10


def spin():
    while True:
        pass


@contextlib.contextmanager
def one_busy_core():
    process = multiprocessing.get_context("spawn").Process(target=spin, daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def fit_with(n_threads, estimator, X, y):
    """Return a function that fits with this number of threads, or with our choice."""

    def run():
        if n_threads is None:
            estimator.fit(X, y)
            return
        chosen = engine.choose_threads
        engine.choose_threads = lambda macs, allowed: n_threads
        try:
            estimator.fit(X, y)
        finally:
            engine.choose_threads = chosen

    return run


def assert_equal_results(contestants, estimator, X):
    """Assert that fits differ by rounding only, whatever their number of threads."""
    predicted = []
    for fit in contestants.values():
        fit()
        predicted.append(estimator.predict_proba(X))
    for other in predicted[1:]:
        # Rounding grows over the steps; the mean shows a wrong sum, not an odd row.
        assert np.abs(other - predicted[0]).mean() < 1e-3


def main():
    arguments = parse_arguments(__doc__)
    X, y = make_classification(
        N_ROWS, N_FEATURES, n_informative=32, n_classes=10, random_state=0
    )
    X = X.astype(np.float32)
    rows, results = [], []
    for load in ("idle", "one core busy"):
        with one_busy_core() if load != "idle" else contextlib.nullcontext():
            for width, depth, batch in SCALES[: 3 if arguments.quick else None]:
                macs = 3 * batch * (
                    N_FEATURES * width + (depth - 1) * width * width + width * 10
                )  # fmt: skip
                epochs = int(max(1, min(20, WORK / macs / (N_ROWS / batch))))
                estimator = ScaledMLPClassifier(
                    depth, width, batch_size=batch, max_epochs=epochs, random_state=0,
                    early_stopping=False, device=arguments.device,
                )  # fmt: skip
                contestants = {
                    "one": fit_with(1, estimator, X, y),
                    "two": fit_with(2, estimator, X, y),
                    "ours": fit_with(None, estimator, X, y),
                }
                assert_equal_results(contestants, estimator, X)
                seconds = time_interleaved(contestants, 3)
                two, ours = (ratio(seconds[n], seconds["one"]) for n in ("two", "ours"))
                row = [
                    load,
                    f"{width}x{depth}, batch {batch}",
                    f"{macs / 1e6:.0f}",
                    threads.choose_threads(macs),
                    *(f"{m:.2f} ({low:.2f} to {high:.2f})" for m, low, high in (two, ours)),
                ]
                rows.append(row)
                results.append(
                    {"load": load, "width": width, "depth": depth, "batch": batch,
                     "macs_a_step": macs, "chosen": row[3], "seconds": seconds,
                     "two / one": two, "ours / one": ours}
                )  # fmt: skip
                print("\t".join(map(str, row)), flush=True)
    print()
    print_table(
        [
            "load",
            "scale",
            "10^6 multiply-accumulates a step",
            "chosen",
            "two / one",
            "ours / one",
        ],
        rows,
    )
    print(f"\ntorch allows {torch.get_num_threads()} threads")
    write_json(arguments.json, "bench_threads", arguments.device, results)


if __name__ == "__main__":
    main()
