"""Losses of a stack, with their gradients with respect to the outputs.

With `o` an output, `t` its target and `r = t - o`, in the mean over the outputs:

- "cross_entropy": `-log softmax(o)[t]`, classes exclusive;
- "logistic": `softplus(o) - t * o`; binary and multilabel;
- "squared_error": `r**2`;
- "absolute_error": `|r|`;
- "huber": `r**2 / 2` where `|r|` is at most delta, else `delta * (|r| - delta / 2)` (Huber
  1964, "Robust estimation of a location parameter");
- "quantile": `max(q * r, (q - 1) * r)` (Koenker and Bassett 1978, "Regression quantiles");
- "poisson": `exp(o) - t * o`, the negative log-likelihood of a count but for what no output
  changes;
- "distilled_cross_entropy", "distilled_logistic": `(1 - w)` times the loss of that name plus
  `w * T**2` times the same loss of `o / T` with the teacher's `softmax(l / T)` or
  `sigmoid(l / T)` as target (Hinton et al. 2015, "Distilling the knowledge in a neural
  network", section 2). Targets are probabilities, then the teacher's logits `l`.

The first two are those of torch's criteria with `label_smoothing` (Szegedy et al. 2016,
"Rethinking the Inception architecture for computer vision", section 7): the target has
`smoothing` of its probability spread evenly over all classes. What a teacher says is smoothed
like the truth: a student of a sure teacher would otherwise lose what smoothing gains.
"""

import torch
from torch.nn import functional

# What each goes by, one a member: a number, or several.
LOSSES = {
    "cross_entropy": "smoothing",
    "logistic": "smoothing",
    "squared_error": None,
    "absolute_error": None,
    "huber": "delta",
    "quantile": "q",
    "poisson": None,
    "distilled_cross_entropy": ("smoothing", "weight", "temperature"),
    "distilled_logistic": ("smoothing", "weight", "temperature"),
}
# What a network that learns from a teacher is judged by.
UNDISTILLED = {
    "distilled_cross_entropy": "cross_entropy",
    "distilled_logistic": "logistic",
}


def count_targets(loss, n_outputs):
    """Return the columns of the targets of a loss."""
    if loss == "cross_entropy":
        return 1
    return 2 * n_outputs if loss in UNDISTILLED else n_outputs


def stack_parameters(loss, values, dtype, device):
    """Return the loss's number of each member as `row_losses` takes it.

    Parameters
    ----------
    loss : str
        A key of `LOSSES`.
    values : list of float, or of tuples of float
    dtype : torch.dtype
    device : torch.device

    Returns
    -------
    tensor of shape (n_members, 1, n_numbers) or None
        None where the loss has none, or no member smooths.
    """
    kind = LOSSES[loss]
    if kind is None or (kind == "smoothing" and not any(values)):
        return None
    return torch.tensor(values, dtype=dtype, device=device).view(len(values), 1, -1)


def row_losses(loss, outputs, targets, parameter=None):
    """Compute the loss of each row; differentiable by autograd.

    Parameters
    ----------
    loss : str
        A key of `LOSSES`.
    outputs : tensor of shape (..., n_outputs)
    targets : tensor of shape (...) for "cross_entropy", else (..., n_outputs)
    parameter : tensor or None
        The loss's number: see `stack_parameters`.

    Returns
    -------
    tensor of shape (...)
    """
    if loss == "cross_entropy":
        log_p = torch.log_softmax(_classes_outside(outputs), -2)
        chosen = -log_p.gather(-2, targets.unsqueeze(-2)).squeeze(-2)
        if parameter is None:
            return chosen
        return torch.lerp(chosen, -log_p.mean(-2), parameter.squeeze(-1))
    if loss == "logistic":
        if parameter is not None:
            targets = _smoothed(targets, parameter)
        return (functional.softplus(outputs) - targets * outputs).mean(-1)
    if loss == "poisson":
        return (outputs.exp() - targets * outputs).mean(-1)
    if loss in UNDISTILLED:
        return _distilled_losses(loss, outputs, targets, parameter)
    r = targets - outputs
    if loss == "squared_error":
        return r.square().mean(-1)
    if loss == "absolute_error":
        return r.abs().mean(-1)
    if loss == "quantile":
        return (r * (parameter - (r < 0).to(r.dtype))).mean(-1)
    size = r.abs()
    within = torch.minimum(size, parameter)
    return (within * (size - within / 2)).mean(-1)


def _distilled_losses(loss, outputs, targets, parameter):
    smoothing, weight, temperature = parameter.split(1, dim=-1)
    hard, logits = targets.chunk(2, dim=-1)
    if loss == "distilled_logistic":
        cool = outputs / temperature
        hard, soft = (
            _smoothed(t, smoothing) for t in (hard, torch.sigmoid(logits / temperature))
        )
        own = functional.softplus(outputs) - hard * outputs
        taught = functional.softplus(cool) - soft * cool
        return torch.lerp(own, temperature**2 * taught, weight).mean(-1)
    # See `_classes_outside`.
    hard, logits, out = (_classes_outside(a) for a in (hard, logits, outputs))
    cool, n_classes = out / temperature, outputs.shape[-1]
    soft = _smoothed(torch.softmax(logits / temperature, -2), smoothing, n_classes)
    own = -(_smoothed(hard, smoothing, n_classes) * torch.log_softmax(out, -2)).sum(-2)
    taught = -(soft * torch.log_softmax(cool, -2)).sum(-2)
    weight, temperature = weight.squeeze(-1), temperature.squeeze(-1)
    return torch.lerp(own, temperature**2 * taught, weight)


