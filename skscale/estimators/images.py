"""Images as the engine takes them: checked, one row of pixels each, bytes left bytes."""

import math

import numpy as np
from sklearn.utils import check_array
from sklearn.utils.validation import check_consistent_length, column_or_1d, validate_data

from .features import (
    explaining_types,
    ignoring_overflow,
    input_dtypes,
    refuse_beyond_float32,
    refuse_misleading,
)

# Values at a time that means and deviations are taken of.
_BLOCK = 1 << 22


def find_image_shape(X_shape, image_shape, channels):
    """Return height, width and channels in the order in which they come.

    Parameters
    ----------
    X_shape : tuple of int
        (n, n_features), (n, height, width) or (n, height, width, channels), the channels
        before height and width with channels="first".
    image_shape : tuple of int or None
        Of rows: (height, width) or all three. None is a square where the number of features is
        one, else one row of grey pixels.
    channels : {"first", "last"}

    Returns
    -------
    tuple of int
        Three numbers.

    Raises
    ------
    ValueError
        If X cannot hold such images.

    Examples
    --------
    >>> find_image_shape((5, 784), None, "last"), find_image_shape((5, 10), None, "last")
    ((28, 28, 1), (1, 10, 1))
    >>> find_image_shape((5, 3072), (3, 32, 32), "first")
    (3, 32, 32)
    """
    wanted = None
    if image_shape is not None:
        wanted = tuple(int(n) for n in image_shape)
        if len(wanted) == 2:
            wanted = _with_grey(wanted, channels)
    if len(X_shape) == 2:
        n_features = X_shape[1]
        if wanted is None:
            side = math.isqrt(n_features)
            shape = (side, side) if side * side == n_features else (1, n_features)
            return _with_grey(shape, channels)
        if math.prod(wanted) != n_features:
            raise ValueError(
                f"image_shape={tuple(image_shape)} has {math.prod(wanted)} numbers, but the "
                f"rows of X have {n_features} features."
            )
        return wanted
    if len(X_shape) == 3:
        found = _with_grey(tuple(X_shape[1:]), channels)
    elif len(X_shape) == 4:
        found = tuple(X_shape[1:])
    else:
        raise ValueError(
            "X must be images of shape (n, height, width) or (n, height, width, channels), or "
            f"rows of shape (n, n_features), got an array of shape {tuple(X_shape)}."
        )
    if wanted is not None and wanted != found:
        raise ValueError(
            f"image_shape={tuple(image_shape)}, but X has images of shape {found} "
            f'(channels="{channels}").'
        )
    if 0 in found:
        raise ValueError(f"X has images of shape {found}: there is no pixel in them.")
    return found


def _with_grey(shape, channels):
    return (1, *shape) if channels == "first" else (*shape, 1)


@ignoring_overflow
def validate_images(estimator, X, y=None, *, reset=False, min_samples=1):
    """Check images, and y where given.

    Parameters
    ----------
    estimator : estimator
        Its `image_shape_` is set where `reset`, and what scikit-learn notes of features.
    X : array-like of shape (n, n_features), (n, height, width) or with channels
    y : array-like or None, default=None
    reset : bool, default=False
    min_samples : int, default=1

    Returns
    -------
    X : ndarray of shape (n, n_features)
        uint8, float32 or float64; a view where X was one of these.
    y : ndarray
        Where one was given.
    """
    refuse_misleading(X, is_prediction=y is None)
    if hasattr(type(X), "requires_grad"):
        X = X.detach().cpu().numpy()
    if not hasattr(X, "shape"):
        X = np.asarray(X)
    n_dims = len(X.shape)
    is_bytes = getattr(X, "dtype", None) == np.uint8
    options = {
        "dtype": np.uint8 if is_bytes else input_dtypes(X),
        "ensure_min_samples": min_samples,
    }
    targets = {} if y is None else {"y": y, "multi_output": True}
    if n_dims > 4:
        find_image_shape(X.shape, None, estimator.channels)  # says what is wrong
    if n_dims > 2:
        X = check_array(
            X, allow_nd=True, estimator=estimator, input_name="X", ensure_2d=False, **options
        )
        if reset:
            shape = find_image_shape(X.shape, estimator.image_shape, estimator.channels)
            estimator.image_shape_ = shape
            vars(estimator).pop("feature_names_in_", None)
        else:
            shape = find_image_shape(X.shape, None, estimator.channels)
            if shape != estimator.image_shape_:
                raise ValueError(
                    f"X has images of shape {shape}, but {type(estimator).__name__} was fitted "
                    f"on images of shape {estimator.image_shape_}."
                )
        X = X.reshape(len(X), -1)
        if y is not None:
            y = check_targets(y)
            check_consistent_length(X, y)
        if reset:
            estimator.n_features_in_ = X.shape[1]
    else:
        with explaining_types(X):
            checked = validate_data(estimator, X, **targets, reset=reset, **options)
        X, y = checked if targets else (checked, None)
        if reset:
            estimator.image_shape_ = find_image_shape(
                X.shape, estimator.image_shape, estimator.channels
            )
    if X.dtype == np.float64:
        refuse_beyond_float32(X)
    return X if y is None else (X, y)


def check_targets(y):
    """Return y of samples that are no rows, as `sklearn.utils.check_X_y` would."""
    if not hasattr(y, "shape"):
        y = np.asarray(y)
    if len(y.shape) == 1:
        return column_or_1d(y)
    return check_array(
        y, input_name="y", dtype=None, ensure_2d=False, allow_nd=False, accept_sparse=True
    )


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
