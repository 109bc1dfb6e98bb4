"""Writes results/contrastive.md and .json from the folders of `just contrastive`. Needs nothing but Python.

Run: python benches/contrastive.py RUN
RUN holds bench-ENCODER/bench.json and experts-ENCODER/bench.json for each encoder, and the runs of `pretrain` beside them.
"""

import datetime
import json
import pathlib
import sys

from claims import shown

COMMAND = "just contrastive"
run = pathlib.Path(sys.argv[1])
meaning = pathlib.Path("benches/contrastive-meaning.md")


def benches(kind):
    for folder in sorted(run.glob(f"{kind}-*")):
        if (folder / "bench.json").exists():
            yield folder.name.removeprefix(f"{kind}-"), json.loads((folder / "bench.json").read_text())


def settings(encoder):
    metrics = run / encoder / "metrics.jsonl"
    if not metrics.exists():
        return None
    epochs = [json.loads(line) for line in metrics.read_text().splitlines()]
    return epochs


found = dict(benches("bench"))
noises = list(dict.fromkeys(row["noise"] for rows in found.values() for row in rows))
lines = ["# Encoders from images alone, and labels with noise: AMi-Br", ""]
lines += [
    f"Command: `{COMMAND}`. 5 folds by slide, 3,720 patches, the central 64 pixels. "
    "Labels: the majority of three pathologists with uniform noise; every figure is out of sample, against the majority, "
    "with a 95 % interval over slides. Heads are trained by benches/amibr.toml, the same for all encoders; `from-pixels` is a "
    "ResNet-18 that learns from pixels and labels at once (benches/from-pixels.toml), `random` one that has learned nothing. "
    f"Date {datetime.date.today()}; 2 cores, x86_64.",
    "",
    "Balanced accuracy:",
    "",
    "| encoder | method | seeds | " + " | ".join(noises) + " |",
    "|---|---|---:|" + "---:|" * len(noises),
]
claims = []


def claim(row, what):
    of = row["balanced_accuracy"]
    interval = {key: of[key] for key in ("value", "low", "high")}
    name = f"balanced accuracy, {what}, AMi-Br"
    claims.append({"claim": name, **interval, "unit": "balanced accuracy", "n": of["items"], "command": COMMAND})


for encoder, rows in found.items():
    for method in dict.fromkeys(row["method"] for row in rows):
        cells = {row["noise"]: row for row in rows if row["method"] == method}
        values = [shown(cells[noise]["balanced_accuracy"]) if noise in cells else "" for noise in noises]
        seeds = max(row["seeds"] for row in cells.values())
        lines.append(f"| {encoder} | {method} | {seeds} | " + " | ".join(values) + " |")
        for noise, row in cells.items():
            claim(row, f"{encoder}, {method}, noise {noise}")
of_experts = dict(benches("experts"))
if of_experts:
    sources = list(dict.fromkeys(row["labels"] for rows in of_experts.values() for row in rows))
    lines += [
        "",
        "Labels as the pathologists gave them, each alone and all together (shares of votes), against the majority, of which each is a "
        "part:",
        "",
        "| encoder | method | seeds | " + " | ".join(sources) + " |",
        "|---|---|---:|" + "---:|" * len(sources),
    ]
for encoder, rows in of_experts.items():
    for method in dict.fromkeys(row["method"] for row in rows):
        cells = {row["labels"]: row for row in rows if row["method"] == method}
        seeds = max(row["seeds"] for row in cells.values())
        values = [shown(cells[source]["balanced_accuracy"]) for source in sources]
        lines.append(f"| {encoder} | {method} | {seeds} | " + " | ".join(values) + " |")
        for source, row in cells.items():
            claim(row, f"{encoder}, {method}, labels of {source}")
lines += ["", "## Pretraining", "", "| encoder | epochs | loss, first and last | notes of the last epoch |", "|---|---:|---|---|"]
for encoder in found:
    epochs = settings(encoder)
    if epochs:
        first, last = epochs[0], epochs[-1]
        notes = "; ".join(f"{name} {value:.3f}" for name, value in last["notes"].items())
        lines.append(f"| {encoder} | {len(epochs)} | {first['loss']:.3f}, {last['loss']:.3f} | {notes} |")
if meaning.exists():
    lines += ["", "## What it means", "", meaning.read_text().strip()]
pathlib.Path("results/contrastive.md").write_text("\n".join(lines) + "\n")
pathlib.Path("results/contrastive.json").write_text(json.dumps(claims, indent=1) + "\n")
