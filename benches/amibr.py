"""Writes results/amibr.md and results/amibr.json from what `just amibr` computed.

The peer is measured here too: scikit-learn's balanced logistic regression on the very embeddings
that cleanslide used (its shards), with the same labels, the same 5 slide-wise folds and 3 seeds.

Needs numpy, scikit-learn and safetensors:
    pip install numpy==2.4.4 scikit-learn==1.9.0 safetensors==0.8.0
"""

import argparse
import csv
import datetime
import glob
import json
import os
import platform

import numpy as np
from safetensors.numpy import load_file
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

parser = argparse.ArgumentParser()
parser.add_argument("folder", help="runs/amibr, as `just amibr` filled it")
parser.add_argument("--results", default="results")
parser.add_argument("--minutes", type=float, default=float("nan"))
arguments = parser.parse_args()
folder = arguments.folder


def read_table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def embeddings(identity):
    """Embeddings by image id, from the shards of an encoder."""
    root = os.path.join(folder, "data", "embeddings", identity)
    shards = [load_file(path)["embeddings"] for path in sorted(glob.glob(root + "/shard-*.safetensors"))]
    return {row["image"]: shards[int(row["shard"])][int(row["row"])] for row in read_table(root + "/ids.csv")}


def labels(kind, name):
    path = os.path.join(folder, "data", kind, name, "classes.csv")
    found = {}
    for row in read_table(path):
        found.setdefault(row["source"], {})[row["item"]] = row["classes"]
    return found


def cell(bench, name):
    """Predictions of one cell of a bench: image -> (fold, probability of atypical)."""
    rows = read_table(os.path.join(folder, bench, "cells", name + ".csv"))
    return {row["image"]: (row["part"], float(row["probability atypical"])) for row in rows}


truth = labels("reference", "majority")["reference"]
votes = labels("labels", "v1")
slide = {row["id"]: row["slide"] for row in read_table(os.path.join(folder, "data", "images.csv"))}
images = sorted(truth)
y = np.array([truth[image] == "atypical" for image in images])
groups = np.array([slide[image] for image in images])


def logistic(x, given, folds, c):
    """Out-of-fold probabilities of atypical."""
    scores = np.zeros(len(images))
    for fold in np.unique(folds):
        train, test = folds != fold, folds == fold
        model = make_pipeline(
            StandardScaler(), LogisticRegression(C=c, class_weight="balanced", max_iter=2000)
        )
        model.fit(x[train], given[train])
        scores[test] = model.predict_proba(x[test])[:, 1]
    return scores


def bootstrap(statistic, replicates=1000, seed=0):
    """The statistic on all images, and its percentile interval over slides."""
    rng = np.random.default_rng(seed)
    names = np.unique(groups)
    members = [np.flatnonzero(groups == name) for name in names]
    values = []
    for _ in range(replicates):
        drawn = np.concatenate([members[i] for i in rng.integers(0, len(names), len(names))])
        values.append(statistic(drawn))
    everything = np.arange(len(images))
    return statistic(everything), *np.quantile(values, [0.025, 0.975])


def outputs(kind):
    """What `cleanslide … --json` printed, by the name in `<kind>-<name>.json`."""
    found = {}
    for path in sorted(glob.glob(os.path.join(folder, f"{kind}-*.json"))):
        with open(path) as file:
            found[os.path.basename(path)[len(kind) + 1 : -5]] = json.load(file)
    return found


lines, records = [], []
command = "just amibr"
for encoder, printed in outputs("embed").items():
    vectors = embeddings(printed["identity"])
    x = np.stack([vectors[image] for image in images])
    for name in [f"bench-experts-{encoder}", f"bench-noise-{encoder}"]:
        path = os.path.join(folder, name, "bench.json")
        if not os.path.exists(path):
            print(f"left out: {path} was not computed")
            continue
        with open(path) as file:
            rows = json.load(file)
        settings = []
        for row in rows:
            if (row["labels"], row["noise"]) not in settings:
                settings.append((row["labels"], row["noise"]))
        for source, noise in settings:
            # The peer sees exactly the labels and folds of each seed; for injected noise it cannot
            # be handed the labels, so it is measured on the labels without added noise only.
            here = [row for row in rows if row["labels"] == source and row["noise"] == noise]
            seeds = here[0]["seeds"]
            if noise == "none" and source != "all":
                given_names = truth if source.startswith("reference:") else votes[source]
                given = np.array([given_names[image] == "atypical" for image in images])
                scores = []
                for seed in range(seeds):
                    safe = source.replace(":", "_")
                    predictions = cell(name, f"{safe}__none__{here[0]['method']}__seed{seed}")
                    folds = np.array([predictions[image][0] for image in images])
                    scores.append(logistic(x, given, folds, 0.003))
                accuracy = bootstrap(
                    lambda i: np.mean([balanced_accuracy_score(y[i], s[i] > 0.5) for s in scores])
                )
                area = bootstrap(lambda i: np.mean([roc_auc_score(y[i], s[i]) for s in scores]))
                lines.append((encoder, source, noise, "scikit-learn logistic regression, C .003", accuracy, area, None))
            for row in here:
                triple = lambda e: (e["value"], e["low"], e["high"])
                difference = row["difference"]
                lines.append((
                    encoder, source, noise, row["method"], triple(row["balanced_accuracy"]),
                    triple(row["auroc"]), None if difference is None else triple(difference),
                ))


