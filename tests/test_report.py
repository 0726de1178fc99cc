"""The report of a search: its numbers, its text, its page."""

import builtins
import html.parser
import re
import warnings

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.metrics import log_loss, mean_squared_error
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skscale import (
    BestUnder,
    GradualScaleSearchCV,
    ScaledCNNClassifier,
    ScaledMLPClassifier,
    ScaledMLPRegressor,
    SmallestWithin,
    cost_scoring,
    scale_report,
)

COSTS = ["n_parameters", "loss", "size_bytes", "latency_us"]
GRID = {"width": [2, 8, 32]}


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


def network(**settings):
    return ScaledMLPClassifier(depth=1, max_epochs=15, random_state=0, **settings)


@pytest.fixture(scope="module")
def search(iris):
    grid = {"depth": [1, 2], "width": [2, 8, 32]}
    found = GridSearchCV(
        network(), grid, scoring=cost_scoring("accuracy", COSTS), refit=SmallestWithin(), cv=3
    )
    with joblib.parallel_config(backend="skscale"):
        return found.fit(*iris)


def table(rows, costs, params, **columns):
    rows = np.asarray(rows, float)
    results = {"params": params, "mean_test_score": rows.mean(axis=1)}
    results |= {f"split{i}_test_score": rows[:, i] for i in range(rows.shape[1])}
    results |= {"mean_test_n_parameters": np.asarray(costs, float)}
    return results | {f"mean_test_{k}": np.asarray(v, float) for k, v in columns.items()}


HAND = table(
    [[0.70, 0.74], [0.80, 0.82], [0.90, 0.94], [0.91, 0.95], [0.60, 0.62]],
    [100, 200, 400, 800, 400],
    [
        {"mlp__depth": 1, "mlp__width": 8},
        {"mlp__depth": 1, "mlp__width": 16},
        {"mlp__depth": 1, "mlp__width": 32},
        {"mlp__depth": 1, "mlp__width": 64},
        {"mlp__depth": 2, "mlp__width": 16},
    ],
    latency_us=[10, 11, 12, 24, 13],
)


def test_the_numbers_are_those_of_the_table():
    report = scale_report(HAND, rule=SmallestWithin(score_loss=0.015))
    assert report.recommended.index == 2
    assert report.recommended.costs == {"n_parameters": 400, "latency_us": 12}
    difference, error = report.loss
    assert difference == pytest.approx(0.01)
    assert error == pytest.approx(0, abs=1e-12)
    assert report.savings == {"n_parameters": 0.5, "latency_us": 0.5}
    assert [a.index for a in report.smaller] == [1, 0]
    assert report.smaller[0].difference == pytest.approx(-0.11)
    # The differences of the folds are .10 and .12.
    assert report.smaller[0].standard_error == pytest.approx(0.01)
    width, depth = report.dimensions
    assert (width.name, width.n_steps, width.is_of_doubling) == ("width", 3, True)
    assert width.gain == pytest.approx((0.09 + 0.11 + 0.01) / 3)
    assert (depth.name, depth.n_steps) == ("depth", 1)
    assert depth.gain == pytest.approx(-0.2)
    assert "The best candidate is the largest" in report.analysis
    assert (
        report.doublings["the recommended"].mean > report.doublings["the largest"].mean - 0.05
    )
    assert report.law.n_parameters[-1] == pytest.approx(800)


def test_a_best_within_the_range_is_said_with_its_evidence():
    results = table(
        [[0.7, 0.7], [0.9, 0.9], [0.8, 0.8]], [1, 2, 4], [{"width": w} for w in "abc"]
    )
    report = scale_report(results)
    assert "lies within the range: the largest, with 2 times" in report.analysis
    assert "scores 0.1000 (± 0.0000) less" in report.analysis
    assert report.dimensions == []
    assert "No parameter was varied by itself" in str(report)
    smallest = table([[0.9, 0.9], [0.8, 0.8]], [1, 2], [{"width": 1}, {"width": 2}])
    report = scale_report(smallest)
    assert "The best candidate is the smallest" in report.analysis
    assert report.law is None
    assert any("at least 3 sizes" in note for note in report.notes)
    assert report.smaller == []


