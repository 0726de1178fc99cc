"""What a fit goes through, from validated input to adopted network."""

import copy
import functools
import math
import warnings
from dataclasses import replace
from numbers import Integral, Real

import numpy as np
from scipy.sparse import csr_array, issparse
from sklearn.base import BaseEstimator, is_classifier
from sklearn.callback import CallbackSupportMixin
from sklearn.utils.validation import check_is_fitted

from .. import __version__
from .._sklearn_private import HasMethods, Interval, StrOptions, _safe_indexing
from ..inference import dense as inference
from ..inference.encoding import fit_encoding
from ..inspection.complexity import count
from ..networks.architecture import ACTIVATIONS, NORMALIZATIONS, DenseArchitecture
from ..scaling import hidden_widths
from ..training.random import split_random_state
from ..training.task import Recipe, Task, TrainedNetwork, ValidationSet
from .features import (
    encode_features,
    is_plain_array,
    validate_features,
    warn_of_lost_digits,
)
from .pickling import CallbacksLeftOut, InconsistentVersionWarning, TeacherLeftOut
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


def restores_state(fit):
    """Decorate `fit`: whatever stops it, the estimator is as it was before."""

    @functools.wraps(fit)
    def wrapper(self, *args, **kwargs):
        former = self.__dict__.copy()
        try:
            return fit(self, *args, **kwargs)
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(former)
            raise

    return wrapper


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


def count_inputs(X):
    """Return what counts as the number of inputs where many of them are zero.

    The geometric mean of those that a row has on average and of all, to a power of two, so
    that folds agree. Of 42,254 terms with 131 a text: with all of them the weights move too
    little (accuracy .816 after 15 epochs), with 131 too much (.836), in between .846.

    Parameters
    ----------
    X : ndarray or SciPy CSR array of shape (n_rows, n_features)

    Returns
    -------
    int
    """
    n = X.count_nonzero() if issparse(X) else np.count_nonzero(X)
    n_active = max(1.0, n / X.shape[0])
    return 2 ** round(np.log2(np.sqrt(n_active * X.shape[1])))


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


def _warn_if_teaching_gains_nothing(loss, loss_alone):
    if loss_alone <= loss:
        warnings.warn(
            "Without its teacher the student does as well: its mean loss on the validation "
            f"rows is {loss_alone:.4f}, with the teacher {loss:.4f}. Distillation does not "
            "pay here. Try n_synthetic, another distillation_weight or teacher, or set "
            "teacher=None.",
            UserWarning,
            stacklevel=6,
        )


