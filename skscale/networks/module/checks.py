"""Checks of a user-defined module on rows of X, before it is trained.

A module that ends in a softmax, or whose outputs do not depend on its input, trains without an
error and learns nothing. The class of its last layer does not tell, since a softmax may be a
function. So the checks look at outputs: a property that holds for different rows, and with the
initial and with many random weights, is one of the module.
"""

import math

import numpy as np
import torch

from ..torch_modules import build, explained_errors, outputs_of, temporary_random_state

# A few rows: networks that pass do so at the first or second trial.
_N_ROWS = 8
# Rows that must confirm that outputs do not depend on the rows: few may differ in a value that
# the module does not use.
_N_CONFIRMING = 512
# Random weights. A raw score keeps its sign in one of them with a probability of at most about
# a half; networks with few units often have none that is active.
_N_TRIALS = 24
# Amplitudes of the changes, in units of the weights' root mean square. Small ones, since large
# ones saturate, and large ones, since small ones keep signs.
_AMPLITUDES = (1.0, 3.0, 10.0, 100.0)
# Most columns of which the extreme rows are looked at one by one.
_MAX_COLUMNS = 64


def check_indices(architecture, X):
    """Check that a module of integer inputs accepts the smallest and largest ones of X.

    On a GPU an index out of range would end all use of the device in this process.

    Parameters
    ----------
    architecture : ModuleArchitecture
    X : int64 ndarray of shape (n_rows, n_features)

    Raises
    ------
    ValueError
    """
    rows = extreme_rows(X)
    network = build(architecture).eval()
    with temporary_random_state(0), torch.no_grad(), _explained(architecture, network, X):
        _outputs(architecture, network, X[rows])


