"""A slide of 100,000 x 100,000 pixels, and what it takes to predict it.

    python benches/large_slide.py write FILE [SIDE]
    python benches/large_slide.py measure CLEANSLIDE RUN FILE OUT MICRONS   results/large-slide.md and .json

The slide is a pyramid in BigTIFF, a quarter of a micron a pixel: a disc of stained tissue with dark nuclei on glass. Its tiles are
17 pictures in JPEG that all places share, so that the file has a few megabytes and every tile is decoded all the same.
Needs numpy and pillow.
"""

import datetime
import io
import json
import os
import platform
import resource
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

TILE, LEVELS, KINDS = 256, 6, 16
PIXELS_PER_CENTIMETRE = 40_000


def jpeg(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=85, subsampling=0)
    return file.getvalue()


def tissue(rng):
    pixels = np.full((TILE, TILE, 3), (215, 150, 190)) + rng.normal(0, 8, (TILE, TILE, 1))
    rows, columns = np.mgrid[:TILE, :TILE]
    for _ in range(40):
        (row, column), radius = rng.uniform(0, TILE, 2), rng.uniform(14, 20)
        pixels[(rows - row) ** 2 + (columns - column) ** 2 < radius**2] = (95, 55, 140)
    return pixels


def write(path, side=100_000):
    rng = np.random.default_rng(0)
    whole = [tissue(rng) for _ in range(KINDS)] + [np.full((TILE, TILE, 3), 245.0)]
    # Below level 0 a tile is the mean of what lies there.
    kinds = [whole, [np.broadcast_to(pixels.mean((0, 1)), pixels.shape) for pixels in whole]]
    with open(path, "wb") as file:
        file.write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, 0))
        places = []
        for pictures in kinds:
            texts = [jpeg(pixels) for pixels in pictures]
            places.append([(file.tell(), file.write(text)) for text in texts])
        link = 8
        for level in range(LEVELS):
            size = side // 4**level
            count = -(-size // TILE)
            rows, columns = np.mgrid[:count, :count] - (count - 1) / 2
            inside = rows**2 + columns**2 < (0.25 * count) ** 2
            kind = np.where(inside, rng.integers(0, KINDS, inside.shape), KINDS).ravel()
            tiles = np.array(places[min(level, 1)], dtype="<u8")[kind]
            tables = []
            for column in tiles.T:
                tables.append(file.tell() if column.size > 1 else int(column[0]))
                file.write(column.tobytes() if column.size > 1 else b"")
            scale = struct.pack("<II", PIXELS_PER_CENTIMETRE, 4**level)
            long, short, rational, long8 = 4, 3, 5, 16
            tags = [
                (254, long, 1, int(level > 0)), (256, long, 1, size), (257, long, 1, size),
                (258, short, 3, struct.pack("<HHH", 8, 8, 8)), (259, short, 1, 7), (262, short, 1, 6), (277, short, 1, 3),
                (282, rational, 1, scale), (283, rational, 1, scale), (284, short, 1, 1), (296, short, 1, 3),
                (322, long, 1, TILE), (323, long, 1, TILE), (324, long8, kind.size, tables[0]),
                (325, long8, kind.size, tables[1]), (530, short, 2, struct.pack("<HH", 1, 1)),
            ]
            file.write(b"\0" * (-file.tell() % 8))
            start = file.tell()
            file.write(struct.pack("<Q", len(tags)))
            for tag, kind_of_value, values, value in tags:
                value = value if isinstance(value, bytes) else struct.pack("<Q", value)
                file.write(struct.pack("<HHQ", tag, kind_of_value, values) + value.ljust(8, b"\0"))
            following = file.tell()
            file.write(struct.pack("<Q", 0))
            file.seek(link)
            file.write(struct.pack("<Q", start))
            file.seek(0, io.SEEK_END)
            link = following


def measure(binary, run, slide, out, microns):
    command = [binary, "predict", run, slide, "--out", out, "--microns-per-pixel", microns, "--threads", "1", "--json"]
    start = time.perf_counter()
    told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    minutes = (time.perf_counter() - start) / 60
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    objects = sum(of["objects"] for of in told["counts"])
    Path("results/large-slide.json").write_text(json.dumps([
        {"claim": "peak memory of predicting objects on a slide of 100,000 x 100,000 pixels", "value": peak, "low": None,
         "high": None, "unit": "MiB", "n": 1, "command": "just large-slide"},
    ], indent=1) + "\n")
    Path("results/large-slide.md").write_text(f"""# A slide of 100,000 × 100,000 pixels

`just large-slide`, {datetime.date.today()}; {platform.machine()}, {os.cpu_count()} cores, one thread. Objects by a small U-Net at {microns} µm a
pixel on a made-up slide of 10 billion pixels, a quarter of a micron each (a disc of tissue; see `benches/large_slide.py`):

- peak memory of the process: **{peak:.0f} MiB** (uncompressed, level 0 alone is 28 GiB);
- {told['tiles']:,} tiles with tissue, {objects:,} objects, {minutes:.0f} minutes.

Of time nothing is claimed. The network and its settings are those of the run; memory grows with its tile, with the objects of
three rows of tiles, and with the picture of the tissue (8 µm a pixel).
""")
    print(f"{peak:.0f} MiB, {objects} objects, {minutes:.1f} minutes")


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(sys.argv[2], *map(int, sys.argv[3:]))
    else:
        measure(*sys.argv[2:])
