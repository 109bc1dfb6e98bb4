"""Goldens for the fusion of boxes: ensemble-boxes 1.0.9 (numpy 2.4.6, numba).

    python oracles/fusion_boxes.py

writes crates/weak/tests/goldens/fusion_boxes.json. Run from the repository root. Boxes are left, top,
right, bottom from 0 to 1; scores differ all, because ensemble-boxes has no rule for equal ones. Scores of
soft-NMS are the lowered ones, which its public function drops: they come from the function inside.
"""

import itertools
import json
from pathlib import Path

import numpy as np
from ensemble_boxes import nms, non_maximum_weighted, weighted_boxes_fusion
from ensemble_boxes.ensemble_boxes_nms import cpu_soft_nms_float

OUT = Path("crates/weak/tests/goldens/fusion_boxes.json")
CONFIDENCES = ("avg", "max", "box_and_model_avg", "absent_model_aware_avg")


def views(rng, count, objects, boxes, classes, jitter):
    """Each view finds some objects, some of them twice, with jitter."""
    corners = rng.uniform(0.05, 0.75, (objects, 2))
    sizes = rng.uniform(0.05, 0.2, (objects, 2))
    kinds = rng.integers(0, classes, objects)
    scores = rng.permutation(np.linspace(0.05, 0.98, count * boxes))
    found = []
    for view in range(count):
        chosen = rng.integers(0, objects, boxes)
        low = corners[chosen] + rng.normal(0, jitter, (boxes, 2))
        size = sizes[chosen] * rng.uniform(0.85, 1.15, (boxes, 2))
        found.append({
            "boxes": np.hstack([low, low + size]).clip(0.001, 0.999).round(6).tolist(),
            "scores": scores[view * boxes:(view + 1) * boxes].round(6).tolist(),
            "classes": kinds[chosen].tolist(),
        })
    return found


def lists(found):
    return (
        [view["boxes"] for view in found],
        [view["scores"] for view in found],
        [view["classes"] for view in found],
    )


def answer(boxes, scores, labels):
    order = np.argsort(-np.asarray(scores), kind="stable")
    return {
        "boxes": np.asarray(boxes)[order].tolist(),
        "scores": np.asarray(scores)[order].tolist(),
        "classes": np.asarray(labels)[order].astype(int).tolist(),
    }


def soft(found, method, overlap, sigma, lowest):
    boxes, scores, classes = (np.concatenate(part) for part in lists(found))
    rows = []
    for kind in np.unique(classes):
        chosen = classes == kind
        left = scores[chosen].copy()
        keep = cpu_soft_nms_float(
            boxes[chosen].copy(), left, Nt=overlap, sigma=sigma, thresh=lowest, method=method
        )
        lowered = left[left > lowest]
        rows += [(b, s, kind) for b, s in zip(boxes[chosen][keep], lowered)]
    return answer(*map(list, zip(*rows)))


def main():
    rng = np.random.default_rng(5)
    sets = {
        "four views": views(rng, 4, 8, 25, 3, 0.01),
        "far apart": views(rng, 3, 12, 9, 2, 0.04),
        "one view": views(rng, 1, 6, 20, 1, 0.01),
    }
    sets["an empty view"] = [
        sets["far apart"][0], {"boxes": [], "scores": [], "classes": []}, sets["far apart"][1]
    ]
    sets["one box"] = [{"boxes": [[0.1, 0.2, 0.4, 0.7]], "scores": [0.6], "classes": [4]}]
    # ensemble-boxes' own example.
    sets["example"] = [
        {
            "boxes": [
                [0.00, 0.51, 0.81, 0.91], [0.10, 0.31, 0.71, 0.61], [0.01, 0.32, 0.83, 0.93],
                [0.02, 0.53, 0.11, 0.94], [0.03, 0.24, 0.12, 0.35],
            ],
            "scores": [0.9, 0.8, 0.2, 0.4, 0.7], "classes": [0, 1, 0, 1, 1],
        },
        {
            "boxes": [
                [0.04, 0.56, 0.84, 0.92], [0.12, 0.33, 0.72, 0.64], [0.38, 0.66, 0.79, 0.95],
                [0.08, 0.49, 0.21, 0.89],
            ],
            "scores": [0.5, 0.81, 0.71, 0.3], "classes": [1, 1, 0, 0],
        },
    ]
    golden = {"sets": sets, "wbf": [], "nmw": [], "nms": [], "soft": []}
    for name, found in sets.items():
        unequal = [2.0, 1.0, 0.5, 0.0][:len(found)]
        for confidence, weights in itertools.product(CONFIDENCES, (None, unequal)):
            for overlap, lowest, overflow in ((0.55, 0.0, False), (0.3, 0.2, True)):
                # Clusters of boxes that score 0 give NaN there.
                safe = [max(w, 0.25) for w in weights] if weights else None
                found_boxes = weighted_boxes_fusion(
                    *lists(found), weights=safe, iou_thr=overlap, skip_box_thr=lowest,
                    conf_type=confidence, allows_overflow=overflow,
                )
                golden["wbf"].append({
                    "set": name, "confidence": confidence, "weights": safe, "overlap": overlap,
                    "lowest": lowest, "overflow": overflow, **answer(*found_boxes),
                })
                if confidence == "avg":
                    golden["nmw"].append({
                        "set": name, "weights": safe, "overlap": overlap, "lowest": lowest,
                        **answer(*non_maximum_weighted(
                            *lists(found), weights=safe, iou_thr=overlap, skip_box_thr=lowest
                        )),
                    })
        arrays = [
            [np.array(part).reshape(shape) for part in parts]
            for parts, shape in zip(lists(found), ((-1, 4), (-1,), (-1,)))
        ]
        for overlap in (0.5, 0.2):
            golden["nms"].append({
                "set": name, "overlap": overlap, **answer(*nms(*arrays, iou_thr=overlap)),
            })
        full = [view for view in found if view["boxes"]]
        for method, overlap, sigma in ((1, 0.3, 0.5), (1, 0.6, 0.5), (2, 0.5, 0.5), (2, 0.5, 0.1)):
            golden["soft"].append({
                "set": name, "method": method, "overlap": overlap, "sigma": sigma, "lowest": 0.05,
                **soft(full, method, overlap, sigma, 0.05),
            })

    def short(value):
        if isinstance(value, float):
            return float(f"{value:.9g}")
        if isinstance(value, dict):
            return {key: short(entry) for key, entry in value.items()}
        return [short(entry) for entry in value] if isinstance(value, list) else value

    text = json.dumps(short(golden), separators=(",", ":"))
    OUT.write_text(text + "\n")
    print(f"{OUT}: {len(text)} bytes")


main()
