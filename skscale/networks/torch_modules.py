"""Torch modules of any family: construction, weights and outputs.

Modules draw random numbers from torch's default generator, since dropout between the layers of
an LSTM accepts no other. `temporary_random_state` sets its state temporarily.
"""

import contextlib
import threading

import numpy as np
import torch

from ..forks import hold_while_forking
from .decoding import DecodingModule
from .parameters import ParameterShapes
from .surroundings import neutral_surroundings
from .weights import Weights

# Held by one thread at a time: the process has one default generator. After a fork, a child
# would have the generator in the state of a training thread that it does not have.
_random_state_lock = hold_while_forking(threading.RLock())
# Bytes of the activations of a layer during prediction.
_PREDICTION_BYTES = 32 << 20


@contextlib.contextmanager
def temporary_random_state(state, device="cpu"):
    """Set the state of torch's default generators, and restore the former state at the end.

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
    with _random_state_lock:
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
    with neutral_surroundings(), temporary_random_state(seed):
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
    with neutral_surroundings(), torch.no_grad():
        if weights.coefs:
            module.to(torch.from_numpy(weights.coefs[0][:0]).dtype)
        tensors = [tensor for part in split(module) for tensor in part.values()]
        for own, value in zip(tensors, [*weights.trained, *weights.buffers], strict=True):
            own.copy_(torch.as_tensor(value).view(own.shape))
    return module


def draw(architecture, generator, dtype):
    """Draw the initial Weights of a network.

    Parameters
    ----------
    architecture : TorchArchitecture
    generator : numpy.random.Generator
    dtype : numpy dtype
    """
    return weights_of(build(architecture, int(generator.integers(2**62))), dtype)


def in_shape(out, module, n_outputs):
    """Return a module's output as (n_rows, n_outputs), or raise if it has another shape."""
    name = type(module).__name__
    if not isinstance(out, torch.Tensor):
        raise TypeError(
            f"{name} must return a tensor of shape (n_rows, n_outputs), got a "
            f"{type(out).__name__}."
        )
    if not out.is_floating_point():
        raise TypeError(
            f"{name} must return floating-point numbers, got {out.dtype}. Return scores, "
            "without argmax or a comparison."
        )
    if out.dim() == 1 and n_outputs == 1:
        out = out[:, None]
    if out.dim() != 2 or out.shape[1] != n_outputs:
        hint = ""
        if n_outputs == 1 and out.dim() == 2 and out.shape[1] == 2:
            hint = " Two classes have one output."
        raise ValueError(
            f"{name} must return a tensor of shape (n_rows, n_outputs), here (n_rows, "
            f"{n_outputs}), got {tuple(out.shape)}. Let its last layer have n_outputs units."
            + hint
        )
    return out


@contextlib.contextmanager
def explained_errors(network, x):
    """Turn the error of a module into a ValueError that describes its input.

    Parameters
    ----------
    network : nn.Module
    x : ndarray or tensor of shape (n_rows, ...)
        Its input, or all rows of which it gets some.
    """
    try:
        yield
    except (RuntimeError, IndexError, ValueError, AssertionError) as error:
        # Exhausted memory is no fault of the input, and handled elsewhere.
        words = str(error).lower()
        reports_memory = "memory" in words or "alloc" in words
        if reports_memory or isinstance(error, NotImplementedError):
            raise
        raise ValueError(describe_error(network, x, error)) from error


def describe_error(network, x, error):
    """Return the message for an error of a module on some input."""
    dtype = str(x.dtype).removeprefix("torch.")
    message = (
        f"{type(network).__name__} failed on an input of shape {('n_rows', *x.shape[1:])}, "
        f"{dtype}: {str(error).rstrip('.')}.".replace("'n_rows'", "n_rows")
    )
    if dtype != "int64":
        return f"{message} Pass samples of the shape that it expects, or change the module."
    smallest, largest = int(x.min()), int(x.max())
    return (
        f"{message} The integers in X range from {smallest} to {largest}. Expected indices "
        "from 0 to one less than num_embeddings of nn.Embedding: set it to at least "
        f"{largest + 1}, or replace unknown indices in X by a known one."
    )


class FittedModule(DecodingModule):
    """Trained module with decoding of its outputs: samples to `(n_rows, n_outputs)`.

    Parameters
    ----------
    architecture : TorchArchitecture
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


def compute(architecture, network, x, device="cpu"):
    """Compute the outputs of a trained module, in blocks of rows.

    Parameters
    ----------
    architecture : TorchArchitecture
    network : nn.Module
        In evaluation mode.
    x : ndarray of shape (n_rows, n_features)
    device : str, default="cpu"

    Returns
    -------
    ndarray of shape (n_rows, n_outputs)
    """
    parameter = next(network.parameters(), None)
    if parameter is None or parameter.device != torch.device(device):
        with neutral_surroundings():
            network.to(device)
    n_block = max(1, _PREDICTION_BYTES // (4 * architecture.widest))
    found = []
    random_state = (
        temporary_random_state(0, device) if architecture.draws else contextlib.nullcontext()
    )
    with neutral_surroundings(), torch.inference_mode(), random_state:
        for start in range(0, max(1, len(x)), n_block):
            # torch does not support negative strides.
            block = np.ascontiguousarray(x[start : start + n_block])
            rows = torch.tensor(block, device=device)
            with explained_errors(network, x.reshape(-1, *architecture.input_shape)):
                out = outputs_of(architecture, network, rows)
            found.append(out.to("cpu", torch.promote_types(out.dtype, torch.float32)).numpy())
    return found[0] if len(found) == 1 else np.concatenate(found)
