"""Which units or weights of a network go, and the network without them, in NumPy.

Layers that add to one another (residual ones) share their units: unit `u` of one is unit `u`
of all, and goes from all or from none. Such layers are a *group*; any other layer is a
group of its own.
"""

from dataclasses import replace

import numpy as np

from ..networks.weights import Weights

# The outgoing weights of a unit are shared by its copies equally, up to normal noise of this
# standard deviation (as a part of the weight) that sums to zero: equal copies would stay equal
# for ever. Growing 16, 32, 64, 128 units, letter / california (4,000 rows, three seeds): noise
# 0.5 .941 / .781, 1 .943 / .785, 2 .942 / .788; new units drawn at random with outgoing weights
# of zero .942 / .777; trained at 128 from the beginning .943 / .786.
_NOISE = 1.0


def unit_groups(architecture):
    """Return which hidden layers share their units.

    Parameters
    ----------
    architecture : DenseArchitecture

    Returns
    -------
    list of lists of int
        The hidden layers of each group, in order.
    """
    groups = []
    for layer in range(architecture.depth):
        if architecture.is_residual(layer):
            groups[-1].append(layer)
        else:
            groups.append([layer])
    return groups


def cubic_schedule(amount, n_steps):
    """Return what is to be gone after each step.

    Zhu and Gupta (2017, "To prune, or not to prune", eq. 1) from zero: many at first, when
    there is much to spare, few at the end.

    Parameters
    ----------
    amount : float
        Fraction that is gone at the end.
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
    """Return the nearest multiple that there are units for, at least one.

    A layer of fewer units than the multiple keeps all of them.

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
    """Return how many units each group keeps.

    Parameters
    ----------
    importances : list of ndarray of shape (n_members, n_left)
        Of the units that are left in each group.
    n_units : list of int
        Units of each group before any was removed.
    fraction : float
        Of these units that are to be gone.
    allocation : {"global", "layer"}
        "layer" takes this fraction of every group. "global" takes the least important of
        all groups, with the importances of each divided by their root mean square, since
        layers differ in scale (Molchanov et al. 2017, "Pruning convolutional neural
        networks for resource efficient inference", eq. 9).
    multiple : int, default=1
        Widths are rounded to multiples of it.

    Returns
    -------
    list of int
        At least one of each group.
    """
    if allocation == "layer" or len(n_units) == 1:
        wanted = [(1 - fraction) * n for n in n_units]
    else:
        # Members have as many units each, so that they remain one stack: by their mean.
        relative = [np.sort(_relative(i, axis=1), axis=1).mean(axis=0) for i in importances]
        n_kept = max(len(n_units), round((1 - fraction) * sum(n_units)))
        # The most important unit of a group is always kept.
        others = np.concatenate([r[:-1] for r in relative])
        group = np.repeat(np.arange(len(relative)), [len(r) - 1 for r in relative])
        # By rank, so that equals do not all stay together.
        order = np.argsort(-others, kind="stable")[: n_kept - len(n_units)]
        wanted = 1 + np.bincount(group[order], minlength=len(relative))
    return [
        round_width(w, multiple, i.shape[1]) for w, i in zip(wanted, importances, strict=True)
    ]


def _relative(importance, axis=None):
    """Return importances divided by their root mean square."""
    mean = np.square(importance).mean(axis=axis, keepdims=True)
    return importance / np.maximum(np.sqrt(mean), 1e-300)


def most_important(importance, n_kept):
    """Return the units to keep of each member, in their order.

    Parameters
    ----------
    importance : ndarray of shape (n_members, n_units)
    n_kept : int

    Returns
    -------
    ndarray of int of shape (n_members, n_kept)
    """
    # Stable: of units of equal importance the first are kept.
    order = np.argsort(-importance, axis=1, kind="stable")[:, :n_kept]
    return np.sort(order, axis=1)


class Shares:
    """What part of its outgoing weights each copy of a unit keeps.

    Parameters
    ----------
    units : ndarray of int of shape (n_new,)
        The old unit that each new one is.
    n_old : int
    """

    def __init__(self, units, n_old):
        self.units = units
        self.counts = np.bincount(units, minlength=n_old)

    def apply(self, weights, generator):
        """Return the outgoing weights of the new units.

        Parameters
        ----------
        weights : ndarray of shape (n_old, ...)
        generator : numpy.random.Generator

        Returns
        -------
        ndarray of shape (n_new, ...)
        """
        new = weights[self.units]
        if self.counts.max() == 1:
            return np.ascontiguousarray(new)
        noise = _NOISE * generator.standard_normal(new.shape)
        totals = np.zeros(weights.shape)
        np.add.at(totals, self.units, noise)
        counts = self.counts[self.units].reshape(-1, *[1] * (new.ndim - 1))
        shares = (1 - totals[self.units]) / counts + noise
        return (new * shares).astype(weights.dtype)

    def apply_to_columns(self, weights, generator):
        """Return outgoing weights whose second axis is that of the old units."""
        new = self.apply(np.swapaxes(weights, 0, 1), generator)
        return np.ascontiguousarray(np.swapaxes(new, 0, 1))


