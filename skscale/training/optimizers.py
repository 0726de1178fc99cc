"""Optimizers: their hyperparameters, and one update of a stack, one class each.

`optimizer="sgd"` is the short form of `optimizer=SGD()`. Torch is imported by the updates.
"""

from abc import ABC, abstractmethod
from numbers import Real

from sklearn.base import BaseEstimator

from .._sklearn_private import Interval
from ..by_value import ByValue


class Optimizer(BaseEstimator, ByValue, ABC):
    """The update rule of a training.

    Its arithmetic is that of torch: the update calls a fused kernel of torch, for each group of
    members with one learning rate. Weight decay and L1 are decoupled for all optimizers
    (Loshchilov and Hutter 2019). Objects of one type with equal parameters are equal.

    Examples
    --------
    >>> import torch
    >>> from skscale import Optimizer, ScaledMLPRegressor
    >>> class GradientDescent(Optimizer):
    ...     def update(self, parameters, gradients, first, second, n_steps, rate, decay):
    ...         for weights, gradient in zip(parameters, gradients):
    ...             weights.sub_(rate * gradient)
    ...
    ...     def for_torch(self):
    ...         return torch.optim.SGD, {}
    >>> network = ScaledMLPRegressor(optimizer=GradientDescent(), max_epochs=2, random_state=0)
    >>> network.fit([[0.0], [1.0], [2.0]] * 10, [0.0, 1.0, 2.0] * 10).n_iter_
    2
    """

    _parameter_constraints = {}
    # Whether the kernel can apply decoupled weight decay itself, which saves a pass.
    decays_in_kernel = False

    @abstractmethod
    def update(self, parameters, gradients, first, second, n_steps, rate, weight_decay):
        """Update tensors in place, by one step.

        A tensor holds the parameters of several networks that train together, so the update of
        a number must not depend on the others.

        Parameters
        ----------
        parameters : list of tensors
        gradients : list of tensors
        first : list of tensors
            State, zero before the first step: mean of the gradients, or momentum.
        second : list of tensors
            State, zero before the first step: mean of the squares.
        n_steps : list of float32 tensors without dimensions
            Number of steps, this one included.
        rate : float or tensor without dimensions
            Learning rate.
        weight_decay : float
            Decoupled; 0 unless `decays_in_kernel`.

        Returns
        -------
        None
        """

    @abstractmethod
    def for_torch(self):
        """Return the class of torch.optim and its arguments, for a training by skorch.

        Returns
        -------
        type
        dict
        """


class AdamW(Optimizer):
    """Adam with decoupled weight decay.

    Parameters
    ----------
    beta1 : float, default=0.9
        Decay rate of the mean of the gradients.
    beta2 : float, default=0.95
        Decay rate of the mean of their squares. 0.95 averages over fewer steps than the usual
        0.999, as for few epochs (Holzmueller et al. 2024, table A.1).
    eps : float, default=1e-8
        Added to the root of the mean square.

    References
    ----------
    Kingma, Ba (2015). Adam: a method for stochastic optimization. ICLR, algorithm 1.

    Loshchilov, Hutter (2019). Decoupled weight decay regularization. ICLR, algorithm 2.

    Examples
    --------
    >>> from skscale import AdamW, ScaledMLPClassifier
    >>> ScaledMLPClassifier(optimizer=AdamW(beta2=0.999)).optimizer
    AdamW(beta2=0.999)
    """

    _parameter_constraints = {
        "beta1": [Interval(Real, 0, 1, closed="left")],
        "beta2": [Interval(Real, 0, 1, closed="left")],
        "eps": [Interval(Real, 0, None, closed="neither")],
    }

    decays_in_kernel = True

    def __init__(self, beta1=0.9, beta2=0.95, eps=1e-8):
        self.beta1 = beta1
        self.beta2 = beta2
        self.eps = eps

    def update(self, parameters, gradients, first, second, n_steps, rate, weight_decay):
        import torch

        torch._fused_adamw_(
            parameters, gradients, first, second, [], n_steps,
            lr=rate, beta1=self.beta1, beta2=self.beta2, weight_decay=weight_decay,
            eps=self.eps, amsgrad=False, maximize=False,
        )  # fmt: skip

    def for_torch(self):
        import torch

        return torch.optim.AdamW, {"betas": (self.beta1, self.beta2), "eps": self.eps}


class SGD(Optimizer):
    """Stochastic gradient descent with momentum.

    The best `learning_rate` depends more on the data than with AdamW: 1 on digits, 0.1 on
    Friedman 1, where 0.3 diverges (dense networks of width 64, 30 epochs). AdamW was more
    accurate on both: .959 and .929, R2 .951 and .918.

    Parameters
    ----------
    momentum : float, default=0.9
        Factor of the earlier updates. 0 is plain gradient descent.
    nesterov : bool, default=True
        Whether to look ahead by the momentum. Without effect if `momentum` is 0.

    References
    ----------
    Sutskever, Martens, Dahl, Hinton (2013). On the importance of initialization and momentum
    in deep learning. ICML, section 2.

    Loshchilov, Hutter (2019). Decoupled weight decay regularization. ICLR, algorithm 1.

    Examples
    --------
    >>> from skscale import SGD, ScaledMLPClassifier
    >>> ScaledMLPClassifier(optimizer=SGD(nesterov=False), learning_rate=1.0).optimizer
    SGD(nesterov=False)
    """

    _parameter_constraints = {
        "momentum": [Interval(Real, 0, 1, closed="left")],
        "nesterov": ["boolean"],
    }

    def __init__(self, momentum=0.9, nesterov=True):
        self.momentum = momentum
        self.nesterov = nesterov

    def update(self, parameters, gradients, first, second, n_steps, rate, weight_decay):
        import torch

        # A state of zeros makes the first step like all others.
        torch._fused_sgd_(
            parameters, gradients, first if self.momentum else [],
            weight_decay=0.0, momentum=self.momentum, lr=rate, dampening=0.0,
            nesterov=bool(self.nesterov and self.momentum), maximize=False, is_first_step=False,
        )  # fmt: skip

    def for_torch(self):
        import torch

        nesterov = bool(self.nesterov and self.momentum)
        return torch.optim.SGD, {"momentum": self.momentum, "nesterov": nesterov}


OPTIMIZERS = {"adamw": AdamW(), "sgd": SGD()}


def optimizer_of(value):
    """Return the Optimizer of a name, or the object itself."""
    return OPTIMIZERS[value] if isinstance(value, str) else value
