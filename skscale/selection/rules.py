"""Rules that choose a candidate by score and cost, for `refit=` of any search.

The search calls a rule with its `cv_results_`; the rule returns the index of the chosen
candidate. Costs are the columns `mean_test_<cost>`: see `cost_scoring`. Of a halving search
only the last iteration is considered. A rule of your own is a subclass of `Rule`.
"""

import re
from abc import ABC, abstractmethod
from inspect import signature
from numbers import Integral
from typing import NamedTuple

import numpy as np

from ..by_value import ByValue
from ._search_private import publish_best_score


class Candidates:
    """Candidates of a search that a rule may choose from.

    Parameters
    ----------
    cv_results : dict
        `cv_results_` of a search.
    score : str
        Name of the score; more is better.

    Attributes
    ----------
    index : ndarray of int
        Rows of `cv_results`: those of the last iteration with a finite score.
    mean : ndarray of shape (n_candidates,)
        Mean score over the splits.
    splits : ndarray of shape (n_candidates, n_splits)
        Score of each split.
    """

    def __init__(self, cv_results, score):
        self._results = cv_results
        mean = np.asarray(self._column("score", score), dtype=float)
        is_eligible = np.isfinite(mean)
        if "iter" in cv_results:
            iteration = np.asarray(cv_results["iter"])
            is_eligible &= iteration == iteration.max()
        if not is_eligible.any():
            raise ValueError(
                f"Expected at least one candidate with a finite score {score!r}, got none. Run "
                'the search with error_score="raise" to see why the fits failed.'
            )
        self.index = np.flatnonzero(is_eligible)
        self.mean = mean[self.index]
        names = [
            name
            for name in cv_results
            if re.fullmatch(rf"split\d+_test_{re.escape(score)}", name)
        ]
        columns = [np.asarray(cv_results[name], dtype=float)[self.index] for name in names]
        self.splits = np.column_stack(columns) if columns else self.mean[:, None]

    @property
    def params(self):
        """list of dict: the parameters of each candidate."""
        return [self._results["params"][position] for position in self.index]

    def errors_to(self, position):
        """Compute the standard errors of the mean differences to one candidate.

        The differences are paired by split, because the difficulty of a split does not
        distinguish candidates. `SmallestWithin` uses these errors.

        Parameters
        ----------
        position : int
            Position of that candidate among the candidates.

        Returns
        -------
        ndarray of shape (n_candidates,)
            Zero for that candidate, and for all if there is only one split.
        """
        return error_of_mean(self.splits - self.splits[position], of_one=0.0)

    def cost(self, name):
        """Return the mean cost of each candidate, infinite where it is unknown."""
        column = self._column("cost", name)
        cost = np.asarray(column, dtype=float)[self.index]
        return np.where(np.isnan(cost), np.inf, cost)

    def _column(self, kind, name):
        column = f"mean_test_{name}"
        if column not in self._results:
            known = [n.removeprefix("mean_test_") for n in self._results if "mean_test" in n]
            remedy = f"Pass one of these as {kind}="
            if kind == "cost":
                remedy = "Search with scoring=skscale.cost_scoring(scoring, costs=[...])"
            raise ValueError(
                f"Expected the {kind} {name!r} in cv_results_, got {known}. {remedy}."
            )
        return self._results[column]


