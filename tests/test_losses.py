"""Losses: against torch's criteria, in a stack, and what estimators predict by them."""

import pickle
import warnings
from dataclasses import replace
from functools import partial

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, PoissonRegressor
from sklearn.metrics import d2_pinball_score, log_loss, mean_poisson_deviance
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback

from skscale import ScaledMLPClassifier, ScaledMLPRegressor, prune
from skscale.fusion import last_fused_run
from skscale.fusion.sharing import SharedArrays
from skscale.training.engine import train
from skscale.training.gradient import AutogradGradient
from skscale.training.losses import Huber, Loss, LossGradient, SquaredError
from tests.test_engine import LOSS_CLASSES, assert_equal_networks, make_task


def _quantile_criterion(q):
    # torch has none: the definition, by cases.
    def criterion(outputs, targets):
        above = targets > outputs
        return torch.where(above, q * (targets - outputs), (1 - q) * (outputs - targets))

    return criterion


def _smoothed_logistic(smoothing):
    # torch has none for two classes: each gets half of what is spread.
    plain = torch.nn.BCEWithLogitsLoss(reduction="none")
    return lambda o, t: (
        (1 - smoothing) * plain(o, t) + smoothing / 2 * (plain(o, t) + plain(o, 1 - t))
    )


CRITERIA = {
    "cross_entropy": lambda s: torch.nn.CrossEntropyLoss(reduction="none", label_smoothing=s),
    "logistic": _smoothed_logistic,
    "squared_error": lambda _: torch.nn.MSELoss(reduction="none"),
    "absolute_error": lambda _: torch.nn.L1Loss(reduction="none"),
    "huber": lambda delta: torch.nn.HuberLoss(reduction="none", delta=delta),
    "quantile": _quantile_criterion,
    "poisson": lambda _: torch.nn.PoissonNLLLoss(reduction="none"),
}
# Of three members: some equal to none at all.
NUMBERS = {
    "smoothing": [0.0, 0.1, 0.5], "delta": [0.5, 1.0, 3.0], "quantile": [0.1, 0.5, 0.9],
}  # fmt: skip


def numbers_of(loss):
    """Return the arguments of a loss for three members."""
    names = LOSS_CLASSES[loss].per_member
    return [(number,) for number in NUMBERS[names[0]]] if names else [()] * 3


@pytest.mark.parametrize("loss", CRITERIA)
def test_losses_and_their_gradients_are_those_of_torchs_criteria(loss):
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(3, 7, 4, dtype=torch.float64, generator=generator)
    outputs.requires_grad_()
    weights = torch.rand(3, 7, 1, dtype=torch.float64, generator=generator)
    numbers = numbers_of(loss)
    if loss == "cross_entropy":
        targets = torch.randint(4, (3, 7), generator=generator)
        buffered = targets.unsqueeze(-1)
    else:
        buffered = targets = torch.randint(2, (3, 7, 4), generator=generator).double()
    expected = torch.stack(
        [
            CRITERIA[loss](*(own or [None]))(o, t)
            for own, o, t in zip(numbers, outputs, targets, strict=True)
        ]
    )
    if expected.ndim == 3:
        expected = expected.mean(-1)
    device = torch.device("cpu")
    losses = [LOSS_CLASSES[loss](*own) for own in numbers]
    stacked = losses[0].stack(losses, torch.float64, device)
    torch.testing.assert_close(stacked.row_losses(outputs, targets), expected)
    (gradient,) = torch.autograd.grad((expected.unsqueeze(-1) * weights).sum(), outputs)
    written = LossGradient(stacked, 3, 7, 4, torch.float64, device)
    with torch.no_grad():
        got = written(outputs, buffered, weights * stacked.weight_factor(4))
    torch.testing.assert_close(got, gradient)


