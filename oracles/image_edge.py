"""Goldens of edges, from OpenCV.

Pinned: opencv-python-headless 5.0.0.93, scipy 1.17.1, numpy 2.4.6.
Run from the repository root: python oracles/image_edge.py
Writes crates/image/tests/goldens/edge.json.
"""

import cv2
import numpy as np
from image_planes import bits, cells, hexes, planes, write

PLANES = planes()
BORDERS = {
    "mirror": cv2.BORDER_REFLECT_101,
    "reflect": cv2.BORDER_REFLECT,
    "replicate": cv2.BORDER_REPLICATE,
    "constant": cv2.BORDER_CONSTANT,
}


def sobel():
    results = []
    for number, (name, plane) in enumerate(PLANES.items()):
        border = list(BORDERS)[number % 4]
        derivative = {
            axis: cv2.Sobel(plane, cv2.CV_16S, int(axis == "x"), int(axis == "y"), borderType=BORDERS[border])
            for axis in "xy"
        }
        results.append({
            "plane": name, "border": border,
            "x": derivative["x"].tolist(), "y": derivative["y"].tolist(),
        })
    return results


def canny():
    """The tall planes have more rows than one band of ours."""
    y, x = np.mgrid[0:140, 0:33]
    rings = np.hypot(y - 70, x - 16)
    pictures = {
        **PLANES,
        "tall cells": cells(140, 43, seed=8),
        "rings": (127 + 120 * np.sin(rings / 2)).astype(np.uint8),
        # A faint vertical line that only its bright end makes an edge, across every band.
        "fading line": np.clip(40 + 10 * (x == 16) + (x == 16) * (y < 3) * 150, 0, 255).astype(np.uint8),
        "coarse": (np.random.default_rng(4).integers(0, 3, (140, 20)) * 9).astype(np.uint8),
    }
    results = []
    for name, picture in pictures.items():
        for low, high in ((0, 0), (50, 150), (20.7, 260.2), (300, 800)):
            if picture.size > 2000 and low in (0, 300):
                continue
            for euclidean in (False, True):
                edges = cv2.Canny(picture, low, high, L2gradient=euclidean)
                results.append({
                    "plane": name, "low": low, "high": high, "euclidean": euclidean,
                    "edges": bits(edges > 0),
                })
    return results, pictures


edges, pictures = canny()
write("edge.json", {
    "planes": {name: hexes(plane) for name, plane in pictures.items()},
    "sobel": sobel(),
    "canny": edges,
})
