"""Trained networks and unfinished trainings kept on disk, so that long work survives.

A training is decided by its task alone: the arrays, the recipe, the seed. So a network is kept
under a hash of these, and who trains the same again is given what was kept. A training that
takes long is written down as far as it has come (`Stack.train`), and goes on from there.
"""

import functools
import hashlib
import types
import warnings
from dataclasses import fields, is_dataclass

import joblib
import numpy as np
import torch
from scipy.sparse import issparse

from .. import __version__
from .code import code_of
from .task import DivergedError, Task, TrainedNetwork

# Raise it when equal tasks come to train other networks, or what is kept changes its form.
FORMAT = 1
# Of a task, what does not decide its network; the device by its kind alone.
_IRRELEVANT = {"on_epoch_end", "n_own_bytes", "store", "keeper", "progress", "device"}
# Of an array that is hashed at once.
_BLOCK_BYTES = 1 << 22


class Keeper:
    """Where one training is kept.

    Parameters
    ----------
    store : Store
    key : str
        Hash of the task.
    """

    def __init__(self, store, key):
        self.store = store
        self.key = key

    def recall(self, recipe):
        """Return the network, or the DivergedError that came of it; None if it is not kept."""
        kept = self.store.get("networks", self.key)
        try:
            if kept is not None and "diverged" in kept:
                return DivergedError(*kept["diverged"], recipe)
            return None if kept is None else TrainedNetwork(**kept)
        except TypeError:  # others wrote it
            return None

    def recall_progress(self):
        """Return how far the training has come, or None."""
        return self.store.get("trainings", self.key)

    def keep(self, outcome):
        """Keep a network, or that it diverged; other errors may not come again."""
        if isinstance(outcome, DivergedError):
            kept = {"diverged": [outcome.what, outcome.epoch]}
        elif isinstance(outcome, TrainedNetwork):
            kept = dict(vars(outcome))
            del kept["optimizer_state"]  # of streams, which keep nothing here
        else:
            return
        if self.store.put("networks", self.key, kept):
            self.store.remove("trainings", self.key)

    def keep_progress(self, progress):
        """Keep how far the training has come."""
        self.store.put("trainings", self.key, progress)


def recall(tasks):
    """Look for what is kept of some tasks; note in each how far its training has come.

    Parameters
    ----------
    tasks : list of Task

    Returns
    -------
    list of TrainedNetwork, DivergedError or None
        None where there is none.
    """
    digests = {}
    found = []
    for k in range(len(tasks)):  # nobody holds the last one afterwards
        tasks[k].keeper = _find_keeper(tasks[k], digests)
        found.append(recall_again(tasks[k]))
    return found


def recall_again(task):
    """Look for what is kept of a task whose key is known."""
    task.progress = None
    if task.keeper is None:
        return None
    found = task.keeper.recall(task.recipe)
    if found is None:
        task.progress = task.keeper.recall_progress()
    return found


def _find_keeper(task, digests):
    key = None if task.store is None else _key_of(task, digests)
    return None if key is None else Keeper(task.store, key)


def _key_of(task, digests):
    """Return a hash of what decides a network, or None where something has none."""
    found = hashlib.sha256()
    versions = (FORMAT, __version__, torch.__version__, np.__version__)
    # Of numbers that a module makes for itself.
    process = (str(torch.get_default_dtype()), torch.get_float32_matmul_precision())
    try:
        _add(found, (*versions, *process, torch.device(task.device).type), digests)
        for field in fields(Task):
            if field.name not in _IRRELEVANT:
                _add(found, (field.name, getattr(task, field.name)), digests)
    except Exception as error:  # whatever comes of pickling what is the user's
        warnings.warn(
            "A network is not kept in `memory`: what it is made of cannot be hashed "
            f"({type(error).__name__}: {error}). Expected arguments of a module that can be "
            "pickled.",
            UserWarning,
            stacklevel=2,
        )
        return None
    return found.hexdigest()


def _add(found, value, digests):
    """Add a value to a hash, with its kind and its length."""
    kind = type(value)
    if isinstance(value, np.generic) and not isinstance(value.item(), np.generic):
        value = value.item()
        kind = type(value)
    if value is None or kind in (bool, int, float, complex, str, bytes):
        text = repr(value).encode()
        found.update(f"{kind.__name__} {len(text)};".encode() + text)
    elif isinstance(value, np.ndarray):
        found.update(f"array {value.dtype.str} {value.shape};".encode())
        found.update(_digest(value, digests))
    elif issparse(value):
        parts = (value.format, value.shape, value.data, value.indices, value.indptr)
        _add_all(found, "sparse", parts, digests)
    elif isinstance(value, torch.Tensor):
        array = value.detach().cpu()
        array = (array.float() if array.dtype == torch.bfloat16 else array).numpy()
        _add_all(found, "tensor", (str(value.dtype), array), digests)
    elif isinstance(value, torch.nn.Module):
        parts = (kind, repr(value), value.state_dict())
        _add_all(found, "module", parts, digests)
    elif isinstance(value, (tuple, list)):
        _add_all(found, "list", value, digests)
    elif isinstance(value, (set, frozenset)):
        _add_all(found, "set", sorted(value), digests)
    elif isinstance(value, dict):
        _add_all(found, "dict", sorted(value.items()), digests)
    elif isinstance(value, (type, types.FunctionType)):
        _add_all(found, "code", code_of(value), digests)
    elif isinstance(value, functools.partial):
        parts = (value.func, value.args, value.keywords)
        _add_all(found, "partial", parts, digests)
    elif is_dataclass(value):
        of_fields = [(field.name, getattr(value, field.name)) for field in fields(value)]
        _add_all(found, kind.__name__, of_fields, digests)
    else:
        _add_all(found, "pickled", (kind.__module__, joblib.hash(value)), digests)


def _add_all(found, kind, values, digests):
    found.update(f"{kind} {len(values)};".encode())
    for value in values:
        _add(found, value, digests)


def _digest(array, digests):
    """Return a hash of all that an array holds, in whatever order it lies in memory."""
    known = digests.get(id(array))
    if known is None:
        digest = hashlib.sha256()
        rows = array.reshape(1) if array.ndim == 0 else array
        step = max(1, _BLOCK_BYTES * len(rows) // max(1, rows.nbytes))
        for start in range(0, len(rows), step):
            block = np.ascontiguousarray(rows[start : start + step])
            digest.update(block.reshape(-1).view(np.uint8))
        # Held, so that its id stays its own.
        known = digests[id(array)] = (array, digest.digest())
    return known[1]
