"""Goldens for seamless cloning, from OpenCV and from a direct solver.

Pinned: opencv-python-headless 5.0.0.93, numpy 2.4.6, scipy 1.17.1.
Run from the repository root: python oracles/image_cloning.py
Writes crates/image/tests/goldens/cloning.json.

`exact` is Poisson's equation on the mask's pixels as in Pérez et al. 2003, assembled pixel by pixel
and solved by sparse LU; missing neighbours beyond the image's border drop out of the sums; its values are those of the
masked pixels in reading order. `opencv` is cv2.seamlessClone with the objects at their own place.
"""

import json
from pathlib import Path

import cv2
import numpy as np
from scipy.sparse import lil_matrix
from scipy.sparse.linalg import splu


def wanted(source, destination, mixed):
    return source if not mixed or abs(source) > abs(destination) else destination


def exact(source, destination, mask, mixed):
    height, width = mask.shape
    number = {place: at for at, place in enumerate(zip(*np.nonzero(mask)))}
    result = destination.astype(float)
    if not number:
        return result
    whole = len(number) == mask.size
    size = len(number) + whole
    matrix = lil_matrix((size, size))
    right = np.zeros((size, 3))
    for (y, x), row in number.items():
        for place in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if not (0 <= place[0] < height and 0 <= place[1] < width):
                continue
            matrix[row, row] += 1
            if place in number:
                matrix[row, number[place]] -= 1
            for c in range(3):
                right[row, c] += wanted(
                    float(source[y, x, c]) - float(source[place][c]),
                    float(destination[y, x, c]) - float(destination[place][c]),
                    mixed,
                )
                if place not in number:
                    right[row, c] += float(destination[place][c])
    if whole:  # The mean is the destination's.
        matrix[-1, :-1] = 1
        matrix[:-1, -1] = 1
        right[-1] = destination.reshape(-1, 3).astype(float).sum(axis=0)
    solution = splu(matrix.tocsc()).solve(right)
    for place, row in number.items():
        result[place] = solution[row]
    return result


def opencv(source, destination, mask, mixed):
    inner = mask.copy()
    inner[[0, -1]] = 0
    inner[:, [0, -1]] = 0
    if not inner.any():
        return destination
    x, y, w, h = cv2.boundingRect(inner.astype(np.uint8))
    if min(w, h) < 3:  # OpenCV fails; there is nothing inside the rectangle.
        return destination
    flags = cv2.MIXED_CLONE if mixed else cv2.NORMAL_CLONE
    mask = mask.astype(np.uint8) * 255
    return cv2.seamlessClone(source, destination, mask, (x + w // 2, y + h // 2), flags)


def textured(rng, height, width, sigma, low, high):
    """Smooth noise, stretched; beyond the range it is cut off so that results saturate somewhere."""
    noise = rng.normal(size=(height, width, 3))
    smooth = cv2.GaussianBlur(noise, (0, 0), sigma) if sigma else noise
    smooth = smooth / max(smooth.std(), 1e-9)
    return np.clip((low + high) / 2 + smooth * (high - low) / 3, 0, 255).astype(np.uint8)


def discs(height, width, circles):
    y, x = np.mgrid[:height, :width]
    mask = np.zeros((height, width), bool)
    for cy, cx, r in circles:
        mask |= (y - cy) ** 2 + (x - cx) ** 2 <= r * r
    return mask


def masks(rng):
    """Name, mask."""
    yield "empty", np.zeros((9, 7), bool)
    yield "one pixel", discs(7, 9, [(3, 4, 0)])
    yield "disc", discs(21, 25, [(10, 12, 8)])
    yield "three discs", discs(28, 24, [(8, 8, 6), (18, 15, 7), (23, 4, 3)])
    yield "at the border", discs(25, 19, [(3, 3, 7), (24, 10, 6), (12, 18, 4)])
    strip = np.zeros((13, 21), bool)
    strip[4:10] = True
    yield "from side to side", strip
    most = np.ones((15, 17), bool)
    most[5, 11] = False
    yield "all but one pixel", most
    yield "whole image", np.ones((11, 8), bool)
    yield "random", rng.random((17, 18)) < 0.6
    y, x = np.mgrid[:10, :11]
    yield "checkerboard", (y + x) % 2 == 0
    yield "one row", np.array([[0, 1, 1, 0, 1, 1, 1]], bool)
    yield "one pixel in all", np.ones((1, 1), bool)


def main():
    rng = np.random.default_rng(3)
    cases = []
    for name, mask in masks(rng):
        height, width = mask.shape
        source = textured(rng, height, width, 1.5, 20, 220)
        destination = textured(rng, height, width, 4, 90, 250)
        case = {
            "name": name,
            "shape": [height, width],
            "source": source.ravel().tolist(),
            "destination": destination.ravel().tolist(),
            "mask": mask.astype(int).ravel().tolist(),
        }
        for mixed in (False, True):
            key = "mixed" if mixed else "normal"
            solution = exact(source, destination, mask, mixed)
            case[f"exact_{key}"] = np.round(solution[mask], 2).ravel().tolist()
            # OpenCV cannot take images without inner pixels.
            if min(height, width) >= 3:
                result = opencv(source, destination, mask, mixed)
                case[f"opencv_{key}"] = result.ravel().tolist()
        cases.append(case)
    path = Path("crates/image/tests/goldens/cloning.json")
    path.write_text(json.dumps(cases, separators=(",", ":")) + "\n")


main()
