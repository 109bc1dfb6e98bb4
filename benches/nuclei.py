"""Writes results/train-nuclei.{md,json}, the curves and a picture of predictions.

    python benches/nuclei.py RUNS DATA --json PATH     (numpy 2.3.4, pillow 13.0.0, matplotlib 3.11.2)

RUNS is the folder of `just train-nuclei`.
"""

import argparse
import csv
import datetime
import json
import os
import pathlib
import platform
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

sys.path.insert(0, str(pathlib.Path(__file__).parent / "peers"))
from nuclei_events import scalars  # noqa: E402

COMMAND = "just train-nuclei"


def outlined(image, objects, colour):
    """An image with the borders of objects."""
    border = np.zeros(objects.shape, bool)
    border[:-1] |= objects[:-1] != objects[1:]
    border[:, :-1] |= objects[:, :-1] != objects[:, 1:]
    result = image.copy()
    result[border] = colour
    return result


def read(path):
    return np.asarray(Image.open(path))


def pictures(runs, data, path):
    """Every 27th image: as it is, as labelled, and as each side predicts it."""
    with (runs / "unet/predictions/masks.csv").open(newline="") as file:
        ours = {row["item"]: runs / "unet/predictions" / row["file"] for row in csv.DictReader(file)}
    chosen = sorted(ours)[::27]
    rows = []
    for name in chosen:
        image = np.asarray(Image.open(data / "images" / f"{name}.png").convert("RGB"))
        rows.append(
            [
                image,
                outlined(image, read(data / "instances_corrected" / f"{name}.png"), [255, 255, 0]),
                outlined(image, read(ours[name]), [0, 255, 255]),
                outlined(image, read(runs / "pytorch/masks" / f"{name}.png"), [255, 255, 255]),
            ]
        )
    titles = ["image", "corrected labels", "Cleanslide", "PyTorch"]
    figure, axes = plt.subplots(len(rows), 4, figsize=(13, 2.65 * len(rows)), layout="constrained")
    for line, row in zip(axes, rows):
        for place, picture in zip(line, row):
            place.imshow(picture)
            place.axis("off")
    for place, title in zip(axes[0], titles):
        place.set_title(title, fontsize=11)
    figure.savefig(path, dpi=80, pil_kwargs={"quality": 85})


def curves(runs, path):
    """Validation Dice over the minutes of each fold, both sides."""
    theirs = json.loads((runs / "pytorch/curves.json").read_text())
    figure, place = plt.subplots(figsize=(8, 4.2), layout="constrained")
    for number, part in enumerate(sorted(theirs)):
        own = scalars(runs / "unet" / part, "validation Dice")
        label = (lambda name: name if number == 0 else None)
        place.plot(*zip(*own), color="#0b7285", alpha=0.7, lw=1.4, label=label("Cleanslide"))
        place.plot(*zip(*theirs[part]), color="#e8590c", alpha=0.7, lw=1.4, ls="--", label=label("PyTorch"))
    place.set_xlabel("minutes of training of a fold, 2 cores")
    place.set_ylabel("Dice on validation images\n(mean of inside and border)")
    place.set_ylim(0, 1)
    place.grid(alpha=0.3)
    place.legend(loc="lower right")
    figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("runs", type=pathlib.Path)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--json", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    runs = arguments.runs
    sides = {"Cleanslide": "ours.json", "PyTorch": "pytorch.json"}
    claims, columns = [], {}
    for side, name in sides.items():
        source = json.loads((runs / name).read_text())["sources"][0]
        for measure in source["measures"]:
            estimate = measure.get("estimate")
            if estimate is None:
                continue
            figure = f"{estimate['value']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]"
            columns.setdefault(measure["name"], {})[side] = figure
            claims.append(
                {
                    "claim": f"{measure['name']}, U-Net by {side} against corrected labels, he-nuclei, out of sample by field",
                    "value": estimate["value"],
                    "low": estimate["low"],
                    "high": estimate["high"],
                    "unit": "share",
                    "n": source["images"],
                    "command": COMMAND,
                }
            )
    theirs = json.loads((runs / "pytorch/curves.json").read_text())
    minutes, epochs = {}, {}
    for part in sorted(theirs):
        own = scalars(runs / "unet" / part, "validation Dice")
        minutes.setdefault("Cleanslide", []).append(own[-1][0])
        minutes.setdefault("PyTorch", []).append(theirs[part][-1][0])
        epochs.setdefault("Cleanslide", []).append(len(own))
        epochs.setdefault("PyTorch", []).append(len(theirs[part]))
    for side, values in minutes.items():
        claims.append(
            {
                "claim": f"median time of a fold, U-Net by {side}, he-nuclei, other work beside",
                "value": float(np.median(values)),
                "low": None,
                "high": None,
                "unit": "minutes",
                "n": len(values),
                "command": COMMAND,
            }
        )
    name = arguments.json.with_suffix("")
    curves(runs, f"{name}-curves.png")
    pictures(runs, arguments.data, f"{name}.jpg")
    lines = [
        "# A U-Net that finds nuclei, and the same in PyTorch",
        "",
        f"`{COMMAND}`, seed 0, {datetime.date.today()}, {os.cpu_count()} cores ({platform.machine()}), two threads each.",
        "107 tiles of he-nuclei with corrected labels, of 27 fields of view; five folds by field; figures against the",
        "corrected labels of images that the network did not see, 95 % intervals over fields.",
        "",
        "| | " + " | ".join(sides) + " |",
        "|---|" + "---:|" * len(sides),
    ]
    for measure, figures in columns.items():
        lines.append(f"| {measure} | " + " | ".join(figures.get(side, "") for side in sides) + " |")
    for what, values, form in [("minutes of a fold", minutes, ".1f"), ("epochs of a fold", epochs, "d")]:
        cells = [f"{min(values[side]):{form}} to {max(values[side]):{form}}" for side in sides]
        lines.append(f"| {what} | " + " | ".join(cells) + " |")
    lines += [
        "",
        f"![Validation Dice over minutes]({name.name}-curves.png)",
        "",
        f"![Images, labels and predictions]({name.name}.jpg)",
        "",
        (pathlib.Path(__file__).parent / "nuclei-meaning.md").read_text().strip(),
        "",
    ]
    name.with_suffix(".md").write_text("\n".join(lines))
    arguments.json.write_text(json.dumps(claims, indent=1) + "\n")


if __name__ == "__main__":
    main()
