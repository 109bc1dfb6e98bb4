"""Goldens for the spatial noise injectors.

Pinned: scikit-image 0.26.0, scipy 1.17.1, numpy 2.4.6.
Run from the repository root: python oracles/spatial_noise.py
Writes crates/weak/tests/goldens/spatial_noise.json.

- Larger and smaller objects: scikit-image's expand_labels and erosion with a disk. A pixel equally
  near to several objects is scipy's choice in expand_labels, so such pixels are marked.
- Split objects: the long axis from numpy's eigenvectors of the pixels' covariance.
- Markov border noise: the published formula (Yao et al., ICLR 2023, definition 1, with the smoothing
  that follows it) in numpy, on a disc, many times over: means and standard deviations of the area, of
  the largest part's area, of the Dice coefficient with the disc, and of the number of border pixels.
"""

import json
from pathlib import Path

import numpy as np
from scipy import ndimage
from skimage import measure, morphology, segmentation

RUNS = 400


def blobs(rng, height, width, count):
    """Ellipses that may touch each other and the border, numbered without gaps."""
    labels = np.zeros((height, width), int)
    rows, columns = np.mgrid[:height, :width]
    for number in range(1, count + 1):
        y, x = rng.uniform(0, height), rng.uniform(0, width)
        long, short = rng.uniform(3, 7), rng.uniform(1, 4)
        angle = rng.uniform(0, np.pi)
        along = (rows - y) * np.sin(angle) + (columns - x) * np.cos(angle)
        across = (rows - y) * np.cos(angle) - (columns - x) * np.sin(angle)
        inside = (along / long) ** 2 + (across / short) ** 2 <= 1
        labels[inside & (labels == 0)] = number
    return segmentation.relabel_sequential(labels)[0]


def edge_cases():
    one = np.zeros((5, 7), int)
    one[2, 3] = 1
    full = np.ones((3, 4), int)
    beside = np.zeros((6, 9), int)
    beside[1:5, 1:4], beside[1:5, 5:8] = 1, 2
    touching = np.zeros((7, 8), int)
    touching[1:6, 0:4], touching[1:6, 4:8] = 1, 2
    return [one, full, beside, touching]


def expanded(labels, radius):
    grown = segmentation.expand_labels(labels, radius)
    distances = np.array(
        [ndimage.distance_transform_edt(labels != n) for n in range(1, labels.max() + 1)]
    )
    ties = (np.isclose(distances, distances.min(axis=0)).sum(axis=0) > 1) & (labels == 0)
    return {"radius": radius, "labels": grown.tolist(), "ties": np.argwhere(ties).tolist()}


def eroded(labels, radius):
    left = np.zeros_like(labels)
    for number in range(1, labels.max() + 1):
        inside = morphology.erosion(labels == number, morphology.disk(radius), mode="ignore")
        left[inside] = number
    return {"radius": radius, "labels": left.tolist()}


def split(labels):
    """Which pixels are on one side of the cut, and which are too close to it to tell."""
    side, unsure = np.zeros_like(labels), np.zeros(labels.shape, bool)
    clear = []
    for number in range(1, labels.max() + 1):
        pixels = np.argwhere(labels == number)
        if len(pixels) < 2:
            continue
        offsets = pixels - pixels.mean(axis=0)
        values, vectors = np.linalg.eigh(offsets.T @ offsets)
        if values[1] - values[0] < 1e-6 * values[1]:
            continue
        along = offsets @ vectors[:, 1]
        clear.append(number)
        side[tuple(pixels.T)] = along > 0
        unsure[tuple(pixels.T)] = np.abs(along) < 1e-6
    return {"clear": clear, "side": side.tolist(), "unsure": np.argwhere(unsure).tolist()}


def beside(mask):
    """Pixels that share an edge with the mask and are not of it."""
    return ndimage.binary_dilation(mask) & ~mask


def markov(mask, steps, growth, change, flips, rng):
    mask = mask.copy()
    for _ in range(steps):
        border = beside(mask) if rng.random() < growth else beside(~mask)
        mask ^= border & (rng.random(mask.shape) < change)
    mask ^= rng.random(mask.shape) < flips
    offsets = np.arange(-2, 3)
    kernel = np.exp(-(offsets**2) / 8)
    kernel = np.outer(kernel, kernel) / kernel.sum() ** 2
    return ndimage.convolve(mask.astype(float), kernel, mode="mirror") > 0.5


def disc(side, radius):
    rows, columns = np.mgrid[:side, :side] - (side - 1) / 2
    return rows**2 + columns**2 <= radius**2


def statistics(side, radius, setting):
    rng = np.random.default_rng(3)
    true = disc(side, radius)
    rows = []
    for _ in range(RUNS):
        noisy = markov(true, *setting, rng)
        parts = measure.label(noisy, connectivity=2)
        largest = np.bincount(parts.ravel())[1:].max()
        dice = 2 * (true & noisy).sum() / (true.sum() + noisy.sum())
        rows.append([noisy.sum(), largest, dice, beside(~noisy).sum()])
    rows = np.array(rows, float)
    steps, growth, change, flips = setting
    return {
        "side": side,
        "radius": radius,
        "steps": steps,
        "growth": growth,
        "change": change,
        "flips": flips,
        "runs": RUNS,
        "means": rows.mean(axis=0).tolist(),
        "deviations": rows.std(axis=0, ddof=1).tolist(),
    }


def main():
    rng = np.random.default_rng(11)
    masks = edge_cases() + [blobs(rng, 31, 27, 9), blobs(rng, 24, 40, 14)]
    cases = [
        {
            "labels": labels.tolist(),
            "expanded": [expanded(labels, radius) for radius in (1.0, 1.5, 2.0, 3.3, 6.0)],
            "eroded": [eroded(labels, radius) for radius in (1, 2, 3)],
            "split": split(labels),
        }
        for labels in masks
    ]
    settings = [
        (96, 20.5, (180, 0.8, 0.05, 0.2)),
        (64, 12.5, (60, 0.8, 0.05, 0.2)),
        (64, 20.5, (60, 0.2, 0.05, 0.0)),
        (64, 15.5, (40, 0.5, 0.1, 0.1)),
    ]
    golden = {"cases": cases, "markov": [statistics(*setting) for setting in settings]}
    path = Path("crates/weak/tests/goldens/spatial_noise.json")
    path.write_text(json.dumps(golden, separators=(",", ":")) + "\n")


main()
