"""Forward pass of dense networks, for any array namespace, alone or as an ensemble.

It computes `architecture.DenseArchitecture`; tests compare it with the torch module.
"""

import math
from dataclasses import dataclass

import numpy as np

from ...storage.tree import expect
from ..activations import ACTIVATIONS
from ..constants import NORM_EPS
from ..interface import Architecture, FittedNetwork
from ..namespace import as_constant, cast, in_place, namespace_of, total
from ..weights import Weights

# Rows are processed in chunks whose activations fit a core's cache, so that a layer reads its
# input from the cache, but large enough for fast products. For larger arrays, the C library
# would request and return memory each time: 1,000 rows by 128 units took 0.80 ms at once, and
# 0.50 ms in chunks.
_CHUNK_BYTES = 192 << 10
_MIN_ROWS = 256
# Up to this number of rows, all members of an ensemble are computed at once.
_FEW_ROWS = 16
# A table, because one more function call per prediction is measurable for a single row.
_FORWARD = {name: activation.forward for name, activation in ACTIVATIONS.items()}


def _layer_norm(xp, h):
    centered = h - total(xp, h, -1) / h.shape[-1]
    if xp is np:
        variance = np.einsum("...j,...j->...", centered, centered)
    else:
        variance = xp.sum(centered * centered, axis=-1)
    variance /= h.shape[-1]
    variance += NORM_EPS
    # If squares overflow, all activations would become zero: a constant prediction.
    variance[xp.isinf(variance)] = math.nan
    centered /= in_place(xp, xp.sqrt, variance)[..., None]
    return centered


@dataclass(frozen=True, eq=False)
class Dense(FittedNetwork):
    """Fitted dense network, or an ensemble of them.

    Parameters
    ----------
    architecture : DenseArchitecture
    weights : Weights
        NumPy arrays.
    """

    architecture: Architecture
    weights: Weights

    needs_torch = False

    @property
    def dtype(self):
        """numpy dtype of the weights."""
        return self.weights.coefs[0].dtype

    @property
    def n_inputs(self):
        """int: width of the input."""
        return self.weights.coefs[0].shape[-2] + self.architecture.n_direct

    @property
    def n_outputs(self):
        """int: width of the output."""
        return self.weights.coefs[-1].shape[-1]

    @property
    def n_members(self):
        """int: number of networks."""
        return self.weights.n_members or 1

    @property
    def factors(self):
        """ndarray of shape (n_members,): factors of the outputs, which the weights include."""
        return np.ones(self.n_members)

    def outputs(self, x, buffers=None):
        """Compute the outputs of rows, before any link function.

        Parameters
        ----------
        x : array of shape (n_rows, n_inputs), or SciPy CSR array
            In any array namespace; all members of an ensemble get the same rows.
        buffers : ndarray of shape (2, n_numbers) or None, default=None
            NumPy memory for the layer outputs; None allocates it.

        Returns
        -------
        array of shape (n_rows, n_outputs), or (n_members, n_rows, n_outputs)
            float64 if the input or the weights are, else float32.
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
        elif n_rows > _MIN_ROWS and buffers is None:
            return self._outputs_in_chunks(x)
        if weights.n_members is not None:
            intercepts = [b[:, None, :] for b in intercepts]
        # One row as a vector: adding to a one-row matrix takes NumPy twice as long.
        is_vector = is_dense and n_rows == 1 and architecture.normalization is None
        is_vector &= weights.n_members is None
        h = x[0] if is_vector else x
        n_direct, direct = architecture.n_direct, None
        if n_direct:
            h, direct = h[..., :-n_direct], h[..., -n_direct:]
        activation = architecture.activation
        activate = _FORWARD.get(activation) or activation.forward
        normalization, residual = architecture.normalization, architecture.residual
        last = len(coefs) - 1
        for layer, coef in enumerate(coefs):
            n_inputs, n_outputs = coef.shape[-2:]
            is_last = layer == last
            if direct is not None and is_last:
                n_inputs -= n_direct
                coef, of_direct = coef[..., :n_inputs, :], coef[..., n_inputs:, :]
            # A single unit is not normalized: it would always be zero.
            x = _layer_norm(xp, h) if normalization and layer and n_inputs > 1 else h
            if buffers is None or not (layer or is_dense):
                # The same product as the operator, which has 1 us more overhead.
                z = x.dot(coef) if xp is np and coef.ndim == 2 else x @ coef
            else:
                z = buffers[layer % 2, : n_rows * n_outputs].reshape(n_rows, n_outputs)
                np.matmul(x, coef, out=z)
            z += intercepts[layer]
            if is_last:
                if direct is not None:
                    z += direct @ of_direct
                return z[None] if is_vector else z
            a = activate(xp, z)
            if residual and layer and n_inputs == n_outputs:
                a += h
            h = a

    def _outputs_in_chunks(self, x):
        network, n_rows = self, x.shape[0]
        dtype = np.promote_types(x.dtype, self.dtype)
        if dtype != self.dtype:  # convert once, not in each chunk
            network = Dense(self.architecture, self.weights.astype(dtype))
        widest = max(len(b) for b in self.weights.intercepts)
        n_chunk = max(_MIN_ROWS, _CHUNK_BYTES // (widest * dtype.itemsize))
        outputs = np.empty((n_rows, self.n_outputs), dtype=dtype)
        # Two buffers in turn: a layer may add to its input.
        buffers = np.empty((2, min(n_chunk, n_rows) * widest), dtype=dtype)
        for start in range(0, n_rows, n_chunk):
            rows = slice(start, start + n_chunk)
            outputs[rows] = network.outputs(x[rows], buffers)
        return outputs

    def check(self):
        """Reject weights that do not match the architecture.

        Raises
        ------
        ValueError
        """
        expect(isinstance(self.weights, Weights), "the weights of a network")
        self.weights.check()
        expect(isinstance(self.architecture, Architecture), "the architecture of a network")
        family = self.architecture.family
        network = family.fitted_network(self.architecture, self.weights, self.factors, "cpu")
        expect(type(network) is type(self), "the architecture of a dense network")
        a, coefs = self.architecture, self.weights.coefs
        shapes = [coef.shape[-2:] for coef in coefs]
        expect(
            isinstance(a.widths, tuple) and len(a.widths) == len(coefs) - 1,
            "one width per hidden layer",
        )
        a.check()
        expect(shapes == a.layer_shapes, f"coefs of shapes {a.layer_shapes}, got {shapes}")
