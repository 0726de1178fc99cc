"""Loss and gradient of one step: one interface, three implementations.

`gradient(x, targets, row_weights, masks, outputs)` writes the outputs of the networks
and the gradients of their parameters. Dense networks train with `WrittenOutGradient`.
`AutogradGradient` derives the same from the forward pass, as the oracle of the tests.
`ModuleGradient` is for networks that are any nn.Module.
"""

import contextlib

import torch

from ..networks.dense import stacked_forward
from ..networks.dense_gradient import DenseGradient
from ..networks.modules import BoundModule, lent_generator
from .losses import LossGradient, row_losses_of


class Gradient:
    """Base class of the gradients.

    A subclass computes gradients in `__call__` and allocates buffers in `_prepare`.

    Parameters
    ----------
    architecture : DenseArchitecture, ConvolutionalArchitecture or ModuleArchitecture
    loss : Loss
        Stacked: see `Loss.stack`.
    parameters, gradients : StackedParameters
    n_rows : int
        Rows of a step.
    sizes : list of int or None, default=None
        Number of consecutive members that share each batch; None is one each.
    randoms : list of FeedRandom, default=()
        One per member; a module that draws random numbers trains alone.
    """

    def __init__(
        self,
        architecture,
        loss,
        parameters,
        gradients,
        n_rows,
        sizes=None,
        randoms=(),
    ):
        self.architecture = architecture
        self.parameters = parameters
        self.gradients = gradients
        self.sizes = sizes
        self.randoms = randoms
        flat = parameters.flat
        self.shape = (parameters.n_members, n_rows, architecture.n_outputs)
        # Losses are computed at least in float32.
        dtype = torch.promote_types(flat.dtype, torch.float32)
        self.loss_dtype = dtype
        self.loss = LossGradient(loss, *self.shape, dtype, flat.device)
        self._prepare()

    def _prepare(self):
        """Allocate the buffers of all steps."""

    def __call__(self, x, targets, row_weights, masks, outputs):
        """Write outputs and gradients.

        Parameters
        ----------
        x : tensor of shape (n_batches, n_rows, n_features), or list of SparseBatch
        targets : tensor of shape (n_members, n_rows, n_outputs or 1)
        row_weights : tensor of shape (n_members, n_rows, 1)
        masks : list of tensors of shape (n_members, n_rows, width) or None
        outputs : tensor of shape (n_members, n_rows, n_outputs)
        """
        raise NotImplementedError

    def clear(self, x):
        """Reset the gradients for the next step, after they have been used.

        A gradient that overwrites everything in each step has nothing to reset.
        """


class WrittenOutGradient(Gradient):
    """Explicit gradient of a dense network: batched products into preallocated buffers."""

    def _prepare(self):
        flat, n_rows = self.parameters.flat, self.shape[1]
        self.network = DenseGradient(
            self.architecture, self.parameters, self.gradients, n_rows, self.sizes
        )
        self.is_mixed = flat.dtype != self.loss_dtype
        if self.is_mixed:
            self.low_outputs = torch.empty(self.shape, dtype=flat.dtype, device=flat.device)

    def __call__(self, x, targets, row_weights, masks, outputs):
        """Write outputs and gradients: see `Gradient`."""
        if not self.is_mixed:
            self.network.forward(x, masks, outputs)
            self.network.backward(self.loss(outputs, targets, row_weights), masks)
            return
        self.network.forward(x, masks, self.low_outputs)
        outputs.copy_(self.low_outputs)
        d_outputs = self.loss(outputs, targets, row_weights)
        self.network.backward(self.low_outputs.copy_(d_outputs), masks)

    def clear(self, x):
        """Reset the gradients: see `Gradient`."""
        self.network.clear(x)


class AutogradGradient(Gradient):
    """Gradient of a dense network by autograd, of the loss and the forward pass."""

    def __call__(self, x, targets, row_weights, masks, outputs):
        """Write outputs and gradients: see `Gradient`."""
        loss = self.loss.loss
        leaves = self.parameters.like(0)
        leaves.weights = [w.detach().requires_grad_() for w in self.parameters.weights]
        leaves.biases = [b.detach().requires_grad_() for b in self.parameters.biases]
        if leaves.scales is not None:
            leaves.scales = self.parameters.scales.detach().requires_grad_()
        with torch.enable_grad():
            out = stacked_forward(self.architecture, leaves, x, masks, self.sizes)
            out = out.to(outputs.dtype)
            losses = row_losses_of(loss, out, targets).unsqueeze(-1)
            total = (losses * row_weights).sum() / loss.weight_factor(out.shape[-1])
        derived = torch.autograd.grad(total, leaves.tensors)
        for gradient, value in zip(self.gradients.tensors, derived, strict=True):
            gradient.copy_(value)
        outputs.copy_(out.detach())


class ModuleGradient(Gradient):
    """Gradient of any module by autograd."""

    def _prepare(self):
        self.bound = BoundModule(
            self.architecture, self.parameters, self.gradients, training=True
        )

    def __call__(self, x, targets, row_weights, masks, outputs):
        """Write outputs and gradients: see `Gradient`."""
        bound, lent = self.bound, contextlib.nullcontext()
        if self.architecture.draws:
            lent = lent_generator(self.randoms[0].module_state, self.parameters.flat.device)
        with torch.enable_grad(), lent:
            if bound.is_alone:
                self.gradients.flat.zero_()
                out = bound(x, masks)
                outputs.copy_(out.detach())
                out.backward(self.loss(outputs, targets, row_weights).to(out.dtype))
                bound.keep_buffers()
                return
            leaves = [t.detach().requires_grad_() for t in bound.tensors]
            out = bound(x, masks, self.sizes, leaves)
            outputs.copy_(out.detach())
            derived = torch.autograd.grad(
                out, leaves, self.loss(outputs, targets, row_weights).to(out.dtype)
            )
        for gradient, value in zip(self.gradients.tensors, derived, strict=True):
            gradient.copy_(value)
