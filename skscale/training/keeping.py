"""Trained networks and unfinished trainings kept on disk, so that long work survives.

A training is decided by its task alone: the arrays, the recipe, the seed. So a network is kept
under a hash of these, and who trains the same again is given what was kept. A training that
takes long is written down as far as it has come (`Stack.train`), and goes on from there.
"""

import warnings
from dataclasses import fields

import numpy as np
import torch

from .._version import __version__
from ..networks.weights import Weights
from .fingerprint import fingerprint
from .task import DivergedError, Task, TrainedNetwork

# Raise it when equal tasks come to train other networks, or what is kept changes its form.
FORMAT = 3
# See `Stack.progress_of`.
_OF_PROGRESS = {"n_steps", "loss_sum", "trained", "best", "optimizer", "member", "feed"}
_OF_WEIGHTS = ("coefs", "intercepts", "buffers")
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
        try:
            if "diverged" in kept:
                return DivergedError(*kept["diverged"], recipe)
            weights = Weights(*(kept.pop(part) for part in _OF_WEIGHTS))
            return TrainedNetwork(weights, **kept)
        except (KeyError, TypeError):  # others wrote it
            return None

    def recall_progress(self):
        """Return how far the training has come, or None."""
        progress = self.store.get("trainings", self.key)
        is_ours = progress is not None and progress.keys() == _OF_PROGRESS
        return progress if is_ours else None

    def keep(self, outcome):
        """Keep a network, or that it diverged; other errors may not come again."""
        if isinstance(outcome, DivergedError):
            kept = {"diverged": [outcome.what, outcome.epoch]}
        elif isinstance(outcome, TrainedNetwork):
            kept = dict(vars(outcome))
            del kept["optimizer_state"]  # of streams, which keep nothing here
            weights = kept.pop("weights")
            kept |= dict(zip(_OF_WEIGHTS, weights.parts, strict=True))
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
    """Return the Keeper of a task, or None where it keeps nothing or has no hash."""
    if task.store is None:
        return None
    versions = (FORMAT, __version__, torch.__version__, np.__version__)
    # Of numbers that a module makes for itself.
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
    except Exception as error:  # whatever comes of pickling what is the user's
        warnings.warn(
            "A network is not kept in `memory`: what it is made of cannot be hashed "
            f"({type(error).__name__}: {error}). Expected arguments of a module, and what its "
            "code names, that can be pickled.",
            UserWarning,
            stacklevel=2,
        )
        return None
