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
# See `Stack.progress_of`.
_OF_PROGRESS = {"n_steps", "loss_sum", "trained", "best", "optimizer", "member", "feed"}
_OF_WEIGHTS = ("coefs", "intercepts", "buffers")
# Fields of a task that do not affect its network; of the device only the type does.
_IRRELEVANT = {"on_epoch_end", "n_own_bytes", "store", "keeper", "progress", "device"}


class Keeper:
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

    def recall(self, recipe):
        """Return the cached network or its DivergedError; None without a cache entry."""
        kept = self.store.get("networks", self.key)
        if kept is None:
            return None
        try:
            if "diverged" in kept:
                return DivergedError(*kept["diverged"], recipe)
            weights = Weights(*(kept.pop(part) for part in _OF_WEIGHTS))
            return TrainedNetwork(weights, **kept)
        except (KeyError, TypeError):  # not written by skscale
            return None

    def recall_progress(self):
        """Return the checkpoint of the training, or None."""
        progress = self.store.get("trainings", self.key)
        is_ours = progress is not None and progress.keys() == _OF_PROGRESS
        return progress if is_ours else None

    def keep(self, outcome):
        """Cache a network or a DivergedError; other errors may not recur."""
        if isinstance(outcome, DivergedError):
            kept = {"diverged": [outcome.what, outcome.epoch]}
        elif isinstance(outcome, TrainedNetwork):
            kept = dict(vars(outcome))
            del kept["optimizer_state"]  # of partial_fit, which is not cached
            weights = kept.pop("weights")
            kept |= dict(zip(_OF_WEIGHTS, weights.parts, strict=True))
        else:
            return
        if self.store.put("networks", self.key, kept):
            self.store.remove("trainings", self.key)

    def keep_progress(self, progress):
        """Write a checkpoint of the training."""
        self.store.put("trainings", self.key, progress)


def recall(tasks):
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
        tasks[k].keeper = _find_keeper(tasks[k], digests)
        found.append(recall_again(tasks[k]))
    return found


def recall_again(task):
    """Look up a task whose key is known."""
    task.progress = None
    if task.keeper is None:
        return None
    found = task.keeper.recall(task.recipe)
    if found is None:
        task.progress = task.keeper.recall_progress()
    return found


def _find_keeper(task, digests):
    """Return the Keeper of a task, or None if the task has no store or no hash."""
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
        return Keeper(task.store, key)
    except Exception as error:  # pickling user objects may raise anything
        warnings.warn(
            "A network is not kept in `memory`: what it is made of cannot be hashed "
            f"({type(error).__name__}: {error}). Expected arguments of a module, and what its "
            "code names, that can be pickled.",
            UserWarning,
            stacklevel=2,
        )
        return None
