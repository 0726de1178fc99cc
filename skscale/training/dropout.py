"""Dropout masks of a stack, drawn for a few steps at a time.

On a CPU, torch's dropout takes 30 us for a batch of 128 rows by 32 units, and 100 us by 128
units: longer than the layer's product. Raw bits of NumPy's SFC64, 16 per unit, compared with a
threshold, take a tenth of that, and each feed has its own generator. On a GPU the bits come
from a hashed counter on the device, so that nothing is transferred. So masks differ between CPU
and GPU.
"""

import itertools

import numpy as np
import torch

from .random import DropoutRate


class MaskSource:
    """Source of the dropout masks of a stack.

    Parameters
    ----------
    randoms : list of FeedRandom
        One per feed: its members see the same random numbers, each with its own rate.
    dropouts : list of lists of float
        For each feed, one per member; a feed without dropout draws nothing.
    widths : tuple of int
        Units of each hidden layer.
    capacity : int
        Largest number of steps per call.
    n_rows : int
        Rows of a step.
    dtype : torch.dtype
    device : torch.device

    Attributes
    ----------
    masks : list of tensors of shape (capacity, n_members, n_rows, width)
        0 for a dropped unit, else 1 / (1 - rate).
    """

    def __init__(self, randoms, dropouts, widths, capacity, n_rows, dtype, device):
        self.randoms = randoms
        self.widths = widths
        self.feeds = [f for f, rates in enumerate(dropouts) if max(rates) > 0]
        rates = [DropoutRate(rate) for of_feed in dropouts for rate in of_feed]
        n_feeds, n_members, n_units = len(randoms), len(rates), sum(widths)
        self.n_units = n_units
        self.is_on_cpu = device.type == "cpu"
        self.bits = torch.zeros(
            capacity, n_feeds, n_rows, n_units, dtype=torch.int16, device=device
        )
        # int16 holds every threshold; without dropout no bit pattern is below it.
        self.thresholds = torch.tensor(
            [rate.threshold for rate in rates], dtype=torch.int16, device=device
        ).view(-1, 1, 1)
        self.scales = torch.tensor(
            [rate.scale for rate in rates], dtype=dtype, device=device
        ).view(-1, 1, 1)
        self.masks = [
            torch.empty(capacity, n_members, n_rows, w, dtype=dtype, device=device)
            for w in widths
        ]
        # (feeds, members) that are compared in one call.
        if n_feeds == n_members:
            self.slices = [(slice(None), slice(None))]
        else:
            stops = list(itertools.accumulate(map(len, dropouts), initial=0))
            self.slices = [
                (slice(f, f + 1), slice(*ends))
                for f, ends in enumerate(itertools.pairwise(stops))
            ]

    def draw(self, n_steps, n_rows_of_feed):
        """Overwrite the masks of the next steps.

        Parameters
        ----------
        n_steps : int
        n_rows_of_feed : list of int
            Rows of each feed in these steps; the rest is padding.
        """
        for f in self.feeds:
            n_rows, random = n_rows_of_feed[f], self.randoms[f]
            n = n_rows * self.n_units
            padded = -(-n // 4) * 4
            into = self.bits[:n_steps, f, :n_rows]
            if self.is_on_cpu:
                bits = torch.from_numpy(random.mask_bits(n_steps * padded))
            else:
                first = random.count_masks(n_steps * padded // 4)
                bits = hashed_bits(random.mask_key, first, n_steps * padded // 4, into.device)
            into.copy_(bits.view(n_steps, padded)[:, :n].view(n_steps, n_rows, self.n_units))
        start = 0
        for width, mask in zip(self.widths, self.masks, strict=True):
            bits = self.bits[:n_steps, ..., start : start + width]
            for feeds, members in self.slices:
                torch.ge(bits[:, feeds], self.thresholds[members], out=mask[:n_steps, members])
            mask[:n_steps].mul_(self.scales)
            start += width


def hashed_bits(key, first, n, device):
    """Hash the counters `first` to `first + n - 1` into 4 `n` int16 numbers.

    The finalizer of SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable
    pseudorandom number generators", figure 13), in torch's signed integers.

    Parameters
    ----------
    key : int
        64-bit key of the feed.
    first, n : int
    device : torch.device

    Returns
    -------
    int16 tensor of shape (4 * n,)
    """

    def signed(value):
        return int(np.uint64(value).astype(np.int64))

    def logical_shift(x, by):
        # torch's shift copies the sign bit.
        return (x >> by) & (2 ** (64 - by) - 1)

    x = torch.arange(first + 1, first + 1 + n, dtype=torch.int64, device=device)
    x = x * signed(0x9E3779B97F4A7C15) + signed(key)
    x = (x ^ logical_shift(x, 30)) * signed(0xBF58476D1CE4E5B9)
    x = (x ^ logical_shift(x, 27)) * signed(0x94D049BB133111EB)
    return (x ^ logical_shift(x, 31)).view(torch.int16)
