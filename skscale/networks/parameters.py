"""What is trained of a stack of dense networks, in one flat buffer."""

from typing import NamedTuple

import numpy as np
import torch

from .architecture import BIAS_GAIN, SCALE_GAIN

# Smaller scales are brought to this where training goes on.
_SMALLEST_SCALE = 1e-6


class StackedParameters:
    """Weights and biases of `n_members` networks of one architecture.

    The buffer holds layer after layer, all weights before all biases, the members of a
    layer side by side: each layer is one contiguous `(n_members, n_in, n_out)` operand
    of a batched product (written to in place, a buffer with the members outermost took
    1.5 to 2 times as long at width 32), and the whole is one operand of the optimiser.

    Parameters
    ----------
    layer_shapes : list of (int, int)
        Inputs and outputs of each layer.
    n_members : int
        Networks in the stack.
    dtype : torch.dtype
    device : torch.device
    scales_inputs : bool, default=False
        Whether there is a scale for each input.

    Attributes
    ----------
    flat : tensor of shape (n_members * n_parameters,)
        The buffer.
    flat_weights : tensor of shape (n_weights,)
        Its part that holds weights.
    flat_decayed : tensor
        Its part that weight decay acts on: weights and scales. Biases follow.
    weights : list of tensors of shape (n_members, n_in, n_out)
        Views into the buffer.
    biases : list of tensors of shape (n_members, 1, n_out)
        Views into the buffer.
    scales : tensor of shape (n_members, n_features, 1) or None
        View into the buffer.
    """

    def __init__(self, layer_shapes, n_members, dtype, device, scales_inputs=False):
        self.layer_shapes = list(layer_shapes)
        self.n_members = n_members
        n_weights = n_members * sum(i * o for i, o in self.layer_shapes)
        n_biases = n_members * sum(o for _, o in self.layer_shapes)
        n_scales = n_members * self.layer_shapes[0][0] if scales_inputs else 0
        self.flat = torch.zeros(n_weights + n_biases + n_scales, dtype=dtype, device=device)
        self.flat_weights = self.flat[:n_weights]
        self.flat_decayed = self.flat[: n_weights + n_scales]
        self.weights, self.biases, self.scales = [], [], None
        start = 0
        for n_in, n_out in self.layer_shapes:
            stop = start + n_members * n_in * n_out
            self.weights.append(self.flat[start:stop].view(n_members, n_in, n_out))
            start = stop
        if scales_inputs:
            self.scales = self.flat_decayed[n_weights:].view(n_members, -1, 1)
            start += n_scales
        for _, n_out in self.layer_shapes:
            stop = start + n_members * n_out
            self.biases.append(self.flat[start:stop].view(n_members, 1, n_out))
            start = stop

    @property
    def tensors(self):
        """list of tensors: every layer's weights, then every layer's biases, then scales."""
        return self.weights + self.biases + ([] if self.scales is None else [self.scales])

    def like(self, n_members=None, dtype=None):
        """Return zeros of the same layer shapes."""
        return StackedParameters(
            self.layer_shapes,
            self.n_members if n_members is None else n_members,
            self.flat.dtype if dtype is None else dtype,
            self.flat.device,
            self.scales is not None,
        )

    def select(self, members):
        """Return a copy that holds the given members, in the given order."""
        chosen = self.like(len(members))
        index = torch.as_tensor(members, device=self.flat.device)
        for own, new in zip(self.tensors, chosen.tensors, strict=True):
            torch.index_select(own, 0, index, out=new)
        return chosen

    def copy_member_(self, member, other, other_member):
        """Overwrite one member with one of another stack of the same architecture."""
        for own, new in zip(self.tensors, other.tensors, strict=True):
            own[member].copy_(new[other_member])

    def set_member_(self, member, trained):
        """Overwrite one member with TrainedNumbers."""
        tensors = [*self.weights, *(b[:, 0] for b in self.biases)]
        arrays = [*trained.coefs, *trained.intercepts]
        if self.scales is not None:
            tensors.append(self.scales[..., 0])
            arrays.append(trained.scales)
        for own, new in zip(tensors, arrays, strict=True):
            own[member].copy_(torch.tensor(new))

    def get_member(self, member):
        """Return copies of one member's numbers as TrainedNumbers."""

        def array(tensor):
            return tensor[member].detach().cpu().numpy().copy()

        return TrainedNumbers(
            [array(w) for w in self.weights],
            [array(b[:, 0]) for b in self.biases],
            None if self.scales is None else array(self.scales[..., 0]),
        )


class TrainedNumbers(NamedTuple):
    """What is trained of one network: the numbers that its weights are made of.

    With `gains` those of `DenseArchitecture`::

        coefs[l] = gains[l] * trained.coefs[l]      (l > 0)
        coefs[0] = gains[0] * SCALE_GAIN * trained.scales[:, None] * trained.coefs[0]
        intercepts[l] = BIAS_GAIN * trained.intercepts[l]

    Attributes
    ----------
    coefs : list of ndarray of shape (n_inputs, n_outputs)
    intercepts : list of ndarray of shape (n_outputs,)
    scales : ndarray of shape (n_features,) or None
        None where the architecture scales no inputs.
    """

    coefs: list
    intercepts: list
    scales: np.ndarray | None

    @classmethod
    def of(cls, architecture, coefs, intercepts, scales=None):
        """Take a network apart.

        Parameters
        ----------
        architecture : DenseArchitecture
        coefs, intercepts : lists of ndarray
        scales : ndarray of shape (n_features,) or None
            Those that the network was trained with; None begins anew.

        Returns
        -------
        TrainedNumbers
        """
        trained = [c / c.dtype.type(g) for c, g in zip(coefs, architecture.gains, strict=True)]
        if architecture.scales_inputs:
            if scales is None:
                scales = np.full(architecture.n_features, 1 / SCALE_GAIN, coefs[0].dtype)
            # What a scale of zero has made of its weights is not to be had back.
            scales = np.where(np.abs(scales) > _SMALLEST_SCALE, scales, _SMALLEST_SCALE)
            scales = scales.astype(coefs[0].dtype)
            trained[0] = trained[0] / (coefs[0].dtype.type(SCALE_GAIN) * scales[:, None])
        else:
            scales = None
        return cls(trained, [b / b.dtype.type(BIAS_GAIN) for b in intercepts], scales)

    def weights(self, architecture):
        """Return the network's weights and biases, as (coefs, intercepts)."""
        coefs = [
            c * c.dtype.type(g) for c, g in zip(self.coefs, architecture.gains, strict=True)
        ]
        if self.scales is not None:
            coefs[0] = coefs[0] * (coefs[0].dtype.type(SCALE_GAIN) * self.scales[:, None])
        return coefs, [b * b.dtype.type(BIAS_GAIN) for b in self.intercepts]
