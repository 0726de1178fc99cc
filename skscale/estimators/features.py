"""X as the engine takes it: checked, in one dtype, copied at most once."""

import contextlib
import warnings
from collections.abc import Iterator

import numpy as np
from scipy.sparse import csr_array, issparse
from sklearn.utils import assert_all_finite, check_array, check_X_y
from sklearn.utils.validation import validate_data

from .._sklearn_private import _check_sample_weight
from .categories import CategoryReader, find_categorical

# A float32 number has 24 significant bits: at this many times its spread away from zero
# fewer than 11 of them are left for the variation.
LOST_IN_FLOAT32 = 10_000
# Up to here float64 holds every integer.
_LARGEST_EXACT = 2**53
_BLOCK_ROWS = 1 << 12
# A decorator. scikit-learn looks for NaN by a sum, which overflows near the largest numbers.
ignoring_overflow = np.errstate(over="ignore", invalid="ignore")


def input_dtypes(X):
    """Return the dtypes in which scikit-learn's validation should hand X over.

    float32 and float64 stay as they are, since float64 is still to be centred. What
    float32 holds exactly goes there at once: through float64, images of bytes would
    take eight times their memory.
    """
    dtype = getattr(X, "dtype", None)
    if isinstance(dtype, np.dtype) and (
        dtype.kind == "b" or (dtype.kind in "iuf" and dtype.itemsize <= 2)
    ):
        return np.float32
    return [np.float64, np.float32]


@ignoring_overflow
def validate_features(estimator, X, y=None, *, reset=False, min_samples=1, sample_weight=None):
    """Check X, and y where given: see `sklearn.utils.validation.validate_data`.

    Parameters
    ----------
    estimator : estimator
        Its `_category_reader` is made where `reset`.
    X : array-like, frame or sparse matrix of shape (n_rows, n_features)
    y : array-like or None, default=None
    reset : bool, default=False
        Whether the estimator takes its number, names and categories of features from X.
    min_samples : int, default=1
        Fewest rows.
    sample_weight : array-like of shape (n_rows,) or None
        Rows of weight zero have no say in what the categories are.

    Returns
    -------
    X : ndarray or SciPy CSR array of shape (n_rows, n_features)
        In one of `input_dtypes`; missing values are NaN, categories are codes.
    y : ndarray
        Where one was given.
    """
    refuse_misleading(X, is_prediction=y is None)
    if hasattr(type(X), "requires_grad") and X.requires_grad:
        X = X.detach()  # torch makes no array of such a tensor
    by_place = estimator.categorical_features
    is_by_place = by_place is not None and not isinstance(by_place, str)
    if is_by_place if reset else estimator._category_reader is not None:
        X = _as_table(X)
    targets = {} if y is None else {"y": y}
    options = {
        "accept_sparse": "csr",
        "dtype": input_dtypes(X),
        "ensure_all_finite": "allow-nan",
        "ensure_min_samples": min_samples,
    }
    if y is not None:
        options["multi_output"] = True
    if reset:
        estimator._category_reader = None
        if not issparse(X):
            is_categorical = find_categorical(X, estimator.categorical_features)
            if is_categorical is not None:
                _check_names(estimator, X, reset=True)
                present = None
                if sample_weight is not None:
                    present = _check_sample_weight(sample_weight, X) > 0
                estimator._category_reader = CategoryReader(X, is_categorical, present)
    elif estimator._category_reader is not None:
        _check_names(estimator, X, reset=False)
    with explaining_types(X):
        if estimator._category_reader is None:
            checked = validate_data(estimator, X, **targets, reset=reset, **options)
        else:
            X = estimator._category_reader.read(X)
            check = check_array if y is None else check_X_y
            checked = check(X, **targets, estimator=estimator, **options)
    X, *rest = (checked,) if y is None else checked
    if issparse(X):
        _refuse_missing(X.data)
        X = csr_array(X)
        if not X.has_canonical_format:
            # What asks for its extremes would put it in order in place: arrays that are the
            # caller's, whose values may lie elsewhere.
            X = X.copy()
            X.sum_duplicates()
    if X.dtype == np.float64:
        refuse_beyond_float32(X)
    return (X, rest[0]) if rest else X


