"""Shared entries of the estimators' docstrings."""

import ast
import inspect
import json

_DEFAULT = "default="
# numpydoc entries by name. Each is written once, so that the docstrings agree; a family
# overrides the entries that differ.
PARAMETERS = {
    "depth": """
    depth : int or None, default=2
        Number of hidden layers. 0 is a linear model. None when `width` is a tuple.
""",
    "width": """
    width : int or tuple of int, default=128
        Units of every hidden layer, or a tuple with the units of each.
""",
    "n_estimators": """
    n_estimators : int, default=1
        Number of networks in an ensemble, trained together on the same rows with different
        initial weights and row orders. Their probabilities or predictions are averaged
        (Lakshminarayanan et al. 2017). `complexity_` counts all of them.
""",
    "resolution": """
    resolution : int or "auto", default="auto"
        Number of bins in a piecewise-linear encoding of each numeric feature, between quantiles
        of the training rows (Gorishniy et al. 2022, eq. 1). The feature itself remains an
        input; 0 means no encoding. For targets that jump or oscillate with a feature: "auto"
        gives 24 bins to the features where the training rows show it (a score test), and none
        without hidden layers, without `preprocessing`, and for a sparse X.
""",
    "phi": """
    phi : float, default=0
        Compound scaling (Tan and Le 2019): multiplies depth, width and resolution by their
        `phi_coefficients` to the power of `phi` (depth rounded up, width and resolution to the
        nearest), and dropout by `1 + 0.2 * phi` (from 0 to 0.5). May be negative or fractional;
        0 changes nothing. If `width` is a tuple, each layer is repeated in proportion to the
        depth. The results are `depth_`, `width_` and `resolution_`.
""",
    "phi_coefficients": """
    phi_coefficients : tuple of three floats, default=(1.2, 1.1, 1.15)
        Coefficients of depth, width and resolution, each at least 1. The defaults are those of
        Tan and Le (2019) for images; `skscale.fit_compound_coefficients` finds coefficients for
        your data.
""",
    "preprocessing": """
    preprocessing : {"auto"} or None, default="auto"
        "auto" centers each numeric feature by its median, divides it by its interquartile
        range, and clips it smoothly to (-3, 3) (Holzmueller et al. 2024, section 3.1). A
        feature with a heavy tail, in which the targets of the training rows are linear (a score
        test), is also an input of the output layer, without clipping. A network without hidden
        layers gets all features without clipping. None uses the numbers unchanged: scale them
        beforehand. Sparse X is not preprocessed.
""",
    "categorical_features": """
    categorical_features : "from_dtype", array-like of {bool, int, str} or None, \
            default="from_dtype"
        Categorical features, which are one-hot encoded. "from_dtype" selects the columns of a
        frame with categories or strings; otherwise pass a mask, indices or names. Infrequent
        categories (of fewer than 5 rows) share one input with unknown categories.
""",
    "activation": """
    activation : {"relu", "gelu", "silu", "mish", "tanh", "logistic"} or Activation, \
            default="silu"
        Activation function of the hidden layers (Elfwing et al. 2018), "gelu" in its tanh form;
        or a custom `Activation`.
""",
    "normalization": """
    normalization : {"layer"} or None, default=None
        Layer normalization (Ba et al. 2016) of the input of every layer but the first, for deep
        networks. Shallow networks are more accurate without it. (Batch normalization is not
        offered: its rows depend on one another, so that a sample weight of 2 would not equal
        repeating the row.)
""",
    "residual": """
    residual : bool, default=True
        Whether a hidden layer adds its input to its output if the widths allow it (He et al.
        2016). Deep networks need it to train.
""",
    "dropout": """
    dropout : float or "auto", default="auto"
        Dropout rate of hidden activations during training (Srivastava et al. 2014). "auto" is
        0.4 if X has more columns than training rows, and at least 100 (as text has, which a
        network would memorize), else 0.
""",
    "l1": """
    l1 : float, default=0.0
        Decoupled L1 penalty: after each step weights move towards zero by `learning_rate * l1`,
        and stop at zero.
""",
    "weight_decay": """
    weight_decay : float, default=0.02
        Decoupled L2 penalty of the weights (Loshchilov and Hutter 2019).
""",
    "pruning": """
    pruning : float or Pruning, default=0.0
        Pruning amount: fraction of the hidden units to remove after training, 0 to below 1,
        followed by fine-tuning; or a `Pruning` with the details. `fit` prunes; `partial_fit`
        and a warm start train the pruned network. See also `skscale.prune`.
""",
    "teacher": """
    teacher : estimator or None, default=None
        Teacher for distillation (Hinton et al. 2015): any scikit-learn classifier or regressor,
        a pipeline, or a larger network of skscale. It is cloned and fitted on the training
        rows, once for all candidates of a search with the same rows. A teacher in a
        FrozenEstimator (`sklearn.frozen`) is used as it is. Pickles of a fitted student exclude
        the teacher. `partial_fit` uses no teacher.
""",
    "distillation": """
    distillation : float or Distillation, default=0.5
        Distillation weight: that of the teacher predictions in the loss, 0 (no teacher) to 1
        (no targets); or a `Distillation` with the details. No effect if `teacher` is None.
""",
    "memory": """
    memory : str, path-like, joblib.Memory or None, default=None
        Cache folder. `fit` stores trained networks, checkpoints of unfinished training (every
        minute) and teacher predictions there, so that an interrupted search resumes. The cache
        key is a hash of the data, the parameters and the versions of skscale and torch;
        checksums protect the files. Needs a `random_state` other than None. Pickles exclude it.
""",
    "optimizer": """
    optimizer : {"adamw", "sgd"} or Optimizer, default="adamw"
        "adamw" is `AdamW()` (Loshchilov and Hutter 2019), "sgd" is `SGD()` with Nesterov
        momentum of 0.9. An object holds the details. The default learning rates are for AdamW.
""",
    "learning_rate": """
    learning_rate : float, default=0.08
        Largest step size of the optimizer, in the NTK parametrization: with AdamW, a weight of
        a layer with `n` inputs moves by `learning_rate / sqrt(n)` a step, so that one value
        fits all widths; a bias moves by 0.1 of `learning_rate`.
""",
    "lr_schedule": """
    lr_schedule : {"coslog4", "cosine", "constant"} or LRSchedule, default="coslog4"
        "coslog4" rises from zero and falls back to it four times within `max_epochs`. Each
        cycle has twice as many steps as the one before, so that early stopping can choose the
        end of an early or a late cycle (Holzmueller et al. 2024, section 3.4). "cosine" falls
        once (Loshchilov and Hutter 2017). Or an `LRSchedule` of your own.
""",
    "batch_size": """
    batch_size : "auto" or int, default="auto"
        Rows per batch. "auto" is the power of two nearest to `1.5 * sqrt(n_rows)`, from 8 to
        1024. A number above that of the rows is full-batch training.
""",
    "max_epochs": """
    max_epochs : int, default=50
        Maximum number of passes over the training rows.
""",
    "max_seconds": """
    max_seconds : float or None, default=None
        Time budget of the training in seconds, which ends with the best weights so far.
""",
    "early_stopping": """
    early_stopping : bool, default=True
        Whether to split off a validation set (stratified by class), score the network on it
        after each epoch, stop when the score no longer rises, and restore the weights of the
        best epoch. If False, all epochs run and the last weights are used: better with fewer
        than about a hundred rows.
""",
    "validation_fraction": """
    validation_fraction : float, default=0.1
        Fraction of the rows in the validation set of early stopping.
""",
    "validation_scoring": """
    validation_scoring : str or callable, default="loss"
        Score of the validation set for early stopping: "loss" is the negative mean loss;
        otherwise the name of a scorer of scikit-learn, such as "roc_auc", or
        `scorer(estimator, X, y)`. Its `estimator` predicts for the validation set only, and its
        `X` holds row numbers. No effect on `partial_fit`.
""",
    "n_iter_no_change": """
    n_iter_no_change : int, default=25
        Number of epochs without an improvement by `tol` after which training stops. A cycle of
        `lr_schedule` improves only towards its end.
""",
    "tol": """
    tol : float, default=1e-4
        Smallest rise of the validation score that counts as an improvement.
""",
    "warm_start": """
    warm_start : bool, default=False
        Whether `fit` continues from the fitted network, with a new optimizer state. With a
        larger `depth` or `width` the network first grows without changing its outputs (Chen et
        al. 2016, "Net2Net"). With a smaller one the least important units (by the importance
        criterion of `pruning`) and the last layers are removed. With a larger `n_estimators`
        only the added networks are trained, as in scikit-learn's ensembles.
""",
    "device": """
    device : str, default="auto"
        Device for training: "cpu", "cuda", "cuda:1"; "auto" is "cuda" if available. "mps" is
        accepted, but untested. Prediction uses NumPy.
""",
    "precision": """
    precision : {"float32", "float64", "bfloat16"}, default="float32"
        Arithmetic of the training. "bfloat16" computes products in bfloat16 and stores weights
        in float32. It is faster for wide networks, on processors and GPUs with bfloat16 matrix
        units.
""",
    "callbacks": """
    callbacks : list of skorch callbacks or None, default=None
        skorch callbacks to run during training. As in skorch, they are not copied, and `fit`
        changes their state. Training then uses skorch's loop and autograd, which is slower.
        Pickles of a fitted estimator exclude them.
""",
    "random_state": """
    random_state : int, RandomState or None, default=None
        Source of all random numbers of a fit. An int makes the result reproducible, whatever
        else is trained at the same time. None uses fresh entropy. The global generators are not
        used.
""",
    "verbose": """
    verbose : int, default=0
        Whether to print one line per epoch.
""",
}
CLASSIFIER = {
    "loss": """
    loss : "log_loss" or Loss, default="log_loss"
        Loss to minimize: the log loss with `label_smoothing`, or an object of your own class,
        a subclass of `skscale.Loss`.
""",
    "label_smoothing": """
    label_smoothing : float, default=0.05
        Fraction of each row's target probability that is spread evenly over all classes
        (Szegedy et al. 2016, section 7), against overconfidence. `history_` reports the
        smoothed loss.
""",
    "calibrate": """
    calibrate : bool, default=True
        Whether to divide logits by the temperature that minimizes the log loss on the
        validation set (temperature scaling: Guo et al. 2017, section 4.2). It compensates for
        label smoothing and changes no predicted label. No effect without a validation set.
""",
    "class_weight": """
    class_weight : dict, "balanced" or None, default=None
        Weight of each class, by label; "balanced" is inversely proportional to its frequency.
""",
}
REGRESSOR = {
    "loss": """
    loss : {"squared_error", "absolute_error", "huber", "quantile", "poisson"} or Loss, \
            default="squared_error"
        Loss to minimize. It determines the prediction: the mean; the median ("absolute_error");
        a compromise between the two that is robust to outliers ("huber": Huber 1964); a
        quantile (Koenker and Bassett 1978); or the mean of non-negative counts or rates, as the
        exponential of the network's output ("poisson"). Or an object of your own class, a
        subclass of `skscale.Loss`.
""",
    "quantile": """
    quantile : float, default=0.5
        Quantile to predict with loss="quantile".
""",
    "huber_delta": """
    huber_delta : float, default=1.0
        Residual above which loss="huber" is linear, in units of `target_scale_`: in standard
        deviations of a normally distributed target, whatever its outliers.
""",
}
ATTRIBUTES = {
    "depth_": """
    depth_ : int
        Number of hidden layers, after scaling by `phi`.
""",
    "width_": """
    width_ : int or tuple of int
        Units of every hidden layer, or of each, after scaling by `phi` and before pruning.
        After pruning they are `complexity_.widths`.
""",
    "resolution_": """
    resolution_ : int
        Number of bins of the encoded features, after scaling by `phi`; 0 without any.
""",
    "dropout_": """
    dropout_ : float
        Dropout rate of the last training.
""",
    "n_features_in_": """
    n_features_in_ : int
        Number of features seen in `fit`.
""",
    "feature_names_in_": """
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X had string column names.
""",
    "predictor_": """
    predictor_ : Predictor
        Predictor of inputs, network and head. The attributes below are read-only views of it,
        except the records of the training.
""",
    "architecture_": """
    architecture_ : DenseArchitecture
        Architecture of the network.
""",
    "coefs_": """
    coefs_ : list of ndarray of shape (n_inputs, n_outputs)
        Weights of each layer, the output layer last; for an ensemble of shape (n_estimators,
        n_inputs, n_outputs).
""",
    "intercepts_": """
    intercepts_ : list of ndarray of shape (n_outputs,)
        Biases of each layer; for an ensemble of shape (n_estimators, n_outputs).
""",
    "encoding_": """
    encoding_ : TableEncoding or None
        Encoding of the features as network inputs; None uses them unchanged.
""",
    "n_samples_seen_": """
    n_samples_seen_ : int
        Number of rows of `fit` and of all later calls of `partial_fit`.
""",
    "history_": """
    history_ : dict of str to ndarray of shape (n_iter_,)
        "epoch" (from 1), "train_loss", "validation_score" (NaN without early stopping),
        "seconds", and the records of skorch callbacks. Of the last `fit` or `partial_fit`, and
        for an ensemble of the first network, as are `n_iter_` and `best_epoch_`.
""",
    "n_iter_": """
    n_iter_ : int
        Number of epochs of the last `fit` or `partial_fit`.
""",
    "fit_time_": """
    fit_time_ : float
        Seconds of training, without the input checks. Networks that are trained together share
        the time.
""",
    "peak_device_bytes_": """
    peak_device_bytes_ : int or None
        Peak GPU memory of the training in bytes, or this network's share of it; None on a CPU
        and with skorch callbacks.
""",
    "best_epoch_": """
    best_epoch_ : int
        Epoch of the final weights. (Weights that a skorch callback restores at the end, such as
        a Checkpoint with `load_best=True`, are not taken into account.)
""",
    "loss_curve_": """
    loss_curve_ : ndarray of shape (n_iter_,)
        Mean training loss of each epoch.
""",
    "validation_scores_": """
    validation_scores_ : ndarray of shape (n_iter_,)
        Score of the validation set after each epoch: see `validation_scoring`.
""",
    "complexity_": """
    complexity_ : Complexity
        `n_parameters`, `n_nonzero`, `n_macs` (multiply-accumulates per row), `depth`, `widths`.
""",
    "net_": """
    net_ : skorch.NeuralNet
        skorch net with a copy of the fitted network, created on access; not for an ensemble.
""",
}
CLASSIFIER_ATTRIBUTES = {
    "classes_": """
    classes_ : ndarray of shape (n_classes,)
        Class labels, including those of rows with sample weight 0; for a multilabel y the
        indices of its columns.
""",
}
REGRESSOR_ATTRIBUTES = {
    "target_mean_, target_scale_": """
    target_mean_, target_scale_ : ndarrays of shape (n_outputs,)
        Mean and standard deviation of the targets over the training rows. The network predicts
        `(y - target_mean_) / target_scale_`, and `history_` is in these units. With
        loss="absolute_error", "huber" or "quantile" they are the median, and the interquartile
        range divided by 1.349, that of a normal distribution (a wider range if it is zero), and
        `history_` clips scaled targets at 10,000, so that outliers set neither. For a constant
        target the scale is 0 and its mean is predicted. With loss="poisson" the network
        predicts `log(y / target_scale_)`, `target_scale_` is the mean, and `target_mean_` is 0.
""",
}

