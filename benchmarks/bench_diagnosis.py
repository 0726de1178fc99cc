"""How often is the diagnosis of a network's size right?

    python benchmarks/bench_diagnosis.py [--cases 200] [--again] [--quick]

Cases are generated, so that the truth is known: classification of points by a random network
of few or many units (or by a plane), with noise, 500 to 5,000 rows, and a network that was
drawn too small, about right or too large, a third each. `diagnose` sees the rows of the case
alone. The true effect of each trial is the difference of the scores of the changed and the
unchanged network, each trained on 20 other samples of the same size and scored on 20,000 other
rows.

A verdict is wrong if the effect of the trial that it rests on has the other sign
("under-fitted" and the larger network is no better; "well sized" and the smaller one is no
worse; "over-fitted" or "saturated" and the smaller one loses more than the margin) or, for
"well sized", if the gain of a larger network that was tried exceeds twice the margin. Cases
with an effect beyond twice the margin (a larger network gains it, or the smaller one loses it
or gains it) should be decided.
"""

import json
import pathlib
import time
import warnings

import joblib
import numpy as np
from _bench import HERE, parse_arguments, print_table, write_json
from sklearn.model_selection import GridSearchCV

from skscale import ScaledMLPClassifier, diagnose
from skscale.scaling import hidden_widths
from skscale.selection.diagnosis import _LARGER, _changes

MARGIN = 0.01
N_SAMPLES = 20
N_TEST = 20_000
KINDS = ("under", "well", "over")


def draw_case(seed):
    """Draw a network and a source of rows.

    Returns
    -------
    dict
        "kind", "network", "n_rows", and "draw", a function of a number of rows and a generator.
    """
    rng = np.random.default_rng([seed, 24])
    kind = KINDS[seed % 3]
    n_features = int(rng.integers(4, 13))
    n_rows = int(np.exp(rng.uniform(np.log(500), np.log(5000))))
    n_units = int(rng.integers(4, 17)) if kind != "over" else int(rng.integers(0, 4))
    weights = rng.standard_normal((n_features, max(n_units, 1))) / np.sqrt(n_features)
    offsets = rng.standard_normal(max(n_units, 1))
    sums = rng.choice([-1.0, 1.0], max(n_units, 1)) * rng.uniform(0.5, 1.5, max(n_units, 1))
    flips = float(rng.uniform(0, 0.1 if kind != "over" else 0.3))

    def values(X):
        if not n_units:
            return X @ weights[:, 0]
        return np.maximum(X @ weights * 2 + offsets, 0) @ sums

    middle = np.median(values(rng.standard_normal((4000, n_features))))

    def draw(n, generator):
        X = generator.standard_normal((n, n_features))
        y = values(X) > middle
        return X, np.where(generator.random(n) < flips, ~y, y).astype(int)

    depth, width = 1, int(rng.integers(1, 4))
    if kind == "well":
        width = int(rng.integers(n_units, 3 * n_units + 1))
    if kind == "over":
        depth, width = int(rng.integers(1, 3)), int(rng.integers(32, 97))
    network = ScaledMLPClassifier(depth=depth, width=width, max_epochs=60)
    return {"kind": kind, "network": network, "n_rows": n_rows, "draw": draw}


def true_effects(case, names, seed):
    """Return the mean difference of each trial's score to the unchanged network's."""
    rng = np.random.default_rng([seed, 25])
    n = case["n_rows"]
    X, y = case["draw"](N_SAMPLES * n + N_TEST, rng)
    test = np.arange(N_SAMPLES * n, len(y))
    splits = [(np.arange(k * n, (k + 1) * n), test) for k in range(N_SAMPLES)]
    network = case["network"]
    changes = _changes(network, hidden_widths(network.depth, network.width))
    names = ["unchanged", *(name for name in names if name in ("smaller", *_LARGER))]
    grid = [{k: [v] for k, v in changes[name].items()} for name in names]
    with joblib.parallel_config(backend="skscale"):
        search = GridSearchCV(
            network.set_params(random_state=seed), grid, cv=splits, refit=False,
            error_score="raise",
        ).fit(X, y)  # fmt: skip
    scores = np.column_stack(
        [search.cv_results_[f"split{k}_test_score"] for k in range(N_SAMPLES)]
    )
    effects = scores - scores[0]
    errors = effects.std(axis=1, ddof=1) / np.sqrt(N_SAMPLES)
    return dict(zip(names[1:], effects.mean(axis=1)[1:].tolist(), strict=True)), dict(
        zip(names[1:], errors[1:].tolist(), strict=True)
    )