def _as_table(X):
    # Columns are told apart by place before scikit-learn's validation.
    if issparse(X) or hasattr(type(X), "columns"):
        return X
    options = {"ensure_all_finite": False, "ensure_min_samples": 0, "input_name": "X"}
    # A list of words and numbers would become words altogether.
    return check_array(X, dtype=None if hasattr(X, "shape") else object, **options)


def _check_names(estimator, X, reset):
    # Number and names of the columns; their values are another matter.
    if not hasattr(X, "shape"):
        X = np.asarray(X, dtype=object)
    validate_data(estimator, X, skip_check_array=True, reset=reset)


def refuse_misleading(X, is_prediction=False):
    """Refuse what scikit-learn's validation would take for something that it is not.

    Parameters
    ----------
    X : anything
    is_prediction : bool, default=False
        Whether to leave out the columns of a pandas frame, whose dtypes take pandas a
        tenth of the time of a prediction: scikit-learn refuses nearly all that is wrong.

    Raises
    ------
    TypeError
        If X holds times, or can be read but once.
    ValueError
        If X is None or a masked array, holds missing times, or two of its columns have one
        name.

    Warns
    -----
    UserWarning
        If X holds integers that a float64 number has no room for.
    """
    if X is None:
        raise ValueError("X is None. Expected an array of shape (n_samples, n_features).")
    if isinstance(X, Iterator):
        raise TypeError(
            f"X is a {type(X).__name__}, which can be read but once. Expected an array of "
            "shape (n_samples, n_features): pass list(X), or its pieces to partial_fit."
        )
    if isinstance(X, np.ma.MaskedArray) and np.ma.is_masked(X):
        raise ValueError(
            "X is a masked array with masked values, which would be taken as if they were "
            "not. Expected all values: fill them in, by sklearn.impute.SimpleImputer on "
            "X.filled(numpy.nan), for example."
        )
    # Of the class: a frame takes long to find out that it has no column of some name.
    is_frame = hasattr(type(X), "columns") and hasattr(type(X), "dtypes")
    if is_frame:
        if not (is_prediction and type(X).__module__.startswith("pandas")):
            _refuse_columns(X)
    elif isinstance(getattr(X, "dtype", None), np.dtype):
        values = getattr(X, "data", X) if issparse(X) else X
        if isinstance(values, np.ndarray):
            _refuse_values("X", values)


@contextlib.contextmanager
def explaining_types(X):
    """Say of a TypeError of scikit-learn's validation what was wrong, where that is known."""
    try:
        yield
    except TypeError:
        refuse_misleading(X)
        raise


def _refuse_columns(X):
    names, dtypes = list(X.columns), list(X.dtypes)
    if len(set(names)) < len(names):
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(
            f"X has two columns of one name, {double!r}. Expected every column to have a "
            "name of its own: drop or rename one."
        )
    kinds = {dtype: str(dtype).lower() for dtype in set(dtypes)}
    if all(kind.startswith("float") for kind in kinds.values()):
        return
    for name, dtype in zip(names, dtypes, strict=True):
        kind = kinds[dtype]
        if kind.startswith(("date", "duration", "time")) and "interval" not in kind:
            _refuse_times(f"Column {name!r} of X", dtype)
        elif kind in ("int64", "uint64"):
            _refuse_values(f"Column {name!r} of X", X[name].to_numpy())


def _refuse_values(what, values):
    dtype = values.dtype
    if dtype.kind in "mM":
        if np.isnat(values).any():
            raise ValueError(
                f"{what} holds missing times (NaT). Expected numbers, all of them."
            )
        _refuse_times(what, dtype)
    if dtype.kind in "iu" and dtype.itemsize == 8 and values.size:
        for value in (values.max(), values.min()):
            if abs(int(value)) > _LARGEST_EXACT:
                warnings.warn(
                    f"{what} holds integers beyond 2**53, such as {value}, which lose their "
                    "last digits as floating-point numbers. Expected measurements: leave "
                    "identifiers out, or encode them.",
                    UserWarning,
                    stacklevel=8,
                )
                return


