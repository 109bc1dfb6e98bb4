"""Goldens of detection metrics: COCO's numbers from pycocotools, FROC from numpy.

Packages: pycocotools 2.0.11, numpy 2.4.6
Run from the repository root: python oracles/eval_detection.py
Writes crates/eval/tests/goldens/detection.json

Coordinates are quarters of pixels, so that [x, y, width, height] and corners give the same IoU digit
for digit.
"""

import contextlib
import io
import json
from pathlib import Path

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def evaluate(case):
    coco = COCO()
    annotations, results = [], []
    for image, content in enumerate(case["images"]):
        for box in content["truth"]:
            left, top, right, bottom = box["corners"]
            width, height = right - left, bottom - top
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=image,
                    category_id=box["class"],
                    bbox=[left, top, width, height],
                    area=box["area"] if box["area"] is not None else width * height,
                    iscrowd=int(box["crowd"]),
                )
            )
        for box in content["found"]:
            left, top, right, bottom = box["corners"]
            results.append(
                dict(
                    image_id=image,
                    category_id=box["class"],
                    bbox=[left, top, right - left, bottom - top],
                    score=box["score"],
                )
            )
    coco.dataset = dict(
        info={},
        images=[dict(id=image) for image in range(len(case["images"]))],
        categories=[dict(id=k) for k in range(case["classes"])],
        annotations=annotations,
    )
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
        if results:
            found = coco.loadRes(results)
        else:
            found = COCO()
            found.dataset = {**coco.dataset, "annotations": []}
            found.createIndex()
        run = COCOeval(coco, found, "bbox")
        run.params.useCats = 0 if case["agnostic"] else 1
        if case["ious"]:
            run.params.iouThrs = np.array(case["ious"])
        if case["limits"]:
            run.params.maxDets = case["limits"]
        run.evaluate()
        run.accumulate()
        if not case["ious"] and not case["limits"]:
            run.summarize()
            case["stats"] = list(run.stats)
    # AP and AR of every class, IoU, range of areas and limit.
    precision = run.eval["precision"].mean(axis=1)  # [T, K, A, M]
    case["precision"] = np.where(precision < 0, -1, precision).round(13).tolist()
    case["recall"] = run.eval["recall"].round(13).tolist()
    if len(case["images"]) > 12:  # keep the file small: areas and limits of the first IoU only
        case["precision"], case["recall"] = case["precision"][:1], case["recall"][:1]
    # Per image counts at IoU t = first threshold, all areas, largest limit, score >= 0.5.
    counts = np.zeros((len(case["images"]), 3))
    froc_scores, froc_hits, froc_false, required = [], [], [], 0
    for entry in run.evalImgs:
        if entry is None or entry["aRng"] != run.params.areaRng[0]:
            continue
        scores = np.array(entry["dtScores"])
        hit = (entry["dtMatches"][0] > 0) & ~entry["dtIgnore"][0].astype(bool)
        false = (entry["dtMatches"][0] == 0) & ~entry["dtIgnore"][0].astype(bool)
        needed = np.count_nonzero(np.array(entry["gtIgnore"]) == 0)
        sure = scores >= 0.5
        counts[entry["image_id"]] += [(hit & sure).sum(), (false & sure).sum(), needed - (hit & sure).sum()]
        required += needed
        froc_scores += scores.tolist()
        froc_hits += hit.tolist()
        froc_false += false.tolist()
    case["counts"] = counts.astype(int).tolist()
    scores, hits, false = map(np.array, (froc_scores, froc_hits, froc_false))
    if required and len(scores):
        levels = np.unique(scores)[::-1]
        sensitivity = [0] + [hits[scores >= level].sum() / required for level in levels]
        rates = [0] + [false[scores >= level].sum() / len(case["images"]) for level in levels]
        at = np.interp([0.125, 0.25, 0.5, 1, 2, 4, 8], rates, sensitivity)
        case["froc"] = dict(sensitivity=sensitivity, rates=rates, at=at.tolist(), mean=at.mean())
    else:
        case["froc"] = None
    return case


def box(rng, extent, class_, smallest=4, largest=200):
    size = np.exp(rng.uniform(np.log(smallest), np.log(largest), 2))
    corner = rng.uniform(0, extent, 2)
    left, top = (np.round(corner * 4) / 4).tolist()
    width, height = (np.maximum(np.round(size * 4), 1) / 4).tolist()
    return dict(corners=[left, top, left + width, top + height], **{"class": int(class_)})


