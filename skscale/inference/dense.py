"""Forward pass of a dense network in NumPy.

The arithmetic is that of `skscale.networks.architecture.DenseArchitecture`; tests hold
it against the torch module.
"""

import numpy as np

# torch's default for layer normalisation; part of what a network computes.
NORM_EPS = 1e-5

# Activations of this many bytes stay in a core's L2 cache, so that a layer reads what
# the layer before it wrote without a trip to memory.
_CACHE_BYTES = 1 << 20


def _relu(z):
    return np.maximum(z, 0, out=z)


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
    t = np.logaddexp(z, 0, dtype=z.dtype)
    np.tanh(t, out=t)
    t *= z
    return t


def _tanh(z):
    return np.tanh(z, out=z)


_ACTIVATIONS = {
    "relu": _relu,
    "gelu": _gelu,
    "silu": _silu,
    "mish": _mish,
    "tanh": _tanh,
    "logistic": _sigmoid,
}


def _layer_norm(h):
    centred = h - h.mean(axis=1, keepdims=True)
    variance = np.einsum("ij,ij->i", centred, centred)
    variance /= h.shape[1]
    variance += NORM_EPS
    # Activations whose squares overflow would all become zero: a constant prediction.
    variance[np.isinf(variance)] = np.nan
    centred /= np.sqrt(variance, out=variance)[:, None]
    return centred


def forward(X, coefs, intercepts, *, activation, normalization, residual):
    """Compute the outputs of a dense network.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
        Input, in the dtype of the weights.
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
        Outputs of the last layer, before any link function.
    """
    widest = max(c.shape[1] for c in coefs)
    n_chunk = max(64, _CACHE_BYTES // (widest * X.dtype.itemsize))
    if X.shape[0] > n_chunk:
        out = np.empty((X.shape[0], coefs[-1].shape[1]), dtype=coefs[0].dtype)
        for start in range(0, X.shape[0], n_chunk):
            rows = slice(start, start + n_chunk)
            out[rows] = forward(
                X[rows],
                coefs,
                intercepts,
                activation=activation,
                normalization=normalization,
                residual=residual,
            )
        return out

    activate = _ACTIVATIONS[activation]
    h = X
    for layer, (coef, intercept) in enumerate(zip(coefs, intercepts, strict=True)):
        # One unit alone is not normalised: it would always be zero.
        is_normalized = normalization and layer and coef.shape[0] > 1
        z = (_layer_norm(h) if is_normalized else h) @ coef
        z += intercept
        if layer == len(coefs) - 1:
            return z
        a = activate(z)
        if residual and layer and coef.shape[0] == coef.shape[1]:
            a += h
        h = a
    return h


def softmax(z):
    """Turn logits into probabilities, row by row.

    Parameters
    ----------
    z : ndarray of shape (n_rows, n_classes)

    Returns
    -------
    ndarray of shape (n_rows, n_classes)
    """
    p = z - z.max(axis=1, keepdims=True)
    np.exp(p, out=p)
    p /= p.sum(axis=1, keepdims=True)
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
    p = z - z.max(axis=1, keepdims=True)
    p -= np.log(np.exp(p).sum(axis=1, keepdims=True))
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
