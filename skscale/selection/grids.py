"""Grids of scales for given data."""

import numpy as np
from scipy.sparse import issparse
from sklearn.base import clone, is_classifier
from sklearn.pipeline import Pipeline

from .._sklearn_private import _num_samples, _safe_indexing
from ..estimators.base import ScaledEstimator
from ..estimators.mlp import ScaledMLP
from ..networks.dense.architecture import DenseArchitecture
from ..scaling import hidden_widths

_NARROWEST = 4
# Parameters per row of the largest network. On letter and image data the score still improves
# beyond ten.
_PARAMETERS_PER_ROW = 30
_MAX_PARAMETERS = 250_000
_WIDEST = 1024
# Minimum ratio of the parameters of the largest network to those of the smallest.
_MIN_RATIO = 16
# Number of rows on which the network's inputs are counted.
_SAMPLE = 1000


def scale_grid(estimator, X, y, n_candidates=25):
    """Make a grid of depths and widths for given data.

    The grid holds the linear model and, for depths 1, 2 and 3, widths whose numbers of
    parameters grow geometrically, from 4 units in one layer to about 30 parameters per row.
    The largest network has at most 250,000 parameters and 1,024 units per layer, and at least
    16 times the parameters of the smallest.

    Parameters
    ----------
    estimator : estimator
        Estimator to search over: one of skscale, or a pipeline or other meta-estimator that
        contains one. The names in the grid get the prefix of its parameters.
    X : array-like of shape (n_samples, n_features), or the input of the pipeline's first step
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
    n_candidates : int, default=25
        Maximum number of candidates; duplicate widths are dropped.

    Returns
    -------
    list of dict
        A `param_grid` for GridSearchCV and HalvingGridSearchCV, or `param_distributions` for
        RandomizedSearchCV.

    Raises
    ------
    TypeError
        If the estimator contains no dense network of skscale.
    ValueError
        If `n_candidates` is less than 2.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skscale import ScaledMLPClassifier, scale_grid
    >>> model = make_pipeline(StandardScaler(), ScaledMLPClassifier())
    >>> X, y = load_digits(return_X_y=True)
    >>> for part in scale_grid(model, X, y, n_candidates=13):
    ...     print(part)
    {'scaledmlpclassifier__depth': [0]}
    {'scaledmlpclassifier__depth': [1], 'scaledmlpclassifier__width': [4, 23, 128, 720]}
    {'scaledmlpclassifier__depth': [2], 'scaledmlpclassifier__width': [4, 18, 64, 200]}
    {'scaledmlpclassifier__depth': [3], 'scaledmlpclassifier__width': [4, 16, 56, 144]}
    """
    if n_candidates < 2:
        raise ValueError(f"n_candidates must be at least 2, got {n_candidates}.")
    prefix, network = find_network(estimator, ScaledMLP)
    as_given = {}
    if network.phi:
        network = clone(network).set_params(phi=0)
        as_given = {f"{prefix}phi": [0]}  # depth and width alone set the scale
    count = _counter(estimator, X, y, prefix, network)
    smallest = count(1, _NARROWEST)
    largest = max(_most_parameters(X), _MIN_RATIO * smallest)
    n_depths = 1 if n_candidates < 4 else 2 if n_candidates < 7 else 3
    grid = [{f"{prefix}depth": [0], **as_given}]
    for depth in range(1, n_depths + 1):
        # The shallow depths get the remainder of the division.
        n_widths = (n_candidates - 1 + n_depths - depth) // n_depths
        most = min(largest, max(count(depth, _WIDEST), smallest))
        sizes = np.geomspace(smallest, most, n_widths) if n_widths > 1 else [most]
        widths = {_widest(lambda width, d=depth: count(d, width), size) for size in sizes}
        grid.append({f"{prefix}depth": [depth], f"{prefix}width": sorted(widths), **as_given})
    return grid


