"""Trained parameters of a stack of networks, in one flat buffer."""

import itertools
import math
from typing import NamedTuple

import numpy as np
import torch

from .constants import BIAS_GAIN, SCALE_GAIN
from .weights import Weights

# When training resumes, smaller input scales are raised to this value.
_SMALLEST_SCALE = 1e-6


class ParameterShapes(NamedTuple):
    """Shapes of the parameters and buffers of one network.

    Attributes
    ----------
    weights : list of tuple of int
        Parameters with weight decay and L1; in a dense network (n_inputs, n_outputs) per layer.
    biases : list of tuple of int
        Other parameters; in a dense network (1, n_outputs) per layer.
    scales : tuple of int or None
        A trained scale per input: (n_features, 1).
    buffers : list of (tuple of int, torch.dtype or None)
        Untrained state, such as running means; None is the dtype of the parameters.
    """

    weights: list
    biases: list
    scales: tuple | None = None
    buffers: tuple = ()

    @classmethod
    def of_layers(cls, layer_shapes, scales_inputs=False):
        """Return the shapes of a dense network.

        Parameters
        ----------
        layer_shapes : list of (int, int)
            Inputs and outputs of each layer.
        scales_inputs : bool, default=False

        Returns
        -------
        ParameterShapes
        """
        scales = (layer_shapes[0][0], 1) if scales_inputs else None
        return cls(list(layer_shapes), [(1, n_out) for _, n_out in layer_shapes], scales)


class StackedParameters:
    """Weights and biases of `n_members` networks of one architecture.

    The buffer holds layer after layer, all weights before all biases, with the members of a
    layer side by side. Each layer is one contiguous `(n_members, n_in, n_out)` operand of a
    batched product, and the whole buffer is one operand of the optimizer. (With the members
    outermost, writing in place took 1.5 to 2 times as long at width 32.)

    Parameters
    ----------
    shapes : ParameterShapes
    n_members : int
        Number of networks in the stack.
    dtype : torch.dtype
    device : torch.device

    Attributes
    ----------
    flat : tensor of shape (n_members * n_parameters,)
        The buffer.
    flat_weights : tensor of shape (n_weights,)
        The part of the buffer with weights.
    flat_decayed : tensor
        The part with weight decay: weights and scales. Biases follow.
    weights, biases : lists of tensors of shape (n_members, ...)
        Views into the buffer.
    scales : tensor of shape (n_members, n_features, 1) or None
        View into the buffer.
    buffers : list of tensors of shape (n_members, ...)
        Untrained state.
    """

    def __init__(self, shapes, n_members, dtype, device):
        self.shapes = shapes
        self.n_members = n_members
        scales = () if shapes.scales is None else (shapes.scales,)
        ordered = [*shapes.weights, *scales, *shapes.biases]
        sizes = [n_members * math.prod(shape) for shape in ordered]
        self.flat = torch.zeros(sum(sizes), dtype=dtype, device=device)
        stops = list(itertools.accumulate(sizes, initial=0))
        self.flat_weights = self.flat[: stops[len(shapes.weights)]]
        self.flat_decayed = self.flat[: stops[len(shapes.weights) + len(scales)]]
        views = [
            self.flat[start:stop].view(n_members, *shape)
            for start, stop, shape in zip(stops[:-1], stops[1:], ordered, strict=True)
        ]
        self.weights = views[: len(shapes.weights)]
        self.scales = views[len(shapes.weights)] if scales else None
        self.biases = views[len(shapes.weights) + len(scales) :]
        self.buffers = [
            torch.zeros(n_members, *shape, dtype=own or dtype, device=device)
            for shape, own in shapes.buffers
        ]

    @property
    def tensors(self):
        """list of tensors: all weights, then all biases, then scales."""
        return self.weights + self.biases + ([] if self.scales is None else [self.scales])

    def like(self, n_members=None, dtype=None):
        """Return zeros of the same shapes."""
        return StackedParameters(
            self.shapes,
            self.n_members if n_members is None else n_members,
            self.flat.dtype if dtype is None else dtype,
            self.flat.device,
        )

    def select(self, members):
        """Copy the given members, in the given order."""
        chosen = self.like(len(members))
        index = torch.as_tensor(members, device=self.flat.device)
        pairs = zip(self.tensors + self.buffers, chosen.tensors + chosen.buffers, strict=True)
        for own, new in pairs:
            if own.dtype == new.dtype:
                torch.index_select(own, 0, index, out=new)
            else:  # buffers may have another dtype
                new.copy_(own.index_select(0, index))
        return chosen

    def copy_member_(self, member, other, other_member):
        """Overwrite one member with a member of another stack of the same architecture."""
        pairs = zip(self.tensors + self.buffers, other.tensors + other.buffers, strict=True)
        for own, new in pairs:
            own[member].copy_(new[other_member])

    def set_member_(self, member, trained):
        """Overwrite one member with TrainedNumbers."""
        scales = [] if self.scales is None else [trained.scales]
        arrays = [*trained.coefs, *trained.intercepts, *scales, *trained.buffers]
        for own, new in zip(self.tensors + self.buffers, arrays, strict=True):
            own[member].copy_(torch.as_tensor(new).view(own.shape[1:]))

    def get_member(self, member):
        """Return a copy of one member as TrainedNumbers."""

        def array(tensor):
            return tensor[member].detach().cpu().numpy().copy()

        return TrainedNumbers(
            [array(w) for w in self.weights],
            # A dense bias is stored as a row.
            [array(b[:, 0] if b.dim() == 3 else b) for b in self.biases],
            None if self.scales is None else array(self.scales[..., 0]),
            [array(b) for b in self.buffers],
        )


