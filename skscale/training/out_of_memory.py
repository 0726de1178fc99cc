"""Recognition of errors that a lack of memory has caused: see `engine`, which trains on."""

import torch

# Messages of torch, CUDA and its libraries, macOS, Windows and C++.
_MESSAGES = (
    "out of memory", "allocate memory", "not enough memory", "alloc_failed", "bad_alloc",
)  # fmt: skip


def is_out_of_memory(error):
    """Return whether an exception reports exhausted memory, of a CPU or a GPU."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    # On a CPU torch raises a plain RuntimeError, and so do CUDA's libraries.
    words = str(error).lower() if isinstance(error, RuntimeError) else ""
    return any(sign in words for sign in _MESSAGES)
