"""Convolutional networks with another number of blocks or channels, and the same function.

Growth keeps the function of the network; shrinking removes the least important channels: see
`unit_selection`.
"""

from itertools import pairwise

import numpy as np

from ..interface import CannotReshape
from ..torch_modules import build
from ..unit_selection import copy_in_turn, select, square_sums
from ..weights import Weights
from .torch_network import n_norm_groups


class ConvolutionalReshaping:
    """Reshaping of convolutional networks: channels of each stage and inside each block.

    Adjacent stages of equal width, which have no shortcut convolution between them, share
    their channels. The first convolution has the channels of the first stage.

    Parameters
    ----------
    former, architecture : ConvolutionalArchitecture
        Current and new architecture.
    find_importances : callable
        `(architecture, networks)` to the importances of all units: see `Family.reshape`.
    """

    def __init__(self, former, architecture, find_importances):
        self.former, self.architecture = former, architecture
        self.find_importances = find_importances

    def reshape(self, networks, generators):
        """Return the networks in the new shape."""
        former, new = self.former, self.architecture
        self._check_stages()
        inside = [[None] * former.depth] * len(networks)
        common = self._common_blocks().items()
        if any(new.widths[block] < former.widths[before] for block, before in common):
            found = self.find_importances(former, networks)
            inside = [[i[member] for i in found] for member in range(len(networks))]
        return list(map(self._reshape_one, networks, inside, generators))

    def _check_stages(self):
        stages = list(zip(self.former.stages, self.architecture.stages, strict=False))
        for (a, b), (c, d) in pairwise(stages):
            if (a.width == c.width) != (b.width == d.width):
                raise CannotReshape(
                    "the new widths would add or remove residual connections between stages"
                )
        for old, new in stages:
            if new.width > old.width:
                self._check_normalized(old.width, new.width)

    def _check_normalized(self, n_old, n_new):
        groups = copy_in_turn(n_old, n_new).reshape(n_norm_groups(n_new), -1)
        size = n_old // n_norm_groups(n_old)
        for group in groups:
            counts = np.bincount(group, minlength=n_old).reshape(-1, size)
            own = counts[counts.any(axis=1)]
            if len(own) > 1 or own.min() != own.max():
                raise CannotReshape(
                    "group normalization keeps its function only between widths that are "
                    f"multiples of 8, got {n_old} and {n_new}"
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
                hidden = select(inside[before], self.former.widths[before], new.widths[block])
                prefix = f"blocks.{before}."
                selected = {
                    n.removeprefix(prefix): a for n, a in old.items() if n.startswith(prefix)
                }
                selected = _select_block(
                    selected, streams[into], hidden, streams[out], generator
                )
                arrays |= {name + n: array for n, array in selected.items()}
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
                streams.append(select(importances[s], a.width, b.width))
        return streams


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
        outputs, inputs = channels_of[name.partition(".")[0]]
        new[name] = array[outputs.units]
        if array.ndim > 1:
            new[name] = inputs.apply_to_columns(new[name], generator)
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
    incoming = [np.zeros(stage.width) for stage in architecture.stages]
    outgoing = [np.zeros(stage.width) for stage in architecture.stages]
    roots = []
    for s, stage in enumerate(architecture.stages):
        shares = s and stage.width == architecture.stages[s - 1].width
        roots.append(roots[-1] if shares else s)
    incoming[0] += square_sums(arrays["stem.weight"], 0)
    for block, (into, out) in enumerate(_stages_of_blocks(architecture)):
        into, out, name = roots[into], roots[out], f"blocks.{block}."
        outgoing[into] += square_sums(arrays[name + "convolve.weight"], 1)
        incoming[out] += square_sums(arrays[name + "project.weight"], 0)
        if name + "shortcut.weight" in arrays:
            outgoing[into] += square_sums(arrays[name + "shortcut.weight"], 1)
            incoming[out] += square_sums(arrays[name + "shortcut.weight"], 0)
    outgoing[roots[-1]] += square_sums(arrays["output.weight"], 1)
    return [np.sqrt(m * u) for m, u in zip(incoming, outgoing, strict=True)]
