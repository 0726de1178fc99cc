"""Dense networks: the forward pass, once over an array namespace and for one or many members.

The arithmetic is that of `skscale.networks.architecture.DenseArchitecture`; tests hold it
against the torch module.
"""

import math
from dataclasses import dataclass

import numpy as np

from ..storage.tree import expect
from .architecture import ACTIVATIONS as NAMES
from .architecture import NORMALIZATIONS, DenseArchitecture
from .namespace import as_constant, cast, in_place, namespace_of, total
from .weights import Weights

# Default of torch for layer normalization; part of what a network computes.
NORM_EPS = 1e-5

# Rows are taken in chunks whose activations stay in a core's cache, so that a layer reads
# what the layer before it wrote without a trip to memory, but not in so few that products
# lose speed. Larger arrays the C library would get from the system and give back each time:
# 1,000 rows by 128 units took 0.80 ms whole, and 0.50 in chunks.
_CHUNK_BYTES = 192 << 10
_FEWEST_ROWS = 256
# Up to so many rows all members of an ensemble are computed at once.
_FEW_ROWS = 16
# In the dtype of the array it is compared with: NumPy converts a Python number at each call.
_ZERO = {np.dtype(kind): np.zeros((), kind) for kind in (np.float32, np.float64)}


def _relu(xp, z):
    zero = _ZERO[z.dtype] if xp is np else xp.zeros_like(z)
    return in_place(xp, xp.maximum, z, zero)


def _gelu(xp, z):
    # Tanh form (Hendrycks and Gimpel 2016, section 2): the exact one needs erf, which
    # NumPy lacks. Training uses the same form.
    inner = z * z
    inner *= 0.044715
    inner += 1
    inner *= z
    inner *= math.sqrt(2 / math.pi)
    inner = in_place(xp, xp.tanh, inner)
    inner += 1
    inner *= z
    inner *= 0.5
    return inner


def _sigmoid(xp, z):
    # The tanh form neither overflows nor warns.
    s = in_place(xp, xp.tanh, z * 0.5)
    s *= 0.5
    s += 0.5
    return s


def _silu(xp, z):
    # The product with `_sigmoid`, without a call of it.
    s = in_place(xp, xp.tanh, z * 0.5)
    s *= 0.5
    s += 0.5
    s *= z
    return s


def _mish(xp, z):
    # tanh(log(1 + e)) = e (e + 2) / (e (e + 2) + 2), e = exp(z); from 20 on it is 1.
    e = xp.exp(xp.clip(z, None, 20))
    e *= e + 2
    e /= e + 2
    e *= z
    return e


def _tanh(xp, z):
    return in_place(xp, xp.tanh, z)


ACTIVATIONS = {
    "relu": _relu,
    "gelu": _gelu,
    "silu": _silu,
    "mish": _mish,
    "tanh": _tanh,
    "logistic": _sigmoid,
}


def _layer_norm(xp, h):
    centered = h - total(xp, h, -1) / h.shape[-1]
    if xp is np:
        variance = np.einsum("...j,...j->...", centered, centered)
    else:
        variance = xp.sum(centered * centered, axis=-1)
    variance /= h.shape[-1]
    variance += NORM_EPS
    # Activations whose squares overflow would all become zero: a constant prediction.
    variance[xp.isinf(variance)] = math.nan
    centered /= in_place(xp, xp.sqrt, variance)[..., None]
    return centered


