import numpy as np
import pytest
import torch
from scipy import special

from skscale.inference import dense as inference
from skscale.networks.architecture import ACTIVATIONS, DenseArchitecture
from skscale.networks.dense import DenseNetwork, initial_parameters


def _make(widths=(12, 12, 7), dtype=np.float64, **options):
    architecture = DenseArchitecture(5, widths, 3, **options)
    arrays = initial_parameters(architecture, np.random.default_rng(0), dtype)
    return architecture, *arrays


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("normalization", [None, "layer"])
@pytest.mark.parametrize("residual", [False, True])
def test_the_numpy_forward_pass_equals_the_torch_module(activation, normalization, residual):
    architecture, coefs, intercepts = _make(
        activation=activation, normalization=normalization, residual=residual
    )
    X = np.random.default_rng(1).standard_normal((40, 5)) * 3
    expected = DenseNetwork(architecture, coefs, intercepts).eval()(torch.from_numpy(X))
    out = inference.forward(
        X,
        coefs,
        intercepts,
        activation=activation,
        normalization=normalization,
        residual=residual,
    )
    np.testing.assert_allclose(out, expected.detach().numpy(), atol=1e-12)


def test_many_rows_are_computed_in_chunks_with_the_same_result():
    _, coefs, intercepts = _make(widths=(512,))
    X = np.random.default_rng(1).standard_normal((3000, 5))
    before = X.copy()
    options = {"activation": "gelu", "normalization": "layer", "residual": True}
    out = inference.forward(X, coefs, intercepts, **options)
    few = inference.forward(X[2990:], coefs, intercepts, **options)
    np.testing.assert_allclose(out[2990:], few, atol=1e-12)
    np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_extreme_values_neither_overflow_nor_warn(activation):
    z = np.array([[-1e4, -50.0, 0.0, 50.0, 1e4]], dtype=np.float32)
    out = inference.forward(
        z,
        [np.eye(5, dtype=np.float32)] * 2,
        [np.zeros(5, dtype=np.float32)] * 2,
        activation=activation,
        normalization=None,
        residual=False,
    )
    assert np.isfinite(out).all()
    assert out.dtype == np.float32


def test_links_equal_scipys():
    z = np.random.default_rng(0).standard_normal((50, 4)) * 30
    np.testing.assert_allclose(inference.softmax(z), special.softmax(z, axis=1), atol=1e-15)
    np.testing.assert_allclose(inference.log_softmax(z), special.log_softmax(z, axis=1))
    np.testing.assert_allclose(inference.sigmoid(z), special.expit(z), atol=1e-15)
    np.testing.assert_allclose(inference.log_sigmoid(z), special.log_expit(z))


def test_log_links_do_not_underflow():
    z = np.array([[0.0, 2000.0]])
    np.testing.assert_array_equal(inference.log_softmax(z), [[-2000.0, 0.0]])
    np.testing.assert_array_equal(inference.log_sigmoid(-z), [[np.log(0.5), -2000.0]])
