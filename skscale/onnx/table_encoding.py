"""The encoding of a table as ONNX operators.

It computes in float64, as in the predictor: numbers may be as large as float32 allows, and
smooth clipping squares them.
"""

import numpy as np

from ..inference.encoding import CLIP, LARGEST_DIRECT
from .tables import MISSING_WORDS

# The graph compares categories as float64, which cannot distinguish larger integers.
_LARGEST_WHOLE = 1 << 53


def add_inputs(graph, columns, inputs, dtype):
    """Add the inputs of a network to a graph.

    Parameters
    ----------
    graph : Graph
    columns : TensorColumns
    inputs : skscale.inference.inputs.TableInputs
    dtype : numpy dtype
        Of the result.

    Returns
    -------
    str
        Name of the inputs, of shape (n, n_inputs).
    """
    if inputs.encoding is None:
        return columns.numbers(np.arange(inputs.n_features), dtype)
    return graph.cast(_add_encoding(graph, columns, inputs), dtype)


def _add_encoding(graph, columns, inputs):
    encoding, parts, of_direct = inputs.encoding, [], []
    if len(encoding.numbers):
        x = columns.numbers(encoding.numbers, np.float64)
        is_missing = graph.add("IsNaN", x)
        x = graph.add("Where", is_missing, encoding.fill, x)
        t = graph.add("Sub", x, encoding.center)
        t = graph.add("Mul", t, encoding.scale)
        if encoding.n_direct:
            direct = graph.add("Mul", graph.take(t, encoding.direct), encoding.direct_scale)
            direct = graph.add("Max", direct, np.array(-LARGEST_DIRECT))
            of_direct = [graph.add("Min", direct, np.array(LARGEST_DIRECT))]
        if encoding.clips:
            t = graph.add("Min", graph.add("Max", t, encoding.low), encoding.high)
            t = _add_smooth_clip(graph, t)
        parts.append(t)
        if len(encoding.missing):
            where = graph.cast(is_missing, np.float64)
            parts.append(graph.take(where, encoding.missing))
        if encoding.n_bins:
            parts.append(_add_bins(graph, graph.take(x, encoding.binned), encoding))
    pairs = zip(inputs.places.tolist(), inputs.lookups, strict=True)
    for which, (place, lookup) in enumerate(pairs):
        codes = _add_codes(graph, columns, place, lookup)
        parts.append(_add_category(graph, codes, encoding, which))
    return graph.join([*parts, *of_direct])


def _add_smooth_clip(graph, t):
    divisor = graph.add("Mul", t, np.array(1 / CLIP))
    divisor = graph.add("Mul", divisor, divisor)
    divisor = graph.add("Sqrt", graph.add("Add", divisor, np.array(1.0)))
    return graph.add("Div", t, divisor)


def _add_bins(graph, x, encoding):
    left, slope = encoding.bins
    n_numbers, n_bins = left.shape
    inside = graph.reshape(x, 0, n_numbers, 1)
    inside = graph.add("Mul", graph.add("Sub", inside, left), slope)
    inside = graph.add("Min", graph.add("Max", inside, np.array(0.0)), np.array(1.0))
    inside = graph.add("Mul", inside, np.array(encoding.bin_factor))
    return graph.reshape(inside, 0, n_numbers * n_bins)


def _add_codes(graph, columns, place, lookup):
    """Add the codes of a categorical column, NaN where missing: see `Lookup.find`."""
    x, is_string = columns.column(place)
    # The values were sorted, so all of them are strings or none is.
    are_strings = any(isinstance(value, str) for value in lookup.values)
    if are_strings != is_string and lookup.values:
        expected, found = ("strings", "numbers")[:: 1 if are_strings else -1]
        raise ValueError(
            f"The categories of column {place} are {expected}, but its tensor has {found}. "
            f"Expected a tensor of {expected}: declare one input per column, or per type, in "
            "initial_types (to_onnx(model, frame[:1]) does so), or encode the categories "
            "before the network with a OneHotEncoder in a ColumnTransformer."
        )
    if is_string:
        return _add_codes_of_strings(graph, x, lookup)
    values = np.array([float(value) for value in lookup.values]).reshape(1, -1)
    if (np.abs(values) > _LARGEST_WHOLE).any():
        raise ValueError(
            f"The categories of column {place} include numbers beyond 2**53, which ONNX cannot "
            "distinguish. Expected smaller numbers, or strings."
        )
    x = graph.cast(x, np.float64)
    is_it = graph.cast(graph.add("Equal", x, values), np.float64)  # (n, n_values)
    # At most one value is equal. If none is, the code is -1 (unknown).
    codes = graph.add("MatMul", is_it, lookup.codes[:, None] + 1)
    codes = graph.add("Sub", codes, np.array(1.0))
    return graph.add("Where", graph.add("IsNaN", x), np.array(lookup.missing), codes)


def _add_codes_of_strings(graph, x, lookup):
    known = dict(zip(lookup.values, lookup.codes.tolist(), strict=True))
    missing = dict.fromkeys(MISSING_WORDS, lookup.missing)
    known = missing | known  # a category may have such a name
    codes = graph.add(
        "LabelEncoder",
        x,
        domain="ai.onnx.ml",
        op_version=2,  # skl2onnx writes no later version than 3 of this domain
        keys_strings=list(known),
        values_floats=list(known.values()),
        default_float=lookup.unknown,
    )
    return graph.cast(codes, np.float64)


def _add_category(graph, codes, encoding, which):
    """Add the inputs of one column of codes: see `TableEncoding`."""
    if encoding.is_pair(which):
        is_first = graph.add("Equal", codes, np.array(0.0))
        is_second = graph.add("Equal", codes, np.array(1.0))
        second = graph.add("Where", is_second, np.array(1.0), np.array(0.0))
        return graph.add("Where", is_first, np.array(-1.0), second)
    is_missing = graph.add("IsNaN", codes)
    codes = graph.add("Where", is_missing, np.array(float(encoding.n_codes[which])), codes)
    is_unknown = graph.add("Less", codes, np.array(0.0))
    other = np.array(float(encoding.other[which]))
    codes = graph.add("Where", is_unknown, other, codes)
    each = np.arange(encoding.width_of(which), dtype=np.float64)
    return graph.cast(graph.add("Equal", codes, each[None]), np.float64)
