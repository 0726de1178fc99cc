"""What the scale hyperparameters mean: pure arithmetic, no array library."""

from numbers import Integral


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
