"""Files of estimators: the same estimator again, and nothing else from any other file."""

import io
import json
import os
import pickle
import subprocess
import sys
import warnings
import zipfile
from importlib import import_module

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
)

import skscale
from skscale import (
    TRUSTED_TYPES,
    BestUnder,
    Distillation,
    GradualScaleSearchCV,
    InvalidFileError,
    ParetoKnee,
    Pruning,
    ScaledCNNClassifier,
    ScaledCNNRegressor,
    ScaledMLPClassifier,
    ScaledMLPRegressor,
    ScaledNetworkClassifier,
    ScaledNetworkRegressor,
    SmallestWithin,
    cost_scoring,
)
from skscale.networks.convolutional.architecture import Stage
from skscale.serving import files
from skscale.storage import container
from skscale.storage.tree import Part

QUICK = {"width": 8, "max_epochs": 2, "random_state": 0}


class Net(torch.nn.Module):
    """A network of the user's own."""

    def __init__(self, n_features, n_outputs, width=8):
        super().__init__()
        self.hidden = torch.nn.Linear(n_features, width)
        self.output = torch.nn.Linear(width, n_outputs)

    def forward(self, x):
        return self.output(torch.relu(self.hidden(x)))


def _search(**options):
    options = {"cv": 2, **options}
    return GridSearchCV(ScaledMLPClassifier(**QUICK), {"depth": [0, 1]}, **options)


_TABLE = ColumnTransformer(
    [
        ("numbers", make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), [20]),
        ("codes", OneHotEncoder(handle_unknown="ignore"), slice(1, 3)),
        ("orders", OrdinalEncoder(), [3]),
    ],
    remainder="passthrough",
)
CASES = {
    "classifier": ScaledMLPClassifier(**QUICK),
    "ensemble": ScaledMLPClassifier(**QUICK, n_estimators=3, resolution=3),
    "pruned": ScaledMLPClassifier(**QUICK, pruning=Pruning(0.5, finetune_epochs=1)),
    "taught": ScaledMLPClassifier(
        **QUICK,
        teacher=RandomForestClassifier(5, random_state=0),
        distillation=Distillation(cv=2),
    ),
    "random state": ScaledMLPClassifier(
        width=8, max_epochs=2, random_state=np.random.RandomState(0)
    ),
    "regressor": ScaledMLPRegressor(**QUICK),
    "counts": ScaledMLPRegressor(**QUICK, loss="poisson", precision="float64"),
    "images": ScaledCNNClassifier(width=4, max_epochs=1, random_state=0),
    "numbers of images": ScaledCNNRegressor(width=4, max_epochs=1, random_state=0),
    "pipeline": make_pipeline(StandardScaler(), ScaledMLPClassifier(**QUICK)),
    "table": make_pipeline(_TABLE, ScaledMLPClassifier(**QUICK)),
    "function": make_pipeline(FunctionTransformer(np.log1p), ScaledMLPRegressor(**QUICK)),
    "search": _search(),
    "scored": _search(scoring="f1_macro", cv=KFold(2)),
    "several": _search(scoring=["accuracy", "neg_log_loss"], refit="accuracy"),
    "costs": _search(scoring=cost_scoring("accuracy"), refit=SmallestWithin()),
    "under": _search(scoring=cost_scoring("accuracy"), refit=BestUnder(n_parameters=1e9)),
    "knee": _search(scoring=cost_scoring("accuracy"), refit=ParetoKnee()),
    "halving": HalvingGridSearchCV(ScaledMLPClassifier(**QUICK), {"depth": [0, 1]}, cv=2),
    "gradual": GradualScaleSearchCV(ScaledMLPClassifier(**QUICK), {"width": [2, 4]}, cv=2),
}


def _data(digits, fitted):
    X, y = digits[0][:300], digits[1][:300]
    return X.reshape(-1, 8, 8) if "CNN" in type(fitted).__name__ else X, y


