"""Reference, gallery and the guide's page on extending are complete."""

import ast
import importlib.util
import inspect
import pathlib
import re

import pytest

import skscale

ROOT = pathlib.Path(__file__).parents[1]
REFERENCE = (ROOT / "docs" / "api" / "index.rst").read_text()


def test_the_reference_has_every_public_name_once():
    listed = re.findall(r"^   ([A-Za-z_]+)$", REFERENCE, re.M)
    listed += re.findall(r"^\.\. py:data:: (\w+)$", REFERENCE, re.M)
    assert sorted(listed) == sorted(skscale.__all__)


def test_other_names_in_the_reference_can_be_imported():
    for path in re.findall(r"^   ([a-z_.]+\.\w+)$", REFERENCE, re.M):
        module, _, name = f"skscale.{path}".rpartition(".")
        assert hasattr(__import__(module, fromlist=[name]), name), path


def test_the_gallery_orders_every_example():
    tree = ast.parse((ROOT / "docs" / "skscale_site.py").read_text())
    (ordered,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and node.targets[0].id == "EXAMPLES"
    )
    assert sorted(ordered) == sorted(path.name for path in (ROOT / "examples").glob("*.py"))


def is_for_extension(kind):
    """Return whether a class has abstract methods, with or without ABC."""
    methods = (getattr(kind, name, None) for name in dir(kind))
    return any(getattr(method, "__isabstractmethod__", False) for method in methods)


def test_examples_of_extending_are_short_and_show_every_abstract_class():
    page = (ROOT / "docs" / "guide" / "extending.md").read_text()
    subclassed = set()
    for code in re.findall(r"^```python\n(.*?)^```", page, re.M | re.S):
        lines = {n for n, line in enumerate(code.splitlines(), 1) if line.strip()}
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                lines -= set(range(node.lineno, node.end_lineno + 1))
            if isinstance(node, ast.ClassDef):
                subclassed |= {base.id for base in node.bases if isinstance(base, ast.Name)}
        # Blank lines and imports do not count.
        assert len(lines) <= 20, code
    exported = {name: getattr(skscale, name) for name in skscale.__all__}
    abstract = {n for n, v in exported.items() if inspect.isclass(v) and is_for_extension(v)}
    assert {"Activation", "Loss", "Rule"} <= abstract
    assert abstract <= subclassed


@pytest.mark.parametrize(
    ("written", "is_loaded"),
    [
        ('<script defer src="https://cdn.example/x.js"></script>', True),
        ("<img alt='x' src='//cdn.example/x.png'>", True),
        ('<link href="https://cdn.example/x.css" rel="stylesheet">', True),
        ("<style>@import 'https://cdn.example/x.css';</style>", True),
        ("<style>a { src: url(https://cdn.example/x.woff2) }</style>", True),
        ('<a href="https://example.org">to be followed</a>', False),
        ('<link rel="canonical" href="https://example.org/page">', False),
        ('<script src="_static/x.js"></script><img src="x.png">', False),
    ],
)
def test_loads_from_other_hosts_are_found(written, is_loaded, tmp_path):
    spec = importlib.util.spec_from_file_location(
        "check_offline", ROOT / "docs" / "check_offline.py"
    )
    check_offline = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(check_offline)
    (tmp_path / "page.html").write_text(written)
    assert bool(list(check_offline.find_loaded(tmp_path))) == is_loaded
