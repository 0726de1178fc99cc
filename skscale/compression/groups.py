"""Hyperparameter groups: the details of pruning and of distillation."""

import math
from numbers import Integral, Real

from sklearn.base import BaseEstimator

from .._sklearn_private import Interval, StrOptions
from ..by_value import ByValue
from .criteria import IMPORTANCES, Importance, importance_of


class _Group(BaseEstimator, ByValue):
    """Hyperparameters of one technique, compared by value.

    A group has parameters, but no `fit`. scikit-learn clones it, lists its parameters under
    nested names (`pruning__amount`) and prints it in short form.
    """

    @classmethod
    def of(cls, value):
        """Return `value` as a group; a plain value becomes its first parameter."""
        return value if isinstance(value, cls) else cls(value)


class Pruning(_Group):
    """Details of pruning, for the parameter `pruning` of an estimator.

    `pruning=0.75` is the short form of `pruning=Pruning(0.75)`. In a grid the names are
    `pruning__amount`, `pruning__importance` and so on.

    Parameters
    ----------
    amount : float, default=0.5
        Fraction of the hidden units (or of the weights: `granularity`) to remove after
        training, 0 to below 1.
    granularity : {"neurons", "weights"}, default="neurons"
        "neurons" removes hidden units with their rows and columns (in convolutional networks,
        channels inside the blocks): the network becomes smaller and faster. Layers with
        residual connections (`residual`) lose the same units. "weights" sets single weights to
        zero, as a regularizer or for sparse export; memory and time stay the same.
    importance : {"taylor", "activation", "magnitude"} or Importance, default="taylor"
        Importance criterion: "taylor" is the first-order change of the loss on training rows
        (Molchanov et al. 2017, eq. 8), "activation" the mean activation, "magnitude" the norm
        of the weights. A subclass of `Importance` is a criterion of your own.
    scope : {"global", "layer"}, default="global"
        "global" removes the least important units of all layers, "layer" the same fraction of
        each layer.
    n_steps : int, default=2
        Number of pruning steps, large at first and small at the end (Zhu and Gupta 2017,
        eq. 1). Each is followed by fine-tuning.
    finetune_epochs : int or "auto", default="auto"
        Epochs of fine-tuning after the last step; a fifth of them after each earlier step.
        "auto" is 50 for dense and 10 for convolutional networks.
    round_to : int, default=1
        Widths are rounded to multiples of this number, which is also the least width of a
        layer. Some processors prefer multiples of 8.

    References
    ----------
    Molchanov, Tyree, Karras, Aila, Kautz (2017). Pruning convolutional neural networks for
    resource efficient inference. ICLR.

    Zhu, Gupta (2017). To prune, or not to prune: exploring the efficacy of pruning for model
    compression. arXiv:1710.01878.

    Examples
    --------
    >>> from skscale import Pruning, ScaledMLPClassifier
    >>> network = ScaledMLPClassifier(pruning=Pruning(0.75, importance="magnitude"))
    >>> network.set_params(pruning__amount=0.5).pruning
    Pruning(importance='magnitude')
    """

    _parameter_constraints = {
        "amount": [Interval(Real, 0, 1, closed="left")],
        "granularity": [StrOptions({"neurons", "weights"})],
        "importance": [StrOptions(set(IMPORTANCES)), Importance],
        "scope": [StrOptions({"global", "layer"})],
        "n_steps": [Interval(Integral, 1, None, closed="left")],
        "finetune_epochs": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "round_to": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        amount=0.5,
        granularity="neurons",
        importance="taylor",
        scope="global",
        n_steps=2,
        finetune_epochs="auto",
        round_to=1,
    ):
        self.amount = amount
        self.granularity = granularity
        self.importance = importance
        self.scope = scope
        self.n_steps = n_steps
        self.finetune_epochs = finetune_epochs
        self.round_to = round_to

    def _validate_params(self):
        """Check each parameter by itself, and that the criterion fits the granularity."""
        super()._validate_params()
        criterion = importance_of(self.importance)
        if self.granularity == "weights" and not criterion.has_weights:
            criterion.of_weights(None)  # raises an error with the remedy


def epochs_of_steps(pruning):
    """Return the epochs of fine-tuning after each pruning step."""
    last = pruning.finetune_epochs
    return [math.ceil(last / 5)] * (pruning.n_steps - 1) + [last]


class Distillation(_Group):
    """Details of distillation, for the parameter `distillation` of an estimator.

    `distillation=0.7` is the short form of `distillation=Distillation(0.7)`. In a grid the
    names are `distillation__weight`, `distillation__temperature` and so on.

    Parameters
    ----------
    weight : float, default=0.5
        Distillation weight: that of the teacher predictions in the loss, 0 (no teacher) to 1
        (no targets). A regressor learns `(1 - weight) * y + weight * prediction`: for the
        losses "quantile" and "absolute_error" the teacher must itself predict a quantile or a
        median.
    temperature : float, default=1.0
        Divisor of the logits of teacher and student in the distillation loss: a higher one
        gives less likely classes more influence (Hinton et al. 2015, section 2). Use 4 to 20
        if the teacher was fitted on more than the training rows. For classifiers.
    cv : int, cross-validation generator, iterable or None, default=5
        Splitter for out-of-fold teacher predictions: in-sample predictions of a strong teacher
        would pass on its overfitting. None fits the teacher once, on all training rows.
    n_synthetic : int, default=0
        Number of synthetic rows with teacher predictions as targets. Their columns are mixed
        from near neighbors (after MUNGE, Bucila et al. 2006). Small students gain much only
        with them. For dense X of dense networks.

    References
    ----------
    Bucila, Caruana, Niculescu-Mizil (2006). Model compression. KDD.

    Hinton, Vinyals, Dean (2015). Distilling the knowledge in a neural network.
    arXiv:1503.02531.

    Examples
    --------
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from skscale import Distillation, ScaledMLPClassifier
    >>> student = ScaledMLPClassifier(
    ...     teacher=RandomForestClassifier(), distillation=Distillation(0.7, temperature=4)
    ... )
    >>> student.distillation
    Distillation(temperature=4, weight=0.7)
    """

    _parameter_constraints = {
        "weight": [Interval(Real, 0, 1, closed="both")],
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "cv": ["cv_object"],
        "n_synthetic": [Interval(Integral, 0, None, closed="left")],
    }

    def __init__(self, weight=0.5, temperature=1.0, cv=5, n_synthetic=0):
        self.weight = weight
        self.temperature = temperature
        self.cv = cv
        self.n_synthetic = n_synthetic
