"""Pruning of convolutional networks: how important the channels inside blocks are.

The channels inside a block (`networks.convolutional.ConvolutionalBlock`) are what a hidden
unit is to a dense network: one slice of the convolution makes one, one slice of the
projection uses it, nothing else sees it. Without it the network is smaller, and where its
outgoing weights were zero it computes the same.
"""

import numpy as np
import torch

from ..inference.weights import Weights
from ..networks.modules import build, load_weights_, weights_of
from ..training.losses import mix_targets, row_losses, stack_parameters
from ..training.random import importance_rows

# Images that activations and gradients are taken on: their means need no more.
_MOST_ROWS = 2048
_BLOCK_ROWS = 256


def channel_importances(kind, architecture, networks, task):
    """Return the importance of every channel inside a block.

    As `importance.unit_importances`; of a channel's map "taylor" sums `h dL/dh` and
    "activation" averages `|h|` over its places.

    Returns
    -------
    list of float64 ndarray of shape (n_members, hidden)
        One a block.
    """
    if kind == "magnitude":
        return [
            np.stack([_norms(architecture, n.coefs, block) for n in networks])
            for block in range(architecture.depth)
        ]
    found = []
    for weights in networks:
        totals = [0.0] * architecture.depth
        for _, loss, n_rows, row_weights, inside in _passes(architecture, weights, task):
            if kind == "taylor":
                gradients = torch.autograd.grad(loss, inside)
                terms = [(h * g).sum((2, 3)) for h, g in zip(inside, gradients, strict=True)]
            else:
                terms = [row_weights[:, None] * h.abs().mean((2, 3)) for h in inside]
            for block, term in enumerate(terms):
                mean = term.detach().abs().mean(0, dtype=torch.float64).numpy()
                totals[block] = totals[block] + n_rows * mean
        found.append(totals)
    return [np.stack(of_block) for of_block in zip(*found, strict=True)]


def weight_importances(kind, architecture, networks, task):
    """Return the importance of every weight: see `importance.weight_importances`.

    Raises
    ------
    ValueError
        If `kind` is "activation", which is of products with rows.
    """
    if kind == "activation":
        raise ValueError(
            'pruning_importance="activation" of single weights is for dense networks. Expected '
            '"taylor" or "magnitude", or pruning_kind="neurons".'
        )
    sizes = [[np.abs(c.astype(np.float64)) for c in n.coefs] for n in networks]
    if kind == "magnitude":
        return sizes
    found = []
    names = architecture.parameter_names[0]
    for weights, own in zip(networks, sizes, strict=True):
        factors = [0.0] * len(own)
        for module, loss, *_ in _passes(architecture, weights, task):
            parameters = dict(module.named_parameters())
            gradients = torch.autograd.grad(loss, [parameters[name] for name in names])
            factors = [f + g.double().numpy() for f, g in zip(factors, gradients, strict=True)]
        found.append([s * np.abs(f) for s, f in zip(own, factors, strict=True)])
    return found


def remove_channels(architecture, networks, kept):
    """Return the network without some of the channels inside its blocks.

    Parameters
    ----------
    architecture : ConvolutionalArchitecture
    networks : list of Weights
        One a member.
    kept : list of ndarray of int of shape (n_members, n_kept)
        The channels of each block that stay.

    Returns
    -------
    architecture : ConvolutionalArchitecture
    networks : list of Weights
        Copies.
    """
    names, bias_names = architecture.parameter_names
    smaller = []
    for member, weights in enumerate(networks):
        coefs, intercepts = ([a.copy() for a in part] for part in weights.parts[:2])
        for block, channels in enumerate(kept):
            own = channels[member]
            convolve = names.index(f"blocks.{block}.convolve.weight")
            project = names.index(f"blocks.{block}.project.weight")
            bias = bias_names.index(f"blocks.{block}.convolve.bias")
            coefs[convolve] = np.ascontiguousarray(coefs[convolve][own])
            coefs[project] = np.ascontiguousarray(coefs[project][:, own])
            intercepts[bias] = intercepts[bias][own]
        smaller.append(Weights(coefs, intercepts))
    return architecture.with_widths([channels.shape[1] for channels in kept]), smaller


def _norms(architecture, coefs, block):
    names = architecture.parameter_names[0]
    incoming = coefs[names.index(f"blocks.{block}.convolve.weight")].astype(np.float64)
    outgoing = coefs[names.index(f"blocks.{block}.project.weight")].astype(np.float64)
    return np.sqrt(
        np.square(incoming).sum(axis=(1, 2, 3)) * np.square(outgoing).sum(axis=(0, 2, 3))
    )


def _passes(architecture, weights, task):
    """Yield what a network makes of some training images, a few at a time.

    The module, the sum of their weighted losses, their number, their weights and the maps
    inside each block.
    """
    buffers = task.buffers or weights_of(build(architecture)).buffers
    weights = Weights(weights.coefs, weights.intercepts, buffers)
    module = load_weights_(build(architecture), weights).eval()
    dtype = module.output.weight.dtype
    loss_parameter = stack_parameters(task.loss, [task.loss_parameter], dtype, "cpu")
    rows = importance_rows(task.seed, task.train_rows, _MOST_ROWS)
    for start in range(0, len(rows), _BLOCK_ROWS):
        chosen = rows[start : start + _BLOCK_ROWS]
        x = torch.from_numpy(np.ascontiguousarray(task.X[chosen])).to(dtype)
        targets = torch.from_numpy(np.ascontiguousarray(task.targets[chosen]))[None]
        row_weights = np.ones(len(chosen)) if task.weights is None else task.weights[chosen]
        row_weights = torch.from_numpy(row_weights).to(dtype)
        inside = []
        h = module.stem(module.prepare(x.view(len(chosen), *architecture.input_shape)))
        for block in module.blocks:
            inside.append(block.hidden(h))
            h = block.outer(h, inside[-1])
        targets = mix_targets(task.loss, targets, loss_parameter)
        losses = row_losses(task.loss, module.head(h)[None], targets, loss_parameter)
        yield module, (losses[0] * row_weights).sum(), len(chosen), row_weights, inside
