"""Readers of row containers: NumPy, lists, pandas, polars, pyarrow, SciPy, torch.

A table is a two-dimensional array, a sparse CSR array, or `Columns`: the columns of a frame,
each an array with its own type. Only this module knows about containers. It recognizes
libraries by the attributes of their objects, so none needs to be installed.
"""

import datetime
import warnings
from collections.abc import Iterator

import numpy as np

# Up to this number of rows, a faster path reads and encodes them, and reads pandas by rows.
FEW_ROWS = 64
# Above it, float64 cannot represent every integer.
LARGEST_EXACT = 1 << 53
# Stored as dtypes: NumPy takes twice as long to compare a dtype with a type.
FLOAT64 = np.dtype(np.float64)
_PLAIN_FLOATS = (FLOAT64, np.dtype(np.float32))
_LARGEST_FLOAT32 = np.finfo(np.float32).max
# If the sum of squares is below, all numbers are finite and fit float32.
_LARGEST_SQUARES = 1e76
TIMES = (
    datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64,
)  # fmt: skip
_CATEGORY_DTYPES = ("category", "categorical", "enum", "dictionary")
_TIME_DTYPES = ("date", "duration", "time", "period")
# The remedy for dates and text, in messages.
VECTORIZER = (
    "put skrub.TableVectorizer() before the estimator, with sklearn.pipeline.make_pipeline"
)


class Columns:
    """Columns of a frame, each an array with its own type.

    Parameters
    ----------
    columns : list of ndarray of shape (n_rows,) or None
        None stands for a column that is not used.
    n_rows : int
    names : list of str or None, default=None
        For messages.
    block : ndarray of shape (n_rows, n_columns) or None, default=None
        All columns as one array, if they share one type.
    dtypes : list of str or None, default=None
        Names of the column types in the frame.
    """

    def __init__(self, columns, n_rows, names=None, block=None, dtypes=None):
        self.columns = columns
        self.names = names
        self.block = block
        self.dtypes = dtypes
        self.shape = (n_rows, len(columns))

    def take(self, places):
        """Select columns."""
        names = None if self.names is None else [self.names[place] for place in places]
        return Columns([self.columns[place] for place in places], self.shape[0], names)

    def rows(self, rows):
        """Select rows by a slice or indices."""
        columns = [None if c is None else c[rows] for c in self.columns]
        block = None if self.block is None else self.block[rows]
        n_rows = len(range(*rows.indices(self.shape[0]))) if type(rows) is slice else len(rows)
        return Columns(columns, n_rows, self.names, block)

    def join(self):
        """Return the columns as one array, of objects if no other type fits all."""
        if self.block is not None:
            return self.block
        if not self.columns:
            return np.empty(self.shape)
        kinds = {column.dtype.kind for column in self.columns}
        is_mixed = bool(kinds - set("biuf")) and len(kinds) > 1
        dtype = object if is_mixed or kinds == {"U"} else np.result_type(*self.columns)
        return np.stack([column.astype(dtype) for column in self.columns], axis=1)


def take(table, places):
    """Select columns of a table."""
    return table.take(places) if isinstance(table, Columns) else table[:, places]


def rows_of(table, rows):
    """Select rows of a table by a slice or indices."""
    return table.rows(rows) if isinstance(table, Columns) else table[rows]


def join(table):
    """Return a table as one array."""
    return table.join() if isinstance(table, Columns) else table


def array_of(table, place):
    """Return one column of a table as an array."""
    return table.columns[place] if isinstance(table, Columns) else table[:, place]


def column_of(table, place):
    """Return the values of one column as a list of Python objects."""
    column = array_of(table, place)
    return list(column) if column.dtype.kind in "mM" else column.tolist()


def label_of(table, place):
    """Return the name of a column in messages."""
    names = table.names if isinstance(table, Columns) else None
    return f"Column {place if names is None else names[place]!r} of X"


