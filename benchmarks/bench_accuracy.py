"""How accurate is each kind of model on tables, and at what cost?

    python benchmarks/bench_accuracy.py --methods skscale skscale_members skscale_search
    python benchmarks/bench_accuracy.py --methods sklearn_mlp boosting RealMLP_TD_S RealMLP_TD
    python benchmarks/bench_accuracy.py --methods TabM_D --sets churn credit magic
    python benchmarks/bench_accuracy.py --methods ... --held-out
    python benchmarks/bench_accuracy.py --report

The peers RealMLP (Holzmueller et al. 2024) and TabM (Gorishniy et al. 2025) come from
pytabkit (`pip install pytabkit`). Every method gets the same training rows (at most 10,000)
as a frame, its own defaults, and one thread; frames hold numbers and categories, and missing
numbers are filled by medians for those that take none. Each fit is one record of a JSON
file, written when it ends: a run that was cut off goes on where it was. `--report` prints
the tables from the records. `--held-out` takes the sets that nothing was chosen on, and has
records of its own.
"""

import argparse
import importlib.metadata
import json
import pathlib
import platform
import time
import warnings

import joblib
import numpy as np
from _bench import HERE, describe_command, describe_processor, print_table
from _data import HELD_OUT, LOADERS, REGRESSION
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.metrics import accuracy_score, log_loss, r2_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits

SETS = [
    "adult", "letter", "magic", "fars", "churn", "credit", "california", "diamonds", "casp",
    "digits", "optdigits",
]  # fmt: skip
MOST_ROWS = 10_000


def load(name, seed):
    """Return training and test data of a set: frames, targets and the kind of task."""
    import pandas as pd

    X, y = (LOADERS | HELD_OUT)[name]()
    is_regression = name in REGRESSION
    if not hasattr(X, "columns"):
        X = pd.DataFrame(X, columns=[f"pixel{i}" for i in range(X.shape[1])])
    X.columns = [str(c) for c in X.columns]
    words = X.select_dtypes(exclude="number").columns
    X = X.astype(dict.fromkeys(words, "category"))
    if not is_regression:
        y = np.unique(y, return_inverse=True)[1]
    n_train = min(MOST_ROWS, int(0.8 * len(y)))
    parts = train_test_split(
        X, y, train_size=n_train, test_size=min(len(y) - n_train, MOST_ROWS),
        random_state=seed, stratify=None if is_regression else y,
    )  # fmt: skip
    return *parts, is_regression


def fill(X_train, X_test):
    """Fill missing numbers by the medians of the training rows."""
    medians = X_train.select_dtypes("number").median()
    return X_train.fillna(medians), X_test.fillna(medians)


def sklearn_mlp(is_regression, seed):
    """scikit-learn's MLP behind the usual preprocessing."""
    words = make_pipeline(
        SimpleImputer(strategy="most_frequent"),
        OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    )
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    before = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (words, make_column_selector(dtype_exclude="number")),
    )
    Network = MLPRegressor if is_regression else MLPClassifier
    return make_pipeline(before, Network(random_state=seed))


def boosting(is_regression, seed):
    """Make the gradient boosting of scikit-learn."""
    Model = HistGradientBoostingRegressor if is_regression else HistGradientBoostingClassifier
    return Model(random_state=seed)


def pytabkit(name):
    """Return what makes a model of pytabkit."""

    def make(is_regression, seed):
        import pytabkit

        kind = "Regressor" if is_regression else "Classifier"
        options = {} if name.startswith("TabM") else {"n_threads": 1}
        return getattr(pytabkit, f"{name}_{kind}")(device="cpu", random_state=seed, **options)

    return make


def skscale(**parameters):
    """Return what makes our estimators."""

    def make(is_regression, seed):
        from skscale import ScaledMLPClassifier, ScaledMLPRegressor

        Network = ScaledMLPRegressor if is_regression else ScaledMLPClassifier
        return Network(random_state=seed, **parameters)

    return make


