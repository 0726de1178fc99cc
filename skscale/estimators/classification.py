"""Classifiers, whatever their network: labels and probabilities."""

from numbers import Real

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import unique_labels

from .._sklearn_private import Interval, StrOptions, _fit_context
from ..inference.heads import sigmoid, softmax
from .base import view
from .calibration import find_inverse_temperature, mean_loss
from .targets import fit_classes, read_labels, weigh_classes


class Classifies(ClassifierMixin):
    """The part of an estimator that classifies. Stands before a family of networks."""

    _classifier_constraints = {
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
            sparse matrix or array (converted to CSR), which is never made dense.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Class labels of any type, or a binary indicator matrix.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Non-negative weights of the rows. Rows of weight zero, or below 1e-30 of the
            largest, are left out.
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

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Make one pass over some rows: for data that comes in pieces.

        The network of the calls before, or of `fit`, is trained on, its optimiser too
        unless it was pickled in between. Rows are taken in random order, in batches. The
        learning rate is constant, a fifth of `learning_rate`; no rows are set aside for
        early stopping, and `max_seconds` has no meaning.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Features. How they are encoded (`encoding_`) the first call decides.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Class labels, or a binary indicator matrix.
        classes : array-like of shape (n_classes,) or None, default=None
            All labels that will come, or the indices of an indicator matrix's columns
            (`range(n_labels)`); needed in the first call.
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
        if self.class_weight == "balanced":
            raise ValueError(
                'class_weight="balanced" needs all rows at once, which partial_fit never '
                "has. Pass a dict of the weights of the classes."
            )
        return self._partial_fit(X, y, sample_weight, self._classes_of_stream(classes, y))

    classes_ = view(lambda p: p.head.classes, "Labels, in the order of the outputs.")

    def _classes_of_stream(self, classes, y):
        """Return the head that `classes` say, or None where they are known already."""
        fitted = vars(self).get("predictor_")
        if fitted is None and classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        if fitted is None:
            return fit_classes(classes, y)
        if classes is not None and not np.array_equal(unique_labels(classes), self.classes_):
            raise ValueError(
                f"`classes={classes!r}` is not the same as on last call to partial_fit, was: "
                f"{self.classes_!r}"
            )
        return None

    @property
    def _loss_parameter(self):
        return float(self.label_smoothing)

    def _loss_of(self, head):
        return head.loss

    def _read_targets(self, y, weights, former, head):
        """Return labels, head, targets of the loss, class of each row, weight of each class."""
        y, found = read_labels(y, self, head)
        if head is None and former is not None:
            _check_same_classes(former.head, found)
        targets, codes = found.encode(y, self._network_dtype)
        of_class = None
        if self.class_weight is not None:
            of_class = weigh_classes(self.class_weight, found.classes, codes, weights)
        return y, found, targets, codes, of_class

    def _read_validation_targets(self, y, rows):
        return read_labels(y, self, rows.head, "y_val")[0]

    def _teach(self, task, head, labels, labels_new):
        # The truth as probabilities, then the teacher's logits.
        hard = task.targets
        if task.loss == "cross_entropy":
            hard = np.eye(task.architecture.n_outputs, dtype=labels.dtype)[hard]
        targets = np.concatenate([hard, np.zeros_like(hard)], axis=1)
        targets[task.train_rows, hard.shape[1] :] = labels
        if labels_new is not None:
            link = softmax if task.loss == "cross_entropy" else sigmoid
            new = np.concatenate([link(labels_new), labels_new], axis=1)
            targets = np.concatenate([targets, new])
        return {
            "targets": targets.astype(self._network_dtype),
            "loss": f"distilled_{task.loss}",
            "loss_parameter": (
                float(self.label_smoothing),
                float(self._distillation.weight),
                float(self._distillation.temperature),
            ),
        }

    def _calibrate(self, architecture, network, X, targets, weights):
        """Rescale the outputs of a trained network; return its mean loss then."""
        outputs = self._make_network(architecture, [network]).outputs(X)
        factor = find_inverse_temperature(outputs, targets, weights)
        self._rescale_trained(network, factor)
        return mean_loss(outputs * factor, targets, weights)

    def decision_function(self, X):
        """Return the network's logits.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) for two classes, else (n_samples, n_classes)
            For two classes the logit of `classes_[1]`.
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
            Of each class; for a multilabel y of each label, on its own.
        """
        return self._fitted.predict_proba(X)

    def predict_log_proba(self, X):
        """Predict logarithms of probabilities, also of those that round to zero.

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


def _check_same_classes(former, head):
    is_same = former.is_multilabel == head.is_multilabel
    if not is_same or not np.array_equal(former.classes, head.classes):
        raise ValueError(
            "warm_start=True goes on with the fitted network, so y must have the same classes: "
            f"expected {former.classes}, got {head.classes}."
        )
