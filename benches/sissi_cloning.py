"""What an epoch of blurred images costs over one of images as they are, in `train --method sissi`.

    cargo build --release
    python benches/sissi_cloning.py BINARY DATA [--json PATH]     (nothing but Python)

DATA is a dataset of boxes, runs/sissi-weak/data of `just sissi-weak`; run it from the root of the project. Labels are
corrected once, after the first epoch. An epoch's time is the difference of trainings of 8 and of 2 epochs, over six;
the two backgrounds alternate, with two threads.

Prints name, blurred, kept, ratio (medians; the ratio with its interval).
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent / "peers"))
import paired

SHORT, LONG, PAIRS = 2, 8, 6
BACKGROUNDS = {"kept": '{ name = "kept" }', "weak": '{ name = "blurred", kernel = 21 }',
               "strong": '{ name = "blurred", kernel = 71, sigma = 30.0 }'}

parser = argparse.ArgumentParser()
parser.add_argument("binary")
parser.add_argument("data")
parser.add_argument("--json", type=pathlib.Path)
arguments = parser.parse_args()
recipe = pathlib.Path("benches/sissi.toml").read_text()


def replaced(text, old, new):
    assert old in text, old
    return text.replace(old, new)


def seconds(background, epochs):
    text = replaced(recipe, "epochs = 16", f"epochs = {epochs}")
    text = replaced(text, "validation = 0.2", "validation = 0.0")
    correction = '[correction]\nstart = { name = "epoch", epoch = 1 }\nscales = [1.0]\nturns = "none"\nevery = 100\n'
    text = replaced(text, "[correction]\nevery = 2\n", f"{correction}background = {BACKGROUNDS[background]}\n")
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "recipe.toml"
        path.write_text(text)
        command = [arguments.binary, "train", arguments.data, "--recipe", path, "--out", f"{folder}/run",
                   "--threads", "2", "--json"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)["seconds"]


def epoch(background):
    return (seconds(background, LONG) - seconds(background, SHORT)) / (LONG - SHORT)


times = [{background: epoch(background) for background in BACKGROUNDS} for _ in range(PAIRS)]
claims = []
print("name, blurred, kept, ratio")
for background in ("weak", "strong"):
    blurred, kept = ([of[side] for of in times] for side in (background, "kept"))
    line = paired.claim(f"time of an epoch with {background} blur over one without, bccd at a quarter of its size",
                        "time ratio", blurred, kept, "just sissi-cloning")
    claims.append(line)
    print(f"an epoch, {background} blur, {statistics.median(blurred):.2f} s, {statistics.median(kept):.2f} s, {paired.show(line)}")
paired.write(arguments.json, claims)
