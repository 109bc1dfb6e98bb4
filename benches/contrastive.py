"""Writes results/contrastive.md, .json and .png from the folders of `just contrastive`.

Run: python benches/contrastive.py RUN
RUN holds bench-ENCODER/bench.json and experts-ENCODER/bench.json for each encoder, and the runs of `pretrain` beside them.
Needs matplotlib:
    pip install matplotlib==3.10.8
"""

import datetime
import json
import pathlib
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from claims import shown

COMMAND = "just contrastive"
# Encoders in the order of the picture's legend: pretrained with contrast, without it, and not on these images.
STYLES = {
    "simclr": ("SimCLR, contrastive", "C0", "-"),
    "moco-v3": ("MoCo v3, contrastive", "C9", "-"),
    "barlow-twins": ("Barlow Twins, not contrastive", "C1", "--"),
    "dino": ("DINO, not contrastive", "C3", "--"),
    "from-pixels": ("from pixels and labels at once", "black", "-."),
    "classical": ("classical features", "C2", ":"),
    "efficientnet-lite0": ("EfficientNet-Lite0, ImageNet", "C4", ":"),
    "random": ("random weights", "C7", ":"),
}
PANELS = {"cross-entropy": "plain training", "gce": "GCE, robust"}
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


def rate(noise):
    """The share of wrong labels, in percent."""
    return 0.0 if noise == "none" else 100 * float(noise.split(":")[1])


def picture(of_encoders):
    """A panel for each of two methods, a line with intervals for each encoder."""
    figure, axes = plt.subplots(1, len(PANELS), figsize=(10, 5.2), sharey=True, layout="constrained")
    for axis, (method, title) in zip(axes, PANELS.items()):
        for place, (encoder, (name, colour, line)) in enumerate(STYLES.items()):
            rows = [row for row in of_encoders.get(encoder, []) if row["method"] == method]
            of = [row["balanced_accuracy"] for row in rows]
            # Side by side, so that intervals do not hide each other.
            places = [rate(row["noise"]) + 0.35 * (place - len(STYLES) / 2) for row in rows]
            errors = [[each["value"] - each["low"] for each in of], [each["high"] - each["value"] for each in of]]
            values = [each["value"] for each in of]
            axis.errorbar(places, values, errors, color=colour, linestyle=line, marker="o", markersize=3.5, capsize=2, label=name)
        axis.axhline(0.5, color="grey", linewidth=0.8)
        axis.text(0, 0.502, "chance", color="grey", fontsize=8, va="bottom")
        axis.set_title(title, fontsize=10)
        axis.grid(alpha=0.3)
        axis.set_xticks([rate(noise) for noise in noises])
        axis.set_xlabel("wrong labels, %")
    axes[0].set_ylabel("balanced accuracy against the majority")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
    figure.suptitle("AMi-Br, 5 folds by slide, 95 % intervals over slides", fontsize=11)
    figure.savefig("results/contrastive.png", dpi=110)


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
    "![Balanced accuracy by the rate of wrong labels, a line for each encoder](contrastive.png)",
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
picture(found)
pathlib.Path("results/contrastive.md").write_text("\n".join(lines) + "\n")
pathlib.Path("results/contrastive.json").write_text(json.dumps(claims, indent=1) + "\n")
