"""The skorch net of a fitted network, and fits with skorch callbacks.

`net_` is a skorch net, and callbacks written for skorch run during training. Such a fit trains
alone, through skorch's own loop, by autograd and a torch optimizer. Order, dropout masks,
weights, early stopping and history are those of the engine, so that callbacks without effect
give the engine's result.
"""

import contextlib
import dis
import time
from dataclasses import replace
from functools import partial

import numpy as np
import skorch
import torch
from scipy.sparse import csr_matrix, issparse
from skorch.callbacks import (
    Callback,
    EarlyStopping,
    EpochTimer,
    LRScheduler,
    PassthroughScoring,
    PrintLog,
)
from skorch.dataset import Dataset
from torch.utils.data import Subset

from ..inference.heads import Labels, Numbers
from ..networks.torch_modules import temporary_random_state
from .augmentation import change_images, draw_changes
from .data import DeviceData
from .dropout import MaskSource
from .feed import Feed
from .optimizers import optimizer_of
from .quiet import gate
from .random import initial_stream
from .stack import MASTER_DTYPES, Member
from .task import DivergedError, TrainedNetwork
from .threads import choose_threads, limit_threads


class MultilabelNet(skorch.NeuralNet):
    """skorch net that predicts an indicator matrix."""

    def predict(self, X):
        """Return 1 for labels with a probability above 0.5."""
        return (self.predict_proba(X) > 0.5).astype(np.int64)


class LossCriterion(torch.nn.Module):
    """Criterion of torch for a loss that torch lacks: its mean, in the units of training.

    Parameters
    ----------
    loss : Loss
    head : Labels or Numbers
        A regressor's predictions and targets are standardized by it.
    """

    def __init__(self, loss, head):
        super().__init__()
        self.loss = loss
        self.head = head

    def forward(self, y_pred, y_true):
        """Compute the mean loss of predictions of any shape."""
        if isinstance(self.head, Numbers):
            y_pred, y_true = self._standardize(y_pred), self._standardize(y_true)
            if self.loss.has_log_link:
                y_pred = y_pred.log()
        elif self.head.n_outputs == 1 or self.head.is_multilabel:
            y_pred = y_pred.reshape(len(y_true), -1)
            y_true = y_true.reshape(len(y_true), -1).to(y_pred.dtype)
        return self.loss.row_losses(y_pred, y_true).mean()

    def _standardize(self, y):
        mean, scale = (
            torch.from_numpy(part).to(y) for part in (self.head.mean, self.head.scale)
        )
        return (y.reshape(len(y), -1) - mean) / torch.where(scale == 0, 1, scale)


def _both_probabilities(logits):
    """Return the probabilities of two classes from the logits of the second."""
    p = torch.sigmoid(logits)
    return torch.stack([1 - p, p], 1)


def _net_of(head):
    """Return the class of skorch's net for a head, and its arguments."""
    if isinstance(head, Numbers):
        return skorch.NeuralNetRegressor, {}
    if head.is_multilabel:
        return MultilabelNet, {"predict_nonlinearity": torch.sigmoid}
    if head.is_binary:
        return skorch.NeuralNetBinaryClassifier, {"predict_nonlinearity": _both_probabilities}
    return skorch.NeuralNetClassifier, {"predict_nonlinearity": partial(torch.softmax, dim=-1)}


def _criterion_of(loss, head, scale):
    """Return the arguments of a skorch net for the criterion of a loss."""
    kind, arguments = loss.for_torch(scale) or (LossCriterion, {"loss": loss, "head": head})
    return {
        "criterion": kind,
        **{f"criterion__{name}": value for name, value in arguments.items()},
    }


_VALIDATION_ROWS = 4096


