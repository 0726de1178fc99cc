"""Costs of a fitted estimator, one class each.

A cost of your own is a subclass of `Cost`, passed as an object:
`cost_scoring(costs=["n_parameters", Depth()])`.
"""

import io
import pickle
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.metrics import log_loss, mean_squared_error

from .._sklearn_private import _num_samples, _safe_indexing
from ..by_value import ByValue
from .complexity import Complexity, HasCosts, count
from .latency import measure_latency


class NotPicklableError(TypeError):
    """Error of an estimator that cannot be pickled: its parts and its size are unknown."""


class _PartsPickler(pickle.Pickler):
    # A pickler visits every object in an estimator, at any depth.

    def __init__(self, into):
        super().__init__(into, protocol=pickle.DEFAULT_PROTOCOL)
        self.estimators = {}

    def persistent_id(self, thing):
        if isinstance(thing, BaseEstimator):
            self.estimators[id(thing)] = thing
        return None  # pickled as usual


@dataclass(eq=False)
class ScoredEstimator:
    """A fitted estimator and the rows on which it is scored: the argument of `Cost.measure`.

    Attributes
    ----------
    estimator : estimator
        The fitted estimator, such as a whole pipeline.
    X : array-like of shape (n_samples, n_features)
        The scored rows.
    y : array-like of shape (n_samples,) or None
    sample_weight : array-like of shape (n_samples,) or None, default=None
    n_rows : int, default=1
        Number of rows of a timed prediction: `n_rows` of `cost_scoring`.
    parts : list of estimator
        All estimators that its pickle contains, at any depth, itself included.
    networks : list of Complexity
        Parameters and multiply-accumulates of each fitted network and linear model in it.
    pickle_size : int
        Length of its pickle, in bytes.

    Raises
    ------
    NotPicklableError
        By `parts`, `networks` and `pickle_size`, if the estimator cannot be pickled. The cost
        is then unknown.
    """

    estimator: BaseEstimator
    X: object
    y: object
    sample_weight: object = None
    n_rows: int = 1

    @cached_property
    def _pickled(self):
        into = io.BytesIO()
        pickler = _PartsPickler(into)
        try:
            pickler.dump(self.estimator)
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            raise NotPicklableError(str(error)) from error
        return into.tell(), list(pickler.estimators.values())

    @property
    def pickle_size(self):
        return self._pickled[0]

    @property
    def parts(self):
        if isinstance(self.estimator, HasCosts):  # its pickle contains no other estimator
            return [self.estimator]
        return self._pickled[1]

    @cached_property
    def networks(self):
        counts = map(_count_one, self.parts)
        return [c for c in counts if c is not None]


def _count_one(estimator):
    if isinstance(estimator, HasCosts):
        return estimator.complexity_ if estimator.__sklearn_is_fitted__() else None
    # Estimators of other libraries are recognized by their fitted attributes.
    fitted = vars(estimator)
    if "coefs_" in fitted and "intercepts_" in fitted:  # scikit-learn's MLP
        return count(fitted["coefs_"], fitted["intercepts_"])
    if "coef_" in fitted and "intercept_" in fitted:
        coef = np.atleast_2d(np.asarray(fitted["coef_"])).T
        return count([coef], [np.atleast_1d(fitted["intercept_"])])
    if "module_" in fitted and hasattr(fitted["module_"], "parameters"):  # skorch's nets
        sizes = [p.numel() for p in fitted["module_"].parameters()]
        return Complexity(sum(sizes), sum(sizes), np.nan, 0, ())
    return None