@dataclass(frozen=True, eq=False)
class Dense:
    """A fitted dense network, or an ensemble of them.

    Parameters
    ----------
    architecture : DenseArchitecture
    weights : Weights
        NumPy arrays.
    """

    architecture: DenseArchitecture
    weights: Weights

    @property
    def dtype(self):
        """numpy dtype of the weights."""
        return self.weights.coefs[0].dtype

    @property
    def n_inputs(self):
        """int: width of the input."""
        return self.weights.coefs[0].shape[-2]

    @property
    def n_outputs(self):
        """int: width of the output."""
        return self.weights.coefs[-1].shape[-1]

    def outputs(self, x, buffers=None):
        """Compute the outputs of rows, before any link function.

        Parameters
        ----------
        x : array of shape (n_rows, n_inputs), or SciPy CSR array
            Of any array namespace; of an ensemble, the same rows for all members.
        buffers : ndarray of shape (2, n_numbers) or None, default=None
            Memory for what layers compute, of NumPy; None allocates it.

        Returns
        -------
        array of shape (n_rows, n_outputs), or (n_members, n_rows, n_outputs)
            Computed in float64 if either the input or the weights are.
        """
        is_dense = isinstance(x, np.ndarray)
        xp = np if is_dense else namespace_of(x)
        weights, architecture, n_rows = self.weights, self.architecture, x.shape[0]
        coefs, intercepts = weights.coefs, weights.intercepts
        if xp is not np:
            dtype = xp.result_type(x, as_constant(xp, coefs[0], x))
            x = cast(xp, x, dtype)
            coefs, intercepts = (
                [cast(xp, as_constant(xp, a, x), dtype) for a in part]
                for part in (coefs, intercepts)
            )
        elif weights.n_members is not None and not (is_dense and n_rows <= _FEW_ROWS):
            return np.stack([Dense(architecture, m).outputs(x) for m in weights.members])
        elif n_rows > _FEWEST_ROWS and buffers is None:
            return self._outputs_in_chunks(x)
        if weights.n_members is not None:
            intercepts = [b[:, None, :] for b in intercepts]
        # One row as a vector: to add one to a matrix of one row takes NumPy twice as long.
        is_vector = is_dense and n_rows == 1 and architecture.normalization is None
        is_vector &= weights.n_members is None
        h = x[0] if is_vector else x
        activate = ACTIVATIONS[architecture.activation]
        normalization, residual = architecture.normalization, architecture.residual
        last = len(coefs) - 1
        for layer, coef in enumerate(coefs):
            n_inputs, n_outputs = coef.shape[-2:]
            # One unit alone is not normalized: it would always be zero.
            x = _layer_norm(xp, h) if normalization and layer and n_inputs > 1 else h
            if buffers is None or not (layer or is_dense):
                # The same product as by the operator, which takes 1 us more to begin.
                z = x.dot(coef) if xp is np and coef.ndim == 2 else x @ coef
            else:
                z = buffers[layer % 2, : n_rows * n_outputs].reshape(n_rows, n_outputs)
                np.matmul(x, coef, out=z)
            z += intercepts[layer]
            if layer == last:
                return z[None] if is_vector else z
            a = activate(xp, z)
            if residual and layer and n_inputs == n_outputs:
                a += h
            h = a

    def _outputs_in_chunks(self, x):
        network, n_rows = self, x.shape[0]
        dtype = np.promote_types(x.dtype, self.dtype)
        if dtype != self.dtype:  # once, not for each chunk
            network = Dense(self.architecture, self.weights.astype(dtype))
        widest = max(len(b) for b in self.weights.intercepts)
        n_chunk = max(_FEWEST_ROWS, _CHUNK_BYTES // (widest * dtype.itemsize))
        outputs = np.empty((n_rows, self.n_outputs), dtype=dtype)
        # Two in turn: a layer may add to its input.
        buffers = np.empty((2, min(n_chunk, n_rows) * widest), dtype=dtype)
        for start in range(0, n_rows, n_chunk):
            rows = slice(start, start + n_chunk)
            outputs[rows] = network.outputs(x[rows], buffers)
        return outputs

    def check(self):
        """Refuse weights and an architecture that do not fit one another.

        Raises
        ------
        ValueError
        """
        expect(isinstance(self.weights, Weights), "weights")
        expect(isinstance(self.architecture, DenseArchitecture), "a dense architecture")
        self.weights.check()
        a, coefs = self.architecture, self.weights.coefs
        expect(a.activation in NAMES, "a known activation")
        expect(a.normalization in (None, *NORMALIZATIONS), "a known normalization")
        flags = (a.residual, a.scales_inputs)
        expect(all(isinstance(flag, bool) for flag in flags), "true or false")
        expect(a.fan_in is None or (type(a.fan_in) is int and a.fan_in > 0), "inputs")
        shapes = [coef.shape[-2:] for coef in coefs]
        expect(isinstance(a.widths, tuple) and len(a.widths) == len(coefs) - 1, "widths")
        expect(shapes == a.layer_shapes, "weights of the shape of the architecture")
        sizes = (a.n_features, *a.widths, a.n_outputs)
        expect(all(isinstance(n, int) for n in sizes), "widths as ints")
