"""Moments of the pixels of images."""

import numpy as np

# Values at a time that means and deviations are taken of.
_BLOCK = 1 << 22


def pixel_moments(X, shape, channels_first, rows, weights, dtype):
    """Return mean and inverse standard deviation of each channel over some rows.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
    shape : tuple of int
        Of an image.
    channels_first : bool
    rows : ndarray of int
    weights : ndarray of shape (n,) or None
    dtype : numpy dtype

    Returns
    -------
    mean, scale : ndarrays of shape (n_channels,)
        A channel that is the same everywhere has scale 1.
    """
    n_channels = shape[0] if channels_first else shape[2]
    total = np.zeros(n_channels)
    squares, weight = np.zeros(n_channels), 0.0
    shift = None
    for start in range(0, len(rows), max(1, _BLOCK // X.shape[1])):
        chosen = rows[start : start + max(1, _BLOCK // X.shape[1])]
        part = X[chosen].astype(np.float64)
        # (images, pixels, channels)
        if channels_first:
            part = part.reshape(len(part), n_channels, -1).transpose(0, 2, 1)
        else:
            part = part.reshape(len(part), -1, n_channels)
        if shift is None:
            shift = part.mean(axis=(0, 1))  # for the sake of digits
        part = part - shift
        w = np.ones(len(part)) if weights is None else weights[chosen].astype(np.float64)
        total += w @ part.mean(axis=1)
        squares += w @ np.square(part).mean(axis=1)
        weight += w.sum()
    mean = total / weight
    variance = np.maximum(squares / weight - np.square(mean), 0.0)
    # What rounding makes of a constant is no variation, nor is what has no inverse.
    is_constant = variance <= 1e-20 * np.square(mean + shift)
    is_constant |= variance < np.square(float(np.finfo(dtype).tiny))
    deviation = np.where(is_constant, 1.0, np.sqrt(variance))
    return (mean + shift).astype(dtype), (1 / deviation).astype(dtype)