@pytest.mark.filterwarnings("ignore:The student does not gain")
@pytest.mark.parametrize("name", CASES)
def test_a_saved_and_loaded_estimator_predicts_the_same(name, digits, tmp_path):
    X, y = _data(digits, CASES[name])
    fitted = CASES[name].fit(X, y)
    skscale.save(fitted, tmp_path / "file")
    again = skscale.load(tmp_path / "file")
    assert type(again) is type(fitted)
    for method in ("predict", "predict_proba"):
        if hasattr(fitted, method):
            expected = getattr(fitted, method)(X)
            predicted = getattr(again, method)(X)
            np.testing.assert_array_equal(predicted, expected, strict=True)
    if hasattr(fitted, "cv_results_"):
        assert list(again.cv_results_) == list(fitted.cv_results_)
        assert again.best_params_ == fitted.best_params_
    assert [n for n in os.listdir(tmp_path) if n != "file"] == []


def test_a_frame_with_categories_and_gaps_comes_back(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=80), "town": rng.choice(["Ulm", "Graz"], 80)})
    frame.loc[3, "x"] = np.nan
    frame.loc[5, "town"] = None
    fitted = ScaledMLPClassifier(**QUICK, resolution=3).fit(frame, frame["x"] > 0)
    skscale.save(fitted, tmp_path / "file")
    again = skscale.load(tmp_path / "file")
    unseen = frame.assign(town="Linz")
    for X in (frame, unseen, unseen[:2]):
        np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))


def test_unfitted_estimators_can_be_saved(tmp_path):
    search = _search(scoring="accuracy")
    skscale.save(search, tmp_path / "file")
    assert repr(skscale.load(tmp_path / "file")) == repr(search)


@pytest.mark.parametrize("Network", [ScaledNetworkClassifier, ScaledNetworkRegressor])
def test_a_module_of_the_users_own_must_be_trusted(Network, digits, tmp_path):
    X, y = _data(digits, Network)
    fitted = Network(Net, **QUICK).fit(X, y)
    skscale.save(fitted, tmp_path / "file")
    with pytest.raises(
        InvalidFileError, match=r"not trusted: tests\.test_files\.Net\. .*trusted="
    ):
        skscale.load(tmp_path / "file")
    for trusted in ([Net], ["tests.test_files.Net"]):
        again = skscale.load(tmp_path / "file", trusted=trusted)
        np.testing.assert_array_equal(again.predict(X), fitted.predict(X))


def test_trees_are_followed_unchecked_and_must_be_trusted(digits, tmp_path):
    X, y = _data(digits, None)
    forest = RandomForestClassifier(3, max_depth=2, random_state=0).fit(X, y)
    skscale.save(forest, tmp_path / "file")
    with pytest.raises(InvalidFileError, match=r"not trusted: sklearn\.tree\._tree\.Tree\."):
        skscale.load(tmp_path / "file")
    again = skscale.load(tmp_path / "file", trusted=["sklearn.tree._tree.Tree"])
    np.testing.assert_array_equal(again.predict_proba(X), forest.predict_proba(X))


def test_every_estimator_can_be_saved():
    covered = {type(case).__name__ for case in CASES.values()} | {
        "ScaledNetworkClassifier",
        "ScaledNetworkRegressor",
    }
    public = {
        name
        for name in skscale.__all__
        if isinstance(getattr(skscale, name), type)
        and issubclass(getattr(skscale, name), BaseEstimator)
        and hasattr(getattr(skscale, name), "fit")
    }
    assert public <= covered


def test_every_trusted_type_is_there():
    for name in TRUSTED_TYPES:
        module, _, attribute = name.rpartition(".")
        assert callable(getattr(import_module(module), attribute)), name


def _local_module(X, y):
    class Local(Net):
        pass

    return ScaledNetworkClassifier(Local, **QUICK).fit(X, y)


def test_unreadable_objects_are_not_written(digits, tmp_path):
    X, y = _data(digits, None)
    path = tmp_path / "file"
    path.write_bytes(b"as it was")
    unreadable = make_pipeline(FunctionTransformer(lambda X: X), ScaledMLPClassifier(**QUICK))
    holds_bytes = FunctionTransformer(kw_args={"data": pickle.dumps(os.system)})
    for estimator in (unreadable.fit(X, y), holds_bytes, _local_module(X, y)):
        with pytest.raises(TypeError, match="cannot be saved without pickle"):
            skscale.save(estimator, path)
    with pytest.raises(TypeError, match="Expected an estimator, a pipeline or a search, got"):
        skscale.save({"not": "one"}, path)
    assert path.read_bytes() == b"as it was"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("trusted", [True, "os.system", 3])
