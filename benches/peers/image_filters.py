"""Canny: ours against OpenCV 5.0.0 (opencv-python-headless 5.0.0.93, numpy 2.4.6), same machine.

    cargo build --release -p cleanslide-image --example bench_filters
    python benches/peers/image_filters.py IMAGE... [--json PATH]

Each image is read as grey and measured as it is and, with --tile N, repeated N x N times (mirrored, so
that seams make no edges). Thresholds 50 and 150, L1 norm. The two alternate, each in a process of its
own with two threads; the time is that of one call, the mean of as many as take about half a second,
after one that starts the threads. Memory is what the calls add to the process at most. Stops with an
error if any pixel differs.

Prints name, ours, peer, ratio, memory (medians; ratios are ours / peer, below 1 is better).
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import cv2
import numpy as np
import paired

COMMAND = "just bench-operators"
THREADS = "2"
LOW, HIGH = 50, 150
ENVIRONMENT = {**os.environ, "RAYON_NUM_THREADS": THREADS, "OMP_NUM_THREADS": THREADS}


def memory(field):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(field))


def peer(path, height, width, repetitions, output):
    """Runs OpenCV in this process."""
    import time

    cv2.setNumThreads(int(THREADS))
    plane = np.fromfile(path, dtype=np.uint8).reshape(int(height), int(width))
    cv2.Canny(plane, LOW, HIGH)
    before = memory("VmRSS:")
    try:
        pathlib.Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass
    start = time.perf_counter()
    for _ in range(int(repetitions)):
        edges = cv2.Canny(plane, LOW, HIGH)
    seconds = (time.perf_counter() - start) / int(repetitions)
    peak = memory("VmHWM:")
    (edges > 0).astype(np.uint8).tofile(output)
    print(json.dumps({"seconds": seconds, "before": before, "peak": peak}))


def run(command):
    done = subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True, text=True)
    result = json.loads(done.stdout.splitlines()[-1])
    # One page at least: a call that fits into memory left from the first adds nothing.
    return {"seconds": result["seconds"], "added_kib": max(4, result["peak"] - result["before"])}


def measure(options, picture):
    """Pairs of runs on one picture."""
    height, width = picture.shape
    # About 1 ns a pixel.
    repetitions = str(max(5, round(5e8 / picture.size)))
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        plane, our_out, their_out = (f"{folder}/{name}" for name in ("plane", "ours", "theirs"))
        picture.tofile(plane)
        size = [str(height), str(width)]
        for _ in range(options.runs):
            ours.append(run([
                options.binary, plane, *size, "canny", str(LOW), str(HIGH), repetitions, our_out,
            ]))
            theirs.append(run([
                sys.executable, __file__, "--peer", plane, *size, repetitions, their_out,
            ]))
        different = int((np.fromfile(our_out, np.uint8) != np.fromfile(their_out, np.uint8)).sum())
    if different:
        sys.exit(f"different results: {different} pixels of {picture.size}")
    return ours, theirs


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    target = os.environ.get("CARGO_TARGET_DIR", "target")
    parser.add_argument("images", nargs="*", type=pathlib.Path)
    parser.add_argument("--binary", default=f"{target}/release/examples/bench_filters")
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--tile", type=int, nargs="*", default=[1, 4])
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--peer", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        return peer(*options.peer)

    claims = []
    print("name, ours, peer, ratio, memory")
    for path in options.images:
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if image is None:
            sys.exit(f"failed to read {path}")
        for tile in options.tile:
            more = [(0, image.shape[axis] * (tile - 1)) for axis in (0, 1)]
            picture = np.pad(image, more, mode="symmetric")
            ours, theirs = measure(options, np.ascontiguousarray(picture))
            size = f"{picture.shape[1]} x {picture.shape[0]}"
            row = {}
            for key, unit in (("seconds", "time ratio"), ("added_kib", "memory ratio")):
                sides = [[run[key] for run in side] for side in (ours, theirs)]
                row[key] = [statistics.median(side) for side in sides]
                what = "added memory, " if unit == "memory ratio" else ""
                line = paired.claim(
                    f"Canny of {path.name} at {size}, {what}vs OpenCV", unit, *sides, COMMAND
                )
                row[unit] = paired.show(line)
                claims.append(line)
            print(
                f"canny {path.name} {size}, {row['seconds'][0] * 1e3:.3f} ms, "
                f"{row['seconds'][1] * 1e3:.3f} ms, {row['time ratio']}, {row['memory ratio']} "
                f"({row['added_kib'][0] / 1024:.1f} of {row['added_kib'][1] / 1024:.1f} MiB)"
            )
    paired.write(options.json, claims)


main()
