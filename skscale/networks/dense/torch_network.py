"""Dense networks in torch: a single one as a plain module, several as a stack."""

import itertools
import math

import numpy as np
import torch
from torch import nn

from ..activations import activation_of
from ..constants import BIAS_GAIN, NORM_EPS, SCALE_GAIN
from ..decoding import DecodingModule
from ..parameters import TrainedNumbers
from ..weights import Weights


def initial_parameters(architecture, generator, dtype):
    """Draw the weights and biases of one network.

    Hidden weights are normal with variance `1 / n_inputs`, and twice that for
    activations that are zero or nearly zero on half of their inputs (He et al. 2015,
    eq. 10). Biases are standard normal, so that units have their kinks at different
    places of a narrow input. The weights of `N` residual layers are divided by `sqrt(N)`
    (Radford et al. 2019, "Language models are unsupervised multitask learners", section
    2.3): otherwise each layer would double the variance of its sum. The output layer is
    zero.

    Parameters
    ----------
    architecture : DenseArchitecture
    generator : numpy.random.Generator
    dtype : numpy dtype

    Returns
    -------
    Weights
    """
    gain = activation_of(architecture.activation).variance_gain
    n_residual = sum(map(architecture.is_residual, range(architecture.depth)))
    coefs, intercepts = [], []
    for layer, (n_in, n_out) in enumerate(architecture.layer_shapes[:-1]):
        deviation = math.sqrt(gain / n_in)
        if architecture.is_residual(layer):
            deviation /= math.sqrt(n_residual)
        coefs.append((generator.standard_normal((n_in, n_out)) * deviation).astype(dtype))
        intercepts.append(generator.standard_normal(n_out).astype(dtype))
    n_in, n_out = architecture.layer_shapes[-1]
    coefs.append(np.zeros((n_in, n_out), dtype))
    return Weights(coefs, [*intercepts, np.zeros(n_out, dtype)])


def share_batches(sizes):
    """Assign the members of a stack to batches in the first layer.

    Parameters
    ----------
    sizes : list of int
        Number of consecutive members that share each batch.

    Returns
    -------
    list of (slice, slice, int)
        Batches, members and number of members of each product.
    """
    n_members = sum(sizes)
    if len(sizes) in (1, n_members):
        return [(slice(None), slice(None), n_members)]
    stops = itertools.accumulate(sizes, initial=0)
    return [
        (slice(batch, batch + 1), slice(start, stop), stop - start)
        for batch, (start, stop) in enumerate(itertools.pairwise(stops))
    ]


def stacked_forward(
    architecture, parameters, x, masks=None, sizes=None, hidden=None, inputs=None
):
    """Compute the outputs of a stack; differentiable by autograd.

    Parameters
    ----------
    architecture : DenseArchitecture
    parameters : StackedParameters
    x : tensor of shape (n_batches, n_rows, n_features), or list of SparseBatch
    masks : list of tensors of shape (n_members, n_rows, width) or None
        Dropout masks of each hidden layer, 0 or 1 / (1 - rate).
    sizes : list of int or None
        Number of members that share each batch; None is one each.
    hidden, inputs : lists or None
        The activations of each hidden layer, and the input of each product, are appended.

    Returns
    -------
    tensor of shape (n_members, n_rows, n_outputs)
    """
    hidden, inputs = ([] if part is None else part for part in (hidden, inputs))
    sizes = sizes or [1] * len(x)
    x, direct = split_direct(architecture, x, sizes)
    inputs.append(x)
    activate = activation_of(architecture.activation).differentiable
    weights, biases = parameters.weights, parameters.biases
    gains = product_gains(architecture)
    if parameters.scales is not None:
        weights = [weights[0] * parameters.scales, *weights[1:]]
    if isinstance(x, list):
        batches = [batch for batch, n in zip(x, sizes, strict=True) for _ in range(n)]
        products = [b.product(w) for b, w in zip(batches, weights[0], strict=True)]
        z = gains[0] * torch.stack(products) + BIAS_GAIN * biases[0]
    else:
        parts = [
            torch.baddbmm(
                biases[0][m],
                x[b].expand(n, -1, -1),
                weights[0][m],
                beta=BIAS_GAIN,
                alpha=gains[0],
            )
            for b, m, n in share_batches(sizes)
        ]
        z = parts[0] if len(parts) == 1 else torch.cat(parts)
    h = x
    for layer in range(architecture.depth):
        a = activate(z)
        if masks is not None:
            a = a * masks[layer]
        hidden.append(a)
        h = h + a if architecture.is_residual(layer) else a
        n = _normalize(architecture, layer + 1, h)
        if direct is not None and layer + 1 == architecture.depth:
            n = torch.cat([n, direct], dim=-1)
        inputs.append(n)
        z = torch.baddbmm(
            biases[layer + 1],
            inputs[-1],
            weights[layer + 1],
            beta=BIAS_GAIN,
            alpha=gains[layer + 1],
        )
    return z


