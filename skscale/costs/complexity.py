"""Numbers of parameters and multiply-accumulates of a fitted network."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np


class Complexity(NamedTuple):
    """Size of a fitted network.

    Attributes
    ----------
    n_parameters : int
        Stored weights and biases, zeros included.
    n_nonzero : int
        Weights and biases that are not zero.
    n_macs : int
        Multiply-accumulates of the matrix products, per row.
    depth : int or None
        Number of hidden layers; of a convolutional network, of its blocks. The layers of a
        user-defined module are not counted, since a transformer, say, has several products in
        what its author counts as one layer: its depth is its argument `depth`, or None if it
        has no such argument.
    widths : tuple of int or None
        Units of each hidden layer, or channels inside each block; None for a user-defined
        module.
    """

    n_parameters: int
    n_nonzero: int
    n_macs: int
    depth: int | None
    widths: tuple | None


class HasCosts(ABC):
    """Interface of the estimators whose costs are known: those of skscale.

    Attributes
    ----------
    fit_time_ : float
        Seconds of training.
    peak_device_bytes_ : int or None
        Peak GPU memory of training; None on a CPU.
    """

    fit_time_: float
    peak_device_bytes_: int | None

    @property
    @abstractmethod
    def complexity_(self):
        """Complexity: parameters and multiply-accumulates of all networks."""

    @abstractmethod
    def __sklearn_is_fitted__(self):
        """Return whether the attributes are set."""


def count(coefs, intercepts):
    """Count the parameters and multiply-accumulates of a dense network.

    Parameters
    ----------
    coefs : list of ndarray of shape (n_inputs, n_outputs)
    intercepts : list of ndarray of shape (n_outputs,)

    Returns
    -------
    Complexity

    Examples
    --------
    >>> import numpy as np
    >>> count([np.ones((4, 8)), np.eye(8, 3)], [np.ones(8), np.ones(3)])
    Complexity(n_parameters=67, n_nonzero=46, n_macs=56, depth=1, widths=(8,))
    """
    arrays = [*coefs, *intercepts]
    return Complexity(
        n_parameters=sum(a.size for a in arrays),
        n_nonzero=sum(int(np.count_nonzero(a)) for a in arrays),
        n_macs=sum(c.size for c in coefs),
        depth=len(coefs) - 1,
        widths=tuple(c.shape[-1] for c in coefs[:-1]),
    )


def complexity(estimator):
    """Count the parameters and multiply-accumulates of a fitted estimator's network.

    Parameters
    ----------
    estimator : estimator
        A fitted estimator of skscale, a pipeline that ends in one, or a search (any object
        with `best_estimator_`) over one of these.

    Returns
    -------
    Complexity

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If it contains no network of skscale.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skscale import ScaledMLPClassifier, complexity
    >>> X, y = load_iris(return_X_y=True)
    >>> network = ScaledMLPClassifier(depth=1, width=8, random_state=0)
    >>> complexity(make_pipeline(StandardScaler(), network).fit(X, y)).n_parameters
    67
    """
    return fitted_network(estimator).complexity_


def fitted_network(estimator):
    """Return the network in a pipeline or search.

    Parameters
    ----------
    estimator : estimator
        See `complexity`.

    Returns
    -------
    estimator
        A fitted estimator of skscale.

    Raises
    ------
    NotFittedError
        If it is not fitted.
    TypeError
        If there is none.
    """
    # Imported here, because counting a network needs only NumPy.
    from sklearn.pipeline import Pipeline
    from sklearn.utils.validation import check_is_fitted

    inner = estimator
    while True:
        if isinstance(inner, Pipeline):
            inner = inner.steps[-1][1]
        elif hasattr(inner, "best_estimator_"):
            inner = inner.best_estimator_
        else:
            break
    if not isinstance(inner, HasCosts):
        raise TypeError(
            "Expected a fitted estimator of skscale, or a pipeline or search that ends in "
            f"one, got {type(estimator).__name__}"
            + (f" holding {type(inner).__name__}." if inner is not estimator else ".")
        )
    check_is_fitted(inner)
    return inner
