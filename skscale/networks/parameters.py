"""The parameters of a stack of dense networks in one flat buffer."""

import torch


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

    Attributes
    ----------
    flat : tensor of shape (n_members * n_parameters,)
        The buffer.
    flat_weights : tensor of shape (n_weights,)
        Its part that holds weights; biases follow.
    weights : list of tensors of shape (n_members, n_in, n_out)
        Views into the buffer.
    biases : list of tensors of shape (n_members, 1, n_out)
        Views into the buffer.
    """

    def __init__(self, layer_shapes, n_members, dtype, device):
        self.layer_shapes = list(layer_shapes)
        self.n_members = n_members
        n_weights = n_members * sum(i * o for i, o in self.layer_shapes)
        n_biases = n_members * sum(o for _, o in self.layer_shapes)
        self.flat = torch.zeros(n_weights + n_biases, dtype=dtype, device=device)
        self.flat_weights = self.flat[:n_weights]
        self.weights, self.biases = [], []
        start = 0
        for n_in, n_out in self.layer_shapes:
            stop = start + n_members * n_in * n_out
            self.weights.append(self.flat[start:stop].view(n_members, n_in, n_out))
            start = stop
        for _, n_out in self.layer_shapes:
            stop = start + n_members * n_out
            self.biases.append(self.flat[start:stop].view(n_members, 1, n_out))
            start = stop

    @property
    def tensors(self):
        """list of tensors: every layer's weights, then every layer's biases."""
        return self.weights + self.biases

    def like(self, n_members=None, dtype=None):
        """Return zeros of the same layer shapes."""
        return StackedParameters(
            self.layer_shapes,
            self.n_members if n_members is None else n_members,
            self.flat.dtype if dtype is None else dtype,
            self.flat.device,
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

    def set_member_(self, member, coefs, intercepts):
        """Overwrite one member with NumPy arrays."""
        for own, new in zip(self.weights, coefs, strict=True):
            own[member].copy_(torch.tensor(new))
        for own, new in zip(self.biases, intercepts, strict=True):
            own[member, 0].copy_(torch.tensor(new))

    def get_member(self, member):
        """Return copies of one member's weights and biases as lists of NumPy arrays."""
        return (
            [w[member].detach().cpu().numpy().copy() for w in self.weights],
            [b[member, 0].detach().cpu().numpy().copy() for b in self.biases],
        )
