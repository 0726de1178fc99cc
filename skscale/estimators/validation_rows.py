"""Validation sets passed to `fit`, instead of a split of the training rows."""

from scipy.sparse import csr_array, issparse
from sklearn.utils import check_consistent_length

from ..training.task import ValidationSet
from .targets import check_weights, rescale_weights


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
        given, missing = ("y_val", "X_val") if X_val is None else ("X_val", "y_val")
        raise ValueError(f"{given} is provided, but {missing} was not provided.")
    if not estimator.early_stopping:
        raise ValueError(
            "X_val and y_val are passed to fit while at the same time early_stopping is "
            "False. They are there to stop by: set early_stopping=True, or leave them out."
        )
    numbers, is_complete = rows.inputs.read(X_val)
    y = estimator._read_validation_targets(y_val, rows)
    check_consistent_length(numbers, y)
    if issparse(rows.numbers) and not issparse(numbers):
        numbers = csr_array(numbers)
    elif issparse(numbers) and not issparse(rows.numbers):
        numbers = numbers.toarray()
    weights = rescale_weights(check_weights(len(y), sample_weight_val))
    if rows.of_class is not None:
        of_row = rows.of_class[rows.head.encode(y, estimator._network_dtype)[1]]
        weights = of_row * (1.0 if weights is None else weights)
        if not weights.any():
            raise ValueError(
                "No row of X_val has a positive weight, class weights included. Expected "
                "at least one."
            )
    return numbers, is_complete, y, weights


def encode_validation(fit, dtype, numbers, is_complete, y, weights):
    """Encode the returns of `read_validation` as a ValidationSet."""
    targets, _ = fit.head.encode(y, dtype)
    if weights is not None:
        weights = weights.astype(dtype)
    return ValidationSet(fit.inputs.encode(numbers, dtype, is_complete), targets, weights)
