"""Fitting of estimators, from the call to the fitted attributes.

A fit sets no attribute before its networks are trained, except those of scikit-learn's
callbacks, so a failed fit leaves the estimator unchanged. A RandomState passed as
`random_state` advances even then, as in scikit-learn.
"""

import contextlib
from dataclasses import replace

import numpy as np
from scipy.sparse import issparse
from sklearn.base import clone

from ..compression.groups import epochs_of_steps
from ..training.random import member_seed
from ..training.task import DivergedError, TrainedNetwork
from .description import describe_fit, describe_fitted, make_network
from .partial_fit import describe_pass
from .progress import watch_epochs
from .students import check_student, describe_student, warn_unless_teacher_helps
from .warm_start import fitted_members

# Number of rows for the finite-output check of a trained network.
_N_CHECKED = 64


def fit(estimator, X, y, sample_weight, *validation_data):
    """Fit an estimator; see the public classes."""
    with _neutral_surroundings():
        estimator._check_combinations()
        if estimator._has_teacher:
            check_student(estimator)
        former = vars(estimator).get("predictor_") if estimator.warm_start else None
        n_fitted = 0 if former is None else former.network.n_members
        task, described = describe_fit(estimator, X, y, sample_weight, validation_data, former)
        without_teacher = None
        if estimator._has_teacher:
            without_teacher = task
            task = describe_student(estimator, task, described, X, y, sample_weight)
        # A warm start without reshaping continues from a network that is already pruned.
        is_new = task.initial is None or described.is_reshaped
        return _train_and_set(
            estimator,
            task,
            described,
            (X, y, sample_weight),
            without_teacher=without_teacher,
            prunes=estimator._pruning.amount > 0 and is_new,
            added_to=fitted_members(estimator) if 0 < n_fitted < estimator.n_estimators else [],
        )


def prune(estimator, X, y, sample_weight):
    """Prune the fitted networks of an estimator; see `skscale.prune`."""
    with _neutral_surroundings():
        estimator._validate_params()
        estimator._check_combinations()
        if estimator._has_teacher:
            check_student(estimator)
        task, described = describe_fit(
            estimator, X, y, sample_weight, (None,) * 3, estimator.predictor_, keeps_shape=True
        )
        if estimator._has_teacher:
            task = describe_student(estimator, task, described, X, y, sample_weight)
        rows = (X, y, sample_weight)
        return _train_and_set(estimator, task, described, rows, trains=False, prunes=True)


def partial_fit(estimator, X, y, sample_weight, head=None):
    """Train an estimator for one epoch on the next rows; see the public classes."""
    with _neutral_surroundings():
        estimator._validate_params()  # scikit-learn does so in the first call only
        estimator._check_combinations()
        if estimator.callbacks:
            raise ValueError(
                "partial_fit runs no skorch callbacks, which expect a training from its "
                "beginning to its end. Set callbacks=None, or use fit."
            )
        former = vars(estimator).get("predictor_")
        task, described = describe_pass(estimator, X, y, sample_weight, former, head)
        return _train_and_set(estimator, task, described, (X, y, sample_weight))


def _train_and_set(
    estimator, task, fit, rows, *, without_teacher=None, trains=True, prunes=False, added_to=()
):
    """Train the networks of a task, prune them, or both, and set the fitted attributes.

    Parameters
    ----------
    estimator : ScaledEstimator
    task : Task
    fit : Fit
    rows : (X, y, sample_weight)
        As passed to `fit`, for scikit-learn's callbacks.
    without_teacher : Task or None
        For a student: the same task without teacher predictions.
    trains, prunes : bool
    added_to : list of TrainedNetwork, default=()
        Fitted members of an ensemble that the networks are added to.
    """
    pruning = _describe_pruning(estimator) if prunes else None
    n_epochs = trains * task.recipe.max_epochs
    n_epochs += 0 if pruning is None else sum(epochs_of_steps(pruning))
    X, y, sample_weight = rows
    metadata = None if sample_weight is None else {"sample_weight": sample_weight}
    seen = {"X": X, "y": y, "metadata": metadata}
    context = estimator._init_callback_context(max_subtasks=n_epochs)
    context.call_on_fit_task_begin(estimator=estimator, **seen)
    if estimator.verbose or "_skl_callbacks" in vars(estimator):
        task.on_epoch_end = watch_epochs(estimator, context, task, fit, n_epochs, seen)
    validation, extreme_rows = _rows_to_check(estimator, task)
    architecture, recipe = task.architecture, task.recipe
    if estimator.callbacks:
        from ..training.skorch_surface import train_with_callbacks

        networks = [train_with_callbacks(task, estimator.callbacks, fit.head)]
    else:
        tasks = _describe_members(estimator, task, fit)[len(added_to) :]
        del task  # only the engine should hold a reference to it
        architecture, networks = _train(
            estimator, tasks, fit, without_teacher, trains, pruning, validation
        )
    for network in networks:
        if isinstance(network, Exception):
            raise network
    for network in networks:
        if validation is not None:
            estimator._targets.calibrate(architecture, network, *validation)
        _check_outputs(estimator, architecture, network, extreme_rows, recipe)
    networks = [*added_to, *networks]
    _set_fitted_attributes(estimator, architecture, networks, fit)
    context.call_on_fit_task_end(estimator=estimator, reconstruction_attributes={}, **seen)
    return estimator


