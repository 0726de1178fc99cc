"""Importance criteria for the hidden units and the weights of trained networks, one class each.

A criterion of your own is a subclass of `Importance`, passed as an object:
`Pruning(importance=Fisher())`. Torch is imported by the passes over training rows.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
from sklearn.base import BaseEstimator

from ..by_value import ByValue
from ..networks.unit_selection import square_sums


class HiddenLayer(NamedTuple):
    """Units of a hidden layer: of a dense network, or channels inside a block.

    Attributes
    ----------
    activations : tensor of shape (n_members, n_rows, n_units, n_positions) or None
        On training rows, with one position in a dense network, and those of the feature map
        in a convolutional one. None if the criterion needs no rows.
    gradients : tensor of the same shape or None
        Gradients of the loss with respect to the activations, sample weights included. None
        unless the criterion needs them.
    incoming : ndarray of shape (n_units, ...) or None
        Weights that compute each unit. None if the criterion needs rows.
    outgoing : ndarray of shape (n_units, ...) or None
        Weights that read each unit. None if the criterion needs rows.
    """

    activations: object = None
    gradients: object = None
    incoming: np.ndarray | None = None
    outgoing: np.ndarray | None = None


class WeightLayer(NamedTuple):
    """Weights of a layer of one network.

    Attributes
    ----------
    weights : float64 ndarray
        Of shape (n_inputs, n_outputs) in a dense network, and as in torch in a convolutional
        one.
    gradients : float64 ndarray of the same shape or None
        Sum of the gradients of the loss over training rows. None unless the criterion needs
        them.
    input_norms : float64 ndarray of shape (n_inputs, 1) or None
        Norm of each input over training rows. None unless the criterion needs activations.
    """

    weights: np.ndarray
    gradients: np.ndarray | None = None
    input_norms: np.ndarray | None = None


class Importance(BaseEstimator, ByValue, ABC):
    """An importance criterion for pruning: the least important units or weights are removed.

    A subclass defines `of_units`, and `of_weights` for `granularity="weights"`. Parameters of
    its constructor are hyperparameters (`pruning__importance__name` in a grid). Objects of one
    type with equal parameters are equal.

    Attributes
    ----------
    needs_activations : bool, default=False
        Whether it needs the activations of units on training rows; for weights, the norms of
        their inputs, which only dense networks have.
    needs_gradients : bool, default=False
        Whether it needs the gradients of the loss on training rows. The activations of units
        come with them.

    Examples
    --------
    >>> from skscale import Importance, Pruning, ScaledMLPRegressor
    >>> class Fisher(Importance):
    ...     '''Mean square of the first-order change of the loss.'''
    ...
    ...     needs_gradients = True
    ...
    ...     def of_units(self, layers):
    ...         changes = [(h.activations * h.gradients).sum(-1) for h in layers]
    ...         return sum(changes).square()
    ...
    ...     def of_weights(self, layer):
    ...         return (layer.weights * layer.gradients) ** 2
    >>> pruning = Pruning(0.5, importance=Fisher(), finetune_epochs=1)
    >>> network = ScaledMLPRegressor(width=8, pruning=pruning, max_epochs=2, random_state=0)
    >>> network.fit([[0.0], [1.0], [2.0]] * 10, [0.0, 1.0, 2.0] * 10).complexity_.widths
    (4, 4)
    """

    needs_activations = False
    needs_gradients = False

    @abstractmethod
    def of_units(self, layers):
        """Return the importance of hidden units.

        Parameters
        ----------
        layers : list of HiddenLayer
            The layers that share these units: one, or several with residual connections.

        Returns
        -------
        tensor of shape (n_members, n_rows, n_units), or ndarray of shape (n_units,)
            A tensor if the criterion needs rows: non-negative terms, whose mean over the rows
            is the importance. They are multiplied by the sample weights, unless the criterion
            needs gradients, which include them. Otherwise the importance, as an array.
        """

    def of_weights(self, layer):
        """Return the importance of single weights.

        Parameters
        ----------
        layer : WeightLayer

        Returns
        -------
        float64 ndarray of the shape of `layer.weights`
            Non-negative.

        Raises
        ------
        ValueError
            If the criterion does not define it.
        """
        raise ValueError(
            f"importance={self!r} defines no importance of single weights, and "
            'granularity="weights" needs one. Define its of_weights(layer), or set '
            'granularity="neurons".'
        )

    @property
    def needs_rows(self):
        """bool: whether it needs training rows."""
        return self.needs_activations or self.needs_gradients

    @property
    def has_weights(self):
        """bool: whether the importance of single weights is defined."""
        return type(self).of_weights is not Importance.of_weights


class Taylor(Importance):
    """First-order change of the loss if a unit or a weight is removed.

    With `h` a unit's activation, `w` a weight and `L` the loss of a row: `|h dL/dh|` as a mean
    over rows, and `|w dL/dw|`. Layers that share a unit, and positions of a feature map, are
    summed before the absolute value is taken.

    References
    ----------
    Molchanov, Tyree, Karras, Aila, Kautz (2017). Pruning convolutional neural networks for
    resource efficient inference. ICLR, eq. 8.

    Molchanov, Mallya, Tyree, Frosio, Kautz (2019). Importance estimation for neural network
    pruning. CVPR, eq. 5, without the square.
    """

    needs_gradients = True

    def of_units(self, layers):
        return sum((h.activations * h.gradients).sum(-1) for h in layers).abs()

    def of_weights(self, layer):
        return np.abs(layer.weights * layer.gradients)


class Activity(Importance):
    """Size of the activations: the mean of `|h|`, and `|w|` times the norm of its input.

    Over the positions of a feature map it is the mean.

    References
    ----------
    Molchanov, Tyree, Karras, Aila, Kautz (2017). Pruning convolutional neural networks for
    resource efficient inference. ICLR, section 2.2.

    Sun, Liu, Bair, Kolter (2024). A simple and effective pruning approach for large language
    models. ICLR, eq. 1.
    """

    needs_activations = True

    def of_units(self, layers):
        return sum(h.activations.abs().mean(-1) for h in layers)

    def of_weights(self, layer):
        return np.abs(layer.weights) * layer.input_norms


class Magnitude(Importance):
    """Size of the weights, which needs no rows.

    The norm of a unit's incoming weights times the norm of its outgoing weights; layers that
    share a unit are summed as squares. Of a weight, `|w|`.

    References
    ----------
    Han, Pool, Tran, Dally (2015). Learning both weights and connections for efficient neural
    networks. NeurIPS.
    """

    def of_units(self, layers):
        incoming = sum(square_sums(layer.incoming, 0) for layer in layers)
        outgoing = sum(square_sums(layer.outgoing, 0) for layer in layers)
        return np.sqrt(incoming * outgoing)

    def of_weights(self, layer):
        return np.abs(layer.weights)


IMPORTANCES = {"taylor": Taylor(), "activation": Activity(), "magnitude": Magnitude()}


def importance_of(value):
    """Return the Importance of a name, or the object itself."""
    return IMPORTANCES[value] if isinstance(value, str) else value
