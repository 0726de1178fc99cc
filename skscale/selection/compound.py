"""Coefficients of compound scaling, fitted to given data."""

from dataclasses import dataclass, field
from math import ceil, floor

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.model_selection import check_cv

from ..costs.scoring import score_together
from ..estimators.mlp import ScaledMLP
from ..networks.dense.architecture import DenseArchitecture
from .comparison import Comparisons
from .grids import count_inputs, count_outputs, find_network, sample_before

# Target ratio of the multiply-accumulates (MACs) to those at phi = 0; its relative tolerance.
_TIMES, _TOLERANCE = 2.0, 0.1
# Resolution coefficients to try. The depth coefficients follow from the numbers of layers; the
# width coefficient follows from the remaining MACs.
_RESOLUTIONS = (1.0, 1.15, 1.3, 1.5, 2.0)
_WIDEST, _DEEPEST = 4.0, 4


@dataclass(frozen=True)
class CompoundCoefficients:
    """Result of `fit_compound_coefficients`.

    Attributes
    ----------
    depth, width, resolution : float
        Coefficients of the candidate with the best mean score.
    params : dict
        The same coefficients as parameters for the estimator's `set_params`.
    table : dict of str to ndarray
        A row for each network, the base (phi = 0) first: "phi", the coefficients, "depth",
        "width", "resolution" (as built), "n_parameters", "n_macs" (measured),
        "macs_ratio" (to the base), "score" (mean over the folds), "difference" (to the base,
        paired by fold) and its "standard_error" (see `compare`). `pandas.DataFrame` accepts it.
    """

    depth: float
    width: float
    resolution: float
    params: dict = field(repr=False)
    table: dict = field(repr=False)

    def __str__(self):
        lines = [
            f"phi_coefficients=({self.depth:g}, {self.width:g}, {self.resolution:g})",
            "",
            f"{'':6}{'depth':>16}{'width':>20}{'resolution':>18}{'MACs':>7}{'score':>9}  "
            f"{'difference':>20}",
        ]
        columns = self.table
        for k in range(len(columns["phi"])):
            row = {name: column[k] for name, column in columns.items()}
            scales = [
                f"{row[name]} ({row[f'phi_{name}']:.4g})" if row["phi"] else f"{row[name]}"
                for name in ("depth", "width", "resolution")
            ]
            difference = f"{row['difference']:+.4f} (+- {row['standard_error']:.4f})"
            lines.append(
                f"{'scaled' if row['phi'] else 'base':6}{scales[0]:>16}{scales[1]:>20}"
                f"{scales[2]:>18}{row['macs_ratio']:6.2f}x{row['score']:9.4f}  "
                f"{difference if row['phi'] else '':>20}".rstrip()
            )
        return "\n".join(lines)


def fit_compound_coefficients(
    estimator, X, y, *, scoring=None, cv=5, groups=None, params=None, random_state=0
):
    """Fit the coefficients that share more computation among depth, width and resolution.

    This follows Tan and Le (2019, section 3.3, step 1). The candidates have `phi` = 1 and
    twice the multiply-accumulates of the given network (measured, within 10 %). The best one
    gives the coefficients. Candidates cover all depths within this budget, with a few
    coefficients of `resolution` where it is a number other than 0; the width uses the rest of
    the budget. All networks train together, on the same folds.

    Parameters
    ----------
    estimator : estimator
        An estimator of skscale, or a pipeline or other meta-estimator that contains one.
        Its `phi` is set to 0. The network should be so small that a larger one is better.
    X : array-like of shape (n_samples, n_features)
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
    scoring : str, callable or None, default=None
        Metric, more is better; None uses the estimator's `score`.
    cv : int or splitter, default=5
        Cross-validation folds.
    groups : array-like of shape (n_samples,) or None, default=None
        Groups of the rows, passed to the splitter.
    params : dict or None, default=None
        Parameters of `fit` and of the scoring, such as `sample_weight`, as in
        `cross_validate`.
    random_state : int, default=0
        Seed of the networks. They share it, and so their batches.

    Returns
    -------
    CompoundCoefficients
        `print` shows the table; `estimator.set_params(**found.params)` applies the
        coefficients.

    Raises
    ------
    TypeError
        If the estimator contains no network of skscale.
    ValueError
        If no network has twice the multiply-accumulates, as for a linear model.

    References
    ----------
    Tan, Le (2019). EfficientNet: rethinking model scaling for convolutional neural networks.
    ICML.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skscale import ScaledMLPClassifier, fit_compound_coefficients
    >>> X, y = load_digits(return_X_y=True)
    >>> network = ScaledMLPClassifier(depth=1, width=16, max_epochs=5)
    >>> found = fit_compound_coefficients(network, X[:500], y[:500], cv=2)
    >>> list(zip(found.table["depth"].tolist(), found.table["width"].tolist()))
    [(1, 16), (1, 32), (2, 24), (3, 21), (4, 18)]
    >>> larger = network.set_params(**found.params, phi=1)
    """
    estimator = clone(estimator)
    prefix, network = find_network(estimator)
    estimator.set_params(**{f"{prefix}phi": 0, f"{prefix}random_state": random_state})
    prefix, network = find_network(estimator)
    counter = _Counter(X, y, estimator, prefix, network)
    candidates = [(0, 1.0, 1.0, 1.0)] + [(1, *c) for c in _candidates(counter, network)]
    grid = [
        {f"{prefix}phi": [phi], f"{prefix}phi_coefficients": [tuple(coefficients)]}
        for phi, *coefficients in candidates
    ]
    splits = list(check_cv(cv, y, classifier=is_classifier(estimator)).split(X, y, groups))
    costs = ["n_parameters", "n_macs"]
    results = score_together(
        estimator, grid, X, y, scoring=scoring, costs=costs, splits=splits, params=params
    )
    folds = np.column_stack([results[f"split{k}_test_score"] for k in range(len(splits))])
    n_train, n_test = zip(*((len(a), len(b)) for a, b in splits), strict=True)
    comparisons = Comparisons(folds, n_test_rows=n_test, n_train_rows=n_train)
    names = ("phi", "phi_depth", "phi_width", "phi_resolution")  # columns of the table
    macs = results["mean_test_n_macs"]
    scales = zip(*(counter.scale(*candidate) for candidate in candidates), strict=True)
    table = {
        **dict(zip(names, np.array(candidates).T.copy(), strict=True)),
        **dict(zip(("depth", "width", "resolution"), map(np.array, scales), strict=True)),
        "n_parameters": results["mean_test_n_parameters"],
        "n_macs": macs,
        "macs_ratio": macs / macs[0],
        "score": folds.mean(1),
        "difference": comparisons.mean - comparisons.mean[0],
        "standard_error": comparisons.errors_to(0),
    }
    # Check the measured ratios: the candidates were counted on a sample, and the number of
    # categories differs by fold.
    is_near = np.abs(table["macs_ratio"] / _TIMES - 1) <= _TOLERANCE
    if not is_near.any():
        raise ValueError(_no_scale_message(network))
    best = np.flatnonzero(is_near)[table["score"][is_near].argmax()]
    found = tuple(map(float, candidates[best][1:]))
    return CompoundCoefficients(*found, {f"{prefix}phi_coefficients": found}, table)


