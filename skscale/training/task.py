"""Tasks and their results as plain data: networks to train, and trained networks."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ..networks.interface import Architecture
from ..networks.weights import Weights
from ..storage.store import Store
from .losses import Loss
from .optimizers import Optimizer
from .schedules import LRSchedule


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters of a training.

    Parameters
    ----------
    optimizer : Optimizer
    learning_rate : float
        Step size of the optimizer.
    lr_schedule : LRSchedule
        Factor of the learning rate over `max_epochs`.
    weight_decay : float
        Decoupled L2 of the weights, not of the biases (Loshchilov and Hutter 2019,
        algorithm 2).
    l1 : float
        Decoupled L1 of the weights: after each step they move by `learning_rate * l1`
        towards zero, but not across.
    dropout : float
        Dropout rate of the hidden activations.
    batch_size : int
        Rows per step.
    max_epochs : int
        Passes over the training rows.
    max_seconds : float or None
        Time budget of the training.
    n_iter_no_change : int
        Consecutive epochs without an improvement by `tol` after which a member with
        validation rows stops.
    tol : float
        Smallest change of the validation score that counts as an improvement.
    """

    optimizer: Optimizer
    learning_rate: float
    lr_schedule: LRSchedule
    weight_decay: float
    l1: float
    dropout: float
    batch_size: int
    max_epochs: int
    max_seconds: float | None
    n_iter_no_change: int
    tol: float

    def learning_rate_at(self, step, steps_per_epoch):
        """Return the learning rate of a step, or of an array of steps, counted from 0."""
        progress = np.asarray(step) / (self.max_epochs * steps_per_epoch)
        return self.learning_rate * self.lr_schedule.factor(progress)


@dataclass(frozen=True)
class ValidationSet:
    """Validation set that is separate from the training data.

    Parameters
    ----------
    X, targets, weights
        As in `Task`; the weights may have any mean.
    """

    X: np.ndarray
    targets: np.ndarray
    weights: np.ndarray | None


@dataclass(frozen=True)
class OptimizerState:
    """State of the optimizer for one network: moments of its gradients.

    Parameters
    ----------
    scales : ndarray of shape (n_features,) or None
        Trained input scales.
    first, second : TrainedNumbers
        Running means of the gradients and of their squares.
    n_steps : int
        Number of steps so far.
    """

    scales: np.ndarray | None
    first: tuple
    second: tuple
    n_steps: int
    optimizer: Optimizer


@dataclass(frozen=True)
class Augmentation:
    """Random image augmentation, drawn again in each epoch.

    Parameters
    ----------
    image_shape : tuple of int
        Height, width and channels; with `channels_first`, channels, height and width.
    channels_first : bool
    kinds : frozenset of {"shift", "flip", "crop", "erase"}
    """

    image_shape: tuple
    channels_first: bool
    kinds: frozenset