def widths_up_to_rows(estimator, X, y, narrowest):
    """Return widths that double, up to about 30 parameters per row: see `scale_grid`.

    Parameters
    ----------
    estimator, X, y
        As in `scale_grid`.
    narrowest : int

    Returns
    -------
    list of int
        At least three widths.
    """
    prefix, network = find_network(estimator, ScaledMLP)
    count = _counter(estimator, X, y, prefix, network)
    depth, largest = max(1, len(network._scale.widths)), _most_parameters(X)
    widths = [narrowest]
    while len(widths) < 3 or (
        2 * widths[-1] <= _WIDEST
        # The nearest width, on a logarithmic scale.
        and count(depth, 2 * widths[-1]) <= np.sqrt(2) * largest
    ):
        widths.append(2 * widths[-1])
    return widths


def _counter(estimator, X, y, prefix, network):
    """Return a function that counts the parameters of a depth and a width."""
    n_features = count_inputs(estimator, X, y, prefix, network)
    n_outputs = count_outputs(y, network)

    def count(depth, width):
        widths = hidden_widths(depth, width)
        return DenseArchitecture(n_features, widths, n_outputs).n_parameters

    return count


def _most_parameters(X):
    return min(_PARAMETERS_PER_ROW * _num_samples(X), _MAX_PARAMETERS)


def _widest(count, n_parameters):
    """Return the width with the nearest number of parameters; from 24 on a multiple of 8."""
    low, high = _NARROWEST, _NARROWEST
    while count(high) < n_parameters:
        high *= 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) <= n_parameters else (low, middle)
    width = low if n_parameters - count(low) <= count(high) - n_parameters else high
    # Processors are faster with multiples of 8.
    return width if width < 24 else 8 * round(width / 8)


def find_network(estimator, family=ScaledEstimator):
    """Find the prefix of the network's parameters, and the network.

    Raises
    ------
    TypeError
        If there is no network of this family.
    """
    candidates = [("", estimator)]
    is_estimator = hasattr(estimator, "get_params")
    if is_estimator:
        candidates += estimator.get_params(deep=True).items()
    found = [
        (name, value)
        for name, value in candidates
        if isinstance(value, ScaledEstimator) and "teacher" not in name.split("__")
    ]
    if not found:
        raise TypeError(
            "Expected an estimator of skscale, or one that contains such an estimator, got "
            f"{estimator if is_estimator else type(estimator)!r}. Pass one as the first "
            "argument."
        )
    name, network = min(found, key=lambda item: item[0].count("__") + bool(item[0]))
    if not isinstance(network, family):
        raise TypeError(
            "Expected dense networks, of ScaledMLPClassifier or ScaledMLPRegressor, got "
            f"{type(network).__name__}. Set up a grid over its phi, depth and width."
        )
    return f"{name}__" if name else "", network


def sample_before(estimator, X, y, prefix):
    """Transform a sample of rows by the pipeline steps before the network."""
    rows = _sampled_rows(X)
    sample = _safe_indexing(X, rows)
    steps = getattr(estimator, "steps", ())
    if isinstance(estimator, Pipeline) and len(steps) > 1 and prefix:
        before = clone(estimator[:-1])
        sample = before.fit_transform(sample, _safe_indexing(y, rows))
    return sample


def _sampled_rows(X):
    n = _num_samples(X)
    return np.unique(np.linspace(0, n - 1, min(n, _SAMPLE)).astype(int))


def count_inputs(estimator, X, y, prefix, network):
    """Count the inputs of the network, after the steps before it and its own encoding."""
    sample = sample_before(estimator, X, y, prefix)
    network = clone(network)
    inputs, numbers, is_complete = network._inputs.fit(sample, "", **network._reading)
    targets = _safe_indexing(y, _sampled_rows(X))
    targets = targets.toarray() if issparse(targets) else np.asarray(targets)
    if is_classifier(network) and targets.ndim == 1:
        targets = np.unique(targets, return_inverse=True)[1]
    rows, options = np.arange(numbers.shape[0]), network._encoding
    inputs = inputs.fit_encoding(
        numbers, is_complete, rows, None, np.float32, targets, **options
    )
    return inputs.n_inputs


def count_outputs(y, network):
    y = np.asarray(y) if not hasattr(y, "shape") else y
    if len(y.shape) == 2:
        return y.shape[1]
    n_classes = len(np.unique(y)) if is_classifier(network) else 1
    return 1 if n_classes == 2 else n_classes
