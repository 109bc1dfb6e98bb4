"""Writes results/dual.md and results/dual.json: networks for masks of nuclei of which many are false and drawn badly, with
and without a second network that filters labels (numpy 2.3.4, pillow 13.0.0).

    python benches/dual.py RUN CLEANSLIDE --minutes N < MEANING.md

RUN is a study of nuclei_masks.py; its methods and seeds are those of its finished runs.
"""

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
from nuclei_masks import Study, mask, quality

METHODS = ["plain", "gce", "small-loss", "co-teaching", "jocor", "selection", "dual"]

parser = argparse.ArgumentParser()
parser.add_argument("run", type=Path)
parser.add_argument("cleanslide", type=Path)
parser.add_argument("--minutes", type=float, required=True, help="that all trainings took")
parser.add_argument("--results", type=Path, default=Path("results"))
arguments = parser.parse_args()


def seeds(method):
    finished = (arguments.run / "runs").glob(f"{method}-*/report.html")
    return sorted(int(path.parent.name.rpartition("-")[2]) for path in finished)


methods = {method: seeds(method) for method in METHODS}
methods = {method: of for method, of in methods.items() if of}
study = Study(arguments.run, methods, "just dual")
rows = study.rows(["F1", "Dice", "recall", "precision"], gains=["F1", "Dice"])
for place, (method, of) in enumerate(methods.items()):
    rows[place] = rows[place].replace(f"| {method} |", f"| {method} | {', '.join(map(str, of))} |", 1)


