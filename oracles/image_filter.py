"""Goldens of the filters, from OpenCV and SciPy.

Pinned: opencv-python-headless 5.0.0.93, scipy 1.17.1, numpy 2.4.6.
Run from the repository root: python oracles/image_filter.py
Writes crates/image/tests/goldens/filter.json.
"""

import cv2
import numpy as np
from image_planes import cells, millionths, planes, write
from scipy import ndimage

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
                case[kind] = millionths(blurred) if kind == "f32" else blurred.tolist()
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


write("filter.json", {
    "planes": {name: plane.tolist() for name, plane in PLANES.items()},
    "gaussian": gaussian(),
})
