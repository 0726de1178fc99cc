"""Importance of the hidden units and the weights of trained networks, over training rows."""

from dataclasses import replace

import numpy as np
import torch
from scipy.sparse import issparse

from ..training.random import importance_rows
from .criteria import IMPORTANCES, HiddenLayer, WeightLayer, importance_of


def unit_importances(criterion, architecture, networks, task):
    """Return the importance of every hidden unit.

    Parameters
    ----------
    criterion : str or Importance
    architecture : Architecture
    networks : list of Weights
        One per member.
    task : Task
        Training rows, targets, loss and seed.

    Returns
    -------
    list of float64 ndarray of shape (n_members, n_units)
        One array per group (`Architecture.unit_groups`).
    """
    criterion, family = importance_of(criterion), architecture.family
    groups = architecture.unit_groups
    if not criterion.needs_rows:
        return [
            np.stack([
                criterion.of_units([
                    HiddenLayer(None, None, *family.unit_weights(architecture, network, layer))
                    for layer in layers
                ])
                for network in networks
            ])
            for layers in groups
        ]  # fmt: skip
    totals = [np.zeros((len(networks), architecture.widths[layers[0]])) for layers in groups]
    rows, loss = _rows_and_loss(criterion, task)
    networks = [replace(network, buffers=list(task.buffers or ())) for network in networks]
    for members, row_weights, activations, gradients in family.unit_passes(
        architecture, networks, rows, loss
    ):
        gradients = gradients or [None] * len(activations)
        for total, layers in zip(totals, groups, strict=True):
            own = [HiddenLayer(activations[layer], gradients[layer]) for layer in layers]
            terms = criterion.of_units(own)
            if not criterion.needs_gradients:
                terms = row_weights[:, None] * terms
            total[members] += len(row_weights) * terms.mean(1, dtype=torch.float64).numpy()
    return totals


def weight_importances(criterion, architecture, networks, task):
    """Return the importance of every weight.

    Parameters
    ----------
    criterion, architecture, networks, task
        As in `unit_importances`.

    Returns
    -------
    list of lists of float64 ndarray
        One list per member, with one array per layer, of the shape of its weights.

    Raises
    ------
    ValueError
        If the criterion does not define it, for weights or for this family of networks.
    """
    criterion, family = importance_of(criterion), architecture.family
    sizes = [[c.astype(np.float64) for c in n.coefs] for n in networks]
    gradients = norms = [[None] * len(own) for own in sizes]
    if criterion.needs_rows:
        if criterion.needs_activations and not family.has_layer_inputs:
            raise ValueError(_inputs_message(criterion))
        gradients, norms = _sum_over_rows(criterion, architecture, networks, task)
    return [
        [criterion.of_weights(WeightLayer(*layer)) for layer in zip(*parts, strict=True)]
        for parts in zip(sizes, gradients, norms, strict=True)
    ]


def _inputs_message(criterion):
    names = [name for name, known in IMPORTANCES.items() if known == criterion]
    written = f'"{names[0]}"' if names else repr(criterion)
    return (
        f"importance={written} of single weights is for dense networks. Expected "
        '"taylor" or "magnitude", or granularity="neurons".'
    )


def _sum_over_rows(criterion, architecture, networks, task):
    """Return the gradients and the norms of inputs, each per member and layer."""
    rows, loss = _rows_and_loss(criterion, task)
    networks = [replace(network, buffers=list(task.buffers or ())) for network in networks]
    gradients = [[0.0] * len(n.coefs) for n in networks]
    squares = [[0.0] * len(n.coefs) for n in networks]
    for members, of_weights, of_inputs in architecture.family.weight_passes(
        architecture, networks, rows, loss, criterion.needs_activations
    ):
        for totals, parts in ((gradients, of_weights), (squares, of_inputs)):
            for layer, part in enumerate(parts or ()):
                part = part.numpy()
                for k, own in enumerate(totals[members]):
                    # Members may share the input of the first layer.
                    own[layer] = own[layer] + part[min(k, len(part) - 1)]
    if loss is None:
        gradients = [[None] * len(own) for own in gradients]
    if not criterion.needs_activations:
        return gradients, [[None] * len(own) for own in squares]
    return gradients, [[np.sqrt(s)[:, None] for s in own] for own in squares]


def _rows_and_loss(criterion, task):
    """Return the functions that yield training rows and that compute their loss, or None."""

    def rows(max_rows, n_block, dtype):
        return iterate_rows(task, max_rows, n_block, dtype)

    def loss(outputs, targets, row_weights):
        return weighted_loss(task, outputs, targets, row_weights)

    return rows, loss if criterion.needs_gradients else None


def iterate_rows(task, max_rows, n_block, dtype):
    """Yield batches of training rows, targets and sample weights as tensors."""
    rows = importance_rows(task.seed, task.train_rows, max_rows)
    for start in range(0, len(rows), n_block):
        chosen = rows[start : start + n_block]
        x = task.X[chosen]
        x = x.toarray() if issparse(x) else x
        x = torch.from_numpy(np.ascontiguousarray(x, dtype=dtype))
        targets = torch.from_numpy(np.ascontiguousarray(task.targets[chosen]))
        row_weights = np.ones(len(chosen)) if task.weights is None else task.weights[chosen]
        yield x, targets, torch.from_numpy(row_weights).to(x)


def weighted_loss(task, outputs, targets, row_weights):
    """Return the sum of weighted losses over rows and members (first axis of `outputs`)."""
    n = len(outputs)
    loss = task.loss.stack([task.loss] * n, outputs.dtype, "cpu")
    targets = loss.mix(targets.expand(n, *targets.shape))
    return (loss.row_losses(outputs, targets) * row_weights).sum()