def read_table(X, known=None, *, is_exact=False, keeps_types=False, n_dims=2):
    """Read rows in any container as a table.

    Parameters
    ----------
    X : array-like, frame or sparse matrix of shape (n_rows, n_columns)
    known : list of str or None, default=None
        Column names that need no check.
    is_exact : bool, default=False
        Whether integers among floats keep all digits.
    keeps_types : bool, default=False
        Whether frame columns keep their types, even where reading a few rows as objects is
        faster.
    n_dims : int or None, default=2
        Expected number of dimensions; None accepts 2 or more.

    Returns
    -------
    table : ndarray, SciPy CSR array or Columns
    names : list of str or None
        Column names of a frame, if they are strings.

    Raises
    ------
    TypeError, ValueError
        If X cannot be read as a table.
    """
    if type(X) is np.ndarray and X.ndim == 2 and X.dtype.kind != "V":
        return X, None
    if X is None:
        raise ValueError("X is None. Expected an array of shape (n_samples, n_features).")
    if isinstance(X, Iterator):
        raise TypeError(
            f"X is a {type(X).__name__}, which can be read only once. Expected an array of "
            "shape (n_samples, n_features): pass list(X), or pass batches to partial_fit."
        )
    if isinstance(X, np.matrix):
        raise TypeError(
            "X is a numpy.matrix: np.matrix is not supported. Expected an array: pass "
            "numpy.asarray(X)."
        )
    if hasattr(type(X), "requires_grad"):  # a tensor
        X = X.detach().cpu().numpy()
    if isinstance(X, np.ma.MaskedArray) and np.ma.is_masked(X):
        raise ValueError(
            "X is a masked array with masked values, and the mask would be ignored. Expected "
            "no masked values: impute them, for example with sklearn.impute.SimpleImputer on "
            "X.filled(numpy.nan)."
        )
    if hasattr(X, "tocsr"):
        return _read_sparse(X), None
    if isinstance(X, dict) or (hasattr(X, "collect") and not hasattr(X, "__array__")):
        remedy = "pass X.collect()" if hasattr(X, "collect") else "pass pandas.DataFrame(X)"
        raise TypeError(
            f"X is a {type(X).__name__}. Expected an array or a data frame: {remedy}."
        )
    # Ask the class: a frame instance is slow to report a missing attribute.
    kind = type(X)
    if hasattr(kind, "columns") and (hasattr(kind, "dtypes") or hasattr(kind, "schema")):
        columns = _read_frame(X, known, is_exact, keeps_types)
        is_named = columns.names and type(columns.names[0]) is str
        return columns, columns.names if is_named else None
    is_list = not hasattr(X, "dtype")
    array = np.asarray(X, dtype=object if is_list and is_exact else None)
    if is_list and array.dtype.kind in "US":  # numbers among words stay numbers
        array = np.asarray(X, dtype=object)
    if array.dtype.kind == "V":
        raise no_numbers("X", array.dtype)
    if isinstance(X, (str, bytes)):
        raise ValueError(f"could not convert string to float: {X!r}. Expected a 2D array.")
    if array.ndim < 2:
        dims = "scalar" if array.ndim == 0 else "1D"
        raise ValueError(
            f"Expected 2D array, got {dims} array instead:\narray={array}.\nReshape your data "
            "either using array.reshape(-1, 1) if your data has a single feature or "
            "array.reshape(1, -1) if it contains a single sample."
        )
    if n_dims is not None and array.ndim > n_dims:
        raise ValueError(
            f"Found array with dim {array.ndim}, while dim <= {n_dims} is required. Expected X "
            "of shape (n_samples, n_features)."
        )
    return array, None


def _read_sparse(X):
    if len(X.shape) != 2:
        raise ValueError(
            f"Expected 2D input, got a sparse array of shape {X.shape}. Reshape your data by "
            "X.reshape(1, -1) if it is a single sample."
        )
    if X.dtype.kind in "cmMVO":
        raise no_numbers("X", X.dtype)
    from scipy.sparse import csr_array  # a caller with a sparse matrix has SciPy

    X = csr_array(X)
    if not X.has_canonical_format:
        # The search for extremes would sort the indices in place. They may be shared with the
        # caller's matrix, whose values would not be sorted with them.
        X = X.copy()
        X.sum_duplicates()
    return X


