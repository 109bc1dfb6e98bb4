"""How much less plain training loses to noise on embeddings than from pixels, paired, with an interval over slides.

Run: python benches/contrastive_gap.py RUN VOTES     (folders of `just contrastive`, votes.csv of AMi-Br)
Needs numpy. Prints points of balanced accuracy.
"""

import csv
import pathlib
import sys

import numpy as np

run = pathlib.Path(sys.argv[1])
votes = {row["file"]: row for row in csv.DictReader(open(sys.argv[2]))}
slides = sorted({row["slide"] for row in votes.values()})
place = {slide: at for at, slide in enumerate(slides)}
REPLICATES = 2000


def counts(encoder, noise):
    """Right and all of each class on each slide, `[slides, 2, 2]`, over seeds."""
    all = np.zeros((len(slides), 2, 2))
    for path in (run / f"bench-{encoder}" / "cells").glob(f"*__{noise}__cross-entropy__*.csv"):
        for row in csv.DictReader(open(path)):
            of = votes[row["image"]]
            cell = all[place[of["slide"]], int(of["majority"] == "atypical")]
            cell += [row["predicted"] == of["majority"], 1]
    return all


def lost(cells, weights):
    right, all = (np.tensordot(weights, cells[..., at], 1) for at in (0, 1))
    return right / all


rng = np.random.default_rng(0)
draws = [np.bincount(rng.integers(0, len(slides), len(slides)), minlength=len(slides)) for _ in range(REPLICATES)]
whole = np.ones(len(slides))


def loss(encoder, weights):
    none, noisy = (lost(cells[encoder, noise], weights).mean() for noise in ("none", "uniform_0.4"))
    return 100 * (none - noisy)


encoders = ["simclr", "moco-v3", "barlow-twins", "classical"]
cells = {(encoder, noise): counts(encoder, noise) for encoder in [*encoders, "from-pixels"] for noise in ("none", "uniform_0.4")}
for encoder in encoders:
    gap = [loss("from-pixels", weights) - loss(encoder, weights) for weights in [whole, *draws]]
    low, high = np.percentile(gap[1:], [2.5, 97.5])
    print(f"{encoder}: from pixels {loss('from-pixels', whole):.1f}, here {loss(encoder, whole):.1f} lost; {gap[0]:+.1f} [{low:+.1f}, {high:+.1f}]")