def test_what_failed_is_left_out_and_counted():
    results = {
        k: np.array(v, dtype=object if k == "params" else float) for k, v in HAND.items()
    }
    for name in results:
        if "score" in name:
            results[name][0] = np.nan
    report = scale_report(results)
    assert report.n_failed == 1
    assert report.table["index"] == [1, 2, 4, 3]
    assert "1 have no score and are left out" in str(report)


def test_losses_are_those_of_the_rows(iris, search):
    X, y = iris
    losses = search.cv_results_["mean_test_loss"]
    scorer = cost_scoring(costs=["loss"])
    weights = np.arange(1.0, 151)
    found = scorer(search.best_estimator_, X, y, sample_weight=weights)["loss"]
    proba = search.predict_proba(X)
    assert found == pytest.approx(log_loss(y, proba, sample_weight=weights))
    assert (losses > 0).all()
    X, y = load_diabetes(return_X_y=True)
    fitted = ScaledMLPRegressor(depth=1, max_epochs=2, random_state=0).fit(X, y)
    expected = mean_squared_error(y, fitted.predict(X))
    assert scorer(fitted, X, y)["loss"] == pytest.approx(expected)
    labels = np.column_stack([y > 100, y > 150]).astype(int)
    many = ScaledMLPClassifier(depth=1, max_epochs=2, random_state=0).fit(X, labels)
    with pytest.warns(UserWarning, match="The cost 'loss'"):
        assert "loss" not in scorer(many, X, labels)


def test_the_text_is_narrow_and_says_all_five_steps(search):
    text = str(scale_report(search))
    assert max(map(len, text.splitlines())) <= 96
    for step in (
        "Analysis",
        "Dimension to scale",
        "Candidates",
        "Comparison",
        "Recommendation",
    ):
        assert f". {step}" in text
    assert re.search(r"depth=\d, width=\d+\*", text)
    assert "Twice the parameters of the largest would gain" in text
    assert "was not diagnosed" in text
    assert "Not measured" not in text


def test_with_data_the_recommended_network_is_diagnosed(iris, search):
    report = scale_report(search, *iris, cv=3)
    assert report.diagnosis.state in report.analysis
    assert "half the rows" in str(report)
    assert not any("diagnosed" in note for note in report.notes)


def random_search(estimator, grid):
    return RandomizedSearchCV(
        estimator, grid, n_iter=3, random_state=0, scoring=cost_scoring(costs=COSTS),
        refit="score", cv=3,
    )  # fmt: skip


def halving_search(estimator, grid):
    return HalvingGridSearchCV(
        estimator, grid, scoring=cost_scoring(costs=COSTS), refit="score", cv=3, factor=1.5,
        min_resources=80, random_state=0,
    )  # fmt: skip


@pytest.mark.parametrize(
    "make", [random_search, halving_search, lambda e, g: GradualScaleSearchCV(e, g, cv=3)]
)
def test_every_search_of_scikit_learns_kind_is_read(iris, make):
    found = make(network(), GRID).fit(*iris)
    report = scale_report(found)
    assert report.recommended.params["width"] in (2, 8, 32)
    assert "<table>" in report._repr_html_()


def test_optunas_search_is_read(iris):
    optuna = pytest.importorskip("optuna")
    integration = pytest.importorskip("optuna_integration")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # experimental
        found = integration.OptunaSearchCV(
            network(), {"width": optuna.distributions.IntDistribution(2, 64, log=True)},
            n_trials=4, random_state=0, cv=3,
            scoring=lambda e, X, y: e.score(X, y),
        )  # fmt: skip
        found.fit(*iris)
    with pytest.raises(ValueError, match="has no cost 'n_parameters'"):
        scale_report(found)
    report = scale_report(found, rule=Best())
    assert report.recommended.params["width"] >= 2
    assert "Not measured: n_parameters" in str(report)


