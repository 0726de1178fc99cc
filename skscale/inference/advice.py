"""Advice on columns of categories from which a network learns little.

`advise` decides by the number of rows of each value, and then looks at the values: dates,
numbers in another notation, free text and identifiers need different remedies.
"""

import re

from .columns import VECTORIZER, has_leading_zero, number_of

# Advice is given if at least this share of the rows has infrequent categories. Of 19 columns
# of 10 real tables, with 300 to 5,000 rows, the category means explain at most 5 % of the
# variance of a target out of fold at a share above .75, where means of all values explain up
# to 37 %; between .5 and .75, they explain up to 27 %.
_LARGEST_SHARE = 0.75
# The bound for numbers that are not written as numbers, whose order is lost as well: on
# y = sin(5 q) + noise, R2 falls from .86 to .82 at a share of 1 %, to .51 at 27 % and to .16 at
# 78 %, if q is text.
_LARGEST_SHARE_OF_NUMBERS = 0.1
# The first distinct values stand for all of them.
_MAX_LOOKED_AT = 1000
_MAX_EXAMPLE = 40
_LISTED = 10
# Identifiers have at most this number of rows per value.
_ROWS_OF_IDENTIFIERS = 1.1
# Free text has at least this number of words per value.
_WORDS_OF_TEXT = 3
_VECTORIZER = VECTORIZER[0].upper() + VECTORIZER[1:]

_DAY, _MONTH = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|1[0-2])"
_NAME = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_CLOCK = r"\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?(?: ?[ap]m)?(?: ?(?:z|utc|gmt|[+-]\d\d:?\d\d))?"
_DATES = re.compile(
    r"(?:[a-z]{3,9},? )?(?:"
    rf"\d{{4}}([-/.]){_MONTH}\1{_DAY}"
    # Day or month first. With dots, two digits of a year could be a version.
    rf"|(?:{_DAY}([-/.]){_MONTH}\2|{_MONTH}([-/.]){_DAY}\3)\d{{4}}"
    rf"|{_DAY}/{_MONTH}/\d\d|{_MONTH}/{_DAY}/\d\d"
    rf"|{_DAY}[ -]{_NAME}[ -]\d{{2,4}}|{_NAME} {_DAY},? \d{{4}}"
    rf")(?:(?:t|,? ){_CLOCK})?",
    re.IGNORECASE,
)
_TIMES_OF_DAY = re.compile(_CLOCK, re.IGNORECASE)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})*(?:\.\d+)?")
_DECIMAL_COMMAS = re.compile(r"[+-]?(?:0|[1-9]\d*|[1-9]\d{0,2}(?:[. ]\d{3})+)(?:,\d+)?")
_UNITS = re.compile(r"[$€£¥] ?[+-]?\d[\d,]*\.?\d*|[+-]?\d[\d,]*\.?\d*(?: ?[%$€£¥]| [^\W\d]+)")


def advise(n_rows_of, is_infrequent, is_declared):
    """Return advice on a column from which a network learns little.

    These are columns whose rows nearly all have infrequent categories, columns of numbers in
    another notation with some infrequent categories, and columns of dates as text, of which
    neither the order nor new dates would be known.

    Parameters
    ----------
    n_rows_of : dict of str, int, float or bool to int
        Number of rows of each value.
    is_infrequent : iterable of bool
        Whether each value, in the same order, is an infrequent category.
    is_declared : bool
        Whether the user declared the column as categorical: then numbers and dates with
        enough rows each are intended.

    Returns
    -------
    str or None
        Numbers of values and rows, and the remedy; None without one.
    """
    n_values, n_rows = len(n_rows_of), sum(n_rows_of.values())
    if n_values < 2:
        return None
    pairs = zip(n_rows_of.values(), is_infrequent, strict=True)
    share = sum(n for n, is_lost in pairs if is_lost) / n_rows
    values = list(n_rows_of)[:_MAX_LOOKED_AT]
    remedy = None
    if not is_declared:
        remedy = _advise_on_dates(values)
        if remedy is None and share >= _LARGEST_SHARE_OF_NUMBERS:
            remedy = _advise_on_numbers(values)
    if remedy is None and share >= _LARGEST_SHARE:
        remedy = _advise_on(values, n_rows / n_values)
    if remedy is None:
        return None
    fewest, most = min(n_rows_of.values()), max(n_rows_of.values())
    rows = f"{fewest} to {most} rows" if fewest < most else f"{most} row{'s' * (most > 1)}"
    example = repr(min(values, key=n_rows_of.get))
    if len(example) > _MAX_EXAMPLE:
        example = f"{example[: _MAX_EXAMPLE - 4]}...{example[-1]}"
    return f"{n_values} different values such as {example}, {rows} each: {remedy}"


