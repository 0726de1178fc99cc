"""Measurement of whether modules train faster in a stack than one after the other.

Families know it for their own networks (`Family.is_stacking_faster`). For a user-defined module
it is measured, once per module and batch size.
"""

import threading
import time

import torch

from ..forks import hold_while_forking
from ..networks.parameters import StackedParameters
from .gradient import StepGradient

# Members of the measured stack, and steps of each kind, of which the fastest counts.
_N_MEMBERS, _N_STEPS = 4, 3
_measured = {}
# Largest number of remembered architectures, since a process may search forever.
_MAX_MEASURED = 1_000
# Acquired before the lock of the default generator, which the measurement takes.
_lock = hold_while_forking(threading.RLock())


def is_stacking_faster(task):
    """Return whether to stack networks like that of a task.

    Parameters
    ----------
    task : Task

    Returns
    -------
    bool
    """
    architecture, device = task.architecture, torch.device(task.device)
    known = architecture.family.is_stacking_faster(architecture, device.type)
    if known is not None:
        return known
    n_rows = min(task.recipe.batch_size, len(task.train_rows))
    key = (
        architecture,
        task.loss.shared,
        n_rows,
        task.precision,
        device,
        torch.get_num_threads(),
    )
    with _lock:
        if key not in _measured:
            if len(_measured) >= _MAX_MEASURED:
                del _measured[next(iter(_measured))]
            _measured[key] = _measure(task, n_rows)
        return _measured[key]


def _measure(task, n_rows):
    try:
        together = _seconds(task, n_rows, _N_MEMBERS)
    except (RuntimeError, ValueError, TypeError, NotImplementedError):
        return False  # vmap does not support the module
    return together < _N_MEMBERS * _seconds(task, n_rows, 1)


def _seconds(task, n_rows, n_members):
    """Return the time of a step without its optimizer update."""
    architecture, device = task.architecture, torch.device(task.device)
    dtype = getattr(torch, task.precision)
    shapes = architecture.family.shapes(architecture)
    parameters = StackedParameters(shapes, n_members, dtype, device)
    generator = torch.Generator().manual_seed(0)
    draws = torch.randn(parameters.flat.shape, generator=generator, dtype=torch.float64)
    parameters.flat.copy_(0.1 * draws)
    wide = torch.promote_types(dtype, torch.float32)
    n_outputs = architecture.n_outputs
    step = StepGradient(
        architecture,
        task.loss.stack([task.loss] * n_members, wide, device),
        parameters,
        parameters.like(),
        n_rows,
        [n_members],
    )
    rows = task.X[task.train_rows[:n_rows]]
    x = torch.as_tensor(rows).to(device, torch.int64 if architecture.takes_integers else dtype)
    is_index = task.targets.ndim == 1
    kind, n_targets = (torch.int64, 1) if is_index else (wide, n_outputs)
    targets = torch.zeros(n_members, n_rows, n_targets, dtype=kind, device=device)
    weights = torch.full((n_members, n_rows, 1), 1 / n_rows, dtype=wide, device=device)
    outputs = torch.empty(n_members, n_rows, n_outputs, dtype=wide, device=device)
    seconds = []
    for _ in range(1 + _N_STEPS):
        started = time.perf_counter()
        step(x[None], targets, weights, None, outputs)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - started)
    return min(seconds[1:])
