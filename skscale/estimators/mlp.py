"""The dense estimators: multilayer perceptrons whose scale is a hyperparameter."""

from numbers import Real

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.validation import assert_all_finite, column_or_1d

from .._sklearn_private import (
    Interval,
    StrOptions,
    _check_partial_fit_first_call,
    _fit_context,
)
from ..inference import dense as inference
from .base import ScaledMLP, restores_state
from .calibration import find_inverse_temperature, mean_loss, mean_of_logarithms
from .targets import (
    EncodedTargets,
    encode_classes,
    encode_known_classes,
    find_rate,
    merge_moments,
    scale_targets,
    standardize,
    weigh_classes,
)

# A target whose mean is this many standard deviations away from zero is predicted in
# float64: float32 would round it by up to 6e-5 of a standard deviation.
_FAR_FROM_ZERO = 1_000
# No error of a larger target could be squared.
_LARGEST_TARGET = np.sqrt(np.finfo(np.float64).max)

_PARAMETERS = """
    Parameters
    ----------
    depth : int or None, default=2
        Number of hidden layers. 0 is a linear model. None when `width` is a tuple.
    width : int or tuple of int, default=128
        Units of every hidden layer, or of each in turn.
    n_members : int, default=1
        Networks of an ensemble, trained together on the same rows from different initial
        weights and in different order; probabilities or numbers are averaged
        (Lakshminarayanan et al. 2017). All count in `complexity_`.
    resolution : int, default=0
        How finely numeric features are seen: 0 as one number each; beyond that also by a
        piecewise-linear encoding with so many bins between quantiles of the training rows
        (Gorishniy et al. 2022, eq. 1). For targets that jump or oscillate over a feature.
    preprocessing : {"auto"} or None, default="auto"
        "auto": each numeric feature less its median, over its interquartile range, and
        smoothly clipped to (-3, 3) (Holzmueller et al. 2024, section 3.1). None takes numbers
        as they are: scale them outside. Sparse X is taken as it is.
    categorical_features : "from_dtype", array-like of {bool, int, str} or None, \
            default="from_dtype"
        The features that are categories, each of which becomes one input for every value:
        "from_dtype" the columns of a frame that hold categories or strings, else a mask,
        indices or names. Values of fewer than 5 rows are taken together, with all that come
        unknown later.
    activation : {"relu", "gelu", "silu", "mish", "tanh", "logistic"}, default="silu"
        Non-linearity of the hidden layers (Elfwing et al. 2018); "gelu" is its tanh form.
    normalization : {"layer"} or None, default=None
        Layer normalisation (Ba et al. 2016) of the input of every layer but the first: for
        deep networks. Shallow ones are more accurate without. (Batch normalisation is not
        offered: its rows depend on one another, so that weighting a row would not equal
        repeating it.)
    residual : bool, default=True
        Whether a hidden layer adds to its input where the widths allow it (He et al.
        2016). Deep networks need it to train.
    dropout : float, default=0.0
        Rate at which hidden activations are dropped while training (Srivastava et al.
        2014).
    l1 : float, default=0.0
        Decoupled L1 penalty: after each step weights move by `learning_rate * l1`
        towards zero and stop there.
    weight_decay : float, default=0.02
        Decoupled L2 penalty of the weights (Loshchilov and Hutter 2019).
    pruning : float, default=0.0
        Fraction of the hidden units (or of the weights: `pruning_kind`) that is removed once
        the network is trained, 0 to below 1; then what is left is trained on. `fit` prunes,
        `partial_fit` and a warm start go on with what is left. See also `skscale.prune`.
    pruning_kind : {"neurons", "weights"}, default="neurons"
        "neurons" removes units, and with them their rows and columns: the layers are
        narrower, the pickle smaller and prediction faster. Layers that add to one another
        (`residual`) lose the same units. "weights" makes single weights zero and keeps them
        so: a regulariser, and for sparse export; the network takes as much memory and time
        as before.
    pruning_importance : {"taylor", "activation", "magnitude"}, default="taylor"
        What decides who goes: "taylor", the first-order change of the loss on training rows
        (Molchanov et al. 2017, eq. 8); "activation", the mean activation; "magnitude", the
        norms of the weights.
    pruning_allocation : {"global", "layer"}, default="global"
        Whether the least important of all layers go, or the same fraction of each layer.
    pruning_steps : int, default=2
        Removals on the way, many at first and few at the end (Zhu and Gupta 2017, eq. 1),
        each followed by a training.
    pruning_epochs : int, default=50
        Epochs of the training after the last removal; those before have a fifth of it. They
        are recorded behind the others, and stop early as they do.
    pruning_multiple : int, default=1
        Widths are rounded to multiples of it, and a layer keeps as many units at least; for
        processors that want multiples of 8.
    teacher : estimator or None, default=None
        What the network learns from beside y: any classifier or regressor of scikit-learn's
        kind, a pipeline, or a larger network of ours (Hinton et al. 2015). It is cloned and
        fitted on the training rows, once for all candidates of a search that have these rows
        in common; one in a FrozenEstimator (`sklearn.frozen`) is asked as it is. A fitted
        student's pickle leaves it out.
    distillation_weight : float, default=0.5
        Weight of what the teacher says, from 0 (no teacher) to 1 (nothing but it). A
        regressor learns `(1 - distillation_weight) * y + distillation_weight * said`.
    teacher_cv : int, cross-validation generator, iterable or None, default=5
        What the teacher says of a row comes from one that was fitted without it, in so many
        folds: in-fold labels of a strong teacher teach its overfitting. None fits it once and
        asks it about the rows that it knows.
    n_synthetic : int, default=0
        Rows to learn from besides, labelled by the teacher alone: their columns are mixed of
        near neighbours (after MUNGE, Bucila et al. 2006). Small students need them to gain
        much. For dense X.
    memory : joblib.Memory, str or None, default=None
        Where to keep what teachers said, beyond the process.
    learning_rate : float, default=0.08
        Largest step size of AdamW, for the trained numbers that weights are made of: a
        weight of a layer with `n` inputs moves `learning_rate / sqrt(n)` a step, so that one
        value serves all widths; a bias 0.1 of `learning_rate`.
    lr_schedule : {"cycles", "cosine", "constant"}, default="cycles"
        "cycles" rises from zero and falls to it four times over `max_epochs`, each time over
        twice as many steps as before, so that the best of an early and a late end can be
        kept (Holzmueller et al. 2024, section 3.4). "cosine" falls once (Loshchilov and
        Hutter 2017).
    batch_size : "auto" or int, default="auto"
        Rows a step. "auto" is the power of two nearest to `1.5 * sqrt(n_rows)`, from 8
        to 1024. More than there are rows is full-batch training.
    max_epochs : int, default=50
        Most passes over the training rows.
    max_seconds : float or None, default=None
        Time budget of the training in seconds; the best weights so far are kept.
    early_stopping : bool, default=True
        Whether to set rows aside (by class, where there are classes), judge each epoch
        by its mean loss on them, stop when it no longer falls, and keep the weights of
        the best epoch. If False, all epochs are run and the last weights kept: better
        with fewer than about a hundred rows.
    validation_fraction : float, default=0.1
        Share of the rows set aside for early stopping.
    n_iter_no_change : int, default=25
        Epochs without an improvement by `tol` after which to stop. A cycle of
        `lr_schedule` improves towards its end only.
    tol : float, default=1e-4
        Smallest fall of the validation loss that counts as an improvement."""

