"""Changes of a trained network's depth or width, for `warm_start`.

Growth keeps the function of the network (Chen, Goodfellow, Shlens 2016, "Net2Net: accelerating
learning via knowledge transfer"). Shrinking removes the least important units. Both are a
*selection*: each new unit is a copy of an old one. The copies of a unit share its outgoing
weights; units that are not selected are removed.

Random numbers come from the stream that the seed would draw initial weights from.
"""

from dataclasses import replace
from itertools import pairwise

import numpy as np

from ..networks.activations import activation_of
from ..networks.architecture import BIAS_GAIN, ConvolutionalArchitecture, DenseArchitecture
from ..networks.convolutional import n_norm_groups
from ..networks.dense import initial_parameters
from ..networks.modules import build
from ..networks.weights import Weights
from ..training.random import initial_stream
from . import channels, importance
from .removal import Shares, most_important, select_units, unit_groups


def is_reshaped(former, architecture):
    """Return whether two architectures differ in depth or widths, and in nothing else."""
    if type(former) is not type(architecture) or former == architecture:
        return False
    if isinstance(architecture, DenseArchitecture):
        return replace(former, widths=architecture.widths) == architecture
    if isinstance(architecture, ConvolutionalArchitecture):
        shape = {"stages": architecture.stages, "stem_width": architecture.stem_width}
        strides = [[s.strides for s in a.stages] for a in (former, architecture)]
        return replace(former, **shape) == architecture and strides[0] == strides[1]
    return False


def reshape(former, architecture, networks, task, kind):
    """Return trained networks in the shape of another architecture.

    Parameters
    ----------
    former, architecture : DenseArchitecture or ConvolutionalArchitecture
        Current and new architecture: see `is_reshaped`.
    networks : list of Weights
        One per member.
    task : Task
        Next training task, with the rows for the importance criterion and the seed.
    kind : {"taylor", "activation", "magnitude"}
        Importance criterion, for layers that become narrower.

    Returns
    -------
    list of Weights
        Copies.

    Raises
    ------
    ValueError
        If the new shape cannot take over the function of the old one.
    """
    seed = task.seed if isinstance(task.seed, tuple) else (task.seed,)
    generators = [initial_stream((*seed, member)) for member in range(len(networks))]
    family = _Dense if isinstance(former, DenseArchitecture) else _Convolutional
    return family(former, architecture, task, kind).reshape(networks, generators)


def _copies(n_old, n_new):
    return np.arange(n_new) % n_old


class _Family:
    def __init__(self, former, architecture, task, kind):
        self.former, self.architecture, self.task, self.kind = former, architecture, task, kind

    def _refuse(self, why):
        raise ValueError(
            "warm_start=True goes on with the fitted network, of widths "
            f"{self.former.widths}, which cannot be brought to {self.architecture.widths}: "
            f"{why}. Use fit with warm_start=False to begin anew."
        )


