"""y, weights and the validation rows as the engine takes them."""

from dataclasses import dataclass

import numpy as np
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import column_or_1d

from .._sklearn_private import _check_sample_weight

SMALLEST_WEIGHT = 1e-30
# Standardised targets are clipped here: their squares must not overflow float32.
_LARGEST_TARGET = 1e15


@dataclass
class EncodedTargets:
    """Targets of a task, and how to read its outputs.

    Parameters
    ----------
    values : ndarray
        `Task.targets`.
    loss : str
        `Task.loss`.
    n_outputs : int
        Outputs of the network.
    classes : ndarray or None
        Class labels in the order of the outputs, or the labels of a multilabel y.
    strata : ndarray of shape (n_rows,) or None
        Class of each row where rows have one.
    """

    values: np.ndarray
    loss: str
    n_outputs: int
    classes: np.ndarray | None = None
    strata: np.ndarray | None = None


def encode_classes(y, dtype):
    """Encode the target of a classifier.

    Parameters
    ----------
    y : ndarray of shape (n_rows,) or (n_rows, n_labels)
    dtype : numpy dtype
        float32 or float64, for losses that take floats.

    Returns
    -------
    EncodedTargets

    Raises
    ------
    ValueError
        If y is not a classification target, or has one class only.
    """
    refuse_mixed_labels(y)
    kind = type_of_target(y, input_name="y")
    if kind not in ("binary", "multiclass"):  # it finds the kind once more
        check_classification_targets(y)
    if kind == "multilabel-indicator":
        return EncodedTargets(y.astype(dtype), "logistic", y.shape[1], np.arange(y.shape[1]))
    if kind == "multiclass-multioutput":
        raise ValueError(
            "Unknown label type: y has several columns with several classes each. Expected "
            "one column of labels or a binary indicator matrix. Use "
            "sklearn.multioutput.MultiOutputClassifier to fit one network a column."
        )
    y = column_or_1d(y, warn=True)
    classes, codes = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            f"y has 1 class only ({classes.tolist()[0]!r}). A classifier needs at least two "
            "classes."
        )
    codes = codes.astype(np.min_scalar_type(len(classes)))
    if len(classes) == 2:
        return EncodedTargets(codes.astype(dtype)[:, None], "logistic", 1, classes, codes)
    return EncodedTargets(codes.astype(np.int64), "cross_entropy", len(classes), classes, codes)


def refuse_mixed_labels(y):
    """Refuse labels that cannot be sorted.

    scikit-learn's helpers find out in the middle of a sort.

    Parameters
    ----------
    y : ndarray

    Raises
    ------
    ValueError
        If strings or None are among labels of another type.
    """
    if y.dtype != object or y.ndim != 1:
        return
    kinds = {type(label) for label in y}
    if len(kinds) > 1 and (str in kinds or type(None) in kinds):
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise ValueError(
            f"Unknown label type: y holds labels of several types ({names}). Expected all "
            "labels to be of one type, and none to be missing: convert them, by "
            "y.astype(str) for example."
        )


def encode_known_classes(y, classes, is_multilabel, dtype):
    """Encode labels by classes that are already known.

    Parameters
    ----------
    y : ndarray of shape (n_rows,) or (n_rows, n_labels)
    classes : ndarray
    is_multilabel : bool
        Whether the network has an output for each column of an indicator matrix.
    dtype : numpy dtype
        float32 or float64, for losses that take floats.

    Returns
    -------
    EncodedTargets

    Raises
    ------
    ValueError
        If y is not a classification target, or holds other classes.
    """
    refuse_mixed_labels(y)
    kind = type_of_target(y, input_name="y")
    if kind not in ("binary", "multiclass"):
        check_classification_targets(y)
    if is_multilabel != kind.startswith("multilabel") or (
        is_multilabel and y.shape[1] != len(classes)
    ):
        expected = "one column of labels"
        if is_multilabel:
            expected = f"an indicator matrix of {len(classes)} columns"
        raise ValueError(f"Expected y to be {expected}, got {kind} y of shape {y.shape}.")
    if is_multilabel:
        return EncodedTargets(y.astype(dtype), "logistic", y.shape[1], classes)
    y = column_or_1d(y, warn=True)
    found = np.unique(y)
    unknown = np.setdiff1d(found, classes)
    if len(unknown):
        raise ValueError(
            "`y` has classes not in `self.classes_`. `self.classes_` has "
            f"{classes.tolist()}, y has also {unknown.tolist()}. Expected all classes to be "
            "known from the beginning."
        )
    codes = np.searchsorted(classes, y)
    if len(classes) == 2:
        return EncodedTargets(codes.astype(dtype)[:, None], "logistic", 1, classes, codes)
    return EncodedTargets(codes.astype(np.int64), "cross_entropy", len(classes), classes, codes)