def make_fitted_net(estimator, loss):
    """Make a skorch net with a copy of an estimator's network.

    Its `predict_proba` (classifier) and `predict` (regressor) equal the estimator's; a
    classifier's `predict` returns indices into `classes_`. Its history is that of
    `history_`.

    Parameters
    ----------
    estimator : ScaledEstimator
        A fitted estimator.
    loss : Loss

    Returns
    -------
    skorch.NeuralNet
    """
    predictor = estimator.predictor_
    head = predictor.head
    net_class, arguments = _net_of(head)
    if net_class is skorch.NeuralNetClassifier:
        arguments["classes"] = estimator.classes_
    scale = head.scale if isinstance(head, Numbers) else None
    net = net_class(
        predictor.network.architecture.family.prediction_module(
            predictor.network, predictor.inputs.encoding, head, estimator.dropout_
        ),
        optimizer=optimizer_of(estimator.optimizer).for_torch()[0],
        lr=estimator.learning_rate,
        train_split=None,
        callbacks="disable",
        device="cpu",
        verbose=0,
        **_criterion_of(loss, head, scale),
        **arguments,
        **_private_generators(),
    )
    net.initialize()
    for values in zip(*estimator.history_.values(), strict=True):
        net.history.new_epoch()
        for name, value in zip(estimator.history_, values, strict=True):
            net.history.record(name, value.item())
    return net


def _private_generators():
    # A DataLoader draws a seed from torch's global generator, even if it does not need one.
    return {
        "iterator_train__generator": torch.Generator(),
        "iterator_valid__generator": torch.Generator(),
    }


def _make_empty(net_class):
    """Return an instance without state, for unpickling."""
    return net_class.__new__(net_class)


class _StopTraining(Exception):
    """Exception that ends skorch's loop."""


