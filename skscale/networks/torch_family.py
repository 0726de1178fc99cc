"""Training of the families whose networks are torch modules, by autograd."""

import contextlib

from .interface import Family


class TorchFamily(Family):
    """A family whose networks are torch modules: see `torch_architecture`."""

    can_repeat = False
    # Measured on a convolutional network of 8 channels for 28x28 pixels: one thread took 1.64
    # times as long as a loop with two.
    work_per_mac = 8
    has_layer_inputs = False

    def shapes(self, architecture):
        """Return the ParameterShapes of a network."""
        from .torch_modules import parameter_shapes

        return parameter_shapes(architecture)

    def draw(self, architecture, generator, dtype):
        """Draw the initial Weights of a network."""
        from .torch_modules import draw

        return draw(architecture, generator, dtype)

    def predictor(self, architecture, parameters):
        """Return the forward pass of a stack: see `Family`."""
        from .torch_modules import temporary_random_state
        from .torch_stack import BoundModule

        bound = BoundModule(architecture, parameters)

        def predict(x, sizes=None, masks=None):
            draws = architecture.draws
            with temporary_random_state(0, x.device) if draws else contextlib.nullcontext():
                return bound(x, masks, sizes)

        return predict

    def gradient(self, architecture, parameters, gradients, n_rows, sizes=None, randoms=()):
        """Return the gradient of a stack: see `Family`."""
        from .torch_stack import ModuleGradient

        return ModuleGradient(architecture, parameters, gradients, sizes, randoms)

    def trainable(self, architecture, weights, dropout):
        """Return a module for training; its dropout comes from the masks."""
        from .torch_modules import TrainableModule, build, load_weights_

        return TrainableModule(architecture, load_weights_(build(architecture), weights))

    def fitted_network(self, architecture, weights, factors, device):
        """Return a ModuleNetwork: see `Family`."""
        from .torch_forward import ModuleNetwork

        return ModuleNetwork(architecture, weights, factors, device)

    def prediction_module(self, network, encoding, head, dropout):
        """Return a torch module with the predictions of a network: see `Family`."""
        from .torch_modules import FittedModule, build, load_weights_

        module = load_weights_(build(network.architecture), network.weights)
        factor = float(network.factors[0])
        return FittedModule(network.architecture, module, factor=factor, head=head)
