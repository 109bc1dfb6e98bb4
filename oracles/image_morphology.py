"""Goldens of morphology, from OpenCV and scikit-image.

Pinned: opencv-python-headless 5.0.0.93, scikit-image 0.26.0, scipy 1.17.1, numpy 2.4.6.
Run from the repository root: python oracles/image_morphology.py
Writes crates/image/tests/goldens/morphology.json.
"""

import cv2
import numpy as np
from image_planes import bits, cells, hexes, planes, write
from skimage import morphology

PLANES = {name: plane for name, plane in planes().items() if name != "noise"}
PLANES["cells"] = cells(21, 25)
PLANES["noise"] = np.random.default_rng(9).integers(0, 256, (14, 19), dtype=np.uint8)


def elements():
    """Sizes are (height, width)."""
    results = []
    for size in ((1, 1), (3, 3), (5, 5), (20, 20), (4, 4), (2, 2), (7, 3), (6, 9), (1, 5), (5, 1), (11, 8)):
        ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, size[::-1])
        results.append({"shape": "ellipse", "size": size, "mask": bits(ellipse)})
    for radius in range(7):
        results.append({"shape": "disk", "radius": radius, "mask": bits(morphology.disk(radius))})
    return results


def custom():
    """Gaps in rows, an empty row, nothing at the anchor."""
    mask = np.array([
        [1, 0, 1, 1, 0, 1, 0],
        [0, 0, 0, 0, 0, 0, 0],
        [0, 1, 1, 0, 0, 0, 1],
        [1, 1, 1, 1, 1, 0, 1],
    ], np.uint8)
    return mask, (1, 4)


def operators():
    mask, anchor = custom()
    shapes = [
        ("rectangle", cv2.getStructuringElement(cv2.MORPH_RECT, (3, 3)), None),
        ("rectangle", cv2.getStructuringElement(cv2.MORPH_RECT, (4, 2)), None),
        ("rectangle", cv2.getStructuringElement(cv2.MORPH_RECT, (9, 25)), None),
        ("ellipse", cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)), None),
        ("ellipse", cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (20, 20)), None),
        ("custom", mask, anchor),
    ]
    names = {
        "erode": cv2.MORPH_ERODE, "dilate": cv2.MORPH_DILATE, "open": cv2.MORPH_OPEN,
        "close": cv2.MORPH_CLOSE, "gradient": cv2.MORPH_GRADIENT,
        "white top hat": cv2.MORPH_TOPHAT, "black top hat": cv2.MORPH_BLACKHAT,
    }
    results = []
    for plane_name, plane in PLANES.items():
        for shape, element, anchor in shapes:
            where = (-1, -1) if anchor is None else anchor[::-1]
            for name, code in names.items():
                if plane_name == "cells" and name not in ("erode", "dilate", "open"):
                    continue
                if plane_name in ("few levels", "checkerboard") and name not in ("open", "close"):
                    continue
                if name in ("open", "close") and shape == "custom":
                    continue
                results.append({
                    "plane": plane_name, "operator": name, "shape": shape,
                    "size": element.shape, "mask": bits(element), "anchor": anchor,
                    "result": hexes(cv2.morphologyEx(plane, code, element, anchor=where)),
                })
    return results


def reconstructions():
    results = []
    for name, plane in PLANES.items():
        for cut, reach in ((20, 8), (60, 4), (60, 8)):
            square = morphology.footprint_rectangle((3, 3))
            footprint = square if reach == 8 else morphology.diamond(1)
            for method in ("dilation", "erosion"):
                rng = np.random.default_rng(cut)
                holes = rng.integers(0, cut * 4, plane.shape) * (rng.random(plane.shape) < 0.7)
                signed = plane.astype(int) + (holes if method == "erosion" else -holes)
                marker = np.clip(signed, 0, 255).astype(np.uint8)
                result = morphology.reconstruction(marker, plane, method, footprint)
                results.append({
                    "plane": name, "marker": hexes(marker), "reach": reach, "method": method,
                    "result": hexes(result.astype(np.uint8)),
                })
    return results


write("morphology.json", {
    "planes": {name: hexes(plane) for name, plane in PLANES.items()},
    "elements": elements(),
    "operators": operators(),
    "reconstructions": reconstructions(),
})
