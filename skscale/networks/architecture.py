"""Shapes of networks, in plain Python, so that counting needs no torch."""

import copy
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import prod, sqrt

# A bias is its trained value times BIAS_GAIN, so it changes more slowly than a weight. An input
# scale changes faster (Holzmueller et al. 2024, "Better by default", table A.1).
BIAS_GAIN = 0.1
SCALE_GAIN = 6.0
NORMALIZATIONS = ("layer",)


@dataclass(frozen=True)
class DenseArchitecture:
    """Shape of a dense network.

    Layer `l` computes, with `h[0]` the input and `norm` the identity if
    `normalization` is None, `l` is the first layer, or `h[l]` is one unit::

        a = activation(norm(h[l]) @ W[l] + b[l])
        h[l + 1] = h[l] + a      if residual, both of one width, and l > 0
                   a             otherwise
        output = norm(h[depth]) @ W[depth] + b[depth]

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
        Number of inputs in the first layer's gain; None is `n_features`.
    """

    n_features: int
    widths: tuple
    n_outputs: int
    activation: object = "relu"
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
        """int: largest number of values between two layers, per row."""
        return max(self.n_features, *self.widths, 1)

    @property
    def layer_shapes(self):
        """list of (int, int): inputs and outputs of each layer, output layer last."""
        sizes = (self.n_features, *self.widths, self.n_outputs)
        return list(pairwise(sizes))

    @property
    def gains(self):
        """tuple of float: factor of the trained weights of each layer.

        `1 / sqrt(n_inputs)`, or `1 / sqrt(fan_in)` for the first layer: the "NTK"
        parametrization (Jacot et al. 2018, section 2). All trained weights are of order one,
        so one step size serves every width.
        """
        first = self.n_features if self.fan_in is None else self.fan_in
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

    def is_normalized(self, layer):
        """Return whether the input of `layer` (the output layer is the last) is normalized.

        A single unit is not: normalized over itself, it would always be zero.
        """
        return self.normalization is not None and layer > 0 and self.widths[layer - 1] > 1

    def is_residual(self, layer):
        """Return whether hidden `layer` adds its activation to its input."""
        return self.residual and layer > 0 and self.widths[layer] == self.widths[layer - 1]


@dataclass(frozen=True)
class Stage:
    """Stage of a convolutional network: blocks of one width.

    Parameters
    ----------
    width : int
        Channels between blocks.
    strides : tuple of int
        Vertical and horizontal stride of the first block.
    hidden : tuple of int
        Channels inside each block.
    """

    width: int
    strides: tuple
    hidden: tuple


