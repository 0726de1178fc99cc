"""CUDA: the same results, no synchronisation a batch, pickles that load on a CPU.

python -m pytest -m gpu
"""

import pickle

import numpy as np
import pytest
import torch

from skscale.training.engine import train
from tests.test_engine import LOSS_CLASSES, SHAPES, assert_equal_networks, make_task
from tests.test_losses import loss_tasks

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


def _on(device, task):
    task.device = device
    return task


@pytest.mark.parametrize("architecture", SHAPES, ids=str)
@pytest.mark.parametrize("loss", ["cross_entropy", "logistic", "squared_error"])
def test_a_fit_on_the_gpu_equals_one_on_the_cpu_in_float64(architecture, loss):
    settings = {
        "architecture": architecture, "loss": loss, "weighted": True, "valid": 20,
        "l1": 0.01, "weight_decay": 0.1, "batch_size": 4, "max_epochs": 6,
    }  # fmt: skip
    on_gpu, on_cpu = (train([_on(d, make_task(**settings))])[0] for d in ("cuda", "cpu"))
    assert_equal_networks(on_gpu, on_cpu, rtol=1e-8, atol=1e-9)


def test_a_stack_on_the_gpu_equals_lone_fits_dropout_included():
    tasks = [
        _on("cuda", make_task(seed=k, dropout=0.2 * k, learning_rate=0.01 * (k + 1), rows=rows))
        for k, rows in enumerate((150, 120, 77))
    ]
    for together, task in zip(train(tasks), tasks, strict=True):
        assert_equal_networks(together, train([task])[0], rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("is_sparse", [False, True])
@pytest.mark.parametrize("loss", LOSS_CLASSES)
def test_every_loss_and_sparse_rows_on_the_gpu_equal_the_cpu(loss, is_sparse):
    def tasks(device):
        made = loss_tasks(loss, is_sparse=is_sparse, batch_size=8, max_epochs=4)
        return [_on(device, task) for task in made]

    for on_gpu, on_cpu in zip(train(tasks("cuda")), train(tasks("cpu")), strict=True):
        assert_equal_networks(on_gpu, on_cpu, rtol=1e-8, atol=1e-9)
        assert on_gpu.peak_device_bytes > 0


def test_replayed_graphs_equal_single_steps(monkeypatch):
    from skscale.training import chunk

    task = _on("cuda", make_task(batch_size=4, max_epochs=8, dropout=0.2))
    replayed = train([task])[0]
    monkeypatch.setattr(
        chunk.Chunk,
        "_run_graph",
        lambda self, n, plan: self._run_steps(
            0, n, [r.unbind(0) for r in plan[0].unbind(0)], plan[1], plan[2]
        ),
    )
    assert_equal_networks(replayed, train([task])[0], rtol=1e-10, atol=1e-12)


def test_steps_do_not_synchronise():
    task = _on("cuda", make_task(batch_size=4, max_epochs=4, dropout=0.2))
    train([task])
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with pytest.warns(UserWarning, match="synchronizing") as caught:
            train([task])
    finally:
        torch.cuda.set_sync_debug_mode("default")
    # Once a chunk and a few times an epoch, however many batches.
    assert len(caught) < 4 * 40


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_network_trained_on_the_gpu_is_pickled_for_the_cpu(Estimator, small, precision):
    X, y = small
    fitted = Estimator(device="cuda", precision=precision, random_state=0, max_epochs=20).fit(
        X, y
    )
    data = pickle.dumps(fitted)
    assert b"torch" not in data.replace(b"skscale.networks.torch_forward", b"")
    np.testing.assert_array_equal(pickle.loads(data).predict(X), fitted.predict(X))


def test_callbacks_run_on_the_gpu(Estimator, small):
    from tests.test_skorch_surface import Nothing

    settings = {"random_state": 0, "precision": "float64", "max_epochs": 4, "device": "cuda"}
    through = Estimator(callbacks=[Nothing()], **settings).fit(*small)
    engine = Estimator(**settings).fit(*small)
    for a, b in zip(engine.coefs_, through.coefs_, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-7)


def test_a_fused_search_on_the_gpu_has_the_results_of_a_plain_one(digits):
    import joblib
    from sklearn.model_selection import GridSearchCV

    from skscale import ScaledMLPClassifier
    from skscale.fusion import last_fused_run

    X, y = digits[0][:400], digits[1][:400]
    network = ScaledMLPClassifier(
        max_epochs=6, precision="float64", random_state=0, device="cuda"
    )
    grid = {"width": [8, 16], "dropout": [0.0, 0.2], "learning_rate": [0.002, 0.01]}
    plain = GridSearchCV(network, grid, cv=3).fit(X, y)
    with joblib.parallel_config(backend="skscale"):
        together = GridSearchCV(network, grid, cv=3).fit(X, y)
    assert sorted(last_fused_run().stack_sizes) == [12, 12]
    for key in plain.cv_results_:
        if key.startswith("split"):
            np.testing.assert_array_equal(plain.cv_results_[key], together.cv_results_[key])


def test_images_and_modules_train_on_the_gpu_and_predict_on_a_cpu(digits):
    from skscale import ScaledCNNClassifier, ScaledNetworkClassifier
    from tests.test_network import Dense

    X, y = digits[0][:300], digits[1][:300]
    settings = {"precision": "float64", "max_epochs": 4, "random_state": 0, "device": "cuda"}
    for model in (
        ScaledCNNClassifier(width=8, augmentation=("shift", "erase"), **settings),
        ScaledNetworkClassifier(Dense, module__dropout=0.2, **settings),
    ):
        fitted = model.fit(X, y)
        served = pickle.loads(pickle.dumps(fitted)).set_params(device="cpu")
        np.testing.assert_allclose(
            served.predict_proba(X), fitted.predict_proba(X), rtol=1e-6, atol=1e-9
        )


def test_small_convolutional_networks_train_together_on_the_gpu(digits):
    import joblib
    from sklearn.model_selection import GridSearchCV

    from skscale import ScaledCNNClassifier
    from skscale.fusion import last_fused_run

    X, y = digits[0][:200], digits[1][:200]
    network = ScaledCNNClassifier(
        width=8, max_epochs=3, precision="float64", random_state=0, device="cuda"
    )
    grid = {"dropout": [0.0, 0.2], "learning_rate": [0.002, 0.01]}
    plain = GridSearchCV(network, grid, cv=2, scoring="neg_log_loss").fit(X, y)
    with joblib.parallel_config(backend="skscale"):
        together = GridSearchCV(network, grid, cv=2, scoring="neg_log_loss").fit(X, y)
    assert max(last_fused_run().stack_sizes) > 1
    np.testing.assert_allclose(
        together.cv_results_["mean_test_score"],
        plain.cv_results_["mean_test_score"],
        rtol=1e-6,
    )
