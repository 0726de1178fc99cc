"""Longer tests: python -m pytest -m slow."""

import pytest

from skscale.training.engine import train
from tests.conftest import ESTIMATORS
from tests.test_engine import assert_equal_networks, make_task
from tests.test_estimators_contract import FLOAT32, SAMPLE_WEIGHT_EQUIVALENCE, _failures

pytestmark = pytest.mark.slow


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("Estimator", ESTIMATORS)
@pytest.mark.parametrize(
    "parameters",
    [
        {"depth": 0},
        {"depth": 1, "activation": "tanh", "early_stopping": False},
        {"depth": 4, "activation": "gelu", "lr_schedule": "cosine"},
        {"depth": None, "width": (96, 64), "activation": "mish", "normalization": "layer"},
        {"residual": False, "activation": "silu", "dropout": 0.1},
        {"batch_size": 7, "early_stopping": False, "max_epochs": 40},
    ],
    ids=str,
)
def test_all_checks_pass_whatever_the_network(Estimator, parameters):
    assert set(_failures(Estimator(**parameters))) <= FLOAT32


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("Estimator", ESTIMATORS)
@pytest.mark.parametrize(
    "kind", [{"normalization": "layer"}, {"depth": 0}, {"weight_decay": 0.0}]
)
def test_weights_equal_repetition_whatever_the_network(Estimator, kind):
    estimator = Estimator(
        precision="float64",
        max_epochs=60,
        batch_size=1_000_000,
        early_stopping=False,
        learning_rate=0.01,
        **kind,
    )
    assert not SAMPLE_WEIGHT_EQUIVALENCE & set(_failures(estimator))


def test_a_large_stack_of_long_fits_equals_lone_fits():
    tasks = [
        make_task(
            seed=k,
            n_features=20,
            architecture={"widths": (24, 24), "normalization": "layer", "residual": True},
            dropout=(k % 3) * 0.1,
            learning_rate=0.001 * (1 + k % 5),
            valid=20 + k,
            rows=150 - k,
            max_epochs=60,
            n_iter_no_change=1 + k % 7,
            data_seed=k % 4,
        )
        for k in range(40)
    ]
    for together, task in zip(train(tasks), tasks, strict=True):
        alone = train([task])[0]
        assert together.best_epoch == alone.best_epoch
        assert len(together.history) == len(alone.history)
        # Rounding grows over the steps of 60 epochs.
        assert_equal_networks(together, alone, rtol=1e-6, atol=1e-8)
