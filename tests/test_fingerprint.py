"""A hash of what a value is and computes: the same where that is, and only there."""

import copy
import datetime
import decimal
import enum
import functools
import importlib
import os
import pathlib
import pickle
import random
import subprocess
import sys
import threading
import types
from collections import OrderedDict, namedtuple
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
import torch
from joblib.externals.loky.backend.reduction import dumps
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from torch import nn
from torch.nn import functional

from skscale import ScaledMLPClassifier
from skscale.training.fingerprint import fingerprint


class Scale(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return x * self.factor


class Colour(enum.Enum):
    RED = 1
    GREEN = 2


@dataclass(frozen=True)
class Config:
    n: int
    parts: list = field(default_factory=list)


class Slots:
    __slots__ = ("a", "b")

    def __init__(self, a):
        self.a = a


Pair = namedtuple("Pair", "a b")


def seeded(make):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make()


def backbone(*, is_frozen):
    linear = seeded(lambda: nn.Linear(3, 3))
    linear.weight.requires_grad = not is_frozen
    return linear


def with_hook(factor):
    linear = seeded(lambda: nn.Linear(3, 3))
    linear.register_forward_hook(functools.partial(_scaled, factor))
    return linear


def _scaled(factor, module, args, output):
    return output * factor


def tied(*, is_tied):
    first, second = (seeded(lambda: nn.Linear(3, 3)) for _ in range(2))
    return nn.Sequential(first, first if is_tied else second)


def buffered(value):
    module = nn.Module()
    module.register_buffer("b", torch.full((2,), value), persistent=False)
    return module


def fitted_forest(seed):
    X, y = load_iris(return_X_y=True)
    return RandomForestClassifier(5, random_state=seed).fit(X, y)


def column(values):
    return make_column_transformer((StandardScaler(), values), remainder="drop")


X = np.arange(12.0).reshape(4, 3)
# Of each two that differ; each is made twice, which must not.
PAIRS = {
    "int and float": (lambda: 1, lambda: 1.0),
    "int and bool": (lambda: 1, lambda: True),
    "text and bytes": (lambda: "1", lambda: b"1"),
    "none and its name": (lambda: None, lambda: "None"),
    "parts of texts": (lambda: ["ab", "c"], lambda: ["a", "bc"]),
    "depths of lists": (lambda: [[1], 2], lambda: [[1, 2]]),
    "list and tuple": (lambda: [1, 2], lambda: (1, 2)),
    "order of a dict": (lambda: {"a": 1, "b": 2}, lambda: {"b": 2, "a": 1}),
    "sets": (lambda: {"a", "b", (1, 2)}, lambda: {"a", "b", (2, 1)}),
    "kinds of dict": (lambda: {"a": 1}, lambda: OrderedDict(a=1)),
    "named tuples": (lambda: Pair(1, 2), lambda: Pair(2, 1)),
    "arrays": (lambda: X.copy(), lambda: X + 1),
    "shapes": (lambda: X.copy(), lambda: X.reshape(3, 4)),
    "dtypes": (lambda: X.astype("f4"), lambda: X.astype("f8")),
    "objects in arrays": (
        lambda: np.array(["a", None], dtype=object),
        lambda: np.array(["b", None], dtype=object),
    ),
    "records": (
        lambda: np.array([(1, 2.0)], dtype=[("a", "i1"), ("b", "f8")]),
        lambda: np.array([(2, 2.0)], dtype=[("a", "i1"), ("b", "f8")]),
    ),
    "masks": (lambda: np.ma.array([1, 2], mask=[0, 1]), lambda: np.ma.array([1, 2])),
    "sparse": (lambda: sp.csr_array(X), lambda: sp.csr_array(X * 2)),
    "sparse formats": (lambda: sp.csr_array(X), lambda: sp.csc_array(X)),
    "frames": (
        lambda: pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}),
        lambda: pd.DataFrame({"a": [1, 2], "b": ["x", "z"]}),
    ),
    "categories": (
        lambda: pd.Series(["x", "y"], dtype="category"),
        lambda: pd.Series(["y", "x"], dtype="category"),
    ),
    "polars": (lambda: pl.DataFrame({"a": [1, 2]}), lambda: pl.DataFrame({"a": [2, 1]})),
    "times": (lambda: datetime.date(2020, 1, 2), lambda: datetime.date(2020, 1, 3)),
    "decimals": (lambda: decimal.Decimal("1.0"), lambda: decimal.Decimal("1.00")),
    "members": (lambda: Colour.RED, lambda: Colour.GREEN),
    "dataclasses": (lambda: Config(1, [2]), lambda: Config(1, [3])),
    "slots": (lambda: Slots(1), lambda: Slots(2)),
    "streams": (lambda: np.random.RandomState(0), lambda: np.random.RandomState(1)),
    "functions": (lambda: torch.tanh, lambda: torch.sin),
    "library functions": (lambda: functional.relu, lambda: functional.silu),
    "partial": (
        lambda: functools.partial(functional.leaky_relu, negative_slope=0.1),
        lambda: functools.partial(functional.leaky_relu, negative_slope=0.2),
    ),
    "methods": (lambda: Scale(1).forward, lambda: Scale(2).forward),
    "classes": (lambda: nn.ReLU, lambda: nn.SiLU),
    "lambdas": (lambda: lambda x: x + 1, lambda: lambda x: x + 2),
    "tensors": (lambda: torch.arange(3.0), lambda: torch.arange(3.0).double()),
    "bfloat16": (
        lambda: torch.arange(3.0).bfloat16(),
        lambda: torch.arange(1.0, 4).bfloat16(),
    ),
    "attributes of a module": (lambda: Scale(1.0), lambda: Scale(3.0)),
    "within modules": (
        lambda: nn.Sequential(Scale(1.0)),
        lambda: nn.Sequential(Scale(3.0)),
    ),
    "frozen weights": (lambda: backbone(is_frozen=False), lambda: backbone(is_frozen=True)),
    "heads of attention": (
        lambda: seeded(lambda: nn.MultiheadAttention(8, 2)),
        lambda: seeded(lambda: nn.MultiheadAttention(8, 4)),
    ),
    "activations": (
        lambda: seeded(lambda: nn.TransformerEncoderLayer(8, 2, 8, activation="relu")),
        lambda: seeded(lambda: nn.TransformerEncoderLayer(8, 2, 8, activation="gelu")),
    ),
    "recurrent networks": (
        lambda: seeded(lambda: nn.LSTM(3, 4)),
        lambda: seeded(lambda: nn.LSTM(3, 4, batch_first=True)),
    ),
    "hooks": (lambda: with_hook(1), lambda: with_hook(2)),
    "tied weights": (lambda: tied(is_tied=False), lambda: tied(is_tied=True)),
    "buffers that are not kept": (lambda: buffered(1.0), lambda: buffered(2.0)),
    "modes": (lambda: nn.Dropout(0.5), lambda: nn.Dropout(0.5).eval()),
    "estimators": (lambda: LogisticRegression(C=1.0), lambda: LogisticRegression(C=2.0)),
    "pipelines": (
        lambda: make_pipeline(FunctionTransformer(np.log1p), LogisticRegression()),
        lambda: make_pipeline(FunctionTransformer(np.log), LogisticRegression()),
    ),
    "own functions within": (
        lambda: make_pipeline(FunctionTransformer(lambda x: x)),
        lambda: make_pipeline(FunctionTransformer(lambda x: -x)),
    ),
    "columns": (lambda: column(["a"]), lambda: column(["b"])),
    "searches": (
        lambda: GridSearchCV(ScaledMLPClassifier(), {"width": [1, 2]}, cv=KFold(2)),
        lambda: GridSearchCV(ScaledMLPClassifier(), {"width": [1, 2]}, cv=KFold(3)),
    ),
    "fitted forests": (lambda: fitted_forest(0), lambda: fitted_forest(1)),
}  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
def test_equal_values_have_equal_hashes_and_different_ones_differ(name):
    one, other = PAIRS[name]
    found = fingerprint(one())
    assert fingerprint(one()) == found
    assert fingerprint(other()) != found
    copied = copy.deepcopy(one())
    assert fingerprint(copied) == found
    if name not in ("lambdas", "own functions within", "masks"):
        assert fingerprint(pickle.loads(dumps(one()))) == found


