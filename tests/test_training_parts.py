"""Optimiser, random streams, masks, early stopping, data and threads."""

import math

import joblib
import numpy as np
import pytest
import torch
from scipy import stats

from skscale.networks.parameters import ParameterShapes, StackedParameters
from skscale.training import threads
from skscale.training.data import DeviceData, share_memory
from skscale.training.dropout import MaskSource, hashed_bits
from skscale.training.early_stopping import EarlyStopping
from skscale.training.optimizers import AdamW
from skscale.training.program import record
from skscale.training.random import FeedRandom, initial_stream
from skscale.training.schedules import schedule_of
from skscale.training.stacked_optimizer import StackedOptimizer
from skscale.training.task import Recipe


def make_recipe(**changes):
    recipe = {
        "optimizer": AdamW(),
        "learning_rate": 1e-2,
        "lr_schedule": "constant",
        "weight_decay": 0.0,
        "l1": 0.0,
        "dropout": 0.0,
        "batch_size": 32,
        "max_epochs": 5,
        "max_seconds": None,
        "n_iter_no_change": 10,
        "tol": 1e-4,
    }
    recipe |= changes
    return Recipe(**recipe | {"lr_schedule": schedule_of(recipe["lr_schedule"])})


def _step_both(recipes, n_steps=6):
    """Run StackedOptimizer and one torch.optim.AdamW a member on the same gradients."""
    shapes = [(3, 4), (4, 2)]
    n = len(recipes)
    parameters = StackedParameters(ParameterShapes.of_layers(shapes), n, torch.float64, "cpu")
    generator = torch.Generator().manual_seed(0)
    parameters.flat.copy_(torch.randn(parameters.flat.shape, generator=generator))
    gradients = parameters.like()
    stacked = StackedOptimizer(parameters, gradients, recipes, [3] * n)
    lone = []
    for k, recipe in enumerate(recipes):
        weights = [w[k].clone().requires_grad_() for w in parameters.weights]
        biases = [b[k].clone().requires_grad_() for b in parameters.biases]
        groups = [
            {"params": weights, "weight_decay": recipe.weight_decay},
            {"params": biases, "weight_decay": 0.0},
        ]
        lone.append(
            (
                torch.optim.AdamW(
                    groups, lr=recipe.learning_rate, betas=(0.9, 0.95), fused=True
                ),
                weights,
                biases,
            )
        )
    for step in range(n_steps):
        gradients.flat.copy_(torch.randn(gradients.flat.shape, generator=generator))
        rates, decays, shrinkages = stacked.plan(step, 1)
        stacked.step(
            rates[0].tolist(),
            None if decays is None else decays[0],
            None if shrinkages is None else shrinkages[0],
        )
        for k, (optimizer, weights, biases) in enumerate(lone):
            rate = float(recipes[k].learning_rate_at(step, 3))
            for group in optimizer.param_groups:
                group["lr"] = rate
            for tensors, source in ((weights, gradients.weights), (biases, gradients.biases)):
                for tensor, gradient in zip(tensors, source, strict=True):
                    tensor.grad = gradient[k].clone()
            optimizer.step()
            with torch.no_grad():
                for w in weights:  # the proximal operator of bound * |w|
                    bound = rate * recipes[k].l1
                    w.copy_(torch.sign(w) * (w.abs() - bound).clamp_min(0))
    for k, (_, weights, biases) in enumerate(lone):
        for own, other in zip(parameters.tensors, weights + biases, strict=True):
            torch.testing.assert_close(own[k], other.detach(), atol=1e-13, rtol=1e-12)
    return parameters


@pytest.mark.parametrize(
    "recipes",
    [
        [make_recipe()],
        [make_recipe(weight_decay=0.3, l1=2.0)] * 3,
        [make_recipe(), make_recipe(learning_rate=0.1), make_recipe(weight_decay=0.5, l1=1.0)],
        [make_recipe(lr_schedule="cosine"), make_recipe(lr_schedule="cosine", max_epochs=2)],
    ],
    ids=["lone", "uniform", "mixed", "cosine"],
)
@pytest.mark.parametrize("large", [1, 1 << 18])
def test_a_stacked_optimizer_equals_one_of_torch_per_member(recipes, large, monkeypatch):
    # Large stacks of one recipe decay within the kernel.
    monkeypatch.setattr("skscale.training.stacked_optimizer._LARGE", large)
    _step_both(recipes)


