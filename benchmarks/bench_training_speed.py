"""How long does one fit take, against others that do the same work?

One thread, batches of 128 rows, equal epochs, float32, 8,192 rows of 64 features and 10
classes. Ours is the whole `fit` of the estimator. The others:

- `loop`: the tightest plain PyTorch loop: autograd, fused AdamW, batches split before the
  clock starts;
- `skorch`: stock skorch with AdamW, its DataLoader shuffling;
- `sklearn`: scikit-learn's MLPClassifier, for the plain network and, at 1024x3, against
  our precision="bfloat16" too.

Two networks: `plain` (linear layers and ReLU) and `full` (the library's defaults, which are
residual connections and early stopping on a tenth of the rows with the best weights kept,
and with them layer normalization and a dropout rate of 0.1); the others run the same
network, validate after each epoch, and keep their best weights.

Before anything is timed, our fit and the loop start from the same weights and take the
same batches in float64, and must end with the same weights.

    python benchmarks/bench_training_speed.py
"""

import copy
import itertools

import numpy as np
import skorch
import torch
from _bench import parse_arguments, print_table, ratio, time_interleaved, write_json
from sklearn.datasets import make_classification
from sklearn.neural_network import MLPClassifier
from skorch.helper import predefined_split
from threadpoolctl import threadpool_limits
from torch import nn
from torch.nn import functional

from skscale import ScaledMLPClassifier
from skscale.networks.constants import BIAS_GAIN
from skscale.training.optimizers import OPTIMIZERS
from skscale.training.random import FeedRandom

BATCH, DROPOUT, RATE = 128, 0.1, 1e-3
SCALES = [(16, 2), (32, 2), (64, 2), (128, 2), (256, 2), (512, 3), (1024, 3)]


class Network(nn.Module):
    """The networks of `DenseArchitecture`, as one would write them."""

    def __init__(self, width, depth, full, dropout=DROPOUT):
        super().__init__()
        sizes = [64] + [width] * depth + [10]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))
        self.full, self.dropout = full, dropout

    def forward(self, x):
        h = x
        for i, layer in enumerate(self.layers[:-1]):
            if not self.full:
                h = functional.relu(layer(h))
                continue
            n = functional.layer_norm(h, h.shape[-1:]) if i else h
            a = functional.dropout(functional.relu(layer(n)), self.dropout, self.training)
            h = h + a if i else a
        if self.full:
            h = functional.layer_norm(h, h.shape[-1:])
        return self.layers[-1](h)


def make_data():
    X, y = make_classification(
        8192, 64, n_informative=32, n_classes=10, class_sep=2.0, random_state=0
    )
    return X.astype(np.float32), y


def make_estimator(width, depth, full, epochs, device, **more):
    parameters = {
        "batch_size": BATCH,
        "max_epochs": epochs,
        "learning_rate": RATE,
        "lr_schedule": "constant",
        "activation": "relu",
        "preprocessing": None,
        "label_smoothing": 0.0,
        "calibrate": False,
        "weight_decay": 0.0,
        "random_state": 0,
        "device": device,
    }
    if full:
        parameters |= {
            "normalization": "layer",
            "residual": True,
            "dropout": DROPOUT,
            "early_stopping": True,
            "n_iter_no_change": epochs + 1,
        }
    else:
        parameters |= {"normalization": None, "residual": False, "early_stopping": False}
    return ScaledMLPClassifier(depth, width, **(parameters | more))


