"""The report of a search: its numbers, its text, its page."""

import builtins
import html.parser
import re

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
    Rule,
    ScaledCNNClassifier,
    ScaledMLPClassifier,
    ScaledMLPRegressor,
    ScalingLaw,
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


def unwrapped(report):
    """The text with its paragraphs in one line."""
    return " ".join(str(report).split())


def test_the_numbers_are_those_of_the_table():
    report = scale_report(HAND, rule=SmallestWithin(score_loss=0.015))
    assert report.recommended.index == 2
    assert report.recommended.costs == {"n_parameters": 400, "latency_us": 12}
    difference, error = report.loss
    assert difference == pytest.approx(0.01)
    assert error == pytest.approx(0, abs=1e-12)
    assert report.savings == {"n_parameters": 0.5, "latency_us": 0.5}
    assert "50% of its parameters, 50% of its latency" in unwrapped(report)
    row = report.table["index"].index(2)
    assert report.best == 3
    assert report.table["difference"][row] == pytest.approx(-0.01)
    assert report.table["score_error"][row] == pytest.approx(0.02)  # .90 and .94
    assert [a.index for a in report.smaller] == [1, 0]
    assert report.smaller[0].difference == pytest.approx(-0.11)
    # The differences of the folds are .10 and .12.
    assert report.smaller[0].standard_error == pytest.approx(0.01)
    width, depth = report.dimensions
    assert (width.name, width.n_steps) == ("width", 3)
    assert width.step_gain == pytest.approx((0.09 + 0.11 + 0.01) / 3)
    # Gains of the folds are .21 and .21.
    assert width.step_error == pytest.approx(0, abs=1e-12)
    assert width.doubling_gain == pytest.approx(width.step_gain)
    assert (depth.name, depth.n_steps) == ("depth", 1)
    assert depth.doubling_gain == pytest.approx(-0.2)
    assert "It is the largest candidate: larger ones" in report.analysis
    assert "The smallest candidate (depth=1, width=8; 0.12 times the" in report.analysis
    assert report.law.n_parameters[-1] == pytest.approx(800)


def test_forecasts_are_those_of_the_law():
    report = scale_report(HAND, rule=SmallestWithin(score_loss=0.015))
    law = ScalingLaw.from_cv_results(HAND)
    expected = {"recommended": law.gain(n_from=400.0), "largest": law.gain()}
    assert report.doublings == expected
    text = unwrapped(report)
    for gain in expected.values():
        assert f"change the score by {gain.mean:+.4f} (80% interval {gain.low:+.4f} to" in text
    report = scale_report(HAND, rule=BestUnder(latency_us=30))
    assert report.recommended.index == 3
    assert list(report.doublings) == ["recommended"]  # it is the largest


def test_a_doubling_is_the_gain_over_all_steps_of_any_size():
    """Half a doubling gains .02, two doublings lose .01: .01 in 2.5 doublings."""
    sizes = [100, 100 * np.sqrt(2), 400 * np.sqrt(2)]
    results = table(
        [[0.80, 0.80], [0.82, 0.82], [0.81, 0.81]], sizes, [{"width": w} for w in (1, 2, 3)]
    )
    (width,) = scale_report(results).dimensions
    assert width.step_gain == pytest.approx(0.005)
    assert width.doubling_gain == pytest.approx(0.01 / 2.5)


def test_a_dimension_without_parameters_has_a_gain_per_step_and_is_last():
    params = [{"resolution": r, "width": w} for r in (16, 32) for w in (8, 16)]
    results = table([[0.7, 0.7], [0.71, 0.71], [0.9, 0.8], [0.91, 0.91]], [1, 2, 1, 2], params)
    width, resolution = scale_report(results).dimensions
    assert resolution.name == "resolution"
    assert resolution.step_gain == pytest.approx((0.15 + 0.20) / 2)
    assert np.isnan(resolution.doubling_gain)
    assert width.doubling_gain == pytest.approx((0.01 + 0.06) / 2)


def test_parameters_of_equal_short_names_keep_their_prefix():
    params = [{"a__width": a, "b__width": b} for a in (1, 2) for b in (1, 2)]
    results = table([[0.7], [0.8], [0.75], [0.85]], [1, 2, 3, 4], params)
    names = [d.name for d in scale_report(results).dimensions]
    assert sorted(names) == ["a__width", "b__width"]


