"""Diagnosis of under- and over-fitting, by training networks of neighboring scales."""

import itertools
from contextlib import suppress
from dataclasses import dataclass, field
from numbers import Integral

import numpy as np
from scipy.sparse import issparse
from sklearn.base import clone, is_classifier
from sklearn.model_selection import KFold, StratifiedKFold, check_cv
from sklearn.utils import check_random_state

from .._sklearn_private import _num_samples
from ..costs.measures import Cost
from ..costs.scoring import score_together
from ..estimators.mlp import AUTO_BINS, ScaledMLP
from ..scaling import compound_dropout, hidden_widths
from .comparison import Comparison, Comparisons
from .grids import find_network, sample_before

_FACTOR = 4
# Minimum width of the wider network. Four units instead of one would be a weak test.
_WIDER = 32
# Bins of the finer network, if this one has none.
_FINER = 8
# Probability that a verdict rests on noise, over all trials of larger networks.
_LEVEL = 0.95
# Dimensions of the trials of larger networks.
_LARGER = {"wider": "width", "deeper": "depth", "finer": "resolution"}
_HALF = "half the rows"
# An over-fitted network's gap between training and test score is this many times that of the
# smaller one, and above the margin.
_GAP = 2


@dataclass(frozen=True)
class Trial:
    """Result of one change to the network.

    Attributes
    ----------
    name : str
        "unchanged", "smaller", "wider", "deeper", "finer", "regularized" or "half the rows".
    params : dict
        The changed parameters of the network.
    score, train_score : float
        Mean test and training score over the folds.
    comparison : Comparison
        Comparison with the unchanged network, within the margin of the diagnosis. Trials of
        larger networks share a level of 95 % (Bonferroni).
    n_parameters : int
        Parameters of the network.
    """

    name: str
    params: dict
    score: float
    train_score: float
    comparison: Comparison
    n_parameters: int

    @property
    def difference(self):
        """float: difference of `score` to the unchanged network."""
        return self.comparison.estimate

    @property
    def standard_error(self):
        """float: standard error of `difference`, over these folds."""
        return self.comparison.standard_error


@dataclass(frozen=True)
class Diagnosis:
    """Result of `diagnose`.

    Attributes
    ----------
    state : str
        - "under-fitted": a larger network is better;
        - "over-fitted": a smaller one is as good, within the margin, and it or a more
          regularized one is better, or the gap between training and test score is much larger
          than the smaller one's;
        - "saturated": a smaller one is as good, within the margin, and nothing more is known;
        - "well sized": no larger network that was tried gains more than the margin, by the
          estimate, or twice the margin, by the interval, and the smaller one is worse;
        - "undecided": none of these is certain.
    direction : {"up", "down", "stay"} or None
        Direction of scaling; None if undecided.
    dimension : {"width", "depth", "resolution"} or None
        Dimension to scale.
    advice : str
        Explanation in words: each claim names its trial.
    trials : list of Trial
        The evidence, the unchanged network first.
    n_splits : int
        Number of folds, with repetitions.
    """

    state: str
    direction: str | None
    dimension: str | None
    advice: str
    trials: list = field(repr=False)
    n_splits: int = field(repr=False)

    def __str__(self):
        lines = [
            f"{self.state}: {self.advice}",
            "",
            f"{'':16}{'score':>9}{'train':>9}  {'difference':>21}{'parameters':>12}",
        ]
        for trial in self.trials:
            difference = ""
            if trial.name != "unchanged":
                difference = f"{trial.difference:+.4f} (+- {trial.standard_error:.4f})"
            changes = ", ".join(f"{k}={v}" for k, v in trial.params.items())
            lines.append(
                f"{trial.name:16}{trial.score:9.4f}{trial.train_score:9.4f}  "
                f"{difference:>21}{trial.n_parameters:12,}  {changes}".rstrip()
            )
        return "\n".join(lines)


