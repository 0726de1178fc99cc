"""Dense estimators: multilayer perceptrons whose scale is a hyperparameter."""

from numbers import Integral

from .._sklearn_private import Interval, StrOptions
from ..costs.complexity import count
from ..inference.inputs import TableInputs
from ..networks.activations import ACTIVATIONS, Activation
from ..networks.dense.architecture import NORMALIZATIONS, DenseArchitecture
from ..scaling import compound_scale
from .base import ScaledEstimator, view
from .classification import Classifies
from .docstrings import (
    CLASSIFIER,
    CLASSIFIER_ATTRIBUTES,
    REGRESSOR,
    REGRESSOR_ATTRIBUTES,
    document,
)
from .regression import Regresses

# Bins of the columns that `resolution="auto"` chooses.
AUTO_BINS = 24


class ScaledMLP(ScaledEstimator):
    """Base class of the dense estimators."""

    _mixes_columns = True
    _finetune_epochs = 50
    _parameter_constraints = {
        **ScaledEstimator._parameter_constraints,
        "depth": [Interval(Integral, 0, None, closed="left"), None],
        "width": [Interval(Integral, 1, None, closed="left"), tuple, list],
        "resolution": [StrOptions({"auto"}), Interval(Integral, 0, None, closed="left")],
        "preprocessing": [StrOptions({"auto"}), None],
        "categorical_features": ["array-like", StrOptions({"from_dtype"}), None],
        "activation": [StrOptions(set(ACTIVATIONS)), Activation],
        "normalization": [StrOptions(set(NORMALIZATIONS)), None],
        "residual": ["boolean"],
    }

    def _check_combinations(self):
        super()._check_combinations()
        if not isinstance(self.width, Integral):
            for width in self.width:
                if not isinstance(width, Integral) or isinstance(width, bool) or width < 1:
                    raise ValueError(
                        f"width={self.width!r} must hold positive ints, the units of each "
                        f"hidden layer, got {width!r}."
                    )
        self._scale  # noqa: B018 (raises if depth and width contradict each other)

    @property
    def _scale(self):
        return compound_scale(
            self.depth,
            self.width,
            AUTO_BINS if self.resolution == "auto" else self.resolution,
            self.phi,
            self.phi_coefficients,
        )

    def _scale_attributes(self, inputs):
        widths = self._scale.widths
        is_one = isinstance(self.width, Integral) and widths
        return {
            "depth_": len(widths),
            "width_": widths[0] if is_one else widths,
            "resolution_": 0 if inputs.encoding is None else inputs.encoding.n_bins,
        }

    encoding_ = view(
        lambda p: p.inputs.encoding, "Encoding of the columns as inputs of the network."
    )

    @property
    def complexity_(self):
        """Parameters, multiply-accumulates per row, depth and widths."""
        return count(self.coefs_, self.intercepts_)

    def _scale_numbers(self, inputs):
        scale = self._scale
        return len(scale.widths), max(scale.widths, default=0), scale.resolution

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        return tags

    def encode(self, X):
        """Encode features as network inputs: see `encoding_`.

        Parameters
        ----------
        X : array-like, frame or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray or CSR array of shape (n_samples, n_inputs)
        """
        inputs, dtype = self._fitted.inputs, self._fitted.network.dtype
        numbers, is_complete = inputs.read(X)
        encoded = inputs.encode(numbers, dtype, is_complete)
        return encoded.copy() if encoded is numbers else encoded

    _inputs = TableInputs

    @property
    def _reading(self):
        return {"categorical_features": self.categorical_features}

    @property
    def _encoding(self):
        return {
            "preprocessing": self.preprocessing,
            "n_bins": self._scale.resolution,
            "chooses_bins": self.resolution == "auto",
            "clips": bool(self._scale.widths),
        }

    def _check_continues(self, inputs, is_sparse):
        if is_sparse and inputs.encoding is not None:
            raise ValueError(
                "Training continues with the fitted network, which standardizes the columns of "
                "a dense X (see encoding_): expected a dense X, got a sparse one. Pass "
                "X.toarray(), a large X in pieces to partial_fit, or set warm_start=False and "
                "call fit to train a new network."
            )

    def _build_architecture(self, inputs, n_outputs, fan_in):
        encoding = inputs.encoding
        if encoding is not None and encoding.n_bins:
            fan_in = encoding.fan_in
        return DenseArchitecture(
            inputs.n_inputs,
            self._scale.widths,
            n_outputs,
            self.activation,
            self.normalization,
            bool(self.residual),
            scales_inputs=inputs.scales,
            fan_in=fan_in,
            n_direct=inputs.n_direct,
        )


