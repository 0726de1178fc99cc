"""Decoding of the outputs of a plain module to predictions."""

import torch
from torch import nn


class DecodingModule(nn.Module):
    """Module that can decode its outputs as the head of a predictor does.

    Parameters
    ----------
    head : Labels, Numbers or None
        Numbers are scaled and shifted, after `exp` if they are logarithms, and a single column
        is returned as `(n_rows,)`. Logits, and outputs without a head, are unchanged.
    """

    def __init__(self, head):
        super().__init__()
        decodes = head is not None and head.decodes
        self.is_log = decodes and head.is_log
        # A regressor fitted on y of shape (n,) predicts that shape.
        self.is_column = decodes and head.is_column
        self.register_buffer("output_scale", torch.tensor(head.scale) if decodes else None)
        self.register_buffer("output_shift", torch.tensor(head.mean) if decodes else None)

    def decode(self, out):
        """Convert outputs to predictions."""
        if self.output_scale is None:
            return out
        if self.is_log:
            out = out.exp()
        out = out * self.output_scale + self.output_shift
        return out[:, 0] if self.is_column else out
