"""Validation sets: split off the rows of a fit, or passed to `fit`."""

import numpy as np
from scipy.sparse import csr_array, issparse
from sklearn.utils import check_consistent_length

from ..training.task import ValidationSet
from .sample_weights import check_weights, combine_weights, rescale_weights


def split_rows(rows, strata, fraction, random_state):
    """Split the rows of a fit into training and validation rows, stratified by class.

    Class proportions are exact to within one row. The row of a class with a single row becomes
    a training row.

    Parameters
    ----------
    rows : ndarray of int64
    strata : ndarray of shape (n_rows,) or None
        Class of every row of X.
    fraction : float
        Fraction of validation rows.
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
    single = rows[:0]
    if strata is not None:
        labels = strata[shuffled]
        is_single = np.bincount(labels)[labels] == 1
        if is_single.any() and n_valid <= np.count_nonzero(~is_single):
            single, shuffled, labels = (
                shuffled[is_single],
                shuffled[~is_single],
                labels[~is_single],
            )
        shuffled = shuffled[np.argsort(labels, kind="stable")]
    # The rows are shuffled and sorted by class: steps of equal length take a proportional
    # number from each class, to within one row. (scikit-learn's stratified split makes Python
    # lists of the rows, 40 MB for a million, and rejects classes of one row.)
    step = len(shuffled) / n_valid
    chosen = ((np.arange(n_valid) + random_state.uniform()) * step).astype(np.int64)
    np.minimum(chosen, len(shuffled) - 1, out=chosen)  # rounding may reach the end
    is_valid = np.zeros(len(shuffled), dtype=bool)
    is_valid[chosen] = True
    train, valid = shuffled[~is_valid], shuffled[is_valid]
    return np.sort(np.concatenate([single, train])), np.sort(valid)


def read_validation(estimator, rows, X_val, y_val, sample_weight_val):
    """Check the validation set passed to `fit`.

    Parameters
    ----------
    estimator : ScaledEstimator
    rows : Rows
        Training rows.
    X_val, y_val, sample_weight_val
        As passed to `fit`.

    Returns
    -------
    numbers, is_complete
        As returned by `Inputs.read`.
    y : ndarray
    weights : ndarray of shape (n_val,) or None

    Raises
    ------
    TypeError, ValueError
        If X_val or y_val is missing or does not match X or y, or early stopping is off.
    """
    if X_val is None and y_val is None:
        raise ValueError(
            "sample_weight_val is provided, but X_val and y_val were not provided."
        )
    if X_val is None or y_val is None:
        passed, missing = ("y_val", "X_val") if X_val is None else ("X_val", "y_val")
        raise ValueError(f"{passed} is provided, but {missing} was not provided.")
    if not estimator.early_stopping:
        raise ValueError(
            "X_val and y_val are for early stopping, and early_stopping is False. Set "
            "early_stopping=True, or leave them out."
        )
    numbers, is_complete = rows.inputs.read(X_val)
    y = estimator._targets.read_validation(y_val, rows)
    check_consistent_length(numbers, y)
    if issparse(rows.numbers) and not issparse(numbers):
        numbers = csr_array(numbers)
    elif issparse(numbers) and not issparse(rows.numbers):
        numbers = numbers.toarray()
    weights = rescale_weights(check_weights(len(y), sample_weight_val))
    if rows.of_class is not None:
        of_row = rows.of_class[rows.head.encode(y, estimator._network_dtype)[1]]
        weights = combine_weights(of_row, weights)
        if not weights.any():
            raise ValueError(
                "No row of X_val has a positive weight, class weights included. Expected "
                "at least one."
            )
    return numbers, is_complete, y, weights


def encode_validation(estimator, fit, numbers, is_complete, y, weights):
    """Encode the returns of `read_validation` as a ValidationSet."""
    dtype = estimator._network_dtype
    targets = estimator._targets.encode(fit.head, y)
    if weights is not None:
        weights = weights.astype(dtype)
    return ValidationSet(fit.inputs.encode(numbers, dtype, is_complete), targets, weights)
