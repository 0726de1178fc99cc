"""Displays hold the numbers of the table, on tables written by hand and in searches."""

import sys
import warnings

import matplotlib.pyplot as plt
import numpy as np
import optuna
import optuna_integration
import pytest
from scipy.special import digamma
from sklearn.datasets import load_iris
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, RandomizedSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skscale import (
    CompressionDisplay,
    ParetoDisplay,
    ParetoKnee,
    ScaleCurveDisplay,
    ScaledMLPClassifier,
    ScaleHeatmapDisplay,
    SmallestWithin,
    TrainingCurveDisplay,
    cost_scoring,
)
from skscale.plotting.drawing import label_sparsely

FOUR = [[0.80, 0.70, 0.60], [0.87, 0.81, 0.69], [0.88, 0.78, 0.68], [0.90, 0.80, 0.70]]


def moderated(own, of_pairs):
    """Moderated variance in three splits, if the pairs that differ have one variance.

    The prior, of 10 degrees of freedom, is exp of the mean of log s2, corrected for the bias of
    the logarithm: s2 of 2 degrees of freedom lies below by Euler's constant (Smyth 2004).
    """
    prior = of_pairs * np.exp(np.euler_gamma + digamma(5) - np.log(5))
    return (10 * prior + 2 * own) / 12


@pytest.fixture(autouse=True)
def no_figures_left():
    plt.switch_backend("agg")
    yield
    plt.close("all")


def table(splits=FOUR, cost=(10, 20, 40, 80), params=None):
    """`cv_results_` of candidates with these scores in each split."""
    splits = np.array(splits, dtype=float)
    return {
        **{f"split{i}_test_score": column for i, column in enumerate(splits.T)},
        "mean_test_score": splits.mean(axis=1),
        "mean_test_n_parameters": np.array(cost, dtype=float),
        "params": params or [{"mlp__width": 2**i} for i in range(len(splits))],
    }


def fitted(kind, rows=slice(0, 150, 2)):
    """A fitted search of a kind, over two dimensions of scale, with costs."""
    X, y = (array[rows] for array in load_iris(return_X_y=True))
    model = Pipeline(
        [
            ("scale", StandardScaler()),
            ("mlp", ScaledMLPClassifier(max_epochs=3, random_state=0)),
        ]
    )
    grid = {"mlp__width": [2, 8, 32], "mlp__depth": [1, 2]}
    options = {"scoring": cost_scoring("accuracy", costs=["n_parameters"]), "cv": 2}
    if kind == "optuna":
        space = {
            "mlp__width": optuna.distributions.IntDistribution(2, 32),
            "mlp__depth": optuna.distributions.IntDistribution(1, 2),
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            search = optuna_integration.OptunaSearchCV(
                model, space, n_trials=5, random_state=0, **options
            )
    elif kind == "randomized":
        search = RandomizedSearchCV(
            model, grid, n_iter=5, refit="score", random_state=0, **options
        )
    elif kind == "halving":
        search = HalvingGridSearchCV(
            model, grid, refit="score", factor=2, min_resources=30, random_state=0, **options
        )
    else:
        search = GridSearchCV(model, grid, refit=SmallestWithin(), **options)
    return search.fit(X, y)


@pytest.fixture(scope="module")
def searches():
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        # What Optuna's search calls is deprecated in Optuna.
        warnings.simplefilter("ignore", FutureWarning)
        return {kind: fitted(kind) for kind in KINDS}


KINDS = ["grid", "randomized", "halving", "optuna"]
OF_SEARCHES = [ScaleCurveDisplay, ParetoDisplay, ScaleHeatmapDisplay]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("Display", OF_SEARCHES)
def test_displays_draw_every_kind_of_search(searches, Display, kind):
    display = Display.from_cv_results(searches[kind])
    assert display.figure_ is display.ax_.figure
    display.figure_.draw_without_rendering()
    again = display.plot()
    assert again is display
    assert len(plt.get_fignums()) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_compression_of_every_kind_of_search_begins_at_one(searches, kind):
    display = CompressionDisplay.from_cv_results(searches[kind], by="depth")
    assert min(ratios[0] for ratios in display.ratios) == 1
    assert all((np.diff(ratios) > 0).all() for ratios in display.ratios)


def draw_all(ax=None):
    """One of each display, on a table."""
    network = ScaledMLPClassifier(max_epochs=2, random_state=0).fit(*load_iris(return_X_y=True))
    params = [{"width": 4, "depth": 1}, {"width": 8, "depth": 1}, {"width": 4, "depth": 2}]
    results = table(FOUR[:3], (10, 20, 40), params)
    return [
        ScaleCurveDisplay.from_cv_results(results, ax=ax),
        ParetoDisplay.from_cv_results(results, ax=ax),
        ScaleHeatmapDisplay.from_cv_results(results, ax=ax),
        CompressionDisplay.from_cv_results(results, by="depth", ax=ax),
        TrainingCurveDisplay.from_estimator(network, ax=ax),
    ]


def test_displays_draw_on_given_axes():
    _, ax = plt.subplots()
    for display in draw_all(ax):
        assert display.ax_ is ax
        assert display.figure_ is ax.figure
    assert len(plt.get_fignums()) == 1


@pytest.mark.parametrize("style", ["default", "dark_background"])
def test_lines_and_texts_stand_out_from_the_background(style):
    """By a contrast of 3 at least, WCAG 2.1, section 1.4.11."""
    from matplotlib.colors import to_rgb

    def luminance(color):
        rgb = np.array(to_rgb(color))
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    with plt.style.context(style):
        for display in draw_all():
            ground = luminance(display.ax_.get_facecolor())
            colors = [line.get_color() for line in display.ax_.lines]
            if legend := display.ax_.get_legend():
                colors += [text.get_color() for text in legend.get_texts()]
            for color in [*colors, display.ax_.xaxis.label.get_color()]:
                light, dark = sorted([luminance(color), ground], reverse=True)
                assert (light + 0.05) / (dark + 0.05) >= 3, (type(display).__name__, color)


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"ParetoDisplay.*pip install \"skscale\[plot\]\""):
        ParetoDisplay.from_cv_results(table())