@document(CLASSIFIER, CLASSIFIER_ATTRIBUTES)
class ScaledMLPClassifier(Classifies, ScaledMLP):
    """Classifier with a dense network of given depth and width.

    Accepts binary, multiclass and multilabel targets (a binary indicator matrix), and frames
    with numbers of any scale, categories and missing values. Trains by AdamW on the
    cross-entropy, in float32 by default, with early stopping on a validation set.
    {parameters}
    {attributes}
    See Also
    --------
    ScaledMLPRegressor : The same for regression.

    Notes
    -----
    Sample weights are scaled to mean one over the training rows. The loss of a batch is the
    sum of its weighted losses, divided by the number of rows.

    References
    ----------
    Ba, Kiros, Hinton (2016). Layer normalization. arXiv:1607.06450, eq. 3.

    He, Zhang, Ren, Sun (2016). Identity mappings in deep residual networks. ECCV, eq. 5.

    Loshchilov, Hutter (2017). SGDR: stochastic gradient descent with warm restarts.
    ICLR, eq. 5.

    Loshchilov, Hutter (2019). Decoupled weight decay regularization. ICLR, algorithm 2.

    Srivastava et al. (2014). Dropout: a simple way to prevent neural networks from
    overfitting. JMLR 15.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skscale import ScaledMLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> network = make_pipeline(StandardScaler(), ScaledMLPClassifier(random_state=0))
    >>> grid = {"scaledmlpclassifier__width": [4, 16]}
    >>> search = GridSearchCV(network, grid, cv=3).fit(X, y)
    >>> bool(search.best_score_ > 0.9)
    True
    """

    _parameter_constraints = {
        **ScaledMLP._parameter_constraints,
        **Classifies._classifier_constraints,
    }

    def __init__(
        self,
        depth=2,
        width=128,
        *,
        n_estimators=1,
        resolution="auto",
        phi=0,
        phi_coefficients=(1.2, 1.1, 1.15),
        preprocessing="auto",
        categorical_features="from_dtype",
        activation="silu",
        normalization=None,
        residual=True,
        dropout="auto",
        l1=0.0,
        weight_decay=0.02,
        pruning=0.0,
        teacher=None,
        distillation=0.5,
        memory=None,
        optimizer="adamw",
        learning_rate=0.08,
        lr_schedule="coslog4",
        batch_size="auto",
        max_epochs=50,
        max_seconds=None,
        early_stopping=True,
        validation_fraction=0.1,
        validation_scoring="loss",
        n_iter_no_change=25,
        tol=1e-4,
        loss="log_loss",
        label_smoothing=0.05,
        calibrate=True,
        class_weight=None,
        warm_start=False,
        device="auto",
        precision="float32",
        callbacks=None,
        random_state=None,
        verbose=0,
    ):
        self._assign(locals())


@document(REGRESSOR, REGRESSOR_ATTRIBUTES)
class ScaledMLPRegressor(Regresses, ScaledMLP):
    """Regressor with a dense network of given depth and width, for one or several targets.

    Accepts frames with numbers of any scale, categories and missing values. Trains by AdamW on
    internally standardized targets, in float32 by default, with early stopping on a validation
    set.
    {parameters}
    {attributes}
    See Also
    --------
    ScaledMLPClassifier : The same for classification.

    Notes
    -----
    Sample weights are scaled to mean one over the training rows. The loss of a batch is the
    sum of its weighted losses, divided by the number of rows.

    References
    ----------
    See ScaledMLPClassifier.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skscale import ScaledMLPRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> network = ScaledMLPRegressor(depth=1, width=32, random_state=0)
    >>> network = make_pipeline(StandardScaler(), network).fit(X, y)
    >>> bool(network.score(X, y) > 0.4)
    True
    """

    _parameter_constraints = {
        **ScaledMLP._parameter_constraints,
        **Regresses._regressor_constraints,
    }

    def __init__(
        self,
        depth=2,
        width=128,
        *,
        n_estimators=1,
        resolution="auto",
        phi=0,
        phi_coefficients=(1.2, 1.1, 1.15),
        preprocessing="auto",
        categorical_features="from_dtype",
        activation="silu",
        normalization=None,
        residual=True,
        dropout="auto",
        l1=0.0,
        weight_decay=0.02,
        pruning=0.0,
        teacher=None,
        distillation=0.5,
        memory=None,
        optimizer="adamw",
        learning_rate=0.08,
        lr_schedule="coslog4",
        batch_size="auto",
        max_epochs=50,
        max_seconds=None,
        early_stopping=True,
        validation_fraction=0.1,
        validation_scoring="loss",
        n_iter_no_change=25,
        tol=1e-4,
        loss="squared_error",
        quantile=0.5,
        huber_delta=1.0,
        warm_start=False,
        device="auto",
        precision="float32",
        callbacks=None,
        random_state=None,
        verbose=0,
    ):
        self._assign(locals())
