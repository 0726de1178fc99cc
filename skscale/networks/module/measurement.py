"""Description of a user-defined class: its size, its cost and its random numbers, measured."""

from dataclasses import replace
from math import prod

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from ..surroundings import neutral_surroundings
from ..torch_modules import build, in_shape, temporary_random_state
from .architecture import ModuleArchitecture


def describe(module, arguments, input_shape, n_outputs, takes_integers):
    """Describe a user-defined class as a ModuleArchitecture.

    It constructs the module and passes a batch of zeros through it, to find its size, its cost
    and whether it draws random numbers.

    Parameters
    ----------
    module : type
    arguments : dict
    input_shape : tuple of int
        Shape of a sample.
    n_outputs : int
    takes_integers : bool

    Returns
    -------
    ModuleArchitecture

    Raises
    ------
    TypeError, ValueError
        If it is not a network for such input and output. An error of the module is a
        ValueError that describes its input, with the error as its cause.
    """
    trial = ModuleArchitecture(
        module, arguments, tuple(input_shape), n_outputs, takes_integers, False, 0, 0, 0, False
    )
    with neutral_surroundings():
        return _describe(trial)


def _describe(trial):
    network, module, n_outputs = build(trial), trial.module, trial.n_outputs
    if not isinstance(network, nn.Module):
        raise TypeError(f"Expected a module that is a subclass of nn.Module, got {module!r}.")
    x = _zeros(trial.input_shape, trial.takes_integers)
    with temporary_random_state(0), torch.no_grad():
        before = torch.default_generator.get_state()
        try:
            out = network.train()(x)
        except NotImplementedError:
            raise
        except (RuntimeError, IndexError, ValueError, AssertionError) as error:
            raise ValueError(_describe_error(trial, x, error)) from error
        in_shape(out, network, n_outputs)
        draws = not torch.equal(before, torch.default_generator.get_state())
        n_macs, widest = _measure(network, x)
    parameters = [p.numel() for p in network.parameters()]
    return replace(
        trial,
        draws=draws,
        n_parameters=sum(parameters),
        n_macs=n_macs,
        widest=max(widest, trial.n_features),
        has_buffers=any(True for _ in network.buffers()),
    )


def _zeros(input_shape, takes_integers):
    return torch.zeros(2, *input_shape, dtype=torch.int64 if takes_integers else None)


def _describe_error(trial, x, error):
    """Return the message for an error; if the other dtype works, that is the remedy."""
    network, others = build(trial), not trial.takes_integers
    name = type(network).__name__
    try:
        network.train()(_zeros(trial.input_shape, others))
    except Exception:
        shape = f"(n_rows, {', '.join(map(str, trial.input_shape))})"
        dtype = "int64" if trial.takes_integers else "float"
        return (
            f"{name} failed on an input of shape {shape}, {dtype}: {str(error).rstrip('.')}. "
            "Pass samples of the shape that it expects, or change the module. Its constructor "
            "gets n_features and input_shape if it accepts them."
        )
    wanted, got = ("integers", "floats") if others else ("floats", "integers")
    value = "int" if others else "float"
    return (
        f"{name} expects {wanted} (nn.Embedding, for example, takes indices), and got {got}: "
        f'{str(error).rstrip(".")}. Set input_dtype="{value}"'
        + (", with integers in X." if others else ".")
    )


def _count_lstm(x, weight_ih, weight_hh, *_, **__):
    return 2 * x[0] * x[1] * (prod(weight_ih) + prod(weight_hh))


def _count_attention(query, key, value, *_, **__):
    return sdpa_flop_count(query, key, value)


# Fused CPU kernels that torch does not count. (torch can disable them while counting, but in
# all threads: other threads would predict with other kernels, and round differently.)
_COUNTED = {
    torch.ops.aten.mkldnn_rnn_layer: _count_lstm,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _count_attention,
}


def _measure(module, x):
    """Return multiply-accumulates per row, and the largest layer output per row."""
    largest = [0]

    def record_widths(_, __, out):
        for part in out if isinstance(out, (tuple, list)) else [out]:
            if isinstance(part, torch.Tensor):
                largest.append(part.numel() // len(x))

    handles = [m.register_forward_hook(record_widths) for m in module.modules()]
    with FlopCounterMode(display=False, custom_mapping=_COUNTED) as counter:
        module(x)
    for handle in handles:
        handle.remove()
    return counter.get_total_flops() // 2 // len(x), max(largest)
