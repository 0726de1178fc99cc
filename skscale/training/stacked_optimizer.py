"""One optimizer over a stack, with a proximal L1 step.

`torch.optim.AdamW(fused=True)` runs the same kernel, but its Python code takes 25 us per step
on a CPU where the kernel takes 4 (3,500 parameters). So the kernels are called directly. They
take one learning rate per call, so members are grouped by learning rate.
"""

from itertools import groupby

import torch

from .task import OptimizerState

# Number of weights from which a pass over them takes longer than a call.
_LARGE = 1 << 18


class StackedOptimizer:
    """An optimizer over `StackedParameters`.

    A step multiplies the weights (and the input scales) by
    `1 - learning_rate * weight_decay`, updates all parameters by the optimizer, then moves the
    weights by `learning_rate * l1` towards zero, but not across: the proximal operator of the
    L1 norm, decoupled like weight decay, so that weights become exactly zero. (Weights are the
    trained ones: see `DenseArchitecture.gains`.)

    Parameters
    ----------
    parameters, gradients : StackedParameters
    recipes : list of Recipe
        One per member, all of one optimizer.
    steps_per_epoch : list of int
        One per member.
    masks : StackedParameters or None, default=None
        One for a trained weight, zero for a weight that stays zero. None trains all.
    """

    def __init__(self, parameters, gradients, recipes, steps_per_epoch, masks=None):
        self.masks = masks
        self.parameters = parameters
        self.gradients = gradients
        self.recipes = recipes
        self.optimizer = recipes[0].optimizer
        self.steps_per_epoch = steps_per_epoch
        self.first = parameters.like()
        self.second = parameters.like()
        # The kernel reads the count as float32.
        self.n_steps = torch.zeros((), dtype=torch.float32, device=parameters.flat.device)
        self._group()

    def _group(self):
        # Group members with the same learning rate at every step, in runs. A run is a slice
        # of every layer; the whole stack is one flat operand.
        def schedule(member):
            recipe = self.recipes[member]
            if recipe.lr_schedule.is_constant:
                return recipe.learning_rate, None, None
            n_steps = recipe.max_epochs * self.steps_per_epoch[member]
            return recipe.learning_rate, recipe.lr_schedule, n_steps

        runs_of_schedule = {}
        for key, run in groupby(range(self.parameters.n_members), key=schedule):
            runs_of_schedule.setdefault(key, []).append(list(run))
        groups = list(runs_of_schedule.values())
        self.group_heads = [runs[0][0] for runs in groups]
        # None for a rate that changes over time.
        self.constant_rates = [
            self.recipes[head].learning_rate
            if self.recipes[head].lr_schedule.is_constant
            else None
            for head in self.group_heads
        ]
        stacks = (self.parameters, self.gradients, self.first, self.second)
        if len(groups) == 1:
            operands = [[[s.flat] for s in stacks]]
        else:
            operands = [
                [[t[run[0] : run[-1] + 1] for run in runs for t in s.tensors] for s in stacks]
                for runs in groups
            ]
        decays = {r.weight_decay for r in self.recipes}
        penalties = {r.l1 for r in self.recipes}
        self.decays = max(decays) > 0
        self.shrinks = max(penalties) > 0
        # With one rate, decay and penalty, one operation updates the weights of all members.
        self.is_uniform = len(groups) == len(decays) == len(penalties) == 1
        n_decayed = self.parameters.flat_decayed.numel()
        # Operands, weight decay, group of the rate.
        calls = [(ops, 0.0, group) for group, ops in enumerate(operands)]
        in_kernel = self.optimizer.decays_in_kernel
        if self.is_uniform and self.decays and in_kernel and n_decayed >= _LARGE:
            # The kernel applies the decay, which saves a pass over the weights. Biases do not
            # decay and take a separate call.
            self.decays = False
            calls = [
                ([[s.flat[:n_decayed]] for s in stacks], max(decays), 0),
                ([[s.flat[n_decayed:]] for s in stacks], 0.0, 0),
            ]
        self.calls = [(*call, [self.n_steps] * len(call[0][0])) for call in calls]
        is_constant = all(rate is not None for rate in self.constant_rates)
        self._constant_plan = self._plan(range(1)) if is_constant else None

    def select(self, members, parameters, gradients):
        """Return an optimizer of the given members, with their moments."""
        chosen = StackedOptimizer(
            parameters,
            gradients,
            [self.recipes[m] for m in members],
            [self.steps_per_epoch[m] for m in members],
            None if self.masks is None else self.masks.select(members),
        )
        chosen.first.flat.copy_(self.first.select(members).flat)
        chosen.second.flat.copy_(self.second.select(members).flat)
        chosen.n_steps.copy_(self.n_steps)
        return chosen

    def load_member_(self, member, state):
        """Load the state of a member from another training.

        Parameters
        ----------
        member : int
        state : OptimizerState
            `n_steps` must be the same for all members.
        """
        self.first.set_member_(member, state.first)
        self.second.set_member_(member, state.second)
        self.n_steps.fill_(state.n_steps)

    def get_member(self, member):
        """Return the state of a member, as an OptimizerState."""
        return OptimizerState(
            self.parameters.get_member(member).scales,
            self.first.get_member(member),
            self.second.get_member(member),
            int(self.n_steps),
            self.optimizer,
        )

    def plan(self, first_step, n_steps):
        """Compute the arguments of `step` for each of the coming steps.

        Parameters
        ----------
        first_step : int
            Number of steps that the stack has made.
        n_steps : int

        Returns
        -------
        rates : tensor of shape (n_steps, n_groups), float32 on a GPU, float64 on a CPU
        decays, shrinkages : tensors of shape (n_steps, n_members) or None
        """
        if self._constant_plan is not None:
            return [
                None if part is None else part.expand(n_steps, -1)
                for part in self._constant_plan
            ]
        return self._plan(range(first_step, first_step + n_steps))

    def _plan(self, steps):
        flat = self.parameters.flat
        per_member = torch.stack(
            [
                torch.from_numpy(r.learning_rate_at(list(steps), s))
                for r, s in zip(self.recipes, self.steps_per_epoch, strict=True)
            ],
            dim=1,
        )
        rates = per_member[:, self.group_heads]
        if flat.is_cuda:
            rates = rates.to(flat.device, torch.float32)

        def per_weight(values):
            values = torch.tensor(values, dtype=torch.float64, device="cpu")
            return (per_member * values).to(flat)

        decays = 1 - per_weight([r.weight_decay for r in self.recipes]) if self.decays else None
        shrinkages = per_weight([r.l1 for r in self.recipes]) if self.shrinks else None
        return rates, decays, shrinkages

    def step(self, rates, decays, shrinkages):
        """Update the parameters by the gradients.

        Parameters
        ----------
        rates : sequence of float or of tensors without dimensions
            Learning rate of each group; values of `constant_rates`, or rows of `plan`.
        decays, shrinkages : tensors of shape (n_members,) or None
            Rows of the result of `plan`.
        """
        if decays is not None:
            for weights, factor in self._per_weight(decays, and_scales=True):
                weights.mul_(factor)
        self.n_steps.add_(1)
        for operands, weight_decay, group, n_steps in self.calls:
            parameters, gradients, first, second = operands
            self.optimizer.update(
                parameters, gradients, first, second, n_steps, rates[group], weight_decay
            )
        if shrinkages is not None:
            for weights, bound in self._per_weight(shrinkages):
                weights.sub_(torch.clamp(weights, -bound, bound))
        if self.masks is not None:
            self.parameters.flat_weights.mul_(self.masks.flat_weights)

    def _per_weight(self, values, and_scales=False):
        parameters = self.parameters
        if self.is_uniform:
            flat = parameters.flat_decayed if and_scales else parameters.flat_weights
            return [(flat, values[0])]
        tensors = parameters.weights
        if and_scales and parameters.scales is not None:
            tensors = [*tensors, parameters.scales]
        # One value per member, broadcast over its weights.
        return [(tensor, values.view(-1, *[1] * (tensor.dim() - 1))) for tensor in tensors]
