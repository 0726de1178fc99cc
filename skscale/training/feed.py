"""Feeds of training rows: members with the same rows in the same order share one.

Candidates of one fold with one `random_state` see the same batches, for any learning rate or
penalty. One feed gathers the rows for all of them, and their first layers multiply the same
batch. Tasks that differ in data, weights, rows or seed have separate feeds.
"""

from scipy.sparse import issparse

from ..networks.sparse import SparseBatch
from ..storage.tree import pack
from .random import FeedRandom


def feed_key(task):
    """Return the key that tasks must have in common to share a feed.

    Arrays are compared by identity: see `SharedArrays`. Resumed tasks must be at the same
    position.
    """
    arrays = (task.X, task.targets, task.weights, task.train_rows, task.valid_rows)
    if task.validation is not None:
        arrays += task.validation_data
    place = None if task.checkpoint is None else pack(task.checkpoint["feed"])
    return (*map(id, arrays), task.seed, task.augmentation, place)


class Feed:
    """Training and validation rows of some members of a stack, epoch after epoch.

    Parameters
    ----------
    task : Task
        One of the tasks that share the feed.
    data : DeviceData
    """

    def __init__(self, task, data):
        self.is_sparse = issparse(task.X)
        # Sparse rows are selected on the host, and only batches are moved to the device: they
        # are much smaller than the first layer's weights.
        self.X = task.X if self.is_sparse else data.tensor(task.X)
        self.targets = data.tensor(task.targets)
        self.weights = data.tensor(task.weights)
        self.valid_rows = data.tensor(task.valid_rows)
        valid_X, valid_targets, valid_weights = task.validation_data
        self.valid_X = valid_X if self.is_sparse else data.tensor(valid_X)
        self.valid_targets = data.tensor(valid_targets)
        self.valid_weights = data.tensor(valid_weights)
        self.n_train = len(task.train_rows)
        self.n_valid = 0 if task.valid_rows is None else len(task.valid_rows)
        # Divisor of the mean validation loss.
        self.valid_weight = self.n_valid
        if task.valid_rows is not None and valid_weights is not None:
            self.valid_weight = float(valid_weights[task.valid_rows].sum())
        self.host_valid_rows = task.valid_rows
        self.random = FeedRandom(task.seed)
        self.augmentation = task.augmentation
        self._train_rows = task.train_rows
        self._order = None
        self._position = 0
        if task.checkpoint is not None:
            self._restore(task.checkpoint["feed"])

    def batch(self, rows, dtype, device):
        """Return rows of sparse training data as a SparseBatch."""
        return SparseBatch(self.X[rows], dtype, device)

    def valid_batch(self, rows, dtype, device):
        """Return rows of sparse validation data as a SparseBatch."""
        return SparseBatch(self.valid_X[rows], dtype, device)

    def next_rows(self, n_steps, n_rows):
        """Return the training rows of the epoch's next `n_steps` batches of `n_rows`."""
        n = n_steps * n_rows
        if self._position == 0:
            rows = self._train_rows
            # A full batch needs no shuffling.
            self._drawn_from = self.random.order_state
            self._order = rows if n_rows == self.n_train else self.random.order(rows)
        rows = self._order[self._position : self._position + n]
        self._position += n
        return rows

    def state(self):
        """Return its position as a dict of arrays and plain values."""
        is_within = self._position > 0
        return {
            "position": self._position,
            "order": self._drawn_from if is_within else self.random.order_state,
            "random": self.random.state(),
        }

    def _restore(self, state):
        self.random.restore(state["random"], state["order"])
        self._position = state["position"]
        if self._position > 0:
            self._drawn_from = state["order"]
            self._order = self.random.order(self._train_rows)

    @property
    def n_left(self):
        """int: training rows not yet seen in this epoch."""
        return self.n_train - self._position

    @property
    def n_seen(self):
        """int: training rows seen in this epoch."""
        return self._position

    def rewind(self):
        """Begin the next epoch."""
        self._position = 0
