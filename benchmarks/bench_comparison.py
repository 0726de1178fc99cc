"""How often is a comparison of candidates wrong?

    python benchmarks/bench_comparison.py [--again] [--searches 400] [--samples 60] [--quick]

1. Simulated searches: the scores of candidates in k folds are a true score, a common effect of
   the fold, and noise whose correlation between folds is 0, half of 1/k or 1/k (the folds'
   training sets overlap; 1/k is the share of test rows). Truths: all candidates equal, spread,
   or one winner, by four corrected errors. Wrong is a claim (better, worse) whose true sign is
   opposite or zero.
2. Real data: 60 disjoint samples of 1,000 rows of FARS are searched, with 5 folds. The true
   score of a candidate is its mean over all samples, each scored on 40,000 rows of which no
   sample has any. A difference below two errors of this truth is not known, and no claim about
   it counts as wrong.

Limits: at most 5 % of named pairs wrong, at most 5 % of searches with a wrong claim against
the best, 90 % intervals hold in at least 88 %, and a winner by four errors is found in at least
80 % (10 folds, 20 candidates).
"""

import json
import pathlib
import warnings

import joblib
import numpy as np
from _bench import HERE, parse_arguments, print_table, write_json
from _data import LOADERS
from bench_right_size import make_model
from sklearn.model_selection import GridSearchCV, StratifiedKFold

from skscale import cost_scoring, scale_grid
from skscale.selection.comparison import Comparisons

N_FOLDS = (3, 5, 10)
N_CANDIDATES = (5, 20, 60, 200)
CORRELATIONS = (0.0, 0.5, 1.0)  # of the folds, times k
TRUTHS = ("equal", "spread", "one winner")
SAMPLE, N_TEST = 1_000, 40_000
MOST_PAIRS = 500  # that are compared in a simulated search


def judge(comparisons, truth, pairs, is_known):
    """Compare pairs, and all candidates with the best, with the truth.

    Parameters
    ----------
    comparisons : Comparisons
    truth : ndarray of shape (n_candidates,)
    pairs : ndarray of shape (n_pairs, 2)
    is_known : ndarray of shape (n_pairs,)
        Whether the sign of the true difference is known, or known to be zero.

    Returns
    -------
    dict of str to float
        "wrong" and "held": shares of named pairs; "searches": whether a claim against the best
        is wrong; "named power" and "best power": shares of true differences that were claimed.
    """
    true = truth[pairs[:, 0]] - truth[pairs[:, 1]]
    claims = [comparisons.between(a, b) for a, b in pairs]
    narrow = [comparisons.between(a, b, level=0.9) for a, b in pairs]
    signs = np.array([{"better": 1, "worse": -1}.get(c.verdict, 0) for c in claims])
    is_right = signs * true > 0
    is_lower = truth < truth[comparisons.best]
    worse = np.array([c.verdict == "worse" for c in comparisons.with_best()])
    is_different = is_known & (true != 0)
    return {
        "wrong": np.mean((signs != 0) & ~is_right & is_known),
        "held": np.mean([c.low <= t <= c.high for c, t in zip(narrow, true, strict=True)]),
        "searches": (worse & ~is_lower).any(),
        "named power": is_right[is_different].mean() if is_different.any() else np.nan,
        "best power": worse[is_lower].mean() if is_lower.any() else 0.0,
    }


def all_pairs(n_candidates):
    """Return the positions of all pairs, of shape (n_pairs, 2)."""
    return np.column_stack(np.triu_indices(n_candidates, 1))


def simulate(k, n_candidates, correlation, truth, n_searches):
    """Return the means of `judge` over simulated searches."""
    rng = np.random.default_rng([k, n_candidates, int(10 * correlation), TRUTHS.index(truth)])
    rho = correlation / k
    found = []
    for _ in range(n_searches):
        true = np.zeros(n_candidates)
        size = np.exp(0.3 * rng.standard_normal((n_candidates, 1)))
        if truth == "spread":
            true = rng.standard_normal(n_candidates)
        elif truth == "one winner":
            # The corrected error of a difference of two scores.
            error = np.sqrt(2 * (size**2).mean() * (1 / k + 1 / (k - 1)))
            true[rng.integers(n_candidates)] = 4 * error
        noise = np.sqrt(rho) * rng.standard_normal((n_candidates, 1))
        noise = noise + np.sqrt(1 - rho) * rng.standard_normal((n_candidates, k))
        scores = true[:, None] + rng.standard_normal(k) + size * noise
        pairs = all_pairs(n_candidates)
        if len(pairs) > MOST_PAIRS:
            pairs = pairs[rng.choice(len(pairs), MOST_PAIRS, replace=False)]
        found.append(judge(Comparisons(scores), true, pairs, np.full(len(pairs), True)))
    return {name: float(np.mean([f[name] for f in found])) for name in found[0]}


