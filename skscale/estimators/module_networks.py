"""Base class of the estimators whose networks are torch modules."""

import numpy as np

from ..costs.complexity import Complexity
from ..networks.module_forward import ModuleNetwork
from .base import ScaledEstimator, view
from .description import stack_networks


class ScaledModule(ScaledEstimator):
    """Base class of the estimators whose networks are torch modules.

    `coefs_` holds parameters of two or more dimensions, `intercepts_` the others, `buffers_`
    the arrays that are not trained, each in the order of the module.
    """

    buffers_ = view(lambda p: p.network.weights.buffers, "Arrays that are not trained.")

    @property
    def complexity_(self):
        """Parameters, multiply-accumulates per row, depth and widths."""
        network = self._fitted.network
        arrays, architecture = network.weights.trained, network.architecture
        return Complexity(
            n_parameters=sum(a.size for a in arrays),
            n_nonzero=sum(int(np.count_nonzero(a)) for a in arrays),
            n_macs=architecture.n_macs * len(network.factors),
            depth=len(architecture.widths),
            widths=architecture.widths,
        )

    def _make_network(self, architecture, networks):
        return ModuleNetwork(architecture, *stack_networks(networks), self.device)

    def _make_net_module(self, predictor):
        from ..networks.modules import FittedModule, build, load_weights_

        network = predictor.network
        module = load_weights_(build(network.architecture), network.weights)
        factor = float(network.factors[0])
        return FittedModule(network.architecture, module, factor=factor, head=predictor.head)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        tags.input_tags.allow_nan = False
        return tags
