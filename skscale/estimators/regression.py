"""What all regressors have in common, whatever their network: numbers and their scale."""

from numbers import Real

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import assert_all_finite, column_or_1d

from .._sklearn_private import (
    Interval,
    StrOptions,
    _fit_context,
)
from ..inference.outputs import join_numbers, numbers_of
from .fitting import restores_state
from .targets import (
    EncodedTargets,
    find_rate,
    merge_moments,
    scale_targets,
    standardize,
)

# A target whose mean is this many standard deviations away from zero is predicted in
# float64: float32 would round it by up to 6e-5 of a standard deviation.
_FAR_FROM_ZERO = 1_000
# No error of a larger target could be squared.
_LARGEST_TARGET = np.sqrt(np.finfo(np.float64).max)


class Regresses(RegressorMixin):
    """The part of an estimator that predicts numbers. Stands before a family of networks."""

    _regressor_constraints = {
        "loss": [
            StrOptions({"squared_error", "absolute_error", "huber", "quantile", "poisson"})
        ],
        "quantile": [Interval(Real, 0, 1, closed="neither")],
        "huber_delta": [Interval(Real, 0, None, closed="neither")],
    }

    @restores_state
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None):
        """Fit the network.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Features: an array, a list, a pandas or polars frame of numbers, or a SciPy
            sparse matrix or array (converted to CSR), which is never made dense.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Numbers to predict.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Non-negative weights of the rows. Rows of weight zero are left out.
        X_val : array-like or sparse matrix of shape (n_val, n_features) or None
            Rows to stop early by, in place of a share of X. In a Pipeline it is transformed
            as X is with `Pipeline(..., transform_input=["X_val"])`.
        y_val : array-like of shape (n_val,) or (n_val, n_outputs) or None
            Their targets.
        sample_weight_val : array-like of shape (n_val,) or None
            Their weights.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If input or parameters are not what they should be, or training diverged. The
            estimator is then as it was before.
        """
        return self._fit(X, y, sample_weight, X_val, y_val, sample_weight_val)

    @restores_state
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, sample_weight=None):
        """Make one pass over some rows: for data that comes in pieces.

        The network of the calls before, or of `fit`, is trained on, its optimiser too
        unless it was pickled in between. Rows are taken in random order, in batches. The
        learning rate is constant, a fifth of `learning_rate`; no rows are set aside for
        early stopping, and `max_seconds` has no meaning. The
        mean and scale of the targets are those of all rows so far; when they move, the
        output layer is rescaled so that predictions stay (van Hasselt et al. 2016,
        "Learning values across many orders of magnitude", eq. 3).

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Features. How they are encoded (`encoding_`) the first call decides.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Numbers to predict.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Non-negative weights, to be compared with those of the other calls of
            `partial_fit`; a row of `fit` counts as one of mean weight in the first.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If input or parameters are not what they should be, or training diverged. The
            estimator is then as it was before.
        """
        return self._partial_fit(X, y, sample_weight)

    _net_kind = "regression"

    @property
    def _loss_parameter(self):
        return float({"quantile": self.quantile, "huber": self.huber_delta}.get(self.loss, 0))

    def _encode(self, y, continues):
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        y = self._check_numbers(y)
        n_outputs = 1 if y.ndim == 1 else y.shape[1]
        if continues:
            self._check_goes_on(n_outputs)
        self._is_column = y.ndim == 1
        self._is_log = self.loss == "poisson"
        return EncodedTargets(y, self.loss, n_outputs)

    def _encode_known(self, y, continues):
        if not continues:
            return self._encode(y, False)
        y = self._check_numbers(y)
        n_outputs = 1 if y.ndim == 1 else y.shape[1]
        self._check_goes_on(n_outputs)
        return EncodedTargets(y, self.loss, n_outputs)

    def _encode_held_out(self, y, encoded):
        y = self._check_numbers(y)
        n_outputs = 1 if y.ndim == 1 else y.shape[1]
        if n_outputs != encoded.n_outputs:
            raise ValueError(
                f"y_val must have as many columns as y: expected {encoded.n_outputs}, got "
                f"{n_outputs}."
            )
        return EncodedTargets(y, self.loss, n_outputs)

    def _check_numbers(self, y):
        if y.dtype.kind not in "biuf":
            try:
                if y.dtype.kind in "mM":
                    raise TypeError("times are no numbers")
                y = y.astype(np.float64)
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"y must be numbers, got an array of dtype {y.dtype}. For class labels use "
                    f"{type(self).__name__.replace('Regressor', 'Classifier')}; turn times "
                    "into numbers of a unit."
                ) from error
        # Numbers of Python become NaN only now.
        assert_all_finite(y, input_name="y")
        largest = np.abs(y).max() if y.dtype.kind == "f" else 0
        if largest > _LARGEST_TARGET:
            raise ValueError(
                f"Input y contains a value too large ({largest:g}): its square is beyond "
                "float64. Expected numbers of moderate size: divide y by a unit."
            )
        if self.loss == "poisson" and y.min() < 0:
            raise ValueError(
                'loss="poisson" is for counts and rates: expected y from 0, got '
                f"{y.min():g}. Use another loss."
            )
        return y

    def _check_goes_on(self, n_outputs):
        if hasattr(self, "target_scale_") and n_outputs != len(self.target_scale_):
            raise ValueError(
                "The fitted network goes on, so y must have as many columns: expected "
                f"{len(self.target_scale_)}, got {n_outputs}."
            )
        if (self.loss == "poisson") != self._is_log:
            raise ValueError(
                'The fitted network goes on, and with loss="poisson" it predicts logarithms, '
                f"else numbers: loss={self.loss!r} is of the other kind. Use fit with "
                "warm_start=False to begin anew."
            )

    def _teach(self, task, labels, labels_new):
        weight, dtype = self.distillation_weight, self._network_dtype
        if self._is_log:
            # A rate below zero has no logarithm.
            labels = np.maximum(labels, 0)
            labels_new = None if labels_new is None else np.maximum(labels_new, 0)

        def scaled(numbers):
            return scale_targets(numbers, self.target_mean_, self.target_scale_, dtype)

        targets = task.targets.copy()
        taught = targets[task.train_rows] * (1 - weight) + scaled(labels) * weight
        targets[task.train_rows] = taught
        if labels_new is not None:
            targets = np.concatenate([targets, scaled(labels_new)])
        return {"targets": targets.astype(dtype, copy=False)}

    def _weigh_classes(self, encoded, weights):
        return None

    def _finish_targets(self, encoded, train_rows, weights, continues):
        if continues:
            return self._scale_targets(encoded)
        find = find_rate if self._is_log else standardize
        values, mean, scale = find(encoded.values, train_rows, weights, self._network_dtype)
        self._set_target_moments(mean, scale)
        self._rate = scale if self._is_log else None
        return values

    def _set_target_moments(self, mean, scale):
        self.target_mean_, self.target_scale_ = mean, scale
        mean = np.abs(mean)
        is_moderate = (mean < 1e30) & (scale < 1e30) & ((scale > 1e-30) | (scale == 0))
        self._float32_holds_targets = bool(
            (is_moderate & (mean <= _FAR_FROM_ZERO * scale)).all()
        )

    def _follow_targets(self, encoded, rows, weights, weight_before):
        if not weight_before and not self._is_log:
            return self._finish_targets(encoded, rows, weights, False)
        if weight_before and not self._can_rescale:
            return self._scale_targets(encoded)
        n_new = len(rows) if weights is None else weights[rows].sum()
        y = encoded.values.reshape(len(encoded.values), -1)[rows].astype(np.float64)
        w = None if weights is None else weights[rows]
        if self._is_log:
            rate = np.average(y, axis=0, weights=w)
            if not weight_before:
                # Of counts that were all zero so far the scale is anybody's guess.
                self._rate = rate
                self._set_target_moments(np.zeros(len(rate)), np.where(rate > 0, rate, 1.0))
                return self._scale_targets(encoded)
            former = self.target_scale_
            share = n_new / (weight_before + n_new)
            self._rate = self._rate * (1 - share) + rate * share
            scale = np.where(self._rate > 0, self._rate, former)
            self._set_target_moments(self.target_mean_, scale)
            factor, shift = 1.0, np.log(former / scale)
        else:
            _, mean, scale = standardize(y, np.arange(len(y)), w, np.float64)
            former = self.target_mean_, self.target_scale_
            self._set_target_moments(*merge_moments(weight_before, *former, n_new, mean, scale))
            divisor = np.where(self.target_scale_ == 0, 1.0, self.target_scale_)
            factor = former[1] / divisor
            shift = (former[0] - self.target_mean_) / divisor
        # Predictions stay as they were.
        self._rescale_fitted(factor, shift)
        return self._scale_targets(encoded)

    def _join_members(self, outputs):
        return join_numbers(outputs, self._is_log)

    def _scale_targets(self, encoded):
        return scale_targets(
            encoded.values, self.target_mean_, self.target_scale_, self._network_dtype
        )

    def predict(self, X):
        """Predict numbers.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            One-dimensional if y was. float64 X is computed in float64 and float32 X in
            float32, and predictions are of that dtype; float64 also where the targets lie
            so far from zero that float32 would round them visibly.
        """
        return numbers_of(
            self._outputs(X, in_dtype_of_X=True),
            self.target_mean_,
            self.target_scale_,
            is_log=self._is_log,
            is_column=self._is_column,
            float32_holds_targets=self._float32_holds_targets,
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
