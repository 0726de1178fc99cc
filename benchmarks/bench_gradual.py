"""Up a ladder of scales or through a whole grid: time, score, parameters.

    python benchmarks/bench_gradual.py [--rows 4000] [--seeds 3] [--sets casp ...] [--quick]

On each table, for each seed: `GradualScaleSearchCV` with its own ladder (widths that double, at
depth 3, each network grown from the one before) against GridSearchCV over `scale_grid` (25
depths and widths), all its networks trained together. Both with five folds and
`SmallestWithin()`, refit included, one after the other in turn. The difference of the scores
(accuracy, or R2) is paired: over the folds of the search, and over the test rows, which no
search saw.
"""

import time
import warnings

import joblib
import numpy as np
from _bench import parse_arguments, print_table, write_json
from _data import HELD_OUT, LOADERS, PACKAGES, REGRESSION
from bench_right_size import MOST_TEST_ROWS, rowwise
from sklearn.model_selection import GridSearchCV, train_test_split

from skscale import (
    GradualScaleSearchCV,
    ScaledMLPClassifier,
    ScaledMLPRegressor,
    SmallestWithin,
    complexity,
    cost_scoring,
    scale_grid,
)

SETS = ("letter", "magic", "california", "casp", "churn")


def timed(search, X, y):
    start = time.perf_counter()
    search.fit(X, y)
    return time.perf_counter() - start


def fit_grid(model, X, y):
    search = GridSearchCV(
        model,
        scale_grid(model, X, y),
        scoring=cost_scoring(costs=["n_parameters"]),
        refit=SmallestWithin(),
    )
    with joblib.parallel_config(backend="skscale"):
        return search, timed(search, X, y)


def fit_gradual(model, X, y):
    search = GradualScaleSearchCV(model)
    return search, timed(search, X, y)


def fold_scores(search):
    results = search.cv_results_
    return np.array(
        [results[f"split{i}_test_score"][search.best_index_] for i in range(search.n_splits_)]
    )


def run(name, X, y, seed, n_rows):
    """Search both ways once; return the figures."""
    is_regression = name in REGRESSION
    n_train = min(n_rows, int(0.6 * len(y)))
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, train_size=n_train, test_size=min(len(y) - n_train, MOST_TEST_ROWS),
        random_state=seed, stratify=None if is_regression else y,
    )  # fmt: skip
    Network = ScaledMLPRegressor if is_regression else ScaledMLPClassifier
    model, found = Network(depth=3, random_state=seed), {}
    sides = [("grid", fit_grid), ("gradual", fit_gradual)]
    for side, fit in sides if seed % 2 else sides[::-1]:
        search, seconds = fit(model, X_train, y_train)
        found[side] = {
            "seconds": seconds,
            "params": search.best_params_,
            "candidates": len(search.cv_results_["params"]),
            "n_parameters": complexity(search).n_parameters,
            "folds": fold_scores(search),
            "rows": rowwise(search, X_test, y_test, is_regression),
        }
    for kind in ("folds", "rows"):
        difference = found["gradual"][kind] - found["grid"][kind]
        found[f"{kind}_difference"] = difference.mean()
        found[f"{kind}_error"] = difference.std(ddof=1) / np.sqrt(len(difference))
    for side, _ in sides:
        found[side]["cv_score"] = found[side].pop("folds").mean()
        found[side]["score"] = found[side].pop("rows").mean()
    return found


def main():
    """Measure, print the table, write JSON."""
    options = parse_arguments(
        __doc__.splitlines()[0],
        rows={"type": int, "default": 4000},
        seeds={"type": int, "default": 3},
        sets={"nargs": "+", "default": SETS, "choices": [*LOADERS, *HELD_OUT]},
    )
    warnings.simplefilter("ignore")  # of categories unseen in a fold
    rows, results = [], {}
    for name in options.sets:
        data = (LOADERS | HELD_OUT)[name]()
        if data is None:
            print(f"{name}: needs {PACKAGES.get(name, 'a package')}, see _data.py")
            continue
        n_seeds = 1 if options.quick else options.seeds
        runs = [run(name, *data, seed, options.rows) for seed in range(n_seeds)]
        results[name] = runs

        def median(*keys, runs=runs):
            values = []
            for value in runs:
                for key in keys:
                    value = value[key]
                values.append(value)
            return float(np.median(values))

        def pooled(kind, runs=runs):
            mean = np.mean([r[f"{kind}_difference"] for r in runs])
            error = np.sqrt(np.sum([r[f"{kind}_error"] ** 2 for r in runs])) / len(runs)
            return f"{mean:+.4f} ± {error:.4f}"

        ratios = [r["gradual"]["seconds"] / r["grid"]["seconds"] for r in runs]
        rows.append(
            [
                name,
                f"{median('grid', 'seconds'):.1f}",
                f"{median('gradual', 'seconds'):.1f}",
                f"{np.median(ratios):.2f}",
                f"{median('gradual', 'candidates'):.0f}",
                f"{median('grid', 'score'):.4f}",
                f"{median('gradual', 'score'):.4f}",
                pooled("folds"),
                pooled("rows"),
                f"{median('grid', 'n_parameters'):,.0f}",
                f"{median('gradual', 'n_parameters'):,.0f}",
            ]
        )
        print(rows[-1], flush=True)
    header = ["set", "grid s", "gradual s", "ratio", "rungs", "grid score", "gradual score"]
    header += ["difference in folds", "on test rows", "grid parameters", "gradual parameters"]
    print_table(header, rows)
    write_json(options.json, "gradual", options.device, results)


if __name__ == "__main__":
    main()
