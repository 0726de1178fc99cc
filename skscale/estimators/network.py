"""Estimators of any nn.Module, scaled like the networks of the library."""

import inspect
from dataclasses import replace
from numbers import Integral, Real

from .._sklearn_private import Interval, StrOptions
from ..inference.inputs import SampleInputs
from ..scaling import compound_dropout, scale_number
from .base import ScaledEstimator, view
from .classification import Classifies
from .documentation import (
    CLASSIFIER,
    CLASSIFIER_ATTRIBUTES,
    MODULE,
    MODULE_ATTRIBUTES,
    REGRESSOR,
    REGRESSOR_ATTRIBUTES,
    document,
)
from .module_networks import ScaledModule
from .regression import Regresses

_PREFIX = "module__"


class ScaledNetwork(ScaledModule):
    """Base class of the estimators of any nn.Module."""

    _parameter_constraints = {
        **{
            name: constraint
            for name, constraint in ScaledEstimator._parameter_constraints.items()
            if not name.startswith("pruning")
        },
        "module": [callable],
        "depth": [Interval(Integral, 0, None, closed="left"), None],
        "width": [Interval(Integral, 1, None, closed="left"), None],
        "resolution": [Interval(Integral, 0, None, closed="left"), None],
        "dropout": [Interval(Real, 0, 1, closed="left"), None],
        "input_dtype": [StrOptions({"float", "int"})],
    }
    # The units and the output layer of an arbitrary module are unknown: no pruning, and no
    # rescaling of the output layer.
    pruning = 0.0
    _can_rescale = False

    input_shape_ = view(lambda p: p.inputs.shape, "Shape of a sample.")

    def _rescale_trained(self, network, factor):
        network.factor = float(factor)

    def _assign(self, parameters):
        for name, value in parameters["module_parameters"].items():
            # scikit-learn's checks pass `module_parameters` by its name: see `_own`.
            if not name.startswith(_PREFIX) and name != "module_parameters":
                raise TypeError(
                    f"{type(self).__name__} has no parameter {name!r}. Arguments of the module "
                    f"are passed with a prefix: {_PREFIX}{name}={value!r}."
                )
        # Stored only if not empty: a constructor should set the parameters that its signature
        # names, and these names are not in it.
        given = {n: v for n, v in parameters.items() if n != "module_parameters"}
        super()._assign(given)
        self._module_arguments_given(parameters["module_parameters"])

    def _module_arguments_given(self, more):
        known = {**vars(self).get("module_parameters", {}), **more}
        if known:
            self.module_parameters = known

    def get_params(self, deep=True):
        """Return the parameters, including `module__*`.

        Parameters
        ----------
        deep : bool, default=True
            Whether to include the parameters of groups and of a teacher.

        Returns
        -------
        dict of str to anything
        """
        own = vars(self).get("module_parameters", {})
        return {**super().get_params(deep=deep), **own}

    def set_params(self, **params):
        """Set parameters, including `module__*`.

        Parameters
        ----------
        **params : dict
            Parameters by name.

        Returns
        -------
        self
        """
        names = [n for n in params if n.startswith(_PREFIX) or n == "module_parameters"]
        super().set_params(**{name: params[name] for name in params if name not in names})
        self._module_arguments_given({name: params[name] for name in names})
        return self

    @property
    def _own(self):
        """dict of str to anything: arguments of the module, without the prefix."""
        known = vars(self).get("module_parameters", {})
        if "module_parameters" in known:
            raise TypeError(
                "module_parameters is no parameter. Pass the arguments of the module one by "
                f"one, each with the prefix {_PREFIX}."
            )
        return {n[len(_PREFIX) :]: v for n, v in known.items()}

    @property
    def _takes(self):
        """dict of argument to default, and whether the module accepts other arguments."""
        constructor = self.module.__init__ if isinstance(self.module, type) else self.module
        parameters = inspect.signature(constructor).parameters.values()
        named = {p.name: p.default for p in parameters if p.kind is not p.VAR_KEYWORD}
        return named, any(p.kind is p.VAR_KEYWORD for p in parameters)

    def _check_combinations(self):
        super()._check_combinations()
        if not isinstance(self.module, type) and hasattr(self.module, "parameters"):
            name = type(self.module).__name__
            raise TypeError(
                f"module is a network that has been made: expected its class. Pass {name} "
                f"itself, and arguments of its own as {_PREFIX}*."
            )
        named, takes_any = self._takes
        own = set(self._own)
        given = {n for n in ("depth", "width", "resolution", "dropout") if self._given(n)}
        for name in sorted(own | given):
            if name not in named and not takes_any:
                what = f"{_PREFIX}{name}" if name in own else name
                known = ", ".join(n for n in named if n != "self")
                raise ValueError(
                    f"{what} is set, but {_name(self.module)} takes no argument {name!r}. It "
                    f"takes {known}."
                )
        twice = sorted(own & given)
        if twice:
            raise ValueError(
                f"{twice[0]} and {_PREFIX}{twice[0]} are both set. Set one of them."
            )

    def _given(self, name):
        return getattr(self, name) is not None

    @property
    def _scale(self):
        """dict of str to number: depth, width, resolution, if present, after scaling by phi."""
        found = {}
        names = ("depth", "width", "resolution")
        for name, coefficient in zip(names, self.phi_coefficients, strict=True):
            base = self._base(name)
            if base is not None:
                found[name] = scale_number(
                    base, coefficient, self.phi, name, rounds_up=name == "depth"
                )
        return found

    def _base(self, name):
        """Return the value set, or the module's default; None if it is not a number."""
        own = self._own.get(name, getattr(self, name))
        if own is None:
            own = self._takes[0].get(name)
        return own if isinstance(own, Real) and not isinstance(own, bool) else None

    def _scale_attributes(self, inputs):
        names = ("depth", "width", "resolution")
        return dict(zip([f"{n}_" for n in names], self._scale_numbers(inputs), strict=True))

    def _resolve_dropout(self, n_rows, n_columns):
        rate = self._base("dropout")
        return 0.0 if rate is None else float(rate)

    def _module_arguments(self, inputs, n_outputs):
        named, takes_any = self._takes
        arguments = self._own
        offered = {
            "n_features": inputs.n_features,
            "input_shape": inputs.shape,
            "n_outputs": n_outputs,
        }
        for name, value in offered.items():
            # A module with **kwargs gets only one of the two names for the input size.
            if name in named or (takes_any and name != "input_shape"):
                arguments.setdefault(name, value)
        if self.phi != 0:
            arguments.update({n: v for n, v in self._scale.items() if n in named or takes_any})
            if "dropout" in named:
                arguments["dropout"] = compound_dropout(self._resolve_dropout(0, 0), self.phi)
        for name in ("depth", "width", "resolution", "dropout"):
            if self._given(name):
                arguments.setdefault(name, getattr(self, name))
        # Sorted, so that equal arguments give equal architectures.
        return dict(sorted(arguments.items()))

    def _scale_numbers(self, inputs):
        scale = self._scale
        return scale.get("depth"), scale.get("width"), scale.get("resolution")

    def _count_macs(self, inputs, n_outputs):
        return self._describe_module(inputs, n_outputs).n_macs

    def _describe_module(self, inputs, n_outputs):
        from ..networks.module.description import describe

        return describe(
            self.module,
            self._module_arguments(inputs, n_outputs),
            inputs.shape,
            n_outputs,
            inputs.takes_integers,
        )

    def _build_architecture(self, inputs, n_outputs, fan_in):
        architecture = self._describe_module(inputs, n_outputs)
        if architecture.has_buffers and self.precision == "bfloat16":
            raise ValueError(
                'precision="bfloat16" computes by copies of the weights, and '
                f"{_name(self.module)} keeps buffers beside them (as batch normalisation its "
                'running means), which would stay in float32. Set precision="float32".'
            )
        return architecture

    def _describe_recipe(self, n_rows, dropout):
        recipe = super()._describe_recipe(n_rows, dropout)
        size = min(recipe.batch_size, n_rows)
        if n_rows % size == 1 and size > 1:
            # Batch normalization rejects a last batch of one row.
            recipe = replace(recipe, batch_size=size + 1)
        return recipe

    _inputs = SampleInputs

    @property
    def _reading(self):
        return {"takes_integers": self.input_dtype == "int"}

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


