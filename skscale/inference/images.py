"""Image inputs: image shapes and pixel moments."""

import warnings
from dataclasses import dataclass, replace
from math import isqrt, prod

import numpy as np

from ..storage.tree import expect, expect_floats
from .inputs import SampleInputs

# Numbers of channels that images usually have.
_USUAL_CHANNELS = (1, 3, 4)
# Sides of an image differ by at most this factor, in doubt: a signal of 8 values at 100 times
# is no image of 100x8.
_MOST_OBLONG = 3
# Number of values per block when computing means and deviations.
_BLOCK = 1 << 22


@dataclass(frozen=True, eq=False)
class ImageInputs(SampleInputs):
    """Inputs from images: samples of height, width and channels, or rows of pixels.

    Parameters
    ----------
    owner, n_features, names, shape, takes_integers
        As in `SampleInputs`.
    channels_first : bool
        Whether channels come before height and width.
    mean, scale : ndarrays of shape (n_channels,) or None
        Moments of the pixels: see `pixel_moments`. The network subtracts `mean` and
        multiplies by `scale`.
    """

    channels_first: bool = False
    mean: np.ndarray | None = None
    scale: np.ndarray | None = None

    @staticmethod
    def _find_shape(X_shape, image_shape, channels):
        shape = find_image_shape(X_shape, image_shape, channels)
        return shape, {"channels_first": channels == "first"}

    def fit_encoding(self, numbers, is_complete, rows, weights, dtype, targets=None):
        """Return these inputs with the moments of the pixels: see `Inputs.fit_encoding`."""
        super().fit_encoding(numbers, is_complete, rows, weights, dtype)
        moments = pixel_moments(numbers, self.shape, self.channels_first, rows, weights, dtype)
        return replace(self, mean=moments[0], scale=moments[1])

    @property
    def sides(self):
        """(int, int): height and width."""
        return self.shape[1:] if self.channels_first else self.shape[:2]

    def check(self, n_inputs):
        """Reject parts that do not match: see `Inputs.check`."""
        super().check(n_inputs)
        expect(len(self.shape) == 3, "an image shape of three integers")
        expect(isinstance(self.channels_first, bool), "a boolean")
        n_channels = self.n_features // prod(self.sides)
        for moments in (self.mean, self.scale):
            expect_floats(moments, (n_channels,))

    def _check_shape(self, shape, names):
        if len(shape) == 2:
            self.check_rows(shape, names)
            return
        found = read_image_shape(shape, None, "first" if self.channels_first else "last")
        if found != self.shape:
            raise ValueError(
                f"X has images of shape {found}, but {self.owner} was fitted on images of "
                f"shape {self.shape}."
            )
        self.check_rows(shape, self.names)


def find_image_shape(X_shape, image_shape, channels):
    """Find height, width and channels, in the order of X.

    Parameters
    ----------
    X_shape : tuple of int
        (n, n_features), (n, height, width) or (n, height, width, channels); with
        channels="first", channels come before height and width.
    image_shape : tuple of int or None
        Image shape of rows: (height, width) or all three. None gives a square if the number
        of features is a perfect square, else one row of gray pixels.
    channels : {"auto", "first", "last"}
        "auto" is "last", checked.

    Returns
    -------
    tuple of int
        Three integers.

    Raises
    ------
    ValueError
        If X cannot hold such images, or channels="auto" and the channels seem to come first.

    Warns
    -----
    UserWarning
        If channels="first" and the channels seem to come last.

    Examples
    --------
    >>> find_image_shape((5, 784), None, "last"), find_image_shape((5, 10), None, "last")
    ((28, 28, 1), (1, 10, 1))
    >>> find_image_shape((5, 3072), (3, 32, 32), "first")
    (3, 32, 32)
    """
    found = read_image_shape(X_shape, image_shape, channels)
    if channels == "auto" and seem_first(*found):
        raise ValueError(
            f"Expected images of shape (height, width, channels), got {found}, which looks "
            'like channels first. Set channels="first" for images of height '
            f'{found[1]}, width {found[2]} and {_count(found[0])}, or channels="last" for '
            f"images of height {found[0]}, width {found[1]} and {_count(found[2])}."
        )
    if channels == "first" and seem_first(*found[::-1]):
        warnings.warn(
            f'Expected images of shape (channels, height, width) with channels="first", got '
            f"{found}, which looks like channels last: it is read as height {found[1]}, width "
            f'{found[2]} and {_count(found[0])}. Set channels="last" if the last axis holds '
            "the channels.",
            UserWarning,
            stacklevel=3,
        )
    return found