def skscale_search(is_regression, seed):
    """Return a search of our estimator over 30 scales and resolutions."""
    from sklearn.model_selection import RandomizedSearchCV

    from skscale import SmallestWithin, cost_scoring

    scales = {
        "depth": [1, 2, 3],
        "width": [16, 32, 64, 128, 256, 384],
        "resolution": [0, 8, 24],
        "dropout": [0.0, 0.1],
    }
    return RandomizedSearchCV(
        skscale()(is_regression, seed),
        scales,
        n_iter=30,
        scoring=cost_scoring(costs=["n_parameters"]),
        refit=SmallestWithin(1),
        cv=3,
        random_state=seed,
    )


METHODS = {
    "skscale": skscale(),
    "skscale_members": skscale(n_estimators=8),
    "skscale_search": skscale_search,
    "sklearn_mlp": sklearn_mlp,
    "boosting": boosting,
    "RealMLP_TD_S": pytabkit("RealMLP_TD_S"),
    "RealMLP_TD": pytabkit("RealMLP_TD"),
    "TabM_D": pytabkit("TabM_D"),
}


def count_parameters(model):
    """Count what a model has learned: weights, or nodes of trees; None if not known."""
    model = getattr(model, "best_estimator_", model)
    model = model[-1] if hasattr(model, "steps") else model
    if hasattr(model, "coefs_"):
        return sum(a.size for a in [*model.coefs_, *model.intercepts_])
    if hasattr(model, "_predictors"):
        return sum(len(tree.nodes) for step in model._predictors for tree in step)
    if hasattr(model, "cv_alg_interface_"):  # of pytabkit
        inner = model.cv_alg_interface_
        if not hasattr(inner, "model"):
            inner = inner.sub_split_interfaces[0]
        module = inner.model if hasattr(inner, "model") else inner.model_
        return sum(p.numel() for p in module.parameters())
    return None


def row_latency(predict, row, seconds=0.5):
    """Return the median microseconds of a prediction of one row."""
    times, start = [], time.perf_counter()
    while time.perf_counter() - start < seconds or len(times) < 5:
        before = time.perf_counter()
        predict(row)
        times.append(time.perf_counter() - before)
    return 1e6 * float(np.median(times))


def measure(method, name, seed):
    """Fit a method on a set; return the record."""
    X_train, X_test, y_train, y_test, is_regression = load(name, seed)
    if method.startswith(("Real", "TabM")):
        X_train, X_test = fill(X_train, X_test)
    model = METHODS[method](is_regression, seed)
    wall, cpu = time.perf_counter(), time.process_time()
    backend = "skscale" if method == "skscale_search" else "threading"
    with joblib.parallel_config(backend=backend):
        model.fit(X_train, y_train)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    record = {"method": method, "set": name, "seed": seed, "cpu_s": cpu, "wall_s": wall}
    if is_regression:
        record["score"] = r2_score(y_test, np.ravel(model.predict(X_test)))
    else:
        p = np.asarray(model.predict_proba(X_test), dtype=np.float64)
        p /= p.sum(axis=1, keepdims=True)
        record["score"] = accuracy_score(y_test, p.argmax(axis=1))
        record["log_loss"] = log_loss(y_test, p, labels=np.arange(p.shape[1]))
    record["n_parameters"] = count_parameters(model)
    record["latency_us"] = row_latency(model.predict, X_test[:1])
    return record


def describe_machine():
    """Return processor and versions."""
    names = ("numpy", "pandas", "scikit-learn", "torch", "pytabkit", "skscale")
    versions = {}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "command": describe_command(),
        "processor": describe_processor()[0],
        "python": platform.python_version(),
        "versions": versions,
    }


def read(path):
    """Return machines and records of a file."""
    if not path.exists():
        return {"machines": [], "records": []}
    return json.loads(path.read_text())


