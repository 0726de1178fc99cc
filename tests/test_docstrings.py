"""Docstrings say what signatures say."""

import ast
import inspect
import re

import pytest

import skscale

PUBLIC = [
    getattr(skscale, name)
    for name in skscale.__all__
    if callable(getattr(skscale, name)) and not name.endswith(("Warning", "Error"))
]


def _documented(doc, section):
    """Return the (name, type) lines of a numpydoc section."""
    found = re.search(
        rf"^ *{section}\n *-+\n(.*?)(?=^ *\w[\w ]*\n *-{{3,}}\n|\Z)", doc, re.M | re.S
    )
    if found is None:
        return []
    body = inspect.cleandoc("\n" + found.group(1))
    return re.findall(r"^\**(\w[\w, ]*) : (.*)$", body, re.M)


@pytest.mark.parametrize("thing", PUBLIC, ids=lambda thing: thing.__name__)
def test_parameters_and_defaults_are_those_of_the_signature(thing):
    signature = inspect.signature(thing)
    documented = dict(_documented(inspect.getdoc(thing), "Parameters"))
    assert list(documented) == [n for n in signature.parameters if n != "self"]
    for name, parameter in signature.parameters.items():
        if parameter.default is not inspect.Parameter.empty:
            written = re.search(r"default=(.+)$", documented[name]).group(1)
            if written != repr(parameter.default):
                assert ast.literal_eval(written) == parameter.default, name


@pytest.mark.parametrize("thing", PUBLIC, ids=lambda thing: thing.__name__)
def test_public_methods_are_documented_with_their_parameters(thing):
    for name, method in inspect.getmembers(thing, inspect.isfunction):
        if name.startswith("_") or not method.__module__.startswith("skscale"):
            continue
        doc = inspect.getdoc(method)
        assert doc, name
        parameters = [n for n in inspect.signature(method).parameters if n != "self"]
        assert [n for n, _ in _documented(doc, "Parameters")] == parameters
        assert "Returns" in doc


@pytest.mark.parametrize("thing", PUBLIC, ids=lambda thing: thing.__name__)
def test_public_things_have_an_example(thing):
    assert ">>>" in inspect.getdoc(thing)


def test_fitted_attributes_are_documented(Estimator, small):
    fitted = Estimator(max_epochs=1, random_state=0).fit(*small)
    documented = {
        name
        for names, _ in _documented(inspect.getdoc(Estimator), "Attributes")
        for name in names.split(", ")
    }
    public = {n for n in dir(fitted) if n.endswith("_") and not n.startswith("_")}
    assert public <= documented
    for name in documented - {"feature_names_in_"}:
        assert hasattr(fitted, name), name
