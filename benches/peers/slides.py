"""Tiles of slides: ours against openslide-python, alternating on the same slides and threads.

Versions: openslide-python 1.4.7 with openslide-bin 4.0.1.2 (OpenSlide 4.0.1), numpy
Run from the repository root:
  cargo build --release --workspace --examples
  python benches/peers/slides.py FOLDER [--json PATH]

Each measurement is a process of its own that opens the slide and reads all tiles of 256 pixels of level 0 as RGB
arrays, PASSES times with a slide opened anew, on THREADS threads that share one slide; ours also sums them. Memory is the peak resident
size of the process (Linux), for Python with the interpreter and numpy. Prints medians and ours / peer.
"""

import argparse
import concurrent.futures
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import paired

SIDE, PASSES, THREADS, REPEATS = 256, 4, 2, 6
SLIDES = [
    ("cmu-1-small-region.svs", "SVS, JPEG, 2220 x 2967"),
    ("tcga-cr-7395.svs", "SVS, JPEG 2000, 4443 x 3567"),
]


def peer(path):
    import numpy as np
    import openslide

    def tile(slide, place):
        """As few steps as an RGB array takes; what is outside is transparent."""
        return np.asarray(slide.read_region(place, 0, (SIDE, SIDE)).convert("RGB"))

    def total(slide, place):
        pixels = np.asarray(slide.read_region(place, 0, (SIDE, SIDE)))
        return int(np.where(pixels[..., 3:] > 0, pixels[..., :3], 255).sum(dtype=np.uint64))

    with openslide.OpenSlide(path) as slide:
        width, height = slide.dimensions
    places = [(x, y) for y in range(0, height, SIDE) for x in range(0, width, SIDE)]
    start = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(THREADS) as threads:
        for _ in range(PASSES):
            with openslide.OpenSlide(path) as slide:
                for _ in threads.map(lambda place: tile(slide, place).shape, places):
                    pass
    seconds = time.perf_counter() - start
    # Not timed: whether both read the same.
    with openslide.OpenSlide(path) as slide:
        mean = sum(total(slide, place) for place in places) / (len(places) * SIDE * SIDE * 3)
    status = Path("/proc/self/status").read_text()
    peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    print(f"{seconds}\t{peak}\t{mean:.3f}")


def measure(command):
    environment = dict(os.environ, RAYON_NUM_THREADS=str(THREADS))
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment).stdout
    seconds, peak, result = output.strip().split("\t")
    return float(seconds), int(peak) / 1024, float(result)


def main(folder, json_path, repeats):
    ours = f"{os.environ.get('CARGO_TARGET_DIR', 'target')}/release/examples/slide_speed"
    claims = []
    print("name, ours s, peer s, ratio, ours MiB, peer MiB, memory ratio, ours, peer")
    for file, what in SLIDES:
        path = str(Path(folder) / file)
        runs = [
            (
                measure([ours, path, str(SIDE), str(PASSES)]),
                measure([sys.executable, __file__, "--peer", path]),
            )
            for _ in range(repeats)
        ]
        name = f"tiles of {SIDE} px, {what}"
        cells = []
        for column, unit in enumerate(["time ratio", "memory ratio"]):
            sides = [[run[side][column] for run in runs] for side in (0, 1)]
            peak = ", peak memory" if column else ""
            line = paired.claim(f"{name}{peak}, vs openslide-python", unit, *sides, "just bench-slides")
            claims.append(line)
            cells += [f"{statistics.median(side):.4g}" for side in sides] + [paired.show(line)]
        results = runs[0][0][2], runs[0][1][2]
        print(", ".join([name, *cells, *(f"{result:.3f}" for result in results)]))
        if abs(results[0] - results[1]) > 0.1:
            sys.exit("the two read other pixels")
    paired.write(json_path, claims)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        peer(sys.argv[2])
    else:
        parser = argparse.ArgumentParser()
        parser.add_argument("folder")
        parser.add_argument("--json")
        parser.add_argument("--repeats", type=int, default=REPEATS)
        arguments = parser.parse_args()
        main(arguments.folder, arguments.json, arguments.repeats)
