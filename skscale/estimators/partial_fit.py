"""Training on data streams: one pass over the next rows, for `partial_fit`."""

from dataclasses import replace

import numpy as np

from ..training.random import draw_seed, pass_seed
from ..training.schedules import SCHEDULES
from .description import make_task, read_rows, resolve_device
from .sample_weights import SMALLEST_WEIGHT
from .warm_start import Continuation, former_weights

# Fraction of `learning_rate`: a rate without decay must be smaller.
STREAM_RATE = 0.2


def describe_pass(estimator, X, y, sample_weight, former, head):
    """Return the task of one pass over some rows, and the Fit.

    Parameters
    ----------
    estimator : ScaledEstimator
    X, y, sample_weight
        As passed to `partial_fit`.
    former : Predictor or None
        Predictor fitted to the earlier rows.
    head : Labels or None
        Head for the classes passed with the first rows.

    Returns
    -------
    task : Task
    fit : Fit
    """
    device = resolve_device(estimator)
    known = head if former is None else former.head
    rows = read_rows(estimator, X, y, sample_weight, former, known, is_stream=True)
    weights, n_rows = rows.weights, rows.numbers.shape[0]
    n_before, before = 0, Continuation()
    if former is not None:
        n_before, before = estimator.n_samples_seen_, estimator._continuation
    seed = pass_seed(draw_seed(estimator.random_state), n_before)
    used = np.arange(n_rows) if weights is None else np.flatnonzero(weights > 0)
    if not len(used):
        raise ValueError(
            "No row has a positive weight, class weights included. Expected at least one."
        )
    weights, mean, n_weighed = weigh_stream(weights, used, n_rows, n_before, before)
    head, targets, changes, rescale = estimator._targets.follow(
        rows, used, weights, n_weighed, former
    )
    task, fit = make_task(
        estimator,
        rows,
        used,
        weights,
        former,
        head=head,
        targets=targets,
        n_samples_seen=n_before + len(used),
        continuation=replace(before, mean_weight=mean, optimizer_states=None, **changes),
        is_stream=True,
        valid_rows=None,
        seed=seed,
        device=device,
        keeps_optimizer=True,
    )
    estimator._check_task(task, former is None)
    # A stream has no end to decay the rate towards, and each call is one full pass.
    task.recipe = replace(
        task.recipe,
        max_epochs=1,
        max_seconds=None,
        learning_rate=STREAM_RATE * task.recipe.learning_rate,
        lr_schedule=SCHEDULES["constant"],
    )
    if former is not None:
        task.initial = former_weights(estimator, former, task.architecture)
        if rescale is not None:
            family = task.architecture.family
            task.initial = family.rescale_output(task.initial, *rescale)
        states = before.optimizer_states
        # Another optimizer starts with a state of its own.
        if states is not None and states[0].optimizer == task.recipe.optimizer:
            task.optimizer_state = states
    return task, fit


def weigh_stream(weights, used, n_rows, n_before, before):
    """Scale sample weights to mean one over all rows of a stream, including those of `fit`.

    Parameters
    ----------
    weights : ndarray of shape (n_rows,) or None
    used : ndarray of int
        Rows with positive weight.
    n_rows, n_before : int
        Number of rows in this call, and of rows seen before.
    before : Continuation

    Returns
    -------
    weights : ndarray of shape (n_rows,) or None
    mean : float
        Mean weight of all rows so far.
    n_weighed : float
        Total weight of the earlier rows, in the new scale.
    """
    largest = 1.0 if weights is None else weights.max()
    has_mean = n_before > 0 and before.mean_weight is not None
    # In a unit of the size of the weights, since their sum may overflow or underflow. A power
    # of two changes no digit.
    exponent = np.frexp(max(largest, before.mean_weight) if has_mean else largest)[1]
    own = np.ldexp(largest, -exponent)
    if weights is not None:
        own *= (weights[used] / largest).mean()
    mean = of_before = own
    if has_mean:
        n_seen = n_before + len(used)
        of_before = np.ldexp(before.mean_weight, -exponent)
        mean = of_before * (n_before / n_seen) + own * (len(used) / n_seen)
    mean_weight = float(np.ldexp(mean, exponent))
    if weights is not None or mean_weight != 1.0:
        weights = np.ones(n_rows) if weights is None else weights
        weights = np.ldexp(weights, -exponent) / mean
        # Rows with tiny weights relative to earlier rows still count as rows.
        weights[used] = np.maximum(weights[used], SMALLEST_WEIGHT)
    return weights, mean_weight, n_before * float(of_before / mean)