def selection(method, seed):
    """What was decided after each epoch, measured."""
    table = arguments.run / f"runs/{method}-{seed}/whole/selection.csv"
    command = [arguments.cleanslide, "evaluate", arguments.run / "data", table, "--reference", "corrected", "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def written(method, seed):
    """The masks that were learned from in the end."""
    table = max((arguments.run / f"runs/{method}-{seed}/whole/corrections").glob("*.json"))
    cycle = json.loads(table.read_text())
    return study.labels({of["image"]: table.with_suffix("") / f"{of['item']:06}.png" for of in cycle["images"]})


def best_overlap(truth, inside):
    """The intersection over union of an object, given as a mask, with the true one that it overlaps most."""
    numbers, shared = np.unique(truth[inside], return_counts=True)
    overlaps = [both / ((truth == number).sum() + inside.sum() - both) for number, both in zip(numbers, shared) if number]
    return max(overlaps, default=0)


def scores(method, seed):
    """How well each score ranks false objects below true ones in the end (area under the ROC curve); how far redrawn
    outlines overlap true ones, as they were given and as they are in the end; and how many there are."""
    whole = arguments.run / f"runs/{method}-{seed}/whole"
    table = max((whole / "selections").glob("*.json"))
    written = whole / "corrections" / table.stem
    items = {of["image"]: of["item"] for of in json.loads((whole / "corrections" / table.name).read_text())["images"]}
    rows, outlines = [], []
    for image in json.loads(table.read_text())["images"]:
        truth, given = study.reference[image["image"]], mask(study.given[image["image"]])
        final = mask(written / f"{items[image['image']]:06}.png")
        for of in image["objects"]:
            inside = given == of["number"]
            overlap = best_overlap(truth, inside)
            names = ("agreement", "likeness", "border", "score")
            rows.append((overlap > 0.5, *(np.nan if of[name] is None else of[name] for name in names)))
            if of["state"] == "redrawn":
                # The object of the final mask that holds most of where the given one was.
                numbers, pixels = np.unique(final[inside], return_counts=True)
                number = max(zip(pixels[numbers > 0], numbers[numbers > 0]), default=(0, 0))[1]
                outlines.append((overlap, best_overlap(truth, final == number) if number else 0))
    right, *values = np.array(rows, dtype=float).T
    areas = []
    for value in values:
        known = np.isfinite(value)
        true, false = value[known & (right > 0)], value[known & (right == 0)]
        below = np.searchsorted(np.sort(false), true, "left") + np.searchsorted(np.sort(false), true, "right")
        areas.append(below.mean() / 2 / len(false))
    return areas, np.mean(outlines, axis=0), len(outlines)


def shown(estimate):
    return f"{estimate['value']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]" if estimate else ""


selected = {method: selection(method, methods[method][0]) for method in METHODS[2:] if method in methods}
labels = []
for method, judged in selected.items():
    epochs = judged["epochs"]
    # Of the fullest method every judgement, of the others the last.
    for row in epochs if method == "dual" else epochs[-1:]:
        labels.append(
            f"| {method} | {row['epoch']} | {row['estimated']:.3f} | {row['left_out']} | {shown(row['precision'])} "
            f"| {shown(row['recall'])} | {shown(row['kept_precision'])} | {shown(row['kept_recall'])} |"
        )
    for name, key in [("false of what is left out", "precision"), ("left out of all false", "recall")]:
        estimate = epochs[-1][key]
        study.claims.append(
            {
                "claim": f"{name} in the end, {method}, seed {methods[method][0]}, he-nuclei, labels to learn from",
                "value": estimate["value"],
                "low": estimate["low"],
                "high": estimate["high"],
                "unit": "share",
                "n": judged["given"],
                "command": "just dual",
            }
        )
given = next(iter(selected.values()))
before = quality(study.labels(study.given))
after = [("given", before)]
for method in selected:
    if method in ("selection", "dual"):
        after.append((method, np.mean([quality(written(method, seed)) for seed in methods[method]], axis=0)))
(agreement, likeness, border, together), (overlap_before, overlap_after), redrawn = scores("dual", methods["dual"][0])
quality_rows = [f"| {name} | " + " | ".join(f"{value:.3f}" for value in values) + " |" for name, values in after]

report = f"""# Two networks that filter each other's labels of nuclei

`just dual`, {datetime.date.today()}; {len(study.train)} images of he-nuclei to learn from and {len(study.test)} of {len(study.fields)} other fields for test.
A fifth of the true nuclei is not marked, false ones are (two fifths of the number of those marked, at dark places without a
nucleus), and the borders of half of all wander (`inject drop`, `add`, `border`): {given['false']} of the {given['given']} objects to
learn from are false, which is to say that no true one overlaps them by more than a half. A small U-Net and one of half its
width, 60 epochs; labels are judged every fourth ([recipe](../benches/dual.toml)). {platform.machine()}, {os.cpu_count()} cores,
{arguments.minutes:.0f} minutes for all trainings, two at a time.

Predictions of the images for test by one network; objects match at an intersection over union above 0.5; means over seeds,
95 % intervals over fields (of {len(study.fields)} fields only, so they are rough); gains are paired, over `plain`:

| method | seeds | F1 | gain | Dice | gain | recall | precision |
|---|---|---|---|---|---|---|---|
{chr(10).join(rows)}

What was decided about the given labels, by the first seed, against the truth that the training does not know; left out are
objects that are dropped or doubted; intervals over fields:

| method | after epoch | estimated false | left out | false of these | of all false | true of the kept | of all true |
|---|---:|---:|---:|---|---|---|---|
{chr(10).join(labels)}

How well the three scores rank false objects below true ones in the end (area under the ROC curve, `dual`): what the networks
say {agreement:.3f}, what objects look like {likeness:.3f}, how their borders show {border:.3f}, their mean {together:.3f}. The {redrawn} outlines
that were redrawn overlapped the true ones by {overlap_before:.3f} (intersection over union, mean) as they were given, and by
{overlap_after:.3f} in the end.

The labels to learn from as they were given and as they were learned from in the end, against the true ones:

| | F1 | recall | precision | Dice |
|---|---:|---:|---:|---:|
{chr(10).join(quality_rows)}

{sys.stdin.read().strip()}
"""
arguments.results.mkdir(exist_ok=True)
(arguments.results / "dual.md").write_text(report)
(arguments.results / "dual.json").write_text(json.dumps(study.claims, indent=1) + "\n")
print(report)
