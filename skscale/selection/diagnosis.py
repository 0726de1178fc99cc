"""Diagnosis of under- and over-fitting, by training networks of neighboring scales."""

from dataclasses import dataclass, field
from numbers import Integral

import numpy as np
from scipy import stats
from sklearn.base import clone, is_classifier
from sklearn.model_selection import check_cv
from sklearn.utils import check_random_state

from ..costs.scoring import score_together
from ..estimators.mlp import ScaledMLP
from ..scaling import compound_dropout, hidden_widths
from .grids import find_network
from .rules import error_of_mean

_FACTOR = 4
# Minimum width of the wider network. Four units instead of one would be a weak test.
_WIDER = 32
# Significance levels of one-sided t-tests. The level for larger networks is stricter, because
# two of them are tested but only one smaller network.
_LEVEL_UP, _LEVEL_DOWN, _LEVEL_OTHER = 0.01, 0.05, 0.1


@dataclass(frozen=True)
class Trial:
    """Result of one change to the network.

    Attributes
    ----------
    name : str
        "unchanged", "smaller", "wider", "deeper", "regularized" or "half the rows".
    params : dict
        The changed parameters of the network.
    score, train_score : float
        Mean test and training score over the folds.
    difference, standard_error : float
        Difference of `score` to the unchanged network, paired by fold.
    n_parameters : int
        Parameters of the network.
    """

    name: str
    params: dict
    score: float
    train_score: float
    difference: float
    standard_error: float
    n_parameters: int


@dataclass(frozen=True)
class Diagnosis:
    """Result of `diagnose`.

    Attributes
    ----------
    state : str
        "under-fitted": a larger network is better. "over-fitted": a smaller one is as good,
        and it or a more regularized one scores better, or this one's gap between training and
        test score is much larger. "saturated": a smaller one is as good. "well sized": none
        of these.
    direction : {"up", "down", "stay"}
        Direction of scaling.
    dimension : {"width", "depth"} or None
        Dimension to scale.
    advice : str
        Explanation in words.
    trials : list of Trial
        The evidence, the unchanged network first.
    """

    state: str
    direction: str
    dimension: str | None
    advice: str
    trials: list = field(repr=False)

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


