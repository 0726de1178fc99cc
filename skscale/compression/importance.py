"""Importance criteria for the hidden units and the weights of trained networks."""

import numpy as np
import torch
from scipy.sparse import issparse

from ..networks.dense import stacked_forward
from ..networks.parameters import ParameterShapes, StackedParameters, TrainedNumbers
from ..training.random import importance_rows
from .removal import unit_groups

# Upper limit of rows for activations and gradients: their means need no more.
_MOST_ROWS = 4096
# Inputs per batch. It also bounds the memory of sparse rows, which are made dense.
_BLOCK_BYTES = 64 << 20


def unit_importances(kind, architecture, networks, task):
    """Return the importance of every hidden unit.

    With `h` a unit's activation and `L` the loss of a row, as means over training rows:

    - "taylor": `|h dL/dh|`, the first-order change of the loss if the unit is removed
      (Molchanov et al. 2017, "Pruning convolutional neural networks for resource efficient
      inference", eq. 8);
    - "activation": `|h|` (the same, section 2.2);
    - "magnitude": the norm of its incoming weights times the norm of its outgoing weights,
      which needs no rows.

    Layers that share units (`removal.unit_groups`) have one importance per unit. Their terms
    are summed: for "taylor" before the absolute value is taken, for "magnitude" as squares.

    Parameters
    ----------
    kind : {"taylor", "activation", "magnitude"}
    architecture : DenseArchitecture
    networks : list of Weights
        One per member.
    task : Task
        Training rows, targets, loss and seed.

    Returns
    -------
    list of float64 ndarray of shape (n_members, n_units)
        One array per group.
    """
    groups = unit_groups(architecture)
    if kind == "magnitude":
        return [np.stack([_norms(n.coefs, layers) for n in networks]) for layers in groups]
    totals = [0.0] * len(groups)
    for n_rows, weights, hidden, _, gradients, _ in _passes(
        architecture, networks, task, kind == "taylor"
    ):
        for g, layers in enumerate(groups):
            if kind == "taylor":
                terms = sum(hidden[layer] * gradients[layer] for layer in layers).abs()
            else:
                terms = weights * sum(hidden[layer].abs() for layer in layers)
            totals[g] = totals[g] + n_rows * terms.mean(dim=1, dtype=torch.float64).numpy()
    return totals


def weight_importances(kind, architecture, networks, task):
    """Return the importance of every weight.

    "taylor": `|w dL/dw|` (Molchanov et al. 2019, "Importance estimation for neural network
    pruning", eq. 5, without the square); "activation": `|w|` times the norm of its input
    (Wanda: Sun et al. 2024, eq. 1); "magnitude": `|w|` (Han et al. 2015).

    Parameters
    ----------
    kind, architecture, networks, task
        As in `unit_importances`.

    Returns
    -------
    list of lists of float64 ndarray of shape (n_inputs, n_outputs)
        One list per member, with one array per layer.
    """
    sizes = [[np.abs(c.astype(np.float64)) for c in n.coefs] for n in networks]
    if kind == "magnitude":
        return sizes
    factors = [0.0] * len(sizes[0])
    for n_rows, weights, _, inputs, _, of_weights in _passes(
        architecture, networks, task, kind == "taylor"
    ):
        if kind == "taylor":
            parts = [n_rows * g.double() for g in of_weights]
        else:
            parts = [(weights * i.square()).sum(dim=1, dtype=torch.float64) for i in inputs]
        factors = [f + part for f, part in zip(factors, parts, strict=True)]
    if kind == "taylor":
        factors = [np.abs(f.numpy()) for f in factors]
    else:
        factors = [np.sqrt(f.numpy())[..., None] for f in factors]
    # Members may share the input of the first layer.
    return [
        [s * f[min(member, len(f) - 1)] for s, f in zip(own, factors, strict=True)]
        for member, own in enumerate(sizes)
    ]


def _norms(coefs, layers):
    incoming = sum(square_sums(coefs[layer], 1) for layer in layers)
    outgoing = sum(square_sums(coefs[layer + 1], 0) for layer in layers)
    return np.sqrt(incoming * outgoing)


def square_sums(weights, axis):
    """Return the sums of squares over all axes but one, in float64."""
    others = tuple(k for k in range(weights.ndim) if k != axis)
    return np.square(weights, dtype=np.float64).sum(axis=others)


def judging_rows(task, n_most, n_block, dtype):
    """Yield batches of training rows, targets and sample weights as tensors."""
    rows = importance_rows(task.seed, task.train_rows, n_most)
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


def _passes(architecture, networks, task, derives):
    """Yield forward passes of the networks over batches of training rows.

    Each item holds the number of rows, their sample weights, and the activations and inputs of
    each layer (members first). If `derives`, it also holds the gradients of the sum of
    weighted losses with respect to the activations, and of their mean with respect to the
    weights.
    """
    dtype = networks[0].dtype
    parameters = StackedParameters(
        ParameterShapes.of_layers(architecture.layer_shapes, architecture.scales_inputs),
        len(networks),
        torch.from_numpy(np.zeros(0, dtype)).dtype,
        torch.device("cpu"),
    )
    for member, weights in enumerate(networks):
        parameters.set_member_(member, TrainedNumbers.of(architecture, weights))
    n_block = max(1, _BLOCK_BYTES // (dtype.itemsize * architecture.n_features))
    for x, targets, row_weights in judging_rows(task, _MOST_ROWS, n_block, dtype):
        hidden, inputs = [], []
        parameters.weights = [w.detach().requires_grad_(derives) for w in parameters.weights]
        with torch.set_grad_enabled(derives):
            outputs = stacked_forward(
                architecture,
                parameters,
                x[None],
                sizes=[len(networks)],
                hidden=hidden,
                inputs=inputs,
            )
        gradients = of_weights = None
        if derives:
            loss = weighted_loss(task, outputs, targets, row_weights)
            found = torch.autograd.grad(loss, [*hidden, *parameters.weights])
            gradients = found[: len(hidden)]
            # Gradients of the weights, not of the trained parameters: see `gains`.
            of_weights = [
                g / (gain * len(x))
                for g, gain in zip(found[len(hidden) :], architecture.gains, strict=True)
            ]
        yield (
            len(x),
            row_weights[:, None],
            [h.detach() for h in hidden],
            [i.detach() for i in inputs],
            gradients,
            of_weights,
        )
