"""Goldens for crates/data, group `formats_coco`: run-length masks.

Pinned: pycocotools 2.0.11, numpy 2.4.6.
Run from the repository root: python oracles/formats_coco.py
Writes crates/data/tests/goldens/formats_coco.json.

Masks are given by their runs, which `mask.encode` made from pixels of a seeded generator.
"""

import json
from pathlib import Path

import numpy as np
from pycocotools import mask as coco

OUT = Path("crates/data/tests/goldens/formats_coco.json")


def case(name, mask):
    encoded = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert (coco.decode(encoded) == mask).all()
    flat = mask.ravel(order="F").astype(int)
    changes = np.flatnonzero(np.diff(np.concatenate([[0], flat]))).tolist()
    return dict(
        name=name,
        size=list(mask.shape),
        # Where the value changes, the first pixel being compared with background.
        changes=changes,
        text=encoded["counts"].decode(),
        area=int(coco.area(encoded)),
        bounds=coco.toBbox(encoded).tolist(),
    )


def main():
    rng = np.random.default_rng(11)
    cases = [
        case("nothing", np.zeros((5, 7), bool)),
        case("everything", np.ones((5, 7), bool)),
        case("one pixel", np.ones((1, 1), bool)),
        case("one column", rng.random((37, 1)) < 0.5),
        case("one row", rng.random((1, 41)) < 0.5),
    ]
    corner = np.zeros((6, 9), bool)
    corner[0, 0] = corner[-1, -1] = True
    cases.append(case("corners", corner))
    across = np.zeros((6, 9), bool)
    across[3:, 2] = across[:, 3] = across[:1, 4] = True
    cases.append(case("a run over columns", across))
    for height, width, share in [(13, 17, 0.5), (64, 50, 0.02), (31, 97, 0.97)]:
        cases.append(case(f"noise {share}", rng.random((height, width)) < share))
    yy, xx = np.indices((700, 900))
    blob = np.hypot(xx - 400, (yy - 300) * 1.5) < 250
    cases.append(case("a large ellipse", blob))
    stripes = np.zeros((2000, 1000), bool)
    stripes[:, 500:] = True
    stripes[7, :500:3] = True
    cases.append(case("long runs", stripes))
    OUT.write_text(json.dumps(cases, separators=(",", ":")) + "\n")
    print(OUT, OUT.stat().st_size)


main()
