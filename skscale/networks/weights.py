"""Weights of a network or of a stack of networks, as one value."""

from dataclasses import dataclass, field, replace

import numpy as np

from ..storage.tree import expect


@dataclass(frozen=True, eq=False)
class Weights:
    """Coefficients, intercepts and buffers of one network, or of `n_members` stacked.

    Parameters
    ----------
    coefs : list of ndarray
        In a dense network (n_inputs, n_outputs) per layer, output layer last; in a module, the
        parameters with two or more dimensions.
    intercepts : list of ndarray
        In a dense network (n_outputs,) per layer; in a module, the other parameters.
    buffers : list of ndarray
        Untrained arrays, such as running means.
    n_members : int or None
        Length of the first axis of every array, the member axis; None is one network
        without it.
    """

    coefs: list
    intercepts: list
    buffers: list = field(default_factory=list)
    n_members: int | None = None

    @classmethod
    def stack(cls, networks):
        """Stack the weights of several networks, members first; return a single one as is."""
        if len(networks) == 1:
            return networks[0]
        parts = (
            [np.stack(arrays) for arrays in zip(*of_members, strict=True)]
            for of_members in zip(*(network.parts for network in networks), strict=True)
        )
        return cls(*parts, n_members=len(networks))

    @property
    def parts(self):
        """(list, list, list): coefficients, intercepts and buffers."""
        return self.coefs, self.intercepts, self.buffers

    @property
    def members(self):
        """list of Weights: views of each network."""
        if self.n_members is None:
            return [self]
        return [
            Weights(*([array[k] for array in part] for part in self.parts))
            for k in range(self.n_members)
        ]

    @property
    def trained(self):
        """list of ndarray: coefficients and intercepts."""
        return [*self.coefs, *self.intercepts]

    @property
    def dtype(self):
        """numpy dtype of the trained arrays; float32 without any."""
        return self.trained[0].dtype if self.trained else np.dtype(np.float32)

    @property
    def is_finite(self):
        """bool: whether all trained values are finite."""
        return all(np.isfinite(array).all() for array in self.trained)

    def astype(self, dtype):
        """Cast the trained arrays to a dtype, as copies."""
        coefs, intercepts = ([a.astype(dtype) for a in part] for part in self.parts[:2])
        return replace(self, coefs=coefs, intercepts=intercepts)

    def rescale_output(self, factor, shift=0.0, axis=-1):
        """Return weights with outputs multiplied by `factor` and shifted by `shift`.

        Parameters
        ----------
        factor, shift : float or ndarray of shape (n_outputs,)
        axis : int, default=-1
            Output axis of the last coefficients, -2 if inputs come last.
        """
        coef, intercept = self.coefs[-1], self.intercepts[-1]
        factor = np.asarray(factor)
        of_coef = factor[..., None] if axis == -2 else factor
        return replace(
            self,
            coefs=[*self.coefs[:-1], (coef * of_coef).astype(coef.dtype)],
            intercepts=[
                *self.intercepts[:-1],
                (intercept * factor + shift).astype(intercept.dtype),
            ],
        )

    def check(self):
        """Reject values that are not weights of a dense network, or layers that do not match.

        Raises
        ------
        ValueError
        """
        expect(all(isinstance(part, list) for part in self.parts), "weights as lists of arrays")
        n_layers = len(self.coefs)
        expect(n_layers == len(self.intercepts) > 0, "coefs and intercepts of every layer")
        expect(not self.buffers, "no buffers in a dense network")
        expect(
            self.n_members is None or type(self.n_members) is int,
            "n_members to be an int or None",
        )
        arrays = self.trained
        expect(all(type(a) is np.ndarray for a in arrays), "weights that are NumPy arrays")
        expect(all(a.ndim and a.size for a in arrays), "at least one unit in each layer")
        expect(self.coefs[0].ndim > 1, "coefs of at least two dimensions")
        is_float = {a.dtype for a in arrays} <= {np.dtype("f4"), np.dtype("f8")}
        expect(is_float, "weights of dtype float32 or float64")
        expect(len({a.dtype for a in arrays}) == 1, "weights of one dtype")
        expect(self.is_finite, "finite weights")
        members = self.coefs[0].shape[:-2]
        wanted = () if self.n_members is None else (self.n_members,)
        expect(
            members == wanted and 0 not in members, "n_members as the first axis of all arrays"
        )
        for coef, intercept in zip(self.coefs, self.intercepts, strict=True):
            expect(
                coef.ndim == len(members) + 2 and coef.shape[:-2] == members,
                f"coefs of {len(members) + 2} axes, members first, got shape {coef.shape}",
            )
            expect(
                intercept.shape == (*members, coef.shape[-1]),
                f"one intercept per unit, {coef.shape[-1]}, got shape {intercept.shape}",
            )