def seem_first(first, second, third):
    """Return whether a shape is (channels, height, width), by usual numbers.

    Examples
    --------
    >>> seem_first(3, 32, 32), seem_first(32, 32, 3), seem_first(1, 100, 8)
    (True, False, False)
    """
    sides = sorted((second, third))
    is_image = sides[0] > max(_USUAL_CHANNELS) and sides[1] <= _MOST_OBLONG * sides[0]
    return first in _USUAL_CHANNELS and is_image


def _count(n_channels):
    return f"{n_channels} channel{'' if n_channels == 1 else 's'}"


def read_image_shape(X_shape, image_shape, channels):
    """Return the image shape as `find_image_shape`, without a check for the other position."""
    wanted = None
    if image_shape is not None:
        wanted = tuple(int(n) for n in image_shape)
        if len(wanted) == 2:
            wanted = _with_gray(wanted, channels)
    if len(X_shape) == 2:
        n_features = X_shape[1]
        if wanted is None:
            side = isqrt(n_features)
            shape = (side, side) if side * side == n_features else (1, n_features)
            return _with_gray(shape, channels)
        if prod(wanted) != n_features:
            raise ValueError(
                f"image_shape={tuple(image_shape)} has {prod(wanted)} pixel values, but X has "
                f"{n_features} features. Expected equal numbers: pass height, width and "
                "channels of the images as image_shape."
            )
        return wanted
    if len(X_shape) == 3:
        found = _with_gray(tuple(X_shape[1:]), channels)
    elif len(X_shape) == 4:
        found = tuple(int(n) for n in X_shape[1:])
    else:
        raise ValueError(
            "Expected X of shape (n, height, width), (n, height, width, channels) or "
            f"(n, n_features), got an array of shape {tuple(X_shape)}."
        )
    if wanted is not None and wanted != found:
        raise ValueError(
            f"image_shape={tuple(image_shape)}, but X has images of shape {found} "
            f'(channels="{channels}"). Expected equal shapes: omit image_shape, which only '
            "rows of pixels need."
        )
    if 0 in found:
        raise ValueError(
            f"Expected images with at least one pixel, got images of shape {found}."
        )
    return found


def _with_gray(shape, channels):
    shape = tuple(int(n) for n in shape)
    return (1, *shape) if channels == "first" else (*shape, 1)


def pixel_moments(X, shape, channels_first, rows, weights, dtype):
    """Return the mean and the inverse standard deviation of each channel over some rows.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
    shape : tuple of int
        Shape of an image.
    channels_first : bool
    rows : ndarray of int
    weights : ndarray of shape (n,) or None
    dtype : numpy dtype

    Returns
    -------
    mean, scale : ndarrays of shape (n_channels,)
        A constant channel has scale 1.
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
            shift = part.mean(axis=(0, 1))  # avoids cancellation
        part = part - shift
        w = np.ones(len(part)) if weights is None else weights[chosen].astype(np.float64)
        total += w @ part.mean(axis=1)
        squares += w @ np.square(part).mean(axis=1)
        weight += w.sum()
    mean = total / weight
    variance = np.maximum(squares / weight - np.square(mean), 0.0)
    # Ignore variance from rounding, and variance whose inverse deviation overflows.
    is_constant = variance <= 1e-20 * np.square(mean + shift)
    is_constant |= variance < np.square(float(np.finfo(dtype).tiny))
    deviation = np.where(is_constant, 1.0, np.sqrt(variance))
    return (mean + shift).astype(dtype), (1 / deviation).astype(dtype)
