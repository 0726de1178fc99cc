"""The interface of a family of networks: abstract classes that declare all that others ask.

A family is one folder of this package. It defines an `Architecture`, the shape of a network,
and a `Family`, through which training, pruning, growth and ONNX export reach everything else in
the folder: `architecture.family`. Plain Python: a family imports its torch code when it is
asked for it.
"""

from abc import ABC, abstractmethod


class CannotReshape(Exception):
    """A network cannot take over the function of one of another shape. The text is the reason.

    Parameters
    ----------
    reason : str
    """


class Architecture(ABC):
    """The shape of a network: a frozen dataclass of plain values, compared by value.

    Attributes
    ----------
    n_features : int
        Number of values in a row.
    n_outputs : int
    widths : tuple of int
        Hidden units of each layer, which pruning can remove; channels inside each block.
    fan_in : int or None
        Number of inputs in the first layer's gain, if it is not `n_features`.
    gains : tuple of float or None
        Factor of the trained weights of each layer; None trains the weights themselves. With
        gains, biases have the factor `constants.BIAS_GAIN`.
    scales_inputs : bool
        Whether each input has a trained scale. Only with `gains`.
    residual : bool
        Whether layers of equal widths add to one another: see `is_residual`.
    mask_widths : tuple of int
        Units of each dropout mask.
    widest : int
        Largest number of values between two layers, per row.
    n_parameters : int
        Number of trained values.
    n_macs : int
        Multiply-accumulates, per row.
    draws : bool
        Whether a training step draws random numbers other than dropout masks.
    takes_integers : bool
        Whether rows are int64 instead of floats.
    has_buffers : bool
        Whether training changes untrained state, as batch normalization does.
    """

    n_features: int
    n_outputs: int
    widths: tuple
    fan_in: int | None
    gains: tuple | None
    scales_inputs: bool
    residual: bool
    mask_widths: tuple
    widest: int
    n_parameters: int
    n_macs: int
    draws: bool
    takes_integers: bool
    has_buffers: bool

    @property
    @abstractmethod
    def family(self):
        """Family: the other parts of the family."""

    @property
    def depth(self):
        """int: number of hidden layers."""
        return len(self.widths)

    def is_residual(self, layer):
        """Return whether hidden `layer` adds its activation to its input."""
        return False

    @property
    def unit_groups(self):
        """list of lists of int: hidden layers of each group that shares its units.

        Layers with residual connections share their units: unit `u` is the same in all of
        them, and is removed from all or none. Any other layer is a group by itself.
        """
        groups = []
        for layer in range(self.depth):
            if self.is_residual(layer):
                groups[-1].append(layer)
            else:
                groups.append([layer])
        return groups

    @abstractmethod
    def shaped_as(self, weights):
        """Return the architecture with the widths of the given Weights."""

    @abstractmethod
    def in_shape_of(self, other):
        """Return the architecture with the widths of another one."""

    @abstractmethod
    def is_reshape_of(self, former):
        """Return whether it differs from another one in depth or widths and in nothing else."""

    @abstractmethod
    def check(self):
        """Reject values that no fit would give, such as those of a damaged file.

        Raises
        ------
        ValueError
        """


class FittedNetwork(ABC):
    """A fitted network, or an ensemble of them, as arrays: a frozen dataclass.

    Attributes
    ----------
    architecture : Architecture
    weights : Weights
        NumPy arrays.
    factors : ndarray of shape (n_members,)
        Factors of the outputs that the weights do not include.
    needs_torch : bool
        Whether a prediction needs torch.
    """

    architecture: Architecture
    weights: object
    factors: object
    needs_torch: bool

    @property
    @abstractmethod
    def dtype(self):
        """numpy dtype of the weights."""

    @property
    @abstractmethod
    def n_inputs(self):
        """int: width of the input."""

    @property
    @abstractmethod
    def n_outputs(self):
        """int: width of the output."""

    @property
    @abstractmethod
    def n_members(self):
        """int: number of networks."""

    @abstractmethod
    def outputs(self, x):
        """Compute the outputs of rows, before any link function.

        Parameters
        ----------
        x : array of shape (n_rows, n_inputs)

        Returns
        -------
        array of shape (n_rows, n_outputs), or (n_members, n_rows, n_outputs)
        """

    @abstractmethod
    def check(self):
        """Reject weights that do not match the architecture.

        Raises
        ------
        ValueError
        """


