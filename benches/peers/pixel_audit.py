"""The audit of pixels: Cleanslide against cleanlab's module for segmentation.

Run from the repository root, in an environment with cleanlab 2.9 and numpy:
    cargo build --release -p cleanslide-audit --examples
    python benches/peers/pixel_audit.py [--runs 6] [--peer-images 8] [--json PATH]

64 images of 512 × 512 pixels and 4 classes, 20 % of the labels drawn at random in squares of 8 × 8;
32-bit probabilities, two threads. Both find the issues of every pixel and the softmin of every
image. Sides alternate, each run in a process of its own. Time is the wall time of the calls; loading
is not counted, except for "from file", where reading is part of it. Memory is the peak resident size
during the calls less that after loading. cleanlab takes minutes for what we do in a second, so it
gets the first 8 images only, and time and memory are per pixel. Its batches are of 100,000 and its
n_jobs is 1: with more it starts processes for each batch, and is slower.
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

IMAGES, CLASSES, SIDE, THREADS = 64, 4, 512, "2"
COMMAND = "just bench-peers"


def generate(folder):
    import numpy as np

    rng = np.random.default_rng(0)
    with open(folder / "labels.u8", "wb") as labels, open(folder / "planes.f32", "wb") as planes:
        for _ in range(IMAGES):
            truth = np.kron(rng.integers(0, CLASSES, (SIDE // 64, SIDE // 64)), np.ones((64, 64), int))
            squares = (SIDE // 8, SIDE // 8)
            noisy = np.kron(rng.random(squares) < 0.2, np.ones((8, 8), bool))
            drawn = np.kron(rng.integers(0, CLASSES, squares), np.ones((8, 8), int))
            np.where(noisy, drawn, truth).astype(np.uint8).tofile(labels)
            logits = rng.normal(size=(CLASSES, SIDE, SIDE)).astype(np.float32)
            logits += 3 * (np.arange(CLASSES)[:, None, None] == truth)
            probabilities = np.exp(logits)
            (probabilities / probabilities.sum(axis=0)).astype(np.float32).tofile(planes)


def peer(folder, images):
    """Runs in a process of its own."""
    import time
    import warnings

    import numpy as np
    from cleanlab.segmentation.filter import find_label_issues
    from cleanlab.segmentation.rank import get_label_quality_scores

    warnings.filterwarnings("ignore")
    pixels = images * SIDE * SIDE
    labels = np.fromfile(folder / "labels.u8", np.uint8, pixels).reshape(images, SIDE, SIDE)
    planes = np.fromfile(folder / "planes.f32", np.float32, pixels * CLASSES)
    planes = planes.reshape(images, CLASSES, SIDE, SIDE)
    before = memory("VmRSS:")
    Path("/proc/self/clear_refs").write_text("5")
    start = time.perf_counter()
    issues = find_label_issues(labels, planes, n_jobs=1, batch_size=100_000, verbose=False)
    scores, _ = get_label_quality_scores(labels, planes, verbose=False)
    seconds = time.perf_counter() - start
    result = {"seconds": seconds, "issues": int(issues.sum()), "scores": float(scores.sum())}
    print(json.dumps(result | {"before": before, "peak": memory("VmHWM:")}))


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
    parser.add_argument("--peer-images", type=int, default=8)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--target", type=Path, default=Path(os.environ.get("CARGO_TARGET_DIR", "target")))
    parser.add_argument("--peer", nargs=2)
    arguments = parser.parse_args()
    if arguments.peer:
        peer(Path(arguments.peer[0]), int(arguments.peer[1]))
        return
    ours = arguments.target / "release/examples/bench_pixel_audit"
    few = str(arguments.peer_images)
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        files = [f"{folder}/labels.u8", f"{folder}/planes.f32"]
        sizes = [str(CLASSES), str(SIDE), str(SIDE)]
        commands = {
            "ours": [ours, *files, str(IMAGES), *sizes, "memory"],
            "ours, from file": [ours, *files, str(IMAGES), *sizes, "file"],
            "ours, few images": [ours, *files, few, *sizes, "memory"],
            "cleanlab": [sys.executable, __file__, "--peer", folder, few],
        }
        results = {name: [] for name in commands}
        for _ in range(arguments.runs):
            for name, command in commands.items():
                results[name].append(run(command))
    report(results, arguments)


def report(results, arguments):
    pixels = dict.fromkeys(results, IMAGES * SIDE * SIDE)
    pixels["ours, few images"] = pixels["cleanlab"] = arguments.peer_images * SIDE * SIDE
    for name, runs in results.items():
        speed = pixels[name] / statistics.median(run["seconds"] for run in runs) / 1e6
        extra = statistics.median(run["peak"] - run["before"] for run in runs) * 1024
        print(
            f"{name:20} {speed:8.2f} Mpx/s, {extra / 2**20:8.1f} MiB extra,"
            f" {extra / pixels[name]:6.2f} B/px, {sorted({run['issues'] for run in runs})} issues,"
            f" scores {runs[0]['scores']:.6f}"
        )
    measures = {
        "time per pixel": lambda run: run["seconds"],
        "extra memory per pixel": lambda run: run["peak"] - run["before"],
    }
    rows = []
    for side in ("ours", "ours, from file", "ours, few images"):
        for measure, value in measures.items():
            line = paired.claim(
                f"audit of pixels, {CLASSES} classes, {side}, {measure}, vs cleanlab",
                "time ratio" if "time" in measure else "memory ratio",
                [value(run) / pixels[side] for run in results[side]],
                [value(run) / pixels["cleanlab"] for run in results["cleanlab"]],
                COMMAND,
            )
            print(f"{side + ', ' + measure:45} {paired.show(line)}")
            rows.append(line)
    paired.write(arguments.json, rows)


if __name__ == "__main__":
    main()
