"""Networks of the user's own as estimators."""

import pickle
import threading
from itertools import pairwise

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits, make_regression
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator
from torch import nn

from skscale import (
    SGD,
    Loss,
    ScaledCNNRegressor,
    ScaledMLPRegressor,
    ScaledNetworkClassifier,
    ScaledNetworkRegressor,
    SmallestWithin,
    complexity,
    cost_scoring,
    fit_compound_coefficients,
    prune,
)
from skscale.networks.module.measurement import describe
from skscale.networks.torch_modules import temporary_random_state
from skscale.training import stacking_speed

FAST = {"max_epochs": 4, "random_state": 0}


class Dense(nn.Module):
    def __init__(self, n_features, n_outputs, depth=1, width=16, dropout=0.0):
        super().__init__()
        sizes = [n_features] + [width] * depth
        layers = []
        for n_in, n_out in pairwise(sizes):
            layers += [nn.Linear(n_in, n_out), nn.ReLU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], n_outputs))

    def forward(self, x):
        return self.layers(x)


class Reader(nn.Module):
    """Reads a sequence of vectors, or of indices, from its beginning to its end."""

    def __init__(self, input_shape, n_outputs, width=12, n_words=None, dropout=0.0):
        super().__init__()
        self.embed = None if n_words is None else nn.Embedding(n_words, width)
        n_in = width if n_words else input_shape[1]
        self.read = nn.LSTM(n_in, width, 2, batch_first=True, dropout=dropout)
        self.output = nn.Linear(width, n_outputs)

    def forward(self, x):
        return self.output(self.read(x if self.embed is None else self.embed(x))[0][:, -1])


class Normalized(nn.Module):
    def __init__(self, n_features, n_outputs, width=16):
        super().__init__()
        self.hidden = nn.Linear(n_features, width)
        self.norm = nn.BatchNorm1d(width)
        self.output = nn.Linear(width, n_outputs)

    def forward(self, x):
        return self.output(torch.relu(self.norm(self.hidden(x))))


class Scaled(Dense):
    def __init__(self, n_features, n_outputs, scales):
        super().__init__(n_features, n_outputs)
        self.scales = scales["of inputs"]

    def forward(self, x):
        return super().forward(x * self.scales)


class Wrong(Dense):
    def forward(self, x):
        return torch.softmax(super().forward(x), 1)[:, :, None]


@pytest.fixture(scope="module")
def sequences():
    digits = load_digits()
    return (digits.images / 16)[:400], digits.target[:400]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("Estimator", [ScaledNetworkClassifier, ScaledNetworkRegressor])
def test_all_checks_pass_in_float64_with_full_batches(Estimator):
    estimator = Estimator(
        Dense, precision="float64", max_epochs=50, batch_size=1_000_000, early_stopping=False,
        learning_rate=0.02, width=32,
    )  # fmt: skip
    results = check_estimator(estimator, on_skip=None, on_fail=None)
    assert {r["check_name"]: r["exception"] for r in results if r["status"] == "failed"} == {}


def test_a_sequence_is_read_through_a_search(sequences):
    X, y = sequences
    model = ScaledNetworkClassifier(Reader, learning_rate=0.02, max_epochs=12, random_state=0)
    grid = {"width": [4, 24], "module__dropout": [0.0, 0.2]}
    with joblib.parallel_config(backend="skscale"):
        search = GridSearchCV(model, grid, scoring=cost_scoring("accuracy"), cv=2,
                              refit=SmallestWithin(score_loss=0.5)).fit(X, y)  # fmt: skip
    results = search.cv_results_
    assert results["mean_test_score"].max() > 0.7
    assert search.best_params_["width"] == 4  # the rule chose it, by its size
    assert results["mean_test_n_parameters"].min() == complexity(search).n_parameters
    assert (results["mean_test_n_macs"] > 0).all()


def test_words_come_as_indices():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 20, (300, 6))
    y = np.where(X[:, -1] < 10, "low", "high")
    network = ScaledNetworkClassifier(
        Reader, input_dtype="int", module__n_words=20, learning_rate=0.02, random_state=0
    ).fit(X[:200], y[:200])
    assert network.score(X[200:], y[200:]) > 0.9
    with pytest.raises(ValueError, match="Expected integers in X"):
        network.fit(X / 2, y)
    with pytest.raises(ValueError, match=r"Expected integers in X.*got fractions"):
        network.predict((X + 0.5).astype(object))


