"""Rules that choose a candidate by score and cost, for `refit=` of any search.

The search calls a rule with its `cv_results_`; the rule returns the index of the chosen
candidate. `select` also returns the comparison of the choice with the best candidate. Costs
are the columns `mean_test_<cost>`: see `cost_scoring`. Of a halving search only the last
iteration is considered. A rule of your own is a subclass of `Rule`.
"""

import warnings
from abc import ABC, abstractmethod
from inspect import signature
from numbers import Integral, Real
from typing import NamedTuple

import numpy as np

from ..by_value import ByValue
from ..costs.scoring import N_ROWS
from ._search_private import publish_best_score
from .candidates import Candidates, results_of
from .comparison import Comparison

# A choice among fewer sizes always stands at an edge of the grid.
_MIN_SIZES = 3


def pareto_front(mean, cost):
    """Find the Pareto front: candidates that no other beats at equal or lower cost.

    Parameters
    ----------
    mean : ndarray of shape (n_candidates,)
    cost : ndarray of shape (n_candidates,)
        Candidates of infinite cost are excluded.

    Returns
    -------
    ndarray of int
        Their positions, cheapest first.
    """
    front, best = [], -np.inf
    for position in np.lexsort((np.arange(len(mean)), -mean, cost)):
        if mean[position] > best and np.isfinite(cost[position]):
            front.append(position)
            best = mean[position]
    return np.array(front, dtype=int)


class Rule(ByValue, ABC):
    """A rule that chooses a candidate of a search, passed as `refit=`.

    A subclass defines `choose`, and may define `margin` and `caveats`. Parameters of its
    `__init__` are stored under their names. Of one type, rules with equal attributes are equal.
    A rule is also equal to the name of its score, because `search.score` looks up the score
    under the key `search.refit`; a dataclass must therefore be declared with `eq=False`.

    Attributes
    ----------
    score : str, default="score"
        Name of the score by which it chooses; more is better.
    costs : tuple of str, default=()
        Names of the costs that it reads. A display against another cost shows `SmallestWithin`
        instead of the rule of the search; a rule without costs is shown against any.

    See Also
    --------
    select : Applies a rule to a fitted search.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skscale import Rule, ScaledMLPClassifier
    >>> class BestWorstSplit(Rule):
    ...     def choose(self, candidates):
    ...         return candidates.splits.min(axis=1).argmax()
    >>> network = ScaledMLPClassifier(max_epochs=5, random_state=0)
    >>> search = GridSearchCV(
    ...     network, {"width": [2, 32]}, scoring={"score": "accuracy"}, refit=BestWorstSplit()
    ... )
    >>> search.fit(*load_iris(return_X_y=True)).best_params_
    {'width': 32}
    """

    score = "score"
    costs = ()

    @abstractmethod
    def choose(self, candidates):
        """Choose a candidate.

        Parameters
        ----------
        candidates : Candidates
            The candidates with a finite score.

        Returns
        -------
        int
            Position of the chosen one among them, from 0.
        """

    def margin(self, candidates, position):
        """Return the difference from the best score that the rule allows, None for any.

        Parameters
        ----------
        candidates : Candidates
        position : int
            Position of the chosen candidate.

        Returns
        -------
        float or None
        """
        return None

    def caveats(self, candidates, position):
        """Return reasons to doubt a choice. The search and `select` warn of each.

        Parameters
        ----------
        candidates : Candidates
        position : int
            Position of the chosen candidate.

        Returns
        -------
        list of str
        """
        return []

    def __eq__(self, other):
        return other == self.score if isinstance(other, str) else super().__eq__(other)

    def __hash__(self):
        return hash(self.score)

    def __repr__(self):
        defaults = {
            name: repr(parameter.default)
            for name, parameter in signature(type(self)).parameters.items()
        }
        values = {name: repr(value) for name, value in vars(self).items()}
        words = [f"{n}={v}" for n, v in values.items() if v != defaults.get(n)]
        return f"{type(self).__name__}({', '.join(words)})"

    def __call__(self, cv_results):
        """Choose a candidate.

        Parameters
        ----------
        cv_results : dict
            `cv_results_` of a search.

        Returns
        -------
        int
            Index of the chosen candidate.
        """
        selection = self.select(cv_results)
        _warn_of(selection.caveats)
        publish_best_score(self, cv_results, selection.index, self.score)
        return selection.index

    def select(self, cv_results):
        """Choose a candidate outside a search, without warnings.

        Parameters
        ----------
        cv_results : dict

        Returns
        -------
        Selection

        Raises
        ------
        ValueError
            If no candidate has a finite score, or a score or cost was not measured.
        TypeError
            If `choose` returns no position.
        """
        candidates = Candidates(cv_results, self.score)
        position, n = self.choose(candidates), len(candidates.index)
        if not isinstance(position, Integral) or not 0 <= position < n:
            raise TypeError(
                f"{type(self).__name__}.choose must return the position of a candidate, an int "
                f"from 0 to {n - 1}, got {position!r}."
            )
        best = position if candidates.is_best[position] else self._best(candidates)
        compared = candidates.comparisons.with_best(
            best=candidates.index[best], margin=self.margin(candidates, position)
        )
        selection = _describe(cv_results, int(candidates.index[position]), self.score)
        return selection._replace(
            comparison=compared[position], caveats=self.caveats(candidates, position)
        )

    def _best(self, candidates):
        # The position to compare with, where several have the best mean score.
        return int(candidates.is_best.argmax())


