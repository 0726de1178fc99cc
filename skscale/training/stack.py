"""Stacks: members that train together, from the first epoch to the last.

All members of a stack take every step together. An epoch ends for each member at its own step,
so folds of unequal length need no idle steps, and Adam has one step count. A member that stops
is removed, and the stack continues without it.
"""

import time
from itertools import groupby

import numpy as np
import torch

from ..networks.parameters import StackedParameters, TrainedNumbers
from .chunk import CHUNK_BYTES, Chunk, make_graph_capture
from .early_stopping import EarlyStopping
from .random import initial_stream
from .stacked_optimizer import StackedOptimizer
from .task import (
    CancelledError,
    DivergedError,
    OptimizerState,
    TimeBudgetError,
    TrainedNetwork,
)

# Shortest time between two checkpoints.
SECONDS_BETWEEN_CHECKPOINTS = 60.0
# Least ratio of training time to the time of writing a checkpoint.
_TRAINING_PER_CHECKPOINT = 20
# Dtype of weights and gradients; "bfloat16" is the dtype of the products only.
MASTER_DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.float32,
    "float64": torch.float64,
}
# Bytes of activations of a layer in validation: small enough for a core's L2 cache, or large
# enough to fill a GPU.
_VALIDATION_BYTES = {"cpu": 1 << 20, "cuda": 1 << 28}


class Member:
    """Member of a stack: one task during its training.

    Parameters
    ----------
    task : Task
    index : int
        Its index in the list of tasks.
    feed : Feed
        Its rows, possibly shared with other members.
    """

    def __init__(self, task, index, feed):
        self.task = task
        self.index = index
        self.feed = feed
        self.epoch = 0
        self.history = []
        self.early_stopping = None
        if task.valid_rows is not None:
            self.early_stopping = EarlyStopping(task.recipe.n_iter_no_change, task.recipe.tol)
        self.created = self.started = self.epoch_started = time.perf_counter()
        self.fit_time = 0.0
        if task.checkpoint is not None:
            self._restore(task.checkpoint["member"])

    def state(self, now):
        """Return its progress as a dict of plain values."""
        state = {
            "epoch": self.epoch,
            "history": list(self.history),
            "seconds": now - self.started,
            "epoch_seconds": now - self.epoch_started,
            "fit_time": self.fit_time,
        }
        if self.early_stopping is not None:
            state["early_stopping"] = dict(vars(self.early_stopping))
        return state

    def _restore(self, state):
        self.epoch, self.history = state["epoch"], list(state["history"])
        self.started -= state["seconds"]
        self.epoch_started -= state["epoch_seconds"]
        self.fit_time = state["fit_time"]
        if self.early_stopping is not None:
            vars(self.early_stopping).update(state["early_stopping"])

    def score(self, found):
        """Return the validation score, from the outputs if a scorer computes it."""
        scorer = self.task.validation_scorer
        return found if scorer is None else scorer(found)

    def check_epoch(self, record, now, get_weights):
        """Check the epoch that has just ended for early stopping and divergence.

        Parameters
        ----------
        record : dict
            Its row of `TrainedNetwork.history`.
        now : float
            Current `time.perf_counter()`.
        get_weights : callable
            Returns the current Weights.

        Returns
        -------
        is_best : bool
            Whether its weights are the best so far.
        should_stop : bool

        Raises
        ------
        DivergedError
            If the training loss or the validation score is not finite.
        """
        recipe = self.task.recipe
        if not np.isfinite(record["train_loss"]):
            raise DivergedError("training loss", self.epoch, recipe)
        is_best, stop = False, self.epoch >= recipe.max_epochs or self.is_out_of_time(now)
        if self.early_stopping is not None:
            score = record["validation_score"]
            if not np.isfinite(score):
                raise DivergedError("validation score", self.epoch, recipe)
            is_best, is_stale = self.early_stopping.update(self.epoch, score)
            stop |= is_stale
        if self.task.on_epoch_end is not None:
            stop |= bool(self.task.on_epoch_end(record, get_weights))
        return is_best, stop

    def is_out_of_time(self, now):
        """Return whether the time budget is spent."""
        budget = self.task.recipe.max_seconds
        return budget is not None and now - self.started >= budget


