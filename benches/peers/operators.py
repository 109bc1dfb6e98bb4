"""The table of image operators: image_regions.py, image_filters.py and image_cloning.py, one after the other.

    cargo build --release -p cleanslide-image --examples
    python benches/peers/operators.py FOLDER [--runs N]

FOLDER has the pictures (blood cells). What the three print is shown as it comes and written, with the
ratios for machines, to results/operators.md and results/operators.json. Each script's head says what it
measures, against which versions, and when it stops because results differ.
"""

import argparse
import datetime
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
RESULTS = HERE.parent.parent / "results"
MEANING = HERE.parent / "operators-meaning.md"
COMMAND = "just bench-operators"
HEAD = """# Image operators against OpenCV, scikit-image, SciPy and torchstain

`{command}`, {date}; {cores} cores, two threads each side, nothing else running; OpenCV 5.0.0, scikit-image
0.26.0, SciPy 1.17.1, torchstain 1.4.1. Ratios are ours / peer, below 1 is better: the median of {runs} pairs of runs
that followed each other [at least 95 % interval]. Results are compared before a time is printed: a run stops if
they differ by more than the script's head says, but for OpenCV's watershed, which is another algorithm: it floods
differences of colour and draws lines. Memory is what a call adds to the process at most.

"""


def run(script, arguments):
    """Shows what the script prints, and gives it back with the ratios."""
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "claims.json"
        command = [sys.executable, str(HERE / script), *arguments, "--json", str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout:
                print(line, end="", flush=True)
                lines.append(line.rstrip("\n"))
        if process.returncode:
            sys.exit(f"{script} stopped with exit code {process.returncode}")
        return lines, json.loads(path.read_text())


def table(lines):
    """A Markdown table of comma-separated lines whose numbers may have commas in brackets."""
    rows, head = [], None
    for line in lines:
        cells = split(line)
        if head is None:
            head = cells
            rows += [cells, ["---", *["---:"] * (len(cells) - 1)]]
        elif len(cells) >= len(head) - 1:
            rows.append(cells)
        else:
            rows.append([line])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def split(line):
    """Cells end at a comma outside brackets; names of operators may have commas before the slash."""
    name, slash, rest = line.partition(" / ")
    line = name.replace(",", "\0") + slash + rest
    cells, depth = [""], 0
    for character in line if slash else line.replace("\0", ","):
        depth += (character in "[(") - (character in "])")
        if character == "," and depth == 0:
            cells.append("")
        else:
            cells[-1] += character
    return [cell.strip().replace("\0", ",") for cell in cells]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=pathlib.Path)
    parser.add_argument("--runs", type=int, default=6)
    options = parser.parse_args()
    pictures = sorted(path for path in options.images.iterdir() if path.suffix in {".jpg", ".png", ".tif"})
    if not pictures:
        sys.exit(f"no pictures in {options.images}")
    runs = ["--runs", str(options.runs)]
    text = HEAD.format(
        command=COMMAND, date=datetime.date.today(), cores=os.cpu_count(), runs=options.runs
    )
    claims = []
    for title, script, arguments in (
        (
            "Regions: 2048 x 2048 pixels, a mosaic of blood smears", "image_regions.py",
            ["--images", str(options.images), *runs],
        ),
        ("Filters: one blood smear, as it is and repeated 4 x 4", "image_filters.py", [str(pictures[0]), *runs]),
        ("Seamless cloning: 100 discs in 640 x 480 pixels, vs OpenCV", "image_cloning.py", runs),
    ):
        print(title)
        lines, ratios = run(script, arguments)
        text += f"## {title}\n\n{table(lines)}\n"
        claims += ratios
    (RESULTS / "operators.md").write_text(text + MEANING.read_text())
    (RESULTS / "operators.json").write_text(json.dumps(claims, indent=1) + "\n")


main()
