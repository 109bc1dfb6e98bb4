"""Components, distances, watershed and circles: ours against OpenCV 5.0.0 and scikit-image 0.26.0 (SciPy 1.17.1,
numpy 2.4.6), same pictures, same machine.

    cargo build --release -p cleanslide-image --example bench_regions
    python benches/peers/image_regions.py [--json PATH] [--images FOLDER]

Pictures: FOLDER's images as one mosaic (blood cells: the masks are Otsu's), or without a folder a
seeded field of blobs; 2048 x 2048 pixels. Ours and the peers alternate, each run in a process of its own
with two threads; a run is the shortest of a few repetitions after one that is not timed, with the picture in
memory and the result new. Memory is what these add to the process at most. Components have eight
neighbours; "statistics" are components with area, box and centroid, in scikit-image those of regionprops_table.
The watershed floods 8-bit depths (255 less the distance) from markers at the peaks; OpenCV's floods colour
differences of the same picture and draws lines, so it is another algorithm for the same job. Circles are found
from the grey picture, edges and gradients included. Stops with an error if components, distances or
circles differ (distances by more than 1e-3: OpenCV's are 32-bit), or if our watershed differs from
scikit-image's in more than 2 in 100 pixels (ties between marker pixels).

Prints name, ours, peer, ratio, memory (medians; ratios are ours / peer, below 1 is better), agreement.
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

COMMAND = "just bench-operators"
THREADS = "2"
SIDE = 2048
ENVIRONMENT = {
    **os.environ,
    **{
        name: THREADS
        for name in (
            "RAYON_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
            "NUMEXPR_NUM_THREADS",
        )
    },
}
# Operator: peers, and which of the files are its input.
OPERATORS = {
    "components": (("opencv", "scikit-image"), ("mask",)),
    "statistics": (("opencv", "scikit-image"), ("mask",)),
    "distance": (("opencv", "scipy"), ("mask",)),
    "watershed": (("opencv", "scikit-image"), ("depth", "markers")),
    "circles": (("opencv",), ("grey",)),
}
# Upper threshold of edges, distance of centres, votes, smallest and largest radius.
CIRCLES = (60, 20, 15, 15, 60)


def generate(folder, images):
    """Writes grey, mask, depth (8 bits) and markers (32 bits)."""
    import cv2

    if images:
        paths = sorted(path for path in images.iterdir() if path.suffix in {".jpg", ".png", ".tif"})
        tiles = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in paths[:40]]
        height, width = tiles[0].shape
        tiles = [tile for tile in tiles if tile.shape == (height, width)]
        rows, columns = -(-SIDE // height), -(-SIDE // width)
        tiles = [tiles[index % len(tiles)] for index in range(rows * columns)]
        mosaic = np.vstack([
            np.hstack(tiles[row * columns:(row + 1) * columns]) for row in range(rows)
        ])[:SIDE, :SIDE]
        grey = cv2.medianBlur(mosaic, 5)
        _, mask = cv2.threshold(mosaic, 0, 1, cv2.THRESH_BINARY_INV + cv2.THRESH_OTSU)
    else:
        field = np.random.default_rng(0).random((SIDE, SIDE)).astype(np.float32)
        field = cv2.GaussianBlur(field, (0, 0), 6)
        mask = (field > np.median(field)).astype(np.uint8)
        grey = cv2.GaussianBlur(mask * 200, (0, 0), 1)
    distance = cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    depth = 255 - distance.clip(0, 255).astype(np.uint8)
    peaks = (distance == cv2.dilate(distance, np.ones((9, 9)))) & (distance > 2)
    _, markers = cv2.connectedComponents(peaks.astype(np.uint8))
    grey.tofile(f"{folder}/grey")
    mask.tofile(f"{folder}/mask")
    depth.tofile(f"{folder}/depth")
    markers.astype("<u4").tofile(f"{folder}/markers")


def peer(name, operator, folder, repetitions, output):
    """Runs a peer in this process."""
    import time

    import cv2

    cv2.setNumThreads(int(THREADS))
    mask = np.fromfile(f"{folder}/mask", np.uint8).reshape(SIDE, SIDE)
    depth = np.fromfile(f"{folder}/depth", np.uint8).reshape(SIDE, SIDE)
    markers = np.fromfile(f"{folder}/markers", "<i4").reshape(SIDE, SIDE)
    grey = np.fromfile(f"{folder}/grey", np.uint8).reshape(SIDE, SIDE)
    if name == "opencv":
        colour = cv2.merge([depth] * 3)
        edge, distance, votes, smallest, largest = CIRCLES
        work = {
            "components": lambda _: cv2.connectedComponents(mask, connectivity=8)[1],
            "statistics": lambda _: cv2.connectedComponentsWithStats(mask, connectivity=8)[1],
            "distance": lambda _: cv2.distanceTransform(
                mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE
            ),
            # It works in place; the copy is not timed.
            "watershed": lambda fresh: cv2.watershed(colour, fresh),
            "circles": lambda _: cv2.HoughCircles(
                grey, cv2.HOUGH_GRADIENT, 1, distance, param1=edge, param2=votes, minRadius=smallest,
                maxRadius=largest,
            ),
        }[operator]
    else:
        from scipy import ndimage
        from skimage import measure, segmentation

        work = {
            "components": lambda _: measure.label(mask, connectivity=2),
            "statistics": lambda _: statistics_of(measure, mask),
            "distance": lambda _: ndimage.distance_transform_edt(mask),
            "watershed": lambda fresh: segmentation.watershed(depth, fresh),
        }[operator]
    found = work(markers.copy())
    found.astype(kind(operator)).tofile(output)
    del found
    before = memory("VmRSS:")
    try:
        pathlib.Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass
    shortest = float("inf")
    for _ in range(repetitions):
        fresh = markers.copy()
        start = time.perf_counter()
        found = work(fresh)
        shortest = min(shortest, time.perf_counter() - start)
        del found
    print(json.dumps({"seconds": shortest, "added_kib": memory("VmHWM:") - before}))


def statistics_of(measure, mask):
    labels = measure.label(mask, connectivity=2)
    measure.regionprops_table(labels, properties=("area", "bbox", "centroid"))
    return labels


def kind(operator):
    return "<f4" if operator in ("distance", "circles") else "<i4"


def memory(field):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(field))


def run(command):
    done = subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True, text=True)
    result = json.loads(done.stdout.splitlines()[-1])
    # One page at least: work that fits into memory left from the first adds nothing.
    return {"seconds": result["seconds"], "added_kib": max(4, result["added_kib"])}


def compare(operator, name, ours, theirs):
    """What the two results have in common; stops if that is too little."""
    ours, theirs = np.fromfile(ours, kind(operator)), np.fromfile(theirs, kind(operator))
    if operator == "circles":
        if not np.array_equal(ours, theirs):
            sys.exit(f"circles differ from {name}'s: {ours.size // 3} and {theirs.size // 3}")
        return f"the same {ours.size // 3} circles"
    if operator == "distance":
        difference = np.abs(ours - theirs).max()
        if difference > 1e-3:
            sys.exit(f"distances differ from {name}'s by {difference}")
        return f"differ by at most {difference:.1e}"
    if operator in ("components", "statistics"):
        pairs = len(np.unique(ours.astype(np.int64) << 32 | theirs))
        if not pairs == len(np.unique(ours)) == len(np.unique(theirs)):
            sys.exit(f"components differ from {name}'s")
        return f"the same {pairs - 1} components"
    same = (ours == theirs)[theirs > 0].mean()
    if name == "scikit-image" and same < 0.98:
        sys.exit(f"only {same:.4f} of the pixels are {name}'s")
    return f"{same:.4f} of the pixels the same"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    target = os.environ.get("CARGO_TARGET_DIR", "target")
    parser.add_argument("--binary", default=f"{target}/release/examples/bench_regions")
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--images", type=pathlib.Path)
    parser.add_argument("--only", default="", help="operators whose name contains this")
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--peer", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        name, operator, folder, repetitions, output = options.peer
        return peer(name, operator, folder, int(repetitions), output)

    claims = []
    print("name, ours, peer, ratio, memory, agreement")
    with tempfile.TemporaryDirectory() as folder:
        generate(folder, options.images)
        repetitions = str(options.repetitions)
        for operator, (peers, files) in OPERATORS.items():
            if options.only not in operator:
                continue
            ours_command = [
                options.binary, operator, str(SIDE), str(SIDE), repetitions, f"{folder}/ours",
                *(f"{folder}/{file}" for file in files),
                *(str(setting) for setting in CIRCLES if operator == "circles"),
            ]
            for name in peers:
                peer_command = [
                    sys.executable, __file__, "--peer", name, operator, folder, repetitions,
                    f"{folder}/theirs",
                ]
                ours, theirs = [], []
                for _ in range(options.runs):
                    ours.append(run(ours_command))
                    theirs.append(run(peer_command))
                agreement = compare(operator, name, f"{folder}/ours", f"{folder}/theirs")
                what = f"{operator} of {SIDE} x {SIDE} pixels"
                row = {}
                for key, unit in (("seconds", "time ratio"), ("added_kib", "memory ratio")):
                    sides = [[run[key] for run in side] for side in (ours, theirs)]
                    row[key] = [statistics.median(side) for side in sides]
                    added = ", added memory" if unit == "memory ratio" else ""
                    line = paired.claim(f"{what}{added} vs {name}", unit, *sides, COMMAND)
                    row[unit] = paired.show(line)
                    claims.append(line)
                print(
                    f"{operator} / {name}, {row['seconds'][0] * 1e3:.2f} ms, "
                    f"{row['seconds'][1] * 1e3:.2f} ms, {row['time ratio']}, {row['memory ratio']} "
                    f"({row['added_kib'][0] / 1024:.1f} of {row['added_kib'][1] / 1024:.1f} MiB), "
                    f"{agreement}",
                    flush=True,
                )
    paired.write(options.json, claims)


main()
