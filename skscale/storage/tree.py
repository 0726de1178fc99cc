"""Serialization of arrays and plain values as JSON and array bytes, with NumPy only.

The content is the length of the JSON (8 bytes), the JSON, and the bytes of the arrays in order,
with nothing after them. The JSON refers to arrays of numbers by index; other arrays are JSON
lists. A part is a dataclass, stored as its name and fields; the name is looked up only among
the types that the reader passes.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass

import numpy as np

_LENGTH_BYTES = 8
# As many as the weights of a three-dimensional convolution have.
_MAX_DIMENSIONS = 5
# A string array needs the space of its longest string for every entry. The total is limited to
# this many bytes, plus this many for each byte of the content.
_LARGEST_STRINGS = 1 << 26
_STRINGS_PER_BYTE = 64
_FITTING_STRINGS = "strings within the memory limit"
_FITTING_SHAPE = f"a shape of at most {_MAX_DIMENSIONS} axes"
_NUMBERS = re.compile(r"[<>|][biuf][1248]")


class Part:
    """Base class of dataclasses that pickle only their fields, not cached attributes."""

    def __getstate__(self):
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def expect(condition, expected):
    """Raise unless a condition holds.

    Parameters
    ----------
    condition : bool
    expected : str
        Noun phrase for the message: "expected ...".

    Raises
    ------
    ValueError
        If it does not hold.
    """
    if not condition:
        raise ValueError(f"expected {expected}")


def expect_sizes(*sizes):
    """Raise unless these are positive ints."""
    expect(all(type(n) is int and n > 0 for n in sizes), "positive integer sizes")


def expect_floats(array, shape):
    """Raise unless this is an array of floats of the given shape."""
    expect(isinstance(array, np.ndarray) and array.dtype.kind == "f", "an array of floats")
    expect(array.shape == shape, f"an array of shape {shape}, got {array.shape}")


def expect_places(places, n_columns):
    """Raise unless this is an array of column indices."""
    expect(isinstance(places, np.ndarray) and places.ndim == 1, "a 1D array of column indices")
    expect(places.dtype.kind == "i", "integer column indices")
    is_inside = (places >= 0) & (places < n_columns)
    expect(bool(is_inside.all()), f"column indices from 0 to below {n_columns}")


def pack(tree):
    """Serialize a tree to bytes.

    Parameters
    ----------
    tree : dict of str to anything
        A tree of parts, arrays, dicts with string keys, lists, tuples and plain values.

    Returns
    -------
    bytes
    """
    arrays, strings = [], []
    plain = _encode(tree, arrays, strings)
    header = [[a.dtype.str, list(a.shape)] for a in arrays]
    text = json.dumps({"tree": plain, "arrays": header}, allow_nan=False).encode()
    length = len(text).to_bytes(_LENGTH_BYTES, "little")
    content = b"".join([length, text, *(a.tobytes() for a in arrays)])
    expect(sum(a.nbytes for a in strings) <= _room_for_strings(content), _FITTING_STRINGS)
    return content


def unpack(content, parts=(), upgrades=None):
    """Read a tree from bytes.

    Parameters
    ----------
    content : memoryview
    parts : sequence of type, default=()
        Dataclasses that the tree may contain.
    upgrades : dict of str to callable or None, default=None
        For the names of parts of an earlier format: the fields of today from those read.

    Returns
    -------
    dict of str to anything

    Raises
    ------
    ValueError, TypeError, KeyError, IndexError, RecursionError
        If the bytes are not a valid tree.
    """
    length = int.from_bytes(content[:_LENGTH_BYTES], "little")
    start = _LENGTH_BYTES + length
    expect(start <= len(content), "a header within the file")
    text = str(content[_LENGTH_BYTES:start], "utf-8")
    found = json.loads(text, parse_constant=_refuse_constant)
    arrays = []
    for dtype, shape in found["arrays"]:
        array, start = _read_array(content, start, dtype, shape)
        arrays.append(array)
    expect(start == len(content), "no bytes after the arrays")
    # Each array is used once, in order, so that prediction time is proportional to file size.
    rest = _Rest(iter(enumerate(arrays)), _room_for_strings(content), upgrades or {})
    tree = _decode(found["tree"], rest, {kind.__name__: kind for kind in parts})
    expect(next(rest.arrays, None) is None, "no unused arrays")
    return tree


@dataclass
class _Rest:
    """Remaining arrays, string budget and upgrades while a tree is read."""

    arrays: Iterator
    n_string_bytes: int
    upgrades: dict


def _room_for_strings(content):
    return _LARGEST_STRINGS + _STRINGS_PER_BYTE * len(content)


def _read_array(content, start, dtype, shape):
    is_known = isinstance(dtype, str) and _NUMBERS.fullmatch(dtype)
    expect(is_known, "a numeric array dtype")  # NumPy would evaluate it
    dtype = np.dtype(dtype)
    expect(isinstance(shape, list) and len(shape) <= _MAX_DIMENSIONS, _FITTING_SHAPE)
    expect(all(type(n) is int and n >= 0 for n in shape), "a shape of integers from 0")
    n_bytes = math.prod(shape) * dtype.itemsize
    expect(n_bytes <= len(content) - start, "an array that ends within the file")
    # With one empty axis, the others could have any length.
    expect(all(n <= len(content) for n in shape), "axes no longer than the file")
    if dtype.kind == "b":
        flags = np.frombuffer(content[start : start + n_bytes], np.uint8)
        expect(not (flags > 1).any(), "booleans of 0 or 1")
    # A copy is aligned and does not keep the file's buffer alive.
    array = np.frombuffer(content[start : start + n_bytes], dtype).reshape(shape).copy()
    return array.astype(dtype.newbyteorder("="), copy=False), start + n_bytes


def _refuse_constant(name):
    raise ValueError(f"expected JSON without constants, got {name}")


def _encode(value, arrays, strings):
    if is_dataclass(value):
        names = [field.name for field in fields(value)]
        own = {name: _encode(getattr(value, name), arrays, strings) for name in names}
        return {"part": type(value).__name__, "fields": own}
    if isinstance(value, dict):
        return {
            "dict": {key: _encode(of_key, arrays, strings) for key, of_key in value.items()}
        }
    if isinstance(value, tuple):
        return {"tuple": [_encode(item, arrays, strings) for item in value]}
    if isinstance(value, list):
        return [_encode(item, arrays, strings) for item in value]
    if isinstance(value, np.ndarray):
        return _encode_array(value, arrays, strings)
    if isinstance(value, float) and not math.isfinite(value):
        return {"number": repr(value)}
    if value is None or type(value) in (bool, int, float, str):
        return value
    raise TypeError(f"expected a plain value, got {value!r} of type {type(value).__name__}")


def _encode_array(array, arrays, strings):
    if array.dtype.kind in "biuf" and array.dtype.itemsize <= 8:
        expect(array.ndim <= _MAX_DIMENSIONS, f"arrays of at most {_MAX_DIMENSIONS} axes")
        arrays.append(np.asarray(array, order="C"))
        return {"array": len(arrays) - 1}
    if array.dtype.kind in "OU" and array.ndim == 1:
        dtype = "O" if array.dtype.kind == "O" else array.dtype.str[1:]
        if dtype != "O":
            strings.append(array)
        plain = (v.item() if isinstance(v, np.generic) else v for v in array)
        return {"values": [_encode(v, arrays, strings) for v in plain], "dtype": dtype}
    raise TypeError(f"expected numbers or strings, got an array of dtype {array.dtype}")


def _decode(value, rest, parts):
    if isinstance(value, list):
        return [_decode(item, rest, parts) for item in value]
    if not isinstance(value, dict):
        return value
    if "part" in value:
        kind = parts[value["part"]]
        own = {name: _decode(of, rest, parts) for name, of in value["fields"].items()}
        if value["part"] in rest.upgrades:
            own = rest.upgrades[value["part"]](own)
        names = {field.name for field in fields(kind)}
        expect(own.keys() == names, f"the fields of {kind.__name__}")
        return kind(**own)
    if "dict" in value:
        return {key: _decode(of_key, rest, parts) for key, of_key in value["dict"].items()}
    if "tuple" in value:
        return tuple(_decode(item, rest, parts) for item in value["tuple"])
    if "array" in value:
        place, array = next(rest.arrays, (None, None))
        expect(place is not None and value["array"] == place, "array indices in order")
        return array
    if "values" in value:
        return _decode_values(value, rest, parts)
    expect(value["number"] in ("nan", "inf", "-inf"), "nan, inf or -inf")
    return float(value["number"])


def _decode_values(value, rest, parts):
    values = [_decode(item, rest, parts) for item in value["values"]]
    plain = (bool, int, float, str, type(None))
    expect(all(isinstance(item, plain) for item in values), "plain values")
    if value["dtype"] == "O":
        array = np.empty(len(values), dtype=object)
        array[:] = values
        return array
    expect(all(isinstance(item, str) for item in values), "strings")
    width = max(1, int(value["dtype"][1:]))
    expect(max(map(len, values), default=0) <= width, f"strings of at most {width} characters")
    rest.n_string_bytes -= 4 * width * len(values)
    expect(rest.n_string_bytes >= 0, _FITTING_STRINGS)
    return np.array(values, dtype=f"U{width}")
