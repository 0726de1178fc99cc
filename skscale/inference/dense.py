"""Forward pass of a dense network in NumPy.

The arithmetic is that of `skscale.networks.architecture.DenseArchitecture`; tests hold
it against the torch module.
"""

import numpy as np

# torch's default for layer normalisation; part of what a network computes.
NORM_EPS = 1e-5

# Rows are taken in chunks whose activations stay in a core's cache, so that a layer reads
# what the layer before it wrote without a trip to memory, but not in so few that products
# lose speed. Larger arrays the C library would get from the system and give back each time:
# 1,000 rows by 128 units took 0.80 ms whole, and 0.50 in chunks.
_CHUNK_BYTES = 192 << 10
_FEWEST_ROWS = 256
# Up to so many rows all members of an ensemble are computed at once.
_FEW_ROWS = 16


# In the type of what it is compared with: a number of Python's is converted at each call.
_ZERO = {np.dtype(kind): np.zeros((), kind) for kind in (np.float32, np.float64)}


def _relu(z):
    return np.maximum(z, _ZERO[z.dtype], out=z)


def _gelu(z):
    # Tanh form (Hendrycks and Gimpel 2016, section 2): the exact one needs erf, which
    # NumPy lacks. Training uses the same form.
    inner = z * z
    inner *= 0.044715
    inner += 1
    inner *= z
    inner *= np.sqrt(2 / np.pi).astype(z.dtype)
    np.tanh(inner, out=inner)
    inner += 1
    inner *= z
    inner *= 0.5
    return inner


def _sigmoid(z):
    # The tanh form neither overflows nor warns.
    s = np.tanh(z * 0.5)
    s *= 0.5
    s += 0.5
    return s


def _silu(z):
    s = _sigmoid(z)
    s *= z
    return s


def _mish(z):
    # tanh(log(1 + e)) = e (e + 2) / (e (e + 2) + 2), e = exp(z); from 20 on it is 1.
    e = np.exp(np.minimum(z, 20))
    e *= e + 2
    e /= e + 2
    e *= z
    return e


def _tanh(z):
    return np.tanh(z, out=z)


ACTIVATIONS = {
    "relu": _relu,
    "gelu": _gelu,
    "silu": _silu,
    "mish": _mish,
    "tanh": _tanh,
    "logistic": _sigmoid,
}


def _layer_norm(h):
    centred = h - h.mean(axis=-1, keepdims=True)
    variance = np.einsum("...j,...j->...", centred, centred)
    variance /= h.shape[-1]
    variance += NORM_EPS
    # Activations whose squares overflow would all become zero: a constant prediction.
    variance[np.isinf(variance)] = np.nan
    centred /= np.sqrt(variance, out=variance)[..., None]
    return centred


