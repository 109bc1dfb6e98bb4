"""Goldens for crates/image, group `circle`.

Pinned: opencv-python-headless 5.0.0, numpy 2.4.6.
Run from the repository root: python oracles/image_circle.py
Writes crates/image/tests/goldens/circle.json.

Edges and gradients are OpenCV's own, made as its HoughCircles makes them.
"""

import json
from pathlib import Path

import cv2
import numpy as np

OUT = Path("crates/image/tests/goldens/circle.json")


def scene(rng, shape, circles, noise):
    yy, xx = np.indices(shape)
    image = np.full(shape, 40.0)
    for x, y, radius in circles:
        inside = np.hypot(xx - x, yy - y)
        image += 150 * np.clip(radius - inside + 0.5, 0, 1)
    image += rng.normal(0, noise, shape)
    return image.clip(0, 255).astype(np.uint8)


def case(name, image, high, *settings):
    dx = cv2.Sobel(image, cv2.CV_16S, 1, 0, ksize=3, borderType=cv2.BORDER_REPLICATE)
    dy = cv2.Sobel(image, cv2.CV_16S, 0, 1, ksize=3, borderType=cv2.BORDER_REPLICATE)
    edges = cv2.Canny(dx, dy, max(1, high // 2), high, L2gradient=False) > 0
    golden = []
    for dp, distance, votes, smallest, largest in settings:
        found = cv2.HoughCirclesWithAccumulator(
            image, cv2.HOUGH_GRADIENT, dp, distance, param1=high, param2=votes,
            minRadius=smallest, maxRadius=largest,
        )
        golden.append(dict(
            settings=[dp, distance, votes, smallest, largest],
            circles=[] if found is None else found.reshape(-1, 4).tolist(),
        ))
    y, x = np.nonzero(edges)
    # Only what votes: x, y and the gradient there.
    voters = np.column_stack([x, y, dx[edges], dy[edges]]).ravel().tolist()
    return dict(name=name, size=list(image.shape), voters=voters, golden=golden)


def main():
    rng = np.random.default_rng(5)
    cells = [(20, 18, 9), (47, 22, 11), (30, 44, 8), (58, 50, 12), (5, 40, 10)]
    crowd = [(*rng.uniform(0, 80, 2), rng.uniform(4, 9)) for _ in range(25)]
    common = [(1, 10, 8, 5, 15), (2, 8, 12, 5, 14), (1.5, 12, 10, 3, 20), (1, 1, 3, 2, 30)]
    cases = [
        case("clean", scene(rng, (67, 71), cells, 0), 100, *common),
        case("noisy", scene(rng, (67, 71), cells, 12), 100, *common),
        case("crowd", scene(rng, (81, 79), crowd, 5), 80, *common, (10, 25, 0.1, 7, 15)),
        case("nothing", np.full((9, 12), 7, np.uint8), 100, *common),
        case("thin", scene(rng, (5, 60), [(30, 2, 10)], 3), 60, *common),
    ]
    OUT.write_text(json.dumps(cases, separators=(",", ":")) + "\n")
    print(OUT.stat().st_size, [[len(g["circles"]) for g in c["golden"]] for c in cases])


main()