def test_pairs_without_gain_are_reported_as_such():
    results = table([[0.9, 0.9], [0.8, 0.8]], [1, 2], [{"width": 1}, {"width": 2}])
    text = unwrapped(scale_report(results))
    assert "No parameter gains more than its standard error" in text
    assert "gains most" not in text


def test_a_best_within_the_range_is_reported_with_its_evidence():
    results = table(
        [[0.7, 0.7], [0.9, 0.9], [0.8, 0.8]], [1, 2, 4], [{"width": w} for w in "abc"]
    )
    report = scale_report(results)
    assert "The best candidate is width=b." in report.analysis
    assert "The largest candidate (width=c; 2 times the parameters) scores" in report.analysis
    assert "0.1000 ± 0.0000 less, beyond one standard error" in unwrapped(report)
    assert report.dimensions == []
    assert "no effect is known" in unwrapped(report)
    smallest = table([[0.9, 0.9], [0.8, 0.8]], [1, 2], [{"width": 1}, {"width": 2}])
    report = scale_report(smallest)
    assert "It is the smallest candidate: smaller ones" in report.analysis
    assert report.law is None
    assert "at least 3 sizes" in report.notes["forecast"]
    assert report.smaller == []
    assert "the score of a smaller network is unknown" in unwrapped(report)


def test_within_noise_is_within_one_standard_error():
    """Differences to the best are .00 and .02: .01 with an error of .01."""
    results = table([[0.90, 0.92], [0.90, 0.90]], [1, 2], [{"width": 1}, {"width": 2}])
    text = unwrapped(scale_report(results))
    assert "scores 0.0100 ± 0.0100 less, within one standard error" in text
    results = table([[0.90, 0.92], [0.89, 0.90]], [1, 2], [{"width": 1}, {"width": 2}])
    text = unwrapped(scale_report(results))  # .01 and .02: .015 with an error of .005
    assert "scores 0.0150 ± 0.0050 less, beyond one standard error" in text
    results = table([[0.900, 0.920], [0.901, 0.901]], [1, 2], [{"width": 1}, {"width": 2}])
    text = unwrapped(scale_report(results))  # -.001 and .019: .009 with an error of .01
    assert "scores 0.0090 ± 0.0100 less, within one standard error" in text
    results = table([[0.90, 0.92], [0.90, 0.895]], [1, 2], [{"width": 1}, {"width": 2}])
    text = unwrapped(scale_report(results))  # 0 and .025: equal to its error
    assert "within one standard error" in text
    results = table([[0.90, 0.93], [0.895, 0.90]], [1, 2], [{"width": 1}, {"width": 2}])
    text = unwrapped(scale_report(results))  # .005 and .03: 1.4 errors
    assert "beyond one standard error" in text


def test_the_gap_to_the_training_rows_is_that_of_the_best():
    results = HAND | {"mean_train_score": np.array([0.7, 0.8, 0.95, 0.99, 0.6])}
    analysis = scale_report(results).analysis
    assert "The best candidate scores 0.99 on training rows and 0.93 on test rows." in analysis
    assert "training rows" not in scale_report(HAND).analysis


def test_of_equal_candidates_the_smallest_is_the_best_and_alone():
    results = table([[0.9, 0.9], [0.9, 0.9]], [400, 100], [{"width": 32}, {"width": 8}])
    report = scale_report(results)
    assert report.best == report.recommended.index == 1
    assert "It is the best candidate." in unwrapped(report)
    assert re.findall(r"width=32 .*", str(report))[-1].split()[1:4] == [
        "0.9000",
        "0.0000",
        "+0.0000",
    ]
    assert len(re.findall(r"^[* ] width.* best", str(report), re.M)) == 1


def test_one_split_has_no_standard_errors():
    report = scale_report(table([[0.7], [0.9]], [1, 2], [{"width": 1}, {"width": 2}]))
    assert np.isnan(report.table["standard_error"]).all()
    assert np.isnan(report.loss[1])
    assert "±" not in str(report)
    assert "nan" not in str(report)


