"""Shape of convolutional networks, in plain Python."""

from dataclasses import dataclass, replace
from math import prod

from ...storage.tree import expect, expect_sizes
from ..activations import is_activation
from ..torch_architecture import TorchArchitecture

# Largest side in pixels after resizing, and largest multiple of the original side, in a file.
_LARGEST_SIDE = 1024
_LARGEST_ZOOM = 16


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
class ConvolutionalArchitecture(TorchArchitecture):
    """Shape of a convolutional network: see `torch_network.ConvolutionalNetwork`.

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

    # Trained weights are used as they are; only dropout masks are random; images are floats.
    fan_in = None
    gains = None
    scales_inputs = False
    draws = False
    takes_integers = False
    # The moments of the pixels are buffers, but training does not change them.
    has_buffers = False
    # Channels inside a block are not added to those of another block.
    residual = False

    @property
    def family(self):
        """ConvolutionalFamily: the other parts of the family."""
        from .family import ConvolutionalFamily

        return ConvolutionalFamily()

    def build(self):
        """Construct the ConvolutionalNetwork."""
        from .torch_network import ConvolutionalNetwork

        return ConvolutionalNetwork(self)

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

    def is_reshape_of(self, former):
        """Return whether it differs from another one in depth or widths and in nothing else."""
        if type(former) is not type(self) or former == self:
            return False
        shape = {"stages": self.stages, "stem_width": self.stem_width}
        strides = [[s.strides for s in a.stages] for a in (former, self)]
        return replace(former, **shape) == self and strides[0] == strides[1]

    def check(self):
        """Reject shapes whose maps could be far larger than all parameters together."""
        expect(isinstance(self.channels_first, bool), "channels_first to be a boolean")
        expect(is_activation(self.activation), "a known activation")
        expect(isinstance(self.stages, tuple) and self.stages, "a tuple of at least one stage")
        expect(all(isinstance(stage, Stage) for stage in self.stages), "stages of type Stage")
        expect(len(self.image_shape) == 3, "three numbers in image_shape")
        expect_sizes(*self.image_shape, self.n_outputs, self.stem_width)
        for stage in self.stages:
            expect_sizes(stage.width, *stage.hidden, *stage.strides)
            expect(len(stage.strides) == 2 and max(stage.strides) <= 2, "two strides of 1 or 2")
        if self.side is not None:
            expect_sizes(self.side)
            most = max(_LARGEST_SIDE, _LARGEST_ZOOM * max(self.image_shape))
            expect(
                self.side <= most, f"images resized to at most {most} pixels, got {self.side}"
            )

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
