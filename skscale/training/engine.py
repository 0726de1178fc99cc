"""Training of tasks in stacks: `train(tasks) -> networks`."""

import collections
import threading
import time
import warnings
from contextlib import nullcontext

import torch

from ..networks.surroundings import neutral_surroundings
from ..workers import end_with_parent
from .checkpoints import look_up_again
from .data import DeviceData
from .feed import Feed, feed_key
from .gradient import StepGradient
from .out_of_memory import is_out_of_memory
from .plan import plan_stacks
from .quiet import gate
from .stack import Member, Stack
from .task import CancelledError, TimeBudgetError
from .threads import choose_threads, limit_threads, threads_allowed

# Most times that the chunk of a single network is halved when memory is short.
_MAX_HALVINGS = 6


def train(
    tasks,
    gradient=StepGradient,
    *,
    n_threads=None,
    cancel=None,
    deadline=None,
    stack_sizes=None,
):
    """Train networks, with those of equal shape in one stack.

    Parameters
    ----------
    tasks : list of Task
        Tasks with the same arrays and seed share their batches: see `SharedArrays`.
    gradient : class, default=StepGradient
        Computes gradients; `AutogradGradient` is the alternative.
    n_threads : int or None, default=None
        Number of threads to use at most; None takes the caller's torch setting.
    cancel : threading.Event or None, default=None
        Once set, training ends with a CancelledError.
    deadline : float or None, default=None
        Reading of `time.monotonic` at which tasks that have not finished fail with a
        TimeBudgetError.
    stack_sizes : list or None, default=None
        The number of networks of each stack is appended.

    Returns
    -------
    list of TrainedNetwork or Exception
        In the order of the tasks. A failed task has its exception here and does not affect
        the others.

    Raises
    ------
    CancelledError
        If `cancel` was set.
    """
    if not tasks:
        return []
    end_with_parent()
    allowed = threads_allowed() if n_threads is None else n_threads
    on_cpu = all(torch.device(task.device).type == "cpu" for task in tasks)
    n_workers = allowed if on_cpu else 1
    stacks = plan_stacks(tasks, n_workers)
    n_workers = min(n_workers, len(stacks))
    cancel = threading.Event() if cancel is None else cancel
    session = _Session(gradient, allowed // n_workers, n_workers > 1, cancel, deadline)

    results = {}
    # The longest first, so that threads end together; with a deadline the shortest first, so
    # that many finish.
    queue = collections.deque(stacks if deadline is None else stacks[::-1])

    def work():
        try:
            while True:
                try:
                    group = queue.popleft()
                except IndexError:
                    return
                with neutral_surroundings():
                    results.update(session.train(group))
        except CancelledError as error:
            queue.clear()
            cancelled.append(error)

    cancelled = []
    helpers = [
        threading.Thread(target=work, name="skscale-train", daemon=True)
        for _ in range(n_workers - 1)
    ]
    for helper in helpers:
        helper.start()
    try:
        work()
    except BaseException:  # on Ctrl-C the other threads must stop
        cancel.set()
        raise
    finally:
        for helper in helpers:
            helper.join()
    if cancelled:
        raise cancelled[0]
    if stack_sizes is not None:
        stack_sizes.extend(session.stack_sizes)
    return [results[index] for index in range(len(tasks))]


class _Session:
    # State shared by the stacks of one call of `train`.

    def __init__(self, gradient, n_threads, is_concurrent, cancel, deadline):
        self.gradient = gradient
        self.n_threads = n_threads
        self.is_concurrent = is_concurrent
        self.cancel = cancel
        self.deadline = deadline
        self.stack_sizes = []

    def train(self, group, n_halvings=0):
        """Train a list of (index, task) as one stack; return results by index."""
        if self.deadline is not None and time.monotonic() >= self.deadline:
            return {index: TimeBudgetError() for index, _ in group}
        try:
            results = self._train_stack(group, n_halvings)
        except Exception as error:
            is_memory, reason = is_out_of_memory(error), repr(error)
            if len(group) == 1 and (not is_memory or n_halvings == _MAX_HALVINGS):
                return {group[0][0]: error}
        else:
            self.stack_sizes.append(len(group))
            return results
        # Outside the except block, the error has released the memory of its frames.
        results, group = _take_cached(group)
        if is_memory:
            return results | self._train_in_halves(group, n_halvings, reason)
        # Training each network alone isolates the task that failed.
        for member in group:
            results.update(self.train([member]))
        if not any(isinstance(r, Exception) for r in results.values()):
            warnings.warn(
                f"Training {len(group)} networks as one stack failed ({reason}). Each of them "
                "was trained alone instead, which is slower. Please report this to skscale.",
                RuntimeWarning,
                stacklevel=2,
            )
        return results

    def _train_in_halves(self, group, n_halvings, reason):
        n = len(group)
        if n == 0:  # all were cached before the failure
            return {}
        size, parts = ("one network", "fewer steps at a time")
        if n > 1:
            size, parts = (f"a stack of {n} networks", "two stacks of half the size")
        warnings.warn(
            f"Device {group[0][1].device!r} has too little memory to train {size} ({reason}). "
            f"Training continues with {parts}, which takes longer. Free memory on the device, "
            "or set a smaller batch_size or width.",
            RuntimeWarning,
            stacklevel=3,
        )
        if n == 1:
            return self.train(group, n_halvings + 1)
        return self.train(group[: -(-n // 2)]) | self.train(group[-(-n // 2) :])

    def _train_stack(self, group, n_halvings):
        task = group[0][1]
        device = torch.device(task.device)
        on_device = torch.cuda.device(device) if device.type == "cuda" else nullcontext()
        with on_device:
            data = DeviceData(device)
            feeds, members = {}, []
            for index, task in group:
                key = feed_key(task)
                if key not in feeds:
                    feeds[key] = Feed(task, data)
                members.append(Member(task, index, feeds[key]))
            stack = Stack(members, device, self.gradient, self.cancel, self.deadline)
            stack.chunk_bytes >>= n_halvings
            stack.repeats &= self.is_concurrent or len(members) > 1
            # The dense count also for sparse rows: their products are small, but the optimizer
            # updates all weights, which at 42,000 columns takes as long as dense products.
            macs = 3 * task.architecture.n_macs * stack.batch_size * len(group)
            macs *= stack.family.work_per_mac
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(device)
            with gate.training(), limit_threads(choose_threads(macs, self.n_threads)):
                return stack.train()


def _take_cached(group):
    """Return cached results by index, and the (index, task) that resume from a checkpoint."""
    cached = {index: look_up_again(task) for index, task in group}
    cached = {index: outcome for index, outcome in cached.items() if outcome is not None}
    return cached, [member for member in group if member[0] not in cached]