def diagnose(
    estimator,
    X,
    y,
    *,
    scoring=None,
    cv=5,
    margin=0.01,
    max_repeats=2,
    groups=None,
    params=None,
    random_state=0,
):
    """Diagnose whether a network has the right size, before any search.

    Fits up to seven variants on the same folds: the network unchanged, a quarter as wide, four
    times as wide, one layer deeper, with a finer `resolution`, more strongly regularized, and
    on half the rows. The folds are repeated, with other splits and other seeds, until the state
    is decided.

    Parameters
    ----------
    estimator : estimator
        An estimator of skscale, or a pipeline or other meta-estimator that contains one.
    X : array-like of shape (n_samples, n_features)
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
    scoring : str, callable or None, default=None
        Metric, more is better; None uses the estimator's `score`.
    cv : int or splitter, default=5
        Cross-validation folds.
    margin : float, default=0.01
        Largest difference of the score that does not matter.
    max_repeats : int, default=2
        How often the folds may be repeated. A splitter is not repeated.
    groups : array-like of shape (n_samples,) or None, default=None
        Groups of the rows, passed to the splitter.
    params : dict or None, default=None
        Parameters of `fit` and of the scoring, such as `sample_weight`, as in
        `cross_validate`.
    random_state : int, default=0
        Seed of the networks, which share their batches, of the repeated folds, and of the
        choice of half the rows.

    Returns
    -------
    Diagnosis
        `print` shows the advice and the evidence.

    Raises
    ------
    TypeError
        If the estimator contains no dense network of skscale.
    ValueError
        If `margin` or `max_repeats` is negative.

    Notes
    -----
    Each variant is compared with the unchanged network by `Comparisons`. If the score is a mean
    over rows (accuracy, R2, squared or absolute error), the variance of a difference is at
    least that over the rows, however alike the folds are.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skscale import ScaledMLPClassifier, diagnose
    >>> X, y = load_digits(return_X_y=True)
    >>> network = ScaledMLPClassifier(depth=1, width=2, max_epochs=20)
    >>> found = diagnose(network, X[:600] / 16, y[:600], cv=3)
    >>> found.state, found.direction, found.dimension
    ('under-fitted', 'up', 'width')
    """
    if not margin >= 0 or max_repeats < 0:
        raise ValueError(
            f"margin and max_repeats must be at least 0, got {margin!r} and {max_repeats!r}."
        )
    estimator = clone(estimator)
    prefix, network = find_network(estimator, ScaledMLP)
    if network.phi:
        # Resolve phi, so that one dimension can be changed alone.
        network.set_params(**_unscaled(network))
    changes = _changes(network, hidden_widths(network.depth, network.width))
    if "finer" in changes and not _can_be_finer(estimator, X, y, prefix, network):
        del changes["finer"]
    trainer = _Trainer(estimator, prefix, changes, X, y, scoring, params)
    for splits, seed in _repeats(estimator, X, y, cv, groups, max_repeats, random_state):
        trainer.train(splits, seed)
        trials = trainer.compare(margin)
        found = _judge(trials, margin, trainer.n_splits)
        if found.state != "undecided":
            break
    return found


def _repeats(estimator, X, y, cv, groups, max_repeats, random_state):
    """Yield the folds of each repetition, and a seed for its networks."""
    checked = check_cv(cv, y, classifier=is_classifier(estimator))
    yield list(checked.split(X, y, groups)), random_state
    if not isinstance(cv, Integral):
        return
    for seed in range(random_state + 1, random_state + 1 + max_repeats):
        splitter = StratifiedKFold if isinstance(checked, StratifiedKFold) else KFold
        shuffled = splitter(cv, shuffle=True, random_state=seed)
        yield list(shuffled.split(X, y)), seed


class _Outcomes(Cost):
    """Outcomes of the scored rows, whose mean is the score.

    A search passes on numbers only: the cost is the number of an array in `arrays`.
    """

    name = "row_outcomes"

    def __init__(self):
        self.arrays = {}
        self._numbers = itertools.count()

    def measure(self, scored):
        number = next(self._numbers)
        self.arrays[number] = []
        y = np.asarray(scored.y)
        if scored.sample_weight is not None or y.ndim > 1:
            return number
        predicted = scored.estimator.predict(scored.X)
        if is_classifier(scored.estimator):
            self.arrays[number] = [(predicted == y).astype(float)]
        elif y.dtype.kind in "fiu":
            error = predicted - y
            spread = np.var(y) or np.nan
            self.arrays[number] = [1 - error**2 / spread, -(error**2), -np.abs(error)]
        return number


