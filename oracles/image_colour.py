"""Goldens for colour spaces, grey and the roughness map, from OpenCV and scikit-image.

Pinned: opencv-python-headless 5.0.0.93, scikit-image 0.26.0, numpy 2.4.6.
Run from the repository root: python oracles/image_colour.py
Writes crates/image/tests/goldens/colour.json.
"""

import json
from pathlib import Path

import cv2
import numpy as np
from skimage import color


def flat(array, digits=None):
    array = np.asarray(array)
    return (array if digits is None else np.round(array.astype(float), digits)).ravel().tolist()


def roughness(image):
    """scale 50, offset 1, window 11 x 11, sigma 3, mean over channels."""
    image = image.astype(np.float32) / 255
    blurred = cv2.GaussianBlur(image, (11, 11), 3, borderType=cv2.BORDER_REFLECT_101)
    return 50 * np.abs(image - blurred).mean(axis=2) + 1


def main():
    rng = np.random.default_rng(5)
    greys = np.repeat(np.arange(0, 256, 5, dtype=np.uint8)[:, None], 3, axis=1)
    corners = np.array([[r, g, b] for r in (0, 255) for g in (0, 255) for b in (0, 255)], np.uint8)
    dark = rng.integers(0, 12, (60, 3), dtype=np.uint8)
    noise = rng.integers(0, 256, (700, 3), dtype=np.uint8)
    image = np.concatenate([corners, greys, dark, noise])[None]
    # All hues that OpenCV takes, and more.
    hsv = np.concatenate([
        np.stack([np.arange(256), np.full(256, 255), np.full(256, 200)], axis=1),
        rng.integers(0, 256, (500, 3)),
    ]).astype(np.uint8)[None]
    single = image.astype(np.float32) / 255
    lab = color.rgb2lab(image)
    # Some of these colours lie outside sRGB.
    wild = np.stack(
        [rng.uniform(0, 100, 300), rng.uniform(-90, 90, 300), rng.uniform(-90, 90, 300)], axis=1
    ).astype(np.float32)[None]
    texture = rng.integers(0, 256, (13, 17, 3), dtype=np.uint8)
    word = (image.astype(np.uint16) * 257 - 7 * (image > 99)).astype(np.uint16)
    golden = {
        "image": flat(image),
        "hsv_byte": flat(cv2.cvtColor(image, cv2.COLOR_RGB2HSV)),
        "hsv_single": flat(cv2.cvtColor(single, cv2.COLOR_RGB2HSV), 5),
        "from_hsv": flat(hsv),
        "from_hsv_byte": flat(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)),
        "lab": flat(lab, 5),
        "wild": flat(wild),
        "wild_rgb": flat(color.lab2rgb(wild.astype(float)), 6),
        "grey_601": flat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)),
        "grey_601_word": flat(cv2.cvtColor(word, cv2.COLOR_RGB2GRAY)),
        "grey_601_single": flat(cv2.cvtColor(single, cv2.COLOR_RGB2GRAY), 6),
        "grey_709": flat(color.rgb2gray(image), 6),
        "texture": flat(texture),
        "roughness": flat(roughness(texture), 5),
        "roughness_row": flat(roughness(texture[:1, :4]), 5),
    }
    path = Path("crates/image/tests/goldens/colour.json")
    path.write_text(json.dumps(golden, separators=(",", ":")) + "\n")


main()