def test_l1_makes_weights_exactly_zero_and_leaves_biases():
    parameters = _step_both([make_recipe(l1=50.0)])
    assert all((w == 0).any() for w in parameters.weights)
    assert all((b != 0).all() for b in parameters.biases)


def test_selecting_members_carries_their_moments_over():
    recipes = [make_recipe(learning_rate=rate) for rate in (0.1, 0.01, 0.2)]
    whole = StackedParameters(ParameterShapes.of_layers([(2, 2)]), 3, torch.float64, "cpu")
    whole_gradients = whole.like()
    optimizer = StackedOptimizer(whole, whole_gradients, recipes, [1, 1, 1])
    generator = torch.Generator().manual_seed(0)

    def step(optimizer, gradients, values, n):
        gradients.flat.copy_(values.flat)
        optimizer.step(optimizer.plan(n, 1)[0][0].tolist(), None, None)

    draws = [whole.like() for _ in range(4)]
    for draw in draws:
        draw.flat.copy_(torch.randn(draw.flat.shape, generator=generator))
    step(optimizer, whole_gradients, draws[0], 0)
    step(optimizer, whole_gradients, draws[1], 1)
    part = whole.select([2, 0])
    part_gradients = part.like()
    part_optimizer = optimizer.select([2, 0], part, part_gradients)
    for n in (2, 3):
        step(optimizer, whole_gradients, draws[n], n)
        step(part_optimizer, part_gradients, draws[n].select([2, 0]), n)
    torch.testing.assert_close(part.flat, whole.select([2, 0]).flat, atol=0, rtol=0)


def test_the_cosine_schedule_falls_from_the_learning_rate_to_zero():
    recipe = make_recipe(lr_schedule="cosine", max_epochs=4, learning_rate=2.0)
    rates = recipe.learning_rate_at(np.arange(13), 3)
    assert rates[0] == 2.0
    assert rates[6] == pytest.approx(1.0)
    assert rates[12] == pytest.approx(0.0)
    assert (np.diff(rates) < 0).all()


def test_streams_of_one_member_do_not_disturb_one_another():
    one, other = FeedRandom(7), FeedRandom(7)
    one.mask_bits(1000)
    initial_stream(7).standard_normal(10)
    np.testing.assert_array_equal(one.order(np.arange(50)), other.order(np.arange(50)))
    third = FeedRandom(8)
    assert (third.order(np.arange(50)) != FeedRandom(7).order(np.arange(50))).any()


def _draw(n_steps, capacity, seeds, rates, n_rows, n_rows_of_feed=None):
    source = MaskSource(
        [FeedRandom(seed) for seed in seeds],
        [rate if isinstance(rate, list) else [rate] for rate in rates],
        (3, 5),
        capacity,
        n_rows,
        torch.float64,
        torch.device("cpu"),
    )
    drawn = []
    for start in range(0, n_steps, capacity):
        n = min(capacity, n_steps - start)
        source.draw(n, n_rows_of_feed or [n_rows] * len(seeds))
        drawn.append([m[:n].clone() for m in source.masks])
    return [torch.cat(layer) for layer in zip(*drawn, strict=True)]


def test_masks_depend_on_the_members_seed_alone():
    lone = _draw(7, 1, [5], [0.25], 11)
    stacked = _draw(7, 3, [1, 5, 2], [0.5, 0.25, 0.0], 11)
    for a, b in zip(lone, stacked, strict=True):
        torch.testing.assert_close(a[:, 0], b[:, 1], atol=0, rtol=0)
        assert (b[:, 2] == 1).all()


def test_members_of_one_feed_share_the_numbers_not_the_rate():
    lone = [_draw(5, 5, [4], [rate], 9)[1] for rate in (0.2, 0.0, 0.6)]
    shared = _draw(5, 2, [9, 4], [[0.3], [0.2, 0.0, 0.6]], 9)[1]
    for k, alone in enumerate(lone):
        torch.testing.assert_close(shared[:, 1 + k], alone[:, 0], atol=0, rtol=0)