class Loop:
    """The PyTorch loop, its batches prepared."""

    def __init__(self, X, y, width, depth, full, epochs, device, bfloat16=False):
        n_valid = len(X) // 10 if full else 0
        X, y = torch.from_numpy(X).to(device), torch.from_numpy(y).to(device)
        self.batches = list(
            zip(X[n_valid:].split(BATCH), y[n_valid:].split(BATCH), strict=True)
        )
        self.valid = (X[:n_valid], y[:n_valid]) if full else None
        self.make = lambda: Network(width, depth, full).to(device)
        self.epochs, self.device, self.bfloat16 = epochs, device, bfloat16

    def __call__(self):
        network = self.make()
        optimizer = torch.optim.AdamW(
            network.parameters(), lr=RATE, weight_decay=0.0, fused=True
        )
        best = float("inf")
        for _ in range(self.epochs):
            network.train()
            for x, y in self.batches:
                optimizer.zero_grad(set_to_none=True)
                with torch.autocast(self.device, torch.bfloat16, enabled=self.bfloat16):
                    loss = functional.cross_entropy(network(x), y)
                loss.backward()
                optimizer.step()
            if self.valid is not None:
                network.eval()
                with torch.no_grad():
                    score = functional.cross_entropy(
                        network(self.valid[0]), self.valid[1]
                    ).item()
                if score < best:
                    best, kept = score, copy.deepcopy(network.state_dict())
        if self.valid is not None:
            network.load_state_dict(kept)
        return network


def make_skorch(X, y, width, depth, full, epochs, device):
    n_valid = len(X) // 10 if full else 0
    valid = skorch.dataset.Dataset(X[:n_valid], y[:n_valid]) if full else None
    best = [("best", _BestInMemory())] if full else []

    def run():
        return skorch.NeuralNetClassifier(
            Network,
            module__width=width,
            module__depth=depth,
            module__full=full,
            criterion=nn.CrossEntropyLoss,
            optimizer=torch.optim.AdamW,
            optimizer__weight_decay=0.0,
            lr=RATE,
            batch_size=BATCH,
            max_epochs=epochs,
            iterator_train__shuffle=True,
            train_split=predefined_split(valid) if full else None,
            callbacks=best,
            device=device,
            verbose=0,
        ).fit(X[n_valid:], y[n_valid:])

    return run


class _BestInMemory(skorch.callbacks.Callback):
    def on_epoch_end(self, net, **kwargs):
        if net.history[-1, "valid_loss_best"]:
            self.kept = copy.deepcopy(net.module_.state_dict())


def assert_equal_results(X, y, device):
    """Assert that a fit and the loop end with the same weights, in float64."""
    X = X[:1000].astype(np.float64)
    y = y[:1000]
    for full in (False, True):
        fitted = make_estimator(
            32, 2, full, 3, device, precision="float64", dropout=0.0, early_stopping=False
        ).fit(X, y)
        random = FeedRandom(0)
        start = make_estimator(
            32, 2, full, 1, device,
            precision="float64", dropout=0.0, early_stopping=False, learning_rate=1e-300,
        ).fit(X, y)  # fmt: skip
        network = Network(32, 2, full, dropout=0.0).double()
        for layer, coef, intercept in zip(
            network.layers, start.coefs_, start.intercepts_, strict=True
        ):
            layer.weight.data = torch.from_numpy(coef.T.copy())
            layer.bias.data = torch.from_numpy(intercept.copy())
        # Ours trains weights without their gains; to the loop that is a rate a layer.
        kind, arguments = OPTIMIZERS["adamw"].for_torch()
        groups = []
        for layer, gain in zip(network.layers, start.architecture_.gains, strict=True):
            for parameter, factor in ((layer.weight, gain), (layer.bias, BIAS_GAIN)):
                eps = arguments["eps"] / factor
                groups.append({"params": [parameter], "lr": RATE * factor, "eps": eps})
        optimizer = kind(groups, **arguments | {"weight_decay": 0.0})
        for _ in range(3):
            rows = torch.from_numpy(random.order(np.arange(1000)))
            for batch in rows.split(BATCH):
                optimizer.zero_grad()
                loss = functional.cross_entropy(
                    network(torch.from_numpy(X)[batch]), torch.from_numpy(y)[batch]
                )
                loss.backward()
                optimizer.step()
        for layer, coef in zip(network.layers, fitted.coefs_, strict=True):
            np.testing.assert_allclose(layer.weight.detach().numpy().T, coef, atol=1e-9)