def select_units(weights, shares, generator=None):
    """Return a network whose hidden units are some of its own, or copies of them.

    Parameters
    ----------
    weights : Weights
    shares : list of Shares
        One a hidden layer.
    generator : numpy.random.Generator or None
        To share outgoing weights among copies; None where there are none.

    Returns
    -------
    Weights
        Copies.
    """
    coefs, intercepts = ([a.copy() for a in part] for part in weights.parts[:2])
    for layer, share in enumerate(shares):
        coefs[layer] = np.ascontiguousarray(coefs[layer][:, share.units])
        intercepts[layer] = intercepts[layer][share.units]
        coefs[layer + 1] = share.apply(coefs[layer + 1], generator)
    return Weights(coefs, intercepts)


def remove_units(architecture, networks, kept):
    """Return the network without some of its hidden units.

    Parameters
    ----------
    architecture : DenseArchitecture
    networks : list of Weights
        One a member.
    kept : list of ndarray of int of shape (n_members, n_kept)
        The units of each group (see `unit_groups`) that stay.

    Returns
    -------
    architecture : DenseArchitecture
    networks : list of Weights
        Copies.
    """
    kept_of_layer = [None] * architecture.depth
    for layers, units in zip(unit_groups(architecture), kept, strict=True):
        for layer in layers:
            kept_of_layer[layer] = units
    smaller = []
    for member, weights in enumerate(networks):
        pairs = zip(kept_of_layer, architecture.widths, strict=True)
        smaller.append(select_units(weights, [Shares(u[member], n_old) for u, n_old in pairs]))
    widths = tuple(units.shape[1] for units in kept_of_layer)
    return replace(architecture, widths=widths), smaller


def keep_apart(architecture, counts, multiple=1):
    """Change counts so that no layer begins to add to another for their equal widths.

    Parameters
    ----------
    architecture : DenseArchitecture
        Before the removal.
    counts : list of int
        Units that each group keeps.
    multiple : int, default=1

    Returns
    -------
    list of int
    """
    if not architecture.residual:
        return counts
    counts, groups = list(counts), unit_groups(architecture)
    for g in range(1, len(groups)):
        most = architecture.widths[groups[g][0]]
        if counts[g] == counts[g - 1]:
            more = counts[g] + multiple
            counts[g] = more if more <= most else counts[g] - multiple
        if counts[g] < 1:
            # Both have one unit, and neither has another to give: see `allocate`.
            raise ValueError(
                f"Layers {groups[g - 1][-1]} and {groups[g][0]} would both be {counts[g - 1]} "
                "wide, and residual layers of equal widths add to one another. Lower pruning, "
                "or set residual=False."
            )
    return counts


def weight_masks(importances, fraction, allocation):
    """Return which weights of a network stay.

    Parameters
    ----------
    importances : list of ndarray of shape (n_inputs, n_outputs)
        Of the weights of each layer.
    fraction : float
        Of all weights that go.
    allocation : {"global", "layer"}
        Whether the least important of all layers go, or this fraction of each; as of units.

    Returns
    -------
    list of ndarray of bool
        One weight of each layer stays at least.
    """
    if allocation == "global":
        every = np.concatenate([_relative(i).ravel() for i in importances])
        stays = _are_spared(every, fraction)
        masks = np.split(stays, np.cumsum([i.size for i in importances])[:-1])
    else:
        masks = [_are_spared(i.ravel(), fraction) for i in importances]
    for mask, importance in zip(masks, importances, strict=True):
        mask[importance.argmax()] = True
    return [m.reshape(i.shape) for m, i in zip(masks, importances, strict=True)]


def _are_spared(importance, fraction):
    """Return which stay where a fraction of the least important goes."""
    # By rank, so that equals do not all go together.
    order = np.argsort(importance, kind="stable")
    stays = np.ones(importance.size, dtype=bool)
    stays[order[: int(np.floor(fraction * importance.size))]] = False
    return stays
