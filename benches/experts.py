"""Writes results/<name>.md and results/<name>.json from the bench.json files of `cleanslide bench` of class masks.

Needs nothing but Python:
    python benches/experts.py NAME BENCH.json... --data TITLE --command COMMAND --minutes N < MEANING.md
"""

import argparse
import datetime
import json
import os
import platform
import sys

from claims import share, shown

parser = argparse.ArgumentParser()
parser.add_argument("name")
parser.add_argument("benches", nargs="+", help="files, each after a name of its network and = if it is not its own")
parser.add_argument("--data", required=True, help="what the masks are of, for the claims")
parser.add_argument("--command", required=True)
parser.add_argument("--minutes", type=float, required=True, help="that all trainings took")
parser.add_argument("--results", default="results")
arguments = parser.parse_args()


def load(named):
    name, _, path = named.rpartition("=")
    with open(path) as file:
        bench = json.load(file)
    for line in bench["lines"]:
        line["network"] = name or line["network"]
    return bench


benches = [load(path) for path in arguments.benches]
lines = [line for bench in benches for line in bench["lines"]]
first = benches[0]
claims = []


def claim(text, estimate, images):
    claims.append(share(text, estimate, images, arguments.command))


baseline = lines[0]["method"]
for line in lines:
    what = f"{line['network']}, {line['method']}"
    for figures in line["figures"]:
        against = f"against {figures['truth']}, {arguments.data}"
        claim(f"Dice, {what} {against}", figures["dice"], first["images"])
        claim(f"F1 of objects, {what} {against}", figures["f1"], first["images"])
        if figures["dice_gain"]:
            gain = f"{line['method']} over {baseline}, {line['network']}, {against}"
            claim(f"gain in Dice, {gain}", figures["dice_gain"], first["images"])
            claim(f"gain in F1 of objects, {gain}", figures["f1_gain"], first["images"])

truths = [figures["truth"] for figures in lines[0]["figures"]]
text = [
    f"`{arguments.command}`, seeds 0 to {first['seeds'] - 1}, {datetime.date.today()}, {os.cpu_count()} cores "
    f"({platform.machine()}), {arguments.minutes:.0f} minutes in all.",
    "",
    f"Against {truths[0]}, out of sample, {first['images']} images, {first['folds']} folds; means over "
    f"{first['seeds']} seeds, 95 % intervals over images; gains are over `{baseline}`, paired by image.",
    "",
    "| network | method | Dice | gain | F1 of objects | gain |",
    "|---|---|---:|---:|---:|---:|",
]
for line in lines:
    figures = line["figures"][0]
    text.append(
        f"| {line['network']} | `{line['method']}` | {shown(figures['dice'])} | {shown(figures['dice_gain'], '+')} "
        f"| {shown(figures['f1'])} | {shown(figures['f1_gain'], '+')} |"
    )
text += [
    "",
    "Dice against each expert:",
    "",
    "| network | method | " + " | ".join(truths[1:]) + " |",
    "|---|---|" + "---:|" * len(truths[1:]),
]
for line in lines:
    cells = (shown(figures["dice"]) for figures in line["figures"][1:])
    text.append(f"| {line['network']} | `{line['method']}` | " + " | ".join(cells) + " |")
heading, _, meaning = sys.stdin.read().strip().partition("\n")
path = os.path.join(arguments.results, arguments.name)
with open(path + ".md", "w") as file:
    file.write("\n".join([heading, "", *text, "", meaning.strip(), ""]))
with open(path + ".json", "w") as file:
    json.dump(claims, file, indent=1)
    file.write("\n")
print(f"{path}.md, {path}.json: {len(claims)} claims")
