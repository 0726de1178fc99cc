import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from skscale.networks.activations import ACTIVATIONS
from skscale.networks.dense.architecture import DenseArchitecture
from skscale.networks.dense.torch_network import (
    DenseNetwork,
    initial_parameters,
    stacked_forward,
)
from skscale.networks.parameters import ParameterShapes, StackedParameters, TrainedNumbers
from skscale.networks.weights import Weights

ARCHITECTURES = [
    DenseArchitecture(5, (), 3),
    DenseArchitecture(5, (8,), 1, "tanh"),
    DenseArchitecture(5, (8, 8, 6), 4, "relu", "layer", True),
    DenseArchitecture(5, (8, 8), 2, "silu", scales_inputs=True),
    DenseArchitecture(5, (8, 6), 2, "silu", "layer", scales_inputs=True, n_direct=2),
]


def draw(architecture, seed, dtype=np.float64):
    """Weights and biases that are nowhere zero."""
    rng = np.random.default_rng(seed)
    shapes = architecture.layer_shapes
    return Weights(
        [rng.standard_normal(s).astype(dtype) for s in shapes],
        [rng.standard_normal(s[1]).astype(dtype) for s in shapes],
    )


def make_stack(architecture, n_members, dtype):
    shapes = ParameterShapes.of_layers(architecture.layer_shapes, architecture.scales_inputs)
    return StackedParameters(shapes, n_members, dtype, "cpu")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_counts_equal_those_of_torch(architecture):
    weights = initial_parameters(architecture, np.random.default_rng(0), np.float32)
    network = DenseNetwork(architecture, weights)
    assert architecture.n_parameters == sum(p.numel() for p in network.parameters())
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 5))
    assert architecture.n_macs * 2 == counter.get_total_flops()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_member_of_a_stack_computes_the_same_as_its_module(architecture):
    weights = [draw(architecture, k) for k in range(3)]
    stack = make_stack(architecture, 3, torch.float64)
    for k in range(3):
        scales = np.arange(1.0, architecture.n_hidden_inputs + 1) if k else None
        trained = TrainedNumbers.of(architecture, weights[k], scales)
        stack.set_member_(k, trained)
    x = torch.randn(3, 10, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    masks = [
        (torch.rand(3, 10, w, generator=torch.Generator().manual_seed(w)) > 0.5) * 2.0
        for w in architecture.widths
    ]
    for some_masks in (None, masks):
        out = stacked_forward(architecture, stack, x, some_masks)
        for k in range(3):
            of_member = None if some_masks is None else [m[k] for m in some_masks]
            for is_trained in (False, True):
                network = DenseNetwork(architecture, weights[k], is_trained=is_trained).eval()
                np.testing.assert_allclose(
                    out[k].numpy(), network(x[k], of_member).detach().numpy(), atol=1e-12
                )
                pairs = zip(network.get_weights().trained, weights[k].trained, strict=True)
                for own, given in pairs:
                    np.testing.assert_allclose(own, given, rtol=1e-14)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_parameters_round_trip_through_a_stack_and_its_selection(architecture):
    weights = [draw(architecture, k) for k in range(4)]
    stack = make_stack(architecture, 4, torch.float64)
    for k in range(4):
        stack.set_member_(k, TrainedNumbers.of(architecture, weights[k]))
    chosen = stack.select([2, 0])
    chosen.copy_member_(1, stack, 3)
    for member, expected in ((0, weights[2]), (1, weights[3])):
        got = chosen.get_member(member).weights(architecture)
        for a, b in zip(got.trained, expected.trained, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-14)
    n_scales = architecture.n_hidden_inputs if architecture.scales_inputs else 0
    assert stack.flat.numel() == 4 * (architecture.n_parameters + n_scales)
    assert not np.shares_memory(chosen.get_member(0).coefs[0], chosen.flat.numpy())


# The logistic function's slope of a quarter shrinks signals whatever the weights.
@pytest.mark.parametrize("activation", sorted({*ACTIVATIONS} - {"logistic"}))
def test_initial_activations_keep_their_scale_through_many_layers(activation):
    architecture = DenseArchitecture(100, (256,) * 10, 1, activation)
    weights = initial_parameters(architecture, np.random.default_rng(0), np.float64)
    assert not weights.coefs[-1].any()  # training begins at the mean
    weights.coefs[-1] = np.random.default_rng(1).standard_normal((256, 1)) / 16
    network = DenseNetwork(architecture, weights)
    x = torch.randn(50, 100, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    deviation = network(x).std().item()
    assert 0.005 < deviation < 5


def test_making_a_network_moves_no_global_generator():
    torch_state, numpy_state = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    architecture = ARCHITECTURES[2]
    weights = initial_parameters(architecture, np.random.default_rng(0), np.float32)
    DenseNetwork(architecture, weights)
    assert torch.equal(torch_state, torch.random.get_rng_state())
    np.testing.assert_array_equal(numpy_state, np.random.get_state()[1])
