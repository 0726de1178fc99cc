"""Arguments of a user's module, from the parameters of its estimator."""

import difflib
import inspect
from numbers import Real

from ..scaling import compound_dropout, scale_number

PREFIX = "module__"
_SCALE = ("depth", "width", "resolution")
# Names of other libraries (skorch, Lightning, Keras, scikit-learn) for parameters of skscale.
_NAMES_ELSEWHERE = {
    "lr": "learning_rate",
    "optimizer__lr": "learning_rate",
    "optimizer__weight_decay": "weight_decay",
    "alpha": "weight_decay",
    "l2": "weight_decay",
    "criterion": "loss",
    "epochs": "max_epochs",
    "n_epochs": "max_epochs",
    "num_epochs": "max_epochs",
    "max_iter": "max_epochs",
    "iterator_train__batch_size": "batch_size",
    "train_split": "validation_fraction",
    "patience": "n_iter_no_change",
    "scheduler": "lr_schedule",
    "lr_scheduler": "lr_schedule",
    "seed": "random_state",
}


class ModuleArguments:
    """Arguments that the constructor of a module gets.

    Parameters
    ----------
    estimator : ScaledNetwork

    Attributes
    ----------
    own : dict of str to anything
        Those set with the prefix `module__`, without it.
    named : dict of str to anything
        Arguments that the module names, with their defaults.
    takes_any : bool
        Whether it accepts other arguments.
    """

    def __init__(self, estimator):
        self.estimator = estimator
        known = vars(estimator).get("module_parameters", {})
        if "module_parameters" in known:
            raise TypeError(
                "module_parameters is not a parameter. Pass the arguments of the module one by "
                f"one, each with the prefix {PREFIX}."
            )
        self.own = {name[len(PREFIX) :]: value for name, value in known.items()}
        self.named, self.takes_any = _read_signature(estimator.module)
        parameters = estimator.get_params(deep=False)
        names = (*_SCALE, "dropout")
        self._set = {n: parameters[n] for n in names if parameters[n] is not None}

    def check(self):
        """Check that the module takes the arguments, each once.

        Raises
        ------
        ValueError
        """
        for name in sorted({*self.own, *self._set}):
            if name not in self.named and not self.takes_any:
                parameter = f"{PREFIX}{name}" if name in self.own else name
                known = ", ".join(n for n in self.named if n != "self")
                raise ValueError(
                    f"{parameter} is set, but {name_of(self.estimator.module)} takes no "
                    f"argument {name!r}. It takes {known}."
                )
        twice = sorted(self.own.keys() & self._set.keys())
        if twice:
            raise ValueError(
                f"{twice[0]} and {PREFIX}{twice[0]} are both set. Set one of them."
            )

    @property
    def scale(self):
        """dict of str to number: depth, width, resolution, if present, after scaling by phi."""
        found = {}
        for name, coefficient in zip(_SCALE, self.estimator.phi_coefficients, strict=True):
            base = self._base(name)
            if base is not None:
                found[name] = scale_number(
                    base, coefficient, self.estimator.phi, name, rounds_up=name == "depth"
                )
        return found

    @property
    def dropout(self):
        """float: dropout rate at phi = 0; 0 if the module has none."""
        rate = self._base("dropout")
        return 0.0 if rate is None else float(rate)

    def complete(self, inputs, n_outputs):
        """Return all arguments, those that depend on the data included.

        Parameters
        ----------
        inputs : SampleInputs
        n_outputs : int

        Returns
        -------
        dict of str to anything
        """
        arguments = dict(self.own)
        offered = {
            "n_features": inputs.n_features,
            "input_shape": inputs.shape,
            "n_outputs": n_outputs,
        }
        for name, value in offered.items():
            # A module with **kwargs gets only one of the two names for the input size.
            if name in self.named or (self.takes_any and name != "input_shape"):
                arguments.setdefault(name, value)
        phi = self.estimator.phi
        if phi != 0:
            arguments |= {
                n: v for n, v in self.scale.items() if n in self.named or self.takes_any
            }
            if "dropout" in self.named:
                arguments["dropout"] = compound_dropout(self.dropout, phi)
        for name, value in self._set.items():
            arguments.setdefault(name, value)
        # Sorted, so that equal arguments give equal architectures.
        return dict(sorted(arguments.items()))

    def _base(self, name):
        """Return the value set, or the module's default; None if it is not a number."""
        value = self.own.get(name, self._set.get(name))
        if value is None:
            value = self.named.get(name)
        return value if isinstance(value, Real) and not isinstance(value, bool) else None


def _read_signature(module):
    """Return the named arguments of a module with their defaults, and if it takes others."""
    constructor = module.__init__ if isinstance(module, type) else module
    parameters = inspect.signature(constructor).parameters.values()
    named = {p.name: p.default for p in parameters if p.kind is not p.VAR_KEYWORD}
    return named, any(p.kind is p.VAR_KEYWORD for p in parameters)


def describe_unknown(kind, module, name, value):
    """Return the message for an unknown parameter, which names the right one if it can.

    Parameters
    ----------
    kind : type
        Class of the estimator.
    module : type or callable
        As passed to the estimator, and not checked yet.
    name : str
    value : anything
    """
    try:
        named, takes_any = _read_signature(module)
    except (TypeError, ValueError):
        named, takes_any = {}, True
    message = f"{kind.__name__} has no parameter {name!r}"
    assigned = f"{PREFIX}{name}={value!r}"
    prefixed = f"{message}. Arguments of the module are passed with a prefix: {assigned}."
    if name in named:
        return prefixed
    own = sorted(set(kind._parameter_constraints) | {"module"})
    arguments = [f"{PREFIX}{n}" for n in named if n != "self"]
    group, _, inner = name.partition("__")
    known = _NAMES_ELSEWHERE.get(name)
    close = (
        [known] if known in own else difflib.get_close_matches(name, own + arguments, 1, 0.7)
    )
    if inner and group in own and known is None:
        return (
            f"{message}. Set {inner!r} on the object passed as {group}, as in "
            "optimizer=SGD(momentum=0.5) or callbacks=[EarlyStopping(patience=5)]."
        )
    if close:
        return f"{message}. Did you mean {close[0]!r}?"
    if takes_any:
        return prefixed
    return (
        f"{message}, and {name_of(module)} takes no argument {name!r} (which would be passed "
        f"with the prefix: {assigned}). Expected one of {', '.join(own)}, or an "
        f"argument of the module: {', '.join(arguments)}."
    )


def name_of(module):
    """Return the name of a module's class or factory function."""
    return getattr(module, "__name__", repr(module))