CONVOLUTIONAL = {
    "device": """
    device : str, default="auto"
        Device for training and prediction: "cpu", "cuda", "cuda:1"; "auto" is "cuda" if
        available. Prediction falls back to the CPU if the device is missing. "mps" is accepted,
        but untested.
""",
    "depth": """
    depth : int, default=1
        Number of blocks in each stage.
""",
    "width": """
    width : int or tuple of int, default=24
        Channels of the first stage, doubled in each later stage; or a tuple with the channels
        of each stage, whose length is the number of stages.
""",
    "resolution": """
    resolution : int, default=0
        Length in pixels of the larger side to which images are resized on the device
        (downscaled by area, upscaled bilinearly); 0 keeps their size.
""",
    "phi": """
    phi : float, default=0
        Compound scaling (Tan and Le 2019): multiplies depth, width and resolution by their
        `phi_coefficients` to the power of `phi` (depth rounded up, channels to multiples of 8,
        pixels to even numbers), and dropout by `1 + 0.2 * phi` (from 0 to 0.5). May be negative
        or fractional; 0 changes nothing. The results are `depth_`, `width_` and `resolution_`.
""",
    "image_shape": """
    image_shape : tuple of int or None, default=None
        Height and width, or these and the channels in the order of `channels`, of images passed
        as rows of a table. None is a square of gray pixels if the number of features is a
        square, else one row of gray pixels. Not needed for images of shape (n, height, width).
""",
    "channels": """
    channels : {"auto", "first", "last"}, default="auto"
        Position of the channels: "last" for images of shape (n, height, width, channels),
        "first" for (n, channels, height, width). It is never guessed: "auto" is "last", but
        raises an error if the shape looks like channels first, as (n, 3, 32, 32) does.
""",
    "augmentation": """
    augmentation : {"shift", "flip", "crop", "erase"}, tuple of these or None, default=None
        Random changes of training images at each use: "shift" moves by up to an eighth of the
        side; "flip" mirrors left to right; "crop" zooms into at least 3/4 of the side; "erase"
        replaces, with probability 1/2, a patch of up to half the side by the image's mean
        (Zhong et al. 2020). Accuracy on 12,000 images of Fashion-MNIST: none .897, shift .892,
        flip and erase .899, erase .901.
""",
    "activation": """
    activation : {"relu", "gelu", "silu", "mish", "tanh", "logistic"} or Activation, \
            default="silu"
        Activation function (Elfwing et al. 2018), "gelu" in its tanh form; or a custom
        `Activation`.
""",
    "dropout": """
    dropout : float, default=0.1
        Dropout rate of the last layer's inputs during training (Srivastava et al. 2014).
""",
    "learning_rate": """
    learning_rate : float, default=0.012
        Largest step size of the optimizer.
""",
    "batch_size": """
    batch_size : "auto" or int, default="auto"
        Images per batch. "auto" is half the power of two nearest to `1.5 * sqrt(n_rows)`, from
        8 to 512. A number above that of the rows is full-batch training.
""",
    "weight_decay": """
    weight_decay : float, default=0.05
        Decoupled L2 penalty of the weights (Loshchilov and Hutter 2019).
""",
}
CONVOLUTIONAL_ATTRIBUTES = {
    "image_shape_": """
    image_shape_ : tuple of int
        Height, width and channels, or channels, height and width.
""",
    "pixel_mean_, pixel_scale_": """
    pixel_mean_, pixel_scale_ : ndarrays of shape (n_channels,)
        Mean and inverse standard deviation of each channel over the training images. The
        network input is `(x - pixel_mean_) * pixel_scale_`.
""",
    "depth_": """
    depth_ : int
        Number of blocks in each stage, after scaling by `phi`.
""",
    "width_": """
    width_ : int or tuple of int
        Channels of the first stage, or of each, after scaling by `phi`.
""",
    "resolution_": """
    resolution_ : int
        Length in pixels of the larger side of the network input.
""",
    "architecture_": """
    architecture_ : ConvolutionalArchitecture
        Architecture of the network.
""",
    "coefs_": """
    coefs_ : list of ndarray
        Parameters of two or more dimensions, in torch's order of axes
        (`architecture_.parameter_names`); for an ensemble with the members first.
""",
    "intercepts_": """
    intercepts_ : list of ndarray
        The other parameters.
""",
    "buffers_": """
    buffers_ : list of ndarray
        Arrays that are not trained: mean and inverse standard deviation of the pixels.
""",
    "encoding_": None,
}

