"""Convolutional networks for images in torch."""

import math

import torch
from torch import nn
from torch.nn import functional

from ..activations import activation_of

# Channels per group of group normalization: see `n_norm_groups`.
_GROUP = 8


class ConvolutionalBlock(nn.Module):
    """Inverted residual block: a wide 3x3 convolution inside, a narrow sum outside.

    `(n, n_in, height, width)` to `(n, n_out, ceil(height / stride), ceil(width / stride))`::

        x' = shortcut(x) + project(activation(convolve(norm(x))))

    The fused form (3x3 and expansion in one dense convolution) of Tan and Le (2021,
    "EfficientNetV2", section 3.2), with the normalization first (He et al. 2016). Depthwise
    convolutions have fewer multiply-accumulates but are not faster: on a CPU, forward and
    backward reach 12 * 10^9 per second, here 61 * 10^9. A downsampling shortcut averages
    over 2x2 pixels (He et al. 2019, "Bag of tricks", figure 2c).

    Parameters
    ----------
    n_in, hidden, n_out : int
        Input, inner and output channels.
    strides : tuple of int
        Vertical and horizontal.
    activation : str
    """

    def __init__(self, n_in, hidden, n_out, strides, activation):
        super().__init__()
        self.activate = activation_of(activation).differentiable
        self.strides = strides
        self.norm = _norm(n_in)
        self.convolve = nn.Conv2d(n_in, hidden, 3, strides, padding=1)
        self.project = nn.Conv2d(hidden, n_out, 1)
        self.shortcut = nn.Conv2d(n_in, n_out, 1, bias=False) if n_in != n_out else None

    def forward(self, x, hidden=None):
        """Compute the block; append inner channels, `(n, hidden, height, width)`."""
        inside = self.activate(self.convolve(self.norm(x)))
        if hidden is not None:
            hidden.append(inside)
        if self.strides != (1, 1):
            x = functional.avg_pool2d(x, self.strides, ceil_mode=True)
        if self.shortcut is not None:
            x = self.shortcut(x)
        return x + self.project(inside)


class ConvolutionalNetwork(nn.Module):
    """Network from images, `(n, height, width, channels)`, to `(n, n_outputs)`.

    With `architecture.channels_first`, images are `(n, channels, height, width)`. Group
    normalization (Wu and He 2018) uses neither other rows nor running means. So predictions do
    not depend on the batch, a sample weight of 2 equals repeating the row, and stacks need no
    special case. Each channel of the last map is pooled with trained weights per position,
    which start as the average: position matters.

    Parameters
    ----------
    architecture : ConvolutionalArchitecture
    """

    def __init__(self, architecture):
        super().__init__()
        self.architecture = architecture
        a = architecture
        self.activate = activation_of(a.activation).differentiable
        # Per channel of the training images; set by the estimator.
        self.register_buffer("pixel_mean", torch.zeros(a.n_channels))
        self.register_buffer("pixel_scale", torch.ones(a.n_channels))
        self.stem = nn.Conv2d(a.n_channels, a.stem_width, 3, padding=1)
        self.blocks = nn.ModuleList(
            ConvolutionalBlock(n_in, hidden, n_out, strides, a.activation)
            for n_in, hidden, n_out, strides, _ in a.blocks
        )
        width = a.stages[-1].width
        self.norm = _norm(width)
        self.places = nn.Parameter(torch.zeros(width, *a.final_shape))
        self.output = nn.Linear(width, a.n_outputs)
        self.reset_parameters()

    def reset_parameters(self):
        """Draw initial weights: He et al. 2015, eq. 10; zero in the output layer."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        # The sum of `n` blocks has the variance of one, as in `DenseFamily.draw`.
        for block in self.blocks:
            block.project.weight.data /= math.sqrt(len(self.blocks))
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, x, masks=None, hidden=None):
        """Compute the outputs.

        Parameters
        ----------
        x : tensor of images
        masks : list of one tensor of shape (n, width) or None
            Dropout mask of the last layer's input.
        hidden : list or None
            The inner channels of each block are appended.

        Returns
        -------
        tensor of shape (n, n_outputs)
        """
        if not self.architecture.channels_first:
            x = x.permute(0, 3, 1, 2)
        x = (x - self.pixel_mean[:, None, None]) * self.pixel_scale[:, None, None]
        if self.architecture.side is not None:
            x = resize(x, self.architecture.map_shape)
        # Buffers are float32 even if weights are bfloat16.
        h = self.stem(x.to(self.stem.weight.dtype))
        for block in self.blocks:
            h = block(h, hidden)
        h = self.activate(self.norm(h))
        height, width = self.architecture.final_shape
        h = (h * (self.places + 1 / (height * width))).sum((2, 3))
        return self.output(h if masks is None else h * masks[0])


def resize(x, shape):
    """Resize images: by area means to shrink, else by bilinear interpolation.

    Parameters
    ----------
    x : tensor of shape (n, channels, height, width)
    shape : (int, int)
        Height and width.

    Returns
    -------
    tensor of shape (n, channels, *shape)
    """
    if tuple(x.shape[2:]) == tuple(shape):
        return x
    if all(new <= old for new, old in zip(shape, x.shape[2:], strict=True)):
        return functional.interpolate(x, shape, mode="area")
    return functional.interpolate(x, shape, mode="bilinear", align_corners=False)


def n_norm_groups(width):
    """Return the number of groups in group normalization."""
    return max(n for n in range(1, max(1, width // _GROUP) + 1) if width % n == 0)


def _norm(width):
    return nn.GroupNorm(n_norm_groups(width), width)