def test_trust_is_a_list_of_names(trusted, tmp_path):
    with pytest.raises(TypeError, match="trusted must be a list of types or of their names"):
        skscale.load(tmp_path / "file", trusted=trusted)


def test_without_skops_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "skops", None)
    for call in (lambda p: skscale.save(_search(), p), skscale.load):
        with pytest.raises(ImportError, match=r"pip install 'skscale\[serve\]'"):
            call(tmp_path / "file")


@pytest.fixture(scope="module")
def a_file(digits, tmp_path_factory):
    X, y = digits
    network = ScaledMLPClassifier(depth=1, width=4, max_epochs=1, random_state=0)
    fitted = make_pipeline(StandardScaler(), network).fit(X, y)
    path = tmp_path_factory.mktemp("files") / "file"
    skscale.save(fitted, path)
    return path, X, fitted.predict_proba(X)


def test_skops_itself_reads_the_file(a_file):
    from skops.io import get_untrusted_types, load

    assert set(get_untrusted_types(file=a_file[0])) <= set(TRUSTED_TYPES)
    again = load(a_file[0], trusted=list(TRUSTED_TYPES))
    np.testing.assert_array_equal(again.predict_proba(a_file[1]), a_file[2])


def _swapped(content, rng):
    """Return an archive in which two arrays have changed places."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    a, b = rng.choice([name for name in members if name.endswith(".npy")], 2, replace=False)
    members[a], members[b] = members[b], members[a]
    return _archive(members.items())


def _archive(members, compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", compression) as archive:
        warnings.simplefilter("ignore")  # of names that occur twice
        for name, data in members:
            archive.writestr(name, data)
    return buffer.getvalue()


def test_no_truncated_bit_flipped_or_swapped_file_is_read(a_file, tmp_path):
    data = a_file[0].read_bytes()
    line, content = data.split(b"\n", 1)
    rng = np.random.default_rng(0)
    mutants = [data[:n] for n in rng.integers(0, len(data), 150)]
    for place in [*rng.integers(0, 8 * len(data), 200), *rng.integers(0, 8 * 140, 100)]:
        mutant = bytearray(data)
        mutant[place // 8] ^= 1 << (place % 8)
        mutants.append(bytes(mutant))
    mutants += [line + b"\n" + _swapped(content, rng) for _ in range(50)]
    mutants += [content, data + b"\0", data * 2, b"", pickle.dumps(os.system)]
    for mutant in mutants:
        if mutant == data:  # two arrays that were equal
            continue
        (tmp_path / "mutant").write_bytes(mutant)
        with pytest.raises(InvalidFileError):
            skscale.load(tmp_path / "mutant")
    assert len(mutants) >= 500


def _load_content(tmp_path, content, **options):
    path = tmp_path / "hostile"
    container.write(path, "estimator", files.ESTIMATOR_FORMAT, content)
    return skscale.load(path, **options)


def _members(a_file):
    content, _ = container.read(a_file[0], "estimator", files.ESTIMATOR_FORMAT)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    return members, json.loads(members.pop("schema.json"))


def _with_schema(members, schema):
    return _archive([*members.items(), ("schema.json", json.dumps(schema))])


def _node(name, loader, number=None, **content):
    module, _, cls = name.rpartition(".")
    return {
        "__module__": module, "__class__": cls, "__loader__": loader, "__id__": number,
        **content,
    }  # fmt: skip


def _values(*nodes):
    return _node("builtins.list", "ListNode", content=list(nodes))


def _text(value):
    return _node("builtins.str", "JsonNode", content=json.dumps(value), is_json=True)


def _laughs(depth):
    """Return lists that hold one another twice: short to write, 2**depth to walk through."""
    written = [_node("builtins.list", "ListNode", depth, content=[])]
    for number in range(depth - 1, -1, -1):
        below = _node("builtins.list", "ListNode", number + 1, content=[])
        written.append(_node("builtins.list", "ListNode", number, content=[written[-1], below]))
    return written[-1]


def _circle():
    inner = _node("builtins.list", "ListNode", 7, content=[])
    return _node("builtins.list", "ListNode", 7, content=[inner])


def _deep(depth):
    node = _values()
    for _ in range(depth):
        node = _values(node)
    return node


_SHELL = _values(_text("touch executed"))
HOSTILE_NODES = {
    "function": (_node("os.system", "FunctionNode", content={}), r"not trusted: os\.system"),
    "type": (_node("this.Zen", "TypeNode"), r"not trusted: this\.Zen"),
    "constructor": (
        _node("subprocess.Popen", "ConstructorFromReduceNode", content=_SHELL),
        r"not trusted: subprocess\.Popen",
    ),
    "object": (_node("this.Zen", "ObjectNode", content=_SHELL), r"not trusted: this\.Zen"),
    "operator": (
        _node("operator.methodcaller", "OperatorFuncNode", attrs=_SHELL),
        r"not trusted: operator\.methodcaller",
    ),
    "partial": (
        _node(
            "functools.partial",
            "PartialNode",
            content={
                "func": _node("os.system", "FunctionNode", content={}),
                "args": _SHELL, "kwds": _values(), "namespace": _values(),
            },
        ),
        r"functools\.partial, os\.system",
    ),
    "tree": (
        _node("sklearn.tree._tree.Tree", "TreeNode", content=_SHELL),
        r"not trusted: sklearn\.tree\._tree\.Tree",
    ),
    "support vectors": (
        _node("sklearn.svm._classes.SVC", "ObjectNode", content=_values()),
        r"not trusted: sklearn\.svm\._classes\.SVC",
    ),
    "bytes": (
        _node("builtins.bytes", "BytesNode", file="x.npy"),
        r"only arrays and plain values, got \['BytesNode'\]",
    ),
    "an unknown reader": (_node("builtins.list", "NoNode"), "NoNode"),
    "laughs": (_laughs(60), "expected a schema without nested references"),
    "a circle": (_circle(), "expected no circular references"),
    "depth": (_deep(330), "recursion"),
    "no estimator": (_values(), "expected an estimator"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE_NODES)
def test_no_hostile_type_is_constructed(name, a_file, tmp_path, monkeypatch):
    import skops.io._utils

    def refuse(module, *args, **kwargs):
        raise AssertionError(f"{module} was looked up")

    monkeypatch.chdir(tmp_path)
    # Of a list that is no estimator the list itself is made.
    if name != "no estimator":
        monkeypatch.setattr(skops.io._utils, "_import_obj", refuse)
    node, message = HOSTILE_NODES[name]
    members, schema = _members(a_file)
    stands_for = {**schema, **node}
    inside = json.loads(json.dumps(schema))
    inside["content"]["content"]["verbose"] = node
    for mutant in (stands_for,) if name == "no estimator" else (stands_for, inside):
        with pytest.raises(InvalidFileError, match=message):
            _load_content(tmp_path, _with_schema(members, mutant))
    assert "this" not in sys.modules
    assert os.listdir(tmp_path) == ["hostile"]


def _array_bytes(header):
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def _npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def test_no_archive_claims_more_than_its_file(a_file, tmp_path):
    members, schema = _members(a_file)
    text = json.dumps(schema)
    name, data = next(iter(members.items()))
    others = [item for item in members.items() if item[0] != name]
    absurd = _array_bytes("{'descr': '<f8', 'fortran_order': False, 'shape': (1<<40,)}")
    huge = f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({1 << 50}, 0, {1 << 50})}}"
    long = f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({1 << 40},)}}"
    wide = _array_bytes("{'descr': '<U999999999', 'fortran_order': False, 'shape': (9,)}")
    odd = [_array_bytes(header) for header in ("{'descr': (", "  x\n y", "\\0", "{" * 300)]
    hostile = {
        "uncompressed": _archive(
            [*members.items(), ("schema.json", text)], zipfile.ZIP_DEFLATED
        ),
        "unique names": _archive([*members.items(), (name, data), ("schema.json", text)]),
        "without Python objects": [_npy(np.array([os.system], dtype=object))],
        "axes no longer than the file": [_array_bytes(huge), _array_bytes(long)],
        "match its shape": [data + b"\0"],
        "no valid estimator": [wide, absurd, b"", b"\x93NUMPY\x09\x00", *odd],
        "arrays and a schema": _archive([("a.bin", b""), ("schema.json", text)]),
        "schema": _archive(members.items()),
        "zip": b"no archive",
    }  # fmt: skip
    for message, contents in hostile.items():
        if isinstance(contents, list):
            contents = [
                _archive([*others, (name, content), ("schema.json", text)])
                for content in contents
            ]
        for content in [contents] if isinstance(contents, bytes) else contents:
            with pytest.raises(InvalidFileError, match=message):
                _load_content(tmp_path, content)


@pytest.mark.parametrize("protocol", [0, 1, 99, True, None, "2"])
def test_no_other_reader_of_skops_is_chosen_by_a_file(protocol, a_file, tmp_path):
    members, schema = _members(a_file)
    with pytest.raises(InvalidFileError, match="protocol"):
        _load_content(tmp_path, _with_schema(members, {**schema, "protocol": protocol}))


def test_a_network_takes_no_more_memory_than_its_weights_say(a_file, tmp_path, digits):
    fitted = skscale.load(a_file[0])
    network = fitted[-1]
    object.__setattr__(network.encoding_, "n_codes", (1 << 40,))
    with pytest.raises(TypeError, match="cannot be saved"):
        skscale.save(fitted, tmp_path / "file")


def _set(part, **values):
    for name, value in values.items():
        object.__setattr__(part, name, value)


def test_no_attribute_stands_before_a_method(a_file, tmp_path, monkeypatch):
    from skops.io import dumps

    def state_of(part):
        names = {*part.__dataclass_fields__, "check"}
        return {name: value for name, value in vars(part).items() if name in names}

    monkeypatch.setattr(Part, "__getstate__", state_of)
    fitted = skscale.load(a_file[0])
    predictor = fitted[-1].predictor_
    inputs, network = predictor.inputs, predictor.network
    for part in (predictor, inputs, inputs.encoding, predictor.head, network, network.weights):
        _set(part, check=list)
        with pytest.raises(InvalidFileError, match=r"no attributes \['check'\]"):
            _load_content(tmp_path, dumps(fitted))
        del vars(part)["check"]
    # Also of a predictor where none belongs.
    _set(predictor, head=None)
    for holder in (StandardScaler(), SimpleImputer()):
        holder.held_ = np.array([{"of": (fitted[-1],)}], dtype=object)
        with pytest.raises(InvalidFileError, match="a Labels or a Numbers head"):
            _load_content(tmp_path, dumps(holder))


_STAGE = Stage(4, (1 << 20, 1 << 20), (8,))
HOSTILE_MODULES = {
    "positive integer sizes": {"architecture": {"stem_width": -(1 << 40)}},
    "strides of 1 or 2": {"architecture": {"side": 1 << 20, "stages": (_STAGE,)}},
    "resized to at most 1024 pixels": {"architecture": {"side": 1 << 20}},
    "parameters, got": {"architecture": {"n_outputs": 1 << 40}},
    "a known activation": {"architecture": {"activation": "sin"}},
    "the architecture of a torch module": {"architecture": None},
    "the name of a torch device": {"device": "meta"},
    "finite output factors": {"factors": np.array([np.nan])},
    "the first axis of all arrays": {"weights": {"n_members": 7}},
    "floating-point weights": {"weights": {"coefs": [np.array(["a"])]}},
    "an array of shape": {"factors": np.ones(2)},
}


@pytest.mark.parametrize("message", HOSTILE_MODULES)
def test_no_module_is_larger_than_its_file(message, digits, tmp_path):
    from skops.io import dumps

    X, y = digits
    fitted = ScaledCNNClassifier(width=4, max_epochs=1, random_state=0).fit(X[:99], y[:99])
    network = fitted.predictor_.network
    for name, value in HOSTILE_MODULES[message].items():
        if isinstance(value, dict):
            _set(getattr(network, name), **value)
        else:
            _set(network, **{name: value})
    with pytest.raises(InvalidFileError, match=message):
        _load_content(tmp_path, dumps(fitted))


def test_only_valid_modules_are_constructed(digits, tmp_path):
    from skops.io import dumps

    X, y = digits
    fitted = ScaledNetworkClassifier(Net, **QUICK).fit(X[:99], y[:99])
    architecture = fitted.predictor_.network.architecture
    for values, message in (
        ({"module": list}, "a subclass of torch.nn.Module"),
        ({"arguments": [1]}, "a dict of the module's arguments"),
        ({"widest": 1}, "widest to be at least"),
        ({"n_parameters": 7}, "parameters, got"),
    ):
        before = dict(vars(architecture))
        _set(architecture, **values)
        with pytest.raises(InvalidFileError, match=message):
            _load_content(tmp_path, dumps(fitted), trusted=[Net])
        vars(architecture).update(before)


def _places(value, path=()):
    keys = value if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield (*path, key)
        if isinstance(value[key], (dict, list)):
            yield from _places(value[key], (*path, key))


def test_any_field_of_the_schema_may_be_hostile(a_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    members, schema = _members(a_file)
    rng = np.random.default_rng(0)
    places = list(_places(schema))
    hostile = [
        None, -1, 1 << 62, "", "os", "system", "../x.npy", [], {}, "FunctionNode", "TypeNode",
        _SHELL, HOSTILE_NODES["constructor"][0], HOSTILE_NODES["function"][0],
    ]  # fmt: skip
    n_refused = 0
    for _ in range(200):
        path, value = places[rng.integers(len(places))], hostile[rng.integers(len(hostile))]
        mutant = json.loads(json.dumps(schema))
        at = mutant
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = value
        try:
            again = _load_content(tmp_path, _with_schema(members, mutant))
        except InvalidFileError:
            n_refused += 1
        else:
            assert isinstance(again, BaseEstimator)
    assert 50 < n_refused < 200
    assert os.listdir(tmp_path) == ["hostile"]


def test_another_format_is_refused_by_name_and_another_kind_too(a_file, tmp_path):
    content, version = container.read(a_file[0], "estimator", 2)
    assert version == files.ESTIMATOR_FORMAT == 2
    container.write(tmp_path / "newer", "estimator", 3, content)
    with pytest.raises(InvalidFileError, match=r"has format 3, and skscale .* formats up to 2"):
        skscale.load(tmp_path / "newer")
    container.write(tmp_path / "older", "estimator", 1, content)
    with pytest.raises(
        InvalidFileError, match=r"has format 1, and skscale .* formats from 2\."
    ):
        skscale.load(tmp_path / "older")
    with pytest.raises(InvalidFileError, match=r"Load it with skscale\.load\."):
        skscale.load_frozen(a_file[0])


def test_pickles_are_read_with_flipped_bits_which_is_why_there_are_files(a_file):
    """What the documentation says of pickle and joblib, lest it say so for ever."""
    fitted = skscale.load(a_file[0])
    buffer = io.BytesIO()
    joblib.dump(fitted, buffer)
    weights = fitted[-1].coefs_[-1].tobytes()
    for data in (pickle.dumps(fitted), buffer.getvalue()):
        mutant = bytearray(data)
        mutant[data.index(weights[:64]) + 3] ^= 0x80  # the sign of a weight
        again = joblib.load(io.BytesIO(bytes(mutant)))
        assert not np.array_equal(again.predict_proba(a_file[1]), a_file[2])


_WITHOUT_TORCH = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "skorch"):
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
import numpy, skscale
print(len(skscale.load({path!r}).predict(numpy.zeros((2, 64)))))
"""


def test_dense_networks_are_loaded_where_torch_is_not_installed(a_file):
    # Where it is installed, skops imports it with all that scikit-learn has.
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_TORCH.format(path=str(a_file[0]))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "2", done.stderr
