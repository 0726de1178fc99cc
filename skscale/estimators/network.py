"""Estimators of any nn.Module, scaled like the networks of the library."""

from dataclasses import replace
from numbers import Integral, Real

from .._sklearn_private import Interval, StrOptions
from ..inference.inputs import SampleInputs
from ..training.losses import CrossEntropy
from .base import ScaledEstimator, view
from .classification import Classifies
from .docstrings import (
    CLASSIFIER,
    CLASSIFIER_ATTRIBUTES,
    MODULE,
    MODULE_ATTRIBUTES,
    REGRESSOR,
    REGRESSOR_ATTRIBUTES,
    document,
)
from .module_arguments import PREFIX, ModuleArguments, describe_unknown, name_of
from .module_networks import ScaledModule
from .regression import Regresses


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
    # The units of an arbitrary module are unknown: no pruning.
    pruning = 0.0

    @property
    def complexity_(self):
        """Parameters and multiply-accumulates per row; the depth that the module declares."""
        return super().complexity_._replace(depth=self.depth_, widths=None)

    input_shape_ = view(lambda p: p.inputs.shape, "Shape of a sample.")

    def _assign(self, parameters):
        for name, value in parameters["module_parameters"].items():
            # scikit-learn's checks pass `module_parameters` by its name: see `_own`.
            if not name.startswith(PREFIX) and name != "module_parameters":
                module = parameters["module"]
                raise TypeError(describe_unknown(type(self), module, name, value))
        # Stored only if not empty: a constructor should set the parameters that its signature
        # names, and these names are not in it.
        given = {n: v for n, v in parameters.items() if n != "module_parameters"}
        super()._assign(given)
        _store_arguments(self, parameters["module_parameters"])

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
        names = [n for n in params if n.startswith(PREFIX) or n == "module_parameters"]
        super().set_params(**{name: params[name] for name in params if name not in names})
        _store_arguments(self, {name: params[name] for name in names})
        return self

    @property
    def _arguments(self):
        return ModuleArguments(self)

    def _check_combinations(self):
        super()._check_combinations()
        if not isinstance(self.module, type) and hasattr(self.module, "parameters"):
            name = type(self.module).__name__
            raise TypeError(
                f"module must be a class, got an instance of {name}. Pass {name} "
                f"itself, and its arguments as {PREFIX}*."
            )
        self._arguments.check()

    def _scale_attributes(self, inputs):
        names = ("depth_", "width_", "resolution_")
        return dict(zip(names, self._scale_numbers(inputs), strict=True))

    def _scale_numbers(self, inputs):
        scale = self._arguments.scale
        return scale.get("depth"), scale.get("width"), scale.get("resolution")

    def _resolve_dropout(self, n_rows, n_columns):
        return self._arguments.dropout

    def _build_architecture(self, inputs, n_outputs, fan_in):
        from ..networks.module.measurement import describe

        architecture = describe(
            self.module,
            self._arguments.complete(inputs, n_outputs),
            inputs.shape,
            n_outputs,
            inputs.takes_integers,
        )
        if architecture.has_buffers and self.precision == "bfloat16":
            raise ValueError(
                'precision="bfloat16" computes with copies of the weights, and '
                f"{name_of(self.module)} has buffers (such as the running means of batch "
                'normalization), which would stay in float32. Set precision="float32".'
            )
        return architecture

    def _check_task(self, task, is_new):
        from ..networks.module.checks import check_indices, check_outputs

        architecture = task.architecture
        if architecture.takes_integers:
            check_indices(architecture, task.X)
            if task.validation is not None:
                check_indices(architecture, task.validation.X)
        # A loss of the user's own may use other outputs.
        if is_new and isinstance(self.loss, str):
            kind = "numbers"
            if isinstance(self, Classifies):
                is_exclusive = isinstance(task.loss, CrossEntropy)
                kind = "scores" if is_exclusive else "logits"
            check_outputs(architecture, task.X, task.train_rows, kind)

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


def _store_arguments(estimator, more):
    """Add arguments of the module to those stored on an estimator."""
    known = {**vars(estimator).get("module_parameters", {}), **more}
    if known:
        estimator.module_parameters = known


@document({**MODULE, **CLASSIFIER}, {**CLASSIFIER_ATTRIBUTES, **MODULE_ATTRIBUTES})
class ScaledNetworkClassifier(Classifies, ScaledNetwork):
    """Classifier with any nn.Module.

    Its constructor gets every `module__*`, and those of `n_features`, `input_shape` (of a
    sample), `n_outputs`, `depth`, `width`, `resolution` and `dropout` that it accepts. The
    module returns logits of shape (n_rows, n_outputs): one for two classes, else one per class.
    It does not end in a softmax or sigmoid, which the loss applies. Before training its outputs
    for a few rows are checked.
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
        validation_scoring="loss",
        n_iter_no_change=10,
        tol=1e-4,
        loss="log_loss",
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
        validation_scoring="loss",
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