def _smoothed(targets, smoothing, n_classes=2):
    return targets * (1 - smoothing) + smoothing / n_classes


def _classes_outside(outputs):
    # Softmax over a short last axis computes row by row; over the axis before it, in
    # vectors: 2 us instead of 25 for 128 rows of 10 classes, with the copy 4.
    return outputs.transpose(-1, -2).contiguous()


class LossGradient:
    """Write the gradient of the weighted sum of a stack's row losses.

    Parameters
    ----------
    loss : str
        A key of `LOSSES`.
    n_members, n_rows, n_outputs : int
        Shape of the outputs.
    dtype : torch.dtype
    device : torch.device
    parameter : tensor of shape (n_members, 1, 1) or None, default=None
        The loss's number: see `stack_parameters`.
    """

    def __init__(self, loss, n_members, n_rows, n_outputs, dtype, device, parameter=None):
        self.loss = loss
        self.n_outputs = n_outputs
        self.parameter = parameter
        if loss == "cross_entropy":
            self.probabilities = torch.empty(
                n_members, n_outputs, n_rows, dtype=dtype, device=device
            )
            self.logits = torch.empty_like(self.probabilities)
            self.gradient = self.probabilities.transpose(1, 2)
            minus = -torch.ones(1, 1, 1, dtype=dtype, device=device)
            if parameter is not None:
                minus = parameter - 1
                self.everywhere = -parameter / n_outputs
            self.minus = minus.expand(n_members, n_rows, 1)
        else:
            self.gradient = torch.empty(
                n_members, n_rows, n_outputs, dtype=dtype, device=device
            )
        if loss == "huber":
            self.lowest = -parameter
        if loss in UNDISTILLED:
            smoothing, weight, temperature = parameter.split(1, dim=-1)
            self.own, self.taught, self.cooling = (
                1 - weight,
                weight * temperature,
                1 / temperature,
            )
            # Smoothing is linear: both targets by one factor, and the rest is a constant.
            self.truth = (smoothing - 1) * self.own
            self.teaching = (smoothing - 1) * self.taught
            n_classes = 2 if loss == "distilled_logistic" else n_outputs
            self.everywhere = -smoothing / n_classes * (self.own + self.taught)
            # With the classes outside: see `_classes_outside`.
            shape = (n_members, n_outputs, n_rows)
            self.parts = [torch.empty(shape, dtype=dtype, device=device) for _ in range(3)]

    def __call__(self, outputs, targets, row_weights):
        """Return d sum(row_weights * row_losses) / d outputs.

        Parameters
        ----------
        outputs : tensor of shape (n_members, n_rows, n_outputs)
        targets : tensor
            Of shape (n_members, n_rows, 1) for "cross_entropy", else like `outputs`.
        row_weights : tensor of shape (n_members, n_rows, 1)
            Times `weight_factor`.

        Returns
        -------
        tensor of shape (n_members, n_rows, n_outputs)
            A buffer that the next call overwrites.
        """
        g, parameter = self.gradient, self.parameter
        if self.loss == "cross_entropy":
            # Contiguous with the classes outside, for the reason in `_classes_outside`.
            self.logits.copy_(outputs.transpose(1, 2))
            torch.softmax(self.logits, 1, out=self.probabilities)
            if parameter is not None:
                self.probabilities.add_(self.everywhere)
            g.scatter_add_(-1, targets, self.minus)
        elif self.loss == "logistic":
            torch.sigmoid(outputs, out=g)
            g.sub_(targets if parameter is None else _smoothed(targets, parameter))
        elif self.loss in UNDISTILLED:
            self._distil(outputs, targets)
        elif self.loss == "poisson":
            torch.exp(outputs, out=g)
            g.sub_(targets)
        elif self.loss == "quantile":
            torch.gt(outputs, targets, out=g)
            g.sub_(parameter)
        else:
            torch.sub(outputs, targets, out=g)
            if self.loss == "absolute_error":
                g.sign_()
            elif self.loss == "huber":
                torch.clamp(g, self.lowest, parameter, out=g)
        return g.mul_(row_weights)

    def _distil(self, outputs, targets):
        hard, logits = targets[..., : self.n_outputs], targets[..., self.n_outputs :]
        g, (outside, whole, part) = self.gradient, self.parts
        is_logistic = self.loss == "distilled_logistic"

        def link(out):
            return (
                torch.sigmoid(outside, out=out)
                if is_logistic
                else torch.softmax(outside, 1, out=out)
            )

        outside.copy_(outputs.transpose(1, 2))
        link(whole).mul_(self.own)
        outside.mul_(self.cooling)
        whole.addcmul_(link(part), self.taught)
        torch.mul(logits.transpose(1, 2), self.cooling, out=outside)
        whole.addcmul_(link(part), self.teaching).add_(self.everywhere)
        torch.addcmul(whole.transpose(1, 2), hard, self.truth, out=g)


def weight_factor(loss, n_outputs):
    """Return the factor of `row_weights` that `LossGradient` expects of this loss."""
    if loss in ("cross_entropy", "distilled_cross_entropy"):
        return 1.0
    return (2 if loss == "squared_error" else 1) / n_outputs
