"""`train(tasks) -> networks`: the one way to train."""

from contextlib import nullcontext

import torch

from .data import DeviceData
from .feed import Feed, feed_key
from .gradient import WrittenOutGradient
from .stack import Member, Stack
from .threads import choose_threads, limit_threads


def resolve_device(device):
    """Return the torch device that a `device` hyperparameter means.

    Parameters
    ----------
    device : str
        "auto" is "cuda" where a CUDA device is available, else "cpu".

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If the device is not available here.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise ValueError(
            f'device must be "auto", "cpu", "cuda" (or "cuda:1") or "mps", got {device!r}.'
        ) from error
    kind = resolved.type
    if kind == "cuda" and (resolved.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device={device!r} was asked for, but torch finds "
            f"{torch.cuda.device_count() or 'no'} CUDA device here. "
            'Set device="auto" to use one only where there is one.'
        )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ValueError(
            f"device={device!r} was asked for, but torch finds no MPS device here. "
            'Set device="cpu".'
        )
    return device


def train(tasks, gradient=WrittenOutGradient, *, n_threads=None, cancel=None, stack_sizes=None):
    """Train networks, those of equal shape together.

    Parameters
    ----------
    tasks : list of Task
    gradient : class, default=WrittenOutGradient
        How gradients are computed; `AutogradGradient` is the other way.
    n_threads : int or None, default=None
        Threads that may be used; None is what the caller's torch setting allows.
    cancel : threading.Event or None, default=None
        Once set, training ends with a CancelledError.
    stack_sizes : list or None, default=None
        The number of networks of each stack is appended here.

    Returns
    -------
    list of TrainedNetwork or Exception
        In the order of the tasks. A task that failed has its exception here, and does
        not disturb the others.
    """
    groups = {}
    for index, task in enumerate(tasks):
        groups.setdefault(_stack_key(task), []).append((index, task))
    results = {}
    for group in groups.values():
        # Members with one feed lie side by side, and within it those with one learning
        # rate, which share a call of the optimiser.
        places = {}
        for _, task in group:
            places.setdefault(feed_key(task), len(places))
        group = sorted(
            group, key=lambda item: (places[feed_key(item[1])], _optimizer_key(item[1]))
        )
        try:
            results.update(_train_stack(group, gradient, n_threads, cancel, stack_sizes))
        except Exception as error:
            if len(group) == 1:
                results[group[0][0]] = error
                continue
            # Whose fault it was shows when each trains alone.
            for item in group:
                try:
                    results.update(
                        _train_stack([item], gradient, n_threads, cancel, stack_sizes)
                    )
                except Exception as own_error:
                    results[item[0]] = own_error
    return [results[index] for index in range(len(tasks))]


def _train_stack(group, gradient, n_threads, cancel, stack_sizes):
    if stack_sizes is not None:
        stack_sizes.append(len(group))
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
        stack = Stack(members, device, gradient, cancel)
        macs = 3 * task.architecture.n_macs * stack.batch_size * len(group)
        with limit_threads(choose_threads(macs, n_threads)):
            return stack.train()


def _stack_key(task):
    return (
        task.architecture,
        task.loss,
        task.recipe.batch_size,
        task.precision,
        task.device,
    )


def _optimizer_key(task):
    recipe = task.recipe
    return (recipe.learning_rate, recipe.lr_schedule, recipe.max_epochs, len(task.train_rows))
