"""Cold start: from the start of the interpreter to the first prediction.

    python benchmarks/bench_cold_start.py [--quick] [--json PATH]

A scaler and a network of one shape and the same weights (equal labels are asserted first):
frozen, the pickle of our pipeline, and the pickle of scikit-learn's. Seconds are of whole
processes, one after the other and the contestants in turn; each process reads its row by
NumPy, whose import alone is the last line.
"""

import os

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

import pickle
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from _bench import parse_arguments, print_table, write_json
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skscale import ScaledMLPClassifier, freeze

_READ_ROW = "import numpy as np; x = np.load('row.npy'); "
CODES = {
    "frozen": "import skscale; print(skscale.load_frozen('frozen').predict(x)[0])",
    "our pickle": "import pickle; print(pickle.load(open('ours', 'rb')).predict(x)[0])",
    "their pickle": "import pickle; print(pickle.load(open('theirs', 'rb')).predict(x)[0])",
    "NumPy alone": "",
}


def make_pipelines():
    """Return our pipeline and scikit-learn's with the same weights, and rows."""
    X, y = load_digits(return_X_y=True)
    ours = ScaledMLPClassifier(
        residual=False, activation="relu", preprocessing=None, max_epochs=5, random_state=0
    )
    ours = make_pipeline(StandardScaler(), ours).fit(X, y)
    theirs = make_pipeline(StandardScaler(), MLPClassifier((128, 128), max_iter=1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        theirs.fit(X, y)
    theirs[-1].coefs_ = [c.astype(np.float64) for c in ours[-1].coefs_]
    theirs[-1].intercepts_ = [b.astype(np.float64) for b in ours[-1].intercepts_]
    return ours, theirs, X


def write_files(folder):
    """Write what the processes read; return the bytes of each."""
    ours, theirs, X = make_pipelines()
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    np.testing.assert_array_equal(ours.predict(X), freeze(ours).predict(X))
    np.save(folder / "row.npy", X[:1])
    freeze(ours).save(folder / "frozen")
    (folder / "ours").write_bytes(pickle.dumps(ours))
    (folder / "theirs").write_bytes(pickle.dumps(theirs))
    names = {"frozen": "frozen", "our pickle": "ours", "their pickle": "theirs"}
    return {name: (folder / file).stat().st_size for name, file in names.items()}


def time_processes(folder, n_times):
    """Return the seconds of each process, the first of each left out."""
    seconds = {name: [] for name in CODES}
    for turn in range(n_times + 1):
        for name, code in CODES.items():
            start = time.perf_counter()
            subprocess.run(
                [sys.executable, "-c", _READ_ROW + code],
                cwd=folder, check=True, stdout=subprocess.DEVNULL,
            )  # fmt: skip
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def main():
    """Print and write the table."""
    arguments = parse_arguments(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        n_bytes = write_files(Path(folder))
        seconds = time_processes(Path(folder), 3 if arguments.quick else 20)
    reference = np.median(seconds["their pickle"])
    results = {}
    for name, times in seconds.items():
        low, median, high = (float(t) for t in np.quantile(times, [0.25, 0.5, 0.75]))
        results[name] = {
            "seconds": round(median, 3),
            "quartiles": (round(low, 3), round(high, 3)),
            "of_theirs": round(median / float(reference), 3),
            "bytes": n_bytes.get(name),
        }
    print_table(
        ["process", "seconds", "quartiles", "of their pickle", "bytes"],
        [[name, *of_name.values()] for name, of_name in results.items()],
    )
    write_json(arguments.json, "cold_start", arguments.device, results)


if __name__ == "__main__":
    main()