class Family(ABC):
    """A family of networks, for training, pruning, growth and ONNX export.

    It has no state; the architecture is an argument.

    Attributes
    ----------
    can_repeat : bool
        Whether each step launches the same operations, so that a recorded step can be replayed.
    work_per_mac : float
        Time per multiply-accumulate, overhead included, relative to a dense network; it decides
        whether a second thread pays.
    has_layer_inputs : bool
        Whether each weight has one input per row, whose size can tell its importance.
    can_rescale_output : bool
        Whether the weights can include a factor and a shift of the outputs.
    """

    can_repeat: bool
    work_per_mac: float
    has_layer_inputs: bool
    can_rescale_output: bool

    # Training

    @abstractmethod
    def shapes(self, architecture):
        """Return the ParameterShapes of a network."""

    @abstractmethod
    def draw(self, architecture, generator, dtype):
        """Draw the initial Weights of a network.

        Parameters
        ----------
        architecture : Architecture
        generator : numpy.random.Generator
        dtype : numpy dtype

        Returns
        -------
        Weights
        """

    @abstractmethod
    def predictor(self, architecture, parameters):
        """Return the forward pass of a stack, with dropout masks if given.

        Parameters
        ----------
        architecture : Architecture
        parameters : StackedParameters

        Returns
        -------
        callable
            `(x, sizes=None, masks=None)` to outputs of shape (n_members, n_rows, n_outputs):
            see `NetworkGradient` for the arguments.
        """

    @abstractmethod
    def gradient(self, architecture, parameters, gradients, n_rows, sizes=None, randoms=()):
        """Return the gradient of a stack in steps of `n_rows` rows.

        Parameters
        ----------
        architecture : Architecture
        parameters, gradients : StackedParameters
            To read and to write, in the dtype of the products.
        n_rows : int
        sizes : list of int or None, default=None
            Number of consecutive members that share each batch; None is one each.
        randoms : list, default=()
            One object per member; its `module_state` is the state of torch's generator.

        Returns
        -------
        NetworkGradient
        """

    @abstractmethod
    def is_stacking_faster(self, architecture, device_type):
        """Return whether networks train faster in a stack; None if it must be measured.

        False if a network would not train in a stack as it does alone.
        """

    @abstractmethod
    def trainable(self, architecture, weights, dropout):
        """Return a plain module for skorch's loop.

        It has the parameters that the engine trains, `decayed_names` (those with weight
        decay) and `get_weights()`. It computes `(x, masks=None)`.
        """

    # Pruning and growth

    @abstractmethod
    def unit_weights(self, architecture, weights, layer):
        """Return the incoming and the outgoing weights of the units of a hidden layer.

        Parameters
        ----------
        architecture : Architecture
        weights : Weights
        layer : int

        Returns
        -------
        incoming, outgoing : ndarray of shape (n_units, ...)
        """

    @abstractmethod
    def unit_passes(self, architecture, networks, rows, loss=None):
        """Yield the activations of all hidden units, in passes over training rows.

        Parameters
        ----------
        architecture : Architecture
        networks : list of Weights
            One per member.
        rows : callable
            `(max_rows, n_block, dtype)` yields batches of training rows: tensors of inputs,
            targets and sample weights.
        loss : callable or None, default=None
            `(outputs, targets, row_weights)` to the sum of weighted losses; None needs no
            gradients.

        Yields
        ------
        members : slice
        row_weights : tensor of shape (n_rows,)
        activations : list of tensors of shape (n_members, n_rows, n_units, n_positions)
            One per hidden layer.
        gradients : list of tensors or None
            Gradients of the loss with respect to the activations.
        """

    @abstractmethod
    def weight_passes(self, architecture, networks, rows, loss=None, has_inputs=False):
        """Yield sums for all weights, over batches of training rows.

        Parameters
        ----------
        architecture, networks, rows, loss
            As in `unit_passes`.
        has_inputs : bool, default=False
            Whether squares of inputs are needed. Only with `has_layer_inputs`.

        Yields
        ------
        members : slice
        gradients : list of float64 tensors of shape (n_members, ...) or None
            Sums of the gradients with respect to the weights of each layer.
        squares : list of float64 tensors of shape (n_members or 1, n_inputs) or None
            Weighted sums of the squared inputs of each layer.
        """

    @abstractmethod
    def remove_units(self, architecture, networks, remaining):
        """Remove hidden units.

        Parameters
        ----------
        architecture : Architecture
        networks : list of Weights
            One per member.
        remaining : list of ndarray of int of shape (n_members, n_remaining)
            Indices of the units to keep in each group (`Architecture.unit_groups`).

        Returns
        -------
        architecture : Architecture
        networks : list of Weights
            Copies.
        """

    @abstractmethod
    def reshape(self, former, architecture, networks, find_importances, generators):
        """Return trained networks in the shape of another architecture.

        Parameters
        ----------
        former, architecture : Architecture
            Current and new architecture: see `Architecture.is_reshape_of`.
        networks : list of Weights
            One per member.
        find_importances : callable
            `(architecture, networks)` to the importances of all units, for layers that become
            narrower: a list of ndarray of shape (n_members, n_units), one per group.
        generators : list of numpy.random.Generator
            One per member.

        Returns
        -------
        list of Weights
            Copies.

        Raises
        ------
        CannotReshape
            If the new shape cannot take over the function of the old one.
        """

    # Export

    @abstractmethod
    def add_to_graph(self, graph, x, network, dtype):
        """Add a fitted network to an ONNX graph.

        Parameters
        ----------
        graph : skscale.onnx.graph.Graph
        x : str
            Name of its inputs.
        network : Dense or ModuleNetwork
        dtype : numpy dtype
            Of the outputs.

        Returns
        -------
        str
            Name of the outputs, of shape (n, n_outputs) or (n_members, n, n_outputs).

        Raises
        ------
        TypeError
            If the operators of the network are unknown.
        """

    # Fitted networks

    @abstractmethod
    def fitted_network(self, architecture, weights, factors, device):
        """Return trained networks as a FittedNetwork.

        Parameters
        ----------
        architecture : Architecture
        weights : Weights
            Those of all members.
        factors : ndarray of shape (n_members,)
            Factors of the outputs that the weights do not include.
        device : str
            Device of the fit.
        """

    @abstractmethod
    def rescale_output(self, weights, factor, shift=0.0):
        """Return Weights with outputs multiplied by `factor` and shifted by `shift`.

        Parameters
        ----------
        weights : Weights
        factor, shift : float or ndarray of shape (n_outputs,)
        """

    @abstractmethod
    def prediction_module(self, network, encoding, head, dropout):
        """Return a torch module with the predictions of a fitted network, for skorch's net.

        Parameters
        ----------
        network : FittedNetwork
            One network, no ensemble.
        encoding : Encoding or None
            How columns become inputs of a dense network.
        head : Labels or Numbers
        dropout : float
            Dropout rate for further training.
        """


class NetworkGradient(ABC):
    """Forward and backward pass of a stack, for steps of a fixed number of rows."""

    @abstractmethod
    def __call__(self, x, masks, outputs, differentiate):
        """Write the outputs, and then the gradients of all parameters.

        Parameters
        ----------
        x : tensor of shape (n_batches, n_rows, n_features), or list of SparseBatch
        masks : list of tensors of shape (n_members, n_rows, width) or None
            Dropout masks, 0 or 1 / (1 - rate).
        outputs : tensor of shape (n_members, n_rows, n_outputs)
            Written; float32 at least.
        differentiate : callable
            `outputs` to the gradient of the loss with respect to them.
        """

    @abstractmethod
    def clear(self, x):
        """Reset the gradients for the next step, after they have been used.

        A gradient that overwrites everything in each step has nothing to reset.

        Parameters
        ----------
        x : tensor or list of SparseBatch
            Input of the last step.
        """
