import pytest
import torch
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.utils.flop_counter import FlopCounterMode

from skscale import ScaledMLPClassifier, complexity


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
