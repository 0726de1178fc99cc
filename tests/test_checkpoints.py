"""Long work survives: networks and unfinished trainings kept on disk."""

import contextlib
import errno
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import joblib
import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.base import clone
from sklearn.callback import ProgressBar
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from torch import nn

from skscale import (
    GradualScaleSearchCV,
    Pruning,
    ScaledCNNClassifier,
    ScaledMLPClassifier,
    ScaledMLPRegressor,
    ScaledNetworkClassifier,
    workers,
)
from skscale.compression.distillation import prediction_cache
from skscale.fusion import last_fused_run
from skscale.fusion import rendezvous as fusion
from skscale.networks.device import resolve_device
from skscale.storage import container, store
from skscale.training import checkpoints, stack
from skscale.training.task import CancelledError
from tests.test_engine import make_task

pytestmark = [
    pytest.mark.filterwarnings("ignore:The student does not gain"),
    pytest.mark.usefixtures("two_threads"),
]

FAST = {"width": 8, "max_epochs": 6, "random_state": 0}


class Noisy(nn.Module):
    """What a module may have beside its weights: dropout of its own, and running means."""

    def __init__(self, n_features, n_outputs, width=8, activation=nn.ReLU):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n_features, width),
            nn.BatchNorm1d(width),
            activation(),
            nn.Dropout(0.3),
            nn.Linear(width, n_outputs),
        )

    def forward(self, x):
        return self.layers(x)


class Plain(nn.Module):
    """What others may be made of."""

    def __init__(self, n_features, n_outputs, activation=torch.tanh):
        super().__init__()
        self.layer = nn.Linear(n_features, n_outputs)
        self.activation = activation

    def forward(self, x):
        return self.activation(self.layer(x))


# (estimator, whether X is sparse)
KINDS = {
    "plain": (ScaledMLPClassifier(**FAST), False),
    "weighted": (ScaledMLPClassifier(class_weight="balanced", **FAST), False),
    "regressor": (ScaledMLPRegressor(dropout=0.2, lr_schedule="cosine", **FAST), False),
    "double": (ScaledMLPClassifier(precision="float64", dropout=0.1, **FAST), False),
    "bfloat16": (ScaledMLPClassifier(precision="bfloat16", l1=1e-4, **FAST), False),
    "normalised": (ScaledMLPClassifier(depth=3, normalization="layer", **FAST), False),
    "members": (ScaledMLPClassifier(n_estimators=3, dropout=0.2, **FAST), False),
    "pruned": (ScaledMLPClassifier(pruning=Pruning(0.5, finetune_epochs=3), **FAST), False),
    "masked": (
        ScaledMLPClassifier(
            pruning=Pruning(0.5, granularity="weights", finetune_epochs=3), **FAST
        ),
        False,
    ),
    "taught": (
        ScaledMLPClassifier(teacher=DecisionTreeClassifier(random_state=0), **FAST),
        False,
    ),
    "to the end": (ScaledMLPClassifier(early_stopping=False, batch_size=7, **FAST), False),
    "sparse": (ScaledMLPClassifier(dropout=0.2, **FAST), True),
    "images": (ScaledCNNClassifier(augmentation="shift", dropout=0.1, **FAST), False),
    "module": (
        ScaledNetworkClassifier(Noisy, module__width=6, max_epochs=6, random_state=0),
        False,
    ),
}


@pytest.fixture(params=KINDS)
def kind(request, digits):
    estimator, is_sparse = KINDS[request.param]
    X, y = digits[0][:150], digits[1][:150] % 3
    if isinstance(estimator, ScaledCNNClassifier):
        X = (X * 16).reshape(-1, 8, 8).astype(np.uint8)
    return clone(estimator), sp.csr_array(X) if is_sparse else X, y


class Stopped(CancelledError):
    """Stands for a process that was killed."""