def test_the_constructor_gets_the_arguments_it_accepts():
    X, y = make_regression(60, 5, random_state=0)
    network = ScaledNetworkRegressor(Dense, depth=2, width=8, **FAST).fit(X, y)
    assert network.architecture_.arguments == {
        "n_features": 5, "n_outputs": 1, "depth": 2, "width": 8
    }  # fmt: skip
    assert (network.depth_, network.width_, network.resolution_) == (2, 8, None)
    plain = ScaledNetworkRegressor(Dense, **FAST).fit(X, y)
    assert plain.architecture_.arguments == {"n_features": 5, "n_outputs": 1}
    assert (plain.depth_, plain.width_) == (1, 16)
    any_function = ScaledNetworkRegressor(lambda **given: Dense(**given), depth=2, **FAST)
    assert any_function.fit(X, y).architecture_.arguments["depth"] == 2


def test_parameters_of_the_module_are_parameters():
    model = ScaledNetworkClassifier(Dense, module__depth=3)
    assert model.get_params()["module__depth"] == 3
    assert clone(model).set_params(module__depth=1).get_params()["module__depth"] == 1
    assert "module__depth=3" in repr(model)
    pipeline = make_pipeline(StandardScaler(), model)
    pipeline.set_params(scalednetworkclassifier__module__width=5)
    assert pipeline[-1].get_params()["module__width"] == 5
    X, y = np.random.default_rng(0).standard_normal((30, 3)), np.arange(30) % 2
    for wrong, message in (
        ({"module__hight": 2}, "module__hight is set, but Dense takes no argument 'hight'"),
        ({"resolution": 2}, "resolution is set, but Dense takes no argument 'resolution'"),
        ({"depth": 2, "module__depth": 2}, "depth and module__depth are both set"),
    ):
        with pytest.raises(ValueError, match=message):
            ScaledNetworkClassifier(Dense, **wrong).fit(X, y)
    with pytest.raises(TypeError, match="prefix: module__colour='red'"):
        ScaledNetworkClassifier(Dense, colour="red")
    with pytest.raises(TypeError, match="a subclass of nn"):
        ScaledNetworkClassifier(dict).fit(X, y)
    with pytest.raises(ValueError, match=r"here \(n_rows, 1\), got \(2, 1, 1\)"):
        ScaledNetworkClassifier(Wrong).fit(X, y)
    with pytest.raises(TypeError, match="Pass Dense itself"):
        ScaledNetworkClassifier(Dense(4, 1)).fit(X, y)
    with pytest.raises(ValueError, match=r'Normalized has buffers .* Set precision="float32"'):
        ScaledNetworkClassifier(Normalized, precision="bfloat16").fit(X, y)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"lr": 0.1}, "Did you mean 'learning_rate'"),
        ({"optimizer__lr": 0.1}, "Did you mean 'learning_rate'"),
        ({"criterion": nn.CrossEntropyLoss}, "Did you mean 'loss'"),
        ({"widht": 3}, "Did you mean 'width'"),
        ({"module_dropout": 0.1}, "Did you mean 'module__dropout'"),
        ({"n_features": 3}, "passed with a prefix: module__n_features=3"),
        ({"optimizer__momentum": 0.5}, r"optimizer=SGD\(momentum=0.5\)"),
        ({"callbacks__es__patience": 3}, r"callbacks=\[EarlyStopping"),
        ({"colour": "red"}, r"Dense takes no argument 'colour'.*module__width"),
    ],
)
def test_an_unknown_parameter_is_answered_with_the_right_one(wrong, message):
    with pytest.raises(TypeError, match=message):
        ScaledNetworkClassifier(Dense, **wrong)


def test_an_optimizer_class_is_refused_with_the_remedy():
    X, y = make_regression(30, 3, random_state=0)
    for optimizer in (torch.optim.SGD, SGD):
        with pytest.raises(ValueError, match=r"optimizer must .*SGD\(momentum.*got the class"):
            ScaledNetworkRegressor(Dense, optimizer=optimizer).fit(X, y)
    # The advice works.
    ScaledNetworkRegressor(Dense, optimizer=SGD(momentum=0.5), **FAST).fit(X, y)


