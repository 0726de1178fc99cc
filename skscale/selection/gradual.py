"""Search from small to large scales, each network grown from the previous one."""

import copy
import threading
from collections.abc import Mapping
from dataclasses import replace
from numbers import Integral, Real

import joblib
import numpy as np
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.metrics import check_scoring
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import get_routing_for_object

from ..costs.scoring import Caller, CostScoring, accepts_weights, cost_scoring
from ..estimators.cnn import ScaledCNN
from ..estimators.mlp import ScaledMLP
from ..estimators.targets import refuse_mixed_labels
from ..networks.weights import Weights
from ..training.random import draw_seed, initial_stream
from ._search_private import BaseSearchCV
from .grids import find_network, widths_up_to_rows
from .rules import Rule, SmallestWithin

_NARROWEST = 8
# Separates the seeds of the perturbation from those of the members.
_PERTURBED = 1 << 60


class _FittedScales:
    """Cache of the estimator of the largest scale fitted so far, for each set of rows.

    All clones of a `_Grown` share it. In another process it starts empty, and the scales are
    fitted from the smallest on.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._fitted = {}
        self.is_over = False  # true after the search: the refit starts from scratch

    def __deepcopy__(self, memo):
        return self

    def __reduce__(self):
        return type(self), ()

    def take(self, key, index):
        """Return the (index, estimator) to grow, or (-1, None) if there is none."""
        with self._lock:
            found = self._fitted.get(key, (-1, None))
        return found if found[0] < index else (-1, None)

    def put(self, key, index, estimator):
        with self._lock:
            self._fitted[key] = (index, estimator)


class _Grown(BaseEstimator):
    """Estimator of one scale: fitted at the smallest, then grown from scale to scale."""

    def __init__(self, estimator, scales, shrink_factor, fitted_scales, index=None):
        self.estimator = estimator
        self.scales = scales
        self.shrink_factor = shrink_factor
        self.fitted_scales = fitted_scales
        self.index = index

    def set_params(self, **scale):
        """Set the scale by the parameters of the estimator."""
        self.index = self.scales.index(scale)
        return self

    def fit(self, X, y=None, **params):
        """Fit the scales up to this one."""
        prefix, network = find_network(self.estimator)
        # A user-defined module is trained from scratch at each scale.
        grows = isinstance(network, (ScaledMLP, ScaledCNN)) and not self.fitted_scales.is_over
        key = joblib.hash((_with_mask(X), y, params)) if grows else None
        start, fitted = self.fitted_scales.take(key, self.index)
        for index in range(start + 1 if grows else self.index, self.index + 1):
            if fitted is None or not grows:
                fitted = clone(self.estimator)
            else:
                fitted = copy.deepcopy(fitted).set_params(**{f"{prefix}warm_start": True})
                _shrink_and_perturb(find_network(fitted)[1], self.shrink_factor)
            fitted.set_params(**self.scales[index]).fit(X, y, **params)
            fitted.set_params(**{f"{prefix}warm_start": network.warm_start})
        if grows:
            self.fitted_scales.put(key, self.index, fitted)
        self.fitted_ = fitted
        return self

    def __sklearn_is_fitted__(self):
        return hasattr(self, "fitted_")

    def __sklearn_tags__(self):
        return get_tags(self.estimator)

    def get_metadata_routing(self):
        """Return the routing of the estimator."""
        return get_routing_for_object(self.estimator)


def _with_mask(X):
    # joblib.hash ignores masks.
    return (X.data, X.mask) if isinstance(X, np.ma.MaskedArray) else X


def _shrink_and_perturb(network, shrink_factor):
    """Mix the weights of a fitted network with new initial ones.

    Ash and Adams (2020), "On warm-starting neural network training", section 4.
    """
    predictor = vars(network).get("predictor_")
    if shrink_factor == 1 or predictor is None:  # a clone of it was fitted
        return
    fitted, seed = predictor.network, draw_seed(network.random_state)
    architecture, mixed = fitted.architecture, []
    for member, own in enumerate(fitted.weights.members):
        stream = initial_stream((seed, _PERTURBED + member))
        drawn = architecture.family.draw(architecture, stream, own.dtype)
        coefs, intercepts = (
            # Pruned weights stay pruned.
            [shrink_factor * a + (1 - shrink_factor) * new.astype(a.dtype) * (a != 0)
             for a, new in zip(*parts, strict=True)]
            for parts in zip(own.parts[:2], drawn.parts[:2], strict=True)
        )  # fmt: skip
        mixed.append(Weights(coefs, intercepts, own.buffers))
    perturbed = replace(fitted, weights=Weights.stack(mixed))
    network.predictor_ = replace(predictor, network=perturbed)


class _OfFitted:
    """Scorer of a `_Grown`: applies a scorer to its fitted estimator."""

    def __init__(self, scorer):
        self.scorer = scorer

    def __call__(self, grown, X, y=None, **params):
        if isinstance(self.scorer, CostScoring):
            return self.scorer.score_for(Caller.find(), grown.fitted_, X, y, **params)
        return self.scorer(grown.fitted_, X, y, **params)

    def _accept_sample_weight(self):
        return accepts_weights(self.scorer)

    def get_metadata_routing(self):
        """Return the routing of the scorer."""
        return get_routing_for_object(self.scorer)


class GradualScaleSearchCV(BaseSearchCV):
    """Search from small to large scales that stops when larger ones no longer pay.

    The networks of a scale (one per fold, trained together) start from those of the scale
    below, grown (Chen et al. 2016, "Net2Net") and shrunk towards new initial weights (Ash and
    Adams 2020), because warm-started training alone generalizes worse. The search ends when
    its rule no longer chooses the newest scale. Other steps of a pipeline are fitted at each
    scale. User-defined modules and meta-estimators that train clones, such as
    TransformedTargetRegressor, are trained from scratch at each scale.

    Parameters
    ----------
    estimator : estimator
        An estimator of skscale, or a pipeline or other meta-estimator that contains one.
    scales : list of dict, dict of str to list, or None, default=None
        Parameters of each scale, the smallest first. In a dict of lists, the i-th values make
        the i-th scale. None doubles the width: for dense networks from 8 to about 30
        parameters per row (at most 250,000 parameters and 1,024 units), for convolutional
        ones from 8 to four times the estimator's width.
    shrink_factor : float, default=0.3
        Factor of the weights of the scale below, 0 to 1 (lambda of Ash and Adams 2020); the
        rest is new initial weights. With 1 a grown network computes the same function. Mean
        score over widths 16 to 128 (two splits, five folds) with 1, 0.5, 0.3 and 0: churn
        .903, .906, .911, .919; california .764, .767, .768, .766; casp .450, .455, .453,
        .449; letter .890, .894, .897, .897.
    scoring : str, callable, list, tuple, dict or None, default=None
        As in scikit-learn, or `cost_scoring`. If `refit` is a rule, the number of parameters
        is added to a single score.
    n_jobs : int or None, default=None
        None trains the networks of a scale as a stack in this process. An int has the meaning
        of scikit-learn; each process then starts from the smallest scale.
    refit : bool, str or callable, default=SmallestWithin()
        Rule that chooses a candidate and ends the search: see `SmallestWithin`. True chooses
        the best mean score, a str the best mean of the score of that name. As in scikit-learn,
        the chosen estimator is then fitted on all rows, from scratch. False fits none.
    patience : int, default=3
        Number of successive scales not chosen by the rule after which the search ends.
    cv : int, splitter, iterable or None, default=None
        As in scikit-learn.
    verbose : int, default=0
    error_score : "raise" or number, default=nan
    return_train_score : bool, default=False

    Attributes
    ----------
    cv_results_ : dict of str to ndarray
        As in GridSearchCV, with a row for each fitted scale; `fit_time` excludes the scales
        below.
    best_estimator_, best_score_, best_params_, best_index_, scorer_, n_splits_, refit_time_
        As in GridSearchCV.
    multimetric_ : bool
    scales_ : list of dict
        All scales.

    See Also
    --------
    scale_grid : A grid over depth and width for scikit-learn's searches.
    SmallestWithin : The default rule.

    References
    ----------
    Ash, Adams (2020). On warm-starting neural network training. NeurIPS, section 4.

    Chen, Goodfellow, Shlens (2016). Net2Net: accelerating learning via knowledge transfer.
    ICLR.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skscale import GradualScaleSearchCV, ScaledMLPClassifier
    >>> network = ScaledMLPClassifier(depth=1, max_epochs=30, random_state=0)
    >>> search = GradualScaleSearchCV(network, {"width": [2, 4, 8, 16, 32]}, cv=3)
    >>> search.fit(*load_iris(return_X_y=True)).best_params_["width"] < 32
    True
    """

    def __init__(
        self,
        estimator,
        scales=None,
        *,
        shrink_factor=0.3,
        scoring=None,
        n_jobs=None,
        refit=SmallestWithin(),  # noqa: B008 (no code changes it)
        patience=3,
        cv=None,
        verbose=0,
        error_score=np.nan,
        return_train_score=False,
    ):
        super().__init__(
            estimator=estimator,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.scales = scales
        self.shrink_factor = shrink_factor
        self.patience = patience

    def fit(self, X, y=None, **params):
        """Fit the scales in order, choose one and fit it on all rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or input of the first step
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        **params : dict
            As in scikit-learn, for `fit`, the scorer and the splitter.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            If the estimator contains no network of skscale.
        ValueError
            If `scales` is empty, `patience` is less than 1, or `shrink_factor` is not in
            [0, 1].
        """
        if not isinstance(self.patience, Integral) or self.patience < 1:
            raise ValueError(f"patience must be an int of at least 1, got {self.patience!r}.")
        if not isinstance(self.shrink_factor, Real) or not 0 <= self.shrink_factor <= 1:
            raise ValueError(
                f"shrink_factor must be a float from 0 to 1, got {self.shrink_factor!r}."
            )
        if is_classifier(self) and y is not None:
            # Checked here, because the splitter would fail first, on sorting mixed labels.
            refuse_mixed_labels(y if hasattr(y, "dtype") else np.asarray(y, dtype=object))
        scales = self._list_scales(X, y)
        scorer = check_scoring(self.estimator, self._scoring, raise_exc=False)
        own = {
            "estimator": _Grown(self.estimator, scales, self.shrink_factor, _FittedScales()),
            "scoring": _OfFitted(scorer),
        }
        search = _ScaleSearch(**self.get_params(deep=False) | own)
        if hasattr(self, "_skl_callbacks"):
            search.set_callbacks(*self._skl_callbacks)
        if self.n_jobs is None:
            with joblib.parallel_config(backend="skscale"):
                search.fit(X, y, **params)
        else:
            search.fit(X, y, **params)
        self.scales_ = scales
        for name, value in vars(search).items():
            if name.endswith("_") and not name.startswith("_"):
                setattr(self, name, value)
        self.scorer_ = getattr(scorer, "_scorers", scorer)
        if hasattr(search, "best_estimator_"):
            self.best_estimator_ = search.best_estimator_.fitted_
            if hasattr(self.best_estimator_, "feature_names_in_"):
                self.feature_names_in_ = self.best_estimator_.feature_names_in_
        return self

    @property
    def _scoring(self):
        is_single = self.scoring is None or isinstance(self.scoring, str)
        is_single |= hasattr(self.scoring, "_score_func")  # made by make_scorer
        if isinstance(self.refit, Rule) and is_single:
            return cost_scoring(self.scoring, ["n_parameters"])
        return self.scoring

    def _list_scales(self, X, y):
        prefix, network = find_network(self.estimator)
        scales = self.scales
        if scales is None:
            if isinstance(network, ScaledMLP):
                widths = widths_up_to_rows(self.estimator, X, y, _NARROWEST)
            elif isinstance(network, ScaledCNN) and isinstance(network.width, Integral):
                n = max(3, int(np.log2(4 * network.width / _NARROWEST)) + 1)
                widths = [_NARROWEST * 2**k for k in range(n)]
            else:
                raise ValueError(
                    f"Expected scales for {network!r}, which has no default scales, got None. "
                    'Pass parameters, the smallest scale first: scales={"width": [8, 16, 32]}.'
                )
            scales = {f"{prefix}width": widths}
        if isinstance(scales, dict):
            lengths = {len(values) for values in scales.values()}
            if len(lengths) != 1:
                raise ValueError(
                    "Expected lists of one length in scales, with one value for each scale, "
                    f"got {scales!r}. Pass lists of equal lengths."
                )
            scales = [
                dict(zip(scales, values, strict=True))
                for values in zip(*scales.values(), strict=True)
            ]
        scales = list(scales)
        if not scales:
            raise ValueError(
                "Expected parameters for at least one scale, got an empty list of scales. Pass "
                f'the smallest scale first: scales={{"{prefix}width": [8, 16, 32]}}.'
            )
        for scale in scales:
            if not isinstance(scale, Mapping):
                raise ValueError(
                    f"Expected parameters by name in scales, got {scale!r}. Pass the smallest "
                    f'scale first: scales={{"{prefix}width": [8, 16, 32]}}.'
                )
        clone(self.estimator).set_params(**scales[0])  # raises for unknown parameters
        return [dict(scale) for scale in scales]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags = get_tags(self.estimator).input_tags
        return tags


class _ScaleSearch(GradualScaleSearchCV):
    """Search over `_Grown` estimators, run by scikit-learn."""

    fit = BaseSearchCV.fit

    def _run_search(self, evaluate_candidates):
        n_not_chosen = 0
        for index, params in enumerate(self.estimator.scales):
            results = evaluate_candidates([params])
            n_not_chosen = 0 if self._choose(results) == index else n_not_chosen + 1
            if n_not_chosen == self.patience:
                break
        self.estimator.fitted_scales.is_over = True

    def _choose(self, results):
        if isinstance(self.refit, Rule):
            return self.refit.select(results).index  # without warnings, which suit the end
        if callable(self.refit):
            return int(self.refit(results))
        score = self.refit if isinstance(self.refit, str) else "score"
        means = results[f"mean_test_{score}"]
        return int(np.nanargmax(means)) if np.isfinite(means).any() else 0
