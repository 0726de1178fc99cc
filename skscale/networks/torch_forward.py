"""Fitted networks that are torch modules, stored as plain arrays until they predict."""

import threading
import weakref
from dataclasses import dataclass

import numpy as np

from ..forks import hold_while_forking
from ..storage.tree import expect, expect_floats
from .interface import FittedNetwork
from .torch_architecture import TorchArchitecture
from .weights import Weights

# Modules of fitted networks, built at the first prediction. Not attributes of the networks, so
# that a pickle holds only arrays, and a copy builds its own modules.
_modules = weakref.WeakKeyDictionary()
_lock = hold_while_forking(threading.Lock())


@dataclass(frozen=True, eq=False)
class ModuleNetwork(FittedNetwork):
    """Fitted module, or an ensemble of them.

    Parameters
    ----------
    architecture : TorchArchitecture
    weights : Weights
    factors : ndarray of shape (n_members,)
        Factor of the outputs of each member.
    device : str
        Device of the fit, used for prediction; the CPU if it is not available.
    """

    architecture: TorchArchitecture
    weights: Weights
    factors: np.ndarray
    device: str

    needs_torch = True

    @property
    def dtype(self):
        """numpy dtype of the weights."""
        return self.weights.dtype

    @property
    def n_inputs(self):
        """int: number of values per row."""
        return self.architecture.n_features

    @property
    def n_outputs(self):
        """int: width of the output."""
        return self.architecture.n_outputs

    @property
    def n_members(self):
        """int: number of networks."""
        return len(self.factors)

    def check(self):
        """Reject weights that do not match the architecture.

        Raises
        ------
        ValueError
        """
        weights, architecture = self.weights, self.architecture
        expect(isinstance(weights, Weights), "the weights of a network")
        expect(
            all(isinstance(part, list) for part in weights.parts), "weights as lists of arrays"
        )
        arrays = [*weights.trained, *weights.buffers]
        expect(all(type(a) is np.ndarray for a in arrays), "weights that are NumPy arrays")
        expect(all(a.dtype.kind == "f" for a in weights.trained), "floating-point weights")
        expect(all(a.dtype.kind in "biuf" for a in weights.buffers), "numeric buffers")
        n_members = weights.n_members
        if n_members is not None:
            expect(type(n_members) is int and n_members > 0, "n_members to be a positive int")
            expect(
                all(a.shape[:1] == (n_members,) for a in arrays),
                "n_members as the first axis of all arrays",
            )
        expect_floats(self.factors, (n_members or 1,))
        expect(bool(np.isfinite(self.factors).all()), "finite output factors")
        # The "meta" device would compute nothing.
        is_known = isinstance(self.device, str) and not self.device.startswith("meta")
        expect(is_known, "the name of a torch device")
        # Otherwise a module could be far larger than its file.
        expect(
            isinstance(architecture, TorchArchitecture), "the architecture of a torch module"
        )
        architecture.check()
        n_parameters = sum(a.size for a in weights.trained)
        expected = (n_members or 1) * architecture.n_parameters
        expect(n_parameters == expected, f"{expected} parameters, got {n_parameters}")

    def outputs(self, x):
        """Compute the outputs of rows.

        Parameters
        ----------
        x : ndarray of shape (n_rows, n_features)

        Returns
        -------
        ndarray of shape (n_rows, n_outputs), or (n_members, n_rows, n_outputs)
        """
        torch_side, device = _import_networks(), self._prediction_device()
        outputs = [
            torch_side.compute(self.architecture, module, x, device) for module in self.modules
        ]
        # The cast keeps float32 outputs in float32.
        outputs = [
            o if f == 1 else o * o.dtype.type(f)
            for o, f in zip(outputs, self.factors, strict=True)
        ]
        return outputs[0] if len(outputs) == 1 else np.stack(outputs)

    @property
    def modules(self):
        """list of nn.Module: one per member, in evaluation mode."""
        with _lock:
            modules = _modules.get(self)
        if modules is None:
            torch_side = _import_networks()
            modules = [
                torch_side.load_weights_(torch_side.build(self.architecture), member).eval()
                for member in self.weights.members
            ]
            with _lock:
                _modules[self] = modules
        return modules

    def _prediction_device(self):
        from .device import resolve_device

        try:
            return resolve_device(self.device)
        except ValueError:
            return "cpu"


def _import_networks():
    try:
        from . import torch_modules
    except ImportError as error:
        raise ImportError(
            "Predicting with a torch module needs torch (dense networks predict without): "
            f"pip install torch. The import failed: {error}"
        ) from error
    return torch_modules