def join(advice):
    """Join the advice on all columns to one message.

    Parameters
    ----------
    advice : dict of str to str
        By the label of the column.

    Returns
    -------
    str
    """
    lines = [f"\n- {label}: {text}" for label, text in advice.items()]
    if len(lines) > _LISTED:
        lines[_LISTED:] = [f"\n- {len(lines) - _LISTED} more columns."]
    return (
        "A network learns little from some columns. Expected numbers or frequent categories, "
        f"got:{''.join(lines)}"
    )


def _others(values, is_one):
    """Return the values that are not of a kind, or None if these are too many."""
    others = [value for value in values if not is_one(str(value).strip())]
    # A single value may be a marker of missing values.
    n_allowed = max(len(values) // 20, int(len(values) > 3))
    return others if len(others) <= n_allowed else None


def _except(others):
    named = ", ".join(repr(value)[:_MAX_EXAMPLE] for value in others[:3])
    return f", except {named}{', ...' * (len(others) > 3)}" if others else ""


def _is_number(text):
    try:
        number_of(text)
    except (TypeError, ValueError, OverflowError):
        return False
    return not has_leading_zero(text)


def _advise_on_dates(values):
    others = _others(values, _DATES.fullmatch)
    if others is None:
        return None
    if others:
        return (
            f"dates as text{_except(others)}. Convert them with pandas.to_datetime(column, "
            f'errors="coerce"), and {VECTORIZER}.'
        )
    return (
        f"dates as text. {_VECTORIZER}, or convert them with pandas.to_datetime and then to "
        "numbers, such as days since a date and the month."
    )


def _advise_on_numbers(values):
    for is_one, kind, remedy in (
        (
            _is_number,
            "numbers as text",
            'Convert the column with pandas.to_numeric(column, errors="coerce"), with missing '
            "values for the others.",
        ),
        (
            _THOUSANDS.fullmatch,
            "numbers with commas",
            'Convert separators of thousands with .str.replace(",", "").astype(float), decimal '
            'commas with .str.replace(",", ".").astype(float).',
        ),
        (
            _DECIMAL_COMMAS.fullmatch,
            "numbers with decimal commas",
            'Read them with pandas.read_csv(..., decimal=","), or convert them with '
            '.str.replace(",", ".").astype(float).',
        ),
        (
            _UNITS.fullmatch,
            "numbers with units",
            "Remove these, for example with "
            '.str.replace(r"[^0-9.+-]", "", regex=True).astype(float).',
        ),
        (
            _TIMES_OF_DAY.fullmatch,
            "times of day as text",
            "Convert them to hours or seconds since midnight.",
        ),
    ):
        others = _others(values, is_one)
        if others is not None:
            return f"{kind}{_except(others)}. {remedy}"
    return None


def _advise_on(values, n_rows_each):
    if _others(values, _DATES.fullmatch) is not None:
        return _advise_on_dates(values)
    texts = [value.strip() for value in values if isinstance(value, str)]
    if len(texts) < len(values) / 2 or _others(values, _is_number) == []:
        return (
            "numbers declared as categories. Convert the column with .astype(float), or remove "
            "it from categorical_features."
        )
    remedy = _advise_on_numbers(values)
    if remedy is not None:
        return remedy
    if sum(len(text.split()) for text in texts) >= _WORDS_OF_TEXT * len(texts):
        return (
            f"free text. {_VECTORIZER}, or encode the column with "
            "sklearn.feature_extraction.text.TfidfVectorizer in a ColumnTransformer."
        )
    if n_rows_each < _ROWS_OF_IDENTIFIERS:
        return (
            "identifiers or names. Drop the column; if similar values mean similar targets, "
            f"{VECTORIZER}."
        )
    return (
        "categories, nearly all infrequent. Drop or group them, or encode the column with "
        "sklearn.preprocessing.TargetEncoder or skrub.TableVectorizer()."
    )
