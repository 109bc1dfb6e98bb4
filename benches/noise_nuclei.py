"""Writes results/noise-nuclei.md and .json from the files that `just noise-nuclei` leaves in a folder.

Needs nothing but Python:
    python benches/noise_nuclei.py FOLDER < MEANING.md
FOLDER holds, for each kind and rate, inject-KIND-RATE.json (`cleanslide inject --json`) and, where there
was an audit, found-KIND-RATE.json (`cleanslide evaluate DATASET issues.csv --json`).
"""

import argparse
import datetime
import glob
import json
import os
import platform
import sys

COMMAND = "just noise-nuclei"

parser = argparse.ArgumentParser()
parser.add_argument("folder")
parser.add_argument("--results", default="results")
arguments = parser.parse_args()


def read(path):
    with open(path) as file:
        return json.load(file)


def share(estimate):
    if estimate is None:
        return "–"
    return f"{estimate['value']:.2f} [{estimate['low']:.2f}, {estimate['high']:.2f}]"


claims, rows = [], []
for path in sorted(glob.glob(os.path.join(arguments.folder, "inject-*.json"))):
    kind, rate = os.path.basename(path)[len("inject-") : -len(".json")].rsplit("-", 1)
    injected = read(path)
    requested, realised = injected["requested_rate"], injected["realised_rate"]
    setting = f"{kind} at {rate} %" if requested is not None else kind
    claims.append(
        {
            "claim": f"realised rate of {setting}, he-nuclei {injected['family']}",
            "value": realised,
            "low": realised,
            "high": realised,
            "unit": "share",
            "n": injected["objects"],
            "command": COMMAND,
        }
    )
    asked = "–" if requested is None else f"{100 * requested:.0f} %"
    cells = [kind, injected["family"], asked, f"{100 * realised:.2f} %"]
    found = os.path.join(arguments.folder, f"found-{kind}-{rate}.json")
    if os.path.exists(found):
        found = read(found)
        estimates = {m["name"]: m.get("estimate") for m in found["measures"]}
        for name in ["precision of flagged", "recall of flagged", "average precision", "by chance"]:
            cells.append(share(estimates[name]))
            if estimates[name] is not None:
                claims.append(
                    {
                        "claim": f"{name}, audit of {setting}, he-nuclei",
                        "value": estimates[name]["value"],
                        "low": estimates[name]["low"],
                        "high": estimates[name]["high"],
                        "unit": "share",
                        "n": found["cases"],
                        "command": COMMAND,
                    }
                )
    else:
        cells += ["–"] * 4
    rows.append(cells)

names = ["noise", "labels", "requested", "realised", "precision", "recall", "average precision", "chance"]
heading, _, meaning = sys.stdin.read().strip().partition("\n")
lines = [
    heading,
    "",
    f"`{COMMAND}`, seed 0, {datetime.date.today()}, {os.cpu_count()} cores ({platform.machine()}).",
    "",
    "| " + " | ".join(names) + " |",
    "|---|---|" + "---:|" * (len(names) - 2),
    *("| " + " | ".join(row) + " |" for row in rows),
    "",
    meaning.strip(),
    "",
]
path = os.path.join(arguments.results, "noise-nuclei")
with open(path + ".md", "w") as file:
    file.write("\n".join(lines))
with open(path + ".json", "w") as file:
    json.dump(claims, file, indent=1)
    file.write("\n")
print(f"{path}.md, {path}.json: {len(claims)} claims")