def _read_frame(X, known, is_exact, keeps_types):
    is_arrow = hasattr(type(X), "column_names")
    names = X.column_names if is_arrow else X.columns
    names = names.tolist() if hasattr(names, "tolist") else list(names)
    if names != known:
        _check_names(names)
    dtypes = None
    if keeps_types:
        types = X.schema.types if is_arrow else X.dtypes
        dtypes = [str(dtype).lower() for dtype in types]
    if not hasattr(type(X), "iloc"):
        n_rows = X.num_rows if is_arrow else X.height
        columns = X.columns if is_arrow else X.get_columns()
        return Columns([_read_column(c) for c in columns], n_rows, names, dtypes=dtypes)
    n_rows, block = len(X), None
    if n_rows <= FEW_ROWS and not keeps_types:
        # Read by rows: by columns, pandas takes 10 us per column.
        if n_rows == 1:
            block = X.iloc[0].to_numpy()[None]
        if block is None or block.dtype != object:
            block = X.to_numpy(dtype=object if is_exact else None)
        if block.dtype.kind not in "biufO":  # times, possibly with missing values
            block = block.astype(object)
        if block.dtype == np.float32 and any(d != np.float32 for d in X.dtypes):
            block = block.astype(np.float64)  # as reading by columns gives
    else:
        types = list(X.dtypes)
        first = types[0] if types else None
        is_numpy = isinstance(first, np.dtype) and first.kind in "biufO"
        if is_numpy and all(dtype == first for dtype in types):
            block = np.asarray(X)
    if block is not None:
        return Columns(list(block.T), n_rows, names, block, dtypes)
    columns = [_read_pandas(X.iloc[:, place]) for place in range(len(names))]
    return Columns(columns, n_rows, names, dtypes=dtypes)


def _check_names(names):
    if len(set(names)) < len(names):
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(
            f"X has two columns named {double!r}. Expected unique column names: drop or "
            "rename one of the columns."
        )
    kinds = {type(name) for name in names}
    if str in kinds and len(kinds) > 1:
        raise TypeError(
            "Feature names are only supported if all input features have string names, but "
            f"your input has {sorted(kind.__qualname__ for kind in kinds)} as feature name / "
            "column name types. Convert them: X.columns = X.columns.astype(str)."
        )


def _read_pandas(column):
    kind = getattr(column.dtype, "kind", "O")
    if isinstance(column.dtype, np.dtype) or kind not in "iuf":
        return np.asarray(column)
    if not column.isna().any():
        return column.to_numpy(dtype=np.dtype(f"{kind}8"))
    return _narrow(column.to_numpy(dtype=object), True)


def _read_column(column):
    """Return a column of polars or pyarrow as an array."""
    is_arrow = hasattr(type(column), "to_pylist")
    dtype = str(column.type if is_arrow else column.dtype).lower()
    n_missing = column.null_count if is_arrow else column.null_count()
    if not n_missing or dtype.startswith(("float", "double", "halffloat")):
        array = column.to_numpy(zero_copy_only=False) if is_arrow else column.to_numpy()
        if array.dtype.kind in "biuf" and array.ndim == 1:  # no structs, no arrays
            return array
    values = column.to_pylist() if is_arrow else column.to_list()
    return _narrow(_objects(values), dtype.startswith(("int", "uint", "decimal")))


def _objects(values):
    # Not np.array(values): lists of equal lengths would add axes.
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _narrow(array, is_numeric=False):
    """Convert objects to float64, with NaN for missing values, if float64 holds all of them.

    If all values are missing, the type of the column decides (`is_numeric`).
    """
    kinds = {type(value) for value in array}
    missing = {kind for kind in kinds if kind.__name__ in ("NAType", "NoneType")}
    if not (kinds - missing) <= {int, float} or (kinds == missing and not is_numeric):
        return array
    numbers = np.array([np.nan if type(v) in missing else v for v in array], dtype=np.float64)
    return array if int in kinds and (np.abs(numbers) > LARGEST_EXACT).any() else numbers


