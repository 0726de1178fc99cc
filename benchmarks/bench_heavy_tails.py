"""Do the defaults lose to a linear model or to boosting where a column has a heavy tail?

    python benchmarks/bench_heavy_tails.py [--again] [--quick]

One column is lognormal, Student t, Pareto or zero-inflated, alone or beside nine normal
columns, three of which have an effect. The target is linear or logarithmic in the value, or
jumps at its upper decile, with noise; classification asks whether it is above its median.
2,000 rows train and 2,000 test. Scores are R2 and AUC, medians over seeds: on all test rows
for linear targets, and on those within the training range for the others, beyond which no
model of another kind can know the function. Cases whose best score is below .3 (R2) or .6
(AUC) are left out.

Limits: the default is within .01 of the best of a linear model, scikit-learn's MLP (both behind
a StandardScaler) and HistGradientBoosting; `depth=0` is within .01 of the linear model on
linear targets.
"""

import itertools
import json
import pathlib
import warnings

import numpy as np
from _bench import HERE, parse_arguments, print_table, write_json
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skscale import ScaledMLPClassifier, ScaledMLPRegressor

N_ROWS = 2_000  # of training, and of test
NOISE = 0.3  # in interquartile ranges of the function
COLUMNS = {
    "lognormal .5": lambda rng, n: np.exp(0.5 * rng.standard_normal(n)),
    "lognormal 1": lambda rng, n: np.exp(rng.standard_normal(n)),
    "lognormal 1.5": lambda rng, n: np.exp(1.5 * rng.standard_normal(n)),
    "Student t(2)": lambda rng, n: rng.standard_t(2, n),
    "Pareto 1.5": lambda rng, n: 1 + rng.pareto(1.5, n),
    "zero-inflated": lambda rng, n: np.where(
        rng.random(n) < 0.8, 0.0, np.exp(rng.standard_normal(n))
    ),
}
TARGETS = {
    "linear": lambda x, train: x,
    "logarithmic": lambda x, train: np.sign(x) * np.log1p(np.abs(x)),
    "threshold": lambda x, train: (x > np.quantile(x[train], 0.9)).astype(float),
}
TASKS = ("regression", "classification")
NEIGHBORS = ("alone", "beside nine")
PEERS = ("linear model", "sklearn MLP", "boosting")


def draw(column, target, task, neighbors, seed):
    """Return training and test rows, training and test targets."""
    rng = np.random.default_rng([seed, list(COLUMNS).index(column)])
    train = np.arange(N_ROWS)
    x = COLUMNS[column](rng, 2 * N_ROWS)
    function, X = TARGETS[target](x, train), x[:, None]

    def spread(values):
        return np.subtract(*np.quantile(values[train], [0.75, 0.25])) or 0.5

    if neighbors != "alone":
        others = rng.standard_normal((2 * N_ROWS, 9))
        X = np.hstack([X, others])
        function = function + 0.3 * spread(function) * others[:, :3].sum(axis=1)
    y = function + NOISE * spread(function) * rng.standard_normal(2 * N_ROWS)
    if task == "classification":
        y = y > (0.5 if target == "threshold" else np.median(y[train]))
    return X[train], X[N_ROWS:], y[train], y[N_ROWS:]


def make_models(task, seed):
    """Return the models by name."""
    if task == "regression":
        ours, linear = ScaledMLPRegressor, LinearRegression()
        mlp = MLPRegressor(random_state=seed)
        boosting = HistGradientBoostingRegressor(random_state=seed)
    else:
        ours, linear = ScaledMLPClassifier, LogisticRegression(max_iter=1000)
        mlp = MLPClassifier(random_state=seed)
        boosting = HistGradientBoostingClassifier(random_state=seed)
    return {
        "default": ours(random_state=seed),
        "depth=0": ours(depth=0, random_state=seed),
        "linear model": make_pipeline(StandardScaler(), linear),
        "sklearn MLP": make_pipeline(StandardScaler(), mlp),
        "boosting": boosting,
    }


def score_case(column, target, task, neighbors, seed):
    """Return the score of each model."""
    X, X_test, y, y_test = draw(column, target, task, neighbors, seed)
    rows = np.full(len(X_test), True)
    if target != "linear":
        rows = (X_test[:, 0] >= X[:, 0].min()) & (X_test[:, 0] <= X[:, 0].max())
    scores = {}
    for name, model in make_models(task, seed).items():
        model.fit(X, y)
        if task == "regression":
            scores[name] = r2_score(y_test[rows], model.predict(X_test[rows]))
        else:
            probability = model.predict_proba(X_test[rows])[:, 1]
            scores[name] = roc_auc_score(y_test[rows], probability)
    return scores


def main():
    """Measure or read, print, write JSON."""
    options = parse_arguments(
        __doc__.splitlines()[0],
        again={"action": "store_true", "help": "read the record and train nothing"},
        seeds={"type": int, "default": 10},
    )
    warnings.simplefilter("ignore")
    name = f"heavy_tails_{options.device}.json"
    path = pathlib.Path(options.json or HERE / "results" / name)
    cases = itertools.product(COLUMNS, TARGETS, TASKS, NEIGHBORS)
    if options.again:
        record = json.loads(path.read_text())["results"]
    else:
        record = {}
        for case in cases:
            seeds = range(2 if options.quick else options.seeds)
            record[" | ".join(case)] = [score_case(*case, seed) for seed in seeds]
        write_json(path, "heavy_tails", options.device, record)
    rows, behind, linear = [], [], []
    for case, scores in record.items():
        median = {name: float(np.median([s[name] for s in scores])) for name in scores[0]}
        best = max(median[name] for name in PEERS)
        if best < (0.3 if "regression" in case else 0.6):
            continue
        loss = best - median["default"]
        behind.append(loss)
        is_linear = "| linear |" in case
        if is_linear:
            linear.append(median["linear model"] - median["depth=0"])
        cells = [f"{median[name]:.3f}" for name in (*PEERS, "depth=0", "default")]
        marks = "behind" if loss > 0.01 else ""
        marks += " depth=0" if is_linear and linear[-1] > 0.01 else ""
        rows.append([*case.split(" | "), *cells, f"{-loss:+.3f}", marks])
    print_table(
        ["column", "target", "task", "", *PEERS, "depth=0", "default", "to best", ""], rows
    )
    print(
        f"\ndefault more than .01 behind the best: {sum(b > 0.01 for b in behind)} of "
        f"{len(behind)} cases, largest {max(behind):.3f}\ndepth=0 more than .01 behind the "
        f"linear model on linear targets: {sum(b > 0.01 for b in linear)} of {len(linear)}, "
        f"largest {max(linear):.3f}"
    )


if __name__ == "__main__":
    main()
