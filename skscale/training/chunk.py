"""Chunks of a few consecutive steps of a stack: their rows, masks and rates, then the steps.

Gathering rows, drawing masks and computing losses take several small operations each. A chunk
does them once for several steps, so that a step has only its products, their element-wise
operations and the optimizer. On a GPU the steps of a chunk are captured as one CUDA graph and
replayed; on a CPU a stack's step is recorded as a program and repeated (`program`).
"""

import threading
from itertools import groupby

import numpy as np
import torch

from .augmentation import change_images, draw_changes
from .dropout import MaskSource
from .program import record

# A longer chunk spreads its work per member over more steps: with 1 MB, a stack of 15
# networks of width 16 took 1.5 to 2.5 times as long as with 4 to 16 MB. On a GPU a chunk
# should be long enough to hide the launch of its graph.
CHUNK_BYTES = {"cpu": 8 << 20, "cuda": 1 << 28}
_MAX_STEPS = 64
# A program runs this many multiply-accumulates, some hundredths of a second, between
# checks for cancellation.
_MACS_PER_CHECK = 2e9
# Bytes of outputs whose losses are computed at once on a CPU.
_LOSS_BYTES = 256 << 10


class GraphCapture:
    """Capture of the CUDA graphs of one stack.

    Parameters
    ----------
    device : torch.device
    """

    # torch allows one capture at a time per process.
    _lock = threading.Lock()

    def __init__(self, device):
        # A separate stream on this device (torch's default capture stream stays on the device
        # that captured first), and one memory pool: the graphs of a stack replay in turn.
        self.stream = torch.cuda.Stream(device)
        self.pool = torch.cuda.graph_pool_handle()

    def capture(self, run):
        """Capture the operations that `run` launches as a graph."""
        graph = torch.cuda.CUDAGraph()
        # Other threads may use the device at the same time.
        with (
            self._lock,
            torch.cuda.graph(
                graph,
                pool=self.pool,
                stream=self.stream,
                capture_error_mode="thread_local",
            ),
        ):
            run()
        return graph


def make_graph_capture(device):
    """Make the graph capture of a stack, or return None if the device has no graphs."""
    return GraphCapture(device) if device.type == "cuda" else None