def show(estimate, sign=""):
    value, low, high = estimate
    return f"{value:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"


for encoder, source, noise, method, accuracy, area, difference in lines:
    where = f"amibr, {encoder} on the central 64 pixels, labels of {source}, added noise {noise}"
    for what, estimate in [("balanced accuracy", accuracy), ("AUROC", area)]:
        records.append({
            "claim": f"{what} of {method} against the majority, {where}",
            "value": estimate[0], "low": estimate[1], "high": estimate[2],
            "unit": "proportion", "n": len(images), "command": command,
        })
    if difference is not None:
        records.append({
            "claim": f"gain in balanced accuracy, {method} over cross-entropy, {where}",
            "value": difference[0], "low": difference[1], "high": difference[2],
            "unit": "proportion", "n": len(images), "command": command,
        })

audits = []
for name, found in outputs("ranking").items():
    triple = lambda e: (e["value"], e["low"], e["high"])
    figures = [triple(found[what]) for what in ["average_precision", "chance", "auroc"]]
    audits.append((name, found["wrong"], *figures))
    for what, (value, low, high) in zip(["average precision", "chance precision", "AUROC"], figures):
        records.append({
            "claim": f"{what} of the audit of {name} for labels that differ from the majority, amibr",
            "value": value, "low": low, "high": high, "unit": "proportion", "n": found["labels"], "command": command,
        })

text = [
    "# AMi-Br: atypical mitotic figures, three pathologists",
    "",
    f"Command: `{command}`. Seeds 0, 1, 2 (folds, noise and training); 5 folds by slide, "
    f"{len(np.unique(groups))} slides, {len(images):,} patches; every figure is out of sample, against the "
    "majority of the three pathologists, with a 95 % percentile interval over slides (1,000 resamples). "
    "Encoders see the central 64 pixels of each patch. "
    f"Date {datetime.date.today()}; {os.cpu_count()} cores, {platform.machine()}"
    + ("" if np.isnan(arguments.minutes) else f"; {arguments.minutes:.0f} minutes in all") + ".",
    "",
    "Training of every head: the settings in `benches/amibr.toml`, the same for all methods and not "
    "chosen by these figures. Differences are paired, to the cross-entropy (plain training).",
    "",
    "## How well the audit finds the labels that differ from the majority",
    "",
    "| audit of | labels that differ | average precision | of a random order | AUROC |",
    "|---|---:|---:|---:|---:|",
]
for name, wrong, precision, chance, area in audits:
    text.append(f"| {name} | {wrong} | {show(precision)} | {show(chance)} | {show(area)} |")
text += ["", "## Classifiers", ""]
last = None
for encoder, source, noise, method, accuracy, area, difference in lines:
    heading = (encoder, source, noise)
    if heading != last:
        added = "" if noise == "none" else f" + noise {noise}"
        text += [
            "", f"### {encoder}: labels of {source}{added}", "",
            "| method | balanced accuracy | AUROC | difference in balanced accuracy |", "|---|---:|---:|---:|",
        ]
        last = heading
    gain = "" if difference is None else show(difference, "+")
    text.append(f"| {method} | {show(accuracy)} | {show(area)} | {gain} |")
meaning = os.path.join(os.path.dirname(__file__), "amibr-meaning.md")
if os.path.exists(meaning):
    with open(meaning) as file:
        text += ["", file.read().strip()]
text.append("")

os.makedirs(arguments.results, exist_ok=True)
with open(os.path.join(arguments.results, "amibr.md"), "w") as file:
    file.write("\n".join(text))
with open(os.path.join(arguments.results, "amibr.json"), "w") as file:
    json.dump(records, file, indent=1)
print("\n".join(text))
