"""Dense networks at another depth or width, with the function of the trained ones.

Growth keeps the function of the network (Chen, Goodfellow, Shlens 2016, "Net2Net: accelerating
learning via knowledge transfer"). Shrinking removes the least important units.
"""

from dataclasses import replace

import numpy as np

from ..activations import activation_of
from ..constants import BIAS_GAIN
from ..interface import CannotReshape
from ..unit_selection import select
from ..weights import Weights
from .torch_network import initial_parameters
from .unit_removal import select_units


class DenseReshaping:
    """Reshaping of dense networks, whose residual layers share their units.

    Parameters
    ----------
    former, architecture : DenseArchitecture
        Current and new architecture.
    find_importances : callable
        `(architecture, networks)` to the importances of all units: see `Family.reshape`.
    """

    def __init__(self, former, architecture, find_importances):
        self.former, self.architecture = former, architecture
        self.find_importances = find_importances

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
            raise CannotReshape(
                "only residual layers (residual=True and equal widths) can be removed"
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
                raise CannotReshape(
                    f"layer {layer} would {'gain' if new.is_residual(layer) else 'lose'} its "
                    "residual connection, which layers of equal widths have (residual=True)"
                )

    def _select(self, former, networks, generators):
        """Copy units in layers that become wider; keep the most important in narrower ones."""
        widths = list(zip(former.widths, self.architecture.widths, strict=False))
        importances = [[None] * len(networks)] * former.depth
        if any(n_new < n_old for n_old, n_new in widths):
            importances = self.find_importances(former, networks)
        shares = [[None] * former.depth for _ in networks]
        for layers, of_group in zip(former.unit_groups, importances, strict=False):
            n_old, n_new = widths[layers[0]]
            if n_new > n_old and former.normalization is not None:
                self._check_normalized(n_old, n_new)
            for own, of_layer in zip(of_group, shares, strict=True):
                for layer in layers:
                    of_layer[layer] = select(own, n_old, n_new)
        return [
            select_units(network, of_layer, generator)
            for network, of_layer, generator in zip(networks, shares, generators, strict=True)
        ]

    def _check_normalized(self, n_old, n_new):
        if n_new % n_old or n_old == 1:
            raise CannotReshape(
                f"layer normalization keeps its function only if each of the {n_old} units is "
                f"copied equally often: expected a width that is a multiple of "
                f"{max(n_old, 2)}, got {n_new}"
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
                raise CannotReshape(
                    f"the added layer {layer} must be residual (residual=True and equal widths)"
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
                shift = shift - constant * output[:width].sum(axis=0)
        return Weights([*coefs, output], [*intercepts, shift])

    def _first_layer(self, linear, generator):
        """Turn a linear model into a hidden layer: `f(z) - f(-z) = z`."""
        new, weights = self.architecture, linear.coefs[0]
        n_outputs = weights.shape[1]
        if not activation_of(new.activation).passes_linear:
            raise CannotReshape(
                f"a linear model cannot grow a hidden layer with activation={new.activation!r}"
            )
        if new.normalization is not None:
            raise CannotReshape("a linear model cannot grow a hidden layer with normalization")
        if new.widths[0] < 2 * n_outputs:
            raise CannotReshape(
                f"a linear model of {n_outputs} outputs needs a first hidden layer of at least "
                f"{2 * n_outputs} units, got {new.widths[0]}"
            )
        shape = replace(new, widths=new.widths[:1])
        drawn = initial_parameters(shape, generator, weights.dtype)
        drawn, biases = drawn.coefs, drawn.intercepts
        drawn[0][:, : 2 * n_outputs] = np.concatenate([weights, -weights], axis=1)
        biases[0][: 2 * n_outputs] = 0
        identity = np.eye(n_outputs, dtype=weights.dtype)
        drawn[1][: 2 * n_outputs] = np.concatenate([identity, -identity])
        return Weights(drawn, [biases[0], linear.intercepts[0].copy()])