def _refuse_times(what, dtype):
    raise TypeError(
        f"{what} holds times ({dtype}), which are no numbers. Expected numbers: turn them "
        "into a count of seconds or days, or into parts such as the hour and the weekday."
    )


@ignoring_overflow
def _refuse_missing(X):
    assert_all_finite(X, input_name="X")


def encode_features(X, encoding, dtype):
    """Turn checked features into the inputs of the network.

    Parameters
    ----------
    X : ndarray or SciPy CSR array of shape (n_rows, n_features)
    encoding : TableEncoding or None
        None takes X as it is.
    dtype : numpy dtype
        float32 or float64.

    Returns
    -------
    ndarray or SciPy CSR array of shape (n_rows, n_inputs)

    Raises
    ------
    ValueError
        If values are missing, and the network has not learned what to make of them.
    """
    if encoding is None:
        if not issparse(X):
            _refuse_missing(X)
        return to_network_dtype(X, dtype)
    if not issparse(X):
        return encoding.encode(X, dtype)
    inputs = np.empty((X.shape[0], encoding.n_inputs), dtype=dtype)
    for start in range(0, X.shape[0], _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        inputs[rows] = encoding.encode(X[rows].toarray(), dtype)
    return inputs


def warn_of_lost_digits(X, encoding):
    """Warn of columns of float32 numbers that are nearly equal.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
    encoding : TableEncoding
    """
    if X.dtype != np.float32:
        return
    with np.errstate(over="ignore"):
        is_lost = np.abs(encoding.center) * encoding.scale > LOST_IN_FLOAT32
    if is_lost.any():
        warnings.warn(
            f"Column {encoding.numbers[is_lost.argmax()]} of X has a median of over "
            f"{LOST_IN_FLOAT32:,} times its spread, and X is float32, which keeps few digits "
            "of its variation. Expected columns of moderate size: pass X as float64, or "
            "subtract the median first.",
            UserWarning,
            stacklevel=3,
        )


@ignoring_overflow
def to_network_dtype(X, dtype):
    """Cast, and see that nothing became infinite.

    Parameters
    ----------
    X : ndarray or SciPy CSR array of shape (n_rows, n_features)
    dtype : numpy dtype
        float32 or float64.

    Returns
    -------
    ndarray or SciPy CSR array of shape (n_rows, n_features)
        X itself where there is nothing to do.

    Raises
    ------
    ValueError
        If a value is too large for `dtype`.
    """
    if X.dtype == dtype:
        return X
    if issparse(X):
        values = to_network_dtype(X.data, dtype)
        return csr_array((values, X.indices, X.indptr), shape=X.shape)
    cast = X.astype(dtype)
    assert_all_finite(cast, input_name="X")
    return cast


def refuse_beyond_float32(X):
    """Refuse numbers that float32 does not hold; NaN is none.

    Raises
    ------
    ValueError
        If a value is too large.
    """
    values = X.data if issparse(X) else X
    if not values.size:
        return
    # Two passes without a copy, also where there are missing values.
    largest = max(np.fmax.reduce(values, axis=None), -np.fmin.reduce(values, axis=None))
    if largest > np.finfo(np.float32).max:
        raise ValueError(
            "Input X contains infinity or a value too large for dtype('float32'), in which "
            "networks are trained. Expected numbers of moderate size."
        )


def count_inputs(X):
    """Return what counts as the number of inputs where many of them are zero.

    The geometric mean of those that a row has on average and of all, to a power of two, so
    that folds agree. Of 42,254 terms with 131 a text: with all of them the weights move too
    little (accuracy .816 after 15 epochs), with 131 too much (.836), in between .846.

    Parameters
    ----------
    X : ndarray or SciPy CSR array of shape (n_rows, n_features)

    Returns
    -------
    int
    """
    n = X.count_nonzero() if issparse(X) else np.count_nonzero(X)
    n_active = max(1.0, n / X.shape[0])
    return 2 ** round(np.log2(np.sqrt(n_active * X.shape[1])))
