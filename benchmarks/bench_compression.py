"""Is a network made small, by pruning, a teacher or both, better than one that is born small?

    python benchmarks/bench_compression.py teachers frontier hinton size grid
    python benchmarks/bench_compression.py --report

On MNIST and the tables of DATA.md that have at least 15,000 rows and hold numbers only
(letter, magic, california, casp), at most 10,000 rows to train and as many to test:

- `teachers`: of widths 32, 128 and 512, depths 1, 2 and 4, and 1 and 8 members, the one with
  the best score on a fifth of the training rows that is held out.
- `frontier`: networks of two layers with 1/20, 1/80 and 1/320 of the teacher's parameters:
  plain; pruned from twice the width; distilled from the teacher, on the training rows
  and twice as many mixed ones; both. As controls plain networks trained thrice as long, and
  the teacher at half its width. Seeds change rows, weights and split.
- `hinton`: all of MNIST: a wide teacher that sees shifted images, a narrower student alone,
  the same taught, on the images as they are (Hinton et al. 2015, section 3).
- `size`: pickle and latency of a network of which three quarters of the units were removed.
- `grid`: a fused grid over pruning, distillation weight and temperature, with a teacher and
  without.

All networks of the frontier but the teacher train to their last epoch: the log loss of held-out
rows, by which epochs are chosen, ends students too early (MNIST, width 32: .950 instead of
.954; alone .951 either way). Students learn labels in fold (`cv=None`): one fit of the
teacher for each set of rows, where labels out of fold take six. Each fit is one record of a
JSON file: a run that was cut off goes on where it was. Differences are paired by seed; their
standard errors are over the seeds.
"""

import argparse
import json
import pathlib
import pickle
import time
import warnings

import joblib
import numpy as np
from _bench import HERE, describe_machine, print_table, ratio
from _data import LOADERS, REGRESSION
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, ShuffleSplit, train_test_split

from skscale import (
    Distillation,
    Pruning,
    ScaledMLPClassifier,
    ScaledMLPRegressor,
)
from skscale.compression.distillation import prediction_cache
from skscale.costs.latency import measure_latency
from skscale.networks.dense.architecture import DenseArchitecture

SETS = ["mnist", "letter", "magic", "california", "casp"]
ROWS = 10_000
FRACTIONS = [20, 80, 320]
# Rows mixed for the teacher to label, a training row.
SYNTHETIC = 2
GRID = {"width": [32, 128, 512], "depth": [1, 2, 4], "n_estimators": [1, 8]}


def load(name, seed):
    """Return training and test data, targets and whether they are numbers."""
    X, y = LOADERS[name]()
    X = np.asarray(X, dtype=np.float32)
    is_regression = name in REGRESSION
    if not is_regression:
        y = np.unique(y, return_inverse=True)[1]
    parts = train_test_split(
        X, y, train_size=ROWS, test_size=min(len(y) - ROWS, ROWS), random_state=seed,
        stratify=None if is_regression else y,
    )  # fmt: skip
    return *parts, is_regression


def network(is_regression, **parameters):
    """Return our estimator."""
    kind = ScaledMLPRegressor if is_regression else ScaledMLPClassifier
    return kind(**parameters)


def count(width, depth, n_features, n_outputs):
    """Return the parameters of one network."""
    return DenseArchitecture(n_features, (width,) * depth, n_outputs).n_parameters


def width_of(n_parameters, n_features, n_outputs):
    """Return the width at which two layers have about so many parameters, at least four."""
    width = 4
    while count(width + 1, 2, n_features, n_outputs) <= n_parameters:
        width += 1
    return width


class Records:
    """Records of a JSON file, each written when it is there."""

    def __init__(self, path):
        self.path = path
        self.content = {"machines": [], "records": []}
        if path.exists():
            self.content = json.loads(path.read_text())
        self.machine = None

    def find(self, **key):
        """Return the records that have these values."""
        return [
            r for r in self.content["records"] if all(r.get(k) == v for k, v in key.items())
        ]

    def add(self, **record):
        """Keep a record."""
        if self.machine is None:
            self.machine = describe_machine("cpu")
        if self.machine not in self.content["machines"]:
            self.content["machines"].append(self.machine)
        record["machine"] = self.content["machines"].index(self.machine)
        self.content["records"].append(record)
        self.path.write_text(json.dumps(self.content, indent=1) + "\n")
        print(json.dumps(record), flush=True)