def check_weights(X, sample_weight):
    """Check the weights of the rows; return them, or None where there are none.

    Parameters
    ----------
    X : ndarray or sparse array of shape (n_rows, n_features)
    sample_weight : array-like of shape (n_rows,), number or None

    Returns
    -------
    float64 ndarray of shape (n_rows,) or None

    Raises
    ------
    ValueError
        If weights are negative, not finite, of the wrong shape or all zero.
    """
    if sample_weight is None:
        return None
    return _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)


def rescale_weights(weights):
    """Return weights of which one is 1 and none is too small for float32."""
    if weights is None:
        return None
    # Only their ratios matter: now no sum of them overflows.
    weights = weights / weights.max()
    # Below this share a weight is none: in float32 it would soon be.
    weights[weights < SMALLEST_WEIGHT] = 0
    return weights


def weigh_classes(class_weight, encoded, weights):
    """Return the weight of each class, by its code, or None where all weigh the same.

    Parameters
    ----------
    class_weight : dict, "balanced" or None
    encoded : EncodedTargets
    weights : ndarray of shape (n_rows,) or None
        Weights of the rows, that "balanced" goes by.

    Raises
    ------
    ValueError
        If a class weight does not fit the classes.
    """
    if class_weight is None:
        return None
    if encoded.strata is None:
        raise ValueError(
            f"class_weight={class_weight!r} needs one class a row, but y is multilabel. "
            "Pass sample_weight instead."
        )
    if class_weight != "balanced":
        given = np.array(list(class_weight.values()), dtype=np.float64)
        if not (np.isfinite(given) & (given >= 0)).all():
            raise ValueError(
                f"class_weight must hold finite numbers from 0, got {class_weight!r}."
            )
        return compute_class_weight(
            class_weight, classes=encoded.classes, y=encoded.classes[encoded.strata]
        )
    has_weight = np.ones(len(encoded.strata), bool) if weights is None else weights > 0
    # A class without weight has no balanced one.
    present = np.unique(encoded.strata[has_weight])
    of_class = np.zeros(len(encoded.classes))
    of_class[present] = compute_class_weight(
        class_weight,
        classes=present,
        y=encoded.strata[has_weight],
        sample_weight=None if weights is None else weights[has_weight],
    )
    return of_class


def refuse_one_class(encoded, weights):
    """Refuse rows of which those with weight are of one class.

    Raises
    ------
    ValueError
    """
    if weights is None or encoded.strata is None:
        return
    left = np.unique(encoded.strata[weights > 0])
    if len(left) < 2:
        raise ValueError(
            f"Rows of {len(left)} class only have a positive sample_weight. A classifier needs "
            "at least two classes with weight."
        )


def split_rows(rows, strata, fraction, random_state):
    """Split the rows of a fit into training and validation rows.

    Classes keep their shares, to within one row; a class with a single row stays in the
    training rows.

    Parameters
    ----------
    rows : ndarray of int64
    strata : ndarray of shape (n_rows,) or None
        Class of every row of X.
    fraction : float
        Share of the validation rows.
    random_state : RandomState

    Returns
    -------
    train_rows, valid_rows : ndarrays of int64, sorted

    Raises
    ------
    ValueError
        If there are fewer than two rows.
    """
    if len(rows) < 2:
        raise ValueError(
            f"early_stopping=True needs at least 2 rows to split, got {len(rows)}. Set "
            "early_stopping=False."
        )
    n_valid = min(max(1, round(fraction * len(rows))), len(rows) - 1)
    shuffled = random_state.permutation(rows)
    kept = rows[:0]
    if strata is not None:
        labels = strata[shuffled]
        is_single = np.bincount(labels)[labels] == 1
        if is_single.any() and n_valid <= np.count_nonzero(~is_single):
            kept, shuffled, labels = (
                shuffled[is_single],
                shuffled[~is_single],
                labels[~is_single],
            )
        shuffled = shuffled[np.argsort(labels, kind="stable")]
    # The rows lie shuffled, class by class: steps of equal length take from each class its
    # share, to within one row. (scikit-learn's stratified split makes Python lists of the
    # rows, 40 MB for a million, and refuses classes of one row.)
    step = len(shuffled) / n_valid
    chosen = ((np.arange(n_valid) + random_state.uniform()) * step).astype(np.int64)
    np.minimum(chosen, len(shuffled) - 1, out=chosen)  # rounding may reach the end
    is_valid = np.zeros(len(shuffled), dtype=bool)
    is_valid[chosen] = True
    train, valid = shuffled[~is_valid], shuffled[is_valid]
    return np.sort(np.concatenate([kept, train])), np.sort(valid)


