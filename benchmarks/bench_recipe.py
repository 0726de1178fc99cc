"""What each default of the estimators is worth, and how the learning rate transfers.

    python benchmarks/bench_recipe.py [--seeds 3] [--held-out] [--changes ...] [--drift]

Every row changes one thing of the defaults, on the sets of `bench_accuracy`: the mean of
log(1 - score) over the nine tables and over all sets (less is better; 0.01 is one per cent
of the error), the mean log loss of the classifiers, and CPU seconds of a fit, one thread. A
learning rate that was changed beside says so. `--held-out` takes the sets that nothing was
chosen on; `--changes` some rows only. `--drift` varies the learning rate over widths instead.
"""

import contextlib
import json
import time
import warnings
from unittest import mock

import numpy as np
import torch
from _bench import parse_arguments, print_table, write_json
from _data import HELD_OUT
from bench_accuracy import SETS, load
from sklearn.metrics import log_loss
from threadpoolctl import threadpool_limits

from skscale import AdamW, ScaledMLPClassifier, ScaledMLPRegressor
from skscale.networks.dense import torch_network as dense
from skscale.networks.dense.architecture import DenseArchitecture

TABLES = SETS[:9]


def without_scales():
    """Train no scales of the inputs."""
    plain = DenseArchitecture.__init__

    def init(self, *args, **kwargs):
        plain(self, *args, **{**kwargs, "scales_inputs": False})

    return mock.patch.object(DenseArchitecture, "__init__", init)


def without_gains():
    """Train the weights themselves."""
    gains = property(lambda self: (1.0,) * (self.depth + 1))
    return mock.patch.object(DenseArchitecture, "gains", gains)


def with_random_outputs():
    """Begin with random weights of the output layer."""
    zero = dense.initial_parameters

    def initial(architecture, generator, dtype):
        weights = zero(architecture, generator, dtype)
        n_in, n_out = weights.coefs[-1].shape
        drawn = generator.standard_normal((n_in, n_out)) / n_in**0.5
        weights.coefs[-1] = drawn.astype(dtype)
        return weights

    return mock.patch.object(dense, "initial_parameters", initial)


# (what, parameters, what is patched, source)
VARIANTS = [
    ("the defaults", {}, None, ""),
    ("activation relu", {"activation": "relu"}, None, "Elfwing et al. 2018"),
    ("activation gelu", {"activation": "gelu"}, None, "Hendrycks and Gimpel 2016"),
    ("one cosine", {"lr_schedule": "cosine"}, None, "Holzmueller et al. 2024, 3.4"),
    ("constant rate, 0.02", {"lr_schedule": "constant", "learning_rate": 0.02}, None,
     "Holzmueller et al. 2024, 3.4"),
    ("learning rate 0.04", {"learning_rate": 0.04}, None, "this table"),
    ("learning rate 0.16", {"learning_rate": 0.16}, None, "this table"),
    ("no gains, rate 0.005", {"learning_rate": 0.005}, without_gains,
     "Jacot et al. 2018, 2"),
    ("no scales of inputs", {}, without_scales, "Holzmueller et al. 2024, 3.2"),
    ("beta2 0.999", {"optimizer": AdamW(beta2=0.999)}, None, "Holzmueller et al. 2024, A.1"),
    ("random output layer", {}, with_random_outputs, "Holzmueller et al. 2024, A.1"),
    ("no weight decay", {"weight_decay": 0.0}, None, "Loshchilov and Hutter 2019"),
    ("weight decay 0.1", {"weight_decay": 0.1}, None, "Loshchilov and Hutter 2019"),
    ("no label smoothing", {"label_smoothing": 0.0}, None, "Szegedy et al. 2016, 7"),
    ("label smoothing 0.1", {"label_smoothing": 0.1}, None, "Szegedy et al. 2016, 7"),
    ("no calibration", {"calibrate": False}, None, "Guo et al. 2017, 4.2"),
    ("no residual", {"residual": False}, None, "He et al. 2016"),
    ("layer normalisation", {"normalization": "layer"}, None, "Ba et al. 2016"),
    ("dropout 0.1", {"dropout": 0.1}, None, "Srivastava et al. 2014"),
    ("batches of 64", {"batch_size": 64}, None, "Holzmueller et al. 2024, A.1"),
    ("batches of 256", {"batch_size": 256}, None, "Holzmueller et al. 2024, A.1"),
    ("25 epochs", {"max_epochs": 25}, None, "this table"),
    ("100 epochs", {"max_epochs": 100, "n_iter_no_change": 50}, None, "this table"),
    ("width 256", {"width": 256}, None, "this table"),
    ("depth 3", {"depth": 3}, None, "this table"),
    ("8 members", {"n_estimators": 8}, None, "Lakshminarayanan et al. 2017"),
    ("resolution 16", {"resolution": 16}, None, "Gorishniy et al. 2022"),
]  # fmt: skip