@pytest.fixture
def steps(monkeypatch):
    """Count the advances of all stacks; with `steps.last` the next one is the end."""

    class Steps:
        n, last = 0, None

    # Written down as often as a test says, however long that takes.
    monkeypatch.setattr(stack, "_TRAINING_PER_CHECKPOINT", 0)

    real, lock = stack.Stack._advance, fusion.threading.Lock()

    def advance(self):
        with lock:
            if Steps.last is not None and Steps.n >= Steps.last:
                raise Stopped
            Steps.n += 1
        real(self)

    monkeypatch.setattr(stack.Stack, "_advance", advance)
    Steps.n, Steps.last = 0, None
    return Steps


def assert_same_fit(one, other):
    for name in ("coefs_", "intercepts_", "buffers_"):
        for a, b in zip(getattr(one, name, ()), getattr(other, name, ()), strict=True):
            np.testing.assert_array_equal(a, b)
    assert one.n_iter_ == other.n_iter_
    assert one.best_epoch_ == other.best_epoch_
    for name in ("epoch", "validation_score"):
        np.testing.assert_array_equal(one.history_[name], other.history_[name])
    np.testing.assert_allclose(
        one.history_["train_loss"], other.history_["train_loss"], rtol=1e-6
    )


def test_a_trained_network_is_read_from_the_cache(kind, tmp_path, steps):
    estimator, X, y = kind
    undisturbed = clone(estimator).fit(X, y)
    first = clone(estimator).set_params(memory=tmp_path).fit(X, y)
    assert_same_fit(first, undisturbed)
    steps.last = 0  # nothing trains any more
    again = clone(estimator).set_params(memory=str(tmp_path)).fit(X, y)
    assert_same_fit(again, undisturbed)
    np.testing.assert_array_equal(again.predict(X), first.predict(X))
    assert again.fit_time_ == first.fit_time_
    with pytest.raises(Stopped):
        clone(estimator).fit(X, y)


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "share", [pytest.param(0.1, marks=SLOW), 0.5, pytest.param(0.9, marks=SLOW)]
)
def test_an_interrupted_training_resumes(kind, tmp_path, steps, monkeypatch, share):
    estimator, X, y = kind
    monkeypatch.setattr(stack, "CHUNK_BYTES", {"cpu": 1 << 13})  # a few steps at once
    undisturbed = clone(estimator).fit(X, y)
    n = steps.n
    assert n >= 6
    monkeypatch.setattr(stack, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    steps.n, steps.last = 0, max(1, int(n * share))
    with pytest.raises(Stopped):
        clone(estimator).set_params(memory=tmp_path).fit(X, y)
    steps.last = None
    resumed = clone(estimator).set_params(memory=tmp_path).fit(X, y)
    assert_same_fit(resumed, undisturbed)
    assert steps.n == n, "nothing was trained twice"
    # What is finished needs no checkpoint.
    assert not [p for p in tmp_path.glob("skscale/trainings/*/*") if p.is_file()]


@pytest.mark.parametrize(
    "share", [pytest.param(0.2, marks=SLOW), 0.6, pytest.param(0.9, marks=SLOW)]
)
def test_an_interrupted_fused_search_resumes(digits, tmp_path, steps, monkeypatch, share):
    X, y = digits[0][:300], digits[1][:300]
    monkeypatch.setattr(stack, "CHUNK_BYTES", {"cpu": 1 << 15})
    network = ScaledMLPClassifier(precision="float64", **(FAST | {"n_iter_no_change": 3}))
    grid = {
        "scaledmlpclassifier__width": [4, 8], "scaledmlpclassifier__dropout": [0.0, 0.3],
        "scaledmlpclassifier__learning_rate": [0.01, 0.1],
    }  # fmt: skip

    def search(memory):
        pipeline = make_pipeline(StandardScaler(), clone(network).set_params(memory=memory))
        with joblib.parallel_config(backend="skscale"):
            return GridSearchCV(pipeline, grid, cv=3, error_score="raise").fit(X, y)

    undisturbed, n = search(None), steps.n
    monkeypatch.setattr(stack, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    steps.n, steps.last = 0, int(n * share)
    with pytest.raises(Stopped):
        search(tmp_path)
    steps.last = None
    resumed = search(tmp_path)
    for name, values in undisturbed.cv_results_.items():
        if "time" not in name:
            np.testing.assert_array_equal(np.array(resumed.cv_results_[name]), np.array(values))
    for a, b in zip(
        resumed.best_estimator_[-1].coefs_, undisturbed.best_estimator_[-1].coefs_, strict=True
    ):
        np.testing.assert_array_equal(a, b)
    assert last_fused_run().n_fits + last_fused_run().n_cached == 24
    steps.last = steps.n
    search(tmp_path)
    assert (last_fused_run().n_fits, last_fused_run().n_cached) == (0, 24)
    # What threads had begun when the first was stopped is done again.
    assert steps.n <= n * 1.25 + 4


def test_the_cache_key_depends_on_everything_that_affects_the_network(digits, tmp_path, steps):
    X, y = digits[0][:150], digits[1][:150]
    network = ScaledMLPClassifier(memory=tmp_path, **FAST)
    clone(network).fit(X, y)
    steps.last = steps.n
    for parameters in ({"device": "cpu"}, {"memory": joblib.Memory(tmp_path, verbose=0)}):
        clone(network).set_params(**parameters).fit(X, y)
    clone(network).fit(np.asfortranarray(X), y)
    clone(network).fit(X.astype(np.float64), y)
    others = {
        "learning_rate": 0.02, "lr_schedule": "cosine", "weight_decay": 0.1, "l1": 1e-3,
        "dropout": 0.1, "batch_size": 30, "max_epochs": 7, "n_iter_no_change": 5, "tol": 1e-3,
        "random_state": 1, "width": 9, "depth": 1, "activation": "relu", "residual": False,
        "normalization": "layer", "label_smoothing": 0.0, "precision": "float64",
        "validation_fraction": 0.2, "early_stopping": False, "class_weight": "balanced",
        "preprocessing": None, "resolution": 4, "max_seconds": 1000.0,
    }  # fmt: skip
    for name, value in others.items():
        with pytest.raises(Stopped):
            clone(network).set_params(**{name: value}).fit(X, y)
    changed = X.copy()
    changed[77, 20] += 0.125
    for arguments in ((changed, y), (X, (y + 1) % 10), (X, y, np.arange(150) + 1.0)):
        with pytest.raises(Stopped):
            clone(network).fit(*arguments)


def test_a_network_of_another_version_is_not_found(digits, tmp_path, steps, monkeypatch):
    X, y = digits[0][:150], digits[1][:150]
    network = ScaledMLPClassifier(memory=tmp_path, **FAST).fit(X, y)
    steps.last = steps.n
    monkeypatch.setattr("skscale.training.checkpoints.__version__", "0.0.1")
    with pytest.raises(Stopped):
        network.fit(X, y)


def kept_files(folder):
    return sorted(p for p in Path(folder).rglob("*") if p.is_file())


def test_a_damaged_entry_is_detected_and_computed_again(digits, tmp_path, steps):
    X, y = digits[0][:150], digits[1][:150]
    student = ScaledMLPClassifier(
        teacher=DecisionTreeClassifier(random_state=0), memory=tmp_path, **FAST
    )
    expected = clone(student).fit(X, y).predict_proba(X)
    files = kept_files(tmp_path)
    assert len(files) == 3  # labels, the student, and the student alone
    generator = np.random.default_rng(0)
    for path in files:
        good = path.read_bytes()
        damaged = [good[: len(good) // 2], b"", good + b"x"]
        for place in generator.integers(len(good), size=4):
            flipped = bytearray(good)
            flipped[place] ^= 1 << int(generator.integers(8))
            damaged.append(bytes(flipped))
        for content in damaged:
            path.write_bytes(content)
            prediction_cache.clear()
            store.Store._warned.clear()
            with pytest.warns(RuntimeWarning, match=r"memory=.* has a damaged entry"):
                again = clone(student).fit(X, y)
            np.testing.assert_array_equal(again.predict_proba(X), expected)
            assert kept_files(tmp_path) == files
            # Of a network the seconds of its training differ.
            container.read(path, "entry", 1)


def test_entries_that_were_swapped_are_found(digits, tmp_path):
    X, y = digits[0][:150], digits[1][:150]
    network = ScaledMLPClassifier(memory=tmp_path, **FAST)
    expected = clone(network).fit(X, y).predict_proba(X)
    (own,) = kept_files(tmp_path)
    clone(network).set_params(random_state=1).fit(X, y)
    (other,) = {*kept_files(tmp_path)} - {own}
    own.write_bytes(other.read_bytes())
    with pytest.warns(RuntimeWarning, match="it belongs to another key"):
        again = clone(network).fit(X, y)
    np.testing.assert_array_equal(again.predict_proba(X), expected)


@pytest.mark.parametrize(
    "entry",
    [
        {"tree": None, "arrays": [["<(,", [1]]]},
        {"tree": [], "arrays": []},
        {"tree": {"dict": {}}, "arrays": []},
        [],
    ],
)
def test_foreign_entries_are_computed_again(digits, tmp_path, entry):
    X, y = digits[0][:150], digits[1][:150]
    network = ScaledMLPClassifier(memory=tmp_path, **FAST)
    expected = clone(network).fit(X, y).predict_proba(X)
    (path,) = kept_files(tmp_path)
    text = json.dumps(entry).encode()
    container.write(path, "entry", 1, len(text).to_bytes(8, "little") + text)
    store.Store._warned.clear()
    with pytest.warns(RuntimeWarning, match=r"memory=.* has a damaged entry"):
        again = clone(network).fit(X, y)
    np.testing.assert_array_equal(again.predict_proba(X), expected)


@pytest.mark.parametrize("progress", [{"n_steps": 1}, {}, None])
def test_a_checkpoint_of_another_form_is_not_resumed(digits, tmp_path, monkeypatch, progress):
    X, y = digits[0][:150], digits[1][:150]
    network = ScaledMLPClassifier(memory=tmp_path, **FAST)
    expected = clone(network).fit(X, y).predict_proba(X)
    (path,) = kept_files(tmp_path)
    path.unlink()
    monkeypatch.setattr(stack, "SECONDS_BETWEEN_CHECKPOINTS", 1e6)
    store.Store(str(tmp_path)).put("trainings", path.name, progress)
    again = clone(network).fit(X, y)
    np.testing.assert_array_equal(again.predict_proba(X), expected)


def test_drafts_of_killed_writers_are_removed_in_time(tmp_path):
    kept = store.Store(str(tmp_path))
    key = "ab" + "0" * 62
    assert kept.put("networks", key, {"a": 1})
    (path,) = kept_files(tmp_path)
    old, new = (path.parent / f"{container._DRAFT}{n}" for n in ("old", "new"))
    for draft in (old, new):
        draft.write_bytes(b"half")
    an_hour_ago = time.time() - 1.1 * container._DRAFT_SECONDS
    os.utime(old, (an_hour_ago, an_hour_ago))
    assert kept.put("networks", key, {"a": 2})
    assert kept_files(tmp_path) == sorted([path, new])
    assert kept.get("networks", key) == {"a": 2}


@pytest.mark.parametrize("how", ["a file", "full"])
@pytest.mark.parametrize("is_fused", [False, True])
def test_an_unwritable_cache_gives_a_warning_and_the_search_continues(
    digits, tmp_path, monkeypatch, how, is_fused
):
    X, y = digits[0][:150], digits[1][:150]
    memory = tmp_path / "memory"
    if how == "a file":
        memory.write_text("no folder")
        message = r"memory=.* cannot be (read|written) \(Not a directory\)"
    else:

        def write(*args, **kwargs):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(store.container, "write", write)
        message = r"memory=.* cannot be written \(No space left on device\)\. Fitting continues"
    store.Store._warned.clear()
    monkeypatch.setattr(stack, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    student = ScaledMLPClassifier(
        teacher=DecisionTreeClassifier(random_state=0), precision="float64", **FAST
    )
    grid = {"dropout": [0.0, 0.2]}
    expected = GridSearchCV(student, grid, cv=2, error_score="raise").fit(X, y)
    prediction_cache.clear()
    student.set_params(memory=memory)
    backend = "skscale" if is_fused else "sequential"
    with pytest.warns(RuntimeWarning, match=message), joblib.parallel_config(backend=backend):
        search = GridSearchCV(student, grid, cv=2, error_score="raise").fit(X, y)
    np.testing.assert_array_equal(
        search.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"]
    )


def test_a_pickle_excludes_memory(digits, tmp_path):
    X, y = digits[0][:150], digits[1][:150]
    network = ScaledMLPClassifier(memory=str(tmp_path), **FAST)
    # Workers of a search are sent what is not fitted.
    assert pickle.loads(pickle.dumps(network)).memory == str(tmp_path)
    fitted = clone(network).fit(X, y)
    assert fitted.memory == str(tmp_path)
    state = pickle.dumps(fitted)
    assert str(tmp_path).encode() not in state
    assert pickle.loads(state).memory is None


def test_the_memory_of_a_teacher_does_not_affect_the_cache_key(digits, tmp_path, steps):
    X, y = digits[0][:150], digits[1][:150]
    teacher = ScaledMLPClassifier(**FAST)
    student = ScaledMLPClassifier(teacher=teacher, memory=tmp_path / "one", **FAST)
    prediction_cache.clear()
    first = clone(student).fit(X, y)
    steps.last = steps.n
    teacher.set_params(memory=tmp_path / "other")
    prediction_cache.clear()
    again = clone(student).fit(X, y)
    assert_same_fit(again, first)


def test_without_a_seed_no_network_is_cached_with_a_warning(digits, tmp_path):
    X, y = digits[0][:150], digits[1][:150]
    network = ScaledMLPClassifier(memory=tmp_path, width=8, max_epochs=2)
    with pytest.warns(UserWarning, match="memory is set and random_state is None"):
        network.fit(X, y)
    assert not kept_files(tmp_path)
    # With a teacher it is what the teacher said that is kept.
    network.set_params(teacher=DecisionTreeClassifier(random_state=0)).fit(X, y)
    assert [p.parent.parent.name for p in kept_files(tmp_path)] == ["predictions"]


def test_a_diverged_training_is_cached(digits, tmp_path, steps):
    X, y = digits[0][:150], digits[1][:150]
    network = ScaledMLPClassifier(
        memory=tmp_path, depth=0, preprocessing=None, **(FAST | {"learning_rate": 1e30})
    )
    messages = []
    for _ in range(2):
        with pytest.raises(ValueError, match="Training diverged") as caught:
            clone(network).fit(X * 1e30, y)
        messages.append(str(caught.value))
        steps.last = steps.n
    assert messages[0] == messages[1]


class Stopper:
    """A callback of scikit-learn that ends every training after its second epoch."""

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context, **seen):
        pass

    def on_fit_task_end(self, estimator, context, **seen):
        return context.task_name == "epoch" and context.task_id >= 1


def test_callbacks_that_may_stop_a_training_have_no_part_in_memory(digits, tmp_path, steps):
    X, y = digits[0][:150], digits[1][:150]
    network = ScaledMLPClassifier(memory=tmp_path, **FAST)
    stopped = clone(network).set_callbacks(Stopper()).fit(X, y)
    assert stopped.n_iter_ < 6
    assert not kept_files(tmp_path)
    full = clone(network).set_callbacks(ProgressBar()).fit(X, y)
    assert full.n_iter_ == 6
    assert clone(network).set_callbacks(Stopper()).fit(X, y).n_iter_ == stopped.n_iter_
    steps.last = steps.n
    assert clone(network).set_callbacks(ProgressBar()).fit(X, y).n_iter_ == 6


def test_a_gradual_search_is_recalled(digits, tmp_path, steps):
    X, y = digits[0][:200], digits[1][:200]
    network = ScaledMLPClassifier(memory=tmp_path, depth=1, **FAST)
    searches = []
    for _ in range(2):
        with joblib.parallel_config(backend="skscale"):
            searches.append(GradualScaleSearchCV(network, {"width": [4, 8]}, cv=2).fit(X, y))
        steps.last = steps.n
    one, other = (s.cv_results_["mean_test_score"] for s in searches)
    np.testing.assert_array_equal(one, other)


class Unfinished:
    """Cannot be pickled."""

    def __init__(self):
        self.rows = (n for n in range(3))

    def __deepcopy__(self, memo):
        return self

    def __call__(self, x):
        return torch.tanh(x)


def test_unhashable_tasks_are_trained_and_not_cached(digits, tmp_path):
    X, y = digits[0][:150], digits[1][:150]
    network = ScaledNetworkClassifier(
        Plain, module__activation=Unfinished(), memory=tmp_path, max_epochs=2, random_state=0
    )
    with pytest.warns(UserWarning, match="not cached in `memory`.*cannot be hashed.*TypeError"):
        network.fit(X, y)
    assert not kept_files(tmp_path)


CODE = """
import torch
from torch import nn

SCALE = 1.0

def twice(x):
    return 2 * x

class Base(nn.Module):
    def begin(self, x):
        return torch.tanh(x)

class Network(Base):
    def __init__(self, n_features, n_outputs, f=None):
        super().__init__()
        self.layer, self.f = nn.Linear(n_features, n_outputs), f

    def forward(self, x):
        return self.layer(twice(self.begin(x)) * SCALE)

def make(n_features, n_outputs):
    return Network(n_features, n_outputs)

def f(x):
    return x + 1
"""
CHANGES = {
    "the class": ("self.layer(twice(", "-self.layer(twice("),
    "its base": ("torch.tanh(x)", "torch.sin(x)"),
    "a function that it names": ("2 * x", "3 * x"),
    "a constant that it names": ("SCALE = 1.0", "SCALE = 1.5"),
    "a function that it is given": ("x + 1", "x + 2"),
}


@pytest.mark.parametrize("change", [None, *CHANGES])
def test_a_module_is_known_by_its_code(digits, tmp_path, steps, change):
    X, y = digits[0][:150], digits[1][:150] % 2

    def fit(code):
        names = {"__name__": "typed_in"}
        exec(code, names)  # another class of the same name each time
        ScaledNetworkClassifier(
            names["Network"],
            module__f=names["f"],
            memory=tmp_path,
            max_epochs=2,
            random_state=0,
        ).fit(X, y)

    fit(CODE)
    steps.last = steps.n
    fit(CODE)
    if change is not None:
        old, new = CHANGES[change]
        assert old in CODE
        with pytest.raises(Stopped):
            fit(CODE.replace(old, new))


def test_tensors_and_modules_are_arguments_like_others(digits, tmp_path, steps):
    X, y = digits[0][:150], digits[1][:150]

    def fit(bias):
        inner = nn.Linear(10, 10)
        with torch.no_grad():
            inner.weight.copy_(torch.eye(10))
            inner.bias.fill_(bias)
        ScaledNetworkClassifier(
            Plain, module__activation=inner, memory=tmp_path, max_epochs=2, random_state=0
        ).fit(X, y)

    fit(0.0)
    steps.last = steps.n
    fit(0.0)
    with pytest.raises(Stopped):
        fit(0.5)
    one, same, other = (
        checkpoints._find_entry(
            replace(
                make_task(architecture={}, loss="huber", loss_numbers=(value,)), store=tmp_path
            ),
            {},
        ).key
        for value in (torch.arange(3.0), torch.arange(3.0), torch.arange(1.0, 4.0))
    )
    assert one == same != other


def test_too_little_memory_resumes_from_the_checkpoint(digits, tmp_path, steps, monkeypatch):
    X, y = digits[0][:150], digits[1][:150]
    monkeypatch.setattr(stack, "CHUNK_BYTES", {"cpu": 1 << 13})
    monkeypatch.setattr(stack, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    network = ScaledMLPClassifier(n_estimators=4, precision="float64", **FAST)
    real, calls = stack.Stack._advance, []

    def advance(self):
        calls.append(len(self.members))
        if advance.fails_at == len(calls):
            raise MemoryError("none left")
        real(self)

    monkeypatch.setattr(stack.Stack, "_advance", advance)
    torch.set_num_threads(1)  # one stack
    advance.fails_at = None
    undisturbed = clone(network).fit(X, y)
    n = len(calls)
    assert set(calls) == {4}
    network.set_params(memory=tmp_path)
    steps.n, steps.last = 0, n // 4
    with pytest.raises(Stopped):
        clone(network).fit(X, y)
    steps.last = None
    calls.clear()
    advance.fails_at = n // 4
    with pytest.warns(RuntimeWarning, match="too little memory to train a stack of 4 networks"):
        resumed = clone(network).fit(X, y)
    assert_same_fit(resumed, undisturbed)
    assert calls.count(4) == n // 4
    assert calls.count(2) == 2 * (n - n // 4 - n // 4 + 1)


def test_a_job_that_changes_its_rows_in_place_has_a_network_of_the_new_ones(digits, tmp_path):
    y = digits[1][:150]
    network = ScaledMLPClassifier(preprocessing=None, memory=tmp_path, **FAST)

    def fit_twice(X):
        first = clone(network).fit(X, y).predict_proba(X)
        X[:, 7] += 1
        return first, clone(network).fit(X, y).predict_proba(X)

    found = []
    for backend in ("skscale", "sequential"):
        X = digits[0][:150].astype(np.float32)
        with joblib.parallel_config(backend=backend):
            found += joblib.Parallel()([joblib.delayed(fit_twice)(X)])
    assert not np.array_equal(*found[0])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


# Processes that end at once.

SEARCH = """
import json, sys, warnings
import joblib, numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skscale import ScaledMLPClassifier
from skscale.training import stack

backend, memory, seconds = sys.argv[1], sys.argv[2] or None, float(sys.argv[3])
stack.SECONDS_BETWEEN_CHECKPOINTS = seconds
real = stack.Stack._end_epoch

def end_epoch(self, ended, now):
    for k in ended:  # of which network, as far as it shows
        print("epoch", flush=True)
    return real(self, ended, now)

stack.Stack._end_epoch = end_epoch
X, y = load_digits(return_X_y=True)
network = ScaledMLPClassifier(
    random_state=0, memory=memory, precision="float64", max_epochs=60, n_iter_no_change=60
)
grid = {"scaledmlpclassifier__width": [32, 64], "scaledmlpclassifier__dropout": [0.0, 0.2],
        "scaledmlpclassifier__weight_decay": [0.0, 0.02]}
search = GridSearchCV(make_pipeline(StandardScaler(), network), grid, cv=3, refit=False)
options = {"backend": backend} if backend == "skscale" else {"n_jobs": int(backend)}
print("begins", flush=True)
with joblib.parallel_config(**options):
    search.fit(X, y)
print(json.dumps({k: np.array(v).tolist() for k, v in search.cv_results_.items()
                  if "time" not in k and "params" not in k}))
"""


@pytest.fixture
def groups():
    """Ids of process groups to be ended after the test.

    A worker whose parent was killed while it began waits in joblib for what to do, for ever.
    """
    found = []
    yield found
    for group in found:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


def run_search(groups, backend, log, memory="", seconds=0.5, kill_after=None):
    """Run the search in a process; return its epochs, what it printed last, and its seconds."""
    environment = dict(os.environ, OMP_NUM_THREADS="1", PYTHONPATH=os.getcwd())
    # Not by a pipe, which workers that are about to end would keep open.
    with open(log, "w") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", SEARCH, backend, str(memory), str(seconds)],
            stdout=file, env=environment, start_new_session=True,
        )  # fmt: skip
        groups.append(process.pid)
        while not Path(log).read_text().startswith("begins\n"):
            assert process.poll() is None
            time.sleep(0.02)
        start = time.perf_counter()
        if kill_after is not None:
            time.sleep(kill_after)
            process.send_signal(signal.SIGKILL)
        process.wait()
    took = time.perf_counter() - start
    assert process.returncode in (0, None if kill_after is None else -signal.SIGKILL)
    lines = Path(log).read_text().splitlines()
    return lines.count("epoch"), lines[-1], took


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
@pytest.mark.parametrize("backend", ["1", "skscale", "2"])
def test_a_search_that_is_killed_ten_times_ends_as_one_that_was_not(tmp_path, groups, backend):
    log, memory = tmp_path / "log", tmp_path / "kept"
    n_epochs, expected, took = run_search(groups, backend, log)
    seconds = min(0.5, took / 40)  # of a minute and hours
    generator = np.random.default_rng()
    n_done = 0
    for _ in range(10):
        kill_after = generator.uniform(0.2, 0.9) * took / 4
        n_done += run_search(groups, backend, log, memory, seconds, kill_after)[0]
    n, found, _ = run_search(groups, backend, log, memory, seconds)
    assert json.loads(found) == json.loads(expected)
    if backend == "2":
        return  # workers count for themselves
    assert n < n_epochs
    # At most what is trained between two checkpoints is trained again, for each kill.
    a_second = n_epochs / took
    assert n_done + n - n_epochs <= 10 * (seconds + 0.5) * a_second * 2
    print(f"{backend}: {n_epochs} epochs undisturbed, {n_done + n} with ten kills")


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
def test_workers_end_soon_after_a_parent_that_was_killed():
    code = """
import os
import joblib, numpy as np
from skscale import ScaledMLPClassifier

def fit(seed):
    os.write(1, f"worker {os.getpid()}\\n".encode())  # a line as a whole
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((400, 10)), rng.integers(2, size=400)
    ScaledMLPClassifier(max_epochs=1_000_000, early_stopping=False).fit(X, y)

joblib.Parallel(n_jobs=2)(joblib.delayed(fit)(s) for s in range(2))
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True,
        env=dict(os.environ, PYTHONPATH=os.getcwd()),
    ) as process:  # fmt: skip
        try:
            found = [
                re.fullmatch(r"worker (\d+)\n", process.stdout.readline()) for _ in range(2)
            ]
            pids = [int(match[1]) for match in found]
            time.sleep(3)  # they train
            assert all(map(alive, pids))
        finally:
            process.send_signal(signal.SIGKILL)
        # Nobody has asked for it yet: its number is still there.
        deadline = time.monotonic() + 10
        while any(map(alive, pids)) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not any(map(alive, pids))
        process.wait()


@pytest.mark.alone
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
def test_an_ended_process_is_not_alive_before_it_is_reaped():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert workers._is_alive(process.pid, is_child=False)
        assert not workers._is_alive(process.pid, is_child=True)  # it was, and is no more
        process.kill()
        deadline = time.monotonic() + 10
        while workers._is_alive(process.pid, is_child=False) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not workers._is_alive(process.pid, is_child=False)
        process.wait()
    assert not workers._is_alive(process.pid, is_child=False)
    assert workers._is_alive(os.getppid(), is_child=True)


def test_workers_take_gpus_in_turn(monkeypatch):
    assert workers.worker_number() is None
    assert workers.gpu_of_worker(4) is None

    class Backend:
        nesting_level = 1

    monkeypatch.setattr(workers, "get_active_backend", lambda: (Backend(), None))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    devices = []
    for name in ("LokyProcess-1", "LokyProcess-2", "ForkPoolWorker-7", "MainProcess"):
        monkeypatch.setattr(workers.multiprocessing.current_process(), "_name", name)
        devices.append([resolve_device(d) for d in ("auto", "cuda", "cuda:0", "cpu")])
    assert [d[0] for d in devices] == ["cuda:1", "cuda:0", "cuda:1", "cuda"]
    assert all(d[1:] == [d[0], "cuda:0", "cpu"] for d in devices)
