"""Tiles of slides: ours against openslide-python and TIAToolbox, alternating on the same slides and threads.

Versions: openslide-python 1.4.7 with openslide-bin 4.0.1.2 (OpenSlide 4.0.1), tiatoolbox 2.1.3, numpy
Run from the repository root:
  cargo build --release --workspace --examples
  python benches/peers/slides.py FOLDER [--json PATH]

Each measurement is a process of its own that opens the slide and reads all tiles of 256 pixels of level 0 as RGB
arrays, PASSES times with a slide opened anew, on THREADS threads that share one slide; ours also sums them. TIAToolbox reads them
by its extraction of patches (a sliding window). Memory is the peak resident size of the process (Linux), for Python with the
interpreter and what it imports. Prints medians and ours / peer.
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


def timed(start_reading, read, places):
    """Seconds in which all places are read."""
    start = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(THREADS) as threads:
        for _ in range(PASSES):
            slide = start_reading()
            for _ in threads.map(lambda place: read(slide, place).shape, places):
                pass
    return time.perf_counter() - start


def peak():
    status = Path("/proc/self/status").read_text()
    return next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))


def with_openslide(path):
    import numpy as np
    import openslide

    def tile(slide, place):
        """As few steps as an RGB array takes; what is outside is transparent."""
        return np.asarray(slide.read_region(place, 0, (SIDE, SIDE)).convert("RGB"))

    def total(slide, place):
        pixels = np.asarray(slide.read_region(place, 0, (SIDE, SIDE)))
        return int(np.where(pixels[..., 3:] > 0, pixels[..., :3], 255).sum(dtype=np.uint64))

    slide = openslide.OpenSlide(path)
    width, height = slide.dimensions
    places = [(x, y) for y in range(0, height, SIDE) for x in range(0, width, SIDE)]
    seconds = timed(lambda: openslide.OpenSlide(path), tile, places)
    # Not timed: whether both read the same.
    mean = sum(total(slide, place) for place in places) / (len(places) * SIDE * SIDE * 3)
    return seconds, mean


def with_tiatoolbox(path):
    import numpy as np
    from tiatoolbox.tools.patchextraction import get_patch_extractor

    def extractor():
        return get_patch_extractor(
            method_name="slidingwindow",
            input_img=path,
            patch_size=(SIDE, SIDE),
            resolution=0,
            units="level",
            pad_constant_values=255,
        )

    def tile(patches, place):
        return patches[place]

    patches = extractor()
    seconds = timed(extractor, tile, range(len(patches)))
    mean = sum(int(patches[place].sum(dtype=np.uint64)) for place in range(len(patches)))
    return seconds, mean / (len(patches) * SIDE * SIDE * 3)


PEERS = {"openslide-python": with_openslide, "TIAToolbox": with_tiatoolbox}


def peer(name, path):
    seconds, mean = PEERS[name](path)
    print(f"{seconds}\t{peak()}\t{mean:.3f}")


def measure(command):
    environment = dict(os.environ, RAYON_NUM_THREADS=str(THREADS))
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment).stdout
    seconds, peak, result = output.strip().split("\t")
    return float(seconds), int(peak) / 1024, float(result)


def main(folder, json_path, repeats):
    ours = f"{os.environ.get('CARGO_TARGET_DIR', 'target')}/release/examples/slide_speed"
    claims = []
    print("name, peer, ours s, peer s, ratio, ours MiB, peer MiB, memory ratio, ours, peer")
    for file, what in SLIDES:
        path = str(Path(folder) / file)
        for name in PEERS:
            runs = [
                (
                    measure([ours, path, str(SIDE), str(PASSES)]),
                    measure([sys.executable, __file__, "--peer", name, path]),
                )
                for _ in range(repeats)
            ]
            cells = []
            for column, unit in enumerate(["time ratio", "memory ratio"]):
                sides = [[run[side][column] for run in runs] for side in (0, 1)]
                peak_memory = ", peak memory" if column else ""
                claim = f"tiles of {SIDE} px, {what}{peak_memory}, vs {name}"
                line = paired.claim(claim, unit, *sides, "just bench-slides")
                claims.append(line)
                cells += [f"{statistics.median(side):.4g}" for side in sides] + [paired.show(line)]
            results = runs[0][0][2], runs[0][1][2]
            print(", ".join([what, name, *cells, *(f"{result:.3f}" for result in results)]))
            if abs(results[0] - results[1]) > 0.1:
                sys.exit("the two read other pixels")
    paired.write(json_path, claims)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        peer(*sys.argv[2:])
    else:
        parser = argparse.ArgumentParser()
        parser.add_argument("folder")
        parser.add_argument("--json")
        parser.add_argument("--repeats", type=int, default=REPEATS)
        arguments = parser.parse_args()
        main(arguments.folder, arguments.json, arguments.repeats)