def test_neither_order_in_memory_nor_a_mapped_file_matter(tmp_path):
    np.save(tmp_path / "X.npy", X)
    found = fingerprint(X)
    for same in (
        np.asfortranarray(X),
        np.repeat(X, 2, 1)[:, ::2],
        X[::-1].copy()[::-1],
        np.load(tmp_path / "X.npy", mmap_mode="r"),
    ):
        assert fingerprint(same) == found
    assert fingerprint(np.float64(0.5), np.int64(3)) == fingerprint(0.5, 3)


def test_arrays_are_looked_through_once(monkeypatch):
    import skscale.training.fingerprint as module

    seen, digest = [], module._digest
    monkeypatch.setattr(module, "_digest", lambda a: seen.append(a) or digest(a))
    arrays = {}
    one = fingerprint([X, X], arrays=arrays)
    assert fingerprint([X, X], arrays=arrays) == one == fingerprint([X, X.copy()])
    assert len(seen) == 3


def test_circular_references_have_a_hash():
    def knot(last):
        first, second = types.SimpleNamespace(), types.SimpleNamespace()
        first.next, second.next, second.value = second, first, last
        return first

    assert fingerprint(knot(1)) == fingerprint(knot(1)) != fingerprint(knot(2))


def test_unpicklable_objects_have_no_hash():
    with pytest.raises(TypeError, match="cannot pickle 'generator'"):
        fingerprint([1], (n for n in range(3)))
    assert fingerprint(threading.Lock()) == fingerprint(threading.Lock())


