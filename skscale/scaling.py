"""Arithmetic of the scale hyperparameters, without an array library."""

import math
from numbers import Integral
from typing import NamedTuple

# Larger values must be mistakes.
_MAX = 1_000_000
# Coefficients are decimal fractions: a rounding error must not make 2 * 1.5 round up to 4.
_ROUNDING = 1e-9
# Pixels of the larger side: maximum of the last map; maximum of images that the first stage
# does not halve.
_SMALLEST_MAP, LARGE_SIDE = 4, 16
# Maximum dropout under compound scaling, and its relative growth per unit of phi. Tan and Le
# (2019, section 5.2) use 0.2 at B0 and 0.5 at B7.
_LARGEST_DROPOUT, _DROPOUT_GROWTH = 0.5, 0.2


class Scale(NamedTuple):
    """Scale of a dense network.

    Attributes
    ----------
    widths : tuple of int
        Units of each hidden layer.
    resolution : int
    """

    widths: tuple
    resolution: int


def hidden_widths(depth, width):
    """Resolve `depth` and `width` into the width of each hidden layer.

    Parameters
    ----------
    depth : int or None
        Number of hidden layers. 0 is a linear model. None when `width` is a tuple.
    width : int or tuple of int
        Units of every hidden layer, or a tuple with the units of each.

    Returns
    -------
    tuple of int
        One entry per hidden layer.

    Raises
    ------
    ValueError
        If `depth` and `width` contradict each other, or `depth` is missing.

    Examples
    --------
    >>> hidden_widths(2, 64)
    (64, 64)
    >>> hidden_widths(None, (128, 32))
    (128, 32)
    >>> hidden_widths(0, 64)
    ()
    """
    if isinstance(width, Integral):
        if depth is None:
            raise ValueError(
                f"depth=None needs the width of each hidden layer, got width={width!r}. "
                f"Pass a tuple, such as width=({width}, {width}), or set depth."
            )
        return (int(width),) * int(depth)
    widths = tuple(int(w) for w in width)
    if depth is not None and depth != len(widths):
        raise ValueError(
            f"width={width!r} describes {len(widths)} hidden layers, but depth={depth}. "
            "Set depth=None when width is a tuple: its length is the depth."
        )
    return widths


