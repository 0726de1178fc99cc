"""How should the networks of a search be trained together?

The 180 tasks of the small grid of `bench_fused_search` (digits, depth 1 and 2, width 16 to
64, 20 epochs, the plain network), on two threads:

- `overlapped`: a stack for each shape, a thread for each stack, steps as programs: what
  `train` does;
- `padded`: the same with all networks as wide as the widest;
- `in Python`: a thread for each stack, steps launched from Python;
- `one after the other`: each stack by both threads, which meet at every operation;
- `one thread`, and `alone`: each network for itself (every sixth, times six).

Then the time of a fit by the size of its stack, on one thread. Before the clock starts,
the ways that train the same networks must give equal weights to 1e-3 (float32).

    python benchmarks/bench_stacks.py
"""

import statistics
import time
from dataclasses import replace
from unittest import mock

import bench_fused_search
import joblib
import numpy as np
from _bench import parse_arguments, print_table, time_interleaved, write_json
from sklearn.datasets import load_digits
from torch.profiler import ProfilerActivity
from torch.profiler import profile as torch_profile

from skscale.fusion import rendezvous as fusion
from skscale.training import engine, plan, stack


def collect_tasks(X, y):
    """Return the tasks of the small grid, sharing what they share in a search."""
    tasks, real = [], fusion.train
    grid = bench_fused_search.GRIDS["small"]

    def watched(given, **options):
        tasks.extend(given)
        return real(given, **options)

    with (
        mock.patch.object(fusion, "train", watched),
        joblib.parallel_config(backend="skscale"),
    ):
        network, names = bench_fused_search.ours(grid, False, "cpu", "float32")
        bench_fused_search.search(network, names, 5, None, X, y)
    return tasks


def of_width(tasks, width, depth=None):
    """Return the tasks with other hidden layers."""
    return [
        replace(
            task,
            architecture=replace(
                task.architecture, widths=(width,) * (depth or task.architecture.depth)
            ),
        )
        for task in tasks
    ]


def in_python(tasks):
    real = stack.Stack.__init__

    def without_programs(self, *arguments):
        real(self, *arguments)
        self.repeats = False

    with mock.patch.object(stack.Stack, "__init__", without_programs):
        return engine.train(tasks, n_threads=2)


def one_after_the_other(tasks, most_members):
    with (
        mock.patch.object(plan, "_MAX_MEMBERS", most_members),
        mock.patch.object(engine, "choose_threads", return_value=2),
    ):
        session = engine._Session(engine.StepGradient, 2, True, None)
        results = {}
        for group in plan.plan_stacks(tasks, 1):
            results.update(session.train(group))
    return [results[index] for index in range(len(tasks))]


def check_equal(ways):
    expected = ways["overlapped"]()
    for name in ("in Python", "one after the other, 30", "one thread"):
        for one, other in zip(ways[name](), expected, strict=True):
            for a, b in zip(one.weights.coefs, other.weights.coefs, strict=True):
                assert np.linalg.norm(a - b) < 1e-3 * np.linalg.norm(b), name


def profile(tasks):
    """Return where the time of training on one thread goes, in parts of one."""
    engine.train(tasks, n_threads=1)
    with torch_profile(activities=[ProfilerActivity.CPU]) as profiled:
        start = time.perf_counter()
        engine.train(tasks, n_threads=1)
        wall = time.perf_counter() - start
    kinds = {
        "products": ("aten::bmm", "aten::baddbmm", "aten::baddbmm_"),
        "optimiser": ("aten::_fused_adamw_", "aten::mul_"),
        "losses": (
            "aten::_softmax",
            "aten::_log_softmax",
            "aten::gather",
            "aten::scatter_add_",
        ),
        "activations": ("aten::relu_", "aten::clamp_min_", "aten::threshold_backward"),
        "gathering and copies": ("aten::index_select", "aten::copy_"),
    }
    parts = dict.fromkeys(kinds, 0.0)
    for event in profiled.key_averages():
        for kind, names in kinds.items():
            if event.key in names:
                parts[kind] += event.self_cpu_time_total / 1e6 / wall
    parts["launching, Python"] = 1 - sum(parts.values())
    return parts


def main():
    arguments = parse_arguments(__doc__)
    X, y = load_digits(return_X_y=True)
    tasks = collect_tasks(X.astype(np.float32), y)
    padded = of_width(tasks, 64)
    ways = {
        "overlapped": lambda: engine.train(tasks, n_threads=2),
        "padded": lambda: engine.train(padded, n_threads=2),
        "in Python": lambda: in_python(tasks),
        "one after the other, 16": lambda: one_after_the_other(tasks, 16),
        "one after the other, 30": lambda: one_after_the_other(tasks, 30),
        "one thread": lambda: engine.train(tasks, n_threads=1),
        "alone": lambda: [engine.train([task], n_threads=1) for task in tasks[::6]],
    }
    check_equal(ways)
    seconds = time_interleaved(ways, 2 if arguments.quick else 5)
    seconds["alone"] = [6 * t for t in seconds["alone"]]
    best = seconds["overlapped"]
    rows = []
    for name, times in seconds.items():
        ratios = [a / b for a, b in zip(times, best, strict=True)]
        rows.append(
            [
                name,
                f"{statistics.median(times):.2f}",
                f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
            ]
        )
    print_table(["way", "seconds", "times as long as overlapped"], rows)

    sizes = [1, 2, 4, 8, 15, 30]
    size_rows, by_size = [], {}
    for width, depth in ((16, 1), (64, 2), (128, 2)):
        alike = of_width(tasks[:30] + tasks[90:120], width, depth)
        times = []
        for most in sizes:
            chosen = alike[: max(12, 2 * most)]
            with mock.patch.object(plan, "_MAX_MEMBERS", most):
                engine.train(chosen, n_threads=1)
                rounds = []
                for _ in range(3):
                    start = time.perf_counter()
                    engine.train(chosen, n_threads=1)
                    rounds.append((time.perf_counter() - start) / len(chosen) * 1e3)
            times.append(statistics.median(rounds))
        by_size[f"{width}x{depth}"] = times
        size_rows.append([f"{width}x{depth}", *(f"{t:.1f}" for t in times)])
    print("\nMilliseconds a fit (20 epochs), by the members of its stack\n")
    print_table(["scale", *map(str, sizes)], size_rows)
    print("\nWhere the time goes in stacks of 15, one thread, under torch's profiler\n")
    parts = {
        f"{width}x{depth}": profile(of_width(tasks[:15], width, depth))
        for width, depth in ((16, 1), (64, 2), (128, 2), (256, 2))
    }
    kinds = list(next(iter(parts.values())))
    print_table(
        ["scale", *kinds],
        [[k, *(f"{p[kind]:.2f}" for kind in kinds)] for k, p in parts.items()],
    )
    write_json(
        arguments.json,
        "bench_stacks",
        arguments.device,
        {"seconds": seconds, "sizes": sizes, "milliseconds_by_size": by_size, "parts": parts},
    )


if __name__ == "__main__":
    main()
