"""
Training on a file larger than memory
=====================================

`partial_fit` reads a memory-mapped file batch by batch, and the memory of the process stays
constant after the first batches. The scaler also learns from the stream. The file of this
example fits on a laptop (80 MB); the method is the same for a hundred gigabytes.
"""

# %%
import pathlib
import pickle
import resource
import sys
import tempfile
import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import StandardScaler

from skscale import ScaledMLPClassifier

# %%
# Data file
# ---------
# The file is written in batches.
N_ROWS, N_FEATURES, N_PIECE = 1_000_000, 20, 20_000


def make_rows(n, rng):
    """Return rows of three classes that are not linearly separable."""
    X = rng.standard_normal((n, N_FEATURES), dtype=np.float32)
    y = (X[:, 0] * X[:, 1] > 0).astype(np.int8) + (X[:, 2] + X[:, 3] * X[:, 4] > 0.5)
    X *= np.linspace(0.1, 10, N_FEATURES, dtype=np.float32)  # different scales, for the scaler
    return X, y


def memory_mb():
    """Return the process's private memory in MB, without pages of mapped files."""
    status = pathlib.Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["RssAnon"].split()[0]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 1024


folder = tempfile.TemporaryDirectory()
path = pathlib.Path(folder.name)
rng = np.random.default_rng(0)
rows = np.lib.format.open_memmap(path / "X.npy", "w+", np.float32, (N_ROWS, N_FEATURES))
labels = np.lib.format.open_memmap(path / "y.npy", "w+", np.int8, (N_ROWS,))
for start in range(0, N_ROWS, N_PIECE):
    rows[start : start + N_PIECE], labels[start : start + N_PIECE] = make_rows(N_PIECE, rng)
rows.flush(), labels.flush()
del rows, labels
X_test, y_test = make_rows(10_000, rng)


# %%
# Training on the stream
# ----------------------
# The file is mapped again for each batch, so that pages of the previous batch are released.


def read_pieces():
    """Yield the batches of the file."""
    for start in range(0, N_ROWS, N_PIECE):
        piece = slice(start, start + N_PIECE)
        yield (
            np.array(np.load(path / "X.npy", mmap_mode="r")[piece]),
            np.array(np.load(path / "y.npy", mmap_mode="r")[piece]),
        )


scaler = StandardScaler()
network = ScaledMLPClassifier(depth=2, width=64, random_state=0)
seen, accuracies, memory, began = [], [], [], time.perf_counter()
for i, (X, y) in enumerate(read_pieces()):
    X = scaler.partial_fit(X).transform(X)
    network.partial_fit(X, y, classes=[0, 1, 2])
    memory.append(memory_mb())
    if i % 5 == 0:
        seen.append(network.n_samples_seen_)
        accuracies.append(accuracy_score(y_test, network.predict(scaler.transform(X_test))))
        print(
            f"after {seen[-1]:>9,} rows: accuracy {accuracies[-1]:.3f}, "
            f"{memory[-1]:.0f} MB of memory"
        )
seconds = time.perf_counter() - began
size = (path / "X.npy").stat().st_size / 2**20
print(f"{size:.0f} MB of rows in {seconds:.0f} s")
growth = max(memory) - memory[2]
print(f"memory grew by {growth:.0f} MB after the third piece")
assert growth < size / 4

# %%
# Accuracy increases with the rows seen; memory stays constant.
_, (top, bottom) = plt.subplots(2, figsize=(6.4, 4.4), sharex=True, layout="constrained")
top.plot(seen, accuracies, color="#0072B2", marker="o")
top.set(ylabel="accuracy on new rows")
through = N_PIECE * np.arange(1, len(memory) + 1)
bottom.plot(through, np.array(memory) - memory[2], color="#0072B2", label="the process")
bottom.plot(
    through,
    through * N_FEATURES * 4 / 2**20,
    color="#D55E00",
    linestyle="--",
    label="rows seen",
)
bottom.set(xlabel="rows seen", ylabel="MB, less the third piece's")
bottom.xaxis.set_major_formatter("{x:,.0f}")
bottom.legend(frameon=False)
for ax in (top, bottom):
    ax.grid(alpha=0.3)
plt.show()

# %%
# Pickling and further training
# -----------------------------
# The pickle omits the optimizer: training after loading restarts its moments.
data = pickle.dumps((scaler, network))
again_scaler, again = pickle.loads(data)
X = again_scaler.transform(X_test)
np.testing.assert_array_equal(again.predict(X), network.predict(X))
X_new, y_new = make_rows(N_PIECE, rng)
again.partial_fit(again_scaler.transform(X_new), y_new)
print(f"pickle {len(data) / 1000:.0f} kB; accuracy {again.score(X, y_test):.3f} and going on")
folder.cleanup()

# %%
# Limitation: the rows of the file should be in random order. If they are sorted by class or
# time, the network fits the last batch best.
