"""Metrics: ours against scikit-learn, alternating on the same input.

Versions: scikit-learn 1.9.1, numpy 2.4.6
Run from the repository root:
  cargo build --release -p cleanslide-eval --example metrics_speed
  python benches/peers/metrics.py [--json PATH]

Each measurement is a process of its own, which loads the input and times the computation alone;
memory is the peak resident size of that process (Linux). Prints medians and ours / peer.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import paired

REPEATS = 6
TASKS = {
    "auroc": "AUROC of 1,000,000 items",
    "average_precision": "average precision of 1,000,000 items",
    "bootstrap": "bootstrap of balanced accuracy, 2,000 resamples of 4,000 items in 200 cases",
}


def peer(task, folder):
    from sklearn import metrics

    folder = Path(folder)
    truth = np.fromfile(folder / "truth.u8", np.uint8)
    if task == "bootstrap":
        predicted = np.fromfile(folder / "predicted.u8", np.uint8)
        group = np.fromfile(folder / "group.u32", np.uint32)
        start = time.perf_counter()
        rng = np.random.default_rng(0)
        members = [np.flatnonzero(group == g) for g in np.unique(group)]
        values = []
        for _ in range(2000):
            drawn = np.concatenate([members[g] for g in rng.integers(0, len(members), len(members))])
            values.append(metrics.balanced_accuracy_score(truth[drawn], predicted[drawn]))
        low, high = np.quantile(values, [0.025, 0.975])
        value = metrics.balanced_accuracy_score(truth, predicted)
        result = f"{value:.3f} [{low:.3f}, {high:.3f}]"
    else:
        score = np.fromfile(folder / "score.f32", np.float32)
        metric = dict(
            auroc=metrics.roc_auc_score, average_precision=metrics.average_precision_score
        )[task]
        start = time.perf_counter()
        result = f"{metric(truth, score):.6f}"
    seconds = time.perf_counter() - start
    status = Path("/proc/self/status").read_text()
    peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    print(f"{seconds}\t{peak}\t{result}")


def measure(command):
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    seconds, peak, result = output.strip().split("\t")
    return float(seconds), int(peak) / 1024, result


def main(json_path):
    claims = []
    target = os.environ.get("CARGO_TARGET_DIR", "target")
    ours = f"{target}/release/examples/metrics_speed"
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as ranked, tempfile.TemporaryDirectory() as hard:
        truth = (rng.random(1_000_000) < 0.2).astype(np.uint8)
        truth.tofile(f"{ranked}/truth.u8")
        (rng.normal(size=truth.size) + truth).round(4).astype(np.float32).tofile(
            f"{ranked}/score.f32"
        )
        truth = rng.integers(0, 4, 4000).astype(np.uint8)
        truth.tofile(f"{hard}/truth.u8")
        wrong = rng.random(truth.size) < 0.2
        np.where(wrong, rng.integers(0, 4, truth.size), truth).astype(np.uint8).tofile(
            f"{hard}/predicted.u8"
        )
        rng.integers(0, 200, truth.size).astype(np.uint32).tofile(f"{hard}/group.u32")
        print("name, ours s, peer s, ratio, ours MiB, peer MiB, memory ratio, ours, peer")
        for task in TASKS:
            folder = hard if task == "bootstrap" else ranked
            runs = [
                (
                    measure([ours, task, folder]),
                    measure([sys.executable, __file__, "--peer", task, folder]),
                )
                for _ in range(REPEATS)
            ]
            cells = []
            for what, unit in enumerate(["time ratio", "memory ratio"]):
                sides = [[run[side][what] for run in runs] for side in (0, 1)]
                peak = ", peak memory" if what else ""
                line = paired.claim(
                    f"{TASKS[task]}{peak}, vs scikit-learn", unit, *sides, "just bench-peers"
                )
                claims.append(line)
                cells += [f"{statistics.median(side):.4g}" for side in sides] + [paired.show(line)]
            print(", ".join([task, *cells, runs[0][0][2], runs[0][1][2]]))
    paired.write(json_path, claims)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        peer(*sys.argv[2:])
    else:
        parser = argparse.ArgumentParser()
        parser.add_argument("--json")
        main(parser.parse_args().json)
