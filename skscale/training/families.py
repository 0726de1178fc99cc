"""How the networks of an architecture are computed: the dense ones, and any module.

The engine knows no layers. What it needs to know of a network it asks its family:

- `shapes(architecture)`: of the parameters and buffers;
- `draw(architecture, generator, dtype)`: initial Weights of one network;
- `predictor(architecture, parameters)`: a function `(x, sizes) -> outputs` of a stack;
- `gradient`: the class that computes gradients, or None where the engine chooses;
- `trainable(architecture, weights, dropout)`: a plain module that skorch's loop can train;
- `work_a_mac`: time of a multiply-accumulate, all that stands around it included, as a multiple
  of that of a dense network: what a second thread saves;
- `can_repeat`: whether a step launches the same operations each time, so that it can be
  recorded once and replayed.
"""

from ..networks import dense, modules
from ..networks.parameters import ParameterShapes
from .gradient import ModuleGradient


class DenseFamily:
    """Dense networks: batched products, their gradient written out."""

    gradient = None
    can_repeat = True
    work_a_mac = 1

    @staticmethod
    def shapes(architecture):
        """Return ParameterShapes."""
        return ParameterShapes.of_layers(architecture.layer_shapes, architecture.scales_inputs)

    @staticmethod
    def draw(architecture, generator, dtype):
        """Return initial Weights."""
        return dense.initial_parameters(architecture, generator, dtype)

    @staticmethod
    def predictor(architecture, parameters):
        """Return what computes the outputs of a stack."""
        return lambda x, sizes: dense.stacked_forward(architecture, parameters, x, sizes=sizes)

    @staticmethod
    def trainable(architecture, weights, dropout):
        """Return a module in training."""
        return dense.DenseNetwork(architecture, weights, dropout=dropout, is_trained=True)


class ModuleFamily:
    """Any nn.Module, by autograd: ours for images, and the user's own."""

    gradient = ModuleGradient
    can_repeat = False
    # Of a convolutional network of 8 channels for 28x28 pixels: with one thread 1.64 times the
    # time of a loop that had both.
    work_a_mac = 8
    shapes = staticmethod(modules.parameter_shapes)
    draw = staticmethod(modules.draw)
    predictor = staticmethod(modules.predictor)

    @staticmethod
    def trainable(architecture, weights, dropout):
        """Return a module in training; its dropout is that of the masks."""
        network = modules.load_weights_(modules.build(architecture), weights)
        return modules.TrainableModule(architecture, network)


def family_of(architecture):
    """Return the family of an architecture."""
    return {"dense": DenseFamily, "module": ModuleFamily}[architecture.family]
