"""Explicit gradient of a stack of dense networks.

Autograd builds and walks a graph and allocates every intermediate in each step. A dense
stack is simple enough for an explicit gradient: batched products into buffers that are
allocated once. Symbols, for layer `l` of `DenseArchitecture`: `n = norm(h[l])`,
`z = n @ W + b`, `a = activation(z)`, `m` the dropout mask, `h[l + 1] = h[l] + a * m`
(residual) or `a * m`. With `dh` the gradient with respect to `h[l + 1]`, and `W` and `b` the
trained parameters, without the gains `g` (`DenseArchitecture.gains`)::

    dz = activation'(z) * dh * m
    dW = g n.T @ dz      db = 0.1 1.T @ dz    dn = g dz @ W.T
    dh[l] = norm'(dn) (+ dh if residual)

Direct inputs `v` add `g v @ V` to the outputs, and `dV = g v.T @ dz`, with `V` the last rows of
the output layer's weights.

If inputs have scales `s`, the first layer's `W` is `s * V`: `dV = s * dW`, and `ds` is the sum
of `V * dW` over the outputs.
"""

import torch

from ..activations import activation_of
from ..constants import BIAS_GAIN, NORM_EPS
from ..interface import NetworkGradient
from .torch_network import product_gains, share_batches, split_direct

_aten = torch.ops.aten