class TrainedNumbers(NamedTuple):
    """Trained parameters of one network, from which its weights are computed.

    With the `gains` of `DenseArchitecture`::

        coefs[l] = gains[l] * trained.coefs[l]      (l > 0)
        coefs[0] = gains[0] * SCALE_GAIN * trained.scales[:, None] * trained.coefs[0]
        intercepts[l] = BIAS_GAIN * trained.intercepts[l]

    For an architecture without `gains` they are the weights.

    Attributes
    ----------
    coefs : list of ndarray of shape (n_inputs, n_outputs)
    intercepts : list of ndarray of shape (n_outputs,)
    scales : ndarray of shape (n_features,) or None
        None if the architecture does not scale inputs.
    buffers : list of ndarray
        Untrained state of the network.
    """

    coefs: list
    intercepts: list
    scales: np.ndarray | None = None
    buffers: tuple | list = ()

    @classmethod
    def of(cls, architecture, weights, scales=None, buffers=None):
        """Compute the trained parameters from the weights of a network.

        Parameters
        ----------
        architecture : DenseArchitecture
        weights : Weights
        scales : ndarray of shape (n_features,) or None
            Scales that the network was trained with; None uses initial ones.
        buffers : list of ndarray or None
            None uses the buffers of the weights.

        Returns
        -------
        TrainedNumbers
        """
        coefs, intercepts = weights.coefs, weights.intercepts
        if architecture.gains is None:
            return cls(coefs, intercepts, None, buffers or weights.buffers)
        trained = [c / c.dtype.type(g) for c, g in zip(coefs, architecture.gains, strict=True)]
        if architecture.scales_inputs:
            if scales is None:
                scales = np.full(architecture.n_hidden_inputs, 1 / SCALE_GAIN, coefs[0].dtype)
            # A zero scale has made its weights zero: the trained weights are lost.
            scales = np.where(np.abs(scales) > _SMALLEST_SCALE, scales, _SMALLEST_SCALE)
            scales = scales.astype(coefs[0].dtype)
            trained[0] = trained[0] / (coefs[0].dtype.type(SCALE_GAIN) * scales[:, None])
        else:
            scales = None
        return cls(trained, [b / b.dtype.type(BIAS_GAIN) for b in intercepts], scales)

    def weights(self, architecture):
        """Compute the network's Weights."""
        if architecture.gains is None:
            return Weights(self.coefs, self.intercepts, list(self.buffers))
        coefs = [
            c * c.dtype.type(g) for c, g in zip(self.coefs, architecture.gains, strict=True)
        ]
        if self.scales is not None:
            coefs[0] = coefs[0] * (coefs[0].dtype.type(SCALE_GAIN) * self.scales[:, None])
        return Weights(coefs, [b * b.dtype.type(BIAS_GAIN) for b in self.intercepts])
