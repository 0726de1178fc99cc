"""Activation functions: forward pass, derivative, ONNX form and initialization, one class each.

An activation of your own is a subclass of `Activation`, passed as an object:
`ScaledMLPClassifier(activation=Squareplus())`. Torch is imported by those who train.
"""

import math
from abc import ABC, abstractmethod

import numpy as np

from ..by_value import ByValue
from .namespace import in_place

_ZERO = {np.dtype(kind): np.zeros((), kind) for kind in (np.float32, np.float64)}


class Activation(ByValue, ABC):
    """An activation function of the hidden layers.

    A subclass defines `forward`. Training then differentiates it by autograd; with `backward`
    it is as fast as the built-in ones. Objects of one type with equal attributes are equal.

    Attributes
    ----------
    variance_gain : float, default=1.0
        Factor of the variance of initial weights: 2 for functions that are about zero on half
        of their inputs (He et al. 2015, eq. 10).
    passes_linear : bool, default=False
        Whether `f(z) - f(-z) = z`, so that a linear model can grow a hidden layer.
    is_flat_at_zero : bool, default=False
        Whether the derivative at zero is zero, so that units must not start there.
    saves : {"input", "output"}, default="input"
        The array that `backward` reads: `z` or `a = f(z)`.
    in_place : callable or None, default=None
        `in_place(tensor)` overwrites `z` by `f(z)`. Only where `saves` is "output".

    Examples
    --------
    >>> from skscale import Activation, ScaledMLPRegressor
    >>> class Squareplus(Activation):
    ...     variance_gain = 2.0
    ...     passes_linear = True
    ...
    ...     def forward(self, xp, z):
    ...         return (z + xp.sqrt(z * z + 4)) / 2
    >>> network = ScaledMLPRegressor(activation=Squareplus(), max_epochs=2, random_state=0)
    >>> network.fit([[0.0], [1.0], [2.0]] * 10, [0.0, 1.0, 2.0] * 10).predict([[1.0]]).shape
    (1,)
    """

    variance_gain = 1.0
    passes_linear = False
    is_flat_at_zero = False
    saves = "input"
    in_place = None

    @abstractmethod
    def forward(self, xp, z):
        """Return `f(z)`.

        Parameters
        ----------
        xp : module
            `numpy` or `torch`.
        z : ndarray or tensor
            It may be overwritten by NumPy, but not by torch.

        Returns
        -------
        ndarray or tensor
            Of the shape and dtype of `z`.
        """

    def differentiable(self, z):
        """Return `f(z)` in a form that autograd differentiates.

        Parameters
        ----------
        z : tensor

        Returns
        -------
        tensor
        """
        import torch

        return self.forward(torch, z)

    def backward(self, grad, saved, out):
        """Write the gradient with respect to `z`.

        Parameters
        ----------
        grad : tensor
            Gradient with respect to `a`. May be the same tensor as `out`.
        saved : tensor
            `z` or `a`, see `saves`.
        out : tensor
            Receives the gradient.

        Returns
        -------
        None
        """
        import torch

        with torch.enable_grad():
            z = saved.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(self.differentiable(z), z, grad)
        out.copy_(gradient)

    def add_to_graph(self, graph, z, dtype):
        """Add `f(z)` to an ONNX graph.

        Parameters
        ----------
        graph : skscale.onnx.graph.Graph
            `graph.add(operator, *inputs)` returns the name of the result.
        z : str
            Name of the input.
        dtype : numpy dtype
            Of `z`.

        Returns
        -------
        str
            Name of the result.

        Raises
        ------
        TypeError
            Unless the subclass defines it.
        """
        raise TypeError(
            f"The activation {type(self).__name__} has no ONNX form. Define its method "
            "add_to_graph(graph, z, dtype)."
        )


def _aten():
    import torch

    return torch.ops.aten


class ReLU(Activation):
    """`max(z, 0)`."""

    variance_gain = 2.0
    passes_linear = True
    is_flat_at_zero = True
    saves = "output"

    def forward(self, xp, z):
        zero = _ZERO[z.dtype] if xp is np else xp.zeros_like(z)
        return in_place(xp, xp.maximum, z, zero)

    def differentiable(self, z):
        return z.relu()

    def in_place(self, z):
        return z.relu_()

    def backward(self, grad, saved, out):
        _aten().threshold_backward.grad_input(grad, saved, 0, grad_input=out)

    def add_to_graph(self, graph, z, dtype):
        return graph.add("Relu", z)


