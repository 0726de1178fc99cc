"""Fits: from the call to the adopted networks."""

import copy
import warnings
from dataclasses import replace

import numpy as np
from scipy.sparse import issparse

from ..inference.predictor import make_predictor
from ..inference.weights import Weights
from ..training.task import DivergedError, TrainedNetwork
from .description import DescribesTraining

# Rows that the outputs of a trained network are checked on before it is adopted.
_N_CHECKED = 64


class Trains(DescribesTraining):
    """The part of all estimators that trains, prunes and adopts networks.

    Nothing is written on an estimator before its networks are trained, but for the attributes
    of scikit-learn's callbacks: what stops a fit leaves it as it was. A RandomState that is
    passed as `random_state` has by then been drawn from, as in scikit-learn.
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
            task, alone = self._describe_student(task, fit, X, y, sample_weight), task
        # A fitted network that is trained on has been pruned already, in its shape.
        prunes = self.pruning > 0 and (task.initial is None or fit.is_reshaped)
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
            task = self._describe_student(task, fit, X, y, sample_weight)
        rows = (X, y, sample_weight)
        return self._train_and_adopt(task, fit, rows, trains=False, prunes=True)

    def _partial_fit(self, X, y, sample_weight, head=None):
        """Make one pass over some rows; see the public classes."""
        self._validate_params()  # scikit-learn does so in the first call only
        self._check_combinations()
        if self.callbacks:
            raise ValueError(
                "partial_fit runs no skorch callbacks, which expect a training from its "
                "beginning to its end. Set callbacks=None, or use fit."
            )
        former = vars(self).get("predictor_")
        task, fit = self._describe_pass(X, y, sample_weight, former, head)
        return self._train_and_adopt(task, fit, (X, y, sample_weight))

    def _train_and_adopt(self, task, fit, rows, *, alone=None, trains=True, prunes=False):
        """Train the networks of a task, prune them, or both, and adopt them.

        Parameters
        ----------
        task : Task
        fit : Fit
        rows : (X, y, sample_weight)
            As they were passed, for scikit-learn's callbacks.
        alone : Task or None
            Of a student, the task without its teacher.
        trains, prunes : bool
        """
        pruning = self._describe_pruning() if prunes else None
        n_epochs = trains * task.recipe.max_epochs
        n_epochs += 0 if pruning is None else pruning.all_epochs
        X, y, sample_weight = rows
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        seen = {"X": X, "y": y, "metadata": metadata}
        context = self._init_callback_context(max_subtasks=n_epochs)
        context.call_on_fit_task_begin(estimator=self, **seen)
        if self.verbose or hasattr(self, "_skl_callbacks"):
            task.on_epoch_end = self._watch_epochs(context, task, fit, n_epochs, seen)
        validation, farthest = self._rows_to_check(task)
        architecture, recipe = task.architecture, task.recipe
        if self.callbacks:
            from ..training.skorch_surface import train_with_callbacks

            networks = [train_with_callbacks(task, self.callbacks, fit.head.kind)]
        else:
            tasks = self._describe_members(task, fit)
            del task  # the engine alone holds it
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
        """Return the architecture, and networks or exceptions; empties `tasks` where it can."""
        from ..training.fusion import current_job, train_together

        architecture = tasks[0].architecture
        # Nothing to compare by, or a search, which compares by itself.
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
            self._compare(architecture, networks[0], networks.pop(), validation)
            tasks = tasks[: len(networks)]
        if pruning is not None and not any(isinstance(n, Exception) for n in networks):
            from ..compression.pruning import prune_networks

            fit.continuation = replace(
                fit.continuation,
                full_widths=fit.widths,
                has_masks=pruning.kind == "weights",
            )
            architecture, networks = prune_networks(pruning, tasks, networks)
        return architecture, networks

    # Whether outputs are rescaled by the validation rows.
    calibrate = False

    def _rows_to_check(self, task):
        """Return rows that trained networks are calibrated by and checked on.

        Returns
        -------
        validation : (X, targets, weights) or None
            The validation rows of a classifier that calibrates.
        farthest : array of shape (n_checked, n_features)
            Rows of the training, a few, whose values are the largest.
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
        """Refuse a network whose outputs are not finite.

        No loss sees what the last step does, and some outputs do not enter any.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            outputs = self._make_network(architecture, [network]).outputs(rows)
        if not np.isfinite(outputs).all():
            what = "output for some of the rows of X"
            raise DivergedError(what, network.best_epoch, recipe)

    def _compare(self, architecture, student, alone, validation):
        """Warn where a student does not gain from its teacher."""
        if isinstance(student, Exception) or isinstance(alone, Exception):
            return
        losses = []
        for network in (student, alone):
            if validation is None:
                losses.append(-max(epoch["validation_score"] for epoch in network.history))
                continue
            network = copy.copy(network)
            losses.append(self._calibrate(architecture, network, *validation))
        loss, loss_alone = losses
        if loss_alone <= loss:
            warnings.warn(
                "Without its teacher the student does as well: its mean loss on the validation "
                f"rows is {loss_alone:.4f}, with the teacher {loss:.4f}. Distillation does not "
                "pay here. Try n_synthetic, another distillation_weight or teacher, or set "
                "teacher=None.",
                UserWarning,
                stacklevel=6,
            )

    def _watch_epochs(self, context, task, fit, n_epochs, seen):
        """Return what the engine calls after each epoch."""
        from ..training.fusion import fit_number

        is_watched = hasattr(self, "_skl_callbacks")
        # Not the task itself: it holds this function, and with it its rows.
        architecture, is_validated = task.architecture, task.valid_rows is not None
        buffers, number = task.buffers or [], fit_number()
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
                weights = get_weights()
                if not weights.buffers:
                    weights = replace(weights, buffers=buffers)
                # Pruned networks are narrower than they began.
                network = self._make_network(
                    architecture.shaped_as(weights), [TrainedNetwork(weights)]
                )
                return self._describe_fitted(network, fit)

            subcontext = context.subcontext(task_name="epoch")
            subcontext.call_on_fit_task_begin(estimator=self, **seen)
            return subcontext.call_on_fit_task_end(
                estimator=self, reconstruction_attributes=fitted_attributes, **seen
            )

        return on_epoch_end

    def _describe_fitted(self, network, fit):
        """Return what is written of a network, also while it trains."""
        return {
            "predictor_": make_predictor(fit.inputs, network, fit.head),
            "n_samples_seen_": fit.n_samples_seen,
            "dropout_": fit.dropout,
            **self._scale_attributes(fit.inputs),
            "_continuation": fit.continuation,
        }

    def _adopt(self, architecture, networks, fit):
        """Write what a fit found on the estimator: all of it, here and nowhere else."""
        first, history = networks[0], networks[0].history
        # A callback need not record in every epoch.
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
            "fit_seconds_": sum(network.fit_seconds for network in networks),
            "peak_device_bytes_": None if None in peaks else sum(peaks),
            "_continuation": replace(
                fit.continuation, optimizer_states=None if None in states else states
            ),
        }
        vars(self).update(found)


def stack_networks(networks):
    """Return the weights of all members of an ensemble, and the factors of their outputs."""
    weights = Weights.stack([network.weights for network in networks])
    return weights, np.array([network.factor for network in networks])