MODULE = {
    "device": """
    device : str, default="auto"
        Device for training and prediction: "cpu", "cuda", "cuda:1"; "auto" is "cuda" if
        available. Prediction falls back to the CPU if the device is missing. "mps" is accepted,
        but untested.
""",
    "module": """
    module : type
        Subclass of torch's nn.Module, or a function that returns a module.
""",
    "depth": """
    depth : int or None, default=None
        Passed to the module if set. None uses the module's own default.
""",
    "width": """
    width : int or None, default=None
        Like `depth`.
""",
    "resolution": """
    resolution : int or None, default=None
        Like `depth`.
""",
    "phi": """
    phi : float, default=0
        Compound scaling (Tan and Le 2019) of the module's depth (rounded up), width and
        resolution (rounded to the nearest), as far as it has these arguments: each value set,
        or the module's default, times its coefficient to the power of `phi`, and dropout times
        `1 + 0.2 * phi` (from 0 to 0.5). 0 changes nothing. The results are `depth_`, `width_`
        and `resolution_`.
""",
    "input_dtype": """
    input_dtype : {"float", "int"}, default="float"
        Dtype of the module's input: floating point, or int64, such as word indices.
""",
    "dropout": """
    dropout : float or None, default=None
        Passed to the module if set. None uses the module's own default.
""",
    "learning_rate": """
    learning_rate : float, default=0.005
        Largest step size of the optimizer.
""",
    "batch_size": """
    batch_size : "auto" or int, default="auto"
        Rows per batch. "auto" is the power of two nearest to `1.5 * sqrt(n_rows)`, from 8 to
        1024. One more if the last batch would have a single row, which batch normalization
        rejects.
""",
    "weight_decay": """
    weight_decay : float, default=0.01
        Decoupled L2 penalty of parameters of two or more dimensions (Loshchilov and Hutter
        2019).
""",
    "module_parameters": """
    **module_parameters : dict
        Arguments of the module, each with the prefix `module__`. They are ordinary parameters.
""",
}
MODULE_ATTRIBUTES = {
    "input_shape_": """
    input_shape_ : tuple of int
        Shape of one sample.
""",
    "depth_": """
    depth_ : int or None
        Depth after scaling by `phi`; None if the module has none.
""",
    "width_": """
    width_ : int or None
        Width after scaling by `phi`; None if the module has none.
""",
    "resolution_": """
    resolution_ : int or None
        Resolution after scaling by `phi`; None if the module has none.
""",
    "architecture_": """
    architecture_ : ModuleArchitecture
        Class and arguments of the module, and its cost.
""",
    "coefs_": """
    coefs_ : list of ndarray
        Parameters of two or more dimensions, in the order of the module; for an ensemble with
        the members first.
""",
    "intercepts_": """
    intercepts_ : list of ndarray
        The other parameters.
""",
    "buffers_": """
    buffers_ : list of ndarray
        Arrays that are not trained, such as running means.
""",
    "complexity_": """
    complexity_ : Complexity
        `n_parameters`, `n_nonzero`, `n_macs` (multiply-accumulates per row) and `depth`, which
        is `depth_`; `widths` is None.
""",
    "encoding_": None,
}


def document(parameters, attributes):
    """Return a decorator that fills in the docstring of an estimator.

    Parameters
    ----------
    parameters : dict of str to str
        Entries that add to those of `PARAMETERS` or override them. They are listed in the
        order of the constructor.
    attributes : dict of str to str
        Entries listed before those of `ATTRIBUTES`, which they override under the same name;
        None omits one.
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
    """Return an entry with the signature's default, which differs between families."""
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
