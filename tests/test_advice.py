"""Columns of text from which a network learns little are named, with a remedy that works."""

import re
import warnings

import numpy as np
import pandas as pd
import pytest

from skscale import ScaledMLPClassifier, ScaledMLPRegressor

FAST = {"depth": 1, "width": 4, "max_epochs": 2, "random_state": 0}
N = 300
RNG = np.random.default_rng(0)
DAYS = pd.date_range("2020-01-01", periods=N, freq="31h")
NUMBERS = RNG.normal(size=N) * 3000
WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog"]


def text(template):
    return [template.format(number) for number in NUMBERS]


def fit(column, **parameters):
    """Return the messages of a fit on a frame with one odd column."""
    X = pd.DataFrame({"x": NUMBERS, "odd": column})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ScaledMLPClassifier(**FAST, **parameters).fit(X, NUMBERS > 0)
    return [str(warning.message) for warning in caught]


SILENT = {
    "ISO dates": (DAYS.strftime("%Y-%m-%d"), "dates as text.*TableVectorizer"),
    "ISO times": (DAYS.strftime("%Y-%m-%dT%H:%M:%SZ"), "dates as text.*TableVectorizer"),
    "times and zone": (DAYS.strftime("%Y-%m-%d %H:%M:%S.%f+01:00"), "dates as text"),
    "month first": (DAYS.strftime("%m/%d/%Y %H:%M"), "dates as text.*TableVectorizer"),
    "day first": (DAYS.strftime("%d.%m.%Y"), "dates as text.*TableVectorizer"),
    "short years": (DAYS.strftime("%d/%m/%y"), "dates as text"),
    "month names": (DAYS.strftime("%d %B %Y"), "dates as text"),
    "US month names": (DAYS.strftime("%b %d, %Y"), "dates as text"),
    "mail": (DAYS.strftime("%a, %d %b %Y %H:%M:%S +0000"), "dates as text"),
    "12 frequent dates": (
        DAYS[RNG.integers(0, 12, N)].strftime("%Y-%m-%d"), "dates as text"
    ),
    "categorical dates": (pd.Categorical(DAYS.strftime("%Y-%m-%d")), "dates as text"),
    "dates with a marker": (
        [*DAYS.strftime("%Y-%m-%d")[:-9], *["open"] * 9],
        r"dates as text, except 'open'.*to_datetime\(column, errors=\"coerce\"\)",
    ),
    "hours": ([f"{i % 24:02}:{i % 59:02}:{i % 53:02}" for i in range(N)],
              "times of day as text"),
    "decimal commas": ([f"{v:.3f}".replace(".", ",") for v in NUMBERS], 'decimal=","'),
    "thousands": (text("{:,.2f}"), r"\.str\.replace\(\",\", \"\"\)"),
    "money": (text("${:.2f}"), "numbers with units"),
    "percent": (text("{:.2f} %"), "numbers with units"),
    "kilograms": (text("{:.2f} kg"), "numbers with units"),
    "numbers with a marker": (
        ["?" if i % 5 == 0 else f"{v:.3f}" for i, v in enumerate(NUMBERS)],
        r"numbers as text, except '\?'.*pandas\.to_numeric",
    ),
    "numbers as categories": (pd.Categorical(NUMBERS), "numbers declared as categories"),
    "identifiers": ([f"id{i}" for i in range(N)], "identifiers or names. Drop"),
    "digits of identifiers": ([f"0{i:03}" for i in range(N)], "identifiers or names. Drop"),
    "categorical identifiers": (pd.Categorical([f"id{i}" for i in range(N)]), "identifiers"),
    "one frequent value": (["a"] * 15 + [f"id{i}" for i in range(N - 15)], "identifiers"),
    "pairs": ([f"id{i // 2}" for i in range(N)], "nearly all infrequent.*TargetEncoder"),
    "free text": ([" ".join(RNG.choice(WORDS, 8)) for _ in range(N)], "free text.*Tfidf"),
}  # fmt: skip


@pytest.mark.parametrize("case", SILENT)
def test_a_column_that_tells_little_is_named_in_one_warning_with_its_remedy(case):
    column, remedy = SILENT[case]
    (message,) = fit(column)
    assert message.startswith("A network learns little")
    assert re.search(f"Column 'odd' of X: .*{remedy}", message), message
    assert f"{len(set(column))} different values such as " in message
    assert re.search(r"\d rows? each", message)


