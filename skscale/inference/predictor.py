"""Predictors: the fitted state of an estimator, and the only path from rows to predictions."""

import math
from dataclasses import dataclass

import numpy as np

from ..networks.interface import FittedNetwork
from ..storage import container
from ..storage.tree import expect, pack
from .columns import FLOAT64
from .heads import Labels, Numbers
from .inputs import Inputs

# Raise it when the previous skscale could not read a file written now, or would read it
# differently. Before the first release, older formats are rejected. From then on all are read,
# and the tests store a file of each.
PREDICTOR_FORMAT = 3
KIND = "frozen"


@dataclass(frozen=True, eq=False)
class Predictor:
    """Prediction from rows in any container; cannot be fitted.

    A fitted estimator stores one as `predictor_`, `skscale.freeze` makes one from a pipeline,
    and `skscale.load_frozen` reads one from a file. With a dense network it needs NumPy only.

    Parameters
    ----------
    inputs : Inputs
        Converts rows to network inputs.
    network : FittedNetwork
        Converts inputs to outputs.
    head : Labels or Numbers
        Converts outputs to predictions.
    """

    inputs: Inputs
    network: FittedNetwork
    head: Labels | Numbers

    # Overflow raises at the end. The decorator takes 0.6 us, a with statement 1.1 us.
    @np.errstate(over="ignore", invalid="ignore", divide="ignore")
    def outputs(self, X):
        """Return the outputs of the network, of shape (n_rows, n_outputs).

        Parameters
        ----------
        X : array-like or frame of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_outputs)
            Ensemble members are joined. A regressor's outputs are float64 if X is.

        Raises
        ------
        TypeError, ValueError
            If X does not match the training rows, or an output is not finite.
        """
        dtype, keeps_float64 = self.network.dtype, self.head.in_dtype_of_X
        x = self.inputs.transform(X, dtype, keeps_float64)
        if keeps_float64 and x.dtype == FLOAT64:
            dtype = FLOAT64
        outputs = self.network.outputs(x)
        # One pass in nearly all cases: a finite sum of squares proves finite outputs.
        if not math.isfinite(np.vdot(outputs, outputs)) and not np.isfinite(outputs).all():
            raise ValueError(
                "The network's output is not finite for some rows of X. Expected values in the "
                "range of the training data: check the rows for extreme values, and the "
                "estimator's weights."
            )
        if outputs.ndim == 3:
            outputs = self.head.join(outputs)
        return outputs if outputs.dtype == dtype else outputs.astype(dtype)

    def predict(self, X):
        """Predict labels or numbers.

        Parameters
        ----------
        X : array-like or frame of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Labels in their dtype, or numbers in the units of y.

        Raises
        ------
        TypeError, ValueError
            If X does not match the training rows, or an output is not finite.
        """
        return self.head.predictions(self.outputs(X))

    def save(self, path):
        """Write the predictor to a file, atomically.

        Parameters
        ----------
        path : str or path-like

        Raises
        ------
        TypeError
            If the network is a module, which needs torch.
        """
        if self.network.needs_torch:
            raise TypeError(
                f"The network of {self.inputs.owner} is a module, which needs torch. Save the "
                "estimator with skscale.save or pickle instead."
            )
        tree = {"inputs": self.inputs, "network": self.network, "head": self.head}
        try:
            payload = pack(tree)
        except TypeError as error:
            raise TypeError(
                f"A predictor file contains plain values and no code: {error}. Save the "
                "estimator with skscale.save or pickle instead."
            ) from error
        container.write(path, KIND, PREDICTOR_FORMAT, payload)

    def check(self):
        """Reject parts that do not match.

        Raises
        ------
        ValueError
        """
        expect(isinstance(self.inputs, Inputs), "an Inputs object")
        expect(isinstance(self.network, FittedNetwork), "a FittedNetwork")
        expect(isinstance(self.head, (Labels, Numbers)), "a Labels or a Numbers head")
        is_classifier = isinstance(self, ClassifierPredictor)
        expect(is_classifier is isinstance(self.head, Labels), "a Labels head of a classifier")
        self.head.check()
        self.network.check()
        self.inputs.check(self.network.n_inputs)
        n_outputs = self.head.n_outputs
        expect(self.network.n_outputs == n_outputs, f"a network of {n_outputs} outputs")

    @property
    def n_features_in_(self):
        """int: number of columns of X, or of values in a sample."""
        return self.inputs.n_features

    @property
    def feature_names_in_(self):
        """ndarray of str of shape (n_features,): column names of the training frame."""
        if self.inputs.names is None:
            raise AttributeError("feature_names_in_ exists only if X had feature names in fit.")
        return np.array(self.inputs.names, dtype=object)

    @property
    def is_categorical_(self):
        """bool ndarray of shape (n_features,): whether a column may hold non-numbers."""
        return np.isin(np.arange(self.inputs.n_features), self.inputs.coded)

    @property
    def missing_values_(self):
        """list of float or None: value to pass for a missing value, one per column.

        None if an imputer fills None, or if None was a training value and NaN was not.
        Otherwise NaN.
        """
        nones = self.inputs.nones
        return [None if c in nones else math.nan for c in range(self.inputs.n_features)]


class ClassifierPredictor(Predictor):
    """Prediction of labels and probabilities: see `Predictor`."""

    @property
    def classes_(self):
        """ndarray of shape (n_classes,): labels, in the order of the probabilities."""
        return self.head.classes

    def decision_function(self, X):
        """Return logits: see `skscale.ScaledMLPClassifier.decision_function`."""
        return self.head.scores(self.outputs(X))

    def predict_proba(self, X):
        """Predict probabilities.

        Parameters
        ----------
        X : array-like or frame of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        return self.head.probabilities(self.outputs(X))

    def predict_log_proba(self, X):
        """Predict log-probabilities: see `predict_proba`."""
        return self.head.log_probabilities(self.outputs(X))


class RegressorPredictor(Predictor):
    """Prediction of numbers: see `Predictor`."""


def make_predictor(inputs, network, head):
    """Make the predictor of a classifier or a regressor, according to the head."""
    kind = ClassifierPredictor if isinstance(head, Labels) else RegressorPredictor
    return kind(inputs, network, head)
