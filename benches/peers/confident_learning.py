"""Confident learning at 1,000,000 × 10: Cleanslide against cleanlab's find_label_issues.

Run from the repository root, in an environment with cleanlab 2.9, numpy and safetensors:
    cargo build --release -p cleanslide-audit --examples
    python benches/peers/confident_learning.py [--runs 6] [--json PATH]

Both get the same probabilities (32 bits) and labels, 20 % of the labels drawn at random, and two
threads. Sides alternate, each run in a process of its own. Time is the wall time of the call;
loading is not counted, except for "from file", where reading is part of the call. Memory is the
peak resident size during the call less that after loading ("extra"), and that peak itself
("total"). cleanlab's worker processes are not counted. cleanlab runs with its default n_jobs and
with n_jobs=1; the faster one is the peer in time, the one with less extra memory in memory.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import paired

ITEMS, CLASSES, THREADS = 1_000_000, 10, "2"
COMMAND = "just bench-peers"


def generate(folder):
    import numpy as np
    from safetensors.numpy import save_file

    rng = np.random.default_rng(0)
    truth = rng.integers(0, CLASSES, ITEMS)
    noisy = rng.random(ITEMS) < 0.2
    labels = np.where(noisy, rng.integers(0, CLASSES, ITEMS), truth)
    logits = rng.normal(size=(ITEMS, CLASSES)).astype(np.float32)
    logits[np.arange(ITEMS), truth] += 3
    probabilities = np.exp(logits)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    save_file({"probabilities": probabilities}, folder / "probabilities.safetensors")
    np.save(folder / "probabilities.npy", probabilities)
    labels.astype("<u4").tofile(folder / "labels.u32")
    np.save(folder / "labels.npy", labels)


def peer(folder, jobs):
    """Runs in a process of its own."""
    import time
    import warnings

    import numpy as np
    from cleanlab.filter import find_label_issues

    warnings.filterwarnings("ignore")
    labels = np.load(folder / "labels.npy")
    probabilities = np.load(folder / "probabilities.npy")
    before = memory("VmRSS:")
    Path("/proc/self/clear_refs").write_text("5")
    start = time.perf_counter()
    flags = find_label_issues(labels, probabilities, n_jobs=jobs)
    seconds = time.perf_counter() - start
    peak = memory("VmHWM:")
    issues = int(flags.sum())
    print(json.dumps({"seconds": seconds, "issues": issues, "before": before, "peak": peak}))


def memory(field):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1])
    raise KeyError(field)


def run(command):
    environment = os.environ | {
        "RAYON_NUM_THREADS": THREADS,
        "OMP_NUM_THREADS": THREADS,
        "OPENBLAS_NUM_THREADS": THREADS,
    }
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(output.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--target", type=Path, default=Path(os.environ.get("CARGO_TARGET_DIR", "target")))
    parser.add_argument("--peer", nargs=2)
    arguments = parser.parse_args()
    if arguments.peer:
        folder, jobs = arguments.peer
        peer(Path(folder), None if jobs == "default" else int(jobs))
        return
    ours = arguments.target / "release/examples/bench_confident_learning"
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        files = [f"{folder}/probabilities.safetensors", f"{folder}/labels.u32"]
        commands = {
            "ours": [ours, *files, "memory"],
            "ours, from file": [ours, *files, "file"],
            "cleanlab, n_jobs default": [sys.executable, __file__, "--peer", folder, "default"],
            "cleanlab, n_jobs=1": [sys.executable, __file__, "--peer", folder, "1"],
        }
        results = {name: [] for name in commands}
        for _ in range(arguments.runs):
            for name, command in commands.items():
                results[name].append(run(command))
    report(results, arguments)


def report(results, arguments):
    def median(name, value):
        return statistics.median(value(result) for result in results[name])

    measures = {
        "time (s)": lambda result: result["seconds"],
        "extra memory (MB)": lambda result: (result["peak"] - result["before"]) / 1024,
        "total memory (MB)": lambda result: result["peak"] / 1024,
    }
    peers = [name for name in results if name.startswith("cleanlab")]
    print("issues:", {name: sorted({r["issues"] for r in runs}) for name, runs in results.items()})
    print(f"{'name':45} {'ours':>10} {'peer':>10}  ratio")
    rows = []
    for side in ("ours", "ours, from file"):
        for measure, value in measures.items():
            best = min(peers, key=lambda name: median(name, value))
            own, other = median(side, value), median(best, value)
            line = paired.claim(
                f"confident learning at {ITEMS} x {CLASSES}, {side}, {measure}, vs {best}",
                "time ratio" if "time" in measure else "memory ratio",
                [value(result) for result in results[side]],
                [value(result) for result in results[best]],
                COMMAND,
            )
            print(f"{side + ', ' + measure:45} {own:10.3f} {other:10.3f}  {paired.show(line)}  {best}")
            rows.append(line)
    paired.write(arguments.json, rows)


if __name__ == "__main__":
    main()
