"""Prune what is already fitted."""

import copy

from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from .groups import Pruning


def prune(estimator, X, y, *, amount, sample_weight=None):
    """Remove hidden units, or weights, of a fitted estimator, and train on what is left.

    The details are those of the estimator's parameter `pruning`: see `Pruning`. Change them
    with `set_params` before, which leaves a fitted estimator as it is.

    Parameters
    ----------
    estimator : estimator
        A fitted estimator of skscale, or a fitted pipeline that ends in one.
    X : array-like, frame or sparse matrix of shape (n_samples, n_features)
        Rows to judge the importance by and to train on. A pipeline's first steps transform
        them; they are not fitted again.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Targets. A classifier's must have the classes that it knows.
    amount : float
        Fraction of the hidden units (or of the weights) to remove, 0 to below 1, of those
        that it has now.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Non-negative weights of the rows.

    Returns
    -------
    estimator
        A pruned copy, whose `pruning` has this amount. The estimator passed is not changed.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If it is none of skscale, nor a pipeline that ends in one.
    ValueError
        If `amount` or the rows are not what they should be.

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
    if not hasattr(type(estimator), "_prune"):
        is_search = hasattr(estimator, "best_estimator_")
        hint = " Pass its best_estimator_." if is_search else ""
        raise TypeError(
            "Expected a fitted estimator of skscale, or a pipeline that ends in one, got "
            f"{type(estimator).__name__}.{hint}"
        )
    if "pruning" not in estimator.get_params(deep=False):
        raise TypeError(
            f"The units of a module are not ours to remove: {type(estimator).__name__} cannot "
            "be pruned. Fit a narrower one, or let it teach one."
        )
    check_is_fitted(estimator)
    is_group = isinstance(estimator.pruning, Pruning)
    pruned = copy.deepcopy(estimator)
    pruned.set_params(**{"pruning__amount" if is_group else "pruning": amount})
    if not estimator.architecture_.widths and pruned._pruning.granularity == "neurons":
        # A linear model has no hidden units.
        pruned._validate_params()
        return pruned
    return pruned._prune(X, y, sample_weight)
