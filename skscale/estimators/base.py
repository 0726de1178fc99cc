"""Base class of all estimators: parameters, fitted state, prediction, pickles."""

import copy
import os
import warnings
from abc import abstractmethod
from dataclasses import replace
from numbers import Integral, Real

import joblib
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.callback import CallbackSupportMixin
from sklearn.metrics import get_scorer_names
from sklearn.utils.validation import check_is_fitted

from .._sklearn_private import Interval, StrOptions
from .._version import __version__
from ..compression.groups import Distillation, Pruning
from ..costs.complexity import HasCosts
from ..training.optimizers import OPTIMIZERS, Optimizer, optimizer_of
from ..training.schedules import SCHEDULES, LRSchedule, schedule_of
from ..training.task import Recipe
from .auto import resolve_batch_size, resolve_dropout
from .pickling import CallbacksLeftOut, InconsistentVersionWarning, TeacherLeftOut
from .targets import Targets
from .warm_start import Continuation

# The class of a group, and the function that turns its short form into it.
_GROUPS = {
    "pruning": (Pruning, Pruning.of),
    "distillation": (Distillation, Distillation.of),
    "optimizer": (Optimizer, optimizer_of),
}


def view(read, text):
    """Return a read-only property for a part of the predictor.

    Parameters
    ----------
    read : callable
        Function of the predictor.
    text : str
        Docstring of the property.

    Returns
    -------
    property
        Raises AttributeError before a fit.
    """

    def get(self):
        return read(self._fitted)

    return property(get, doc=text)


