"""Rendezvous of many threads, whose fits become one list of tasks.

The jobs of a parallel run (the candidates and folds of a search, for example) run in a thread
each. A job with a network to train hands its task to the `Rendezvous` and waits. When no job in
flight runs any more, all waiting tasks are trained as one list, in the thread of one of them,
and the jobs continue. A job is in one of these states:

- queued: not started; it starts when few enough run and memory allows;
- running: executing its own code; at most one job per core may run;
- waiting: its task is at the rendezvous;
- trained: its network is ready, and it will run as soon as a core is free;
- blocked: on a result of other jobs (a nested parallel call, a cache). A blocked job is neither
  running nor in flight, so that the jobs it depends on get its place.

The caller of the run counts as running while it submits jobs, and as blocked while it
collects results.

Jobs are admitted by memory: see `admission`.

A lock in other code cannot hang the rendezvous: if nothing happens for `PATIENCE` seconds,
waiting tasks are trained and trained jobs continue, even if others still run.
"""

import collections
import functools
import heapq
import itertools
import os
import threading
import time
from contextlib import contextmanager

from ..training.checkpoints import look_up
from ..training.engine import train
from ..training.task import CancelledError
from .admission import Admission
from .sharing import SharedArrays

PATIENCE = 10.0

_thread = threading.local()

if hasattr(os, "register_at_fork"):
    # A process that a job forks is not a job: the other jobs do not exist in it.
    os.register_at_fork(after_in_child=lambda: vars(_thread).clear())


def current_job():
    """Return the job that runs in this thread, or None."""
    return getattr(_thread, "job", None)


def fit_number():
    """Return the number, from 1, of the job that runs in this thread, or None."""
    job = current_job()
    return None if job is None else job.number + 1


def train_together(tasks):
    """Train tasks, with those of other jobs if this thread runs a job, else alone.

    Parameters
    ----------
    tasks : list of Task
        Emptied, so that only the engine holds the tasks.

    Returns
    -------
    list of TrainedNetwork or Exception
    """
    job = current_job()
    has_store = any(task.store is not None for task in tasks)
    outcomes = look_up(tasks) if has_store else [None] * len(tasks)
    missing = [t for t, outcome in zip(tasks, outcomes, strict=True) if outcome is None]
    if job is not None:
        job.call.rendezvous.count_cached(len(tasks) - len(missing))
    tasks.clear()
    if missing:
        trained = iter(
            train(missing) if job is None else job.call.rendezvous.train(job, missing)
        )
        outcomes = [next(trained) if o is None else o for o in outcomes]
    return outcomes


@contextmanager
def blocked():
    """Let other jobs continue while this block waits for a result of one of them."""
    job = current_job()
    if job is None:
        yield
        return
    job.call.rendezvous.block(job)
    try:
        yield
    finally:
        unblock(job)


def unblock(job):
    """Mark a blocked job (None is none) as running again, once its result is ready."""
    if job is not None:
        job.call.rendezvous.unblock(job)


class FusedRun:
    """Record of the networks trained in one parallel run.

    Attributes
    ----------
    stack_sizes : list of int
        Number of networks in each stack, in order of the start of training.
    n_gathered : list of int
        Number of tasks gathered at the rendezvous each time.
    most_in_flight : int
        Largest number of jobs in flight at once.
    n_cached : int
        Number of networks loaded from the cache (`memory`) instead of trained.
    training_seconds : float
        Time spent training.
    """

    def __init__(self):
        self.stack_sizes = []
        self.n_gathered = []
        self.most_in_flight = 0
        self.n_cached = 0
        self.training_seconds = 0.0

    @property
    def n_fits(self):
        """int: number of trained networks."""
        return sum(self.stack_sizes)

    def __repr__(self):
        return (
            f"FusedRun(n_fits={self.n_fits}, stack_sizes={self.stack_sizes}, "
            f"most_in_flight={self.most_in_flight}, n_cached={self.n_cached}, "
            f"training_seconds={self.training_seconds:.3f})"
        )


