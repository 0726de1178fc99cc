"""Networks that are any nn.Module: plain, and as members of a stack.

A member's parameters are views into the flat buffer of its stack, so that the optimiser is
that of the dense networks. One network is its module itself, with these views as parameters
and their gradients as `.grad`: autograd writes where the optimiser reads. Several are one
batched call by `torch.func` (`functional_call` under `vmap`).

Modules draw random numbers from torch's default generator: dropout between the layers of an
LSTM knows no other. They are lent ours: see `lent_generator`.
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
from ..inference.weights import Weights
from .architecture import ModuleArchitecture
from .parameters import ParameterShapes

# One at a time: the default generator is the process's. A child would find it lent to a thread
# that it does not have, in the state of that thread's training.
_lending = hold_while_forking(threading.RLock())


@contextlib.contextmanager
def lent_generator(state, device="cpu"):
    """Let torch's default generator go on from a state, and put its own back afterwards.

    Parameters
    ----------
    state : int or dict
        A seed, or what was yielded before, which is then overwritten: the state goes on.
    device : torch.device or str

    Yields
    ------
    dict
        The generators' states by device, once the block has ended.
    """
    states = state if isinstance(state, dict) else {}
    kind = torch.device(device)
    with _lending:
        generators = {"cpu": torch.default_generator}
        if kind.type == "cuda":
            index = torch.cuda.current_device() if kind.index is None else kind.index
            # By its kind: a training may go on where there is another GPU.
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
    """Construct the module of an architecture; its random numbers come from the seed."""
    with lent_generator(seed):
        return architecture.build()


def split(module):
    """Return the names of a module's parameters and buffers.

    Parameters
    ----------
    module : nn.Module

    Returns
    -------
    weights : list of str
        Parameters of two and more dimensions, which weight decay acts on.
    biases : list of str
        Other parameters.
    buffers : list of str
    """
    named = [(name, p.dim()) for name, p in module.named_parameters()]
    weights = [name for name, n_dims in named if n_dims >= 2]
    biases = [name for name, n_dims in named if n_dims < 2]
    return weights, biases, [name for name, _ in module.named_buffers()]


def parameter_shapes(architecture):
    """Return the ParameterShapes of an architecture's module."""
    return shapes_of(build(architecture))


def shapes_of(module):
    """Return the ParameterShapes of a module."""
    weights, biases, buffers = split(module)
    parameters, held = dict(module.named_parameters()), dict(module.named_buffers())
    return ParameterShapes(
        [tuple(parameters[name].shape) for name in weights],
        [tuple(parameters[name].shape) for name in biases],
        None,
        [
            (
                tuple(held[name].shape),
                None if held[name].is_floating_point() else held[name].dtype,
            )
            for name in buffers
        ],
    )


def weights_of(module, dtype=None):
    """Return the Weights of a module."""
    parameters, held = dict(module.named_parameters()), dict(module.named_buffers())

    def array(tensor):
        found = tensor.detach().cpu()
        if dtype is not None and found.is_floating_point():
            return found.to(torch.float64).numpy().astype(dtype)
        return found.numpy().copy()

    weights, biases, buffers = split(module)
    return Weights(
        [array(parameters[name]) for name in weights],
        [array(parameters[name]) for name in biases],
        [array(held[name]) for name in buffers],
    )


def load_weights_(module, weights):
    """Overwrite a module's parameters and buffers by Weights, in their dtype; return it."""
    if weights.coefs:
        module.to(torch.from_numpy(weights.coefs[0][:0]).dtype)
    own = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    names = [name for part in split(module) for name in part]
    with torch.no_grad():
        for name, value in zip(names, [*weights.trained, *weights.buffers], strict=True):
            own[name].copy_(torch.as_tensor(value).view(own[name].shape))
    return module


def draw(architecture, generator, dtype):
    """Return the initial Weights of a network.

    Parameters
    ----------
    architecture : ConvolutionalArchitecture or ModuleArchitecture
    generator : numpy.random.Generator
    dtype : numpy dtype
    """
    return weights_of(build(architecture, int(generator.integers(2**62))), dtype)


