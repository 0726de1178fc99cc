import numpy as np
import pytest
import torch
from scipy import special

from skscale.inference import heads
from skscale.networks.activations import ACTIVATIONS
from skscale.networks.dense.architecture import DenseArchitecture
from skscale.networks.dense.forward import Dense
from skscale.networks.dense.torch_network import DenseNetwork, initial_parameters
from skscale.networks.weights import Weights


def _make(widths=(12, 12, 7), dtype=np.float64, **options):
    architecture = DenseArchitecture(5, widths, 3, **options)
    rng = np.random.default_rng(0)
    weights = initial_parameters(architecture, rng, dtype)
    # The output layer starts at zero, which would hide the hidden layers.
    weights.coefs[-1][:] = rng.standard_normal(weights.coefs[-1].shape)
    return architecture, weights


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("normalization", [None, "layer"])
@pytest.mark.parametrize(("residual", "n_direct"), [(False, 0), (True, 0), (True, 2)])
def test_the_numpy_forward_pass_equals_the_torch_module(
    activation, normalization, residual, n_direct
):
    architecture, weights = _make(
        activation=activation, normalization=normalization, residual=residual,
        n_direct=n_direct,
    )  # fmt: skip
    X = np.random.default_rng(1).standard_normal((40, 5)) * 3
    expected = DenseNetwork(architecture, weights).eval()(torch.from_numpy(X))
    out = Dense(architecture, weights).outputs(X)
    np.testing.assert_allclose(out, expected.detach().numpy(), atol=1e-12)


def test_many_rows_are_computed_in_chunks_with_the_same_result():
    options = {"activation": "gelu", "normalization": "layer", "residual": True}
    architecture, weights = _make(widths=(512,), **options)
    X = np.random.default_rng(1).standard_normal((3000, 5))
    before = X.copy()
    out = Dense(architecture, weights).outputs(X)
    few = Dense(architecture, weights).outputs(X[2990:])
    np.testing.assert_allclose(out[2990:], few, atol=1e-12)
    np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_extreme_values_neither_overflow_nor_warn(activation):
    z = np.array([[-1e4, -50.0, 0.0, 50.0, 1e4]], dtype=np.float32)
    identity = Weights([np.eye(5, dtype=np.float32)] * 2, [np.zeros(5, dtype=np.float32)] * 2)
    out = Dense(DenseArchitecture(5, (5,), 5, activation), identity).outputs(z)
    assert np.isfinite(out).all()
    assert out.dtype == np.float32


def test_links_equal_scipys():
    z = np.random.default_rng(0).standard_normal((50, 4)) * 30
    np.testing.assert_allclose(heads.softmax(z), special.softmax(z, axis=1), atol=1e-15)
    np.testing.assert_allclose(heads.log_softmax(z), special.log_softmax(z, axis=1))
    np.testing.assert_allclose(heads.sigmoid(z), special.expit(z), atol=1e-15)
    np.testing.assert_allclose(heads.log_sigmoid(z), special.log_expit(z))


def test_log_links_do_not_underflow():
    z = np.array([[0.0, 2000.0]])
    np.testing.assert_array_equal(heads.log_softmax(z), [[-2000.0, 0.0]])
    np.testing.assert_array_equal(heads.log_sigmoid(-z), [[np.log(0.5), -2000.0]])


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("normalization", [None, "layer"])
@pytest.mark.parametrize(("n_members", "n_direct"), [(None, 0), (3, 0), (None, 2), (3, 2)])
def test_tensors_are_computed_by_the_same_code(activation, normalization, n_members, n_direct):
    options = {"activation": activation, "normalization": normalization, "n_direct": n_direct}
    members = [_make(residual=True, **options) for _ in range(n_members or 1)]
    architecture = members[0][0]
    weights = Weights.stack([own for _, own in members])
    assert weights.n_members == n_members
    X = np.random.default_rng(1).standard_normal((40, 5)) * 3
    out = Dense(architecture, weights).outputs(torch.from_numpy(X))
    assert isinstance(out, torch.Tensor)
    np.testing.assert_allclose(out.numpy(), Dense(architecture, weights).outputs(X), atol=1e-12)


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("is_multilabel", [False, True])
def test_heads_decode_tensors_as_they_do_arrays(n_classes, is_multilabel):
    head = heads.Labels(np.arange(n_classes), is_multilabel)
    z = np.random.default_rng(0).standard_normal((3, 20, head.n_outputs)) * 20
    joined = head.join(z)
    for function in (head.probabilities, head.log_probabilities, head.scores):
        found = function(head.join(torch.from_numpy(z)))
        assert isinstance(found, torch.Tensor)
        np.testing.assert_allclose(found.numpy(), function(joined), rtol=1e-10, atol=1e-12)
    for is_log in (False, True):
        numbers = heads.Numbers(np.array([2.0, 1.0]), np.array([0.5, 3.0]), is_log, False)
        z = np.random.default_rng(0).standard_normal((3, 20, 2))
        found = numbers.predictions(numbers.join(torch.from_numpy(z)))
        np.testing.assert_allclose(found.numpy(), numbers.predictions(numbers.join(z)))
