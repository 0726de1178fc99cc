"""Base class of the estimators whose networks are torch modules."""

import numpy as np

from ..costs.complexity import Complexity
from .base import ScaledEstimator, view


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

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        tags.input_tags.allow_nan = False
        return tags
