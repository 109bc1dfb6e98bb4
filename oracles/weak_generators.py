"""Goldens of the three SISSI labellers, from OpenCV, scikit-image and a plain Find Maxima.

opencv-python-headless 5.0.0.93, scikit-image 0.26.0, scipy 1.17.1, numpy 2.4.6. Run from the root of
the repository; writes crates/weak/tests/goldens/generators.json and the images beside it.

The labellers follow the published description and numbers (arXiv:2208.03327 and its code), written
anew from the operators of these libraries. Two things differ on purpose from the published code, as
the documentation of the crate says: grey is computed from red, green and blue in this order, and
reconstruction takes the lesser of two grey levels, not their bits.

The images are made here: cells of several kinds under uneven light, with noise from a fixed seed.
"""

import json
from pathlib import Path

import cv2
import numpy as np
from scipy import ndimage
from skimage import color, feature, measure, morphology, segmentation

HEIGHT, WIDTH = 240, 320


def picture(seed):
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    grey = 130.0 + 25.0 * x / WIDTH - 15.0 * y / HEIGHT
    placed = []
    while len(placed) < 26:
        cx, cy, radius = random.uniform(20, WIDTH - 20), random.uniform(20, HEIGHT - 20), random.uniform(8, 15)
        if any(np.hypot(cx - px, cy - py) < radius + pr + 1 for px, py, pr in placed):
            continue
        placed.append((cx, cy, radius))
        away = np.hypot(x - cx, y - cy)
        if len(placed) % 3:
            grey += 75.0 * np.exp(-((away / (0.75 * radius)) ** 4))
            grey -= 45.0 * np.exp(-(((away - radius) / 1.8) ** 2))
        else:
            grey -= 70.0 * (away < radius)
    grey = ndimage.gaussian_filter(grey, 0.8) + random.normal(0, 2.0, grey.shape)
    rgb = np.stack([grey + 4, grey, grey - 6], axis=-1)
    return np.clip(np.round(rgb), 0, 255).astype(np.uint8)


def boxes_apart(boxes):
    """Greedy, the last box first; an overlap of 0.15 is too much."""
    kept = []
    for box in reversed(boxes):
        left, top, right, bottom = box
        clear = True
        for other in kept:
            width = max(0, min(right, other[2]) - max(left, other[0]))
            height = max(0, min(bottom, other[3]) - max(top, other[1]))
            common = width * height
            union = (right - left) * (bottom - top) + (other[2] - other[0]) * (other[3] - other[1]) - common
            clear &= common / union < 0.15
        if clear:
            kept.append(box)
    return kept


def dead(rgb):
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    circles = cv2.HoughCircles(grey, cv2.HOUGH_GRADIENT, 10, 25, param1=100, param2=0.1, minRadius=7, maxRadius=15)
    found = []
    for x, y, radius in np.round(np.atleast_2d(np.squeeze(circles))).astype(int):
        reach = radius + 10
        found.append([max(x - reach, 0), max(y - reach, 0), min(x + reach, WIDTH), min(y + reach, HEIGHT)])
    return found


def inhibited(rgb):
    grey = color.rgb2gray(rgb)
    # The published code filters real numbers; this one bytes, as the crate does.
    grey = np.floor(grey * 255 + 0.5).astype(np.uint8)
    background = grey.copy()
    for width in range(3, 100, 2):
        element = cv2.getStructuringElement(cv2.MORPH_RECT, (width, 10))
        background = cv2.morphologyEx(background, cv2.MORPH_OPEN, element)
        background = cv2.morphologyEx(background, cv2.MORPH_CLOSE, element)
    even = grey - 0.9 * background + 0.9 * background.mean()
    edges = feature.canny(even / 255.0, sigma=0.1)
    closed = cv2.morphologyEx(edges.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((2, 2), np.uint8))
    boxes = []
    for region in measure.regionprops(measure.label(closed, connectivity=2)):
        top, left, bottom, right = region.bbox
        if 400 <= region.area_bbox <= 80_000:
            boxes.append([left, top, right, bottom])
    return boxes_apart(boxes)