_MORE_PARAMETERS = """
    warm_start : bool, default=False
        Whether `fit` goes on with the fitted network; the optimiser begins anew.
    device : str, default="auto"
        Where to train: "cpu", "cuda", "cuda:1"; "auto" is "cuda" where there is one.
        "mps" is accepted, but untested. Prediction is NumPy's.
    precision : {"float32", "float64", "bfloat16"}, default="float32"
        Arithmetic of the training. "bfloat16" computes products in bfloat16 and keeps
        weights in float32; it pays on processors and GPUs with matrix units for it, and
        for wide networks.
    callbacks : list of skorch callbacks or None, default=None
        skorch callbacks that run during training, as they are: as in skorch, a fit leaves
        its traces in them. Such a fit trains by skorch's loop and autograd, and slower. A
        fitted estimator's pickle leaves them out.
    random_state : int, RandomState or None, default=None
        Source of all random numbers of a fit: one int gives one result, whatever else
        runs beside it. None takes fresh entropy. The global generators are not used.
    verbose : int, default=0
        Whether to print a line an epoch.
"""

_ATTRIBUTES = """
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where X had string column names.
    architecture_ : DenseArchitecture
        Shape of the network.
    coefs_ : list of ndarray of shape (n_inputs, n_outputs)
        Weights of each layer, the output layer last; of an ensemble
        (n_members, n_inputs, n_outputs).
    intercepts_ : list of ndarray of shape (n_outputs,)
        Biases of each layer; of an ensemble (n_members, n_outputs).
    encoding_ : TableEncoding or None
        How features become inputs of the network; None takes them as they are.
    n_samples_seen_ : int
        Rows of `fit` and of all calls of `partial_fit` since.
    history_ : dict of str to ndarray of shape (n_iter_,)
        "epoch" (from 1), "train_loss", "validation_score" (NaN without early stopping),
        "seconds", and what skorch callbacks recorded each epoch. Of the last `fit` or
        `partial_fit`, and of an ensemble's first network, as `n_iter_` and `best_epoch_`.
    n_iter_ : int
        Epochs of the last `fit` or `partial_fit`.
    fit_seconds_ : float
        Seconds that training took, without the checks of the input. Of networks that trained
        together each has its share.
    peak_device_bytes_ : int or None
        The most memory of the GPU that training held, or this network's share of it; None
        on a CPU, and with skorch callbacks.
    best_epoch_ : int
        The epoch whose weights were kept. (What a skorch callback restores at the end, such
        as a Checkpoint with `load_best=True`, it does not know.)
    loss_curve_ : ndarray of shape (n_iter_,)
        Mean training loss of each epoch.
    validation_scores_ : ndarray of shape (n_iter_,)
        Negative mean loss on the validation rows after each epoch.
    complexity_ : Complexity
        `n_parameters`, `n_nonzero`, `n_macs` (multiply-accumulates a row), `depth`,
        `widths`.
    net_ : skorch.NeuralNet
        A skorch net with a copy of the fitted network, made on access; not of an ensemble.
"""