def extreme_rows(X):
    """Return the rows with the smallest and largest value, of each column if these are few."""
    n_columns = X.shape[1]
    places = [X.argmin() // n_columns, X.argmax() // n_columns]
    if n_columns <= _MAX_COLUMNS:
        places = [*places, *X.argmin(axis=0), *X.argmax(axis=0)]
    return np.unique(places)


def check_outputs(architecture, X, rows, kind):
    """Check that a module returns outputs that its loss can use.

    Parameters
    ----------
    architecture : ModuleArchitecture
    X : ndarray of shape (n_rows, n_features)
    rows : ndarray of int
        Training rows.
    kind : {"scores", "logits", "numbers"}
        Scores of exclusive classes; logits, each for itself; targets of a regression.

    Raises
    ------
    ValueError
        If the outputs do not depend on the rows or on the weights, are probabilities, or have
        one sign only although both are needed.
    """
    some = _distinct_rows(X, rows, _N_ROWS)
    if len(some) < 2:
        return
    network = build(architecture).eval()
    suspected = dict(_PROPERTIES[kind])
    n_trials = 0
    for out in _trials(architecture, network, some):
        n_trials += 1
        suspected = {name: holds for name, holds in suspected.items() if holds(out)}
        if not suspected:
            return
    if n_trials <= _N_TRIALS // 2:  # too few are finite for a verdict
        return
    many = _distinct_rows(
        X, np.unique([*rows[:_N_CONFIRMING], *extreme_rows(X)]), _N_CONFIRMING
    )
    for out in _trials(architecture, build(architecture).eval(), many, 2):
        suspected = {name: holds for name, holds in suspected.items() if holds(out)}
    if "constant" in suspected and _depends_on_standardized(architecture, many):
        del suspected["constant"]
    if suspected:
        name = type(network).__name__
        raise ValueError(_describe(next(iter(suspected)), kind, name, architecture.n_outputs))


def _depends_on_standardized(architecture, x):
    """Return whether outputs depend on the rows once these vary enough.

    Rows far from zero, such as seconds since 1970, give equal outputs by rounding.
    """
    if architecture.takes_integers:
        return False
    x = x.astype(np.float64)
    x = ((x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1e-100)).astype(np.float32)
    try:
        trials = list(_trials(architecture, build(architecture).eval(), x))
    except ValueError:  # it may not be defined for such rows
        return False
    return not all(map(_is_constant, trials))


def _distinct_rows(X, rows, n_most):
    """Return up to `n_most` different rows, from the first to the last."""
    places = np.unique(np.linspace(0, len(rows) - 1, 4 * n_most).astype(int))
    found = np.unique(X[rows[places]], axis=0)
    # unique sorts: take rows far from one another.
    return found[np.unique(np.linspace(0, len(found) - 1, n_most).astype(int))]


def _outputs(architecture, network, x):
    return outputs_of(architecture, network, torch.tensor(np.ascontiguousarray(x)))


def _explained(architecture, network, X):
    return explained_errors(network, X.reshape(-1, *architecture.input_shape))


def _trials(architecture, network, x, n_trials=_N_TRIALS):
    """Yield the finite outputs of the initial weights, and of random ones near them."""
    is_trained = any(p.requires_grad for p in network.parameters())
    with temporary_random_state(0), _explained(architecture, network, x):
        out = _outputs(architecture, network, x)
    if is_trained and not out.requires_grad:
        raise ValueError(
            f"The outputs of {type(network).__name__} have no gradient, so its weights cannot "
            "be trained. Remove detach(), torch.no_grad() or argmax from its forward."
        )
    first = out.detach().double().numpy()
    if not np.isfinite(first).all():
        return
    yield first
    parameters = list(network.parameters())
    initial = [p.detach().clone() for p in parameters]
    # One stream of numbers for all trials; the module draws its own from another.
    generator = torch.Generator().manual_seed(0)
    for trial in range(n_trials):
        amplitude = _AMPLITUDES[trial % len(_AMPLITUDES)]
        with torch.no_grad():
            for own, value in zip(parameters, initial, strict=True):
                size = float(value.double().square().mean().sqrt()) if value.numel() else 0.0
                # A layer that starts at zero: the usual size of its weights.
                size = size or 1 / math.sqrt(max(1, value[0].numel() if value.dim() else 1))
                noise = torch.randn(value.shape, generator=generator, dtype=torch.float32)
                own.copy_(value + amplitude * size * noise.to(value.dtype))
        try:
            with temporary_random_state(0), torch.no_grad():
                out = _outputs(architecture, network, x).double().numpy()
        except Exception:
            # Some modules are not defined for all weights, such as negative variances.
            continue
        if np.isfinite(out).all():
            yield out


def _is_constant(out):
    spread = out.max(axis=0) - out.min(axis=0)
    # Products of equal rows may differ in their last digits.
    return bool((spread <= 1e-6 * np.abs(out).max(axis=0)).all())


def _sums_to_one(axis):
    return lambda out: (
        bool((out >= 0).all()) and np.allclose(out.sum(axis=axis), 1, rtol=0, atol=1e-3)
    )


def _exponentials_sum_to_one(axis):
    def holds(out):
        with np.errstate(over="ignore"):
            is_one = np.allclose(np.exp(out).sum(axis=axis), 1, rtol=0, atol=1e-3)
        # A single output near zero may still depend on the rows.
        return is_one and (out.shape[1] > 1 or axis == 0 or _is_constant(out))

    return holds


def _are_fractions(out):
    return bool(((out >= 0) & (out <= 1)).all())


def _are_not_negative(out):
    return bool((out >= 0).all())


def _are_not_positive(out):
    return bool((out <= 0).all())


_ONE_SIGN = {"not negative": _are_not_negative, "not positive": _are_not_positive}


_ALWAYS_WRONG = {
    "softmax": _sums_to_one(1),
    "softmax over rows": _sums_to_one(0),
    "log-softmax over rows": _exponentials_sum_to_one(0),
}
# In the order in which they are named: a softmax over one output is also constant.
_PROPERTIES = {
    # Not a log-softmax over classes: its softmax is the same again.
    "scores": {**_ALWAYS_WRONG, "constant": _is_constant, "sigmoid": _are_fractions},
    "logits": {
        **_ALWAYS_WRONG,
        "log-softmax": _exponentials_sum_to_one(1),
        "constant": _is_constant,
        "sigmoid": _are_fractions,
        **_ONE_SIGN,
    },
    "numbers": {"constant": _is_constant, **_ONE_SIGN},
}
_GOT = {
    "softmax": "probabilities that sum to one in each row",
    "log-softmax": "logarithms of probabilities that sum to one in each row",
    "softmax over rows": "outputs of which each column sums to one over the rows",
    "log-softmax over rows": "logarithms of outputs of which each column sums to one over the "
    "rows",
    "sigmoid": "outputs between 0 and 1 for all rows and weights",
    "not negative": "outputs that are never negative for any rows and weights",
    "not positive": "outputs that are never positive for any rows and weights",
    "constant": "outputs that do not depend on the rows of X",
}
_REMEDY = {
    "softmax": "Remove the softmax at the end of the module",
    "log-softmax": "Remove the log-softmax at the end of the module",
    "softmax over rows": "Remove the softmax, which mixes the rows of a batch",
    "log-softmax over rows": "Remove the log-softmax, which mixes the rows of a batch",
    "sigmoid": "Remove the sigmoid at the end of the module",
    "not negative": "Remove the activation (such as ReLU) at the end of the module",
    "not positive": "Remove the activation (such as LogSigmoid) at the end of the module",
    "constant": "Let the output depend on the input, without a normalization (or softmax) of a "
    "single output",
}


def _describe(found, kind, name, n_outputs):
    """Return the message for a property of all outputs."""
    got, remedy = _GOT[found], _REMEDY[found]
    if kind == "numbers":
        expected = f"numbers of any sign of shape (n_rows, {n_outputs})"
        if found in _ONE_SIGN:
            got += ", but the targets are standardized, to positive and negative values"
        return f"Expected {expected} from {name}, got {got}. {remedy}."
    expected = f"raw scores (logits) of any sign, of shape (n_rows, {n_outputs})"
    if kind == "logits" and n_outputs == 1:
        expected += ", one for two classes"
        if found in ("softmax", "log-softmax"):
            number = 1 if found == "softmax" else 0
            got = f"{number} for every row, as after a {found} over one output"
            remedy = f"Remove the {found}, or the normalization, at the end of the module"
    if found != "constant":
        remedy += ": the loss and predict_proba apply the link function themselves"
    return f"Expected {expected}, from {name}, got {got}. {remedy}."
