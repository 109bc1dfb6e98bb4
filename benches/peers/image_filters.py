"""Operators on one image: ours against OpenCV 5.0.0 (opencv-python-headless 5.0.0.93), scikit-image 0.26.0
and torchstain 1.4.1 (its numpy part), numpy 2.4.6; same images, same machine.

    cargo build --release -p cleanslide-image --example bench_filters
    python benches/peers/image_filters.py IMAGE... [--json PATH] [--only WORD] [--tile N]

Each image is measured as it is and, with --tile N, repeated N x N times (mirrored, so that seams make no
edges); all operators but the two of stains see it as grey. The two sides alternate, each in a process of
its own with two threads; the time is that of one call, the mean of those of half a second, after one that
starts the threads. Memory is what the calls add to the process at most. Stops with an error if the
results differ by more than `allowed` says, in grey levels or as a share of the pixels. Macenko is left out
where torchstain is not installed; it has its image as it is only, because the peer takes long.

Prints name, ours, peer, ratio, memory (medians; ratios are ours / peer, below 1 is better).
"""

import argparse
import importlib.util
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import cv2
import numpy as np
import paired

COMMAND = "just bench-operators"
THREADS = "2"
ENVIRONMENT = {
    **os.environ,
    **{
        name: THREADS
        for name in ("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    },
}


def adaptive(method):
    return lambda plane: lambda: cv2.adaptiveThreshold(plane, 1, method, cv2.THRESH_BINARY, 51, 5)


def dilation(shape):
    element = cv2.getStructuringElement(shape, (15, 15))
    return lambda plane: lambda: cv2.dilate(plane, element)


def reconstruction(plane):
    from skimage import morphology

    marker = np.maximum(plane, 40) - 40
    return lambda: morphology.reconstruction(marker, plane).astype(np.uint8)


def skeleton(plane):
    from skimage import morphology

    _, dark = cv2.threshold(plane, 0, 1, cv2.THRESH_BINARY_INV + cv2.THRESH_OTSU)
    return lambda: morphology.skeletonize(dark > 0).astype(np.uint8)


def separation(image):
    from skimage import color

    return lambda: color.rgb2hed(image).astype(np.float32)


def macenko(image):
    from torchstain.numpy.normalizers import NumpyMacenkoNormalizer

    normaliser = NumpyMacenkoNormalizer()
    normaliser.fit(image[::2], Io=240)
    return lambda: normaliser.normalize(image, Io=240, stains=False)[0]


# Operator: peer, channels, what the peer calls for an image, the greatest difference of a sample, and the
# greatest share of samples that differ at all. OpenCV blurs with weights in 256ths and cuts bilateral means
# off; SIMD sums decide ties of Gaussian means; torchstain cuts off what we round.
OPERATORS = {
    "canny": ("OpenCV", 1, lambda plane: lambda: (cv2.Canny(plane, 50, 150) > 0).astype(np.uint8), 0, 0),
    "gaussian 21": ("OpenCV", 1, lambda plane: lambda: cv2.GaussianBlur(plane, (21, 21), 0), 2, 1),
    "median 5": ("OpenCV", 1, lambda plane: lambda: cv2.medianBlur(plane, 5), 0, 0),
    "median 15": ("OpenCV", 1, lambda plane: lambda: cv2.medianBlur(plane, 15), 0, 0),
    "bilateral 9": ("OpenCV", 1, lambda plane: lambda: cv2.bilateralFilter(plane, 9, 75, 75), 1, 1),
    "CLAHE 8 x 8": (
        "OpenCV", 1, lambda plane: lambda: cv2.createCLAHE(2.0, (8, 8)).apply(plane), 0, 0,
    ),
    "Otsu threshold": (
        "OpenCV", 1, lambda plane: lambda: cv2.threshold(plane, 0, 1, cv2.THRESH_OTSU)[1], 0, 0,
    ),
    "adaptive threshold, mean 51": ("OpenCV", 1, adaptive(cv2.ADAPTIVE_THRESH_MEAN_C), 0, 0),
    "adaptive threshold, Gaussian 51": (
        "OpenCV", 1, adaptive(cv2.ADAPTIVE_THRESH_GAUSSIAN_C), 1, 0.001,
    ),
    "dilation, rectangle 15": ("OpenCV", 1, dilation(cv2.MORPH_RECT), 0, 0),
    "dilation, ellipse 15": ("OpenCV", 1, dilation(cv2.MORPH_ELLIPSE), 0, 0),
    "reconstruction by dilation": ("scikit-image", 1, reconstruction, 0, 0),
    "skeleton": ("scikit-image", 1, skeleton, 0, 0),
    "stain separation": ("scikit-image", 3, separation, 1e-5, 1),
    "Macenko normalisation": ("torchstain", 3, macenko, 1, 1),
}


def memory(field):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(field))


def peer(path, height, width, channels, output, operator):
    """Runs the peer in this process."""
    cv2.setNumThreads(int(THREADS))
    size = (int(height), int(width)) + ((3,) if channels == "3" else ())
    work = OPERATORS[operator][2](np.fromfile(path, dtype=np.uint8).reshape(size))
    # cv2.Canny's answer is turned into 0 and 1 outside the measured time.
    if operator == "canny":
        image = np.fromfile(path, dtype=np.uint8).reshape(size)
        work = lambda: cv2.Canny(image, 50, 150)  # noqa: E731
    work()
    before = memory("VmRSS:")
    try:
        pathlib.Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass
    start = time.perf_counter()
    calls = 0
    while not calls or time.perf_counter() - start < 0.5:
        result = work()
        calls += 1
    seconds = (time.perf_counter() - start) / calls
    peak = memory("VmHWM:")
    (np.minimum(result, 1) if operator == "canny" else result).tofile(output)
    print(json.dumps({"seconds": seconds, "before": before, "peak": peak}))


def run(command):
    done = subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True, text=True)
    result = json.loads(done.stdout.splitlines()[-1])
    # One page at least: a call that fits into memory left from the first adds nothing.
    return {"seconds": result["seconds"], "added_kib": max(4, result["peak"] - result["before"])}