def without_na(table):
    """Replace pandas NA by NaN in a table of a frame."""
    if not isinstance(table, Columns):
        return table
    if table.block is not None:
        block = _without_na(table.block)
        return Columns(list(block.T), table.shape[0], table.names, block)
    columns = [None if c is None else _without_na(c) for c in table.columns]
    return Columns(columns, table.shape[0], table.names)


def _without_na(array):
    if array.dtype != object:
        return array
    is_na = np.frompyfunc(lambda value: type(value).__name__ == "NAType", 1, 1)(array)
    return np.where(is_na.astype(bool), np.nan, array)


def find_categories(table):
    """Find the columns of a frame that hold categories.

    These are columns with a categorical dtype, and columns of text or other objects that are
    not all numbers. Text is numeric if it parses as numbers without leading zeros ("007").

    Parameters
    ----------
    table : Columns
        Read with `keeps_types`.

    Returns
    -------
    bool ndarray of shape (n_columns,)
    """
    found = np.zeros(table.shape[1], dtype=bool)
    for place, (column, dtype) in enumerate(zip(table.columns, table.dtypes, strict=True)):
        if is_declared(table, place):
            found[place] = True
        elif column.dtype.kind in "mM" or dtype.startswith(_TIME_DTYPES):
            raise no_numbers(label_of(table, place), dtype)
        elif column.dtype.kind not in "biufc":
            found[place] = not _are_numbers(column_of(table, place), label_of(table, place))
    return found


def is_declared(table, place):
    """Return whether a column has a categorical dtype."""
    dtypes = table.dtypes if isinstance(table, Columns) else None
    return dtypes is not None and dtypes[place].startswith(_CATEGORY_DTYPES)


def _are_numbers(values, label):
    there = [value for value in values if not is_missing(value)]
    for value in there:
        if isinstance(value, TIMES):
            raise no_numbers(label, type(value).__name__)
    try:
        for value in there:
            number_of(value)
    except (TypeError, ValueError, OverflowError):
        return False
    # "007" is an identifier written in digits.
    return bool(there) and not any(
        isinstance(value, str) and has_leading_zero(value) for value in there
    )


def has_leading_zero(text):
    """Return whether digits begin with a zero, as those of identifiers do."""
    digits = text.strip().lstrip("+-")
    return len(digits) > 1 and digits[0] == "0" and digits[1].isdigit()


def is_missing(value):
    """Return whether a value is missing: None, NaN, or NA and NaT of pandas."""
    if value is None:
        return True
    if isinstance(value, str):
        return False
    # Compare type names, so that pandas need not be installed; bool(NA) raises.
    if type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, (float, np.floating, np.datetime64, np.timedelta64)) and bool(
        value != value
    )


def number_of(value):
    """Convert a value to a float, NaN if it is missing.

    Raises
    ------
    TypeError, ValueError
        If it is neither a number nor numeric text.
    """
    if type(value) is float:
        return value
    if is_missing(value):
        return np.nan
    if isinstance(value, str) and "_" in value:
        raise ValueError(f"could not convert string to float: {value!r}")
    if isinstance(value, TIMES):
        raise TypeError("expected a number, got a date or time")
    return float(value)