def test_a_fit_is_that_of_a_plain_loop():
    X, y = make_regression(64, 5, random_state=0)
    X = X.astype(np.float64)
    settings = {
        "precision": "float64", "batch_size": 1000, "early_stopping": False, "max_epochs": 20,
        "weight_decay": 0.1, "lr_schedule": "constant", "learning_rate": 0.01,
    }  # fmt: skip
    network = ScaledNetworkRegressor(Dense, random_state=0, **settings)
    begun = clone(network).set_params(max_epochs=1, learning_rate=1e-30).fit(X, y)
    module = begun.net_.module_.network.double()
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in module.parameters() if p.dim() > 1], "weight_decay": 0.1},
            {"params": [p for p in module.parameters() if p.dim() < 2], "weight_decay": 0.0},
        ],
        lr=0.01, betas=(0.9, 0.95), eps=1e-8,
    )  # fmt: skip
    target = torch.from_numpy((y - y.mean()) / y.std())[:, None]
    for _ in range(20):
        optimizer.zero_grad()
        nn.functional.mse_loss(module(torch.from_numpy(X)), target).backward()
        optimizer.step()
    network.fit(X, y)
    expected = module(torch.from_numpy(X)).detach().numpy()[:, 0] * y.std() + y.mean()
    np.testing.assert_allclose(network.predict(X), expected, rtol=1e-9)


def test_its_random_numbers_belong_to_the_fit(sequences):
    X, y = sequences[0][:120], sequences[1][:120]
    model = ScaledNetworkClassifier(Reader, module__dropout=0.5, **FAST)
    torch.manual_seed(3)
    state = torch.get_rng_state()
    first = model.fit(X, y).predict_proba(X)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(7)
    fits = [clone(model) for _ in range(4)]
    threads = [threading.Thread(target=f.fit, args=(X, y)) for f in fits]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for fit in fits:
        np.testing.assert_array_equal(fit.predict_proba(X), first)
    other = clone(model).set_params(random_state=1).fit(X, y).predict_proba(X)
    assert np.abs(other - first).max() > 1e-3
    assert first.std() > 0


def test_temporary_random_state_restores_the_generator():
    states = {"seed": 5}
    drawn = []
    for _ in range(2):
        with temporary_random_state(states):
            drawn.append(torch.rand(3))
    with temporary_random_state(5):
        assert torch.equal(torch.cat(drawn), torch.rand(6)[[0, 1, 2, 3, 4, 5]])


class Ending(nn.Module):
    """Two layers and any function of their outputs."""

    def __init__(self, n_features, n_outputs, end, starts_at_zero=False, width=8):
        super().__init__()
        self.hidden = nn.Linear(n_features, width)
        self.output = nn.Linear(width, n_outputs)
        self.end = end
        if starts_at_zero:
            nn.init.zeros_(self.output.weight)
            nn.init.zeros_(self.output.bias)

    def forward(self, x):
        return self.end(self.output(torch.relu(self.hidden(x))))


class Offset(nn.Module):
    def __init__(self):
        super().__init__()
        self.offset = nn.Parameter(torch.tensor(5.0))

    def forward(self, x):
        return x + self.offset


def softmax(x):
    return x.softmax(-1)


def ends(x, n_classes):
    """Return targets of a number of classes; 0 gives two labels that do not exclude."""
    return (x[:, :2] > 0) * 1 if not n_classes else np.arange(len(x)) % n_classes


@pytest.mark.parametrize("starts_at_zero", [False, True])
@pytest.mark.parametrize(
    ("end", "n_classes", "message"),
    [
        (
            nn.Softmax(-1),
            2,
            r"shape \(n_rows, 1\), one for two classes.*got 1 for every row.*Rem",
        ),
        (
            nn.Softmax(-1),
            3,
            r"probabilities that sum to one in each row\. Remove the softmax",
        ),
        (nn.Softmax(-1), 0, "got probabilities that sum to one"),
        (softmax, 2, "as after a softmax over one output"),
        (softmax, 3, "Remove the softmax"),
        (nn.LogSoftmax(-1), 2, "got 0 for every row, as after a log-softmax over one output"),
        (nn.LogSoftmax(-1), 0, "got logarithms of probabilities that sum to one"),
        (nn.Softmax(0), 2, "each column sums to one over the rows"),
        (nn.Sigmoid(), 2, "got outputs between 0 and 1 for all.* Remove the sigmoid"),
        (nn.Sigmoid(), 3, "Remove the sigmoid"),
        (nn.Sigmoid(), 0, "Remove the sigmoid"),
        (nn.Softplus(), 2, "outputs that are never negative"),
        (nn.LogSigmoid(), 2, "outputs that are never positive"),
        (torch.zeros_like, 3, "have no gradient"),
        (torch.detach, 2, "have no gradient"),
        (
            lambda x: x.mean(0, keepdim=True).expand(x.shape),
            3,
            "do not depend on the rows of X",
        ),
    ],
)
def test_outputs_that_cannot_be_scores_are_refused(end, n_classes, message, starts_at_zero):
    X = np.random.default_rng(0).standard_normal((40, 5))
    network = ScaledNetworkClassifier(
        Ending, module__end=end, module__starts_at_zero=starts_at_zero, **FAST
    )
    with pytest.raises(ValueError, match=message):
        network.fit(X, ends(X, n_classes))


