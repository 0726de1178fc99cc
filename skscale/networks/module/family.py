"""The family of user-defined modules."""

from ..interface import CannotReshape
from ..torch_family import TorchFamily


class ModuleFamily(TorchFamily):
    """Any nn.Module, by autograd. Its layers are unknown: it has no units to remove."""

    can_rescale_output = False

    def is_stacking_faster(self, architecture, device_type):
        """Return False if a network trains alone only, else None: it must be measured.

        Its own dropout would draw for all members at once; batch normalization would see the
        rows that pad the batches of smaller folds.
        """
        return False if architecture.draws or architecture.has_buffers else None

    def unit_weights(self, architecture, weights, layer):
        """Raise a TypeError."""
        _refuse()

    def unit_passes(self, architecture, networks, rows, loss=None):
        """Raise a TypeError."""
        _refuse()

    def weight_passes(self, architecture, networks, rows, loss=None, has_inputs=False):
        """Raise a TypeError."""
        _refuse()

    def remove_units(self, architecture, networks, remaining):
        """Raise a TypeError."""
        _refuse()

    def reshape(self, former, architecture, networks, find_importances, generators):
        """Raise CannotReshape."""
        raise CannotReshape("the layers of a user-defined module are unknown")

    def rescale_output(self, weights, factor, shift=0.0):
        """Raise a TypeError."""
        raise TypeError("The output layer of a user-defined module is unknown.")

    def add_to_graph(self, graph, x, network, dtype):
        """Raise a TypeError."""
        raise TypeError("The operators of a user-defined module are known to torch only.")


def _refuse():
    raise TypeError("The units of a user-defined module are unknown, and cannot be pruned.")