def last_fused_run():
    """Return the record of the last parallel run of this thread.

    Returns
    -------
    FusedRun or None
        None if this thread has not trained anything with `backend="skscale"` yet.

    Examples
    --------
    >>> import joblib
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import cross_val_score
    >>> from skscale import ScaledMLPClassifier
    >>> from skscale.fusion import last_fused_run
    >>> network = ScaledMLPClassifier(width=8, max_epochs=2)
    >>> with joblib.parallel_config(backend="skscale"):
    ...     scores = cross_val_score(network, *load_iris(return_X_y=True), cv=5)
    >>> last_fused_run().n_fits
    5
    """
    return getattr(_thread, "last_run", None)


class Call:
    """One call of `joblib.Parallel`, nested or not.

    Parameters
    ----------
    rendezvous : Rendezvous
    parent : Job or None
        The job that made the call.
    """

    def __init__(self, rendezvous, parent):
        self.rendezvous = rendezvous
        self.parent = parent
        self.level = 0 if parent is None else parent.level + 1
        # A nested call runs in the thread of its parent job.
        self.caller = Party(self) if parent is None else parent
        self.jobs = []
        self.n_unfinished = 0
        self._is_cancelled = False

    @property
    def is_cancelled(self):
        """bool: whether this call, or one above it, was cancelled."""
        above = self.parent is not None and self.parent.call.is_cancelled
        return self._is_cancelled or above

    def cancel(self):
        """Mark this call and its nested calls as cancelled."""
        self._is_cancelled = True


class Party:
    """Participant that counts as running or not: a job, or the caller of a run."""

    def __init__(self, call):
        self.call = call
        self.is_running = False


class Job(Party):
    """Function to run in a separate thread.

    Parameters
    ----------
    call : Call
    function : callable
    callback : callable
        Called with the outcome, a pair (result, error).
    number : int
        Order in which jobs start.
    """

    def __init__(self, call, function, callback, number):
        super().__init__(call)
        self.function = function
        self.callback = callback
        self.number = number
        self.level = call.level
        self.is_in_flight = False
        self.thread = None

    def __lt__(self, other):
        # Deeper jobs first, since the jobs above wait for them.
        return (-self.level, self.number) < (-other.level, other.number)

    def start(self):
        """Run the job in a new thread."""
        thread = threading.Thread(target=self._run, name="skscale-job", daemon=True)
        thread.start()
        self.thread = thread

    def drop(self, error):
        """End the job without running it, and notify its caller, which would wait forever."""
        self.function = None
        callback, self.callback = self.callback, None
        callback((None, error))

    def _run(self):
        _thread.job = self
        try:
            outcome = (self.function(), None)
        except BaseException as error:
            outcome = (None, error)
        self.function = None
        try:
            # Still counted as running, so that jobs it submits are queued before training.
            self.callback(outcome)
        finally:
            self.callback = None
            is_failed = outcome[1] is not None
            del outcome
            self.call.rendezvous.finish(self, is_failed)


class _Entry:
    # Tasks of a job at the rendezvous.
    def __init__(self, job, tasks):
        self.job = job
        self.tasks = tasks
        self.outcome = None
        self.leads = None
        self.event = threading.Event()


