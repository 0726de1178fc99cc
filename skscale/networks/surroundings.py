"""Independence of torch's settings around a call.

Grad mode, inference mode, autocast and the default device belong to a thread, and a block can
set them. The default dtype belongs to the process, and a change would reach other threads: a
block replaces it function by function.
"""

import contextlib
import threading

import torch
from torch.overrides import TorchFunctionMode

# Functions whose result is of the default dtype unless they are told another.
_OF_DEFAULT_DTYPE = frozenset({
    torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn, torch.eye, torch.linspace,
    torch.logspace, torch.empty_strided, torch.scalar_tensor, torch.normal,
    torch.bartlett_window, torch.blackman_window, torch.hamming_window, torch.hann_window,
    torch.kaiser_window,
})  # fmt: skip
# Functions whose result is of the default dtype if they are given Python floats.
_OF_VALUES = frozenset({torch.tensor, torch.as_tensor, torch.asarray, torch.arange, torch.full})

_inside = threading.local()


@contextlib.contextmanager
def neutral_surroundings():
    """Run a block with torch's settings as they are in a new process.

    Gradients are recorded, nothing is cast by autocast, and tensors are made on the CPU, in
    float32. The settings are those of the thread, and come back at the end. The default dtype
    of the process is not changed.
    """
    with contextlib.ExitStack() as stack:
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        if not torch.is_grad_enabled():
            stack.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        if torch.get_default_dtype() != torch.float32 and not getattr(_inside, "mode", False):
            stack.enter_context(_Float32Default())
        yield


class _Float32Default(TorchFunctionMode):
    # Replaces the default dtype by float32, for the functions called in a block by its thread.
    # It costs microseconds a call, so it is used only where the default dtype is another one.

    def __enter__(self):
        _inside.mode = True
        return super().__enter__()

    def __exit__(self, *error):
        _inside.mode = False
        return super().__exit__(*error)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if kwargs.get("dtype") is not None or kwargs.get("out") is not None:
            return func(*args, **kwargs)
        if func in _OF_DEFAULT_DTYPE and not _tensors_in(args, kwargs):
            return func(*args, **kwargs | {"dtype": torch.float32})
        result = func(*args, **kwargs)
        if not isinstance(result, torch.Tensor) or result.dtype != torch.get_default_dtype():
            return result
        if func in _OF_VALUES:
            data = args[0] if args else kwargs.get("data", kwargs.get("obj"))
            if isinstance(data, torch.Tensor) or hasattr(data, "__array_interface__"):
                return result  # it has a dtype of its own
            return func(*args, **kwargs | {"dtype": torch.float32})
        return self._promote(func, args, kwargs, result)

    def _promote(self, func, args, kwargs, result):
        # Integers become floats of the default dtype, as in `torch.arange(n) / n`.
        given = _tensors_in(args, kwargs)
        is_explicit = func is torch.Tensor.double or any(
            isinstance(a, (torch.dtype, str)) for a in args
        )
        if not given or is_explicit or any(t.dtype.is_floating_point for t in given):
            return result
        if any(t.dtype.is_complex for t in given):
            return result

        def cast(a):
            return a.to(torch.float32) if isinstance(a, torch.Tensor) else a

        try:
            return func(*map(cast, args), **{name: cast(a) for name, a in kwargs.items()})
        except (RuntimeError, TypeError):  # such as torch.where, whose condition stays boolean
            return result.to(torch.float32)


def _tensors_in(args, kwargs):
    return [a for a in (*args, *kwargs.values()) if isinstance(a, torch.Tensor)]
