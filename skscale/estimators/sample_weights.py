"""Sample weights and class weights."""

import numpy as np
from sklearn.utils.class_weight import compute_class_weight

from .._sklearn_private import _check_sample_weight

# Smaller weights, relative to the largest, would soon underflow in float32.
SMALLEST_WEIGHT = 1e-30


def check_weights(n_rows, sample_weight):
    """Check sample weights and return them as an array, or None if there are none.

    Parameters
    ----------
    n_rows : int
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
    rows = np.broadcast_to(0.0, (n_rows, 1))  # for its number of rows and dtype only
    return _check_sample_weight(sample_weight, rows, dtype=np.float64, ensure_non_negative=True)


def rescale_weights(weights):
    """Divide sample weights by their maximum; set those too small for float32 to zero."""
    if weights is None:
        return None
    # Only ratios matter, and sums of the rescaled weights cannot overflow.
    weights = weights / weights.max()
    # In float32 smaller weights would soon underflow.
    weights[weights < SMALLEST_WEIGHT] = 0
    return weights


def combine_weights(of_class, weights):
    """Multiply class weights by sample weights, in a unit in which no product overflows.

    Parameters
    ----------
    of_class : ndarray of shape (n_rows,)
        Weight of the class of each row.
    weights : ndarray of shape (n_rows,) or None
        Sample weights.

    Returns
    -------
    ndarray of shape (n_rows,)
        The largest is near one; those too small for float32 are zero.
    """
    digits, exponents = np.frexp(of_class)
    if weights is not None:
        others, more = np.frexp(weights)
        digits, exponents = digits * others, exponents + more
    if not digits.any():
        return digits
    # A power of two as unit changes no digit.
    weights = np.ldexp(digits, exponents - exponents[digits > 0].max())
    weights[weights < SMALLEST_WEIGHT * weights.max()] = 0
    return weights


def multiply_weights(of_class, weights):
    """Multiply class weights by the sample weights of a stream, which keep their unit.

    Parameters and returns are as in `combine_weights`.

    Raises
    ------
    ValueError
        If a product is too large or too small for float64.
    """
    if weights is None:
        return of_class
    with np.errstate(over="ignore", under="ignore"):
        product = of_class * weights
    is_lost = ~np.isfinite(product) | ((product == 0) & (of_class > 0) & (weights > 0))
    if is_lost.any():
        row = is_lost.argmax()
        raise ValueError(
            f"The product of sample_weight and class_weight must fit float64, got "
            f"{weights[row]:g} times {of_class[row]:g} in row {row}. Multiply the sample "
            "weights of all calls, or the class weights, by a constant."
        )
    return product


def weigh_classes(class_weight, classes, codes, weights):
    """Return the weight of each class, by its code.

    Parameters
    ----------
    class_weight : dict or "balanced"
    classes : ndarray of shape (n_classes,)
    codes : ndarray of int of shape (n_rows,) or None
        Class of each row; None for multilabel y.
    weights : ndarray of shape (n_rows,) or None
        Sample weights, which "balanced" takes into account.

    Raises
    ------
    ValueError
        If a class weight does not fit the classes.
    """
    if codes is None:
        raise ValueError(
            f"class_weight={class_weight!r} needs one class per row, but y is multilabel. "
            "Pass sample_weight instead."
        )
    if class_weight != "balanced":
        try:
            given = np.array(list(class_weight.values()), dtype=np.float64)
        except OverflowError:  # an int beyond float64
            given = np.array([np.inf])
        if not (np.isfinite(given) & (given >= 0)).all():
            raise ValueError(
                f"class_weight must hold finite, non-negative numbers, got {class_weight!r}."
            )
        return compute_class_weight(class_weight, classes=classes, y=classes[codes])
    has_weight = np.ones(len(codes), bool) if weights is None else weights > 0
    # A class whose rows have no weight gets weight zero: "balanced" is undefined for it.
    present = np.unique(codes[has_weight])
    of_class = np.zeros(len(classes))
    of_class[present] = compute_class_weight(
        class_weight,
        classes=present,
        y=codes[has_weight],
        sample_weight=None if weights is None else weights[has_weight],
    )
    return of_class