class BoundModule:
    """A module whose parameters are those of a stack.

    Parameters
    ----------
    architecture : ConvolutionalArchitecture or ModuleArchitecture
    parameters : StackedParameters
    gradients : StackedParameters or None, default=None
        Where the gradients of a single network are to be written.
    training : bool, default=False
        Of the module.
    """

    def __init__(self, architecture, parameters, gradients=None, training=False):
        self.architecture = architecture
        self.parameters = parameters
        device, dtype = parameters.flat.device, parameters.flat.dtype
        self.module = build(architecture).to(device=device, dtype=dtype).train(training)
        weights, biases, buffers = split(self.module)
        self.names = weights + biases
        self.buffer_names = buffers
        self.tensors = parameters.weights + parameters.biases
        self.is_alone = parameters.n_members == 1
        if self.is_alone:
            own = dict(self.module.named_parameters())
            derived = None if gradients is None else gradients.weights + gradients.biases
            for k, name in enumerate(self.names):
                own[name].data = self.tensors[k][0]
                own[name].grad = None if derived is None else derived[k][0]
            for name, buffer in zip(buffers, parameters.buffers, strict=True):
                self._set_buffer(name, buffer[0])

    def _set_buffer(self, name, value):
        path, _, leaf = name.rpartition(".")
        self.module.get_submodule(path)._buffers[leaf] = value

    def keep_buffers(self):
        """Note the buffers that the module has replaced rather than overwritten."""
        if not self.is_alone:
            return
        held = dict(self.module.named_buffers())
        for name, kept in zip(self.buffer_names, self.parameters.buffers, strict=True):
            if held[name].data_ptr() != kept.data_ptr():
                kept[0].copy_(held[name])
                self._set_buffer(name, kept[0])

    def __call__(self, x, masks=None, sizes=None, tensors=None):
        """Return the outputs.

        Parameters
        ----------
        x : tensor of shape (n_batches, n_rows, n_features)
        masks : list of tensors of shape (n_members, n_rows, width) or None
        sizes : list of int or None
            Members that share each batch, one after the other; None is one each.
        tensors : list of tensors or None
            Of several members, in place of their parameters.

        Returns
        -------
        tensor of shape (n_members, n_rows, n_outputs)
        """
        n_outputs = self.architecture.n_outputs
        shaped = x.view(*x.shape[:2], *self.architecture.input_shape)
        if self.is_alone:
            given = {} if not masks else {"masks": [mask[0] for mask in masks]}
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
            given = {} if masks is None else {"masks": masks}
            out = torch.func.functional_call(self.module, (own, held), (rows,), given)
            return in_shape(out, self.module, n_outputs)

        return torch.vmap(compute, in_dims=(0, 0, 0, None if masks is None else 0))(
            parameters, buffers, shaped, masks
        )


def predictor(architecture, parameters):
    """Return what computes the outputs of a stack: see `families`."""
    bound = BoundModule(architecture, parameters)

    def predict(x, sizes=None):
        with lent_generator(0, x.device) if architecture.draws else contextlib.nullcontext():
            return bound(x, sizes=sizes)

    return predict


