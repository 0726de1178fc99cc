"""The layout of the package: imports point one way, and a name stands for one thing."""

import ast
import re
from collections import defaultdict
from graphlib import TopologicalSorter
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# From the lowest to the highest: each may import those before it.
LAYERS = [
    "_version", "by_value", "_sklearn_private", "forks", "workers", "scaling", "storage",
    "networks", "inference", "training", "fusion", "compression", "costs", "estimators",
    "selection", "plotting", "serving", "onnx", "registration", "__init__",
]  # fmt: skip
# Folders of the families of networks, whose parallel parts have files of equal names.
FAMILIES = {"networks/dense", "networks/convolutional", "networks/module"}


def read_imports(package):
    """Return the modules that each module of a package imports, also within functions."""
    modules = {
        path: path.relative_to(package).with_suffix("").parts for path in package.rglob("*.py")
    }
    imports = {}
    for path, parts in modules.items():
        found = imports[parts] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level:
                base = parts[: len(parts) - node.level]
                base += tuple(node.module.split(".")) if node.module else ()
                for alias in node.names:
                    places = ((*base, alias.name), base, (*base, "__init__"))
                    target = next((p for p in places if p in modules.values()), None)
                    assert target is not None, f"{path} imports {base} {alias.name}"
                    found.add(target)
    return imports


def find_upward(imports):
    """Return the imports of a higher layer."""
    rank = {layer: place for place, layer in enumerate(LAYERS)}
    return [
        f"{'.'.join(module)} imports {'.'.join(target)}"
        for module, targets in imports.items()
        for target in targets
        if rank[module[0]] < rank[target[0]]
    ]


def test_imports_point_downward_without_a_cycle():
    imports = read_imports(ROOT / "skscale")
    assert len(imports) > 80
    assert {module[0] for module in imports} == set(LAYERS)
    assert find_upward(imports) == []
    graph = {module: targets - {module} for module, targets in imports.items()}
    # A package's own __init__ runs before its modules; it may name them.
    TopologicalSorter(graph).prepare()  # raises CycleError


@pytest.mark.parametrize("lazily", [False, True])
def test_an_import_upward_or_in_a_circle_is_found(tmp_path, lazily):
    for name, code in {
        "networks/__init__": "",
        "networks/dense": "from ..training.engine import train",
        "training/__init__": "",
        "training/engine": "from ..networks import dense",
    }.items():
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"def call():\n    {code}\n" if lazily and code else code)
    imports = read_imports(tmp_path)
    assert find_upward(imports) == ["networks.dense imports training.engine"]
    with pytest.raises(ValueError, match="cycle"):
        TopologicalSorter(imports).prepare()


def test_a_base_name_stands_for_one_module_or_for_a_part_of_each_family():
    places = defaultdict(list)
    for path in (ROOT / "skscale").rglob("*.py"):
        folder = path.parent.relative_to(ROOT / "skscale").as_posix()
        places[path.stem].append(folder)
    several = {name: set(where) for name, where in places.items() if len(where) > 1}
    assert {name for name, where in several.items() if not where <= FAMILIES} == {"__init__"}
    expected = {"architecture", "family", "unit_removal", "reshaping"}
    assert several.keys() - {"__init__"} >= expected


def test_the_docstring_of_a_package_names_each_of_its_modules():
    for path in (ROOT / "skscale").glob("**/__init__.py"):
        if path.parent.name == "skscale":
            continue
        named = re.findall(r"`([\w.]+)`", ast.get_docstring(ast.parse(path.read_text())))
        modules = {p.stem for p in path.parent.glob("*.py") if not p.stem.startswith("_")}
        assert modules - set(named) == set(), path.parent.name


def test_a_constant_is_defined_once():
    places = defaultdict(list)
    for path in (ROOT / "skscale").rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            for target in node.targets if isinstance(node, ast.Assign) else ():
                if isinstance(target, ast.Name) and target.id.isupper():
                    # A private name may stand for another value in another module.
                    value = ast.dump(node.value) if target.id.startswith("_") else ""
                    places[target.id, value].append(path.name)
    assert len(places) > 100
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


@pytest.mark.parametrize(
    "path",
    [p for folder in ("benchmarks", "examples") for p in sorted((ROOT / folder).rglob("*.py"))],
    ids=lambda path: path.name,
)
def test_benchmarks_and_examples_import_names_that_exist(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("skscale"):
            module = import_module(node.module)
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                is_package = hasattr(module, "__path__")
                assert hasattr(module, alias.name) or (is_package and find_spec(name)), name