@dataclass
class Task:
    """Description of one network to train.

    Parameters
    ----------
    architecture : Architecture
    recipe : Recipe
    loss : Loss
    X : ndarray or SciPy CSR array of shape (n_rows, n_features)
        Features, finite; never written to and never copied on a CPU.
    targets : ndarray
        For exclusive classes, int64 indices of shape (n_rows,), else floats of shape
        (n_rows, n_outputs). For a distilled loss, probabilities, then the teacher's logits, of
        shape (n_rows, 2 * n_outputs); targets of `validation` are those of
        `loss.for_validation`.
    weights : ndarray of shape (n_rows,) or None
        Non-negative sample weights with mean one over the training rows.
    train_rows : ndarray of int64
        Rows to train on.
    valid_rows : ndarray of int64 or None
        Rows of the validation set, in `validation` if there is one, else in X. None trains
        for all epochs and takes the last weights.
    seed : int
        Source of all random numbers of the training.
    precision : {"float32", "float64", "bfloat16"}
    device : str
        A torch device.
    initial : Weights or None
        Initial weights; None draws them.
    on_epoch_end : callable or None
        `on_epoch_end(epoch, get_weights) -> bool`, called with a dict (the columns of
        `TrainedNetwork.history`) and a function that returns the current Weights; True
        stops the member.
    n_own_bytes : int
        Bytes of its arrays that no other task is known to share.
    validation : ValidationSet or None
        Data of `valid_rows`; None is X.
    validation_scorer : callable or None
        Function of the outputs for the validation rows, an ndarray of shape (n_valid,
        n_outputs), that returns a float, the larger the better. None is the negative mean of
        `loss.for_validation`.
    optimizer_state : OptimizerState or None
        State to resume the optimizer from; None starts a new one.
    keeps_optimizer : bool
        Whether the trained network comes with its `optimizer_state`.
    pruning_masks : list of ndarray of bool of shape (n_inputs, n_outputs) or None
        Masks of the weights to train; the others stay zero. None trains all.
    buffers : list of ndarray or None
        Initial untrained state of the network; None is the module's own.
    augmentation : Augmentation or None
        Random augmentation of the training rows.
    store : Store or None
        Cache of the network: see `checkpoints`, which sets the following two.
    cache_entry : CacheEntry or None
    checkpoint : dict or None
        Checkpoint of an earlier training of this task: see `Stack.checkpoint_of`.
    """

    architecture: Architecture
    recipe: Recipe
    loss: Loss
    X: np.ndarray
    targets: np.ndarray
    weights: np.ndarray | None
    train_rows: np.ndarray
    valid_rows: np.ndarray | None
    seed: int
    precision: str
    device: str
    initial: Weights | None = None
    on_epoch_end: Callable | None = None
    n_own_bytes: int = 0
    validation: ValidationSet | None = None
    validation_scorer: Callable | None = None
    optimizer_state: OptimizerState | None = None
    keeps_optimizer: bool = False
    pruning_masks: list | None = None
    buffers: list | None = None
    augmentation: Augmentation | None = None
    store: Store | None = None
    cache_entry: object | None = None
    checkpoint: dict | None = None

    @property
    def validation_data(self):
        """(X, targets, weights): data that `valid_rows` index."""
        source = self if self.validation is None else self.validation
        return source.X, source.targets, source.weights


@dataclass
class TrainedNetwork:
    """Trained network as NumPy arrays and plain values.

    Parameters
    ----------
    weights : Weights
    history : list of dict
        One per epoch: `epoch` (from 1), `train_loss`, `validation_score` (NaN without
        validation rows), `seconds`.
    best_epoch : int
        Epoch of these weights.
    optimizer_state : OptimizerState or None
        Only if the task requested it.
    fit_time : float
        Its share of the training time of its stack, which is split equally among members that
        train at the same time.
    peak_device_bytes : int or None
        Its share of the peak GPU memory of its stack; None on a CPU.
    factor : float
        Factor of the outputs, if no layer includes it.
    """

    weights: Weights
    history: list = field(default_factory=list)
    best_epoch: int = 0
    optimizer_state: OptimizerState | None = None
    fit_time: float = 0.0
    peak_device_bytes: int | None = None
    factor: float = 1.0


class CancelledError(BaseException):
    """Cancellation of a training, because its run has ended: an error elsewhere, or Ctrl-C.

    Like KeyboardInterrupt it is no `Exception`, so that it is not handled as a failed fit.
    """


class TimeBudgetError(TimeoutError):
    """End of the time budget of a search: a fit that has not finished fails."""

    def __init__(self):
        super().__init__(
            "The time budget of the search (max_seconds of the backend) was spent before this "
            "fit finished. Raise it, or search over fewer or smaller networks."
        )


class DivergedError(ValueError):
    """Divergence of a training: a loss, weight or score is not finite."""

    def __init__(self, quantity, epoch, recipe):
        self.quantity, self.epoch, self.recipe = quantity, epoch, recipe
        super().__init__(
            f"Training diverged: the {quantity} is not finite after epoch {epoch}. Expected "
            f"finite numbers throughout. Lower learning_rate (it is "
            f"{recipe.learning_rate:g}; weight_decay is {recipe.weight_decay:g}), and scale "
            "the features of X and weights to moderate numbers, as StandardScaler does."
        )

    def __reduce__(self):
        # Pickled to be sent from a worker process to its search.
        return type(self), (self.quantity, self.epoch, self.recipe)
