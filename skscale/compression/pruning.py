"""Pruning of trained networks, in steps of removal and fine-tuning.

Each step removes the least important units, or masks the least important weights, and
fine-tunes the network. Fine-tuning is an ordinary task: the engine regroups its stacks by the
new shapes.
"""

from dataclasses import replace

from ..fusion.rendezvous import train_together
from ..networks.unit_selection import most_important
from ..networks.weights import Weights
from ..training.random import finetuning_seed
from .groups import epochs_of_steps
from .importance import unit_importances, weight_importances
from .removal import allocate, avoid_equal_widths, cubic_schedule, weight_masks


def prune_networks(pruning, tasks, networks):
    """Prune the networks of one estimator, with fine-tuning after each step.

    Parameters
    ----------
    pruning : Pruning
        Its `finetune_epochs` is a number.
    tasks : list of Task
        Training task of each network.
    networks : list of TrainedNetwork

    Returns
    -------
    architecture : Architecture
        Narrower if units were removed.
    networks : list of TrainedNetwork or Exception
        Their history and fit time cover all trainings.
    """
    architecture = tasks[0].architecture
    n_units = [architecture.widths[layers[0]] for layers in architecture.unit_groups]
    if not n_units and pruning.granularity == "neurons":
        return architecture, networks  # a linear model has no hidden units
    masks = tasks[0].pruning_masks
    removed = 0.0
    if masks is not None:  # pruned before: the amount refers to the remaining weights
        removed = 1 - sum(m.sum() for m in masks) / sum(m.size for m in masks)
    budget = tasks[0].recipe.max_seconds
    for step, fraction in enumerate(cubic_schedule(pruning.amount, pruning.n_steps)):
        trained = [n.weights for n in networks]
        if pruning.granularity == "neurons":
            architecture, trained = _remove(
                pruning, n_units, fraction, architecture, trained, tasks[0]
            )
            masks = [None] * len(trained)
        else:
            fraction = removed + (1 - removed) * fraction
            masks = _mask(pruning, fraction, architecture, trained, tasks[0])
            trained = [
                Weights([c * m for c, m in zip(w.coefs, own, strict=True)], w.intercepts)
                for w, own in zip(trained, masks, strict=True)
            ]
        tasks = [
            _describe_finetuning(
                pruning, task, architecture, weights, mask, network, step, budget
            )
            for task, weights, mask, network in zip(
                tasks, trained, masks, networks, strict=True
            )
        ]
        former, networks = networks, train_together(list(tasks))
        for network, before in zip(networks, former, strict=True):
            if isinstance(network, Exception):
                return architecture, networks
            _prepend_history(network, before)
    return architecture, networks


def _remove(pruning, n_units, fraction, architecture, trained, task):
    importances = unit_importances(pruning.importance, architecture, trained, task)
    counts = allocate(importances, n_units, fraction, pruning.scope, pruning.round_to)
    counts = avoid_equal_widths(architecture, counts, pruning.round_to)
    remaining = [most_important(i, n) for i, n in zip(importances, counts, strict=True)]
    return architecture.family.remove_units(architecture, trained, remaining)


def _mask(pruning, fraction, architecture, trained, task):
    importances = weight_importances(pruning.importance, architecture, trained, task)
    # Weights that are already zero stay zero: none is less important.
    return [weight_masks(own, fraction, pruning.scope) for own in importances]


def _describe_finetuning(pruning, task, architecture, weights, mask, network, step, budget):
    """Return the fine-tuning task after a step; `budget` (s) covers all trainings."""
    recipe = replace(task.recipe, max_epochs=epochs_of_steps(pruning)[step])
    if budget is not None:
        # The rest of the budget; a positive value, so that one epoch is trained.
        recipe = replace(recipe, max_seconds=max(budget - network.fit_time, 1e-9))
    first_epoch = len(network.history)

    def on_epoch_end(record, get_weights):
        record = record | {"epoch": record["epoch"] + first_epoch}
        return task.on_epoch_end(record, get_weights)

    return replace(
        task,
        architecture=architecture,
        recipe=recipe,
        initial=weights,
        pruning_masks=mask,
        seed=finetuning_seed(task.seed, step),
        on_epoch_end=None if task.on_epoch_end is None else on_epoch_end,
        optimizer_state=None,
    )


def _prepend_history(network, before):
    """Prepend the earlier training to the records of a network."""
    n = len(before.history)
    network.best_epoch += n
    later = [record | {"epoch": record["epoch"] + n} for record in network.history]
    network.history = before.history + later
    network.fit_time += before.fit_time
    peaks = [p for p in (network.peak_device_bytes, before.peak_device_bytes) if p is not None]
    network.peak_device_bytes = max(peaks, default=None)
