"""What a fit goes through, from the call to the adopted network."""

import copy
import functools
import warnings
from dataclasses import replace

import numpy as np
from scipy.sparse import issparse

from ..training.task import DivergedError, TrainedNetwork
from .description import DescribesTraining

# Rows that a trained network is tried on before it is adopted.
_N_CHECKED = 64


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


def _farthest_rows(task):
    """Return the rows of a training, a few, whose values are the largest."""
    rows, X = task.train_rows, task.X
    if task.valid_rows is not None and task.validation is None:
        rows = np.concatenate([rows, task.valid_rows])
    largest, smallest = X.max(axis=1), X.min(axis=1)
    if issparse(X):
        largest, smallest = largest.toarray().ravel(), smallest.toarray().ravel()
    size = np.maximum(largest, -smallest.astype(np.float64))[rows]
    n = min(_N_CHECKED, len(rows))
    return X[rows[np.argpartition(size, -n)[-n:]]]


class Trains(DescribesTraining):
    """The part of all estimators that trains, prunes and adopts networks."""

    _goes_on_pruned = False

    def _fit(self, X, y, sample_weight, X_val=None, y_val=None, sample_weight_val=None):
        """Fit; see the public classes."""
        self.__dict__.pop("_optimizer_state", None)
        self._check_combinations()
        self._note_scale()
        if self._is_taught:
            self._check_teacher()
        seen = {
            "X": X,
            "y": y,
            "metadata": None if sample_weight is None else {"sample_weight": sample_weight},
        }
        given = {"X_val": X_val, "y_val": y_val, "sample_weight_val": sample_weight_val}
        task, alone = self._describe_fit(X, y, sample_weight, given), None
        is_reshaped = self.__dict__.pop("_is_reshaped", False)
        if self._is_taught:
            task, alone = self._describe_student(task, X, y, sample_weight), task
        # A fitted network that is trained on has been pruned already, in its shape.
        prunes = self.pruning > 0 and (task.initial is None or is_reshaped)
        return self._train(task, seen, prunes=prunes, alone=alone)

    def _prune(self, X, y, sample_weight):
        """Prune the fitted network; see `skscale.prune`."""
        self.__dict__.pop("_optimizer_state", None)
        self._validate_params()
        self._check_combinations()
        if self._is_taught:
            self._check_teacher()
        seen = {
            "X": X,
            "y": y,
            "metadata": None if sample_weight is None else {"sample_weight": sample_weight},
        }
        none = dict.fromkeys(("X_val", "y_val", "sample_weight_val"))
        self._goes_on_pruned = True  # whatever the parameters say of its scale
        task = self._describe_fit(X, y, sample_weight, none, continues=True)
        del self._goes_on_pruned, self._is_reshaped
        if self._is_taught:
            task = self._describe_student(task, X, y, sample_weight)
        return self._train(task, seen, trains=False, prunes=True)

    def _partial_fit(self, X, y, sample_weight):
        """Make one pass over some rows; see the public classes."""
        self._validate_params()  # scikit-learn does so in the first call only
        self._check_combinations()
        if self.callbacks:
            raise ValueError(
                "partial_fit runs no skorch callbacks, which expect a training from its "
                "beginning to its end. Set callbacks=None, or use fit."
            )
        self._note_scale()
        seen = {
            "X": X,
            "y": y,
            "metadata": None if sample_weight is None else {"sample_weight": sample_weight},
        }
        return self._train(self._describe_pass(X, y, sample_weight), seen)

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
        recipe, farthest_rows = task.recipe, _farthest_rows(task)
        if self.callbacks:
            from ..training.skorch_surface import train_with_callbacks

            networks = [train_with_callbacks(task, self.callbacks, self._net_kind)]
        else:
            tasks = self._describe_members(task)
            if alone is not None and (task.valid_rows is None or current_job() is not None):
                alone = None  # nothing to compare by, or a search, which compares itself
            if alone is not None:
                alone = replace(
                    alone,
                    on_epoch_end=None,
                    initial=tasks[0].initial,
                    kept_weights=tasks[0].kept_weights,
                )
                tasks.append(alone)
            if pruning is None:
                del task  # the engine alone holds it
                networks = train_together(tasks)
            elif trains:
                networks = train_together(list(tasks))
            else:
                networks = [
                    TrainedNetwork(*t.initial[:2], buffers=(*t.initial, [])[2]) for t in tasks
                ]
            if alone is not None:
                self._compare(alone, networks[0], networks.pop(), validation_rows)
                tasks = tasks[: len(networks)]
            if pruning is not None and not any(isinstance(n, Exception) for n in networks):
                from ..compression.pruning import prune_networks

                self._unpruned_widths = self._widths_asked_for
                self._has_masks = self.pruning_kind == "weights"
                architecture, networks = prune_networks(pruning, tasks, networks)
        for network in networks:
            if isinstance(network, Exception):
                raise network
        if validation_rows is not None:
            for network in networks:
                self._calibrate(architecture, network, *validation_rows)
        for network in networks:
            self._try(architecture, network, farthest_rows, recipe)
        self._adopt(architecture, networks)
        context.call_on_fit_task_end(estimator=self, reconstruction_attributes={}, **seen)
        return self

    def _try(self, architecture, network, rows, recipe):
        """Refuse a network that no number comes of.

        No loss sees what the last step does, and some outputs do not enter any.
        """
        weights = network.coefs, network.intercepts, network.buffers
        with np.errstate(over="ignore", invalid="ignore"):
            outputs = self._compute(rows, architecture, *weights)
            outputs = outputs * getattr(network, "factor", 1.0)
        if not np.isfinite(outputs).all():
            what = "output for some of the rows of X"
            raise DivergedError(what, network.best_epoch, recipe)

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

    def _watch_epochs(self, context, task, n_epochs, seen, number):
        """Return what the engine calls after each epoch, or None if nobody watches."""
        is_watched = hasattr(self, "_skl_callbacks")
        if not is_watched and not self.verbose:
            return None
        # Not the task itself: it holds this function, and with it its rows.
        architecture, is_validated = task.architecture, task.valid_rows is not None
        buffers = task.buffers or []
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
                coefs, intercepts, *trained = get_weights()
                return self._attributes_at(
                    architecture, coefs, intercepts, trained[0] if trained else buffers
                )

            subcontext = context.subcontext(task_name="epoch")
            subcontext.call_on_fit_task_begin(estimator=self, **seen)
            return subcontext.call_on_fit_task_end(
                estimator=self, reconstruction_attributes=fitted_attributes, **seen
            )

        return on_epoch_end

    def _attributes_at(self, architecture, coefs, intercepts, buffers):
        """Return the fitted attributes of one network in training, for those who watch."""
        return {
            "architecture_": self._architecture_at(architecture, coefs),
            "coefs_": coefs,
            "intercepts_": intercepts,
        }

    def _adopt(self, architecture, networks):
        network = networks[0]
        self.architecture_ = architecture
        self.coefs_, self.intercepts_ = network.coefs, network.intercepts
        if len(networks) > 1:
            self.coefs_ = [np.stack(c) for c in zip(*(n.coefs for n in networks), strict=True)]
            self.intercepts_ = [
                np.stack(b) for b in zip(*(n.intercepts for n in networks), strict=True)
            ]
        self._adopt_extras(networks)
        history = network.history
        # A callback need not record in every epoch.
        names = dict.fromkeys(name for epoch in history for name in epoch)
        self.history_ = {
            name: np.array(
                [epoch.get(name, np.nan) for epoch in history],
                dtype=np.int32 if name == "epoch" else self._network_dtype,
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

    def _adopt_extras(self, networks):
        """Take over what networks of this family have beside weights and biases."""