def compound_scale(depth, width, resolution, phi, coefficients):
    """Scale depth, width and resolution together (Tan and Le 2019, eq. 3).

    Parameters
    ----------
    depth : int or None
        Hidden layers, rounded up. A network with hidden layers keeps at least one.
    width : int or tuple of int
        Units, rounded to the nearest integer. The widths of a tuple share the new depth
        evenly, like the stages of a convolutional network.
    resolution : int
        Bins of each numeric feature, rounded to the nearest integer; 0 stays 0.
    phi : float
        0 changes nothing.
    coefficients : tuple of three floats
        Depth, width and resolution are each multiplied by their coefficient to the power of
        phi.

    Returns
    -------
    Scale

    Raises
    ------
    ValueError
        If `depth` and `width` contradict each other, or a scaled number exceeds 1,000,000.

    References
    ----------
    Tan, Le (2019). EfficientNet: rethinking model scaling for convolutional neural networks.
    ICML.

    Examples
    --------
    >>> compound_scale(2, 64, 8, 2, (1.2, 1.1, 1.15))
    Scale(widths=(77, 77, 77), resolution=11)
    >>> compound_scale(None, (64, 16), 0, 1, (1.5, 1.0, 1.0))
    Scale(widths=(64, 64, 16), resolution=0)
    """
    widths = hidden_widths(depth, width)
    if phi == 0:
        return Scale(widths, int(resolution))

    of_depth, of_width, of_resolution = coefficients
    n_layers = math.ceil(_scaled(len(widths), of_depth, phi, "depth") - _ROUNDING)
    n_layers = max(n_layers, min(len(widths), 1))
    of_layers = [widths[k * len(widths) // n_layers] for k in range(n_layers)]
    bins = _scaled(int(resolution), of_resolution, phi, "resolution")
    return Scale(
        tuple(max(1, _nearest(_scaled(w, of_width, phi, "width"))) for w in of_layers),
        max(_nearest(bins), min(int(resolution), 1)),
    )


class ImageScale(NamedTuple):
    """Scale of a convolutional network.

    Attributes
    ----------
    depth : int
        Blocks of each stage.
    widths : tuple of int
        Channels of each stage.
    resolution : int
        Pixels of the larger side.
    """

    depth: int
    widths: tuple
    resolution: int


def halvings(side):
    """Return the number of halvings until the larger side of an image is at most 4 pixels.

    Examples
    --------
    >>> [halvings(side) for side in (4, 8, 28, 32, 33, 224)]
    [0, 1, 3, 3, 4, 6]
    """
    return max(0, math.ceil(math.log2(side / _SMALLEST_MAP)))


def image_scale(depth, width, resolution, side, phi, coefficients):
    """Scale the stages of a convolutional network and its images together.

    Each stage after the first halves its maps; with images of more than 16 pixels, so does the
    first. The number of stages depends on the images before scaling, so that `resolution`
    changes the maps but not the network.

    Parameters
    ----------
    depth : int
        Blocks of each stage, rounded up.
    width : int or tuple of int
        Channels of the first stage, doubled at each later stage; or a tuple with the channels
        of each stage. Rounded to the nearest multiple of 8 if phi is not 0.
    resolution : int
        Pixels of the larger side, rounded to an even number if phi is not 0; 0 means `side`.
    side : int
        Pixels of the larger side of the images.
    phi, coefficients : float, tuple of three floats
        As of `compound_scale`.

    Returns
    -------
    ImageScale

    Examples
    --------
    >>> image_scale(2, 16, 0, 28, 0, (1.2, 1.1, 1.15))
    ImageScale(depth=2, widths=(16, 32, 64), resolution=28)
    >>> image_scale(2, 16, 0, 28, 2, (1.2, 1.1, 1.15))
    ImageScale(depth=3, widths=(16, 40, 80), resolution=38)
    """
    if isinstance(width, Integral):
        n_stages = max(2, halvings(side) + 1 - (side > LARGE_SIDE))
        widths = tuple(int(width) * 2**stage for stage in range(n_stages))
    else:
        widths = tuple(int(w) for w in width)
    pixels = int(resolution) or side
    if phi == 0:
        return ImageScale(int(depth), widths, pixels)
    of_depth, of_width, of_resolution = coefficients
    blocks = math.ceil(_scaled(int(depth), of_depth, phi, "depth") - _ROUNDING)

    def rounded(number, multiple):
        return max(multiple, multiple * _nearest(number / multiple))

    return ImageScale(
        max(1, blocks),
        tuple(rounded(_scaled(w, of_width, phi, "width"), 8) for w in widths),
        rounded(_scaled(pixels, of_resolution, phi, "resolution"), 2),
    )


def scale_number(number, coefficient, phi, name, rounds_up=False):
    """Scale one number of a network by phi; phi = 0 returns it unchanged.

    Parameters
    ----------
    number : int or float
    coefficient : float
    phi : float
    name : str
        Name of the number, for the error message.
    rounds_up : bool, default=False
        Whether to round up, as for depth, or to the nearest integer.

    Returns
    -------
    int or float

    Examples
    --------
    >>> scale_number(2, 1.2, 1, "depth", rounds_up=True), scale_number(64, 1.1, 2, "")
    (3, 77)
    """
    if phi == 0:
        return number
    scaled = _scaled(number, coefficient, phi, name)
    rounded = math.ceil(scaled - _ROUNDING) if rounds_up else _nearest(scaled)
    return max(rounded, min(int(number), 1))


def compound_dropout(rate, phi):
    """Return the dropout rate of a network scaled by phi; larger networks need more.

    Parameters
    ----------
    rate : float
        Dropout rate at phi = 0.
    phi : float

    Returns
    -------
    float
        From 0 to 0.5, unless phi is 0.

    Examples
    --------
    >>> [round(compound_dropout(0.2, phi), 2) for phi in (-5, 0, 1, 7, 10)]
    [0.0, 0.2, 0.24, 0.48, 0.5]
    """
    if phi == 0:
        return rate
    return min(max(rate * (1 + _DROPOUT_GROWTH * phi), 0.0), _LARGEST_DROPOUT)


def _scaled(number, coefficient, phi, name):
    if not number:
        return 0
    try:
        result = number * coefficient**phi
    except OverflowError:
        result = math.inf
    if result > _MAX:
        raise ValueError(
            f"phi={phi!r} with the coefficient {coefficient!r} of the {name} makes more than "
            f"{_MAX:,} out of {number}. Expected a smaller phi: 3 is large."
        )
    return result


def _nearest(number):
    return math.floor(number + 0.5)