class Best(SmallestWithin):
    """The best mean, whatever it costs."""

    def _choose(self, candidates):
        return int(candidates.mean.argmax())


def test_pipelines_regressors_images_and_several_scores(iris, digits):
    X, y = load_diabetes(return_X_y=True)
    model = make_pipeline(
        StandardScaler(), ScaledMLPRegressor(depth=1, max_epochs=5, random_state=0)
    )
    grid = {"scaledmlpregressor__width": [2, 8, 32]}
    found = GridSearchCV(model, grid, scoring=cost_scoring(), refit=SmallestWithin(), cv=3)
    report = scale_report(found.fit(X, y), X, y, cv=3)
    assert report.dimensions[0].name == "width"
    assert report.diagnosis is not None
    images = digits[0][:120].reshape(-1, 8, 8)
    network = ScaledCNNClassifier(max_epochs=1, random_state=0)
    found = GridSearchCV(
        network, {"width": [8, 16]}, scoring=cost_scoring(), refit=SmallestWithin(), cv=2
    ).fit(images, digits[1][:120])
    report = scale_report(found, images, digits[1][:120])
    assert report.diagnosis is None
    assert any("dense networks" in note for note in report.notes)


def test_another_rule_and_another_score():
    report = scale_report(HAND, rule=BestUnder(n_parameters=150))
    assert report.recommended.index == 0
    renamed = {k.replace("test_score", "test_f1"): v for k, v in HAND.items()}
    assert scale_report(renamed, score="f1").recommended.score == pytest.approx(0.93)
    with pytest.raises(ValueError, match="no score 'score'"):
        scale_report(renamed)
    with pytest.raises(TypeError, match="Expected a fitted search"):
        scale_report(network())


def test_the_frame_has_all_candidates(search):
    pd = pytest.importorskip("pandas")
    frame = scale_report(search).to_frame()
    assert isinstance(frame, pd.DataFrame)
    assert len(frame) == 6
    np.testing.assert_array_equal(
        frame["score"], search.cv_results_["mean_test_score"][frame.index]
    )
    assert frame["n_parameters"].is_monotonic_increasing


def test_without_pandas_or_matplotlib_it_is_said(search, monkeypatch, tmp_path):
    report = scale_report(search)
    real = builtins.__import__

    def absent(name, *args, **kwargs):
        if name.split(".")[0] in ("pandas", "matplotlib"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(ImportError, match="pip install pandas"):
        report.to_frame()
    with pytest.raises(ImportError, match=r"skscale\[plot\]"):
        report.plot()
    report.save(tmp_path / "plain.html")
    assert "<img" not in (tmp_path / "plain.html").read_text()


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.sources = [], []

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "img"):
            self.open.append(tag)
        self.sources += [v for k, v in attributes if k in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_stands_by_itself(search, tmp_path):
    plt = pytest.importorskip("matplotlib.pyplot")
    n_figures = len(plt.get_fignums())
    path = tmp_path / "report.html"
    path.write_text("before")
    scale_report(search).save(path)
    text = path.read_text()
    page = Page()
    page.feed(text)
    assert page.open == []
    assert len(page.sources) == 1
    assert page.sources[0].startswith("data:image/png;base64,")
    assert "http" not in re.sub(r"base64,[^\"]*", "", text)
    assert list(tmp_path.iterdir()) == [path]
    assert len(plt.get_fignums()) == n_figures


def test_what_stands_in_parameters_is_escaped(tmp_path):
    results = HAND | {"params": [{"name": f"<b>{k}</b>"} for k in range(5)]}
    page = scale_report(results)._repr_html_()
    assert "<b>" not in page
    assert "&lt;b&gt;0" in page


def test_the_figure_shows_score_and_front(search):
    plt = pytest.importorskip("matplotlib.pyplot")
    figure = scale_report(search).plot()
    assert len(figure.axes) == 2
    assert figure.axes[0].get_xlabel() == "parameters"
    plt.close(figure)
