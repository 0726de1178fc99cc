"""Selection of hidden units: the most important ones, or copies of units.

Growth and shrinking are both a *selection*: each new unit is a copy of an old one. The copies
of a unit share its outgoing weights; units that are not selected are removed.
"""

import numpy as np

# The copies of a unit share its outgoing weights equally, up to normal noise that sums to zero,
# with this standard deviation relative to the weight: equal copies would stay equal in
# training. Growing 16, 32, 64, 128 units, letter / california (4,000 rows, three seeds): noise
# 0.5 .941 / .781, 1 .943 / .785, 2 .942 / .788; new units drawn at random with outgoing weights
# of zero .942 / .777; trained at 128 from the beginning .943 / .786.
_NOISE = 1.0


def square_sums(weights, axis):
    """Return the sums of squares over all axes but one, in float64."""
    others = tuple(k for k in range(weights.ndim) if k != axis)
    return np.square(weights, dtype=np.float64).sum(axis=others)


def most_important(importance, n_remaining):
    """Return the most important units of each member, in their original order.

    Parameters
    ----------
    importance : ndarray of shape (n_members, n_units)
    n_remaining : int

    Returns
    -------
    ndarray of int of shape (n_members, n_remaining)
    """
    # Stable: among units of equal importance the first are kept.
    order = np.argsort(-importance, axis=1, kind="stable")[:, :n_remaining]
    return np.sort(order, axis=1)


class Shares:
    """Shares of a unit's outgoing weights among its copies.

    Parameters
    ----------
    units : ndarray of int of shape (n_new,)
        Old unit that each new unit is a copy of.
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
        """Return the outgoing weights of the new units, with units on the second axis."""
        new = self.apply(np.swapaxes(weights, 0, 1), generator)
        return np.ascontiguousarray(np.swapaxes(new, 0, 1))


def copy_in_turn(n_old, n_new):
    """Return the old unit that each of the new units is a copy of."""
    return np.arange(n_new) % n_old


def select(importances, n_old, n_new):
    """Return the Shares of a layer of another width.

    Parameters
    ----------
    importances : ndarray of shape (n_old,)
        Only read if the layer becomes narrower.
    n_old, n_new : int

    Returns
    -------
    Shares
        Copies of all units in turn, or the most important ones.
    """
    if n_new < n_old:
        return Shares(most_important(importances[None], n_new)[0], n_old)
    return Shares(copy_in_turn(n_old, n_new), n_old)
