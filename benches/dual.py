"""Writes results/NAME.md and results/NAME.json: networks for masks of nuclei of which many are false and drawn badly, with
and without a second network that filters labels (numpy 2.3.4, pillow 13.0.0).

    python benches/dual.py NAME RUN --reference NAME --minutes N [--share NAME=RUN ...] < MEANING.md

MEANING.md has the heading, what was done, a line `---`, and what it means.

RUN is a study of nuclei_masks.py; so are those with other shares of false labels. Where its bench/ has a parts.json, that is
the bench of parts of the method.
"""

import datetime
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from claims import shown
from nuclei_masks import Study, asked, mask, quality

CLEANSLIDE = Path(os.environ.get("CARGO_TARGET_DIR", "target")) / "release/cleanslide"
UNFILTERED = ("plain", "gce")


def add_shares(parser):
    parser.add_argument("--share", action="append", default=[], metavar="NAME=RUN", help="another share of false labels")


def selection(study, method, seed):
    """What was decided after each epoch, measured."""
    table = study.training(method, seed) / "selection.csv"
    command = [CLEANSLIDE, "evaluate", study.run / "data", table, "--reference", study.asked.reference, "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def best_overlap(truth, inside):
    """The intersection over union of an object, given as a mask, with the true one that it overlaps most."""
    numbers, shared = np.unique(truth[inside], return_counts=True)
    overlaps = [both / ((truth == number).sum() + inside.sum() - both) for number, both in zip(numbers, shared) if number]
    return max(overlaps, default=0)


def scores(study, method, seed):
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


def final_labels(study, methods):
    """F1, recall, precision and Dice of the labels to learn from: as they were given and as each method left them in the end,
    the mean over seeds; and how many images they are of."""
    [table, *_] = sorted((study.training("dual", 0) / "corrections").glob("*.json"))
    learned = [image["image"] for image in json.loads(table.read_text())["images"]]
    found = [("given", quality(study.labels({image: study.given[image] for image in learned})))]
    for method in methods:
        final = [max(study.corrected(method, seed).items())[1] for seed in study.seeds]
        found.append((method, np.mean([quality(counts) for counts in final], axis=0)))
    return found, len(learned)


def claim_labels(study, found, images):
    for name, (f1, *_) in found:
        study.claim(f"F1 of the labels to learn from, {name}, {study.about}", dict(value=f1, low=None, high=None), images)


def table_of(study):
    """How well networks predict, by method."""
    rows = study.rows(["F1", "Dice", "AJI", "recall", "precision"], gains=["F1", "Dice", "AJI"])
    header = "| method | F1 | gain | Dice | gain | AJI | gain | recall | precision |"
    return "\n".join([header, "|---|---|---|---|---|---|---|---|---|", *rows])


def rows_of_selection(method, judged, epochs):
    return [
        f"| {method} | {row['epoch']} | {row['estimated']:.3f} | {row['left_out']} | {shown(row['precision'])} "
        f"| {shown(row['recall'])} | {shown(row['kept_precision'])} | {shown(row['kept_recall'])} |"
        for row in judged["epochs"][epochs]
    ]


def shares_of_false(study):
    """Another share of false labels, in a row: what networks gain, what is estimated, and what became of the labels."""
    row = next(line["measures"] for line in study.bench["lines"] if line["method"] == "dual")
    plain = study.bench["lines"][0]["measures"]
    judged = [selection(study, "dual", seed) for seed in study.seeds]
    (_, before), (_, after) = final_labels(study, ["dual"])[0]
    estimated = np.mean([of["epochs"][-1]["estimated"] for of in judged])
    cells = [
        f"{judged[0]['false'] / judged[0]['given']:.3f}", f"{estimated:.3f}", shown(plain["F1"]["value"]),
        *(shown(row[name]["gain"], "+") for name in ("F1", "Dice", "AJI", "recall", "precision")),
        f"{before[0]:.3f} to {after[0]:.3f}", f"{before[2]:.3f} to {after[2]:.3f}", f"{before[1]:.3f} to {after[1]:.3f}",
    ]
    return f"| {' | '.join(cells)} |"


study = Study(asked(__doc__, add_shares))
bench, methods, seeds = study.bench, study.methods, study.seeds
selecting = [method for method in methods if "selection" in method or method.startswith("dual")]
networks = table_of(study)
others = [Study(study.asked, Path(run), about) for about, _, run in (of.partition("=") for of in study.asked.share)]
parts = (study.run / "bench/parts.json").exists() and Study(study.asked, about=f"{study.about}, one seed", bench="parts.json")
selected = {method: [selection(study, method, seed) for seed in seeds] for method in methods if method not in UNFILTERED}
labels = []
for method, of_seeds in selected.items():
    # Of the fullest method every judgement, of the others the last.
    labels += rows_of_selection(method, of_seeds[0], slice(None) if method == "dual" else slice(-1, None))
if parts:
    for method in parts.methods:
        if method not in UNFILTERED and method not in selected:
            labels += rows_of_selection(method, selection(parts, method, 0), slice(-1, None))
for method, of_seeds in selected.items():
    for name, key in [("false of what is left out", "precision"), ("left out of all false", "recall")]:
        what = f"{name} in the end, {method}, seed 0, {study.about}, labels to learn from"
        study.claim(what, of_seeds[0]["epochs"][-1][key], of_seeds[0]["given"])
given = next(iter(selected.values()))[0]
after, learned = final_labels(study, selecting)
claim_labels(study, after, learned)
(agreement, likeness, border, together), (overlap_before, overlap_after), redrawn = scores(study, "dual", 0)
estimates = ", ".join(f"{of['epochs'][-1]['estimated']:.3f}" for of in selected["dual"])
quality_rows = [f"| {name} | " + " | ".join(f"{value:.3f}" for value in values) + " |" for name, values in after]
beside = ""
if parts:
    beside += f"""
Parts of `dual`, and a neighbour, with one seed:

{table_of(parts)}
"""
    study.claims += parts.claims
if others:
    beside += f"""
`dual` by the share of labels that are false; gains over `plain`; F1, precision and recall of the labels to learn from as they
were given and in the end:

| false | estimated | F1 of `plain` | gain in F1 | Dice | AJI | recall | precision | labels' F1 | precision | recall |
|---:|---:|---|---|---|---|---|---|---|---|---|
{chr(10).join(sorted(map(shares_of_false, [study, *others])))}
"""
    for other in others:
        other.rows(["F1", "Dice", "AJI"], gains=["F1", "Dice", "AJI"])
        claim_labels(other, *final_labels(other, ["dual"]))
        study.claims += other.claims

heading, _, meaning = sys.stdin.read().partition("\n---\n")
folds = f"{bench['folds']} folds by case" if bench["folds"] else f"{bench['images']} images of {bench['cases']} cases for test"
report = f"""{heading.strip()}

`{study.command}`, {datetime.date.today()}; {folds}, {len(seeds)} seed{"s" if len(seeds) > 1 else ""}; {study.machine},
{study.asked.minutes:.0f} minutes for all trainings, two at a time.

Predictions by one network of {bench["images"]} images of {bench["cases"]} cases that it did not see; objects match at an intersection over
union above 0.5; means over seeds, 95 % intervals over cases; gains are paired, over `{methods[0]}`:

{networks}
{beside}
The share of false objects is {given['false'] / given['given']:.3f}; as `dual` estimates it in the end: {estimates}.

What was decided about the labels of the {learned} images that the first network of the first seed learned from, against the
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
