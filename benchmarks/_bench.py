"""What the benchmarks share: the machine in words, interleaved timing, results as JSON."""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent


def parse_arguments(description, **extra):
    """Return the command line's `--device`, `--quick` and `--json`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--quick", action="store_true", help="fewer repeats, smaller cases")
    parser.add_argument("--json", default=None, help="where to write the results")
    for name, options in extra.items():
        parser.add_argument(f"--{name.replace('_', '-')}", **options)
    return parser.parse_args()


def describe_command():
    """Return the command that runs, without where it writes to."""
    words, own = [], iter(sys.argv[1:])
    for word in own:
        if word in ("--json", "--records"):
            next(own, None)
        else:
            words.append(word)
    return " ".join(["python", "benchmarks/" + pathlib.Path(sys.argv[0]).name, *words])


def describe_machine(device):
    """Return processor, cores, versions and device as plain values."""
    import numpy
    import sklearn
    import skorch
    import torch

    import skscale

    processor, flags = describe_processor()
    return {
        "command": describe_command(),
        "commit": _git_commit(),
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "processor": processor,
        "matrix_units": [
            f for f in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f in flags
        ],
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {
            m.__name__: m.__version__ for m in (numpy, sklearn, skorch, torch, skscale)
        },
    }


def describe_processor():
    """Return the processor's name and the list of its features."""
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return platform.processor() or platform.machine(), []
    lines = cpuinfo.read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    fields = {k.strip(): v.strip() for k, v in fields.items()}
    name = fields.get("model name", platform.processor() or platform.machine())
    return name, fields.get("flags", "").split()


def _git_commit():
    try:
        return subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"],
            capture_output=True,
            text=True,
            check=True,
            cwd=HERE,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def time_interleaved(contestants, repeats, synchronize=None):
    """Time functions in turn.

    Parameters
    ----------
    contestants : dict of str to callable
    repeats : int
        Rounds; one more round is run first and not counted.
    synchronize : callable or None
        Called before each reading of the clock.

    Returns
    -------
    dict of str to list of float
        Seconds of each round.
    """
    seconds = {name: [] for name in contestants}
    for repeat in range(repeats + 1):
        for name, run in contestants.items():
            if synchronize is not None:
                synchronize()
            start = time.perf_counter()
            run()
            if synchronize is not None:
                synchronize()
            if repeat:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(numerator, denominator):
    """Return the median of the rounds' ratios, and their smallest and largest."""
    ratios = [a / b for a, b in zip(numerator, denominator, strict=True)]
    return statistics.median(ratios), min(ratios), max(ratios)


def print_table(header, rows):
    """Print a table as Markdown."""
    print("| " + " | ".join(header) + " |")
    print("|" + " --- |" * len(header))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")


def write_json(path, name, device, results):
    """Write machine and results; by default beside the benchmarks."""
    machine = describe_machine(device)
    if path is None:
        (HERE / "results").mkdir(exist_ok=True)
        path = HERE / "results" / f"{name}_{device}.json"
    pathlib.Path(path).write_text(
        json.dumps({"machine": machine, "results": results}, indent=1) + "\n"
    )
    print(
        f"\n{machine['processor']}, {machine['cores']} cores, device {machine['device']}; "
        f"written to {pathlib.Path(path).name}"
    )
