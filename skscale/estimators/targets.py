"""y, weights and the validation rows as the engine takes them."""

from dataclasses import dataclass

import numpy as np
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import column_or_1d

from ._sklearn_private import _check_sample_weight

_SMALLEST_WEIGHT = 1e-30
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
            f"y has 1 class only ({classes[0]!r}). A classifier needs at least two classes."
        )
    codes = codes.astype(np.min_scalar_type(len(classes)))
    if len(classes) == 2:
        return EncodedTargets(codes.astype(dtype)[:, None], "logistic", 1, classes, codes)
    return EncodedTargets(codes.astype(np.int64), "cross_entropy", len(classes), classes, codes)


def check_weights(estimator, X, y, sample_weight, class_weight=None, encoded=None):
    """Check the weights; return one weight a row, or None where all rows weigh the same.

    Raises
    ------
    ValueError
        If weights are negative, not finite, of the wrong shape or all zero; if a class
        weight does not fit the classes; if one class only is left with weight.
    """
    weights = None
    if sample_weight is not None:
        weights = _check_sample_weight(
            sample_weight, X, dtype=np.float64, ensure_non_negative=True
        )
        # Only their ratios matter: now no sum of them overflows.
        weights = weights / weights.max()
        # Below this share a weight is none: in float32 it would soon be.
        weights[weights < _SMALLEST_WEIGHT] = 0
    if class_weight is not None:
        if encoded.strata is None:
            raise ValueError(
                f"class_weight={class_weight!r} needs one class a row, but y is multilabel. "
                "Pass sample_weight instead."
            )
        if not isinstance(class_weight, str):
            given = np.array(list(class_weight.values()), dtype=np.float64)
            if not (np.isfinite(given) & (given >= 0)).all():
                raise ValueError(
                    f"class_weight must hold finite numbers from 0, got {class_weight!r}."
                )
        has_weight = np.ones(len(encoded.strata), bool) if weights is None else weights > 0
        # A class without weight has no balanced one.
        present = np.unique(encoded.strata[has_weight])
        of_class = np.zeros(len(encoded.classes))
        if class_weight == "balanced":
            of_class[present] = compute_class_weight(
                class_weight,
                classes=present,
                y=encoded.strata[has_weight],
                sample_weight=None if weights is None else weights[has_weight],
            )
        else:
            of_class[:] = compute_class_weight(
                class_weight, classes=encoded.classes, y=column_or_1d(y)
            )
        weights = of_class[encoded.strata] * (1.0 if weights is None else weights)
    if weights is not None and encoded is not None and encoded.strata is not None:
        left = np.unique(encoded.strata[weights > 0])
        if len(left) < 2:
            raise ValueError(
                f"Rows of {len(left)} class only have a positive weight. A classifier needs "
                "at least two classes with weight."
            )
    return weights


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