class ScaledMLP(CallbackSupportMixin, BaseEstimator):
    """The common part of the dense estimators. Use a subclass.

    A subclass says what its targets are (`_encode`), and reads the network's outputs.
    """

    _parameter_constraints = {
        "depth": [Interval(Integral, 0, None, closed="left"), None],
        "width": [Interval(Integral, 1, None, closed="left"), tuple, list],
        "n_members": [Interval(Integral, 1, None, closed="left")],
        "resolution": [Interval(Integral, 0, None, closed="left")],
        "preprocessing": [StrOptions({"auto"}), None],
        "categorical_features": ["array-like", StrOptions({"from_dtype"}), None],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "normalization": [StrOptions(set(NORMALIZATIONS)), None],
        "residual": ["boolean"],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "l1": [Interval(Real, 0, None, closed="left")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "pruning": [Interval(Real, 0, 1, closed="left")],
        "pruning_kind": [StrOptions({"neurons", "weights"})],
        "pruning_importance": [StrOptions({"taylor", "activation", "magnitude"})],
        "pruning_allocation": [StrOptions({"global", "layer"})],
        "pruning_steps": [Interval(Integral, 1, None, closed="left")],
        "pruning_epochs": [Interval(Integral, 1, None, closed="left")],
        "pruning_multiple": [Interval(Integral, 1, None, closed="left")],
        "teacher": "no_validation",  # see _check_combinations
        "distillation_weight": [Interval(Real, 0, 1, closed="both")],
        "teacher_cv": ["cv_object"],
        "n_synthetic": [Interval(Integral, 0, None, closed="left")],
        "memory": [str, HasMethods("cache"), None],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "lr_schedule": [StrOptions({"constant", "cosine", "cycles"})],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "max_seconds": [Interval(Real, 0, None, closed="neither"), None],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "warm_start": ["boolean"],
        "device": [str],
        "precision": [StrOptions({"float32", "float64", "bfloat16"})],
        "callbacks": "no_validation",  # see _check_combinations
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        depth=2,
        width=128,
        *,
        n_members=1,
        resolution=0,
        preprocessing="auto",
        categorical_features="from_dtype",
        activation="silu",
        normalization=None,
        residual=True,
        dropout=0.0,
        l1=0.0,
        weight_decay=0.02,
        pruning=0.0,
        pruning_kind="neurons",
        pruning_importance="taylor",
        pruning_allocation="global",
        pruning_steps=2,
        pruning_epochs=50,
        pruning_multiple=1,
        teacher=None,
        distillation_weight=0.5,
        teacher_cv=5,
        n_synthetic=0,
        memory=None,
        learning_rate=0.08,
        lr_schedule="cycles",
        batch_size="auto",
        max_epochs=50,
        max_seconds=None,
        early_stopping=True,
        validation_fraction=0.1,
        n_iter_no_change=25,
        tol=1e-4,
        warm_start=False,
        device="auto",
        precision="float32",
        callbacks=None,
        random_state=None,
        verbose=0,
    ):
        self.depth = depth
        self.width = width
        self.n_members = n_members
        self.resolution = resolution
        self.preprocessing = preprocessing
        self.categorical_features = categorical_features
        self.activation = activation
        self.normalization = normalization
        self.residual = residual
        self.dropout = dropout
        self.l1 = l1
        self.weight_decay = weight_decay
        self.pruning = pruning
        self.pruning_kind = pruning_kind
        self.pruning_importance = pruning_importance
        self.pruning_allocation = pruning_allocation
        self.pruning_steps = pruning_steps
        self.pruning_epochs = pruning_epochs
        self.pruning_multiple = pruning_multiple
        self.teacher = teacher
        self.distillation_weight = distillation_weight
        self.teacher_cv = teacher_cv
        self.n_synthetic = n_synthetic
        self.memory = memory
        self.learning_rate = learning_rate
        self.lr_schedule = lr_schedule
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.max_seconds = max_seconds
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.device = device
        self.precision = precision
        self.callbacks = callbacks
        self.random_state = random_state
        self.verbose = verbose

    def _check_combinations(self):
        """Check what no single parameter shows; return the hidden widths."""
        if not isinstance(self.width, Integral):
            for width in self.width:
                if not isinstance(width, Integral) or isinstance(width, bool) or width < 1:
                    raise ValueError(
                        f"width={self.width!r} must hold positive ints, the units of each "
                        f"hidden layer, got {width!r}."
                    )
        if not isinstance(self.callbacks, (list, tuple, CallbacksLeftOut, type(None))):
            raise ValueError(
                f"callbacks must be a list of skorch callbacks or None, got {self.callbacks!r}."
            )
        if self.callbacks and self.n_members > 1:
            raise ValueError(
                f"skorch's loop trains one network, and n_members={self.n_members}. Set "
                "callbacks=None, or n_members=1."
            )
        if self._is_taught:
            self._check_teacher()
        if self.callbacks and self.pruning > 0:
            raise ValueError(
                f"skorch's loop trains one network once, and pruning={self.pruning} trains on "
                "after each step. Set callbacks=None, or pruning=0."
            )
        if isinstance(self.callbacks, CallbacksLeftOut):
            raise ValueError(
                "This estimator was fitted with callbacks "
                f"({', '.join(self.callbacks.names)}), which its pickle left out. "
                "Pass them again before fitting, by set_params(callbacks=[...]), or set "
                "callbacks=None to fit without."
            )
        if self.device != "auto" and self.device.split(":")[0] not in ("cpu", "cuda", "mps"):
            raise ValueError(
                f'device must be "auto", "cpu", "cuda" (or "cuda:1") or "mps", got '
                f"{self.device!r}."
            )
        return hidden_widths(self.depth, self.width)

    @property
    def _is_taught(self):
        return self.teacher is not None and self.distillation_weight > 0

    def _check_teacher(self):
        from ..compression.distillation import check_teacher

        if isinstance(self.teacher, TeacherLeftOut):
            self.teacher.fit(None)  # raises, and says what to do
        check_teacher(self.teacher, is_classifier(self))
        if self.callbacks:
            raise ValueError(
                "skorch's loop knows no teacher. Set callbacks=None, or teacher=None."
            )

    @property
    def _network_dtype(self):
        return np.dtype(np.float64 if self.precision == "float64" else np.float32)

    def _fit(self, X, y, sample_weight, X_val=None, y_val=None, sample_weight_val=None):
        """Fit; see the public classes."""
        self.__dict__.pop("_optimizer_state", None)
        widths = self._check_combinations()
        seen = {
            "X": X,
            "y": y,
            "metadata": None if sample_weight is None else {"sample_weight": sample_weight},
        }
        given = {"X_val": X_val, "y_val": y_val, "sample_weight_val": sample_weight_val}
        task, alone = self._describe_fit(X, y, sample_weight, widths, given), None
        if self._is_taught:
            task, alone = self._describe_student(task, X, y, sample_weight), task
        # A fitted network that is trained on has been pruned already.
        prunes = self.pruning > 0 and task.initial is None
        return self._train(task, seen, prunes=prunes, alone=alone)

    def _prune(self, X, y, sample_weight):
        """Prune the fitted network; see `skscale.prune`."""
        self.__dict__.pop("_optimizer_state", None)
        self._validate_params()
        self._check_combinations()
        seen = {
            "X": X,
            "y": y,
            "metadata": None if sample_weight is None else {"sample_weight": sample_weight},
        }
        widths = self.architecture_.widths
        none = dict.fromkeys(("X_val", "y_val", "sample_weight_val"))
        task = self._describe_fit(X, y, sample_weight, widths, none, continues=True)
        if self._is_taught:
            task = self._describe_student(task, X, y, sample_weight)
        return self._train(task, seen, trains=False, prunes=True)

    def _partial_fit(self, X, y, sample_weight):
        """Make one pass over some rows; see the public classes."""
        self._validate_params()  # scikit-learn does so in the first call only
        widths = self._check_combinations()
        if self.callbacks:
            raise ValueError(
                "partial_fit runs no skorch callbacks, which expect a training from its "
                "beginning to its end. Set callbacks=None, or use fit."
            )
        seen = {
            "X": X,
            "y": y,
            "metadata": None if sample_weight is None else {"sample_weight": sample_weight},
        }
        return self._train(self._describe_pass(X, y, sample_weight, widths), seen)

    def _train(self, task, seen, trains=True, prunes=False, alone=None):
        """Train the network that a task describes, prune it, or both, and adopt it.

        Of a student `alone` is the task without its teacher.
        """
        from ..training.fusion import current_job, fit_number, train_together

        pruning = self._describe_pruning() if prunes else None
        n_epochs = task.recipe.max_epochs
        if pruning is not None:
            n_epochs = trains * n_epochs + pruning.all_epochs
        context = self._init_callback_context(max_subtasks=n_epochs)
        context.call_on_fit_task_begin(estimator=self, **seen)
        task.on_epoch_end = self._watch_epochs(context, task, n_epochs, seen, fit_number())
        architecture, validation_rows = task.architecture, self._validation_rows(task)
        if self.callbacks:
            from ..training.skorch_surface import train_with_callbacks

            networks = [train_with_callbacks(task, self.callbacks, self._net_kind)]
        else:
            tasks = self._describe_members(task)
            if alone is not None and (task.valid_rows is None or current_job() is not None):
                alone = None  # nothing to compare by, or a search, which compares itself
            if alone is not None:
                tasks.append(replace(alone, on_epoch_end=None))
            if pruning is None:
                del task  # the engine alone holds it
                networks = train_together(tasks)
            elif trains:
                networks = train_together(list(tasks))
            else:
                networks = [TrainedNetwork(*t.initial) for t in tasks]
            if alone is not None:
                self._compare(alone, networks[0], networks.pop(), validation_rows)
                tasks = tasks[: len(networks)]
            if pruning is not None and not any(isinstance(n, Exception) for n in networks):
                from ..compression.pruning import prune_networks

                self._unpruned_widths = hidden_widths(self.depth, self.width)
                architecture, networks = prune_networks(pruning, tasks, networks)
        for network in networks:
            if isinstance(network, Exception):
                raise network
        if validation_rows is not None:
            for network in networks:
                self._calibrate(architecture, network, *validation_rows)
        self._adopt(architecture, networks)
        context.call_on_fit_task_end(estimator=self, reconstruction_attributes={}, **seen)
        return self

    def _compare(self, task, student, alone, validation_rows):
        """Warn where a student does not gain from its teacher."""
        if isinstance(student, Exception) or isinstance(alone, Exception):
            return
        losses = []
        for network in (student, alone):
            if validation_rows is None:
                losses.append(-max(epoch["validation_score"] for epoch in network.history))
                continue
            network = copy.deepcopy(network)
            losses.append(self._calibrate(task.architecture, network, *validation_rows))
        _warn_if_teaching_gains_nothing(*losses)

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

    def _describe_student(self, task, X, y, sample_weight):
        """Turn the task of a fit into that of a student of `teacher`."""
        from ..compression.distillation import labels_of, mix_columns, mix_sources

        rows, n_rows, n_new = task.train_rows, task.X.shape[0], int(self.n_synthetic)
        X = X if hasattr(X, "shape") else np.asarray(X)
        y = np.asarray(y.toarray() if issparse(y) else y)
        y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
        weights = check_weights(X, sample_weight)
        X_taught, X_new, inputs = _safe_indexing(X, rows), None, task.X
        if n_new:
            if issparse(X):
                raise ValueError(
                    "n_synthetic mixes the columns of rows, which needs dense X, got a sparse "
                    "one. Set n_synthetic=0."
                )
            first, other, random = mix_sources(task.X[rows], n_new)
            is_other = random.random((n_new, X.shape[1])) < 0.5
            X_new = mix_columns(X_taught, first, other, is_other)
            checked = validate_features(self, X_new)
            inputs = np.concatenate(
                [inputs, encode_features(checked, self.encoding_, self._network_dtype)]
            )
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
        if task.initial is not None and self.pruning > 0 and self.pruning_kind == "weights":
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

    def _describe_fit(self, X, y, sample_weight, widths, given, continues=None):
        """Validate the input and describe the training; return a Task."""
        device = self._resolve_device()
        if continues is None:
            continues = self.warm_start and hasattr(self, "coefs_")
        if not continues:
            self.__dict__.pop("_unpruned_widths", None)
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
        self._mean_weight = None
        architecture = self._describe_architecture(inputs, widths, encoded, continues)
        return self._make_task(
            inputs,
            values,
            weights,
            train_rows,
            architecture=architecture,
            recipe=self._describe_recipe(len(train_rows)),
            loss=encoded.loss,
            valid_rows=valid_rows,
            validation=self._describe_validation(held_out),
            seed=seed,
            device=device,
            initial=self._former_weights(architecture) if continues else None,
        )

    def _describe_pass(self, X, y, sample_weight, widths):
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
        architecture = self._describe_architecture(inputs, widths, encoded, continues)
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

    def _encode_inputs(self, X, rows, weights, continues):
        """Return what the network sees of X; learn how, unless the fit goes on."""
        if continues:
            if issparse(X) and self.encoding_ is not None:
                raise ValueError(
                    "The network was begun on a dense X, whose columns it scales (see "
                    "encoding_), which would make this sparse X dense. Expected dense rows "
                    "again: pass X.toarray(), in pieces to partial_fit where it is large, or "
                    "begin anew with the sparse X."
                )
        elif issparse(X):
            self.encoding_ = None
        else:
            reader = self._category_reader
            self.encoding_ = fit_encoding(
                X,
                {} if reader is None else reader.n_categories,
                rows,
                weights,
                preprocessing=self.preprocessing,
                n_bins=int(self.resolution),
            )
            if self.encoding_ is not None:
                warn_of_lost_digits(X, self.encoding_)
        return encode_features(X, self.encoding_, self._network_dtype)

    def _make_task(self, X, targets, weights, train_rows, *, valid_rows=None, **description):
        return Task(
            X=X,
            targets=targets,
            weights=weights,
            train_rows=train_rows,
            valid_rows=valid_rows,
            precision=self.precision,
            loss_parameter=self._loss_parameter,
            **description,
        )

    def _check_training_data(self, X, y, sample_weight=None, *, reset, min_samples):
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the "
                "target y is None."
            )
        X, y = validate_features(
            self, X, y, reset=reset, min_samples=min_samples, sample_weight=sample_weight
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
            encode_features(X, self.encoding_, self._network_dtype),
            self._scale_targets(encoded),
            None if weights is None else weights.astype(self._network_dtype),
        )

    def _describe_architecture(self, X, widths, encoded, continues):
        is_scaled = self.encoding_ is not None and self.encoding_.clips
        if continues:
            fan_in = self.architecture_.fan_in
            if widths == getattr(self, "_unpruned_widths", None):
                widths = self.architecture_.widths
        else:
            fan_in = None if is_scaled else count_inputs(X)
        return DenseArchitecture(
            X.shape[1],
            widths,
            encoded.n_outputs,
            self.activation,
            self.normalization,
            bool(self.residual),
            scales_inputs=is_scaled,
            fan_in=fan_in,
        )

    def _describe_recipe(self, n_rows):
        return Recipe(
            learning_rate=float(self.learning_rate),
            lr_schedule=self.lr_schedule,
            weight_decay=float(self.weight_decay),
            l1=float(self.l1),
            dropout=float(self.dropout),
            batch_size=resolve_batch_size(self.batch_size, n_rows),
            max_epochs=int(self.max_epochs),
            max_seconds=self.max_seconds,
            n_iter_no_change=int(self.n_iter_no_change),
            tol=float(self.tol),
        )

    def _former_weights(self, architecture):
        if architecture != self.architecture_:
            raise ValueError(
                "warm_start=True and partial_fit go on with the fitted network, so its shape "
                f"must stay: it is {self.architecture_}, and the parameters and data now ask "
                f"for {architecture}. Use fit with warm_start=False to begin anew."
            )
        n_members = len(self.coefs_[0]) if self.coefs_[0].ndim == 3 else 1
        if n_members != self.n_members:
            raise ValueError(
                "warm_start=True and partial_fit go on with the fitted networks: expected "
                f"n_members={n_members}, got {self.n_members}. Use fit with warm_start=False "
                "to begin anew."
            )
        dtype = self._network_dtype
        return (
            [c.astype(dtype) for c in self.coefs_],
            [b.astype(dtype) for b in self.intercepts_],
        )

    def _watch_epochs(self, context, task, n_epochs, seen, number):
        """Return what the engine calls after each epoch, or None if nobody watches."""
        is_watched = hasattr(self, "_skl_callbacks")
        if not is_watched and not self.verbose:
            return None
        # Not the task itself: it holds this function, and with it its rows.
        architecture, is_validated = task.architecture, task.valid_rows is not None
        # Of those that train together each says which it is.
        title = type(self).__name__ + ("" if number is None else f", fit {number}")

        def on_epoch_end(epoch, get_weights):
            if self.verbose:
                validation = ""
                if is_validated:
                    validation = f", validation score {epoch['validation_score']:.5f}"
                print(
                    f"{title}: epoch {epoch['epoch']}/{n_epochs}, "
                    f"train loss {epoch['train_loss']:.5f}{validation}, "
                    f"{epoch['seconds']:.2f} s"
                )
            if not is_watched:
                return False

            def fitted_attributes():
                coefs, intercepts = get_weights()
                return {
                    "architecture_": architecture,
                    "coefs_": coefs,
                    "intercepts_": intercepts,
                }

            subcontext = context.subcontext(task_name="epoch")
            subcontext.call_on_fit_task_begin(estimator=self, **seen)
            return subcontext.call_on_fit_task_end(
                estimator=self, reconstruction_attributes=fitted_attributes, **seen
            )

        return on_epoch_end

    def _adopt(self, architecture, networks):
        network = networks[0]
        self.architecture_ = architecture
        self.coefs_, self.intercepts_ = network.coefs, network.intercepts
        if len(networks) > 1:
            self.coefs_ = [np.stack(c) for c in zip(*(n.coefs for n in networks), strict=True)]
            self.intercepts_ = [
                np.stack(b) for b in zip(*(n.intercepts for n in networks), strict=True)
            ]
        history = network.history
        # A callback need not record in every epoch.
        names = dict.fromkeys(name for epoch in history for name in epoch)
        self.history_ = {
            name: np.array(
                [epoch.get(name, np.nan) for epoch in history],
                dtype=np.int32 if name == "epoch" else np.float32,
            )
            for name in names
        }
        self.n_iter_ = len(history)
        self.fit_seconds_ = sum(n.fit_seconds for n in networks)
        peaks = [n.peak_device_bytes for n in networks]
        self.peak_device_bytes_ = None if None in peaks else sum(peaks)
        if network.optimizer_state is not None:
            states = [n.optimizer_state for n in networks]
            self._optimizer_state = states if len(states) > 1 else states[0]
        self.best_epoch_ = network.best_epoch

    @property
    def loss_curve_(self):
        """ndarray of shape (n_iter_,): mean training loss of each epoch."""
        check_is_fitted(self)
        return self.history_["train_loss"]

    @property
    def validation_scores_(self):
        """ndarray of shape (n_iter_,): negative mean validation loss of each epoch, NaN
        without early stopping."""
        check_is_fitted(self)
        return self.history_["validation_score"]

    @property
    def complexity_(self):
        """Complexity: parameters, multiply-accumulates, depth and widths."""
        check_is_fitted(self)
        return count(self.coefs_, self.intercepts_)

    @property
    def net_(self):
        """skorch.NeuralNet: a net that holds a copy of the fitted network."""
        check_is_fitted(self)
        if self.coefs_[0].ndim == 3:
            raise AttributeError(
                f"net_ is one network, and this estimator holds {len(self.coefs_[0])} "
                "(n_members)."
            )
        from ..training.skorch_surface import make_fitted_net

        return make_fitted_net(self, self._net_kind)

    def __dir__(self):
        # scikit-learn lists what `hasattr` finds, and its HTML shows the value of each:
        # both would build `net_` and import torch.
        return [name for name in object.__dir__(self) if name != "net_" and hasattr(self, name)]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        return tags

    def __sklearn_is_fitted__(self):
        return hasattr(self, "coefs_")

    def _outputs(self, X, in_dtype_of_X=False):
        """Return the network's outputs, of shape (n_rows, n_outputs).

        They are computed in the dtype of the weights, or also in float64 where X is.
        """
        x = self._read(X, in_dtype_of_X)
        return self._forward(x, self.coefs_, self.intercepts_)

    def encode(self, X):
        """Turn features into what the network sees of them: see `encoding_`.

        Parameters
        ----------
        X : array-like, frame or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        ndarray or CSR array of shape (n_samples, n_inputs)
            What `net_` takes.
        """
        return self._read(X)

    def _read(self, X, in_dtype_of_X=False):
        fitted = self.__dict__
        if "coefs_" not in fitted:
            check_is_fitted(self)  # raises, as scikit-learn's own do
        is_checked = "feature_names_in_" not in fitted and self._category_reader is None
        is_checked = is_checked and is_plain_array(X, self.n_features_in_)
        if not is_checked:
            X = validate_features(self, X)
        dtype = self.coefs_[0].dtype
        if in_dtype_of_X and X.dtype == np.float64:
            dtype = X.dtype
        if is_checked:
            if self.encoding_ is not None:
                return self.encoding_.encode(X, dtype, is_complete=True)
            return X if X.dtype == dtype else X.astype(dtype)
        return encode_features(X, self.encoding_, dtype)

    def _forward(self, x, coefs, intercepts):
        architecture = self.architecture_
        is_ensemble = coefs[0].ndim == 3
        forward = inference.forward_members if is_ensemble else inference.forward
        with np.errstate(over="ignore", invalid="ignore"):  # what comes of it raises below
            outputs = forward(
                x,
                coefs,
                intercepts,
                activation=architecture.activation,
                normalization=architecture.normalization,
                residual=architecture.residual,
            )
        # One pass: an infinite sum of squares need not have an infinite term, but hardly ever.
        if not math.isfinite(np.vdot(outputs, outputs)) and not np.isfinite(outputs).all():
            raise ValueError(
                "The network's output is not finite for some rows of X. Expected values like "
                "those of the training data: check the rows for extreme values, and the "
                "estimator's weights."
            )
        return self._join_members(outputs) if is_ensemble else outputs

    def __copy__(self):
        # A copy within a process keeps what a pickle leaves out.
        copied = type(self).__new__(type(self))
        copied.__dict__.update(self.__dict__)
        return copied

    def __deepcopy__(self, memo):
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        copied.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return copied

    def __getstate__(self):
        state = dict(super().__getstate__())
        state["_skscale_version"] = __version__
        if "coefs_" in state:
            # A fitted estimator is pickled to be served.
            state.pop("_skl_callbacks", None)
            state.pop("_optimizer_state", None)
            if state.get("callbacks"):
                state["callbacks"] = CallbacksLeftOut.of(state["callbacks"])
            if state.get("teacher") is not None:
                state["teacher"] = TeacherLeftOut.of(state["teacher"])
        return state

    def __setstate__(self, state):
        state = dict(state)
        version = state.pop("_skscale_version", "unknown")
        if version != __version__:
            warnings.warn(
                InconsistentVersionWarning(
                    estimator_name=type(self).__name__,
                    current_version=__version__,
                    original_version=version,
                ),
                stacklevel=2,
            )
        super().__setstate__(state)
