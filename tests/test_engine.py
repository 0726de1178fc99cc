"""The engine: stacks against lone fits, written-out against derived gradients."""

import pickle
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from skscale import ScaledMLPClassifier, ScaledMLPRegressor
from skscale.networks.activations import ACTIVATIONS
from skscale.networks.dense.architecture import DenseArchitecture
from skscale.networks.device import resolve_device
from skscale.networks.parameters import ParameterShapes, StackedParameters, TrainedNumbers
from skscale.training.engine import train
from skscale.training.gradient import AutogradGradient, StepGradient
from skscale.training.losses import LOSSES, CrossEntropy, Logistic
from skscale.training.task import DivergedError, Task
from tests.test_training_parts import make_recipe

N_ROWS = 150


LOSS_CLASSES = {"cross_entropy": CrossEntropy, "logistic": Logistic, **LOSSES}


def make_task(
    *,
    loss="cross_entropy",
    precision="float64",
    seed=0,
    rows=N_ROWS,
    valid=0,
    weighted=False,
    architecture=None,
    n_features=6,
    data_seed=0,
    on_epoch_end=None,
    is_sparse=False,
    loss_numbers=(),
    **recipe,
):
    generator = np.random.default_rng(data_seed)
    dtype = np.float64 if precision == "float64" else np.float32
    X = generator.standard_normal((N_ROWS, n_features)).astype(dtype)
    n_outputs = 3
    if loss == "cross_entropy":
        targets = generator.integers(n_outputs, size=N_ROWS)
        targets[:75] = X[:75].argmax(1) % n_outputs
    elif loss == "logistic":
        targets = (X[:, :n_outputs] + X[:, 1:2] > 0).astype(dtype)
    else:
        targets = (X[:, :n_outputs] * X[:, 1:2]).astype(dtype)
        if loss == "poisson":
            targets = np.abs(targets)
    if is_sparse:
        X = csr_array(np.where(X > 0.3, X, 0))
    architecture = {"widths": (8, 8), "activation": "relu"} | (architecture or {})
    chosen = generator.permutation(N_ROWS)[:rows]
    weights = generator.uniform(0.1, 2, N_ROWS).astype(dtype) if weighted else None
    return Task(
        DenseArchitecture(n_features, n_outputs=n_outputs, **architecture),
        make_recipe(**recipe),
        LOSS_CLASSES[loss](*loss_numbers),
        X,
        targets,
        weights,
        np.sort(chosen[valid:]),
        np.sort(chosen[:valid]) if valid else None,
        seed,
        precision,
        "cpu",
        on_epoch_end=on_epoch_end,
    )


def assert_equal_networks(a, b, **tolerance):
    for x, y in zip(a.weights.trained, b.weights.trained, strict=True):
        np.testing.assert_allclose(x, y, **tolerance)


SHAPES = [
    {"widths": ()},
    {"widths": (8, 8)},
    {"widths": (8, 8, 5, 5), "normalization": "layer", "residual": True},
    {"widths": (8, 8), "normalization": "layer"},
    {"widths": (8, 8, 8), "residual": True},
    {"widths": (8, 8), "normalization": "layer", "n_direct": 2},
    {"widths": (8,), "scales_inputs": True, "n_direct": 1},
]


