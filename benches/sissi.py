"""Writes results/<name>.md and results/<name>.json from the bench of `cleanslide bench` of boxes and the label versions
that its detectors corrected.

Needs nothing but Python:
    python benches/sissi.py NAME RUN --data TITLE --source SOURCE --command COMMAND --minutes N < MEANING.md
RUN has bench/bench.json; data/ with the reference `corrected`; and for each corrected version a line of
corrected.csv: method, seed, epoch, version, given version, evaluation (a file of `cleanslide evaluate --json`).
"""

import argparse
import csv
import datetime
import json
import os
import platform
import sys
from collections import defaultdict
from pathlib import Path

from claims import share, shown
from overlaps import overlap

parser = argparse.ArgumentParser()
parser.add_argument("name")
parser.add_argument("run", type=Path)
parser.add_argument("--data", required=True, help="what the boxes are of, for the claims")
parser.add_argument("--source", required=True, help="whose boxes were given")
parser.add_argument("--command", required=True)
parser.add_argument("--minutes", type=float, required=True, help="that all trainings took")
parser.add_argument("--results", type=Path, default=Path("results"))
arguments = parser.parse_args()
claims = []


def claim(text, estimate, count):
    claims.append(share(text, estimate, count, arguments.command))


def boxes(folder, source=None):
    """The boxes of each image."""
    found = defaultdict(list)
    with open(folder / "boxes.csv", newline="") as file:
        for row in csv.DictReader(file):
            if source in (None, row["source"]):
                found[row["item"]].append([float(row[side]) for side in ("left", "top", "right", "bottom")])
    return found


def matched(these, those):
    """Pairs of boxes, those that overlap most first, from 0.5 on."""
    pairs = sorted(
        ((overlap(one, other), i, j) for i, one in enumerate(these) for j, other in enumerate(those)),
        key=lambda pair: (-pair[0], pair[1], pair[2]),
    )
    of_these, of_those = {}, {}
    for iou, i, j in pairs:
        if iou >= 0.5 and i not in of_these and j not in of_those:
            of_these[i], of_those[j] = j, i
    return of_these, of_those


def missing_and_false(given, corrected, truth, images):
    """Objects that were not marked, how many of them are now; boxes that were false, how many are gone; boxes that are
    new, how many of them are right."""
    counts = [0] * 6
    for image in images:
        given_to_truth, marked = matched(given[image], truth[image])
        corrected_to_truth, found = matched(corrected[image], truth[image])
        missing = [index for index in range(len(truth[image])) if index not in marked]
        counts[0] += len(missing)
        counts[1] += sum(index in found for index in missing)
        false = [box for index, box in enumerate(given[image]) if index not in given_to_truth]
        counts[2] += len(false)
        counts[3] += sum(all(overlap(box, other) < 0.5 for other in corrected[image]) for box in false)
        _, known = matched(given[image], corrected[image])
        new = [index for index in range(len(corrected[image])) if index not in known]
        counts[4] += len(new)
        counts[5] += sum(index in corrected_to_truth for index in new)
    return counts


bench = json.loads((arguments.run / "bench/bench.json").read_text())
lines = bench["lines"]
first = lines[0]["method"]
measures = ["AP50", "AP75", "AP", "AR"]
images = bench["images"]
text = [
    f"`{arguments.command}`, {bench['seeds']} seeds, {datetime.date.today()}, {os.cpu_count()} cores "
    f"({platform.machine()}), {arguments.minutes:.0f} minutes in all.",
    "",
    f"{images} test images, against the reference `corrected`, by boxes alone; means over seeds, 95 % "
    f"intervals over images; gains are over `{first}`, paired by image.",
    "",
    "| method | " + " | ".join(f"{name} | gain" for name in measures) + " |",
    "|---|" + "---:|---:|" * len(measures),
]
for line in lines:
    cells = []
    for name in measures:
        figures = line["measures"][name]
        cells += [shown(figures["value"]), shown(figures["gain"], "+")]
        claim(f"{name}, {line['method']}, {arguments.data}", figures["value"], images)
        if figures["gain"]:
            what = f"gain in {name}, {line['method']} over {first}, {arguments.data}"
            claim(what, figures["gain"], images)
    text.append(f"| `{line['method']}` | " + " | ".join(cells) + " |")

with open(arguments.run / "corrected.csv", newline="") as file:
    versions = list(csv.DictReader(file))
truth = boxes(arguments.run / "data/reference/corrected")
given = boxes(arguments.run / "data/labels" / versions[0]["given"], arguments.source)
text += [
    "",
    "The labels of the images that were learned from, as they were given and after each correction (of seed "
    f"{versions[0]['seed']}):",
    "",
    "| method | after epoch | AP | recall | precision | boxes | missing found | false dropped | new boxes right |",
    "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
]


def ratio(part, whole):
    return f"{part} of {whole}"


for version in versions:
    evaluation = json.loads(Path(version["evaluation"]).read_text())
    [source] = evaluation["sources"]
    values = {measure["name"]: measure["estimate"] for measure in source["measures"]}
    corrected = boxes(arguments.run / "data/labels" / version["version"], source["source"])
    learned = sorted(corrected)
    counts = missing_and_false(given, corrected, truth, learned)
    of_labels = ("AP", "recall at IoU 0.5", "precision at IoU 0.5")
    quality = [values[name] for name in of_labels]
    when = "as given" if version["method"] == "given" else f"{version['method']} after epoch {version['epoch']}"
    for name in of_labels:
        claim(f"{name} of the labels, {when}, {arguments.data}", values[name], len(learned))
    ratios = [ratio(counts[1], counts[0]), ratio(counts[3], counts[2]), ratio(counts[5], counts[4])]
    if version["method"] == "given":
        ratios = ["", "", ""]
    number = sum(map(len, corrected.values()))
    text.append(
        f"| {version['method']} | {version['epoch']} | "
        + " | ".join([*map(shown, quality), str(number), *ratios])
        + " |"
    )
heading, _, meaning = sys.stdin.read().strip().partition("\n")
path = arguments.results / arguments.name
path.with_suffix(".md").write_text("\n".join([heading, "", *text, "", meaning.strip(), ""]))
path.with_suffix(".json").write_text(json.dumps(claims, indent=1) + "\n")
print(f"{path}.md, {path}.json: {len(claims)} claims")
