"""Numbers of units and of weights to remove from a network, in NumPy.

Groups of units are those of `Architecture.unit_groups`.
"""

import numpy as np


def cubic_schedule(amount, n_steps):
    """Return the fraction removed in total after each step.

    Zhu and Gupta (2017, "To prune, or not to prune", eq. 1) with initial sparsity zero: large
    steps at first, when the network is redundant, small ones at the end.

    Parameters
    ----------
    amount : float
        Fraction removed in total after the last step.
    n_steps : int

    Returns
    -------
    list of float

    Examples
    --------
    >>> [round(fraction, 3) for fraction in cubic_schedule(0.8, 4)]
    [0.463, 0.7, 0.788, 0.8]
    """
    return [amount * (1 - (1 - (step + 1) / n_steps) ** 3) for step in range(n_steps)]


def round_width(n_units, multiple, most):
    """Round a width to the nearest multiple within the available units, at least one multiple.

    A layer with fewer units than the multiple keeps all of them.

    Examples
    --------
    >>> [round_width(n, 8, 100) for n in (1, 11, 12.5, 99, 100)]
    [8, 8, 16, 96, 96]
    >>> round_width(1, 8, 5)
    5
    """
    nearest = multiple * int(np.floor(n_units / multiple + 0.5))
    return min(max(nearest, multiple), most - most % multiple or most)


def allocate(importances, n_units, fraction, allocation, multiple=1):
    """Return the number of units to keep in each group.

    Parameters
    ----------
    importances : list of ndarray of shape (n_members, n_left)
        Importances of the remaining units of each group.
    n_units : list of int
        Number of units of each group before any removal.
    fraction : float
        Fraction of `n_units` to remove in total.
    allocation : {"global", "layer"}
        "layer" removes this fraction of every group. "global" removes the least important of
        all groups, after division of the importances by their root mean square in each group,
        since layers differ in scale (Molchanov et al. 2017, "Pruning convolutional neural
        networks for resource efficient inference", eq. 9).
    multiple : int, default=1
        Widths are rounded to multiples of it.

    Returns
    -------
    list of int
        At least one per group.
    """
    if allocation == "layer" or len(n_units) == 1:
        wanted = [(1 - fraction) * n for n in n_units]
    else:
        # Members keep equal widths, so that they remain one stack: rank by their mean.
        relative = [np.sort(_relative(i, axis=1), axis=1).mean(axis=0) for i in importances]
        n_remaining = max(len(n_units), round((1 - fraction) * sum(n_units)))
        # The most important unit of a group is always kept.
        others = np.concatenate([r[:-1] for r in relative])
        group = np.repeat(np.arange(len(relative)), [len(r) - 1 for r in relative])
        # By rank, since a threshold would keep all units of equal importance.
        order = np.argsort(-others, kind="stable")[: n_remaining - len(n_units)]
        wanted = 1 + np.bincount(group[order], minlength=len(relative))
    return [
        round_width(w, multiple, i.shape[1]) for w, i in zip(wanted, importances, strict=True)
    ]


def _relative(importance, axis=None):
    """Return importances divided by their root mean square."""
    mean = np.square(importance).mean(axis=axis, keepdims=True)
    return importance / np.maximum(np.sqrt(mean), 1e-300)


def avoid_equal_widths(architecture, counts, multiple=1):
    """Change counts so that equal widths create no new residual connection.

    Parameters
    ----------
    architecture : Architecture
        Before the removal.
    counts : list of int
        Number of units to keep in each group.
    multiple : int, default=1

    Returns
    -------
    list of int
    """
    if not architecture.residual:
        return counts
    counts, groups = list(counts), architecture.unit_groups
    for g in range(1, len(groups)):
        most = architecture.widths[groups[g][0]]
        if counts[g] == counts[g - 1]:
            more = counts[g] + multiple
            counts[g] = more if more <= most else counts[g] - multiple
        if counts[g] < 1:
            # The group can be neither wider nor narrower by one multiple.
            raise ValueError(
                f"Layers {groups[g - 1][-1]} and {groups[g][0]} would both have "
                f"{counts[g - 1]} units after pruning, and equal widths would add a residual "
                "connection. Lower pruning, or set residual=False."
            )
    return counts


def weight_masks(importances, fraction, allocation):
    """Return masks of the weights to keep.

    Parameters
    ----------
    importances : list of ndarray of shape (n_inputs, n_outputs)
        Importances of the weights of each layer.
    fraction : float
        Fraction of all weights to remove.
    allocation : {"global", "layer"}
        "global" removes the least important of all layers, "layer" this fraction of each, as
        in `allocate`.

    Returns
    -------
    list of ndarray of bool
        Each layer keeps at least one weight.
    """
    if allocation == "global":
        every = np.concatenate([_relative(i).ravel() for i in importances])
        is_remaining = _mask_remaining(every, fraction)
        masks = np.split(is_remaining, np.cumsum([i.size for i in importances])[:-1])
    else:
        masks = [_mask_remaining(i.ravel(), fraction) for i in importances]
    for mask, importance in zip(masks, importances, strict=True):
        mask[importance.argmax()] = True
    return [m.reshape(i.shape) for m, i in zip(masks, importances, strict=True)]


def _mask_remaining(importance, fraction):
    """Return a mask of the entries to keep if the least important fraction is removed."""
    # By rank, since a threshold would remove all entries of equal importance.
    order = np.argsort(importance, kind="stable")
    is_remaining = np.ones(importance.size, dtype=bool)
    is_remaining[order[: int(np.floor(fraction * importance.size))]] = False
    return is_remaining
