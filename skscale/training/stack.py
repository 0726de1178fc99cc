"""Members that train together, from the first epoch to the last.

All members of a stack take every step together; an epoch ends for each at its own step,
so folds of unequal length need no idle steps, and Adam's step count is one number. A
member that has stopped leaves, and the stack goes on without it.
"""

import time

import numpy as np
import torch

from ..networks.dense import initial_parameters, stacked_forward
from ..networks.parameters import StackedParameters
from .chunk import Chunk, make_graph_capture
from .early_stopping import EarlyStopping
from .losses import row_losses
from .optimizer import StackedAdamW
from .random import MemberRandom
from .task import CancelledError, DivergedError, TrainedNetwork

# Of weights and their gradients; "bfloat16" is the dtype of the products only.
MASTER_DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.float32,
    "float64": torch.float64,
}
# Activations of a layer in validation: small enough for a core's L2 cache, or large enough
# to fill a GPU.
_VALIDATION_BYTES = {"cpu": 1 << 20, "cuda": 1 << 28}


class Member:
    """One task in training.

    Parameters
    ----------
    task : Task
    index : int
        Its place in the list of tasks.
    data : DeviceData
    """

    def __init__(self, task, index, data):
        self.task = task
        self.index = index
        self.X = data.tensor(task.X)
        self.targets = data.tensor(task.targets)
        self.weights = data.tensor(task.weights)
        self.valid_rows = data.tensor(task.valid_rows)
        self.random = MemberRandom(task.seed, task.recipe.dropout)
        self.n_train = len(task.train_rows)
        self.epoch = 0
        self.history = []
        self.early_stopping = None
        if task.valid_rows is not None:
            self.early_stopping = EarlyStopping(task.recipe.n_iter_no_change, task.recipe.tol)
        self._order = None
        self._position = 0
        self.started = self.epoch_started = time.perf_counter()

    def next_rows(self, n_steps, n_rows):
        """Return the training rows of the epoch's next `n_steps` batches of `n_rows`."""
        n = n_steps * n_rows
        if self._position == 0:
            rows = self.task.train_rows
            # A single batch is the same in any order.
            self._order = rows if n_rows == self.n_train else self.random.order(rows)
        rows = self._order[self._position : self._position + n]
        self._position += n
        return rows

    @property
    def n_left(self):
        """int: training rows that the epoch has not seen."""
        return self.n_train - self._position

    @property
    def n_seen(self):
        """int: training rows that the epoch has seen."""
        return self._position

    def rewind(self):
        """Begin the next epoch."""
        self._position = 0
        self.epoch_started = time.perf_counter()

    def judge(self, record, now, get_weights):
        """Judge the epoch that has just ended.

        Parameters
        ----------
        record : dict
            Its row of `TrainedNetwork.history`.
        now : float
            Time of `time.perf_counter`.
        get_weights : callable
            Returns (coefs, intercepts) as they stand.

        Returns
        -------
        is_best : bool
            Whether its weights are the ones to keep so far.
        should_stop : bool

        Raises
        ------
        DivergedError
            If its loss or score is not finite.
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
        """Whether the time budget is spent."""
        budget = self.task.recipe.max_seconds
        return budget is not None and now - self.started >= budget


class Stack:
    """Train tasks of equal architecture, loss, batch size and precision together.

    Parameters
    ----------
    members : list of Member
    device : torch.device
    gradient : class
        `WrittenOutGradient` or `AutogradGradient`.
    cancel : threading.Event or None
        Once set, training ends with a CancelledError.
    """

    def __init__(self, members, device, gradient, cancel=None):
        task = members[0].task
        self.members = members
        self.device = device
        self._cancel = cancel
        self.architecture = task.architecture
        self.loss = task.loss
        self.precision = task.precision
        self.dtype = (
            torch.bfloat16 if self.precision == "bfloat16" else MASTER_DTYPES[self.precision]
        )
        self.batch_size = max(min(m.task.recipe.batch_size, m.n_train) for m in members)
        self.n_steps = 0
        self._gradient = gradient
        self.graphs = make_graph_capture(device)
        self.results = {}
        self.best = None
        parameters = StackedParameters(
            self.architecture.layer_shapes,
            len(members),
            MASTER_DTYPES[self.precision],
            device,
        )
        dtype = np.float64 if self.precision == "float64" else np.float32
        for k, member in enumerate(members):
            coefs, intercepts = member.task.initial or initial_parameters(
                self.architecture, member.random.initial, dtype
            )
            parameters.set_member_(k, coefs, intercepts)
        if any(m.early_stopping is not None for m in members):
            self.best = parameters.like()
        self._adopt(parameters)
        self.optimizer = StackedAdamW(
            self.parameters,
            self.gradients,
            [m.task.recipe for m in members],
            [-(-m.n_train // self.batch_size) for m in members],
        )

    def _adopt(self, parameters):
        self.parameters = parameters
        self.gradients = parameters.like()
        is_mixed = self.dtype != parameters.flat.dtype
        self.product_parameters = parameters.like(dtype=self.dtype) if is_mixed else parameters
        self.product_gradients = (
            parameters.like(dtype=self.dtype) if is_mixed else self.gradients
        )
        self.drops = any(m.task.recipe.dropout > 0 for m in self.members) and bool(
            self.architecture.widths
        )
        self.loss_sums = torch.zeros(
            len(self.members),
            dtype=torch.promote_types(self.dtype, torch.float32),
            device=self.device,
        )
        self._chunks = {}

    def make_gradient(self, n_rows):
        """Return the gradient of this stack for steps of `n_rows` rows."""
        return self._gradient(
            self.architecture,
            self.loss,
            self.product_parameters,
            self.product_gradients,
            n_rows,
        )

    def cast_parameters(self):
        """Bring the parameters into the dtype of the products."""
        if self.product_parameters is not self.parameters:
            self.product_parameters.flat.copy_(self.parameters.flat)

    def cast_gradients(self):
        """Bring the gradients into the dtype of the optimiser."""
        if self.product_gradients is not self.gradients:
            self.gradients.flat.copy_(self.product_gradients.flat)

    def train(self):
        """Train until every member has stopped.

        Returns
        -------
        dict of int to TrainedNetwork or Exception
            By the members' `index`.
        """
        try:
            while self.members:
                self.check_cancelled()
                self._advance()
                now = time.perf_counter()
                ended = [
                    k
                    for k, m in enumerate(self.members)
                    if m.n_left == 0 or m.is_out_of_time(now)
                ]
                if ended:
                    stopped = self._end_epoch(ended, now)
                    if stopped:
                        self._remove(stopped)
        finally:
            # Chunks know their stack: cut the cycle, so that its memory is free at once.
            self._chunks = {}
        return self.results

    def check_cancelled(self):
        """Raise a CancelledError if nobody wants the networks any more."""
        if self._cancel is not None and self._cancel.is_set():
            raise CancelledError

    def _advance(self):
        # Full batches until a member's epoch ends or has only a smaller one left.
        size = self.batch_size
        n_full = min(m.n_left // size for m in self.members)
        if n_full > 0:
            n_rows_of_member = [size] * len(self.members)
        else:
            n_rows_of_member = [min(size, m.n_left) for m in self.members]
        n_rows = max(n_rows_of_member)
        chunk = self._chunks.get(n_rows)
        if chunk is None:
            is_full = n_rows == size
            most = max(1, max(m.n_train // size for m in self.members)) if is_full else 1
            chunk = self._chunks[n_rows] = Chunk(self, n_rows, most)
        n_steps = min(max(n_full, 1), chunk.capacity)
        if self.graphs is not None:
            # A power of two: each number of steps is a graph of its own.
            n_steps = 1 << (n_steps.bit_length() - 1)
        self.loss_sums += chunk.run(n_steps, n_rows_of_member)
        self.n_steps += n_steps

    def _end_epoch(self, ended, now):
        """Close an epoch of the given members; return those that stop."""
        losses = self.loss_sums.tolist()
        scores = self._validate([k for k in ended if self.members[k].early_stopping])
        stopped = []
        for k in ended:
            member = self.members[k]
            member.epoch += 1
            record = {
                "epoch": member.epoch,
                "train_loss": losses[k] / member.n_seen,
                "validation_score": scores.get(k, float("nan")),
                "seconds": now - member.epoch_started,
            }
            member.history.append(record)
            try:
                if self._is_finished(k, member, record, now):
                    self.results[member.index] = self._extract(k, member)
                    stopped.append(k)
            except Exception as error:  # a member's failure is its own
                self.results[member.index] = error
                stopped.append(k)
            member.rewind()
        self.loss_sums[ended] = 0
        return stopped

    def _is_finished(self, k, member, record, now):
        is_best, stop = member.judge(record, now, lambda: self.parameters.get_member(k))
        if is_best:
            self.best.copy_member_(k, self.parameters, k)
        return stop

    def _extract(self, k, member):
        best_epoch = member.epoch
        source = self.parameters
        if member.early_stopping is not None:
            source, best_epoch = self.best, member.early_stopping.best_epoch
        coefs, intercepts = source.get_member(k)
        if not all(np.isfinite(a).all() for a in coefs + intercepts):
            raise DivergedError("value of a weight", member.epoch, member.task.recipe)
        return TrainedNetwork(coefs, intercepts, member.history, best_epoch)

    @torch.no_grad()
    def _validate(self, which):
        """Return the negative mean validation loss of the given members."""
        if not which:
            return {}
        members = [self.members[k] for k in which]
        self.cast_parameters()
        parameters = self.product_parameters
        if len(which) < len(self.members):
            parameters = parameters.select(which)
        widest = max((*self.architecture.widths, self.architecture.n_features))
        budget = _VALIDATION_BYTES["cuda" if self.device.type == "cuda" else "cpu"]
        n_chunk = max(64, budget // (len(which) * widest * self.dtype.itemsize))
        n_most = max(len(m.task.valid_rows) for m in members)
        totals = torch.zeros_like(self.loss_sums[: len(which)])
        for start in range(0, n_most, n_chunk):
            n_rows = min(n_chunk, n_most - start)
            x, targets, weights = [], [], []
            for member in members:
                rows = member.valid_rows[start : start + n_rows]
                weight = torch.ones(len(rows), dtype=totals.dtype, device=self.device)
                if member.weights is not None:
                    weight *= member.weights.index_select(0, rows)
                n_padding = n_rows - len(rows)
                if n_padding:
                    # With a row of its own, whose loss is as finite as the others.
                    padding = member.valid_rows[:1].expand(n_padding)
                    rows = torch.cat([rows, padding])
                    weight = torch.cat([weight, torch.zeros_like(weight[:1]).expand(n_padding)])
                x.append(member.X.index_select(0, rows))
                targets.append(member.targets.index_select(0, rows))
                weights.append(weight)
            outputs = stacked_forward(
                self.architecture, parameters, torch.stack(x).to(self.dtype)
            )
            losses = row_losses(self.loss, outputs.to(totals.dtype), torch.stack(targets))
            totals += (losses * torch.stack(weights)).sum(1)
        n_rows = [
            len(m.task.valid_rows)
            if m.task.weights is None
            else m.task.weights[m.task.valid_rows].sum()
            for m in members
        ]
        return {k: -t / n for k, t, n in zip(which, totals.tolist(), n_rows, strict=True)}

    def _remove(self, stopped):
        kept = [k for k in range(len(self.members)) if k not in set(stopped)]
        self.members = [self.members[k] for k in kept]
        if not kept:
            return
        if self.best is not None:
            self.best = self.best.select(kept)
        loss_sums = self.loss_sums[kept]
        self._adopt(self.parameters.select(kept))
        self.loss_sums.copy_(loss_sums)
        self.optimizer = self.optimizer.select(kept, self.parameters, self.gradients)
