"""The family of dense networks."""

from ..interface import Family


class DenseFamily(Family):
    """Dense networks: batched products and an explicit gradient."""

    can_repeat = True
    work_per_mac = 1
    has_layer_inputs = True
    can_rescale_output = True

    def shapes(self, architecture):
        """Return the ParameterShapes of a network."""
        from ..parameters import ParameterShapes

        return ParameterShapes.of_layers(architecture.layer_shapes, architecture.scales_inputs)

    def draw(self, architecture, generator, dtype):
        """Draw the initial Weights of a network."""
        from .torch_network import initial_parameters

        return initial_parameters(architecture, generator, dtype)

    def predictor(self, architecture, parameters):
        """Return the forward pass of a stack: see `Family`."""
        from .torch_network import stacked_forward

        def predict(x, sizes=None, masks=None):
            return stacked_forward(architecture, parameters, x, masks, sizes)

        return predict

    def gradient(self, architecture, parameters, gradients, n_rows, sizes=None, randoms=()):
        """Return the gradient of a stack: see `Family`."""
        from .backward import DenseGradient

        return DenseGradient(architecture, parameters, gradients, n_rows, sizes)

    def is_stacking_faster(self, architecture, device_type):
        """Return True: batched products are faster."""
        return True

    def trainable(self, architecture, weights, dropout):
        """Return a module for training."""
        from .torch_network import DenseNetwork

        return DenseNetwork(architecture, weights, dropout=dropout, is_trained=True)

    def unit_weights(self, architecture, weights, layer):
        """Return the incoming and the outgoing weights of the units of a hidden layer."""
        outgoing = weights.coefs[layer + 1][: architecture.widths[layer]]
        return weights.coefs[layer].T, outgoing

    def unit_passes(self, architecture, networks, rows, loss=None):
        """Return the passes over the activations of all hidden units: see `Family`."""
        from .unit_removal import unit_passes

        return unit_passes(architecture, networks, rows, loss)

    def weight_passes(self, architecture, networks, rows, loss=None, has_inputs=False):
        """Return the passes over all weights: see `Family`."""
        from .unit_removal import weight_passes

        return weight_passes(architecture, networks, rows, loss, has_inputs)

    def remove_units(self, architecture, networks, remaining):
        """Remove hidden units: see `Family`."""
        from .unit_removal import remove_units

        return remove_units(architecture, networks, remaining)

    def reshape(self, former, architecture, networks, find_importances, generators):
        """Return trained networks in the shape of another architecture: see `Family`."""
        from .reshaping import DenseReshaping

        reshaping = DenseReshaping(former, architecture, find_importances)
        return reshaping.reshape(networks, generators)

    def add_to_graph(self, graph, x, network, dtype):
        """Add a fitted network to an ONNX graph: see `Family`."""
        from .onnx import add_network

        return add_network(graph, x, network, dtype)

    def fitted_network(self, architecture, weights, factors, device):
        """Return a Dense, which predicts on the CPU; its weights include all factors."""
        from .forward import Dense

        return Dense(architecture, weights)

    def rescale_output(self, weights, factor, shift=0.0):
        """Return Weights with rescaled outputs: see `Family`."""
        return weights.rescale_output(factor, shift)

    def prediction_module(self, network, encoding, head, dropout):
        """Return a torch module with the predictions of a network: see `Family`."""
        from .torch_network import DenseNetwork

        return DenseNetwork(
            network.architecture, network.weights, dropout=dropout, encoding=encoding, head=head
        )
