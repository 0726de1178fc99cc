"""Networks from any nn.Module: plain, and as members of a stack.

A member's parameters are views into the flat buffer of its stack, so that the optimizer is
the same as for dense networks. A single network is the module itself, with these views as
parameters and their gradients as `.grad`: autograd writes where the optimizer reads. Several
are one batched call with `torch.func` (`functional_call` under `vmap`).

Modules draw random numbers from torch's default generator, since dropout between the layers of
an LSTM accepts no other. `lent_generator` sets its state temporarily.
"""

import contextlib
import threading
from dataclasses import replace
from math import prod

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from ..forks import hold_while_forking
from .architecture import ConvolutionalArchitecture, ModuleArchitecture
from .convolutional import ConvolutionalNetwork
from .decoding import DecodingModule
from .parameters import ParameterShapes
from .weights import Weights

# Held by one thread at a time: the process has one default generator. After a fork, a child
# would have the generator in the state of a training thread that it does not have.
_lending = hold_while_forking(threading.RLock())


@contextlib.contextmanager
def lent_generator(state, device="cpu"):
    """Run torch's default generator from a given state, and restore its own state after.

    Parameters
    ----------
    state : int or dict
        A seed, or a dict yielded before. The dict is updated, so that the state continues.
    device : torch.device or str

    Yields
    ------
    dict
        The generators' states by device, complete once the block has ended.
    """
    states = state if isinstance(state, dict) else {}
    kind = torch.device(device)
    with _lending:
        generators = {"cpu": torch.default_generator}
        if kind.type == "cuda":
            index = torch.cuda.current_device() if kind.index is None else kind.index
            # Keyed by device type: training may resume on another GPU.
            generators["cuda"] = torch.cuda.default_generators[index]
        former = {name: g.get_state() for name, g in generators.items()}
        try:
            for name, generator in generators.items():
                if name in states:
                    generator.set_state(torch.as_tensor(states[name]))
                else:
                    seed = state if not isinstance(state, dict) else state.get("seed", 0)
                    generator.manual_seed(seed % 2**63)
            yield states
        finally:
            for name, generator in generators.items():
                states[name] = generator.get_state()
                generator.set_state(former[name])


def build(architecture, seed=0):
    """Construct the module of an architecture, with random numbers from the seed."""
    with lent_generator(seed):
        if isinstance(architecture, ConvolutionalArchitecture):
            return ConvolutionalNetwork(architecture)
        return architecture.build()


def split(module):
    """Split a module into parameters and buffers, by name.

    Parameters
    ----------
    module : nn.Module

    Returns
    -------
    weights : dict of str to tensor
        Parameters with two or more dimensions, which weight decay applies to.
    biases : dict of str to tensor
        Other parameters.
    buffers : dict of str to tensor
    """
    parameters = dict(module.named_parameters())
    weights = {name: p for name, p in parameters.items() if p.dim() >= 2}
    biases = {name: p for name, p in parameters.items() if p.dim() < 2}
    return weights, biases, dict(module.named_buffers())


def parameter_shapes(architecture):
    """Return the ParameterShapes of an architecture's module."""
    weights, biases, buffers = split(build(architecture))
    return ParameterShapes(
        [tuple(p.shape) for p in weights.values()],
        [tuple(p.shape) for p in biases.values()],
        None,
        [
            (tuple(b.shape), None if b.is_floating_point() else b.dtype)
            for b in buffers.values()
        ],
    )


def weights_of(module, dtype=None):
    """Copy the Weights of a module."""

    def array(tensor):
        found = tensor.detach().cpu()
        if dtype is not None and found.is_floating_point():
            return found.to(torch.float64).numpy().astype(dtype)
        return found.numpy().copy()

    return Weights(*([array(tensor) for tensor in part.values()] for part in split(module)))


def load_weights_(module, weights):
    """Load Weights into a module's parameters and buffers, in their dtype; return it."""
    if weights.coefs:
        module.to(torch.from_numpy(weights.coefs[0][:0]).dtype)
    tensors = [tensor for part in split(module) for tensor in part.values()]
    with torch.no_grad():
        for own, value in zip(tensors, [*weights.trained, *weights.buffers], strict=True):
            own.copy_(torch.as_tensor(value).view(own.shape))
    return module


