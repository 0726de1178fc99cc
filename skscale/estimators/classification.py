"""Classification part of the estimators, for all families of networks."""

from numbers import Real

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import unique_labels

from .._sklearn_private import Interval, StrOptions, _fit_context
from ..inference.heads import sigmoid, softmax
from ..training.losses import (
    CrossEntropy,
    DistilledCrossEntropy,
    DistilledLogistic,
    Logistic,
    Loss,
)
from . import fitting
from .base import view
from .calibration import find_inverse_temperature, mean_loss
from .description import make_network
from .sample_weights import weigh_classes
from .targets import Targets, fit_classes, read_labels


class Classifies(ClassifierMixin):
    """Mixin for classifiers; precedes the family of networks among the base classes."""

    _classifier_constraints = {
        "loss": [StrOptions({"log_loss"}), Loss],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "calibrate": ["boolean"],
    }

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None):
        """Fit the network.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Features: an array, a list, a table of pandas, polars or pyarrow, or a SciPy
            sparse matrix or array, which is converted to CSR and stays sparse.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Class labels of any type, or a binary indicator matrix.
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
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Train for one epoch on the next rows of a data stream.

        Training continues from earlier calls, or from `fit`. The optimizer state also
        continues after `partial_fit`, unless the estimator was pickled in between. Rows are
        shuffled and taken in batches. The learning rate is constant, a fifth of
        `learning_rate`. There is no early stopping, and `max_seconds` has no effect.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Features. The first call determines their encoding (`encoding_`).
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Class labels, or a binary indicator matrix.
        classes : array-like of shape (n_classes,) or None, default=None
            All labels of the stream, or the column indices of an indicator matrix
            (`range(n_labels)`); required in the first call.
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
        if self.class_weight == "balanced":
            raise ValueError(
                'class_weight="balanced" needs all rows at once, and partial_fit sees some of '
                "them. Pass a dict of the weights of the classes."
            )
        head = _head_of_stream(self, classes, y)
        return fitting.partial_fit(self, X, y, sample_weight, head)

    classes_ = view(lambda p: p.head.classes, "Labels, in the order of the outputs.")

    @property
    def _targets(self):
        return ClassTargets(self)

    def decision_function(self, X):
        """Return the network's logits.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) for two classes, else (n_samples, n_classes)
            For two classes: the logit of `classes_[1]`.
        """
        return self._fitted.decision_function(X)

    def predict_proba(self, X):
        """Predict probabilities.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probability of each class; for a multilabel y of each label independently.
        """
        return self._fitted.predict_proba(X)

    def predict_log_proba(self, X):
        """Predict log probabilities, finite even if the probability rounds to zero.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        return self._fitted.predict_log_proba(X)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class ClassTargets(Targets):
    """Handling of class labels."""

    @property
    def calibrates(self):
        return self.estimator.calibrate

    def loss(self, head):
        estimator = self.estimator
        if isinstance(estimator.loss, Loss):
            return estimator.loss
        is_exclusive = not (head.is_binary or head.is_multilabel)
        kind = CrossEntropy if is_exclusive else Logistic
        return kind(float(estimator.label_smoothing))

    def read(self, y, weights, former, head):
        estimator = self.estimator
        y, found = read_labels(y, estimator, head)
        if head is None and former is not None:
            _check_same_classes(former.head, found)
        targets, codes = found.encode(y, estimator._network_dtype)
        of_class = None
        if estimator.class_weight is not None:
            of_class = weigh_classes(estimator.class_weight, found.classes, codes, weights)
        return y, found, targets, codes, of_class

    def read_validation(self, y, rows):
        return read_labels(y, self.estimator, rows.head, "y_val")[0]

    def fit_head(self, rows, train_rows, weights):
        return rows.head, rows.targets, None

    def follow(self, rows, used, weights, n_weighed, former):
        return rows.head, rows.targets, {}, None

    def teach(self, task, head, predictions, predictions_new):
        # Columns: true targets as probabilities, then the teacher's logits.
        estimator, hard = self.estimator, task.targets
        is_exclusive = hard.ndim == 1
        if is_exclusive:
            hard = np.eye(task.architecture.n_outputs, dtype=predictions.dtype)[hard]
        targets = np.concatenate([hard, np.zeros_like(hard)], axis=1)
        targets[task.train_rows, hard.shape[1] :] = predictions
        if predictions_new is not None:
            link = softmax if is_exclusive else sigmoid
            new = np.concatenate([link(predictions_new), predictions_new], axis=1)
            targets = np.concatenate([targets, new])
        kind = DistilledCrossEntropy if is_exclusive else DistilledLogistic
        loss = kind(
            float(estimator.label_smoothing),
            float(estimator._distillation.weight),
            float(estimator._distillation.temperature),
        )
        return {"targets": targets.astype(estimator._network_dtype), "loss": loss}

    def calibrate(self, architecture, network, X, targets, weights):
        """Calibrate a trained network by temperature scaling; return its mean log loss."""
        outputs = make_network(self.estimator, architecture, [network]).outputs(X)
        factor = find_inverse_temperature(outputs, targets, weights)
        family = architecture.family
        if family.can_rescale_output:
            factor = network.weights.dtype.type(factor)
            network.weights = family.rescale_output(network.weights, factor)
        else:
            network.factor = factor
        return mean_loss(outputs * factor, targets, weights)


def _head_of_stream(estimator, classes, y):
    """Return the head for `classes`, or None if the classes are already known."""
    fitted = vars(estimator).get("predictor_")
    if fitted is None and classes is None:
        raise ValueError("classes must be passed on the first call to partial_fit.")
    if fitted is None:
        return fit_classes(classes, y)
    if classes is not None and not np.array_equal(unique_labels(classes), fitted.head.classes):
        raise ValueError(
            f"`classes={classes!r}` is not the same as on last call to partial_fit, was: "
            f"{fitted.head.classes!r}"
        )
    return None


def _check_same_classes(former, head):
    is_same = former.is_multilabel == head.is_multilabel
    if not is_same or not np.array_equal(former.classes, head.classes):
        raise ValueError(
            "warm_start=True continues training the fitted network: expected y of the same "
            f"classes, {former.classes}, got {head.classes}."
        )