class _Loop:
    """State of a fit with callbacks, beside its skorch net.

    Parameters
    ----------
    task : Task
    head : Labels or Numbers
    """

    def __init__(self, task, head):
        self.task = task
        self.head = head
        # skorch's net for two classes takes targets of one dimension.
        self.is_flat = isinstance(head, Labels) and head.is_binary
        self.device = torch.device(task.device)
        self.feed = Feed(task, DeviceData(self.device))
        self.member = Member(task, 0, self.feed)
        self.dtype = MASTER_DTYPES[task.precision]
        self.batch_size = min(task.recipe.batch_size, self.feed.n_train)
        self.n_steps = 0
        self.steps_per_epoch = -(-self.feed.n_train // self.batch_size)
        self.stacked_loss = task.loss.stack([task.loss], self.dtype, self.device)
        self.masks = None
        if task.recipe.dropout > 0 and task.architecture.mask_widths:
            self.masks = MaskSource(
                [self.feed.random],
                [[task.recipe.dropout]],
                task.architecture.mask_widths,
                1,
                self.batch_size,
                self.dtype,
                self.device,
            )
        self.best = None
        self.should_stop = False
        self.validation_sums = [0.0, 0.0]
        self.validation_outputs = []

    def make_module(self):
        task = self.task
        weights = task.initial or task.architecture.family.draw(
            task.architecture,
            initial_stream(task.seed),
            np.float64 if task.precision == "float64" else np.float32,
        )
        if task.buffers is not None:
            weights = replace(weights, buffers=task.buffers)
        return self.with_weights(weights)

    def with_weights(self, weights):
        """Return a module for training with the given weights."""
        task = self.task
        return task.architecture.family.trainable(
            task.architecture, weights, dropout=task.recipe.dropout
        )

    def make_datasets(self):
        """Return the training and validation rows as skorch datasets."""

        def dataset(X, targets, rows):
            if rows is None:
                return None
            targets = targets[:, 0] if self.is_flat else targets
            # skorch accepts rows of sparse matrices, but not of sparse arrays.
            return Subset(Dataset(csr_matrix(X) if issparse(X) else X, targets), rows)

        task = self.task
        valid_X, valid_targets, _ = task.validation_data
        return (
            dataset(task.X, task.targets, task.train_rows),
            dataset(valid_X, valid_targets, task.valid_rows),
        )

    def _batch(self, rows, X, targets, weights):
        if self.feed.is_sparse:
            # Modules and callbacks expect dense batches.
            x = torch.from_numpy(X[rows].toarray()).to(self.device, self.dtype)
            rows = torch.from_numpy(rows).to(self.device)
        else:
            rows = torch.from_numpy(rows).to(self.device)
            x = X.index_select(0, rows).to(self.dtype)
        x = {"x": x}
        if weights is None:
            x["row_weights"] = torch.ones(len(rows), dtype=self.dtype, device=self.device)
        else:
            x["row_weights"] = weights.index_select(0, rows)
        targets = targets.index_select(0, rows)
        return x, targets[:, 0] if self.is_flat else targets

    def training_batches(self):
        """Yield the batches of one epoch, in the engine's order."""
        feed = self.feed
        while feed.n_left:
            n_rows = min(self.batch_size, feed.n_left)
            rows = feed.next_rows(1, n_rows)
            x, targets = self._batch(rows, feed.X, feed.targets, feed.weights)
            if feed.augmentation is not None:
                random = draw_changes(feed.random, n_rows)
                x["x"] = change_images(feed.augmentation, x["x"], random)
            if self.masks is not None:
                self.masks.draw(1, [n_rows])
                x["masks"] = [mask[0, 0, :n_rows] for mask in self.masks.masks]
            yield x, targets

    def validation_batches(self):
        """Yield the validation rows."""
        feed, rows = self.feed, self.task.valid_rows
        for start in range(0, len(rows), _VALIDATION_ROWS):
            yield self._batch(
                rows[start : start + _VALIDATION_ROWS],
                feed.valid_X,
                feed.valid_targets,
                feed.valid_weights,
            )

    def loss(self, y_pred, y_true, x, training):
        """Compute the weighted mean loss of a batch."""
        if self.task.targets.ndim > 1:  # no class indices
            y_pred = y_pred.reshape(len(y_true), -1)
            y_true = y_true.reshape(len(y_true), -1).to(y_pred.dtype)
        # The numbers of a stacked loss have a first axis of members.
        losses = self.stacked_loss.row_losses(y_pred[None], y_true[None])[0]
        weights = x.get("row_weights") if isinstance(x, dict) else None
        if weights is None:  # a callback computes the loss of its own rows
            return losses.mean()
        total = (losses * weights).sum()
        if training:
            return total / len(losses)
        if self.task.validation_scorer is not None:
            self.validation_outputs.append(y_pred.detach().cpu().numpy())
        self.validation_sums[0] += total.item()
        self.validation_sums[1] += weights.sum().item()
        return total / weights.sum().clamp_min(torch.finfo(weights.dtype).tiny)

    def end_epoch(self, net):
        """Record the epoch that skorch has just run, and check for early stopping."""
        member = self.member
        now = time.perf_counter()
        member.epoch += 1
        score = float("nan")
        if self.task.valid_rows is not None:
            score = -self.validation_sums[0] / self.validation_sums[1]
            if self.validation_outputs:
                score = member.score(np.concatenate(self.validation_outputs))
            self.validation_sums, self.validation_outputs = [0.0, 0.0], []
        self.record = {
            "epoch": member.epoch,
            "train_loss": net.history[-1, "train_loss"],
            "validation_score": score,
            "seconds": now - member.epoch_started,
        }
        for name in ("validation_score", "seconds"):
            net.history.record(name, self.record[name])
        is_best, self.should_stop = member.check_epoch(
            self.record, now, net.module_.get_weights
        )
        if is_best:
            self.best = net.module_.get_weights()
        self.feed.rewind()
        member.epoch_started = time.perf_counter()

    def keep_history(self, net):
        """Add values that callbacks recorded, once all callbacks have run."""
        for name, value in net.history[-1].items():
            if isinstance(value, (int, float, np.number)) and not name.endswith(
                ("_best", "_batch_count")
            ):
                self.record.setdefault(name, float(value))
        self.record.pop("dur", None)
        self.member.history.append(self.record)

    def is_out_of_time(self):
        """Return whether the time budget is spent."""
        return self.member.is_out_of_time(time.perf_counter())


class _EngineLoop:
    """Mixin for a skorch net class: skorch's loop over the engine's batches."""

    def __reduce_ex__(self, protocol):
        # A pickle (of a Checkpoint, for example) holds the skorch net that this extends.
        state = self.__getstate__()
        for name in ("loop", "datasets_", "_first_user_callback"):
            state.pop(name, None)
        plain = _net_of(self.loop.head)[0]
        return _make_empty, (plain,), state

    def get_default_callbacks(self):
        # The estimator prints and reports progress itself.
        return [
            ("epoch_timer", EpochTimer()),
            ("train_loss", PassthroughScoring(name="train_loss", on_train=True)),
            ("valid_loss", PassthroughScoring(name="valid_loss")),
        ]

    def get_split_datasets(self, X, y=None, **kwargs):
        self.datasets_ = self.loop.make_datasets()
        return self.datasets_

    def get_iterator(self, dataset, training=False):
        if training:
            return _Batches(self.loop.training_batches)
        if dataset is self.datasets_[1]:
            return _Batches(self.loop.validation_batches)
        return super().get_iterator(dataset, training=False)

    def infer(self, x, **fit_params):
        if isinstance(x, dict):
            x = {name: value for name, value in x.items() if name != "row_weights"}
        low_precision = contextlib.nullcontext()
        if self.loop.task.precision == "bfloat16":
            low_precision = torch.autocast(self.loop.device.type, torch.bfloat16)
        random_state = contextlib.nullcontext()
        if self.loop.task.architecture.draws:
            random_state = temporary_random_state(
                self.loop.feed.random.module_state, self.loop.device
            )
        with low_precision, random_state:
            y_pred = super().infer(x, **fit_params)
        # Callbacks read predictions with NumPy, which has no bfloat16.
        return y_pred.to(torch.promote_types(y_pred.dtype, torch.float32))

    def get_loss(self, y_pred, y_true, X=None, training=False):
        return self.loop.loss(y_pred, y_true.to(y_pred.device), X, training)

    def train_step(self, batch, **fit_params):
        loop, recipe = self.loop, self.loop.task.recipe
        groups = self.optimizer_.param_groups
        if not recipe.lr_schedule.is_constant:
            rate = float(recipe.learning_rate_at(loop.n_steps, loop.steps_per_epoch))
            for group in groups:
                group["lr"] = rate
        step = super().train_step(batch, **fit_params)
        loop.n_steps += 1
        if recipe.l1:
            with torch.no_grad():
                bound = groups[0]["lr"] * recipe.l1
                weights = dict(self.module_.named_parameters())
                for name in self.module_.decayed_names:
                    if name != "scales":
                        weights[name].sub_(weights[name].clamp(-bound, bound))
        return step

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        try:
            super().run_single_epoch(iterator, training, prefix, step_fn, **fit_params)
        except _OutOfTime:
            # skorch records this after the last batch.
            self.history.record(prefix + "_batch_count", len(self.history[-1, "batches"]))

    def notify(self, method_name, **cb_kwargs):
        getattr(self, method_name)(self, **cb_kwargs)
        is_epoch_end = method_name == "on_epoch_end"
        stopped_by_callback = False
        for name, callback in self.callbacks_:
            if is_epoch_end and name == self._first_user_callback:
                self.loop.end_epoch(self)
            try:
                getattr(callback, method_name)(self, **cb_kwargs)
            except KeyboardInterrupt as error:
                # skorch's EarlyStopping raises it to end the training. The user's Ctrl-C
                # must be passed on.
                if not _is_raised_explicitly(error):
                    raise
                stopped_by_callback = True
        if is_epoch_end:
            self.loop.keep_history(self)
            if self.loop.should_stop or stopped_by_callback:
                raise _StopTraining
        elif stopped_by_callback:
            raise _StopTraining
        elif (
            method_name == "on_batch_end"
            and cb_kwargs.get("training")
            and self.loop.is_out_of_time()
        ):
            raise _OutOfTime


class _OutOfTime(Exception):
    """Exception that ends an epoch before its last batch."""


class _Batches:
    """Iterable that calls a generator function for each iteration."""

    def __init__(self, yield_batches):
        self.yield_batches = yield_batches

    def __iter__(self):
        return self.yield_batches()


def _is_raised_explicitly(error):
    """Return whether a `raise` statement raised it, instead of a signal handler."""
    traceback = error.__traceback__
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    opcode = traceback.tb_frame.f_code.co_code[traceback.tb_lasti]
    return dis.opname[opcode] == "RAISE_VARARGS"


def _is_a(item, kind):
    """Return whether an entry of `callbacks` is of a kind of callback."""
    callback = item[1] if isinstance(item, tuple) else item
    return isinstance(callback, kind) or (
        isinstance(callback, type) and issubclass(callback, kind)
    )


class _DecoupledDecay:
    """A torch optimizer with weight decay decoupled from its update."""

    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        with torch.no_grad():
            for group in self.param_groups:
                for weights in group["params"]:
                    weights.mul_(1 - group["lr"] * group.get("decoupled_decay", 0.0))
        super().step()
        return loss


def _optimizer_arguments(recipe, module):
    """Return the arguments of a skorch net for the optimizer of a recipe."""
    kind, arguments = recipe.optimizer.for_torch()
    decay = "weight_decay"
    if not recipe.optimizer.decays_in_kernel:
        kind, decay = type(kind.__name__, (_DecoupledDecay, kind), {}), "decoupled_decay"
    return {
        "optimizer": kind,
        "optimizer__weight_decay": 0.0,
        "optimizer__param_groups": [
            (name, {decay: recipe.weight_decay}) for name in module.decayed_names
        ],
        **{f"optimizer__{name}": value for name, value in arguments.items()},
    }


def _check_callbacks(task, callbacks):
    for item in callbacks:
        if not _is_a(item, Callback):
            raise ValueError(
                f"callbacks holds {item!r}. Expected skorch callbacks, such as "
                "skorch.callbacks.EpochScoring('accuracy'), or pairs of a name and one. "
                "scikit-learn's callbacks are set by set_callbacks()."
            )
        if _is_a(item, LRScheduler) and not task.recipe.lr_schedule.is_constant:
            raise ValueError(
                f"lr_schedule ({task.recipe.lr_schedule!r}) and the LRScheduler in callbacks "
                'would both set the learning rate. Set lr_schedule="constant".'
            )
        if (
            _is_a(item, EarlyStopping)
            and task.valid_rows is None
            and str(getattr(item, "monitor", "valid_loss")).startswith("valid_")
        ):
            raise ValueError(
                f"{item!r} monitors validation rows, and there are none. Set "
                "early_stopping=True, or let it monitor 'train_loss'."
            )


def train_with_callbacks(task, callbacks, head):
    """Train one task through skorch's loop.

    Parameters
    ----------
    task : Task
    callbacks : list
        skorch callbacks, as for `skorch.NeuralNet`.
    head : Labels or Numbers

    Returns
    -------
    TrainedNetwork

    Raises
    ------
    DivergedError
        If a loss, score or weight is not finite.
    """
    _check_callbacks(task, callbacks)
    net_class, arguments = _net_of(head)
    n_outputs = task.architecture.n_outputs
    if net_class is skorch.NeuralNetClassifier:
        arguments["classes"] = list(range(n_outputs))
    loop = _Loop(task, head)
    recipe = task.recipe
    module = loop.make_module()
    net = type("TrainingNet", (_EngineLoop, net_class), {})(
        module,
        **_criterion_of(task.loss, head, np.ones(n_outputs)),
        lr=recipe.learning_rate,
        **_optimizer_arguments(recipe, module),
        max_epochs=recipe.max_epochs,
        batch_size=loop.batch_size,
        callbacks=list(callbacks),
        device=task.device,
        # A PrintLog among the callbacks is meant to print.
        verbose=int(any(_is_a(c, PrintLog) for c in callbacks)),
        **arguments,
        **_private_generators(),
    )
    net.loop = loop
    net.initialize()
    # The engine's record comes after skorch's own callbacks, so that user callbacks see it.
    user_callbacks = net.callbacks_[len(net.get_default_callbacks()) :]
    net._first_user_callback = user_callbacks[0][0]
    y = loop.make_datasets()[0].dataset.y
    macs = 3 * task.architecture.n_macs * loop.batch_size
    with (
        gate.training(),
        limit_threads(choose_threads(macs)),
        contextlib.suppress(_StopTraining),
    ):
        net.notify("on_train_begin", X=task.X, y=y)
        net.fit_loop(task.X, y)
    member = loop.member
    if not member.history:
        raise ValueError(
            "A callback ended the training before the first epoch was over. Expected at "
            "least one epoch: let it stop at an epoch's end."
        )
    best_epoch = member.epoch
    if loop.best is not None:
        best_epoch = member.early_stopping.best_epoch
        net.module_.load_state_dict(loop.with_weights(loop.best).state_dict())
    with contextlib.suppress(_StopTraining):
        net.notify("on_train_end", X=task.X, y=y)
    weights = net.module_.get_weights()
    if not weights.is_finite:
        raise DivergedError("value of a weight", member.epoch, recipe)
    seconds = time.perf_counter() - member.started
    return TrainedNetwork(weights, member.history, best_epoch, fit_time=seconds)