def numbers_of(table, lookups=None, has_missing=True):
    """Convert the columns of a table to floats, with NaN for missing values.

    Parameters
    ----------
    table : ndarray, SciPy CSR array or Columns
    lookups : dict of int to Lookup or None, default=None
        Lookup tables of the columns that hold categories.
    has_missing : bool, default=True
        Whether values may be missing; values of a sparse table never are.

    Returns
    -------
    numbers : ndarray or SciPy CSR array of shape (n_rows, n_columns)
        float64 and float32 are unchanged. Arrays of other types that float32 holds exactly
        become float32, since float64 would take eight times the memory of images. All other
        types become float64, and so does every table with categories.
    is_complete : bool
        Whether no number is missing; codes do not count.

    Raises
    ------
    TypeError, ValueError
        If a value is not a number, infinite, or too large for float32; names the column.

    Warns
    -----
    UserWarning
        If float64 cannot represent an integer.
    """
    # A contiguous array of finite numbers takes one pass. NumPy would first copy an array of
    # another order. NaN fails the comparison.
    if (
        type(table) is np.ndarray
        and not lookups
        and table.dtype in _PLAIN_FLOATS
        and table.flags.c_contiguous
        and float(np.vdot(table, table)) < _LARGEST_SQUARES
    ):
        return table, True
    is_sparse = hasattr(table, "tocsr")
    if is_sparse and lookups:
        table = table.toarray()
    is_frame = isinstance(table, Columns)
    array = table.block if is_frame else table
    chosen = range(table.shape[1])
    if lookups:
        chosen = [place for place in chosen if place not in lookups]
    if array is None or array.dtype.kind in "OUS":
        columns = [_numbers_in(table, place) for place in chosen]
        is_narrow = bool(columns) and all(column.dtype == np.float32 for column in columns)
        numbers = np.empty((table.shape[0], len(columns)), np.float32 if is_narrow else float)
        for place, column in enumerate(columns):
            numbers[:, place] = column
    elif array.dtype.kind in "biuf":
        numbers = array[:, chosen] if lookups else array
        if numbers.dtype.kind in "iu":
            _warn_of_large_integers(numbers, "X")
        is_small = numbers.dtype.kind == "b" or numbers.dtype.itemsize <= 2
        is_narrow = numbers.dtype == np.float32 or (is_small and not is_frame)
        numbers = numbers.astype(np.float32 if is_narrow else np.float64, copy=False)
    else:
        if array.dtype.kind in "mM" and np.isnat(array).any():
            raise ValueError("X contains missing times (NaT). Expected numbers.")
        raise no_numbers("X", array.dtype)
    is_complete = check_finite(
        numbers,
        has_missing and (bool(lookups) or not is_sparse),
        lambda place: label_of(table, chosen[place]),
    )
    if not lookups:
        return numbers, is_complete
    coded = np.empty(table.shape)
    coded[:, chosen] = numbers
    for place, lookup in lookups.items():
        coded[:, place] = lookup.find(column_of(table, place), label_of(table, place))
    return coded, is_complete


def _numbers_in(table, place):
    column = array_of(table, place)
    if column.dtype.kind in "biuf":
        if column.dtype.kind in "iu":
            _warn_of_large_integers(column, label_of(table, place))
        return column
    if column.dtype.kind == "c":
        raise no_numbers(label_of(table, place), column.dtype)
    values = column_of(table, place)
    try:
        return np.array([v if type(v) is float else number_of(v) for v in values])
    except (TypeError, ValueError, OverflowError) as error:
        raise _explain(values, label_of(table, place)) from error


def _explain(values, label):
    """Return an error that names the first value of a column that is not a number."""
    for value in values:
        try:
            number_of(value)
        except (TypeError, ValueError, OverflowError) as error:
            if isinstance(value, TIMES):
                return no_numbers(label, type(value).__name__)
            kind = TypeError if isinstance(error, TypeError) else ValueError
            if isinstance(value, complex):
                return ValueError(
                    f"Complex data not supported: {label} contains {value!r}. Expected real "
                    "numbers."
                )
            return kind(
                f"{label} contains {str(value)[:80]!r} of type {type(value).__name__} "
                f"({error}). Expected numbers: convert or drop such values, or include the "
                "column in categorical_features, if the estimator has this parameter."
            )
    raise AssertionError