def record_samples(n_samples):
    """Search disjoint samples of FARS; return the scores in folds and on other rows."""
    X, y = LOADERS["fars"]()
    order = np.random.default_rng(0).permutation(len(y))
    test, rest = order[:N_TEST], order[N_TEST:]
    samples = []
    for k in range(n_samples):
        rows = rest[k * SAMPLE : (k + 1) * SAMPLE]
        model = make_model(X, False, k)
        if k == 0:
            grid = scale_grid(model, X.iloc[rows], y[rows], n_candidates=16)
        folds = StratifiedKFold(5, shuffle=True, random_state=k).split(rows, y[rows])
        splits = [*folds, (np.arange(SAMPLE), np.arange(SAMPLE, SAMPLE + N_TEST))]
        search = GridSearchCV(
            model, grid, scoring=cost_scoring(costs=["n_parameters"]), refit=False,
            cv=splits, error_score="raise",
        )  # fmt: skip
        both = np.concatenate([rows, test])
        with warnings.catch_warnings(), joblib.parallel_config(backend="skscale"):
            warnings.simplefilter("ignore")  # of rare classes and categories
            results = search.fit(X.iloc[both], y[both]).cv_results_
        samples.append([results[f"split{i}_test_score"].tolist() for i in range(6)])
        print(f"sample {k}", flush=True)
    return samples


def judge_samples(samples):
    """Return the means of `judge` over the samples of real data."""
    scores = np.array(samples)  # (n_samples, 6, n_candidates)
    truths = scores[:, 5]
    truth = truths.mean(axis=0)
    rows = {"n_test_rows": SAMPLE // 5, "n_train_rows": SAMPLE - SAMPLE // 5}
    pairs = all_pairs(len(truth))
    differences = truths[:, pairs[:, 0]] - truths[:, pairs[:, 1]]
    error = differences.std(axis=0, ddof=1) / np.sqrt(len(truths))
    is_known = np.abs(differences.mean(axis=0)) > 2 * error
    found = [
        judge(Comparisons(sample[:5].T, **rows), truth, pairs, is_known) for sample in scores
    ]
    return {name: float(np.mean([f[name] for f in found])) for name in found[0]}


def main():
    """Simulate, search or read, print, write JSON."""
    options = parse_arguments(
        __doc__.splitlines()[0],
        again={"action": "store_true", "help": "read the record of real data"},
        searches={"type": int, "default": 400},
        samples={"type": int, "default": 60},
    )
    path = pathlib.Path(options.json or HERE / "results" / f"comparison_{options.device}.json")
    samples = json.loads(path.read_text())["results"]["samples"] if options.again else None
    names = ("wrong", "held", "searches", "named power", "best power")
    rows, simulated = [], {}
    for k in N_FOLDS:
        for n_candidates in N_CANDIDATES[:2] if options.quick else N_CANDIDATES:
            for correlation in CORRELATIONS:
                for truth in TRUTHS:
                    n = options.searches // (
                        10 if options.quick else 4 if n_candidates > 60 else 1
                    )
                    found = simulate(k, n_candidates, correlation, truth, n)
                    simulated[f"{k}, {n_candidates}, {correlation}, {truth}"] = found
                    cells = [f"{found[name]:.3f}".replace("nan", "") for name in names]
                    rows.append([k, n_candidates, f"{correlation:g}/k", truth, *cells])
    print_table(
        ["folds", "candidates", "correlation", "truth", "named wrong", "90 % held",
         "searches wrong", "named power", "best power"],
        rows,
    )  # fmt: skip
    if not options.again and LOADERS["fars"]() is not None:
        samples = record_samples(2 if options.quick else options.samples)
    if samples is not None:
        print()
        found = judge_samples(samples)
        print_table(["FARS", *names], [[len(samples), *(f"{found[n]:.3f}" for n in names)]])
    if not options.again:
        write_json(
            path, "comparison", options.device, {"simulated": simulated, "samples": samples}
        )


if __name__ == "__main__":
    main()
