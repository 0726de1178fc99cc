"""Families of networks: the engine's interface to dense networks and to any module.

The engine does not know layers. It uses these attributes of a network's family:

- `shapes(architecture)`: shapes of parameters and buffers;
- `draw(architecture, generator, dtype)`: initial Weights of one network;
- `predictor(architecture, parameters)`: a function `(x, sizes) -> outputs` of a stack;
- `gradient`: the class that computes gradients, or None if the engine chooses;
- `trainable(architecture, weights, dropout)`: a plain module that skorch's loop can train;
- `work_a_mac`: time per multiply-accumulate, overhead included, relative to a dense network;
  it decides whether a second thread pays;
- `can_repeat`: whether each step launches the same operations, so that a recorded step can be
  replayed.
"""

from ..networks import dense, modules
from ..networks.parameters import ParameterShapes
from .gradient import ModuleGradient


class DenseFamily:
    """Dense networks: batched products and an explicit gradient."""

    gradient = None
    can_repeat = True
    work_a_mac = 1

    @staticmethod
    def shapes(architecture):
        """Return the ParameterShapes of an architecture."""
        return ParameterShapes.of_layers(architecture.layer_shapes, architecture.scales_inputs)

    @staticmethod
    def draw(architecture, generator, dtype):
        """Draw initial Weights."""
        return dense.initial_parameters(architecture, generator, dtype)

    @staticmethod
    def predictor(architecture, parameters):
        """Return a function that computes the outputs of a stack."""
        return lambda x, sizes: dense.stacked_forward(architecture, parameters, x, sizes=sizes)

    @staticmethod
    def trainable(architecture, weights, dropout):
        """Return a module for training."""
        return dense.DenseNetwork(architecture, weights, dropout=dropout, is_trained=True)


class ModuleFamily:
    """Any nn.Module, by autograd: image networks and user-defined modules."""

    gradient = ModuleGradient
    can_repeat = False
    # Measured on a convolutional network of 8 channels for 28x28 pixels: one thread took 1.64
    # times as long as a loop with two.
    work_a_mac = 8
    shapes = staticmethod(modules.parameter_shapes)
    draw = staticmethod(modules.draw)
    predictor = staticmethod(modules.predictor)

    @staticmethod
    def trainable(architecture, weights, dropout):
        """Return a module for training; its dropout comes from the masks."""
        network = modules.load_weights_(modules.build(architecture), weights)
        return modules.TrainableModule(architecture, network)


def family_of(architecture):
    """Return the family of an architecture."""
    return {"dense": DenseFamily, "module": ModuleFamily}[architecture.family]
