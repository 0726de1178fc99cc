import copy

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.utils.flop_counter import FlopCounterMode

from skscale import ScaledMLPClassifier, ScaledNetworkRegressor, complexity


@pytest.mark.parametrize(
    "shape", [{"depth": 0}, {"depth": 3, "width": 9}, {"depth": None, "width": (7, 3)}]
)
def test_each_count_equals_an_independent_one(Estimator, small, shape):
    X, y = small
    fitted = Estimator(max_epochs=1, random_state=0, **shape).fit(X, y)
    module = fitted.net_.module_
    counted = fitted.complexity_
    assert counted.n_parameters == sum(p.numel() for p in module.parameters())
    assert counted.n_nonzero == sum(int((p != 0).sum()) for p in module.parameters())
    with FlopCounterMode(display=False) as counter:
        module(torch.zeros(1, X.shape[1]))
    assert counted.n_macs == counter.get_total_flops() / 2
    assert counted.widths == tuple(m.out_features for m in module.layers[:-1])
    assert counted.depth == len(counted.widths)
    assert counted.n_parameters == fitted.architecture_.n_parameters
    assert counted.n_macs == fitted.architecture_.n_macs


class Attending(torch.nn.Module):
    """A sequence through one layer of any kind, and a mean over its steps."""

    def __init__(self, input_shape, n_outputs, kind="transformer", width=8):
        super().__init__()
        self.first = torch.nn.Linear(input_shape[1], width)
        self.layer = {
            "transformer": lambda: torch.nn.TransformerEncoderLayer(
                width, 2, 2 * width, batch_first=True
            ),
            "attention": lambda: torch.nn.MultiheadAttention(width, 2, batch_first=True),
            "gru": lambda: torch.nn.GRU(width, width, batch_first=True),
            "lstm": lambda: torch.nn.LSTM(width, 4, batch_first=True, bidirectional=True),
            "convolution": lambda: torch.nn.Conv1d(7, 7, 3, padding=1),
        }[kind]()
        self.output = torch.nn.Linear(width, n_outputs)

    def forward(self, x):
        h = self.first(x)
        if isinstance(self.layer, torch.nn.MultiheadAttention):
            h = self.layer(h, h, h)
        else:
            h = self.layer(h)
        return self.output((h[0] if isinstance(h, tuple) else h).mean(1))


class OfDepth(Attending):
    def __init__(self, input_shape, n_outputs, depth=3):
        super().__init__(input_shape, n_outputs)
        layers = [copy.deepcopy(self.layer) for _ in range(depth)]
        self.layer = torch.nn.Sequential(*layers)


@pytest.mark.parametrize(
    ("kind", "n_macs"),
    [
        # Of each of 7 steps: four projections and two products of the feedforward part; scores
        # and sums over 7 steps.
        ("transformer", 7 * (4 * 8 * 8 + 2 * 8 * 16 + 2 * 7 * 8)),
        ("attention", 7 * (4 * 8 * 8 + 2 * 7 * 8)),
        ("gru", 7 * 3 * 8 * (8 + 8)),
        ("lstm", 7 * 2 * 4 * 4 * (8 + 4)),  # in two directions
        ("convolution", 8 * 7 * 7 * 3),
    ],
)
def test_the_depth_of_a_module_is_unknown_and_its_products_are_counted(kind, n_macs):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20, 7, 3)), rng.standard_normal(20)
    network = ScaledNetworkRegressor(
        Attending, module__kind=kind, max_epochs=1, random_state=0
    ).fit(X, y)
    counted = complexity(network)
    assert (counted.depth, counted.widths) == (None, None)
    assert counted.n_macs == 7 * 3 * 8 + n_macs + 8


def test_the_depth_of_a_module_is_the_one_it_declares():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20, 7, 3)), rng.standard_normal(20)
    for given, depth in (({}, 3), ({"depth": 2}, 2), ({"module__depth": 1}, 1)):
        network = ScaledNetworkRegressor(OfDepth, max_epochs=1, random_state=0, **given)
        assert network.fit(X, y).complexity_.depth == depth


def test_zeros_are_stored_values(digits):
    fitted = ScaledMLPClassifier(max_epochs=5, l1=1.0, random_state=0).fit(*digits)
    counted = fitted.complexity_
    stored = [*fitted.coefs_, *fitted.intercepts_]
    assert counted.n_parameters == sum(a.size for a in stored)
    assert counted.n_nonzero == sum((a != 0).sum() for a in stored) < counted.n_parameters


def test_pipelines_and_searches_are_looked_into(digits):
    X, y = digits[0][:200], digits[1][:200]
    network = ScaledMLPClassifier(max_epochs=1, random_state=0)
    pipeline = make_pipeline(StandardScaler(), network).fit(X, y)
    assert complexity(pipeline) == pipeline[-1].complexity_
    search = GridSearchCV(
        make_pipeline(StandardScaler(), network), {"scaledmlpclassifier__width": [5]}, cv=2
    ).fit(X, y)
    assert complexity(search).widths == (5, 5)
    nested = make_pipeline(StandardScaler(), GridSearchCV(network, {"width": [6]}, cv=2)).fit(
        X, y
    )
    assert complexity(nested).widths == (6, 6)


def test_uncountable_objects_are_refused(digits):
    with pytest.raises(NotFittedError):
        complexity(ScaledMLPClassifier())
    with pytest.raises(TypeError, match="got StandardScaler"):
        complexity(StandardScaler())
    foreign = LogisticRegression(max_iter=5000).fit(*digits)
    with pytest.raises(TypeError, match=r"Expected a fitted estimator of skscale.*LogisticReg"):
        complexity(foreign)
    with pytest.raises(TypeError, match=r"got Pipeline holding LogisticRegression"):
        complexity(
            make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000)).fit(*digits)
        )
