"""Continued training of fitted networks, for `warm_start`, `partial_fit` and `prune`."""

from dataclasses import dataclass, replace

import numpy as np

from ..networks.weights import Weights


@dataclass(frozen=True)
class Continuation:
    """State for continued training, in addition to the predictor.

    Parameters
    ----------
    mean_weight : float or None
        Mean sample weight of a stream; None after `fit`.
    rate : ndarray of shape (n_outputs,) or None
        Mean of the counts so far, for loss="poisson".
    full_widths : tuple of int or None
        Widths before pruning, if the network was pruned.
    has_masks : bool
        Whether single weights were pruned; these stay zero.
    optimizer_states : list of OptimizerState or None
        State for each network of a stream.
    """

    mean_weight: float | None = None
    rate: np.ndarray | None = None
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


def go_on(estimator, task, fit, former):
    """Initialize a task with the fitted networks, reshaped to new depth or widths if needed."""
    from ..compression.growth import reshape

    before, architecture = former.network.architecture, task.architecture
    if not architecture.is_reshape_of(before):
        return replace(task, initial=former_weights(estimator, former, architecture))
    fit.is_reshaped = True
    # Pruning of the former shape does not apply to the new one.
    fit.continuation = replace(fit.continuation, full_widths=None, has_masks=False)
    weights = former_weights(estimator, former, before)
    criterion = estimator._pruning.importance
    reshaped = reshape(before, architecture, weights.members, task, criterion)
    return replace(task, initial=Weights.stack(reshaped))


def former_weights(estimator, former, architecture):
    """Return the fitted weights, in the dtype for training."""
    before, weights = former.network.architecture, former.network.weights
    if architecture != before:
        raise ValueError(
            "The fitted network is trained on, so all but its depth and width must stay, "
            f"and in partial_fit these, too: it is {before}, and the "
            f"parameters and data now ask for {architecture}. Use fit with "
            "warm_start=False to begin anew."
        )
    n_members = weights.n_members or 1
    if n_members != estimator.n_estimators:
        raise ValueError(
            "warm_start=True and partial_fit go on with the fitted networks: expected "
            f"n_estimators={n_members}, got {estimator.n_estimators}. Use fit with "
            "warm_start=False to begin anew."
        )
    return weights.astype(estimator._network_dtype)
