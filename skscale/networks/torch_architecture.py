"""The shape of a network that is a torch module."""

from abc import abstractmethod

from .interface import Architecture


class TorchArchitecture(Architecture):
    """The shape of a network whose layers only its module knows.

    Attributes
    ----------
    input_shape : tuple of int
        Shape of a sample, which a row is reshaped to.
    """

    input_shape: tuple

    @abstractmethod
    def build(self):
        """Construct the torch module, with initial weights from torch's default generator."""