def _name(module):
    return getattr(module, "__name__", repr(module))


@document({**MODULE, **CLASSIFIER}, {**CLASSIFIER_ATTRIBUTES, **MODULE_ATTRIBUTES})
class ScaledNetworkClassifier(Classifies, ScaledNetwork):
    """Classifier with any nn.Module.

    Its constructor gets every `module__*`, and those of `n_features`, `input_shape` (of a
    sample), `n_outputs`, `depth`, `width`, `resolution` and `dropout` that it accepts. The
    module returns logits of shape (n_rows, n_outputs): one for two classes, else one per class.
    {parameters}
    {attributes}
    See Also
    --------
    ScaledNetworkRegressor : The same for regression.

    Notes
    -----
    Random numbers of a module (mostly dropout) come from `random_state`: it seeds torch's
    default generator during each step, which is restored afterwards. Several networks train as
    one batched program if `torch.func` can batch the module, if a measurement shows it to be
    faster, and if each network gets the same result as alone, that is, without random numbers
    and without buffers such as running means.

    To load a pickle, the module's class must be importable. Prediction needs torch.

    Examples
    --------
    >>> import torch
    >>> from sklearn.datasets import load_digits
    >>> from skscale import ScaledNetworkClassifier
    >>> class Reader(torch.nn.Module):
    ...     def __init__(self, input_shape, n_outputs, width=32):
    ...         super().__init__()
    ...         self.read = torch.nn.GRU(input_shape[1], width, batch_first=True)
    ...         self.output = torch.nn.Linear(width, n_outputs)
    ...
    ...     def forward(self, x):
    ...         return self.output(self.read(x)[1][0])
    >>> digits = load_digits()
    >>> rows_of_pixels = digits.images[:500] / 16
    >>> network = ScaledNetworkClassifier(Reader, learning_rate=0.02, random_state=0)
    >>> bool(network.fit(rows_of_pixels, digits.target[:500]).score(
    ...     digits.images[500:700] / 16, digits.target[500:700]) > 0.7)
    True
    """

    _parameter_constraints = {
        **ScaledNetwork._parameter_constraints,
        **Classifies._classifier_constraints,
    }

    def __init__(
        self,
        module,
        *,
        depth=None,
        width=None,
        resolution=None,
        n_estimators=1,
        phi=0,
        phi_coefficients=(1.2, 1.1, 1.15),
        input_dtype="float",
        dropout=None,
        l1=0.0,
        weight_decay=0.01,
        teacher=None,
        distillation=0.5,
        memory=None,
        optimizer="adamw",
        learning_rate=0.005,
        lr_schedule="cosine",
        batch_size="auto",
        max_epochs=50,
        max_seconds=None,
        early_stopping=True,
        validation_fraction=0.1,
        n_iter_no_change=10,
        tol=1e-4,
        label_smoothing=0.05,
        calibrate=True,
        class_weight=None,
        warm_start=False,
        device="auto",
        precision="float32",
        callbacks=None,
        random_state=None,
        verbose=0,
        **module_parameters,
    ):
        self._assign(locals())


