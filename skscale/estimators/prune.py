"""Pruning of fitted estimators."""

import copy

from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from ..compression.groups import Pruning
from . import fitting
from .base import ScaledEstimator


def prune(estimator, X, y, *, amount, sample_weight=None):
    """Prune a fitted estimator and fine-tune the smaller network.

    Details come from the estimator's parameter `pruning`: see `Pruning`. To change them, call
    `set_params` first, which leaves the fitted network unchanged.

    Parameters
    ----------
    estimator : estimator
        A fitted estimator of skscale, or a fitted pipeline that ends in one.
    X : array-like, frame or sparse matrix of shape (n_samples, n_features)
        Rows for the importance criterion and for fine-tuning. The earlier steps of a pipeline
        transform them and are not fitted again.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Targets. For a classifier: all classes it was fitted with, and no others.
    amount : float
        Fraction of the current hidden units (or weights) to remove, 0 to below 1.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Non-negative sample weights.

    Returns
    -------
    estimator
        A pruned copy, whose `pruning` has this amount. The input estimator is not changed.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If it is not a prunable estimator of skscale, or a pipeline that ends in one.
    ValueError
        If `amount` or the rows are invalid.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skscale import ScaledMLPClassifier, prune
    >>> X, y = load_digits(return_X_y=True)
    >>> network = ScaledMLPClassifier(random_state=0).fit(X[:1200], y[:1200])
    >>> smaller = prune(network, X[:1200], y[:1200], amount=0.75)
    >>> network.complexity_.widths, smaller.complexity_.widths
    ((128, 128), (32, 32))
    >>> bool(smaller.score(X[1200:], y[1200:]) > 0.9)
    True
    """
    if isinstance(estimator, Pipeline):
        check_is_fitted(estimator)
        pruned = copy.copy(estimator)
        inner = estimator.steps[-1][1]
        if len(estimator.steps) > 1:
            X = estimator[:-1].transform(X)
        smaller = prune(inner, X, y, amount=amount, sample_weight=sample_weight)
        pruned.steps = [*copy.deepcopy(estimator.steps[:-1]), (estimator.steps[-1][0], smaller)]
        return pruned
    if not isinstance(estimator, ScaledEstimator):
        is_search = hasattr(estimator, "best_estimator_")
        hint = " Pass its best_estimator_." if is_search else ""
        raise TypeError(
            "Expected a fitted estimator of skscale, or a pipeline that ends in one, got "
            f"{type(estimator).__name__}.{hint}"
        )
    if "pruning" not in estimator.get_params(deep=False):
        raise TypeError(
            f"{type(estimator).__name__} cannot be pruned, because skscale cannot remove units "
            "from a custom module. Fit a narrower module, or distill this one: pass it as "
            "teacher of a narrower estimator."
        )
    check_is_fitted(estimator)
    is_group = isinstance(estimator.pruning, Pruning)
    pruned = copy.deepcopy(estimator)
    pruned.set_params(**{"pruning__amount" if is_group else "pruning": amount})
    if not estimator.architecture_.widths and pruned._pruning.granularity == "neurons":
        # A linear model has no hidden units.
        pruned._validate_params()
        return pruned
    return fitting.prune(pruned, X, y, sample_weight)
