"""Writes results/<name>.md and results/<name>.json from `cleanslide evaluate --json` of boxes or masks.

Needs nothing but Python:
    python benches/shapes.py NAME EVALUATION.json --data TITLE --command COMMAND < MEANING.md
"""

import argparse
import datetime
import json
import os
import platform
import sys

parser = argparse.ArgumentParser()
parser.add_argument("name")
parser.add_argument("evaluation")
parser.add_argument("--data", required=True, help="what the labels are of, for the claims")
parser.add_argument("--command", required=True)
parser.add_argument("--results", default="results")
arguments = parser.parse_args()
with open(arguments.evaluation) as file:
    evaluation = json.load(file)

claims = []
names = [measure["name"] for measure in evaluation["sources"][0]["measures"]]
rows = []
for source in evaluation["sources"]:
    cells = []
    for measure in source["measures"]:
        estimate = measure.get("estimate")
        if estimate is None:
            cells.append("undefined")
            continue
        claims.append(
            {
                "claim": f"{measure['name']}, {source['source']} against {evaluation['truth']}, {arguments.data}",
                "value": estimate["value"],
                "low": estimate["low"],
                "high": estimate["high"],
                "unit": "px" if ", px" in measure["name"] else "share",
                "n": source["images"],
                "command": arguments.command,
            }
        )
        cells.append(f"{estimate['value']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]")
    rows.append([source["source"], str(source["images"]), *cells])

lines = [
    f"`{arguments.command}`, seed 0, {datetime.date.today()}, {os.cpu_count()} cores ({platform.machine()}).",
    "",
    "| " + " | ".join(["source", "images", *names]) + " |",
    "|---|" + "---:|" * (len(names) + 1),
    *("| " + " | ".join(row) + " |" for row in rows),
    "",
]
heading, _, meaning = sys.stdin.read().strip().partition("\n")
path = os.path.join(arguments.results, arguments.name)
with open(path + ".md", "w") as file:
    file.write("\n".join([heading, "", *lines, meaning.strip(), ""]))
with open(path + ".json", "w") as file:
    json.dump(claims, file, indent=1)
    file.write("\n")
print(f"{path}.md, {path}.json: {len(claims)} claims")
