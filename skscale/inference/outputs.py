"""From what a network puts out to labels, probabilities and numbers, in NumPy.

Estimators and frozen predictors share these lines.
"""

import math

import numpy as np

from .dense import exp, log_sigmoid, log_softmax, sigmoid, softmax


def check_finite(outputs):
    """Refuse outputs that are no numbers.

    Parameters
    ----------
    outputs : float ndarray

    Raises
    ------
    ValueError
        If one is infinite or NaN.
    """
    # One pass, in nearly all cases.
    if not math.isfinite(np.vdot(outputs, outputs)) and not np.isfinite(outputs).all():
        raise ValueError(
            "The network's output is not finite for some rows of X. Expected values like "
            "those of the training data: check the rows for extreme values, and the "
            "estimator's weights."
        )


def mean_of_logarithms(logarithms):
    """Return the logarithm of the mean over the first axis of what logarithms are given of.

    Parameters
    ----------
    logarithms : ndarray of shape (n_members, ...)

    Returns
    -------
    ndarray of shape (...)
    """
    largest = logarithms.max(axis=0)
    return largest + np.log(np.exp(logarithms - largest).mean(axis=0))


def join_logits(outputs, is_multilabel):
    """Return the logits of an ensemble: those of its members' mean probabilities.

    Parameters
    ----------
    outputs : ndarray of shape (n_members, n_rows, n_outputs)
    is_multilabel : bool

    Returns
    -------
    ndarray of shape (n_rows, n_outputs)
    """
    if outputs.shape[2] > 1 and not is_multilabel:
        return mean_of_logarithms(log_softmax(outputs))
    positive = mean_of_logarithms(log_sigmoid(outputs))
    return positive - mean_of_logarithms(log_sigmoid(-outputs))


def join_numbers(outputs, is_log):
    """Return the numbers of an ensemble: the means of its members', also of logarithms.

    Parameters
    ----------
    outputs : ndarray of shape (n_members, n_rows, n_outputs)
    is_log : bool

    Returns
    -------
    ndarray of shape (n_rows, n_outputs)
    """
    return mean_of_logarithms(outputs) if is_log else outputs.mean(axis=0)


def labels_of(outputs, classes, is_multilabel):
    """Return the most probable labels.

    Parameters
    ----------
    outputs : ndarray of shape (n_rows, n_outputs)
        Logits.
    classes : ndarray of shape (n_classes,)
    is_multilabel : bool

    Returns
    -------
    ndarray of shape (n_rows,) or (n_rows, n_labels)
        In the dtype of the labels; zeros and ones of a multilabel target.
    """
    if is_multilabel:
        return (outputs > 0).astype(np.int64)
    if outputs.shape[1] == 1:
        return classes[(outputs[:, 0] > 0).astype(np.intp)]
    return classes[outputs.argmax(axis=1)]


def link(outputs, is_multilabel, of_each, of_all):
    """Turn logits into something of each class.

    Parameters
    ----------
    outputs : ndarray of shape (n_rows, n_outputs)
    is_multilabel : bool
    of_each : callable
        Of the logits of labels on their own: `sigmoid` or `log_sigmoid`.
    of_all : callable
        Of the logits of classes: `softmax` or `log_softmax`.

    Returns
    -------
    ndarray of shape (n_rows, n_classes)
    """
    if is_multilabel:
        return of_each(outputs)
    if outputs.shape[1] == 1:
        return np.hstack([of_each(-outputs), of_each(outputs)])
    return of_all(outputs)


def probabilities_of(outputs, is_multilabel):
    """Return the probabilities of each class.

    Parameters
    ----------
    outputs : ndarray of shape (n_rows, n_outputs)
        Logits.
    is_multilabel : bool

    Returns
    -------
    ndarray of shape (n_rows, n_classes)
    """
    return link(outputs, is_multilabel, sigmoid, softmax)


def numbers_of(outputs, mean, scale, *, is_log, is_column, float32_holds_targets):
    """Return what a regressor predicts. Overwrites `outputs`.

    Parameters
    ----------
    outputs : ndarray of shape (n_rows, n_outputs)
        Standardised numbers, or logarithms of rates.
    mean, scale : float64 ndarrays of shape (n_outputs,)
        Of the targets.
    is_log : bool
    is_column : bool
        Whether the target was one-dimensional.
    float32_holds_targets : bool
        Whether float32 outputs may stay float32.

    Returns
    -------
    ndarray of shape (n_rows,) or (n_rows, n_outputs)
    """
    if is_log:
        predicted = exp(outputs) * scale
        if float32_holds_targets:
            predicted = predicted.astype(outputs.dtype, copy=False)
    else:
        predicted = outputs
        if not float32_holds_targets:
            predicted = outputs.astype(np.float64, copy=False)
        predicted *= scale
        predicted += mean
    return predicted[:, 0] if is_column else predicted
