"""Classifier and regressor heads: targets from y, and predictions from network outputs.

A classifier has `Labels`, a regressor `Numbers`. One code serves every array namespace. The
outputs of an ensemble have the members on the first axis.
"""

from dataclasses import dataclass

import numpy as np

from ..networks.namespace import (
    as_constant,
    cast,
    dtype_in,
    in_place,
    largest,
    namespace_of,
    total,
)
from ..storage.tree import expect

# Standardized targets are clipped at this bound, so that their squares fit float32.
LARGEST_STANDARDIZED = 1e15
# Predictions are float64 if the mean is more standard deviations than this away from zero:
# float32 would round them by up to 6e-5 of a standard deviation.
_FAR_FROM_ZERO = 1_000
# Squares of targets must fit float64, so no mean or scale is larger.
_LARGEST_MOMENT = 1e155
# Largest itemsize in bytes of a string dtype that is wider than its labels need.
_WIDE_LABEL = 1 << 16


@dataclass(frozen=True, eq=False)
class Labels:
    """Head of a classifier.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
        Sorted labels; for a multilabel target, the column indices.
    is_multilabel : bool
        Whether the target is an indicator matrix, with one output per label.
    """

    classes: np.ndarray
    is_multilabel: bool

    # Logits have the dtype of the weights, for any dtype of X.
    in_dtype_of_X = False
    decodes = False  # a plain module returns logits

    @property
    def n_outputs(self):
        """int: number of network outputs."""
        return 1 if self.is_binary else len(self.classes)

    @property
    def is_binary(self):
        """bool: whether there are two exclusive classes, with one output for both."""
        return len(self.classes) == 2 and not self.is_multilabel

    def encode(self, y, dtype):
        """Convert known labels to targets of the loss.

        Parameters
        ----------
        y : ndarray of shape (n_rows,) or (n_rows, n_labels)
        dtype : numpy dtype
            float32 or float64, for targets that are floats.

        Returns
        -------
        targets : ndarray
            int64 class indices of shape (n_rows,), or floats of shape (n_rows, n_outputs).
        codes : ndarray of int of shape (n_rows,) or None
            Class index of each row, None for a multilabel target.
        """
        if self.is_multilabel:
            return y.astype(dtype), None
        codes = np.searchsorted(self.classes, y)
        codes = codes.astype(np.min_scalar_type(len(self.classes)))
        if len(self.classes) == 2:
            return codes.astype(dtype)[:, None], codes
        return codes.astype(np.int64), codes

    def join(self, outputs):
        """Return the logits of an ensemble, from the mean probabilities of its members."""
        if outputs.shape[-1] > 1 and not self.is_multilabel:
            return mean_of_logarithms(log_softmax(outputs))
        positive = mean_of_logarithms(log_sigmoid(outputs))
        return positive - mean_of_logarithms(log_sigmoid(-outputs))

    def scores(self, outputs):
        """Return logits; for two classes, those of the second, of shape (n_rows,)."""
        is_one = outputs.shape[-1] == 1 and not self.is_multilabel
        return outputs[..., 0] if is_one else outputs

    def predictions(self, outputs):
        """Return the most probable labels in their dtype; zeros and ones if multilabel."""
        if self.is_multilabel:
            return (outputs > 0).astype(np.int64)
        if outputs.shape[1] == 1:
            return self.classes[(outputs[:, 0] > 0).astype(np.intp)]
        return self.classes[outputs.argmax(axis=1)]

    def probabilities(self, outputs, is_log=False):
        """Return class probabilities of shape (..., n_classes), or their logarithms."""
        of_each, of_all = (log_sigmoid, log_softmax) if is_log else (sigmoid, softmax)
        if self.is_multilabel:
            return of_each(outputs)
        if outputs.shape[-1] == 1:
            both = [of_each(-outputs), of_each(outputs)]
            return namespace_of(outputs).concat(both, axis=-1)
        return of_all(outputs)

    def log_probabilities(self, outputs):
        """Return log-probabilities, also of probabilities that round to zero."""
        log_p = self.probabilities(outputs, is_log=True)
        # Above 0.5, the logarithm of the rounded probability, so that both agree.
        p, xp = self.probabilities(outputs), namespace_of(outputs)
        return xp.where(p > 0.5, xp.log(xp.where(p > 0.5, p, xp.ones_like(p))), log_p)

    def check(self):
        """Reject classes that a predictor cannot have.

        Raises
        ------
        ValueError
        """
        expect(isinstance(self.is_multilabel, bool), "a boolean")
        classes = self.classes
        is_list = type(classes) is np.ndarray and classes.ndim == 1
        expect(is_list and len(classes) > 1, "a 1D array of two classes or more")
        # `encode` searches for codes among sorted classes.
        expect(bool((classes[:-1] < classes[1:]).all()), "classes in ascending order")
        if classes.dtype.kind == "U":
            # Each predicted row takes the memory of the longest label.
            n_bytes = 4 * max(map(len, classes.tolist()))
            max_bytes = max(n_bytes, _WIDE_LABEL)
            expect(
                classes.itemsize <= max_bytes, f"a string dtype of at most {max_bytes} bytes"
            )


