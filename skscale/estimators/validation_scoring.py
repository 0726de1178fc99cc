"""Validation scores by scikit-learn's scorers, for early stopping."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import get_scorer

from ..costs.scoring import accepts_weights
from ..inference.heads import Labels


class _Predicted(BaseEstimator):
    # An estimator for scorers: X holds row numbers of the validation set.

    def __init__(self, head=None, outputs=None):
        self.head = head
        self.outputs = outputs

    def __sklearn_is_fitted__(self):
        return True

    def _outputs_of(self, X):
        return self.outputs[np.asarray(X).reshape(-1)].copy()

    def predict(self, X):
        return self.head.predictions(self._outputs_of(X))


class _PredictedNumbers(RegressorMixin, _Predicted):
    pass


class _PredictedLabels(ClassifierMixin, _Predicted):
    @property
    def classes_(self):
        return self.head.classes

    def decision_function(self, X):
        return self.head.scores(self._outputs_of(X))

    def predict_proba(self, X):
        return self.head.probabilities(self._outputs_of(X))


class ValidationScorer:
    """Score of a network's outputs for the validation set.

    The scorer gets an estimator that predicts from these outputs, and row numbers of the
    validation set as X. A network that is still in training is thus not copied to score it.

    Parameters
    ----------
    scoring : str or callable
        Name of a scorer, or `scorer(estimator, X, y)`.
    head : Labels or Numbers
    y : ndarray of shape (n_valid,) or (n_valid, n_outputs)
        Targets in the units of the user.
    weights : ndarray of shape (n_valid,) or None
        Sample weights, passed to scorers that accept them.
    """

    def __init__(self, scoring, head, y, weights):
        self.scoring = scoring
        self.head = head
        self.y = y
        self.weights = weights

    def __call__(self, outputs):
        """Compute the score.

        Parameters
        ----------
        outputs : ndarray of shape (n_valid, n_outputs)

        Returns
        -------
        float
            NaN if an output is not finite.

        Raises
        ------
        ValueError
            If the score is not a finite number.
        """
        if not np.isfinite(outputs).all():
            return float("nan")
        kind = _PredictedLabels if isinstance(self.head, Labels) else _PredictedNumbers
        scorer = get_scorer(self.scoring) if isinstance(self.scoring, str) else self.scoring
        weighted = {}
        if self.weights is not None and accepts_weights(self.scoring):
            weighted["sample_weight"] = self.weights
        rows = np.arange(len(self.y))[:, None]
        score = scorer(kind(self.head, outputs), rows, self.y, **weighted)
        if not (np.isscalar(score) and np.isfinite(score)):
            raise ValueError(
                f"validation_scoring={self.scoring!r} must return a finite number for the "
                f"validation set of {len(self.y)} rows, got {score!r}. Use another scorer, or "
                "a larger validation_fraction."
            )
        return float(score)