def test_an_unknown_size_is_a_question_mark_and_neither_small_nor_large():
    params = [{"width": w} for w in (8, 16, 32)]
    results = table([[0.7, 0.8], [0.9, 0.95], [0.91, 0.95]], [100, np.nan, 400], params)
    report = scale_report(results)
    assert "It is the largest" in report.analysis
    assert re.search(r"width=16 .*\?$", str(report), re.M)
    assert "inf" not in str(report)
    assert np.isnan(report.table["n_parameters"][-1])


def test_digits_are_those_of_the_magnitude_of_the_score():
    params = [{"width": 1}, {"width": 2}]
    assert "-2,705 ± 5" in str(
        scale_report(table([[-3456, -3400], [-2700, -2710]], [1, 2], params))
    )
    assert "0.001234 ± 0.000004" in str(
        scale_report(table([[0.001, 0.001], [0.00123, 0.001238]], [1, 2], params))
    )


def test_failed_candidates_are_excluded_and_counted():
    results = {
        k: np.array(v, dtype=object if k == "params" else float) for k, v in HAND.items()
    }
    for name in results:
        if "score" in name:
            results[name][0] = np.nan
    report = scale_report(results)
    assert report.n_failed == 1
    assert report.table["index"] == [1, 2, 4, 3]
    assert "1 candidate is omitted, without a finite score" in unwrapped(report)


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


def test_the_text_is_narrow_and_has_all_five_steps(search):
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
    assert len(re.findall(r"^\* depth=\d, width=\d+ ", text, re.M)) == 1
    assert "The score is accuracy." in text
    assert "diagnose was not run." in text
    assert "scale_report(search, X, y)" in unwrapped(scale_report(search))
    assert "Not measured: n_macs, fit_time." in text


def test_a_table_too_wide_for_the_text_names_its_omitted_columns():
    names = ["loss", "latency_us", "size_bytes", "n_macs", "fit_time"]
    rows, sizes = HAND["params"], [10**7, 10**8, 10**9, 10**10, 10**8]
    results = HAND | {f"mean_test_{name}": np.array(sizes, float) for name in names}
    long = [{f"{k}_{'x' * 40}": v for k, v in one.items()} for one in rows]
    report = scale_report(results | {"params": long})
    text = str(report)
    assert max(map(len, text.splitlines())) <= 96
    assert re.search(r"lack of space: ±, fit \(s\), .*\. to_frame\(\) has them", text)
    heading = next(
        line for line in text.splitlines() if "candidate " in line and "difference" in line
    )
    assert heading.split()[:3] == ["candidate", "score", "difference"]
    assert len(re.findall(r"^\* depth_x+", text, re.M)) == 1  # the mark is not cut off
    for name in names:
        assert sorted(report.table[name]) == sorted(sizes)
    assert "<th>fit (s)</th>" in report._repr_html_()


def test_twelve_rows_hold_the_recommended_the_best_and_the_front():
    means = np.concatenate([[0.5, 0.9, 0.91], np.full(20, 0.8)])
    params = [{"width": w} for w in range(1, 24)]
    report = scale_report(table(means[:, None], np.arange(1, 24), params))
    rows = re.findall(r"^[* ] width=(\d+) ", str(report), re.M)
    assert len(rows) == 12
    assert {"1", "2", "3"} <= set(rows)
    assert "11 more candidates are in to_frame()" in unwrapped(report)
    assert "width 1 to 23, 23 values" in str(report)


def test_with_data_the_recommended_network_is_diagnosed(iris, search):
    report = scale_report(search, *iris, cv=3)
    assert report.diagnosis.state in report.analysis
    assert "half the rows" in str(report)
    assert "analysis" not in report.notes
    assert "Diagnosis of the recommended network" in str(report)