@pytest.mark.parametrize("starts_at_zero", [False, True])
@pytest.mark.parametrize(
    ("end", "n_classes"),
    [
        *((nn.Identity(), n) for n in (0, 2, 3)),
        *((nn.Tanh(), n) for n in (0, 2, 3)),
        *((nn.Dropout(0.9), n) for n in (0, 2, 3)),
        *((Offset(), n) for n in (0, 2, 3)),
        *((lambda x: x * 1e-12, n) for n in (0, 2, 3)),
        # The softmax of a log-softmax is the softmax.
        (nn.LogSoftmax(-1), 3),
        # Scores of exclusive classes are compared with one another.
        (nn.Softplus(), 3),
    ],
)
def test_outputs_that_can_be_scores_are_accepted(end, n_classes, starts_at_zero):
    X = np.random.default_rng(0).standard_normal((40, 5))
    network = ScaledNetworkClassifier(
        Ending, module__end=end, module__starts_at_zero=starts_at_zero, max_epochs=1,
        random_state=0,
    )  # fmt: skip
    assert network.fit(X, ends(X, n_classes)).n_iter_ == 1


def test_narrow_networks_and_rare_features_are_no_constants():
    X = np.zeros((300, 100))
    X[:, 0], X[7, 99] = np.arange(300), 1
    for depth in (1, 4):
        network = ScaledNetworkClassifier(Dense, depth=depth, width=1, **FAST)
        network.fit(np.random.default_rng(0).standard_normal((300, 2)), np.arange(300) % 2)

    class Rare(nn.Linear):
        def __init__(self, n_outputs):
            super().__init__(1, n_outputs)

        def forward(self, x):
            return super().forward(x[:, -1:])

    network = ScaledNetworkClassifier(Rare, **FAST)
    network.fit(X[:, 1:][:, -30:], np.arange(300) % 2)
    with pytest.raises(ValueError, match="do not depend on the rows"):
        network.fit(np.c_[X, np.zeros(300)], np.arange(300) % 2)
    # Equal rows do not tell.
    network.fit(np.ones((30, 3)), np.arange(30) % 2)


def test_regression_outputs_must_take_both_signs():
    X, y = make_regression(40, 5, random_state=0)
    for end in (nn.ReLU(), nn.Softplus(), nn.Sigmoid()):
        network = ScaledNetworkRegressor(Ending, module__end=end, **FAST)
        with pytest.raises(ValueError, match=r"never negative.* Remove the act"):
            network.fit(X, y)
        with pytest.raises(ValueError, match="never negative"):
            network.partial_fit(X, y)
    for end in (nn.Identity(), nn.Tanh(), Offset()):
        ScaledNetworkRegressor(Ending, module__end=end, **FAST).fit(X, y)


class Both(nn.Module):
    """Probabilities, for a loss that takes them."""

    def __init__(self, n_features, n_outputs):
        super().__init__()
        self.output = nn.Linear(n_features, n_outputs)

    def forward(self, x):
        return self.output(x).softmax(-1)


def test_a_loss_of_the_users_own_may_take_probabilities():
    class OfProbabilities(Loss):
        def value(self, outputs, targets):
            return -outputs.gather(-1, targets[..., None])[..., 0].log()

    X = np.random.default_rng(0).standard_normal((60, 3))
    y = X.argmax(axis=1)
    network = ScaledNetworkClassifier(
        Both, loss=OfProbabilities(), calibrate=False, learning_rate=0.05, random_state=0
    )
    assert network.fit(X, y).score(X, y) > 0.9


class Embedding(nn.Module):
    def __init__(self, n_outputs, n_words=20):
        super().__init__()
        self.embed = nn.Embedding(n_words, 8)
        self.output = nn.Linear(8, n_outputs)

    def forward(self, x):
        return self.output(self.embed(x).mean(1))


def test_the_input_dtype_that_a_module_expects_is_named():
    X = np.random.default_rng(0).integers(0, 20, (60, 6))
    y = X[:, 0] % 2
    with pytest.raises(ValueError, match=r'expects integers .*Set input_dtype="int"') as caught:
        ScaledNetworkClassifier(Embedding, **FAST).fit(X, y)
    assert "indices" in str(caught.value.__cause__)
    with pytest.raises(ValueError, match=r'expects floats .*Set input_dtype="float"'):
        ScaledNetworkClassifier(Dense, input_dtype="int", **FAST).fit(X, y)
    ScaledNetworkClassifier(Embedding, input_dtype="int", **FAST).fit(X, y)


