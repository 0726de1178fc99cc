"""How many threads a training step is worth."""

import os
from contextlib import contextmanager

import torch
from joblib.parallel import get_active_backend

# Multiply-accumulates of a step that are worth a thread. With two threads on two cores a
# step of 10 million took as long as with one on idle cores and 3 to 70 times as long beside
# a busy one; of 860 million 0.6 and 2 to 4 times; from 1,700 million 0.6 and 1.3 to 2.9
# times (benchmarks/bench_threads.py). A second thread waits until it loses little.
WORTH_A_THREAD = 750_000_000

# After a fork the child has torch's setting but not its OpenMP threads: its first
# parallel region would wait for them for ever. One thread needs none.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


def threads_allowed():
    """Return how many threads the caller may use.

    Torch's own setting, or one inside a joblib worker, whose cores belong to the other
    workers too.
    """
    in_worker = get_active_backend()[0].nesting_level > 0
    return 1 if in_worker else torch.get_num_threads()


def choose_threads(macs_a_step, allowed=None):
    """Return the number of threads for a step.

    Two threads meet at a barrier after each small operation; where the other core is
    busy, each meeting waits for the scheduler. So a thread must have enough to do, and
    the number is never above what the caller allows.

    Parameters
    ----------
    macs_a_step : float
        Multiply-accumulates of one step.
    allowed : int or None, default=None
        Threads that may be used; None is what the caller's setting allows.

    Returns
    -------
    int
    """
    if allowed is None:
        allowed = threads_allowed()
    return max(1, min(allowed, int(macs_a_step / WORTH_A_THREAD)))


@contextmanager
def limit_threads(n_threads):
    """Run a block with this number of torch threads, then restore the caller's.

    The number is the calling thread's own, but a thread that uses torch for the first time
    meanwhile begins with it too: torch offers no other way.
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
