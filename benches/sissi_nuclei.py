"""Writes results/sissi-nuclei.md and results/sissi-nuclei.json: networks for masks of nuclei that correct what they
learn from, against one that does not (numpy 2.3.4, pillow 13.0.0).

    python benches/sissi_nuclei.py RUN --minutes N < MEANING.md

RUN has data/ with the source `noisy` in its latest version and the reference `corrected`, and runs/METHOD-SEED. Objects
are matched at an intersection over union above 0.5, where there is no choice; counts of images are summed. Intervals
resample fields of view, of all methods and seeds together.
"""

import argparse
import csv
import datetime
import json
import os
import platform
import sys
from pathlib import Path

import numpy as np
from PIL import Image

METHODS = ["plain", "kept", "blurred", "ignored"]
SEEDS = [0, 1, 2]
UNLABELLED = 65535
REPLICATES = 2000

parser = argparse.ArgumentParser()
parser.add_argument("run", type=Path)
parser.add_argument("--minutes", type=float, required=True, help="that all trainings took")
parser.add_argument("--results", type=Path, default=Path("results"))
arguments = parser.parse_args()
data = arguments.run / "data"


def mask(path):
    pixels = np.asarray(Image.open(path)).astype(np.int64)
    return np.where(pixels == UNLABELLED, 0, pixels)


def masks(folder, source=None):
    """The file of each image's mask."""
    with (folder / "masks.csv").open(newline="") as file:
        rows = csv.DictReader(file)
        return {row["item"]: folder / row["file"] for row in rows if source in (None, row["source"])}


def counts(truth, found):
    """True objects, found ones, and pairs of them that overlap by more than a half."""
    wide = int(found.max()) + 1
    pairs, areas = np.unique(truth * wide + found, return_counts=True)
    area = [dict(zip(*np.unique(of, return_counts=True))) for of in (truth, found)]
    matched = 0
    for pair, both in zip(pairs, areas):
        one, other = divmod(int(pair), wide)
        if one and other:
            matched += both / (area[0][one] + area[1][other] - both) > 0.5
    return np.array([len(area[0].keys() - {0}), len(area[1].keys() - {0}), matched])


def quality(sums):
    """F1, recall and precision."""
    truth, found, matched = sums
    return np.array([2 * matched / (truth + found), matched / truth, matched / max(found, 1)])


with (data / "images.csv").open(newline="") as file:
    images = {row["id"]: row for row in csv.DictReader(file)}
reference = {image: mask(path) for image, path in masks(data / "reference/corrected").items()}
latest = sorted((data / "labels").iterdir(), key=lambda folder: int(folder.name[1:]))
noisy = next(folder for folder in reversed(latest) if masks(folder, "noisy"))
given = masks(noisy, "noisy")
test = [image for image, row in images.items() if row["split"] == "test"]
train = [image for image, row in images.items() if row["split"] == "train"]


def predicted(method, seed):
    files = masks(arguments.run / f"runs/{method}-{seed}/predictions")
    return np.array([counts(reference[image], mask(files[image])) for image in test])


def cycles(method, seed):
    """The counts of all training images, by epoch of their correction."""
    folder = arguments.run / f"runs/{method}-{seed}/whole/corrections"
    found = {}
    for table in sorted(folder.glob("*.json")):
        cycle = json.loads(table.read_text())
        files = {of["image"]: table.with_suffix("") / f"{of['item']:06}.png" for of in cycle["images"]}
        found[cycle["epoch"]] = sum(counts(reference[image], mask(files[image])) for image in train)
    return found


fields = sorted({images[image]["group"] for image in test})
of_field = np.array([fields.index(images[image]["group"]) for image in test])
of_runs = {method: [predicted(method, seed) for seed in SEEDS] for method in METHODS}


def mean(method, weights):
    return np.mean([quality(weights @ run) for run in of_runs[method]], axis=0)


random = np.random.default_rng(0)
drawn = [np.bincount(random.integers(len(fields), size=len(fields)), minlength=len(fields)) for _ in range(REPLICATES)]
resampled = {method: np.array([mean(method, weights[of_field]) for weights in drawn]) for method in METHODS}
ones = np.ones(len(test))
claims = []


def claim(text, value, replicates):
    low, high = np.percentile(replicates, [2.5, 97.5])
    claims.append(
        {
            "claim": f"{text}, he-nuclei, 32 images of 7 fields",
            "value": float(value),
            "low": float(low),
            "high": float(high),
            "unit": "share",
            "n": len(test),
            "command": "just sissi-nuclei",
        }
    )
    return low, high


rows = []
for method in METHODS:
    value = mean(method, ones)
    cells = []
    for place, name in enumerate(["F1", "recall", "precision"]):
        low, high = claim(f"{name} at IoU 0.5, {method}", value[place], resampled[method][:, place])
        cells.append(f"{value[place]:.3f} [{low:.3f}, {high:.3f}]")
        if place == 0:
            gain = ""
            if method != "plain":
                difference = value[0] - mean("plain", ones)[0]
                replicates = resampled[method][:, 0] - resampled["plain"][:, 0]
                low, high = claim(f"gain in F1 at IoU 0.5, {method} over plain", difference, replicates)
                gain = f"{difference:+.3f} [{low:+.3f}, {high:+.3f}]"
            cells.append(gain)
    rows.append(f"| {method} | {' | '.join(cells)} |")

before = sum(counts(reference[image], mask(given[image])) for image in train)
labels = [f"| given | | {before[1]} | " + " | ".join(f"{value:.3f}" for value in quality(before)) + " |"]
for method in METHODS[1:]:
    of_seeds = [cycles(method, seed) for seed in SEEDS]
    for epoch in (min(of_seeds[0]), max(of_seeds[0])):
        sums = np.mean([of[epoch] for of in of_seeds], axis=0)
        means = np.mean([quality(of[epoch]) for of in of_seeds], axis=0)
        labels.append(f"| {method} | {epoch} | {sums[1]:.0f} | " + " | ".join(f"{value:.3f}" for value in means) + " |")

report = f"""# Masks of nuclei that are corrected by the network that learns from them

`just sissi-nuclei`, {datetime.date.today()}; {len(train)} images of he-nuclei to learn from and {len(test)} of {len(fields)} other
fields for test; of the {before[0]} true nuclei to learn from two fifths are not marked, and a fifth of those marked as many
false ones (`inject drop`, then `inject add`, at dark places without a nucleus). Seeds {', '.join(map(str, SEEDS))}; a small
U-Net, 80 epochs ([recipe](../benches/sissi-nuclei.toml)); masks are corrected after epoch 40 and every tenth from then on,
by four views. `kept`: all that was not found is background; `blurred`: it is blurred away; `ignored` (the default): what is
an object with a probability of .3 to .5 is left open. {platform.machine()}, {os.cpu_count()} cores, {arguments.minutes:.0f} minutes for all trainings,
two at a time.

Predictions of the images for test, which nobody corrected; objects match at an intersection over union above 0.5; means
over seeds, 95 % intervals over fields (of {len(fields)} fields only, so they are rough):

| method | F1 | gain over plain | recall | precision |
|---|---|---|---|---|
{chr(10).join(rows)}

The labels that are learned from, against the true ones; means over seeds:

| method | after epoch | objects | F1 | recall | precision |
|---|---:|---:|---:|---:|---:|
{chr(10).join(labels)}

{sys.stdin.read().strip()}
"""
arguments.results.mkdir(exist_ok=True)
(arguments.results / "sissi-nuclei.md").write_text(report)
(arguments.results / "sissi-nuclei.json").write_text(json.dumps(claims, indent=1) + "\n")
print(report)