def loss_tasks(loss, **common):
    numbers = numbers_of(loss) * 2
    return [
        make_task(loss=loss, loss_numbers=own, seed=k % 2, learning_rate=0.01 * (k + 1),
                  weighted=k < 4, valid=20 * (k % 2), **common)
        for k, own in enumerate(numbers)
    ]  # fmt: skip


@pytest.mark.parametrize("is_sparse", [False, True])
@pytest.mark.parametrize("loss", CRITERIA)
def test_a_stack_of_members_with_losses_of_their_own_equals_lone_fits(loss, is_sparse):
    tasks = loss_tasks(loss, is_sparse=is_sparse, dropout=0.1)
    arrays = SharedArrays()
    for task in tasks:
        arrays.share(task)
    sizes = []
    together = train(tasks, n_threads=1, stack_sizes=sizes)
    assert sizes == [6]
    derived = train(tasks, AutogradGradient, n_threads=1)
    for one, other, task in zip(together, derived, tasks, strict=True):
        alone = train([task])[0]
        assert_equal_networks(one, alone, rtol=1e-12, atol=1e-12)
        assert_equal_networks(one, other, rtol=1e-9, atol=1e-11)
        for a, b in zip(one.history, alone.history, strict=True):
            np.testing.assert_allclose(a["train_loss"], b["train_loss"], rtol=1e-12)
            np.testing.assert_allclose(a["validation_score"], b["validation_score"], rtol=1e-12)


@pytest.fixture(scope="module")
def skewed():
    """A line with errors that are exponential, and grow to one side."""
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (3000, 1))
    return X, 2 * X[:, 0] + rng.exponential(1.0, 3000)


def fit(X, y, **parameters):
    defaults = {
        "depth": 0, "max_epochs": 20, "learning_rate": 0.05, "lr_schedule": "cosine",
        "early_stopping": False, "random_state": 0, "preprocessing": None,
    }  # fmt: skip
    return ScaledMLPRegressor(**(defaults | parameters)).fit(X, y)


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.9])
def test_a_quantile_is_above_its_share_of_the_targets(skewed, quantile):
    X, y = skewed
    predicted = fit(X, y, loss="quantile", quantile=quantile).predict(X)
    assert abs((y < predicted).mean() - quantile) < 0.02
    # Of an exponential error it is known.
    np.testing.assert_allclose(predicted.mean() - 2 * X.mean(), -np.log(1 - quantile), atol=0.1)
    assert d2_pinball_score(y, predicted, alpha=quantile) > 0.1


def test_the_absolute_error_gives_the_median(skewed):
    X, y = skewed
    median = fit(X, y, loss="quantile", quantile=0.5).predict(X)
    absolute = fit(X, y, loss="absolute_error").predict(X)
    assert abs((y < absolute).mean() - 0.5) < 0.02
    assert np.abs(absolute - median).mean() < 0.05


def test_huber_is_hardly_moved_by_outliers_and_large_delta_is_the_squared_error():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (1000, 1))
    y = 3 * X[:, 0] + rng.normal(0, 0.1, 1000)
    far = y.copy()
    far[::20] += 50
    # The outliers are 20 units of the robust scale away, which takes more epochs to follow.
    long = {"max_epochs": 200, "precision": "float64"}
    errors = {
        delta: np.abs(fit(X, far, loss="huber", huber_delta=delta, **long).predict(X) - y)
        for delta in (0.01, 1.0, 100.0)
    }
    assert errors[0.01].mean() < 0.1
    assert errors[1.0].mean() < 0.2 < 2 < errors[100.0].mean()
    # Half the squared error: Adam's steps do not depend on the size of a gradient.
    squared = fit(X, far, **long).predict(X)
    wide = fit(X, far, loss="huber", huber_delta=1e6, **long).predict(X)
    np.testing.assert_allclose(wide, squared, atol=0.05)


