"""From the outputs of a plain module to predictions."""

import torch
from torch import nn


class DecodingModule(nn.Module):
    """A module whose outputs may be decoded as the head of a predictor does it.

    Parameters
    ----------
    head : Labels, Numbers or None
        Numbers are scaled and moved, after `exp` if they are logarithms, and one column is
        returned as `(n_rows,)`. Logits, and the outputs of None, stay what they are.
    """

    def __init__(self, head):
        super().__init__()
        decodes = head is not None and head.decodes
        self.is_log = decodes and head.is_log
        # A regressor fitted on a y of shape (n,) predicts that shape.
        self.is_column = decodes and head.is_column
        self.register_buffer("output_scale", torch.tensor(head.scale) if decodes else None)
        self.register_buffer("output_shift", torch.tensor(head.mean) if decodes else None)

    def decode(self, out):
        """Return predictions of outputs."""
        if self.output_scale is None:
            return out
        if self.is_log:
            out = out.exp()
        out = out * self.output_scale + self.output_shift
        return out[:, 0] if self.is_column else out
