"""X as the engine takes it: checked, in one dtype, copied at most once."""

import warnings
from collections.abc import Iterator

import numpy as np
from scipy.sparse import csr_array, issparse
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import validate_data

# A network sees little of a column whose mean is this many standard deviations away from
# zero: it is centred.
FAR_FROM_ZERO = 100
# A float32 number has 24 significant bits: at this many standard deviations away from zero
# fewer than 11 of them are left for the variation.
LOST_IN_FLOAT32 = 10_000
# Up to here float64 holds every integer.
_LARGEST_EXACT = 2**53
# Rows whose values are all below the root of this are neither infinite nor too large for
# float32.
_LARGEST_SQUARES = 1e76
_SCREEN_ROWS = 2048
_BLOCK_ROWS = 1 << 16


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


def validate_features(estimator, X, y=None, *, reset=False, min_samples=1):
    """Check X, and y where given: see `sklearn.utils.validation.validate_data`.

    Parameters
    ----------
    estimator : estimator
    X : array-like or sparse matrix of shape (n_rows, n_features)
    y : array-like or None, default=None
    reset : bool, default=False
        Whether the estimator takes its number and names of features from X.
    min_samples : int, default=1
        Fewest rows.

    Returns
    -------
    X : ndarray or SciPy CSR array of shape (n_rows, n_features)
        In one of `input_dtypes`.
    y : ndarray
        Where one was given.
    """
    refuse_misleading(X, is_prediction=y is None)
    if hasattr(type(X), "requires_grad") and X.requires_grad:
        X = X.detach()  # torch makes no array of such a tensor
    try:
        checked = validate_data(
            estimator,
            X,
            **({} if y is None else {"y": y, "multi_output": True}),
            accept_sparse="csr",
            dtype=input_dtypes(X),
            ensure_min_samples=min_samples,
            reset=reset,
        )
    except TypeError:
        refuse_misleading(X)  # where it knows better what was wrong
        raise
    X, *rest = (checked,) if y is None else checked
    if issparse(X):
        X = csr_array(X)
    return (X, rest[0]) if rest else X


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


def find_shift(X, rows, weights):
    """Return what to subtract from each column before it is cast, or None.

    Columns whose weighted mean over `rows` is more than `FAR_FROM_ZERO` standard
    deviations from zero (time stamps, identifiers) are centred; the others are left.

    Parameters
    ----------
    X : ndarray or SciPy CSR array of shape (n_rows, n_features), float32 or float64
        A sparse one would no longer be sparse if it were centred: None.
    rows : ndarray of int64
        Rows of the fit.
    weights : ndarray of shape (n_rows,) or None

    Returns
    -------
    float64 ndarray of shape (n_features,) or None

    Warns
    -----
    UserWarning
        If X is float32 and a mean is more than `LOST_IN_FLOAT32` deviations from zero: what
        the cast lost is not to be had back.
    """
    if issparse(X):
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        # Squares of values that no float32 holds overflow; the cast refuses them.
        return _find_shift(X, rows, weights)