@pytest.mark.parametrize("architecture", SHAPES, ids=str)
@pytest.mark.parametrize("loss", ["cross_entropy", "logistic", "squared_error"])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_the_written_out_gradient_equals_autograds(architecture, loss, dropout):
    task = make_task(loss=loss, architecture=architecture, dropout=dropout, weighted=True)
    written, derived = train([task])[0], train([task], AutogradGradient)[0]
    assert_equal_networks(written, derived, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_written_out_gradient_of_each_activation_equals_autograds(activation):
    task = make_task(
        architecture={"widths": (8, 8), "activation": activation, "residual": True}, dropout=0.2
    )
    written, derived = train([task])[0], train([task], AutogradGradient)[0]
    assert_equal_networks(written, derived, rtol=1e-9, atol=1e-12)


def different_tasks(**common):
    """Members that differ in all that may differ within a stack."""
    return [
        make_task(seed=0, **common),
        make_task(seed=1, learning_rate=0.05, dropout=0.4, rows=120, **common),
        make_task(seed=2, weight_decay=0.5, l1=0.3, rows=77, weighted=True, **common),
        make_task(seed=3, valid=30, dropout=0.1, n_iter_no_change=2, max_epochs=8, **common),
        make_task(seed=4, data_seed=1, lr_schedule="cosine", max_epochs=3, **common),
        make_task(seed=5, valid=20, rows=90, weighted=True, **common),
        make_task(seed=6, rows=20, dropout=0.2, **common),  # less than a batch
        make_task(seed=7, rows=96, **common),  # whole batches only
        make_task(seed=8, rows=32, **common),  # one batch
    ]


@pytest.mark.parametrize("architecture", SHAPES, ids=str)
def test_a_stack_whose_members_share_batches_equals_lone_fits(architecture, monkeypatch):
    from skscale.fusion.sharing import SharedArrays
    from skscale.training import stack

    seen = []
    real = stack.Stack.train

    def watched(self):
        seen.append((len(self.feeds), len(self.members)))
        return real(self)

    monkeypatch.setattr(stack.Stack, "train", watched)
    for loss in ("cross_entropy", "logistic", "squared_error"):
        common = {"architecture": architecture, "loss": loss}
        tasks = [
            make_task(learning_rate=0.01 * (1 + k), dropout=0.1 * (k % 3), l1=0.1 * (k == 4),
                      weight_decay=0.1 * k, data_seed=k % 2, valid=20, n_iter_no_change=2,
                      tol=0.01 * k, max_epochs=4 + k, weighted=True, **common)
            for k in range(6)
        ]  # fmt: skip
        tasks.append(make_task(data_seed=2, seed=3, rows=77, **common))
        tasks.append(make_task(data_seed=0, seed=3, weighted=True, valid=20, **common))
        arrays = SharedArrays()
        for task in tasks:
            arrays.share(task)
        seen.clear()
        together = train(tasks, n_threads=1)
        assert seen == [(4, 8)]  # feeds of 3, 3, 1 and 1 members
        for one, task in zip(together, tasks, strict=True):
            assert_equal_networks(one, train([task])[0], rtol=1e-12, atol=1e-12)
        derived = train(tasks, AutogradGradient, n_threads=1)
        for one, other in zip(together, derived, strict=True):
            assert_equal_networks(one, other, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("architecture", SHAPES, ids=str)
def test_a_stack_equals_lone_fits_whatever_its_members_differ_in(architecture):
    tasks = different_tasks(architecture=architecture)
    for together, task in zip(train(tasks), tasks, strict=True):
        alone = train([task])[0]
        assert_equal_networks(together, alone, rtol=1e-12, atol=1e-12)
        assert len(together.history) == len(alone.history)
        assert together.best_epoch == alone.best_epoch
        for a, b in zip(together.history, alone.history, strict=True):
            for column in ("train_loss", "validation_score"):
                np.testing.assert_allclose(a[column], b[column], rtol=1e-12)


def test_a_stack_equals_lone_fits_step_by_step():
    # Batches of all rows make every epoch a step, and every step visible.
    def watched(seen):
        def on_epoch_end(epoch, get_weights):
            seen.append(get_weights())
            return False

        return on_epoch_end

    tasks = different_tasks(batch_size=1000)
    together, alone = [[] for _ in tasks], [[] for _ in tasks]
    for tasks_seen, run in ((together, train), (alone, lambda ts: [train([t])[0] for t in ts])):
        for task, seen in zip(tasks, tasks_seen, strict=True):
            task.on_epoch_end = watched(seen)
        run(tasks)
    for a, b in zip(together, alone, strict=True):
        assert len(a) == len(b) > 1
        for weights, other in zip(a, b, strict=True):
            for x, y in zip(weights.trained, other.trained, strict=True):
                np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("width", [16, 128])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_float32_step_of_a_stack_equals_the_lone_step_to_rounding(width, n_threads):
    # Where the order of summation differs: not at all with one thread here, where the steps
    # are equal to the bit; in the product with 784 inputs with two threads, where tensors
    # differ by 4e-7 of their norm. Layer normalisation over 16 units then makes 1.7e-6 of
    # it, as far as float32 itself is from float64, so it is left out with two threads. (The
    # engine uses a second thread from 1.5e9 multiply-accumulates a step.)
    normalization = "layer" if n_threads == 1 else None
    architecture = DenseArchitecture(784, (width, width), 10, "relu", normalization, True)
    rng = np.random.default_rng(0)
    n_members, n_rows = 5, 256
    stack = StackedParameters(
        ParameterShapes.of_layers(architecture.layer_shapes), n_members, torch.float32, "cpu"
    )
    for k in range(n_members):
        shapes = architecture.layer_shapes
        arrays = [[rng.standard_normal(s, np.float32) for s in shapes]]
        arrays.append([rng.standard_normal(s[1], np.float32) for s in shapes])
        stack.set_member_(k, TrainedNumbers(*arrays, None))
    x = torch.from_numpy(rng.standard_normal((n_members, n_rows, 784)).astype(np.float32))
    targets = torch.from_numpy(rng.integers(10, size=(n_members, n_rows, 1)))
    weights = torch.full((n_members, n_rows, 1), 1 / n_rows)

    def run(parameters, rows):
        gradients = parameters.like()
        outputs = torch.empty(len(rows), n_rows, 10)
        step = StepGradient(architecture, CrossEntropy(), parameters, gradients, n_rows)
        with torch.no_grad():
            step(x[rows], targets[rows], weights[rows], None, outputs)
        return gradients, outputs

    former = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        together, outputs = run(stack, list(range(n_members)))
        for k in range(n_members):
            alone, lone_outputs = run(stack.select([k]), [k])
            pairs = [(outputs[k], lone_outputs[0])] + [
                (a[k], b[0]) for a, b in zip(together.tensors, alone.tensors, strict=True)
            ]
            for a, b in pairs:
                assert torch.linalg.norm(a - b) <= 1e-6 * torch.linalg.norm(b)
    finally:
        torch.set_num_threads(former)


@pytest.mark.parametrize("rows", [64, 70])
def test_every_epoch_takes_every_row_once_in_an_order_of_its_own(rows, monkeypatch):
    from skscale.training import feed

    taken = []
    real = feed.Feed.next_rows

    def watched(self, n_steps, n_rows):
        taken.append(real(self, n_steps, n_rows))
        return taken[-1]

    monkeypatch.setattr(feed.Feed, "next_rows", watched)
    task = make_task(rows=rows, max_epochs=3)
    train([task])
    epochs = np.concatenate(taken).reshape(3, rows)
    for order in epochs:
        np.testing.assert_array_equal(np.sort(order), task.train_rows)
        assert (order != task.train_rows).any()
    assert (epochs[0] != epochs[1]).any()


def test_members_stop_on_their_own_and_keep_their_best_weights():
    seen = {}

    def on_epoch_end(epoch, get_weights):
        seen[epoch["epoch"]] = get_weights()
        return False

    noisy = make_task(
        valid=40, max_epochs=60, n_iter_no_change=3, tol=0.0, learning_rate=0.05,
        on_epoch_end=on_epoch_end,
    )  # fmt: skip
    steady = make_task(seed=1, max_epochs=60)
    stopped, full = train([noisy, steady])
    assert len(full.history) == 60
    assert len(stopped.history) < 60
    scores = [epoch["validation_score"] for epoch in stopped.history]
    assert stopped.best_epoch == int(np.argmax(scores)) + 1 < len(scores)
    for got, kept in zip(stopped.weights.coefs, seen[stopped.best_epoch].coefs, strict=True):
        np.testing.assert_array_equal(got, kept)


@pytest.mark.alone
def test_a_time_budget_ends_a_member_and_keeps_its_best_weights():
    def slow(epoch, get_weights):
        time.sleep(0.05)
        return False

    tasks = [
        make_task(max_epochs=10**6, max_seconds=0.2, on_epoch_end=slow),
        make_task(max_epochs=10**6, max_seconds=0.2, valid=30, n_iter_no_change=10**6, seed=1),
        make_task(max_epochs=3, seed=2),
    ]
    start = time.perf_counter()
    plain, judged, short = train(tasks)
    assert time.perf_counter() - start < 5
    assert 1 <= len(plain.history) < 50
    assert plain.best_epoch == len(plain.history)
    scores = [epoch["validation_score"] for epoch in judged.history]
    assert judged.best_epoch == int(np.argmax(scores)) + 1
    assert len(short.history) == 3


def test_a_budget_that_ends_within_the_first_epoch_still_gives_a_network():
    task = make_task(max_seconds=1e-9, batch_size=2, valid=30)
    (network,) = train([task])
    assert len(network.history) == 1
    assert np.isfinite(network.history[0]["validation_score"])


def test_a_member_that_diverges_does_not_harm_its_neighbours():
    settings = {"loss": "squared_error", "precision": "float32"}
    bad = make_task(learning_rate=1e30, **settings)
    good = make_task(seed=1, **settings)
    failed, fine = train([bad, good])
    assert isinstance(failed, DivergedError)
    assert_equal_networks(fine, train([good])[0], rtol=1e-4, atol=1e-6)


def test_an_error_in_a_watcher_is_its_own_members():
    def fails(epoch, get_weights):
        raise RuntimeError("watcher")

    failed, fine = train([make_task(on_epoch_end=fails), make_task(seed=1)])
    assert isinstance(failed, RuntimeError)
    assert len(fine.history) == 5


def test_different_shapes_train_in_one_call_in_the_order_of_the_tasks():
    tasks = [
        make_task(architecture={"widths": (4,)}),
        make_task(architecture={"widths": ()}),
        make_task(architecture={"widths": (4,)}, seed=1),
        make_task(precision="float32"),
        make_task(batch_size=16),
    ]
    for together, task in zip(train(tasks), tasks, strict=True):
        assert together.weights.dtype == task.X.dtype
        assert_equal_networks(together, train([task])[0], rtol=1e-12, atol=1e-12)


def test_a_run_longer_than_a_chunk_equals_the_same_run_in_short_chunks(monkeypatch):
    from skscale.training import chunk

    task = make_task(batch_size=2, dropout=0.3, weighted=True)
    whole = train([task])[0]
    monkeypatch.setattr(chunk, "_MAX_STEPS", 3)
    assert_equal_networks(whole, train([task])[0], rtol=0, atol=0)


class FakeGraphs:
    """Stands for CUDA graphs on a CPU: what was captured is run when it is replayed."""

    class Graph:
        def __init__(self, run):
            self.replay = run

    def __init__(self):
        self.n_captured = 0

    def capture(self, run):
        self.n_captured += 1
        return self.Graph(run)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_graphs_are_captured_once_and_replayed_with_the_right_numbers(monkeypatch, schedule):
    # What a replay reads must lie where it lay at the capture: rows, masks, rates.
    from skscale.training import stack

    settings = {
        "batch_size": 4, "max_epochs": 8, "lr_schedule": schedule, "l1": 0.1,
        "weight_decay": 0.2, "valid": 20, "weighted": True,
    }  # fmt: skip
    tasks = [
        make_task(
            seed=k, dropout=0.1 * k, rows=150 - 13 * k, learning_rate=0.01 * (k + 1), **settings
        )
        for k in range(3)
    ]
    eager = train(tasks)
    made = []

    def make_fake(device):
        made.append(FakeGraphs())
        return made[-1]

    monkeypatch.setattr(stack, "make_graph_capture", make_fake)
    for replayed, expected in zip(train(tasks), eager, strict=True):
        assert_equal_networks(replayed, expected, rtol=1e-12, atol=1e-13)
    assert 1 <= made[0].n_captured <= 12


def test_bfloat16_learns_as_well_as_float32(digits):
    X, y = digits
    low = ScaledMLPClassifier(precision="bfloat16", random_state=0, max_epochs=10).fit(X, y)
    high = ScaledMLPClassifier(random_state=0, max_epochs=10).fit(X, y)
    assert low.coefs_[0].dtype == np.float32
    assert not np.array_equal(low.coefs_[0], high.coefs_[0])
    assert low.score(X, y) > 0.95
    assert abs(low.score(X, y) - high.score(X, y)) < 0.02


def test_early_stopping_and_weights_and_dropout_work_in_bfloat16(diabetes):
    X, y = diabetes
    weights = np.random.default_rng(0).uniform(size=len(X))
    fitted = ScaledMLPRegressor(
        precision="bfloat16", dropout=0.2, l1=1e-3, weight_decay=0.1, random_state=0
    ).fit(X, y, sample_weight=weights)
    assert fitted.score(X, y, weights) > 0.3


@pytest.mark.parametrize("options", [{}, {"dropout": 0.3, "early_stopping": False}])
def test_one_random_state_gives_one_result(Estimator, small, options):
    X, y = small
    fits = [Estimator(random_state=3, max_epochs=4, **options).fit(X, y) for _ in range(2)]
    for a, b in zip(fits[0].coefs_, fits[1].coefs_, strict=True):
        np.testing.assert_array_equal(a, b)
    other = Estimator(random_state=4, max_epochs=4, **options).fit(X, y)
    assert (other.coefs_[0] != fits[0].coefs_[0]).any()


def test_no_random_state_gives_fresh_results(Estimator, small):
    first, second = (Estimator(max_epochs=1).fit(*small) for _ in range(2))
    assert (first.coefs_[0] != second.coefs_[0]).any()


def test_a_random_state_instance_is_advanced(Estimator, small):
    state = np.random.RandomState(0)
    first, second = (Estimator(max_epochs=1, random_state=state).fit(*small) for _ in range(2))
    again = Estimator(max_epochs=1, random_state=np.random.RandomState(0)).fit(*small)
    assert (first.coefs_[0] != second.coefs_[0]).any()
    np.testing.assert_array_equal(first.coefs_[0], again.coefs_[0])


def test_another_process_gives_the_same_result(digits):
    X, y = digits
    fitted = ScaledMLPClassifier(random_state=0, max_epochs=3, dropout=0.2).fit(X, y)
    code = (
        "from sklearn.datasets import load_digits; import numpy as np, sys\n"
        "from skscale import ScaledMLPClassifier\n"
        "X, y = load_digits(return_X_y=True); X = (X / 16).astype(np.float32)\n"
        "f = ScaledMLPClassifier(random_state=0, max_epochs=3, dropout=0.2).fit(X, y)\n"
        "sys.stdout.buffer.write(f.coefs_[1].tobytes())"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    np.testing.assert_array_equal(
        np.frombuffer(out, np.float32).reshape(fitted.coefs_[1].shape), fitted.coefs_[1]
    )


def test_two_threads_at_once_give_the_same_result(digits):
    X, y = digits
    expected = ScaledMLPClassifier(random_state=0, max_epochs=5, dropout=0.2).fit(X, y)
    fits = [ScaledMLPClassifier(random_state=0, max_epochs=5, dropout=0.2) for _ in range(2)]
    running = [threading.Thread(target=f.fit, args=(X, y)) for f in fits]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    for fitted in fits:
        for a, b in zip(fitted.coefs_, expected.coefs_, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_fit_moves_no_global_generator_and_reads_none(Estimator, small):
    def fit():
        return Estimator(random_state=0, max_epochs=3, dropout=0.2).fit(*small)

    np.random.seed(0)
    torch.manual_seed(0)
    before = np.random.get_state()[1].copy(), torch.random.get_rng_state()
    first = fit()
    np.testing.assert_array_equal(before[0], np.random.get_state()[1])
    assert torch.equal(before[1], torch.random.get_rng_state())
    np.random.seed(1)
    torch.manual_seed(1)
    np.testing.assert_array_equal(first.coefs_[0], fit().coefs_[0])


@pytest.mark.alone
def test_a_fit_in_one_thread_does_not_disturb_predictions_in_another(digits):
    X, y = digits
    served = ScaledMLPClassifier(random_state=0, max_epochs=3, dropout=0.5).fit(X, y)
    expected = served.predict_proba(X)
    training = threading.Thread(
        target=ScaledMLPClassifier(dropout=0.5, max_epochs=30, early_stopping=False).fit,
        args=(X, y),
    )
    training.start()
    n_while_training = 0
    while training.is_alive():
        np.testing.assert_array_equal(served.predict_proba(X), expected)
        n_while_training += 1
    training.join()
    assert n_while_training > 3


@pytest.mark.alone
def test_a_forked_child_predicts_and_fits_after_its_parent_used_two_threads():
    # A program of its own, so that pytest's threads are not forked.
    code = """
import os, signal, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads: the point here
import numpy as np, torch
from skscale import ScaledMLPClassifier
torch.set_num_threads(2)
X = np.random.default_rng(0).standard_normal((3000, 400)).astype(np.float32)
y = X[:, 0] > 0
f = ScaledMLPClassifier(max_epochs=1, width=64, random_state=0).fit(X, y)
torch.mm(torch.from_numpy(X), torch.from_numpy(X.T.copy()))  # starts OpenMP's threads
expected = f.predict_proba(X)
pid = os.fork()
if pid == 0:
    signal.alarm(60)
    same = np.array_equal(f.predict_proba(X), expected)
    again = ScaledMLPClassifier(max_epochs=1, width=64, random_state=0).fit(X, y)
    os._exit(0 if same and np.allclose(again.coefs_[0], f.coefs_[0], atol=1e-4) else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    done = subprocess.run([sys.executable, "-c", code], timeout=120, check=False)
    assert done.returncode == 0


def test_devices_resolve_or_raise_an_error():
    assert resolve_device("cpu") == "cpu"
    if torch.cuda.is_available():
        assert resolve_device("auto") == "cuda"
    else:
        assert resolve_device("auto") == "cpu"
        with pytest.raises(ValueError, match=r'number of CUDA devices is 0.*device="auto"'):
            resolve_device("cuda")
    if not torch.backends.mps.is_available():
        with pytest.raises(ValueError, match="there is no MPS device"):
            resolve_device("mps")


def test_a_task_that_cannot_begin_does_not_harm_its_neighbours():
    good, bad = make_task(), make_task(seed=1)
    weights = train([good])[0].weights
    bad.initial = replace(weights, coefs=[c[:2] for c in weights.coefs])
    failed, fine = train([bad, good])
    assert isinstance(failed, Exception)
    assert_equal_networks(fine, train([good])[0], rtol=0, atol=0)


def test_padding_does_not_see_rows_outside_the_fit():
    tasks = [make_task(loss="squared_error", valid=v, seed=v, rows=140) for v in (20, 50)]
    for task in tasks:
        task.train_rows = task.train_rows[task.train_rows > 0]
        task.valid_rows = task.valid_rows[task.valid_rows > 0]
        task.X[0] = np.inf
    for together, task in zip(train(tasks), tasks, strict=True):
        assert_equal_networks(together, train([task])[0], rtol=1e-12, atol=1e-12)


def test_a_finished_stack_is_free_at_once():
    import gc
    import weakref

    from skscale.training import engine
    from skscale.training.data import DeviceData
    from skscale.training.feed import Feed
    from skscale.training.stack import Member, Stack

    device, task = torch.device("cpu"), make_task()
    member = Member(task, 0, Feed(task, DeviceData(device)))
    stack = Stack([member], device, StepGradient)
    stack.train()
    gone = weakref.ref(stack)
    gc.disable()
    try:
        del stack
        assert gone() is None
    finally:
        gc.enable()
    assert engine.train([]) == []


def test_one_unit_is_not_normalized_away():
    X = np.random.default_rng(0).standard_normal((300, 4))
    for width in (1, (8, 1)):
        fitted = ScaledMLPRegressor(
            None if isinstance(width, tuple) else 1, width, random_state=1, activation="tanh",
            normalization="layer", learning_rate=0.02,
        ).fit(X, X[:, 0])  # fmt: skip
        assert fitted.score(X, X[:, 0]) > 0.5


def test_threads_train_a_stack_each_with_the_same_result():
    tasks = [
        make_task(architecture={"widths": (w,)}, seed=k, dropout=0.2)
        for w in (4, 8, 9)
        for k in range(7)
    ]
    sizes = []
    together = train(tasks, n_threads=3, stack_sizes=sizes)
    assert sorted(sizes) == [7, 7, 7]
    for one, task in zip(together, tasks, strict=True):
        assert_equal_networks(one, train([task])[0], rtol=1e-12, atol=1e-12)


@pytest.mark.alone
def test_a_cancelled_training_ends_in_all_threads():
    from skscale.training.task import CancelledError

    cancel = threading.Event()
    tasks = [
        make_task(architecture={"widths": (w,)}, max_epochs=10**7, batch_size=8)
        for w in (4, 8, 9)
    ]
    threading.Timer(0.3, cancel.set).start()
    start = time.perf_counter()
    with pytest.raises(CancelledError):
        train(tasks, n_threads=2, cancel=cancel)
    assert time.perf_counter() - start < 10
    assert not [t for t in threading.enumerate() if t.name == "skscale-train"]


@pytest.mark.alone
def test_ctrl_c_in_one_thread_ends_the_others(monkeypatch):
    from skscale.training import stack

    real = stack.Stack.train

    def interrupted(self):
        if threading.current_thread() is threading.main_thread():
            time.sleep(0.2)
            raise KeyboardInterrupt
        return real(self)

    monkeypatch.setattr(stack.Stack, "train", interrupted)
    tasks = [
        make_task(architecture={"widths": (w,)}, max_epochs=10**7, batch_size=8) for w in (4, 8)
    ]
    start = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        train(tasks, n_threads=2)
    assert time.perf_counter() - start < 10
    assert not [t for t in threading.enumerate() if t.name == "skscale-train"]


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory")])
def test_a_lone_network_without_memory_tries_shorter_chunks(monkeypatch, error):
    from skscale.training import stack

    real, tried = stack.Stack.train, []

    def train_in_little_memory(self):
        tried.append(self.chunk_bytes)
        if self.chunk_bytes > stack.CHUNK_BYTES["cpu"] // 8:
            raise error
        return real(self)

    monkeypatch.setattr(stack.Stack, "train", train_in_little_memory)
    with pytest.warns(RuntimeWarning, match="train one network.*fewer steps at a time"):
        network = train([make_task()])[0]
    assert len(tried) == 4
    monkeypatch.undo()
    assert_equal_networks(network, train([make_task()])[0], rtol=1e-12, atol=1e-12)
    monkeypatch.setattr(stack.Stack, "train", lambda self: (_ for _ in ()).throw(error))
    with pytest.warns(RuntimeWarning, match="too little memory to train one network"):
        assert train([make_task()]) == [error]


def test_a_stack_that_fails_where_its_members_do_not_is_reported(monkeypatch):
    from skscale.training import stack

    real = stack.Stack.train

    def fails_together(self):
        if len(self.members) > 1:
            raise ZeroDivisionError("of ours")
        return real(self)

    monkeypatch.setattr(stack.Stack, "train", fails_together)
    tasks = [make_task(seed=k) for k in range(3)]
    with pytest.warns(RuntimeWarning, match="Training 3 networks as one stack failed.*of ours"):
        networks = train(tasks, n_threads=1)
    assert all(len(network.weights.coefs) == 3 for network in networks)


def test_that_a_training_diverged_can_be_sent_to_another_process():
    (error,) = train([make_task(learning_rate=1e300, lr_schedule="constant")])
    assert isinstance(error, DivergedError)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is DivergedError
    assert str(again) == str(error)