class _Trainer:
    """Scores of all variants, collected over repetitions of the folds.

    Parameters
    ----------
    estimator, prefix, changes : estimator, str, dict
        The estimator, the prefix of the network's parameters, and the variants by name.
    X, y, scoring, params
        As in `diagnose`.
    """

    def __init__(self, estimator, prefix, changes, X, y, scoring, params):
        self.estimator, self.prefix, self.changes = estimator, prefix, changes
        self.X, self.y, self.scoring, self.params = X, y, scoring, params
        self.names = [*changes, _HALF]
        self.folds, self.train_scores, self.sizes, self.splits = [], [], [], []
        self.row_sums = np.zeros((len(self.names), _num_samples(X)))
        self.row_counts = np.zeros(_num_samples(X))

    @property
    def n_splits(self):
        return len(self.splits)

    def train(self, splits, seed):
        """Train and score all variants on these folds."""
        grid = [
            {f"{self.prefix}{name}": [value] for name, value in params.items()}
            for params in self.changes.values()
        ]
        halves = [
            (np.sort(check_random_state(seed + i).permutation(rows)[: len(rows) // 2]), test)
            for i, (rows, test) in enumerate(splits)
        ]
        columns = zip(
            self._search(grid, splits, seed), self._search(grid[:1], halves, seed), strict=True
        )
        folds, train, sizes, outcomes = map(np.vstack, columns)
        self.folds.append(folds)
        self.train_scores.append(train)
        self.sizes.append(sizes)
        self.splits += splits
        self._add_outcomes(outcomes, folds, splits)

    def _search(self, grid, splits, seed):
        """Return scores, training scores, sizes and outcomes: (n_candidates, n_folds) each."""
        self.outcomes = _Outcomes()
        results = score_together(
            clone(self.estimator).set_params(**{f"{self.prefix}random_state": seed}),
            grid, self.X, self.y, scoring=self.scoring,
            costs=["n_parameters", self.outcomes], splits=splits, with_train_score=True,
            params=self.params,
        )  # fmt: skip
        n = range(len(splits))
        found = [
            np.column_stack([results[f"split{i}_{name}"] for i in n])
            for name in ("test_score", "train_score", "test_n_parameters")
        ]
        arrays = np.empty(found[0].shape, dtype=object)
        for i in n:
            for k, number in enumerate(results[f"split{i}_test_row_outcomes"]):
                arrays[k, i] = self.outcomes.arrays[number]
        return [*found, arrays]

    def _add_outcomes(self, outcomes, scores, splits):
        """Add up the outcomes of each row, if their mean is the score."""
        for i, (_, test) in enumerate(splits):
            self.row_counts[test] += 1
            for k in range(len(self.names)):
                fitting = [
                    one for one in outcomes[k, i]
                    if np.isclose(one.mean(), scores[k, i], rtol=1e-6, atol=1e-9)
                ]  # fmt: skip
                self.row_sums[k, test] += fitting[0] if fitting else np.nan

    def compare(self, margin):
        """Compare all variants with the unchanged network.

        Returns
        -------
        list of Trial
        """
        folds, train = np.hstack(self.folds), np.hstack(self.train_scores)
        n_train, n_test = zip(*((len(a), len(b)) for a, b in self.splits), strict=True)
        comparisons = Comparisons(
            folds, n_test_rows=n_test, n_train_rows=n_train, row_variances=self._row_variances()
        )
        n_larger = sum(name in _LARGER for name in self.names)
        params = {**self.changes, "unchanged": {}, _HALF: {}}
        return [
            Trial(
                name,
                params[name],
                float(folds[k].mean()),
                float(train[k].mean()),
                comparisons.between(
                    k, 0, margin=margin,
                    level=1 - (1 - _LEVEL) / (n_larger if name in _LARGER else 1),
                ),
                int(self.sizes[0][k, 0]),
            )
            for k, name in enumerate(self.names)
        ]  # fmt: skip

    def _row_variances(self):
        """Return the variances of the mean differences over rows, or None if unknown."""
        is_tested = self.row_counts > 0
        outcomes = self.row_sums[:, is_tested] / self.row_counts[is_tested]
        if not np.isfinite(outcomes).all():
            return None
        n = is_tested.sum()
        pairs = outcomes[:, None] - outcomes
        return pairs.var(axis=2, ddof=1) / n


def _can_be_finer(estimator, X, y, prefix, network):
    """Return whether the network has numeric features that a resolution encodes."""
    sample = sample_before(estimator, X, y, prefix)
    if issparse(sample):
        return False
    encoded = clone(network).set_params(resolution=_FINER)
    with suppress(ValueError, TypeError):
        inputs, numbers, is_complete = encoded._inputs.fit(sample, "", **encoded._reading)
        rows = np.arange(numbers.shape[0])
        n_inputs = [
            inputs.fit_encoding(
                numbers, is_complete, rows, None, np.float32, **one._encoding
            ).n_inputs
            for one in (network, encoded)
        ]
        return n_inputs[0] < n_inputs[1] or network.resolution not in (0, "auto")
    return False


def _unscaled(network):
    scale, dropout = network._scale, network.dropout
    is_one = isinstance(network.width, Integral)
    return {
        "phi": 0,
        "depth": len(scale.widths) if is_one else None,
        "width": scale.widths[0] if is_one and scale.widths else scale.widths or network.width,
        "resolution": "auto" if network.resolution == "auto" else scale.resolution,
        "dropout": dropout if dropout == "auto" else compound_dropout(dropout, network.phi),
    }


def _changes(network, widths):
    """Return the parameters of each trial by name."""
    depth = len(widths)

    def scaled(factor, least):
        new = tuple(max(least, round(width * factor)) for width in widths)
        if isinstance(network.width, (tuple, list)):
            return {"width": new}
        return {"width": new[0]}

    unchanged = {"depth": network.depth}
    # "auto" gives bins to some columns; as many for each column are more.
    is_auto = network.resolution == "auto"
    finer = {"resolution": AUTO_BINS if is_auto else 2 * network.resolution or _FINER}
    weight_decay = 10 * (network.weight_decay or 0.01)
    if depth == 0:
        # A linear model: the next larger network has one layer.
        return {
            "unchanged": unchanged,
            "deeper": {"depth": 1},
            "finer": finer,
            "regularized": {"weight_decay": weight_decay},
        }
    dropout = 0.0 if network.dropout == "auto" else network.dropout
    dropout = min(0.9, dropout + (1 - dropout) / 2)
    is_listed = network.depth is None
    return {
        "unchanged": unchanged,
        "smaller": scaled(1 / _FACTOR, 1) if max(widths) > 1 else {"depth": 0, "width": 1},
        "wider": scaled(_FACTOR, _WIDER),
        "deeper": {"width": (*widths, widths[-1])} if is_listed else {"depth": depth + 1},
        "finer": finer,
        "regularized": {"dropout": dropout, "weight_decay": weight_decay},
    }


def _judge(trials, margin, n_splits):
    by_name = {trial.name: trial for trial in trials}
    base = by_name["unchanged"]
    larger = [trial for trial in trials if trial.name in _LARGER]
    smaller, half = by_name.get("smaller"), by_name[_HALF]
    more = ""
    if half.comparison.verdict == "worse":
        more += f" On half the rows it scores {_less(half)}: more rows may help, too."
    if by_name["regularized"].comparison.verdict == "better":
        trial = by_name["regularized"]
        changes = ", ".join(f"{k}={v:g}" for k, v in trial.params.items())
        more += f" Regularized by {changes} it scores {_more(trial)}."

    def found(state, direction, dimension, advice):
        return Diagnosis(state, direction, dimension, advice + more, trials, n_splits)

    better = [trial for trial in larger if trial.comparison.verdict == "better"]
    if better:
        best = max(better, key=lambda trial: trial.difference)
        dimension = _LARGER[best.name]
        verb = "Raise" if dimension == "resolution" else "Scale"
        up = "" if dimension == "resolution" else " up"
        advice = f"a {best.name} network scores {_more(best)}. {verb} the {dimension}{up}."
        return found("under-fitted", "up", dimension, advice)
    if smaller is not None and smaller.comparison.low >= -margin:
        share = smaller.n_parameters / base.n_parameters
        gap, its_gap = (t.train_score - t.score for t in (base, smaller))
        is_over = gap > max(margin, _GAP * abs(its_gap))
        is_over |= smaller.comparison.verdict == "better"
        is_over |= by_name["regularized"].comparison.verdict == "better"
        advice = (
            f"the smaller network, with {share:.0%} of the parameters, changes the score by "
            f"{smaller.difference:+.4f} ({_interval(smaller)}): it loses at most the margin, "
            f"{margin:g}. Scale the width down."
        )
        return found("over-fitted" if is_over else "saturated", "down", "width", advice)
    # Near zero, an interval within the margin needs four times the rows.
    no_gain = all(
        trial.difference <= margin and trial.comparison.high <= 2 * margin for trial in larger
    )
    if no_gain and (smaller is None or smaller.comparison.verdict == "worse"):
        names = " and ".join(trial.name for trial in larger)
        most = max(trial.comparison.high for trial in larger)
        advice = f"no larger network that was tried ({names}) gains more than {most:.4f}"
        if smaller is None:
            advice += "; a smaller one does not exist."
        else:
            advice += f", and the smaller one scores {_less(smaller)}."
        return found("well sized", "stay", None, advice)
    changes = [
        f"{trial.name} {trial.difference:+.4f} ({_interval(trial)})"
        for trial in ([] if smaller is None else [smaller]) + larger
    ]
    advice = (
        f"{n_splits} folds do not show whether another size is better by more than {margin:g}. "
        f"Changes of the score: {', '.join(changes)}. More rows or a larger margin may decide "
        "it."
    )
    return found("undecided", None, None, advice)


def _interval(trial):
    comparison = trial.comparison
    if np.isnan(comparison.low):
        return "the noise is not known"
    level = f"{100 * comparison.level:.3g}%"
    return f"{level} interval {comparison.low:+.4f} to {comparison.high:+.4f}"


def _more(trial):
    return f"{trial.difference:.4f} more ({_interval(trial)})"


def _less(trial):
    return f"{-trial.difference:.4f} less ({_interval(trial)})"