def random_case(name, seed, images, classes, objects, extra, decimals=6, crowd=0.1, extent=300, **other):
    rng = np.random.default_rng(seed)
    content = []
    for _ in range(images):
        truth, found = [], []
        for _ in range(rng.integers(0, objects + 1)):
            one = box(rng, extent, rng.integers(classes))
            area = (one["corners"][2] - one["corners"][0]) * (one["corners"][3] - one["corners"][1])
            one["crowd"] = bool(rng.random() < crowd)
            one["area"] = round(area * rng.uniform(0.5, 1), 2) if rng.random() < 0.5 else None
            truth.append(one)
            for _ in range(rng.integers(0, 4)):
                moved = np.array(one["corners"]).reshape(2, 2)
                side = moved[1] - moved[0]
                moved = moved + np.round(rng.normal(0, 0.1, (2, 2)) * side * 4) / 4
                moved[1] = np.maximum(moved[1], moved[0] + 0.25)
                class_ = one["class"] if rng.random() < 0.9 else int(rng.integers(classes))
                found.append({"corners": moved.ravel().tolist(), "class": class_})
        found += [box(rng, extent, rng.integers(classes)) for _ in range(rng.integers(0, extra + 1))]
        for one in found:
            one["score"] = round(float(rng.random()), decimals)
        rng.shuffle(found)
        content.append(dict(truth=truth, found=found))
    return dict(
        name=name, classes=classes, images=content, agnostic=False, ious=None, limits=None
    ) | other


def truth(corners, class_=0, crowd=False, area=None):
    return {"corners": corners, "class": class_, "crowd": crowd, "area": area}


def found(corners, score, class_=0):
    return {"corners": corners, "class": class_, "score": score}


def by_hand(name, classes, images, **other):
    images = [dict(truth=t, found=f) for t, f in images]
    return dict(
        name=name, classes=classes, images=images, agnostic=False, ious=None, limits=None
    ) | other


A, B, C = [0, 0, 10, 10], [20, 0, 30, 10], [0, 20, 10, 30]
CASES = [
    random_case("mixed", 0, 8, 3, 8, 5),
    random_case("equal scores", 1, 8, 2, 8, 5, decimals=1),
    random_case("crowds", 2, 6, 2, 6, 4, crowd=0.5),
    random_case("agnostic", 3, 6, 3, 6, 4, decimals=1, agnostic=True),
    random_case("other thresholds and limits", 4, 6, 2, 8, 8, ious=[0.1, 0.3, 1.0], limits=[2, 5]),
    random_case("many findings", 5, 2, 1, 40, 100, extent=120, decimals=2),
    by_hand("no truth", 1, [([], [found(A, 0.5)])]),
    by_hand("no findings", 2, [([truth(A)], [])]),
    by_hand("nothing at all", 1, [([], [])]),
    by_hand("only crowds", 1, [([truth(A, crowd=True)], [found(A, 0.5), found(B, 0.4)])]),
    by_hand("exact", 1, [([truth(A), truth(B)], [found(A, 0.9), found(B, 0.8)])]),
    by_hand(
        "equal IoU, equal scores, limits",
        1,
        [
            ([truth(A), truth(A)], [found(A, 0.5)] * 12),
            ([truth(B)], [found(A, 0.5), found(B, 0.5)]),
        ],
    ),
    by_hand(
        "a small IoU with a required object before a large one with a crowd",
        1,
        [([truth([0, 0, 10, 10], crowd=True), truth([0, 0, 10, 6])], [found(A, 0.9), found(A, 0.8)])],
    ),
    by_hand(
        "areas at the ends of ranges, and beyond all",
        1,
        [
            (
                [truth([0, 0, 32, 32]), truth([100, 0, 196, 96]), truth(A, area=2e10)],
                [found([0, 0, 32, 32], 0.9), found([100, 0, 196, 96], 0.8), found(A, 0.7)],
            )
        ],
    ),
    by_hand("zero and negative scores", 1, [([truth(A)], [found(A, -1.0), found(B, 0.0)])]),
]

if __name__ == "__main__":
    cases = [evaluate(case) for case in CASES]
    path = Path("crates/eval/tests/goldens/detection.json")
    path.write_text(json.dumps(cases, separators=(",", ":")) + "\n")
    print(path, path.stat().st_size)
