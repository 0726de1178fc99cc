"""The common part of all estimators: parameters, fitted state, prediction, pickles."""

import copy
import os
import warnings
from numbers import Integral, Real

import joblib
import numpy as np
from sklearn.base import BaseEstimator, is_classifier
from sklearn.callback import CallbackSupportMixin
from sklearn.utils.validation import check_is_fitted

from .. import __version__
from .._sklearn_private import Interval, StrOptions
from ..inference.outputs import check_finite
from .fitting import Trains
from .pickling import CallbacksLeftOut, InconsistentVersionWarning, TeacherLeftOut


class ScaledEstimator(Trains, CallbackSupportMixin, BaseEstimator):
    """The common part of all estimators.

    A public class joins what it predicts (`Classifies`, `Regresses`) with a family of networks,
    a subclass of this one, which says:

    - `_scale`: what `phi` makes of depth, width and resolution; `_note_scale` its attributes;
    - `_validate_features(X, y, ...)`: X as an array;
    - `_encode_inputs(X, rows, weights, continues)`: the rows that the engine trains on, and
      `_encode_known_inputs(X)` those to predict of and to stop by;
    - `_describe_architecture(inputs, encoded, continues)`: the network;
    - `_compute(inputs, architecture, coefs, intercepts, buffers)`: what it puts out;
    - `_rescale_(network, factor)`, `_rescale_fitted(factor, shift)`: its output layer changed;
    - `_architecture_at(architecture, coefs)`: the architecture of a network in training;
    - `_attributes_at(architecture, coefs, intercepts, buffers)`: its fitted attributes;
    - `_describe_extras()`: what else its tasks say, `_adopt_extras(networks)` what it keeps;
    - `_read(X, in_dtype_of_X)`: inputs to predict of;
    - `_scale_numbers`: (depth, width, resolution) that would be built, for tables;
    - `complexity_`, `_n_held` (members of the fitted network).
    """

    _parameter_constraints = {
        "n_members": [Interval(Integral, 1, None, closed="left")],
        "phi": [Interval(Real, None, None, closed="neither")],
        "phi_depth": [Interval(Real, 1, None, closed="left")],
        "phi_width": [Interval(Real, 1, None, closed="left")],
        "phi_resolution": [Interval(Real, 1, None, closed="left")],
        "dropout": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="left")],
        "l1": [Interval(Real, 0, None, closed="left")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "pruning": [Interval(Real, 0, 1, closed="left")],
        "pruning_kind": [StrOptions({"neurons", "weights"})],
        "pruning_importance": [StrOptions({"taylor", "activation", "magnitude"})],
        "pruning_allocation": [StrOptions({"global", "layer"})],
        "pruning_steps": [Interval(Integral, 1, None, closed="left")],
        "pruning_epochs": [Interval(Integral, 1, None, closed="left")],
        "pruning_multiple": [Interval(Integral, 1, None, closed="left")],
        "teacher": "no_validation",  # see _check_combinations
        "distillation_weight": [Interval(Real, 0, 1, closed="both")],
        "teacher_cv": ["cv_object"],
        "memory": [str, os.PathLike, joblib.Memory, None],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "lr_schedule": [StrOptions({"constant", "cosine", "cycles"})],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "max_seconds": [Interval(Real, 0, None, closed="neither"), None],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "warm_start": ["boolean"],
        "device": [str],
        "precision": [StrOptions({"float32", "float64", "bfloat16"})],
        "callbacks": "no_validation",  # see _check_combinations
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }
    # Whether the output layer can be rescaled when a stream's targets move.
    _can_rescale = True
    # Those without the parameter mix no columns.
    n_synthetic = 0

    def _assign(self, parameters):
        """Set every parameter of the constructor, as it was passed.

        Signatures are written out in each class, as scikit-learn wants; that each parameter
        is stored under its own name need not be.
        """
        for name, value in parameters.items():
            if name not in ("self", "__class__"):
                setattr(self, name, value)

    @staticmethod
    def _rescale_(network, factor):
        network.coefs[-1] *= network.coefs[-1].dtype.type(factor)
        network.intercepts[-1] *= network.intercepts[-1].dtype.type(factor)

    def _check_combinations(self):
        """Check what no single parameter shows."""
        if not isinstance(self.callbacks, (list, tuple, CallbacksLeftOut, type(None))):
            raise ValueError(
                f"callbacks must be a list of skorch callbacks or None, got {self.callbacks!r}."
            )
        if self.callbacks and self.n_members > 1:
            raise ValueError(
                f"skorch's loop trains one network, and n_members={self.n_members}. Set "
                "callbacks=None, or n_members=1."
            )
        if self.callbacks and self.pruning > 0:
            raise ValueError(
                f"skorch's loop trains one network once, and pruning={self.pruning} trains on "
                "after each step. Set callbacks=None, or pruning=0."
            )
        if isinstance(self.callbacks, CallbacksLeftOut):
            raise ValueError(
                "This estimator was fitted with callbacks "
                f"({', '.join(self.callbacks.names)}), which its pickle left out. "
                "Pass them again before fitting, by set_params(callbacks=[...]), or set "
                "callbacks=None to fit without."
            )
        if self.device != "auto" and self.device.split(":")[0] not in ("cpu", "cuda", "mps"):
            raise ValueError(
                f'device must be "auto", "cpu", "cuda" (or "cuda:1") or "mps", got '
                f"{self.device!r}."
            )

    @property
    def _is_taught(self):
        return self.teacher is not None and self.distillation_weight > 0

    def _check_teacher(self):
        from ..compression.distillation import check_teacher

        if isinstance(self.teacher, TeacherLeftOut):
            self.teacher.fit(None)  # raises, and says what to do
        check_teacher(self.teacher, is_classifier(self))
        if self.callbacks:
            raise ValueError(
                "skorch's loop knows no teacher. Set callbacks=None, or teacher=None."
            )

    @property
    def _network_dtype(self):
        return np.dtype(np.float64 if self.precision == "float64" else np.float32)

    @property
    def loss_curve_(self):
        """Mean training loss of each epoch."""
        check_is_fitted(self)
        return self.history_["train_loss"]

    @property
    def validation_scores_(self):
        """Negative mean loss on the validation rows after each epoch."""
        check_is_fitted(self)
        return self.history_["validation_score"]

    @property
    def net_(self):
        """A skorch net with a copy of the fitted network, not of an ensemble."""
        check_is_fitted(self)
        if self._n_held > 1:
            raise AttributeError(
                f"net_ is one network, and this estimator holds {self._n_held} (n_members)."
            )
        from ..training.skorch_surface import make_fitted_net

        return make_fitted_net(self, self._net_kind)

    def __dir__(self):
        # scikit-learn lists what `hasattr` finds, and its HTML shows the value of each:
        # both would build `net_` and import torch.
        return [name for name in object.__dir__(self) if name != "net_" and hasattr(self, name)]

    def __sklearn_is_fitted__(self):
        return hasattr(self, "coefs_")

    def _outputs(self, X, in_dtype_of_X=False):
        """Return the network's outputs, of shape (n_rows, n_outputs).

        They are computed in the dtype of the weights, or also in float64 where X is.
        """
        x = self._read(X, in_dtype_of_X)
        return self._forward(x)

    def _forward(self, x):
        buffers = vars(self).get("buffers_", ())
        with np.errstate(over="ignore", invalid="ignore"):  # what comes of it raises below
            outputs = self._compute(
                x, self.architecture_, self.coefs_, self.intercepts_, buffers
            )
        check_finite(outputs)
        return self._join_members(outputs) if outputs.ndim == 3 else outputs

    def __copy__(self):
        # A copy within a process keeps what a pickle leaves out.
        copied = type(self).__new__(type(self))
        copied.__dict__.update(self.__dict__)
        return copied

    def __deepcopy__(self, memo):
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        copied.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return copied

    def __getstate__(self):
        state = dict(super().__getstate__())
        state["_skscale_version"] = __version__
        if "coefs_" in state:
            # A fitted estimator is pickled to be served.
            state.pop("_skl_callbacks", None)
            state.pop("_optimizer_state", None)
            state["memory"] = None
            if state.get("callbacks"):
                state["callbacks"] = CallbacksLeftOut.of(state["callbacks"])
            if state.get("teacher") is not None:
                state["teacher"] = TeacherLeftOut.of(state["teacher"])
        return state

    def __setstate__(self, state):
        state = dict(state)
        version = state.pop("_skscale_version", "unknown")
        if version != __version__:
            warnings.warn(
                InconsistentVersionWarning(
                    estimator_name=type(self).__name__,
                    current_version=__version__,
                    original_version=version,
                ),
                stacklevel=2,
            )
        super().__setstate__(state)
