"""How often the advice of `cleanslide advise` is right, as `just advise` computed it.

    advise.py labels TABLE TRUTH OUT FOLDER  a table of votes whose columns are the truth with noise of known kinds
    advise.py images DATASET REFERENCE OUT   the images of a dataset with their truth, as such a TABLE
    advise.py report RUN                     results/advise.md and .json; what they mean comes on standard input

Needs numpy:
    pip install numpy==2.4.4
"""

import argparse
import csv
import glob
import json
import os
import sys

import numpy as np

from claims import shown

# Kind, shares in tenths. Of more than two classes, `missed` calls all others the most frequent class, and `added` calls
# that one the next.
NOISES = [("uniform", (1, 2, 3, 4)), ("pair", (2, 4)), ("missed", (2, 4)), ("added", (1, 2))]
SEEDS = (0, 1, 2)
PLAIN = "cross-entropy"
POINT = 0.01


def noisy(truth, classes, kind, tenths, seed):
    """The truth, class numbers of which 0 is the most frequent, with noise whose counts are exact."""
    given = truth.copy()
    if kind == "uniform":
        rng = np.random.default_rng([seed, tenths, 0])
        wrong = rng.choice(len(truth), round(tenths / 10 * len(truth)), replace=False)
        given[wrong] = (truth[wrong] + rng.integers(1, classes, len(wrong))) % classes
        return given
    rng = np.random.default_rng([seed, tenths, 1 if kind == "pair" else 2])
    for source in {"pair": range(classes), "missed": range(1, classes), "added": [0]}[kind]:
        members = np.flatnonzero(truth == source)
        wrong = rng.choice(members, round(tenths / 10 * len(members)), replace=False)
        given[wrong] = 0 if kind == "missed" else (source + 1) % classes
    return given


