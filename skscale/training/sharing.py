"""Equal arrays of many tasks become one array.

The candidates of a fold each cut out and transform their rows for themselves: the same
numbers, in many copies. Found equal, they are stored on the device once, and the
candidates of a fold can share their batches.
"""

import threading
import weakref

import numpy as np

_SAMPLE = 64


class SharedArrays:
    """Replace the arrays of tasks by equal ones seen before.

    Arrays are known as long as a task that is alive holds them.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._known = {}

    def share(self, task):
        """Replace what the task holds by what is known; count what it holds of its own."""
        task.n_own_bytes = 0
        for name in ("X", "targets", "weights", "train_rows", "valid_rows"):
            array = getattr(task, name)
            if array is None:
                continue
            shared = self._find(array)
            setattr(task, name, shared)
            if shared is array:
                task.n_own_bytes += array.nbytes

    def _find(self, array):
        key = _digest(array)
        with self._lock:
            alive = [r for r in self._known.get(key, ()) if r() is not None]
            self._known[key] = alive
            for reference in alive:
                known = reference()
                # Zeros of either sign are equal and train alike; NaN never comes here.
                if known is not None and (known is array or np.array_equal(known, array)):
                    return known
            alive.append(weakref.ref(array))
        return array


def _digest(array):
    # Of a few values; whether arrays are equal, a comparison says.
    flat = array.reshape(-1) if array.flags.c_contiguous else array.ravel(order="K")
    step = max(1, flat.size // _SAMPLE)
    return (array.shape, array.dtype.str, array.flags.c_contiguous, flat[::step].tobytes())
