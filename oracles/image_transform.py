"""Goldens for flips, turns and affine warps, from numpy and OpenCV.

Pinned: opencv-python-headless 5.0.0.93, numpy 2.4.6.
Run from the repository root: python oracles/image_transform.py
Writes crates/image/tests/goldens/transform.json.
"""

import json
from pathlib import Path

import cv2
import numpy as np

BORDERS = {
    "mirror": cv2.BORDER_REFLECT_101,
    "reflect": cv2.BORDER_REFLECT,
    "replicate": cv2.BORDER_REPLICATE,
    "constant": cv2.BORDER_CONSTANT,
}
TURNS = {
    "identity": lambda a: a,
    "flip_horizontal": lambda a: cv2.flip(a, 1),
    "flip_vertical": lambda a: cv2.flip(a, 0),
    "quarter": lambda a: np.rot90(a),
    "half": lambda a: np.rot90(a, 2),
    "three_quarters": lambda a: np.rot90(a, 3),
    "transpose": lambda a: a.T,
    "transverse": lambda a: np.rot90(a, 2).T,
}
# The matrices refer to pixel centres; none puts a centre near an edge, where nearest is a toss-up.
MATRICES = [
    cv2.getRotationMatrix2D((5.3, 4.1), 31, 1.13).tolist(),
    [[0.71, 0.13, -2.37], [-0.21, 1.37, 3.41]],
    [[2.3, 0, 0.37], [0, 0.61, -1.13]],
]


def flat(array):
    return array.ravel().tolist()


def main():
    rng = np.random.default_rng(11)
    turned = np.arange(12).reshape(3, 4)
    turned = {name: np.asarray(turn(turned.astype(np.uint8))).tolist() for name, turn in TURNS.items()}
    warps = []
    for height, width in [(9, 13), (1, 7), (1, 1)]:
        byte = rng.integers(0, 256, (height, width), dtype=np.uint8)
        single = rng.random((height, width), dtype=np.float32)
        for matrix in MATRICES:
            size = [11, 14]
            for border, flag in BORDERS.items():
                # Written by OpenCV in version 5: linear interpolation with exact weights.
                options = {
                    "M": np.array(matrix),
                    "dsize": (size[1], size[0]),
                    "borderMode": flag,
                }
                linear = {**options, "flags": cv2.INTER_LINEAR}
                nearest = {**options, "flags": cv2.INTER_NEAREST}
                warps.append({
                    "shape": [height, width],
                    "byte": flat(byte),
                    "single": flat(single),
                    "matrix": matrix,
                    "size": size,
                    "border": border,
                    "byte_linear": flat(cv2.warpAffine(byte, borderValue=77, **linear)),
                    "byte_nearest": flat(cv2.warpAffine(byte, borderValue=77, **nearest)),
                    "single_linear": np.round(
                        cv2.warpAffine(single, borderValue=0.25, **linear).astype(float), 6
                    ).ravel().tolist(),
                })
    rotation = [
        {"degrees": degrees, "matrix": cv2.getRotationMatrix2D((3, 7), degrees, 1).tolist()}
        for degrees in (0, 30, 90, -145.5)
    ]
    path = Path("crates/image/tests/goldens/transform.json")
    golden = {"turns": turned, "warps": warps, "rotations": rotation}
    path.write_text(json.dumps(golden, separators=(",", ":")) + "\n")


main()
