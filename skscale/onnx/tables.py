"""Columns of a table in an ONNX graph, from one or several tensors."""

import numpy as np
from skl2onnx.common.data_types import StringTensorType

# Strings that runtimes convert Python's missing values to.
MISSING_WORDS = ("", "nan", "None", "<NA>")


class TensorColumns:
    """Columns of one tensor, or of several concatenated tensors.

    Parameters
    ----------
    graph : Graph
    variables : list of skl2onnx.common._topology.Variable
        Tensors of two axes.
    n_columns : int
        Number of columns that the estimator was fitted on.
    names : ndarray of str or None
        Their names, if the estimator has seen any.

    Raises
    ------
    ValueError
        If the columns differ from those of the fit.
    """

    def __init__(self, graph, variables, n_columns, names):
        self._graph = graph
        self._variables = variables
        self._widths = widths_of(variables, n_columns)
        found = [variable.raw_name for variable in variables]
        if names is not None and found != list(names) and set(found) == set(names):
            raise ValueError(
                f"The inputs have the order {found}. Expected the order of the columns in fit, "
                f"{list(names)}: reorder initial_types."
            )

    def numbers(self, places, dtype):
        """Return the name of some columns, cast to a numeric type.

        Parameters
        ----------
        places : ndarray of int
            Indices of the columns, ascending.
        dtype : numpy dtype
        """
        return self._graph.join([self._graph.cast(x, dtype) for x, _ in self._parts(places)])

    def column(self, place):
        """Return the name of a column of shape (n, 1), and whether it holds strings."""
        ((x, kind),) = self._parts([place])
        return x, isinstance(kind, StringTensorType)

    def _parts(self, places):
        """Yield the name of the selected columns of each tensor, and its type."""
        start = 0
        for variable, width in zip(self._variables, self._widths, strict=True):
            inside = [p - start for p in places if start <= p < start + width]
            start += width
            if inside:
                x = variable.full_name
                yield x if len(inside) == width else self._graph.take(x, inside), variable.type


def widths_of(variables, n_columns):
    """Return the number of columns of each tensor.

    Parameters
    ----------
    variables : list of skl2onnx.common._topology.Variable
    n_columns : int
        Number of columns that the estimator was fitted on.

    Returns
    -------
    list of int

    Raises
    ------
    ValueError
        If there are too many or too few columns, or their number is unknown.
    """
    shapes = [variable.type.shape for variable in variables]
    if any(len(shape) not in (0, 2) for shape in shapes):
        raise ValueError(
            f"The inputs have shapes {shapes}. Expected two axes each, the first of any length "
            "(None)."
        )
    widths = [shape[1] if len(shape) == 2 else None for shape in shapes]
    if len(widths) == 1 and not isinstance(widths[0], (int, np.integer)):
        return [n_columns]
    known = [width for width in widths if isinstance(width, (int, np.integer))]
    if len(known) < len(widths) or sum(known) != n_columns:
        raise ValueError(
            f"The inputs have {widths} columns. Expected {n_columns} in total, as in fit."
        )
    return [int(width) for width in widths]
