"""What does choosing by score and cost lose against choosing by score alone?

    python benchmarks/bench_right_size.py [--rows 4000] [--seeds 3] [--sets casp] [--quick]

On every table and digit set (`_data.py`), for each seed: some rows to search on, others that
the search never sees. One GridSearchCV over `scale_grid` with five folds, all networks
trained together. From it the candidate with the best mean score, and what
`SmallestWithin(standard_errors=1)` takes; both are fitted on all rows of the search and
compared on the unseen ones: parameters, latency of a row, and the difference of the scores
(accuracy, or R2) with its standard error, paired by test row, over the seeds.
"""

import time
import warnings

import joblib
import numpy as np
from _bench import parse_arguments, print_table, write_json
from _data import LOADERS, PACKAGES, REGRESSION
from sklearn.base import clone
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, OneHotEncoder, StandardScaler

from skscale import (
    ScaledMLPClassifier,
    ScaledMLPRegressor,
    SmallestWithin,
    complexity,
    cost_scoring,
    scale_grid,
)
from skscale.costs.latency import measure_latency

MOST_TEST_ROWS = 10_000


def make_model(X, is_regression, seed):
    """Return a pipeline for a frame or for images."""
    Network = ScaledMLPRegressor if is_regression else ScaledMLPClassifier
    network = Network(random_state=seed)
    if not hasattr(X, "columns"):
        return make_pipeline(MaxAbsScaler(), network)
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    words = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="missing"),
        OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=20,
                      sparse_output=False),
    )  # fmt: skip
    by_kind = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (words, make_column_selector(dtype_exclude="number")),
    )
    return make_pipeline(by_kind, network)


def rowwise(model, X, y, is_regression):
    """Return what each test row adds to the score, so that their mean is the score."""
    predicted = model.predict(X)
    if is_regression:
        return 1 - (predicted - y) ** 2 / np.var(y)
    return (predicted == y).astype(float)


def run(name, X, y, seed, n_rows):
    """Search and compare once; return the figures."""
    is_regression = name in REGRESSION
    n_train = min(n_rows, int(0.6 * len(y)))
    n_test = min(len(y) - n_train, MOST_TEST_ROWS)
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, train_size=n_train, test_size=n_test, random_state=seed,
        stratify=None if is_regression else y,
    )  # fmt: skip
    model = make_model(X, is_regression, seed)
    search = GridSearchCV(
        model,
        scale_grid(model, X_train, y_train),
        scoring=cost_scoring(costs=["n_parameters"]),
        refit=SmallestWithin(standard_errors=1),
        cv=5,
        error_score="raise",
    )
    start = time.perf_counter()
    with joblib.parallel_config(backend="skscale"):
        search.fit(X_train, y_train)
    seconds = time.perf_counter() - start
    results = search.cv_results_
    best = int(results["mean_test_score"].argmax())
    chosen = search.best_estimator_
    reference = clone(model).set_params(**results["params"][best]).fit(X_train, y_train)
    if best == search.best_index_:
        reference = chosen
    rows = X_test[:1]
    of_chosen, of_best = (
        rowwise(m, X_test, y_test, is_regression) for m in (chosen, reference)
    )
    difference = of_chosen - of_best
    return {
        "seconds": seconds,
        "params": {k.split("__")[1]: v for k, v in search.best_params_.items()},
        "best_params": {k.split("__")[1]: v for k, v in results["params"][best].items()},
        "n_parameters": complexity(chosen).n_parameters,
        "best_n_parameters": complexity(reference).n_parameters,
        "latency_us": measure_latency(chosen, rows),
        "best_latency_us": measure_latency(reference, rows),
        "network_latency_us": measure_latency(chosen[-1], chosen[:-1].transform(rows)),
        "best_network_latency_us": measure_latency(
            reference[-1], reference[:-1].transform(rows)
        ),
        "score": of_chosen.mean(),
        "best_score": of_best.mean(),
        "difference": difference.mean(),
        "standard_error": difference.std(ddof=1) / np.sqrt(len(difference)),
    }


def geometric_mean(values):
    return float(np.exp(np.mean(np.log(values))))


def main():
    """Measure, print the table, write JSON."""
    options = parse_arguments(
        __doc__.splitlines()[0],
        rows={"type": int, "default": 4000},
        seeds={"type": int, "default": 3},
        sets={"nargs": "+", "default": list(LOADERS), "choices": list(LOADERS)},
    )
    warnings.simplefilter("ignore")  # of categories unseen in a fold
    rows, results, n_worse = [], {}, 0
    for name in options.sets:
        data = LOADERS[name]()
        if data is None:
            print(f"{name}: needs {PACKAGES[name]}, see _data.py")
            continue
        runs = [
            run(name, *data, seed, options.rows)
            for seed in range(1 if options.quick else options.seeds)
        ]
        results[name] = runs
        mean = {
            key: np.mean([r[key] for r in runs])
            for key in ("score", "best_score", "difference", "seconds")
        }
        error = np.sqrt(sum(r["standard_error"] ** 2 for r in runs)) / len(runs)
        n_worse += mean["difference"] < -2 * error
        ratios = {
            key: geometric_mean([r[key] / r[f"best_{key}"] for r in runs])
            for key in ("n_parameters", "latency_us", "network_latency_us")
        }
        rows.append(
            [
                name,
                ", ".join(f"{r['n_parameters']:,}" for r in runs),
                ", ".join(f"{r['best_n_parameters']:,}" for r in runs),
                f"{ratios['n_parameters']:.2f}",
                f"{ratios['latency_us']:.2f}",
                f"{ratios['network_latency_us']:.2f}",
                f"{mean['best_score']:.4f}",
                f"{mean['difference']:+.4f} (+- {error:.4f})",
                f"{mean['seconds']:.0f}",
            ]
        )
        print(rows[-1], flush=True)
    print()
    print_table(
        ["data", "parameters, rule", "parameters, best mean", "ratio", "latency, pipeline",
         "latency, network", "test score, best mean", "difference of the rule", "search, s"],
        rows,
    )  # fmt: skip
    every = [r for runs in results.values() for r in runs]
    for key in ("n_parameters", "latency_us", "network_latency_us"):
        overall = geometric_mean([r[key] / r[f"best_{key}"] for r in every])
        print(f"\ngeometric mean of the ratios, {key}: {overall:.3f}")
    print(f"\nlower by more than two standard errors: {n_worse} of {len(results)} sets")
    write_json(options.json, "bench_right_size", options.device, results)


if __name__ == "__main__":
    main()