@pytest.mark.parametrize("Display", [ScaleCurveDisplay, ParetoDisplay, CompressionDisplay])
def test_a_search_without_costs_is_told_how_to_measure_them(Display):
    results = table()
    del results["mean_test_n_parameters"]
    arguments = {"by": "width"} if Display is CompressionDisplay else {}
    with pytest.raises(ValueError, match=r"the cost 'n_parameters'.*skscale\.cost_scoring"):
        Display.from_cv_results(results, **arguments)


def test_the_scale_curve_holds_the_table():
    """Differences to the best of candidate 1 are .03, -.01, .01, of the others constant."""
    display = ScaleCurveDisplay.from_cv_results(table())
    points, _, (bars,) = display.errorbar_
    np.testing.assert_allclose(points.get_xdata(), [10, 20, 40, 80])
    np.testing.assert_allclose(points.get_ydata(), np.mean(FOUR, axis=1))
    lengths = [np.ptp(segment[:, 1]) / 2 for segment in bars.get_segments()]
    errors = np.sqrt(moderated(np.array([0, 0.02**2, 0]), 0.02**2) / 3)
    np.testing.assert_allclose(lengths, [*errors, 0], atol=1e-9)
    assert display.best_.get_xdata() == [80]
    assert display.chosen_.get_xdata() == [20]
    assert display.ax_.get_xscale() == "log"
    assert display.ax_.get_xlabel() == "parameters"


def test_the_law_is_drawn_to_twice_the_largest():
    display = ScaleCurveDisplay.from_cv_results(table())
    x, y = display.forecast_.get_data()
    assert (x[0], x[-1]) == pytest.approx((80, 160))
    np.testing.assert_allclose(y, display.law.predict(x))
    np.testing.assert_allclose(display.law_.get_xdata()[[0, -1]], [10, 80])
    low, high = display.law.interval(160)
    edge = display.band_.get_paths()[0].vertices
    at_end = edge[np.isclose(edge[:, 0], 160), 1]
    assert (at_end.min(), at_end.max()) == pytest.approx((low, high))


def test_two_sizes_have_no_law_and_are_drawn_all_the_same():
    display = ScaleCurveDisplay.from_cv_results(table(FOUR[:2], (10, 20)))
    assert display.law is display.law_ is display.band_ is None
    assert display.best_.get_xdata() == [20]


def test_a_rule_marks_its_candidate():
    rule = SmallestWithin(score_loss=0.2)
    assert ScaleCurveDisplay.from_cv_results(table(), rule=rule).chosen == 0
    display = ScaleCurveDisplay.from_cv_results(table(), rule=ParetoKnee())
    assert display.chosen == 1
    assert any("ParetoKnee" in t.get_text() for t in display.ax_.get_legend().get_texts())


