"""What is to be trained: from the input of a fit to tasks of the engine."""

import warnings
from dataclasses import replace
from numbers import Integral

import numpy as np
from scipy.sparse import csr_array, issparse
from sklearn.base import is_classifier
from sklearn.callback import ProgressBar
from sklearn.utils import get_tags

from .._sklearn_private import _safe_indexing
from ..scaling import compound_dropout
from ..storage.store import Store
from ..training.random import split_random_state
from ..training.task import Recipe, Task, ValidationSet
from .targets import (
    SMALLEST_WEIGHT,
    check_weights,
    refuse_one_class,
    rescale_weights,
    split_rows,
)

# Rows of a batch under batch_size="auto": about 1.5 sqrt(n), a power of two. Small
# tables need many steps an epoch, large ones wide products.
_SMALLEST_BATCH, _LARGEST_BATCH = 8, 1024
# Sets the seeds of an ensemble's members apart from those of a stream's passes.
_MEMBER = 1 << 62
# Of `learning_rate`, in `partial_fit`: what never falls must be smaller.
STREAM_RATE = 0.2
# Under dropout="auto" where columns outnumber rows. Of 0, 0.3, 0.4 and 0.5: 20 Newsgroups .827,
# .842, .847, .834, a made set .251, .342, .340, .340 (accuracy).
WIDE_DROPOUT = 0.4
# Fewer columns are never wide: of a few rows nothing can be said.
_FEWEST_WIDE = 100


def draw_seed(random_state):
    """Return the seed of a fit.

    Parameters
    ----------
    random_state : None, int or RandomState
        None takes fresh entropy of the operating system; a RandomState is advanced.

    Returns
    -------
    int
    """
    if random_state is None:
        return np.random.SeedSequence().entropy
    if isinstance(random_state, Integral):
        return int(random_state)
    return int(random_state.randint(2**63, dtype=np.int64))


def resolve_dropout(dropout, n_rows, n_columns):
    """Return the rate of dropout of a fit.

    Parameters
    ----------
    dropout : "auto" or float
    n_rows : int
        Training rows.
    n_columns : int
        Columns of X, before any encoding: bins and categories of a column are not more to
        learn by heart.

    Returns
    -------
    float
    """
    if dropout != "auto":
        return float(dropout)
    is_wide = n_columns >= _FEWEST_WIDE and n_columns > n_rows
    return WIDE_DROPOUT if is_wide else 0.0


def resolve_batch_size(batch_size, n_rows):
    """Return the rows of a step.

    Parameters
    ----------
    batch_size : "auto" or int
    n_rows : int
        Training rows.

    Returns
    -------
    int

    Examples
    --------
    >>> [resolve_batch_size("auto", n) for n in (100, 1_500, 10_000, 100_000, 1_000_000)]
    [16, 64, 128, 512, 1024]
    >>> resolve_batch_size(1_000, 300)
    1000
    """
    if batch_size != "auto":
        return int(batch_size)
    nearest = 2 ** round(np.log2(1.5 * np.sqrt(n_rows)))
    return int(min(max(nearest, _SMALLEST_BATCH), _LARGEST_BATCH))