def forward(X, coefs, intercepts, *, activation, normalization, residual):
    """Compute the outputs of a dense network.

    Parameters
    ----------
    X : ndarray or SciPy CSR array of shape (n_rows, n_features)
        Input.
    coefs : list of ndarray of shape (n_inputs, n_outputs)
        Weights of each layer, the output layer last.
    intercepts : list of ndarray of shape (n_outputs,)
        Biases of each layer.
    activation : str
        One of `skscale.networks.architecture.ACTIVATIONS`.
    normalization : {"layer"} or None
        Normalisation of the input of every layer but the first.
    residual : bool
        Whether hidden layers add to their input where the widths allow it.

    Returns
    -------
    ndarray of shape (n_rows, n_outputs)
        Outputs of the last layer, before any link function, computed in float64 if either
        the input or the weights are.
    """
    n_rows = X.shape[0]
    arithmetic = (ACTIVATIONS[activation], normalization, residual)
    if n_rows == 1 and normalization is None and isinstance(X, np.ndarray):
        # As a vector: to add one to a matrix of one row takes NumPy twice as long.
        return _forward(X[0], coefs, intercepts, *arithmetic)[None]
    if n_rows <= _FEWEST_ROWS:
        return _forward(X, coefs, intercepts, *arithmetic)
    dtype = np.promote_types(X.dtype, coefs[0].dtype)
    coefs = [c.astype(dtype, copy=False) for c in coefs]  # once, not for each chunk
    widest = max(len(b) for b in intercepts)
    n_chunk = max(_FEWEST_ROWS, _CHUNK_BYTES // (widest * dtype.itemsize))
    outputs = np.empty((n_rows, len(intercepts[-1])), dtype=dtype)
    # Two in turn: a layer may add to its input.
    buffers = np.empty((2, min(n_chunk, n_rows) * widest), dtype=dtype)
    for start in range(0, n_rows, n_chunk):
        rows = slice(start, start + n_chunk)
        outputs[rows] = _forward(X[rows], coefs, intercepts, *arithmetic, buffers)
    return outputs


def _forward(h, coefs, intercepts, activate, normalization, residual, buffers=None):
    last = len(coefs) - 1
    for layer, coef in enumerate(coefs):
        n_inputs, n_outputs = coef.shape[-2:]
        # One unit alone is not normalised: it would always be zero.
        x = _layer_norm(h) if normalization and layer and n_inputs > 1 else h
        if buffers is None or not (layer or isinstance(h, np.ndarray)):
            # The same product as by the operator, which takes 1 us more to begin.
            z = x.dot(coef) if coef.ndim == 2 else x @ coef
        else:
            z = buffers[layer % 2, : len(x) * n_outputs].reshape(len(x), n_outputs)
            np.matmul(x, coef, out=z)
        z += intercepts[layer]
        if layer == last:
            return z
        a = activate(z)
        if residual and layer and n_inputs == n_outputs:
            a += h
        h = a
    return h


def forward_members(X, coefs, intercepts, **arithmetic):
    """Compute the outputs of each network of an ensemble.

    Parameters
    ----------
    X : ndarray or SciPy CSR array of shape (n_rows, n_features)
    coefs : list of ndarray of shape (n_members, n_inputs, n_outputs)
    intercepts : list of ndarray of shape (n_members, n_outputs)
    **arithmetic
        As in `forward`.

    Returns
    -------
    ndarray of shape (n_members, n_rows, n_outputs)
    """
    if isinstance(X, np.ndarray) and len(X) <= _FEW_ROWS:
        activate = ACTIVATIONS[arithmetic["activation"]]
        intercepts = [b[:, None] for b in intercepts]
        return _forward(
            X, coefs, intercepts, activate, arithmetic["normalization"], arithmetic["residual"]
        )
    return np.stack(
        [
            forward(X, [c[k] for c in coefs], [b[k] for b in intercepts], **arithmetic)
            for k in range(len(coefs[0]))
        ]
    )


def exp(z):
    """Turn logarithms into numbers, in float64.

    Parameters
    ----------
    z : ndarray

    Returns
    -------
    float64 ndarray of the same shape

    Raises
    ------
    ValueError
        If a number is too large for float64.
    """
    with np.errstate(over="ignore"):
        e = np.exp(z, dtype=np.float64)
    if not np.isfinite(e).all():
        raise ValueError(
            "The network predicts the logarithm of a number that is too large to be "
            f"represented: {z.max():g}. Expected values like those of the training data: "
            "check the rows for extreme values."
        )
    return e


def softmax(z):
    """Turn logits into probabilities, row by row.

    Parameters
    ----------
    z : ndarray of shape (n_rows, n_classes)

    Returns
    -------
    ndarray of shape (n_rows, n_classes)
    """
    # The methods `max` and `sum` take twice as long for one row.
    p = z - np.maximum.reduce(z, axis=1, keepdims=True)
    np.exp(p, out=p)
    p /= np.add.reduce(p, axis=1, keepdims=True)
    return p


def log_softmax(z):
    """Turn logits into log-probabilities, row by row, without underflow.

    Parameters
    ----------
    z : ndarray of shape (n_rows, n_classes)

    Returns
    -------
    ndarray of shape (n_rows, n_classes)
    """
    p = z - z.max(axis=-1, keepdims=True)
    p -= np.log(np.exp(p).sum(axis=-1, keepdims=True))
    return p


def sigmoid(z):
    """Turn logits into probabilities, value by value, without overflow.

    Parameters
    ----------
    z : ndarray

    Returns
    -------
    ndarray of the same shape
    """
    # exp of a negative number keeps the digits of small probabilities.
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1, e) / (1 + e)


def log_sigmoid(z):
    """Turn logits into log-probabilities, value by value, without underflow.

    Parameters
    ----------
    z : ndarray

    Returns
    -------
    ndarray of the same shape
    """
    return -np.logaddexp(0, -z, dtype=z.dtype)
