"""Convolutional networks as ONNX operators.

They compute in float32, the only type of convolutions in ONNX Runtime on a CPU.
"""

from dataclasses import replace

import numpy as np
import torch

from ..activations import activation_of
from .torch_network import resize

_DTYPE = np.dtype(np.float32)


def add_network(graph, images, modules, factors):
    """Add convolutional networks to a graph.

    Parameters
    ----------
    graph : skscale.onnx.graph.Graph
    images : str
        Name of the images, of any shape whose first axis is the number of images.
    modules : list of ConvolutionalNetwork
        Members of an ensemble, or a single network.
    factors : ndarray of shape (n_members,)
        Factor of the outputs of each member.

    Returns
    -------
    str
        Name of the outputs, of shape (n, n_outputs) or (n_members, n, n_outputs).
    """
    architecture = modules[0].architecture
    x = graph.reshape(graph.cast(images, _DTYPE), 0, *architecture.image_shape)
    if not architecture.channels_first:
        x = graph.add("Transpose", x, perm=[0, 3, 1, 2])
    outputs = []
    for module, factor in zip(modules, factors.tolist(), strict=True):
        z = _add_member(graph, x, module)
        outputs.append(z if factor == 1 else graph.add("Mul", z, np.array(factor, _DTYPE)))
    if len(outputs) == 1:
        return outputs[0]
    first = np.array([0], dtype=np.int64)
    return graph.join([graph.add("Unsqueeze", z, first) for z in outputs], axis=0)


def _array(tensor):
    return tensor.detach().cpu().numpy().astype(_DTYPE)


def _add_member(graph, x, module):
    architecture = module.architecture
    x = graph.add("Sub", x, _array(module.pixel_mean)[:, None, None])
    x = graph.add("Mul", x, _array(module.pixel_scale)[:, None, None])
    shape = architecture.map_shape
    if architecture.side is not None:
        x = _add_resize(graph, x, architecture)
    h = _add_convolution(graph, x, module.stem)
    for block, (*_, shape_after) in zip(module.blocks, architecture.blocks, strict=True):
        h = _add_block(graph, h, block, shape, activation_of(architecture.activation))
        shape = shape_after
    h = _add_norm(graph, h, module.norm, shape)
    h = activation_of(architecture.activation).add_to_graph(graph, h, _DTYPE)
    places = _array(module.places) + np.array(1 / (shape[0] * shape[1]), _DTYPE)
    h = graph.reduce("Sum", graph.add("Mul", h, places), [2, 3], keepdims=0)
    z = graph.add("MatMul", h, _array(module.output.weight).T)
    return graph.add("Add", z, _array(module.output.bias))


def _add_resize(graph, x, architecture):
    # Resizing is linear and separable: one matrix from each side. The matrices come from the
    # network's own `resize` applied to unit lines, so they fit any method that it uses.
    height, width = replace(architecture, side=None).map_shape
    wanted = architecture.map_shape
    lines = torch.eye(height, dtype=torch.float64)[:, None, :, None].expand(-1, 1, -1, width)
    down = resize(lines, wanted)[:, 0, :, 0].T
    lines = torch.eye(width, dtype=torch.float64)[:, None, None, :].expand(-1, 1, height, -1)
    across = resize(lines, wanted)[:, 0, 0, :]
    return graph.add("MatMul", _array(down), graph.add("MatMul", x, _array(across)))


def _add_block(graph, x, block, shape, activation):
    inside = _add_norm(graph, x, block.norm, shape)
    inside = _add_convolution(graph, inside, block.convolve)
    inside = activation.add_to_graph(graph, inside, _DTYPE)
    inside = _add_convolution(graph, inside, block.project)
    if block.strides != (1, 1):
        window = list(block.strides)
        x = graph.add("AveragePool", x, kernel_shape=window, strides=window, ceil_mode=1)
    if block.shortcut is not None:
        x = _add_convolution(graph, x, block.shortcut)
    return graph.add("Add", x, inside)


def _add_convolution(graph, x, convolution):
    arrays = [_array(convolution.weight)]
    if convolution.bias is not None:
        arrays.append(_array(convolution.bias))
    padding = list(convolution.padding)
    return graph.add(
        "Conv",
        x,
        *arrays,
        kernel_shape=list(convolution.kernel_size),
        pads=padding + padding,
        strides=list(convolution.stride),
    )


def _add_norm(graph, x, norm, shape):
    """Add a group normalization: an instance normalization of groups flattened to rows."""
    n_groups, n_channels = norm.num_groups, norm.num_channels
    rows = graph.reshape(x, 0, n_groups, n_channels // n_groups * shape[0] * shape[1])
    ones, zeros = np.ones(n_groups, _DTYPE), np.zeros(n_groups, _DTYPE)
    rows = graph.add("InstanceNormalization", rows, ones, zeros, epsilon=norm.eps)
    x = graph.reshape(rows, 0, n_channels, *shape)
    x = graph.add("Mul", x, _array(norm.weight)[:, None, None])
    return graph.add("Add", x, _array(norm.bias)[:, None, None])