def describe(module, arguments, input_shape, n_outputs, takes_integers):
    """Return the ModuleArchitecture of a class of the user's own.

    It is constructed, and computes a batch of zeros, to see what it is: its size, its cost and
    whether it draws random numbers.

    Parameters
    ----------
    module : type
    arguments : dict
    input_shape : tuple of int
        Of a sample.
    n_outputs : int
    takes_integers : bool

    Returns
    -------
    ModuleArchitecture

    Raises
    ------
    TypeError, ValueError
        If it is no network for such input and output; whatever the module raises.
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
        n_macs, widest = _count_macs(network, x), _largest_activation(network, x)
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
    """Return what a module put out as (n_rows, n_outputs), or say what is wrong."""
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


# Fused kernels of the CPU that torch does not count. (To switch them off meanwhile, as it can,
# would do so in all threads: others would predict by other kernels, and round otherwise.)
_COUNTED = {
    torch.ops.aten.mkldnn_rnn_layer: _count_lstm,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _count_attention,
}


def _count_macs(module, x):
    with FlopCounterMode(display=False, custom_mapping=_COUNTED) as counter:
        module.train()(x)
    return counter.get_total_flops() // 2 // len(x)


def _largest_activation(module, x):
    largest = [0]

    def note(_, __, out):
        for part in out if isinstance(out, (tuple, list)) else [out]:
            if isinstance(part, torch.Tensor):
                largest.append(part.numel() // len(x))

    handles = [m.register_forward_hook(note) for m in module.modules()]
    module(x)
    for handle in handles:
        handle.remove()
    return max(largest)


class FittedModule(nn.Module):
    """A trained module and what becomes of its outputs: samples to `(n_rows, n_outputs)`.

    Parameters
    ----------
    architecture : ConvolutionalArchitecture or ModuleArchitecture
    network : nn.Module
    factor : float, default=1.0
        The outputs are multiplied by it.
    output_scale, output_shift : ndarray of shape (n_outputs,) or None
        Then by the one, and the other is added.
    is_log : bool, default=False
        Whether the output is the logarithm of what is scaled.
    is_column : bool, default=False
        Whether to return the only output as `(n_rows,)`.
    """

    def __init__(
        self,
        architecture,
        network,
        *,
        factor=1.0,
        output_scale=None,
        output_shift=None,
        is_log=False,
        is_column=False,
    ):
        super().__init__()
        self.architecture = architecture
        self.network = network
        self.factor = factor
        self.is_log = is_log
        self.is_column = is_column
        for name, value in (("output_scale", output_scale), ("output_shift", output_shift)):
            self.register_buffer(name, None if value is None else torch.tensor(value))

    def forward(self, x):
        """Compute the outputs of samples, or of rows of their numbers."""
        x = as_input(self.architecture, self.network, x.reshape(len(x), -1))
        out = in_shape(self.network(x), self.network, self.architecture.n_outputs) * self.factor
        if self.is_log:
            out = out.exp()
        if self.output_scale is not None:
            out = out * self.output_scale
        if self.output_shift is not None:
            out = out + self.output_shift
        return out[:, 0] if self.is_column else out


class TrainableModule(nn.Module):
    """A module that skorch's loop trains: `(n_rows, n_features)` to `(n_rows, n_outputs)`.

    Parameters
    ----------
    architecture : ConvolutionalArchitecture or ModuleArchitecture
    network : nn.Module
    """

    def __init__(self, architecture, network):
        super().__init__()
        self.architecture = architecture
        self.network = network

    def forward(self, x, masks=None):
        """Compute the outputs, with dropout masks where given."""
        x = as_input(self.architecture, self.network, x)
        given = {} if masks is None else {"masks": masks}
        return in_shape(self.network(x, **given), self.network, self.architecture.n_outputs)

    @property
    def decayed_names(self):
        """list of str: parameters that weight decay acts on."""
        return [f"network.{name}" for name in split(self.network)[0]]

    def get_weights(self):
        """Return Weights."""
        return weights_of(self.network)


def as_input(architecture, network, x):
    """Return rows of numbers as a module takes them."""
    x = x.view(len(x), *architecture.input_shape)
    if architecture.takes_integers:
        return x.long()
    dtypes = [p.dtype for p in network.parameters()]
    return x.to(dtypes[0]) if dtypes else x


# Activations of a layer while predicting.
_PREDICTION_BYTES = 32 << 20


def compute(architecture, network, x, device="cpu"):
    """Return the outputs of a trained module, some rows at a time.

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
            # torch has no strides below zero.
            block = np.ascontiguousarray(x[start : start + n_block])
            rows = torch.tensor(block, device=device)
            out = network(as_input(architecture, network, rows))
            out = in_shape(out, network, architecture.n_outputs)
            found.append(out.to("cpu", torch.promote_types(out.dtype, torch.float32)).numpy())
    return found[0] if len(found) == 1 else np.concatenate(found)
