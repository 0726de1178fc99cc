"""Regression part of the estimators, for all families of networks."""

from numbers import Real

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import column_or_1d

from .._sklearn_private import Interval, StrOptions, _fit_context
from ..inference.heads import Numbers, scale_targets
from ..training.losses import LOSSES, Loss
from . import fitting
from .base import view
from .targets import Targets, find_rate, merge_moments, read_numbers, standardize


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
        many orders of magnitude", eq. 3).

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

    target_mean_ = view(lambda p: p.head.mean, "Mean of the targets of the training rows.")
    target_scale_ = view(lambda p: p.head.scale, "Standard deviation of these targets.")

    @property
    def _targets(self):
        return NumberTargets(self)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class NumberTargets(Targets):
    """Handling of numbers: standardized, or with a log link divided by their mean."""

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
        targets, _ = former.head.encode(y, self.estimator._network_dtype)
        return y, former.head, targets, None, None

    def read_validation(self, y, rows):
        y = read_numbers(y, self.estimator, self.loss(), "y_val")
        if _count_outputs(y) != _count_outputs(rows.y):
            raise ValueError(
                f"y_val must have as many columns as y: expected {_count_outputs(rows.y)}, got "
                f"{_count_outputs(y)}."
            )
        return y

    def fit_head(self, rows, train_rows, weights):
        is_log, dtype = self.loss().has_log_link, self.estimator._network_dtype
        find = find_rate if is_log else standardize
        values, mean, scale = find(rows.y, train_rows, weights, dtype)
        head = Numbers(mean, scale, is_log, rows.y.ndim == 1)
        return head, values, scale if is_log else None

    def follow(self, rows, used, weights, n_weighed, former):
        estimator, is_log = self.estimator, self.loss().has_log_link
        dtype = estimator._network_dtype
        if former is None and not is_log:
            return *self.fit_head(rows, used, weights), None
        if former is not None and not _can_rescale(former):
            return rows.head, rows.targets, None, None
        y = rows.y.reshape(len(rows.y), -1)[used].astype(np.float64)
        w = None if weights is None else weights[used]
        n_new, rate = len(used) if w is None else w.sum(), None
        if is_log:
            rate = np.average(y, axis=0, weights=w)
            if former is None:
                # While all counts are zero, their scale is unknown.
                scale = np.where(rate > 0, rate, 1.0)
                head = Numbers(np.zeros(len(rate)), scale, True, rows.y.ndim == 1)
                return head, head.encode(rows.y, dtype)[0], rate, None
            share = n_new / (n_weighed + n_new)
            rate = estimator._continuation.rate * (1 - share) + rate * share
            mean, scale = former.head.mean, np.where(rate > 0, rate, former.head.scale)
            factor, shift = 1.0, np.log(former.head.scale / scale)
        else:
            _, mean, scale = standardize(y, np.arange(len(y)), w, np.float64)
            before = former.head.mean, former.head.scale
            mean, scale = merge_moments(n_weighed, *before, n_new, mean, scale)
            divisor = np.where(scale == 0, 1.0, scale)
            factor, shift = before[1] / divisor, (before[0] - mean) / divisor
        head = Numbers(mean, scale, is_log, former.head.is_column)
        return head, head.encode(rows.y, dtype)[0], rate, (factor, shift)

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
        return {"targets": targets.astype(dtype, copy=False)}

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


def _can_rescale(former):
    return former.network.architecture.family.can_rescale_output


def _as_fitted(y):
    return column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y


def _count_outputs(y):
    return 1 if y.ndim == 1 else y.shape[1]