def _document(cls):
    # The two classes share nearly all parameters; said once, they cannot drift apart.
    cls.__doc__ = cls.__doc__.format(
        parameters=_PARAMETERS, more_parameters=_MORE_PARAMETERS, attributes=_ATTRIBUTES
    )
    return cls


@_document
class ScaledMLPClassifier(ClassifierMixin, ScaledMLP):
    """Classify by a dense network of a given depth and width.

    Takes binary, multiclass and multilabel targets (a binary indicator matrix). Trains
    by AdamW on the cross-entropy, in float32 by default, with rows set aside for early
    stopping. Takes a frame as it comes: with numbers of any scale, categories and missing
    values.
    {parameters}
    label_smoothing : float, default=0.05
        Share of each row's target probability that is spread evenly over all classes
        (Szegedy et al. 2016, section 7): against overconfidence. `history_` is of the
        smoothed loss.
    calibrate : bool, default=True
        Whether logits are divided by the temperature that minimises the log loss of the
        validation rows (Guo et al. 2017, section 4.2), which makes up for label smoothing;
        without effect where there are none. It changes no predicted label.
    temperature : float, default=2.0
        Logits of teacher and student are divided by it where they are compared, so that the
        less likely classes count for more (Hinton et al. 2015, section 2).
    class_weight : dict, "balanced" or None, default=None
        Weight of each class, by label; "balanced" is inverse to its frequency.{more_parameters}
    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels, those of rows without weight included; for a multilabel y the
        indices of its columns.{attributes}
    See Also
    --------
    ScaledMLPRegressor : The same for numbers.

    Notes
    -----
    Row weights are scaled to mean one over the training rows; the loss of a batch is the
    sum of its rows' weighted losses, divided by their number.

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
    >>> grid = {{"scaledmlpclassifier__width": [4, 16]}}
    >>> search = GridSearchCV(network, grid, cv=3).fit(X, y)
    >>> bool(search.best_score_ > 0.9)
    True
    """

    _parameter_constraints = {
        **ScaledMLP._parameter_constraints,
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "calibrate": ["boolean"],
        "temperature": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        depth=2,
        width=128,
        *,
        n_members=1,
        resolution=0,
        preprocessing="auto",
        categorical_features="from_dtype",
        activation="silu",
        normalization=None,
        residual=True,
        dropout=0.0,
        l1=0.0,
        weight_decay=0.02,
        pruning=0.0,
        pruning_kind="neurons",
        pruning_importance="taylor",
        pruning_allocation="global",
        pruning_steps=2,
        pruning_epochs=50,
        pruning_multiple=1,
        teacher=None,
        distillation_weight=0.5,
        teacher_cv=5,
        n_synthetic=0,
        memory=None,
        learning_rate=0.08,
        lr_schedule="cycles",
        batch_size="auto",
        max_epochs=50,
        max_seconds=None,
        early_stopping=True,
        validation_fraction=0.1,
        n_iter_no_change=25,
        tol=1e-4,
        label_smoothing=0.05,
        calibrate=True,
        temperature=2.0,
        class_weight=None,
        warm_start=False,
        device="auto",
        precision="float32",
        callbacks=None,
        random_state=None,
        verbose=0,
    ):
        super().__init__(
            depth,
            width,
            n_members=n_members,
            resolution=resolution,
            preprocessing=preprocessing,
            categorical_features=categorical_features,
            activation=activation,
            normalization=normalization,
            residual=residual,
            dropout=dropout,
            l1=l1,
            weight_decay=weight_decay,
            pruning=pruning,
            pruning_kind=pruning_kind,
            pruning_importance=pruning_importance,
            pruning_allocation=pruning_allocation,
            pruning_steps=pruning_steps,
            pruning_epochs=pruning_epochs,
            pruning_multiple=pruning_multiple,
            teacher=teacher,
            distillation_weight=distillation_weight,
            teacher_cv=teacher_cv,
            n_synthetic=n_synthetic,
            memory=memory,
            learning_rate=learning_rate,
            lr_schedule=lr_schedule,
            batch_size=batch_size,
            max_epochs=max_epochs,
            max_seconds=max_seconds,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            tol=tol,
            warm_start=warm_start,
            device=device,
            precision=precision,
            callbacks=callbacks,
            random_state=random_state,
            verbose=verbose,
        )
        self.label_smoothing = label_smoothing
        self.calibrate = calibrate
        self.temperature = temperature
        self.class_weight = class_weight

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
        outputs = inference.forward(
            X,
            network.coefs,
            network.intercepts,
            activation=architecture.activation,
            normalization=architecture.normalization,
            residual=architecture.residual,
        )
        factor = find_inverse_temperature(outputs, targets, weights)
        network.coefs[-1] *= network.coefs[-1].dtype.type(factor)
        network.intercepts[-1] *= network.intercepts[-1].dtype.type(factor)
        return mean_loss(outputs * factor, targets, weights)

    def _join_members(self, outputs):
        # Logits of the mean probabilities.
        if outputs.shape[2] > 1 and not self._multilabel:
            return mean_of_logarithms(inference.log_softmax(outputs))
        positive = mean_of_logarithms(inference.log_sigmoid(outputs))
        return positive - mean_of_logarithms(inference.log_sigmoid(-outputs))

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
        outputs = self._outputs(X)
        if self._multilabel:
            return (outputs > 0).astype(np.int64)
        if outputs.shape[1] == 1:
            return self.classes_[(outputs[:, 0] > 0).astype(np.intp)]
        return self.classes_[outputs.argmax(axis=1)]

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
        return self._link(self._outputs(X), inference.sigmoid, inference.softmax)

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
        log_p = self._link(outputs, inference.log_sigmoid, inference.log_softmax)
        # The logarithm of what predict_proba says, also where that was rounded to one.
        p = self._link(outputs, inference.sigmoid, inference.softmax)
        return np.log(p, out=log_p, where=p > 0.5)

    def _link(self, outputs, of_each, of_all):
        if self._multilabel:
            return of_each(outputs)
        if outputs.shape[1] == 1:
            return np.hstack([of_each(-outputs), of_each(outputs)])
        return of_all(outputs)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


