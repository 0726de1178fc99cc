"""What the docstrings of the estimators have in common."""

import ast
import inspect
import json

_DEFAULT = "default="
# Entries of numpydoc by the name of what they describe. Said once, they cannot drift apart; a
# family overrides what is not the same for it.
PARAMETERS = {
    "depth": """
    depth : int or None, default=2
        Number of hidden layers. 0 is a linear model. None when `width` is a tuple.
""",
    "width": """
    width : int or tuple of int, default=128
        Units of every hidden layer, or of each in turn.
""",
    "n_estimators": """
    n_estimators : int, default=1
        Networks of an ensemble, trained together on the same rows from different initial
        weights and in different order; probabilities or numbers are averaged
        (Lakshminarayanan et al. 2017). All count in `complexity_`.
""",
    "resolution": """
    resolution : int, default=0
        How finely numeric features are seen: 0 as one number each; beyond that also by a
        piecewise-linear encoding with so many bins between quantiles of the training rows
        (Gorishniy et al. 2022, eq. 1). For targets that jump or oscillate over a feature.
""",
    "phi": """
    phi : float, default=0
        Compound scaling (Tan and Le 2019): scales depth, width and resolution together, by
        their `phi_coefficients` to the power of `phi` (depth rounded up, width and resolution
        to the nearest), and dropout by `1 + 0.2 * phi` (from 0 to 0.5). May be negative or
        fractional; 0 changes nothing. Of a tuple `width` each layer is repeated for its share
        of the depth. What was built is `depth_`, `width_` and `resolution_`.
""",
    "phi_coefficients": """
    phi_coefficients : tuple of three floats, default=(1.2, 1.1, 1.15)
        Coefficients of depth, width and resolution, each at least 1. The defaults are those of
        Tan and Le (2019), found on images; `skscale.fit_compound_coefficients` finds those for
        your data.
""",
    "preprocessing": """
    preprocessing : {"auto"} or None, default="auto"
        "auto": each numeric feature less its median, over its interquartile range, and
        smoothly clipped to (-3, 3) (Holzmueller et al. 2024, section 3.1). None takes numbers
        as they are: scale them outside. Sparse X is taken as it is.
""",
    "categorical_features": """
    categorical_features : "from_dtype", array-like of {bool, int, str} or None, \
            default="from_dtype"
        The features that are categories, each of which becomes one input for every value:
        "from_dtype" the columns of a frame that hold categories or strings, else a mask,
        indices or names. Values of fewer than 5 rows are taken together, with all that come
        unknown later.
""",
    "activation": """
    activation : {"relu", "gelu", "silu", "mish", "tanh", "logistic"} or Activation, \
            default="silu"
        Activation function of the hidden layers (Elfwing et al. 2018); "gelu" in its tanh form.
        Or an `Activation` of your own.
""",
    "normalization": """
    normalization : {"layer"} or None, default=None
        Layer normalisation (Ba et al. 2016) of the input of every layer but the first: for
        deep networks. Shallow ones are more accurate without. (Batch normalisation is not
        offered: its rows depend on one another, so that weighting a row would not equal
        repeating it.)
""",
    "residual": """
    residual : bool, default=True
        Whether a hidden layer adds to its input where the widths allow it (He et al.
        2016). Deep networks need it to train.
""",
    "dropout": """
    dropout : float or "auto", default="auto"
        Rate at which hidden activations are dropped while training (Srivastava et al.
        2014). "auto" is 0.4 where X has more columns than there are training rows (and 100 at
        least), as text has, which a network would learn by heart, else 0.
""",
    "l1": """
    l1 : float, default=0.0
        Decoupled L1 penalty: after each step weights move by `learning_rate * l1`
        towards zero and stop there.
""",
    "weight_decay": """
    weight_decay : float, default=0.02
        Decoupled L2 penalty of the weights (Loshchilov and Hutter 2019).
""",
    "pruning": """
    pruning : float or Pruning, default=0.0
        Fraction of the hidden units to remove after training, 0 to below 1, followed by
        fine-tuning; or a `Pruning` with the details. `fit` prunes; `partial_fit` and a warm
        start train the pruned network. See also `skscale.prune`.
""",
    "teacher": """
    teacher : estimator or None, default=None
        Teacher of the network (Hinton et al. 2015): any classifier or regressor of
        scikit-learn's kind, a pipeline, or a larger network of skscale. It is cloned and
        fitted on the training rows, once for all candidates of a search with the same rows;
        one in a FrozenEstimator (`sklearn.frozen`) is used as it is. A fitted student's pickle
        leaves it out. `partial_fit` uses no teacher.
""",
    "distillation": """
    distillation : float or Distillation, default=0.5
        Weight of the teacher predictions in the loss, 0 (no teacher) to 1 (no targets), or a
        `Distillation` with the details. Without effect where `teacher` is None.
""",
    "memory": """
    memory : str, path-like, joblib.Memory or None, default=None
        Folder where `fit` keeps trained networks, unfinished trainings (each minute) and what
        teachers said, so that a search that was stopped goes on where it was. What is kept
        is found by the data, the parameters and the versions of skscale and torch, and
        checked by a hash. Needs a `random_state` that is not None. A pickle leaves it out.
""",
    "learning_rate": """
    learning_rate : float, default=0.08
        Largest step size of AdamW, for the trained numbers that weights are made of: a
        weight of a layer with `n` inputs moves `learning_rate / sqrt(n)` a step, so that one
        value serves all widths; a bias 0.1 of `learning_rate`.
""",
    "lr_schedule": """
    lr_schedule : {"coslog4", "cosine", "constant"} or LRSchedule, default="coslog4"
        "coslog4" rises from zero and falls to it four times over `max_epochs`, each time over
        twice as many steps as before, so that the best of an early and a late end can be
        kept (Holzmueller et al. 2024, section 3.4). "cosine" falls once (Loshchilov and
        Hutter 2017).
""",
    "batch_size": """
    batch_size : "auto" or int, default="auto"
        Rows a step. "auto" is the power of two nearest to `1.5 * sqrt(n_rows)`, from 8
        to 1024. More than there are rows is full-batch training.
""",
    "max_epochs": """
    max_epochs : int, default=50
        Most passes over the training rows.
""",
    "max_seconds": """
    max_seconds : float or None, default=None
        Time budget of the training in seconds; the best weights so far are kept.
""",
    "early_stopping": """
    early_stopping : bool, default=True
        Whether to set rows aside (by class, where there are classes), judge each epoch
        by its mean loss on them, stop when it no longer falls, and keep the weights of
        the best epoch. If False, all epochs are run and the last weights kept: better
        with fewer than about a hundred rows.
""",
    "validation_fraction": """
    validation_fraction : float, default=0.1
        Share of the rows set aside for early stopping.
""",
    "n_iter_no_change": """
    n_iter_no_change : int, default=25
        Epochs without an improvement by `tol` after which to stop. A cycle of
        `lr_schedule` improves towards its end only.
""",
    "tol": """
    tol : float, default=1e-4
        Smallest fall of the validation loss that counts as an improvement.
""",
    "warm_start": """
    warm_start : bool, default=False
        Whether `fit` goes on with the fitted network; the optimiser begins anew. With a larger
        `depth` or `width` the network grows first, without changing what it computes (Chen et
        al. 2016, "Net2Net"); with a smaller one the units that matter least (see
        the importance criterion of `pruning`) and the last layers are left out.
""",
    "device": """
    device : str, default="auto"
        Where to train: "cpu", "cuda", "cuda:1"; "auto" is "cuda" where there is one.
        "mps" is accepted, but untested. Prediction is NumPy's.
""",
    "precision": """
    precision : {"float32", "float64", "bfloat16"}, default="float32"
        Arithmetic of the training. "bfloat16" computes products in bfloat16 and keeps
        weights in float32; it pays on processors and GPUs with matrix units for it, and
        for wide networks.
""",
    "callbacks": """
    callbacks : list of skorch callbacks or None, default=None
        skorch callbacks that run during training, as they are: as in skorch, a fit leaves
        its traces in them. Such a fit trains by skorch's loop and autograd, and slower. A
        fitted estimator's pickle leaves them out.
""",
    "random_state": """
    random_state : int, RandomState or None, default=None
        Source of all random numbers of a fit: one int gives one result, whatever else
        runs beside it. None takes fresh entropy. The global generators are not used.
""",
    "verbose": """
    verbose : int, default=0
        Whether to print a line an epoch.
""",
}
CLASSIFIER = {
    "label_smoothing": """
    label_smoothing : float, default=0.05
        Share of each row's target probability that is spread evenly over all classes
        (Szegedy et al. 2016, section 7): against overconfidence. `history_` is of the
        smoothed loss.
""",
    "calibrate": """
    calibrate : bool, default=True
        Whether logits are divided by the temperature that minimises the log loss of the
        validation rows (Guo et al. 2017, section 4.2), which makes up for label smoothing;
        without effect where there are none. It changes no predicted label.
""",
    "class_weight": """
    class_weight : dict, "balanced" or None, default=None
        Weight of each class, by label; "balanced" is inverse to its frequency.
""",
}
REGRESSOR = {
    "loss": """
    loss : {"squared_error", "absolute_error", "huber", "quantile", "poisson"}, \
            default="squared_error"
        What is minimised, and with it what is predicted: the mean; the median (of
        "absolute_error"); something between the two that outliers hardly move (Huber
        1964); a quantile (Koenker and Bassett 1978); the mean of counts or rates from 0,
        by the exponential of what the network puts out.
""",
    "quantile": """
    quantile : float, default=0.5
        The quantile that loss="quantile" predicts.
""",
    "huber_delta": """
    huber_delta : float, default=1.0
        Residual from which on loss="huber" is linear, in standard deviations of the
        target.
""",
}
ATTRIBUTES = {
    "depth_": """
    depth_ : int
        Hidden layers that were built, under `phi`.
""",
    "width_": """
    width_ : int or tuple of int
        Units of every hidden layer that was built, or of each in turn. Pruning removes some:
        `complexity_.widths` are those left.
""",
    "resolution_": """
    resolution_ : int
        Bins that were asked for, under `phi`.
""",
    "dropout_": """
    dropout_ : float
        Rate of the last training.
""",
    "n_features_in_": """
    n_features_in_ : int
        Number of features seen in `fit`.
""",
    "feature_names_in_": """
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where X had string column names.
""",
    "predictor_": """
    predictor_ : Predictor
        What the estimator predicts by: its inputs, its network and its head. The attributes
        below are read-only parts of it, where they are no records of the training.
""",
    "architecture_": """
    architecture_ : DenseArchitecture
        Shape of the network.
""",
    "coefs_": """
    coefs_ : list of ndarray of shape (n_inputs, n_outputs)
        Weights of each layer, the output layer last; of an ensemble
        (n_estimators, n_inputs, n_outputs).
""",
    "intercepts_": """
    intercepts_ : list of ndarray of shape (n_outputs,)
        Biases of each layer; of an ensemble (n_estimators, n_outputs).
""",
    "encoding_": """
    encoding_ : TableEncoding or None
        How features become inputs of the network; None takes them as they are.
""",
    "n_samples_seen_": """
    n_samples_seen_ : int
        Rows of `fit` and of all calls of `partial_fit` since.
""",
    "history_": """
    history_ : dict of str to ndarray of shape (n_iter_,)
        "epoch" (from 1), "train_loss", "validation_score" (NaN without early stopping),
        "seconds", and what skorch callbacks recorded each epoch. Of the last `fit` or
        `partial_fit`, and of an ensemble's first network, as `n_iter_` and `best_epoch_`.
""",
    "n_iter_": """
    n_iter_ : int
        Epochs of the last `fit` or `partial_fit`.
""",
    "fit_time_": """
    fit_time_ : float
        Seconds that training took, without the checks of the input. Of networks that trained
        together each has its share.
""",
    "peak_device_bytes_": """
    peak_device_bytes_ : int or None
        The most memory of the GPU that training held, or this network's share of it; None
        on a CPU, and with skorch callbacks.
""",
    "best_epoch_": """
    best_epoch_ : int
        The epoch whose weights were kept. (What a skorch callback restores at the end, such
        as a Checkpoint with `load_best=True`, it does not know.)
""",
    "loss_curve_": """
    loss_curve_ : ndarray of shape (n_iter_,)
        Mean training loss of each epoch.
""",
    "validation_scores_": """
    validation_scores_ : ndarray of shape (n_iter_,)
        Negative mean loss on the validation rows after each epoch.
""",
    "complexity_": """
    complexity_ : Complexity
        `n_parameters`, `n_nonzero`, `n_macs` (multiply-accumulates a row), `depth`,
        `widths`.
""",
    "net_": """
    net_ : skorch.NeuralNet
        A skorch net with a copy of the fitted network, made on access; not of an ensemble.
""",
}
CLASSIFIER_ATTRIBUTES = {
    "classes_": """
    classes_ : ndarray of shape (n_classes,)
        Class labels, those of rows without weight included; for a multilabel y the
        indices of its columns.
""",
}
REGRESSOR_ATTRIBUTES = {
    "target_mean_, target_scale_": """
    target_mean_, target_scale_ : ndarrays of shape (n_outputs,)
        Mean and standard deviation of the targets over the training rows; the network
        predicts `(y - target_mean_) / target_scale_`. `history_` is in these units. A
        constant target has scale 0, and its mean is predicted. With loss="poisson" the
        network predicts `log(y / target_scale_)`, `target_scale_` is the mean, and
        `target_mean_` 0.
""",
}

