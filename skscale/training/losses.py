"""Losses of a stack and their gradients with respect to the outputs.

With `o` an output, `t` its target and `r = t - o`, averaged over the outputs:

- "cross_entropy": `-log softmax(o)[t]`, classes exclusive;
- "logistic": `softplus(o) - t * o`; binary and multilabel;
- "squared_error": `r**2`;
- "absolute_error": `|r|`;
- "huber": `r**2 / 2` if `|r|` is at most delta, else `delta * (|r| - delta / 2)` (Huber
  1964, "Robust estimation of a location parameter");
- "quantile": `max(q * r, (q - 1) * r)` (Koenker and Bassett 1978, "Regression quantiles");
- "poisson": `exp(o) - t * o`, the negative log-likelihood of a count, without the terms that
  do not depend on `o`;
- "distilled_cross_entropy", "distilled_logistic": `(1 - w)` times the loss of that name plus
  `w * T**2` times the same loss of `o / T` with the teacher's `softmax(l / T)` or
  `sigmoid(l / T)` as target (Hinton et al. 2015, "Distilling the knowledge in a neural
  network", section 2). The gradient is linear in both targets, so they are mixed before the
  steps, `t = (1 - w) * truth + w * T * teacher`: see `mix_targets`. Then the loss is
  `(1 - w) * Z(o) + w * T**2 * Z(o / T) - t * o`, with `Z` the log-sum-exp or the softplus.

The first two are those of torch's criteria with `label_smoothing` (Szegedy et al. 2016,
"Rethinking the Inception architecture for computer vision", section 7): a fraction `smoothing`
of the target probability is spread evenly over all classes. Teacher predictions are smoothed
like the labels: otherwise a student of a confident teacher would lose the gain of smoothing.
"""

import torch
from torch.nn import functional

# Parameters of each loss, one set per member: a number, or several.
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
# Loss for evaluating a network that learns from a teacher.
UNDISTILLED = {
    "distilled_cross_entropy": "cross_entropy",
    "distilled_logistic": "logistic",
}


def count_targets(loss, n_outputs):
    """Return the number of target columns of a loss, as in `mix_targets`."""
    if loss == "cross_entropy":
        return 1
    return 2 * n_outputs if loss in UNDISTILLED else n_outputs


def stack_parameters(loss, values, dtype, device):
    """Stack the loss parameters of the members for `row_losses`.

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
        None if the loss has no parameters, or no member uses label smoothing.
    """
    kind = LOSSES[loss]
    if kind is None or (kind == "smoothing" and not any(values)):
        return None
    return torch.tensor(values, dtype=dtype, device=device).view(len(values), 1, -1)


def mix_targets(loss, targets, parameter, out=None):
    """Mix targets for `row_losses` and `LossGradient`.

    Parameters
    ----------
    loss : str
        A key of `LOSSES`.
    targets : tensor of shape (..., n_members or 1, n_rows, n_targets)
        For a distilled loss, probabilities, then the teacher's logits; targets of other
        losses are returned unchanged.
    parameter : tensor of shape (n_members, 1, n_numbers)
        See `stack_parameters`.
    out : tensor of shape (..., n_members, n_outputs, n_rows), default=None
        Output, with the classes before the rows: see `_classes_outside`.

    Returns
    -------
    tensor of shape (..., n_members, n_rows, n_outputs)
        A view of `out`.
    """
    if loss not in UNDISTILLED:
        return targets
    smoothing, weight, temperature = parameter.split(1, dim=-1)
    hard, logits = _classes_outside(targets).chunk(2, dim=-2)
    own, taught = 1 - weight, weight * temperature
    is_logistic = loss == "distilled_logistic"
    n_classes = 2 if is_logistic else hard.shape[-2]
    # Smoothing is linear: one factor for both targets, plus a constant.
    rest = smoothing / n_classes * (own + taught)
    mixed = torch.addcmul(rest, hard, own * (1 - smoothing), out=out)
    cool = logits / temperature
    soft = torch.sigmoid(cool) if is_logistic else torch.softmax(cool, -2)
    return mixed.addcmul_(soft, taught * (1 - smoothing)).transpose(-1, -2)