class _Dense(_Family):
    """Reshaping of dense networks, whose residual layers share their units."""

    def reshape(self, networks, generators):
        """Return the networks in the new shape.

        Surplus layers are removed first, then units selected, then layers added.
        """
        former = self.former
        if self.architecture.depth < former.depth:
            former, networks = self._leave_out_layers(networks)
        self._check_residuals(former)
        networks = self._select(former, networks, generators)
        former = replace(former, widths=self.architecture.widths[: former.depth])
        if former.depth < self.architecture.depth:
            networks = [
                self._deepen(former, network, generator)
                for network, generator in zip(networks, generators, strict=True)
            ]
        return networks

    def _leave_out_layers(self, networks):
        """Remove the last layers, all of which must be residual."""
        former, depth = self.former, self.architecture.depth
        if not all(map(former.is_residual, range(depth, former.depth))):
            self._refuse(
                "only layers that add to the one before them can be left out (residual=True "
                "and equal widths)"
            )
        shorter = [
            Weights([*n.coefs[:depth], n.coefs[-1]], [*n.intercepts[:depth], n.intercepts[-1]])
            for n in networks
        ]
        return replace(former, widths=former.widths[:depth]), shorter

    def _check_residuals(self, former):
        new = self.architecture
        for layer in range(former.depth):
            if former.is_residual(layer) != new.is_residual(layer):
                self._refuse(
                    f"layer {layer} would {'begin' if new.is_residual(layer) else 'cease'} to "
                    "add to the one before it, as layers of equal widths do (residual=True)"
                )

    def _select(self, former, networks, generators):
        """Copy units in layers that become wider; keep the most important in narrower ones."""
        widths = list(zip(former.widths, self.architecture.widths, strict=False))
        importances = [[None] * len(networks)] * former.depth
        if any(n_new < n_old for n_old, n_new in widths):
            importances = importance.unit_importances(self.kind, former, networks, self.task)
        shares = [[None] * former.depth for _ in networks]
        for layers, of_group in zip(unit_groups(former), importances, strict=False):
            n_old, n_new = widths[layers[0]]
            if n_new > n_old and former.normalization is not None:
                self._check_normalized(n_old, n_new)
            for own, of_layer in zip(of_group, shares, strict=True):
                for layer in layers:
                    of_layer[layer] = _select(own, n_old, n_new)
        return [
            select_units(network, of_layer, generator)
            for network, of_layer, generator in zip(networks, shares, generators, strict=True)
        ]

    def _check_normalized(self, n_old, n_new):
        if n_new % n_old or n_old == 1:
            self._refuse(
                f"layer normalisation sees the same only where each of the {n_old} units is "
                f"copied as often, so that the width must be a multiple of {max(n_old, 2)}, "
                f"got {n_new}"
            )

    def _deepen(self, former, weights, generator):
        """Append hidden layers that do not change the outputs yet."""
        new = self.architecture
        if former.depth == 0:
            weights = self._first_layer(weights, generator)
            former = replace(former, widths=new.widths[:1])
        coefs, intercepts = weights.coefs, weights.intercepts
        output, shift = coefs[-1], intercepts[-1]
        coefs, intercepts = list(coefs[:-1]), list(intercepts[:-1])
        for layer in range(former.depth, new.depth):
            if not new.is_residual(layer):
                self._refuse(
                    f"layer {layer} does not add to the one before it (residual=True and equal "
                    "widths), and would have to be the identity"
                )
            width = new.widths[layer]
            # With zero weights every unit outputs the same constant, which the output layer's
            # bias subtracts (layer normalization removes it by itself). The slope of relu at
            # zero is zero, so a positive bias lets gradients pass.
            activation = activation_of(new.activation)
            bias = BIAS_GAIN if activation.is_flat_at_zero else 0.0
            coefs.append(np.zeros((width, width), output.dtype))
            intercepts.append(np.full(width, bias, output.dtype))
            constant = float(activation.forward(np, np.array([bias]))[0])
            if constant and not new.is_normalized(new.depth):
                shift = shift - constant * output.sum(axis=0)
        return Weights([*coefs, output], [*intercepts, shift])

    def _first_layer(self, linear, generator):
        """Turn a linear model into a hidden layer: `f(z) - f(-z) = z`."""
        new, weights = self.architecture, linear.coefs[0]
        n_outputs = weights.shape[1]
        if not activation_of(new.activation).passes_linear:
            self._refuse(f"a linear model cannot pass through activation={new.activation!r}")
        if new.normalization is not None:
            self._refuse("a linear model cannot pass through normalization")
        if new.widths[0] < 2 * n_outputs:
            self._refuse(
                f"a linear model of {n_outputs} outputs passes through {2 * n_outputs} hidden "
                "units at least"
            )
        shape = replace(new, widths=new.widths[:1])
        drawn = initial_parameters(shape, generator, weights.dtype)
        drawn, biases = drawn.coefs, drawn.intercepts
        drawn[0][:, : 2 * n_outputs] = np.concatenate([weights, -weights], axis=1)
        biases[0][: 2 * n_outputs] = 0
        identity = np.eye(n_outputs, dtype=weights.dtype)
        drawn[1][: 2 * n_outputs] = np.concatenate([identity, -identity])
        return Weights(drawn, [biases[0], linear.intercepts[0].copy()])


