"""Writes results/complementary.md and results/complementary.json: few class masks, and diagnoses of all other cases (no packages).

    python benches/complementary.py LIVER CELLS --minutes N < MEANING.md

LIVER and CELLS are studies of `just complementary`: data/, and bench-05/, bench-10/, … for the percent of the cases with masks.
MEANING.md has the heading, what was done, a line `---`, and what it means.
"""

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

from claims import shown

CLEANSLIDE = Path(os.environ.get("CARGO_TARGET_DIR", "target")) / "release/cleanslide"
COMMAND = "just complementary"
# Those that the recipe asks for by default.
SEEDS = 3
MEASURES = ["Dice", "Dice of tumours", "false tumour", "cases, balanced accuracy", "cases, AUROC"]

parser = argparse.ArgumentParser()
parser.add_argument("liver", type=Path)
parser.add_argument("cells", type=Path)
parser.add_argument("--minutes", type=float, required=True)
asked = parser.parse_args()


def benches(study):
    """Of each share of the cases with masks, in percent, the bench."""
    found = {int(path.name.removeprefix("bench-")): path for path in study.glob("bench-*")}
    return {share: (path, json.loads((path / "bench.json").read_text())) for share, path in sorted(found.items())}


def of_classes(run, data):
    """The Dice coefficient of each class, of a run."""
    command = [CLEANSLIDE, "evaluate", data, run, "--reference", "truth", "--json"]
    found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    measures = found["sources"][0]["measures"]
    dice = {of["name"].removeprefix("Dice of "): of for of in measures if of["name"].startswith("Dice of ")}
    return {name: of["estimate"]["value"] if "estimate" in of else None for name, of in dice.items()}


claims = []


def study(name, folder, measures, tumours):
    """The tables of a study."""
    rows, classes, header = [], [], None
    for share, (path, bench) in benches(folder).items():
        seeds = bench["seeds"]
        command = COMMAND if seeds == SEEDS else f'{COMMAND} "{" ".join(map(str, range(seeds)))}"'
        for line in bench["lines"]:
            of = line["measures"]
            cells = [f"{share} %", line["method"], str(seeds)]
            for measure in measures:
                cells += [shown(of[measure]["value"]), shown(of[measure]["gain"], "+")]
                claim = f"gain in {measure}, {line['method']} over masks alone, masks of {share} % of the cases, {name}"
                if of[measure]["gain"]:
                    interval = {key: of[measure]["gain"][key] for key in ("value", "low", "high")}
                    judged = bench["cases" if measure.startswith("cases") else "images"]
                    claims.append({"claim": claim, **interval, "unit": "share", "n": judged, "command": command})
            rows.append(cells)
            runs = sorted((path / line["method"]).glob("seed-*"))[:seeds]
            dice = [of_classes(run, folder / "data") for run in runs]
            header = list(dice[0])
            known = {of: [run[of] for run in dice if run[of] is not None] for of in header}
            means = [f"{sum(values) / len(values):.3f}" if values else "" for values in known.values()]
            classes.append([f"{share} %", line["method"], *means])
    names = ["masks of", "method", "seeds"] + [column for measure in measures for column in (tumours.get(measure, measure), "gain")]
    return bench, table(names, rows), table(["masks of", "method", *header], classes)


def table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


liver, liver_rows, liver_classes = study("simulated liver", asked.liver, MEASURES, {})
words = {"Dice of tumours": "Dice of cells", "false tumour": "false cell"}
cells, cells_rows, cells_classes = study("live-dead-cells", asked.cells, MEASURES[:3], words)
heading, _, meaning = sys.stdin.read().partition("\n---\n")
machine = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
report = f"""{heading.strip()}

`{COMMAND}`, {datetime.date.today()}; {machine}, {asked.minutes:.0f} minutes for all trainings, two at a time.

## Two tumours of simulated liver

{liver["images"]} images of {liver["cases"]} cases for test. Means over seeds, 95 % intervals over cases; gains are paired, over masks alone. False tumour
is the share of the pixels without tumour that are predicted to be one; a case without a call is called wrongly.

{liver_rows}

Dice of each class, means over seeds:

{liver_classes}

## Living and dead cells

{cells["images"]} images for test, each a case of its own: nobody says which are of one culture. False cell is the share of the pixels outside cells
that are predicted to be one.

{cells_rows}

Dice of each class, means over seeds:

{cells_classes}

{meaning.strip()}
"""
Path("results/complementary.md").write_text(report)
Path("results/complementary.json").write_text(json.dumps(claims, indent=1) + "\n")
