"""Learning-rate schedules: the factor of the learning rate over a training, one class each.

A schedule of your own is a subclass of `LRSchedule`, passed as an object:
`ScaledMLPClassifier(lr_schedule=Linear())`. NumPy only.
"""

from abc import ABC, abstractmethod

import numpy as np

from ..by_value import ByValue


class LRSchedule(ByValue, ABC):
    """A learning-rate schedule.

    Objects of one type with equal attributes are equal.

    Attributes
    ----------
    is_constant : bool, default=False
        Whether the factor is 1 throughout.

    Examples
    --------
    >>> from skscale import LRSchedule, ScaledMLPRegressor
    >>> class Linear(LRSchedule):
    ...     def factor(self, progress):
    ...         return 1 - progress
    >>> network = ScaledMLPRegressor(lr_schedule=Linear(), max_epochs=2, random_state=0)
    >>> network.fit([[0.0], [1.0], [2.0]] * 10, [0.0, 1.0, 2.0] * 10).n_iter_
    2
    """

    is_constant = False

    @abstractmethod
    def factor(self, progress):
        """Return the factor of the learning rate.

        Parameters
        ----------
        progress : float64 ndarray
            Steps taken over those of `max_epochs` epochs, 0 to below 1.

        Returns
        -------
        float64 ndarray
            Of the shape of `progress`, non-negative.
        """


class Constant(LRSchedule):
    """The learning rate itself."""

    is_constant = True

    def factor(self, progress):
        return np.ones_like(progress, dtype=np.float64)


class Cosine(LRSchedule):
    """A fall to zero (Loshchilov and Hutter 2017, "SGDR", eq. 5, without restarts)."""

    def factor(self, progress):
        return 0.5 * (1 + np.cos(np.pi * progress))


class CosLog4(LRSchedule):
    """Four rises and falls, each over twice as many steps as the one before.

    Holzmueller et al. (2024), "Better by default", section 3.4.
    """

    def factor(self, progress):
        return 0.5 * (1 - np.cos(2 * np.pi * np.log2(1 + 15 * progress)))


SCHEDULES = {"constant": Constant(), "cosine": Cosine(), "coslog4": CosLog4()}


def schedule_of(value):
    """Return the LRSchedule of a name, or the object itself."""
    return SCHEDULES[value] if isinstance(value, str) else value