class _Convolutional(_Family):
    """Reshaping of convolutional networks: channels of each stage and inside each block.

    Adjacent stages of equal width, which have no shortcut convolution between them, share
    their channels. The first convolution has the channels of the first stage.
    """

    def reshape(self, networks, generators):
        """Return the networks in the new shape."""
        former, new = self.former, self.architecture
        self._check_stages()
        inside = [[None] * former.depth] * len(networks)
        common = self._common_blocks().items()
        if any(new.widths[block] < former.widths[before] for block, before in common):
            found = channels.channel_importances(self.kind, former, networks, self.task)
            inside = [[i[member] for i in found] for member in range(len(networks))]
        return list(map(self._reshape_one, networks, inside, generators))

    def _check_stages(self):
        stages = list(zip(self.former.stages, self.architecture.stages, strict=False))
        for (a, b), (c, d) in pairwise(stages):
            if (a.width == c.width) != (b.width == d.width):
                self._refuse("stages would begin, or cease, to add to one another")
        for old, new in stages:
            if new.width > old.width:
                self._check_normalized(old.width, new.width)

    def _check_normalized(self, n_old, n_new):
        groups = _copies(n_old, n_new).reshape(n_norm_groups(n_new), -1)
        size = n_old // n_norm_groups(n_old)
        for group in groups:
            counts = np.bincount(group, minlength=n_old).reshape(-1, size)
            own = counts[counts.any(axis=1)]
            if len(own) > 1 or own.min() != own.max():
                self._refuse(
                    "channels are normalised in groups, which stay what they are only between "
                    f"widths that are multiples of 8, and {n_old} and {n_new} are not"
                )

    def _common_blocks(self):
        """Map each new block that existed before to the old one."""
        found, n_old, n_new = {}, 0, 0
        for old, new in zip(self.former.stages, self.architecture.stages, strict=True):
            n_common = min(len(old.hidden), len(new.hidden))
            found |= {n_new + k: n_old + k for k in range(n_common)}
            n_old += len(old.hidden)
            n_new += len(new.hidden)
        return found

    def _reshape_one(self, weights, inside, generator):
        new = self.architecture
        names = [name for part in self.former.parameter_names for name in part]
        old = dict(zip(names, weights.trained, strict=True))
        drawn = build(new, int(generator.integers(2**62))).named_parameters()
        dtype = old["stem.weight"].dtype
        arrays = {name: p.detach().numpy().astype(dtype) for name, p in drawn}
        streams = self._select_streams(old)
        arrays["stem.weight"] = old["stem.weight"][streams[0].units]
        arrays["stem.bias"] = old["stem.bias"][streams[0].units]
        common = self._common_blocks()
        for block, (into, out) in enumerate(_stages_of_blocks(new)):
            name = f"blocks.{block}."
            if block in common:
                before = common[block]
                hidden = _select(inside[before], self.former.widths[before], new.widths[block])
                prefix = f"blocks.{before}."
                came = {
                    n.removeprefix(prefix): a for n, a in old.items() if n.startswith(prefix)
                }
                came = _select_block(came, streams[into], hidden, streams[out], generator)
                arrays |= {name + n: array for n, array in came.items()}
            else:
                # A new block adds zero at first.
                arrays[name + "project.weight"] = 0 * arrays[name + "project.weight"]
        last = streams[-1]
        for name in ("places", "norm.weight", "norm.bias"):
            arrays[name] = old[name][last.units]
        arrays["output.weight"] = last.apply_to_columns(old["output.weight"], generator)
        arrays["output.bias"] = old["output.bias"].copy()
        return Weights(*([arrays[name] for name in part] for part in new.parameter_names))

    def _select_streams(self, old):
        """Return the selected channels of each stage."""
        former, new = self.former, self.architecture
        importances = _stream_importances(former, old)
        streams = []
        for s, (a, b) in enumerate(zip(former.stages, new.stages, strict=True)):
            if s and a.width == former.stages[s - 1].width:
                streams.append(streams[-1])
            else:
                streams.append(_select(importances[s], a.width, b.width))
        return streams


def _select(importances, n_old, n_new):
    if n_new < n_old:
        return Shares(most_important(importances[None], n_new)[0], n_old)
    return Shares(_copies(n_old, n_new), n_old)


def _select_block(old, into, hidden, out, generator):
    """Return the arrays of a block for a selection of input, inner and output channels."""
    # Output and input channels of each part.
    channels_of = {
        "norm": (into, None),
        "convolve": (hidden, into),
        "project": (out, hidden),
        "shortcut": (out, into),
    }
    new = {}
    for name, array in old.items():
        made, used = channels_of[name.partition(".")[0]]
        new[name] = array[made.units]
        if array.ndim > 1:
            new[name] = used.apply_to_columns(new[name], generator)
    return new


def _stages_of_blocks(architecture):
    """Yield the input stage and the output stage of each block."""
    for s, stage in enumerate(architecture.stages):
        for k in range(len(stage.hidden)):
            yield (s if k else max(0, s - 1)), s


def _stream_importances(architecture, arrays):
    """Return the importance of each stage's channels, by magnitude.

    It is the norm of the incoming weights times that of the outgoing ones. Stages that share
    channels are summed in the first of them.
    """
    made = [np.zeros(stage.width) for stage in architecture.stages]
    used = [np.zeros(stage.width) for stage in architecture.stages]
    roots = []
    for s, stage in enumerate(architecture.stages):
        shares = s and stage.width == architecture.stages[s - 1].width
        roots.append(roots[-1] if shares else s)
    made[0] += importance.square_sums(arrays["stem.weight"], 0)
    for block, (into, out) in enumerate(_stages_of_blocks(architecture)):
        into, out, name = roots[into], roots[out], f"blocks.{block}."
        used[into] += importance.square_sums(arrays[name + "convolve.weight"], 1)
        made[out] += importance.square_sums(arrays[name + "project.weight"], 0)
        if name + "shortcut.weight" in arrays:
            used[into] += importance.square_sums(arrays[name + "shortcut.weight"], 1)
            made[out] += importance.square_sums(arrays[name + "shortcut.weight"], 0)
    used[roots[-1]] += importance.square_sums(arrays["output.weight"], 1)
    return [np.sqrt(m * u) for m, u in zip(made, used, strict=True)]
