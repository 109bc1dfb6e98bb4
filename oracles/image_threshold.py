"""Goldens of thresholds, from OpenCV and scikit-image.

Pinned: opencv-python-headless 5.0.0.93, scikit-image 0.26.0, scipy 1.17.1, numpy 2.4.6.
Run from the repository root: python oracles/image_threshold.py
Writes crates/image/tests/goldens/threshold.json.
"""

import cv2
import numpy as np
from image_planes import bits, cells, hexes, planes, write
from skimage import filters

PLANES = planes()


def otsu():
    results = []
    rng = np.random.default_rng(2)
    pictures = {**PLANES, "cells again": cells(40, 33, 12)}
    for seed in range(12):
        levels = rng.choice(256, rng.integers(2, 9), replace=False)
        pictures[f"sparse {seed}"] = rng.choice(levels, (9, 11)).astype(np.uint8)
    for name, picture in pictures.items():
        opencv, _ = cv2.threshold(picture, 0, 255, cv2.THRESH_OTSU)
        results.append({
            "name": name, "image": hexes(picture), "opencv": int(opencv),
            "scikit-image": int(filters.threshold_otsu(picture)),
            "u16": int(filters.threshold_otsu(picture.astype(np.uint16) * 201)),
            "real": [
                {"bins": bins, "threshold": float(filters.threshold_otsu(
                    np.sqrt(picture.astype(np.float32)), nbins=bins))}
                for bins in (256, 17)
            ],
        })
    return results


def adaptive():
    methods = {"mean": cv2.ADAPTIVE_THRESH_MEAN_C, "Gaussian": cv2.ADAPTIVE_THRESH_GAUSSIAN_C}
    sides = {"bright": cv2.THRESH_BINARY, "dark": cv2.THRESH_BINARY_INV}
    results = []
    for plane_name, plane in PLANES.items():
        for method, method_code in methods.items():
            for side, side_code in sides.items():
                for block, offset in ((3, 0), (5, 2.4), (7, -3.6), (29, 0), (11, 300), (11, -300)):
                    mask = cv2.adaptiveThreshold(plane, 255, method_code, side_code, block, offset)
                    results.append({
                        "plane": plane_name, "method": method, "side": side, "block": block,
                        "offset": offset, "mask": bits(mask > 0),
                    })
    return results


write("threshold.json", {
    "planes": {name: hexes(plane) for name, plane in PLANES.items()},
    "otsu": otsu(),
    "adaptive": adaptive(),
})
