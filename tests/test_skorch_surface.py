"""`net_`, and fits with the user's skorch callbacks."""

import numpy as np
import pytest
import skorch
import torch
from sklearn.datasets import make_multilabel_classification
from sklearn.preprocessing import StandardScaler
from skorch import callbacks as skorch_callbacks

from skscale import ScaledMLPClassifier, ScaledMLPRegressor


class Nothing(skorch_callbacks.Callback):
    """A callback that does nothing."""


def _cases(digits, diabetes):
    multilabel = make_multilabel_classification(300, random_state=0)
    multilabel = StandardScaler().fit_transform(multilabel[0]), multilabel[1]
    X, y = digits[0][:400], digits[1][:400]
    return {
        "multiclass": (ScaledMLPClassifier, X, y),
        "binary": (ScaledMLPClassifier, X, np.where(y > 4, "high", "low")),
        "multilabel": (ScaledMLPClassifier, *multilabel),
        "regression": (ScaledMLPRegressor, *diabetes),
        "several outputs": (
            ScaledMLPRegressor,
            diabetes[0],
            np.column_stack([diabetes[1], -2 * diabetes[1]]),
        ),
    }


@pytest.fixture(params=["multiclass", "binary", "multilabel", "regression", "several outputs"])
def case(request, digits, diabetes):
    return _cases(digits, diabetes)[request.param]


KINDS = [
    {"max_epochs": 6},
    {"max_epochs": 6, "dropout": 0.3, "early_stopping": False, "lr_schedule": "cosine"},
    {"max_epochs": 6, "l1": 0.01, "weight_decay": 0.5, "normalization": "layer"},
    {"max_epochs": 30, "learning_rate": 0.02, "n_iter_no_change": 2},
]


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("weighted", [False, True])
def test_callbacks_that_do_nothing_give_the_engines_result(case, kind, weighted):
    Estimator, X, y = case
    weights = np.random.default_rng(0).uniform(0.1, 2, len(X)) if weighted else None
    settings = {"random_state": 0, "width": 16, "precision": "float64", **kind}
    engine = Estimator(**settings).fit(X, y, sample_weight=weights)
    through = Estimator(**settings, callbacks=[Nothing()]).fit(X, y, sample_weight=weights)
    for a, b in zip(engine.coefs_, through.coefs_, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-8)
    assert engine.best_epoch_ == through.best_epoch_
    assert engine.n_iter_ == through.n_iter_
    np.testing.assert_allclose(engine.loss_curve_, through.loss_curve_, rtol=1e-6)
    np.testing.assert_allclose(engine.validation_scores_, through.validation_scores_, rtol=1e-6)


def test_callbacks_that_do_nothing_give_the_engines_float32_result(case):
    Estimator, X, y = case
    settings = {"random_state": 0, "max_epochs": 5}
    engine = Estimator(**settings).fit(X, y)
    through = Estimator(**settings, callbacks=[Nothing()]).fit(X, y)
    name = "predict_proba" if Estimator is ScaledMLPClassifier else "predict"
    a, b = getattr(engine, name)(X), getattr(through, name)(X)
    assert np.abs(a - b).max() <= 1e-5 * np.abs(a).max()


def test_the_net_predicts_the_same_as_the_estimator(case):
    Estimator, X, y = case
    fitted = Estimator(random_state=0, max_epochs=3, activation="gelu").fit(X, y)
    net = fitted.net_
    assert isinstance(net, skorch.NeuralNet)
    assert isinstance(net.module_, torch.nn.Module)
    if Estimator is ScaledMLPRegressor:
        assert net.predict(X).shape == fitted.predict(X).shape
        np.testing.assert_allclose(net.predict(X), fitted.predict(X), rtol=1e-4)
        return
    np.testing.assert_allclose(net.predict_proba(X), fitted.predict_proba(X), atol=1e-5)
    if y.ndim == 1:
        np.testing.assert_array_equal(fitted.classes_[net.predict(X)], fitted.predict(X))


def test_the_net_centres_far_columns_as_the_estimator_does():
    rng = np.random.default_rng(0)
    X = rng.uniform(0, 100, (200, 2)) + np.array([1.7e9, 0])
    fitted = ScaledMLPRegressor(random_state=0, max_epochs=2).fit(X, X[:, 1])
    np.testing.assert_allclose(fitted.net_.predict(X), fitted.predict(X), rtol=1e-4)


def test_the_net_is_made_on_access_and_changing_it_changes_nothing(digits):
    fitted = ScaledMLPClassifier(random_state=0, max_epochs=2).fit(*digits)
    expected = fitted.predict_proba(digits[0])
    net = fitted.net_
    with torch.no_grad():
        for parameter in net.module_.parameters():
            parameter.zero_()
    np.testing.assert_array_equal(fitted.predict_proba(digits[0]), expected)
    assert fitted.net_ is not net
    assert not any("net" in name for name in vars(fitted))


