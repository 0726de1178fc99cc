"""What functions and classes compute, as plain values: for keys.

A class may be edited while a search runs, so what is looked at is not its file but what was
imported from it.
"""

import functools
import sys
import types

# Their versions stand for their code, or they do not change what a network computes.
_KNOWN = {"joblib", "numpy", "scipy", "sklearn", "skorch", "skscale", "torch"}
_KNOWN |= sys.stdlib_module_names
_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis))


def code_of(value):
    """Return what a function or class computes.

    The code of all its methods, of its bases, and of the functions and classes that they name,
    with their constants and defaults. Of other objects that they name the type alone.

    Parameters
    ----------
    value : function or type

    Returns
    -------
    tuple
        Nested tuples of plain values, equal where the code is.
    """
    return _code_of(value, {})


def _code_of(value, seen):
    name = value.__module__, value.__qualname__
    if id(value) in seen:
        return "seen", seen[id(value)]
    if str(value.__module__).partition(".")[0] in _KNOWN:
        return name
    seen[id(value)] = len(seen)
    if isinstance(value, type):
        own = tuple(
            (attribute, _part(of, seen))
            for attribute, of in sorted(vars(value).items())
            if attribute not in ("__dict__", "__weakref__")
        )
        return (*name, own, *(_code_of(base, seen) for base in value.__bases__))
    cells = tuple(_of_cell(cell, seen) for cell in value.__closure__ or ())
    named = tuple(
        (used, _part(value.__globals__[used], seen))
        for used in sorted(_names_in(value.__code__))
        if used in value.__globals__
    )
    defaults = _part((value.__defaults__, value.__kwdefaults__), seen)
    return (*name, _part(value.__code__, seen), defaults, cells, named)


def _of_cell(cell, seen):
    try:
        return _part(cell.cell_contents, seen)
    except ValueError:
        return "empty"


def _names_in(code):
    inner = (const for const in code.co_consts if isinstance(const, types.CodeType))
    return set(code.co_names).union(*map(_names_in, inner))


def _part(value, seen):
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, (tuple, list)):
        return (type(value).__name__, *(_part(item, seen) for item in value))
    if isinstance(value, (set, frozenset)):
        return ("set", *sorted(repr(_part(item, seen)) for item in value))
    if isinstance(value, dict):
        items = ((repr(key), _part(of, seen)) for key, of in value.items())
        return ("dict", *sorted(items, key=lambda item: item[0]))
    if isinstance(value, types.CodeType):
        consts = tuple(_part(const, seen) for const in value.co_consts)
        return "code", value.co_code, consts, value.co_names, value.co_varnames
    if isinstance(value, (staticmethod, classmethod)):
        return _part(value.__func__, seen)
    if isinstance(value, property):
        return tuple(_part(f, seen) for f in (value.fget, value.fset))
    if isinstance(value, functools.partial):
        return "partial", _part((value.func, value.args, value.keywords), seen)
    if isinstance(value, (types.FunctionType, type)):
        return _code_of(value, seen)
    return type(value).__module__, type(value).__qualname__, getattr(value, "__name__", None)