@dataclass(frozen=True)
class ConvolutionalArchitecture:
    """Shape of a convolutional network: see `convolutional.ConvolutionalNetwork`.

    Parameters
    ----------
    image_shape : tuple of int
        Height, width and channels; with `channels_first`, channels, height and width.
    channels_first : bool
    side : int or None
        Larger side in pixels after resizing; None does not resize.
    n_outputs : int
    stem_width : int
        Channels of the first convolution.
    stages : tuple of Stage
    activation : str or Activation
    """

    image_shape: tuple
    channels_first: bool
    side: int | None
    n_outputs: int
    stem_width: int
    stages: tuple
    activation: object = "relu"

    family = "module"
    fan_in = None
    # Trained weights are used as they are; only dropout masks are random; images are floats.
    gains = None
    draws = False
    takes_integers = False
    can_stack = True
    is_measured = False
    # Channels inside a block are not added to those of another block.
    residual = False

    def is_residual(self, layer):
        """Return whether a block shares its inner channels with the block before: never."""
        return False

    @property
    def n_channels(self):
        """int: channels of the images."""
        return self.image_shape[0 if self.channels_first else 2]

    @property
    def input_shape(self):
        """tuple of int: shape that a row is reshaped to."""
        return self.image_shape

    @property
    def n_features(self):
        """int: number of values in an image."""
        return prod(self.image_shape)

    @property
    def map_shape(self):
        """(int, int): height and width of the first convolution's input."""
        height, width = self.image_shape[1:] if self.channels_first else self.image_shape[:2]
        if self.side is None:
            return height, width
        largest = max(height, width)
        return tuple(max(1, round(n * self.side / largest)) for n in (height, width))

    @property
    def blocks(self):
        """list of (int, int, int, tuple, tuple): description of each block.

        Input, inner and output channels, strides, and height and width of the output.
        """
        shape = self.map_shape
        found, n_in = [], self.stem_width
        for stage in self.stages:
            for k, hidden in enumerate(stage.hidden):
                # A side of one pixel cannot be halved. (oneDNN 3.12, of torch 2.13, reads
                # uninitialized memory in the bfloat16 gradient of such a stride.)
                wanted = (1, 1) if k else stage.strides
                strides = tuple(min(s, n) for s, n in zip(wanted, shape, strict=True))
                shape = tuple(-(-n // s) for n, s in zip(shape, strides, strict=True))
                found.append((n_in, hidden, stage.width, strides, shape))
                n_in = stage.width
        return found

    @property
    def depth(self):
        """int: number of blocks."""
        return sum(len(stage.hidden) for stage in self.stages)

    @property
    def widths(self):
        """tuple of int: channels inside each block, which pruning can remove."""
        return tuple(hidden for stage in self.stages for hidden in stage.hidden)

    def shaped_as(self, weights):
        """Return the architecture with the widths of the given weights."""
        pairs = zip(self.parameter_names[0], weights.coefs, strict=True)
        return self.with_widths([c.shape[0] for n, c in pairs if n.endswith("convolve.weight")])

    def in_shape_of(self, other):
        """Return the architecture with the channels of another one."""
        return replace(self, stages=other.stages)

    def with_widths(self, widths):
        """Return the architecture with other numbers of channels inside its blocks."""
        left, stages = list(widths), []
        for stage in self.stages:
            own, left = left[: len(stage.hidden)], left[len(stage.hidden) :]
            stages.append(replace(stage, hidden=tuple(int(w) for w in own)))
        return replace(self, stages=tuple(stages))

    @property
    def mask_widths(self):
        """tuple of int: units of the dropout mask, at the input of the last layer."""
        return (self.stages[-1].width,)

    @property
    def parameter_names(self):
        """(list of str, list of str): names of weights and of biases, in module order."""
        weights, biases = ["places", "stem.weight"], ["stem.bias"]
        for k, (n_in, _, n_out, _, _) in enumerate(self.blocks):
            block = f"blocks.{k}."
            weights += [f"{block}convolve.weight", f"{block}project.weight"]
            if n_in != n_out:
                weights.append(f"{block}shortcut.weight")
            biases += [f"{block}{n}" for n in ("norm.weight", "norm.bias", "convolve.bias")]
            biases.append(f"{block}project.bias")
        return [*weights, "output.weight"], [*biases, "norm.weight", "norm.bias", "output.bias"]

    @property
    def final_shape(self):
        """(int, int): height and width of the last map."""
        return self.blocks[-1][-1]

    @property
    def n_parameters(self):
        """int: number of trained values."""
        n = self.stem_width * (9 * self.n_channels + 1)
        for n_in, hidden, n_out, _, _ in self.blocks:
            n += 2 * n_in + hidden * (9 * n_in + 1) + n_out * (hidden + 1)
            n += n_in * n_out * (n_in != n_out)
        width = self.stages[-1].width
        return n + width * (2 + prod(self.final_shape)) + self.n_outputs * (width + 1)

    @property
    def n_macs(self):
        """int: multiply-accumulates of convolutions and products, per image."""
        n = prod(self.map_shape) * self.stem_width * 9 * self.n_channels
        for n_in, hidden, n_out, _, shape in self.blocks:
            of_pixel = hidden * 9 * n_in + n_out * hidden + n_in * n_out * (n_in != n_out)
            n += prod(shape) * of_pixel
        return n + self.n_outputs * self.stages[-1].width

    @property
    def widest(self):
        """int: largest number of values between two layers, per image."""
        stem = prod(self.map_shape) * self.stem_width
        return max(
            self.n_features, stem, *(h * prod(shape) for _, h, _, _, shape in self.blocks)
        )


@dataclass(frozen=True)
class ModuleArchitecture:
    """Shape of a network of a user-defined class.

    Parameters
    ----------
    module : type
        A subclass of torch's nn.Module.
    arguments : dict
        Keyword arguments of its constructor.
    input_shape : tuple of int
        Shape of a sample.
    n_outputs : int
    takes_integers : bool
        Whether it takes int64 inputs (word indices, for example) instead of floats.
    draws : bool
        Whether it draws random numbers during training.
    n_parameters, n_macs, widest : int
        As in the other architectures, measured with torch.
    has_buffers : bool
        Whether it has untrained state, as batch normalization does.
    """

    module: type
    arguments: dict = field(hash=False)
    input_shape: tuple
    n_outputs: int
    takes_integers: bool
    draws: bool
    n_parameters: int
    n_macs: int
    widest: int
    has_buffers: bool

    family = "module"
    fan_in = None
    gains = None
    mask_widths = ()
    widths = ()
    is_measured = True

    @property
    def n_features(self):
        """int: number of values in a sample."""
        return prod(self.input_shape)

    @property
    def can_stack(self):
        """bool: whether a network trains alone as in a stack.

        Its own dropout would draw for all members at once; batch normalization would see the
        rows that pad the batches of smaller folds.
        """
        return not (self.draws or self.has_buffers)

    def shaped_as(self, weights):
        """Return the architecture itself: its shape is fixed."""
        return self

    in_shape_of = shaped_as

    def build(self):
        """Construct the module from copies of its arguments, as training may change them."""
        return self.module(**copy.deepcopy(self.arguments))

    def __eq__(self, other):
        return type(other) is type(self) and _are_equal(vars(self), vars(other))


def _are_equal(a, b):
    """Return whether arguments are equal; compares tensors and arrays too."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_are_equal(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(_are_equal, a, b))
    if hasattr(a, "shape") and a.shape != b.shape:
        return False
    equal = a == b
    return bool(equal.all() if hasattr(equal, "all") else equal)