def test_an_index_out_of_range_is_named():
    X = np.random.default_rng(0).integers(0, 20, (60, 6))
    X[0, 0] = 19
    y = np.arange(60) % 2
    network = ScaledNetworkClassifier(Embedding, input_dtype="int", **FAST)
    too_large, negative = X.copy(), X.copy()
    too_large[-1, 3], negative[-1, 3] = 25, -1
    largest = r"shape \(n_rows, 6\), int64.*range from 0 to 25.*at least 26"
    for rows in (too_large, np.tile(too_large, (1, 20))):
        with pytest.raises(ValueError, match=r"range from 0 to 25.*at least 26") as caught:
            network.fit(rows, y)
    assert isinstance(caught.value.__cause__, IndexError)
    with pytest.raises(ValueError, match="range from -1 to 19"):
        network.fit(negative, y)
    with pytest.raises(ValueError, match=largest):
        network.fit(X, y, X_val=too_large, y_val=y)
    with pytest.raises(ValueError, match=largest):
        network.partial_fit(X, y, classes=[0, 1]).partial_fit(too_large, y)
    network.fit(X, y)
    with pytest.raises(ValueError, match=largest) as caught:
        network.predict(too_large)
    assert isinstance(caught.value.__cause__, IndexError)
    with pytest.raises(ValueError, match="range from -1 to 19"):
        network.set_params(warm_start=True).fit(negative, y)


def test_an_error_of_a_module_names_the_shape_of_its_input():
    X, y = make_regression(30, 5, random_state=0)
    network = ScaledNetworkRegressor(Dense, module__n_features=4, **FAST)
    with pytest.raises(ValueError, match=r"Dense failed .*\(n_rows, 5\), float") as caught:
        network.fit(X, y)
    assert isinstance(caught.value.__cause__, RuntimeError)
    with pytest.raises(ValueError, match=r"Reader failed on an input of shape \(n_rows, 5\)"):
        ScaledNetworkRegressor(Reader, module__input_shape=(5, 2), **FAST).fit(X, y)

    class Positive(Dense):
        def forward(self, x):
            assert (x >= 0).all(), "expected positive numbers"
            return super().forward(x)

    network = ScaledNetworkRegressor(Positive, **FAST)
    with pytest.raises(ValueError, match=r"shape \(n_rows, 5\), float32: expected positive"):
        network.fit(X, y)
    with pytest.raises(ValueError, match=r"\(n_rows, 5\), float(32|64): expected"):
        network.fit(np.abs(X), y).predict(X)


def test_digits_that_float32_loses_are_reported_once(recwarn):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 3))
    y = X[:, 1].copy()
    X[:, 1] = 1.7e9 + 10 * X[:, 1]
    X_float32 = X.astype(np.float32)
    X_float32[:, 1] += (1000 * y).astype(np.float32)
    settings = {"max_epochs": 1, "random_state": 0}
    network = ScaledNetworkRegressor(Dense, **settings)
    message = r"Column 1 of X has a median of over 10,000 times its spread, here 1.7e\+09, and "
    remedy = r'Subtract .* StandardScaler .*set precision="float64"'
    with pytest.warns(UserWarning, match=f"{message}the network gets it in float32.*{remedy}"):
        network.fit(X, y)
    with pytest.warns(UserWarning, match=f"{message}X is float32"):
        network.fit(X_float32, y)
    frame = pd.DataFrame(X, columns=["a", "seconds", "c"])
    with pytest.warns(UserWarning, match="Column 'seconds' of X"):
        network.fit(frame, y)
    with pytest.warns(UserWarning, match=r"Column 1 of X .* StandardScaler"):
        ScaledMLPRegressor(preprocessing=None, **settings).fit(X, y)
    steps = np.stack([X, X], axis=1)
    with pytest.warns(UserWarning, match=r"The value at \(0, 1\) of .* \(like 1 other\)"):
        ScaledNetworkRegressor(Reader, **settings).fit(steps, y)
    with pytest.warns(UserWarning, match=r"The value at \(0, 1, 0\) of the samples in X"):
        ScaledCNNRegressor(width=8, **settings).fit(steps, y)
    # No warning: the remedies, other large values, few rows and constant columns.
    recwarn.clear()
    network.fit(X - np.median(X, axis=0), y)
    make_pipeline(StandardScaler(), network).fit(X, y)
    ScaledNetworkRegressor(Dense, precision="float64", **settings).fit(X, y)
    X[:, 1] = 1e6 * X[:, 0]
    X[:, 2] = 5e8
    network.fit(X, y)
    network.fit(X[:2], y[:2])
    assert not recwarn.list


