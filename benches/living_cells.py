"""Makes class masks and diagnoses of live-dead-cells: in a box the ellipse that touches its sides is a living or a dead cell.

    python benches/living_cells.py DATA FOLDER        (numpy 2.3.4, pillow 13.0.0)

DATA has annotations/ in Pascal VOC and images/. FOLDER gets masks/ (0 background, 1 living, 2 dead) and diagnoses.csv: of an
image with cells of one kind only, that it has none of the other. Images without any box say nothing: some may have been
left out by their annotators.
"""

import csv
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = {"Living Cell": 1, "Dead Cell": 2}

data, folder = Path(sys.argv[1]), Path(sys.argv[2])
(folder / "masks").mkdir(parents=True, exist_ok=True)
diagnoses = []
for path in sorted((data / "annotations").glob("*.xml")):
    image = data / "images" / f"{path.stem}.png"
    width, height = Image.open(image).size
    mask = np.zeros((height, width), np.uint8)
    rows, columns = np.mgrid[:height, :width]
    seen = set()
    for thing in ElementTree.parse(path).getroot().iter("object"):
        kind = CLASSES[thing.find("name").text]
        left, top, right, bottom = (float(thing.find(f"bndbox/{side}").text) for side in ("xmin", "ymin", "xmax", "ymax"))
        # Corners are of pixels counted from 1, the last included.
        middle = ((top - 1 + bottom) / 2, (left - 1 + right) / 2)
        radii = ((bottom - top + 1) / 2, (right - left + 1) / 2)
        inside = ((rows + 0.5 - middle[0]) / radii[0]) ** 2 + ((columns + 0.5 - middle[1]) / radii[1]) ** 2 <= 1
        mask[inside] = kind
        seen.add(kind)
    Image.fromarray(mask).save(folder / "masks" / f"{path.stem}.png")
    if len(seen) == 1:
        diagnoses.append((path.stem, "no dead" if seen == {1} else "no living"))
with (folder / "diagnoses.csv").open("w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(("image", "diagnosis"))
    writer.writerows(diagnoses)
print(len(diagnoses), "of", len(list((folder / "masks").iterdir())), "images have cells of one kind only")