class _Counter:
    """Scale and MACs of networks that are not fitted.

    Parameters
    ----------
    X, y, estimator, prefix, network
        As in `fit_compound_coefficients`, and the result of `find_network`.
    """

    def __init__(self, X, y, estimator, prefix, network):
        self.network = network
        self.n_outputs = count_outputs(y, network)
        self.is_dense = isinstance(network, ScaledMLP)
        self._known, self._inputs = {}, None
        if self.is_dense:
            self._count_inputs = lambda at: count_inputs(estimator, X, y, prefix, at)
        else:
            sample = sample_before(estimator, X, y, prefix)
            self._inputs, *_ = network._inputs.fit(sample, "", **network._reading)

    def _at(self, phi, of_depth=1.0, of_width=1.0, of_resolution=1.0):
        coefficients = (of_depth, of_width, of_resolution)
        return clone(self.network).set_params(phi=phi, phi_coefficients=coefficients)

    def scale(self, phi, *coefficients):
        """Return depth, width and resolution."""
        return self._at(phi, *coefficients)._scale_numbers(self._inputs)

    def macs(self, phi, *coefficients):
        """Return the multiply-accumulates per row."""
        at = self._at(phi, *coefficients)
        if not self.is_dense:
            return at._build_architecture(self._inputs, self.n_outputs, None).n_macs
        # Cached for each resolution, because counting needs a pass over the rows.
        resolution = at._scale.resolution
        if resolution not in self._known:
            self._known[resolution] = self._count_inputs(at)
        widths = at._scale.widths
        return DenseArchitecture(self._known[resolution], widths, self.n_outputs).n_macs


def _candidates(counter, network):
    """Return coefficients (depth, width, resolution) that about double the base's MACs."""
    depth = counter.scale(0)[0]
    if depth == 0:
        raise ValueError(_no_scale_message(network))
    target = _TIMES * counter.macs(0)
    resolutions = {0: 1.0}
    if network.resolution != "auto":
        resolutions = {counter.scale(1, 1.0, 1.0, c)[2]: c for c in reversed(_RESOLUTIONS)}
    found = []
    for of_resolution in sorted(resolutions.values()):
        # The depth of a network without this parameter is fixed.
        for layers in [1] if depth is None else range(depth, _DEEPEST * depth + 1):
            # Rounded down; scaling rounds it up again to this number of layers.
            of_depth = 1.0 if depth is None else floor(layers / depth * 1e4) / 1e4

            def macs(of_width, of_depth=of_depth, of_resolution=of_resolution):
                return counter.macs(1, of_depth, of_width, of_resolution)

            if macs(1.0) > target * (1 + _TOLERANCE):
                break
            low, high = 1.0, _WIDEST
            for _ in range(20):
                middle = (low + high) / 2
                low, high = (middle, high) if macs(middle) < target else (low, middle)
            # Rounded outwards: widths are integers, and a step lies between low and high.
            near = (floor(low * 1e4) / 1e4, ceil(high * 1e4) / 1e4)
            distance, of_width = min((abs(macs(w) - target), w) for w in near)
            if distance <= _TOLERANCE * target:
                found.append((of_depth, of_width, of_resolution))
    if not found:
        raise ValueError(_no_scale_message(network))
    return found


def _no_scale_message(network):
    return (
        "Expected a network that can be scaled to twice its multiply-accumulates (to 10 %), "
        f"got depth={network.depth}, width={network.width}. Pass one with hidden layers and "
        "more units."
    )