def choose_teachers(records, options):
    """Search the teachers' grid on each set."""
    for name in options.sets:
        if records.find(part="teachers", set=name):
            continue
        X, _, y, _, is_regression = load(name, 0)
        search = GridSearchCV(
            network(is_regression, random_state=0),
            GRID,
            cv=ShuffleSplit(1, test_size=0.2, random_state=0),
            refit=False,
            error_score="raise",
        )
        start = time.perf_counter()
        with joblib.parallel_config(backend="skscale"):
            search.fit(X, y)
        results = search.cv_results_
        scores = [float(s) for s in results["mean_test_score"]]
        records.add(
            part="teachers", set=name, best=results["params"][int(np.argmax(scores))],
            candidates=results["params"], scores=scores, seconds=time.perf_counter() - start,
        )  # fmt: skip


def describe_variants(teacher, n_parameters, n_features, n_outputs):
    """Return the parameters of the networks of one size, by name."""
    width = width_of(n_parameters, n_features, n_outputs)
    taught = {
        "teacher": teacher,
        "distillation": Distillation(0.9, cv=None, n_synthetic=SYNTHETIC * ROWS),
    }  # fmt: skip
    pruned = {"width": 2 * width, "pruning": Pruning(0.5, scope="layer")}
    plain = {"width": width}
    variants = {
        "plain": plain,
        "plain, thrice as long": plain | {"max_epochs": 150},
        "pruned": pruned,
        "distilled": plain | taught,
        "both": pruned | taught,
    }
    return {kind: own | {"early_stopping": False} for kind, own in variants.items()}


def fit_and_score(parameters, is_regression, seed, X, y, X_test, y_test):
    """Return a network's parameters, score and seconds."""
    model = network(is_regression, random_state=seed, **parameters).fit(X, y)
    return {
        "n_parameters": model.complexity_.n_parameters,
        "widths": list(model.complexity_.widths),
        "score": float(model.score(X_test, y_test)),
        "seconds": model.fit_time_,
    }


