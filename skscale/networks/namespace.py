"""Array namespaces: the arithmetic of a prediction for NumPy arrays and tensors alike.

NumPy is recognised by type, at once. For all else the namespace is that of the array API
standard (https://data-apis.org/array-api), by the copy of array_api_compat in scikit-learn.
"""

import numpy as np


def namespace_of(x):
    """Return the namespace of an array: NumPy itself also for SciPy's sparse arrays.

    Parameters
    ----------
    x : array

    Returns
    -------
    module
    """
    if isinstance(x, np.ndarray) or hasattr(x, "tocsr"):
        return np
    # Imported here: NumPy alone needs to be installed where arrays are its own.
    from sklearn.externals.array_api_compat import array_namespace

    return array_namespace(x)


def in_place(xp, function, z, *others):
    """Return `function(z, *others)`, written over `z` where the namespace is NumPy."""
    return function(z, *others, out=z) if xp is np else function(z, *others)


def largest(xp, z, axis):
    """Return the maxima along an axis, which stays with length one."""
    # The functions of NumPy's name take twice as long for one row.
    if xp is np:
        return np.maximum.reduce(z, axis=axis, keepdims=True)
    return xp.max(z, axis=axis, keepdims=True)


def total(xp, z, axis=None):
    """Return the sums along an axis, which stays with length one; or one sum of all."""
    if xp is np:
        return np.add.reduce(z, axis=axis, keepdims=axis is not None)
    return xp.sum(z, axis=axis, keepdims=axis is not None)


def as_constant(xp, value, x):
    """Return a NumPy array as one of the namespace, on the device of `x`."""
    return value if xp is np else xp.asarray(value, device=x.device)


def dtype_in(xp, dtype):
    """Return the dtype of a namespace that has the name of a NumPy dtype."""
    return dtype if xp is np else getattr(xp, np.dtype(dtype).name)


def cast(xp, x, dtype):
    """Return an array in a dtype of the namespace; itself where it has it."""
    return x.astype(dtype, copy=False) if xp is np else xp.astype(x, dtype, copy=False)
