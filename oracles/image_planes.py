"""Pictures that the oracles of `cleanslide-image` share: tiny, of odd sizes, without files.

Pinned: numpy 2.4.6, scipy 1.17.1. Imported by oracles/image_*.py; makes nothing by itself.
"""

import json
from pathlib import Path

import numpy as np
from scipy import ndimage

GOLDENS = Path("crates/image/tests/goldens")


def cells(height, width, seed=5):
    """Dark, overlapping, slightly blurred discs on an uneven bright ground, with noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    picture = 210 - 30 * y / height + 12 * np.sin(x / 7)
    for _ in range(max(2, height * width // 180)):
        cy, cx = rng.uniform(0, height), rng.uniform(0, width)
        ry, rx = rng.uniform(2, 6, 2)
        inside = ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1
        picture[inside] = 0.4 * picture[inside] + rng.uniform(10, 80)
    picture = ndimage.gaussian_filter(picture, 0.8) + rng.normal(0, 4, picture.shape)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def planes():
    """Name to u8 plane."""
    rng = np.random.default_rng(3)
    steps = np.zeros((13, 11), np.uint8)
    steps[4:9, 3:8] = 200
    steps[6, 5] = 90
    return {
        "cells": cells(31, 37),
        "noise": rng.integers(0, 256, (17, 23), dtype=np.uint8),
        "few levels": rng.integers(0, 4, (15, 14), dtype=np.uint8) * 60,
        "steps": steps,
        "checkerboard": (np.indices((9, 10)).sum(0) % 2 * 255).astype(np.uint8),
        "flat": np.full((7, 8), 130, np.uint8),
        "one pixel": np.array([[77]], np.uint8),
        "one row": rng.integers(0, 256, (1, 13), dtype=np.uint8),
        "one column": rng.integers(0, 256, (12, 1), dtype=np.uint8),
        "two rows": rng.integers(0, 256, (2, 9), dtype=np.uint8),
    }


def bits(mask):
    """A mask as rows of 0 and 1."""
    return ["".join("1" if bit else "0" for bit in row) for row in np.asarray(mask)]


def hexes(plane):
    """A u8 plane as rows of hexadecimal digits."""
    plane = np.asarray(plane)
    assert plane.dtype == np.uint8
    return [row.tobytes().hex() for row in plane]


def millionths(plane):
    """Numbers as whole millionths, which take less room."""
    return np.rint(np.asarray(plane, np.float64) * 1e6).astype(int).tolist()


def write(name, content):
    GOLDENS.mkdir(parents=True, exist_ok=True)
    path = GOLDENS / name
    path.write_text(json.dumps(content, separators=(",", ":")) + "\n")
    print(path, path.stat().st_size, "bytes")