class Stack:
    """Stack of tasks with equal architecture, loss, batch size and precision.

    Parameters
    ----------
    members : list of Member
    device : torch.device
    gradient : class
        `StepGradient` or `AutogradGradient`.
    cancel : threading.Event or None
        Once set, training ends with a CancelledError.
    deadline : float or None
        Reading of `time.monotonic` at which the members that still train fail.
    """

    def __init__(self, members, device, gradient, cancel=None, deadline=None):
        task = members[0].task
        self.members = members
        self.device = device
        self._cancel = cancel
        self._deadline = deadline
        self.architecture = task.architecture
        self.family = task.architecture.family
        self.precision = task.precision
        self.dtype = getattr(torch, self.precision)  # torch's own names
        # Dtype of the network's inputs; integers stay integers.
        self.input_dtype = self.dtype
        if self.architecture.takes_integers:
            self.input_dtype = torch.int64
        self.batch_size = max(min(m.task.recipe.batch_size, m.feed.n_train) for m in members)
        self.n_steps = 0
        self._n_at_first = len(members)
        self._gradient = gradient
        # Sparse batches differ in their number of entries, so neither graphs nor programs
        # can repeat a step.
        self.is_sparse = members[0].feed.is_sparse
        can_repeat = self.family.can_repeat and task.loss.can_repeat and not self.is_sparse
        self.graphs = make_graph_capture(device) if can_repeat else None
        # Whether steps run as a program if possible.
        self.repeats = device.type == "cpu" and can_repeat
        self.chunk_bytes = CHUNK_BYTES["cuda" if device.type == "cuda" else "cpu"]
        self.results = {}
        self.best = None
        parameters = StackedParameters(
            self.family.shapes(self.architecture),
            len(members),
            MASTER_DTYPES[self.precision],
            device,
        )
        for k, member in enumerate(members):
            parameters.set_member_(k, self._initial_parameters(member.task))
        if any(m.early_stopping is not None for m in members):
            self.best = parameters.like()
        self._set_parameters(parameters)
        self.optimizer = StackedOptimizer(
            self.parameters,
            self.gradients,
            [m.task.recipe for m in members],
            [-(-m.feed.n_train // self.batch_size) for m in members],
            self._stack_masks(),
        )
        for k, member in enumerate(members):
            if member.task.checkpoint is not None:
                self._resume(k, member.task.checkpoint)
            elif member.task.optimizer_state is not None:
                self.optimizer.load_member_(k, member.task.optimizer_state)

    def _initial_parameters(self, task):
        """Return the initial or resumed parameters of a task's training."""
        if task.checkpoint is not None:
            return TrainedNumbers(*task.checkpoint["trained"])
        dtype = np.float64 if self.precision == "float64" else np.float32
        weights = task.initial or self.family.draw(
            self.architecture, initial_stream(task.seed), dtype
        )
        state = task.optimizer_state
        scales = None if state is None else state.scales
        return TrainedNumbers.of(self.architecture, weights, scales, task.buffers)

    def checkpoint_of(self, k, now):
        """Return the checkpoint of a member, as a dict of arrays and plain values.

        It holds all that the rest of the training depends on, beyond the task.
        """
        member, state = self.members[k], self.optimizer.get_member(k)
        has_best = member.early_stopping is not None and member.early_stopping.best_epoch > 0
        return {
            "n_steps": self.n_steps,
            "loss_sum": float(self.loss_sums[k]),
            "trained": tuple(self.parameters.get_member(k)),
            "best": tuple(self.best.get_member(k)) if has_best else None,
            "optimizer": [tuple(state.first), tuple(state.second), state.n_steps],
            "member": member.state(now),
            "feed": member.feed.state(),
        }

    def _resume(self, k, checkpoint):
        """Restore a member from a checkpoint, except for its parameters."""
        self.n_steps = checkpoint["n_steps"]
        self.loss_sums[k] = checkpoint["loss_sum"]
        if checkpoint["best"] is not None:
            self.best.set_member_(k, TrainedNumbers(*checkpoint["best"]))
        first, second, n_steps = checkpoint["optimizer"]
        state = OptimizerState(
            None,
            TrainedNumbers(*first),
            TrainedNumbers(*second),
            n_steps,
            self.optimizer.optimizer,
        )
        self.optimizer.load_member_(k, state)

    def _stack_masks(self):
        """Return the masks of all weights, in the layout of the parameters, or None."""
        if self.members[0].task.pruning_masks is None:
            return None
        masks = self.parameters.like()
        for k, member in enumerate(self.members):
            for own, mask in zip(masks.weights, member.task.pruning_masks, strict=True):
                own[k].copy_(torch.from_numpy(mask))
        return masks

    def _set_parameters(self, parameters):
        self._find_feeds()
        self.parameters = parameters
        self.gradients = parameters.like()
        is_mixed = self.dtype != parameters.flat.dtype
        self.product_parameters = parameters.like(dtype=self.dtype) if is_mixed else parameters
        self.product_gradients = (
            parameters.like(dtype=self.dtype) if is_mixed else self.gradients
        )
        self.product_parameters.buffers = parameters.buffers
        self.drops = any(m.task.recipe.dropout > 0 for m in self.members) and bool(
            self.architecture.mask_widths
        )
        self.loss_dtype = torch.promote_types(self.dtype, torch.float32)
        n_members = len(self.members)
        self.loss_sums = torch.zeros(n_members, dtype=self.loss_dtype, device=self.device)
        losses = [m.task.loss for m in self.members]
        self.loss = losses[0].stack(losses, self.loss_dtype, self.device)
        self._chunks = {}

    def _find_feeds(self):
        # Members with one feed are adjacent.
        runs = [(feed, list(run)) for feed, run in groupby(self.members, lambda m: m.feed)]
        self.feeds = [feed for feed, _ in runs]
        self.feed_sizes = [len(run) for _, run in runs]
        self.feed_of_member = [f for f, n in enumerate(self.feed_sizes) for _ in range(n)]
        self.feed_index = torch.tensor(self.feed_of_member, device=self.device)
        # Below two members per batch, copying batches is cheaper than separate products.
        if len(runs) > 1 and len(self.members) < 2 * len(runs) and not self.is_sparse:
            self.n_sharing = [1] * len(self.members)
        else:
            self.n_sharing = self.feed_sizes

    def make_gradient(self, n_rows):
        """Make the gradient of this stack for steps of `n_rows` rows."""
        return self._gradient(
            self.architecture,
            self.loss,
            self.product_parameters,
            self.product_gradients,
            n_rows,
            self.n_sharing,
            [member.feed.random for member in self.members],
        )

    def cast_parameters(self):
        """Cast the parameters to the dtype of the products."""
        if self.product_parameters is not self.parameters:
            self.product_parameters.flat.copy_(self.parameters.flat)

    def cast_gradients(self):
        """Cast the gradients to the dtype of the optimizer."""
        if self.product_gradients is not self.gradients:
            self.gradients.flat.copy_(self.product_gradients.flat)

    def train(self):
        """Train until every member has stopped.

        Returns
        -------
        dict of int to TrainedNetwork or Exception
            Results by the members' `index`.
        """
        since = self.members[0].created
        next_checkpoint = since + SECONDS_BETWEEN_CHECKPOINTS
        try:
            while self.members:
                self.check_cancelled()
                if self._deadline is not None and time.monotonic() >= self._deadline:
                    self.results.update({m.index: TimeBudgetError() for m in self.members})
                    break
                self._advance()
                now = time.perf_counter()
                ended = [
                    k
                    for k, m in enumerate(self.members)
                    if m.feed.n_left == 0 or m.is_out_of_time(now)
                ]
                if ended:
                    stopped = self._end_epoch(ended, now)
                    if stopped:
                        now = time.perf_counter()
                        self._record_time_and_memory(now - since, stopped)
                        since = now
                        self._save_results(stopped)
                        self._remove(stopped)
                if now >= next_checkpoint:
                    self._record_time_and_memory(now - since, ())
                    since = now
                    self._save_checkpoints(now)
                    # A checkpoint that takes long is written less often.
                    then = time.perf_counter()
                    next_checkpoint = then + max(
                        SECONDS_BETWEEN_CHECKPOINTS, _TRAINING_PER_CHECKPOINT * (then - now)
                    )
        finally:
            # Chunks refer to their stack: break the cycle, to free the memory at once.
            self._chunks = {}
        return self.results

    def _record_time_and_memory(self, seconds, stopped):
        """Record time and memory, split equally among members that train at the same time."""
        peak = None
        if self.device.type == "cuda":
            peak = torch.cuda.max_memory_allocated(self.device) // self._n_at_first
        for member in self.members:
            member.fit_time += seconds / len(self.members)
        for member in (self.members[k] for k in stopped):
            network = self.results[member.index]
            if isinstance(network, TrainedNetwork):
                network.fit_time, network.peak_device_bytes = member.fit_time, peak

    def _save_results(self, stopped):
        """Write the results of stopping members to their cache, if any."""
        for member in (self.members[k] for k in stopped):
            if member.task.cache_entry is not None:
                member.task.cache_entry.save(self.results[member.index])

    def _save_checkpoints(self, now):
        for k, member in enumerate(self.members):
            if member.task.cache_entry is not None:
                member.task.cache_entry.save_checkpoint(self.checkpoint_of(k, now))

    def check_cancelled(self):
        """Raise a CancelledError if the training was cancelled."""
        if self._cancel is not None and self._cancel.is_set():
            raise CancelledError

    def _advance(self):
        # Full batches, until a feed's epoch ends or has only a smaller batch left.
        size = self.batch_size
        n_full = min(feed.n_left // size for feed in self.feeds)
        if n_full > 0:
            n_rows_of_feed = [size] * len(self.feeds)
        else:
            n_rows_of_feed = [min(size, feed.n_left) for feed in self.feeds]
        n_rows = max(n_rows_of_feed)
        chunk = self._chunks.get(n_rows)
        if chunk is None:
            is_full = n_rows == size
            most = max(1, max(f.n_train // size for f in self.feeds)) if is_full else 1
            chunk = self._chunks[n_rows] = Chunk(self, n_rows, most)
        n_steps = min(max(n_full, 1), chunk.capacity)
        if self.graphs is not None:
            # A power of two: each number of steps needs its own graph.
            n_steps = 1 << (n_steps.bit_length() - 1)
        self.loss_sums += chunk.run(n_steps, n_rows_of_feed)
        self.n_steps += n_steps

    def _end_epoch(self, ended, now):
        """End an epoch of the given members; return those that stop."""
        losses = self.loss_sums.tolist()
        scores = self._validate([k for k in ended if self.members[k].early_stopping])
        stopped = []
        for k in ended:
            member = self.members[k]
            member.epoch += 1
            record = {
                "epoch": member.epoch,
                "train_loss": losses[k] / member.feed.n_seen,
                "validation_score": float("nan"),
                "seconds": now - member.epoch_started,
            }
            member.history.append(record)
            try:
                if k in scores:
                    record["validation_score"] = member.score(scores[k])
                if self._is_finished(k, member, record, now):
                    self.results[member.index] = self._extract(k, member)
                    stopped.append(k)
            except Exception as error:  # must not affect other members
                self.results[member.index] = error
                stopped.append(k)
            member.epoch_started = time.perf_counter()
        for feed in self.feeds:
            if feed.n_left == 0:
                feed.rewind()
        self.loss_sums[ended] = 0
        return stopped

    def _is_finished(self, k, member, record, now):
        def get_weights():
            return self.parameters.get_member(k).weights(self.architecture)

        is_best, stop = member.check_epoch(record, now, get_weights)
        if is_best:
            self.best.copy_member_(k, self.parameters, k)
        return stop

    def _extract(self, k, member):
        best_epoch = member.epoch
        source = self.parameters
        if member.early_stopping is not None:
            source, best_epoch = self.best, member.early_stopping.best_epoch
        weights = source.get_member(k).weights(self.architecture)
        if not weights.is_finite:
            raise DivergedError("value of a weight", member.epoch, member.task.recipe)
        state = self.optimizer.get_member(k) if member.task.keeps_optimizer else None
        return TrainedNetwork(weights, member.history, best_epoch, state)

    @torch.no_grad()
    def _validate(self, indices):
        """Compute the negative mean validation loss, or the outputs, of given members.

        Parameters
        ----------
        indices : list of int

        Returns
        -------
        dict of int to float or ndarray of shape (n_valid, n_outputs)
            Outputs for a member whose task has a `validation_scorer`.
        """
        if not indices:
            return {}
        self.cast_parameters()
        parameters = self.product_parameters
        if len(indices) < len(self.members):
            parameters = parameters.select(indices)
        forward = self.family.predictor(self.architecture, parameters)
        runs = [
            (f, len(list(run))) for f, run in groupby(self.members[k].feed for k in indices)
        ]
        feeds, sizes = [feed for feed, _ in runs], [size for _, size in runs]
        feed_of_member = torch.tensor(
            [f for f, size in enumerate(sizes) for _ in range(size)], device=self.device
        )
        max_rows = max(feed.n_valid for feed in feeds)
        n_chunk = self._rows_of_validation(len(indices))
        totals = torch.zeros_like(self.loss_sums[: len(indices)])
        loss = self.loss.for_validation.select(indices)
        scored = [i for i, k in enumerate(indices) if self.members[k].task.validation_scorer]
        outputs_of_scored = []
        for start in range(0, max_rows, n_chunk):
            self.check_cancelled()
            x, targets, weights = self._validation_batch(
                feeds, start, min(n_chunk, max_rows - start), totals.dtype
            )
            outputs = forward(x, sizes).to(totals.dtype)
            losses = loss.row_losses(outputs, targets.index_select(0, feed_of_member))
            totals += (losses * weights.index_select(0, feed_of_member)).sum(1)
            if scored:
                outputs_of_scored.append(outputs[scored].cpu())
        found = {
            k: -total / self.members[k].feed.valid_weight
            for k, total in zip(indices, totals.tolist(), strict=True)
        }
        if scored:
            whole = torch.cat(outputs_of_scored, dim=1).numpy()
            for i, outputs in zip(scored, whole, strict=True):
                found[indices[i]] = outputs[: self.members[indices[i]].feed.n_valid]
        return found

    def _rows_of_validation(self, n_members):
        """Return the number of rows to validate at once."""
        # Sparse rows stay sparse, so the input width does not count.
        widest = self.architecture.widest
        if self.is_sparse:
            widest = max(self.architecture.widths, default=1)
        budget = _VALIDATION_BYTES["cuda" if self.device.type == "cuda" else "cpu"]
        return max(64, budget // (n_members * widest * self.dtype.itemsize))

    def _validation_batch(self, feeds, start, n_rows, loss_dtype):
        """Return inputs, targets and weights of validation rows, with the feeds first."""
        x, targets, weights = [], [], []
        for feed in feeds:
            rows = feed.valid_rows[start : start + n_rows]
            weight = torch.ones(len(rows), dtype=loss_dtype, device=self.device)
            if feed.valid_weights is not None:
                weight *= feed.valid_weights.index_select(0, rows)
            n_padding = n_rows - len(rows)
            if n_padding:
                # Pad with a real validation row, so that the loss is finite.
                padding = feed.valid_rows[:1].expand(n_padding)
                rows = torch.cat([rows, padding])
                weight = torch.cat([weight, weight.new_zeros(n_padding)])
            if self.is_sparse:
                own = feed.host_valid_rows[start : start + n_rows]
                own = np.append(own, np.repeat(feed.host_valid_rows[:1], n_padding))
                x.append(feed.valid_batch(own, self.dtype, self.device))
            else:
                x.append(feed.valid_X.index_select(0, rows))
            targets.append(feed.valid_targets.index_select(0, rows))
            weights.append(weight)
        if not self.is_sparse:
            x = torch.stack(x).to(self.input_dtype)
        return x, torch.stack(targets), torch.stack(weights)

    def _remove(self, stopped):
        remaining = [k for k in range(len(self.members)) if k not in set(stopped)]
        self.members = [self.members[k] for k in remaining]
        if not remaining:
            return
        if self.best is not None:
            self.best = self.best.select(remaining)
        loss_sums = self.loss_sums[remaining]
        self._set_parameters(self.parameters.select(remaining))
        self.loss_sums.copy_(loss_sums)
        self.optimizer = self.optimizer.select(remaining, self.parameters, self.gradients)