def draw(architecture, generator, dtype):
    """Draw the initial Weights of a network.

    Parameters
    ----------
    architecture : ConvolutionalArchitecture or ModuleArchitecture
    generator : numpy.random.Generator
    dtype : numpy dtype
    """
    return weights_of(build(architecture, int(generator.integers(2**62))), dtype)


class BoundModule:
    """Module whose parameters are those of a stack.

    Parameters
    ----------
    architecture : ConvolutionalArchitecture or ModuleArchitecture
    parameters : StackedParameters
    gradients : StackedParameters or None, default=None
        Where to write the gradients of a single network.
    training : bool, default=False
        Mode of the module.
    """

    def __init__(self, architecture, parameters, gradients=None, training=False):
        self.architecture = architecture
        self.parameters = parameters
        device, dtype = parameters.flat.device, parameters.flat.dtype
        self.module = build(architecture).to(device=device, dtype=dtype).train(training)
        weights, biases, buffers = split(self.module)
        self.names = [*weights, *biases]
        self.buffer_names = list(buffers)
        self.tensors = parameters.weights + parameters.biases
        self.is_alone = parameters.n_members == 1
        if self.is_alone:
            derived = None if gradients is None else gradients.weights + gradients.biases
            for k, own in enumerate([*weights.values(), *biases.values()]):
                own.data = self.tensors[k][0]
                own.grad = None if derived is None else derived[k][0]
            for name, buffer in zip(buffers, parameters.buffers, strict=True):
                self._set_buffer(name, buffer[0])

    def _set_buffer(self, name, value):
        path, _, leaf = name.rpartition(".")
        self.module.get_submodule(path)._buffers[leaf] = value

    def keep_buffers(self):
        """Copy buffers that the module has replaced instead of overwritten."""
        if not self.is_alone:
            return
        held = dict(self.module.named_buffers())
        for name, kept in zip(self.buffer_names, self.parameters.buffers, strict=True):
            if held[name].data_ptr() != kept.data_ptr():
                kept[0].copy_(held[name])
                self._set_buffer(name, kept[0])

    def __call__(self, x, masks=None, sizes=None, tensors=None):
        """Compute the outputs.

        Parameters
        ----------
        x : tensor of shape (n_batches, n_rows, n_features)
        masks : list of tensors of shape (n_members, n_rows, width) or None
        sizes : list of int or None
            Number of consecutive members that share each batch; None is one each.
        tensors : list of tensors or None
            For several members, replace their parameters.

        Returns
        -------
        tensor of shape (n_members, n_rows, n_outputs)
        """
        n_outputs = self.architecture.n_outputs
        shaped = x.view(*x.shape[:2], *self.architecture.input_shape)
        if self.is_alone:
            given = {"masks": [mask[0] for mask in masks]} if masks else {}
            return in_shape(self.module(shaped[0], **given), self.module, n_outputs)[None]
        if sizes is not None and len(sizes) != self.parameters.n_members:
            of_member = [b for b, n in enumerate(sizes) for _ in range(n)]
            if len(sizes) == 1:
                shaped = shaped.expand(self.parameters.n_members, *shaped.shape[1:])
            else:
                shaped = shaped[of_member]
        parameters = dict(
            zip(self.names, self.tensors if tensors is None else tensors, strict=True)
        )
        buffers = dict(zip(self.buffer_names, self.parameters.buffers, strict=True))

        def compute(own, held, rows, masks):
            given = {"masks": masks} if masks else {}
            out = torch.func.functional_call(self.module, (own, held), (rows,), given)
            return in_shape(out, self.module, n_outputs)

        return torch.vmap(compute, in_dims=(0, 0, 0, None if masks is None else 0))(
            parameters, buffers, shaped, masks
        )