def split_direct(architecture, x, sizes):
    """Split the inputs of a stack into those of the first layer and direct ones.

    Parameters
    ----------
    architecture : DenseArchitecture
    x : tensor of shape (n_batches, n_rows, n_features), or list of SparseBatch
    sizes : list of int
        Number of members that share each batch.

    Returns
    -------
    x : tensor of shape (n_batches, n_rows, n_hidden_inputs), or list of SparseBatch
    direct : tensor of shape (n_members, n_rows, n_direct) or None
    """
    if not architecture.n_direct:
        return x, None
    x, direct = x.split([architecture.n_hidden_inputs, architecture.n_direct], dim=-1)
    parts = [direct[b].expand(n, -1, -1) for b, _, n in share_batches(sizes)]
    return x, parts[0] if len(parts) == 1 else torch.cat(parts)


def product_gains(architecture):
    """Return the factors of the products with the trained weights of each layer."""
    first, *others = architecture.gains
    return [first * SCALE_GAIN if architecture.scales_inputs else first, *others]


def _normalize(architecture, layer, h):
    if not architecture.is_normalized(layer):
        return h
    return nn.functional.layer_norm(h, h.shape[-1:], eps=NORM_EPS)


class DenseNetwork(DecodingModule):
    """Dense network as a plain module: `(n_rows, n_features)` to `(n_rows, n_outputs)`.

    Parameters
    ----------
    architecture : DenseArchitecture
    weights : Weights
        Copied.
    dropout : float, default=0.0
        Dropout rate of the hidden activations during training.
    head : Labels, Numbers or None
        Decodes the outputs: see `DecodingModule`.
    encoding : TableEncoding or None
        Encodes features as inputs. It runs in NumPy and passes no gradient to x.
    is_trained : bool, default=False
        Whether the parameters are those that the engine trains (`TrainedNumbers`) instead
        of weights and biases.
    """

    def __init__(
        self,
        architecture,
        weights,
        *,
        dropout=0.0,
        head=None,
        encoding=None,
        is_trained=False,
    ):
        super().__init__(head)
        self.encoding = encoding
        self.is_trained = is_trained
        numbers = TrainedNumbers(*weights.parts[:2])
        if is_trained:
            numbers = TrainedNumbers.of(architecture, weights)
        coefs, intercepts, scales, _ = numbers
        self.scales = None if scales is None else nn.Parameter(torch.tensor(scales))
        self.architecture = architecture
        dtype = torch.from_numpy(coefs[0][:0]).dtype
        # Made on "meta" and filled from arrays: the default construction would draw
        # initial weights from torch's global generator.
        self.layers = nn.ModuleList(
            nn.Linear(n_in, n_out, dtype=dtype, device="meta").to_empty(device="cpu")
            for n_in, n_out in architecture.layer_shapes
        )
        with torch.no_grad():
            for linear, coef, intercept in zip(self.layers, coefs, intercepts, strict=True):
                linear.weight.copy_(torch.tensor(np.ascontiguousarray(coef.T)))
                linear.bias.copy_(torch.tensor(intercept))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, masks=None):
        """Compute the outputs.

        Parameters
        ----------
        x : tensor of shape (n_rows, n_features)
        masks : list of tensors of shape (n_rows, width) or None
            Dropout masks to use instead of drawing them during training.

        Returns
        -------
        tensor of shape (n_rows, n_outputs), or (n_rows,) if y was a column
        """
        architecture = self.architecture
        activate = activation_of(architecture.activation).differentiable
        if self.encoding is not None:
            x = torch.from_numpy(self.encoding.encode(x.cpu().numpy(), np.float64)).to(x.device)
        h = x.to(self.layers[0].weight.dtype)
        direct = h[..., architecture.n_hidden_inputs :]
        h = h[..., : architecture.n_hidden_inputs]
        for layer in range(architecture.depth):
            a = activate(self._product(layer, _normalize(architecture, layer, h)))
            a = self.dropout(a) if masks is None else a * masks[layer]
            h = h + a if architecture.is_residual(layer) else a
        depth = architecture.depth
        h = torch.cat([_normalize(architecture, depth, h), direct], dim=-1)
        return self.decode(self._product(depth, h))

    def _product(self, layer, h):
        linear = self.layers[layer]
        if not self.is_trained:
            return linear(h)
        if layer == 0 and self.scales is not None:
            h = h * self.scales
        gain = product_gains(self.architecture)[layer]
        return gain * nn.functional.linear(h, linear.weight) + BIAS_GAIN * linear.bias

    @property
    def decayed_names(self):
        """list of str: parameters that weight decay applies to."""
        names = [f"layers.{k}.weight" for k in range(len(self.layers))]
        return names if self.scales is None else [*names, "scales"]

    def get_weights(self):
        """Return the weights as Weights."""
        coefs = [m.weight.detach().cpu().numpy().T.copy() for m in self.layers]
        intercepts = [m.bias.detach().cpu().numpy().copy() for m in self.layers]
        if not self.is_trained:
            return Weights(coefs, intercepts)
        scales = None if self.scales is None else self.scales.detach().cpu().numpy().copy()
        return TrainedNumbers(coefs, intercepts, scales).weights(self.architecture)