def find_maxima(image, prominence):
    """ImageJ's rule on an image without equal neighbouring maxima: from the highest down, a maximum
    counts unless the flood within `prominence` below it meets something higher or an earlier flood."""
    candidates = np.argwhere((image == ndimage.maximum_filter(image, 3)) & (image > image.min()))
    order = np.argsort(-image[tuple(candidates.T)], kind="stable")
    flooded = np.zeros(image.shape, bool)
    peaks = []
    for y, x in candidates[order]:
        if flooded[y, x]:
            continue
        level = image[y, x]
        parts, _ = ndimage.label(image >= level - prominence, np.ones((3, 3)))
        part = parts == parts[y, x]
        if image[part].max() > level or (flooded & part).any():
            continue
        flooded |= part
        peaks.append((y, x))
    return peaks


def alive(rgb):
    table = np.floor((np.arange(256) / 255.0) ** 1.5 * 255.0).astype(np.uint8)
    hsv = cv2.cvtColor(cv2.LUT(rgb, table), cv2.COLOR_RGB2HSV)
    hsv[..., 2] = cv2.createCLAHE(clipLimit=15.0, tileGridSize=(20, 20)).apply(hsv[..., 2])
    colour = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    grey = cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY)

    smooth = cv2.bilateralFilter(cv2.medianBlur(grey, 5), 9, 75, 75)
    dark = cv2.adaptiveThreshold(smooth, 255, cv2.ADAPTIVE_THRESH_GAUSSIAN_C, cv2.THRESH_BINARY_INV, 29, 0)
    borders = morphology.skeletonize(dark > 0)

    lengths = np.hypot(cv2.Sobel(grey, cv2.CV_64F, 1, 0), cv2.Sobel(grey, cv2.CV_64F, 0, 1))
    magnitude = ((lengths - lengths.min()) * 255 / (lengths.max() - lengths.min())).astype(np.uint8)

    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (20, 20))
    opened = morphology.reconstruction(cv2.erode(grey, ellipse), grey, "dilation").astype(np.uint8)
    dilated = np.maximum(cv2.dilate(opened, ellipse), grey)
    closed = morphology.reconstruction(dilated, grey, "erosion").astype(np.uint8)
    smooth = cv2.morphologyEx(closed, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    level, _ = cv2.threshold(smooth, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    cells = smooth > level

    marker = np.where(borders | cells, 0.0, np.inf)
    relief = morphology.reconstruction(marker, np.minimum(magnitude / 255.0 + 1.0, marker), "erosion")
    seeds = np.zeros(grey.shape, bool)
    for y, x in find_maxima(colour.astype(float).sum(axis=2) / 3.0, 50):
        seeds[y, x] = True
    basins = segmentation.watershed(relief, measure.label(seeds, connectivity=1), mask=cells)
    boxes = []
    for region in measure.regionprops(basins):
        top, left, bottom, right = region.bbox
        left, top, right, bottom = left - 2, top - 2, right + 1, bottom + 1
        inside = left >= 0 and top >= 0 and right < WIDTH and bottom < HEIGHT
        if inside and 400 <= (right - left) * (bottom - top) <= 1500:
            boxes.append([left, top, right, bottom])
    return boxes_apart(boxes)


folder = Path("crates/weak/tests/goldens")
cases = []
for seed in [1, 2]:
    name = f"generators-{seed}.png"
    rgb = picture(seed)
    cv2.imwrite(str(folder / name), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    cases.append(
        {
            "image": name,
            "dead": dead(rgb),
            "inhibited": inhibited(rgb),
            "alive": alive(rgb),
        }
    )

text = json.dumps({"cases": cases}, default=int)
(folder / "generators.json").write_text(text + "\n")
print(len(text), {key: [len(case[key]) for case in cases] for key in ("dead", "inhibited", "alive")})
