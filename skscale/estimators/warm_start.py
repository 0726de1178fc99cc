"""Continued training of fitted networks, for `warm_start`, `partial_fit` and `prune`."""

from dataclasses import dataclass, replace

import numpy as np

from ..networks.weights import Weights
from ..training.task import TrainedNetwork
from .targets import TargetSample


@dataclass(frozen=True)
class Continuation:
    """State for continued training, in addition to the predictor.

    Parameters
    ----------
    mean_weight : float or None
        Mean sample weight of a stream; None after `fit`.
    rate : ndarray of shape (n_outputs,) or None
        Mean of the counts so far, for loss="poisson".
    target_sample : TargetSample or None
        Targets of a stream, for a loss with a robust scale.
    full_widths : tuple of int or None
        Widths before pruning, if the network was pruned.
    has_masks : bool
        Whether single weights were pruned; these stay zero.
    optimizer_states : list of OptimizerState or None
        State for each network of a stream.
    """

    mean_weight: float | None = None
    rate: np.ndarray | None = None
    target_sample: TargetSample | None = None
    full_widths: tuple | None = None
    has_masks: bool = False
    optimizer_states: list | None = None


def choose_architecture(estimator, fit, fan_in, former, keeps_shape=False):
    """Return the architecture of the parameters, or in the shape of a pruned network."""
    before = None if former is None else former.network.architecture
    if before is not None:
        fan_in = before.fan_in
    architecture = estimator._build_architecture(fit.inputs, fit.head.n_outputs, fan_in)
    fit.widths = architecture.widths
    is_pruned = fit.continuation.full_widths == architecture.widths
    if before is not None and (keeps_shape or is_pruned):
        return architecture.in_shape_of(before)
    return architecture


def initialize(estimator, task, fit, former):
    """Initialize a task with the fitted networks, reshaped to new depth or widths if needed.

    With a larger `n_estimators` the task is for the added members, with new weights.
    """
    from ..compression.growth import reshape

    before, architecture = former.network.architecture, task.architecture
    if estimator.n_estimators > former.network.n_members:
        if architecture != before:
            raise ValueError(
                "Members can be added to an ensemble of networks of their shape: expected "
                f"{_differences(before, architecture)}, got "
                f"{_differences(architecture, before)} with n_estimators="
                f"{estimator.n_estimators}. Change n_estimators alone, or set warm_start=False."
            )
        if fit.continuation.full_widths is not None or estimator._pruning.amount > 0:
            raise ValueError(
                "Members can be added to an ensemble without pruning: expected "
                f"n_estimators={former.network.n_members}, got {estimator.n_estimators} with "
                f"pruning={estimator.pruning!r}. Set warm_start=False and call fit to train "
                "new networks."
            )
        return task
    if not architecture.is_reshape_of(before):
        return replace(task, initial=former_weights(estimator, former, architecture))
    fit.is_reshaped = True
    # Pruning of the former shape does not apply to the new one.
    fit.continuation = replace(fit.continuation, full_widths=None, has_masks=False)
    weights = former_weights(estimator, former, before)
    criterion = estimator._pruning.importance
    reshaped = reshape(before, architecture, weights.members, task, criterion)
    return replace(task, initial=Weights.stack(reshaped))


def fitted_members(estimator):
    """Return the fitted networks of an estimator as a list of TrainedNetwork.

    The training curve is that of the first; it also has the time and memory of all.
    """
    network, history = estimator.predictor_.network, estimator.history_
    first = {
        "history": [
            {name: values[k].item() for name, values in history.items()}
            for k in range(estimator.n_iter_)
        ],
        "best_epoch": estimator.best_epoch_,
        "fit_time": estimator.fit_time_,
    }
    peak = estimator.peak_device_bytes_
    return [
        TrainedNetwork(
            weights,
            factor=factor,
            peak_device_bytes=peak if k == 0 or peak is None else 0,
            **({} if k else first),
        )
        for k, (weights, factor) in enumerate(
            zip(network.weights.members, network.factors, strict=True)
        )
    ]


def _differences(architecture, other):
    """Return the fields of an architecture in which another one differs, as text."""
    own, others = vars(architecture), vars(other)
    return ", ".join(f"{name}={own[name]!r}" for name in own if own[name] != others[name])


def former_weights(estimator, former, architecture):
    """Return the fitted weights, in the dtype for training."""
    before = former.network.architecture
    if architecture != before:
        raise ValueError(
            "Training continues with the fitted network: warm_start=True can change its depth "
            "and width only, and partial_fit nothing. Expected "
            f"{_differences(before, architecture)}, got {_differences(architecture, before)}. "
            "Set warm_start=False and call fit to train a new network."
        )
    n_members, weights = former.network.n_members, former.network.weights
    if n_members != estimator.n_estimators:
        raise ValueError(
            "Training continues with the fitted networks: expected "
            f"n_estimators={n_members}, got {estimator.n_estimators}. A fit with "
            "warm_start=True can add members, not remove them; partial_fit can do neither. Set "
            "warm_start=False and call fit to train new networks."
        )
    return weights.astype(estimator._network_dtype)