def _find_shift(X, rows, weights):
    screened = X[rows[:: max(1, len(rows) // _SCREEN_ROWS)]]
    # A generous screen, in the dtype of X: exact moments are computed for few columns, if
    # any. What cancels in the variance is far below the hundredth that is asked for.
    mean = screened.mean(axis=0)
    variance = np.einsum("ij,ij->j", screened, screened) / len(screened) - mean**2
    is_near = mean**2 <= (FAR_FROM_ZERO / 10) ** 2 * variance
    candidates = np.flatnonzero(~is_near)  # what is not finite is looked at, too
    if not len(candidates):
        return None
    mean, deviation = _moments(X, candidates, rows, weights)
    is_far = np.abs(mean) > FAR_FROM_ZERO * deviation
    if X.dtype == np.float32:
        is_lost = np.abs(mean) > LOST_IN_FLOAT32 * deviation
        far = candidates[is_lost & (deviation > 0)]
        if len(far):
            warnings.warn(
                f"Column {far[0]} of X has a mean of over {LOST_IN_FLOAT32:,} standard "
                "deviations, and X is float32, which keeps few digits of its variation. "
                "Expected columns of moderate size: pass X as float64, where such columns "
                "are centred before the cast, or subtract the mean first.",
                UserWarning,
                stacklevel=3,
            )
        return None
    if not is_far.any():
        return None
    shift = np.zeros(X.shape[1])
    shift[candidates[is_far]] = mean[is_far]
    return shift


def _moments(X, columns, rows, weights):
    w = None if weights is None else weights[rows] / weights[rows].sum()

    def average(power, centre):
        total = np.zeros(len(columns))
        for start in range(0, len(rows), _BLOCK_ROWS):
            block = slice(start, start + _BLOCK_ROWS)
            values = X[np.ix_(rows[block], columns)].astype(np.float64) - centre
            part = values**power
            total += part.sum(axis=0) / len(rows) if w is None else w[block] @ part
        return total

    # A first value near the mean keeps the digits of the sums.
    origin = X[rows[0], columns].astype(np.float64)
    mean = origin + average(1, origin)
    return mean, np.sqrt(average(2, mean))


def to_network_dtype(X, shift, dtype):
    """Subtract the shift in float64, cast, and see that nothing became infinite.

    Parameters
    ----------
    X : ndarray or SciPy CSR array of shape (n_rows, n_features)
        A sparse one cannot be shifted.
    shift : float64 ndarray of shape (n_features,) or None
    dtype : numpy dtype
        float32 or float64.

    Returns
    -------
    ndarray or SciPy CSR array of shape (n_rows, n_features)
        X itself where there is nothing to do.

    Raises
    ------
    ValueError
        If a value is too large for `dtype`, or a sparse X is to be shifted.
    """
    if shift is None and X.dtype == dtype:
        return X
    if issparse(X):
        if shift is not None:
            raise ValueError(
                "The network was begun on a dense X of which some columns are centred (see "
                "input_shift_), and centring would make this sparse X dense. Expected dense "
                "rows again: pass X.toarray(), in pieces to partial_fit where it is large, or "
                "begin anew with the sparse X."
            )
        values = to_network_dtype(X.data, None, dtype)
        return csr_array((values, X.indices, X.indptr), shape=X.shape)
    cast = np.empty(X.shape, dtype=dtype)
    with np.errstate(over="ignore"):
        if shift is None:
            cast[...] = X
        else:
            for start in range(0, X.shape[0], _BLOCK_ROWS):
                rows = slice(start, start + _BLOCK_ROWS)
                cast[rows] = X[rows] - shift
    if X.dtype != dtype:
        assert_all_finite(cast, input_name="X")
    return cast


def refuse_beyond_float32(X):
    """Refuse float64 values that a network trained in float32 has no way of knowing.

    Raises
    ------
    ValueError
        If a value is too large for float32.
    """
    largest = np.finfo(np.float32).max
    values = X.data if issparse(X) else X
    if X.dtype == np.float64 and values.size and not np.abs(values).max() <= largest:
        raise ValueError(
            "Input X contains infinity or a value too large for dtype('float32'), in which "
            "the network was trained."
        )


def take_plain_array(X, n_features, shift, dtype):
    """Return X as the network takes it, if hardly anything needs to be checked.

    A plain array of numbers of the right shape, all finite and none too large, is what a
    served estimator nearly always gets. scikit-learn's validation takes ten times as long
    as the network.

    Parameters
    ----------
    X : anything
    n_features : int
    shift : ndarray or None
        See `find_shift`.
    dtype : numpy dtype

    Returns
    -------
    ndarray of shape (n_rows, n_features) or None
        None for everything else.
    """
    if type(X) is not np.ndarray or X.ndim != 2 or X.shape[1] != n_features:
        return None
    if (X.dtype != np.float64 and X.dtype != np.float32) or not len(X):
        return None
    # One pass, no warnings; NaN is less than nothing.
    if not float(np.vdot(X, X)) < _LARGEST_SQUARES:
        return None
    if shift is not None:
        return to_network_dtype(X, shift, dtype)
    return X if X.dtype == dtype else X.astype(dtype)
