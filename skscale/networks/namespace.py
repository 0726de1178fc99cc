"""Array namespaces: one prediction arithmetic for NumPy arrays and tensors.

NumPy arrays are recognized by type, which is fast. Other arrays use the array API standard
(https://data-apis.org/array-api), through scikit-learn's copy of array_api_compat.
"""

import numpy as np


def namespace_of(x):
    """Return the namespace of an array: NumPy also for SciPy sparse arrays.

    Parameters
    ----------
    x : array

    Returns
    -------
    module
    """
    if isinstance(x, np.ndarray) or hasattr(x, "tocsr"):
        return np
    # Imported here: NumPy arrays must work without scikit-learn.
    from sklearn.externals.array_api_compat import array_namespace

    return array_namespace(x)


def in_place(xp, function, z, *others):
    """Return `function(z, *others)`, written over `z` if the namespace is NumPy."""
    return function(z, *others, out=z) if xp is np else function(z, *others)


def largest(xp, z, axis):
    """Return the maxima along an axis, which is kept with length one."""
    # np.max takes twice as long for one row.
    if xp is np:
        return np.maximum.reduce(z, axis=axis, keepdims=True)
    return xp.max(z, axis=axis, keepdims=True)


def total(xp, z, axis=None):
    """Return the sums along an axis, kept with length one; None sums all elements."""
    if xp is np:
        return np.add.reduce(z, axis=axis, keepdims=axis is not None)
    return xp.sum(z, axis=axis, keepdims=axis is not None)


def as_constant(xp, value, x):
    """Convert a NumPy array to the namespace, on the device of `x`."""
    return value if xp is np else xp.asarray(value, device=x.device)


def dtype_in(xp, dtype):
    """Return the namespace's dtype with the name of a NumPy dtype."""
    return dtype if xp is np else getattr(xp, np.dtype(dtype).name)


def cast(xp, x, dtype):
    """Cast an array to a dtype of the namespace, without a copy if it has it already."""
    return x.astype(dtype, copy=False) if xp is np else xp.astype(x, dtype, copy=False)
