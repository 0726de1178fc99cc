"""A dense network from a table to labels or numbers, in NumPy alone."""

from dataclasses import dataclass, replace

import numpy as np

from ..inference import dense
from ..inference.encoding import TableEncoding
from ..inference.inputs import is_plain_array
from ..inference.outputs import (
    check_finite,
    join_logits,
    join_numbers,
    labels_of,
    numbers_of,
    probabilities_of,
)
from ..storage.tree import expect
from .steps import (
    Columns,
    column_of,
    expect_floats,
    expect_lookups,
    expect_places,
    floats_of,
    join,
    take,
)

_LARGEST_FLOAT32 = np.finfo(np.float32).max


@dataclass(frozen=True, eq=False)
class Categories:
    """Columns of categories as codes: see `skscale.estimators.categories`.

    Parameters
    ----------
    places : ndarray of int
        Columns that hold categories.
    lookups : list of Lookup
        Their codes; NaN is missing, -1 unknown.
    """

    places: np.ndarray
    lookups: list

    def __post_init__(self):
        expect_lookups(self.lookups)
        expect(self.places.shape == (len(self.lookups),), "a place for each lookup")
        expect(all(lookup.unknown is not None for lookup in self.lookups), "codes of all")

    def read(self, table):
        """Return a table as float64 numbers."""
        numbers = np.empty(table.shape)
        others = np.setdiff1d(np.arange(table.shape[1]), self.places)
        numbers[:, others] = floats_of(take(table, others), (np.float64,))
        for place, lookup in zip(self.places.tolist(), self.lookups, strict=True):
            numbers[:, place] = lookup.find(column_of(table, place), place)
        return numbers


@dataclass(frozen=True, eq=False)
class Labels:
    """What a classifier makes of its outputs.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
    is_multilabel : bool
    """

    classes: np.ndarray
    is_multilabel: bool

    in_dtype_of_X = False

    def __post_init__(self):
        is_list = isinstance(self.classes, np.ndarray) and self.classes.ndim == 1
        expect(is_list and len(self.classes) > 1, "classes")
        expect(isinstance(self.is_multilabel, bool), "true or false")

    @property
    def n_outputs(self):
        """int: outputs of the network."""
        is_binary = len(self.classes) == 2 and not self.is_multilabel
        return 1 if is_binary else len(self.classes)

    def join_members(self, outputs):
        """Return the outputs of an ensemble."""
        return join_logits(outputs, self.is_multilabel)

    def predict(self, outputs):
        """Return labels."""
        return labels_of(outputs, self.classes, self.is_multilabel)

    def predict_proba(self, outputs):
        """Return probabilities."""
        return probabilities_of(outputs, self.is_multilabel)


@dataclass(frozen=True, eq=False)
class Numbers:
    """What a regressor makes of its outputs: see `skscale.inference.outputs.numbers_of`.

    Parameters
    ----------
    mean, scale : float64 ndarrays of shape (n_outputs,)
    is_log, is_column, float32_holds_targets : bool
    """

    mean: np.ndarray
    scale: np.ndarray
    is_log: bool
    is_column: bool
    float32_holds_targets: bool

    in_dtype_of_X = True

    def __post_init__(self):
        for numbers in (self.mean, self.scale):
            expect_floats(numbers, (self.n_outputs,))
        flags = (self.is_log, self.is_column, self.float32_holds_targets)
        expect(all(isinstance(flag, bool) for flag in flags), "true or false")
        expect(not self.is_column or self.n_outputs == 1, "one output of a column")

    @property
    def n_outputs(self):
        """int: outputs of the network."""
        return len(self.mean)

    def join_members(self, outputs):
        """Return the outputs of an ensemble."""
        return join_numbers(outputs, self.is_log)

    def predict(self, outputs):
        """Return numbers."""
        return numbers_of(
            outputs,
            self.mean,
            self.scale,
            is_log=self.is_log,
            is_column=self.is_column,
            float32_holds_targets=self.float32_holds_targets,
        )


