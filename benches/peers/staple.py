"""STAPLE: ours against SimpleITK 2.5.7 (numpy 2.4.6), same masks, same machine.

    cargo build --release -p cleanslide-weak --example bench_staple
    python benches/peers/staple.py [--json PATH]

Five experts draw 2048 x 2048 pixels of blobs, each with borders of their own and some speckle. Both stop
by the same rule after the same number of iterations. The two alternate, each run in a process of its
own with two threads; a run is the shortest of a few repetitions, timed from masks in memory to
the picture of probabilities. Memory is the peak of the whole process. Stops with an error if the numbers
of iterations or the probabilities (1e-6: ours are 32-bit) differ.

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
            "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
        )
    },
}


def generate(path, side, experts):
    """Blobs with thresholds and speckle of each expert."""
    from scipy import ndimage

    rng = np.random.default_rng(0)
    field = ndimage.gaussian_filter(rng.standard_normal((side, side)), 12)
    field /= field.std()
    masks = np.empty((experts, side, side), np.uint8)
    for expert, mask in enumerate(masks):
        own = ndimage.gaussian_filter(rng.standard_normal((side, side)), 6)
        mask[:] = field + 0.3 * own / own.std() > 0.1 * expert
        mask ^= (rng.random((side, side)) < 0.01 * (expert + 1)).astype(np.uint8)
    masks.tofile(path)


def peer(path, side, experts, repetitions, output):
    """Runs SimpleITK in this process."""
    import time

    import SimpleITK as sitk

    masks = np.fromfile(path, np.uint8).reshape(experts, side, side)
    images = [sitk.GetImageFromArray(mask) for mask in masks]
    shortest = float("inf")
    for _ in range(repetitions):
        staple = sitk.STAPLEImageFilter()
        staple.SetForegroundValue(1)
        start = time.perf_counter()
        probability = staple.Execute(images)
        shortest = min(shortest, time.perf_counter() - start)
    with open("/proc/self/status") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    sitk.GetArrayViewFromImage(probability).astype("<f4").tofile(output)
    # ITK does not count the last iteration.
    iterations = staple.GetElapsedIterations() + 1
    print(json.dumps({"seconds": shortest, "iterations": iterations, "peak_kib": peak}))


def run(command):
    done = subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    target = os.environ.get("CARGO_TARGET_DIR", "target")
    parser.add_argument("--binary", default=f"{target}/release/examples/bench_staple")
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--experts", type=int, default=5)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--peer", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        path, side, experts, repetitions, output = options.peer
        return peer(path, int(side), int(experts), int(repetitions), output)

    side, experts, repetitions = map(str, (options.side, options.experts, options.repetitions))
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        masks, our_out, their_out = (f"{folder}/{name}" for name in ("masks", "ours", "theirs"))
        generate(masks, options.side, options.experts)
        for _ in range(options.runs):
            ours.append(run([options.binary, masks, experts, side, side, repetitions, our_out]))
            theirs.append(run([
                sys.executable, __file__, "--peer", masks, side, experts, repetitions, their_out,
            ]))
        found = np.fromfile(our_out, "<f4"), np.fromfile(their_out, "<f4")
        difference = np.abs(found[0] - found[1]).max()
    iterations = {r["iterations"] for r in ours + theirs}
    if len(iterations) != 1 or not difference < 1e-6:
        sys.exit(f"different results: iterations {iterations}, probabilities by {difference}")

    size = f"{experts} x {side} x {side}"
    print(f"{size}, {iterations.pop()} iterations, probabilities differ by at most {difference:.1e}")
    claims, row = [], {}
    for key, unit in (("seconds", "time ratio"), ("peak_kib", "memory ratio")):
        sides = [[run[key] for run in side] for side in (ours, theirs)]
        row[key] = [statistics.median(side) for side in sides]
        what = "peak memory, " if unit == "memory ratio" else ""
        line = paired.claim(f"STAPLE at {size}, {what}vs SimpleITK", unit, *sides, COMMAND)
        row[unit] = paired.show(line)
        claims.append(line)
    print("name, ours, peer, ratio, memory")
    print(
        f"staple, {row['seconds'][0] * 1e3:.1f} ms, {row['seconds'][1] * 1e3:.0f} ms, "
        f"{row['time ratio']}, {row['memory ratio']} "
        f"({row['peak_kib'][0] / 1024:.0f} of {row['peak_kib'][1] / 1024:.0f} MiB)"
    )
    paired.write(options.json, claims)


main()
