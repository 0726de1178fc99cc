"""Convolutional networks: how accurate, at what cost, and how fast is a fit?

- `default`: `ScaledCNNClassifier` as it comes, trained on the 60,000 images of Fashion-MNIST
  and scored on its 10,000 test images, which nothing was chosen on. (The defaults were chosen
  on 22,000 of the training images.)
- `phi`: the same at phi from -2 to 2, trained on 4,000 of them.
- `fit`: the whole `fit` against the tightest plain PyTorch loop with the same network: the
  module built, batches gathered by index from a tensor of floats made before the clock starts,
  autograd, fused AdamW. Both begin with the same weights and take the same batches, and must
  end with the same weights in float64 before anything is timed.
- `fused`: GridSearchCV over four small networks, plain (each fit with all threads),
  with joblib's threads and fused; equal scores within what float32 rounds.

    python benchmarks/bench_cnn.py
"""

import pickle
import time

import joblib
import numpy as np
import torch
from _bench import parse_arguments, print_table, ratio, time_interleaved, write_json
from _data import LOADERS
from sklearn.model_selection import GridSearchCV
from torch.nn import functional

from skscale import ScaledCNNClassifier
from skscale.networks.torch_modules import build, weights_of
from skscale.training.optimizers import OPTIMIZERS
from skscale.training.random import FeedRandom, initial_stream

RATE, BATCH = 1e-3, 128


def fit_default(X, y, device, quick):
    return accuracy(X, y, device, [(0, 6_000 if quick else 60_000)])


def sweep_phi(X, y, device, quick):
    return accuracy(
        X, y, device, [(phi, 4_000) for phi in ((-2, 0) if quick else range(-2, 3))]
    )


def accuracy(X, y, device, cases):
    rows, results = [], []
    for phi, n in cases:
        network = ScaledCNNClassifier(
            phi=phi, image_shape=(28, 28), random_state=0, device=device
        )
        started = time.perf_counter()
        network.fit(X[:n], y[:n])
        seconds = time.perf_counter() - started
        score = network.score(X[60_000:], y[60_000:])
        one = X[60_000:60_001]
        network.predict(one)
        times = []
        for _ in range(200):
            begun = time.perf_counter()
            network.predict(one)
            times.append(time.perf_counter() - begun)
        cost = network.complexity_
        found = {
            "phi": phi, "rows": n, "depth": network.depth_, "width": network.width_,
            "resolution": network.resolution_, "score": score,
            "n_parameters": cost.n_parameters, "n_macs": cost.n_macs,
            "size_bytes": len(pickle.dumps(network)), "latency_ms": 1e3 * np.median(times),
            "fit_seconds": seconds, "epochs": network.n_iter_,
        }  # fmt: skip
        results.append(found)
        rows.append(
            [
                phi,
                f"{n:,}",
                f"{network.depth_} / {network.width_} / {network.resolution_}",
                f"{score:.4f}",
                f"{cost.n_parameters:,}",
                f"{cost.n_macs / 1e6:.2f}",
                f"{found['size_bytes'] / 1e3:.0f}",
                f"{found['latency_ms']:.2f}",
                f"{seconds:.0f}",
            ]
        )
        print(rows[-1], flush=True)
    header = [
        "phi",
        "images",
        "depth / width / pixels",
        "accuracy",
        "parameters",
        "million MACs",
    ]
    print_table([*header, "pickle kB", "one row ms", "fit s"], rows)
    return results