def measure(parameters, patch, seeds, sets):
    """Fit and score on all sets; return mean score, log loss and seconds of each."""
    found = {}
    for name in sets:
        scores, losses, seconds = [], [], []
        for seed in seeds:
            X_train, X_test, y_train, y_test, is_regression = load(name, seed)
            Network = ScaledMLPRegressor if is_regression else ScaledMLPClassifier
            own = {} if is_regression else parameters
            if is_regression:
                own = {
                    key: value for key, value in parameters.items()
                    if key not in ("label_smoothing", "calibrate")
                }  # fmt: skip
            network = Network(random_state=seed, **own)
            start = time.process_time()
            with contextlib.nullcontext() if patch is None else patch():
                network.fit(X_train, y_train)
            seconds.append(time.process_time() - start)
            scores.append(network.score(X_test, y_test))
            if not is_regression:
                p = network.predict_proba(X_test)
                losses.append(log_loss(y_test, p, labels=np.arange(p.shape[1])))
        found[name] = (np.mean(scores), np.mean(losses) if losses else None, np.mean(seconds))
    return found


def summarise(found):
    """Return log errors of the tables and of all sets, log loss and seconds."""

    def log_error(sets):
        # No error at all counts as one in a thousand.
        errors = [max(1e-3, 1 - found[s][0]) for s in sets if s in found]
        return float(np.mean(np.log(errors))) if errors else float("nan")

    losses = [loss for _, loss, _ in found.values() if loss is not None]
    return [
        log_error(TABLES), log_error(found), float(np.mean(losses)),
        float(np.mean([seconds for _, _, seconds in found.values()])),
    ]  # fmt: skip


def main():
    """Measure, print the table, write JSON."""
    options = parse_arguments(
        __doc__.splitlines()[0],
        seeds={"type": int, "default": 3},
        drift={"action": "store_true"},
        held_out={"action": "store_true"},
        changes={"nargs": "+"},
    )
    torch.set_num_threads(1)
    threadpool_limits(1)
    warnings.simplefilter("ignore")
    seeds = range(1 if options.quick else options.seeds)
    results = {}
    if options.drift:
        rates = [0.02, 0.04, 0.08, 0.16]
        rows = []
        for width in (32, 128, 512, 1024):
            row = [width]
            sets = SETS if width < 1024 else ["churn", "california", "digits", "optdigits"]
            for rate in rates:
                found = measure({"width": width, "learning_rate": rate}, None, seeds, sets)
                results[f"{width}, {rate}"] = found
                row.append(f"{summarise(found)[1]:.3f}")
            rows.append(row)
            print(row, flush=True)
        print_table(["width", *(f"rate {rate}" for rate in rates)], rows)
        write_json(options.json, "bench_recipe_drift", options.device, results)
        return
    rows = []
    sets = list(HELD_OUT) if options.held_out else SETS
    for what, parameters, patch, source in VARIANTS:
        if options.changes and what not in ("the defaults", *options.changes):
            continue
        results[what] = found = measure(parameters, patch, seeds, sets)
        tables, every, loss, seconds = summarise(found)
        if not rows:
            first = tables, every
        rows.append(
            [
                what, f"{tables:.3f}", f"{every:.3f}",
                f"{tables - first[0]:+.3f}, {every - first[1]:+.3f}", f"{loss:.3f}",
                f"{seconds:.2f}", source,
            ]
        )  # fmt: skip
        print(json.dumps(rows[-1]), flush=True)
    print_table(
        ["change", "tables", "all sets", "more error than the defaults", "log loss", "CPU s",
         "source"],
        rows,
    )  # fmt: skip
    name = "bench_recipe_held_out" if options.held_out else "bench_recipe"
    write_json(options.json, name, options.device, results)


if __name__ == "__main__":
    main()