class ScaledEstimator(HasCosts, CallbackSupportMixin, BaseEstimator):
    """Base class of all estimators.

    A public class combines a kind of targets (`Classifies`, `Regresses`) with a family of
    networks (`ScaledMLP`, `ScaledCNN`, `ScaledNetwork`), which define the following.

    Attributes
    ----------
    _targets : Targets
        Handling of the targets; of the kind of targets.
    _inputs : type
        The class of its Inputs.
    _reading : dict
        Arguments of `Inputs.fit`.
    _encoding : dict, default={}
        Arguments of `Inputs.fit_encoding`.
    _continuation : Continuation
        Fitted state for continued training.
    _mixes_columns : bool, default=False
        Whether X is a table, from whose columns synthetic rows are mixed.
    _finetune_epochs : int or None, default=None
        Epochs after the last pruning step if `Pruning.finetune_epochs` is "auto".
    complexity_ : Complexity
    """

    _parameter_constraints = {
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "phi": [Interval(Real, None, None, closed="neither")],
        "phi_coefficients": ["array-like"],  # see _check_combinations
        "dropout": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="left")],
        "l1": [Interval(Real, 0, None, closed="left")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "pruning": [Interval(Real, 0, 1, closed="left"), Pruning],
        "teacher": "no_validation",  # see _check_combinations
        "distillation": [Interval(Real, 0, 1, closed="both"), Distillation],
        "memory": [str, os.PathLike, joblib.Memory, None],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "optimizer": [StrOptions(set(OPTIMIZERS)), Optimizer],
        "lr_schedule": [StrOptions(set(SCHEDULES)), LRSchedule],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "max_seconds": [Interval(Real, 0, None, closed="neither"), None],
        "early_stopping": ["boolean"],
        "validation_scoring": [StrOptions({"loss", *get_scorer_names()}), callable],
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
    _targets: Targets
    _inputs: type
    _reading: dict
    _continuation: Continuation
    _encoding = {}
    _mixes_columns = False
    _finetune_epochs = None

    def _assign(self, parameters):
        """Store every constructor parameter unchanged under its name.

        scikit-learn requires explicit signatures; one loop replaces the assignments.
        """
        for name, value in parameters.items():
            if name not in ("self", "__class__"):
                setattr(self, name, value)

    architecture_ = view(lambda p: p.network.architecture, "The shape of the network.")
    coefs_ = view(lambda p: p.network.weights.coefs, "Weights of each layer.")
    intercepts_ = view(lambda p: p.network.weights.intercepts, "Biases of each layer.")
    n_features_in_ = view(lambda p: p.n_features_in_, "Number of columns of X.")
    feature_names_in_ = view(lambda p: p.feature_names_in_, "Names of the columns of X.")

    @property
    def _fitted(self):
        try:
            return self.__dict__["predictor_"]
        except KeyError:
            check_is_fitted(self)  # raises NotFittedError, as in scikit-learn

    @abstractmethod
    def _build_architecture(self, inputs, n_outputs, fan_in):
        """Return the architecture of the parameters.

        Parameters
        ----------
        inputs : Inputs
        n_outputs : int
        fan_in : int or None
            Number of inputs in the gain of the first layer.
        """

    @abstractmethod
    def _scale_numbers(self, inputs):
        """Return (depth, width, resolution) of the parameters, each an int or None."""

    @abstractmethod
    def _scale_attributes(self, inputs):
        """Return the attributes `depth_`, `width_` and `resolution_` as a dict."""

    def _describe_images(self, inputs):
        """Return the fields of Task that only images have."""
        return {}

    def _check_continues(self, inputs, is_sparse):
        """Raise an error for rows that a fitted network cannot continue training on."""

    def _check_task(self, task, is_new):
        """Raise an error for a network that cannot be trained on the rows of a task."""

    def _resolve_dropout(self, n_rows, n_columns):
        """Return the dropout rate for a number of training rows and of columns of X."""
        return resolve_dropout(self.dropout, n_rows, n_columns)

    def _describe_recipe(self, n_rows, dropout):
        """Return the Recipe of the parameters for a number of training rows."""
        return Recipe(
            learning_rate=float(self.learning_rate),
            optimizer=optimizer_of(self.optimizer),
            lr_schedule=schedule_of(self.lr_schedule),
            weight_decay=float(self.weight_decay),
            l1=float(self.l1),
            dropout=dropout,
            batch_size=resolve_batch_size(self.batch_size, n_rows),
            max_epochs=int(self.max_epochs),
            max_seconds=self.max_seconds,
            n_iter_no_change=int(self.n_iter_no_change),
            tol=float(self.tol),
        )

    @property
    def _pruning(self):
        return Pruning.of(self.pruning)

    @property
    def _distillation(self):
        return Distillation.of(self.distillation)

    def set_params(self, **params):
        """Set parameters, including nested ones of `pruning`, `distillation` and `teacher`.

        Parameters
        ----------
        **params : dict
            Parameters by name.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the estimator has no parameter of that name, or a nested name (such as
            `pruning__amount`) refers to a plain value (such as `pruning=0.5`).
        """
        is_nested = any("__" in name for name in params)
        own = self.get_params(deep=False) if is_nested else {}
        for name in params:
            prefix, _, inner = name.partition("__")
            if not inner or prefix not in own:
                continue
            value = params.get(prefix, own[prefix])
            kind, of = _GROUPS.get(prefix, (object, None))
            if not isinstance(value, kind):
                group = type(of(value)).__name__
                raise ValueError(
                    f"{name} is a parameter of {group}, and {prefix}={value!r} is a plain "
                    f"value. Set {prefix}={group}() to use it."
                )
            if not hasattr(value, "set_params"):
                raise ValueError(
                    f"{name} is a parameter of an object, and {prefix}={value!r} has none. Set "
                    f"{prefix} itself, in a grid to a list of values or objects."
                )
        return super().set_params(**params)

    def _validate_params(self):
        """Check each parameter by itself, including those of groups."""
        if isinstance(self.optimizer, type):
            # The constraint would name the type only, and a class of torch.optim is the usual
            # value in other libraries.
            raise ValueError(
                'optimizer must be "adamw", "sgd" or an object such as AdamW() or '
                f"SGD(momentum=0.5) of skscale, got the class {self.optimizer.__module__}."
                f"{self.optimizer.__qualname__}. Pass an object of skscale; to use another "
                "rule, subclass skscale.Optimizer."
            )
        super()._validate_params()
        for group in (self.pruning, self.distillation, self.optimizer):
            if isinstance(group, BaseEstimator):
                group._validate_params()
        if len(self.phi_coefficients) != 3 or not all(
            isinstance(c, Real) and 1 <= c < np.inf for c in self.phi_coefficients
        ):
            raise ValueError(
                "phi_coefficients must be three numbers of at least 1, for depth, width and "
                f"resolution, got {self.phi_coefficients!r}."
            )

    def _check_combinations(self):
        """Check parameters that depend on one another."""
        if not isinstance(self.callbacks, (list, tuple, CallbacksLeftOut, type(None))):
            raise ValueError(
                f"callbacks must be a list of skorch callbacks or None, got {self.callbacks!r}."
            )
        if self.callbacks and self.n_estimators > 1:
            raise ValueError(
                "callbacks run in skorch's training loop, which trains a single network: "
                f"expected n_estimators=1, got {self.n_estimators}. Set n_estimators=1, or "
                "callbacks=None."
            )
        if self.callbacks and self._pruning.amount > 0:
            raise ValueError(
                "callbacks run in skorch's training loop, which does not support the "
                f"fine-tuning after pruning: expected pruning=0, got {self.pruning}. Set "
                "pruning=0, or callbacks=None."
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
    def _has_teacher(self):
        return self.teacher is not None and self._distillation.weight > 0

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
        """Score of the validation rows after each epoch: see `validation_scoring`."""
        check_is_fitted(self)
        return self.history_["validation_score"]

    @property
    def net_(self):
        """skorch net with a copy of the fitted network; not for an ensemble."""
        n_members = self._fitted.network.weights.n_members
        if n_members is not None:
            raise AttributeError(
                f"net_ is one network, and this estimator holds {n_members} (n_estimators)."
            )
        from ..networks.surroundings import neutral_surroundings
        from ..training.skorch_surface import make_fitted_net

        with neutral_surroundings():
            return make_fitted_net(self, self._targets.loss(self._fitted.head))

    def __dir__(self):
        # scikit-learn calls `hasattr` on every listed name, and its HTML shows the values:
        # both would build `net_` and import torch.
        return [name for name in object.__dir__(self) if name != "net_" and hasattr(self, name)]

    def __sklearn_is_fitted__(self):
        return "predictor_" in vars(self)

    def predict(self, X):
        """Predict class labels or regression targets.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            One-dimensional if y was. Labels have their own dtype. Regression predictions are
            computed and returned in the dtype of X (float32 or float64), or in float64 if the
            targets are so far from zero that float32 would round them visibly.
        """
        return self._fitted.predict(X)

    def __copy__(self):
        # A copy within a process includes the parts that a pickle leaves out.
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
        if "predictor_" in state:
            # A fitted estimator is pickled for serving, which needs no training state.
            state.pop("_skl_callbacks", None)
            state["_continuation"] = replace(state["_continuation"], optimizer_states=None)
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
