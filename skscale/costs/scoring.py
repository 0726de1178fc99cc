"""Costs of a fitted estimator, as scores of a search."""

import io
import pickle
import warnings
from dataclasses import dataclass
from functools import cached_property
from inspect import signature

import joblib
import numpy as np
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.metrics import check_scoring, get_scorer, log_loss, mean_squared_error
from sklearn.model_selection import GridSearchCV

from .._sklearn_private import _num_samples, _safe_indexing
from .complexity import Complexity, count
from .latency import measure_latency


class _Parts(pickle.Pickler):
    # A pickler visits every object in an estimator, at any depth.

    def __init__(self, into):
        super().__init__(into, protocol=pickle.DEFAULT_PROTOCOL)
        self.estimators = {}

    def persistent_id(self, thing):
        if isinstance(thing, BaseEstimator):
            self.estimators[id(thing)] = thing
        return None  # pickled as usual


@dataclass(eq=False)
class _Estimator:
    # A scored estimator with its rows: the input of all cost functions.

    estimator: BaseEstimator
    X: object
    y: object
    sample_weight: object
    n_rows: int

    def take_apart(self):
        """Return the length of the pickle and the estimators in it."""
        into = io.BytesIO()
        pickler = _Parts(into)
        pickler.dump(self.estimator)
        return into.tell(), list(pickler.estimators.values())

    @cached_property
    def networks(self):
        """list of Complexity: one for each fitted network or linear model."""
        counts = map(_count_one, self.take_apart()[1])
        return [c for c in counts if c is not None]


def _count_one(estimator):
    fitted = vars(estimator)
    if hasattr(type(estimator), "complexity_"):
        return estimator.complexity_ if "predictor_" in fitted else None
    if "coefs_" in fitted and "intercepts_" in fitted:  # scikit-learn's MLP
        return count(fitted["coefs_"], fitted["intercepts_"])
    if "coef_" in fitted and "intercept_" in fitted:
        coef = np.atleast_2d(np.asarray(fitted["coef_"])).T
        return count([coef], [np.atleast_1d(fitted["intercept_"])])
    if "module_" in fitted and hasattr(fitted["module_"], "parameters"):  # skorch's nets
        sizes = [p.numel() for p in fitted["module_"].parameters()]
        return Complexity(sum(sizes), sum(sizes), np.nan, 0, ())
    return None


def _total(values):
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _n_parameters(scored):
    return _total(c.n_parameters for c in scored.networks)


def _n_macs(scored):
    total = _total(c.n_macs for c in scored.networks)
    return None if total is None or np.isnan(total) else total


def _size_bytes(scored):
    return scored.take_apart()[0]


def _latency_us(scored):
    rows = _safe_indexing(scored.X, np.arange(scored.n_rows) % _num_samples(scored.X))
    return measure_latency(scored.estimator, rows)


def _loss(scored):
    y = np.asarray(scored.y)
    if is_classifier(scored.estimator):
        if y.ndim != 1 or not hasattr(scored.estimator, "predict_proba"):
            return None
        labels = scored.estimator.classes_
        if not np.isin(y, labels).all():  # a class unknown to the fit
            return None
        predicted = scored.estimator.predict_proba(scored.X)
        return log_loss(y, predicted, labels=labels, sample_weight=scored.sample_weight)
    if not is_regressor(scored.estimator):
        return None
    predicted = scored.estimator.predict(scored.X)
    return mean_squared_error(y, predicted, sample_weight=scored.sample_weight)


def _of_networks(name):
    return lambda scored: _total(getattr(part, name, None) for part in scored.take_apart()[1])


_COSTS = {
    "n_parameters": _n_parameters,
    "n_macs": _n_macs,
    "size_bytes": _size_bytes,
    "latency_us": _latency_us,
    "loss": _loss,
    "fit_time": _of_networks("fit_time_"),
    "peak_device_bytes": _of_networks("peak_device_bytes_"),
}


class _Scores(dict):
    # scikit-learn expects every candidate to return the keys of the first one.

    def __missing__(self, name):
        return np.nan


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
            "score" and the known costs.
        """
        scorer = check_scoring(estimator, self.scoring)
        # The score comes first: if it raises, no cost is measured.
        scores = _Scores(score=scorer(estimator, X, y, **score_params))
        weights = score_params.get("sample_weight")
        scored = _Estimator(estimator, X, y, weights, self.n_rows)
        for name in self.costs:
            value, why = None, "nothing in it says so"
            try:
                value = _COSTS[name](scored)
            except (pickle.PicklingError, TypeError, AttributeError) as error:
                if name == "latency_us":
                    raise
                why = str(error)
            if value is not None:
                scores[name] = float(value) if isinstance(value, float) else int(value)
            elif name not in self._warned:
                self._warned.add(name)
                warnings.warn(
                    f"The cost {name!r} of {type(estimator).__name__} cannot be known and is "
                    f"left out: {why}.",
                    UserWarning,
                    stacklevel=2,
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
        if isinstance(scorer, str):
            scorer = get_scorer(scorer)
        if hasattr(scorer, "get_metadata_routing"):
            return scorer.get_metadata_routing()
        return MetadataRequest(owner=self)


def accepts_weights(scoring):
    """Return whether a scorer, the name of one, or a function accepts `sample_weight`."""
    scorer = get_scorer(scoring) if isinstance(scoring, str) else scoring
    if hasattr(scorer, "_accept_sample_weight"):
        return scorer._accept_sample_weight()
    return "sample_weight" in signature(scorer).parameters


def cost_scoring(
    scoring=None, costs=("n_parameters", "n_macs", "size_bytes", "latency_us"), *, n_rows=1
):
    """Make a `scoring=` that measures costs beside the score.

    It works in any search of scikit-learn, with estimators of any library. `cv_results_` then
    has `mean_test_score`, `mean_test_n_parameters` and so on; costs are positive, not negated.
    Set `refit` to a rule, such as `SmallestWithin()`, or to "score".

    Parameters
    ----------
    scoring : str, callable or None, default=None
        As in scikit-learn, for a single score; None uses the estimator's `score`.
    costs : sequence of str, default=("n_parameters", "n_macs", "size_bytes", "latency_us")
        Any of:

        - "n_parameters": weights and biases of all networks and linear models in the scored
          estimator;
        - "n_macs": their multiply-accumulates per row;
        - "size_bytes": length of the scored estimator's pickle;
        - "latency_us": median microseconds of a prediction by the scored estimator (the
          whole pipeline); in a process, measurements run one at a time and never while
          networks train;
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
    ValueError
        If the name of a cost is unknown, or `scoring` is for several scores.

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
    if isinstance(costs, str):
        costs = (costs,)
    unknown = [name for name in costs if name not in _COSTS]
    if unknown:
        raise ValueError(f"Unknown cost {unknown[0]!r}. Expected some of {list(_COSTS)}.")
    if not (scoring is None or isinstance(scoring, str) or callable(scoring)):
        raise ValueError(
            f"scoring={scoring!r} is for several scores. Expected one: its value stands under "
            '"score" beside the costs.'
        )
    if isinstance(scoring, str):
        get_scorer(scoring)  # raises and lists the valid names
    if n_rows < 1:
        raise ValueError(f"n_rows must be at least 1, got {n_rows}.")
    return CostScoring(scoring, costs, n_rows)


def score_together(estimator, grid, X, y, *, scoring, costs, splits, with_train_score=False):
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
        return search.fit(X, y).cv_results_
