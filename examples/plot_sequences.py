"""
Custom modules in a grid: an LSTM and a transformer
===================================================

Any `nn.Module` class becomes an estimator. Its constructor receives the shape of a sample, the
number of outputs and, if it accepts them, `depth`, `width` and `dropout`; its other arguments
are hyperparameters `module__*`. Searches, costs, rules and pickles work as for every estimator.
"""

# %%
import joblib
import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, train_test_split
from torch import nn

from skscale import ScaledNetworkClassifier, SmallestWithin, cost_scoring

# %%
# Two sequence models
# -------------------


class Reader(nn.Module):
    """LSTM on (n, steps, features) with an output at the last step."""

    def __init__(self, input_shape, n_outputs, depth=1, width=32):
        super().__init__()
        self.read = nn.LSTM(input_shape[1], width, depth, batch_first=True)
        self.answer = nn.Linear(width, n_outputs)

    def forward(self, x):
        return self.answer(self.read(x)[0][:, -1])


class Attender(nn.Module):
    """Transformer encoder with mean pooling over the steps."""

    def __init__(self, input_shape, n_outputs, depth=1, width=32, n_heads=2, dropout=0.1):
        super().__init__()
        n_steps, n_features = input_shape
        self.embed = nn.Linear(n_features, width)
        self.places = nn.Parameter(torch.zeros(n_steps, width))
        layer = nn.TransformerEncoderLayer(width, n_heads, 2 * width, dropout, batch_first=True)
        self.attend = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.answer = nn.Linear(width, n_outputs)

    def forward(self, x):
        return self.answer(self.attend(self.embed(x) + self.places).mean(1))


# %%
# One search per model
# --------------------
# A sequence is a digit image read line by line: 8 steps of 8 pixels.
digits = load_digits()
X_train, X_test, y_train, y_test = train_test_split(
    digits.images / 16, digits.target, train_size=1000, random_state=0
)
candidates = {
    "LSTM": (Reader, {}),
    "transformer": (Attender, {"module__n_heads": [2, 4]}),
}
searches = {}
for name, (module, more) in candidates.items():
    model = ScaledNetworkClassifier(module, learning_rate=0.01, max_epochs=15, random_state=0)
    grid = {"width": [8, 16, 32], **more}
    with joblib.parallel_config(backend="skscale"):
        search = GridSearchCV(
            model, grid, scoring=cost_scoring("accuracy"), refit=SmallestWithin(), cv=2
        ).fit(X_train, y_train)
    searches[name] = search
    print(name)
    results = search.cv_results_
    for k, params in enumerate(results["params"]):
        chosen = "  <- chosen" if k == search.best_index_ else ""
        print(
            f"  {params!s:38}{results['mean_test_n_parameters'][k]:8,.0f} parameters, "
            f"{results['mean_test_n_macs'][k]:9,.0f} multiply-accumulates: "
            f"{results['mean_test_score'][k]:.4f}{chosen}"
        )
    print(f"  on new sequences {search.score(X_test, y_test):.4f}")

# %%
# Accuracy against size
# ---------------------
_, ax = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
looks = {"LSTM": ("#0072B2", "o"), "transformer": ("#D55E00", "^")}
for name, search in searches.items():
    color, marker = looks[name]
    results = search.cv_results_
    size, score = results["mean_test_n_parameters"], results["mean_test_score"]
    ax.scatter(size, score, color=color, marker=marker, s=45, label=name)
    chosen = (size[search.best_index_], score[search.best_index_])
    ax.scatter(*chosen, s=240, facecolors="none", edgecolors=color, linewidths=2)
ax.scatter([], [], s=240, facecolors="none", edgecolors="0.4", linewidths=2, label="chosen")
ax.set(xscale="log", xlabel="parameters", ylabel="accuracy, mean of 2 folds")
ax.margins(0.12)
ax.grid(alpha=0.3)
ax.legend(frameon=False, loc="lower right")
plt.show()

# %%
# Limitation: with so few epochs and two folds, this shows how to compare such networks, not
# which one is better.