def standardize(y, rows, weights, dtype):
    """Standardise the target of a regressor by the moments of its training rows.

    Parameters
    ----------
    y : ndarray of shape (n_rows,) or (n_rows, n_outputs)
    rows : ndarray of int64
    weights : ndarray of shape (n_rows,) or None
    dtype : numpy dtype

    Returns
    -------
    values : ndarray of shape (n_rows, n_outputs)
        In `dtype`.
    mean, scale : float64 ndarrays of shape (n_outputs,)
        `y` is `values * scale + mean`; `scale` is 0 for a constant output.
    """
    y = y.reshape(len(y), -1).astype(np.float64, copy=False)
    w = None if weights is None else weights[rows]
    # In units of the largest: sums and squares of large numbers would overflow.
    largest = np.abs(y[rows]).max(axis=0)
    largest[largest == 0] = 1.0
    with np.errstate(over="ignore"):  # in rows without weight, which are not used
        values = y / largest
    mean = np.average(values[rows], axis=0, weights=w)
    values -= mean
    scale = np.sqrt(np.average(values[rows] ** 2, axis=0, weights=w))
    # A spread that is rounding error alone is none.
    rounding = 10 * np.finfo(np.float64).eps * np.abs(mean)
    values[np.abs(values) <= rounding] = 0.0
    scale[scale <= rounding] = 0.0
    values /= np.where(scale == 0, 1.0, scale)
    np.clip(values, -_LARGEST_TARGET, _LARGEST_TARGET, out=values)
    return values.astype(dtype), mean * largest, scale * largest


def find_rate(y, rows, weights, dtype):
    """Divide the counts of a regressor by their mean over its training rows.

    Parameters and returns are those of `standardize`, with a mean of 0 and the mean in
    place of the scale.

    Raises
    ------
    ValueError
        If all counts of a column are zero.
    """
    y = y.reshape(len(y), -1).astype(np.float64, copy=False)
    scale = np.average(y[rows], axis=0, weights=None if weights is None else weights[rows])
    if not (scale > 0).all():
        raise ValueError(
            'loss="poisson" predicts a mean above 0, but all values of y'
            f"{'' if y.shape[1] == 1 else f' in column {scale.argmin()}'} are 0. Expected at "
            "least one that is not."
        )
    mean = np.zeros(y.shape[1])
    return scale_targets(y, mean, scale, dtype), mean, scale


def scale_targets(y, mean, scale, dtype):
    """Return `(y - mean) / scale` as `Task.targets`.

    Parameters
    ----------
    y : ndarray of shape (n_rows,) or (n_rows, n_outputs)
    mean, scale : ndarrays of shape (n_outputs,)
        A scale of 0 divides by nothing.
    dtype : numpy dtype

    Returns
    -------
    ndarray of shape (n_rows, n_outputs)
    """
    y = y.reshape(len(y), -1).astype(np.float64, copy=False)
    with np.errstate(over="ignore"):
        values = (y - mean) / np.where(scale == 0, 1.0, scale)
    return np.clip(values, -_LARGEST_TARGET, _LARGEST_TARGET).astype(dtype)


def merge_moments(n, mean, scale, n_other, mean_other, scale_other):
    """Return mean and standard deviation of two sets of rows together.

    Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance", eq. 2.1.

    Parameters
    ----------
    n, n_other : float
        Sums of the weights.
    mean, scale, mean_other, scale_other : ndarrays of shape (n_outputs,)

    Returns
    -------
    mean, scale : ndarrays of shape (n_outputs,)
    """
    share = n_other / (n + n_other)
    difference = mean_other - mean
    # By hypot: squares of large numbers would overflow.
    within = np.hypot(np.sqrt(1 - share) * scale, np.sqrt(share) * scale_other)
    between = np.sqrt(share * (1 - share)) * np.abs(difference)
    return mean + share * difference, np.hypot(within, between)