def _warn_of(caveats):
    for caveat in caveats:
        warnings.warn(caveat, UserWarning, stacklevel=3)


def _first(*keys):
    # Position of the minimum by the first key; ties are broken by the next keys.
    return np.lexsort(keys[::-1])[0]


class SmallestWithin(Rule):
    """Rule that chooses the smallest candidate that is about as good as the best.

    By default its estimated loss is within one standard error of the difference to the best
    (Breiman et al. 1984, "Classification and regression trees", section 3.4.3). The error is
    paired by split, because the difficulty of a split does not distinguish candidates, and
    moderated by the other candidates, because a few splits cannot estimate it: see
    `Comparisons`. With fewer than three splits there is no error, unless the score is a mean of
    zeros and ones over a known number of rows; then the best candidate is chosen, with a
    warning.

    Parameters
    ----------
    standard_errors : float or None, default=None
        Allowed distance of the mean score below the best, in standard errors of the paired
        difference; None is 1, unless `score_loss` is given.
    score_loss : float or None, default=None
        Allowed distance of the mean score below the best, in units of the score.
    cost : str, default="n_parameters"
        Name of the cost that "smallest" refers to.
    score : str, default="score"
        Name of the score.

    Raises
    ------
    ValueError
        If both `standard_errors` and `score_loss` are given, or one is negative.

    Warns
    -----
    UserWarning
        If there is no error, or the choice is the largest or smallest of at least three sizes.

    Examples
    --------
    >>> cv_results = {
    ...     "params": [{"width": 8}, {"width": 16}, {"width": 32}, {"width": 64}],
    ...     "split0_test_score": [0.70, 0.88, 0.90, 0.91],
    ...     "split1_test_score": [0.75, 0.91, 0.92, 0.91],
    ...     "split2_test_score": [0.74, 0.92, 0.91, 0.90],
    ...     "mean_test_score": [0.73, 0.9033, 0.91, 0.9067],
    ...     "mean_test_n_parameters": [50, 100, 200, 400],
    ... }
    >>> SmallestWithin()(cv_results)
    1
    >>> SmallestWithin(score_loss=0.005)(cv_results)
    2
    """

    def __init__(
        self, standard_errors=None, score_loss=None, cost="n_parameters", score="score"
    ):
        if isinstance(standard_errors, dict):  # the search calls refit with its results
            raise TypeError(
                "Expected a rule as refit, got the class SmallestWithin. Pass SmallestWithin()."
            )
        if standard_errors is not None and score_loss is not None:
            raise ValueError(
                "Expected one of standard_errors and score_loss, got "
                f"standard_errors={standard_errors!r} and score_loss={score_loss!r}. Leave one "
                "of them out."
            )
        limits = {"standard_errors": standard_errors, "score_loss": score_loss}
        for name, value in limits.items():
            if value is not None and not value >= 0:
                raise ValueError(f"{name} must be at least 0, got {value!r}.")
        self.standard_errors = standard_errors
        self.score_loss = score_loss
        self.cost = cost
        self.score = score

    @property
    def costs(self):
        return (self.cost,)

    def choose(self, candidates):
        mean, cost = candidates.mean, candidates.cost(self.cost)
        best = self._best(candidates)
        # A rounding error of the mean is not a loss.
        rounding = 8 * np.finfo(float).eps * np.abs(mean[best])
        is_within = mean[best] - mean <= self._margins(candidates) + rounding
        return _first(np.where(is_within, cost, np.inf), ~is_within, -mean)

    def margin(self, candidates, position):
        return float(self._margins(candidates)[position])

    def caveats(self, candidates, position):
        found = []
        errors = candidates.errors_to(self._best(candidates))
        if self.score_loss is None and np.isnan(errors).any():
            n = candidates.splits.shape[1]
            found.append(
                f"{self!r} takes the best candidate, because {n} "
                f"{'split does' if n == 1 else 'splits do'} not show the noise of the score. "
                "Search with at least 3 splits, such as cv=5, or pass score_loss=."
            )
        cost = candidates.cost(self.cost)
        sizes = np.unique(cost[np.isfinite(cost)])
        if len(sizes) >= _MIN_SIZES and cost[position] == sizes[-1]:
            found.append(
                f"{self!r} chose the largest candidate ({self.cost}={sizes[-1]:,.6g}). Larger "
                "ones, which were not searched, may be better: extend the grid."
            )
        # Nothing is smaller than a linear model.
        is_linear = any(
            name.split("__")[-1] == "depth" and value == 0
            for name, value in candidates.params[position].items()
        )
        if len(sizes) >= _MIN_SIZES and cost[position] == sizes[0] and not is_linear:
            found.append(
                f"{self!r} chose the smallest candidate ({self.cost}={sizes[0]:,.6g}). Smaller "
                "ones, which were not searched, may be as good: extend the grid."
            )
        return found

    def _best(self, candidates):
        return _first(~candidates.is_best, candidates.cost(self.cost))

    def _margins(self, candidates):
        """Return the allowed loss of each candidate."""
        if self.score_loss is not None:
            return np.full(len(candidates.mean), self.score_loss)
        n_errors = 1 if self.standard_errors is None else self.standard_errors
        return n_errors * np.nan_to_num(candidates.errors_to(self._best(candidates)))


