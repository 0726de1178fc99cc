"""What does choosing by score and cost lose against choosing by score alone?

    python benchmarks/bench_right_size.py [--again] [--rows 4000] [--seeds 5] [--sets casp]

On every table and digit set (`_data.py`), for each seed: some rows to search on, others that
the search never sees. One GridSearchCV over `scale_grid` with five folds, all networks trained
together; a sixth split trains every candidate on all rows of the search and scores it on the
unseen ones. So one record tells what any rule would have chosen, and lost. `--again` reads the
record and trains nothing.

A rule loses the unseen score (accuracy, or R2) of the candidate with the best mean minus that
of its own. It saves parameters: the geometric mean of the ratios to those of the best mean.
`SmallestWithin` is drawn as a curve over `standard_errors`, beside the raw rule: the same
multiple of the paired standard error of five numbers (Breiman et al. 1984), which no other
candidate and no number of rows moderates. The default was chosen on `DESIGN`.

Digits are searched once more with 20 seeds: a small set, whose folds say little.
"""

import json
import pathlib
import time
import warnings

import joblib
import numpy as np
from _bench import HERE, parse_arguments, print_table, write_json
from _data import LOADERS, PACKAGES, REGRESSION
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, OneHotEncoder, StandardScaler

from skscale import (
    ScaledMLPClassifier,
    ScaledMLPRegressor,
    SmallestWithin,
    cost_scoring,
    scale_grid,
)

DESIGN = ("adult", "magic", "churn", "california", "mnist", "optdigits")
MOST_TEST_ROWS = 10_000
N_FOLDS = 5
DIGITS_SEEDS = 20
MULTIPLES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)


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


def record(name, X, y, seed, n_rows):
    """Search once; return the scores of all candidates in the folds and on unseen rows."""
    is_regression = name in REGRESSION
    n_train = min(n_rows, int(0.6 * len(y)))
    n_test = min(len(y) - n_train, MOST_TEST_ROWS)
    rows, unseen = train_test_split(
        np.arange(len(y)), train_size=n_train, test_size=n_test, random_state=seed,
        stratify=None if is_regression else y,
    )  # fmt: skip
    take = (lambda at: X.iloc[at]) if hasattr(X, "iloc") else (lambda at: X[at])
    folds = (KFold if is_regression else StratifiedKFold)(
        N_FOLDS, shuffle=True, random_state=seed
    )
    splits = list(folds.split(rows, y[rows]))
    everything = np.arange(n_train), np.arange(n_train, n_train + n_test)
    model = make_model(X, is_regression, seed)
    search = GridSearchCV(
        model,
        scale_grid(model, take(rows), y[rows]),
        scoring=cost_scoring(costs=["n_parameters"]),
        refit=False,
        cv=[*splits, everything],
        error_score="raise",
    )
    both = np.concatenate([rows, unseen])
    start = time.perf_counter()
    with joblib.parallel_config(backend="skscale"):
        results = search.fit(take(both), y[both]).cv_results_
    column = {
        name: np.round(np.asarray(results[name], dtype=float), 10).tolist()
        for name in results
        if name.startswith("split")
    }
    return {
        "seconds": time.perf_counter() - start,
        "params": [{k.split("__")[1]: v for k, v in p.items()} for p in results["params"]],
        "scores": [column[f"split{i}_test_score"] for i in range(N_FOLDS)],
        "n_parameters": column[f"split{N_FOLDS}_test_n_parameters"],
        "unseen": column[f"split{N_FOLDS}_test_score"],
        "n_test_rows": [len(test) for _, test in splits],
        "n_train_rows": [len(train) for train, _ in splits],
    }


def as_results(run):
    """Return the `cv_results_` of a record, as a search with `cost_scoring` has it."""
    results = {
        "params": run["params"],
        "mean_test_n_parameters": np.array(run["n_parameters"]),
        "mean_test_score": np.mean(run["scores"], axis=0),
    }
    for i, scores in enumerate(run["scores"]):
        results[f"split{i}_test_score"] = np.array(scores)
        for name in ("n_test_rows", "n_train_rows"):
            results[f"split{i}_test_{name}"] = np.full(len(scores), run[name][i])
    return results


def raw_rule(multiple):
    """Return the rule of the paired standard error of the splits alone."""

    def choose(results):
        splits = np.array([results[f"split{i}_test_score"] for i in range(N_FOLDS)]).T
        cost, best = results["mean_test_n_parameters"], best_mean(results)
        differences = splits[best] - splits
        error = differences.std(axis=1, ddof=1) / np.sqrt(N_FOLDS)
        is_within = differences.mean(axis=1) <= multiple * error + 1e-12
        return int(np.lexsort((-splits.mean(axis=1), np.where(is_within, cost, np.inf)))[0])

    return choose


def best_mean(results):
    """Return the candidate of the best mean score, of several the smallest."""
    return int(np.lexsort((results["mean_test_n_parameters"], -results["mean_test_score"]))[0])


