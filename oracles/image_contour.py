"""Goldens for crates/image, group `contour`.

Pinned: scikit-image 0.26.0, opencv-python-headless 5.0.0, numpy 2.4.6.
Run from the repository root: python oracles/image_contour.py
Writes crates/image/tests/goldens/contour.json.

scikit-image's points are pixel centres at integers: half a pixel less than ours. Points are chosen so
that no pixel centre lies on a side, where the rules differ.
"""

import json
from pathlib import Path

import cv2
import numpy as np
from skimage import draw, measure

OUT = Path("crates/image/tests/goldens/contour.json")


def main():
    rng = np.random.default_rng(11)
    fills = []
    for points, shape in ((3, (9, 13)), (5, (21, 17)), (7, (30, 40)), (12, (40, 33)), (40, (37, 40))):
        for spread in (1.0, 1.6):
            ring = (rng.random((points, 2)) - 0.5) * spread * shape[::-1] + np.array(shape[::-1]) / 2
            ring = np.round(ring, 4) + 0.00003
            mask = draw.polygon2mask(shape, ring[:, ::-1] - 0.5)
            fills.append(dict(
                ring=ring.tolist(),
                mask=["".join("01"[int(pixel)] for pixel in row) for row in mask],
            ))
    simplified = []
    for points, tolerance in ((30, 0.5), (30, 2.0), (80, 1.0), (80, 0.1)):
        angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
        radius = 20 + rng.normal(0, 1.0, points)
        ring = np.round(np.column_stack([radius * np.cos(angle), radius * np.sin(angle)]), 4)
        # Cut where ours is cut: at the first point and at the one farthest from it.
        far = int(np.argmax(np.hypot(*(ring - ring[0]).T)))
        first = measure.approximate_polygon(ring[: far + 1], tolerance)
        second = measure.approximate_polygon(np.vstack([ring[far:], ring[:1]]), tolerance)
        simplified.append(dict(
            ring=ring.tolist(),
            tolerance=tolerance,
            simplified=np.vstack([first[:-1], second[:-1]]).tolist(),
            area=cv2.contourArea(ring.astype(np.float32)),
            perimeter=cv2.arcLength(ring.astype(np.float32), True),
        ))
    OUT.write_text(json.dumps(dict(fills=fills, simplified=simplified), separators=(",", ":")) + "\n")
    print(OUT.stat().st_size)


main()
