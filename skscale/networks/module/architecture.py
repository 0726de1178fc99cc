"""Shape of networks of a user-defined class, in plain Python."""

import copy
import sys
from dataclasses import dataclass, field
from math import prod

from ...storage.tree import expect, expect_sizes
from ..torch_architecture import TorchArchitecture


@dataclass(frozen=True)
class ModuleArchitecture(TorchArchitecture):
    """Shape of a network of a user-defined class.

    Parameters
    ----------
    module : type
        A subclass of torch's nn.Module.
    arguments : dict
        Keyword arguments of its constructor.
    input_shape : tuple of int
        Shape of a sample.
    n_outputs : int
    takes_integers : bool
        Whether it takes int64 inputs (word indices, for example) instead of floats.
    draws : bool
        Whether it draws random numbers during training.
    n_parameters, n_macs, widest : int
        As in the other architectures, measured with torch.
    has_buffers : bool
        Whether it has untrained state, as batch normalization does.
    """

    module: type
    arguments: dict = field(hash=False)
    input_shape: tuple
    n_outputs: int
    takes_integers: bool
    draws: bool
    n_parameters: int
    n_macs: int
    widest: int
    has_buffers: bool

    fan_in = None
    gains = None
    scales_inputs = False
    residual = False
    # Its layers are unknown.
    mask_widths = ()
    widths = ()

    @property
    def family(self):
        """ModuleFamily: the other parts of the family."""
        from .family import ModuleFamily

        return ModuleFamily()

    @property
    def n_features(self):
        """int: number of values in a sample."""
        return prod(self.input_shape)

    def shaped_as(self, weights):
        """Return the architecture itself: its shape is fixed."""
        return self

    in_shape_of = shaped_as

    def is_reshape_of(self, former):
        """Return False: its shape is fixed."""
        return False

    def check(self):
        """Reject a class that is not a torch module, and invalid sizes."""
        # Loading the class of a module has imported torch.
        torch = sys.modules.get("torch")
        is_class = isinstance(self.module, type) and torch
        is_module = is_class and issubclass(self.module, torch.nn.Module)
        expect(is_module, "a subclass of torch.nn.Module")
        expect(isinstance(self.arguments, dict), "a dict of the module's arguments")
        expect_sizes(*self.input_shape, self.n_outputs, self.widest)
        expect(
            self.widest >= self.n_features,
            f"widest to be at least {self.n_features}, got {self.widest}",
        )
        expect(type(self.n_parameters) is int, "n_parameters to be an int")
        flags = (self.takes_integers, self.draws, self.has_buffers)
        expect(
            all(isinstance(flag, bool) for flag in flags),
            "takes_integers, draws and has_buffers to be booleans",
        )

    def build(self):
        """Construct the module from copies of its arguments, as training may change them."""
        return self.module(**copy.deepcopy(self.arguments))

    def __eq__(self, other):
        return type(other) is type(self) and _are_equal(vars(self), vars(other))


def _are_equal(a, b):
    """Return whether arguments are equal; compares tensors and arrays too."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_are_equal(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(_are_equal, a, b))
    if hasattr(a, "shape") and a.shape != b.shape:
        return False
    equal = a == b
    return bool(equal.all() if hasattr(equal, "all") else equal)