def judge(run, rule):
    """Return the loss on unseen rows, the ratio of parameters and the parameters of a rule."""
    results = as_results(run)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a choice at the edge of the grid
        chosen = rule(results)
    best = best_mean(results)
    sizes, unseen = run["n_parameters"], run["unseen"]
    return unseen[best] - unseen[chosen], sizes[chosen] / sizes[best], sizes[chosen]


def geometric_mean(values):
    """Return the geometric mean."""
    return float(np.exp(np.mean(np.log(values))))


def summarize(records, sets, rule):
    """Return the mean loss over the sets, the worst set's, and the ratio of parameters."""
    judged = {name: [judge(run, rule) for run in records[name]] for name in sets}
    losses = {name: np.mean([loss for loss, *_ in runs]) for name, runs in judged.items()}
    ratio = geometric_mean([r for runs in judged.values() for _, r, _ in runs])
    worst = max(losses, key=losses.get)
    return float(np.mean(list(losses.values()))), worst, float(losses[worst]), ratio


def print_curves(records):
    """Print loss against parameters, for both rules, on both halves of the sets."""
    halves = {
        "design": [n for n in records if n in DESIGN],
        "others": [n for n in records if n not in DESIGN],
    }
    rows = []
    for half, sets in halves.items():
        for multiple in MULTIPLES if sets else ():
            row = [half, f"{multiple:g}"]
            for rule in (SmallestWithin(multiple), raw_rule(multiple)):
                loss, worst, most, ratio = summarize(records, sets, rule)
                row += [f"{loss:+.4f}", f"{ratio:.3f}", f"{most:+.4f} ({worst})"]
            rows.append(row)
    print_table(
        ["sets", "errors", "loss, ours", "parameters, ours", "worst set, ours",
         "loss, raw", "parameters, raw", "worst set, raw"],
        rows,
    )  # fmt: skip


def print_sets(records):
    """Print each set under the default rule and the raw one."""
    rows = []
    for name, runs in records.items():
        row = [name + (" (design)" if name in DESIGN else "")]
        row.append(f"{np.mean([max(run['unseen']) for run in runs]):.4f}")
        for rule in (SmallestWithin(), raw_rule(1)):
            judged = [judge(run, rule) for run in runs]
            row += [
                ", ".join(f"{size:,.0f}" for *_, size in judged),
                f"{geometric_mean([ratio for _, ratio, _ in judged]):.2f}",
                f"{np.mean([loss for loss, *_ in judged]):+.4f}",
            ]
        rows.append(row)
    print_table(
        ["data", "best unseen score", "parameters, ours", "ratio", "loss", "parameters, raw",
         "ratio", "loss"],
        rows,
    )  # fmt: skip


def print_digits(runs):
    """Print the 20 searches on digits."""
    rows = []
    rules = {"default": SmallestWithin(), "raw": raw_rule(1), "best mean": best_mean}
    for name, rule in rules.items():
        judged = [judge(run, rule) for run in runs]
        sizes = [size for *_, size in judged]
        rows.append(
            [name, f"{np.mean([loss for loss, *_ in judged]):+.4f}", f"{np.median(sizes):,.0f}",
             sum(size > 20_000 for size in sizes)]
        )  # fmt: skip
    print_table(["rule, digits", "mean loss", "median parameters", "above 20,000"], rows)


def main():
    """Measure or read, print the tables, write JSON."""
    options = parse_arguments(
        __doc__.splitlines()[0],
        again={"action": "store_true", "help": "read the record and train nothing"},
        rows={"type": int, "default": 4000},
        seeds={"type": int, "default": 5},
        sets={"nargs": "+", "default": list(LOADERS), "choices": list(LOADERS)},
    )
    warnings.simplefilter("ignore")  # of categories unseen in a fold
    path = pathlib.Path(options.json or HERE / "results" / f"right_size_{options.device}.json")
    if options.again:
        recorded = json.loads(path.read_text())["results"]
        records, digits = recorded["sets"], recorded["digits"]
    else:
        records = {}
        n_seeds = 1 if options.quick else options.seeds
        for name in options.sets:
            data = LOADERS[name]()
            if data is None:
                print(f"{name}: needs {PACKAGES[name]}, see _data.py")
                continue
            records[name] = [record(name, *data, k, options.rows) for k in range(n_seeds)]
            seconds = sum(run["seconds"] for run in records[name])
            print(f"{name}: {seconds:.0f} s", flush=True)
        data = LOADERS["digits"]()
        n_seeds = 1 if options.quick else DIGITS_SEEDS
        digits = [record("digits", *data, seed, options.rows) for seed in range(n_seeds)]
        write_json(path, "right_size", options.device, {"sets": records, "digits": digits})
    print_curves(records)
    print()
    print_sets(records)
    print()
    print_digits(digits)


if __name__ == "__main__":
    main()