USEFUL = {
    "one value": ["a"] * N,
    "few categories": RNG.choice(["a", "b", "c"], N),
    "a few infrequent categories": [*"uvwxyz", *RNG.choice(["a", "b", "c"], N - 6)],
    "70 % infrequent": ["a"] * 90 + [f"id{i}" for i in range(N - 90)],
    "years": RNG.integers(1990, 2020, N).astype(str),
    "months": DAYS.strftime("%Y-%m"),
    "discounts": [f"{10 * i}%" for i in RNG.integers(0, 6, N)],
    "hours of the day": [f"{i}:00" for i in RNG.integers(8, 18, N)],
    "versions": RNG.choice(["1.2.0", "1.10.3", "2.0.11"], N),
    "declared dates": pd.Categorical(DAYS[RNG.integers(0, 9, N)].strftime("%Y-%m-%d")),
    "numbers as text": text("{:.3f}"),
    "numbers as text, some missing": [None if v > 3000 else f"{v:.3f}" for v in NUMBERS],
    "mostly missing": [None] * 290 + ["a"] * 5 + ["b"] * 5,
}


@pytest.mark.parametrize("case", USEFUL)
def test_a_column_that_tells_something_gives_no_warning(case):
    assert fit(USEFUL[case]) == []


def test_one_warning_names_all_columns_and_only_ten_at_length():
    X = pd.DataFrame({f"c{i}": [f"{i}-{row}" for row in range(60)] for i in range(13)})
    X["when"] = DAYS[:60].strftime("%Y-%m-%d")
    with pytest.warns(UserWarning, match="A network learns little") as caught:
        ScaledMLPRegressor(**FAST).fit(X, NUMBERS[:60])
    (message,) = [str(warning.message) for warning in caught]
    assert message.count("\n- Column ") == 10
    assert message.endswith("\n- 4 more columns.")


def test_numbers_as_text_are_the_same_as_numbers():
    rows = pd.DataFrame({"x": np.round(NUMBERS, 3)})
    expected = ScaledMLPRegressor(**FAST).fit(rows, NUMBERS).predict(rows)
    texts = rows.astype(str)
    found = ScaledMLPRegressor(**FAST).fit(texts, NUMBERS).predict(texts)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("case", [c for c in SILENT if c.startswith(("ISO", "month", "day"))])
def test_the_remedy_for_dates_as_text_lets_a_network_learn_from_them(case):
    skrub = pytest.importorskip("skrub")
    from sklearn.pipeline import make_pipeline

    X = pd.DataFrame({"when": SILENT[case][0]})
    y = (DAYS - DAYS[0]) / pd.Timedelta(days=365)
    network = ScaledMLPRegressor(depth=1, width=16, random_state=0)
    with pytest.warns(UserWarning, match="A network learns little"):
        alone = network.fit(X, y).score(X, y)
    behind = make_pipeline(skrub.TableVectorizer(), network).fit(X, y).score(X, y)
    assert alone < 0.1
    assert behind > 0.95


@pytest.mark.parametrize(
    ("column", "remedy"),
    [
        (DAYS, "numbers: put skrub.TableVectorizer"),
        (pd.Series(DAYS).dt.date, "numbers: put skrub.TableVectorizer"),
        (
            pd.Series(list(DAYS), dtype=object),
            "numbers: apply pandas.to_datetime, and put skrub",
        ),
        (pd.Categorical(DAYS), "numbers: apply pandas.to_datetime, and put skrub"),
        (pd.Series(DAYS).dt.to_period("D"), r"convert periods with \.dt\.to_timestamp"),
        (
            pd.Series(list(pd.Series(DAYS).dt.to_period("D")), dtype=object),
            r"\.dt\.to_timestamp",
        ),
        (DAYS - DAYS[0], r"\.dt\.total_seconds"),
        (pd.Series(DAYS).dt.time, "hours or seconds since midnight"),
    ],
    ids=[
        "times",
        "dates",
        "Timestamps",
        "categories",
        "periods",
        "Periods",
        "durations",
        "clock",
    ],
)
def test_the_error_for_dates_names_the_remedy_for_their_type(column, remedy):
    X = pd.DataFrame({"x": NUMBERS, "when": column})
    with pytest.raises(
        TypeError, match=f"Column 'when' of X contains dates or times.*{remedy}"
    ):
        ScaledMLPClassifier(**FAST).fit(X, NUMBERS > 0)
