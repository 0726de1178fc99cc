"""Which tasks train in one stack.

Networks of one shape make stacks; stacks of different shapes overlap, a thread for each, so
that no thread waits for another at every operation. Measured on the 180 tasks of a grid of
widths 16 to 64 and depths 1 and 2, two threads (`benchmarks/bench_stacks.py`): 1.9 s so;
1.3 times as long padded to the widest, which also takes the memory of the widest; 1.6 to 2
times as long one stack after the other with both threads in each operation; 2.7 times as
long with threads whose steps are launched from Python (see `program`); 5.3 times as long
network by network.

A stack needs no more than some dozen members: a fit of width 16 took 45, 20, 15, 12, 9 and
8 ms in stacks of 1, 2, 4, 8, 15 and 30, one of two layers of width 128 took 122, 84, 79, 72,
66 and 63.

Members that share their batches multiply one operand with a stride of zero in a batched
product. All their first layers side by side as one matrix would be one product more
efficient by a fifth at width 16, by a tenth at 64 and by nothing at 256 (64 features, batches
of 64); but the weights of members with different learning rates would no longer be
contiguous, which the optimiser's kernel needs.
"""

import torch
from scipy.sparse import issparse

from .feed import feed_key
from .together import pays

# On a CPU; a GPU wants all it can hold.
_MOST_MEMBERS = 16
# Fewer are worth it only for the sake of a thread that would have nothing to do.
_FEWEST_MEMBERS = 4
# Parameters, gradients, two moments, best weights: no gain from a larger stack of networks
# that are large themselves, which would cost memory.
_COPIES = 5
_MOST_BYTES = 64 << 20


def plan_stacks(tasks, n_workers):
    """Group tasks into stacks.

    Parameters
    ----------
    tasks : list of Task
    n_workers : int
        Threads that train a stack each.

    Returns
    -------
    list of lists of (int, Task)
        The stacks, the one with the most work first: tasks with their index, those that
        share their batches side by side.
    """
    groups = {}
    for index, task in enumerate(tasks):
        groups.setdefault(_stack_key(task), []).append((index, task))
    most = {key: _most_members(group[0][1]) for key, group in groups.items()}

    def cut_all(size):
        return [s for key, group in groups.items() for s in _cut(group, min(size, most[key]))]

    stacks = cut_all(len(tasks))
    if len(stacks) < n_workers:
        stacks = cut_all(max(_FEWEST_MEMBERS, -(-len(tasks) // n_workers)))
    return sorted(stacks, key=_work, reverse=True)


def _stack_key(task):
    return (
        task.architecture,
        task.loss,
        issparse(task.X),
        # Adam counts the steps of a stack once.
        0 if task.optimizer_state is None else task.optimizer_state.n_steps,
        # And the stack counts those of its training.
        0 if task.progress is None else task.progress["n_steps"],
        task.recipe.batch_size,
        task.precision,
        task.device,
        # Masks take a pass over the weights, which the others need not.
        task.kept_weights is None,
    )


def _most_members(task):
    if not pays(task):
        return 1
    member_bytes = _COPIES * 4 * task.architecture.n_parameters
    if task.precision == "float64":
        member_bytes *= 2
    device = torch.device(task.device)
    if device.type == "cpu":
        return max(1, min(_MOST_MEMBERS, _MOST_BYTES // member_bytes))
    if device.type == "cuda":
        # Half for the parameters; chunks and data take of the other half.
        return max(1, torch.cuda.mem_get_info(device)[0] // 2 // member_bytes)
    return _MOST_MEMBERS


def _cut(group, most):
    """Yield stacks of at most `most` members, of nearly equal size."""
    places = {}
    for _, task in group:
        places.setdefault(feed_key(task), len(places))
    # Those with one feed side by side, and within it those with one learning rate, which
    # share a call of the optimiser.
    group = sorted(group, key=lambda item: (places[feed_key(item[1])], _optimizer_key(item[1])))
    n_stacks = -(-len(group) // most)
    for i in range(n_stacks):
        yield group[i * len(group) // n_stacks : (i + 1) * len(group) // n_stacks]


def _optimizer_key(task):
    recipe = task.recipe
    return (recipe.learning_rate, recipe.lr_schedule, recipe.max_epochs, len(task.train_rows))


def _work(stack):
    return sum(
        task.architecture.n_macs * len(task.train_rows) * task.recipe.max_epochs
        for _, task in stack
    )
