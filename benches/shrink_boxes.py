"""Writes images and their boxes (Pascal VOC) smaller, for trainings on few cores.

    python benches/shrink_boxes.py FACTOR EVERY IMAGES OUT BOXES...
Every EVERY-th image is averaged in squares of FACTOR by FACTOR pixels and goes to OUT/images; its boxes in each folder
of boxes go to OUT with the folder's name, with fractions of pixels. Needs numpy and pillow.
"""

import pathlib
import sys
import xml.etree.ElementTree as ElementTree

import numpy
from PIL import Image

factor, every = map(int, sys.argv[1:3])
images, out, *folders = map(pathlib.Path, sys.argv[3:])
(out / "images").mkdir(parents=True, exist_ok=True)
kept = sorted(images.iterdir())[::every]
names = {path.stem for path in kept}
for path in kept:
    values = numpy.asarray(Image.open(path).convert("RGB"), dtype=numpy.float64)
    height, width = (side // factor * factor for side in values.shape[:2])
    squares = values[:height, :width].reshape(height // factor, factor, width // factor, factor, 3)
    small = squares.mean(axis=(1, 3)).round()
    Image.fromarray(small.astype(numpy.uint8)).save(out / "images" / f"{path.stem}.png")
for folder in folders:
    (out / folder.name).mkdir(exist_ok=True)
    for path in sorted(path for path in folder.glob("*.xml") if path.stem in names):
        tree = ElementTree.parse(path)
        size = tree.find("size")
        for side in ("width", "height"):
            size.find(side).text = str(int(size.find(side).text) // factor)
        for corners in tree.iter("bndbox"):
            # Pixels are counted from 1, and the last one is inside.
            for name, shift in (("xmin", 1), ("ymin", 1), ("xmax", 0), ("ymax", 0)):
                corner = corners.find(name)
                corner.text = f"{(float(corner.text) - shift) / factor + shift:.2f}"
        tree.write(out / folder.name / path.name)
