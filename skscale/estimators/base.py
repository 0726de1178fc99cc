"""The common part of the dense estimators: parameters, fitted state, prediction, pickles."""

import copy
import math
import warnings
from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator, is_classifier
from sklearn.callback import CallbackSupportMixin
from sklearn.utils.validation import check_is_fitted

from .. import __version__
from .._sklearn_private import HasMethods, Interval, StrOptions
from ..inference import dense as inference
from ..inspection.complexity import count
from ..networks.architecture import ACTIVATIONS, NORMALIZATIONS
from ..scaling import compound_scale
from .features import (
    encode_features,
    is_plain_array,
    validate_features,
)
from .fitting import Trains
from .pickling import CallbacksLeftOut, InconsistentVersionWarning, TeacherLeftOut


class ScaledMLP(Trains, CallbackSupportMixin, BaseEstimator):
    """The common part of the dense estimators. Use a subclass.

    A subclass says what its targets are (`_encode`), and reads the network's outputs.
    """

    _parameter_constraints = {
        "depth": [Interval(Integral, 0, None, closed="left"), None],
        "width": [Interval(Integral, 1, None, closed="left"), tuple, list],
        "n_members": [Interval(Integral, 1, None, closed="left")],
        "resolution": [Interval(Integral, 0, None, closed="left")],
        "phi": [Interval(Real, None, None, closed="neither")],
        "phi_depth": [Interval(Real, 1, None, closed="left")],
        "phi_width": [Interval(Real, 1, None, closed="left")],
        "phi_resolution": [Interval(Real, 1, None, closed="left")],
        "preprocessing": [StrOptions({"auto"}), None],
        "categorical_features": ["array-like", StrOptions({"from_dtype"}), None],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "normalization": [StrOptions(set(NORMALIZATIONS)), None],
        "residual": ["boolean"],
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
        "n_synthetic": [Interval(Integral, 0, None, closed="left")],
        "memory": [str, HasMethods("cache"), None],
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

    def __init__(
        self,
        depth=2,
        width=128,
        *,
        n_members=1,
        resolution=0,
        phi=0,
        phi_depth=1.2,
        phi_width=1.1,
        phi_resolution=1.15,
        preprocessing="auto",
        categorical_features="from_dtype",
        activation="silu",
        normalization=None,
        residual=True,
        dropout="auto",
        l1=0.0,
        weight_decay=0.02,
        pruning=0.0,
        pruning_kind="neurons",
        pruning_importance="taylor",
        pruning_allocation="global",
        pruning_steps=2,
        pruning_epochs=50,
        pruning_multiple=1,
        teacher=None,
        distillation_weight=0.5,
        teacher_cv=5,
        n_synthetic=0,
        memory=None,
        learning_rate=0.08,
        lr_schedule="cycles",
        batch_size="auto",
        max_epochs=50,
        max_seconds=None,
        early_stopping=True,
        validation_fraction=0.1,
        n_iter_no_change=25,
        tol=1e-4,
        warm_start=False,
        device="auto",
        precision="float32",
        callbacks=None,
        random_state=None,
        verbose=0,
    ):
        self.depth = depth
        self.width = width
        self.n_members = n_members
        self.resolution = resolution
        self.phi = phi
        self.phi_depth = phi_depth
        self.phi_width = phi_width
        self.phi_resolution = phi_resolution
        self.preprocessing = preprocessing
        self.categorical_features = categorical_features
        self.activation = activation
        self.normalization = normalization
        self.residual = residual
        self.dropout = dropout
        self.l1 = l1
        self.weight_decay = weight_decay
        self.pruning = pruning
        self.pruning_kind = pruning_kind
        self.pruning_importance = pruning_importance
        self.pruning_allocation = pruning_allocation
        self.pruning_steps = pruning_steps
        self.pruning_epochs = pruning_epochs
        self.pruning_multiple = pruning_multiple
        self.teacher = teacher
        self.distillation_weight = distillation_weight
        self.teacher_cv = teacher_cv
        self.n_synthetic = n_synthetic
        self.memory = memory
        self.learning_rate = learning_rate
        self.lr_schedule = lr_schedule
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.max_seconds = max_seconds
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.device = device
        self.precision = precision
        self.callbacks = callbacks
        self.random_state = random_state
        self.verbose = verbose

    def _check_combinations(self):
        """Check what no single parameter shows; return the hidden widths."""
        if not isinstance(self.width, Integral):
            for width in self.width:
                if not isinstance(width, Integral) or isinstance(width, bool) or width < 1:
                    raise ValueError(
                        f"width={self.width!r} must hold positive ints, the units of each "
                        f"hidden layer, got {width!r}."
                    )
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
        return self._scale.widths

    @property
    def _scale(self):
        return compound_scale(
            self.depth,
            self.width,
            self.resolution,
            self.phi,
            self.phi_depth,
            self.phi_width,
            self.phi_resolution,
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
        """ndarray of shape (n_iter_,): mean training loss of each epoch."""
        check_is_fitted(self)
        return self.history_["train_loss"]

    @property
    def validation_scores_(self):
        """ndarray of shape (n_iter_,): negative mean validation loss of each epoch, NaN
        without early stopping."""
        check_is_fitted(self)
        return self.history_["validation_score"]

    @property
    def complexity_(self):
        """Complexity: parameters, multiply-accumulates, depth and widths."""
        check_is_fitted(self)
        return count(self.coefs_, self.intercepts_)

    @property
    def net_(self):
        """skorch.NeuralNet: a net that holds a copy of the fitted network."""
        check_is_fitted(self)
        if self.coefs_[0].ndim == 3:
            raise AttributeError(
                f"net_ is one network, and this estimator holds {len(self.coefs_[0])} "
                "(n_members)."
            )
        from ..training.skorch_surface import make_fitted_net

        return make_fitted_net(self, self._net_kind)

    def __dir__(self):
        # scikit-learn lists what `hasattr` finds, and its HTML shows the value of each:
        # both would build `net_` and import torch.
        return [name for name in object.__dir__(self) if name != "net_" and hasattr(self, name)]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        return tags

    def __sklearn_is_fitted__(self):
        return hasattr(self, "coefs_")

    def _outputs(self, X, in_dtype_of_X=False):
        """Return the network's outputs, of shape (n_rows, n_outputs).

        They are computed in the dtype of the weights, or also in float64 where X is.
        """
        x = self._read(X, in_dtype_of_X)
        return self._forward(x, self.coefs_, self.intercepts_)

    def encode(self, X):
        """Turn features into what the network sees of them: see `encoding_`.

        Parameters
        ----------
        X : array-like, frame or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray or CSR array of shape (n_samples, n_inputs)
            What `net_` takes.
        """
        return self._read(X)

    def _read(self, X, in_dtype_of_X=False):
        fitted = self.__dict__
        if "coefs_" not in fitted:
            check_is_fitted(self)  # raises, as scikit-learn's own do
        is_checked = "feature_names_in_" not in fitted and self._category_reader is None
        is_checked = is_checked and is_plain_array(X, self.n_features_in_)
        if not is_checked:
            X = validate_features(self, X)
        dtype = self.coefs_[0].dtype
        if in_dtype_of_X and X.dtype == np.float64:
            dtype = X.dtype
        if is_checked:
            if self.encoding_ is not None:
                return self.encoding_.encode(X, dtype, is_complete=True)
            return X if X.dtype == dtype else X.astype(dtype)
        return encode_features(X, self.encoding_, dtype)

    def _forward(self, x, coefs, intercepts):
        architecture = self.architecture_
        is_ensemble = coefs[0].ndim == 3
        forward = inference.forward_members if is_ensemble else inference.forward
        with np.errstate(over="ignore", invalid="ignore"):  # what comes of it raises below
            outputs = forward(
                x,
                coefs,
                intercepts,
                activation=architecture.activation,
                normalization=architecture.normalization,
                residual=architecture.residual,
            )
        # One pass: an infinite sum of squares need not have an infinite term, but hardly ever.
        if not math.isfinite(np.vdot(outputs, outputs)) and not np.isfinite(outputs).all():
            raise ValueError(
                "The network's output is not finite for some rows of X. Expected values like "
                "those of the training data: check the rows for extreme values, and the "
                "estimator's weights."
            )
        return self._join_members(outputs) if is_ensemble else outputs

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
