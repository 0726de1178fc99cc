"""The interface of a family: abstract classes declare all that others ask of a network."""

import ast
import subprocess
import sys
import types
from pathlib import Path

import pytest
from torch import nn

import skscale
from skscale.estimators.base import ScaledEstimator
from skscale.networks.convolutional.architecture import ConvolutionalArchitecture, Stage
from skscale.networks.dense.architecture import DenseArchitecture
from skscale.networks.dense.forward import Dense
from skscale.networks.interface import Architecture, Family, FittedNetwork
from skscale.networks.module.measurement import describe
from skscale.networks.torch_forward import ModuleNetwork

PACKAGE = Path(skscale.__file__).parent
ARCHITECTURES = [
    DenseArchitecture(5, (4, 4), 3, residual=True),
    ConvolutionalArchitecture((8, 8, 1), False, None, 3, 4, (Stage(4, (1, 1), (8,)),)),
    describe(nn.Linear, {"in_features": 5, "out_features": 3}, (5,), 3, False),
]
DECLARING = {"architecture": Architecture, "family": Family, "network": FittedNetwork}


def declared(kind):
    """Return the public names that a class and its bases declare."""
    names = {name for base in kind.__mro__ for name in vars(base).get("__annotations__", ())}
    return {name for name in names | set(dir(kind)) if not name.startswith("_")}


def asked(path):
    """Yield what a file asks of objects whose names tell their class: (name, attribute)."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute):
            owner = node.value
            name = getattr(owner, "attr", getattr(owner, "id", None))
            if name == "network" and not isinstance(owner, ast.Attribute):
                continue  # may be an estimator; that of a predictor is its attribute
            if name in DECLARING and not node.attr.startswith("_"):
                yield name, node.attr


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: type(a).__name__)
def test_an_architecture_has_all_that_is_declared(architecture):
    for name in declared(Architecture):
        getattr(architecture, name)
    assert architecture.depth == len(architecture.widths)
    assert sum(len(group) for group in architecture.unit_groups) == architecture.depth
    assert architecture.in_shape_of(architecture) == architecture
    assert not architecture.is_reshape_of(architecture)
    architecture.check()


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: type(a).__name__)
def test_a_family_has_the_declared_members_only(architecture):
    family = architecture.family
    assert isinstance(family, Family)
    assert {name for name in dir(family) if not name.startswith("_")} == declared(Family)


@pytest.mark.parametrize("kind", [Dense, ModuleNetwork])
def test_a_fitted_network_has_all_that_is_declared(kind):
    assert issubclass(kind, FittedNetwork)
    assert not getattr(kind, "__abstractmethods__", None)
    assert declared(FittedNetwork) <= declared(kind)


def test_other_packages_use_declared_members_only():
    found = [
        (path.relative_to(PACKAGE).as_posix(), *pair)
        for path in PACKAGE.rglob("*.py")
        # A family knows its own architecture, and a training its network.
        if path.relative_to(PACKAGE).parts[0] not in ("networks", "training")
        for pair in asked(path)
    ]
    training = [
        ("training", *pair)
        for path in (PACKAGE / "training").rglob("*.py")
        for pair in asked(path)
        if pair[0] != "network"  # a TrainedNetwork, or a NetworkGradient
    ]
    assert len(found) > 30
    assert len(training) > 20
    undeclared = {
        (place, name, attribute)
        for place, name, attribute in found + training
        if attribute not in declared(DECLARING[name])
    }
    assert undeclared == set()


def test_nothing_is_asked_of_an_architecture_by_getattr():
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "getattr":
                assert "architecture" not in ast.unparse(node.args[0]), path


def test_families_and_criteria_need_no_torch_until_they_are_asked():
    script = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, *rest):\n"
        "        assert name.split('.')[0] != 'torch'\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "from skscale import Importance, Pruning\n"
        "from skscale.networks.dense.architecture import DenseArchitecture\n"
        "import skscale.networks.convolutional.family, skscale.networks.module.family\n"
        "assert DenseArchitecture(5, (4,), 3).family.can_repeat\n"
        "Pruning(importance='magnitude')._validate_params()\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_functions_ask_of_an_estimator_what_its_base_class_declares():
    annotated = {
        name
        for base in ScaledEstimator.__mro__
        for name in vars(base).get("__annotations__", ())
    }
    found = set()
    for folder in ("estimators", "selection", "training", "fusion", "costs", "plotting"):
        for path in (PACKAGE / folder).glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if (
                    isinstance(node, ast.Attribute)
                    and isinstance(node.value, ast.Name)
                    and node.value.id == "estimator"
                    and node.attr.startswith("_")
                ):
                    found.add(node.attr)
    found -= {"__sklearn_tags__", "_more_tags"}
    assert len(found) > 10
    assert found - annotated - set(dir(ScaledEstimator)) == set()


def test_abstract_classes_that_users_extend_have_few_abstract_methods():
    for kind, methods in {
        skscale.Activation: {"forward"},
        skscale.Loss: {"value"},
        skscale.Optimizer: {"update", "for_torch"},
        skscale.LRSchedule: {"factor"},
        skscale.Importance: {"of_units"},
        skscale.Cost: {"measure", "name"},
        skscale.Rule: {"choose"},
    }.items():
        assert kind.__abstractmethods__ == methods, kind


@pytest.mark.parametrize(
    "Estimator",
    [
        skscale.ScaledMLPClassifier, skscale.ScaledMLPRegressor, skscale.ScaledCNNClassifier,
        skscale.ScaledCNNRegressor, skscale.ScaledNetworkClassifier,
        skscale.ScaledNetworkRegressor,
    ],
)  # fmt: skip
def test_an_estimator_has_at_most_30_methods_and_40_parameters(Estimator):
    kinds = (types.FunctionType, classmethod, staticmethod)
    methods = {
        name
        for base in Estimator.__mro__
        if base.__module__.startswith("skscale")
        for name, value in vars(base).items()
        if isinstance(value, kinds)
    }
    assert 10 < len(methods) <= 30, sorted(methods)
    assert len(Estimator._get_param_names()) <= 40


def test_no_function_has_more_than_60_lines_of_code():
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                doc = ast.get_docstring(node, clean=False)
                n_lines = node.end_lineno - node.lineno + 1
                n_lines -= 0 if doc is None else doc.count("\n") + 1
                assert n_lines <= 60, f"{path.name}: {node.name} has {n_lines} lines"
