"""COCO evaluation of boxes: ours against pycocotools, alternating on the same input.

Versions: pycocotools 2.0.11, numpy 2.4.6
Run from the repository root:
  cargo build --release -p cleanslide-eval --example coco_speed
  python benches/peers/coco_evaluation.py [--json PATH]

5,000 images, 7 true boxes and 100 detections each, of 3 classes, as COCO's validation set but for its
number of classes. Each measurement is a process of its own, which loads the input and times grouping
by image, matching, and the twelve numbers; pycocotools's timing starts after its index is built and
its results are loaded. It runs on one thread, ours on all (RAYON_NUM_THREADS limits them). Memory is
the peak resident size of the process (Linux). Prints medians and ours / peer.
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

IMAGES, OBJECTS, DETECTIONS, CLASSES = 5000, 7, 100, 3
REPEATS = 6


def make(folder):
    rng = np.random.default_rng(0)

    def table(image, class_, corner, size, *more):
        corner, size = np.round(corner * 4) / 4, np.maximum(np.round(size * 4), 1) / 4
        return np.column_stack([image, class_, corner, corner + size, *more])

    image = np.repeat(np.arange(IMAGES), OBJECTS)
    class_ = rng.integers(0, CLASSES, image.size)
    corner, size = rng.uniform(0, 500, (image.size, 2)), np.exp(rng.uniform(2, 5.5, (image.size, 2)))
    table(image, class_, corner, size).tofile(f"{folder}/truth.f64")
    # Six in ten detections lie near an object.
    drawn = np.repeat(np.arange(IMAGES), DETECTIONS)
    of = drawn * OBJECTS + rng.integers(0, OBJECTS, drawn.size)
    near = rng.random(drawn.size) < 0.6
    moved = corner[of] + rng.normal(0, 0.15, (drawn.size, 2)) * size[of]
    scaled = size[of] * np.exp(rng.normal(0, 0.15, (drawn.size, 2)))
    anywhere = rng.uniform(0, 500, (drawn.size, 2))
    some_size = np.exp(rng.uniform(2, 5.5, (drawn.size, 2)))
    score = np.where(near, rng.beta(3, 2, drawn.size), rng.beta(2, 3, drawn.size)).round(4)
    table(
        drawn,
        np.where(near, class_[of], rng.integers(0, CLASSES, drawn.size)),
        np.where(near[:, None], moved, anywhere),
        np.where(near[:, None], scaled, some_size),
        score,
    ).tofile(f"{folder}/found.f64")


def peer(folder):
    import contextlib
    import io

    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth = np.fromfile(f"{folder}/truth.f64").reshape(-1, 6)
    found = np.fromfile(f"{folder}/found.f64").reshape(-1, 7)

    def box(row):
        return [row[2], row[3], row[4] - row[2], row[5] - row[3]]

    annotations = [
        dict(
            id=i + 1,
            image_id=int(row[0]),
            category_id=int(row[1]),
            bbox=box(row),
            area=(row[4] - row[2]) * (row[5] - row[3]),
            iscrowd=0,
        )
        for i, row in enumerate(truth.tolist())
    ]
    results = [
        dict(image_id=int(row[0]), category_id=int(row[1]), bbox=box(row), score=row[6])
        for row in found.tolist()
    ]
    coco = COCO()
    coco.dataset = dict(
        info={},
        images=[dict(id=i) for i in range(IMAGES)],
        categories=[dict(id=k) for k in range(CLASSES)],
        annotations=annotations,
    )
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
        loaded = coco.loadRes(results)
        start = time.perf_counter()
        run = COCOeval(coco, loaded, "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
        seconds = time.perf_counter() - start
    result = " ".join(f"{run.stats[i]:.9f}" for i in (0, 1, 8))
    status = Path("/proc/self/status").read_text()
    peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    print(f"{seconds}\t{peak}\t{result}")


def measure(command):
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    seconds, peak, result = output.strip().split("\t")
    return float(seconds), int(peak) / 1024, result


def main(json_path, repeats):
    target = os.environ.get("CARGO_TARGET_DIR", "target")
    ours = f"{target}/release/examples/coco_speed"
    name = f"COCO evaluation of {IMAGES} images x {DETECTIONS} detections"
    claims = []
    with tempfile.TemporaryDirectory() as folder:
        make(folder)
        runs = [
            (
                measure([ours, "evaluate", folder]),
                measure([sys.executable, __file__, "--peer", folder]),
            )
            for _ in range(repeats)
        ]
        print("name, ours s, peer s, ratio, ours MiB, peer MiB, memory ratio, ours, peer")
        cells = []
        for what, unit in enumerate(["time ratio", "memory ratio"]):
            sides = [[run[side][what] for run in runs] for side in (0, 1)]
            peak = ", peak memory" if what else ""
            line = paired.claim(f"{name}{peak}, vs pycocotools", unit, *sides, "just bench-peers")
            claims.append(line)
            cells += [f"{statistics.median(side):.4g}" for side in sides] + [paired.show(line)]
        results = runs[0][0][2], runs[0][1][2]
        print(", ".join([name, *cells, *results]))
        if results[0] != results[1]:
            sys.exit("the results differ")
        seconds, peak, interval = measure([ours, "bootstrap", folder])
        print(f"1,000 resamples of AP50 by image: {seconds:.3g} s, {peak:.0f} MiB, {interval}")
    paired.write(json_path, claims)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        peer(*sys.argv[2:])
    else:
        parser = argparse.ArgumentParser()
        parser.add_argument("--json")
        parser.add_argument("--repeats", type=int, default=REPEATS)
        arguments = parser.parse_args()
        main(arguments.json, arguments.repeats)
