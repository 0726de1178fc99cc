"""A `scoring=` that measures costs beside the score."""

import sys
import warnings
from inspect import signature
from numbers import Integral, Real
from typing import NamedTuple

import joblib
import numpy as np
from sklearn.metrics import check_scoring, get_scorer
from sklearn.model_selection import GridSearchCV

from .._sklearn_private import _num_samples
from .measures import COSTS, Cost, NotPicklableError, ScoredEstimator, cost_of

_SCORE = "score"
# Numbers of rows of a split, beside the costs: the comparison of candidates needs them.
N_ROWS = ("n_test_rows", "n_train_rows")
# Types of a scoring with several metrics.
_SEVERAL = (list, tuple, set, dict)


class _SeveralNumbers:
    # Raises an error with the remedy where scikit-learn expects one number of a scoring.

    def __init__(self, scoring, score):
        self.scoring = scoring
        self.score = score

    def item(self):
        """Raise TypeError: scikit-learn calls it to convert a score to a number."""
        raise TypeError(
            f"Expected a scoring that returns one number, got {self.scoring}, which returns "
            "the score and its costs. Use cross_validate, or a search such as GridSearchCV, "
            f"which accept several numbers, or pass scoring={self.score} alone."
        )

    def _refuse(self, *others):
        self.item()

    __float__ = __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _refuse
    __neg__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse


class _Scores(_SeveralNumbers, dict):
    # scikit-learn reads the keys of the first candidate from every candidate.

    def __reduce__(self):
        return type(self), (self.scoring, self.score), None, None, iter(self.items())

    def __missing__(self, name):
        return np.nan


class Caller(NamedTuple):
    """The function of scikit-learn that calls the scoring.

    It passes only the scored rows. The rest is read from the call frames of its `_score` and
    `_fit_and_score`; other callers leave it unknown.

    Attributes
    ----------
    error_score : float or "raise"
        The `error_score` of the search, which scikit-learn passes to its own scorers only.
    n_train_rows : int or None
        Number of training rows of the split.
    is_curve : bool
        Whether `learning_curve` or `validation_curve` calls, which fail on several numbers with
        an unrelated error.
    """

    error_score: object = "raise"
    n_train_rows: int | None = None
    is_curve: bool = False

    @classmethod
    def find(cls):
        """Describe the caller of the function that calls this one."""
        caller = sys._getframe(2)
        above = caller.f_back
        if caller.f_code.co_name != "_score" or above is None:
            return cls()
        error_score = caller.f_locals.get("error_score", "raise")
        name, arguments = above.f_code.co_name, above.f_locals
        if name != "_fit_and_score":
            return cls(error_score, is_curve=name == "_incremental_fit_estimator")
        # cross_validate and the searches always return times.
        is_curve = not arguments.get("return_times", True)
        train = arguments.get("train")
        return cls(error_score, None if train is None else len(train), is_curve)