def test_the_nets_history_is_that_of_the_fit(digits):
    fitted = ScaledMLPClassifier(random_state=0, max_epochs=3).fit(*digits)
    history = fitted.net_.history
    assert history[:, "epoch"] == [1, 2, 3]
    np.testing.assert_allclose(history[:, "train_loss"], fitted.loss_curve_)
    np.testing.assert_allclose(history[:, "validation_score"], fitted.validation_scores_)
    np.testing.assert_allclose(history[:, "seconds"], fitted.history_["seconds"])


def test_the_net_can_be_trained_further_as_any_skorch_net(digits):
    X, y = digits
    net = ScaledMLPClassifier(random_state=0, max_epochs=1).fit(X, y).net_
    before = np.mean(net.predict(X) == y)
    torch_state = torch.random.get_rng_state()
    net.set_params(max_epochs=5)
    net.partial_fit(X, y.astype(np.int64))
    assert np.mean(net.predict(X) == y) > before
    assert torch.equal(torch_state, torch.random.get_rng_state())


def test_a_fit_with_callbacks_moves_no_global_generator(digits):
    states = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    fitted = ScaledMLPClassifier(
        max_epochs=2, dropout=0.2, random_state=0,
        callbacks=[skorch_callbacks.EpochScoring("accuracy", use_caching=False)],
    ).fit(*digits)  # fmt: skip
    fitted.net_.predict(digits[0])
    assert torch.equal(states[0], torch.random.get_rng_state())
    np.testing.assert_array_equal(states[1], np.random.get_state()[1])


def test_a_learning_rate_scheduler_schedules(digits):
    settings = {
        "random_state": 0, "max_epochs": 4, "early_stopping": False, "lr_schedule": "constant"
    }  # fmt: skip
    stopped = skorch_callbacks.LRScheduler("LambdaLR", lr_lambda=lambda epoch: float(epoch < 2))
    scheduled = ScaledMLPClassifier(**settings, callbacks=[stopped]).fit(*digits)
    plain = ScaledMLPClassifier(**{**settings, "max_epochs": 2}).fit(*digits)
    np.testing.assert_allclose(scheduled.coefs_[0], plain.coefs_[0], atol=1e-4)
    assert scheduled.history_["event_lr"].tolist()[-1] == 0


def test_early_stopping_of_skorch_stops_and_its_scores_are_recorded(digits):
    fitted = ScaledMLPClassifier(
        random_state=0,
        max_epochs=100,
        callbacks=[
            ("accuracy", skorch_callbacks.EpochScoring("accuracy", name="valid_acc")),
            skorch_callbacks.EarlyStopping(
                monitor="valid_acc", lower_is_better=False, patience=2
            ),
        ],
    ).fit(*digits)
    assert fitted.n_iter_ < 30
    accuracy = fitted.history_["valid_acc"]
    assert len(accuracy) == fitted.n_iter_
    assert accuracy[-1] > 0.8


def test_a_checkpoint_writes_and_restores(digits, tmp_path):
    checkpoint = skorch_callbacks.Checkpoint(
        dirname=str(tmp_path), monitor="valid_loss_best", load_best=True
    )
    fitted = ScaledMLPClassifier(random_state=0, max_epochs=3, callbacks=[checkpoint])
    fitted.fit(*digits)
    assert (tmp_path / "params.pt").exists()
    saved = torch.load(tmp_path / "params.pt", weights_only=True)
    # What is trained: the weights without their gain and the scales of their inputs.
    weights = 6 / 8 * saved["scales"][:, None] * saved["layers.0.weight"].T
    np.testing.assert_allclose(weights.numpy(), fitted.coefs_[0], rtol=1e-6)


def test_a_callback_of_ones_own_sees_gradients_batches_and_epochs(digits):
    class Watch(skorch_callbacks.Callback):
        def __init__(self):
            self.seen = []

        def on_train_begin(self, net, X, y, **kwargs):
            self.seen.append(("train", len(X), len(y)))

        def on_grad_computed(self, net, named_parameters, **kwargs):
            norm = sum(float(p.grad.norm()) for _, p in named_parameters)
            self.seen.append(("gradient", norm > 0))

        def on_epoch_end(self, net, dataset_train, dataset_valid, **kwargs):
            self.seen.append(("epoch", len(dataset_train), len(dataset_valid)))

    watch = Watch()
    X, y = digits[0][:300], digits[1][:300]
    ScaledMLPClassifier(random_state=0, max_epochs=2, batch_size=100, callbacks=[watch]).fit(
        X, y
    )
    gradients = [("gradient", True)] * 3
    assert watch.seen == [
        ("train", 300, 300), *gradients, ("epoch", 270, 30), *gradients, ("epoch", 270, 30),
    ]  # fmt: skip


