"""Hidden units and weights of dense networks: activations, gradients and removal."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from ..parameters import ParameterShapes, StackedParameters, TrainedNumbers
from ..unit_selection import Shares
from ..weights import Weights
from .torch_network import stacked_forward

# Upper limit of rows for activations and gradients: their means need no more.
_MAX_ROWS = 4096
# Inputs per batch. It also bounds the memory of sparse rows, which are made dense.
_BLOCK_BYTES = 64 << 20


def unit_passes(architecture, networks, rows, loss=None):
    """Yield the activations of all hidden units: see `Family.unit_passes`."""
    for batch in _passes(architecture, networks, rows, loss):
        gradients = None
        if batch.loss is not None:
            gradients = [g[..., None] for g in torch.autograd.grad(batch.loss, batch.hidden)]
        activations = [h.detach()[..., None] for h in batch.hidden]
        yield slice(None), batch.row_weights, activations, gradients


def weight_passes(architecture, networks, rows, loss=None, has_inputs=False):
    """Yield sums for all weights: see `Family.weight_passes`."""
    for batch in _passes(architecture, networks, rows, loss):
        gradients, squares, n_rows = None, None, len(batch.row_weights)
        if batch.loss is not None:
            found = torch.autograd.grad(batch.loss, batch.weights)
            # Gradients of the weights, not of the trained parameters: see `gains`.
            gradients = [
                n_rows * (g / (gain * n_rows)).double()
                for g, gain in zip(found, architecture.gains, strict=True)
            ]
        if has_inputs:
            row_weights = batch.row_weights[:, None]
            squares = [
                (row_weights * i.detach().square()).sum(dim=1, dtype=torch.float64)
                for i in batch.inputs
            ]
        yield slice(None), gradients, squares


class _Pass(NamedTuple):
    """Forward pass over a batch of training rows, all members at once.

    Attributes
    ----------
    row_weights : tensor of shape (n_rows,)
    weights : list of tensors
        Trained weights of each layer.
    hidden, inputs : lists of tensors
        Activations, and input of each product.
    loss : tensor or None
        Sum of the weighted losses.
    """

    row_weights: torch.Tensor
    weights: list
    hidden: list
    inputs: list
    loss: torch.Tensor | None


def _passes(architecture, networks, rows, loss):
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
    derives = loss is not None
    for x, targets, row_weights in rows(_MAX_ROWS, n_block, dtype):
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
            total = loss(outputs, targets, row_weights) if derives else None
        yield _Pass(row_weights, parameters.weights, hidden, inputs, total)


def select_units(weights, shares, generator=None):
    """Return a network with a selection of its hidden units, or with copies of them.

    Parameters
    ----------
    weights : Weights
    shares : list of Shares
        One per hidden layer.
    generator : numpy.random.Generator or None
        For the shares of copies; None if no unit is copied.

    Returns
    -------
    Weights
        Copies.
    """
    coefs, intercepts = ([a.copy() for a in part] for part in weights.parts[:2])
    for layer, share in enumerate(shares):
        coefs[layer] = np.ascontiguousarray(coefs[layer][:, share.units])
        intercepts[layer] = intercepts[layer][share.units]
        # Rows of direct inputs follow those of the units.
        of_units, of_direct = np.split(coefs[layer + 1], [len(share.counts)])
        coefs[layer + 1] = np.concatenate([share.apply(of_units, generator), of_direct])
    return Weights(coefs, intercepts)


def remove_units(architecture, networks, remaining):
    """Remove hidden units of the networks.

    Parameters
    ----------
    architecture : DenseArchitecture
    networks : list of Weights
        One per member.
    remaining : list of ndarray of int of shape (n_members, n_remaining)
        Indices of the units to keep in each group (`unit_groups`).

    Returns
    -------
    architecture : DenseArchitecture
    networks : list of Weights
        Copies.
    """
    remaining_of_layer = [None] * architecture.depth
    for layers, units in zip(architecture.unit_groups, remaining, strict=True):
        for layer in layers:
            remaining_of_layer[layer] = units
    smaller = []
    for member, weights in enumerate(networks):
        pairs = zip(remaining_of_layer, architecture.widths, strict=True)
        smaller.append(select_units(weights, [Shares(u[member], n_old) for u, n_old in pairs]))
    widths = tuple(units.shape[1] for units in remaining_of_layer)
    return replace(architecture, widths=widths), smaller