class CostScoring:
    """Scorer that also measures costs: see `cost_scoring`.

    Parameters
    ----------
    scoring, costs, n_rows
        See `cost_scoring`.
    """

    def __init__(self, scoring, costs, n_rows):
        self.scoring = scoring
        self.costs = tuple(costs)
        self.n_rows = n_rows
        self._warned = set()

    def __repr__(self):
        rows = "" if self.n_rows == 1 else f", n_rows={self.n_rows}"
        return f"cost_scoring({self.scoring!r}, costs={self.costs!r}{rows})"

    def __eq__(self, other):
        if type(other) is not type(self):
            return NotImplemented
        return (self.scoring, self.costs, self.n_rows) == (
            other.scoring,
            other.costs,
            other.n_rows,
        )

    def __hash__(self):
        return hash((type(self), self.costs, self.n_rows))

    def __getstate__(self):
        return {**vars(self), "_warned": set()}

    def __call__(self, estimator, X, y=None, **score_params):
        """Score a fitted estimator.

        Parameters
        ----------
        estimator : estimator
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or None
        **score_params : dict
            Passed to the scorer.

        Returns
        -------
        dict of str to float
            "score", or a score for each metric, the known costs, "n_test_rows" and, in a
            search, "n_train_rows".
        """
        return self.score_for(Caller.find(), estimator, X, y, **score_params)

    def score_for(self, caller, estimator, X, y, **score_params):
        """Score an estimator, as `__call__`, for a caller that another scorer found.

        Parameters
        ----------
        caller : Caller
        estimator, X, y, **score_params
            As in `__call__`.

        Returns
        -------
        dict of str to float
        """
        text = repr(self), repr(self.scoring)
        if caller.is_curve:
            return _SeveralNumbers(*text)
        # The scores come first: if they raise, no cost is measured.
        scores = _Scores(*text)
        scores.update(self._score(estimator, X, y, score_params, caller.error_score))
        scores["n_test_rows"] = _num_samples(X)
        if caller.n_train_rows is not None:
            scores["n_train_rows"] = caller.n_train_rows
        sample_weight = score_params.get("sample_weight")
        scored = ScoredEstimator(estimator, X, y, sample_weight, self.n_rows)
        for cost in map(cost_of, self.costs):
            value, reason = None, ""
            try:
                value = cost.measure(scored)
            except NotPicklableError as error:
                reason = f" ({error})"
            if value is not None:
                scores[cost.name] = _plain_number(cost, value)
            elif cost.name not in self._warned:
                self._warned.add(cost.name)
                warnings.warn(
                    f"The cost {cost.name!r} of {type(estimator).__name__} is unknown and left "
                    f"out of the results. Expected {cost.requires}{reason}.",
                    UserWarning,
                    stacklevel=2,
                )
        return scores

    def _score(self, estimator, X, y, score_params, error_score):
        """Compute the scores; a score that raises is `error_score`, as in scikit-learn."""
        metrics = self.scoring
        if not isinstance(metrics, _SEVERAL):
            metrics = {_SCORE: check_scoring(estimator, metrics)}
        raises = error_score == "raise"
        scorer = check_scoring(estimator, metrics, raise_exc=raises)
        scores = scorer(estimator, X, y, **score_params)
        for name, score in scores.items():
            if isinstance(score, str):  # the traceback of an error
                scores[name] = error_score
                warnings.warn(
                    f"Scoring failed: {name!r} of this split is set to {error_score}. "
                    f"Details:\n{score}",
                    UserWarning,
                    stacklevel=3,
                )
        return scores

    def _accept_sample_weight(self):
        # scikit-learn calls this on its own scorers. With scoring=None the estimator is not yet
        # known; the score of every estimator of skscale accepts sample weights.
        return self.scoring is None or accepts_weights(self.scoring)

    def get_metadata_routing(self):
        """Return the routing of the scorer, if it has one.

        Returns
        -------
        MetadataRequest
        """
        from sklearn.utils.metadata_routing import MetadataRequest

        scorer = self.scoring
        if isinstance(scorer, (str, *_SEVERAL)):
            scorer = check_scoring(scoring=scorer)
        if hasattr(scorer, "get_metadata_routing"):
            return scorer.get_metadata_routing()
        return MetadataRequest(owner=self)


def _plain_number(cost, value):
    if isinstance(value, Real):
        return int(value) if isinstance(value, Integral) else float(value)
    raise TypeError(
        f"{type(cost).__name__}.measure must return a number, or None if the cost is unknown, "
        f"got {value!r}."
    )


def accepts_weights(scoring):
    """Return whether a scoring accepts `sample_weight`; of several metrics, any of them."""
    is_named = isinstance(scoring, (str, *_SEVERAL))
    scorer = check_scoring(scoring=scoring) if is_named else scoring
    if hasattr(scorer, "_accept_sample_weight"):
        return scorer._accept_sample_weight()
    return "sample_weight" in signature(scorer).parameters