@_document
class ScaledMLPRegressor(RegressorMixin, ScaledMLP):
    """Predict one or several numbers by a dense network of a given depth and width.

    Trains by AdamW on the loss of targets that are standardised inside, in float32 by
    default, with rows set aside for early stopping. Takes a frame as it comes: with numbers
    of any scale, categories and missing values.
    {parameters}
    loss : {{"squared_error", "absolute_error", "huber", "quantile", "poisson"}}, \
            default="squared_error"
        What is minimised, and with it what is predicted: the mean; the median (of
        "absolute_error"); something between the two that outliers hardly move (Huber
        1964); a quantile (Koenker and Bassett 1978); the mean of counts or rates from 0,
        by the exponential of what the network puts out.
    quantile : float, default=0.5
        The quantile that loss="quantile" predicts.
    huber_delta : float, default=1.0
        Residual from which on loss="huber" is linear, in standard deviations of the
        target.{more_parameters}
    Attributes
    ----------
    target_mean_, target_scale_ : ndarrays of shape (n_outputs,)
        Mean and standard deviation of the targets over the training rows; the network
        predicts `(y - target_mean_) / target_scale_`. `history_` is in these units. A
        constant target has scale 0, and its mean is predicted. With loss="poisson" the
        network predicts `log(y / target_scale_)`, `target_scale_` is the mean, and
        `target_mean_` 0.{attributes}
    See Also
    --------
    ScaledMLPClassifier : The same for classes.

    Notes
    -----
    Row weights are scaled to mean one over the training rows; the loss of a batch is the
    sum of its rows' weighted losses, divided by their number.

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
        "loss": [
            StrOptions({"squared_error", "absolute_error", "huber", "quantile", "poisson"})
        ],
        "quantile": [Interval(Real, 0, 1, closed="neither")],
        "huber_delta": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        depth=2,
        width=128,
        *,
        n_members=1,
        resolution=0,
        preprocessing="auto",
        categorical_features="from_dtype",
        activation="silu",
        normalization=None,
        residual=True,
        dropout=0.0,
        l1=0.0,
        weight_decay=0.02,
        pruning=0.0,
        pruning_kind="neurons",
        pruning_importance="taylor",
        pruning_allocation="global",
        pruning_steps=2,
        pruning_epochs=50,
        pruning_multiple=1,
        teacher=None,
        distillation_weight=0.5,
        teacher_cv=5,
        n_synthetic=0,
        memory=None,
        learning_rate=0.08,
        lr_schedule="cycles",
        batch_size="auto",
        max_epochs=50,
        max_seconds=None,
        early_stopping=True,
        validation_fraction=0.1,
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
        super().__init__(
            depth,
            width,
            n_members=n_members,
            resolution=resolution,
            preprocessing=preprocessing,
            categorical_features=categorical_features,
            activation=activation,
            normalization=normalization,
            residual=residual,
            dropout=dropout,
            l1=l1,
            weight_decay=weight_decay,
            pruning=pruning,
            pruning_kind=pruning_kind,
            pruning_importance=pruning_importance,
            pruning_allocation=pruning_allocation,
            pruning_steps=pruning_steps,
            pruning_epochs=pruning_epochs,
            pruning_multiple=pruning_multiple,
            teacher=teacher,
            distillation_weight=distillation_weight,
            teacher_cv=teacher_cv,
            n_synthetic=n_synthetic,
            memory=memory,
            learning_rate=learning_rate,
            lr_schedule=lr_schedule,
            batch_size=batch_size,
            max_epochs=max_epochs,
            max_seconds=max_seconds,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            tol=tol,
            warm_start=warm_start,
            device=device,
            precision=precision,
            callbacks=callbacks,
            random_state=random_state,
            verbose=verbose,
        )
        self.loss = loss
        self.quantile = quantile
        self.huber_delta = huber_delta

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
                    f"y must be numbers, got an array of dtype {y.dtype}. For class labels "
                    "use ScaledMLPClassifier; turn times into numbers of a unit."
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
        coef, intercept = self.coefs_[-1], self.intercepts_[-1]
        self.coefs_ = [*self.coefs_[:-1], (coef * factor).astype(coef.dtype)]
        self.intercepts_ = [
            *self.intercepts_[:-1],
            (intercept * factor + shift).astype(intercept.dtype),
        ]
        return self._scale_targets(encoded)

    def _join_members(self, outputs):
        return mean_of_logarithms(outputs) if self._is_log else outputs.mean(axis=0)

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
        outputs = self._outputs(X, in_dtype_of_X=True)
        if self._is_log:
            predicted = inference.exp(outputs) * self.target_scale_
            if self._float32_holds_targets:
                predicted = predicted.astype(outputs.dtype, copy=False)
        else:
            predicted = outputs
            if not self._float32_holds_targets:
                predicted = outputs.astype(np.float64, copy=False)
            predicted *= self.target_scale_
            predicted += self.target_mean_
        return predicted[:, 0] if self._is_column else predicted

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
