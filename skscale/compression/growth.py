"""Growth and shrinking of trained networks in depth or width, for `warm_start`.

Random numbers come from the stream that the seed would draw initial weights from.
"""

from ..networks.interface import CannotReshape
from ..training.random import growth_streams
from .importance import unit_importances


def reshape(former, architecture, networks, task, criterion):
    """Return trained networks in the shape of another architecture.

    Parameters
    ----------
    former, architecture : Architecture
        Current and new architecture: see `Architecture.is_reshape_of`.
    networks : list of Weights
        One per member.
    task : Task
        Next training task, with the rows for the importance criterion and the seed.
    criterion : {"taylor", "activation", "magnitude"} or Importance
        For layers that become narrower.

    Returns
    -------
    list of Weights
        Copies.

    Raises
    ------
    ValueError
        If the new shape cannot take over the function of the old one.
    """

    def find_importances(shape, networks):
        return unit_importances(criterion, shape, networks, task)

    generators = growth_streams(task.seed, len(networks))
    try:
        return former.family.reshape(
            former, architecture, networks, find_importances, generators
        )
    except CannotReshape as error:
        raise ValueError(
            "warm_start=True continues training the fitted network, and its widths "
            f"{former.widths} cannot be changed to {architecture.widths}: {error}. "
            "Set warm_start=False and call fit to train a new network."
        ) from error
