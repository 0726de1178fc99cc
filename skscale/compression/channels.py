"""Pruning of convolutional networks: how important the channels inside blocks are.

The channels inside a block (`networks.convolutional.ConvolutionalBlock`) are what a hidden
unit is to a dense network: one slice of the convolution makes one, one slice of the
projection uses it, nothing else sees it. Without it the network is smaller, and where its
outgoing weights were zero it computes the same.
"""

from dataclasses import replace

import numpy as np
import torch

from ..networks.modules import build, load_weights_, weights_of
from ..networks.weights import Weights
from .importance import judging_rows, square_sums, weighted_loss

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
        places = [_places(architecture, block) for block in range(architecture.depth)]
        return [
            np.stack(
                [
                    np.sqrt(square_sums(n.coefs[made], 0) * square_sums(n.coefs[used], 1))
                    for n in networks
                ]
            )
            for made, used, _ in places
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
            'importance="activation" of single weights is for dense networks. Expected '
            '"taylor" or "magnitude", or granularity="neurons".'
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
    smaller = []
    for member, weights in enumerate(networks):
        coefs, intercepts = ([a.copy() for a in part] for part in weights.parts[:2])
        for block, channels in enumerate(kept):
            own, (convolve, project, bias) = channels[member], _places(architecture, block)
            coefs[convolve] = np.ascontiguousarray(coefs[convolve][own])
            coefs[project] = np.ascontiguousarray(coefs[project][:, own])
            intercepts[bias] = intercepts[bias][own]
        smaller.append(Weights(coefs, intercepts))
    return architecture.with_widths([channels.shape[1] for channels in kept]), smaller


def _places(architecture, block):
    """Return where the convolution and the projection of a block stand, and the bias inside."""
    names, bias_names = architecture.parameter_names
    block = f"blocks.{block}"
    convolve, project = (names.index(f"{block}.{n}.weight") for n in ("convolve", "project"))
    return convolve, project, bias_names.index(f"{block}.convolve.bias")


def _passes(architecture, weights, task):
    """Yield what a network makes of some training images, a few at a time.

    The module, the sum of their weighted losses, their number, their weights and the maps
    inside each block.
    """
    buffers = task.buffers or weights_of(build(architecture)).buffers
    weights = replace(weights, buffers=buffers)
    module = load_weights_(build(architecture), weights).eval()
    for x, targets, row_weights in judging_rows(task, _MOST_ROWS, _BLOCK_ROWS, weights.dtype):
        inside = []
        outputs = module(x.view(len(x), *architecture.input_shape), hidden=inside)
        loss = weighted_loss(task, outputs[None], targets, row_weights)
        yield module, loss, len(x), row_weights, inside