@document({**MODULE, **REGRESSOR}, {**REGRESSOR_ATTRIBUTES, **MODULE_ATTRIBUTES})
class ScaledNetworkRegressor(Regresses, ScaledNetwork):
    """Regressor with any nn.Module, for one or several targets.

    Its constructor gets the same arguments as in ScaledNetworkClassifier. The module returns
    numbers of shape (n_rows, n_outputs), in units of the internally standardized targets.
    {parameters}
    {attributes}
    See Also
    --------
    ScaledNetworkClassifier : The same for classification.

    Notes
    -----
    See ScaledNetworkClassifier. `partial_fit` keeps the scale of the targets of its first call.

    Examples
    --------
    >>> import torch
    >>> from sklearn.datasets import make_regression
    >>> from skscale import ScaledNetworkRegressor
    >>> class Network(torch.nn.Module):
    ...     def __init__(self, n_features, n_outputs, width=16):
    ...         super().__init__()
    ...         self.hidden = torch.nn.Linear(n_features, width)
    ...         self.output = torch.nn.Linear(width, n_outputs)
    ...
    ...     def forward(self, x):
    ...         return self.output(torch.relu(self.hidden(x)))
    >>> X, y = make_regression(300, 5, random_state=0)
    >>> network = ScaledNetworkRegressor(Network, learning_rate=0.02, random_state=0)
    >>> bool(network.fit(X, y).score(X, y) > 0.9)
    True
    """

    _parameter_constraints = {
        **ScaledNetwork._parameter_constraints,
        **Regresses._regressor_constraints,
    }

    def __init__(
        self,
        module,
        *,
        depth=None,
        width=None,
        resolution=None,
        n_estimators=1,
        phi=0,
        phi_coefficients=(1.2, 1.1, 1.15),
        input_dtype="float",
        dropout=None,
        l1=0.0,
        weight_decay=0.01,
        teacher=None,
        distillation=0.5,
        memory=None,
        optimizer="adamw",
        learning_rate=0.005,
        lr_schedule="cosine",
        batch_size="auto",
        max_epochs=50,
        max_seconds=None,
        early_stopping=True,
        validation_fraction=0.1,
        n_iter_no_change=10,
        tol=1e-4,
        loss="squared_error",
        quantile=0.5,
        huber_delta=1.0,
        warm_start=False,
        device="auto",
        precision="float32",
        callbacks=None,
        random_state=None,
        verbose=0,
        **module_parameters,
    ):
        self._assign(locals())
