"""Resolution of the `device` hyperparameter to a torch device."""

import torch

from ..workers import gpu_of_worker


def resolve_device(device):
    """Resolve a `device` hyperparameter to a torch device.

    Parameters
    ----------
    device : str
        "auto" is "cuda" if a CUDA device is available, else "cpu". With several CUDA devices,
        "cuda" assigns them to the worker processes of a search in turn.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If the device is not available here.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise ValueError(
            f'device must be "auto", "cpu", "cuda" (or "cuda:1") or "mps", got {device!r}.'
        ) from error
    kind = resolved.type
    if kind == "cuda" and (resolved.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"Expected an available device, got device={device!r}, but the number of CUDA "
            f"devices is {torch.cuda.device_count()}. "
            'Set device="auto" to use a GPU only if there is one.'
        )
    if device == "cuda":
        index = gpu_of_worker(torch.cuda.device_count())
        return device if index is None else f"cuda:{index}"
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ValueError(
            f"Expected an available device, got device={device!r}, but there is no MPS "
            'device. Set device="cpu".'
        )
    return device
