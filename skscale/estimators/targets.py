"""Targets: the interface of their two kinds, classes and numbers; checks and scaling."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from numbers import Real

import numpy as np
from scipy.special import ndtri
from sklearn.utils import check_array
from sklearn.utils.multiclass import (
    check_classification_targets,
    type_of_target,
    unique_labels,
)
from sklearn.utils.validation import assert_all_finite, column_or_1d

from ..inference.encoding import find_quantiles
from ..inference.heads import LARGEST_STANDARDIZED, Labels, scale_targets

# The squared error of a larger target would overflow.
_LARGEST_TARGET = np.sqrt(np.finfo(np.float64).max)
# Lower quantile of a range, and the width of the range for a standard normal distribution. The
# first range that is not zero sets a robust scale: for normal targets their standard deviation.
_RANGES = [(p, 2 * ndtri(1 - p)) for p in (0.25, 0.1, 0.05, 0.01)]
# Rows of a stream whose targets are stored for its quantiles. The standard error of a quartile
# is 1 % of the rows.
_N_SAMPLED = 2048


class Targets(ABC):
    """Handling of the targets of an estimator: of classes, or of numbers.

    Parameters
    ----------
    estimator : ScaledEstimator
    """

    # Whether outputs are calibrated on the validation set after training.
    calibrates = False

    def __init__(self, estimator):
        self.estimator = estimator

    @abstractmethod
    def loss(self, head):
        """Return the Loss for a head."""

    @abstractmethod
    def read(self, y, weights, former, head):
        """Check the targets of a fit.

        Parameters
        ----------
        y : array-like
        weights : ndarray of shape (n_rows,) or None
            Sample weights.
        former : Predictor or None
            Fitted networks that training continues from.
        head : Labels, Numbers or None
            Known head of a stream.

        Returns
        -------
        y, head, targets, codes, of_class
            See `Rows`.
        """

    @abstractmethod
    def read_validation(self, y, rows):
        """Check the targets of a validation set; return them as an ndarray.

        Parameters
        ----------
        y : array-like
        rows : Rows
            Training rows.
        """

    @abstractmethod
    def fit_head(self, rows, train_rows, weights):
        """Return the head, the targets of the loss, and the mean of counts (or None)."""

    def encode(self, head, y):
        """Return the targets of the loss for checked y."""
        return head.encode(y, self.estimator._network_dtype)[0]

    @abstractmethod
    def follow(self, rows, used, weights, n_weighed, former):
        """Update the head of a stream.

        Parameters
        ----------
        rows : Rows
        used : ndarray of int
            Rows with positive weight.
        weights : ndarray of shape (n_rows,) or None
        n_weighed : float
            Total weight of the earlier rows, in the present scale of weights.
        former : Predictor or None

        Returns
        -------
        head : Labels or Numbers
        targets : ndarray of shape (n_rows, n_outputs) or (n_rows,)
        changes : dict
            Changed fields of the Continuation.
        rescale : (factor, shift) or None
            Changes the outputs of the fitted network to the new scale, with equal predictions.
        """

    @abstractmethod
    def teach(self, task, head, predictions, predictions_new):
        """Return the fields of a student's task that contain teacher predictions.

        Parameters
        ----------
        task : Task
            The same network without a teacher.
        head : Labels or Numbers
        predictions : ndarray of shape (n_train, n_outputs)
            Teacher predictions for the training rows: logits or numbers.
        predictions_new : ndarray or None
            Teacher predictions for synthetic rows.

        Returns
        -------
        dict
        """


def check_targets(y, owner, name="y"):
    """Check y and return it as an array, for labels as for numbers.

    Parameters
    ----------
    y : array-like of shape (n_rows,) or (n_rows, n_outputs), or sparse indicator matrix
    owner : estimator
        For messages.
    name : str, default="y"

    Returns
    -------
    ndarray

    Raises
    ------
    ValueError
        If y is None, masked, not finite or has more than two dimensions.
    """
    if y is None:
        raise ValueError(
            f"This {type(owner).__name__} estimator requires y to be passed, but the target y "
            "is None."
        )
    if isinstance(y, np.ma.MaskedArray) and np.ma.is_masked(y):
        raise ValueError(
            f"{name} is a masked array with masked values. Expected all values: leave these "
            "rows out."
        )
    y = check_array(
        y, accept_sparse="csr", ensure_2d=False, dtype=None, input_name=name, estimator=owner
    )
    return y.toarray() if hasattr(y, "tocsr") else y


def read_labels(y, owner, head=None, name="y"):
    """Check the targets of a classifier.

    Parameters
    ----------
    y : array-like of shape (n_rows,) or (n_rows, n_labels), or sparse indicator matrix
    owner : estimator
        For messages.
    head : Labels or None, default=None
        Head with the known classes; None finds the classes of y.
    name : str, default="y"

    Returns
    -------
    y : ndarray
        One-dimensional, unless multilabel.
    head : Labels

    Raises
    ------
    ValueError
        If y is not a classification target, has only one class or unknown classes, or is an
        indicator matrix of other values than 0 and 1.
    """
    y = check_targets(y, owner, name)
    if y.dtype == object:
        refuse_mixed_labels(y, name)
        y = _as_numbers(y)
    kind = type_of_target(y, input_name=name)
    if kind not in ("binary", "multiclass"):  # the check would compute the kind again
        check_classification_targets(y)
    is_multilabel = kind == "multilabel-indicator"
    if head is not None:
        n, expected = len(head.classes), "one column of labels"
        if head.is_multilabel:
            expected = f"an indicator matrix of {n} columns"
            if kind == "multiclass-multioutput":
                refuse_other_indicators(y, name)
        if head.is_multilabel != is_multilabel or (is_multilabel and y.shape[1] != n):
            raise ValueError(
                f"Expected {name} to be {expected}, got {kind} {name} of shape {y.shape}."
            )
    elif kind == "multiclass-multioutput":
        values = _few(np.unique(y))
        raise ValueError(
            "Unknown label type: y has several columns with several classes each, with the "
            f"values {values}. Expected one column of labels, or an indicator matrix of 0 and "
            "1. Use sklearn.multioutput.MultiOutputClassifier to fit one network a column."
        )
    if is_multilabel:
        refuse_other_indicators(y, name)
        return y, head or Labels(np.arange(y.shape[1]), True)
    y = column_or_1d(y, warn=True)
    classes = np.unique(y)
    if head is None:
        if len(classes) < 2:
            raise ValueError(
                f"y has 1 class only ({classes.tolist()[0]!r}). A classifier needs at least "
                "two classes."
            )
        return y, Labels(classes, False)
    unknown = np.setdiff1d(classes, head.classes)
    if len(unknown):
        raise ValueError(
            f"`{name}` has classes not in `self.classes_`. `self.classes_` has "
            f"{head.classes.tolist()}, {name} has also {unknown.tolist()}. Expected all "
            "classes to be known from the beginning."
        )
    return y, head


def fit_classes(classes, y):
    """Return the head for the classes passed with the first rows of a stream.

    Parameters
    ----------
    classes : array-like of shape (n_classes,)
    y : array-like
        The first targets: an indicator matrix, or labels.

    Returns
    -------
    Labels

    Raises
    ------
    ValueError
        If there are fewer than two classes, or they are not the column indices of an indicator
        matrix.
    """
    is_multilabel = np.ndim(y) == 2 and np.shape(y)[1] > 1
    head = Labels(unique_labels(classes), is_multilabel)
    if is_multilabel and not np.array_equal(head.classes, np.arange(np.shape(y)[1])):
        raise ValueError(
            "The classes of an indicator matrix are the indices of its columns: expected "
            f"classes=range({np.shape(y)[1]}), got {classes!r}."
        )
    if len(head.classes) < 2:
        raise ValueError(
            f"classes={classes!r} is one class only. A classifier needs at least two."
        )
    return head


def refuse_mixed_labels(y, name="y"):
    """Raise an error for labels that scikit-learn's helpers could not sort.

    Raises
    ------
    ValueError
        If strings or None are mixed with labels of another type.
    """
    kinds = {type(label) for label in y} if y.dtype == object and y.ndim == 1 else ()
    if len(kinds) > 1 and (str in kinds or type(None) in kinds):
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise ValueError(
            f"Unknown label type: {name} holds labels of several types ({names}). Expected all "
            "labels to be of one type, and none to be missing: convert them, by "
            f"{name}.astype(str) for example."
        )


def refuse_other_indicators(y, name="y"):
    """Raise an error for an indicator matrix of other values than 0 and 1.

    scikit-learn's `type_of_target` takes any two integers for indicators, such as -1 and 1, of
    which the log loss has no minimum.

    Parameters
    ----------
    y : ndarray of shape (n_rows, n_labels)
    name : str, default="y"

    Raises
    ------
    ValueError
        If y has a value other than 0 and 1, or False and True.
    """
    if y.dtype.kind == "b" or (y.dtype.kind in "iuf" and ((y == 0) | (y == 1)).all()):
        return
    values = np.unique(y)
    remedy = "Convert it to such a matrix"
    if len(values) == 2:
        # Of {-1, 1}, {1, 2} or {0, 255} the larger one says that a row has the label.
        remedy = f"Convert it, by ({name} == {values[1]}).astype(int) for example"
    raise ValueError(
        f"{name} has {y.shape[1]} columns with the values {_few(values)}. Expected an "
        "indicator matrix of 0 and 1, where 1 says that a row has the label of a column. "
        f"{remedy}; for columns that are targets of their own, use "
        "sklearn.multioutput.MultiOutputClassifier."
    )


def _few(values, n_most=5):
    """Return the first of some distinct values as text."""
    others = f" and {len(values) - n_most} others" if len(values) > n_most else ""
    return f"{values[:n_most].tolist()}{others}"


def _as_numbers(y):
    """Convert columns of objects that are all numbers or booleans, as in a mixed frame."""
    if y.ndim == 2 and all(isinstance(value, (Real, np.bool_)) for value in y.flat):
        return y.astype(np.float64)
    return y


def read_numbers(y, owner, loss, name="y"):
    """Check the targets of a regressor.

    Parameters
    ----------
    y : array-like of shape (n_rows,) or (n_rows, n_outputs)
    owner : estimator
        For messages.
    loss : Loss
        It determines the valid range.
    name : str, default="y"

    Returns
    -------
    ndarray

    Raises
    ------
    ValueError
        If a value is not a number, not finite, too large, or invalid for the loss.
    """
    y = check_targets(y, owner, name)
    if y.dtype.kind not in "biuf":
        try:
            if y.dtype.kind in "mM":
                raise TypeError("datetimes are not numbers")
            y = y.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{name} must be numbers, got an array of dtype {y.dtype}. For class labels "
                f"use {type(owner).__name__.replace('Regressor', 'Classifier')}; convert times "
                "to numbers of one unit."
            ) from error
    # Values of an object array, such as None, become NaN only by the conversion above.
    assert_all_finite(y, input_name=name)
    largest = np.abs(y).max() if y.dtype.kind == "f" else 0
    if largest > _LARGEST_TARGET:
        raise ValueError(
            f"Input {name} contains a value too large ({largest:g}): its square is beyond "
            "float64. Expected numbers of moderate size: divide y by a constant."
        )
    loss.check_targets(y, name)
    return y


def standardize(y, rows, weights, dtype, is_robust=False):
    """Standardize regression targets by the moments of the training rows, or robustly.

    Parameters
    ----------
    y : ndarray of shape (n_rows,) or (n_rows, n_outputs)
    rows : ndarray of int64
    weights : ndarray of shape (n_rows,) or None
    dtype : numpy dtype
    is_robust : bool, default=False
        Whether the returned mean is the median, and the scale the interquartile range, divided
        by that of a standard normal distribution. If more than half of the targets are equal
        this range is zero: then the 10 % to 90 % range, the 5 % to 95 % range, the 1 % to 99 %
        range, or the standard deviation.

    Returns
    -------
    values : ndarray of shape (n_rows, n_outputs)
        In `dtype`.
    mean, scale : float64 ndarrays of shape (n_outputs,)
        `y` is `values * scale + mean`; `scale` is 0 for a constant output.
    """
    y = y.reshape(len(y), -1).astype(np.float64, copy=False)
    w = None if weights is None else weights[rows]
    # In units of the largest value, since sums and squares of large numbers would overflow.
    largest = np.abs(y[rows]).max(axis=0)
    largest[largest == 0] = 1.0
    with np.errstate(over="ignore"):  # in rows without weight, which are not used
        values = y / largest
    mean = np.average(values[rows], axis=0, weights=w)
    if is_robust:
        median, ranges = _find_ranges(values[rows], w)
        deviations = values[rows] - mean
        values -= median
    else:
        values -= mean
        deviations, ranges = values[rows], []
    scale = np.sqrt(np.average(deviations**2, axis=0, weights=w))
    # A spread within the rounding error is set to zero.
    mean = median if is_robust else mean
    rounding = 10 * np.finfo(np.float64).eps * np.abs(mean)
    values[np.abs(values) <= rounding] = 0.0
    scale[scale <= rounding] = 0.0
    for wide in reversed(ranges):
        scale = np.where(wide > rounding, wide, scale)
    values /= np.where(scale == 0, 1.0, scale)
    np.clip(values, -LARGEST_STANDARDIZED, LARGEST_STANDARDIZED, out=values)
    return values.astype(dtype), mean * largest, scale * largest


def _find_ranges(values, weights):
    """Return medians, and the ranges of `_RANGES` as standard deviations, of each column."""
    below = [p for p, _ in _RANGES]
    wanted = np.array([0.5, *below, *(1 - p for p in below)])
    n_missing = np.zeros(values.shape[1], dtype=np.intp)
    median, *found = find_quantiles(np.ascontiguousarray(values.T), wanted, weights, n_missing)
    pairs = zip(found[: len(below)], found[len(below) :], strict=True)
    widths = [width for _, width in _RANGES]
    return median, [
        (upper - lower) / width for (lower, upper), width in zip(pairs, widths, strict=True)
    ]


def find_rate(y, rows, weights, dtype):
    """Divide count targets by their mean over the training rows.

    Parameters and returns are as in `standardize`, but the returned mean is 0 and the scale is
    the mean of the counts.

    Raises
    ------
    ValueError
        If all counts of a column are zero.
    """
    y = y.reshape(len(y), -1).astype(np.float64, copy=False)
    scale = np.average(y[rows], axis=0, weights=None if weights is None else weights[rows])
    if not (scale > 0).all():
        raise ValueError(
            "A loss with a log link predicts a mean above 0. Expected y to have one, got "
            f"a mean of {scale.min():g}"
            f"{'' if y.shape[1] == 1 else f' in column {scale.argmin()}'}."
        )
    mean = np.zeros(y.shape[1])
    return scale_targets(y, mean, scale, dtype), mean, scale


def merge_moments(n, mean, scale, n_other, mean_other, scale_other):
    """Return the mean and standard deviation of the union of two sets of rows.

    Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance", eq. 2.1.

    Parameters
    ----------
    n, n_other : float
        Sums of sample weights.
    mean, scale, mean_other, scale_other : ndarrays of shape (n_outputs,)

    Returns
    -------
    mean, scale : ndarrays of shape (n_outputs,)
    """
    share = n_other / (n + n_other)
    difference = mean_other - mean
    # hypot, since squares of large numbers would overflow.
    within = np.hypot(np.sqrt(1 - share) * scale, np.sqrt(share) * scale_other)
    between = np.sqrt(share * (1 - share)) * np.abs(difference)
    return mean + share * difference, np.hypot(within, between)


@dataclass(frozen=True)
class TargetSample:
    """Targets of some rows of a stream, drawn with equal probabilities.

    Quantiles of a stream cannot be computed from those of its parts.

    Parameters
    ----------
    keys : ndarray of shape (n_sampled,)
        A random number for each row; the rows with the smallest of the stream are sampled.
    y : float64 ndarray of shape (n_sampled, n_outputs)
    weights : ndarray of shape (n_sampled,)
        Sample weights, in the scale of the last call.
    """

    keys: np.ndarray
    y: np.ndarray
    weights: np.ndarray

    @classmethod
    def of_head(cls, head, n_rows):
        """Return a sample that stands for the rows of an earlier fit: normally distributed."""
        n = min(n_rows, _N_SAMPLED)
        normal = ndtri((np.arange(n) + 0.5) / n)
        # As large as the smallest of one key per row.
        keys = np.random.default_rng(0).permutation(n) / n * (n / n_rows)
        return cls(keys, head.mean + normal[:, None] * head.scale, np.ones(n))

    @classmethod
    def of_rows(cls, y, weights, n_before):
        """Return the sample of all rows of a call, after `n_before` earlier rows."""
        keys = np.random.default_rng(n_before).random(len(y))
        return cls(keys, y, np.ones(len(y)) if weights is None else weights)

    def join(self, other, factor):
        """Return the sample of both parts of a stream; `factor` rescales the own weights."""
        weights = np.concatenate([self.weights * factor, other.weights])
        return TargetSample(
            np.concatenate([self.keys, other.keys]), np.concatenate([self.y, other.y]), weights
        )

    @property
    def smallest(self):
        """TargetSample: the rows to store."""
        if len(self.keys) <= _N_SAMPLED:
            return self
        chosen = np.sort(np.argpartition(self.keys, _N_SAMPLED)[:_N_SAMPLED])
        return TargetSample(self.keys[chosen], self.y[chosen], self.weights[chosen])