def test_scores_are_numbers_and_two_classes_have_one():
    X = np.random.default_rng(0).standard_normal((40, 5))
    network = ScaledNetworkClassifier(Dense, module__n_outputs=2, **FAST)
    with pytest.raises(ValueError, match=r"got \(2, 2\).* Two classes have one output"):
        network.fit(X, ends(X, 2))
    network = ScaledNetworkClassifier(Ending, module__end=lambda x: x.argmax(-1), **FAST)
    with pytest.raises(TypeError, match=r"floating-point numbers, got torch\.int64"):
        network.fit(X, ends(X, 2))


class Attending(nn.Module):
    """Two heads that look at all of a sequence."""

    def __init__(self, input_shape, n_outputs):
        super().__init__()
        self.heads = nn.MultiheadAttention(input_shape[1], 2, batch_first=True)
        self.output = nn.Linear(input_shape[1], n_outputs)

    def forward(self, x):
        # Where the whole process would compute otherwise meanwhile, its threads would.
        assert torch.backends.mkldnn.enabled
        assert torch.backends.cuda.flash_sdp_enabled()
        return self.output(self.heads(x, x, x, need_weights=False)[0][:, -1])


def test_multiply_accumulates_are_counted_through_fused_kernels():
    with_lstm = describe(Reader, {"input_shape": (7, 3), "n_outputs": 2}, (7, 3), 2, False)
    of_step = 4 * 12 * (3 + 12) + 4 * 12 * (12 + 12)
    assert with_lstm.n_macs == 7 * of_step + 12 * 2
    assert not with_lstm.draws
    arguments = {"input_shape": (7, 3), "n_outputs": 2, "dropout": 0.1}
    assert describe(Reader, arguments, (7, 3), 2, False).draws
    attending = describe(Attending, {"input_shape": (7, 6), "n_outputs": 2}, (7, 6), 2, False)
    # Four projections of each vector; scores and their sums for each pair of vectors.
    assert attending.n_macs == 7 * 4 * 6 * 6 + 2 * 7 * 7 * 6 + 6 * 2


def test_networks_that_can_train_together_do_as_alone(monkeypatch):
    X, y = make_regression(100, 5, random_state=0)
    model = ScaledNetworkRegressor(Dense, precision="float64", **FAST)
    grid = {"learning_rate": [0.003, 0.01], "weight_decay": [0.0, 0.1]}
    found, sizes = {}, {}
    from skscale.fusion import last_fused_run

    for choice in (False, True):
        monkeypatch.setattr(stacking_speed, "_measure", lambda *_, choice=choice: choice)
        stacking_speed._measured.clear()
        with joblib.parallel_config(backend="skscale"):
            search = GridSearchCV(model, grid, cv=2).fit(X, y)
        found[choice] = search.cv_results_["mean_test_score"]
        sizes[choice] = max(last_fused_run().stack_sizes)
    stacking_speed._measured.clear()
    assert sizes[True] > 1 == sizes[False]
    np.testing.assert_allclose(found[True], found[False], rtol=1e-9)


def test_the_oldest_measurement_is_removed(monkeypatch):
    monkeypatch.setattr(stacking_speed, "_measured", {})
    monkeypatch.setattr(stacking_speed, "_MAX_MEASURED", 2)
    monkeypatch.setattr(stacking_speed, "_measure", lambda *_: False)
    X, y = make_regression(30, 5, random_state=0)
    for width in (3, 4, 5):
        with joblib.parallel_config(backend="skscale"):
            model = ScaledNetworkRegressor(Dense, width=width, **FAST)
            GridSearchCV(model, {"l1": [0.0, 0.1]}, cv=2).fit(X, y)
    widths = [key[0].arguments["width"] for key in stacking_speed._measured]
    assert len(widths) == 2
    assert widths[-1] == 5


def test_modules_with_random_numbers_or_buffers_train_one_by_one():
    of = {"n_features": 4, "n_outputs": 1}
    for module, arguments, is_faster in [
        (Dense, of, None),  # to be measured
        (Dense, {**of, "dropout": 0.5}, False),
        (Normalized, of, False),
    ]:
        architecture = describe(module, arguments, (4,), 1, False)
        assert architecture.family.is_stacking_faster(architecture, "cpu") is is_faster


