"""Batches of sparse rows, as the operand of a first layer.

Both products of a first layer are weighted sums of matrix rows: rows of the weights for each
row of the batch, and rows of the gradient for each column present in the batch. torch computes
such sums by `embedding_bag`. For 128 texts of 100 terms each and 128 units it takes 0.07 ms,
and touches no array of the size of the vocabulary.
"""

import numpy as np
import torch
from torch.nn import functional


class SparseBatch:
    """Batch of rows of a sparse matrix, as tensors.

    Parameters
    ----------
    rows : SciPy CSR array of shape (n_rows, n_features)
    dtype : torch.dtype
    device : torch.device
    """

    def __init__(self, rows, dtype, device):
        def tensor(array):
            # index_copy needs 64-bit indices, unlike embedding_bag.
            is_index = array.dtype.kind == "i"
            array = torch.from_numpy(array)
            return array.to(device, torch.int64 if is_index else dtype)

        self.columns, self.values = tensor(rows.indices), tensor(rows.data)
        self.ends = tensor(rows.indptr)
        by_column = rows.tocsc()
        present = np.flatnonzero(np.diff(by_column.indptr))
        self.present = tensor(present)
        self.row_of_column = tensor(by_column.indices)
        self.value_of_column = tensor(by_column.data)
        self.column_ends = tensor(np.append(by_column.indptr[present], rows.nnz))

    def product(self, weight):
        """Return `rows @ weight`; differentiable by autograd.

        Parameters
        ----------
        weight : tensor of shape (n_features, n_outputs)

        Returns
        -------
        tensor of shape (n_rows, n_outputs)
        """
        return _sum_rows(weight, self.columns, self.ends, self.values)

    def write_gradient(self, d_product, out):
        """Write `rows.T @ d_product` where it is not zero.

        Parameters
        ----------
        d_product : tensor of shape (n_rows, n_outputs)
        out : tensor of shape (n_features, n_outputs)
            Must be zero before.
        """
        summed = _sum_rows(
            d_product, self.row_of_column, self.column_ends, self.value_of_column
        )
        out.index_copy_(0, self.present, summed)

    def clear_gradient(self, out):
        """Reset the values that `write_gradient` wrote to zero."""
        out.index_fill_(0, self.present, 0)


def _sum_rows(table, indices, ends, weights):
    return functional.embedding_bag(
        indices, table, ends, mode="sum", per_sample_weights=weights, include_last_offset=True
    )
