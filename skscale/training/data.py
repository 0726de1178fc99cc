"""Arrays as tensors on the device, each transferred once."""

import numpy as np
import torch


class DeviceData:
    """Tensors of the arrays of a list of tasks, on a device.

    On a CPU a tensor shares the memory of its array, even if that is read-only or
    memory-mapped. On another device equal requests return the same transferred tensor.

    Parameters
    ----------
    device : torch.device
    """

    def __init__(self, device):
        self.device = device
        self._tensors = {}

    def tensor(self, array):
        """Return the array as a tensor, which must not be written to; None stays None."""
        if array is None:
            return None
        key = (
            array.__array_interface__["data"][0],
            array.shape,
            array.strides,
            array.dtype.str,
        )
        if key not in self._tensors:
            # The array is stored beside its tensor, as its address is the key.
            self._tensors[key] = (array, share_memory(array).to(self.device))
        return self._tensors[key][1]


class _WritableAlias:
    # torch warns about read-only arrays, and the warning filter is shared by all threads.
    # NumPy makes a writable array from an interface that declares itself writable.
    def __init__(self, array):
        self.array = array
        address, _ = array.__array_interface__["data"]
        self.__array_interface__ = {**array.__array_interface__, "data": (address, False)}


def share_memory(array):
    """Return a tensor that shares the memory of an array; it must not be written to."""
    if any(stride < 0 or stride % array.itemsize for stride in array.strides):
        array = np.ascontiguousarray(array)  # torch does not support such strides
    elif not array.flags.writeable:
        array = np.asarray(_WritableAlias(array))
    return torch.from_numpy(array)