def cost_scoring(
    scoring=None, costs=("n_parameters", "n_macs", "size_bytes", "latency_us"), *, n_rows=1
):
    """Make a `scoring=` that measures costs beside the score.

    It works in any search of scikit-learn, with estimators of any library. `cv_results_` then
    has `mean_test_score`, `mean_test_n_parameters` and so on; costs are positive, not negated.
    The numbers of rows, `mean_test_n_test_rows` and `mean_test_n_train_rows`, are for the
    comparison of candidates: see `compare`. Set `refit` to a rule, such as `SmallestWithin()`,
    or to "score".

    Parameters
    ----------
    scoring : str, callable, list, tuple, dict or None, default=None
        As in scikit-learn; None uses the estimator's `score`. Several metrics have columns of
        their own, such as `mean_test_roc_auc`, instead of `mean_test_score`: pass their name
        to the rules, as in `SmallestWithin(score="roc_auc")`.
    costs : sequence, default=("n_parameters", "n_macs", "size_bytes", "latency_us")
        Names of costs, and objects of your own `Cost` classes. The names are:

        - "n_parameters": weights and biases of all networks and linear models in the scored
          estimator;
        - "n_macs": their multiply-accumulates per row;
        - "size_bytes": length of the scored estimator's pickle;
        - "latency_us": microseconds of a prediction by the scored estimator (the whole
          pipeline), the smallest median of several rounds; in a process, measurements run one
          at a time and never while networks train;
        - "loss": mean loss of the scored rows: log loss of a classifier's probabilities,
          squared error of a regressor;
        - "fit_time": seconds of training, without input validation; in a fused search, the
          network's share of its stack (`mean_fit_time` of such a search includes the wait for
          the others);
        - "peak_device_bytes": peak GPU memory of training, or the network's share of it.
    n_rows : int, default=1
        Number of rows of the predictions timed for "latency_us".

    Returns
    -------
    CostScoring
        A picklable callable. An unknown cost is omitted, with one warning that names it; it is
        NaN in `cv_results_` if other candidates have it.

    Raises
    ------
    TypeError
        If a cost is neither a name nor an object of a `Cost` class.
    ValueError
        If the name of a cost is unknown, occurs twice or is that of a score, or `scoring` is
        invalid.

    See Also
    --------
    Cost : Base class of a cost of your own.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skscale import ScaledMLPClassifier, SmallestWithin, cost_scoring
    >>> search = GridSearchCV(
    ...     ScaledMLPClassifier(max_epochs=30, random_state=0),
    ...     {"width": [8, 32]},
    ...     scoring=cost_scoring(costs=["n_parameters"]),
    ...     refit=SmallestWithin(standard_errors=1),
    ... ).fit(*load_iris(return_X_y=True))
    >>> search.cv_results_["mean_test_n_parameters"]
    array([ 139., 1315.])
    """
    costs = (costs,) if isinstance(costs, (str, Cost)) else tuple(costs)
    names = (_SCORE,)
    if isinstance(scoring, str):
        get_scorer(scoring)  # raises for an unknown name
    elif isinstance(scoring, _SEVERAL):
        check_scoring(scoring=scoring)
        names = tuple(scoring)
    elif scoring is not None and not callable(scoring):
        raise ValueError(
            "Expected a scoring as in scikit-learn: a name, a scorer, a list or dict of "
            f"metrics, or None, got {scoring!r}."
        )
    _check_names([cost_of(cost).name for cost in costs], names)
    if n_rows < 1:
        raise ValueError(f"n_rows must be at least 1, got {n_rows}.")
    return CostScoring(scoring, costs, n_rows)


def _check_names(names, scores):
    for position, name in enumerate(names):
        if not isinstance(name, str) or not name:
            raise ValueError(f"Expected a str as the name of a cost, got name={name!r}.")
        if name in (*scores, *N_ROWS):
            kind = "a number of rows" if name in N_ROWS else "a score"
            raise ValueError(
                f"Expected names of costs other than {name!r}, which names {kind} in "
                "cv_results_. Rename the cost."
            )
        if name in names[:position]:
            raise ValueError(
                f"Expected costs of different names, got {name!r} twice: both would have the "
                f"column mean_test_{name}. Leave one out or rename it."
            )


def costs_of(search):
    """Return the costs that a search may have measured: the built-in ones and its own.

    Parameters
    ----------
    search : search or dict
        Its `scoring`, if it is a CostScoring, gives the objects of the user's own costs.

    Returns
    -------
    dict of str to Cost
    """
    scoring = getattr(search, "scoring", None)  # a table has none
    if not isinstance(scoring, CostScoring):
        return dict(COSTS)
    return COSTS | {cost.name: cost for cost in map(cost_of, scoring.costs)}


def score_together(
    estimator, grid, X, y, *, scoring, costs, splits, with_train_score=False, params=None
):
    """Fit the candidates of a grid on the same folds, all networks together.

    Parameters
    ----------
    estimator, grid, X, y
        As in GridSearchCV.
    scoring, costs
        As in `cost_scoring`.
    splits : list of (ndarray, ndarray)
        Training and test rows of each fold.
    with_train_score : bool, default=False
        Whether to score the training rows, too.
    params : dict or None, default=None
        Parameters of `fit` and of the scoring, such as `sample_weight`, as in
        `cross_validate`.

    Returns
    -------
    dict
        `cv_results_`.
    """
    search = GridSearchCV(
        estimator,
        grid,
        scoring=cost_scoring(scoring, costs),
        refit=False,
        cv=splits,
        return_train_score=with_train_score,
        error_score="raise",
    )
    with joblib.parallel_config(backend="skscale"):
        return search.fit(X, y, **(params or {})).cv_results_
