"""The shape of a dense network: plain Python, so that counting needs no torch."""

from dataclasses import dataclass
from itertools import pairwise
from math import sqrt

# A bias is its trained number times this, so that it moves as much slower than a weight; an
# input's scale, that moves faster (Holzmueller et al. 2024, "Better by default", table A.1).
BIAS_GAIN = 0.1
SCALE_GAIN = 6.0
ACTIVATIONS = ("relu", "gelu", "silu", "mish", "tanh", "logistic")
NORMALIZATIONS = ("layer",)


@dataclass(frozen=True)
class DenseArchitecture:
    """Shape of a dense network.

    Layer `l` computes, with `h[0]` the input and `norm` the identity where
    `normalization` is None, `l` is the first layer, or `h[l]` is one unit::

        a = activation(norm(h[l]) @ W[l] + b[l])
        h[l + 1] = h[l] + a      if residual, both of one width, and l > 0
                   a             otherwise
        output = norm(h[depth]) @ W[depth] + b[depth]

    What is trained are other numbers than these weights: see `gains`.

    The residual form with normalisation inside the branch is that of He et al. (2016,
    "Identity mappings in deep residual networks", eq. 5) and Xiong et al. (2020,
    "On layer normalization in the transformer architecture", table 1). Layer
    normalisation (Ba et al. 2016, eq. 3) has no gain and shift of its own: the linear
    layer behind it expresses them.

    Parameters
    ----------
    n_features : int
        Width of the input.
    widths : tuple of int
        Units of each hidden layer; empty for a linear model.
    n_outputs : int
        Width of the output.
    activation : {"relu", "gelu", "silu", "mish", "tanh", "logistic"}
        Non-linearity of the hidden layers.
    normalization : {"layer"} or None
        Normalisation of the input of every layer but the first.
    residual : bool
        Whether a hidden layer adds to its input where the widths allow it.
    scales_inputs : bool
        Whether each input has a trained scale, which the first layer's weights take up.
    fan_in : int or None
        What counts as the number of inputs in the first layer's gain; None is `n_features`.
    """

    n_features: int
    widths: tuple
    n_outputs: int
    activation: str = "relu"
    normalization: str | None = None
    residual: bool = False
    scales_inputs: bool = False
    fan_in: int | None = None

    family = "dense"

    @property
    def depth(self):
        """int: number of hidden layers."""
        return len(self.widths)

    @property
    def mask_widths(self):
        """tuple of int: units of each dropout mask."""
        return self.widths

    @property
    def widest(self):
        """int: most numbers that stand between two layers, a row."""
        return max(self.n_features, *self.widths, 1)

    @property
    def layer_shapes(self):
        """list of (int, int): inputs and outputs of each layer, the output layer last."""
        sizes = (self.n_features, *self.widths, self.n_outputs)
        return list(pairwise(sizes))

    @property
    def gains(self):
        """tuple of float: what the trained weights of each layer are multiplied by.

        `1 / sqrt(n_inputs)`, or of the first layer `1 / sqrt(fan_in)`: the "NTK"
        parametrisation (Jacot et al. 2018, section 2). Trained weights are all of size one,
        and one step size serves every width.
        """
        first = self.n_features if self.fan_in is None else self.fan_in
        return tuple(1 / sqrt(fan) for fan in (first, *self.widths))

    @property
    def n_parameters(self):
        """int: weights and biases."""
        return sum(n_in * n_out + n_out for n_in, n_out in self.layer_shapes)

    @property
    def n_macs(self):
        """int: multiply-accumulates of the matrix products, a row."""
        return sum(n_in * n_out for n_in, n_out in self.layer_shapes)

    def is_normalized(self, layer):
        """Whether the input of `layer` (the output layer is the last) is normalised.

        One unit alone is not: normalised over itself it would always be zero.
        """
        return self.normalization is not None and layer > 0 and self.widths[layer - 1] > 1

    def is_residual(self, layer):
        """Whether hidden `layer` adds its activation to its input."""
        return self.residual and layer > 0 and self.widths[layer] == self.widths[layer - 1]