class Loop:
    """What one would write by hand."""

    def __init__(self, fitted, X, y, n_epochs, dtype, device):
        self.architecture = fitted.architecture_
        self.moments = fitted.pixel_mean_, fitted.pixel_scale_
        self.X = torch.from_numpy(X.reshape(-1, 28, 28, 1)).to(device, dtype)
        self.y = torch.from_numpy(y).to(device)
        self.dtype, self.device = dtype, device
        random = FeedRandom(0)
        orders = [random.order(np.arange(len(X))) for _ in range(n_epochs)]
        self.batches = [
            batch for o in orders for batch in torch.from_numpy(o).to(device).split(BATCH)
        ]

    def run(self):
        seed = int(initial_stream(0).integers(2**62))
        network = build(self.architecture, seed).to(self.device, self.dtype)
        with torch.no_grad():
            for name, value in zip(("pixel_mean", "pixel_scale"), self.moments, strict=True):
                getattr(network, name).copy_(torch.from_numpy(value))
        decayed = [p for p in network.parameters() if p.dim() > 1]
        others = [p for p in network.parameters() if p.dim() < 2]
        kind, arguments = OPTIMIZERS["adamw"].for_torch()
        optimizer = kind(
            [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0}],
            RATE, fused=True, **arguments,
        )  # fmt: skip
        for rows in self.batches:
            loss = functional.cross_entropy(network(self.X[rows]), self.y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return network


def compare_fit(X, y, device, quick):
    rows, results = [], []
    for width, n in ((8, 4_096), (24, 4_096)) if quick else ((8, 8_192), (24, 8_192)):
        settings = {
            "width": width, "image_shape": (28, 28), "max_epochs": 1, "batch_size": BATCH,
            "early_stopping": False, "lr_schedule": "constant", "learning_rate": RATE,
            "label_smoothing": 0.0, "dropout": 0.0, "augmentation": None,
            "random_state": 0, "device": device,
        }  # fmt: skip
        some = slice(0, 1_024)
        ours = ScaledCNNClassifier(**settings, precision="float64").fit(X[some], y[some])
        loop = Loop(ours, X[some], y[some], 1, torch.float64, device).run()
        weights = weights_of(loop.cpu())
        pairs = zip(weights.trained, ours.coefs_ + ours.intercepts_, strict=True)
        assert max(np.abs(a - b).max() for a, b in pairs) < 1e-9
        ours = ScaledCNNClassifier(**settings)
        fitted = ours.fit(X[some], y[some])
        loop = Loop(fitted, X[:n], y[:n], 1, torch.float32, device)
        synchronize = torch.cuda.synchronize if device == "cuda" else None
        seconds = time_interleaved(
            {"ours": lambda ours=ours, n=n: ours.fit(X[:n], y[:n]), "loop": loop.run},
            3 if quick else 7,
            synchronize,
        )
        found = ratio(seconds["ours"], seconds["loop"])
        macs = 3 * n * fitted.architecture_.n_macs
        useful = 2e-9 * macs / np.median(seconds["ours"])
        results.append({"width": width, "rows": n, "ours_over_loop": found, "gflops": useful})
        rows.append(
            [
                width,
                f"{np.median(seconds['ours']):.2f}",
                f"{useful:.0f}",
                "{:.2f} ({:.2f} to {:.2f})".format(*found),
            ]
        )
    print_table(["width", "ours, s an epoch", "useful GFLOP/s", "ours / loop"], rows)
    return results


def compare_searches(X, y, device, quick):
    n = 1_000 if quick else 1_500
    model = ScaledCNNClassifier(
        image_shape=(28, 28), resolution=14, max_epochs=2 if quick else 3, random_state=0,
        early_stopping=False, device=device,
    )  # fmt: skip
    grid = {"width": [4, 8], "learning_rate": [0.004, 0.012]}
    found = {}

    def search(backend, n_jobs):
        def run():
            searched = GridSearchCV(model, grid, cv=3, refit=False, n_jobs=n_jobs)
            with joblib.parallel_config(backend=backend):
                found[backend] = searched.fit(X[:n], y[:n]).cv_results_["mean_test_score"]

        return run

    contestants = {
        "plain": search("sequential", 1),
        "threads": search("threading", -1),
        "fused": search("skscale", None),
    }
    seconds = time_interleaved(contestants, 2 if quick else 3)
    assert np.abs(found["skscale"] - found["sequential"]).max() < 0.02
    results = {
        f"{name}_over_fused": ratio(seconds[name], seconds["fused"])
        for name in ("plain", "threads")
    }
    print_table(
        ["plain / fused", "joblib's threads / fused", "fused, s"],
        [
            ["{:.2f} ({:.2f} to {:.2f})".format(*r) for r in results.values()]
            + [f"{np.median(seconds['fused']):.1f}"]
        ],
    )
    return results


def main():
    parts = ("default", "phi", "fit", "fused")
    arguments = parse_arguments(
        __doc__.splitlines()[0], parts={"nargs": "+", "default": parts, "choices": parts}
    )
    data = LOADERS["fashion"]()
    if data is None:
        raise SystemExit("Needs Fashion-MNIST: apt-get install dataset-fashion-mnist")
    X, y = np.asarray(data[0], np.uint8), np.asarray(data[1], np.int64)
    run = {
        "default": fit_default,
        "phi": sweep_phi,
        "fit": compare_fit,
        "fused": compare_searches,
    }
    results = {}
    for part in arguments.parts:
        print(f"\n{part}\n")
        results[part] = run[part](X, y, arguments.device, arguments.quick)
    name = "cnn" if len(arguments.parts) == len(parts) else "cnn_" + "_".join(arguments.parts)
    write_json(arguments.json, name, arguments.device, results)


if __name__ == "__main__":
    main()