def test_a_callback_class_is_made_and_gradient_clipping_clips(digits):
    settings = {"random_state": 0, "max_epochs": 2, "early_stopping": False}
    clipped = ScaledMLPClassifier(
        **settings,
        callbacks=[Nothing, skorch_callbacks.GradientNormClipping(1e-9)],
    ).fit(*digits)
    plain = ScaledMLPClassifier(**settings).fit(*digits)
    assert np.abs(clipped.coefs_[0] - plain.coefs_[0]).max() > 1e-3


@pytest.mark.alone
def test_a_control_c_within_a_fit_with_callbacks_propagates(digits):
    import signal

    class Interrupt(skorch_callbacks.Callback):
        def on_batch_end(self, net, **kwargs):
            # As the terminal does it; Python's handler raises in whatever runs next.
            signal.raise_signal(signal.SIGINT)

    estimator = ScaledMLPClassifier(random_state=0, callbacks=[Interrupt()])
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(*digits)
    assert not hasattr(estimator, "coefs_")


def test_a_diverged_fit_with_callbacks_raises(Estimator, small):
    with pytest.raises(ValueError, match="Training diverged"):
        Estimator(learning_rate=1e30, random_state=0, callbacks=[Nothing()]).fit(*small)


@pytest.mark.alone
def test_a_time_budget_ends_a_fit_with_callbacks_within_an_epoch(digits):
    fitted = ScaledMLPClassifier(
        max_seconds=0.3, max_epochs=10**6, batch_size=1, random_state=0, callbacks=[Nothing()]
    ).fit(*digits)
    assert fitted.n_iter_ < 5
    assert np.isfinite(fitted.validation_scores_).all()


def test_a_callback_that_ends_the_training_at_once_raises_an_error(digits):
    class Stop(skorch_callbacks.Callback):
        def on_epoch_begin(self, net, **kwargs):
            raise KeyboardInterrupt

    with pytest.raises(ValueError, match="ended the training before the first epoch"):
        ScaledMLPClassifier(callbacks=[Stop()]).fit(*digits)


def test_callbacks_work_in_bfloat16(digits):
    fitted = ScaledMLPClassifier(
        precision="bfloat16", random_state=0, max_epochs=5, callbacks=[Nothing()]
    ).fit(*digits)
    assert fitted.score(*digits) > 0.9


def test_a_scheduler_beside_a_schedule_and_a_monitor_without_rows_are_refused(digits):
    scheduler = skorch_callbacks.LRScheduler("StepLR", step_size=1)
    with pytest.raises(ValueError, match=r"would both set the learning rate"):
        ScaledMLPClassifier(lr_schedule="cosine", callbacks=[scheduler]).fit(*digits)
    stopping = skorch_callbacks.EarlyStopping()
    with pytest.raises(ValueError, match=r"Set early_stopping=True"):
        ScaledMLPClassifier(early_stopping=False, callbacks=[stopping]).fit(*digits)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_scores_are_recorded_in_every_precision_and_for_labels(precision):
    X, y = make_multilabel_classification(200, random_state=0)
    score = skorch_callbacks.EpochScoring("f1_macro", name="f1", lower_is_better=False)
    fitted = ScaledMLPClassifier(
        precision=precision, max_epochs=3, random_state=0, callbacks=[score]
    ).fit(X, y)
    assert np.isfinite(fitted.history_["f1"]).all()
    assert set(np.unique(fitted.net_.predict(X))) <= {0, 1}


def test_occasional_records_of_a_callback_are_in_the_history(digits):
    class Sometimes(skorch_callbacks.Callback):
        def on_epoch_end(self, net, **kwargs):
            if len(net.history) % 2 == 0:
                net.history.record("even", float(len(net.history)))

    fitted = ScaledMLPClassifier(max_epochs=4, random_state=0, callbacks=[Sometimes()])
    np.testing.assert_array_equal(fitted.fit(*digits).history_["even"], [np.nan, 2, np.nan, 4])


def test_a_print_log_prints(digits, capsys):
    ScaledMLPClassifier(
        max_epochs=2, random_state=0, callbacks=[skorch_callbacks.PrintLog()]
    ).fit(*digits)
    assert "train_loss" in capsys.readouterr().out


def test_a_checkpoint_can_pickle_the_net(digits, tmp_path):
    import pickle

    checkpoint = skorch_callbacks.Checkpoint(
        dirname=str(tmp_path), f_pickle="net.pkl", monitor=None
    )
    fitted = ScaledMLPClassifier(
        max_epochs=1, random_state=0, early_stopping=False, callbacks=[checkpoint]
    ).fit(*digits)
    net = pickle.loads((tmp_path / "net.pkl").read_bytes())
    assert type(net) is skorch.NeuralNetClassifier
    np.testing.assert_allclose(
        net.predict_proba(fitted.encoding_.encode(digits[0], np.float32)),
        fitted.predict_proba(digits[0]),
        atol=1e-5,
    )