def measure_frontier(records, options):
    """Fit teachers and students on each set and seed."""
    for seed in range(options.seeds):
        for name in options.sets:
            if records.find(part="frontier", set=name, seed=seed):
                continue
            best = records.find(part="teachers", set=name)[0]["best"]
            X, X_test, y, y_test, is_regression = load(name, seed)
            data = (X, y, X_test, y_test)
            teacher = network(is_regression, random_state=seed, **best)
            half = teacher.get_params() | {"width": best["width"] // 2}
            half = {k: half[k] for k in best}
            start = time.perf_counter()
            teacher.fit(X, y)
            whole = teacher.complexity_.n_parameters
            found = {
                "teacher": {
                    "n_parameters": whole, "score": float(teacher.score(X_test, y_test)),
                    "seconds": teacher.fit_time_,
                },
            }  # fmt: skip
            shape = (X.shape[1], teacher.architecture_.n_outputs)
            frozen = FrozenEstimator(teacher)
            variants = {("half the width", None): half}
            for fraction in FRACTIONS:
                for kind, parameters in describe_variants(
                    frozen, whole / fraction, *shape
                ).items():
                    variants[kind, fraction] = parameters
            with joblib.parallel_config(backend="skscale"):
                fitted = Parallel()(
                    delayed(fit_and_score)(parameters, is_regression, seed, *data)
                    for parameters in variants.values()
                )
            for (kind, fraction), result in zip(variants, fitted, strict=True):
                found[kind if fraction is None else f"{kind} 1/{fraction}"] = result
            records.add(
                part="frontier", set=name, seed=seed, fits=found,
                seconds=time.perf_counter() - start,
            )  # fmt: skip


def shift_images(X, seed, n_copies=4, most=2):
    """Return images and copies of each, shifted by up to so many pixels either way."""
    rng = np.random.default_rng(seed)
    padding = (0, 0), (most, most), (most, most)
    images, pixel, found = np.pad(X.reshape(-1, 28, 28), padding), np.arange(28), [X]
    for _ in range(n_copies):
        down, right = rng.integers(0, 2 * most + 1, (2, len(X), 1, 1))
        of_each = np.arange(len(X))[:, None, None]
        moved = images[of_each, down + pixel[:, None], right + pixel]
        found.append(moved.reshape(len(X), -1))
    return np.concatenate(found)


def repeat_hinton(records, options):
    """Fit a wide teacher on shifted images, a narrower student, and the same taught."""
    X, y = LOADERS["mnist"]()
    X = np.asarray(X, dtype=np.float32) / 255
    X, X_test, y, y_test = X[:60_000], X[60_000:], y[:60_000], y[60_000:]
    shared = {
        "depth": 2, "preprocessing": None, "early_stopping": False, "precision": "bfloat16",
    }  # fmt: skip
    for seed in range(options.hinton_seeds):
        if records.find(part="hinton", seed=seed):
            continue
        wide = {"width": 1200, "dropout": 0.3, "max_epochs": 15}
        teacher = ScaledMLPClassifier(random_state=seed, **wide, **shared)
        teacher.fit(shift_images(X, seed), np.tile(y, 5))
        errors = {f"teacher {wide}": int((teacher.predict(X_test) != y_test).sum())}
        taught = {"teacher": FrozenEstimator(teacher), "distillation": 0.9}
        variants = {"alone": {}}
        for temperature in (1.0, 4.0, 20.0):
            variants[f"temperature {temperature:g}"] = {
                **taught, "distillation": Distillation(0.9, temperature=temperature)
            }  # fmt: skip
        for kind, parameters in variants.items():
            student = ScaledMLPClassifier(
                width=800, max_epochs=30, random_state=seed, **shared, **parameters
            ).fit(X, y)
            n_errors = int((student.predict(X_test) != y_test).sum())
            errors[f"student of width 800, {kind}"] = n_errors
        records.add(part="hinton", seed=seed, errors=errors)


def measure_size(records, options):
    """Compare a network with what is left of it when three quarters of its units are gone."""
    for name in options.sets:
        if records.find(part="size", set=name):
            continue
        X, X_test, y, y_test, is_regression = load(name, 0)
        found = {}
        models = {
            "whole": network(is_regression, width=512, random_state=0),
            "pruned": network(is_regression, width=512, pruning=0.75, random_state=0),
        }
        rows = X_test[:1000]
        for kind, model in models.items():
            model.fit(X, y)
            found[kind] = {
                "n_parameters": model.complexity_.n_parameters,
                "widths": list(model.complexity_.widths),
                "pickle_bytes": len(pickle.dumps(model)),
                "score": float(model.score(X_test, y_test)),
            }
        for n_rows in (1, 1000):
            times = {kind: [] for kind in models}
            for _ in range(11):
                for kind, model in models.items():
                    times[kind].append(measure_latency(model, rows[:n_rows]))
            for kind in models:
                found[kind][f"latency_us_{n_rows}"] = float(np.median(times[kind]))
            found[f"ratio_{n_rows}"] = ratio(times["pruned"], times["whole"])
        records.add(part="size", set=name, **found)


def time_grid(records, options):
    """Time one fused grid with a teacher and without, in turn."""
    if records.find(part="grid"):
        return
    X, _, y, _, _ = load("letter", 0)
    X, y = X[:4000], y[:4000]
    grid = {
        "pruning": [0.0, 0.5], "distillation__weight": [0.25, 0.5, 0.9],
        "distillation__temperature": [1.0, 2.0, 4.0],
    }  # fmt: skip
    teacher = ExtraTreesClassifier(random_state=0)
    # The frozen one is asked only: the teacher's own fits are left out.
    sides = {
        "without": None,
        "with, frozen": FrozenEstimator(clone(teacher).fit(X, y)),
        "with": teacher,
    }
    seconds = {side: [] for side in sides}
    for repeat in range(options.repeats + 1):
        for side, own in sides.items():
            prediction_cache.clear()
            model = ScaledMLPClassifier(
                width=64, random_state=0, teacher=own, distillation=Distillation()
            )
            search = GridSearchCV(model, grid, cv=3, refit=False, error_score="raise")
            start = time.perf_counter()
            with joblib.parallel_config(backend="skscale"):
                search.fit(X, y)
            if repeat:
                seconds[side].append(time.perf_counter() - start)
    records.add(
        part="grid",
        seconds=seconds,
        ratio=ratio(seconds["with, frozen"], seconds["without"]),
        ratio_with_fits=ratio(seconds["with"], seconds["without"]),
    )


def paired(records, name, one, other):
    """Return the mean difference of two kinds of network on a set and its standard error."""
    differences = [
        r["fits"][one]["score"] - r["fits"][other]["score"]
        for r in records.find(part="frontier", set=name)
    ]
    n = len(differences)
    error = float(np.std(differences, ddof=1)) / n**0.5 if n > 1 else np.inf
    return float(np.mean(differences)), error


def mean_of(records, name, kind, key):
    """Return the mean over the seeds."""
    return float(
        np.mean([r["fits"][kind][key] for r in records.find(part="frontier", set=name)])
    )


def report_frontier(records, sets):
    """Print the frontier of each set and what became of the targets."""
    kinds = ("pruned", "distilled", "both")
    n_near, n_above, n_sets = 0, dict.fromkeys(FRACTIONS, 0), 0
    rows = []
    for name in sets:
        if not records.find(part="frontier", set=name):
            continue
        n_sets += 1
        best = records.find(part="teachers", set=name)[0]["best"]
        words = ", ".join(f"{k} {v}" for k, v in best.items())
        gain, error = paired(records, name, "teacher", "half the width")
        score = mean_of(records, name, "teacher", "score")
        size = mean_of(records, name, "teacher", "n_parameters")
        print(
            f"- {name}: teacher {words}: {size:,.0f} parameters, {score:.4f}; above half its "
            f"width by {gain:+.4f} (+- {error:.4f})" + ("" if gain > 2 * error else ": level")
        )
        for fraction in FRACTIONS:
            cells = []
            for kind in ("plain, thrice as long", *kinds):
                gain, error = paired(
                    records, name, f"{kind} 1/{fraction}", f"plain 1/{fraction}"
                )
                cells.append(f"{gain:+.4f} (+- {error:.4f})")
            own = {k: paired(records, name, f"{k} 1/{fraction}", "teacher") for k in kinds}
            better = max(kinds, key=lambda k: own[k][0])
            loss, error = own[better]
            gain, its_error = paired(
                records, name, f"{better} 1/{fraction}", f"plain 1/{fraction}"
            )
            n_above[fraction] += gain > 2 * its_error
            if fraction == FRACTIONS[0]:
                n_near += loss >= -0.01
            plain = f"plain 1/{fraction}"
            rows.append(
                [
                    name, f"1/{fraction}",
                    f"{mean_of(records, name, plain, 'n_parameters'):,.0f}",
                    f"{mean_of(records, name, plain, 'score'):.4f}", *cells, better,
                    f"{loss:+.4f} (+- {error:.4f})",
                ]
            )  # fmt: skip
    print()
    print_table(
        ["set", "size", "parameters", "plain", "plain, thrice as long", "pruned",
         "distilled", "both", "best of the three", "it less the teacher"],
        rows,
    )  # fmt: skip
    print(f"\nat 1/{FRACTIONS[0]} within 0.01 of the teacher: {n_near} of {n_sets} sets")
    for fraction, n in n_above.items():
        print(f"at 1/{fraction} above plain by two standard errors: {n} of {n_sets} sets")


def draw_frontier(records, sets, path):
    """Draw score against parameters, a set each."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    sets = [s for s in sets if records.find(part="frontier", set=s)]
    figure, axes = plt.subplots(1, len(sets), figsize=(3.4 * len(sets), 3.6), squeeze=False)
    for ax, name in zip(axes[0], sets, strict=True):
        n_seeds = len(records.find(part="frontier", set=name))
        for kind in ("plain", "pruned", "distilled", "both"):
            names = [f"{kind} 1/{f}" for f in FRACTIONS]
            scores = np.array(
                [
                    [r["fits"][n]["score"] for n in names]
                    for r in records.find(part="frontier", set=name)
                ]
            )
            error = scores.std(axis=0, ddof=1) / n_seeds**0.5 if n_seeds > 1 else None
            sizes = [mean_of(records, name, n, "n_parameters") for n in names]
            ax.errorbar(
                sizes, scores.mean(axis=0), error, marker="o", ms=4, capsize=2, label=kind
            )
        score = mean_of(records, name, "teacher", "score")
        ax.axhline(score, color="0.5", ls="--", lw=1, label="teacher")
        ax.set(xscale="log", title=name, xlabel="parameters")
        ax.set_xticks(sizes, [f"{size:,.0f}" for size in sizes])
        ax.minorticks_off()
    axes[0, 0].set_ylabel("test score (accuracy or R2)")
    axes[0, -1].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def report(records, sets):
    """Print the tables of all records."""
    report_frontier(records, sets)
    hinton = records.find(part="hinton")
    if hinton:
        print("\nMNIST, test errors of 10,000\n")
        print_table(
            ["network", *(f"seed {r['seed']}" for r in hinton), "mean"],
            [
                [kind, *(r["errors"][kind] for r in hinton),
                 f"{np.mean([r['errors'][kind] for r in hinton]):.0f}"]
                for kind in hinton[0]["errors"]
            ],
        )  # fmt: skip
    sizes = records.find(part="size")
    if sizes:
        print("\nThree quarters of the units removed\n")
        rows = []
        for r in sizes:
            whole, pruned = r["whole"], r["pruned"]
            rows.append(
                [
                    r["set"], whole["widths"], pruned["widths"],
                    f"{pruned['pickle_bytes']:,} of {whole['pickle_bytes']:,}",
                    f"{pruned['pickle_bytes'] / whole['pickle_bytes']:.3f}",
                    *(
                        f"{pruned[f'latency_us_{n}']:,.0f} of {whole[f'latency_us_{n}']:,.0f} "
                        f"({r[f'ratio_{n}'][0]:.2f})"
                        for n in (1, 1000)
                    ),
                    f"{whole['score']:.4f}", f"{pruned['score']:.4f}",
                ]
            )  # fmt: skip
        print_table(
            ["set", "widths", "pruned", "pickle, bytes", "ratio", "one row, us (ratio)",
             "1,000 rows, us (ratio)", "score", "pruned"],
            rows,
        )  # fmt: skip
    for r in records.find(part="grid"):
        print("\nA fused grid, times as long as without a teacher (median, least, most):")
        for key in ("ratio", "ratio_with_fits"):
            print(f"  {key}: " + "{:.2f} ({:.2f} to {:.2f})".format(*r[key]))


PARTS = {
    "teachers": choose_teachers,
    "frontier": measure_frontier,
    "hinton": repeat_hinton,
    "size": measure_size,
    "grid": time_grid,
}


def main():
    """Measure what is asked for and not recorded yet, or report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--sets", nargs="+", default=SETS, choices=SETS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--hinton-seeds", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--records", default=str(HERE / "results" / "compression.json"))
    parser.add_argument("--report", action="store_true", help="print tables of the records")
    parser.add_argument("--plot", help="where to draw the frontier")
    options = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)
    records = Records(pathlib.Path(options.records))
    for part in options.parts:
        PARTS[part](records, options)
    if options.report:
        report(records, options.sets)
    if options.plot:
        draw_frontier(records, options.sets, options.plot)


if __name__ == "__main__":
    main()