def measure(options, operator, picture):
    """Pairs of runs on one picture."""
    _, channels, _, allowed, share = OPERATORS[operator]
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        image, our_out, their_out = (f"{folder}/{name}" for name in ("image", "ours", "theirs"))
        picture.tofile(image)
        size = [str(length) for length in (*picture.shape[:2], channels)]
        for _ in range(options.runs):
            ours.append(run([options.binary, image, *size, our_out, operator]))
            theirs.append(run([sys.executable, __file__, "--peer", image, *size, their_out, operator]))
        kind = np.float32 if operator == "stain separation" else np.uint8
        results = [np.fromfile(path, kind).astype(np.float64) for path in (our_out, their_out)]
    difference = np.abs(results[0] - results[1])
    if difference.max() > allowed or (difference > 0).mean() > share:
        sys.exit(
            f"{operator}: different results, by up to {difference.max()} in {(difference > 0).mean():.2%}"
        )
    return ours, theirs


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    target = os.environ.get("CARGO_TARGET_DIR", "target")
    parser.add_argument("images", nargs="*", type=pathlib.Path)
    parser.add_argument("--binary", default=f"{target}/release/examples/bench_filters")
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--tile", type=int, nargs="*", default=[1, 4])
    parser.add_argument("--only", default="", help="operators whose name contains this")
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--peer", nargs=6, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        return peer(*options.peer)

    claims = []
    print("name, ours, peer, ratio, memory")
    for path in options.images:
        for operator, (peer_name, channels, *_) in OPERATORS.items():
            if options.only not in operator:
                continue
            if peer_name == "torchstain" and importlib.util.find_spec("torchstain") is None:
                print(f"{operator} is left out: torchstain is not installed")
                continue
            image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB if channels == 3 else cv2.IMREAD_GRAYSCALE)
            if image is None:
                sys.exit(f"failed to read {path}")
            for tile in [1] if peer_name == "torchstain" else options.tile:
                more = [(0, image.shape[axis] * (tile - 1)) for axis in (0, 1)] + [(0, 0)] * (channels // 3)
                picture = np.ascontiguousarray(np.pad(image, more, mode="symmetric"))
                ours, theirs = measure(options, operator, picture)
                size = f"{picture.shape[1]} x {picture.shape[0]}"
                row = {}
                for key, unit in (("seconds", "time ratio"), ("added_kib", "memory ratio")):
                    sides = [[run[key] for run in side] for side in (ours, theirs)]
                    row[key] = [statistics.median(side) for side in sides]
                    what = "added memory, " if unit == "memory ratio" else ""
                    what = f"{operator} of {path.name} at {size}, {what}vs {peer_name}"
                    line = paired.claim(what, unit, *sides, COMMAND)
                    row[unit] = paired.show(line)
                    claims.append(line)
                print(
                    f"{operator} / {peer_name} {size}, {row['seconds'][0] * 1e3:.3f} ms, "
                    f"{row['seconds'][1] * 1e3:.3f} ms, {row['time ratio']}, {row['memory ratio']} "
                    f"({row['added_kib'][0] / 1024:.1f} of {row['added_kib'][1] / 1024:.1f} MiB)",
                    flush=True,
                )
    paired.write(options.json, claims)


main()