def test_the_searchs_own_rule_counts_where_it_is_about_this_cost(searches):
    assert ScaleCurveDisplay.from_cv_results(searches["grid"]).rule == "SmallestWithin()"
    search = GridSearchCV(None, {}, refit=SmallestWithin(score_loss=0.2))
    search.cv_results_ = table() | {"mean_test_latency_us": np.array([4.0, 3.0, 2.0, 1.0])}
    assert ScaleCurveDisplay.from_cv_results(search).chosen == 0
    display = ScaleCurveDisplay.from_cv_results(search, cost="latency_us")
    assert (display.rule, display.chosen) == ("SmallestWithin(cost='latency_us')", 3)
    assert display.law is None
    assert display.ax_.get_xlabel() == "prediction latency (µs)"


def test_the_front_is_a_step_line_labelled_by_the_varied_parameters():
    params = [{"mlp__width": 2**i, "mlp__depth": 1} for i in range(4)]
    display = ParetoDisplay.from_cv_results(table(params=params))
    assert display.front_.get_drawstyle() == "steps-post"
    np.testing.assert_allclose(display.front_.get_xdata(), [10, 20, 80])
    np.testing.assert_allclose(display.points_.get_ydata(), np.mean(FOUR, axis=1))
    assert {text.get_text() for text in display.texts_} == {"width=1", "width=2", "width=8"}


def test_labels_overlap_nothing_and_stay_inside():
    rng = np.random.default_rng(0)
    splits = np.sort(rng.random(60))[:, None] + np.zeros(2)
    display = ParetoDisplay.from_cv_results(table(splits, np.geomspace(10, 1e5, 60)))
    display.figure_.draw_without_rendering()
    boxes = [text.get_window_extent() for text in display.texts_]
    assert 3 <= len(boxes) <= 8
    frame = display.ax_.get_window_extent()
    points = display.ax_.transData.transform(display.points_.get_xydata())
    for i, box in enumerate(boxes):
        assert not box.count_overlaps(boxes[:i])
        assert not box.count_contains(points)
        assert frame.contains(box.x0, box.y0)
        assert frame.contains(box.x1, box.y1)


def test_a_label_without_room_is_left_out():
    _, ax = plt.subplots(layout="constrained")
    x = np.array([0.0, 0.5])
    placed = label_sparsely(ax, x, x, ["m" * 200, "middle"], np.column_stack([x, x]))
    assert [text.get_text() for text in placed] == ["middle"]
    assert len(ax.texts) == 1


def test_the_compression_frontier_is_the_best_of_each_size():
    params = [
        {"pruning": 0.0, "width": 8},
        {"pruning": 0.0, "width": 8},
        {"pruning": 0.5, "width": 8},
        {"width": 4},
    ]
    scores = [[0.9, 0.9, 0.9], [0.8, 0.8, 0.8], [0.88, 0.84, 0.86], [0.7, 0.7, 0.7]]
    display = CompressionDisplay.from_cv_results(table(scores, (80, 80, 20, 10), params))
    assert display.labels == ["pruning=0", "pruning=0.5", "no pruning"]
    drawn = np.concatenate([container[0].get_xydata() for container in display.errorbars_])
    np.testing.assert_allclose(drawn, [[1, 0.9], [4, 0.86], [8, 0.7]])
    assert display.reference_.get_ydata()[0] == display.reference == pytest.approx(0.9)
    # Differences to the reference are .02, .06 and .04.
    errors = np.sqrt(moderated(np.array([0.02**2, 0]), 0.02**2) / 3)
    np.testing.assert_allclose(np.concatenate(display.errors), [0, *errors], atol=1e-12)


def test_two_splits_have_no_error_bars():
    splits = np.array(FOUR)[:, :2]
    display = ScaleCurveDisplay.from_cv_results(table(splits))
    np.testing.assert_array_equal(np.isnan(display.errors), [True, True, True, False])
    display.figure_.draw_without_rendering()
    compressed = [{"pruning": 0.2 * i} for i in range(4)]
    display = CompressionDisplay.from_cv_results(table(splits, params=compressed))
    assert np.isnan(np.concatenate(display.errors)).sum() == 3
    display.figure_.draw_without_rendering()


def test_lines_of_teachers_are_named_by_their_class():
    params = [{"teacher": None}, {"teacher": ExtraTreesClassifier()}] * 2
    display = CompressionDisplay.from_cv_results(table(params=params), by="teacher")
    assert display.labels == ["no teacher", "teacher=ExtraTreesClassifier"]


