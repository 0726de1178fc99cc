"""What all classifiers have in common, whatever their network: labels and probabilities."""

from numbers import Real

import numpy as np
from sklearn.base import ClassifierMixin

from .._sklearn_private import (
    Interval,
    StrOptions,
    _check_partial_fit_first_call,
    _fit_context,
)
from ..inference import dense as inference
from ..inference.outputs import join_logits, labels_of, link, probabilities_of
from .calibration import find_inverse_temperature, mean_loss
from .fitting import restores_state
from .targets import (
    encode_classes,
    encode_known_classes,
    weigh_classes,
)


class Classifies(ClassifierMixin):
    """The part of an estimator that classifies. Stands before a family of networks."""

    _classifier_constraints = {
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "calibrate": ["boolean"],
        "temperature": [Interval(Real, 0, None, closed="neither")],
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
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Class labels of any type, or a binary indicator matrix.
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
        if _check_partial_fit_first_call(self, classes):
            self._multilabel = np.ndim(y) == 2 and np.shape(y)[1] > 1
            if self._multilabel and not np.array_equal(
                self.classes_, np.arange(np.shape(y)[1])
            ):
                raise ValueError(
                    "The classes of an indicator matrix are the indices of its columns: "
                    f"expected classes=range({np.shape(y)[1]}), got {classes!r}."
                )
            if len(self.classes_) < 2:
                raise ValueError(
                    f"classes={classes!r} is one class only. A classifier needs at least two."
                )
        return self._partial_fit(X, y, sample_weight)

    @property
    def _net_kind(self):
        if self._multilabel:
            return "multilabel"
        return "binary" if len(self.classes_) == 2 else "multiclass"

    @property
    def _loss_parameter(self):
        return float(self.label_smoothing)

    def _encode(self, y, continues):
        encoded = encode_classes(y, self._network_dtype)
        multilabel = encoded.strata is None
        if continues and not (
            multilabel == self._multilabel and np.array_equal(encoded.classes, self.classes_)
        ):
            raise ValueError(
                "warm_start=True goes on with the fitted network, so y must have the same "
                f"classes: expected {self.classes_}, got {encoded.classes}."
            )
        self.classes_ = encoded.classes
        self._multilabel = multilabel
        return encoded

    def _encode_known(self, y, continues):
        return encode_known_classes(y, self.classes_, self._multilabel, self._network_dtype)

    def _encode_held_out(self, y, encoded):
        return self._encode_known(y, True)

    def _teach(self, task, labels, labels_new):
        # The truth as probabilities, then the teacher's logits.
        hard = task.targets
        if task.loss == "cross_entropy":
            hard = np.eye(task.architecture.n_outputs, dtype=labels.dtype)[hard]
        targets = np.concatenate([hard, np.zeros_like(hard)], axis=1)
        targets[task.train_rows, hard.shape[1] :] = labels
        if labels_new is not None:
            link = inference.softmax if task.loss == "cross_entropy" else inference.sigmoid
            new = np.concatenate([link(labels_new), labels_new], axis=1)
            targets = np.concatenate([targets, new])
        return {
            "targets": targets.astype(self._network_dtype),
            "loss": f"distilled_{task.loss}",
            "loss_parameter": (
                float(self.label_smoothing),
                float(self.distillation_weight),
                float(self.temperature),
            ),
        }

    def _weigh_classes(self, encoded, weights):
        return weigh_classes(self.class_weight, encoded, weights)

    def _finish_targets(self, encoded, train_rows, weights, continues):
        return encoded.values

    def _follow_targets(self, encoded, rows, weights, weight_before):
        return encoded.values

    def _scale_targets(self, encoded):
        return encoded.values

    def _validation_rows(self, task):
        if not self.calibrate or task.valid_rows is None:
            return None
        return tuple(None if a is None else a[task.valid_rows] for a in task.validation_data)

    def _calibrate(self, architecture, network, X, targets, weights):
        outputs = self._compute(
            X, architecture, network.coefs, network.intercepts, network.buffers
        )
        factor = find_inverse_temperature(outputs, targets, weights)
        self._rescale_(network, factor)
        return mean_loss(outputs * factor, targets, weights)

    def _join_members(self, outputs):
        return join_logits(outputs, self._multilabel)

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
        outputs = self._outputs(X)
        return outputs[:, 0] if outputs.shape[1] == 1 and not self._multilabel else outputs

    def predict(self, X):
        """Predict labels.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_labels)
            In the dtype of the labels.
        """
        return labels_of(self._outputs(X), self.classes_, self._multilabel)

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
        return probabilities_of(self._outputs(X), self._multilabel)

    def predict_log_proba(self, X):
        """Predict logarithms of probabilities, also of those that round to zero.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        outputs = self._outputs(X)
        log_p = link(outputs, self._multilabel, inference.log_sigmoid, inference.log_softmax)
        # The logarithm of what predict_proba says, also where that was rounded to one.
        p = probabilities_of(outputs, self._multilabel)
        return np.log(p, out=log_p, where=p > 0.5)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