def test_padding_does_not_shift_a_members_masks():
    lone = _draw(4, 4, [5], [0.25], 6)
    padded = _draw(4, 2, [5, 6], [0.25, 0.25], 9, n_rows_of_feed=[6, 9])
    for a, b in zip(lone, padded, strict=True):
        torch.testing.assert_close(a[:, 0], b[:, 0, :6], atol=0, rtol=0)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_masks_drop_at_their_rate_and_keep_the_mean(rate):
    mask = _draw(200, 50, [0], [rate], 40)[1].numpy().ravel()
    dropped = np.mean(mask == 0)
    assert abs(dropped - rate) < 4 * math.sqrt(rate * (1 - rate) / mask.size)
    assert mask.max() == pytest.approx(1 / (1 - rate), rel=1e-4)


def test_hashed_bits_are_uniform_and_resume():
    whole = hashed_bits(2**64 - 3, 0, 20_000, torch.device("cpu"))
    parts = [
        hashed_bits(2**64 - 3, a, b - a, torch.device("cpu")) for a, b in ((0, 7), (7, 20_000))
    ]
    assert torch.equal(whole, torch.cat(parts))
    counts = np.histogram(whole.numpy(), bins=64, range=(-(2**15), 2**15))[0]
    assert stats.chisquare(counts).pvalue > 1e-3
    other = hashed_bits(12345, 0, 20_000, torch.device("cpu")).numpy().astype(float)
    assert abs(np.corrcoef(whole.numpy(), other)[0, 1]) < 0.02
    assert abs(np.corrcoef(whole.numpy()[1:], whole.numpy()[:-1])[0, 1]) < 0.02


def test_early_stopping_keeps_the_best_epoch_and_counts_stale_ones():
    judge = EarlyStopping(n_iter_no_change=2, tol=0.1)
    table = [  # score, is it the best, should it stop
        (-1.0, True, False),
        (-0.5, True, False),
        (-0.45, True, False),  # better, but by less than tol: stale once
        (-0.6, False, True),  # stale twice
    ]
    for epoch, (score, is_best, stops) in enumerate(table, start=1):
        assert judge.update(epoch, score) == (is_best, stops)
    assert judge.best_epoch == 3
    assert judge.best_score == -0.45


def test_an_array_becomes_a_tensor_without_copy_whether_or_not_it_is_writable(tmp_path):
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.save(tmp_path / "a.npy", array)
    read_only = array.copy()
    read_only.flags.writeable = False
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    for source in (array, array.T, array[:, ::2], read_only, mapped):
        tensor = share_memory(source)
        np.testing.assert_array_equal(tensor.numpy(), source)
        assert tensor.data_ptr() == source.__array_interface__["data"][0]
    np.testing.assert_array_equal(share_memory(array[::-1]).numpy(), array[::-1])


def test_one_array_becomes_one_tensor():
    data = DeviceData(torch.device("cpu"))
    array = np.zeros((4, 2))
    assert data.tensor(array) is data.tensor(array[:])
    assert data.tensor(array) is not data.tensor(array[:2])
    assert data.tensor(None) is None


def test_threads_follow_the_work_within_the_limit_of_the_caller():
    with threads.limit_threads(4):
        assert threads.choose_threads(1e6) == 1
        assert threads.choose_threads(2.5 * threads.MACS_PER_THREAD) == 2
        assert threads.choose_threads(1e15) == 4
    with threads.limit_threads(1):
        assert threads.choose_threads(1e15) == 1


def _chosen_where_torch_has_four():
    with threads.limit_threads(4):
        return threads.choose_threads(1e15)


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_a_joblib_worker_is_given_one_thread(backend):
    chosen = joblib.Parallel(n_jobs=2, backend=backend)(
        joblib.delayed(_chosen_where_torch_has_four)() for _ in range(2)
    )
    assert chosen == [1, 1]


def test_limiting_threads_restores_the_callers_number():
    former = torch.get_num_threads()

    def fail_inside():
        with threads.limit_threads(former + 1):
            assert torch.get_num_threads() == former + 1
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fail_inside()
    assert torch.get_num_threads() == former