class DenseGradient(NetworkGradient):
    """Forward and backward pass of a stack for a fixed number of rows.

    Parameters
    ----------
    architecture : DenseArchitecture
    parameters : StackedParameters
        Parameters to read, in the dtype of the products.
    gradients : StackedParameters
        Gradients to write, in the same dtype.
    n_rows : int
        Rows per batch.
    sizes : list of int or None, default=None
        Number of consecutive members that share each batch; None is one each.
    """

    def __init__(self, architecture, parameters, gradients, n_rows, sizes=None):
        self.architecture = architecture
        self.parameters = parameters
        self.gradients = gradients
        self.activation = activation_of(architecture.activation)
        flat = parameters.flat
        self.gains = product_gains(architecture)
        # The first layer's weights times the input scales.
        self.scaled = parameters.weights[0]
        if parameters.scales is not None:
            self.scaled = torch.empty_like(self.scaled)
            self.scaled_gradient = torch.empty_like(self.scaled)

        def buffer(width):
            return torch.empty(
                parameters.n_members, n_rows, width, dtype=flat.dtype, device=flat.device
            )

        # Per hidden layer: pre-activation (shared with the activation if that works in
        # place), activation, layer output, two gradients.
        self.z = [buffer(w) for w in architecture.widths]
        in_place = self.activation.in_place is not None
        self.a = self.z if in_place else [buffer(w) for w in architecture.widths]
        self.h = [buffer(w) for w in architecture.widths]
        self.dz = [buffer(w) for w in architecture.widths]
        self.dh = [buffer(w) for w in architecture.widths]
        # Weights and gradients of the products with hidden units, and with direct inputs.
        depth, n_direct = architecture.depth, architecture.n_direct
        self.weights, self.d_weights = [*parameters.weights], [*gradients.weights]
        if n_direct:
            width = architecture.widths[-1]
            self.weights[depth], self.of_direct = parameters.weights[depth].split(
                [width, n_direct], dim=1
            )
            self.d_weights[depth], self.d_of_direct = gradients.weights[depth].split(
                [width, n_direct], dim=1
            )
        self.transposed = [w.transpose(1, 2) for w in self.weights]
        # A product with ones sums rows faster than a sum over the middle axis. Ones with a
        # stride of zero would be copied for each member.
        self.ones = flat.new_full((parameters.n_members, 1, n_rows), BIAS_GAIN)
        self.sizes = sizes = sizes or [1] * parameters.n_members
        self.batch_of_member = [b for b, n in enumerate(sizes) for _ in range(n)]
        # Parts of the first layer that share a batch: (batches, members, number of
        # members, bias, weights, gradient of the weights).
        bias, weight, d_weight = parameters.biases[0], self.scaled, gradients.weights[0]
        self.first = [
            (batches, members, n, bias[members], weight[members], d_weight[members])
            for batches, members, n in share_batches(sizes)
        ]

        # Losses are computed in float32 at least.
        self.low_outputs = None
        if torch.promote_types(flat.dtype, torch.float32) != flat.dtype:
            self.low_outputs = buffer(architecture.n_outputs)

    def __call__(self, x, masks, outputs, differentiate):
        """Write outputs and gradients: see `NetworkGradient`."""
        if self.low_outputs is None:
            self.forward(x, masks, outputs)
            self.backward(differentiate(outputs), masks)
            return
        self.forward(x, masks, self.low_outputs)
        outputs.copy_(self.low_outputs)
        self.backward(self.low_outputs.copy_(differentiate(outputs)), masks)

    def forward(self, x, masks, outputs):
        """Write the outputs, and store the intermediates for `backward`.

        Parameters
        ----------
        x : tensor of shape (n_batches, n_rows, n_features), or list of SparseBatch
        masks : list of tensors of shape (n_members, n_rows, width) or None
        outputs : tensor of shape (n_members, n_rows, n_outputs)
            Output.
        """
        architecture, activation = self.architecture, self.activation
        # (input of the layer's product, its value before normalization, mean, reciprocal
        # deviation)
        self.inputs = []
        if self.parameters.scales is not None:
            torch.mul(self.parameters.weights[0], self.parameters.scales, out=self.scaled)
        h, self.direct = split_direct(architecture, x, self.sizes)
        for layer in range(architecture.depth):
            z = self._product(layer, h, self.z[layer])
            if activation.in_place is not None:
                a = activation.in_place(z)
            else:
                a = self.a[layer].copy_(activation.differentiable(z))
            if architecture.is_residual(layer):
                if masks is None:
                    h = torch.add(h, a, out=self.h[layer])
                else:
                    h = torch.addcmul(h, a, masks[layer], out=self.h[layer])
            elif masks is None:
                h = a
            else:
                h = torch.mul(a, masks[layer], out=self.h[layer])
        self._product(architecture.depth, h, outputs)
        if self.direct is not None:
            gain = self.gains[architecture.depth]
            outputs.baddbmm_(self.direct, self.of_direct, alpha=gain)

    def _product(self, layer, h, out):
        n = self._normalize(layer, h)
        weights, biases = self.weights, self.parameters.biases
        if layer > 0:
            return torch.baddbmm(
                biases[layer], n, weights[layer],
                beta=BIAS_GAIN, alpha=self.gains[layer], out=out,
            )  # fmt: skip
        if isinstance(h, list):
            for k, batch in enumerate(self.batch_of_member):
                product = h[batch].product(weights[0][k])
                torch.add(biases[0][k] * BIAS_GAIN, product, alpha=self.gains[0], out=out[k])
            return out
        for batches, members, size, bias, weight, _ in self.first:
            torch.baddbmm(
                bias, n[batches].expand(size, -1, -1), weight,
                beta=BIAS_GAIN, alpha=self.gains[0], out=out[members],
            )  # fmt: skip
        return out

    def _normalize(self, layer, h):
        if not self.architecture.is_normalized(layer):
            self.inputs.append((h, h, None, None))
            return h
        n, mean, rstd = torch.native_layer_norm(h, h.shape[-1:], None, None, NORM_EPS)
        self.inputs.append((n, h, mean, rstd))
        return n

    def backward(self, d_outputs, masks):
        """Write the gradients of all weights and biases.

        Parameters
        ----------
        d_outputs : tensor of shape (n_members, n_rows, n_outputs)
            Gradient with respect to the outputs of the last `forward`.
        masks : list of tensors of shape (n_members, n_rows, width) or None
            Masks of the last `forward`.

        For sparse batches the gradient is written only where it is not zero: call `clear`
        after each step.
        """
        architecture, activation = self.architecture, self.activation
        saved = self.z if activation.saves == "input" else self.a
        d_weights, d_biases = self.d_weights, self.gradients.biases
        dz, dh = d_outputs, None
        if self.direct is not None:
            self.d_of_direct.baddbmm_(
                self.direct.transpose(1, 2), dz, beta=0, alpha=self.gains[architecture.depth]
            )
        for layer in range(architecture.depth, -1, -1):
            n, h, mean, rstd = self.inputs[layer]
            torch.bmm(self.ones, dz, out=d_biases[layer])
            if layer == 0:
                if isinstance(n, list):
                    for k, batch in enumerate(self.batch_of_member):
                        n[batch].write_gradient(dz[k] * self.gains[0], d_weights[0][k])
                    break
                for batches, members, size, _, _, d_weight in self.first:
                    batch = n[batches].transpose(1, 2).expand(size, -1, -1)
                    d_weight.baddbmm_(batch, dz[members], beta=0, alpha=self.gains[0])
                if self.parameters.scales is not None:
                    d_scaled, weights = d_weights[0], self.parameters.weights[0]
                    torch.mul(d_scaled, weights, out=self.scaled_gradient)
                    torch.sum(self.scaled_gradient, 2, keepdim=True, out=self.gradients.scales)
                    d_scaled.mul_(self.parameters.scales)
                break
            gain = self.gains[layer]
            d_weights[layer].baddbmm_(n.transpose(1, 2), dz, beta=0, alpha=gain)
            below = layer - 1
            d = self.dh[below].baddbmm_(dz, self.transposed[layer], beta=0, alpha=gain)
            if architecture.is_normalized(layer):
                d = _aten.native_layer_norm_backward(
                    d, h, h.shape[-1:], mean, rstd, None, None, [True, False, False]
                )[0]
            if layer < architecture.depth and architecture.is_residual(layer):
                d = d.add_(dh)
            dh = d
            dz = self.dz[below]
            if masks is None:
                activation.backward(dh, saved[below], dz)
            else:
                torch.mul(dh, masks[below], out=dz)
                activation.backward(dz, saved[below], dz)

    def clear(self, x):
        """Reset the gradient to zero where only a part of it was written.

        Parameters
        ----------
        x : tensor or list of SparseBatch
            Input of the last `forward`.
        """
        if isinstance(x, list):
            for k, batch in enumerate(self.batch_of_member):
                x[batch].clear_gradient(self.gradients.weights[0][k])