def _train(estimator, tasks, fit, without_teacher, trains, pruning, validation):
    """Return the architecture, and networks or exceptions; may consume `tasks`."""
    from ..fusion.rendezvous import current_job, train_together

    architecture = tasks[0].architecture
    # No comparison without a validation set, nor in a search, which compares candidates.
    if without_teacher is not None and (
        tasks[0].valid_rows is None or current_job() is not None
    ):
        without_teacher = None
    if without_teacher is not None:
        first = tasks[0]
        tasks.append(
            replace(
                without_teacher,
                on_epoch_end=None,
                initial=first.initial,
                pruning_masks=first.pruning_masks,
            )
        )
    if not trains:
        networks = [TrainedNetwork(task.initial) for task in tasks]
    else:
        networks = train_together(tasks if pruning is None else list(tasks))
    if without_teacher is not None:
        warn_unless_teacher_helps(
            estimator, architecture, networks[0], networks.pop(), validation
        )
        tasks = tasks[: len(networks)]
    if pruning is not None and not any(isinstance(n, Exception) for n in networks):
        from ..compression.pruning import prune_networks

        fit.continuation = replace(
            fit.continuation,
            full_widths=fit.widths,
            has_masks=pruning.granularity == "weights",
        )
        architecture, networks = prune_networks(pruning, tasks, networks)
    return architecture, networks


def _describe_members(estimator, task, fit):
    """Return the tasks of all members of the ensemble; the first is the task itself."""
    if task.initial is not None and fit.continuation.has_masks:
        # Pruned weights stay zero.
        task = replace(task, pruning_masks=[c != 0 for c in task.initial.coefs])
    initial, states, n_estimators = task.initial, task.optimizer_state, estimator.n_estimators
    if n_estimators == 1:
        return [replace(task, optimizer_state=states[0])] if states else [task]
    first = [None] * n_estimators if initial is None else initial.members
    return [
        replace(
            task,
            seed=member_seed(task.seed, k),
            initial=first[k],
            pruning_masks=task.pruning_masks and [mask[k] for mask in task.pruning_masks],
            optimizer_state=states and states[k],
            # Only the first member reports progress.
            on_epoch_end=None if k else task.on_epoch_end,
        )
        for k in range(n_estimators)
    ]


def _describe_pruning(estimator):
    pruning = clone(estimator._pruning)
    if pruning.finetune_epochs == "auto":
        pruning.finetune_epochs = estimator._finetune_epochs
    return pruning


def _rows_to_check(estimator, task):
    """Return the rows for calibration and for the finite-output check.

    Returns
    -------
    validation : (X, targets, weights) or None
        Validation set, if outputs are calibrated on it.
    extreme_rows : array of shape (n_checked, n_features)
        Training and validation rows with the largest absolute values.
    """
    rows, X, validation = task.train_rows, task.X, None
    if task.valid_rows is not None and task.validation is None:
        rows = np.concatenate([rows, task.valid_rows])
    if estimator._targets.calibrates and task.valid_rows is not None:
        parts = task.validation_data
        validation = tuple(None if a is None else a[task.valid_rows] for a in parts)
    largest, smallest = X.max(axis=1), X.min(axis=1)
    if issparse(X):
        largest, smallest = largest.toarray().ravel(), smallest.toarray().ravel()
    size = np.maximum(largest, -smallest.astype(np.float64))[rows]
    n = min(_N_CHECKED, len(rows))
    return validation, X[rows[np.argpartition(size, -n)[-n:]]]


def _check_outputs(estimator, architecture, network, rows, recipe):
    """Run the finite-output check of a trained network.

    The losses do not cover the last step, nor every output.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        outputs = make_network(estimator, architecture, [network]).outputs(rows)
    if not np.isfinite(outputs).all():
        raise DivergedError("output for some of the rows of X", network.best_epoch, recipe)


def _set_fitted_attributes(estimator, architecture, networks, fit):
    """Set all fitted attributes; no other function sets any."""
    first, history = networks[0], networks[0].history
    # A callback may record a value in some epochs only.
    names = dict.fromkeys(name for epoch in history for name in epoch)
    peaks = [network.peak_device_bytes for network in networks]
    states = [network.optimizer_state for network in networks]
    network = make_network(estimator, architecture, networks)
    found = {
        **describe_fitted(estimator, network, fit),
        "history_": {
            name: np.array(
                [epoch.get(name, np.nan) for epoch in history],
                dtype=np.int32 if name == "epoch" else estimator._network_dtype,
            )
            for name in names
        },
        "n_iter_": len(history),
        "best_epoch_": first.best_epoch,
        "fit_time_": sum(network.fit_time for network in networks),
        "peak_device_bytes_": None if None in peaks else sum(peaks),
        "_continuation": replace(
            fit.continuation, optimizer_states=None if None in states else states
        ),
    }
    vars(estimator).update(found)


def _neutral_surroundings():
    """Return a context in which torch's settings around a fit have no effect on it."""
    try:
        from ..networks.surroundings import neutral_surroundings
    except ImportError:  # an error with the remedy follows: see `resolve_device`
        return contextlib.nullcontext()
    return neutral_surroundings()