@pytest.mark.parametrize(
    "scoring", [["accuracy", "n"], lambda e, X, y: {"accuracy": e.score(X, y), "n": 5}]
)
def test_the_network_is_diagnosed_by_the_chosen_score(iris, monkeypatch, scoring):
    asked = {}
    monkeypatch.setattr(
        "skscale.plotting.report.diagnose",
        lambda *args, scoring, **kwargs: asked.update(by=scoring),
    )
    if isinstance(scoring, list):
        scoring = {"accuracy": "accuracy", "n": lambda e, X, y: e.complexity_.n_parameters}
    found = GridSearchCV(network(), GRID, scoring=scoring, refit=False, cv=2).fit(*iris)
    rule = SmallestWithin(cost="n", score="accuracy")
    report = scale_report(found, *iris, rule=rule)
    fitted = network(width=8).fit(*iris)
    assert asked["by"](fitted, *iris) == pytest.approx(fitted.score(*iris))
    assert report.rule == rule


def random_search(estimator, grid):
    return RandomizedSearchCV(
        estimator, grid, n_iter=3, random_state=0, scoring=cost_scoring(costs=COSTS),
        refit="score", cv=3,
    )  # fmt: skip


def halving_search(estimator, grid):
    return HalvingGridSearchCV(
        estimator, grid, scoring=cost_scoring(costs=COSTS), refit="score", cv=3, factor=1.5,
        min_resources=40, random_state=0,
    )  # fmt: skip


@pytest.mark.parametrize(
    "make", [random_search, halving_search, lambda e, g: GradualScaleSearchCV(e, g, cv=3)]
)
def test_every_search_of_scikit_learns_kind_is_read(iris, make):
    found = make(network(), GRID).fit(*iris)
    report = scale_report(found)
    assert report.recommended.params["width"] in (2, 8, 32)
    assert "<table>" in report._repr_html_()
    n_rows = len(report.table["index"]) + report.n_earlier + report.n_failed
    assert n_rows == len(found.cv_results_["params"])
    assert ("Only the last iteration" in unwrapped(report)) == ("iter" in found.cv_results_)


def optuna_search(scoring):
    optuna = pytest.importorskip("optuna")
    integration = pytest.importorskip("optuna_integration")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return integration.OptunaSearchCV(
        network(), {"width": optuna.distributions.IntDistribution(2, 64, log=True)},
        n_trials=4, random_state=0, cv=3, scoring=scoring,
    )  # fmt: skip


# What its search is, and what it calls, is experimental or deprecated in Optuna.
@pytest.mark.filterwarnings("ignore")
def test_optunas_search_is_read(iris, tmp_path):
    found = optuna_search(scoring=lambda e, X, y: e.score(X, y)).fit(*iris)
    with pytest.raises(ValueError, match="the cost 'n_parameters'"):
        scale_report(found)
    report = scale_report(found, rule=Best())
    assert report.recommended.params["width"] >= 2
    assert "Not measured: n_parameters" in str(report)
    with pytest.raises(ValueError, match=r"no cost to plot .*cost_scoring"):
        report.plot()
    report.save(tmp_path / "report.html")
    assert "<img" not in (tmp_path / "report.html").read_text()


@pytest.mark.filterwarnings("ignore")
def test_optunas_search_with_costs_is_read_diagnosed_and_drawn(iris, tmp_path):
    found = optuna_search(scoring=cost_scoring(costs=["n_parameters"])).fit(*iris)
    report = scale_report(found, *iris, cv=2)
    assert report.diagnosis is not None
    report.save(tmp_path / "report.html")
    assert "<img" in (tmp_path / "report.html").read_text()


class Best(Rule):
    """The best mean at any cost."""

    def choose(self, candidates):
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
    assert "dense networks" in report.notes["analysis"]


def test_another_rule_and_another_score():
    report = scale_report(HAND, rule=BestUnder(n_parameters=150))
    assert report.recommended.index == 0
    renamed = {k.replace("test_score", "test_f1"): v for k, v in HAND.items()}
    assert scale_report(renamed, score="f1").recommended.score == pytest.approx(0.93)
    with pytest.raises(ValueError, match="the score 'score'"):
        scale_report(renamed)
    with pytest.raises(TypeError, match="Expected a fitted search"):
        scale_report(network())
    with pytest.raises(TypeError, match="Expected a rule of skscale, such as"):
        scale_report(HAND, rule="best")
    with pytest.raises(ValueError, match=r"the score of SmallestWithin\(\), got score='f1'"):
        scale_report(HAND, rule=SmallestWithin(), score="f1")
    without = {k: v for k, v in HAND.items() if "n_parameters" not in k}
    with pytest.raises(ValueError, match=r"the cost 'n_parameters'.*cost_scoring"):
        scale_report(without)