class BestUnder(Rule):
    """Rule that chooses the best candidate within limits on its costs.

    Parameters
    ----------
    score : str, default="score"
        Name of the score.
    **limits : float
        Upper limit of each cost: `BestUnder(latency_us=200, size_bytes=100_000)`.

    Raises
    ------
    ValueError
        If there are no limits, or one is no positive number. When the rule is applied, if no
        candidate meets them.

    Examples
    --------
    >>> cv_results = {
    ...     "params": [{"width": 8}, {"width": 16}, {"width": 64}],
    ...     "mean_test_score": [0.72, 0.90, 0.91],
    ...     "mean_test_latency_us": [12, 14, 40],
    ... }
    >>> BestUnder(latency_us=20)(cv_results)
    1
    """

    def __init__(self, score="score", **limits):
        if not limits:
            raise ValueError(
                "Expected at least one limit, got none. Pass one, as BestUnder(latency_us=200)."
            )
        for name, limit in limits.items():
            if not isinstance(limit, Real) or not limit > 0:
                raise ValueError(f"Expected a positive number as limit, got {name}={limit!r}.")
        self.score = score
        self.limits = limits

    @property
    def costs(self):
        return tuple(self.limits)

    def __repr__(self):
        words = [f"{name}={value!r}" for name, value in self.limits.items()]
        if self.score != "score":
            words.insert(0, f"score={self.score!r}")
        return f"BestUnder({', '.join(words)})"

    def choose(self, candidates):
        costs = {name: candidates.cost(name) for name in self.limits}
        # Fraction of each limit that a candidate uses, (n_candidates, n_limits).
        used = np.column_stack([costs[name] / limit for name, limit in self.limits.items()])
        is_under = (used <= 1).all(axis=1)
        if not is_under.any():
            least = {name: f"{cost.min():g}" for name, cost in costs.items()}
            nearest = candidates.index[used.max(axis=1).argmin()]
            raise ValueError(
                f"Expected at least one candidate within the limits of {self!r}, got none: the "
                f"lowest costs are {least}, and candidate {nearest} is nearest to the limits. "
                "Raise the limits, or search over smaller networks."
            )
        score = np.where(is_under, candidates.mean, -np.inf)
        return _first(-score, used.max(axis=1))