class GELU(Activation):
    """Tanh form of the Gaussian error linear unit (Hendrycks and Gimpel 2016, section 2).

    The exact form needs erf, which NumPy lacks.
    """

    variance_gain = 2.0
    passes_linear = True

    def forward(self, xp, z):
        inner = z * z
        inner *= 0.044715
        inner += 1
        inner *= z
        inner *= math.sqrt(2 / math.pi)
        inner = in_place(xp, xp.tanh, inner)
        inner += 1
        inner *= z
        inner *= 0.5
        return inner

    def differentiable(self, z):
        from torch.nn import functional

        return functional.gelu(z, approximate="tanh")

    def backward(self, grad, saved, out):
        _aten().gelu_backward.grad_input(grad, saved, approximate="tanh", grad_input=out)

    def add_to_graph(self, graph, z, dtype):
        # (1 + tanh(u)) / 2 is the sigmoid of 2 u = z (a + b z**2).
        a = np.sqrt(8 / np.pi)
        u = graph.add("Mul", graph.add("Mul", z, z), np.array(0.044715 * a, dtype))
        u = graph.add("Mul", graph.add("Add", u, np.array(a, dtype)), z)
        floor = -10 if dtype == np.float32 else -20
        return _add_gate(graph, z, graph.add("Sigmoid", u), floor, dtype)


class SiLU(Activation):
    """`z * sigmoid(z)` (Elfwing et al. 2018)."""

    variance_gain = 2.0
    passes_linear = True

    def forward(self, xp, z):
        # The tanh form of the sigmoid neither overflows nor warns.
        s = in_place(xp, xp.tanh, z * 0.5)
        s *= 0.5
        s += 0.5
        s *= z
        return s

    def differentiable(self, z):
        from torch.nn import functional

        return functional.silu(z)

    def backward(self, grad, saved, out):
        _aten().silu_backward.grad_input(grad, saved, grad_input=out)

    def add_to_graph(self, graph, z, dtype):
        floor = -18 if dtype == np.float32 else -700
        return _add_gate(graph, z, graph.add("Sigmoid", z), floor, dtype)


class Mish(Activation):
    """`z * tanh(softplus(z))` (Misra 2019, eq. 1)."""

    variance_gain = 2.0

    def forward(self, xp, z):
        # tanh(log(1 + e)) = e (e + 2) / (e (e + 2) + 2), e = exp(z); from 20 on it is 1.
        e = xp.exp(xp.clip(z, None, 20))
        e *= e + 2
        e /= e + 2
        e *= z
        return e

    def differentiable(self, z):
        from torch.nn import functional

        return functional.mish(z)

    def backward(self, grad, saved, out):
        out.copy_(_aten().mish_backward(grad, saved))

    def add_to_graph(self, graph, z, dtype):
        e = graph.add("Exp", graph.add("Min", z, np.array(20, dtype)))
        two = np.array(2, dtype)
        e = graph.add("Mul", e, graph.add("Add", e, two))
        return graph.add("Mul", graph.add("Div", e, graph.add("Add", e, two)), z)


class Tanh(Activation):
    """`tanh(z)`."""

    saves = "output"

    def forward(self, xp, z):
        return in_place(xp, xp.tanh, z)

    def differentiable(self, z):
        return z.tanh()

    def in_place(self, z):
        return z.tanh_()

    def backward(self, grad, saved, out):
        _aten().tanh_backward.grad_input(grad, saved, grad_input=out)

    def add_to_graph(self, graph, z, dtype):
        return graph.add("Tanh", z)


class Logistic(Activation):
    """`1 / (1 + exp(-z))`."""

    saves = "output"

    def forward(self, xp, z):
        # The tanh form neither overflows nor warns.
        s = in_place(xp, xp.tanh, z * 0.5)
        s *= 0.5
        s += 0.5
        return s

    def differentiable(self, z):
        return z.sigmoid()

    def in_place(self, z):
        return z.sigmoid_()

    def backward(self, grad, saved, out):
        _aten().sigmoid_backward.grad_input(grad, saved, grad_input=out)

    def add_to_graph(self, graph, z, dtype):
        return graph.add("Sigmoid", z)


def _add_gate(graph, z, gate, floor, dtype):
    # Runtimes compute a sigmoid of 1e-8 for all inputs far below zero: times a large number it
    # would not vanish. With `floor` in place of z the product is below 3e-7.
    return graph.add("Mul", graph.add("Max", z, np.array(floor, dtype)), gate)


ACTIVATIONS = {
    "relu": ReLU(),
    "gelu": GELU(),
    "silu": SiLU(),
    "mish": Mish(),
    "tanh": Tanh(),
    "logistic": Logistic(),
}


def activation_of(value):
    """Return the Activation of a name, or the object itself."""
    return ACTIVATIONS[value] if isinstance(value, str) else value


def is_activation(value):
    """Whether a value is a known name or an Activation."""
    return isinstance(value, Activation) or (isinstance(value, str) and value in ACTIVATIONS)
