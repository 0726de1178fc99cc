"""Description of a fit: its rows, its task, and the attributes known before training."""

import warnings
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.sparse import issparse
from sklearn.callback import ProgressBar
from sklearn.utils import check_consistent_length

from ..inference.heads import Labels, Numbers
from ..inference.inputs import Inputs, check_first_rows
from ..inference.predictor import make_predictor
from ..networks.weights import Weights
from ..scaling import compound_dropout
from ..storage.store import Store
from ..training.random import draw_seed, split_random_state
from ..training.task import Task
from .auto import count_active_inputs
from .sample_weights import (
    check_weights,
    combine_weights,
    multiply_weights,
    rescale_weights,
)
from .validation_scoring import ValidationScorer
from .validation_set import encode_validation, read_validation, split_rows
from .warm_start import Continuation, choose_architecture, initialize


@dataclass
class Rows:
    """Validated rows of a fit.

    Parameters
    ----------
    inputs : Inputs
    numbers, is_complete
        As returned by `Inputs.read`.
    weights : float64 ndarray of shape (n_rows,) or None
        Sample weights times class weights.
    y : ndarray of shape (n_rows,) or (n_rows, n_outputs)
    head : Labels, Numbers or None
        None for a new regressor: its head is fitted once the training rows are known.
    targets : ndarray or None
        Targets of the loss, if the head is known.
    codes : ndarray of int of shape (n_rows,) or None
        Class of each row; None for a regressor or multilabel y.
    of_class : ndarray of shape (n_classes,) or None
        Weight of each class.
    """

    inputs: Inputs
    numbers: np.ndarray
    is_complete: bool
    weights: np.ndarray | None
    y: np.ndarray
    head: Labels | Numbers | None
    targets: np.ndarray | None
    codes: np.ndarray | None
    of_class: np.ndarray | None


@dataclass
class Fit:
    """Results of a fit that are known before training and stored on the estimator after it.

    Parameters
    ----------
    inputs : Inputs
    head : Labels or Numbers
    n_samples_seen : int
    dropout : float
    widths : tuple of int
        Widths of the parameters, before pruning.
    is_reshaped : bool
        Whether a warm start changed the depth or widths of the networks.
    continuation : Continuation
    """

    inputs: Inputs
    head: Labels | Numbers
    n_samples_seen: int
    dropout: float
    widths: tuple = ()
    is_reshaped: bool = False
    continuation: Continuation = field(default_factory=Continuation)


def describe_fit(estimator, X, y, sample_weight, validation_data, former, keeps_shape=False):
    """Return the Task of a call of `fit`, and its Fit.

    Parameters
    ----------
    estimator : ScaledEstimator
    X, y, sample_weight
        As passed to `fit`.
    validation_data : (X_val, y_val, sample_weight_val)
    former : Predictor or None
        Fitted networks that training continues from.
    keeps_shape : bool, default=False
        Whether the networks keep their widths, regardless of the parameters.
    """
    device = resolve_device(estimator)
    rows = read_rows(estimator, X, y, sample_weight, former)
    weights, n_rows, dtype = rows.weights, rows.numbers.shape[0], estimator._network_dtype
    used = np.arange(n_rows) if weights is None else np.flatnonzero(weights > 0)
    n_classes = None if rows.codes is None else len(np.unique(rows.codes[used]))
    if n_classes is not None and n_classes < 2:
        by_class = ""
        if rows.of_class is not None:
            by_class = f" times class_weight={estimator.class_weight!r}"
        raise ValueError(
            f"Rows of {n_classes} class only have a positive sample_weight{by_class}; weights "
            "below 1e-30 of the largest count as zero. A classifier needs at least two classes "
            "with weight."
        )
    seed = draw_seed(estimator.random_state)
    train_rows, valid_rows, validation = used, None, None
    if any(part is not None for part in validation_data):
        validation = read_validation(estimator, rows, *validation_data)
        valid_rows, of_valid = np.arange(len(validation[2])), validation[3]
        if of_valid is not None:
            valid_rows = np.flatnonzero(of_valid > 0)
    elif estimator.early_stopping:
        train_rows, valid_rows = split_rows(
            used, rows.codes, estimator.validation_fraction, split_random_state(seed)
        )
    head, targets, rate = rows.head, rows.targets, None
    if head is None:
        head, targets, rate = estimator._targets.fit_head(rows, train_rows, weights)
    if weights is not None:
        weights = (weights / weights[train_rows].mean()).astype(dtype)
    continuation = Continuation() if former is None else estimator._continuation
    if former is None or rate is not None:
        continuation = replace(continuation, rate=rate)
    task, fit = make_task(
        estimator,
        rows,
        train_rows,
        weights,
        former,
        head=head,
        targets=targets,
        n_samples_seen=len(used),
        continuation=replace(
            continuation, mean_weight=None, target_sample=None, optimizer_states=None
        ),
        keeps_shape=keeps_shape,
        valid_rows=valid_rows,
        seed=seed,
        device=device,
        store=_choose_store(estimator),
    )
    if validation is not None:
        task.validation = encode_validation(estimator, fit, *validation)
    estimator._check_task(task, former is None)
    task.validation_scorer = _make_scorer(
        estimator, task, head, rows.y if validation is None else validation[2]
    )
    return (task if former is None else initialize(estimator, task, fit, former)), fit


