"""Jobs are admitted by what those before them hold, on a machine that the tests make up."""

import pytest

from skscale.fusion import admission
from skscale.fusion.admission import Admission

MB = 1 << 20


class Machine:
    """So much is held now, so much was held at most."""

    def __init__(self, monkeypatch, held=100 * MB):
        self.held = self.peak = held
        monkeypatch.setattr(admission, "resident_bytes", lambda: self.held)
        monkeypatch.setattr(admission, "peak_bytes", lambda: self.peak)
        monkeypatch.setattr(admission, "free_bytes", lambda: 400 * MB)
        monkeypatch.setattr(admission, "release_free", lambda: None)

    def holds(self, held, peak=0):
        self.held = None if held is None else held * MB
        self.peak = max(self.peak, peak * MB, self.held or 0)


def test_the_first_is_alone_then_they_grow_as_the_memory_allows(monkeypatch):
    machine = Machine(monkeypatch)
    counted = Admission(512, max_bytes=150 * MB)
    assert counted.n_admitted == 1
    machine.holds(105)  # five a job
    counted.measure(1, 1 * MB)
    assert counted.n_admitted == 4  # not 30 at once: others may hold more
    machine.holds(120)
    counted.measure(4, 1 * MB)
    assert counted.n_admitted == 16
    machine.holds(196)  # six a job by now: nine more fit into 54
    counted.measure(16, 1 * MB)
    assert counted.n_admitted == 25
    machine.holds(262)  # twelve too much: two fewer from now on
    counted.measure(27, 1 * MB)
    assert counted.n_admitted == 25


def test_short_lived_memory_is_left_free(monkeypatch):
    machine = Machine(monkeypatch)
    counted = Admission(512, max_bytes=150 * MB)
    machine.holds(180, peak=220)  # forty passed
    counted.measure(8, 1 * MB)
    assert counted.n_admitted == 8 + 3
    machine.holds(180)  # and are remembered
    counted.measure(8, 1 * MB)
    assert counted.n_admitted == 8 + 3


def test_arrays_of_a_task_count_even_where_freed_memory_hides_them(monkeypatch):
    machine = Machine(monkeypatch)
    counted = Admission(512, max_bytes=150 * MB)
    machine.holds(100)
    counted.measure(1, 50 * MB)
    assert counted.n_admitted == 4
    counted.measure(4, 50 * MB)
    assert counted.n_admitted == 7


def test_where_the_system_does_not_tell_the_arrays_are_counted(monkeypatch):
    machine = Machine(monkeypatch)
    machine.holds(None)
    counted = Admission(512, max_bytes=None)  # half of 400
    counted.measure(1, 10 * MB)
    assert counted.n_admitted == 4
    counted.measure(4, 10 * MB)  # three copies each: 80 are left, ten of them for a moment
    assert counted.n_admitted == 4 + 2


@pytest.mark.parametrize("most", [1, 3])
def test_never_more_than_the_limit_and_never_fewer_than_one(monkeypatch, most):
    machine = Machine(monkeypatch)
    counted = Admission(most, max_bytes=10 * MB)
    counted.admit(100)
    assert counted.n_admitted == most
    machine.holds(500)
    counted.measure(most, 1 * MB)
    assert counted.n_admitted == 1
    counted.lower_limit(1)
    counted.admit(100)
    assert counted.n_admitted == 1