def test_the_searchs_own_rule_counts_where_it_is_about_the_score(search):
    assert scale_report(search).rule is search.refit
    both = search.cv_results_
    both = both | {k.replace("test_score", "test_f1"): v for k, v in both.items()}

    class Other:
        cv_results_, refit = both, SmallestWithin(standard_errors=3)

    assert scale_report(Other).rule is Other.refit
    assert scale_report(Other, score="f1").rule == SmallestWithin(score="f1")


def test_without_parameter_counts_another_cost_orders_the_networks(tmp_path):
    results = {k: v for k, v in HAND.items() if "n_parameters" not in k}
    report = scale_report(results, rule=BestUnder(latency_us=30))
    assert report.size_name == "latency_us"
    assert report.law is None
    assert "did not count parameters" in report.notes["forecast"]
    assert [a.size for a in report.smaller] == [12, 11, 10]
    report.save(tmp_path / "report.html")
    assert "<img" in (tmp_path / "report.html").read_text()


def test_the_frame_has_all_candidates(search):
    pd = pytest.importorskip("pandas")
    frame = scale_report(search).to_frame()
    assert isinstance(frame, pd.DataFrame)
    assert len(frame) == 6
    np.testing.assert_array_equal(
        frame["score"], search.cv_results_["mean_test_score"][frame.index]
    )
    assert frame["n_parameters"].is_monotonic_increasing


def test_without_pandas_or_matplotlib_an_error_names_them(search, monkeypatch, tmp_path):
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
        if tag not in ("meta", "img", "source"):
            self.open.append(tag)
        self.sources += [v for k, v in attributes if k in ("src", "srcset", "href")]

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
    light, dark = page.sources
    assert light != dark
    for source in page.sources:
        assert source.startswith("data:image/png;base64,")
    assert "prefers-color-scheme: dark" in text
    outside = re.sub(r"base64,[^\"]*", "", text)
    assert not re.search(r"http|url\(|@import|//", outside)
    assert list(tmp_path.iterdir()) == [path]
    assert len(plt.get_fignums()) == n_figures


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"existing folder, got '.*nowhere'"):
        scale_report(HAND).save(tmp_path / "nowhere" / "report.html")


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("before")

    def fail(*args):
        raise OSError("full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="full"):
        scale_report(HAND).save(path)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == "before"


def test_the_styles_of_a_notebook_stay_as_they_are():
    style = re.search(r"<style>(.*?)</style>", scale_report(HAND)._repr_html_(), re.S).group(1)
    style = re.sub(r"@media[^{]*{", "", style)
    selectors = re.findall(r"([^{}]+){", style)
    assert all(part.strip().startswith(".skscale-report")
               for selector in selectors for part in selector.split(","))  # fmt: skip


def test_parameters_are_escaped(tmp_path):
    results = HAND | {"params": [{"name": f"<b>{k}</b>"} for k in range(5)]}
    page = scale_report(results)._repr_html_()
    assert "<b>" not in page
    assert "&lt;b&gt;0" in page


def test_the_figure_has_a_heat_map_of_two_dimensions_and_the_training(search):
    plt = pytest.importorskip("matplotlib.pyplot")
    figure = scale_report(search).plot()
    labels = [ax.get_xlabel() for ax in figure.axes]
    assert labels[:3] == ["parameters", "prediction latency (µs)", "epoch"]
    assert {labels[3]} < {"depth", "width"}
    assert figure.axes[0].get_ylabel() == "accuracy, mean of 3 splits"
    plt.close(figure)
    # Another network than the one that the search fitted has no training to show.
    figure = scale_report(search, rule=BestUnder(n_parameters=30)).plot()
    assert "epoch" not in [ax.get_xlabel() for ax in figure.axes]
    plt.close(figure)
    one = HAND | {"params": [{"width": w} for w in range(5)]}
    figure = scale_report(one).plot()
    assert len(figure.axes) == 2
    plt.close(figure)
