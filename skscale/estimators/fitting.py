"""Fitting of estimators, from the call to the fitted attributes."""

import warnings
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.sparse import issparse
from sklearn.base import clone
from sklearn.callback import ProgressBar
from sklearn.utils import check_consistent_length

from ..compression.groups import epochs_of_steps
from ..inference.heads import Labels, Numbers
from ..inference.inputs import Inputs, check_first_rows
from ..inference.predictor import make_predictor
from ..networks.weights import Weights
from ..scaling import compound_dropout
from ..storage.store import Store
from ..training.optimizers import optimizer_of
from ..training.random import draw_seed, split_random_state
from ..training.schedules import schedule_of
from ..training.task import DivergedError, Recipe, Task, TrainedNetwork
from .auto import count_active_inputs, resolve_batch_size, resolve_dropout
from .partial_fit import describe_pass
from .progress import watch_epochs
from .students import describe_student, warn_unless_it_pays
from .targets import check_weights, rescale_weights, split_rows
from .validation_rows import encode_validation, read_validation
from .validation_scoring import ValidationScorer
from .warm_start import Continuation, choose_architecture, go_on

# Offset that separates the seeds of an ensemble's members from those of a stream's passes.
_MEMBER = 1 << 62
# Number of rows for the finite-output check of a trained network.
_N_CHECKED = 64


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