@dataclass(frozen=True, eq=False)
class Network:
    """A fitted dense network: what it sees of a table, its weights, what it means.

    Parameters
    ----------
    n_columns : int
        Columns that it was fitted on.
    categories : Categories or None
    encoding : TableEncoding or None
    coefs : list of ndarray of shape (n_inputs, n_outputs), or with n_members first
        Weights of each layer.
    intercepts : list of ndarray of shape (n_outputs,), or with n_members first
    activation : str
    normalization : {"layer"} or None
    residual : bool
    head : Labels or Numbers
    """

    n_columns: int
    categories: Categories | None
    encoding: TableEncoding | None
    coefs: list
    intercepts: list
    activation: str
    normalization: str | None
    residual: bool
    head: Labels | Numbers

    def __post_init__(self):
        expect(isinstance(self.n_columns, int) and self.n_columns > 0, "columns")
        expect(isinstance(self.head, (Labels, Numbers)), "labels or numbers")
        expect(self.activation in dense.ACTIVATIONS, "a known activation")
        expect(self.normalization in (None, "layer"), "a known normalization")
        expect(isinstance(self.residual, bool), "true or false")
        self._check_weights()
        n_inputs = self.n_columns
        if self.encoding is not None:
            check_encoding(self.encoding, self.n_columns)
            n_inputs = self.encoding.n_inputs
        if self.categories is not None:
            expect(isinstance(self.categories, Categories), "categories")
            expect_places(self.categories.places, self.n_columns)
            expect(self.encoding is not None, "an encoding of categories")
        expect(self.coefs[0].shape[-2] == n_inputs, f"weights of {n_inputs} inputs")
        expect(self.coefs[-1].shape[-1] == self.head.n_outputs, "weights of each output")

    def _check_weights(self):
        expect(self.coefs and len(self.coefs) == len(self.intercepts), "layers")
        arrays = [*self.coefs, *self.intercepts]
        expect(all(isinstance(a, np.ndarray) for a in arrays), "weights as arrays")
        expect(all(a.ndim and a.size for a in arrays), "weights of a unit at least")
        expect(self.coefs[0].ndim > 1, "weights of two axes")
        expect({a.dtype for a in arrays} <= {np.dtype("f4"), np.dtype("f8")}, "weights")
        expect(len({a.dtype for a in arrays}) == 1, "weights of one type")
        expect(all(np.isfinite(a).all() for a in arrays), "finite weights")
        members = self.coefs[0].shape[:-2]
        expect(len(members) <= 1 and 0 not in members, "members of an ensemble")
        n_inputs = self.coefs[0].shape[-2]
        for coef, intercept in zip(self.coefs, self.intercepts, strict=True):
            expect(coef.shape[:-1] == (*members, n_inputs), "weights that fit the layer before")
            expect(intercept.shape == (*members, coef.shape[-1]), "a bias of each unit")
            n_inputs = coef.shape[-1]

    def trace(self, columns, seen):
        """Note which columns it takes as numbers: see `skscale.persistence.steps.Seen`."""
        coded = set() if self.categories is None else set(self.categories.places.tolist())
        seen.numbers.update(c for place, c in enumerate(columns) if place not in coded)

    def outputs(self, table):
        """Return the network's outputs of a table, of shape (n_rows, n_outputs).

        Numbers that are too large on the way raise here: nobody needs to be warned of them.
        """
        inputs = self._read(table)
        compute = dense.forward_members if self.coefs[0].ndim == 3 else dense.forward
        outputs = compute(
            inputs,
            self.coefs,
            self.intercepts,
            activation=self.activation,
            normalization=self.normalization,
            residual=self.residual,
        )
        check_finite(outputs)
        return self.head.join_members(outputs) if outputs.ndim == 3 else outputs

    def _read(self, table):
        is_checked = self.categories is None and is_plain_array(table, self.n_columns)
        X = table if is_checked else self._check(table)
        dtype = self.coefs[0].dtype
        if self.head.in_dtype_of_X and X.dtype == np.float64:
            dtype = X.dtype
        if self.encoding is not None:
            return self.encoding.encode(X, dtype, is_complete=is_checked)
        return X.astype(dtype, copy=False)

    def _check(self, table):
        if self.categories is not None:
            X = self.categories.read(table)
        elif isinstance(table, Columns) or not _fits_float32(table.dtype):
            X = floats_of(join(table), (np.float64, np.float32))
        else:
            X = table.astype(np.float32)
        if X.dtype == np.float64 and (np.abs(X) > _LARGEST_FLOAT32).any():
            raise ValueError(
                "Input X contains a value too large for dtype('float32'), in which networks "
                "are trained. Expected numbers of moderate size."
            )
        if self.encoding is None and np.isnan(X).any():
            raise ValueError(
                "Input X contains NaN, and the network was fitted without missing values and "
                "without preprocessing. Expected all values."
            )
        return X


def _fits_float32(dtype):
    return dtype.kind == "b" or (dtype.kind in "iuf" and dtype.itemsize <= 2)


def plain_encoding(encoding):
    """Return an encoding whose counts are ints of Python, which may be NumPy's; or None."""
    if encoding is None:
        return None
    counts = {name: tuple(map(int, getattr(encoding, name))) for name in ("n_codes", "other")}
    return replace(encoding, **counts)


def check_encoding(encoding, n_columns):
    """Refuse an encoding whose parts do not fit one another.

    Parameters
    ----------
    encoding : TableEncoding
    n_columns : int
        Of the table.

    Raises
    ------
    ValueError
        If it does not fit.
    """
    expect(isinstance(encoding, TableEncoding), "an encoding")
    n_numbers, n_categories = len(encoding.numbers), len(encoding.categories)
    expect(n_numbers + n_categories == n_columns, "an encoding of every column")
    for places, n in ((encoding.numbers, n_columns), (encoding.categories, n_columns)):
        expect_places(places, n)
    expect_places(encoding.missing, n_numbers)
    for numbers in (encoding.center, encoding.scale, encoding.fill):
        expect_floats(numbers, (n_numbers,))
        expect(bool(np.isfinite(numbers).all()), "finite numbers")
    if encoding.edges is not None:
        expect(encoding.edges.ndim == 2 and encoding.edges.shape[1] > 1, "edges of bins")
        expect_floats(encoding.edges, (n_numbers, encoding.edges.shape[1]))
    expect(isinstance(encoding.clips, bool), "true or false")
    of_categories = (encoding.n_codes, encoding.other, encoding.has_missing)
    expect(all(len(of) == n_categories for of in of_categories), "all of each category")
    expect(all(type(n) is int and n >= 0 for n in encoding.n_codes), "numbers of codes")
    expect(all(type(n) is int and n >= -1 for n in encoding.other), "codes of others")
    expect(all(type(has) is bool for has in encoding.has_missing), "true or false")
