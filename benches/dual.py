"""Writes results/NAME.md and results/NAME.json: networks for masks of nuclei of which many are false and drawn badly, with
and without a second network that filters labels (numpy 2.3.4, pillow 13.0.0).

    python benches/dual.py NAME RUN --reference NAME --minutes N < MEANING.md

MEANING.md has the heading, what was done, a line `---`, and what it means.

RUN is a study of nuclei_masks.py.
"""

import datetime
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from claims import shown
from nuclei_masks import Study, mask, quality

CLEANSLIDE = Path(os.environ.get("CARGO_TARGET_DIR", "target")) / "release/cleanslide"

study = Study(__doc__)
bench, methods, seeds = study.bench, study.methods, study.seeds
selecting = [method for method in methods if "selection" in method or method.startswith("dual")]
rows = study.rows(["F1", "Dice", "AJI", "recall", "precision"], gains=["F1", "Dice", "AJI"])


def selection(method, seed):
    """What was decided after each epoch, measured."""
    table = study.training(method, seed) / "selection.csv"
    command = [CLEANSLIDE, "evaluate", study.run / "data", table, "--reference", study.asked.reference, "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def best_overlap(truth, inside):
    """The intersection over union of an object, given as a mask, with the true one that it overlaps most."""
    numbers, shared = np.unique(truth[inside], return_counts=True)
    overlaps = [both / ((truth == number).sum() + inside.sum() - both) for number, both in zip(numbers, shared) if number]
    return max(overlaps, default=0)


def scores(method, seed):
    """How well each score ranks false objects below true ones in the end (area under the ROC curve); how far redrawn
    outlines overlap true ones, as they were given and as they are in the end; and how many there are."""
    table = max((study.training(method, seed) / "selections").glob("*.json"))
    corrections = study.training(method, seed) / "corrections"
    written = corrections / table.stem
    items = {of["image"]: of["item"] for of in json.loads((corrections / table.name).read_text())["images"]}
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


selected = {method: [selection(method, seed) for seed in seeds] for method in methods if method not in ("plain", "gce")}
labels = []
for method, of_seeds in selected.items():
    epochs = of_seeds[0]["epochs"]
    # Of the fullest method every judgement, of the others the last.
    for row in epochs if method == "dual" else epochs[-1:]:
        labels.append(
            f"| {method} | {row['epoch']} | {row['estimated']:.3f} | {row['left_out']} | {shown(row['precision'])} "
            f"| {shown(row['recall'])} | {shown(row['kept_precision'])} | {shown(row['kept_recall'])} |"
        )
    for name, key in [("false of what is left out", "precision"), ("left out of all false", "recall")]:
        what = f"{name} in the end, {method}, seed 0, {study.name}, labels to learn from"
        study.claim(what, epochs[-1][key], of_seeds[0]["given"])
given = next(iter(selected.values()))[0]
[learned, *_] = sorted((study.training("dual", seeds[0]) / "corrections").glob("*.json"))
learned = [image["image"] for image in json.loads(learned.read_text())["images"]]
after = [("given", quality(study.labels({image: study.given[image] for image in learned})))]
for method in selecting:
    final = [max(study.corrected(method, seed).items())[1] for seed in seeds]
    after.append((method, np.mean([quality(counts) for counts in final], axis=0)))
(agreement, likeness, border, together), (overlap_before, overlap_after), redrawn = scores("dual", 0)
estimates = ", ".join(f"{of['epochs'][-1]['estimated']:.3f}" for of in selected["dual"])
for name, (f1, *_) in after:
    study.claim(f"F1 of the labels to learn from, {name}, {study.name}", dict(value=f1, low=None, high=None), len(learned))
quality_rows = [f"| {name} | " + " | ".join(f"{value:.3f}" for value in values) + " |" for name, values in after]

heading, _, meaning = sys.stdin.read().partition("\n---\n")
folds = f"{bench['folds']} folds by case" if bench["folds"] else f"{bench['images']} images of {bench['cases']} cases for test"
report = f"""{heading.strip()}

`{study.command}`, {datetime.date.today()}; {folds}, {len(seeds)} seed; {study.machine},
{study.asked.minutes:.0f} minutes for all trainings, two at a time.

Predictions by one network of {bench["images"]} images of {bench["cases"]} cases that it did not see; objects match at an intersection over
union above 0.5; means over seeds, 95 % intervals over cases; gains are paired, over `{methods[0]}`:

| method | F1 | gain | Dice | gain | AJI | gain | recall | precision |
|---|---|---|---|---|---|---|---|---|
{chr(10).join(rows)}

The share of false objects is {given['false'] / given['given']:.3f}; as `dual` estimates it in the end: {estimates}.

What was decided about the labels of the {len(learned)} images that the first network of the first seed learned from, against the
truth that the training does not know; left out are objects that are dropped or doubted; intervals over cases:

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

{meaning.strip()}
"""
study.write(report)
