"""Writes the images and masks of a folder at half their size, for trainings on few cores.

    python benches/halve_images.py ../shared/data/cfos-experts OUT
Images are averaged in squares of two by two pixels; of masks a square is foreground if at least half of it is.
Needs numpy and pillow.
"""

import pathlib
import sys

import numpy
from PIL import Image

source, target = map(pathlib.Path, sys.argv[1:])
folders = [source / "images", *sorted(path for path in (source / "masks").iterdir() if path.is_dir())]
for folder in folders:
    out = target / folder.relative_to(source)
    out.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.iterdir()):
        values = numpy.asarray(Image.open(path).convert("L"), dtype=numpy.float64)
        height, width = (side // 2 * 2 for side in values.shape)
        squares = values[:height, :width].reshape(height // 2, 2, width // 2, 2)
        if folder.name == "images":
            half = squares.mean(axis=(1, 3)).round()
        else:
            half = (squares > 0).mean(axis=(1, 3)) >= 0.5
        Image.fromarray(half.astype(numpy.uint8)).save(out / f"{path.stem}.png")
