"""Seamless cloning: ours against cv2.seamlessClone (OpenCV 5.0.0), same images, same machine.

    cargo build --release -p cleanslide-image --example bench_cloning
    python benches/peers/image_cloning.py [--json PATH]

100 discs of radius 10 to 16 in a 640 x 480 image, cloned at once with the union of their masks, as
paper 002 does (mixed gradients), and with normal gradients. Two of ours: the equation on the mask's
pixels (the default) and OpenCV's own problem on the bounding rectangle. The two sides alternate,
each run in a process of its own with two threads; only the call is timed, OpenCV's after one call
that is not. Stops with an error if the rectangle's result differs by more than 1 grey level.

Prints name, ours, peer (medians), ratio (ours / peer, below 1 is better).
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
THREADS = 2
ENVIRONMENT = {**os.environ, "RAYON_NUM_THREADS": str(THREADS)}
HEIGHT, WIDTH = 480, 640


def smooth(rng, sigma):
    noise = cv2.GaussianBlur(rng.normal(size=(HEIGHT, WIDTH, 3)), (0, 0), sigma)
    return np.clip(128 + 50 * noise / noise.std(), 0, 255).astype(np.uint8)


def generate(path, objects):
    rng = np.random.default_rng(0)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    for _ in range(objects):
        centre = (int(rng.integers(20, WIDTH - 20)), int(rng.integers(20, HEIGHT - 20)))
        cv2.circle(mask, centre, int(rng.integers(10, 17)), 255, -1)
    images = (smooth(rng, 3), smooth(rng, 8), mask)
    np.concatenate([image.ravel() for image in images]).tofile(path)


def peer(path, gradients, output):
    """Runs OpenCV in this process."""
    import time

    cv2.setNumThreads(THREADS)
    data = np.fromfile(path, np.uint8)
    size = HEIGHT * WIDTH * 3
    source, destination = (data[at:at + size].reshape(HEIGHT, WIDTH, 3) for at in (0, size))
    mask = data[2 * size:].reshape(HEIGHT, WIDTH)
    x, y, w, h = cv2.boundingRect(mask)
    flags = cv2.MIXED_CLONE if gradients == "mixed" else cv2.NORMAL_CLONE
    centre = (x + w // 2, y + h // 2)
    # OpenCV erodes the mask that it is given, so each call gets its own.
    masks = [mask.copy(), mask.copy()]
    cv2.seamlessClone(source, destination, masks[0], centre, flags)
    start = time.perf_counter()
    result = cv2.seamlessClone(source, destination, masks[1], centre, flags)
    seconds = time.perf_counter() - start
    result.tofile(output)
    print(json.dumps({"seconds": seconds}))


def run(command):
    done = subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])["seconds"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    target = os.environ.get("CARGO_TARGET_DIR", "target")
    parser.add_argument("--binary", default=f"{target}/release/examples/bench_cloning")
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--objects", type=int, default=100)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--peer", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        return peer(*options.peer)

    claims = []
    print("name, ours, peer, ratio")
    with tempfile.TemporaryDirectory() as folder:
        images, our_out, their_out = (f"{folder}/{name}" for name in ("images", "ours", "theirs"))
        generate(images, options.objects)
        for gradients in ("mixed", "normal"):
            for problem in ("mask", "opencv"):
                ours, theirs = [], []
                sizes = [str(HEIGHT), str(WIDTH)]
                for _ in range(options.runs):
                    ours.append(
                        run([options.binary, images, *sizes, problem, gradients, our_out])
                    )
                    theirs.append(
                        run([sys.executable, __file__, "--peer", images, gradients, their_out])
                    )
                sides = [np.fromfile(path, np.uint8).astype(int) for path in (our_out, their_out)]
                difference = np.abs(sides[0] - sides[1]).max()
                if problem == "opencv" and difference > 1:
                    sys.exit(f"different results: {difference} grey levels")
                what = f"seamless cloning, {gradients} gradients, {options.objects} objects"
                what += f" in {WIDTH} x {HEIGHT}, on the "
                what += "mask" if problem == "mask" else "rectangle as OpenCV"
                line = paired.claim(f"{what} vs OpenCV", "time ratio", ours, theirs, COMMAND)
                claims.append(line)
                medians = [1000 * statistics.median(side) for side in (ours, theirs)]
                print(
                    f"{problem} {gradients}, {medians[0]:.1f} ms, {medians[1]:.1f} ms, "
                    f"{paired.show(line)}"
                )
    paired.write(options.json, claims)


main()
