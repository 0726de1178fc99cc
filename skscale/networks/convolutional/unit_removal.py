"""Channels inside the blocks of convolutional networks: activations, gradients and removal.

A channel inside a block (`torch_network.ConvolutionalBlock`) corresponds to a hidden unit of a
dense network: one slice of the convolution computes it and one slice of the projection reads
it. Its removal makes the network smaller. If its outgoing weights are zero, the outputs do not
change.
"""

from dataclasses import replace

import numpy as np
import torch

from ..torch_modules import build, load_weights_, weights_of
from ..weights import Weights

# Upper limit of images for activations and gradients: their means need no more.
_MAX_ROWS = 2048
_BLOCK_ROWS = 256


def unit_weights(architecture, weights, block):
    """Return the incoming and the outgoing weights of the channels inside a block."""
    convolve, project, _ = _places(architecture, block)
    return weights.coefs[convolve], np.swapaxes(weights.coefs[project], 0, 1)


def unit_passes(architecture, networks, rows, loss=None):
    """Yield the feature maps of all channels: see `Family.unit_passes`."""
    for members, _, row_weights, inside, total in _passes(architecture, networks, rows, loss):
        gradients = None
        if total is not None:
            gradients = [g.flatten(2)[None] for g in torch.autograd.grad(total, inside)]
        yield members, row_weights, [h.detach().flatten(2)[None] for h in inside], gradients


def weight_passes(architecture, networks, rows, loss):
    """Yield sums for all weights: see `Family.weight_passes`."""
    names = architecture.parameter_names[0]
    for members, module, _, _, total in _passes(architecture, networks, rows, loss):
        parameters = dict(module.named_parameters())
        gradients = torch.autograd.grad(total, [parameters[name] for name in names])
        yield members, [g.double()[None] for g in gradients], None


def _passes(architecture, networks, rows, loss):
    """Yield forward passes over batches of training images, one member after the other.

    Each item holds the member as a slice, its module, the sample weights, the feature maps
    inside each block, and the sum of weighted losses (None without a loss).
    """
    for member, weights in enumerate(networks):
        buffers = weights.buffers or weights_of(build(architecture)).buffers
        module = load_weights_(build(architecture), replace(weights, buffers=buffers)).eval()
        for x, targets, row_weights in rows(_MAX_ROWS, _BLOCK_ROWS, weights.dtype):
            inside = []
            outputs = module(x.view(len(x), *architecture.input_shape), hidden=inside)
            total = None if loss is None else loss(outputs[None], targets, row_weights)
            yield slice(member, member + 1), module, row_weights, inside, total


def remove_channels(architecture, networks, remaining):
    """Remove channels inside the blocks of the networks: see `Family.remove_units`."""
    smaller = []
    for member, weights in enumerate(networks):
        coefs, intercepts = ([a.copy() for a in part] for part in weights.parts[:2])
        for block, channels in enumerate(remaining):
            own, (convolve, project, bias) = channels[member], _places(architecture, block)
            coefs[convolve] = np.ascontiguousarray(coefs[convolve][own])
            coefs[project] = np.ascontiguousarray(coefs[project][:, own])
            intercepts[bias] = intercepts[bias][own]
        smaller.append(Weights(coefs, intercepts))
    return architecture.with_widths([channels.shape[1] for channels in remaining]), smaller


def _places(architecture, block):
    """Return the indices of a block's convolution, projection and inner bias."""
    names, bias_names = architecture.parameter_names
    block = f"blocks.{block}"
    convolve, project = (names.index(f"{block}.{n}.weight") for n in ("convolve", "project"))
    return convolve, project, bias_names.index(f"{block}.convolve.bias")