def _step(state):
    weights, gradients, first, second, n_steps, out = state

    def step(x, rate, row_weights):
        torch.bmm(x, weights, out=out)
        torch.relu_(out)
        torch.bmm(x.transpose(1, 2), out.mul_(row_weights), out=gradients)
        weights.mul_(0.99)
        n_steps.add_(1)
        torch._fused_adamw_(
            [weights], [gradients], [first], [second], [], [n_steps], lr=rate[0], beta1=0.9,
            beta2=0.99, weight_decay=0.0, eps=1e-8, amsgrad=False, maximize=False,
        )  # fmt: skip

    return step


def _state(n):
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(n, 5, 5, dtype=torch.float64, generator=generator)
    moments = [torch.zeros_like(weights) for _ in range(3)]
    return [weights, *moments, torch.zeros(()), torch.zeros(n, 7, 5, dtype=torch.float64)]


def test_a_program_repeats_the_recorded_step():
    generator = torch.Generator().manual_seed(1)
    for n in (3, 4):  # the second time by the program that the first compiled
        inputs = [
            torch.randn(9, n, 7, 5, dtype=torch.float64, generator=generator),
            torch.rand(9, 1, dtype=torch.float64, generator=generator) / 10,
            torch.rand(9, n, 7, 1, dtype=torch.float64, generator=generator),
        ]
        stepped, repeated = _state(n), _state(n)
        for i in range(9):
            _step(stepped)(*(tensor[i] for tensor in inputs))
        program = record(_step(repeated), [tensor[0] for tensor in inputs])
        assert program is not None
        program.run([tensor[1:5] for tensor in inputs])
        program.run([tensor[5:] for tensor in inputs])
        for a, b in zip(stepped, repeated, strict=True):
            assert torch.equal(a, b)


def test_unrecordable_steps_run_and_are_refused(monkeypatch):
    ran = []

    def step(x):
        ran.append(x.unbind(0))  # a list of results

    assert record(step, [torch.zeros(2)]) is None
    assert len(ran) == 1
    monkeypatch.delattr(torch._C, "parse_ir")
    assert record(lambda x: x.add_(12345), [torch.zeros(2)]) is None


def test_training_without_programs_is_the_same(monkeypatch):
    from skscale.training import chunk
    from skscale.training.engine import train
    from tests.test_engine import assert_equal_networks, make_task

    def tasks():
        return [make_task(seed=k, dropout=0.2, lr_schedule="cosine") for k in range(3)]

    repeated = train(tasks())
    used = []

    def refuse(run_step, inputs):
        used.append(run_step(*inputs))

    monkeypatch.setattr(chunk, "record", refuse)
    for a, b in zip(train(tasks()), repeated, strict=True):
        assert_equal_networks(a, b, rtol=0, atol=0)
    assert used


def test_stacks_are_planned_by_shape_size_and_threads():
    from skscale.training.plan import plan_stacks
    from tests.test_engine import make_task

    def sizes(tasks, n_workers):
        stacks = plan_stacks(tasks, n_workers)
        assert sorted(i for stack in stacks for i, _ in stack) == list(range(len(tasks)))
        return [len(stack) for stack in stacks]

    def of_width(width, n, **more):
        return [make_task(architecture={"widths": (width,)}, seed=k, **more) for k in range(n)]

    assert sizes(of_width(8, 1), 4) == [1]
    assert sizes(of_width(8, 5), 1) == [5]
    assert sorted(sizes(of_width(8, 40), 1)) == [13, 13, 14]
    assert len(sizes(of_width(8, 20), 8)) == 5  # of four: smaller ones do not pay
    mixed = of_width(8, 3) + of_width(64, 2) + of_width(8, 2, loss="logistic")
    assert sizes(mixed, 1) == [2, 3, 2]  # the most work first
    assert max(sizes(of_width(100_000, 3), 1)) < 3  # large ones in small stacks
    devices = of_width(8, 2)
    devices[0].precision = "float32"
    assert sizes(devices, 1) == [1, 1]


def test_equal_batches_are_shared_only_where_they_are_many():
    from skscale.networks.dense.torch_network import share_batches

    assert share_batches([1, 1, 1]) == [(slice(None), slice(None), 3)]
    assert share_batches([3]) == [(slice(None), slice(None), 3)]
    assert share_batches([2, 3]) == [
        (slice(0, 1), slice(0, 2), 2),
        (slice(1, 2), slice(2, 5), 3),
    ]
