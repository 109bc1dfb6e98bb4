"""Writes results/protocol.md, .json and .png from the folders of `just protocol`.

Run: python benches/protocol.py RUN
RUN holds DATA/ENCODER/HEAD/bench.json and robustness.json. Needs matplotlib:
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

COMMAND = "just protocol"
# What the recipe does by default.
METHODS, SEEDS = ["cross-entropy", "mae", "gce", "elr", "agreement"], 4
HEADS = {
    "linear": "linear head, noisy validation",
    "linear-clean": "linear head, clean validation",
    "mlp": "MLP head, noisy validation",
}
run = pathlib.Path(sys.argv[1])
meaning = pathlib.Path("benches/protocol-meaning.md")


def found():
    """Data, encoder, head and the curves of each that is done."""
    for path in sorted(run.glob("*/*/*/robustness.json")):
        head, encoder, data = path.parts[-2], path.parts[-3], path.parts[-4]
        yield data, encoder, head, json.loads(path.read_text())


def beyond(curve):
    half, greatest = curve["half_lost_at"], curve["balanced_accuracy"][-1][0]
    if half is None:
        return "no skill"
    return f"beyond {greatest:.2f}" if half["value"] >= greatest else f"{half['value']:.2f} [{half['low']:.2f}, {half['high']:.2f}]"


def picture(everything):
    """A panel for each kind of noise, a line for each encoder and head of plain training."""
    panels = list(dict.fromkeys((data, curve["noise"]) for data, _, _, curves in everything for curve in curves))
    columns = 3
    rows = -(-len(panels) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(12, 3.6 * rows), sharex=True, sharey=True, squeeze=False, layout="constrained")
    for axis in axes.flat[len(panels):]:
        axis.set_visible(False)
    encoders = list(dict.fromkeys(encoder for _, encoder, _, _ in everything))
    styles = {"linear": "-", "linear-clean": ":", "mlp": "--"}
    for axis, (data, noise) in zip(axes.flat, panels):
        for of, encoder, head, curves in everything:
            for curve in curves:
                if (of, curve["noise"], curve["method"]) != (data, noise, "cross-entropy"):
                    continue
                rates = [100 * rate for rate, _ in curve["balanced_accuracy"]]
                values = [estimate["value"] for _, estimate in curve["balanced_accuracy"]]
                colour = f"C{encoders.index(encoder)}"
                axis.plot(rates, values, styles[head], color=colour, label=f"{encoder}, {HEADS[head]}")
        axis.set_title(f"{data}, noise {noise}", fontsize=10)
        axis.grid(alpha=0.3)
        axis.set_xlabel("wrong labels, %")
        axis.set_ylabel("balanced accuracy")
    named = {}
    for axis in axes.flat:
        named.update(zip(*reversed(axis.get_legend_handles_labels())))
    figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=2, fontsize=8)
    figure.suptitle("Plain training (cross-entropy)")
    figure.savefig("results/protocol.png", dpi=110)


everything = list(found())
seeds = {}
for path in run.glob("*/*/*/bench.json"):
    seeds[path.parts[-4]] = max(line["seeds"] for line in json.loads(path.read_text()))
commands = {}
for data in seeds:
    methods = list(dict.fromkeys(curve["method"] for of, _, _, curves in everything if of == data for curve in curves))
    whole = methods == METHODS and seeds[data] == SEEDS
    commands[data] = COMMAND if whole else f"{COMMAND} {','.join(methods)} {seeds[data]}"
lines = [
    "# Wrong labels from none to nine in ten",
    "",
    f"Commands: {'; '.join(f'`{command}` ({data})' for data, command in sorted(commands.items()))}. Seeds are those of folds, noise and training; 5 folds by case; every figure is out of sample, "
    "against labels without noise, with a 95 % interval over cases (1,000 resamples). Rates 0 to .9 in steps of .1. Skill is 0 "
    "for a guess and 1 without error. `toward:CLASS` calls a share of all other classes this class; `instance` is of hard images, "
    f"the likeliest wrong class. Date {datetime.date.today()}; 2 cores, x86_64.",
    "",
    "![Balanced accuracy over the share of wrong labels](protocol.png)",
]
claims = []
for data in dict.fromkeys(data for data, *_ in everything):
    lines += ["", f"## {data}, {seeds[data]} seeds"]
    kinds = dict.fromkeys(curve["noise"] for of, _, _, curves in everything if of == data for curve in curves)
    for noise in kinds:
        lines += [
            "",
            f"### noise {noise}",
            "",
            "| encoder | head | method | without noise | mean skill over all rates | half of the skill lost at |",
            "|---|---|---|---:|---:|---:|",
        ]
        for of, encoder, head, curves in everything:
            for curve in curves:
                if of != data or curve["noise"] != noise:
                    continue
                start = curve["balanced_accuracy"][0][1]
                lines.append(
                    f"| {encoder} | {HEADS[head]} | {curve['method']} | {shown(start)} | {shown(curve['mean_skill'])} | {beyond(curve)} |"
                )
                what = f"{curve['method']}, {HEADS[head]}, {encoder} encoder, noise {noise}, {data}"
                for claim, estimate, unit in [
                    ("mean skill over noise of 0 to .9", curve["mean_skill"], "skill"),
                    ("rate of noise that costs half of the skill", curve["half_lost_at"], "share"),
                ]:
                    if estimate:
                        claims.append(
                            {
                                "claim": f"{claim}, {what}",
                                **{key: estimate[key] for key in ("value", "low", "high")},
                                "unit": unit,
                                "n": estimate["items"],
                                "command": commands[data],
                            }
                        )
if meaning.exists():
    lines += ["", "## What it means", "", meaning.read_text().strip()]
picture(everything)
pathlib.Path("results/protocol.md").write_text("\n".join(lines) + "\n")
pathlib.Path("results/protocol.json").write_text(json.dumps(claims, indent=1) + "\n")
