"""How much memory does a fit on a large array take?

A fresh process imports everything, makes an array of 1,000,000 x 100 float32 and a
binary y in pieces, and fits; the peak of its resident memory beyond what it was after
the imports is compared with the array. On a GPU also the peak of the device's memory.

    python benchmarks/bench_memory.py
"""

import resource
import sys

from _bench import parse_arguments, print_table, write_json


def resident_bytes():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


def peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main():
    arguments = parse_arguments(
        __doc__, rows={"type": int, "default": 1_000_000}, epochs={"type": int, "default": 2}
    )
    import numpy as np
    import skorch  # noqa: F401
    import torch

    import skscale

    # Lazily loaded parts of the libraries belong to the imports: a tiny fit loads them.
    tiny = np.random.default_rng(0).standard_normal((64, 100)).astype(np.float32)
    model = skscale.ScaledMLPClassifier(
        max_epochs=arguments.epochs, random_state=0, device=arguments.device
    )
    model.fit(tiny, tiny[:, 0] > 0)
    baseline = resident_bytes()
    if peak_bytes() > baseline * 1.05:
        print("The imports peaked above their resting size; the figure is a lower bound.")

    generator = np.random.default_rng(0)
    X = np.empty((arguments.rows, 100), dtype=np.float32)
    for start in range(0, len(X), 10_000):
        X[start : start + 10_000] = generator.standard_normal((10_000, 100), dtype=np.float32)
    y = X[:, 0] + X[:, 1] * X[:, 2] > 0
    before = resident_bytes()
    model.fit(X, y)
    peak = peak_bytes()
    accuracy = model.score(X[:10_000], y[:10_000])
    assert accuracy > 0.8, accuracy

    ratio = (peak - baseline) / X.nbytes
    device_peak = torch.cuda.max_memory_allocated() if arguments.device == "cuda" else None
    print_table(
        ["array MB", "imports MB", "before fit MB", "peak MB", "(peak - imports) / array"],
        [
            [
                *(round(b / 1e6) for b in (X.nbytes, baseline, before, peak)),
                f"{ratio:.2f}",
            ]
        ],
    )
    write_json(
        arguments.json,
        "bench_memory",
        arguments.device,
        {
            "array_bytes": X.nbytes,
            "import_bytes": baseline,
            "peak_bytes": peak,
            "ratio": ratio,
            "device_peak_bytes": device_peak,
        },
    )
    return ratio


if __name__ == "__main__":
    sys.exit(main() > 1.3)
