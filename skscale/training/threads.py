"""Number of threads for a training step."""

import os
from contextlib import contextmanager

import torch
from joblib.parallel import get_active_backend

# Multiply-accumulates per step that justify a thread. Two threads on two cores, relative to
# one: a step of 10 million took as long on idle cores and 3 to 70 times as long beside a busy
# one; of 860 million 0.6 and 2 to 4 times; from 1,700 million 0.6 and 1.3 to 2.9 times
# (benchmarks/bench_threads.py). The threshold allows a second thread once it can lose little.
MACS_PER_THREAD = 750_000_000

# After a fork the child has torch's setting but not its OpenMP threads, and its first
# parallel region would wait for them forever. One thread needs none.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


def threads_allowed():
    """Return the number of threads that the caller may use.

    This is torch's setting, or 1 inside a joblib worker, which shares its cores with other
    workers.
    """
    in_worker = get_active_backend()[0].nesting_level > 0
    return 1 if in_worker else torch.get_num_threads()


def choose_threads(macs_per_step, allowed=None):
    """Return the number of threads for a step.

    Two threads meet at a barrier after each small operation. If the other core is busy, each
    barrier waits for the scheduler. So each thread needs enough work, and the number never
    exceeds `allowed`.

    Parameters
    ----------
    macs_per_step : float
        Multiply-accumulates of one step.
    allowed : int or None, default=None
        Largest number of threads; None is the caller's setting.

    Returns
    -------
    int
    """
    if allowed is None:
        allowed = threads_allowed()
    return max(1, min(allowed, int(macs_per_step / MACS_PER_THREAD)))


@contextmanager
def limit_threads(n_threads):
    """Run a block with this number of torch threads, then restore the former number.

    The setting is per thread, but a thread that uses torch for the first time during the
    block starts with it too: torch offers no other way.
    """
    former = torch.get_num_threads()
    if n_threads == former:
        yield
        return
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(former)