def test_another_process_finds_the_same():
    script = (
        "import tests.test_fingerprint as t\n"
        "for name, (one, other) in t.PAIRS.items(): print(t.fingerprint(one(), other()))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": str(random.SystemRandom().randint(1, 9999))}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True,
        env=environment, cwd=pathlib.Path(__file__).parents[1],
    )  # fmt: skip
    own = [fingerprint(one(), other()) for one, other in PAIRS.values()]
    assert done.stdout.split() == own


# The code of a user's own, in two files.

LAYERS = """
import functools
import numpy as np
import torch
from torch import nn

TABLE = np.array([1.0, 2.0])
GAIN = {torch.relu: 1.0}

class Block(nn.Module):
    def forward(self, x):
        return x + 1

@functools.lru_cache
def lookup(n):
    return n + 1

def unused(x):
    return x

class Sizes:
    here = 3
"""
NETWORK = """
import torch
from torch import nn
import own_layers
from own_layers import GAIN, TABLE, lookup

class Act:
    def __init__(self, k):
        self.k = k

    def __call__(self, x):
        return x * self.k

class Network(nn.Module):
    def __init__(self, n_features, n_outputs, act=nn.LeakyReLU(0.1)):
        super().__init__()
        self.block, self.act = own_layers.Block(), act

    @property
    def gain(self):
        return GAIN[torch.relu] * TABLE[0] * lookup(3)

    def forward(self, x):
        from own_layers import Sizes
        return self.act(self.block(x)) * self.gain * Sizes.here

def decorate(f):
    def inner(*args):
        return 2 * f(*args)
    return inner

@decorate
def decorated(x):
    return x + 1

network, decorated_, act, inside = Network, decorated, Act(2), nn.Sequential(own_layers.Block())
"""
CHANGES = {
    "a class of a module that it names":
        ("x + 1\n\n@functools", "x + 2\n\n@functools", "network"),
    "an array that it names": ("[1.0, 2.0]", "[1.0, 3.0]", "network"),
    "a table by functions": ("torch.relu: 1.0", "torch.relu: 2.0", "network"),
    "a cached function": ("return n + 1", "return n + 2", "network"),
    "what it imports itself": ("here = 3", "here = 4", "network"),
    "a default": ("nn.LeakyReLU(0.1)", "nn.LeakyReLU(0.9)", "network"),
    "its method": ("* self.gain", "/ self.gain", "network"),
    "a property": ("* TABLE[0]", "/ TABLE[0]", "network"),
    "what is decorated": ("def decorated(x):\n    return x + 1",
                          "def decorated(x):\n    return x + 3", "decorated_"),
    "what decorates": ("2 * f", "3 * f", "decorated_"),
    "the class of an object": ("x * self.k", "x / self.k", "act"),
    "the class of a part": ("x + 1\n\n@functools", "x + 2\n\n@functools", "inside"),
    "what nobody names": ("return x\n\nclass Sizes", "return -x\n\nclass Sizes", None),
}  # fmt: skip


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def load(old="", new=""):
        assert old in LAYERS + NETWORK
        (tmp_path / "own_layers.py").write_text(LAYERS.replace(old, new) if old else LAYERS)
        (tmp_path / "own_network.py").write_text(NETWORK.replace(old, new) if old else NETWORK)
        for name in ("own_layers", "own_network"):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        return importlib.import_module("own_network")

    yield load
    for name in ("own_layers", "own_network"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("change", CHANGES)
def test_the_hash_covers_the_code_of_the_user(own, change):
    names = ("network", "decorated_", "act", "inside")
    old, new, of = CHANGES[change]
    before, again = ({n: fingerprint(getattr(own(), n)) for n in names} for _ in range(2))
    assert before == again
    after = {n: fingerprint(getattr(module, n)) for module in [own(old, new)] for n in names}
    if of is None:
        assert after == before
    else:
        assert after[of] != before[of]


def test_of_installed_packages_the_version_stands_for_the_code(own, tmp_path, monkeypatch):
    package = tmp_path / "site-packages" / "installed_here"
    package.mkdir(parents=True)
    monkeypatch.syspath_prepend(package.parent)

    def load(version, code):
        (package / "__init__.py").write_text(f"__version__ = {version!r}\n{code}")
        sys.modules.pop("installed_here", None)
        importlib.invalidate_caches()
        return fingerprint(importlib.import_module("installed_here").f)

    code = "def f(x):\n    return x + 1"
    one = load("1.0", code)
    assert load("1.0", code.replace("1", "2")) == one
    assert load("1.1", code) != one
    sys.modules.pop("installed_here", None)
