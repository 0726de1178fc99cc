"""The family of convolutional networks."""

from ..torch_family import TorchFamily


class ConvolutionalFamily(TorchFamily):
    """Convolutional networks: a module, by autograd; channels inside the blocks are units."""

    can_rescale_output = True

    def is_stacking_faster(self, architecture, device_type):
        """Return whether networks train faster in a stack: on a GPU only.

        `vmap` turns a convolution with separate weights per network into a grouped one, which
        is slower on a CPU: three networks for 28x28 pixels took 1.5 times as long together as
        one after the other.
        """
        return device_type == "cuda"

    def unit_weights(self, architecture, weights, layer):
        """Return the incoming and the outgoing weights of the channels inside a block."""
        from .unit_removal import unit_weights

        return unit_weights(architecture, weights, layer)

    def unit_passes(self, architecture, networks, rows, loss=None):
        """Return the passes over the feature maps of all channels: see `Family`."""
        from .unit_removal import unit_passes

        return unit_passes(architecture, networks, rows, loss)

    def weight_passes(self, architecture, networks, rows, loss=None, has_inputs=False):
        """Return the passes over all weights: see `Family`."""
        from .unit_removal import weight_passes

        return weight_passes(architecture, networks, rows, loss)

    def remove_units(self, architecture, networks, remaining):
        """Remove channels inside the blocks: see `Family`."""
        from .unit_removal import remove_channels

        return remove_channels(architecture, networks, remaining)

    def reshape(self, former, architecture, networks, find_importances, generators):
        """Return trained networks in the shape of another architecture: see `Family`."""
        from .reshaping import ConvolutionalReshaping

        reshaping = ConvolutionalReshaping(former, architecture, find_importances)
        return reshaping.reshape(networks, generators)

    def add_to_graph(self, graph, x, network, dtype):
        """Add a fitted network to an ONNX graph: see `Family`."""
        from .onnx import add_network

        outputs = add_network(graph, x, network.modules, network.factors)
        return graph.cast(outputs, dtype)

    def rescale_output(self, weights, factor, shift=0.0):
        """Return Weights with rescaled outputs: see `Family`."""
        return weights.rescale_output(factor, shift, axis=-2)
