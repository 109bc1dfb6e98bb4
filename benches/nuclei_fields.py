"""Writes into the images.csv of a dataset of he-nuclei which tiles were cut from one field of view.

    python benches/nuclei_fields.py DATASET IMAGES        (numpy 2.3.4, pillow 13.0.0)

IMAGES is the folder of the images as they were published: a dataset of halved ones has their names. The 107 tiles of 320 × 256 pixels fit together: where the last column (or row) of one tile differs from the
first of another by no more than twice what neighbouring columns within them differ by, they were one image. The
ratio of these differences has a gap between 1.1 and 2.6, so the factor decides nothing. Tiles of one field
are no independent cases: the `group` column keeps them on one side of every split.
"""

import csv
import pathlib
import sys

import numpy as np
from PIL import Image

FACTOR = 2


def main():
    table = pathlib.Path(sys.argv[1]) / "images.csv"
    images = pathlib.Path(sys.argv[2])
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    tiles = []
    for row in rows:
        path = images / pathlib.Path(row["path"]).name
        tiles.append(np.asarray(Image.open(path).convert("RGB")).astype(np.float64))
    parent = list(range(len(tiles)))

    def root(tile):
        while parent[tile] != tile:
            tile = parent[tile]
        return tile

    ratios = []
    # Rows below each other are columns beside each other in the turned tile.
    for turn in (lambda tile: tile, lambda tile: tile.transpose(1, 0, 2)):
        turned = [turn(tile) for tile in tiles]
        for one, left in enumerate(turned):
            for two, right in enumerate(turned):
                if one == two or left.shape != right.shape:
                    continue
                within = np.abs(left[:, -1] - left[:, -2]).mean() + np.abs(right[:, 0] - right[:, 1]).mean()
                ratio = 2 * np.abs(left[:, -1] - right[:, 0]).mean() / within
                ratios.append(ratio)
                if ratio < FACTOR:
                    parent[root(one)] = root(two)
    numbers = {}
    for tile, row in enumerate(rows):
        row["group"] = f"field-{numbers.setdefault(root(tile), len(numbers) + 1):02}"
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    below = max(ratio for ratio in ratios if ratio < FACTOR)
    above = min(ratio for ratio in ratios if ratio >= FACTOR)
    print(f"{len(rows)} tiles of {len(numbers)} fields; ratios up to {below:.2f}, then from {above:.2f}")


if __name__ == "__main__":
    main()
