"""Pruning of convolutional networks: importance and removal of channels inside blocks.

A channel inside a block (`networks.convolutional.ConvolutionalBlock`) corresponds to a hidden
unit of a dense network: one slice of the convolution computes it and one slice of the
projection reads it. Its removal makes the network smaller. If its outgoing weights are zero,
the outputs do not change.
"""

from dataclasses import replace

import numpy as np
import torch

from ..networks.modules import build, load_weights_, weights_of
from ..networks.weights import Weights
from .importance import judging_rows, square_sums, weighted_loss

# Upper limit of images for activations and gradients: their means need no more.
_MOST_ROWS = 2048
_BLOCK_ROWS = 256


def channel_importances(kind, architecture, networks, task):
    """Return the importance of every channel inside a block.

    The criteria are those of `importance.unit_importances`. Over the positions of a channel's
    feature map, "taylor" sums `h dL/dh` and "activation" averages `|h|`.

    Returns
    -------
    list of float64 ndarray of shape (n_members, hidden)
        One array per block.
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
        If `kind` is "activation", which is defined for dense layers only.
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
    """Remove channels inside the blocks of the networks.

    Parameters
    ----------
    architecture : ConvolutionalArchitecture
    networks : list of Weights
        One per member.
    kept : list of ndarray of int of shape (n_members, n_kept)
        Indices of the channels to keep in each block.

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
    """Return the indices of a block's convolution, projection and inner bias."""
    names, bias_names = architecture.parameter_names
    block = f"blocks.{block}"
    convolve, project = (names.index(f"{block}.{n}.weight") for n in ("convolve", "project"))
    return convolve, project, bias_names.index(f"{block}.convolve.bias")


def _passes(architecture, weights, task):
    """Yield forward passes of a network over training images, in batches.

    Each item holds the module, the sum of weighted losses, the number of images, their sample
    weights and the feature maps inside each block.
    """
    buffers = task.buffers or weights_of(build(architecture)).buffers
    weights = replace(weights, buffers=buffers)
    module = load_weights_(build(architecture), weights).eval()
    for x, targets, row_weights in judging_rows(task, _MOST_ROWS, _BLOCK_ROWS, weights.dtype):
        inside = []
        outputs = module(x.view(len(x), *architecture.input_shape), hidden=inside)
        loss = weighted_loss(task, outputs[None], targets, row_weights)
        yield module, loss, len(x), row_weights, inside