def diagnose(estimator, X, y, *, scoring=None, cv=5, random_state=0):
    """Diagnose whether a network has the right size, before any search.

    Fits up to six variants on the same folds: the network unchanged, a quarter as wide, four
    times as wide, one layer deeper, more strongly regularized, and on half the rows.

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
    random_state : int, default=0
        Seed of the networks, which share their batches, and of the choice of half the rows.

    Returns
    -------
    Diagnosis
        `print` shows the advice and the evidence.

    Raises
    ------
    TypeError
        If the estimator contains no dense network of skscale.

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
    estimator = clone(estimator)
    prefix, network = find_network(estimator, ScaledMLP)
    if network.phi:
        # Resolve phi, so that one dimension can be changed alone.
        network.set_params(**_unscaled(network))
    widths = hidden_widths(network.depth, network.width)
    changes = _changes(network, widths)
    splits = list(check_cv(cv, y, classifier=is_classifier(estimator)).split(X, y))
    base = clone(estimator).set_params(**{f"{prefix}random_state": random_state})
    grid = [
        {f"{prefix}{name}": [value] for name, value in params.items()}
        for params in changes.values()
    ]

    def search(grid, splits):
        results = score_together(
            base, grid, X, y, scoring=scoring, costs=["n_parameters"], splits=splits,
            with_train_score=True,
        )  # fmt: skip
        # One row per candidate, one column per fold.
        return [
            np.column_stack([results[f"split{i}_{name}"] for i in range(len(splits))])
            for name in ("test_score", "train_score", "test_n_parameters")
        ]

    halves = [
        (
            np.sort(check_random_state(random_state + i).permutation(rows)[: len(rows) // 2]),
            test,
        )
        for i, (rows, test) in enumerate(splits)
    ]
    columns = zip(search(grid, splits), search([grid[0]], halves), strict=True)
    folds, train, sizes = map(np.vstack, columns)
    params = {**changes, "unchanged": {}, "half the rows": {}}
    trials = [
        Trial(
            name,
            params[name],
            float(folds[k].mean()),
            float(train[k].mean()),
            float((folds[k] - folds[0]).mean()),
            float(error_of_mean(folds[k] - folds[0])),
            int(sizes[k, 0]),
        )
        for k, name in enumerate(params)
    ]
    return _judge(trials, len(splits))


def _unscaled(network):
    scale, dropout = network._scale, network.dropout
    is_one = isinstance(network.width, Integral)
    return {
        "phi": 0,
        "depth": len(scale.widths) if is_one else None,
        "width": scale.widths[0] if is_one and scale.widths else scale.widths or network.width,
        "resolution": scale.resolution,
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
    weight_decay = 10 * (network.weight_decay or 0.01)
    if depth == 0:
        # A linear model: the next larger network has one layer.
        regularized = {"weight_decay": weight_decay}
        return {"unchanged": unchanged, "deeper": {"depth": 1}, "regularized": regularized}
    dropout = 0.0 if network.dropout == "auto" else network.dropout
    dropout = min(0.9, dropout + (1 - dropout) / 2)
    is_listed = network.depth is None
    return {
        "unchanged": unchanged,
        "smaller": scaled(1 / _FACTOR, 1) if max(widths) > 1 else {"depth": 0, "width": 1},
        "wider": scaled(_FACTOR, _WIDER),
        "deeper": {"width": (*widths, widths[-1])} if is_listed else {"depth": depth + 1},
        "regularized": {"dropout": dropout, "weight_decay": weight_decay},
    }


def _judge(trials, n_splits):
    by_name = {trial.name: trial for trial in trials}
    base = by_name["unchanged"]

    def errors(level):
        return stats.t.ppf(1 - level, n_splits - 1)

    def is_better(name, level):
        trial = by_name.get(name)
        return trial is not None and trial.difference > errors(level) * trial.standard_error

    gap = base.train_score - base.score
    larger = [name for name in ("wider", "deeper") if is_better(name, _LEVEL_UP)]
    smaller, half = by_name.get("smaller"), by_name["half the rows"]
    rows = ""
    if half.difference < -errors(_LEVEL_OTHER) * half.standard_error:
        rows = f" Half the rows score {-half.difference:.4f} less: more rows would help, too."
    if larger:
        best = max(larger, key=lambda name: by_name[name].difference)
        dimension = {"wider": "width", "deeper": "depth"}[best]
        trial = by_name[best]
        advice = (
            f"a {best} network scores {trial.difference:.4f} more (standard error "
            f"{trial.standard_error:.4f}). Scale the {dimension} up.{rows}"
        )
        return Diagnosis("under-fitted", "up", dimension, advice, trials)
    regularized = ""
    if is_better("regularized", _LEVEL_OTHER):
        trial = by_name["regularized"]
        words = ", ".join(f"{k}={v:g}" for k, v in trial.params.items())
        regularized = f" Regularized by {words} it scores {trial.difference:.4f} more."
    if smaller is not None and (
        smaller.difference >= -errors(_LEVEL_DOWN) * smaller.standard_error
    ):
        is_over = gap > max(0.05, 2 * abs(smaller.train_score - smaller.score))
        is_over |= is_better("smaller", _LEVEL_OTHER) or bool(regularized)
        share = smaller.n_parameters / base.n_parameters
        advice = (
            f"with {share:.0%} of the parameters the score changes by "
            f"{smaller.difference:+.4f} (standard error {smaller.standard_error:.4f}): no loss "
            f"beyond doubt. Scale the width down.{regularized}{rows}"
        )
        state = "over-fitted" if is_over else "saturated"
        return Diagnosis(state, "down", "width", advice, trials)
    advice = (
        "no larger network is better beyond doubt, and a smaller one is worse."
        f"{regularized}{rows}"
    )
    return Diagnosis("well sized", "stay", None, advice, trials)
