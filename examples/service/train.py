"""Training of a network on a mixed table, and its frozen file for the service.

    python examples/service/train.py model.skscale

Only this part needs torch and scikit-learn. The labels of the synthetic table are daily bicycle
rentals; the features include temperature and town (both with missing values), wind and weekday.
"""

import argparse

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skscale import ScaledMLPClassifier, freeze

NUMBERS, WORDS = ["temperature", "wind", "riders yesterday"], ["weekday", "town"]


def make_table(n_rows=2000, seed=0):
    """Return a frame and the labels of its rows."""
    rng = np.random.default_rng(seed)
    temperature, wind = rng.normal(14, 8, n_rows), rng.gamma(2, 3, n_rows)
    frame = pd.DataFrame(
        {
            "temperature": np.where(rng.random(n_rows) < 0.05, np.nan, temperature),
            "wind": wind,
            "riders yesterday": rng.poisson(40, n_rows),
            "weekday": rng.choice(["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"], n_rows),
            "town": rng.choice(["Ulm", "Graz", "Bern"], n_rows),
        }
    )
    pleasant = -(((temperature - 22) / 9) ** 2) - wind / 8 + frame["riders yesterday"] / 50
    frame["town"] = frame["town"].mask(rng.random(n_rows) < 0.05)
    score = pleasant + frame["weekday"].isin(["Sa", "Su"]) + rng.normal(0, 0.3, n_rows)
    return frame, np.select([score > 0.3, score > -0.8], ["many", "some"], "few")


def fit(frame, labels):
    """Return the fitted pipeline."""
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    words = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = make_column_transformer((numbers, NUMBERS), (words, WORDS))
    network = ScaledMLPClassifier(depth=2, width=32, random_state=0)
    return make_pipeline(columns, network).fit(frame, labels)


def main():
    """Train, freeze and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", help="where to write the model file")
    path = parser.parse_args().path
    frame, labels = make_table()
    train, test, y_train, y_test = train_test_split(frame, labels, random_state=0)
    pipeline = fit(train, y_train)
    freeze(pipeline).save(path)
    print(f"accuracy {pipeline.score(test, y_test):.3f}, written to {path}")


if __name__ == "__main__":
    main()
