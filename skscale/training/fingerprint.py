"""Hashes of values and their behavior: arrays, objects, functions and classes.

Two computations with different results must not share a hash. So an object is hashed by its
full state and the code of its class. Functions and classes are hashed as imported, since a file
may be edited during a search. For installed packages and Python itself, name and version stand
for the code. A value that cannot be distinguished has no hash.
"""

import copyreg
import functools
import hashlib
import os
import sys
import threading
import types
from collections import deque

import numpy as np
from scipy.sparse import issparse

# Bytes of an array that are hashed at once.
_HASHED_BYTES = 1 << 22
_PLAIN = (
    type(None),
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    type(Ellipsis),
    type(NotImplemented),
)
# Locks cannot be pickled, and do not affect a result.
_LOCKS = (type(threading.Lock()), type(threading.RLock()))
_IS_INSTALLED = {"site-packages", "dist-packages"}
_OF_CODE = (
    "co_code", "co_consts", "co_names", "co_varnames", "co_freevars", "co_exceptiontable",
    "co_flags", "co_argcount", "co_posonlyargcount", "co_kwonlyargcount",
)  # fmt: skip
# Class attributes that Python sets and that do not affect results.
_IGNORED_ATTRIBUTES = {
    "__abstractmethods__", "__annotate__", "__annotate_func__", "__annotations__",
    "__annotations_cache__", "__dict__", "__doc__", "__firstlineno__", "__module__",
    "__qualname__", "__static_attributes__", "__weakref__", "_abc_impl",
}  # fmt: skip


def fingerprint(*values, arrays=None):
    """Hash values.

    Parameters
    ----------
    *values : anything
    arrays : dict or None, default=None
        Cache of array hashes by id, for calls that share arrays. It holds references to the
        arrays.

    Returns
    -------
    str

    Raises
    ------
    Exception
        Any error of pickling, if a value contains something that cannot be pickled.
    """
    walk = _Walk(arrays)
    for value in values:
        walk.add(value)
    return walk.end()