class Chunk:
    """Buffers of up to `capacity` steps of `n_rows` rows.

    Parameters
    ----------
    stack : Stack
        The members, their parameters and their optimizer.
    n_rows : int
        Rows of a step; members with fewer rows are padded with rows of weight zero.
    max_steps : int
        Largest number of steps that the stack will request at once.
    """

    def __init__(self, stack, n_rows, max_steps):
        self.stack = stack
        self.n_rows = n_rows
        self.capacity = self._find_capacity(max_steps)
        self.factor = stack.loss.weight_factor(stack.architecture.n_outputs)
        self.gradient = stack.make_gradient(n_rows)
        self._allocate()
        masks = []
        if self.mask_source is not None:
            masks = [list(layer.unbind(0)) for layer in self.mask_source.masks]
        masks_of_step = list(zip(*masks, strict=True)) if masks else [None] * self.capacity
        # Views of each step, made once.
        self.steps = list(
            zip(
                self.x.unbind(0),
                self.targets.unbind(0),
                self.row_weights.unbind(0),
                masks_of_step,
                self.outputs.unbind(0),
                strict=True,
            )
        )
        self._constant_rows = None
        self._rates = None
        self._graphs = {}
        self._program = None
        macs = stack.architecture.n_macs * len(stack.members) * n_rows
        self._steps_per_check = max(1, int(_MACS_PER_CHECK / max(1, 3 * macs)))

    def _find_capacity(self, max_steps):
        """Return the number of steps whose buffers fit `Stack.chunk_bytes`."""
        stack, architecture = self.stack, self.stack.architecture
        n_members, n_feeds = len(stack.members), len(stack.feeds)
        n_units = sum(architecture.mask_widths) if stack.drops else 0
        step_bytes = self.n_rows * (
            len(stack.n_sharing) * self._n_inputs * stack.input_dtype.itemsize
            + n_members * architecture.n_outputs * stack.loss_dtype.itemsize
            + n_members * n_units * stack.dtype.itemsize
            + n_feeds * n_units * 2
        )
        return max(1, min(_MAX_STEPS, max_steps, stack.chunk_bytes // step_bytes))

    @property
    def _n_inputs(self):
        # Sparse batches are made in their step.
        return 0 if self.stack.is_sparse else self.stack.architecture.n_features

    def _allocate(self):
        """Allocate the buffers of all steps."""
        stack, architecture = self.stack, self.stack.architecture
        loss_dtype = stack.loss_dtype
        n_members, n_feeds = len(stack.members), len(stack.feeds)

        def buffer(*shape, dtype, n=n_members):
            shape = (self.capacity, n, self.n_rows, *shape)
            return torch.zeros(shape, dtype=dtype, device=stack.device)

        self.order = buffer(dtype=torch.int64, n=n_feeds)
        # Sparse rows are looked up on the host, as a device would require a synchronization.
        if stack.is_sparse:
            self.host_order = np.zeros(self.order.shape, dtype=np.int64)
        self.x = buffer(self._n_inputs, dtype=stack.input_dtype, n=len(stack.n_sharing))
        targets = stack.feeds[0].targets
        n_targets = targets.shape[1] if targets.ndim > 1 else 1
        target_dtype = loss_dtype if targets.is_floating_point() else targets.dtype
        self.feed_targets = buffer(n_targets, dtype=target_dtype, n=n_feeds)
        if stack.loss.mixes_targets:
            shape = (self.capacity, n_members, architecture.n_outputs, self.n_rows)
            self.mixed = torch.zeros(shape, dtype=loss_dtype, device=stack.device)
            self.targets = self.mixed.transpose(2, 3)
        elif n_feeds < n_members:
            self.targets = buffer(n_targets, dtype=target_dtype)
        else:
            self.targets = self.feed_targets
        self.row_weights = buffer(1, dtype=loss_dtype)
        self.outputs = buffer(architecture.n_outputs, dtype=loss_dtype)
        self.mask_source = None
        if stack.drops:
            self.mask_source = MaskSource(
                [feed.random for feed in stack.feeds],
                [
                    [m.task.recipe.dropout for m in run]
                    for _, run in groupby(stack.members, lambda m: m.feed)
                ],
                architecture.mask_widths,
                self.capacity,
                self.n_rows,
                stack.dtype,
                stack.device,
            )

    def run(self, n_steps, n_rows_of_feed):
        """Run steps and return the sum of the weighted row losses of each member.

        Parameters
        ----------
        n_steps : int
            At most `capacity`.
        n_rows_of_feed : list of int
            Rows of each feed in each of these steps.

        Returns
        -------
        tensor of shape (n_members,)
        """
        self._gather(n_steps, n_rows_of_feed)
        if self.mask_source is not None:
            self.mask_source.draw(n_steps, n_rows_of_feed)
        plan = self.stack.optimizer.plan(self.stack.n_steps, n_steps)
        if self.stack.graphs is not None:
            self._run_graph(n_steps, plan)
        elif self.stack.repeats:
            self._run_program(n_steps, plan)
        else:
            rates, decays, shrinkages = plan
            self._run_steps(0, n_steps, rates.tolist(), decays, shrinkages)
        return self._sum_losses(n_steps, n_rows_of_feed)

    def _gather(self, n_steps, n_rows_of_feed):
        feeds, feed_of_member = self.stack.feeds, self.stack.feed_of_member
        order = self.order[:n_steps]
        for f, (feed, n_rows) in enumerate(zip(feeds, n_rows_of_feed, strict=True)):
            rows = torch.from_numpy(feed.next_rows(n_steps, n_rows))
            order[:, f, :n_rows] = rows.view(n_steps, n_rows)
            if n_rows < self.n_rows:
                order[:, f, n_rows:] = rows[0]
            if self.stack.is_sparse:
                self.host_order[:n_steps, f, :n_rows] = rows.numpy().reshape(n_steps, n_rows)
                self.host_order[:n_steps, f, n_rows:] = rows[0]
        is_copied = len(self.stack.n_sharing) != len(feeds)  # see Stack
        of_batch = feed_of_member if is_copied else range(len(feeds))
        if all(f.X is feeds[0].X and f.targets is feeds[0].targets for f in feeds):
            of_batches = order.index_select(1, self.stack.feed_index) if is_copied else order
            if not self.stack.is_sparse:
                _take(feeds[0].X, of_batches, self.x[:n_steps])
            _take(feeds[0].targets, order, self.feed_targets[:n_steps])
        else:
            for b, f in enumerate(() if self.stack.is_sparse else of_batch):
                _take(feeds[f].X, order[:, f], self.x[:n_steps, b])
            for f, feed in enumerate(feeds):
                _take(feed.targets, order[:, f], self.feed_targets[:n_steps, f])
        self._augment(n_steps, n_rows_of_feed, of_batch)
        if self.stack.loss.mixes_targets:
            for block in self._blocks(n_steps):
                targets = self.feed_targets[block]
                if len(feeds) > 1:  # otherwise one feed broadcasts to all members
                    targets = targets.index_select(1, self.stack.feed_index)
                self.stack.loss.mix(targets, self.mixed[block])
        elif self.feed_targets is not self.targets:
            torch.index_select(
                self.feed_targets[:n_steps], 1, self.stack.feed_index,
                out=self.targets[:n_steps],
            )  # fmt: skip

        is_weighted = any(feed.weights is not None for feed in feeds)
        if not is_weighted and self._constant_rows == n_rows_of_feed:
            return
        self._constant_rows = None if is_weighted else list(n_rows_of_feed)
        # Without sample weights the rows of all steps are equal: filled once for all steps.
        filled = self.row_weights[:n_steps] if is_weighted else self.row_weights
        for k, f in enumerate(feed_of_member):
            n_rows, weights = n_rows_of_feed[f], feeds[f].weights
            if weights is None:
                filled[:, k, :n_rows] = self.factor / n_rows
            else:
                _take(weights, order[:, f], filled[:, k, :, 0])
                filled[:, k, :n_rows] *= self.factor / n_rows
            filled[:, k, n_rows:] = 0

    def _augment(self, n_steps, n_rows_of_feed, of_batch):
        for f, (feed, n_rows) in enumerate(zip(self.stack.feeds, n_rows_of_feed, strict=True)):
            if feed.augmentation is None:
                continue
            random = draw_changes(feed.random, n_steps * n_rows)
            for b in (b for b, own in enumerate(of_batch) if own == f):
                rows = self.x[:n_steps, b, :n_rows]
                changed = change_images(
                    feed.augmentation, rows.reshape(n_steps * n_rows, -1), random
                )
                rows.copy_(changed.view(rows.shape))

    def _run_steps(self, first, n_steps, rates, decays, shrinkages):
        decays = [None] * n_steps if decays is None else decays.unbind(0)
        shrinkages = [None] * n_steps if shrinkages is None else shrinkages.unbind(0)
        for step in range(first, n_steps):
            self.stack.check_cancelled()
            x, *others = self.steps[step]
            if self.stack.is_sparse:
                x = self._sparse_batches(step)
            self._step(x, *others, rates[step], decays[step], shrinkages[step])

    def _sparse_batches(self, step):
        stack = self.stack
        return [
            feed.batch(rows, stack.dtype, stack.device)
            for feed, rows in zip(stack.feeds, self.host_order[step], strict=True)
        ]

    def _step(self, x, targets, row_weights, masks, outputs, rates, decays, shrinkages):
        stack = self.stack
        stack.cast_parameters()
        self.gradient(x, targets, row_weights, masks, outputs)
        stack.cast_gradients()
        stack.optimizer.step(rates, decays, shrinkages)
        self.gradient.clear(x)

    def _run_program(self, n_steps, plan):
        """Run the steps by a program: record the first step, and repeat it."""
        rates, *per_member = plan
        n_groups = rates.shape[1]
        masks = [] if self.mask_source is None else self.mask_source.masks
        stacked = [self.x, self.targets, self.row_weights, self.outputs, *masks, rates]
        stacked += [part for part in per_member if part is not None]
        n_masks = len(masks)

        def step(x, targets, row_weights, outputs, *rest):
            masks, rates, per_member = rest[:n_masks], rest[n_masks], list(rest[n_masks + 1 :])
            decays, shrinkages = (
                None if part is None else per_member.pop(0) for part in plan[1:]
            )
            rates = [rates[group] for group in range(n_groups)]
            self._step(
                x, targets, row_weights, masks or None, outputs, rates, decays, shrinkages
            )

        first = 0
        if self._program is None:
            self._program = record(step, [part[0] for part in stacked])
            first = 1
            if self._program is None:
                self.stack.repeats = False
                self._run_steps(1, n_steps, rates.tolist(), *per_member)
                return
        while first < n_steps:
            # The program itself does not check for cancellation.
            self.stack.check_cancelled()
            last = min(n_steps, first + self._steps_per_check)
            self._program.run([part[first:last] for part in stacked])
            first = last

    def _run_graph(self, n_steps, plan):
        # A graph reads its inputs at the addresses of its capture.
        if self._rates is None:
            self._rates = [
                None if part is None else torch.zeros(self.capacity, *part.shape[1:]).to(part)
                for part in plan
            ]
        for static, part in zip(self._rates, plan, strict=True):
            if part is not None:
                static[:n_steps].copy_(part)
        rates, decays, shrinkages = (
            None if static is None else static[:n_steps] for static in self._rates
        )
        # A constant rate is passed as a Python number: on a GPU the kernel reads a tensor as
        # float32.
        rates = [
            [
                rate if constant is None else constant
                for rate, constant in zip(
                    row.unbind(0), self.stack.optimizer.constant_rates, strict=True
                )
            ]
            for row in rates.unbind(0)
        ]
        graph = self._graphs.get(n_steps)
        if graph is None:
            # First time: run without a graph, which also warms up the libraries.
            self._graphs[n_steps] = "seen"
            self._run_steps(0, n_steps, rates, decays, shrinkages)
            return
        if graph == "seen":
            graph = self._graphs[n_steps] = self.stack.graphs.capture(
                lambda: self._run_steps(0, n_steps, rates, decays, shrinkages)
            )
        graph.replay()

    def _sum_losses(self, n_steps, n_rows_of_feed):
        losses = 0
        for block in self._blocks(n_steps):
            of_rows = self.stack.loss.row_losses(self.outputs[block], self.targets[block])
            losses = losses + (of_rows * self.row_weights[block, ..., 0]).sum((0, 2))
        if len(set(n_rows_of_feed)) == 1:
            return losses * (n_rows_of_feed[0] / self.factor)
        n_rows = torch.tensor(n_rows_of_feed).to(losses)[self.stack.feed_index]
        return losses * (n_rows / self.factor)

    def _blocks(self, n_steps):
        # Slices of steps whose losses are computed at once, so that temporary arrays fit the
        # cache: over a whole chunk, the losses of a student took as long as its steps.
        n = n_steps
        if self.outputs.device.type == "cpu":
            step = self.outputs[0]
            n = max(1, _LOSS_BYTES // (step.numel() * step.element_size()))
        return [slice(start, min(start + n, n_steps)) for start in range(0, n_steps, n)]


def _take(source, rows, out):
    # index_select writes in place only if shapes and dtypes agree.
    flat = rows.reshape(-1)
    if out.is_contiguous() and out.dtype == source.dtype:
        torch.index_select(source, 0, flat, out=out.view(flat.shape[0], *source.shape[1:]))
    else:
        out.copy_(source.index_select(0, flat).view(out.shape))