def _with_outliers(value, share=100):
    """Rows with 1 % of targets at a value, and the targets without it."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((1000, 5))
    y = X[:, 0] + 0.1 * rng.standard_normal(1000)
    far = y.copy()
    far[::share] = value
    return X, y, far


ROBUST = ["absolute_error", "huber", "quantile"]


@pytest.mark.parametrize("value", [1e3, 999_999, -999_999, 1e30, 1e150])
@pytest.mark.parametrize("loss", ROBUST)
def test_outliers_of_any_size_leave_robust_losses_as_accurate(loss, value):
    X, y, far = _with_outliers(value)
    network = ScaledMLPRegressor(loss=loss, random_state=0).fit(X, far)
    # The error of the targets alone is 0.08.
    assert np.abs(network.predict(X) - y).mean() < 0.12
    assert network.best_epoch_ > 3  # the validation loss told epochs apart
    # A given validation set with outliers does, too.
    network = ScaledMLPRegressor(loss=loss, random_state=0)
    network.fit(X[:700], far[:700], X_val=X[700:], y_val=far[700:])
    assert np.abs(network.predict(X) - y).mean() < 0.12


@pytest.mark.parametrize("loss", ROBUST)
def test_robust_losses_withstand_outliers_in_all_kinds_of_fits(loss):
    X, y, far = _with_outliers(999_999)
    both = np.column_stack([far, 1e6 * y])
    make = partial(ScaledMLPRegressor, loss=loss, random_state=0)
    error = np.abs(make().fit(X, both).predict(X) - np.column_stack([y, 1e6 * y])).mean(axis=0)
    assert (error < [0.15, 0.15e6]).all()
    network = make(max_epochs=20).fit(X, far)
    network.set_params(warm_start=True).fit(X, far)
    assert np.abs(network.predict(X) - y).mean() < 0.12
    assert np.abs(prune(network, X, far, amount=0.5).predict(X) - y).mean() < 0.15
    teacher = HistGradientBoostingRegressor(loss="absolute_error", max_iter=50)
    with warnings.catch_warnings():  # of a student that does not gain
        warnings.simplefilter("ignore", UserWarning)
        student = make(teacher=teacher).fit(X, far)
    assert np.abs(student.predict(X) - y).mean() < 0.3
    # Outliers without weight have no influence at all.
    weights = (far == y).astype(float)
    weighted = make(max_epochs=5).fit(X, far, weights)
    rows = weights > 0
    np.testing.assert_allclose(weighted.target_scale_, make(max_epochs=5).fit(
        X[rows], y[rows]).target_scale_, rtol=0.1)  # fmt: skip
    stream = make()
    for part in np.array_split(np.arange(1000), 20) * 3:
        stream.partial_fit(X[part], far[part])
    assert np.abs(stream.predict(X) - y).mean() < 0.3


@pytest.mark.parametrize("callbacks", [None, [("nothing", Callback())]])
def test_an_own_loss_declares_a_robust_scale(callbacks):
    X, y, far = _with_outliers(1e5)
    errors = []
    for is_robust in (False, True):
        loss = OwnAbsolute()
        loss.has_robust_scale = is_robust
        options = {"max_epochs": 20 if callbacks else 50, "random_state": 0}
        network = ScaledMLPRegressor(loss=loss, callbacks=callbacks, **options)
        errors.append(np.abs(network.fit(X, far).predict(X) - y).mean())
    assert errors[1] < 0.12 < errors[0]


def test_huber_with_a_large_delta_still_sees_the_targets_below_it():
    loss = Huber(1e6)
    assert loss.largest_target >= 1e6
    assert Huber(1.0).largest_target == 1e4
    assert SquaredError().largest_target == 1e15


def test_poisson_predicts_rates_as_poisson_regression_does():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (4000, 2))
    y = rng.poisson(np.exp(3 + X @ [1.5, -0.5])).astype(float)
    network = fit(X, y, loss="poisson")
    predicted = network.predict(X)
    assert predicted.min() > 0
    reference = PoissonRegressor(alpha=0).fit(X, y).predict(X)
    ratio = mean_poisson_deviance(y, predicted) / mean_poisson_deviance(y, reference)
    assert ratio < 1.02
    assert mean_poisson_deviance(y, LinearRegression().fit(X, y).predict(X).clip(1)) > 1.2 * (
        mean_poisson_deviance(y, predicted)
    )
    with pytest.raises(ValueError, match=r"too large for float64"):
        network.predict(np.array([[1e6, -1e6]]))


def test_poisson_refuses_negative_targets(skewed):
    X, y = skewed
    with pytest.raises(ValueError, match=r'loss="poisson".*expected non-negative y, got -'):
        fit(X, y - 10, loss="poisson")
    with pytest.raises(ValueError, match="Expected y to have one, got a mean of 0"):
        fit(X, np.zeros(len(X)), loss="poisson")
    fitted = fit(X, y + 10, loss="poisson", warm_start=True, max_epochs=2)
    with pytest.raises(ValueError, match="whose outputs are logarithms"):
        fitted.set_params(loss="huber").fit(X, y + 10)


def test_predictions_do_not_change_with_a_loss_set_after_the_fit(skewed):
    X, y = skewed
    fitted = fit(X, y + 10, loss="poisson", max_epochs=2)
    expected = fitted.predict(X)
    np.testing.assert_array_equal(fitted.set_params(loss="huber").predict(X), expected)


@pytest.mark.parametrize("loss", ["absolute_error", "huber", "quantile", "poisson"])
def test_weights_count_as_repeated_rows(loss):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((60, 3)), rng.poisson(3, 60).astype(float)
    times = rng.integers(0, 3, 60)
    network = ScaledMLPRegressor(
        width=8, loss=loss, precision="float64", batch_size=1000, early_stopping=False,
        max_epochs=20, random_state=0,
    )  # fmt: skip
    weighted = clone(network).fit(X, y, sample_weight=times)
    repeated = clone(network).fit(np.repeat(X, times, 0), np.repeat(y, times))
    np.testing.assert_allclose(weighted.predict(X), repeated.predict(X), rtol=1e-6)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_label_smoothing_lowers_confidence_to_the_expected_level(digits, n_classes):
    X, y = digits
    X, y = X[y < n_classes], y[y < n_classes]
    network = ScaledMLPClassifier(
        depth=1, width=32, learning_rate=0.02, max_epochs=200, early_stopping=False,
        weight_decay=0.0, random_state=0,
    )  # fmt: skip
    p = network.set_params(label_smoothing=0.2).fit(X, y).predict_proba(X)
    assert (p.argmax(1) == y).all()
    np.testing.assert_allclose(p.max(1).mean(), 1 - 0.2 + 0.2 / n_classes, atol=0.01)
    sharp = network.set_params(label_smoothing=0).fit(X, y).predict_proba(X)
    assert log_loss(y, sharp) < 0.01 < 0.09 < log_loss(y, p)


def test_losses_are_searched_like_anything_else(skewed):
    X, y = skewed
    grid = {"loss": ["squared_error", "absolute_error", "huber"], "huber_delta": [0.5, 1.0]}
    network = ScaledMLPRegressor(depth=1, width=8, max_epochs=3, random_state=0)
    search = GridSearchCV(network, grid, scoring="neg_mean_absolute_error", cv=2).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize("loss", ["absolute_error", "huber", "quantile", "poisson", "smoothed"])
def test_every_loss_is_the_same_through_skorchs_loop_and_in_its_net(loss, digits, diabetes):
    from skorch.callbacks import Callback

    X, y = diabetes
    settings = {"width": 8, "max_epochs": 4, "precision": "float64", "random_state": 0}
    if loss == "smoothed":
        X, y = digits
        network = ScaledMLPClassifier(label_smoothing=0.2, **settings)
    else:
        network = ScaledMLPRegressor(loss=loss, quantile=0.3, huber_delta=0.4, **settings)
    engine = clone(network).fit(X, y)
    through = clone(network).set_params(callbacks=[Callback()]).fit(X, y)
    for a, b in zip(engine.coefs_, through.coefs_, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-8)
    np.testing.assert_allclose(engine.loss_curve_, through.loss_curve_, rtol=1e-6)
    net = engine.net_
    if loss == "smoothed":
        assert net.criterion_.label_smoothing == 0.2
        return
    np.testing.assert_allclose(net.predict(X), engine.predict(X), rtol=1e-5)
    # Its criterion is in the units of y, or those of training where torch has none.
    r = y - engine.predict(X)
    o, t = (torch.from_numpy(a) for a in (engine.predict(X), y))
    expected = {
        "absolute_error": np.abs(r).mean(),
        "quantile": np.where(r > 0, 0.3 * r, -0.7 * r).mean() / engine.target_scale_,
    }
    if loss in expected:
        np.testing.assert_allclose(net.criterion_(o, t), np.squeeze(expected[loss]), rtol=1e-6)


class LogCosh(Loss):
    """A regressor's own loss, without a gradient of its own."""

    def value(self, outputs, targets):
        return torch.log(torch.cosh(outputs - targets)).mean(-1)


