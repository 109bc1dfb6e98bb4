"""Writes the recipes of a study of few masks and many diagnoses: one for each share of the cases that have masks.

    python benches/complementary_recipes.py RUN STEPS < benches/complementary.toml        (no packages)

RUN/data is a dataset of which `cleanslide inject unlabel` made the sources few-05, few-10, … and all; RUN/recipe-05.toml, …
are written. Epochs are passes over images with masks, of which there are more or fewer: each recipe has as many as take the
same number of steps, so that what differs is what is learned from and not how long.
"""

import csv
import math
import sys
import tomllib
from pathlib import Path

run, steps = Path(sys.argv[1]), int(sys.argv[2])
text = sys.stdin.read()
recipe = tomllib.loads(text)
also = recipe["train"].get("also_share", 0.5)
own = recipe["train"]["batch_size"] - max(round(recipe["train"]["batch_size"] * also), 1)
train = {row["id"] for row in csv.DictReader((run / "data/images.csv").open()) if row["split"] == "train"}
for version in sorted((run / "data/labels").iterdir()):
    with (version / "masks.csv").open() as file:
        masks = [(row["source"], row["item"]) for row in csv.DictReader(file)]
    for source in {source for source, _ in masks if source.startswith("few-")}:
        images = sum(1 for of, item in masks if of == source and item in train)
        epochs = math.ceil(steps / math.ceil(images / own))
        written = text.replace("epochs = 60\n", f"epochs = {epochs}\n")
        assert written != text or epochs == 60
        name = f'labels = "{version.name}"\nsource = "{source}"\n\n'
        (run / f"recipe-{source.removeprefix('few-')}.toml").write_text(name + written)
        print(f"{source}: {images} images, {epochs} epochs")
