"""How well networks find nuclei, for the scripts that compare ways to train them (numpy 2.3.4, pillow 13.0.0).

A study is a folder RUN: data/ with the source `noisy` and a reference, and bench/ of `cleanslide bench`.
Objects are matched at an intersection over union above 0.5, where there is no choice; counts of images are summed.
"""

import argparse
import csv
import json
import os
import platform
from pathlib import Path

import numpy as np
from claims import share, shown
from PIL import Image

UNLABELLED = 65535


def mask(path):
    pixels = np.asarray(Image.open(path)).astype(np.int64)
    return np.where(pixels == UNLABELLED, 0, pixels)


def masks(folder, source=None):
    """The file of each image's mask."""
    with (folder / "masks.csv").open(newline="") as file:
        rows = csv.DictReader(file)
        return {row["item"]: folder / row["file"] for row in rows if source in (None, row["source"])}


def counts(truth, found):
    """True objects, found ones, and pairs of them that overlap by more than a half; true pixels, found ones, and both."""
    wide = int(found.max()) + 1
    pairs, areas = np.unique(truth * wide + found, return_counts=True)
    area = [dict(zip(*np.unique(of, return_counts=True))) for of in (truth, found)]
    matched = 0
    for pair, both in zip(pairs, areas):
        one, other = divmod(int(pair), wide)
        if one and other:
            matched += both / (area[0][one] + area[1][other] - both) > 0.5
    pixels = [(truth > 0).sum(), (found > 0).sum(), ((truth > 0) & (found > 0)).sum()]
    return np.array([len(area[0].keys() - {0}), len(area[1].keys() - {0}), matched, *pixels])


def quality(sums):
    """F1, recall, precision and Dice."""
    truth, found, matched, true_pixels, found_pixels, both = sums
    return np.array(
        [2 * matched / (truth + found), matched / truth, matched / max(found, 1), 2 * both / (true_pixels + found_pixels)]
    )


def asked(description, add=lambda parser: None):
    """What the command line says: NAME RUN --reference NAME --minutes N, and what is added."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("name")
    parser.add_argument("run", type=Path)
    parser.add_argument("--reference", required=True)
    parser.add_argument("--minutes", type=float, required=True, help="that all trainings took")
    parser.add_argument("--results", type=Path, default=Path("results"))
    add(parser)
    return parser.parse_args()


class Study:
    def __init__(self, asked, run=None, about=None, bench="bench.json"):
        """Of the folder that the command line names or of another one; `about` is what claims call it."""
        self.asked = asked
        self.name, self.run, reference = asked.name, run or asked.run, asked.reference
        self.about = about or self.name
        self.command = f"just {self.name}"
        self.machine = f"{platform.machine()}, {os.cpu_count()} cores"
        data = self.run / "data"
        with (data / "images.csv").open(newline="") as file:
            images = {row["id"]: row for row in csv.DictReader(file)}
        self.reference = {image: mask(path) for image, path in masks(data / "reference" / reference).items()}
        latest = sorted((data / "labels").iterdir(), key=lambda folder: int(folder.name[1:]))
        noisy = next(folder for folder in reversed(latest) if masks(folder, "noisy"))
        self.given = masks(noisy, "noisy")
        self.given = {image: file for image, file in self.given.items() if images[image]["split"] != "test"}
        self.bench = json.loads((self.run / "bench" / bench).read_text())
        self.methods = [line["method"] for line in self.bench["lines"]]
        self.seeds = range(self.bench["seeds"])
        self.claims = []

    def training(self, method, seed):
        """The folder of the training of a cell, of the first one where there are folds."""
        return self.run / f"bench/{method}/seed-{seed}" / ("fold-1" if self.bench["folds"] else "whole")

    def claim(self, text, estimate, count):
        self.claims.append(share(text, estimate, count, self.command))

    def rows(self, measures, gains):
        """A row of a table for each method: measures, and after those of `gains` the gain over the first method."""
        rows = []
        for line in self.bench["lines"]:
            cells = []
            for name in measures:
                measured = line["measures"][name]
                cells.append(shown(measured["value"]))
                what = f"{line['method']}, {self.about}, {self.bench['images']} images of {self.bench['cases']} cases"
                self.claim(f"{name}, {what}", measured["value"], self.bench["images"])
                if name in gains:
                    cells.append(shown(measured["gain"], "+"))
                    if measured["gain"]:
                        gain = f"gain in {name} over {self.methods[0]}, {what}"
                        self.claim(gain, measured["gain"], self.bench["images"])
            rows.append(f"| {line['method']} | {' | '.join(cells)} |")
        return rows

    def corrected(self, method, seed):
        """The counts of the masks that were learned from, by the epoch after which they were made."""
        found = {}
        for table in sorted((self.training(method, seed) / "corrections").glob("*.json")):
            cycle = json.loads(table.read_text())
            files = {of["image"]: table.with_suffix("") / f"{of['item']:06}.png" for of in cycle["images"]}
            found[cycle["epoch"]] = self.labels(files)
        return found

    def write(self, report):
        """Writes the page and the claims."""
        results = self.asked.results
        results.mkdir(exist_ok=True)
        (results / f"{self.name}.md").write_text(report)
        (results / f"{self.name}.json").write_text(json.dumps(self.claims, indent=1) + "\n")
        print(report)

    def labels(self, files):
        """The counts of the masks of images."""
        return sum(counts(self.reference[image], mask(file)) for image, file in sorted(files.items()))