CONVOLUTIONAL = {
    "device": """
    device : str, default="auto"
        Where to train and to predict: "cpu", "cuda", "cuda:1"; "auto" is "cuda" where there is
        one. Prediction is on a CPU where the device is not there. "mps" is accepted, but
        untested.
""",
    "depth": """
    depth : int, default=1
        Blocks of each stage.
""",
    "width": """
    width : int or tuple of int, default=24
        Channels of the first stage, each later one having twice those of the one before it; or
        the channels of each stage, which says how many there are.
""",
    "resolution": """
    resolution : int, default=0
        Side in pixels, the larger one, to which images are resized on the device (by areas
        where they shrink, else bilinearly); 0 leaves them as they are.
""",
    "phi": """
    phi : float, default=0
        Compound scaling (Tan and Le 2019): scales depth, width and resolution together, by
        their `phi_coefficients` to the power of `phi` (depth rounded up, channels to multiples
        of 8, pixels to even numbers), and dropout by `1 + 0.2 * phi` (from 0
        to 0.5). May be negative or fractional; 0 changes nothing. What was built is `depth_`,
        `width_` and `resolution_`.
""",
    "image_shape": """
    image_shape : tuple of int or None, default=None
        Height and width, or these and the channels in the order of `channels`, of images that
        come as rows of a table. None is a square of grey pixels where the number of features is
        one, else one row of grey pixels. Images of shape (n, height, width) say it themselves.
""",
    "channels": """
    channels : {"first", "last"}, default="last"
        Where the channels are in images of shape (n, height, width, channels) or (n, channels,
        height, width). Never guessed.
""",
    "augmentation": """
    augmentation : {"shift", "flip", "crop", "erase"}, tuple of these or None, default=None
        How training images are changed at random each time that they are seen: moved by up to
        an eighth of the side; mirrored left to right; zoomed into (3/4 of the side at least);
        a patch of up to half the side replaced by the mean of the image, in every second one
        (Zhong et al. 2020). Accuracy on 12,000 images of Fashion-MNIST: none .897, shift .892,
        flip and erase .899, erase .901.
""",
    "activation": """
    activation : {"relu", "gelu", "silu", "mish", "tanh", "logistic"} or Activation, \
            default="silu"
        Activation function (Elfwing et al. 2018), "gelu" in its tanh form; or an `Activation`
        of your own.
""",
    "dropout": """
    dropout : float, default=0.1
        Rate at which what the last layer sees is dropped while training (Srivastava et al.
        2014).
""",
    "learning_rate": """
    learning_rate : float, default=0.012
        Largest step size of AdamW.
""",
    "batch_size": """
    batch_size : "auto" or int, default="auto"
        Images a step. "auto" is half the power of two nearest to `1.5 * sqrt(n_rows)`, from 8
        to 512. More than there are rows is full-batch training.
""",
    "weight_decay": """
    weight_decay : float, default=0.05
        Decoupled L2 penalty of the weights (Loshchilov and Hutter 2019).
""",
}
CONVOLUTIONAL_ATTRIBUTES = {
    "image_shape_": """
    image_shape_ : tuple of int
        Height, width and channels, or the channels in front.
""",
    "pixel_mean_, pixel_scale_": """
    pixel_mean_, pixel_scale_ : ndarrays of shape (n_channels,)
        Mean of the training images and the inverse of their standard deviation: the network
        sees `(x - pixel_mean_) * pixel_scale_`.
""",
    "depth_": """
    depth_ : int
        Blocks of each stage that were built, under `phi`.
""",
    "width_": """
    width_ : int or tuple of int
        Channels of the first stage that were built, or of each.
""",
    "resolution_": """
    resolution_ : int
        Pixels of the larger side that the network sees.
""",
    "architecture_": """
    architecture_ : ConvolutionalArchitecture
        The shape of the network.
""",
    "coefs_": """
    coefs_ : list of ndarray
        Parameters of two and more dimensions, in torch's order of axes
        (`architecture_.parameter_names`); of an ensemble with the members first.
""",
    "intercepts_": """
    intercepts_ : list of ndarray
        The other parameters.
""",
    "buffers_": """
    buffers_ : list of ndarray
        What is not trained: the moments of the pixels.
""",
    "encoding_": None,
}

