"""joblib backend `"skscale"`: each job in a thread, all fits at one rendezvous.

`joblib.parallel_config(backend="skscale")` runs unmodified scikit-learn searches,
cross-validations and ensembles. Their jobs meet at the `Rendezvous` of the outermost call.
`n_jobs` is ignored: memory is the limit.
"""

import time
import warnings
from contextlib import contextmanager
from numbers import Real

import torch
from joblib import cpu_count
from joblib.parallel import FallbackToBackend, ParallelBackendBase

from .rendezvous import Call, Rendezvous, _thread, current_job

# Seconds that an interrupted call waits for its threads. Training ends within a step; other
# code cannot be interrupted.
_CANCEL_TIMEOUT = 5.0


class _Clock:
    # Start of the first call, shared by the copies of a backend.
    start = None


class FusedBackend(ParallelBackendBase):
    """joblib backend that runs jobs in threads and trains their networks together.

    Parameters
    ----------
    max_in_flight : int, default=512
        Largest number of jobs in flight at once.
    max_bytes : int or None, default=None
        Memory in bytes that the jobs in flight may hold together. None is half of the
        free memory at the start of a call.
    max_seconds : float or None, default=None
        Time budget in seconds, from the first call under this backend. When it is spent, fits
        that have not finished fail with a TimeBudgetError: their candidates get `error_score`.
        Networks of skscale stop within a few training steps; networks with skorch callbacks
        and other code run on.
    nesting_level : int or None
        Nesting level of joblib.
    """

    supports_retrieve_callback = True
    supports_sharedmem = True
    uses_threads = True

    def __init__(self, max_in_flight=512, max_bytes=None, max_seconds=None, nesting_level=None):
        super().__init__(nesting_level=nesting_level)
        if max_seconds is not None and not (isinstance(max_seconds, Real) and max_seconds > 0):
            raise ValueError(
                f"max_seconds must be a positive number or None, got {max_seconds!r}."
            )
        for name, value in (("max_in_flight", max_in_flight), ("max_bytes", max_bytes)):
            is_int = isinstance(value, int) and not isinstance(value, bool) and value >= 1
            if not (is_int or (name == "max_bytes" and value is None)):
                raise ValueError(f"{name} must be a positive int, got {value!r}.")
        self.max_in_flight = max_in_flight
        self.max_bytes = max_bytes
        self.max_seconds = max_seconds
        self.parallel = None
        self._clock = _Clock()
        self._call = None
        self._guard = None

    def configure(self, n_jobs=1, parallel=None, **options):
        """Give each Parallel its own backend, which stores its call for all threads."""
        if self.parallel is None:
            own = self._copy(self.nesting_level)
            own.parallel = parallel
            raise FallbackToBackend(own)
        return super().configure(n_jobs, parallel, **options)

    def effective_n_jobs(self, n_jobs):
        """Return `max_in_flight` for any `n_jobs`, so that joblib splits jobs finely."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        # For 1, joblib would not use the backend.
        return max(2, self.max_in_flight)

    def get_nested_backend(self):
        """Return a backend with the same rendezvous for calls from within a job."""
        return self._copy((self.nesting_level or 0) + 1), None

    def _copy(self, nesting_level):
        settings = (self.max_in_flight, self.max_bytes, self.max_seconds)
        copy = FusedBackend(*settings, nesting_level)
        copy._clock = self._clock  # the calls of a halving search share one budget
        return copy

    def start_call(self):
        """Begin a call: its caller counts as running until it collects results."""
        parent = current_job()
        if parent is None:
            # Inside another backend's worker, the cores are shared with its other workers.
            is_alone = not self.nesting_level
            rendezvous = Rendezvous(
                most_running=cpu_count() if is_alone else 1,
                n_threads=torch.get_num_threads() if is_alone else 1,
                max_in_flight=self.max_in_flight,
                max_bytes=self.max_bytes,
                deadline=self._deadline(),
            )
        else:
            rendezvous = parent.call.rendezvous
        call = Call(rendezvous, parent)
        if parent is None and not self.parallel.return_generator:
            # scikit-learn sets and restores the warning filters in each job. Interleaved jobs
            # would restore each other's filters, so the caller's are saved here.
            self._guard = warnings.catch_warnings()
            self._guard.__enter__()
        self._call = call
        rendezvous.open(call)

    def _deadline(self):
        if self.max_seconds is None:
            return None
        if self._clock.start is None:
            self._clock.start = time.monotonic()
        return self._clock.start + self.max_seconds

    def submit(self, func, callback=None):
        """Queue a job."""
        return self._call.rendezvous.submit(self._call, func, callback)

    def retrieve_result_callback(self, out):
        """Return a job's result, or raise its error."""
        result, error = out
        if error is not None:
            raise error
        return result

    @contextmanager
    def retrieval_context(self):
        """Mark the caller as blocked on its jobs while it collects results."""
        call = self._call
        call.rendezvous.collect(call)
        try:
            yield
        finally:
            call.rendezvous.unblock(call.caller)

    def stop_call(self):
        """End a call."""
        call = self._call
        call.rendezvous.close(call)
        if self._guard is not None:
            self._guard.__exit__(None, None, None)
            self._guard = None
        run = call.rendezvous.run
        if call.parent is None and (run.stack_sizes or run.n_cached):
            _thread.last_run = run

    def abort_everything(self, ensure_ready=True):
        """End the jobs of the current call, and wait for their threads."""
        call = self._call
        call.rendezvous.cancel(call, _CANCEL_TIMEOUT)