def error_of_mean(of_splits, of_one=np.nan):
    """Compute the standard error of a mean over splits.

    Parameters
    ----------
    of_splits : ndarray of shape (..., n_splits)
    of_one : float, default=nan
        The error for a single split, which does not show the noise.

    Returns
    -------
    float or ndarray of shape (...)
    """
    n_splits = of_splits.shape[-1]
    if n_splits < 2:
        return np.full(of_splits.shape[:-1], of_one)
    return of_splits.std(axis=-1, ddof=1) / np.sqrt(n_splits)


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

    A subclass defines `choose`. Parameters of its `__init__` are stored under their names. Of
    one type, rules with equal attributes are equal. A rule is also equal to the name of its
    score, because `search.score` looks up the score under the key `search.refit`; a dataclass
    must therefore be declared with `eq=False`.

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
        index = self.select(cv_results)
        publish_best_score(self, cv_results, index, self.score)
        return index

    def select(self, cv_results):
        """Choose a candidate outside a search.

        Parameters
        ----------
        cv_results : dict

        Returns
        -------
        int
            Index of the chosen candidate.

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
        return int(candidates.index[position])


def _first(*keys):
    # Position of the minimum by the first key; ties are broken by the next keys.
    return np.lexsort(keys[::-1])[0]


class SmallestWithin(Rule):
    """Rule that chooses the smallest candidate that is about as good as the best.

    By default its score is within one standard error of the best (Breiman et al. 1984,
    "Classification and regression trees", section 3.4.3). The error is that of the differences
    to the best, paired by split, because the difficulty of a split does not distinguish
    candidates.

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

    Examples
    --------
    >>> cv_results = {
    ...     "params": [{"width": 8}, {"width": 16}, {"width": 64}],
    ...     "split0_test_score": [0.70, 0.88, 0.90],
    ...     "split1_test_score": [0.75, 0.92, 0.91],
    ...     "mean_test_score": [0.725, 0.90, 0.905],
    ...     "mean_test_n_parameters": [50, 100, 400],
    ... }
    >>> SmallestWithin()(cv_results)
    1
    >>> SmallestWithin(score_loss=0.2)(cv_results)
    0
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
        best = _first(-mean, cost)
        loss = mean[best] - mean
        if self.score_loss is not None:
            allowed = np.full(len(mean), self.score_loss)
        else:
            n_errors = 1 if self.standard_errors is None else self.standard_errors
            allowed = n_errors * candidates.errors_to(best)
        # A rounding error of the mean is not a loss.
        rounding = 8 * np.finfo(float).eps * np.abs(mean[best])
        is_within = loss <= allowed + rounding
        return _first(np.where(is_within, cost, np.inf), ~is_within, -mean)


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
        If there are no limits. When the rule is applied, if no candidate meets them.

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
    """

    index: int
    params: dict
    score: float
    costs: dict


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
    >>> from skscale import ScaledMLPClassifier, SmallestWithin, cost_scoring, select
    >>> network = ScaledMLPClassifier(depth=1, max_epochs=30, random_state=0)
    >>> scoring = cost_scoring(costs=["n_parameters"])
    >>> search = GridSearchCV(network, {"width": [2, 16, 32]}, scoring=scoring, refit="score")
    >>> select(search.fit(*load_iris(return_X_y=True)), SmallestWithin(score_loss=0.05)).params
    {'width': 16}
    """
    results = results_of(search)
    index = rule.select(results) if isinstance(rule, Rule) else int(rule(results))
    score = rule.score if isinstance(rule, Rule) else "score"
    means = {
        name.removeprefix("mean_test_"): float(np.asarray(column, dtype=float)[index])
        for name, column in results.items()
        if name.startswith("mean_test_")
    }
    value = means.pop(score, np.nan)
    return Selection(index, results["params"][index], value, means)


def results_of(search):
    """Return the results table of a fitted search.

    Parameters
    ----------
    search : search or dict
        Any object with `cv_results_`, Optuna's `OptunaSearchCV`, or the table itself.

    Returns
    -------
    dict
        "params" and the columns of the scores.

    Raises
    ------
    TypeError
        If `search` has no results.
    """
    if isinstance(search, dict):
        return search
    # The cv_results_ of Optuna's search lacks parameters, and raises if any trial failed.
    if hasattr(search, "trials_"):
        return _table_of_trials(search.trials_)
    if hasattr(search, "cv_results_"):
        return search.cv_results_
    raise TypeError(
        f"Expected a fitted search, with cv_results_ or trials_, got {type(search).__name__}. "
        "Fit it first."
    )


def _table_of_trials(trials):
    names = dict.fromkeys(name for trial in trials for name in trial.user_attrs)
    table = {
        name: np.array([trial.user_attrs.get(name, np.nan) for trial in trials])
        for name in names
    }
    return {"params": [trial.params for trial in trials], **table}
