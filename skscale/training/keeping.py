"""Trained networks and unfinished trainings kept on disk, so that long work survives.

A training is decided by its task alone: the arrays, the recipe, the seed. So a network is kept
under a hash of these, and who trains the same again is given what was kept. A training that
takes long is written down as far as it has come (`Stack.train`), and goes on from there.
"""

import hashlib
import inspect
import pickle
import warnings
from dataclasses import fields, is_dataclass

import joblib
import numpy as np
import torch
from scipy.sparse import issparse

from .. import __version__
from .task import DivergedError, Task, TrainedNetwork

# Raise it when equal tasks come to train other networks, or what is kept changes its form.
FORMAT = 1
# Of a task, what does not decide its network; the device by its kind alone.
_IRRELEVANT = {"on_epoch_end", "n_own_bytes", "store", "keeper", "progress", "device"}


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
        if kept is None:
            return None
        if "diverged" in kept:
            return DivergedError(*kept["diverged"], recipe)
        return TrainedNetwork(**kept)

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
        self.store.put("networks", self.key, kept)
        self.store.remove("trainings", self.key)

    def keep_progress(self, progress):
        """Keep how far the training has come."""
        self.store.put("trainings", self.key, progress)


def recall(tasks, digest):
    """Look for what is kept of some tasks; note in each how far its training has come.

    Parameters
    ----------
    tasks : list of Task
    digest : callable
        `digest(array) -> bytes`: a hash of all that an array holds.

    Returns
    -------
    list of TrainedNetwork, DivergedError or None
        None where there is none.
    """
    return [_recall(task, digest) for task in tasks]


def _recall(task, digest):
    task.keeper = task.progress = None
    if task.store is None:
        return None
    key = _key_of(task, digest)
    if key is None:
        return None
    task.keeper = Keeper(task.store, key)
    found = task.keeper.recall(task.recipe)
    if found is None:
        task.progress = task.keeper.recall_progress()
    return found


def _key_of(task, digest):
    """Return a hash of what decides a network, or None where something has none."""
    found = hashlib.sha256()
    device = torch.device(task.device).type
    try:
        _add(found, (FORMAT, __version__, torch.__version__, device), digest)
        for field in fields(Task):
            if field.name not in _IRRELEVANT:
                _add(found, (field.name, getattr(task, field.name)), digest)
    except (AttributeError, TypeError, pickle.PicklingError) as error:
        warnings.warn(
            "A network is not kept in `memory`: what it is made of cannot be hashed "
            f"({error}). Expected arguments of a module that can be pickled.",
            UserWarning,
            stacklevel=2,
        )
        return None
    return found.hexdigest()


def _add(found, value, digest):
    """Add a value to a hash, with its kind, so that no two values add the same."""
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        found.update(f"{kind.__name__} {value!r};".encode())
    elif isinstance(value, np.ndarray):
        found.update(f"array {value.dtype.str} {value.shape};".encode() + digest(value))
    elif issparse(value):
        parts = (value.data, value.indices, value.indptr)
        _add(found, (value.format, value.shape, *parts), digest)
    elif isinstance(value, np.generic):
        _add(found, value.item(), digest)
    elif isinstance(value, (tuple, list)):
        found.update(f"{len(value)} items;".encode())
        for item in value:
            _add(found, item, digest)
    elif isinstance(value, (set, frozenset)):
        _add(found, ("set", *sorted(value)), digest)
    elif isinstance(value, dict):
        _add(found, ("dict", *sorted(value.items())), digest)
    elif is_dataclass(value) and not isinstance(value, type):
        of_fields = [(field.name, getattr(value, field.name)) for field in fields(value)]
        _add(found, (kind.__name__, *of_fields), digest)
    elif isinstance(value, type):
        _add(found, (value.__module__, value.__qualname__, _source_of(value)), digest)
    else:
        _add(found, joblib.hash(value), digest)


def _source_of(kind):
    # A module whose code was changed is another one.
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):  # typed in, or compiled
        return None
