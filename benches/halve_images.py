"""Writes the images and masks of a folder at half their size, for trainings on few cores.

    python benches/halve_images.py ../shared/data/cfos-experts OUT
    python benches/halve_images.py ../shared/data/he-nuclei OUT
Images are averaged in squares of two by two pixels; of masks a square is foreground if at least half of it is, of masks of
objects (folders `instances_...`) it is what its upper left pixel is. Needs numpy and pillow.
"""

import pathlib
import sys

import numpy
from PIL import Image

source, target = map(pathlib.Path, sys.argv[1:])
colours = "L" if (source / "masks").exists() else "RGB"
masks = (source / "masks").glob("*") if (source / "masks").exists() else source.glob("instances_*")
for folder in [source / "images", *sorted(path for path in masks if path.is_dir())]:
    out = target / folder.relative_to(source)
    out.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.iterdir()):
        picture = Image.open(path)
        values = numpy.asarray(picture if folder.name.startswith("instances") else picture.convert(colours))
        height, width = (side // 2 * 2 for side in values.shape[:2])
        squares = values[:height, :width].reshape(height // 2, 2, width // 2, 2, *values.shape[2:])
        if folder.name == "images":
            half = squares.mean(axis=(1, 3)).round().astype(numpy.uint8)
        elif folder.name.startswith("instances"):
            half = squares[:, 0, :, 0].astype(numpy.uint16)
        else:
            half = ((squares > 0).mean(axis=(1, 3)) >= 0.5).astype(numpy.uint8)
        Image.fromarray(half).save(out / f"{path.stem}.png")
