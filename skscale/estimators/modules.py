"""What estimators have in common whose networks are modules of torch."""

import threading
import weakref

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ..forks import hold_while_forking
from ..inspection.complexity import Complexity
from .base import ScaledEstimator

# The modules of fitted estimators, made when they first predict. Not in the estimators: a
# pickle is arrays, and a copy makes its own.
_modules = weakref.WeakKeyDictionary()
_lock = hold_while_forking(threading.Lock())


def _import_networks():
    try:
        from ..networks import modules
    except ImportError as error:
        raise ImportError(
            "Predicting by a network that is a module needs torch (dense networks predict "
            f"without): pip install torch. What failed: {error}"
        ) from error
    return modules


class ScaledModule(ScaledEstimator):
    """A family of networks that are modules of torch. Use a subclass.

    `coefs_` holds parameters of two and more dimensions, `intercepts_` the others, `buffers_`
    what is not trained, each in the order of the module.
    """

    def _outputs(self, X, in_dtype_of_X=False):
        check_is_fitted(self)
        X = self._validate_features(X)
        outputs = self._forward(self._encode_known_inputs(X))
        # Computed in the dtype of the network, whatever X is.
        is_wider = in_dtype_of_X and X.dtype == np.float64
        return outputs.astype(np.float64) if is_wider else outputs

    @property
    def _n_held(self):
        return vars(self).get("_n_networks", 1)

    @property
    def complexity_(self):
        """Parameters, multiply-accumulates a row, depth and widths."""
        check_is_fitted(self)
        arrays, architecture = [*self.coefs_, *self.intercepts_], self.architecture_
        return Complexity(
            n_parameters=sum(a.size for a in arrays),
            n_nonzero=sum(int(np.count_nonzero(a)) for a in arrays),
            n_macs=architecture.n_macs * self._n_held,
            depth=len(architecture.widths),
            widths=architecture.widths,
        )

    @property
    def _widths_asked_for(self):
        return None

    def _adopt_extras(self, networks):
        self._n_networks = len(networks)
        self.buffers_ = networks[0].buffers
        if len(networks) > 1:
            self.buffers_ = [
                np.stack(b) for b in zip(*(n.buffers for n in networks), strict=True)
            ]
        # What the outputs of each network are multiplied by, where no layer takes it up.
        self._factors = np.array([getattr(n, "factor", 1.0) for n in networks])

    def _attributes_at(self, architecture, coefs, intercepts, buffers):
        # Those of a former fit, which may have been an ensemble, are not this network's.
        return {
            **super()._attributes_at(architecture, coefs, intercepts, buffers),
            "buffers_": buffers,
            "_n_networks": 1,
            "_factors": np.ones(1),
        }

    @staticmethod
    def _architecture_at(architecture, coefs):
        return architecture

    def _compute(self, x, architecture, coefs, intercepts, buffers=()):
        """Return outputs of a network, or (n_members, n_rows, n_outputs) of several."""
        torch_side = _import_networks()
        is_own = coefs is vars(self).get("coefs_")
        n = self._n_held if is_own else 1
        modules = None
        if is_own:
            with _lock:
                known = _modules.get(self)
            if known is not None and known[0] is coefs:
                modules = known[1]
        if modules is None:
            modules = self._build_modules(architecture, coefs, intercepts, buffers, n)
            if is_own:
                with _lock:
                    _modules[self] = (coefs, modules)
        device = self._prediction_device()
        outputs = [torch_side.compute(architecture, module, x, device) for module in modules]
        if is_own:
            # float32 stays float32.
            outputs = [
                o if f == 1 else o * o.dtype.type(f)
                for o, f in zip(outputs, self._factors, strict=True)
            ]
        return outputs[0] if n == 1 else np.stack(outputs)

    @staticmethod
    def _build_modules(architecture, coefs, intercepts, buffers, n):
        """Return the modules of a network, or of the `n` whose arrays are stacked."""
        torch_side = _import_networks()
        each = [(coefs, intercepts, buffers)]
        if n > 1:
            each = [
                tuple([a[k] for a in arrays] for arrays in (coefs, intercepts, buffers))
                for k in range(n)
            ]
        return [
            torch_side.load_arrays_(torch_side.build(architecture), *a).eval() for a in each
        ]

    def _prediction_device(self):
        """Return the device to predict on: a CPU where that of the fit is not here."""
        from ..training.engine import resolve_device

        try:
            return resolve_device(self.device)
        except ValueError:
            return "cpu"

    def _make_net_module(self, **outputs):
        from ..networks.modules import FittedModule, build, load_arrays_

        network = load_arrays_(
            build(self.architecture_), self.coefs_, self.intercepts_, self.buffers_
        )
        return FittedModule(
            self.architecture_, network, factor=float(self._factors[0]), **outputs
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        tags.input_tags.allow_nan = False
        return tags