def run_case(seed):
    """Diagnose one case and find the truth."""
    case = draw_case(seed)
    X, y = case["draw"](case["n_rows"], np.random.default_rng([seed, 26]))
    start = time.perf_counter()
    found = diagnose(case["network"], X, y, margin=MARGIN, random_state=seed)
    seconds = time.perf_counter() - start
    effects, errors = true_effects(case, [trial.name for trial in found.trials], seed)
    best = max(
        (t for t in found.trials if t.name in _LARGER and t.comparison.verdict == "better"),
        key=lambda t: t.difference, default=None,
    )  # fmt: skip
    return {
        "kind": case["kind"],
        "n_rows": case["n_rows"],
        "state": found.state,
        "rests_on": best.name if best else None,
        "n_splits": found.n_splits,
        "seconds": seconds,
        "estimates": {t.name: t.difference for t in found.trials[1:]},
        "standard_errors": {t.name: t.standard_error for t in found.trials[1:]},
        "corrected_errors": {t.name: t.comparison.corrected_error for t in found.trials[1:]},
        "effects": effects,
        "errors": errors,
        "rest": time.perf_counter() - start - seconds,
    }


def is_wrong(case):
    """Return whether the verdict contradicts the truth."""
    effects = case["effects"]
    larger = [effects[name] for name in _LARGER if name in effects]
    smaller = effects.get("smaller", -np.inf)
    if case["state"] == "under-fitted":
        return effects[case["rests_on"]] <= 0
    if case["state"] in ("over-fitted", "saturated"):
        return smaller < -MARGIN
    if case["state"] == "well sized":
        return max(larger) > 2 * MARGIN or smaller >= 0
    return False


def is_large(case):
    """Return whether an effect is beyond twice the margin."""
    effects = case["effects"]
    larger = [effects[name] for name in _LARGER if name in effects]
    return max(larger) > 2 * MARGIN or abs(effects.get("smaller", 0)) > 2 * MARGIN


def main():
    """Measure or read, print the tables, write JSON."""
    options = parse_arguments(
        __doc__.splitlines()[0],
        again={"action": "store_true", "help": "read the record and train nothing"},
        cases={"type": int, "default": 200},
    )
    warnings.simplefilter("ignore")
    path = pathlib.Path(options.json or HERE / "results" / f"diagnosis_{options.device}.json")
    if options.again:
        cases = json.loads(path.read_text())["results"]
    else:
        cases = []
        for seed in range(9 if options.quick else options.cases):
            cases.append(run_case(seed))
            print(seed, {k: cases[-1][k] for k in ("kind", "n_rows", "state")}, flush=True)
        write_json(path, "diagnosis", options.device, cases)
    states = list(dict.fromkeys(case["state"] for case in cases))
    rows = [
        [kind, *(sum(c["kind"] == kind and c["state"] == s for c in cases) for s in states)]
        for kind in KINDS
    ]
    print_table(["drawn as", *states], rows)
    decided = [case for case in cases if case["state"] != "undecided"]
    large = [case for case in cases if is_large(case)]
    wrong = [case for case in cases if is_wrong(case)]
    open_ones = [case for case in large if case["state"] == "undecided"]
    print(
        f"\nverdicts {len(decided)}, wrong {len(wrong)} ({len(wrong) / len(cases):.1%} of the "
        f"cases)\neffects beyond twice the margin {len(large)}, undecided {len(open_ones)} "
        f"({len(open_ones) / max(1, len(large)):.0%})\nmedian time "
        f"{np.median([c['seconds'] for c in cases]):.1f} s, folds "
        f"{np.mean([c['n_splits'] for c in cases]):.1f}"
    )
    for case in wrong:
        print("wrong:", {k: case[k] for k in ("kind", "n_rows", "state", "rests_on")},
              {k: round(v, 4) for k, v in case["effects"].items()})  # fmt: skip


if __name__ == "__main__":
    main()