class DescribesTraining:
    """The part of all estimators that turns input into tasks.

    A subclass says what its targets are: `_encode`, `_encode_known`, `_encode_held_out`,
    `_weigh_classes`, `_finish_targets`, `_follow_targets`, `_scale_targets`, `_teach`.
    """

    def _resolve_device(self):
        # Imported here: an estimator that only predicts needs no torch.
        try:
            from ..training.engine import resolve_device
        except ImportError as error:
            raise ImportError(
                "Fitting needs torch and skorch (predicting does not): "
                f"pip install torch skorch. What failed: {error}"
            ) from error
        return resolve_device(self.device)

    def _describe_fit(self, X, y, sample_weight, given, continues=None):
        """Validate the input and describe the training; return a Task."""
        device = self._resolve_device()
        if continues is None:
            continues = self.warm_start and hasattr(self, "coefs_")
        if not continues:
            self.__dict__.pop("_unpruned_widths", None)
            self.__dict__.pop("_has_masks", None)
        X, y = self._check_training_data(
            X, y, sample_weight, reset=not continues, min_samples=2
        )
        weights = rescale_weights(check_weights(X, sample_weight))
        encoded = self._encode(y, continues)
        of_class = self._weigh_classes(encoded, weights)
        if of_class is not None:
            weights = of_class[encoded.strata] * (1.0 if weights is None else weights)
        refuse_one_class(encoded, weights)
        rows = np.arange(X.shape[0]) if weights is None else np.flatnonzero(weights > 0)
        seed = draw_seed(self.random_state)
        train_rows, valid_rows = rows, None
        held_out = self._check_validation_data(X, encoded, of_class, **given)
        if held_out is not None:
            valid_rows = np.arange(held_out[0].shape[0])
            if held_out[2] is not None:
                valid_rows = np.flatnonzero(held_out[2] > 0)
        elif self.early_stopping:
            train_rows, valid_rows = split_rows(
                rows, encoded.strata, self.validation_fraction, split_random_state(seed)
            )
        values = self._finish_targets(encoded, train_rows, weights, continues)
        if weights is not None:
            weights = (weights / weights[train_rows].mean()).astype(self._network_dtype)
        inputs = self._encode_inputs(X, train_rows, weights, continues)
        self.n_samples_seen_ = len(rows)
        dropout = self._resolve_dropout(len(train_rows), X.shape[1])
        self.dropout_ = compound_dropout(dropout, self.phi)
        self._mean_weight = None
        task = self._make_task(
            inputs,
            values,
            weights,
            train_rows,
            architecture=self._describe_architecture(inputs, encoded, continues),
            recipe=self._describe_recipe(len(train_rows)),
            loss=encoded.loss,
            valid_rows=valid_rows,
            validation=self._describe_validation(held_out),
            seed=seed,
            device=device,
            store=self._store(),
        )
        return self._go_on(task) if continues else task

    def _store(self):
        """Return where networks are kept, or None."""
        store = Store.at(self.memory)
        # Others may stop a training, or want to see all of it.
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

    def _describe_pass(self, X, y, sample_weight):
        """Validate some rows and describe one pass over them; return a Task."""
        device = self._resolve_device()
        continues = hasattr(self, "coefs_")
        X, y = self._check_training_data(
            X, y, sample_weight, reset=not continues, min_samples=1
        )
        weights = check_weights(X, sample_weight)
        encoded = self._encode_known(y, continues)
        of_class = self._weigh_classes(encoded, weights)
        if of_class is not None:
            weights = of_class[encoded.strata] * (1.0 if weights is None else weights)
        n_before = self.n_samples_seen_ if continues else 0
        seed = draw_seed(self.random_state)
        if n_before:
            # Else an int would take the rows of every call in one order.
            seed = (seed, n_before)
        rows = np.arange(X.shape[0])
        if weights is not None:
            rows = np.flatnonzero(weights > 0)
            if not len(rows):
                raise ValueError(
                    "No row has a positive weight, class weights included. Expected at "
                    "least one."
                )
        n_seen = n_before + len(rows)
        # Weights have mean one over all rows so far, those of `fit` included.
        own = 1.0
        if weights is not None:
            largest = weights.max()
            own = largest * (weights[rows] / largest).mean()  # their sum may overflow
        mean = before = own
        if n_before and self._mean_weight is not None:
            before = self._mean_weight
            mean = before * (n_before / n_seen) + own * (len(rows) / n_seen)
        if weights is not None or mean != 1.0:
            weights = np.ones(X.shape[0]) if weights is None else weights
            weights = weights / mean
            # Rows that hardly weigh anything beside those before are rows still.
            weights[rows] = np.maximum(weights[rows], SMALLEST_WEIGHT)
        inputs = self._encode_inputs(X, rows, weights, continues)
        weight_before = n_before * (before / mean)
        values = self._follow_targets(encoded, rows, weights, weight_before)
        self.n_samples_seen_, self._mean_weight = n_seen, mean
        # The pieces of a stream are few rows, but each is seen once.
        dropout = self._resolve_dropout(np.inf, X.shape[1])
        self.dropout_ = compound_dropout(dropout, self.phi)
        architecture = self._describe_architecture(inputs, encoded, continues)
        recipe = self._describe_recipe(len(rows))
        return self._make_task(
            inputs,
            values,
            None if weights is None else weights.astype(self._network_dtype),
            rows,
            architecture=architecture,
            # A stream has no end that the rate could fall towards, and a pass is a pass.
            recipe=replace(
                recipe,
                max_epochs=1,
                max_seconds=None,
                learning_rate=STREAM_RATE * recipe.learning_rate,
                lr_schedule="constant",
            ),
            loss=encoded.loss,
            seed=seed,
            device=device,
            initial=self._former_weights(architecture) if continues else None,
            optimizer_state=getattr(self, "_optimizer_state", None) if continues else None,
            keeps_optimizer=True,
        )

    def _make_task(self, X, targets, weights, train_rows, *, valid_rows=None, **description):
        return Task(
            X=X,
            targets=targets,
            weights=weights,
            train_rows=train_rows,
            valid_rows=valid_rows,
            precision=self.precision,
            loss_parameter=self._loss_parameter,
            **self._describe_extras(),
            **description,
        )

    def _describe_extras(self):
        """Return what else a task of this family says, as arguments of Task."""
        return {}

    def _resolve_dropout(self, n_rows, n_columns):
        return resolve_dropout(self.dropout, n_rows, n_columns)

    def _check_training_data(self, X, y, sample_weight=None, *, reset, min_samples):
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the "
                "target y is None."
            )
        X, y = self._validate_features(
            X, y, reset=reset, min_samples=min_samples, sample_weight=sample_weight
        )
        if issparse(y):  # an indicator matrix
            y = y.toarray()
        return X, y

    def _check_validation_data(self, X, encoded, of_class, X_val, y_val, sample_weight_val):
        """Return the validation data as (X, encoded targets, weights), or None."""
        if X_val is None and y_val is None:
            if sample_weight_val is not None:
                raise ValueError(
                    "sample_weight_val is provided, but X_val and y_val were not provided."
                )
            return None
        if X_val is None or y_val is None:
            given, missing = ("y_val", "X_val") if X_val is None else ("X_val", "y_val")
            raise ValueError(f"{given} is provided, but {missing} was not provided.")
        if not self.early_stopping:
            raise ValueError(
                "X_val and y_val are passed to fit while at the same time early_stopping is "
                "False. They are there to stop by: set early_stopping=True, or leave them out."
            )
        X_val, y_val = self._check_training_data(X_val, y_val, reset=False, min_samples=1)
        if issparse(X) and not issparse(X_val):
            X_val = csr_array(X_val)
        elif issparse(X_val) and not issparse(X):
            X_val = X_val.toarray()
        weights = rescale_weights(check_weights(X_val, sample_weight_val))
        held_out = self._encode_held_out(y_val, encoded)
        if of_class is not None:
            weights = of_class[held_out.strata] * (1.0 if weights is None else weights)
            if not weights.any():
                raise ValueError(
                    "No row of X_val has a positive weight, class weights included. Expected "
                    "at least one."
                )
        return X_val, held_out, weights

    def _describe_validation(self, held_out):
        if held_out is None:
            return None
        X, encoded, weights = held_out
        return ValidationSet(
            self._encode_known_inputs(X),
            self._scale_targets(encoded),
            None if weights is None else weights.astype(self._network_dtype),
        )

    def _describe_recipe(self, n_rows):
        return Recipe(
            learning_rate=float(self.learning_rate),
            lr_schedule=self.lr_schedule,
            weight_decay=float(self.weight_decay),
            l1=float(self.l1),
            dropout=self.dropout_,
            batch_size=resolve_batch_size(self.batch_size, n_rows),
            max_epochs=int(self.max_epochs),
            max_seconds=self.max_seconds,
            n_iter_no_change=int(self.n_iter_no_change),
            tol=float(self.tol),
        )

    def _go_on(self, task):
        """Begin with the fitted networks, brought to the depth and widths asked for."""
        from ..compression.reshaping import is_reshaped, reshape

        former, architecture = self.architecture_, task.architecture
        self._is_reshaped = is_reshaped(former, architecture)
        if not self._is_reshaped:
            return replace(task, initial=self._former_weights(architecture))
        # What was pruned of the former shape says nothing of the new one.
        self.__dict__.pop("_unpruned_widths", None)
        self.__dict__.pop("_has_masks", None)
        coefs, intercepts, *others = self._former_weights(former)
        networks = [(coefs, intercepts)]
        if self._n_held > 1:
            networks = [
                ([c[k] for c in coefs], [b[k] for b in intercepts]) for k in range(self._n_held)
            ]
        networks = reshape(former, architecture, networks, task, self.pruning_importance)
        if self._n_held > 1:
            coefs = [np.stack(c) for c in zip(*(n[0] for n in networks), strict=True)]
            intercepts = [np.stack(b) for b in zip(*(n[1] for n in networks), strict=True)]
        else:
            coefs, intercepts = networks[0]
        return replace(task, initial=(coefs, intercepts, *others))

    def _former_weights(self, architecture):
        if architecture != self.architecture_:
            raise ValueError(
                "The fitted network is trained on, so all but its depth and width must stay, "
                f"and in partial_fit these, too: it is {self.architecture_}, and the "
                f"parameters and data now ask for {architecture}. Use fit with "
                "warm_start=False to begin anew."
            )
        if self._n_held != self.n_members:
            raise ValueError(
                "warm_start=True and partial_fit go on with the fitted networks: expected "
                f"n_members={self._n_held}, got {self.n_members}. Use fit with "
                "warm_start=False to begin anew."
            )
        dtype = self._network_dtype
        return (
            [c.astype(dtype) for c in self.coefs_],
            [b.astype(dtype) for b in self.intercepts_],
            *([self.buffers_] if vars(self).get("buffers_") else []),
        )

    def _describe_student(self, task, X, y, sample_weight):
        """Turn the task of a fit into that of a student of `teacher`."""
        from ..compression.distillation import labels_of, mix_columns, mix_sources

        rows, n_rows, n_new = task.train_rows, task.X.shape[0], int(self.n_synthetic)
        X = X.tocsr() if issparse(X) else X
        X = X if hasattr(X, "shape") else np.asarray(X)
        y = np.asarray(y.toarray() if issparse(y) else y)
        y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
        weights = check_weights(X, sample_weight)
        X_taught, X_new, inputs = _safe_indexing(X, rows), None, task.X
        is_of_images = len(X_taught.shape) > 2
        if is_of_images and not get_tags(self.teacher).input_tags.three_d_array:
            X_taught = X_taught.reshape(len(X_taught), -1)  # a teacher of tables
        if n_new:
            if issparse(X):
                raise ValueError(
                    "n_synthetic mixes the columns of rows, which needs dense X, got a sparse "
                    "one. Set n_synthetic=0."
                )
            first, other, random = mix_sources(task.X[rows], n_new)
            is_other = random.random((n_new, X.shape[1])) < 0.5
            X_new = mix_columns(X_taught, first, other, is_other)
            checked = self._validate_features(X_new)
            inputs = np.concatenate([inputs, self._encode_known_inputs(checked)])
        labels, labels_new = labels_of(
            self.teacher,
            X_taught,
            y[rows],
            None if weights is None else weights[rows],
            classes=self.classes_ if is_classifier(self) else None,
            is_multilabel=getattr(self, "_multilabel", False),
            cv=self.teacher_cv,
            memory=self.memory,
            X_new=X_new,
        )
        weights = task.weights
        if weights is not None and n_new:
            weights = np.concatenate([weights, np.ones(n_new, weights.dtype)])
        validation = task.validation
        if validation is None and task.valid_rows is not None:
            # Epochs are judged by the truth.
            validation = ValidationSet(task.X, task.targets, task.weights)
        return replace(
            task,
            X=inputs,
            weights=weights,
            train_rows=np.concatenate([rows, n_rows + np.arange(n_new)]),
            validation=validation,
            recipe=self._describe_recipe(len(rows) + n_new),
            **self._teach(task, labels, labels_new),
        )

    def _describe_members(self, task):
        """Return the tasks of all members of the ensemble; the first is the task itself."""
        if task.initial is not None and getattr(self, "_has_masks", False):
            # What was pruned stays so.
            task = replace(task, kept_weights=[c != 0 for c in task.initial[0]])
        if self.n_members == 1:
            return [task]
        seed = task.seed if isinstance(task.seed, tuple) else (task.seed,)
        initial, states = task.initial, task.optimizer_state
        members = []
        for k in range(self.n_members):
            first, masks = None, task.kept_weights
            if initial is not None:
                first = tuple([a[k] for a in arrays] for arrays in initial)
            if masks is not None:
                masks = [mask[k] for mask in masks]
            members.append(
                replace(
                    task,
                    seed=(*seed, _MEMBER + k) if k else task.seed,
                    initial=first,
                    kept_weights=masks,
                    optimizer_state=None if states is None else states[k],
                    # One voice is enough.
                    on_epoch_end=None if k else task.on_epoch_end,
                )
            )
        return members

    def _validation_rows(self, task):
        """Return (X, targets, weights) to calibrate by, or None."""
        return None

    def _describe_pruning(self):
        from ..compression.pruning import Pruning

        return Pruning(
            float(self.pruning),
            self.pruning_kind,
            self.pruning_importance,
            self.pruning_allocation,
            int(self.pruning_steps),
            int(self.pruning_epochs),
            int(self.pruning_multiple),
        )
