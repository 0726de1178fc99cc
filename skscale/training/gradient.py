"""Loss and gradient of one step.

`gradient(x, targets, row_weights, masks, outputs)` writes the outputs of the networks and the
gradients of their parameters. `StepGradient` joins the gradient of a loss with that of a
network, which its family provides. `AutogradGradient` derives the same from the loss and the
forward pass, as the oracle of the tests.
"""

import torch

from .losses import LossGradient


class StepGradient:
    """Gradient of a stack for steps of a fixed number of rows.

    Parameters
    ----------
    architecture : Architecture
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
        flat = parameters.flat
        shape = (parameters.n_members, n_rows, architecture.n_outputs)
        # Losses are computed at least in float32.
        dtype = torch.promote_types(flat.dtype, torch.float32)
        self.loss = LossGradient(loss, *shape, dtype, flat.device)
        self.network = architecture.family.gradient(
            architecture, parameters, gradients, n_rows, sizes, randoms
        )

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
        self.network(x, masks, outputs, lambda out: self.loss(out, targets, row_weights))

    def clear(self, x):
        """Reset the gradients for the next step, after they have been used."""
        self.network.clear(x)


class AutogradGradient(StepGradient):
    """Gradient by autograd, of the loss and the forward pass together."""

    def __call__(self, x, targets, row_weights, masks, outputs):
        """Write outputs and gradients: see `StepGradient`."""
        loss = self.loss.loss
        leaves = self.parameters.like(0)
        leaves.weights = [w.detach().requires_grad_() for w in self.parameters.weights]
        leaves.biases = [b.detach().requires_grad_() for b in self.parameters.biases]
        if leaves.scales is not None:
            leaves.scales = self.parameters.scales.detach().requires_grad_()
        predict = self.architecture.family.predictor(self.architecture, leaves)
        with torch.enable_grad():
            out = predict(x, self.sizes, masks)
            out = out.to(outputs.dtype)
            losses = loss.row_losses(out, targets).unsqueeze(-1)
            total = (losses * row_weights).sum() / loss.weight_factor(out.shape[-1])
        derived = torch.autograd.grad(total, leaves.tensors)
        for gradient, value in zip(self.gradients.tensors, derived, strict=True):
            gradient.copy_(value)
        outputs.copy_(out.detach())

    def clear(self, x):
        """Do nothing: each step overwrites all gradients."""