def useful_flops(width, depth):
    """Floating-point operations of the products of a step: outputs, gradients of the
    weights, and gradients of the activations, which the first layer does not need."""
    first, rest = 64 * width, (depth - 1) * width * width + width * 10
    return 2 * BATCH * (2 * first + 3 * rest)


def product_rate(device, synchronize):
    """Measure the operations a second of a large float32 matrix product."""
    a = torch.randn(1024, 1024, device=device)
    seconds = time_interleaved({"product": lambda: a @ a}, 20, synchronize)["product"]
    return 2 * 1024**3 / np.median(seconds)


def main():
    arguments = parse_arguments(__doc__)
    device = arguments.device
    threadpool_limits(1)  # also of the BLAS that scikit-learn calls
    synchronize = torch.cuda.synchronize if device == "cuda" else None
    X, y = make_data()
    assert_equal_results(X, y, device)
    print("Equal results: our fit and the loop end with the same weights in float64.\n")

    peak = product_rate(device, synchronize)
    print(f"Matrix products of 1024 x 1024 float32: {peak / 1e9:.0f} GFLOP/s.\n")
    rows, results = [], []
    for width, depth in SCALES[: 4 if arguments.quick else None]:
        repeats, epochs = (3, 1) if width >= 1024 else (5, 2) if width >= 512 else (7, 5)
        for full in (False, True):
            case = (width, depth, full, epochs, device)
            ours = make_estimator(*case)
            contestants = {
                "ours": lambda ours=ours: ours.fit(X, y),
                "loop": Loop(X, y, *case),
                "skorch": make_skorch(X, y, *case),
            }
            if not full:
                peer = MLPClassifier(
                    (width,) * depth,
                    batch_size=BATCH,
                    max_iter=epochs,
                    alpha=0.0,
                    learning_rate_init=RATE,
                    tol=0.0,
                    n_iter_no_change=epochs + 1,
                )
                contestants["sklearn"] = lambda peer=peer: _fit_quietly(peer, X, y)
            if width >= 1024:
                low = make_estimator(*case, precision="bfloat16")
                contestants["ours bfloat16"] = lambda low=low: low.fit(X, y)
                contestants["loop bfloat16"] = Loop(X, y, *case, bfloat16=True)
            seconds = time_interleaved(contestants, repeats, synchronize)
            n_steps = epochs * -(-(len(X) - (len(X) // 10 if full else 0)) // BATCH)
            name = "full" if full else "plain"
            step_seconds = np.median(seconds["ours"]) / n_steps
            useful = useful_flops(width, depth) / step_seconds
            row = [
                f"{width}x{depth}",
                name,
                f"{step_seconds * 1e6:.0f}",
                f"{useful / 1e9:.0f} ({useful / peak:.2f})",
            ]
            result = {
                "width": width,
                "depth": depth,
                "network": name,
                "seconds": seconds,
                "useful_flops_a_second": useful,
            }
            for numerator, denominator in (
                ("ours", "loop"), ("skorch", "ours"), ("sklearn", "ours"),
                ("sklearn", "ours bfloat16"), ("ours bfloat16", "loop bfloat16"),
            ):  # fmt: skip
                if numerator in seconds and denominator in seconds:
                    middle, low_, high = ratio(seconds[numerator], seconds[denominator])
                    row.append(f"{middle:.2f} ({low_:.2f} to {high:.2f})")
                    result[f"{numerator} / {denominator}"] = [middle, low_, high]
                else:
                    row.append("")
            rows.append(row)
            results.append(result)
            print("\t".join(row), flush=True)
    print()
    print_table(
        [
            "scale", "network", "ours, us a step", "useful GFLOP/s (of the product rate)",
            "ours / loop", "skorch / ours",
            "sklearn / ours", "sklearn / ours bf16", "ours bf16 / loop bf16",
        ],
        rows,
    )  # fmt: skip
    write_json(
        arguments.json,
        "bench_training_speed",
        device,
        {"product_flops_a_second": peak, "cases": results},
    )


def _fit_quietly(model, X, y):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has not converged: epochs are fixed
        model.fit(X, y)


if __name__ == "__main__":
    main()
