"""Disk cache of trained networks and training checkpoints.

A task (arrays, recipe, seed) determines the trained network. So a network is cached under a
hash of its task, and equal tasks reuse it. A long training writes checkpoints (`Stack.train`)
and resumes from the last one.
"""

import warnings
from dataclasses import fields

import numpy as np
import torch

from .._version import __version__
from ..networks.weights import Weights
from .fingerprint import fingerprint
from .task import DivergedError, Task, TrainedNetwork

# Raise it when equal tasks give other networks, or the format of cache entries changes.
FORMAT = 3
# See `Stack.checkpoint_of`.
_OF_CHECKPOINT = {"n_steps", "loss_sum", "trained", "best", "optimizer", "member", "feed"}
_OF_WEIGHTS = ("coefs", "intercepts", "buffers")
# Fields of a task that do not affect its network; of the device only the type does.
_IRRELEVANT = {"on_epoch_end", "n_own_bytes", "store", "cache_entry", "checkpoint", "device"}


class CacheEntry:
    """Cache entry of one training.

    Parameters
    ----------
    store : Store
    key : str
        Hash of the task.
    """

    def __init__(self, store, key):
        self.store = store
        self.key = key

    def load(self, recipe):
        """Return the cached network or its DivergedError; None without a cache entry."""
        entry = self.store.get("networks", self.key)
        if entry is None:
            return None
        try:
            if "diverged" in entry:
                return DivergedError(*entry["diverged"], recipe)
            weights = Weights(*(entry.pop(part) for part in _OF_WEIGHTS))
            return TrainedNetwork(weights, **entry)
        except (KeyError, TypeError):  # not written by skscale
            return None

    def load_checkpoint(self):
        """Return the checkpoint of the training, or None."""
        checkpoint = self.store.get("trainings", self.key)
        is_valid = checkpoint is not None and checkpoint.keys() == _OF_CHECKPOINT
        return checkpoint if is_valid else None

    def save(self, outcome):
        """Cache a network or a DivergedError; other errors may not recur."""
        if isinstance(outcome, DivergedError):
            entry = {"diverged": [outcome.quantity, outcome.epoch]}
        elif isinstance(outcome, TrainedNetwork):
            entry = dict(vars(outcome))
            del entry["optimizer_state"]  # of partial_fit, which is not cached
            weights = entry.pop("weights")
            entry |= dict(zip(_OF_WEIGHTS, weights.parts, strict=True))
        else:
            return
        if self.store.put("networks", self.key, entry):
            self.store.remove("trainings", self.key)

    def save_checkpoint(self, checkpoint):
        """Write a checkpoint of the training."""
        self.store.put("trainings", self.key, checkpoint)


def look_up(tasks):
    """Look up tasks in the cache, and attach the checkpoints of unfinished ones.

    Parameters
    ----------
    tasks : list of Task

    Returns
    -------
    list of TrainedNetwork, DivergedError or None
        None for a task without a cached result.
    """
    digests = {}
    found = []
    for k in range(len(tasks)):  # no loop variable holds the last task afterwards
        tasks[k].cache_entry = _find_entry(tasks[k], digests)
        found.append(look_up_again(tasks[k]))
    return found


def look_up_again(task):
    """Look up a task whose key is known."""
    task.checkpoint = None
    if task.cache_entry is None:
        return None
    found = task.cache_entry.load(task.recipe)
    if found is None:
        task.checkpoint = task.cache_entry.load_checkpoint()
    return found


def _find_entry(task, digests):
    """Return the cache entry of a task, or None if the task has no store or no hash."""
    if task.store is None:
        return None
    versions = (FORMAT, __version__, torch.__version__, np.__version__)
    # They affect the tensors that a module creates.
    process = (str(torch.get_default_dtype()), torch.get_float32_matmul_precision())
    parts = {
        field.name: getattr(task, field.name)
        for field in fields(Task)
        if field.name not in _IRRELEVANT
    }
    device = torch.device(task.device).type
    try:
        key = fingerprint(versions, process, device, parts, arrays=digests)
        return CacheEntry(task.store, key)
    except Exception as error:  # pickling user objects may raise anything
        warnings.warn(
            "A network is not cached in `memory`: its parameters or its code cannot be hashed "
            f"({type(error).__name__}: {error}). Expected module arguments, and objects that "
            "the code of the module refers to, that can be pickled.",
            UserWarning,
            stacklevel=2,
        )
        return None