class OwnAbsolute(Loss):
    def value(self, outputs, targets):
        return (targets - outputs).abs().mean(-1)


class OwnSquares(Loss):
    """The squared error again, by autograd, with a number that differs between members."""

    per_member = ("size",)

    def __init__(self, size=1.0):
        self.size = size

    def value(self, outputs, targets):
        return (self.size * (outputs - targets).square()).mean(-1)


class Focal(Loss):
    """Lin et al. 2017, "Focal loss for dense object detection", eq. 4."""

    def __init__(self, gamma=2.0):
        self.gamma = gamma

    def value(self, outputs, targets):
        if targets.is_floating_point():
            log_p = torch.nn.functional.logsigmoid(outputs * (2 * targets - 1))
        else:
            log_p = outputs.log_softmax(-1).gather(-1, targets[..., None])
        return -((1 - log_p.exp()) ** self.gamma * log_p).mean(-1)


class Gamma(Loss):
    """Negative log-likelihood of a gamma distribution of shape 1, with a log link."""

    has_log_link = True

    def value(self, outputs, targets):
        return (outputs + targets * torch.exp(-outputs)).mean(-1)

    def check_targets(self, y, name="y"):
        if y.min() <= 0:
            raise ValueError(f"{name} must be above 0, got {y.min():g}.")


