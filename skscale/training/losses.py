"""Losses of a stack, with their gradients with respect to the outputs.

Each is that of the torch criterion of its name, with rows weighted:

- "cross_entropy": `-log softmax(outputs)[target]`, classes exclusive;
- "logistic": `softplus(outputs) - target * outputs`, mean over the outputs; binary and
  multilabel;
- "squared_error": `(outputs - target)**2`, mean over the outputs.
"""

import torch
from torch.nn import functional


def row_losses(loss, outputs, targets):
    """Compute the loss of each row; differentiable by autograd.

    Parameters
    ----------
    loss : {"cross_entropy", "logistic", "squared_error"}
    outputs : tensor of shape (..., n_outputs)
    targets : tensor of shape (...) for "cross_entropy", else (..., n_outputs)

    Returns
    -------
    tensor of shape (...)
    """
    if loss == "cross_entropy":
        log_p = torch.log_softmax(_classes_outside(outputs), -2)
        return -log_p.gather(-2, targets.unsqueeze(-2)).squeeze(-2)
    if loss == "logistic":
        return (functional.softplus(outputs) - targets * outputs).mean(-1)
    return (outputs - targets).square().mean(-1)


def _classes_outside(outputs):
    # Softmax over a short last axis computes row by row; over the axis before it, in
    # vectors: 2 us instead of 25 for 128 rows of 10 classes, with the copy 4.
    return outputs.transpose(-1, -2).contiguous()


class LossGradient:
    """Write the gradient of the weighted sum of a stack's row losses.

    Parameters
    ----------
    loss : {"cross_entropy", "logistic", "squared_error"}
    n_members, n_rows, n_outputs : int
        Shape of the outputs.
    dtype : torch.dtype
    device : torch.device
    """

    def __init__(self, loss, n_members, n_rows, n_outputs, dtype, device):
        self.loss = loss
        self.n_outputs = n_outputs
        if loss == "cross_entropy":
            self.probabilities = torch.empty(
                n_members, n_outputs, n_rows, dtype=dtype, device=device
            )
            self.logits = torch.empty_like(self.probabilities)
            self.gradient = self.probabilities.transpose(1, 2)
            self.minus_one = -torch.ones(1, 1, 1, dtype=dtype, device=device).expand(
                n_members, n_rows, 1
            )
        else:
            self.gradient = torch.empty(
                n_members, n_rows, n_outputs, dtype=dtype, device=device
            )

    def __call__(self, outputs, targets, row_weights):
        """Return d sum(row_weights * row_losses) / d outputs.

        Parameters
        ----------
        outputs : tensor of shape (n_members, n_rows, n_outputs)
        targets : tensor
            Of shape (n_members, n_rows, 1) for "cross_entropy", else like `outputs`.
        row_weights : tensor of shape (n_members, n_rows, 1)
            For the losses that average over outputs, divided by their number.

        Returns
        -------
        tensor of shape (n_members, n_rows, n_outputs)
            A buffer that the next call overwrites.
        """
        g = self.gradient
        if self.loss == "cross_entropy":
            # Contiguous with the classes outside, for the reason in `_classes_outside`.
            self.logits.copy_(outputs.transpose(1, 2))
            torch.softmax(self.logits, 1, out=self.probabilities)
            g.scatter_add_(-1, targets, self.minus_one)
        elif self.loss == "logistic":
            torch.sigmoid(outputs, out=g)
            g.sub_(targets)
        else:
            torch.sub(outputs, targets, out=g)
        return g.mul_(row_weights)


def weight_factor(loss, n_outputs):
    """Return the factor of `row_weights` that `LossGradient` expects of this loss."""
    return {"cross_entropy": 1.0, "logistic": 1 / n_outputs, "squared_error": 2 / n_outputs}[
        loss
    ]