def row_losses(loss, outputs, targets, parameter=None):
    """Compute the loss of each row; differentiable by autograd.

    Parameters
    ----------
    loss : str
        A key of `LOSSES`.
    outputs : tensor of shape (..., n_outputs)
    targets : tensor of shape (...) for "cross_entropy", else (..., n_outputs)
        See `mix_targets`.
    parameter : tensor or None
        Parameters of the loss: see `stack_parameters`.

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
    _, weight, temperature = parameter.split(1, dim=-1)
    own, taught = 1 - weight, weight * temperature**2
    if loss == "distilled_logistic":
        whole = own * functional.softplus(outputs)
        whole = whole + taught * functional.softplus(outputs / temperature)
        return (whole - targets * outputs).mean(-1)
    out = _classes_outside(outputs)
    whole = own.squeeze(-1) * _log_sum_exp(out)
    whole = whole + taught.squeeze(-1) * _log_sum_exp(out / temperature)
    return whole - (targets.transpose(-1, -2) * out).sum(-2)


def _log_sum_exp(out):
    # One pass; torch.logsumexp takes four.
    return out.select(-2, 0) - torch.log_softmax(out, -2).select(-2, 0)


def _smoothed(targets, smoothing):
    return targets * (1 - smoothing) + smoothing / 2


def _classes_outside(outputs):
    # Softmax over a short last axis runs row by row, over the axis before it in vectors: for
    # 128 rows of 10 classes 2 us instead of 25, or 4 with the copy.
    return outputs.transpose(-1, -2).contiguous()


class LossGradient:
    """Gradient of the weighted sum of a stack's row losses.

    Parameters
    ----------
    loss : str
        A key of `LOSSES`.
    n_members, n_rows, n_outputs : int
        Shape of the outputs.
    dtype : torch.dtype
    device : torch.device
    parameter : tensor of shape (n_members, 1, 1) or None, default=None
        Parameters of the loss: see `stack_parameters`.
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
        elif loss not in UNDISTILLED:
            self.gradient = torch.empty(
                n_members, n_rows, n_outputs, dtype=dtype, device=device
            )
        if loss == "huber":
            self.lowest = -parameter
        if loss in UNDISTILLED:
            _, weight, temperature = parameter.split(1, dim=-1)
            self.own, self.taught, self.cooling = (
                1 - weight,
                weight * temperature,
                1 / temperature,
            )
            self.cools = bool((temperature != 1).any())
            # With the classes before the rows: see `_classes_outside`.
            shape = (n_members, n_outputs, n_rows)
            self.parts = [torch.empty(shape, dtype=dtype, device=device) for _ in range(3)]
            self.gradient = self.parts[0].transpose(1, 2)

    def __call__(self, outputs, targets, row_weights):
        """Return d sum(row_weights * row_losses) / d outputs.

        Parameters
        ----------
        outputs : tensor of shape (n_members, n_rows, n_outputs)
        targets : tensor
            Of shape (n_members, n_rows, 1) for "cross_entropy", else like `outputs`; see
            `mix_targets`.
        row_weights : tensor of shape (n_members, n_rows, 1)
            Multiplied by `weight_factor`.

        Returns
        -------
        tensor of shape (n_members, n_rows, n_outputs)
            A buffer that the next call overwrites.
        """
        g, parameter = self.gradient, self.parameter
        if self.loss == "cross_entropy":
            # Contiguous with classes before rows: see `_classes_outside`.
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
        whole, outside, part = self.parts

        def link(out):
            if self.loss == "distilled_logistic":
                return torch.sigmoid(outside, out=out)
            return torch.softmax(outside, 1, out=out)

        outside.copy_(outputs.transpose(1, 2))
        link(whole)
        if self.cools:
            outside.mul_(self.cooling)
            whole.mul_(self.own).addcmul_(link(part), self.taught)
        whole.sub_(targets.transpose(1, 2))


def weight_factor(loss, n_outputs):
    """Return the factor of `row_weights` that `LossGradient` expects for this loss."""
    if loss in ("cross_entropy", "distilled_cross_entropy"):
        return 1.0
    return (2 if loss == "squared_error" else 1) / n_outputs
