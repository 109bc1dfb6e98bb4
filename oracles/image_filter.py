"""Goldens of the filters, from OpenCV, SciPy and scikit-image.

Pinned: opencv-python-headless 5.0.0.93, scipy 1.17.1, scikit-image 0.26.0,
numpy 2.4.6.
Run from the repository root: python oracles/image_filter.py
Writes crates/image/tests/goldens/filter.json (Gaussian) and filter_windows.json (the others).
"""

import cv2
import numpy as np
from image_planes import cells, hexes, millionths, planes, write
from scipy import ndimage
from skimage import exposure

PLANES = planes()
OPENCV = {
    "mirror": cv2.BORDER_REFLECT_101,
    "reflect": cv2.BORDER_REFLECT,
    "replicate": cv2.BORDER_REPLICATE,
    "constant": cv2.BORDER_CONSTANT,
}
SCIPY = {"mirror": "mirror", "reflect": "reflect", "replicate": "nearest", "constant": "constant"}


def gaussian():
    """Sizes and sigmas are (vertical, horizontal); sigma 0 is OpenCV's default of the size."""
    by_size, by_sigma = [], []
    settings = [
        ((3, 3), (0, 0), "mirror"), ((5, 9), (0, 0), "mirror"), ((21, 21), (0, 0), "mirror"),
        ((5, 5), (1.2, 0.7), "reflect"), ((7, 7), (1.5, 1.5), "replicate"),
        ((9, 3), (2.0, 0.9), "constant"), ((1, 11), (0, 2.5), "mirror"),
    ]
    for name, plane in PLANES.items():
        for size, sigma, border in settings:
            if name not in ("one row", "one column", "one pixel", "noise") and size[0] in (1, 7, 9):
                continue
            case = {"plane": name, "size": size, "sigma": sigma, "border": border}
            for kind, picture in (("u8", plane), ("f32", plane.astype(np.float32) / 256)):
                blurred = cv2.GaussianBlur(
                    picture, size[::-1], sigmaX=sigma[1], sigmaY=sigma[0],
                    borderType=OPENCV[border],
                )
                case[kind] = millionths(blurred) if kind == "f32" else hexes(blurred)
            by_size.append(case)
    for name in ("cells", "one row", "one pixel"):
        for sigma, truncate, border in (
            ((1.0, 1.0), 4.0, "reflect"), ((0.4, 3.1), 3.0, "mirror"), ((2.5, 0.0), 4.0, "constant"),
            ((5.0, 9.0), 4.0, "replicate"),
        ):
            picture = PLANES[name] / 256
            blurred = ndimage.gaussian_filter(picture, sigma, truncate=truncate, mode=SCIPY[border])
            by_sigma.append({
                "plane": name, "sigma": sigma, "truncate": truncate, "border": border,
                "f64": millionths(blurred),
            })
    rgb = np.dstack([cells(11, 9, seed) for seed in (1, 2, 3)])
    colour = {
        "image": rgb.tolist(),
        "millionths": millionths(cv2.GaussianBlur(rgb.astype(np.float32) / 256, (5, 7), 0)),
    }
    return {"by size": by_size, "by sigma": by_sigma, "colour": colour}


def median():
    results = []
    for name, plane in PLANES.items():
        for size in (3, 5, 15):
            results.append({
                "plane": name, "size": size, "border": "replicate",
                "result": hexes(cv2.medianBlur(plane, size)),
            })
        for size, border in ((3, "reflect"), (9, "mirror")):
            blurred = ndimage.median_filter(plane, size=size, mode=SCIPY[border])
            results.append({
                "plane": name, "size": size, "border": border, "result": hexes(blurred),
            })
    return results


def bilateral():
    """d = 2 radius + 1."""
    results = []
    for name, plane in PLANES.items():
        for radius, colour, space, border in (
            (4, 75, 75, "mirror"), (2, 20, 3, "replicate"), (3, 200, 1.5, "reflect"),
        ):
            smooth = cv2.bilateralFilter(plane, 2 * radius + 1, colour, space, borderType=OPENCV[border])
            results.append({
                "plane": name, "radius": radius, "sigma_colour": colour, "sigma_space": space,
                "border": border, "result": hexes(smooth),
            })
    image = np.dstack([cells(19, 15, seed) for seed in (1, 2, 3)])
    smooth = cv2.bilateralFilter(image, 7, 60, 4)
    return results, {"image": image.tolist(), "result": smooth.tolist()}


def clahe():
    results = []
    for name, plane in PLANES.items():
        for clip, tiles in ((40, (8, 8)), (2, (3, 4)), (0, (2, 2)), (15, (20, 20)), (3.7, (1, 1))):
            equalised = cv2.createCLAHE(clipLimit=clip, tileGridSize=tiles[::-1]).apply(plane)
            results.append({
                "plane": name, "clip": clip, "tiles": tiles, "result": hexes(equalised),
            })
    return results


def gamma():
    """`down` is truncation by NumPy's assignment to bytes."""
    levels = np.arange(256, dtype=np.uint8)[np.newaxis]
    results = []
    for value in (1.5, 0.4, 1.0, 2.2):
        down = np.empty((1, 256), np.uint8)
        for level in range(256):
            down[0, level] = pow(level / 255.0, value) * 255.0
        nearest = exposure.adjust_gamma(levels, value)
        results.append({"gamma": value, "down": hexes(down), "nearest": hexes(nearest)})
    return results


NAMED = {name: hexes(plane) for name, plane in PLANES.items()}
write("filter.json", {"planes": NAMED, "gaussian": gaussian()})
grey, colour = bilateral()
write("filter_windows.json", {
    "planes": NAMED, "median": median(), "bilateral": grey, "bilateral of colours": colour,
    "clahe": clahe(), "gamma": gamma(),
})