@dataclass(frozen=True, eq=False)
class Numbers:
    """Head of a regressor.

    Parameters
    ----------
    mean, scale : float64 ndarrays of shape (n_outputs,)
        Targets are `(y - mean) / scale`; a scale of 0 divides by 1.
    is_log : bool
        Whether outputs are logarithms of the scaled targets.
    is_column : bool
        Whether the target was one-dimensional.
    """

    mean: np.ndarray
    scale: np.ndarray
    is_log: bool
    is_column: bool

    in_dtype_of_X = True
    decodes = True

    def __post_init__(self):
        # Whether float32 outputs can stay float32; computed once, since each prediction asks.
        object.__setattr__(self, "float32_holds_targets", self._holds_float32())

    def _holds_float32(self):
        # Different shapes would broadcast to far more numbers than a file holds.
        expect(self.mean.shape == self.scale.shape, "one mean and one scale per output")
        with np.errstate(all="ignore"):
            mean, scale = np.abs(self.mean), self.scale
            is_moderate = (mean < 1e30) & (scale < 1e30) & ((scale > 1e-30) | (scale == 0))
            return bool((is_moderate & (mean <= _FAR_FROM_ZERO * scale)).all())

    @property
    def n_outputs(self):
        """int: number of network outputs."""
        return len(self.mean)

    def encode(self, y, dtype):
        """Scale targets for the loss: see `scale_targets`.

        Returns
        -------
        targets : ndarray of shape (n_rows, n_outputs)
        codes : None
        """
        return scale_targets(y, self.mean, self.scale, dtype), None

    def join(self, outputs):
        """Return the mean outputs of an ensemble; for logarithms, the log of the mean."""
        if self.is_log:
            return mean_of_logarithms(outputs)
        return total(namespace_of(outputs), outputs, 0)[0] / outputs.shape[0]

    def predictions(self, outputs):
        """Return predictions in the units of y, 1-D if y was. Overwrites `outputs`."""
        xp, mean, scale = namespace_of(outputs), self.mean, self.scale
        dtype = outputs.dtype if self.float32_holds_targets else dtype_in(xp, np.float64)
        if self.is_log:
            predicted = cast(xp, exp(outputs) * as_constant(xp, scale, outputs), dtype)
        else:
            predicted = outputs if outputs.dtype == dtype else cast(xp, outputs, dtype)
            if xp is not np:  # NumPy computes in float64 and rounds once
                mean, scale = (
                    cast(xp, as_constant(xp, part, outputs), dtype) for part in (mean, scale)
                )
            predicted *= scale
            predicted += mean
        return predicted[..., 0] if self.is_column else predicted

    def check(self):
        """Reject a mean and a scale that do not match.

        Raises
        ------
        ValueError
        """
        for numbers in (self.mean, self.scale):
            is_float64 = type(numbers) is np.ndarray and numbers.dtype == np.float64
            expect(is_float64, "a float64 array")
            expect(numbers.shape == (self.n_outputs,), "one value per output")
            is_moderate = np.abs(numbers) <= _LARGEST_MOMENT
            expect(bool(is_moderate.all()), f"absolute values up to {_LARGEST_MOMENT:g}")
        expect(bool((self.scale >= 0).all()), "non-negative scales")
        expect(all(type(flag) is bool for flag in (self.is_log, self.is_column)), "booleans")
        expect(not self.is_column or self.n_outputs == 1, "one output for a 1D target")
        # From the instance: skops sets the attributes of a loaded object one by one.
        holds = vars(self).get("float32_holds_targets")
        expect(holds is self._holds_float32(), "the float type that the targets need")