MODULE = {
    "device": """
    device : str, default="auto"
        Where to train and to predict: "cpu", "cuda", "cuda:1"; "auto" is "cuda" where there is
        one. Prediction is on a CPU where the device is not there. "mps" is accepted, but
        untested.
""",
    "module": """
    module : type
        A subclass of torch's nn.Module, or a function that returns a module.
""",
    "depth": """
    depth : int or None, default=None
        Passed on where it is set. None is the module's own default.
""",
    "width": """
    width : int or None, default=None
        As depth.
""",
    "resolution": """
    resolution : int or None, default=None
        As depth.
""",
    "phi": """
    phi : float, default=0
        Compound scaling (Tan and Le 2019) of those of depth (rounded up), width and resolution
        (rounded to the nearest) that the module takes, from the values set or its own defaults,
        each by its coefficient to the power of `phi`, and of dropout by `1 + 0.2 * phi` (from 0
        to 0.5). 0 changes nothing. What was built is `depth_`, `width_` and `resolution_`.
""",
    "input_dtype": """
    input_dtype : {"float", "int"}, default="float"
        What the module takes: numbers, or int64, such as the indices of words.
""",
    "dropout": """
    dropout : float or None, default=None
        Passed on where it is set. None is the module's own default.
""",
    "learning_rate": """
    learning_rate : float, default=0.005
        Largest step size of AdamW.
""",
    "batch_size": """
    batch_size : "auto" or int, default="auto"
        Rows a step. "auto" is the power of two nearest to `1.5 * sqrt(n_rows)`, from 8 to
        1024. One more where a single row would be left, which batch normalisation refuses.
""",
    "weight_decay": """
    weight_decay : float, default=0.01
        Decoupled L2 penalty of parameters of two and more dimensions (Loshchilov and Hutter
        2019).
""",
    "module_parameters": """
    **module_parameters : dict
        Arguments of the module, each with the prefix `module__`: parameters like any other.
""",
}
MODULE_ATTRIBUTES = {
    "input_shape_": """
    input_shape_ : tuple of int
        Of a sample.
""",
    "depth_": """
    depth_ : int or None
        Depth that was built, under `phi`; None where the module has none.
""",
    "width_": """
    width_ : int or None
        Width that was built.
""",
    "resolution_": """
    resolution_ : int or None
        Resolution that was built.
""",
    "architecture_": """
    architecture_ : ModuleArchitecture
        The class, its arguments, and what it costs.
""",
    "coefs_": """
    coefs_ : list of ndarray
        Parameters of two and more dimensions, in the order of the module; of an ensemble with
        the members first.
""",
    "intercepts_": """
    intercepts_ : list of ndarray
        The other parameters.
""",
    "buffers_": """
    buffers_ : list of ndarray
        What is not trained, as running means.
""",
    "encoding_": None,
}