EXACT = {"precision": "float64", "width": 8, "max_epochs": 4, "random_state": 0}


def test_a_loss_without_a_gradient_learns_as_the_built_in_one(diabetes):
    X, y = diabetes
    built_in = ScaledMLPRegressor(**EXACT).fit(X, y)
    own = ScaledMLPRegressor(**EXACT, loss=OwnSquares()).fit(X, y)
    for a, b in zip(built_in.coefs_, own.coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(built_in.validation_scores_, own.validation_scores_)


@pytest.mark.parametrize("problem", ["binary", "multiclass", "multilabel"])
def test_a_focal_loss_without_focus_is_the_log_loss(problem, digits):
    X, y = digits
    X, y = X[:300], y[:300]
    y = {"binary": y > 4, "multiclass": y, "multilabel": np.eye(10, dtype=int)[y]}[problem]
    log = ScaledMLPClassifier(**EXACT, label_smoothing=0.0).fit(X, y)
    same = ScaledMLPClassifier(**EXACT, loss=Focal(0.0)).fit(X, y)
    other = ScaledMLPClassifier(**EXACT, loss=Focal(2.0)).fit(X, y)
    np.testing.assert_allclose(log.predict_proba(X), same.predict_proba(X), rtol=1e-8)
    assert np.abs(log.predict_proba(X) - other.predict_proba(X)).max() > 1e-3


@pytest.mark.parametrize("loss", [LogCosh(), OwnSquares(2.0), Gamma()], ids=repr)
def test_an_own_loss_trains_in_a_stack_as_alone_and_through_skorch(loss, diabetes):
    from skorch.callbacks import Callback

    X, y = diabetes
    network = ScaledMLPRegressor(**EXACT, loss=loss)
    grid = {"weight_decay": [0.0, 0.1]}
    plain = GridSearchCV(network, grid, cv=2).fit(X, y)
    with joblib.parallel_config(backend="skscale"):
        fused = GridSearchCV(network, grid, cv=2).fit(X, y)
    assert max(last_fused_run().stack_sizes) > 1
    for name in ("split0_test_score", "split1_test_score"):
        np.testing.assert_allclose(plain.cv_results_[name], fused.cv_results_[name], rtol=1e-9)
    through = clone(network).set_params(callbacks=[Callback()]).fit(X, y)
    fitted = clone(network).fit(X, y)
    np.testing.assert_allclose(fitted.predict(X), through.predict(X), rtol=1e-7)
    np.testing.assert_allclose(fitted.net_.predict(X), fitted.predict(X), rtol=1e-5)
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(fitted)).predict(X), fitted.predict(X)
    )


