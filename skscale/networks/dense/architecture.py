"""Shape of dense networks, in plain Python, so that counting needs no torch."""

from dataclasses import dataclass, replace
from itertools import pairwise
from math import sqrt

from ...storage.tree import expect
from ..activations import is_activation
from ..interface import Architecture

NORMALIZATIONS = ("layer",)


@dataclass(frozen=True)
class DenseArchitecture(Architecture):
    """Shape of a dense network.

    Layer `l` computes, with `h[0]` the input and `norm` the identity if
    `normalization` is None, `l` is the first layer, or `h[l]` is one unit::

        a = activation(norm(h[l]) @ W[l] + b[l])
        h[l + 1] = h[l] + a      if residual, both of one width, and l > 0
                   a             otherwise
        output = norm(h[depth]) @ W[depth] + b[depth]

    The last `n_direct` inputs skip the hidden layers: the output layer reads them beside
    `norm(h[depth])`, so the output is linear in them (the direct links of Pao, Park and Sobajic
    1994, "Learning and generalization characteristics of the random vector functional-link
    net", figure 1).

    The trained parameters are not these weights: see `gains`.

    The residual form with normalization inside the branch is that of He et al. (2016,
    "Identity mappings in deep residual networks", eq. 5) and Xiong et al. (2020,
    "On layer normalization in the transformer architecture", table 1). Layer
    normalization (Ba et al. 2016, eq. 3) has no gain and shift: the next linear layer
    expresses them.

    Parameters
    ----------
    n_features : int
        Width of the input.
    widths : tuple of int
        Units of each hidden layer; empty for a linear model.
    n_outputs : int
        Width of the output.
    activation : str or Activation
        Non-linearity of the hidden layers.
    normalization : {"layer"} or None
        Normalization of the input of every layer but the first.
    residual : bool
        Whether a hidden layer adds to its input if the widths are equal.
    scales_inputs : bool
        Whether each input has a trained scale, folded into the first layer's weights.
    fan_in : int or None
        Number of inputs in the first layer's gain; None is its number of inputs.
    n_direct : int
        Number of inputs that skip the hidden layers; 0 without hidden layers.
    """

    n_features: int
    widths: tuple
    n_outputs: int
    activation: object = "relu"
    normalization: str | None = None
    residual: bool = False
    scales_inputs: bool = False
    fan_in: int | None = None
    n_direct: int = 0

    draws = False
    takes_integers = False
    has_buffers = False

    @property
    def family(self):
        """DenseFamily: the other parts of the family."""
        from .family import DenseFamily

        return DenseFamily()

    @property
    def mask_widths(self):
        """tuple of int: units of each dropout mask."""
        return self.widths

    @property
    def widest(self):
        """int: largest number of values between two layers, per row."""
        return max(self.n_features, *self.widths, 1)

    @property
    def layer_shapes(self):
        """list of (int, int): inputs and outputs of each layer, output layer last."""
        shapes = list(pairwise((self.n_hidden_inputs, *self.widths, self.n_outputs)))
        n_in, n_out = shapes[-1]
        return [*shapes[:-1], (n_in + self.n_direct, n_out)]

    @property
    def n_hidden_inputs(self):
        """int: inputs of the first layer."""
        return self.n_features - self.n_direct

    @property
    def gains(self):
        """tuple of float: factor of the trained weights of each layer.

        `1 / sqrt(n_inputs)`, or `1 / sqrt(fan_in)` for the first layer: the "NTK"
        parametrization (Jacot et al. 2018, section 2). All trained weights are of order one,
        so one step size serves every width.
        """
        first = self.n_hidden_inputs if self.fan_in is None else self.fan_in
        return tuple(1 / sqrt(fan) for fan in (first, *self.widths))

    @property
    def n_parameters(self):
        """int: number of weights and biases."""
        return sum(n_in * n_out + n_out for n_in, n_out in self.layer_shapes)

    @property
    def n_macs(self):
        """int: multiply-accumulates of the matrix products, per row."""
        return sum(n_in * n_out for n_in, n_out in self.layer_shapes)

    def shaped_as(self, weights):
        """Return the architecture with the widths of the given weights."""
        return replace(self, widths=tuple(c.shape[-1] for c in weights.coefs[:-1]))

    def in_shape_of(self, other):
        """Return the architecture with the widths of another one."""
        return replace(self, widths=other.widths)

    def is_reshape_of(self, former):
        """Return whether it differs from another one in depth or widths and in nothing else."""
        if type(former) is not type(self) or former == self:
            return False
        return former.in_shape_of(self) == self

    def check(self):
        """Reject values that no fit would give."""
        expect(is_activation(self.activation), "a known activation")
        expect(self.normalization in (None, *NORMALIZATIONS), "a known normalization")
        flags = (self.residual, self.scales_inputs)
        expect(
            all(isinstance(flag, bool) for flag in flags),
            "residual and scales_inputs to be booleans",
        )
        is_number = type(self.fan_in) is int and self.fan_in > 0
        expect(self.fan_in is None or is_number, "fan_in to be a positive int or None")
        sizes = (self.n_features, *self.widths, self.n_outputs, self.n_direct)
        expect(
            all(isinstance(n, int) for n in sizes),
            "integers as n_features, widths, n_outputs and n_direct",
        )
        is_possible = 0 <= self.n_direct < self.n_features and (
            self.widths or not self.n_direct
        )
        expect(is_possible, "hidden layers, and inputs for them, beside direct ones")

    def is_normalized(self, layer):
        """Return whether the input of `layer` (the output layer is the last) is normalized.

        A single unit is not: normalized over itself, it would always be zero.
        """
        return self.normalization is not None and layer > 0 and self.widths[layer - 1] > 1

    def is_residual(self, layer):
        """Return whether hidden `layer` adds its activation to its input."""
        return self.residual and layer > 0 and self.widths[layer] == self.widths[layer - 1]