def predictor(architecture, parameters):
    """Make the function that computes the outputs of a stack: see `families`."""
    bound = BoundModule(architecture, parameters)

    def predict(x, sizes=None):
        with lent_generator(0, x.device) if architecture.draws else contextlib.nullcontext():
            return bound(x, sizes=sizes)

    return predict


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
        If it is not a network for such input and output; also any error of the module.
    """
    trial = ModuleArchitecture(
        module, arguments, tuple(input_shape), n_outputs, takes_integers, False, 0, 0, 0, False
    )
    network = build(trial)
    if not isinstance(network, nn.Module):
        raise TypeError(f"module must be a class of nn.Module, got {module!r}.")
    x = torch.zeros(2, *input_shape)
    if takes_integers:
        x = x.long()
    with lent_generator(0), torch.no_grad():
        before = torch.default_generator.get_state()
        in_shape(network.train()(x), network, n_outputs)
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


def in_shape(out, module, n_outputs):
    """Return a module's output as (n_rows, n_outputs), or raise if it has another shape."""
    name = type(module).__name__
    if not isinstance(out, torch.Tensor):
        raise TypeError(
            f"{name} must return a tensor of shape (n_rows, n_outputs), got a "
            f"{type(out).__name__}."
        )
    if out.dim() == 1 and n_outputs == 1:
        out = out[:, None]
    if out.dim() != 2 or out.shape[1] != n_outputs:
        raise ValueError(
            f"{name} must return a tensor of shape (n_rows, n_outputs), here (n_rows, "
            f"{n_outputs}), got {tuple(out.shape)}. Let its last layer have n_outputs units."
        )
    return out


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

    def note(_, __, out):
        for part in out if isinstance(out, (tuple, list)) else [out]:
            if isinstance(part, torch.Tensor):
                largest.append(part.numel() // len(x))

    handles = [m.register_forward_hook(note) for m in module.modules()]
    with FlopCounterMode(display=False, custom_mapping=_COUNTED) as counter:
        module(x)
    for handle in handles:
        handle.remove()
    return counter.get_total_flops() // 2 // len(x), max(largest)


class FittedModule(DecodingModule):
    """Trained module with decoding of its outputs: samples to `(n_rows, n_outputs)`.

    Parameters
    ----------
    architecture : ConvolutionalArchitecture or ModuleArchitecture
    network : nn.Module
    factor : float, default=1.0
        Factor of the outputs.
    head : Labels, Numbers or None
        Decodes the outputs afterwards: see `DecodingModule`.
    """

    def __init__(self, architecture, network, *, factor=1.0, head=None):
        super().__init__(head)
        self.architecture = architecture
        self.network = network
        self.factor = factor

    def forward(self, x, masks=None):
        """Compute the outputs of samples or rows, with dropout masks if given."""
        out = outputs_of(self.architecture, self.network, x, masks)
        return self.decode(out if self.factor == 1 else out * self.factor)


class TrainableModule(FittedModule):
    """Module for skorch's training loop: `(n_rows, n_features)` to `(n_rows, n_outputs)`."""

    @property
    def decayed_names(self):
        """list of str: parameters that weight decay applies to."""
        return [f"network.{name}" for name in split(self.network)[0]]

    def get_weights(self):
        """Return the weights as Weights."""
        return weights_of(self.network)


def outputs_of(architecture, network, x, masks=None):
    """Compute the outputs of a module for samples, or for flattened samples."""
    x = x.reshape(len(x), *architecture.input_shape)
    if architecture.takes_integers:
        x = x.long()
    elif (parameter := next(network.parameters(), None)) is not None:
        x = x.to(parameter.dtype)
    given = {"masks": masks} if masks else {}
    return in_shape(network(x, **given), network, architecture.n_outputs)


# Bytes of the activations of a layer during prediction.
_PREDICTION_BYTES = 32 << 20


def compute(architecture, network, x, device="cpu"):
    """Compute the outputs of a trained module, in blocks of rows.

    Parameters
    ----------
    architecture : ConvolutionalArchitecture or ModuleArchitecture
    network : nn.Module
        In evaluation mode.
    x : ndarray of shape (n_rows, n_features)
    device : str, default="cpu"

    Returns
    -------
    ndarray of shape (n_rows, n_outputs)
    """
    if next(iter(network.parameters()), torch.zeros(0)).device != torch.device(device):
        network.to(device)
    n_block = max(1, _PREDICTION_BYTES // (4 * architecture.widest))
    found = []
    lent = lent_generator(0, device) if architecture.draws else contextlib.nullcontext()
    with torch.inference_mode(), lent:
        for start in range(0, max(1, len(x)), n_block):
            # torch does not support negative strides.
            block = np.ascontiguousarray(x[start : start + n_block])
            rows = torch.tensor(block, device=device)
            out = outputs_of(architecture, network, rows)
            found.append(out.to("cpu", torch.promote_types(out.dtype, torch.float32)).numpy())
    return found[0] if len(found) == 1 else np.concatenate(found)