def _make_scorer(estimator, task, head, y):
    """Return the ValidationScorer of a task, or None if the loss is the score."""
    if task.valid_rows is None or estimator.validation_scoring == "loss":
        return None
    weights = task.validation_data[2]
    return ValidationScorer(
        estimator.validation_scoring,
        head,
        y[task.valid_rows],
        None if weights is None else weights[task.valid_rows],
    )


def read_rows(estimator, X, y, sample_weight, former, head=None, is_stream=False):
    """Check X, y and weights; return Rows."""
    least = 1 if is_stream else 2
    if former is None:
        used = None
        if sample_weight is not None and hasattr(X, "__len__") and not issparse(X):
            used = np.flatnonzero(check_weights(len(X), sample_weight) > 0)
        inputs, numbers, is_complete = estimator._inputs.fit(
            X, type(estimator).__name__, used, least, **estimator._reading
        )
    else:
        inputs = former.inputs
        numbers, is_complete = inputs.read(X)
        check_first_rows(numbers.shape, inputs.owner, least)
        estimator._check_continues(inputs, issparse(numbers))
    weights = check_weights(numbers.shape[0], sample_weight)
    if not is_stream:  # its sample weights are comparable between calls
        weights = rescale_weights(weights)
    y, head, targets, codes, of_class = estimator._targets.read(y, weights, former, head)
    check_consistent_length(numbers, y)
    if of_class is not None:
        join = multiply_weights if is_stream else combine_weights
        weights = join(of_class[codes], weights)
    return Rows(inputs, numbers, is_complete, weights, y, head, targets, codes, of_class)


def make_task(
    estimator,
    rows,
    train_rows,
    weights,
    former,
    *,
    head,
    targets,
    n_samples_seen,
    continuation,
    is_stream=False,
    keeps_shape=False,
    **settings,
):
    """Return a Task and its Fit.

    Parameters
    ----------
    estimator : ScaledEstimator
    rows : Rows
    train_rows : ndarray of int64
    weights : ndarray of shape (n_rows,) or None
        Sample weights, with mean one over the training rows.
    former : Predictor or None
    head : Labels or Numbers
    targets : ndarray
        Targets of all rows.
    n_samples_seen : int
    continuation : Continuation
    is_stream, keeps_shape : bool
    **settings
        Further fields of Task.
    """
    inputs, dtype = rows.inputs, estimator._network_dtype
    if former is None:
        inputs = inputs.fit_encoding(
            rows.numbers,
            rows.is_complete,
            train_rows,
            weights,
            dtype,
            targets,
            **estimator._encoding,
        )
    else:
        inputs = inputs.follow(rows.numbers, train_rows, estimator.n_samples_seen_)
    # A call of a stream has few rows, but sees each once: "auto" needs no dropout.
    n_rows = np.inf if is_stream else len(train_rows)
    dropout = estimator._resolve_dropout(n_rows, inputs.n_features)
    dropout = compound_dropout(dropout, estimator.phi)
    fit = Fit(inputs, head, n_samples_seen, dropout, continuation=continuation)
    x = inputs.encode(rows.numbers, dtype, rows.is_complete)
    fan_in = None if inputs.scales or former is not None else count_active_inputs(x)
    task = Task(
        architecture=choose_architecture(estimator, fit, fan_in, former, keeps_shape),
        recipe=estimator._describe_recipe(len(train_rows), dropout),
        loss=estimator._targets.loss(head),
        X=x,
        targets=targets,
        weights=None if weights is None else weights.astype(dtype, copy=False),
        train_rows=train_rows,
        precision=estimator.precision,
        **settings,
        **estimator._describe_images(inputs),
    )
    return task, fit


def describe_fitted(estimator, network, fit):
    """Return the fitted attributes of a network, which may still be in training."""
    return {
        "predictor_": make_predictor(fit.inputs, network, fit.head),
        "n_samples_seen_": fit.n_samples_seen,
        "dropout_": fit.dropout,
        **estimator._scale_attributes(fit.inputs),
        "_continuation": fit.continuation,
    }


def resolve_device(estimator):
    """Return the torch device of the parameters."""
    # Imported here: an estimator that only predicts needs no torch.
    try:
        from ..networks import device
    except ImportError as error:
        raise ImportError(
            "Fitting needs torch and skorch (predicting does not): "
            f"pip install torch skorch. The import failed: {error}"
        ) from error
    return device.resolve_device(estimator.device)


def _choose_store(estimator):
    """Return the cache of trained networks, or None."""
    store = Store.at(estimator.memory)
    # Callbacks other than ProgressBar may stop a training or need each of its epochs.
    callbacks = vars(estimator).get("_skl_callbacks", ())
    if store is None or any(type(callback) is not ProgressBar for callback in callbacks):
        return None
    if estimator.random_state is None:
        if estimator.teacher is None:
            warnings.warn(
                "memory is set and random_state is None: every fit draws other random "
                "numbers, so no cached network can be found again. Set random_state to an "
                "int, or memory=None.",
                UserWarning,
                stacklevel=7,
            )
        return None
    return store


def make_network(estimator, architecture, networks):
    """Return the trained networks of an ensemble as one FittedNetwork."""
    weights = Weights.stack([network.weights for network in networks])
    factors = np.array([network.factor for network in networks])
    return architecture.family.fitted_network(architecture, weights, factors, estimator.device)