def test_the_heat_map_shows_the_best_of_each_cell_and_missing_cells():
    params = [
        {"mlp__width": 4, "mlp__depth": 1, "mlp__dropout": 0.0},
        {"mlp__width": 4, "mlp__depth": 1, "mlp__dropout": 0.5},
        {"mlp__width": 16, "mlp__depth": 2, "mlp__dropout": 0.0},
        {"mlp__depth": 0},
    ]
    display = ScaleHeatmapDisplay.from_cv_results(table(params=params))
    assert display.x_values == [None, 4, 16]
    assert display.y_values == [0, 1, 2]
    nan = np.nan
    shown = [[0.8, nan, nan], [nan, 0.79, nan], [nan, nan, 0.78]]
    np.testing.assert_allclose(display.values, shown)
    np.testing.assert_allclose(display.mesh_.get_array().filled(nan), shown)
    assert [text.get_text() for text in display.texts_] == ["0.800", "0.790", "0.780"]
    assert [tick.get_text() for tick in display.ax_.get_xticklabels()] == ["-", "4", "16"]
    cost = ScaleHeatmapDisplay.from_cv_results(table(params=params), value="n_parameters")
    np.testing.assert_allclose(cost.values[1, 1], 20)  # of the better of the two


def test_a_heat_map_of_tuples_and_words_has_them_in_order():
    params = [{"width": w, "activation": a} for w in [(8,), [4, 4]] for a in ("silu", "relu")]
    display = ScaleHeatmapDisplay.from_cv_results(table(params=params), y="activation")
    assert display.x_values == [(4, 4), (8,)]
    assert display.y_values == ["relu", "silu"]
    assert [tick.get_text() for tick in display.ax_.get_xticklabels()] == ["4-4", "8"]


def test_numbers_that_do_not_fit_their_cells_are_left_out():
    params = [{"width": i, "depth": 1} for i in range(60)]
    splits = np.linspace(0, 1, 60)[:, None] + np.zeros(2)
    display = ScaleHeatmapDisplay.from_cv_results(table(splits, np.arange(60) + 1, params))
    assert display.texts_ == []
    assert len(display.ax_.texts) == 0


def test_a_parameter_that_is_not_searched_is_refused_by_name():
    with pytest.raises(ValueError, match=r"got 'depth', which no candidate.*\['mlp__width'\]"):
        ScaleHeatmapDisplay.from_cv_results(table())
    params = [{"a__width": 1, "b__width": i} for i in range(4)]
    with pytest.raises(ValueError, match=r"got 'width', which may be any of \['a__width'"):
        CompressionDisplay.from_cv_results(table(params=params), by="width")


def test_the_training_curve_is_the_history(searches):
    network = searches["grid"].best_estimator_[-1]
    for estimator in (network, searches["grid"].best_estimator_, searches["grid"]):
        display = TrainingCurveDisplay.from_estimator(estimator)
        np.testing.assert_array_equal(
            display.train_.get_ydata(), network.history_["train_loss"]
        )
        np.testing.assert_array_equal(
            display.validation_.get_ydata(), -network.history_["validation_score"]
        )
        np.testing.assert_array_equal(display.train_.get_xdata(), [1, 2, 3])
        assert display.best_.get_xdata() == [network.best_epoch_] * 2


def test_a_validation_score_has_an_axis_of_its_own():
    network = ScaledMLPClassifier(max_epochs=3, validation_scoring="accuracy", random_state=0)
    network.fit(*load_iris(return_X_y=True))
    display = TrainingCurveDisplay.from_estimator(network)
    np.testing.assert_array_equal(display.validation_.get_ydata(), network.validation_scores_)
    assert display.validation_.axes.get_ylabel() == "accuracy (validation)"
    assert display.ax_.get_ylabel() == "mean loss"
    assert len(display.ax_.get_legend().texts) == 3


def test_without_validation_rows_there_is_no_validation_curve():
    network = ScaledMLPClassifier(max_epochs=2, early_stopping=False, random_state=0)
    network.fit(*load_iris(return_X_y=True))
    assert TrainingCurveDisplay.from_estimator(network).validation_ is None
    with pytest.raises(TypeError, match="Expected a fitted estimator of skscale"):
        TrainingCurveDisplay.from_estimator(ExtraTreesClassifier())


def test_drawing_moves_no_global_generator():
    before = np.random.get_state()[1].copy()
    ScaleCurveDisplay.from_cv_results(table())
    np.testing.assert_array_equal(np.random.get_state()[1], before)