class Cost(ByValue, ABC):
    """A cost of a fitted estimator, measured beside the score.

    A subclass defines `name`, as a class attribute or a property, and `measure`. Objects of
    one type with equal attributes are equal. One object measures all candidates, possibly in
    several threads at once and pickled to other processes.

    Attributes
    ----------
    name : str
        Name of the cost: its column is `mean_test_<name>`, and rules and displays find it by
        this name.
    unit : str, default=""
        Unit of the values, for labels.
    requires : str
        Requirement that an estimator must meet to have this cost, for the warning that it is
        unknown.
    label : str
        Axis label; by default the name and the unit.
    heading : str or None
        Heading of its column in the report; by default the name and the unit. None leaves it
        out of the report.
    share_name : str or None
        Its noun in a comparison, such as "40% of its parameters"; by default the name. None
        if shares of it mean nothing.

    See Also
    --------
    cost_scoring : Measures costs in a search.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skscale import Cost, ScaledMLPClassifier, cost_scoring
    >>> class Depth(Cost):
    ...     name = "depth"
    ...
    ...     def measure(self, scored):
    ...         return sum(network.depth for network in scored.networks)
    >>> X, y = load_iris(return_X_y=True)
    >>> network = ScaledMLPClassifier(depth=3, max_epochs=2, random_state=0).fit(X, y)
    >>> cost_scoring(costs=[Depth()])(network, X, y)["depth"]
    3
    """

    unit = ""
    requires = "an estimator that has it"

    @property
    @abstractmethod
    def name(self):
        """Name of the cost."""

    @property
    def label(self):
        """Axis label."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    @property
    def heading(self):
        """Heading of its column in the report."""
        return f"{self.name} {self.unit}".rstrip()

    @property
    def share_name(self):
        """Its noun in a comparison."""
        return self.name

    @abstractmethod
    def measure(self, scored):
        """Measure the cost.

        Parameters
        ----------
        scored : ScoredEstimator
            The fitted estimator and the scored rows.

        Returns
        -------
        int, float or None
            Less is better. None if the cost is unknown: a warning names it once, and its
            column is NaN.
        """


def _sum_known(values):
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _fitted_networks(scored):
    return [p for p in scored.parts if isinstance(p, HasCosts) and p.__sklearn_is_fitted__()]


class NParameters(Cost):
    """Weights and biases of all networks and linear models in the scored estimator."""

    name = "n_parameters"
    label = heading = share_name = "parameters"
    requires = "a fitted network or linear model"

    def measure(self, scored):
        return _sum_known(c.n_parameters for c in scored.networks)


class MeanLoss(Cost):
    """Mean loss of the scored rows: log loss of probabilities, or squared error."""

    name = heading = "loss"
    label = "mean loss"
    share_name = None
    requires = "a regressor, or a classifier with probabilities for each class in y"

    def measure(self, scored):
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


class Latency(Cost):
    """Time of a prediction of `n_rows` rows: see `measure_latency`."""

    name = "latency_us"
    unit = "µs"
    label = "prediction latency (µs)"
    heading = "latency (µs)"
    share_name = "latency"

    def measure(self, scored):
        rows = _safe_indexing(scored.X, np.arange(scored.n_rows) % _num_samples(scored.X))
        return measure_latency(scored.estimator, rows)


class PickleSize(Cost):
    """Length of the scored estimator's pickle."""

    name = "size_bytes"
    unit = "bytes"
    label = "pickle size (bytes)"
    heading = share_name = "bytes"
    requires = "an estimator that can be pickled"

    def measure(self, scored):
        return scored.pickle_size


class NMacs(Cost):
    """Multiply-accumulates per row of all networks and linear models."""

    name = "n_macs"
    label = "multiply-accumulates per row"
    heading = share_name = "MACs"
    requires = "a fitted network whose multiply-accumulates are counted, or a linear model"

    def measure(self, scored):
        total = _sum_known(c.n_macs for c in scored.networks)
        return None if total is None or np.isnan(total) else total


class FitTime(Cost):
    """Seconds of training, without input validation; in a fused search, the network's share."""

    name = "fit_time"
    unit = "s"
    label = "training time (s)"
    heading = "fit (s)"
    share_name = "training time"
    requires = "a fitted estimator of skscale"

    def measure(self, scored):
        return _sum_known(part.fit_time_ for part in _fitted_networks(scored))


class PeakDeviceBytes(Cost):
    """Peak GPU memory of training, or the network's share of it."""

    name = "peak_device_bytes"
    unit = "bytes"
    label = "peak device memory (bytes)"
    heading = share_name = None
    requires = "an estimator of skscale that was trained on a GPU"

    def measure(self, scored):
        return _sum_known(part.peak_device_bytes_ for part in _fitted_networks(scored))


# In the order of the report.
COSTS = {
    cost.name: cost
    for cost in (
        NParameters(),
        MeanLoss(),
        Latency(),
        PickleSize(),
        NMacs(),
        FitTime(),
        PeakDeviceBytes(),
    )
}


def cost_of(value):
    """Return the Cost of a name, or the object itself.

    Parameters
    ----------
    value : str or Cost

    Returns
    -------
    Cost

    Raises
    ------
    TypeError
        If it is a class, or anything else.
    ValueError
        If the name is unknown.
    """
    if isinstance(value, Cost):
        return value
    if isinstance(value, type) and issubclass(value, Cost):
        raise TypeError(
            f"Expected objects in costs, got the class {value.__name__}. Pass "
            f"{value.__name__}()."
        )
    if not isinstance(value, str):
        raise TypeError(
            f"Expected the name of a cost or an object of a subclass of skscale.Cost in costs, "
            f"got {value!r}."
        )
    if value not in COSTS:
        raise ValueError(
            f"Unknown cost {value!r}. Expected some of {list(COSTS)}, or an object of a "
            "subclass of skscale.Cost."
        )
    return COSTS[value]