class ParetoKnee(Rule):
    """Rule that chooses the knee of the Pareto front, after which more cost buys little score.

    The knee is the candidate of the front that lies farthest above the line from the cheapest
    to the best, with both axes scaled to [0, 1] and the cost in logarithms (Satopaa et al.
    2011, "Finding a kneedle in a haystack", section III).

    Parameters
    ----------
    cost : str, default="n_parameters"
    score : str, default="score"

    Examples
    --------
    >>> cv_results = {
    ...     "params": [{"width": 8}, {"width": 16}, {"width": 64}],
    ...     "mean_test_score": [0.72, 0.90, 0.91],
    ...     "mean_test_n_parameters": [50, 100, 400],
    ... }
    >>> ParetoKnee()(cv_results)
    1
    """

    def __init__(self, cost="n_parameters", score="score"):
        self.cost = cost
        self.score = score

    @property
    def costs(self):
        return (self.cost,)

    def choose(self, candidates):
        mean, cost = candidates.mean, candidates.cost(self.cost)
        front = pareto_front(mean, cost)
        if not front.size:  # no cost is known
            return _first(-mean)
        x = np.log(np.maximum(cost[front], np.finfo(float).tiny))
        y = mean[front]
        if len(front) > 1:
            x = (x - x[0]) / (x[-1] - x[0])
            y = (y - y[0]) / (y[-1] - y[0])
        return front[np.argmax(np.round(y - x, 12))]


class Selection(NamedTuple):
    """Candidate that a rule chose from a search.

    Attributes
    ----------
    index : int
        Its row in `cv_results_`.
    params : dict
        Its parameters.
    score : float
        Its mean score.
    costs : dict of str to float
        Its other mean test columns.
    comparison : Comparison or None
        Comparison with the best candidate, by the rule's score and margin; None for a callable
        that is not a Rule.
    caveats : list of str
        Reasons to doubt the choice.
    """

    index: int
    params: dict
    score: float
    costs: dict
    comparison: Comparison | None = None
    caveats: list = []


def select(search, rule):
    """Apply a rule to a fitted search.

    This fits nothing: fit the chosen candidate by
    `clone(estimator).set_params(**selection.params).fit(X, y)`. Use this for scikit-learn's
    halving searches, too, which accept a callable `refit` but never call it.

    Parameters
    ----------
    search : search or dict
        Any object with `cv_results_`, Optuna's `OptunaSearchCV`, or the table itself.
    rule : Rule or callable
        A callable that takes `cv_results_` and returns an index.

    Returns
    -------
    Selection

    Raises
    ------
    TypeError
        If `search` has no results.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skscale import BestUnder, ScaledMLPClassifier, SmallestWithin, cost_scoring, select
    >>> network = ScaledMLPClassifier(depth=1, max_epochs=30, random_state=0)
    >>> scoring = cost_scoring(costs=["n_parameters"])
    >>> search = GridSearchCV(network, {"width": [1, 16, 32]}, scoring=scoring, refit="score")
    >>> search.fit(*load_iris(return_X_y=True)).best_params_["width"] > 1
    True
    >>> select(search, SmallestWithin(score_loss=0.05)).params
    {'width': 16}
    >>> select(search, BestUnder(n_parameters=50)).comparison.verdict
    'worse'
    """
    results = results_of(search)
    if not isinstance(rule, Rule):
        return _describe(results, int(rule(results)), "score")
    selection = rule.select(results)
    _warn_of(selection.caveats)
    return selection


def _describe(results, index, score):
    means = {
        name.removeprefix("mean_test_"): float(np.asarray(column, dtype=float)[index])
        for name, column in results.items()
        if name.startswith("mean_test_")
    }
    value = means.pop(score, np.nan)
    costs = {name: mean for name, mean in means.items() if name not in N_ROWS}
    return Selection(index, results["params"][index], value, costs)