def report(records, sets):
    """Print the score, cost and rank of every method, and what each loses on each set."""
    methods = [m for m in METHODS if any(r["method"] == m for r in records)]
    sets = [s for s in sets if any(r["set"] == s for r in records)]
    mean = {}
    for key in ("score", "log_loss", "cpu_s", "n_parameters", "latency_us"):
        for method in methods:
            for name in sets:
                values = [
                    r[key] for r in records
                    if (r["method"], r["set"]) == (method, name) and r.get(key) is not None
                ]  # fmt: skip
                if values:
                    mean[key, method, name] = float(np.mean(values))

    # What all methods have, for means that can be compared.
    everywhere = [m for m in methods if all(("score", m, s) in mean for s in sets)]
    normalised, ranks = {m: [] for m in everywhere}, {m: [] for m in everywhere}
    for name in sets:
        scores = np.array([mean["score", m, name] for m in everywhere])
        # Between the worst and the best, but not below half way to a failure.
        low, high = max(scores.min(), np.median(scores) * 2 - scores.max()), scores.max()
        for method, score in zip(everywhere, scores, strict=True):
            spread = high - low
            normalised[method].append(max(0.0, (score - low) / spread) if spread else 1.0)
            ranks[method].append(1 + (scores > score).sum() + ((scores == score).sum() - 1) / 2)

    def cell(key, method, name, form):
        value = mean.get((key, method, name))
        return "" if value is None else format(value, form)

    def column(values):
        return f"{np.mean(values):.3f} (+- {np.std(values, ddof=1) / len(values) ** 0.5:.3f})"

    print_table(
        ["method", "mean normalised score", "mean rank", "CPU s, geometric mean",
         "parameters, geometric mean", "row, us, geometric mean"],
        [
            [
                method,
                column(normalised[method]),
                column(ranks[method]),
                *(
                    format(np.exp(np.mean(np.log(values))), form) if values else ""
                    for values, form in (
                        ([mean[key, method, s] for s in sets if (key, method, s) in mean], form)
                        for key, form in
                        (("cpu_s", ".2f"), ("n_parameters", ",.0f"), ("latency_us", ",.0f"))
                    )
                ),
            ]
            for method in everywhere
        ],
    )  # fmt: skip
    for title, key, form in (
        ("Accuracy or R2", "score", ".4f"), ("Log loss", "log_loss", ".4f"),
        ("CPU seconds of a fit", "cpu_s", ".2f"), ("Parameters", "n_parameters", ",.0f"),
        ("One row, us", "latency_us", ",.0f"),
    ):  # fmt: skip
        print(f"\n{title}\n")
        rows = [[m, *(cell(key, m, s, form) for s in sets)] for m in methods]
        print_table(["method", *sets], [row for row in rows if any(row[1:])])
    ours = "skscale"
    if ours in everywhere:
        print()
        for method in everywhere:
            won = sum(mean["score", ours, s] > mean["score", method, s] for s in sets)
            print(f"{ours} is ahead of {method} on {won} of {len(sets)} sets")


def main():
    """Measure what is asked for and not recorded yet, or report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", default=[], choices=list(METHODS))
    parser.add_argument("--sets", nargs="+", choices=[*SETS, *HELD_OUT])
    parser.add_argument("--held-out", action="store_true", help="sets nothing was chosen on")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--records", help="results/accuracy.json, accuracy_held_out.json")
    parser.add_argument("--report", action="store_true", help="print tables of the records")
    options = parser.parse_args()
    name = "accuracy_held_out.json" if options.held_out else "accuracy.json"
    path = pathlib.Path(options.records or HERE / "results" / name)
    sets = options.sets or (list(HELD_OUT) if options.held_out else SETS)
    content = read(path)
    if options.report:
        report(content["records"], sets)
        return
    warnings.simplefilter("ignore")
    import torch

    torch.set_num_threads(1)
    threadpool_limits(1)
    machine = describe_machine()
    done = {(r["method"], r["set"], r["seed"]) for r in content["records"]}
    for seed in range(options.seeds):
        for method in options.methods:
            for name in sets:
                if (method, name, seed) in done:
                    continue
                record = measure(method, name, seed)
                print(json.dumps(record), flush=True)
                content = read(path)
                if machine not in content["machines"]:
                    content["machines"].append(machine)
                record["machine"] = content["machines"].index(machine)
                content["records"].append(record)
                path.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