def test_whether_together_is_faster_is_measured():
    X, y = make_regression(80, 5, random_state=0)
    stacking_speed._measured.clear()
    model = ScaledNetworkRegressor(Dense, **FAST)
    with joblib.parallel_config(backend="skscale"):
        GridSearchCV(model, {"weight_decay": [0.0, 0.1]}, cv=2).fit(X, y)
    seen = list(stacking_speed._measured.values())
    assert len(seen) >= 1
    assert all(isinstance(value, bool) for value in seen)


def test_tensors_are_arguments_too():
    X, y = make_regression(60, 3, random_state=0)

    def fit(scales):
        scales = {"of inputs": torch.tensor(scales)}
        return ScaledNetworkRegressor(Scaled, module__scales=scales, **FAST).fit(X, y)

    first, again = fit([1.0, 2.0, 3.0]), fit([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(first.predict(X), again.predict(X))
    assert first.architecture_ == again.architecture_
    for others in ([1.0, 2.0, 4.0], [2.0]):
        assert fit(others).architecture_ != first.architecture_
    with joblib.parallel_config(backend="skscale"):
        together_ = cross_val_predict(again, X, y, cv=3)
    np.testing.assert_allclose(together_, cross_val_predict(first, X, y, cv=3), rtol=1e-3)


class Around(nn.Module):
    def __init__(self, n_features, n_outputs, inner):
        super().__init__()
        self.inner, self.output = inner, nn.Linear(n_features, n_outputs)

    def forward(self, x):
        return self.output(torch.tanh(self.inner(x)))


def test_networks_that_are_arguments_are_copied(sequences):
    X, y = sequences[0].reshape(400, 64)[:150], sequences[1][:150]
    inner = nn.Linear(64, 64)
    before = inner.weight.detach().clone()

    def fit(n_estimators=1, **settings):
        network = ScaledNetworkClassifier(
            Around, module__inner=inner, n_estimators=n_estimators, precision="float64", **FAST
        )
        return network.set_params(**settings).fit(X, y)

    first = fit()
    expected = first.predict_proba(X)
    np.testing.assert_array_equal(fit().predict_proba(X), expected)
    np.testing.assert_array_equal(first.predict_proba(X), expected)
    assert torch.equal(inner.weight, before)
    assert np.abs(first.coefs_[0] - before.numpy()).max() > 1e-3  # it was trained, too
    # Each member trains its own, also at the same time.
    both = fit(2, calibrate=False)
    lone = fit(calibrate=False)
    for stacked, alone in zip(both.coefs_, lone.coefs_, strict=True):
        np.testing.assert_allclose(stacked[0], alone, rtol=1e-9, atol=1e-12)
    assert np.abs(both.coefs_[0][0] - both.coefs_[0][1]).max() > 1e-3
    assert np.isfinite(both.predict_proba(X)).all()


def test_an_output_that_no_loss_saw_is_looked_at():
    X, y = make_regression(40, 3, random_state=0)
    one_step = {"max_epochs": 1, "batch_size": 64, "early_stopping": False, "random_state": 0}
    network = ScaledNetworkRegressor(Dense, depth=3, learning_rate=1e25, **one_step)
    with pytest.raises(ValueError, match="output for some of the rows of X is not finite"):
        network.fit(X, y)
    assert not hasattr(network, "coefs_")
    far = X.copy()
    far[7] = 3e38
    kept = (np.arange(40) != 7).astype(float)
    network = ScaledNetworkRegressor(Dense, depth=3, learning_rate=0.1, **one_step)
    network.fit(far, y, sample_weight=kept)
    assert np.isfinite(network.predict(X)).all()
    with pytest.raises(ValueError, match="not finite"):
        network.fit(far, y)


def test_running_means_are_stored_and_used():
    X, y = make_regression(129, 5, random_state=0)  # one row more than whole batches
    X = X + 3
    settings = {**FAST, "batch_size": 16, "early_stopping": False}
    network = ScaledNetworkRegressor(Normalized, **settings).fit(X, y)
    mean, variance, n_batches = network.buffers_
    assert (np.abs(mean) > 0.1).any()
    assert (variance != 1).all()
    assert n_batches == 4 * 8  # batches of 17, for nobody normalises one row
    expected = network.predict(X)
    served = pickle.loads(pickle.dumps(network))
    np.testing.assert_array_equal(served.predict(X), expected)
    np.testing.assert_allclose(
        network.predict(X[:1]), expected[:1], rtol=1e-5
    )  # by the running means
    np.testing.assert_allclose(network.net_.predict(X.astype(np.float32)), expected, rtol=1e-4)
    stopped = ScaledNetworkRegressor(Normalized, n_estimators=2, max_epochs=8, random_state=0)
    stopped.fit(X, y)
    assert stopped.buffers_[0].shape == (2, 16)
    assert stopped.n_iter_ >= stopped.best_epoch_


def test_phi_scales_the_arguments_of_the_module():
    X, y = make_regression(60, 5, random_state=0)
    network = ScaledNetworkRegressor(
        Dense, depth=2, width=20, phi=2, module__dropout=0.1, **FAST
    )
    network.fit(X, y)
    assert (network.depth_, network.width_) == (3, 24)
    assert network.architecture_.arguments["dropout"] == pytest.approx(0.14)
    from_default = ScaledNetworkRegressor(Dense, phi=-1, **FAST).fit(X, y)
    assert (from_default.depth_, from_default.width_) == (1, 15)
    X, y = make_regression(60, 20, random_state=0)
    model = ScaledNetworkRegressor(Dense, width=8, max_epochs=1)
    found = fit_compound_coefficients(model, X, y, cv=2)
    assert (np.abs(found.table["macs_ratio"][1:] / 2 - 1) <= 0.11).all()
    assert {1, 2} <= set(found.table["depth"])


def test_probabilities_are_calibrated_and_a_teacher_teaches(sequences):
    X, y = sequences
    settings = {"learning_rate": 0.02, "max_epochs": 15, "random_state": 0}
    network = ScaledNetworkClassifier(Reader, **settings).fit(X, y)
    assert network.predictor_.network.factors[0] != 1
    proba = network.predict_proba(X)
    np.testing.assert_allclose(proba.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(
        network.net_.predict_proba(X.astype(np.float32)), proba, atol=1e-5
    )
    rows = X.reshape(len(X), -1)
    taught = ScaledNetworkClassifier(
        Dense, teacher=LogisticRegression(max_iter=300), early_stopping=False, **settings
    ).fit(rows, y)
    assert taught.score(rows, y) > 0.9
    with pytest.raises(TypeError, match="cannot remove units from a custom module"):
        prune(taught, rows, y, amount=0.5)


def test_callbacks_of_skorch_run(sequences):
    from skorch.callbacks import EpochScoring

    X, y = sequences[0][:150], sequences[1][:150]
    settings = {**FAST, "precision": "float64", "module__dropout": 0.3}
    plain = ScaledNetworkClassifier(Reader, **settings).fit(X, y)
    watched = ScaledNetworkClassifier(
        Reader, callbacks=[EpochScoring("accuracy", lower_is_better=False)], **settings
    ).fit(X, y)
    assert len(watched.history_["accuracy"]) == 4
    np.testing.assert_allclose(watched.predict_proba(X), plain.predict_proba(X), atol=1e-9)


def test_callbacks_of_scikit_learn_see_the_network_as_it_stands():
    from tests.test_progress import Recorder

    X, y = make_regression(120, 5, random_state=0)
    for n_estimators in (1, 2):
        recorder = Recorder()
        network = ScaledNetworkRegressor(
            Normalized, early_stopping=False, n_estimators=n_estimators, **FAST
        )
        network.fit(2 * X, y)  # what a former fit has left behind is not looked at
        network.set_callbacks(recorder).fit(X, y)
        assert recorder.n_epochs == 4
        if n_estimators == 1:
            np.testing.assert_array_equal(recorder.predicted, network.predict(X))


def test_warm_start_and_partial_fit_continue(sequences):
    X, y = sequences[0][:200], sequences[1][:200]
    network = ScaledNetworkClassifier(Reader, **FAST)
    for start in (0, 100):
        network.partial_fit(X[start : start + 100], y[start : start + 100], np.arange(10))
    assert network.n_samples_seen_ == 200
    warm = ScaledNetworkClassifier(Reader, warm_start=True, **FAST).fit(X, y)
    before = warm.loss_curve_[-1]
    assert warm.fit(X, y).loss_curve_[-1] < before


def test_samples_of_another_shape_are_refused(sequences):
    X, y = sequences[0][:60], sequences[1][:60]
    network = ScaledNetworkClassifier(Reader, **FAST).fit(X, y)
    with pytest.raises(ValueError, match=r"samples of shape \(4, 8\), but .* fitted on"):
        network.predict(X[:, :4])
