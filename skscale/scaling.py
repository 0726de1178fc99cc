"""What the scale hyperparameters mean: pure arithmetic, no array library."""

import math
from numbers import Integral
from typing import NamedTuple

# What is larger was not meant.
_MOST = 1_000_000
# Coefficients are decimals: 2 * 1.5 shall not round up to 4 for the last bit's sake.
_ROUNDING = 1e-9
# Pixels of the larger side: of the last map at most, and of images that the first stage need
# not halve.
_SMALLEST_MAP, LARGE_SIDE = 4, 16
# Of dropout under compound scaling, and its growth a unit of phi: 0.2 at B0, 0.5 at B7 of Tan
# and Le (2019, section 5.2).
_LARGEST_DROPOUT, _DROPOUT_GROWTH = 0.5, 0.2


class Scale(NamedTuple):
    """What is built.

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
        Units in every hidden layer, or the units of each hidden layer in turn.

    Returns
    -------
    tuple of int
        One entry a hidden layer.

    Raises
    ------
    ValueError
        If `depth` and `width` say different things, or `depth` is missing.

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
        Hidden layers, rounded up: a network with any has one at least.
    width : int or tuple of int
        Units, rounded to the nearest. Of a tuple each width stands for its share of the
        depth, as the stages of a convolutional network do.
    resolution : int
        Bins of each numeric feature, rounded to the nearest; 0 stays 0.
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
        If `depth` and `width` say different things, or the network would be enormous.

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
    """What is built of a convolutional network.

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
    """Return how often images are halved until the larger side is 4 pixels or fewer.

    Examples
    --------
    >>> [halvings(side) for side in (4, 8, 28, 32, 33, 224)]
    [0, 1, 3, 3, 4, 6]
    """
    return max(0, math.ceil(math.log2(side / _SMALLEST_MAP)))


def image_scale(depth, width, resolution, side, phi, coefficients):
    """Scale the stages of a convolutional network and its images together.

    Each stage but the first halves its maps, and with images of more than 16 pixels the first
    does, too; the number of stages is that of the images before any scaling, so that
    `resolution` changes maps and not the network.

    Parameters
    ----------
    depth : int
        Blocks of each stage, rounded up.
    width : int or tuple of int
        Channels of the first stage, each later one having twice those of the one before it; or
        the channels of each stage. Rounded to the nearest multiple of 8 where phi is not 0.
    resolution : int
        Pixels of the larger side, rounded to even where phi is not 0; 0 is the side.
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
    """Return one number of a network under phi; at phi = 0 itself.

    Parameters
    ----------
    number : int or float
    coefficient : float
    phi : float
    name : str
        Name of the number, for the error message.
    rounds_up : bool, default=False
        As depth does; else to the nearest.

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
    """Return the rate of dropout of a network scaled by phi: larger ones need more.

    Parameters
    ----------
    rate : float
        At phi = 0.
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
    if result > _MOST:
        raise ValueError(
            f"phi={phi!r} with the coefficient {coefficient!r} of the {name} makes more than "
            f"{_MOST:,} out of {number}. Expected a smaller phi: 3 is large."
        )
    return result


def _nearest(number):
    return math.floor(number + 0.5)