class Rendezvous:
    """Meeting point of the jobs of one run.

    Parameters
    ----------
    most_running : int
        Largest number of jobs that run their own code at once.
    n_threads : int
        Number of threads for training.
    max_in_flight : int
        Largest number of jobs in flight at once.
    max_bytes : int or None
        Memory that the jobs in flight may hold; None is half of the free memory.
    deadline : float or None
        Reading of `time.monotonic` at which fits that have not finished fail.
    """

    def __init__(self, most_running, n_threads, max_in_flight, max_bytes, deadline=None):
        self.run = FusedRun()
        self._most_running = most_running
        self._n_threads = n_threads
        self._deadline = deadline
        self._admission = Admission(max_in_flight, max_bytes)
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._queue = []
        self._waiting = []
        self._trained = collections.deque()
        self._dropped = []
        self._n_running = 0
        self._n_in_flight = 0
        self._is_training = False
        self._cancel = threading.Event()
        self._changed = time.monotonic()
        self._arrays = SharedArrays()

    # Calls and jobs, called by the backend.

    def open(self, call):
        """Begin a call: its caller counts as running."""
        with self._lock:
            if call.parent is None:
                self._set_running(call.caller, True)

    def submit(self, call, function, callback):
        """Queue a job."""
        with self._lock:
            job = Job(call, function, callback, next(self._numbers))
            call.jobs.append(job)
            call.n_unfinished += 1
            heapq.heappush(self._queue, job)
            if call.is_cancelled:
                self._drop_cancelled()
            self._advance()
        self._report_dropped()
        return job

    def close(self, call):
        """End a call: wait for its threads, and stop counting its caller as running."""
        for job in call.jobs:
            if job.thread is not None and not call.is_cancelled:
                job.thread.join()
        with self._lock:
            if call.parent is None:
                self._set_running(call.caller, False)
            self._advance()

    def cancel(self, call, timeout):
        """Cancel all jobs of a call and its nested calls; wait for their threads."""
        deadline = time.monotonic() + timeout
        with self._lock:
            call.cancel()
            self._drop_cancelled()
            cancelled = [e for e in self._waiting if e.job.call.is_cancelled]
            self._waiting = [e for e in self._waiting if not e.job.call.is_cancelled]
            for entry in cancelled:
                entry.outcome = CancelledError()
                self._resume(entry)
            if call.parent is None:
                self._cancel.set()
            self._advance()
        self._report_dropped()
        for job in call.jobs:
            if job.thread is not None:
                job.thread.join(max(0.0, deadline - time.monotonic()))

    def collect(self, call):
        """Mark the caller as blocked on its jobs."""
        with self._lock:
            if call.n_unfinished:
                self._block(call.caller)
        self._report_dropped()

    def block(self, party):
        """Mark a party as blocked on a result of other jobs."""
        with self._lock:
            self._block(party)
        self._report_dropped()

    def unblock(self, party):
        """Mark a party as running and in flight."""
        with self._lock:
            self._set_running(party, True)
            self._set_in_flight(party, True)

    def finish(self, job, is_failed):
        """End a job."""
        with self._lock:
            if not self.run.n_gathered:
                # Nothing trained yet, so nothing measured: admit one job per core.
                self._admission.admit(self._most_running)
            self._count_out(job, is_failed)
            self._set_running(job, False)
            self._set_in_flight(job, False)
            self._advance()
        self._report_dropped()

    # Training, called in the jobs' threads.

    def count_cached(self, n):
        """Add to the number of networks that come from the cache."""
        with self._lock:
            self.run.n_cached += n

    def train(self, job, tasks):
        """Wait until the tasks are trained; return their networks or errors."""
        for task in tasks:
            self._arrays.share(task)
        entry = _Entry(job, list(tasks))
        del task
        tasks.clear()  # only the entry holds them
        with self._lock:
            if job.call.is_cancelled or self._cancel.is_set():
                raise CancelledError
            self._waiting.append(entry)
            self._set_running(job, False)
            self._advance()
        while not entry.event.wait(PATIENCE):
            with self._lock:
                self._continue_after_timeout()
        if entry.leads is not None:
            self._lead(entry)
        if isinstance(entry.outcome, BaseException):
            raise entry.outcome
        return entry.outcome

    def _lead(self, leader):
        entries, leader.leads = leader.leads, None
        tasks = [task for entry in entries for task in entry.tasks]
        n_tasks = [len(entry.tasks) for entry in entries]
        for entry in entries:
            entry.tasks = None
        start = time.perf_counter()
        try:
            trained = iter(
                train(
                    tasks,
                    n_threads=self._n_threads,
                    cancel=self._cancel,
                    deadline=self._deadline,
                    stack_sizes=self.run.stack_sizes,
                )
            )
            outcomes = [list(itertools.islice(trained, n)) for n in n_tasks]
        except BaseException as error:
            outcomes = [error] * len(entries)
        del tasks
        with self._lock:
            self.run.training_seconds += time.perf_counter() - start
            self._is_training = False
            for entry, outcome in zip(entries, outcomes, strict=True):
                is_lost = entry.job.call.is_cancelled
                entry.outcome = CancelledError() if is_lost else outcome
            self._set_running(leader.job, True)
            self._trained.extend(entry for entry in entries if entry is not leader)
            self._advance()

    def _report_dropped(self):
        # Outside the lock: a callback takes the lock of its Parallel, which submits under it.
        with self._lock:
            dropped, self._dropped = self._dropped, []
        for report in dropped:
            report()

    # Below, the caller holds the lock.

    def _count_out(self, job, is_failed):
        call = job.call
        call.n_unfinished -= 1
        if call.n_unfinished == 0 or is_failed:
            # Its caller will continue at once, so it counts as running now.
            self._set_running(call.caller, True)
            self._set_in_flight(call.caller, True)

    def _drop_cancelled(self):
        cancelled = [job for job in self._queue if job.call.is_cancelled]
        self._queue = [job for job in self._queue if not job.call.is_cancelled]
        heapq.heapify(self._queue)
        for job in cancelled:
            self._drop(job, CancelledError())

    def _drop(self, job, error):
        self._count_out(job, is_failed=True)
        self._dropped.append(functools.partial(job.drop, error))

    def _set_running(self, party, is_running):
        if party.is_running != is_running:
            party.is_running = is_running
            self._n_running += 1 if is_running else -1
        self._changed = time.monotonic()

    def _set_in_flight(self, party, is_in_flight):
        if isinstance(party, Job) and party.is_in_flight != is_in_flight:
            party.is_in_flight = is_in_flight
            self._n_in_flight += 1 if is_in_flight else -1
            self.run.most_in_flight = max(self.run.most_in_flight, self._n_in_flight)

    def _resume(self, entry):
        self._set_running(entry.job, True)
        entry.event.set()

    def _block(self, party):
        self._set_running(party, False)
        self._set_in_flight(party, False)
        self._advance()

    def _advance(self):
        """Let jobs run within the limits; train when nothing runs."""
        while not self._is_training and self._n_running < self._most_running:
            if self._trained:
                self._resume(self._trained.popleft())
            elif self._queue and self._admits():
                job = self._queue[0]
                try:
                    job.start()
                except RuntimeError as error:  # the system has no more threads
                    if self._n_in_flight == 0:
                        self._drop(heapq.heappop(self._queue), error)
                    else:
                        self._admission.lower_limit(self._n_in_flight)
                    continue
                # The thread needs the lock to report, so it cannot do so before this.
                heapq.heappop(self._queue)
                self._set_running(job, True)
                self._set_in_flight(job, True)
            else:
                break
        if self._n_running == 0 and self._waiting and not self._is_training:
            self._begin_training()

    def _begin_training(self):
        # Ordered by job, not by arrival: otherwise the composition of the stacks, and with it
        # the last bits of float32, would depend on the scheduler.
        entries, self._waiting = sorted(self._waiting, key=lambda e: e.job.number), []
        self._is_training = True
        self.run.n_gathered.append(len(entries))
        entries[0].leads = entries
        entries[0].event.set()

    def _admits(self):
        """Return whether the next queued job may start now."""
        if self._n_running == 0:
            if not self._waiting:
                return True  # no other job can continue, so start at any memory cost
            # The tasks of one job share their arrays.
            own = max(t.n_own_bytes for entry in self._waiting for t in entry.tasks)
            self._admission.measure(max(1, self._n_in_flight), own)
        return self._n_in_flight < self._admission.n_admitted

    def _continue_after_timeout(self):
        if self._is_training or time.monotonic() - self._changed < PATIENCE:
            return
        self._changed = time.monotonic()
        if self._trained:
            self._resume(self._trained.popleft())
        elif self._waiting:
            self._begin_training()