class _Walk:
    """Traversal that computes one hash."""

    def __init__(self, arrays):
        self.hash = hashlib.sha256()
        self.arrays = arrays
        # By id; references are held, so that no id is reused.
        self.places = {}
        # A queue, not recursion: functions and classes refer to one another in long chains.
        self.waiting = deque()

    def end(self):
        while self.waiting:
            value = self.waiting.popleft()
            (self.add_class if isinstance(value, type) else self.add_function)(value)
        return self.hash.hexdigest()

    def add_header(self, kind, size):
        """Add the kind and the size of a part, so that adjacent parts are distinct."""
        self.hash.update(f"{kind} {size};".encode())

    def add_all(self, kind, values):
        self.add_header(kind, len(values))
        for value in values:
            self.add(value)

    def is_known(self, value):
        """Return whether an object occurred before; hash its place of first occurrence."""
        is_known = id(value) in self.places
        place, _ = self.places.setdefault(id(value), (len(self.places), value))
        self.add_header("object", place)
        return is_known

    def add(self, value):
        """Add a value with its kind and its size."""
        kind = type(value)
        if kind in _PLAIN:
            text = repr(value).encode()
            self.add_header(kind.__name__, len(text))
            self.hash.update(text)
        elif isinstance(value, np.generic) and not isinstance(value.item(), np.generic):
            self.add(value.item())
        elif kind in (np.ndarray, np.memmap):
            self.add_array(value)
        elif issparse(value):
            parts = (value.format, value.shape, value.data, *_indices_of(value))
            self.add_all("sparse", parts)
        elif kind in (tuple, list):
            self.add_all(kind.__name__, value)
        elif kind in (set, frozenset):
            self.add_all(kind.__name__, sorted(self.hash_separately(item) for item in value))
        elif kind in (dict, types.MappingProxyType):
            self.add_all("dict", list(value.items()))
        elif isinstance(value, (type, types.FunctionType)):
            if not self.is_known(value):
                self.waiting.append(value)
        elif isinstance(value, types.ModuleType):
            self.add_all("module", _name_of(value.__name__))
        elif isinstance(value, types.CodeType):
            self.add_all("code", [getattr(value, name, None) for name in _OF_CODE])
        elif isinstance(value, types.CellType):
            self.add_all("cell", _contents_of(value))
        elif isinstance(value, types.MethodType):
            self.add_all("method", (value.__func__, value.__self__))
        elif isinstance(value, (staticmethod, classmethod)):
            self.add_all(kind.__name__, (value.__func__,))
        elif isinstance(value, property):
            self.add_all("property", (value.fget, value.fset))
        elif isinstance(value, functools.cached_property):
            self.add_all("cached", (value.func,))
        elif isinstance(value, functools.partialmethod):
            self.add_all("partial", (value.func, value.args, value.keywords))
        elif isinstance(value, (types.MemberDescriptorType, types.GetSetDescriptorType)):
            self.add_all("slot", (value.__name__,))
        elif isinstance(value, _LOCKS):
            self.add_header("lock", 0)
        elif isinstance(value, functools._lru_cache_wrapper):
            self.add_all("cached", (value.__wrapped__,))
        elif not self.is_known(value):
            self.add_object(value)

    def hash_separately(self, value):
        """Return the separate hash of a value."""
        walk = _Walk(self.arrays)
        walk.add(value)
        return walk.end()

    def add_array(self, array):
        self.add_all("array", (array.dtype.str, array.shape))
        if array.dtype.hasobject:
            for item in array.reshape(-1).tolist():
                self.add(item)
        elif array.dtype.names is not None:
            for name in array.dtype.names:  # bytes between fields are undefined
                self.add((name, array[name]))
        elif self.arrays is None:
            self.hash.update(_digest(array))
        else:
            known = self.arrays.setdefault(id(array), (array, None))
            if known[1] is None:
                known = self.arrays[id(array)] = (array, _digest(array))
            self.hash.update(known[1])

    def add_function(self, value):
        self.add_all("function", _name_of(value.__module__))
        self.add(value.__qualname__)
        is_own = _is_own(value.__module__)
        if is_own or "<locals>" in value.__qualname__:  # depends on its enclosing call
            self.add((value.__defaults__, value.__kwdefaults__, value.__closure__))
        if is_own:
            self.add(value.__code__)
            self.add_named(value)
            self.add(getattr(value, "__wrapped__", None))

    def add_named(self, function):
        """Add the names that a function uses: globals, and attributes of user modules."""
        names = _names_in(function.__code__)
        known = function.__globals__
        package = known.get("__package__") or ""
        for name in sorted(names):
            if name in known:
                self.add_global(name, known[name], names)
                continue
            for path in (name, f"{package}.{name}"):  # imported inside the function
                if path in sys.modules:
                    self.add_global(name, sys.modules[path], names)

    def add_global(self, name, value, names):
        self.add(name)
        if not isinstance(value, types.ModuleType) or not _is_own(value.__name__):
            self.add(value)
        elif not self.is_known_here(value, names):
            for attribute in sorted(names & vars(value).keys()):
                self.add_global(attribute, vars(value)[attribute], names)

    def is_known_here(self, module, names):
        key = (id(module), names)
        is_known = key in self.places
        self.places.setdefault(key, (-1, module))
        return is_known

    def add_class(self, value):
        self.add_all("class", _name_of(value.__module__))
        self.add(value.__qualname__)
        if not _is_own(value.__module__):
            return
        self.add(value.__bases__)
        own = vars(value)
        for name in sorted(own.keys() - _IGNORED_ATTRIBUTES):
            self.add((name, own[name]))

    def add_object(self, value):
        """Add an object by its class and its state, as pickle does."""
        self.add(type(value))
        torch = sys.modules.get("torch")
        if torch is not None and isinstance(value, torch.Tensor):
            array = value.detach().cpu()
            array = (array.float() if array.dtype == torch.bfloat16 else array).numpy()
            self.add((str(value.dtype), value.requires_grad, array))
            return
        reduce = copyreg.dispatch_table.get(type(value))
        reduced = value.__reduce_ex__(4) if reduce is None else reduce(value)
        if isinstance(reduced, str):  # a name in its module
            self.add((reduced, getattr(value, "__module__", None)))
            return
        made, arguments, state, *items = (*reduced, None, None, None)[:5]
        if torch is not None and isinstance(value, torch.nn.Module):
            # Keys of hooks come from a counter of the process.
            state = {
                name: list(of.values()) if "_hooks" in name and isinstance(of, dict) else of
                for name, of in state.items()
            }
        self.add((made, arguments, state, *(None if of is None else list(of) for of in items)))


def _digest(array):
    """Hash the numbers of an array, independent of its memory order."""
    digest = hashlib.sha256()
    rows = array.reshape(1) if array.ndim == 0 else array
    step = max(1, _HASHED_BYTES * len(rows) // max(1, rows.nbytes))
    for start in range(0, len(rows), step):
        block = np.ascontiguousarray(rows[start : start + step])
        digest.update(block.reshape(-1).view(np.uint8))
    return digest.digest()


def _names_in(code):
    inner = (const for const in code.co_consts if isinstance(const, types.CodeType))
    return frozenset(code.co_names).union(*map(_names_in, inner))


def _contents_of(cell):
    try:
        return (cell.cell_contents,)
    except ValueError:
        return ()


def _indices_of(matrix):
    names = ("indices", "indptr", "row", "col", "coords", "offsets", "blocksize", "rows")
    return [(name, getattr(matrix, name)) for name in names if hasattr(matrix, name)]


def _name_of(module):
    """Return the name of a module, and the version of an installed one."""
    top = str(module).partition(".")[0]
    version = getattr(sys.modules.get(top), "__version__", None)
    return str(module), None if _is_own(module) else str(version)


@functools.lru_cache(maxsize=1_000)
def _is_own(module):
    """Return whether a module is the user's: not Python's, not an installed package's."""
    top = str(module).partition(".")[0]
    if top == "__main__":  # a worker has another file as __main__
        return True
    if top == "skscale" or top in sys.stdlib_module_names:
        return False
    path = getattr(sys.modules.get(top), "__file__", None)
    if path is None:
        # Interactive input, or a package without a file.
        path = next(iter(getattr(sys.modules.get(top), "__path__", ())), "")
    return not _IS_INSTALLED & set(os.path.normpath(path).split(os.sep))
