"""Depth, width, resolution or all three: which pays for twice the computation?

From one small convolutional network, others with 2, 4 and 8 times its multiply-accumulates
(within 10 %): by more blocks a stage alone, by more channels alone, by more pixels alone, and
by all three in the proportion of Tan and Le (2019, "EfficientNet", section 3.3: 1.2, 1.1 and
1.15 to the power of phi; depth rounds up, pixels are even, and channels take what is left). On
ImageNet the published order is compound first (figure 8 there). Each learns from 6,000 images
of Fashion-MNIST, and of MNIST, and is scored on the 10,000 test images; the
standard error is that of the mean difference to the base over seeds.

    python benchmarks/bench_compound_scaling.py
"""

import math
import statistics
import time

import joblib
import numpy as np
from _bench import parse_arguments, print_table, write_json
from _data import LOADERS
from threadpoolctl import threadpool_limits

from skscale import ScaledCNNClassifier

BASE = {"depth": 2, "width": 10, "resolution": 14}
COEFFICIENTS = {"depth": 1.2, "width": 1.1, "resolution": 1.15}
TIMES = (2, 4, 8)
KINDS = ("depth", "width", "resolution", "compound")
N_TRAIN, N_TEST = 6_000, 10_000


def count(scale):
    network = ScaledCNNClassifier(**scale)
    inputs, *_ = network._inputs.fit(np.zeros((1, 28, 28)), "", **network._reading)
    return network._count_macs(inputs, 10)


def nearest(scale, name, numbers, wanted):
    return min(
        ({**scale, name: n} for n in numbers), key=lambda s: abs(math.log(count(s) / wanted))
    )


def scaled(kind, times):
    """Return the scale of so many times the multiply-accumulates of the base."""
    wanted = times * count(BASE)
    if kind == "depth":
        return nearest(BASE, "depth", range(1, 40), wanted)
    if kind == "width":
        return nearest(BASE, "width", range(4, 128), wanted)
    if kind == "resolution":
        return nearest(BASE, "resolution", range(4, 100, 2), wanted)
    phi = math.log2(times)
    scale = {
        "depth": math.ceil(BASE["depth"] * COEFFICIENTS["depth"] ** phi - 1e-9),
        "resolution": 2 * round(BASE["resolution"] * COEFFICIENTS["resolution"] ** phi / 2),
    }
    return nearest(scale, "width", range(4, 128), wanted)


def fit_one(X, y, scale, seed, device, n_epochs):
    started = time.process_time()
    with threadpool_limits(1):
        network = ScaledCNNClassifier(
            **scale, image_shape=(28, 28), max_epochs=n_epochs, random_state=seed, device=device
        ).fit(X[:N_TRAIN], y[:N_TRAIN])
        score = network.score(X[-N_TEST:], y[-N_TEST:])
    return {
        "score": score,
        "n_parameters": network.complexity_.n_parameters,
        "n_macs": network.complexity_.n_macs,
        "cpu_seconds": time.process_time() - started,
    }


def main():
    sets = ("fashion", "mnist")
    arguments = parse_arguments(
        __doc__.splitlines()[0], sets={"nargs": "+", "default": sets, "choices": sets}
    )
    n_seeds, n_epochs = (1, 2) if arguments.quick else (3, 12)
    scales = [("base", 1, BASE)]
    scales += [(kind, times, scaled(kind, times)) for times in TIMES for kind in KINDS]
    for name in arguments.sets:
        data = LOADERS[name]()
        if data is None:
            continue
        X, y = np.asarray(data[0], np.uint8), np.asarray(data[1])
        jobs = [(k, seed) for k in reversed(range(len(scales))) for seed in range(n_seeds)]
        n_jobs = 1 if arguments.device == "cuda" else -1
        fitted = joblib.Parallel(n_jobs)(
            joblib.delayed(fit_one)(X, y, scales[k][2], seed, arguments.device, n_epochs)
            for k, seed in jobs
        )
        by_scale = [[] for _ in scales]
        for (k, _), found in zip(jobs, fitted, strict=True):
            by_scale[k].append(found)
        base = [f["score"] for f in by_scale[0]]
        rows, results = [], []
        for (kind, times, scale), found in zip(scales, by_scale, strict=True):
            gains = [f["score"] - b for f, b in zip(found, base, strict=True)]
            error = statistics.stdev(gains) / math.sqrt(len(gains)) if n_seeds > 1 else math.nan
            ratio = found[0]["n_macs"] / by_scale[0][0]["n_macs"]
            assert kind == "depth" or abs(ratio / times - 1) < 0.12, (kind, scale, ratio)
            results.append(
                {"data": name, "kind": kind, "times": times, **scale, "macs_ratio": ratio}
                | {"n_parameters": found[0]["n_parameters"]}
                | {"scores": [f["score"] for f in found], "gain": statistics.mean(gains)}
                | {
                    "error": error,
                    "cpu_seconds": statistics.median(f["cpu_seconds"] for f in found),
                }
            )
            rows.append(
                [
                    kind,
                    f"{ratio:.2f}",
                    f"{scale['depth']} / {scale['width']} / {scale['resolution']}",
                    f"{found[0]['n_parameters']:,}",
                    f"{statistics.mean(f['score'] for f in found):.4f}",
                    f"{statistics.mean(gains):+.4f} ± {error:.4f}" if kind != "base" else "",
                    f"{results[-1]['cpu_seconds']:.0f}",
                ]
            )
        print(f"\n{name}\n")
        header = ["scaled", "MACs", "depth / width / pixels", "parameters", "accuracy"]
        print_table([*header, "gain ± standard error", "CPU seconds"], rows)
        # A set takes half an hour: what is done is kept.
        write_json(arguments.json, f"compound_scaling_{name}", arguments.device, results)


if __name__ == "__main__":
    main()
