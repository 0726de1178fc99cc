"""Regression part of the estimators, for all families of networks."""

from dataclasses import replace
from numbers import Real

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import column_or_1d

from .._sklearn_private import Interval, StrOptions, _fit_context
from ..inference.heads import Numbers, scale_targets
from ..training.losses import LOSSES, Loss
from . import fitting
from .base import view
from .targets import (
    Targets,
    TargetSample,
    find_rate,
    merge_moments,
    read_numbers,
    standardize,
)

# Most by which the scale of a stream shrinks with equal predictions. A scale that shrinks more
# was set by outliers among the first rows; the network would have to unlearn outputs that are
# as large as they were.
_LARGEST_SHRINKAGE = 10.0


class Regresses(RegressorMixin):
    """Mixin for regressors; precedes the family of networks among the base classes."""

    _regressor_constraints = {
        "loss": [StrOptions(set(LOSSES)), Loss],
        "quantile": [Interval(Real, 0, 1, closed="neither")],
        "huber_delta": [Interval(Real, 0, None, closed="neither")],
    }

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None):
        """Fit the network.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Features: an array, a list, a table of pandas, polars or pyarrow, or a SciPy
            sparse matrix or array, which is converted to CSR and stays sparse.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Numbers to predict.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Non-negative sample weights. Rows with weight zero, or below 1e-30 of the largest,
            are ignored.
        X_val : array-like or sparse matrix of shape (n_val, n_features) or None
            Validation set for early stopping, instead of a split of X. In a Pipeline,
            `Pipeline(..., transform_input=["X_val"])` transforms it like X.
        y_val : array-like of shape (n_val,) or (n_val, n_outputs) or None
            Targets of the validation set.
        sample_weight_val : array-like of shape (n_val,) or None
            Sample weights of the validation set.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the input or parameters are invalid, or training diverged. The estimator is then
            unchanged.
        """
        return fitting.fit(self, X, y, sample_weight, X_val, y_val, sample_weight_val)

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, sample_weight=None):
        """Train for one epoch on the next rows of a data stream.

        Training continues from earlier calls, or from `fit`. The optimizer state also
        continues after `partial_fit`, unless the estimator was pickled in between. Rows are
        shuffled and taken in batches. The learning rate is constant, a fifth of
        `learning_rate`. There is no early stopping, and `max_seconds` has no effect. The mean
        and scale of the targets cover all rows so far; when they change, the output layer is
        rescaled so that predictions do not (van Hasselt et al. 2016, "Learning values across
        many orders of magnitude", eq. 3). The median and interquartile range of
        loss="absolute_error", "huber" and "quantile" are those of up to 2048 of these rows,
        whose targets a pickle includes.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Features. The first call determines their encoding (`encoding_`).
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Numbers to predict.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Non-negative sample weights, on one scale in all calls of `partial_fit`. A row of
            an earlier `fit` counts like a row of mean weight in the first call.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the input or parameters are invalid, or training diverged. The estimator is then
            unchanged.
        """
        return fitting.partial_fit(self, X, y, sample_weight)

    target_mean_ = view(lambda p: p.head.mean, "Center of the targets of the training rows.")
    target_scale_ = view(lambda p: p.head.scale, "Scale of these targets.")

    @property
    def _targets(self):
        return NumberTargets(self)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class NumberTargets(Targets):
    """Handling of numbers: standardized as the loss declares."""

    def loss(self, head=None):
        estimator = self.estimator
        if isinstance(estimator.loss, Loss):
            return estimator.loss
        arguments = {
            "quantile": {"quantile": float(estimator.quantile)},
            "huber": {"delta": float(estimator.huber_delta)},
        }
        return LOSSES[estimator.loss](**arguments.get(estimator.loss, {}))

    def read(self, y, weights, former, head):
        y = read_numbers(y, self.estimator, self.loss())
        if former is None:
            return _as_fitted(y), None, None, None, None
        if head is None:
            y = _as_fitted(y)
        self._check_same_outputs(former.head, _count_outputs(y))
        return y, former.head, self.encode(former.head, y), None, None

    def encode(self, head, y):
        bound = self.loss().largest_target
        return np.clip(super().encode(head, y), -bound, bound)

    def read_validation(self, y, rows):
        y = read_numbers(y, self.estimator, self.loss(), "y_val")
        if _count_outputs(y) != _count_outputs(rows.y):
            raise ValueError(
                f"y_val must have as many columns as y: expected {_count_outputs(rows.y)}, got "
                f"{_count_outputs(y)}."
            )
        return y

    def fit_head(self, rows, train_rows, weights):
        loss, dtype = self.loss(), self.estimator._network_dtype
        if loss.has_log_link:
            values, mean, scale = find_rate(rows.y, train_rows, weights, dtype)
        else:
            is_robust = loss.has_robust_scale
            values, mean, scale = standardize(rows.y, train_rows, weights, dtype, is_robust)
        np.clip(values, -loss.largest_target, loss.largest_target, out=values)
        head = Numbers(mean, scale, loss.has_log_link, rows.y.ndim == 1)
        return head, values, scale if loss.has_log_link else None

    def follow(self, rows, used, weights, n_weighed, former):
        loss, is_column = self.loss(), rows.y.ndim == 1
        if former is not None and not _can_rescale(former):
            return rows.head, rows.targets, {}, None
        y = rows.y.reshape(len(rows.y), -1)[used].astype(np.float64)
        w = None if weights is None else weights[used]
        if former is None and not loss.has_log_link:
            changes = {}
            if loss.has_robust_scale:
                changes["target_sample"] = TargetSample.of_rows(y, w, 0).smallest
            return *self.fit_head(rows, used, weights)[:2], changes, None
        find = self._follow_moments
        if loss.has_log_link:
            find = self._follow_rate
        elif loss.has_robust_scale:
            find = self._follow_quantiles
        mean, scale, changes, rescale = find(y, w, n_weighed, former)
        head = Numbers(mean, scale, loss.has_log_link, is_column)
        if former is not None:
            head = replace(head, is_column=former.head.is_column)
        return head, self.encode(head, rows.y), changes, rescale

    def _follow_rate(self, y, weights, n_weighed, former):
        rate = np.average(y, axis=0, weights=weights)
        mean = np.zeros(len(rate))
        if former is None:
            # While all counts are zero, their scale is unknown.
            return mean, np.where(rate > 0, rate, 1.0), {"rate": rate}, None
        share = _share(y, weights, n_weighed)
        rate = self.estimator._continuation.rate * (1 - share) + rate * share
        scale = np.where(rate > 0, rate, former.head.scale)
        return mean, scale, {"rate": rate}, (1.0, np.log(former.head.scale / scale))

    def _follow_moments(self, y, weights, n_weighed, former):
        _, mean, scale = standardize(y, np.arange(len(y)), weights, np.float64)
        n_new = len(y) if weights is None else weights.sum()
        before = former.head.mean, former.head.scale
        mean, scale = merge_moments(n_weighed, *before, n_new, mean, scale)
        changes = {"target_sample": None}  # it would miss these rows
        return mean, scale, changes, _rescaling(former.head, mean, scale)

    def _follow_quantiles(self, y, weights, n_weighed, former):
        n_before = self.estimator.n_samples_seen_
        sample = self.estimator._continuation.target_sample
        if sample is None:  # after a fit, or another loss
            sample = TargetSample.of_head(former.head, n_before)
        new = TargetSample.of_rows(y, weights, n_before)
        sample = sample.join(new, n_weighed / n_before).smallest
        places = np.arange(len(sample.y))
        _, mean, scale = standardize(sample.y, places, sample.weights, np.float64, True)
        factor, shift = _rescaling(former.head, mean, scale)
        is_far = factor > _LARGEST_SHRINKAGE
        rescale = np.where(is_far, 1.0, factor), np.where(is_far, 0.0, shift)
        return mean, scale, {"target_sample": sample}, rescale

    def teach(self, task, head, predictions, predictions_new):
        estimator = self.estimator
        weight, dtype = estimator._distillation.weight, estimator._network_dtype
        if head.is_log:
            # A rate below zero has no logarithm.
            predictions = np.maximum(predictions, 0)
            predictions_new = (
                None if predictions_new is None else np.maximum(predictions_new, 0)
            )
        targets = task.targets.copy()
        scaled = scale_targets(predictions, head.mean, head.scale, dtype)
        targets[task.train_rows] = targets[task.train_rows] * (1 - weight) + scaled * weight
        if predictions_new is not None:
            new = scale_targets(predictions_new, head.mean, head.scale, dtype)
            targets = np.concatenate([targets, new])
        bound = self.loss().largest_target
        return {"targets": np.clip(targets, -bound, bound).astype(dtype, copy=False)}

    def _check_same_outputs(self, head, n_outputs):
        if n_outputs != head.n_outputs:
            raise ValueError(
                "Training continues with the fitted network: expected y of "
                f"{head.n_outputs} columns, got {n_outputs}."
            )
        if self.loss().has_log_link != head.is_log:
            kinds = "logarithms", "numbers"
            fitted, other = kinds if head.is_log else kinds[::-1]
            raise ValueError(
                f"Training continues with the fitted network, whose outputs are {fitted}, and "
                f"loss={self.estimator.loss!r} is for {other}. Set warm_start=False and call "
                "fit to train a new network."
            )


def _share(y, weights, n_weighed):
    """Return the share of some rows in the total weight of a stream."""
    n_new = len(y) if weights is None else weights.sum()
    return n_new / (n_weighed + n_new)


def _rescaling(head, mean, scale):
    """Return the (factor, shift) of outputs from the scale of a head to another one."""
    divisor = np.where(scale == 0, 1.0, scale)
    return head.scale / divisor, (head.mean - mean) / divisor


def _can_rescale(former):
    return former.network.architecture.family.can_rescale_output


def _as_fitted(y):
    return column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y


def _count_outputs(y):
    return 1 if y.ndim == 1 else y.shape[1]