class Trains:
    """Mixin that trains and prunes networks, and sets the fitted attributes.

    A fit sets no attribute before its networks are trained, except those of scikit-learn's
    callbacks, so a failed fit leaves the estimator unchanged. A RandomState passed as
    `random_state` advances even then, as in scikit-learn.

    `former` is the Predictor that training continues from, or None. Subclasses define the
    handling of targets: `_read_targets`, `_fit_head`, `_follow_targets`, `_teach`.
    """

    def _fit(self, X, y, sample_weight, *given):
        """Fit; see the public classes."""
        self._check_combinations()
        if self._is_taught:
            self._check_teacher()
        former = vars(self).get("predictor_") if self.warm_start else None
        task, fit = self._describe_fit(X, y, sample_weight, given, former)
        alone = None
        if self._is_taught:
            task, alone = describe_student(self, task, fit, X, y, sample_weight), task
        # A warm start without reshaping continues from a network that is already pruned.
        prunes = self._pruning.amount > 0 and (task.initial is None or fit.is_reshaped)
        rows = (X, y, sample_weight)
        return self._train_and_adopt(task, fit, rows, alone=alone, prunes=prunes)

    def _prune(self, X, y, sample_weight):
        """Prune the fitted networks; see `skscale.prune`."""
        self._validate_params()
        self._check_combinations()
        if self._is_taught:
            self._check_teacher()
        former, given = self.predictor_, (None, None, None)
        task, fit = self._describe_fit(X, y, sample_weight, given, former, keeps_shape=True)
        if self._is_taught:
            task = describe_student(self, task, fit, X, y, sample_weight)
        rows = (X, y, sample_weight)
        return self._train_and_adopt(task, fit, rows, trains=False, prunes=True)

    def _partial_fit(self, X, y, sample_weight, head=None):
        """Train for one epoch on the next rows; see the public classes."""
        self._validate_params()  # scikit-learn does so in the first call only
        self._check_combinations()
        if self.callbacks:
            raise ValueError(
                "partial_fit runs no skorch callbacks, which expect a training from its "
                "beginning to its end. Set callbacks=None, or use fit."
            )
        former = vars(self).get("predictor_")
        task, fit = describe_pass(self, X, y, sample_weight, former, head)
        return self._train_and_adopt(task, fit, (X, y, sample_weight))

    def _describe_fit(self, X, y, sample_weight, given, former, keeps_shape=False):
        """Return the task and the Fit of a call of `fit`.

        Parameters
        ----------
        X, y, sample_weight
            As passed to `fit`.
        given : (X_val, y_val, sample_weight_val)
        former : Predictor or None
        keeps_shape : bool, default=False
            Whether the networks keep their widths, regardless of the parameters.
        """
        device = self._resolve_device()
        rows = self._read_rows(X, y, sample_weight, former)
        weights, n_rows, dtype = rows.weights, rows.numbers.shape[0], self._network_dtype
        used = np.arange(n_rows) if weights is None else np.flatnonzero(weights > 0)
        n_classes = None if rows.codes is None else len(np.unique(rows.codes[used]))
        if n_classes is not None and n_classes < 2:
            raise ValueError(
                f"Rows of {n_classes} class only have a positive sample_weight. A classifier "
                "needs at least two classes with weight."
            )
        seed = draw_seed(self.random_state)
        train_rows, valid_rows, validation = used, None, None
        if any(part is not None for part in given):
            validation = read_validation(self, rows, *given)
            valid_rows, of_valid = np.arange(len(validation[2])), validation[3]
            if of_valid is not None:
                valid_rows = np.flatnonzero(of_valid > 0)
        elif self.early_stopping:
            train_rows, valid_rows = split_rows(
                used, rows.codes, self.validation_fraction, split_random_state(seed)
            )
        head, targets, rate = rows.head, rows.targets, None
        if head is None:
            head, targets, rate = self._fit_head(rows, train_rows, weights)
        if weights is not None:
            weights = (weights / weights[train_rows].mean()).astype(dtype)
        continuation = Continuation() if former is None else self._continuation
        if former is None or rate is not None:
            continuation = replace(continuation, rate=rate)
        task, fit = self._make_task(
            rows,
            train_rows,
            weights,
            former,
            head=head,
            targets=targets,
            n_samples_seen=len(used),
            continuation=replace(continuation, mean_weight=None, optimizer_states=None),
            keeps_shape=keeps_shape,
            valid_rows=valid_rows,
            seed=seed,
            device=device,
            store=self._store(),
        )
        if validation is not None:
            task.validation = encode_validation(fit, dtype, *validation)
        if valid_rows is not None and self.validation_scoring != "loss":
            y_valid = rows.y if validation is None else validation[2]
            weights_valid = task.validation_data[2]
            task.validation_scorer = ValidationScorer(
                self.validation_scoring,
                head,
                y_valid[valid_rows],
                None if weights_valid is None else weights_valid[valid_rows],
            )
        return (task if former is None else go_on(self, task, fit, former)), fit

    def _read_rows(self, X, y, sample_weight, former, head=None, is_stream=False):
        """Check X, y and weights; return Rows."""
        least = 1 if is_stream else 2
        if former is None:
            used = None
            if sample_weight is not None and hasattr(X, "__len__") and not issparse(X):
                used = np.flatnonzero(check_weights(len(X), sample_weight) > 0)
            inputs, numbers, is_complete = self._inputs.fit(
                X, type(self).__name__, used, least, **self._reading
            )
        else:
            inputs = former.inputs
            numbers, is_complete = inputs.read(X)
            check_first_rows(numbers.shape, inputs.owner, least)
            self._check_goes_on(inputs, issparse(numbers))
        weights = check_weights(numbers.shape[0], sample_weight)
        if not is_stream:  # its sample weights are comparable between calls
            weights = rescale_weights(weights)
        y, head, targets, codes, of_class = self._read_targets(y, weights, former, head)
        check_consistent_length(numbers, y)
        if of_class is not None:
            weights = of_class[codes] * (1.0 if weights is None else weights)
        return Rows(inputs, numbers, is_complete, weights, y, head, targets, codes, of_class)

    def _make_task(
        self,
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
        inputs, dtype = rows.inputs, self._network_dtype
        if former is None:
            inputs = inputs.fit_encoding(
                rows.numbers, rows.is_complete, train_rows, weights, dtype, **self._encoding
            )
        # A call of a stream has few rows, but sees each once: "auto" needs no dropout.
        n_rows = np.inf if is_stream else len(train_rows)
        dropout = compound_dropout(self._resolve_dropout(n_rows, inputs.n_features), self.phi)
        fit = Fit(inputs, head, n_samples_seen, dropout, continuation=continuation)
        x = inputs.encode(rows.numbers, dtype, rows.is_complete)
        fan_in = None if inputs.scales or former is not None else count_active_inputs(x)
        task = Task(
            architecture=choose_architecture(self, fit, fan_in, former, keeps_shape),
            recipe=self._describe_recipe(len(train_rows), dropout),
            loss=self._loss_of(head),
            X=x,
            targets=targets,
            weights=None if weights is None else weights.astype(dtype, copy=False),
            train_rows=train_rows,
            precision=self.precision,
            **settings,
            **self._describe_extras(inputs),
        )
        return task, fit

    # Arguments of `Inputs.fit_encoding`.
    _encoding = {}

    def _follow_targets(self, rows, used, weights, n_weighed, former):
        """Return head, targets, mean of counts or None, and rescaling of outputs or None."""
        return rows.head, rows.targets, None, None

    def _describe_extras(self, inputs):
        """Return further fields of Task for this family."""
        return {}

    def _check_goes_on(self, inputs, is_sparse):
        """Raise an error for rows that a fitted network cannot continue training on."""

    def _resolve_dropout(self, n_rows, n_columns):
        return resolve_dropout(self.dropout, n_rows, n_columns)

    def _describe_recipe(self, n_rows, dropout):
        return Recipe(
            learning_rate=float(self.learning_rate),
            optimizer=optimizer_of(self.optimizer),
            lr_schedule=schedule_of(self.lr_schedule),
            weight_decay=float(self.weight_decay),
            l1=float(self.l1),
            dropout=dropout,
            batch_size=resolve_batch_size(self.batch_size, n_rows),
            max_epochs=int(self.max_epochs),
            max_seconds=self.max_seconds,
            n_iter_no_change=int(self.n_iter_no_change),
            tol=float(self.tol),
        )

    def _resolve_device(self):
        # Imported here: an estimator that only predicts needs no torch.
        try:
            from ..networks.device import resolve_device
        except ImportError as error:
            raise ImportError(
                "Fitting needs torch and skorch (predicting does not): "
                f"pip install torch skorch. What failed: {error}"
            ) from error
        return resolve_device(self.device)

    def _store(self):
        """Return the cache of trained networks, or None."""
        store = Store.at(self.memory)
        # Callbacks other than ProgressBar may stop a training or need each of its epochs.
        callbacks = getattr(self, "_skl_callbacks", ())
        if store is None or any(type(callback) is not ProgressBar for callback in callbacks):
            return None
        if self.random_state is None:
            if self.teacher is None:
                warnings.warn(
                    "memory is set and random_state is None: every fit draws other random "
                    "numbers, and no network that was kept would be found again. Set "
                    "random_state to an int, or memory=None.",
                    UserWarning,
                    stacklevel=7,
                )
            return None
        return store

    def _describe_members(self, task, fit):
        """Return the tasks of all members of the ensemble; the first is the task itself."""
        if task.initial is not None and fit.continuation.has_masks:
            # Pruned weights stay zero.
            task = replace(task, kept_weights=[c != 0 for c in task.initial.coefs])
        initial, states = task.initial, task.optimizer_state
        if self.n_estimators == 1:
            return [replace(task, optimizer_state=states[0])] if states else [task]
        seed = task.seed if isinstance(task.seed, tuple) else (task.seed,)
        first = [None] * self.n_estimators if initial is None else initial.members
        return [
            replace(
                task,
                seed=(*seed, _MEMBER + k) if k else task.seed,
                initial=first[k],
                kept_weights=task.kept_weights and [mask[k] for mask in task.kept_weights],
                optimizer_state=states and states[k],
                # Only the first member reports progress.
                on_epoch_end=None if k else task.on_epoch_end,
            )
            for k in range(self.n_estimators)
        ]

    def _describe_pruning(self):
        pruning = clone(self._pruning)
        if pruning.finetune_epochs == "auto":
            pruning.finetune_epochs = self._finetune_epochs
        return pruning

    def _train_and_adopt(self, task, fit, rows, *, alone=None, trains=True, prunes=False):
        """Train the networks of a task, prune them, or both, and set the fitted attributes.

        Parameters
        ----------
        task : Task
        fit : Fit
        rows : (X, y, sample_weight)
            As passed to `fit`, for scikit-learn's callbacks.
        alone : Task or None
            For a student: the same task without teacher predictions.
        trains, prunes : bool
        """
        pruning = self._describe_pruning() if prunes else None
        n_epochs = trains * task.recipe.max_epochs
        n_epochs += 0 if pruning is None else sum(epochs_of_steps(pruning))
        X, y, sample_weight = rows
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        seen = {"X": X, "y": y, "metadata": metadata}
        context = self._init_callback_context(max_subtasks=n_epochs)
        context.call_on_fit_task_begin(estimator=self, **seen)
        if self.verbose or hasattr(self, "_skl_callbacks"):
            task.on_epoch_end = watch_epochs(self, context, task, fit, n_epochs, seen)
        validation, farthest = self._rows_to_check(task)
        architecture, recipe = task.architecture, task.recipe
        if self.callbacks:
            from ..training.skorch_surface import train_with_callbacks

            networks = [train_with_callbacks(task, self.callbacks, fit.head)]
        else:
            tasks = self._describe_members(task, fit)
            del task  # only the engine should hold a reference to it
            architecture, networks = self._train(tasks, fit, alone, trains, pruning, validation)
        for network in networks:
            if isinstance(network, Exception):
                raise network
        for network in networks:
            if validation is not None:
                self._calibrate(architecture, network, *validation)
            self._check_outputs(architecture, network, farthest, recipe)
        self._adopt(architecture, networks, fit)
        context.call_on_fit_task_end(estimator=self, reconstruction_attributes={}, **seen)
        return self

    def _train(self, tasks, fit, alone, trains, pruning, validation):
        """Return the architecture, and networks or exceptions; may consume `tasks`."""
        from ..fusion.rendezvous import current_job, train_together

        architecture = tasks[0].architecture
        # No comparison without a validation set, nor in a search, which compares candidates.
        if alone is not None and (tasks[0].valid_rows is None or current_job() is not None):
            alone = None
        if alone is not None:
            begin = {name: getattr(tasks[0], name) for name in ("initial", "kept_weights")}
            tasks.append(replace(alone, on_epoch_end=None, **begin))
        if not trains:
            networks = [TrainedNetwork(task.initial) for task in tasks]
        else:
            networks = train_together(tasks if pruning is None else list(tasks))
        if alone is not None:
            warn_unless_it_pays(self, architecture, networks[0], networks.pop(), validation)
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

    # Whether outputs are calibrated on the validation set.
    calibrate = False

    def _rows_to_check(self, task):
        """Return the rows for calibration and for the finite-output check.

        Returns
        -------
        validation : (X, targets, weights) or None
            Validation set of a classifier with `calibrate`.
        farthest : array of shape (n_checked, n_features)
            Training and validation rows with the largest absolute values.
        """
        rows, X, validation = task.train_rows, task.X, None
        if task.valid_rows is not None and task.validation is None:
            rows = np.concatenate([rows, task.valid_rows])
        if self.calibrate and task.valid_rows is not None:
            parts = task.validation_data
            validation = tuple(None if a is None else a[task.valid_rows] for a in parts)
        largest, smallest = X.max(axis=1), X.min(axis=1)
        if issparse(X):
            largest, smallest = largest.toarray().ravel(), smallest.toarray().ravel()
        size = np.maximum(largest, -smallest.astype(np.float64))[rows]
        n = min(_N_CHECKED, len(rows))
        return validation, X[rows[np.argpartition(size, -n)[-n:]]]

    def _check_outputs(self, architecture, network, rows, recipe):
        """Run the finite-output check of a trained network.

        The losses do not cover the last step, nor every output.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            outputs = self._make_network(architecture, [network]).outputs(rows)
        if not np.isfinite(outputs).all():
            what = "output for some of the rows of X"
            raise DivergedError(what, network.best_epoch, recipe)

    def _describe_fitted(self, network, fit):
        """Return the fitted attributes of a network, which may still be in training."""
        return {
            "predictor_": make_predictor(fit.inputs, network, fit.head),
            "n_samples_seen_": fit.n_samples_seen,
            "dropout_": fit.dropout,
            **self._scale_attributes(fit.inputs),
            "_continuation": fit.continuation,
        }

    def _adopt(self, architecture, networks, fit):
        """Set all fitted attributes; no other method sets any."""
        first, history = networks[0], networks[0].history
        # A callback may record a value in some epochs only.
        names = dict.fromkeys(name for epoch in history for name in epoch)
        peaks = [network.peak_device_bytes for network in networks]
        states = [network.optimizer_state for network in networks]
        found = {
            **self._describe_fitted(self._make_network(architecture, networks), fit),
            "history_": {
                name: np.array(
                    [epoch.get(name, np.nan) for epoch in history],
                    dtype=np.int32 if name == "epoch" else self._network_dtype,
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
        vars(self).update(found)


def stack_networks(networks):
    """Return the stacked weights of an ensemble's members, and their output factors."""
    weights = Weights.stack([network.weights for network in networks])
    return weights, np.array([network.factor for network in networks])
