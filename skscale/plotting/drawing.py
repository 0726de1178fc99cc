"""Drawing helpers of the displays: axes, colors, labels, number formats.

Text and edges have the colors of matplotlib's current style, for light and dark backgrounds.
"""

from ..costs.scoring import CostScoring, costs_of

# Okabe and Ito 2008, "Color universal design": blue, vermillion, green, purple, orange and sky
# blue. The first four have a contrast of at least 3 to white. On black the blues are swapped.
_ON_LIGHT = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_ON_DARK = ("#56B4E9", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#0072B2")
# Empty pixels around a label.
_ROOM = 4
MARKERS = ("o", "s", "^", "D", "v", "P")


def new_axes(ax, display):
    """Return the axes to draw on; make new ones if `ax` is None.

    Parameters
    ----------
    ax : matplotlib Axes or None
    display : object
        The object to draw, named in the message.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"{type(display).__name__} needs matplotlib, which is not installed. Install it: "
            'pip install "skscale[plot]".'
        ) from error
    return plt.subplots(layout="constrained")[1] if ax is None else ax


def colors_on(ax):
    """Return six color-blind safe colors for the background of the axes.

    Returns
    -------
    tuple of str
    """
    red, green, blue, _ = ax.get_facecolor()
    # Luma of Rec. 601, accurate enough to separate dark from light.
    return _ON_LIGHT if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else _ON_DARK


def draw_legend(ax, n_columns=2):
    """Draw the legend above the axes, outside the data.

    Returns
    -------
    matplotlib Legend
    """
    return ax.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=n_columns,
        frameon=False,
        fontsize="small",
    )


def scale_cost_axis(ax):
    """Make the horizontal axis logarithmic, with plain numbers as tick labels."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ax.set_xscale("log")
    low, high = ax.get_xlim()
    steps = (1,) if high > 300 * low else (1, 3) if high > 10 * low else (1, 2, 5)
    ax.xaxis.set_major_locator(LogLocator(subs=steps))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: format_number(x)))
    ax.xaxis.set_minor_formatter(NullFormatter())


def format_number(x):
    """Format a number as plain text: 20,000 and 0.05.

    Returns
    -------
    str
    """
    return f"{x:,.0f}" if x >= 1000 else f"{x:.4g}"


def cost_label(search, cost):
    """Return the axis label of a cost, with its unit.

    Parameters
    ----------
    search : search or dict
        Its scoring may hold costs of the user's own.
    cost : str

    Returns
    -------
    str
    """
    costs = costs_of(search)
    return costs[cost].label if cost in costs else cost


def score_label(search, score, n_splits):
    """Return the axis label of a mean score.

    Parameters
    ----------
    search : search or dict
        Its scoring gives the name of "score".
    score : str
    n_splits : int

    Returns
    -------
    str
    """
    scoring = getattr(search, "scoring", None)
    inner = scoring.scoring if isinstance(scoring, CostScoring) else None
    name = inner if score == "score" and isinstance(inner, str) else score
    name = name.removeprefix("neg_") + " (negative)" if name.startswith("neg_") else name
    return f"{name.replace('_', ' ')}, mean of {n_splits} splits"


def values_of(params, name):
    """Return each candidate's value of a parameter.

    Parameters
    ----------
    params : list of dict
    name : str
        A prefix such as `mlp__` may be omitted.

    Returns
    -------
    list
        None for a candidate that does not set it.

    Raises
    ------
    ValueError
        If no candidate sets it, or several parameters have this name.
    """
    known = list(dict.fromkeys(key for one in params for key in one))
    keys = [name] if name in known else [k for k in known if k.endswith(f"__{name}")]
    if len(keys) != 1:
        raise ValueError(
            f"Expected the name of one parameter of the search, got {name!r}, which "
            f"{f'may be any of {keys}' if keys else 'no candidate sets'}. Pass one of {known}."
        )
    return [one.get(keys[0]) for one in params]


def format_value(value):
    """Format a parameter's value briefly: estimators as the name of their class.

    Returns
    -------
    str
    """
    if hasattr(value, "get_params"):
        return type(value).__name__
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, (tuple, list)):
        return "-".join(map(str, value))
    return str(value)


def format_params(params):
    """Format the varying parameters of each candidate, without prefixes.

    Parameters
    ----------
    params : list of dict

    Returns
    -------
    list of str
    """
    names = list(dict.fromkeys(key for one in params for key in one))
    written = [{k: format_value(one[k]) for k in names if k in one} for one in params]
    varying = [k for k in names if len({one.get(k) for one in written}) > 1]
    return [
        ", ".join(f"{k.rsplit('__', 1)[-1]}={one[k]}" for k in varying if k in one)
        for one in written
    ]


def label_sparsely(ax, x, y, labels, obstacles):
    """Label points where space permits: above to the left, else below to the right.

    Parameters
    ----------
    ax : matplotlib Axes
    x, y : ndarray of shape (n_points,)
        Points, the most important first.
    labels : list of str
    obstacles : ndarray of shape (n_obstacles, 2)
        Points in data coordinates that no label may cover.

    Returns
    -------
    list of matplotlib Annotation
    """
    # Extents in pixels are known only after the layout.
    ax.figure.draw_without_rendering()
    frame, points = ax.get_window_extent(), ax.transData.transform(obstacles)
    placed = []
    for *point, text in zip(x, y, labels, strict=True):
        for offset, sides in (((-5, 5), ("right", "bottom")), ((5, -5), ("left", "top"))):
            label = ax.annotate(
                text, point, xytext=offset, textcoords="offset points", fontsize="x-small",
                ha=sides[0], va=sides[1],
            )  # fmt: skip
            # Padded, because other axes of the figure may change the layout later.
            box = label.get_window_extent().padded(_ROOM)
            is_inside = frame.containsx(box.x0) and frame.containsx(box.x1)
            is_inside &= frame.containsy(box.y0) and frame.containsy(box.y1)
            others = [other.get_window_extent() for other in placed]
            if is_inside and not box.count_contains(points) and not box.count_overlaps(others):
                placed.append(label)
                break
            label.remove()
    return placed
