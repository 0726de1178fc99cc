"""Assignment of tasks to stacks.

Networks of one shape form stacks. Stacks of different shapes overlap, one thread each, so that
no thread waits for another at every operation. Measured on the 180 tasks of a grid of widths 16
to 64 and depths 1 and 2, two threads (`benchmarks/bench_stacks.py`): 1.9 s. Alternatives take
1.3 times as long padded to the widest, with the memory of the widest; 1.6 to 2 times as long
with one stack after the other and both threads in each operation; 2.7 times as long with
threads whose steps are launched from Python (see `program`); 5.3 times as long network by
network.

A stack needs at most about a dozen members: a fit of width 16 took 45, 20, 15, 12, 9 and 8 ms
in stacks of 1, 2, 4, 8, 15 and 30; a fit of two layers of width 128 took 122, 84, 79, 72, 66
and 63 ms.

Members that share their batches multiply one operand with a stride of zero in a batched
product. Joining their first layers into one matrix would make this product faster by a fifth
at width 16, by a tenth at 64 and not at all at 256 (64 features, batches of 64). But the
weights of members with different learning rates would not be contiguous, as the optimizer's
kernel requires.
"""

import torch
from scipy.sparse import issparse

from .feed import feed_key
from .stacking_speed import is_stacking_faster

# On a CPU; a GPU is faster with all it can hold.
_MAX_MEMBERS = 16
# Smaller stacks only help to give work to an idle thread.
_MIN_MEMBERS = 4
# Parameters, gradients, two moments, best weights. For large networks a larger stack brings no
# speed and costs memory.
_COPIES = 5
_MAX_BYTES = 64 << 20


def plan_stacks(tasks, n_workers):
    """Group tasks into stacks.

    Parameters
    ----------
    tasks : list of Task
    n_workers : int
        Number of threads, each of which trains one stack.

    Returns
    -------
    list of lists of (int, Task)
        The stacks, the one with the most work first: tasks with their index; tasks that share
        their batches are adjacent.
    """
    groups = {}
    for index, task in enumerate(tasks):
        groups.setdefault(_stack_key(task), []).append((index, task))
    limits = {key: _max_members(group[0][1]) for key, group in groups.items()}

    def cut_all(size):
        return [s for key, group in groups.items() for s in _cut(group, min(size, limits[key]))]

    stacks = cut_all(len(tasks))
    if len(stacks) < n_workers:
        stacks = cut_all(max(_MIN_MEMBERS, -(-len(tasks) // n_workers)))
    return sorted(stacks, key=_work, reverse=True)


def _stack_key(task):
    return (
        task.architecture,
        task.loss.shared,
        issparse(task.X),
        # The optimizer has one step count per stack.
        0 if task.optimizer_state is None else task.optimizer_state.n_steps,
        # The stack also counts the steps of its training.
        0 if task.checkpoint is None else task.checkpoint["n_steps"],
        task.recipe.batch_size,
        task.recipe.optimizer,
        task.precision,
        task.device,
        # Masks take a pass over the weights, which other stacks do not need.
        task.pruning_masks is None,
    )


def _max_members(task):
    if not is_stacking_faster(task):
        return 1
    member_bytes = _COPIES * 4 * task.architecture.n_parameters
    if task.precision == "float64":
        member_bytes *= 2
    device = torch.device(task.device)
    if device.type == "cpu":
        return max(1, min(_MAX_MEMBERS, _MAX_BYTES // member_bytes))
    if device.type == "cuda":
        # Half for the parameters; chunks and data use the other half.
        return max(1, torch.cuda.mem_get_info(device)[0] // 2 // member_bytes)
    return _MAX_MEMBERS


def _cut(group, max_members):
    """Yield stacks of at most `max_members` members, of nearly equal size."""
    places = {}
    for _, task in group:
        places.setdefault(feed_key(task), len(places))
    # Members of one feed are adjacent, and within it those with one learning rate, which
    # share a call of the optimizer.
    group = sorted(group, key=lambda item: (places[feed_key(item[1])], _optimizer_key(item[1])))
    n_stacks = -(-len(group) // max_members)
    for i in range(n_stacks):
        yield group[i * len(group) // n_stacks : (i + 1) * len(group) // n_stacks]


def _optimizer_key(task):
    recipe = task.recipe
    schedule = repr(recipe.lr_schedule)  # to sort by
    return (recipe.learning_rate, schedule, recipe.max_epochs, len(task.train_rows))


def _work(stack):
    return sum(
        task.architecture.n_macs * len(task.train_rows) * task.recipe.max_epochs
        for _, task in stack
    )