def scale_targets(y, mean, scale, dtype):
    """Standardize targets: `(y - mean) / scale`, as in `Task.targets`.

    Parameters
    ----------
    y : ndarray of shape (n_rows,) or (n_rows, n_outputs)
    mean, scale : ndarrays of shape (n_outputs,)
        A scale of 0 divides by 1.
    dtype : numpy dtype

    Returns
    -------
    ndarray of shape (n_rows, n_outputs)
    """
    y = y.reshape(len(y), -1).astype(np.float64, copy=False)
    with np.errstate(over="ignore"):
        values = (y - mean) / np.where(scale == 0, 1.0, scale)
    return np.clip(values, -LARGEST_STANDARDIZED, LARGEST_STANDARDIZED).astype(dtype)


def mean_of_logarithms(logarithms):
    """Return the logarithm of the mean over the first axis, from logarithms.

    Parameters
    ----------
    logarithms : array of shape (n_members, ...)

    Returns
    -------
    array of shape (...)
    """
    xp = namespace_of(logarithms)
    most = largest(xp, logarithms, 0)
    mean = total(xp, xp.exp(logarithms - most), 0) / logarithms.shape[0]
    return (most + xp.log(mean))[0]


def exp(z):
    """Exponentiate in float64.

    Parameters
    ----------
    z : array

    Returns
    -------
    float64 array of the same shape

    Raises
    ------
    ValueError
        If a number is too large for float64.
    """
    xp = namespace_of(z)
    with np.errstate(over="ignore"):
        e = xp.exp(cast(xp, z, dtype_in(xp, np.float64)))
    if not bool(xp.all(xp.isfinite(e))):
        raise ValueError(
            f"The network predicts a logarithm of {float(xp.max(z)):g}, whose exponential is "
            "too large for float64. Expected values in the range of the training data: check "
            "the rows of X for extreme values."
        )
    return e


def softmax(z):
    """Convert logits to probabilities, row by row.

    Parameters
    ----------
    z : array of shape (..., n_classes)

    Returns
    -------
    array of the same shape
    """
    xp = namespace_of(z)
    p = z - largest(xp, z, -1)
    p = in_place(xp, xp.exp, p)
    p /= total(xp, p, -1)
    return p


def log_softmax(z):
    """Convert logits to log-probabilities, row by row, without underflow.

    Parameters
    ----------
    z : array of shape (..., n_classes)

    Returns
    -------
    array of the same shape
    """
    xp = namespace_of(z)
    p = z - largest(xp, z, -1)
    p -= xp.log(total(xp, xp.exp(p), -1))
    return p


def sigmoid(z):
    """Convert logits to probabilities, elementwise, without overflow.

    Parameters
    ----------
    z : array

    Returns
    -------
    array of the same shape
    """
    xp = namespace_of(z)
    # exp of a negative number preserves the digits of small probabilities.
    e = xp.exp(-xp.abs(z))
    one = 1 if xp is np else xp.ones_like(e)
    return xp.where(z >= 0, one, e) / (1 + e)


def log_sigmoid(z):
    """Convert logits to log-probabilities, elementwise, without underflow.

    Parameters
    ----------
    z : array

    Returns
    -------
    array of the same shape
    """
    xp = namespace_of(z)
    zero = z.dtype.type(0) if xp is np else xp.zeros_like(z)
    return -xp.logaddexp(zero, -z)
