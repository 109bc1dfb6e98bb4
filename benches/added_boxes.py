"""A sheet of boxes that a correction added and that no box of the reference overlaps by a half, drawn at random, to be
looked at: is it the reference that lacks them? (numpy 2.3.4, pillow 13.0.0)

    python benches/added_boxes.py CORRECTION.json IMAGES REFERENCE SCALE COUNT SHEET.jpg

IMAGES are at full size and REFERENCE are Pascal VOC files of it; a pixel of the correction is SCALE of theirs. Orange is the added box,
green what the reference marks, blue what was given.
"""

import json
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
from overlaps import overlap
from PIL import Image, ImageDraw

correction, images, reference, scale, count, sheet = sys.argv[1:]
scale, count = int(scale), int(count)
SIDE, AROUND, COLUMNS = 110, 1.1, 12


def boxes(name):
    objects = ElementTree.parse(Path(reference) / f"{name}.xml").findall("object")
    sides = ("xmin", "ymin", "xmax", "ymax")
    return [[float(of.find("bndbox").find(side).text) for side in sides] for of in objects]


added = []
for image in json.loads(Path(correction).read_text())["images"]:
    true = boxes(image["image"])
    given = [[scale * side for side in found["shape"]] for found in image["objects"] if found["views"] == 0]
    for found in image["objects"]:
        box = [scale * side for side in found["shape"]]
        if found["views"] > 0 and all(overlap(box, other) <= 0.5 for other in true):
            added.append((image["image"], box, true, given))

chosen = np.random.default_rng(0).choice(len(added), count, replace=False)
rows = -(-count // COLUMNS)
page = Image.new("RGB", (COLUMNS * SIDE, rows * SIDE), "white")
for place, index in enumerate(sorted(chosen)):
    name, box, true, given = added[index]
    image = Image.open(Path(images) / f"{name}.jpg").convert("RGB")
    middle = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]
    half = AROUND * max(box[2] - box[0], box[3] - box[1])
    left, top = middle[0] - half, middle[1] - half
    window = image.transform((SIDE, SIDE), Image.Transform.EXTENT, (left, top, left + 2 * half, top + 2 * half), fillcolor="white")
    draw = ImageDraw.Draw(window)
    for group, colour, width in ((given, (40, 90, 255), 1), (true, (0, 150, 0), 1), ([box], (255, 120, 0), 2)):
        for sides in group:
            corners = [(side - start) / (2 * half) * SIDE for side, start in zip(sides, (left, top, left, top))]
            draw.rectangle(corners, outline=colour, width=width)
    draw.text((3, 3), str(place + 1), fill="black")
    page.paste(window, (place % COLUMNS * SIDE, place // COLUMNS * SIDE))
page.save(sheet, quality=80)
print(f"{len(added)} added boxes without one of the reference; {count} of them drawn in {sheet}")
