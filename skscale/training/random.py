"""The random numbers of a fit: its own seed alone decides them.

Each purpose has a stream of its own, so that what one draws never shifts another: two
candidates with one seed and one fold see the same order of rows whatever their width.
"""

from numbers import Integral

import numpy as np

# Dropout compares 16 random bits: a rate is met within 1 / 131072.
_MASK_BITS = 16
_MASKS_PER_DRAW = 64 // _MASK_BITS


def sequences(seed):
    """Return the seed sequences of one fit.

    Of initial weights, order, dropout, split, the rows that importance is measured on,
    augmentation and what a module draws of its own.
    """
    return np.random.SeedSequence(seed).spawn(7)


def draw_seed(random_state):
    """Return the seed of a fit.

    Parameters
    ----------
    random_state : None, int or RandomState
        None takes fresh entropy of the operating system; a RandomState is advanced.

    Returns
    -------
    int
    """
    if random_state is None:
        return np.random.SeedSequence().entropy
    if isinstance(random_state, Integral):
        return int(random_state)
    return int(random_state.randint(2**63, dtype=np.int64))


def split_random_state(seed):
    """Return the generator that draws the validation rows, as scikit-learn takes it."""
    return np.random.RandomState(np.random.MT19937(sequences(seed)[3]))


def initial_stream(seed):
    """Return the generator that draws the initial weights."""
    return np.random.Generator(np.random.SFC64(sequences(seed)[0]))


def importance_rows(seed, rows, most):
    """Return at most so many of the rows, drawn without replacement."""
    if len(rows) <= most:
        return rows
    generator = np.random.Generator(np.random.SFC64(sequences(seed)[4]))
    return np.sort(generator.choice(rows, most, replace=False))


class DropoutRate:
    """A rate in terms of random int16 numbers, uniform over [-32768, 32767].

    Parameters
    ----------
    dropout : float
        Dropout rate, 0 to below 1.

    Attributes
    ----------
    threshold : int
        A unit stays where its number is at least this.
    scale : float
        What is left is multiplied by it.
    """

    def __init__(self, dropout):
        dropped = min(round(dropout * 2**_MASK_BITS), 2**_MASK_BITS - 1)
        self.threshold = dropped - 2 ** (_MASK_BITS - 1)
        self.scale = 2**_MASK_BITS / (2**_MASK_BITS - dropped)


class FeedRandom:
    """Random streams of what members with one seed and the same rows share.

    Parameters
    ----------
    seed : int
        Non-negative, of any size.
    """

    def __init__(self, seed):
        _, order, masks, _, _, augmentation, module = sequences(seed)
        self._order = np.random.Generator(np.random.SFC64(order))
        self._masks = np.random.SFC64(masks)
        # For devices that hash a counter instead of drawing from a generator.
        self.mask_key = int(masks.generate_state(1, np.uint64)[0])
        self._n_masks = 0
        self._augmentation = np.random.Generator(np.random.SFC64(augmentation))
        # What torch's default generator goes on from: see `networks.modules`.
        self.module_state = {"seed": int(module.generate_state(1, np.uint64)[0])}

    @property
    def order_state(self):
        """dict: what the next order is drawn from."""
        return self._order.bit_generator.state

    def state(self):
        """Return where the streams stand, but for that of the order."""
        return {
            "masks": self._masks.state,
            "n_masks": self._n_masks,
            "augmentation": self._augmentation.bit_generator.state,
            "module": {
                name: state if isinstance(state, int) else np.asarray(state)
                for name, state in self.module_state.items()
            },
        }

    def restore(self, state, order_state):
        """Go on from where the streams stood."""
        self._order.bit_generator.state = order_state
        self._masks.state = state["masks"]
        self._n_masks = state["n_masks"]
        self._augmentation.bit_generator.state = state["augmentation"]
        self.module_state = dict(state["module"])

    def augmentation(self, n_rows, n_numbers):
        """Return numbers from 0 to 1 for each row, as float32 of shape (n_rows, n_numbers)."""
        return self._augmentation.random((n_rows, n_numbers), np.float32)

    def order(self, rows):
        """Return the rows in the order in which an epoch takes them."""
        return self._order.permutation(rows)

    def mask_bits(self, n):
        """Return `n` int16 numbers, one a unit; see `DropoutRate`."""
        raw = self._masks.random_raw(-(-n // _MASKS_PER_DRAW))
        return raw.view(np.int16)[:n]

    def count_masks(self, n):
        """Return the counter of the first of the next `n` draws."""
        first = self._n_masks
        self._n_masks += n
        return first
