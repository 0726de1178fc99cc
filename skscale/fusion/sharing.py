"""Shared storage of equal arrays of many tasks.

The candidates of a fold each select and transform their rows: the same numbers, in many copies.
Equal arrays are stored on the device once, and the candidates of a fold can share their
batches.
"""

import threading
import weakref

import numpy as np
from scipy.sparse import issparse

from ..training.task import ValidationSet

_SAMPLE = 64


class SharedArrays:
    """Registry that replaces the arrays of tasks by equal ones seen before.

    It knows arrays as long as a living task holds them.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._known = {}

    def share(self, task):
        """Replace known arrays of a task, and count the bytes of its own arrays."""
        task.n_own_bytes = 0
        for name in ("X", "targets", "weights", "train_rows", "valid_rows"):
            setattr(task, name, self._share(task, getattr(task, name)))
        if task.validation is not None:
            task.validation = ValidationSet(
                *(self._share(task, array) for array in task.validation_data)
            )

    def _share(self, task, array):
        if array is None:
            return None
        shared = self._find(array)
        if shared is array:
            task.n_own_bytes += sum(part.nbytes for part in _parts(array))
        return shared

    def _find(self, array):
        key = tuple(_digest(part) for part in _parts(array))
        with self._lock:
            alive = [r for r in self._known.get(key, ()) if r() is not None]
            self._known[key] = alive
            for reference in alive:
                known = reference()
                # Zeros of either sign are equal and train alike; NaN does not occur here.
                if known is not None and (known is array or _are_equal(known, array)):
                    return known
            alive.append(weakref.ref(array))
        return array


def _parts(array):
    # The arrays of a sparse array, and its shape, which they do not contain.
    if issparse(array):
        return array.data, array.indices, array.indptr, np.array(array.shape)
    return (array,)


def _are_equal(one, other):
    return all(map(np.array_equal, _parts(one), _parts(other)))


def _digest(array):
    # Hash key from a sample of values; equality is then checked in full.
    flat = array.reshape(-1) if array.flags.c_contiguous else array.ravel(order="K")
    step = max(1, flat.size // _SAMPLE)
    return (array.shape, array.dtype.str, array.flags.c_contiguous, flat[::step].tobytes())
