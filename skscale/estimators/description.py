"""Description of a training: from the input of a fit to tasks of the engine."""

import warnings
from dataclasses import dataclass, field, replace
from numbers import Integral

import numpy as np
from scipy.sparse import csr_array, issparse
from sklearn.base import is_classifier
from sklearn.callback import ProgressBar
from sklearn.utils import check_consistent_length, get_tags

from .._sklearn_private import _safe_indexing
from ..inference.columns import join, read_table
from ..inference.heads import Labels, Numbers
from ..inference.inputs import Inputs, check_first_rows
from ..inference.weights import Weights
from ..scaling import compound_dropout
from ..storage.store import Store
from ..training.random import split_random_state
from ..training.task import Recipe, Task, ValidationSet
from .targets import (
    SMALLEST_WEIGHT,
    check_weights,
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


def count_active_inputs(x):
    """Return the number of inputs that a gain goes by, where many of them are zero.

    The geometric mean of those that a row has on average and of all, to a power of two, so
    that folds agree. Of 42,254 terms with 131 a text: with all of them the weights move too
    little (accuracy .816 after 15 epochs), with 131 too much (.836), in between .846.
    """
    n = x.count_nonzero() if issparse(x) else np.count_nonzero(x)
    n_active = max(1.0, n / x.shape[0])
    return 2 ** round(np.log2(np.sqrt(n_active * x.shape[1])))


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


@dataclass(frozen=True)
class Continuation:
    """What a training that goes on needs of the one before, beside the predictor.

    Parameters
    ----------
    mean_weight : float or None
        Mean weight of the rows of a stream; None after `fit`.
    rate : ndarray of shape (n_outputs,) or None
        Mean of the counts so far, of a loss of logarithms.
    full_widths : tuple of int or None
        Widths that were asked for where units were pruned.
    has_masks : bool
        Whether weights were pruned, which stay zero.
    optimizer_states : list of OptimizerState or None
        Of each network of a stream.
    """

    mean_weight: float | None = None
    rate: np.ndarray | None = None
    full_widths: tuple | None = None
    has_masks: bool = False
    optimizer_states: list | None = None


@dataclass
class Fit:
    """What a fit decides before it trains, and its estimator adopts afterwards.

    Parameters
    ----------
    inputs : Inputs
    head : Labels or Numbers
    n_samples_seen : int
    dropout : float
    widths : tuple of int
        Widths that are asked for.
    is_reshaped : bool
        Whether the networks were brought to another depth or other widths.
    continuation : Continuation
    """

    inputs: Inputs
    head: Labels | Numbers
    n_samples_seen: int
    dropout: float
    widths: tuple = ()
    is_reshaped: bool = False
    continuation: Continuation = field(default_factory=Continuation)


@dataclass
class Rows:
    """Rows of a fit, checked.

    Parameters
    ----------
    inputs : Inputs
    numbers : array of shape (n_rows, n_features)
        As `Inputs.read` returns them.
    y : ndarray of shape (n_rows,) or (n_rows, n_outputs)
    head : Labels, Numbers or None
        None of a regressor, which is found once the training rows are known.
    targets : ndarray or None
        Of the loss, where the head is known.
    codes : ndarray of int of shape (n_rows,) or None
        Class of each row where rows have one.
    weights : float64 ndarray of shape (n_rows,) or None
        Sample weights times class weights.
    of_class : ndarray of shape (n_classes,) or None
        The weight of each class.
    """

    inputs: Inputs
    numbers: np.ndarray
    y: np.ndarray
    head: Labels | Numbers | None
    targets: np.ndarray | None
    codes: np.ndarray | None
    weights: np.ndarray | None
    of_class: np.ndarray | None


class DescribesTraining:
    """The part of all estimators that turns input into tasks. It writes nothing on them.

    `former` is the Predictor that a training goes on with, or None. A subclass says what its
    targets are: `_read_targets`, `_fit_head`, `_follow_targets`, `_weigh_classes`, `_teach`.
    """

    def _describe_fit(self, X, y, sample_weight, given, former, keeps_shape=False):
        """Return the task of a fit, and the Fit.

        Parameters
        ----------
        X, y, sample_weight
            As passed to `fit`.
        given : (X_val, y_val, sample_weight_val)
        former : Predictor or None
        keeps_shape : bool, default=False
            Whether the networks keep their widths, whatever the parameters say.
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
            validation = self._read_validation(rows, *given)
            valid_rows = np.arange(len(validation[1]))
            if validation[2] is not None:
                valid_rows = np.flatnonzero(validation[2] > 0)
        elif self.early_stopping:
            train_rows, valid_rows = split_rows(
                used, rows.codes, self.validation_fraction, split_random_state(seed)
            )
        head, targets, rate = rows.head, rows.targets, None
        if head is None:
            head, targets, rate = self._fit_head(rows, train_rows, weights)
        if weights is not None:
            weights = (weights / weights[train_rows].mean()).astype(dtype)
        inputs = rows.inputs
        if former is None:
            inputs = inputs.fit_encoding(
                rows.numbers, train_rows, weights, dtype, **self._encoding
            )
        dropout = self._resolve_dropout(len(train_rows), inputs.n_features)
        fit = Fit(inputs, head, len(used), compound_dropout(dropout, self.phi))
        fit.continuation = self._begin_continuation(former, rate)
        x = inputs.encode(rows.numbers, dtype)
        fan_in = None if inputs.scales or former is not None else count_active_inputs(x)
        if validation is not None:
            validation = self._encode_validation(validation, fit)
        task = Task(
            architecture=self._choose_architecture(fit, fan_in, former, keeps_shape),
            recipe=self._describe_recipe(len(train_rows), fit.dropout),
            loss=self._loss_of(head),
            loss_parameter=self._loss_parameter,
            X=x,
            targets=targets,
            weights=weights,
            train_rows=train_rows,
            valid_rows=valid_rows,
            validation=validation,
            precision=self.precision,
            seed=seed,
            device=device,
            store=self._store(),
            **self._describe_extras(inputs),
        )
        return (task if former is None else self._go_on(task, fit, former)), fit

    def _describe_pass(self, X, y, sample_weight, former, head):
        """Return the task of one pass over some rows, and the Fit.

        Parameters
        ----------
        X, y, sample_weight
            As passed to `partial_fit`.
        former : Predictor or None
        head : Labels or None
            Of the classes that were passed with the first rows.
        """
        device = self._resolve_device()
        known = head if former is None else former.head
        rows = self._read_rows(X, y, sample_weight, former, known, is_stream=True)
        weights, n_rows, dtype = rows.weights, rows.numbers.shape[0], self._network_dtype
        n_before = 0 if former is None else self.n_samples_seen_
        before = Continuation() if former is None else self._continuation
        seed = draw_seed(self.random_state)
        if n_before:
            # Else an int would take the rows of every call in one order.
            seed = (seed, n_before)
        used = np.arange(n_rows) if weights is None else np.flatnonzero(weights > 0)
        if not len(used):
            raise ValueError(
                "No row has a positive weight, class weights included. Expected at least one."
            )
        weights, mean, n_weighed = _weigh_stream(weights, used, n_rows, n_before, before)
        inputs = rows.inputs
        if former is None:
            inputs = inputs.fit_encoding(rows.numbers, used, weights, dtype, **self._encoding)
        head, targets, rate, rescale = self._follow_targets(
            rows, used, weights, n_weighed, former
        )
        # The pieces of a stream are few rows, but each is seen once.
        dropout = self._resolve_dropout(np.inf, inputs.n_features)
        fit = Fit(inputs, head, n_before + len(used), compound_dropout(dropout, self.phi))
        fit.continuation = replace(
            self._begin_continuation(former, rate), mean_weight=mean, optimizer_states=None
        )
        x = inputs.encode(rows.numbers, dtype)
        fan_in = None if inputs.scales or former is not None else count_active_inputs(x)
        recipe = self._describe_recipe(len(used), fit.dropout)
        task = Task(
            architecture=self._choose_architecture(fit, fan_in, former),
            # A stream has no end that the rate could fall towards, and a pass is a pass.
            recipe=replace(
                recipe,
                max_epochs=1,
                max_seconds=None,
                learning_rate=STREAM_RATE * recipe.learning_rate,
                lr_schedule="constant",
            ),
            loss=self._loss_of(head),
            loss_parameter=self._loss_parameter,
            X=x,
            targets=targets,
            weights=None if weights is None else weights.astype(dtype),
            train_rows=used,
            valid_rows=None,
            precision=self.precision,
            seed=seed,
            device=device,
            keeps_optimizer=True,
            **self._describe_extras(inputs),
        )
        if former is not None:
            initial = self._former_weights(former, task.architecture)
            if rescale is not None:
                initial = self._rescale_output(initial, *rescale)
            task = replace(task, initial=initial, optimizer_state=before.optimizer_states)
        return task, fit

    # How inputs are encoded: arguments of `Inputs.fit_encoding`.
    _encoding = {}

    def _fit_inputs(self, X, rows=None, least=1):
        """Return the Inputs of some rows, and the rows as these read them."""
        return self._inputs.fit(X, type(self).__name__, rows, least, **self._reading)

    def _follow_targets(self, rows, used, weights, n_weighed, former):
        """Return head, targets, the mean of counts, and how outputs are rescaled or None."""
        return rows.head, rows.targets, None, None

    def _read_rows(self, X, y, sample_weight, former, head=None, is_stream=False):
        """Check X, y and weights; return Rows."""
        least = 1 if is_stream else 2
        if former is None:
            used = None
            if sample_weight is not None and hasattr(X, "__len__") and not issparse(X):
                used = np.flatnonzero(check_weights(len(X), sample_weight) > 0)
            inputs, numbers = self._fit_inputs(X, used, least)
        else:
            inputs = former.inputs
            numbers, _ = inputs.read(X)
            check_first_rows(numbers.shape, inputs.owner, least)
            self._check_goes_on(inputs, issparse(numbers))
        y, head, targets, codes = self._read_targets(y, former, head)
        n_rows = numbers.shape[0]
        check_consistent_length(numbers, y)
        weights = check_weights(n_rows, sample_weight)
        if not is_stream:  # of whose pieces weights are compared
            weights = rescale_weights(weights)
        of_class = self._weigh_classes(head, codes, weights)
        if of_class is not None:
            weights = of_class[codes] * (1.0 if weights is None else weights)
        return Rows(inputs, numbers, y, head, targets, codes, weights, of_class)

    def _read_validation(self, rows, X_val, y_val, sample_weight_val):
        """Return validation rows as (numbers, y, weights)."""
        if X_val is None and y_val is None:
            raise ValueError(
                "sample_weight_val is provided, but X_val and y_val were not provided."
            )
        if X_val is None or y_val is None:
            given, missing = ("y_val", "X_val") if X_val is None else ("X_val", "y_val")
            raise ValueError(f"{given} is provided, but {missing} was not provided.")
        if not self.early_stopping:
            raise ValueError(
                "X_val and y_val are passed to fit while at the same time early_stopping is "
                "False. They are there to stop by: set early_stopping=True, or leave them out."
            )
        numbers, _ = rows.inputs.read(X_val)
        y = self._read_validation_targets(y_val, rows)
        check_consistent_length(numbers, y)
        if issparse(rows.numbers) and not issparse(numbers):
            numbers = csr_array(numbers)
        elif issparse(numbers) and not issparse(rows.numbers):
            numbers = numbers.toarray()
        weights = rescale_weights(check_weights(len(y), sample_weight_val))
        if rows.of_class is not None:
            of_row = rows.of_class[rows.head.encode(y, self._network_dtype)[1]]
            weights = of_row * (1.0 if weights is None else weights)
            if not weights.any():
                raise ValueError(
                    "No row of X_val has a positive weight, class weights included. Expected "
                    "at least one."
                )
        return numbers, y, weights

    def _encode_validation(self, validation, fit):
        """Return validation rows as a ValidationSet."""
        (numbers, y, weights), dtype = validation, self._network_dtype
        targets, _ = fit.head.encode(y, dtype)
        if weights is not None:
            weights = weights.astype(dtype)
        return ValidationSet(fit.inputs.encode(numbers, dtype), targets, weights)

    def _begin_continuation(self, former, rate):
        """Return the Continuation of a training that goes on with `former`, or begins."""
        before = Continuation() if former is None else self._continuation
        rate = before.rate if rate is None and former is not None else rate
        return replace(before, mean_weight=None, optimizer_states=None, rate=rate)

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

    def _store(self):
        """Return the folder in which networks are kept, or None."""
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

    def _describe_extras(self, inputs):
        """Return what else a task of this family says, as arguments of Task."""
        return {}

    def _check_goes_on(self, inputs, is_sparse):
        """Refuse rows that a fitted network cannot go on with."""

    def _resolve_dropout(self, n_rows, n_columns):
        return resolve_dropout(self.dropout, n_rows, n_columns)

    def _describe_recipe(self, n_rows, dropout):
        return Recipe(
            learning_rate=float(self.learning_rate),
            lr_schedule=self.lr_schedule,
            weight_decay=float(self.weight_decay),
            l1=float(self.l1),
            dropout=dropout,
            batch_size=resolve_batch_size(self.batch_size, n_rows),
            max_epochs=int(self.max_epochs),
            max_seconds=self.max_seconds,
            n_iter_no_change=int(self.n_iter_no_change),
            tol=float(self.tol),
        )

    def _choose_architecture(self, fit, fan_in, former, keeps_shape=False):
        """Return the architecture asked for, or that of networks that keep their shape."""
        before = None if former is None else former.network.architecture
        if before is not None:
            fan_in = before.fan_in
        architecture = self._build_architecture(fit.inputs, fit.head.n_outputs, fan_in)
        fit.widths = architecture.widths
        is_pruned = fit.continuation.full_widths == architecture.widths
        if before is not None and (keeps_shape or is_pruned):
            return architecture.in_shape_of(before)
        return architecture

    def _go_on(self, task, fit, former):
        """Begin with the fitted networks, brought to the depth and widths asked for."""
        from ..compression.reshaping import is_reshaped, reshape

        before, architecture = former.network.architecture, task.architecture
        if not is_reshaped(before, architecture):
            return replace(task, initial=self._former_weights(former, architecture))
        fit.is_reshaped = True
        # What was pruned of the former shape says nothing of the new one.
        fit.continuation = replace(fit.continuation, full_widths=None, has_masks=False)
        weights = self._former_weights(former, before)
        kind = self.pruning_importance
        reshaped = reshape(before, architecture, weights.members, task, kind)
        return replace(task, initial=Weights.stack(reshaped))

    def _former_weights(self, former, architecture):
        """Return the fitted weights, in the dtype that is trained."""
        before, weights = former.network.architecture, former.network.weights
        if architecture != before:
            raise ValueError(
                "The fitted network is trained on, so all but its depth and width must stay, "
                f"and in partial_fit these, too: it is {before}, and the "
                f"parameters and data now ask for {architecture}. Use fit with "
                "warm_start=False to begin anew."
            )
        n_members = weights.n_members or 1
        if n_members != self.n_members:
            raise ValueError(
                "warm_start=True and partial_fit go on with the fitted networks: expected "
                f"n_members={n_members}, got {self.n_members}. Use fit with "
                "warm_start=False to begin anew."
            )
        return weights.astype(self._network_dtype)

    def _describe_student(self, task, fit, X, y, sample_weight):
        """Turn the task of a fit into that of a student of `teacher`."""
        from ..compression.distillation import labels_of, mix_columns, mix_sources

        rows, n_rows, n_new = task.train_rows, task.X.shape[0], int(self.n_synthetic)
        X = X.tocsr() if issparse(X) else X
        if not hasattr(X, "shape"):
            X = join(read_table(X, n_dims=None))
        y = np.asarray(y.toarray() if issparse(y) else y)
        y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
        weights = check_weights(X.shape[0], sample_weight)
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
            numbers, _ = fit.inputs.read(X_new)
            inputs = np.concatenate([inputs, fit.inputs.encode(numbers, self._network_dtype)])
        labels, labels_new = labels_of(
            self.teacher,
            X_taught,
            y[rows],
            None if weights is None else weights[rows],
            classes=fit.head.classes if is_classifier(self) else None,
            is_multilabel=fit.head.kind == "multilabel",
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
            recipe=self._describe_recipe(len(rows) + n_new, fit.dropout),
            **self._teach(task, fit.head, labels, labels_new),
        )

    def _describe_members(self, task, fit):
        """Return the tasks of all members of the ensemble; the first is the task itself."""
        if task.initial is not None and fit.continuation.has_masks:
            # What was pruned stays so.
            task = replace(task, kept_weights=[c != 0 for c in task.initial.coefs])
        initial, states = task.initial, task.optimizer_state
        if self.n_members == 1:
            return [replace(task, optimizer_state=states[0])] if states else [task]
        seed = task.seed if isinstance(task.seed, tuple) else (task.seed,)
        first = [None] * self.n_members if initial is None else initial.members
        return [
            replace(
                task,
                seed=(*seed, _MEMBER + k) if k else task.seed,
                initial=first[k],
                kept_weights=task.kept_weights and [mask[k] for mask in task.kept_weights],
                optimizer_state=states and states[k],
                # The first reports for all.
                on_epoch_end=None if k else task.on_epoch_end,
            )
            for k in range(self.n_members)
        ]

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


def _weigh_stream(weights, used, n_rows, n_before, before):
    """Return weights of which the mean over all rows of a stream is one, `fit` included.

    Parameters
    ----------
    weights : ndarray of shape (n_rows,) or None
    used : ndarray of int
        Rows with weight.
    n_rows, n_before : int
        Rows of this piece, and rows seen before.
    before : Continuation

    Returns
    -------
    weights : ndarray of shape (n_rows,) or None
    mean : float
        Mean weight of all rows so far.
    n_weighed : float
        Rows seen before, by what they weigh now.
    """
    own = 1.0
    if weights is not None:
        largest = weights.max()
        own = largest * (weights[used] / largest).mean()  # their sum may overflow
    mean = of_before = own
    if n_before and before.mean_weight is not None:
        n_seen = n_before + len(used)
        of_before = before.mean_weight
        mean = of_before * (n_before / n_seen) + own * (len(used) / n_seen)
    if weights is not None or mean != 1.0:
        weights = np.ones(n_rows) if weights is None else weights
        weights = weights / mean
        # Rows that hardly weigh anything beside those before are rows still.
        weights[used] = np.maximum(weights[used], SMALLEST_WEIGHT)
    return weights, mean, n_before * (of_before / mean)