def no_numbers(label, dtype):
    """Return an error for a column of dates, or of another dtype that holds no numbers.

    Parameters
    ----------
    label : str
    dtype : dtype or str
        Of the column, or the name of the type of a value.

    Returns
    -------
    TypeError or ValueError
    """
    kind = dtype.kind if isinstance(dtype, np.dtype) else ""
    if kind == "c":
        return ValueError(
            f"Complex data not supported: {label} has dtype {dtype}. Expected real numbers."
        )
    if kind == "V":
        return TypeError(
            f"{label} is a structured array ({dtype}). Expected a numeric array of shape "
            "(n_samples, n_features)."
        )
    return TypeError(
        f"{label} contains dates or times ({dtype}). Expected numbers: {_convert(str(dtype))}."
    )


def _convert(dtype):
    """Return the remedy for a dtype of times, or for the name of a type of values."""
    kind = dtype.lower()
    if kind.startswith("period"):
        return f"convert periods with .dt.to_timestamp(), and {VECTORIZER}"
    if kind.startswith(("timedelta", "duration")):
        return "convert durations to seconds, for example with .dt.total_seconds()"
    if kind.startswith("time") and not kind.startswith("timestamp"):
        return "convert times of day to hours or seconds since midnight"
    # skrub reads objects of these types as text.
    is_object = dtype in ("Timestamp", "datetime", "datetime64")
    return (
        f"{'apply pandas.to_datetime, and ' * is_object}{VECTORIZER}, or convert dates to "
        "numbers, such as days since a date, month, weekday and hour"
    )


def check_finite(X, has_missing=True, label=None):
    """Reject numbers that are infinite, or too large for float32, the type of training.

    Parameters
    ----------
    X : ndarray or SciPy CSR array of shape (n_rows, n_columns)
    has_missing : bool, default=True
        Whether NaN is allowed.
    label : callable or None, default=None
        Maps a column index to its name in messages; None uses `label_of` without names.

    Returns
    -------
    bool
        Whether no value is NaN.

    Raises
    ------
    ValueError
    """
    values = X.data if hasattr(X, "tocsr") else X
    if not values.size or values.dtype.kind not in "f":
        return True
    # No copies, even with missing values.
    with np.errstate(invalid="ignore"):
        is_complete = not np.isnan(np.maximum.reduce(values, axis=None))
        if not is_complete and not has_missing:
            raise ValueError(
                f"Input X contains NaN{_where(X, np.isnan(values), label)}. Expected no "
                "missing values: impute them first, for example with "
                "sklearn.impute.SimpleImputer."
            )
        largest = max(np.fmax.reduce(values, axis=None), -np.fmin.reduce(values, axis=None))
    if largest > _LARGEST_FLOAT32:
        dtype, why = values.dtype, ""
        if np.isfinite(largest):
            dtype, why = np.dtype(np.float32), ", the dtype of training"
        raise ValueError(
            f"Input X contains infinity or a value too large for {dtype!r}{why}"
            f"{_where(X, np.abs(values) == largest, label)}. Expected finite numbers of "
            "moderate size: rescale the column, or drop such rows."
        )
    return is_complete


def _where(X, is_found, label):
    """Return message text that names the column of the first flagged value."""
    first = int(is_found.argmax())
    value = (X.data if hasattr(X, "tocsr") else X).flat[first]
    place = int(X.indices[first]) if hasattr(X, "tocsr") else first % X.shape[1]
    column = label_of(X, place) if label is None else label(place)
    return f": {column[0].lower()}{column[1:]} contains {value:g}"


def _warn_of_large_integers(array, label):
    values = array.data if hasattr(array, "tocsr") else array
    if values.dtype.itemsize < 8 or not values.size:
        return
    for value in (values.max(), values.min()):
        if abs(int(value)) > LARGEST_EXACT:
            warnings.warn(
                f"{label} contains integers beyond 2**53, such as {value}, whose last digits "
                "are lost in float64. Expected measurements: drop identifiers, or encode them.",
                UserWarning,
                stacklevel=2,
            )
            return