def document(parameters, attributes):
    """Return a decorator that fills in the docstring of an estimator.

    Parameters
    ----------
    parameters : dict of str to str
        Entries beside those of `PARAMETERS`, or in place of them. They are listed in the order
        of the constructor.
    attributes : dict of str to str
        Entries in front of those of `ATTRIBUTES`, or, under the same name, in place of them;
        None leaves one out.
    """

    def decorate(cls):
        known = {**PARAMETERS, **parameters}
        taken = list(inspect.signature(cls.__init__).parameters.values())[1:]
        listed = [_with_default(known[p.name], p.default) for p in taken]
        held = {**attributes, **{k: v for k, v in ATTRIBUTES.items() if k not in attributes}}
        cls.__doc__ = cls.__doc__.replace(
            "    {parameters}\n", _section("Parameters", listed)
        ).replace(
            "    {attributes}\n", _section("Attributes", [v for v in held.values() if v]) + "\n"
        )
        return cls

    return decorate


def _with_default(entry, default):
    """Return an entry with the default of the signature, which differs between families."""
    first, _, rest = entry.partition(_DEFAULT)
    if not rest or default is inspect.Parameter.empty:
        return entry
    written, _, rest = rest.partition("\n")
    if ast.literal_eval(written) != default:
        written = json.dumps(default) if isinstance(default, str) else repr(default)
    return f"{first}{_DEFAULT}{written}\n{rest}"


def _section(title, entries):
    lines = [f"\n    {title}\n    {'-' * len(title)}\n"]
    lines += [entry.lstrip("\n") for entry in entries]
    return "".join(lines)
