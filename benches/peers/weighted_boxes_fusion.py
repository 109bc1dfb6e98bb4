"""Weighted boxes fusion: ours against ensemble-boxes 1.0.9 (numpy 2.4.6), same boxes, same machine.

    cargo build --release -p cleanslide-weak --example bench_weighted_boxes_fusion
    python benches/peers/weighted_boxes_fusion.py [--json PATH]

100 images, 20 views of each, 200 boxes per view of 2 classes, both with their defaults: once views that
find the same 150 objects with jitter (`agree`), once boxes anywhere (`scattered`), where nearly every box
stays alone and has to be compared with all. Images are independent: ours shares them among two threads,
ensemble-boxes has one. The two alternate, each run in a process of its own, timed with boxes in
memory; ours is the shortest of a few repetitions, the peer runs once. Stops with an error if the numbers
of fused boxes differ in any image, or scores or corners by more than 1e-5 (its are 32-bit).

Prints name, ours, peer, ratio (medians; ratios are ours / peer, below 1 is better).
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import numpy as np
import paired

COMMAND = "just bench-peers"
THREADS = "2"
ENVIRONMENT = {
    **os.environ,
    **{
        name: THREADS
        for name in (
            "RAYON_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
            "NUMBA_NUM_THREADS",
        )
    },
}


def generate(path, kind, images, views, boxes):
    """class, score, left, top, right, bottom; from 0 to 1."""
    rng = np.random.default_rng(0)
    numbers = np.empty((images, views, boxes, 6))
    for image in numbers:
        if kind == "agree":
            objects = rng.uniform(0.02, 0.9, (150, 2))
            sizes = rng.uniform(0.02, 0.06, (150, 2))
            classes = rng.integers(0, 2, 150)
        for view in image:
            if kind == "agree":
                chosen = rng.integers(0, 150, boxes)
                low = objects[chosen] + rng.normal(0, 0.003, (boxes, 2))
                size = sizes[chosen] * rng.uniform(0.9, 1.1, (boxes, 2))
                view[:, 0] = classes[chosen]
            else:
                low = rng.uniform(0.0, 0.9, (boxes, 2))
                size = rng.uniform(0.02, 0.06, (boxes, 2))
                view[:, 0] = rng.integers(0, 2, boxes)
            view[:, 2:4] = low.clip(0.0, 0.99)
            view[:, 4:6] = (low + size).clip(0.005, 1.0)
        image[..., 1] = rng.permutation(np.linspace(0.1, 0.99, views * boxes)).reshape(views, boxes)
    np.concatenate([[images, views, boxes], numbers.ravel()]).astype("<f8").tofile(path)


def peer(path, output):
    """Runs ensemble-boxes in this process."""
    import time

    from ensemble_boxes import weighted_boxes_fusion

    numbers = np.fromfile(path, "<f8")
    images, views, boxes = numbers[:3].astype(int)
    numbers = numbers[3:].reshape(images, views, boxes, 6)
    inputs = [
        (list(image[..., 2:]), list(image[..., 1]), list(image[..., 0])) for image in numbers
    ]
    start = time.perf_counter()
    found = [weighted_boxes_fusion(*image) for image in inputs]
    seconds = time.perf_counter() - start
    rows = []
    for corners, scores, classes in found:
        rows.append([len(scores)])
        rows.append(np.column_stack([classes, scores, corners]).ravel())
    np.concatenate(rows).astype("<f8").tofile(output)
    print(json.dumps({"seconds": seconds}))


def run(command):
    done = subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])["seconds"]


def fused(path):
    """The fused boxes of each image, by class and corners: scores may be equal."""
    numbers, images, at = np.fromfile(path, "<f8"), [], 0
    while at < len(numbers):
        count = int(numbers[at])
        rows = numbers[at + 1:at + 1 + 6 * count].reshape(count, 6)
        images.append(rows[np.lexsort(np.round(rows[:, [5, 4, 3, 2, 0]], 4).T)])
        at += 1 + 6 * count
    return images


def compare(ours, theirs):
    """The greatest difference."""
    worst = 0.0
    for index, (one, other) in enumerate(zip(fused(ours), fused(theirs), strict=True)):
        if one.shape != other.shape:
            sys.exit(f"image {index} has {len(one)} fused boxes, not {len(other)}")
        # Pairs of nearest boxes: rounding may order the lists differently.
        for row in one:
            worst = max(worst, np.abs(other - row).max(axis=1).min())
    if worst > 1e-5:
        sys.exit(f"fused boxes differ by {worst}")
    return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    target = os.environ.get("CARGO_TARGET_DIR", "target")
    binary = f"{target}/release/examples/bench_weighted_boxes_fusion"
    parser.add_argument("--binary", default=binary)
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--peer", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        return peer(*options.peer)

    views, boxes = 20, 200
    claims, lines = [], []
    for kind in ("agree", "scattered"):
        ours, theirs = [], []
        with tempfile.TemporaryDirectory() as folder:
            data, our_out, their_out = (f"{folder}/{name}" for name in ("boxes", "ours", "theirs"))
            generate(data, kind, options.images, views, boxes)
            for _ in range(options.runs):
                ours.append(run([options.binary, data, str(options.repetitions), our_out]))
                theirs.append(run([sys.executable, __file__, "--peer", data, their_out]))
            difference = compare(our_out, their_out)
        what = (
            f"weighted boxes fusion of {views} views x {boxes} boxes x {options.images} images "
            f"({kind}) vs ensemble-boxes"
        )
        line = paired.claim(what, "time ratio", ours, theirs, COMMAND)
        claims.append(line)
        lines.append(
            f"{kind}, {statistics.median(ours) * 1e3:.1f} ms, {statistics.median(theirs):.2f} s, "
            f"{paired.show(line)}, differ by at most {difference:.1e}"
        )
    print("name, ours, peer, ratio, agreement")
    print("\n".join(lines))
    paired.write(options.json, claims)


main()
