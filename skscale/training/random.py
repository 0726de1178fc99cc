"""Random streams of a fit, determined by its seed.

Each purpose has its own stream, so that one never shifts another: two candidates with one seed
and one fold see the same order of rows at any width.
"""

from numbers import Integral

import numpy as np

# Offsets that separate the seeds of members and of fine-tuning from those of a stream's passes.
_MEMBER, _FINETUNING = 1 << 62, 1 << 61
# Dropout compares 16 random bits, so a rate is exact to 1 / 131072.
_MASK_BITS = 16
_MASKS_PER_DRAW = 64 // _MASK_BITS


def sequences(seed):
    """Spawn the seed sequences of one fit.

    In order: initial weights, row order, dropout, validation split, rows for importance,
    augmentation, random numbers of a module.
    """
    return np.random.SeedSequence(seed).spawn(7)


def member_seed(seed, member):
    """Return the seed of a member of an ensemble; the first has the seed of the fit."""
    return _derive(seed, _MEMBER + member) if member else seed


def finetuning_seed(seed, step):
    """Return the seed of the fine-tuning after a pruning step."""
    return _derive(seed, _FINETUNING + step)


def pass_seed(seed, n_seen):
    """Return the seed of a pass over a stream, after `n_seen` rows.

    Otherwise an int as `random_state` would shuffle the rows of every pass alike.
    """
    return _derive(seed, n_seen) if n_seen else seed


def growth_streams(seed, n_members):
    """Return the generators of new weights of the members of a network that grows."""
    return [initial_stream(_derive(seed, member)) for member in range(n_members)]


def _derive(seed, number):
    return (*(seed if isinstance(seed, tuple) else (seed,)), number)


def draw_seed(random_state):
    """Draw the seed of a fit.

    Parameters
    ----------
    random_state : None, int or RandomState
        None takes fresh entropy from the operating system; a RandomState is advanced.

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
    """Return the generator of the validation split, in the form scikit-learn expects."""
    return np.random.RandomState(np.random.MT19937(sequences(seed)[3]))


def initial_stream(seed):
    """Return the generator of the initial weights."""
    return np.random.Generator(np.random.SFC64(sequences(seed)[0]))


def importance_rows(seed, rows, most):
    """Draw at most `most` of the rows, without replacement."""
    if len(rows) <= most:
        return rows
    generator = np.random.Generator(np.random.SFC64(sequences(seed)[4]))
    return np.sort(generator.choice(rows, most, replace=False))


class DropoutRate:
    """Dropout rate in terms of random int16 numbers, uniform over [-32768, 32767].

    Parameters
    ----------
    dropout : float
        Dropout rate, 0 to below 1.

    Attributes
    ----------
    threshold : int
        A unit stays if its number is at least this.
    scale : float
        Factor of the units that stay.
    """

    def __init__(self, dropout):
        dropped = min(round(dropout * 2**_MASK_BITS), 2**_MASK_BITS - 1)
        self.threshold = dropped - 2 ** (_MASK_BITS - 1)
        self.scale = 2**_MASK_BITS / (2**_MASK_BITS - dropped)


class FeedRandom:
    """Random streams shared by members with one seed and the same rows.

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
        # Seed or state for torch's default generator: see `networks.torch_modules`.
        self.module_state = {"seed": int(module.generate_state(1, np.uint64)[0])}

    @property
    def order_state(self):
        """dict: state from which the next order is drawn."""
        return self._order.bit_generator.state

    def state(self):
        """Return the states of the streams, except for the order."""
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
        """Restore the states of the streams."""
        self._order.bit_generator.state = order_state
        self._masks.state = state["masks"]
        self._n_masks = state["n_masks"]
        self._augmentation.bit_generator.state = state["augmentation"]
        self.module_state = dict(state["module"])

    def augmentation(self, n_rows, n_numbers):
        """Draw uniform numbers in [0, 1), float32 of shape (n_rows, n_numbers)."""
        return self._augmentation.random((n_rows, n_numbers), np.float32)

    def order(self, rows):
        """Shuffle the rows for an epoch."""
        return self._order.permutation(rows)

    def mask_bits(self, n):
        """Draw `n` int16 numbers, one per unit; see `DropoutRate`."""
        raw = self._masks.random_raw(-(-n // _MASKS_PER_DRAW))
        return raw.view(np.int16)[:n]

    def count_masks(self, n):
        """Advance the counter by `n` draws, and return its value before."""
        first = self._n_masks
        self._n_masks += n
        return first