def test_numbers_of_members_differ_within_a_stack():
    tasks = [
        replace(make_task(loss="squared_error", valid=20), loss=OwnSquares(size))
        for size in (0.5, 1.0, 2.0)
    ]
    arrays = SharedArrays()
    for task in tasks:
        arrays.share(task)
    sizes = []
    together = train(tasks, n_threads=1, stack_sizes=sizes)
    assert sizes == [3]
    for one, task in zip(together, tasks, strict=True):
        assert_equal_networks(one, train([task])[0], rtol=1e-12, atol=1e-12)


def test_a_log_link_predicts_positive_means(skewed):
    X, _ = skewed
    y = np.random.default_rng(0).exponential(np.exp(X[:, 0]))
    fitted = fit(X, y, loss=Gamma())
    np.testing.assert_allclose(np.log(fitted.predict([[-1.0], [1.0]])), [-1, 1], atol=0.15)
    with pytest.raises(ValueError, match="y must be above 0, got -"):
        fit(X, y - 10, loss=Gamma())


def test_a_custom_loss_of_wrong_shape_raises_an_error_with_the_shape(diabetes):
    class Whole(Loss):
        def value(self, outputs, targets):
            return (outputs - targets).square().mean()

    with pytest.raises(ValueError, match=r"Whole.value must return one number for each row"):
        ScaledMLPRegressor(**EXACT, loss=Whole()).fit(*diabetes)


def test_an_own_loss_of_a_classifier_takes_no_teacher(digits):
    network = ScaledMLPClassifier(**EXACT, loss=Focal(), teacher=ScaledMLPClassifier())
    with pytest.raises(ValueError, match=r"loss=Focal\(gamma=2.0\) is another one"):
        network.fit(*digits)


def test_an_own_loss_prunes_and_continues(diabetes):
    X, y = diabetes
    network = ScaledMLPRegressor(**EXACT, loss=LogCosh(), pruning=0.5, warm_start=True)
    network.fit(X, y)
    assert network.complexity_.widths == (4, 4)
    assert network.fit(X, y).score(X, y) > 0.2
    stream = ScaledMLPRegressor(**EXACT, loss=Gamma())
    for _ in range(20):
        stream.partial_fit(X, y)
    assert stream.score(X, y) > 0.2


def test_losses_compare_by_value():
    assert Focal(1.0) == Focal(1.0) != Focal(2.0)
    assert OwnSquares(1.0).shared == OwnSquares(2.0).shared
    assert clone(ScaledMLPClassifier(loss=Focal(1.0))).loss == Focal(1.0)
