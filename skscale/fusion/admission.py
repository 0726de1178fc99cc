"""Number of jobs in flight, by the measured memory of earlier jobs.

A waiting job holds more memory than its task: the rows that a search selected for it, and the
output of pipeline steps. The amount is unknown beforehand, so it is measured. The first job is
admitted alone. Then, whenever nothing runs and the memory of the process is constant, as many
are admitted as fit.
"""

import math

from .free_memory import free_bytes, peak_bytes, release_free, resident_bytes

# Largest growth of the number of jobs in flight per measurement: a later fold, or a wider
# network, may need more memory.
_GROWTH = 4
# Copies of its data that a job holds, if the system does not report memory. A search selects
# the fold, a pipeline transforms it.
_COPIES = 3


class Admission:
    """Limit on the number of jobs in flight.

    Parameters
    ----------
    max_in_flight : int
    max_bytes : int or None
        Memory that the jobs in flight may hold; None is half of the free memory.

    Attributes
    ----------
    n_admitted : int
        Jobs that may be in flight now.
    """

    def __init__(self, max_in_flight, max_bytes):
        self.n_admitted = 1
        self._max_in_flight = max_in_flight
        self._max_bytes = free_bytes() // 2 if max_bytes is None else max_bytes
        release_free()  # memory freed later would offset new allocations
        self._held_at_start = self._held_before = resident_bytes()
        self._peak_before = peak_bytes()
        self._passing = 0

    def admit(self, n_jobs):
        """Admit this many jobs if there is nothing to measure."""
        self.n_admitted = min(n_jobs, self._max_in_flight)

    def lower_limit(self, n_jobs):
        """Lower the limit of admitted jobs for good."""
        self._max_in_flight = n_jobs
        self.admit(min(self.n_admitted, n_jobs))

    def measure(self, n_in_flight, own_bytes):
        """Measure memory while nothing runs, and update the number of admitted jobs.

        Parameters
        ----------
        n_in_flight : int
            Number of jobs that hold memory.
        own_bytes : int
            Largest memory that one of them holds for its task alone.
        """
        release_free()
        held = resident_bytes()
        if held is None:
            grown, self._passing = n_in_flight * _COPIES * own_bytes, own_bytes
        else:
            grown = held - self._held_at_start
            peak = peak_bytes()
            if peak > self._peak_before:
                # Temporary memory since the last measurement, of jobs that ran or were
                # trained.
                passed = peak - max(held, self._held_before)
                self._passing = max(self._passing, passed)
                self._peak_before = peak
            self._held_before = held
        each = max(grown / n_in_flight, own_bytes, 1)
        more = (self._max_bytes - grown - self._passing) / each
        more = math.floor(min(more, (_GROWTH - 1) * n_in_flight))
        self.n_admitted = max(1, min(n_in_flight + more, self._max_in_flight))