def labels(table, truth_column, out, folder):
    with open(table, newline="") as file:
        rows = list(csv.DictReader(file))
    names = [row[truth_column] for row in rows]
    order = sorted(set(names), key=lambda name: (-names.count(name), name))
    truth = np.array([order.index(name) for name in names])
    columns = {
        f"{kind}-{tenths}-{seed}": noisy(truth, len(order), kind, tenths, seed)
        for seed in SEEDS
        for kind, shares in NOISES
        for tenths in shares
    }
    group = next(name for name in ("slide", "case") if rows[0].get(name))
    path = next(name for name in ("file", "path") if name in rows[0])
    with open(out, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", group, *columns, "truth"])
        for number, row in enumerate(rows):
            image = os.path.abspath(os.path.join(folder, row[path]))
            given = [order[column[number]] for column in columns.values()]
            writer.writerow([image, row[group], *given, row[truth_column]])
    print(",".join(columns))


def images(dataset, reference, out):
    """The images of a dataset with their truth, as a table."""
    with open(os.path.join(dataset, "reference", reference, "classes.csv"), newline="") as file:
        truth = {row["item"]: row["classes"] for row in csv.DictReader(file)}
    with open(os.path.join(dataset, "images.csv"), newline="") as file, open(out, "w", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(["path", "case", "truth"])
        writer.writerows([row["path"], row["case"], truth[row["id"]]] for row in csv.DictReader(file))


def settings(run):
    """Of each condition, by the name of its data: its name, the advice, and the skill of each method against the truth."""
    found = {}
    for path in sorted(glob.glob(os.path.join(run, "*", "advice", "*.json"))):
        folder, labels = os.path.dirname(os.path.dirname(path)), os.path.basename(path)[:-5]
        with open(path) as file:
            advice = json.load(file)
        with open(os.path.join(folder, "bench", f"{labels}.json")) as file:
            truth = {row["method"]: row["balanced_accuracy"]["value"] for row in json.load(file)}
        data = os.path.basename(folder).split("-")[0]
        found.setdefault(data, []).append((labels, advice, truth))
    return found


def losses(conditions):
    """Of each way to choose, what it loses to the best method in each condition."""
    methods = [evidence["method"]["name"] for evidence in conditions[0][1]["methods"]]
    lost = {}
    for _, advice, truth in conditions:
        best = max(truth[method] for method in methods)
        evidence = advice["methods"]
        name = lambda place: evidence[place]["method"]["name"]
        gains = [one["gain"]["value"] for one in evidence]
        sure = [place for place, one in enumerate(evidence) if place and one["gain"]["low"] > 0]
        chosen = {
            "the advice": name(advice["recommended"]),
            "highest score, no matter how sure": name(int(np.argmax(gains))),
            "highest score whose interval leaves out 0": name(max(sure, key=lambda place: gains[place], default=0)),
            "always plain training": PLAIN,
        }
        for way, method in chosen.items():
            lost.setdefault(way, []).append(best - truth[method])
        lost.setdefault("any method at random", []).append(best - np.mean([truth[method] for method in methods]))
        for method in methods:
            lost.setdefault(f"always {method}", []).append(best - truth[method])
    fixed = min((f"always {method}" for method in methods), key=lambda way: np.mean(lost[way]))
    ways = [way for way in lost if not way.startswith("always ") or way == "always plain training"]
    named = {way: np.array(lost[way]) for way in ways}
    named[f"{fixed}, the best of all in hindsight"] = np.array(lost[fixed])
    return methods, named


def resampled(values, seed=0):
    """The mean over conditions with its percentile interval over conditions."""
    rng = np.random.default_rng(seed)
    drawn = values[rng.integers(0, len(values), (2000, len(values)))].mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return {"value": float(values.mean()), "low": float(low), "high": float(high)}


def report(run, results):
    found = settings(run)
    # What `advise labels` named ends with the seed of its noise.
    endings = {labels.rpartition("-")[2] for conditions in found.values() for labels, _, _ in conditions}
    seeds = [seed for seed in SEEDS if str(seed) in endings]
    command = "just advise" if seeds == list(SEEDS) else f"just advise {' '.join(map(str, seeds))}"
    text = ["# How often the advice of `advise` is right", "", f"Command: `{command}`."]
    records = []
    for data, conditions in found.items():
        methods, lost = losses(conditions)
        names = [labels for labels, _, _ in conditions]
        text += [
            "", f"## {data}", "",
            f"{len(conditions)} kinds of labels; methods: {', '.join(methods)}. The truth of a method is its balanced "
            f"accuracy out of sample against the reference (`bench`, other folds than the advice had).", "",
            "| way to choose | within a point of the best | loses on average, points | loses at worst |",
            "|---|---:|---:|---:|",
        ]
        for way, values in lost.items():
            within, mean = resampled((values <= POINT).astype(float)), resampled(100 * values)
            text.append(
                f"| {way} | {round(len(values) * within['value'])} of {len(values)} "
                f"| {mean['value']:.2f} [{mean['low']:.2f}, {mean['high']:.2f}] | {100 * values.max():.1f} |"
            )
            for what, unit, estimate in [
                ("share of label sets within a point of the best method", "share", within),
                ("mean loss of balanced accuracy to the best method", "points", mean),
            ]:
                claim = f"{what}, {way}, {data}"
                records.append({"claim": claim, **estimate, "unit": unit, "n": len(values), "command": command})
        text += [
            "", "| labels | advice | said to gain | gains | best method | gains | plain |", "|---|---|---:|---:|---|---:|---:|",
        ]
        for labels, advice, truth in conditions:
            chosen = advice["methods"][advice["recommended"]]
            method = chosen["method"]["name"]
            best = max(methods, key=lambda method: truth[method])
            said = shown(chosen["gain"], "+") if advice["recommended"] else ""
            gain = lambda method: "" if method == PLAIN else f"{truth[method] - truth[PLAIN]:+.3f}"
            text.append(
                f"| {labels} | {method} | {said} | {gain(method)} | {best} | {gain(best)} | {truth[PLAIN]:.3f} |"
            )
    text += ["", sys.stdin.read().strip(), ""]
    os.makedirs(results, exist_ok=True)
    with open(os.path.join(results, "advise.md"), "w") as file:
        file.write("\n".join(text))
    with open(os.path.join(results, "advise.json"), "w") as file:
        json.dump(records, file, indent=1)
    print("\n".join(text))


parser = argparse.ArgumentParser()
commands = parser.add_subparsers(dest="command", required=True)
of_labels = commands.add_parser("labels")
for name in ("table", "truth", "out", "folder"):
    of_labels.add_argument(name)
of_images = commands.add_parser("images")
for name in ("dataset", "reference", "out"):
    of_images.add_argument(name)
of_report = commands.add_parser("report")
of_report.add_argument("run")
of_report.add_argument("--results", default="results")
arguments = parser.parse_args()
if arguments.command == "labels":
    labels(arguments.table, arguments.truth, arguments.out, arguments.folder)
elif arguments.command == "images":
    images(arguments.dataset, arguments.reference, arguments.out)
else:
    report(arguments.run, arguments.results)
