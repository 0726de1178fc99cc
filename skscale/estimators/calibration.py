"""Temperature scaling of classifiers, and their log loss."""

import numpy as np

from ..inference.heads import log_sigmoid, log_softmax, sigmoid, softmax

# Limits of the inverse temperature.
_MIN, _MAX = 0.05, 20.0
_N_STEPS = 30
_TOLERANCE = 1e-4


def find_inverse_temperature(outputs, targets, weights):
    """Return the factor of the logits that minimizes the log loss.

    It is one number for all classes (Guo et al. 2017, "On calibration of modern neural
    networks", section 4.2), found by Newton's method, since the loss is convex in it. Targets
    are smoothed, the more the fewer rows there are (Platt 1999, "Probabilistic outputs for
    support vector machines", section 2.2): otherwise a few rows, all predicted correctly,
    would make the factor infinite.

    Parameters
    ----------
    outputs : ndarray of shape (n_rows, n_outputs)
        Logits.
    targets : ndarray
        Class indices of shape (n_rows,), or zeros and ones of the shape of `outputs`.
    weights : ndarray of shape (n_rows,) or None

    Returns
    -------
    float
    """
    z = outputs.astype(np.float64)
    w = np.ones(len(z)) if weights is None else weights.astype(np.float64)
    open_share = 1 / (w.sum() / w.max() + 2)
    if targets.ndim == 1:
        n_classes = z.shape[1]
        z -= z.mean(axis=1, keepdims=True)
        wanted = (1 - open_share) * z[np.arange(len(z)), targets]  # the mean of z is zero
        link = softmax
    else:
        n_classes = 2
        wanted = (1 - open_share) * targets * z + open_share / n_classes * z
        link = sigmoid

    def derivatives(beta):
        p = link(beta * z)
        if targets.ndim == 1:
            mean = np.einsum("ij,ij->i", p, z)
            slope = mean - wanted
            curvature = np.einsum("ij,ij->i", p, z * z) - mean**2
        else:
            slope = (p * z - wanted).sum(axis=1)
            curvature = (p * (1 - p) * z * z).sum(axis=1)
        return w @ slope, w @ curvature

    low, high, beta = _MIN, _MAX, 1.0
    for _ in range(_N_STEPS):
        slope, curvature = derivatives(beta)
        if slope > 0:
            high = beta
        else:
            low = beta
        with np.errstate(over="ignore"):  # a step to infinity is replaced below
            step = beta - slope / curvature if curvature > 0 else -1.0
        # A step out of the interval that brackets the minimum is replaced by bisection.
        following = step if low < step < high else np.sqrt(low * high)
        if abs(following - beta) < _TOLERANCE * beta:
            break
        beta = following
    return float(beta)


def mean_loss(outputs, targets, weights):
    """Return the mean log loss of logits; for a multilabel y also the mean over labels.

    Parameters
    ----------
    outputs, targets, weights
        As in `find_inverse_temperature`.

    Returns
    -------
    float
    """
    if targets.ndim == 1:
        losses = -log_softmax(outputs)[np.arange(len(outputs)), targets]
    else:
        positive, negative = log_sigmoid(outputs), log_sigmoid(-outputs)
        losses = -(targets * positive + (1 - targets) * negative).mean(axis=1)
    return float(np.average(losses, weights=weights))
