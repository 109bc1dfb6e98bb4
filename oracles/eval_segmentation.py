"""Goldens of segmentation metrics: MONAI, StarDist, and published formulas in numpy and SciPy.

Packages: monai 1.6.1, torch 2.9.0, stardist 0.9.2 (its matching needs numpy, scipy, numba, tqdm and
what its __init__ imports, not tensorflow), numpy 2.4.6, scipy 1.17.1
Run from the repository root, each part where its packages are:
  python oracles/eval_segmentation.py instances    writes crates/eval/tests/goldens/instances.json
  python oracles/eval_segmentation.py masks        writes crates/eval/tests/goldens/masks.json
"""

import json
import sys
from pathlib import Path

import numpy as np
from scipy import ndimage
from scipy.optimize import linear_sum_assignment


def blobs(rng, size, count, radius):
    """Discs with numbers that are not consecutive; later ones cover earlier ones."""
    mask = np.zeros(size, int)
    rows, columns = np.indices(size)
    for number in range(count):
        y, x = rng.uniform(0, size[0]), rng.uniform(0, size[1])
        r = rng.uniform(*radius)
        mask[(rows - y) ** 2 + (columns - x) ** 2 < r * r] = 3 * number + 1
    return mask


def shifted(rng, mask, largest):
    """Every object moved by itself."""
    moved = np.zeros_like(mask)
    for number in np.unique(mask)[1:]:
        step = rng.integers(-largest, largest + 1, 2)
        moved[ndimage.shift(mask == number, step, order=0)] = number + 5
    return moved


def runs(mask):
    """Values and lengths of runs in raster order."""
    flat = mask.ravel()
    starts = np.flatnonzero(np.r_[True, flat[1:] != flat[:-1]]) if flat.size else np.array([], int)
    lengths = np.diff(np.r_[starts, flat.size])
    return [flat[starts].tolist(), lengths.tolist()]


def aggregated_jaccard(truth, found):
    """AJI (Kumar 2017, the pairs as in HoVer-Net's code) and AJI+."""
    trues, founds = np.unique(truth[truth > 0]), np.unique(found[found > 0])
    inter = np.array([[((truth == t) & (found == f)).sum() for f in founds] for t in trues])
    inter = inter.reshape(len(trues), len(founds))
    area_t = np.array([(truth == t).sum() for t in trues])
    area_f = np.array([(found == f).sum() for f in founds])
    union = area_t[:, None] + area_f[None, :] - inter
    iou = inter / np.maximum(union, 1)

    def index(pairs):
        above = sum(inter[t, f] for t, f in pairs)
        below = sum(union[t, f] for t, f in pairs)
        below += sum(area_t[t] for t in range(len(trues)) if t not in {p[0] for p in pairs})
        below += sum(area_f[f] for f in range(len(founds)) if f not in {p[1] for p in pairs})
        return [int(above), int(below)]

    if not len(trues) or not len(founds):
        return index([]), index([])
    best = [(t, int(iou[t].argmax())) for t in range(len(trues)) if iou[t].max() > 0]
    rows, columns = linear_sum_assignment(-iou)
    one = [(t, f) for t, f in zip(rows, columns) if iou[t, f] > 0]
    return index(best), index(one)


THRESHOLDS = [0.1, 0.25, 0.5, 0.55, 0.65, 0.75, 0.9]


def instances():
    from stardist.matching import matching

    rng = np.random.default_rng(0)
    empty = np.zeros((7, 9), int)
    one = empty.copy()
    one[2:5, 3:6] = 4
    half = np.array([[1, 1, 2, 2]])
    split = np.array([[3, 3, 3, 3, 8, 8]])
    pairs = {
        "empty": (empty, empty),
        "missed": (one, empty),
        "invented": (empty, one),
        "equal": (one, one),
        "two halves of one": (half, np.full_like(half, 9)),
        "half of it": (np.array([[1, 1]]), np.array([[1, 0]])),
        "split": (split, np.array([[1, 1, 2, 2, 2, 2]])),
        "chain": (np.array([[1, 1, 1, 2, 2, 2, 3, 3, 3]]), np.array([[7, 7, 8, 8, 8, 9, 9, 9, 0]])),
        "equal overlaps": (np.array([[5, 5, 5, 5]]), np.array([[2, 2, 1, 1]])),
    }
    for k, (size, count, radius) in enumerate(
        [((61, 47), 12, (3, 9)), ((80, 96), 40, (2, 8)), ((50, 120), 25, (5, 12)), ((33, 35), 6, (4, 9))]
    ):
        truth = blobs(rng, size, count, radius)
        pairs[f"moved {k}"] = (truth, shifted(rng, truth, 3))
        pairs[f"unrelated {k}"] = (truth, blobs(rng, size, count, radius))
    cases = []
    for name, (truth, found) in pairs.items():
        case = dict(name=name, size=truth.shape, truth=runs(truth), found=runs(found), matching=[])
        for threshold in THRESHOLDS:
            result = matching(truth, found, thresh=threshold)
            case["matching"].append(
                dict(
                    threshold=threshold,
                    tp=int(result.tp),
                    fp=int(result.fp),
                    fn=int(result.fn),
                    accuracy=float(result.accuracy),
                    f1=float(result.f1),
                    panoptic_quality=float(result.panoptic_quality),
                )
            )
        case["aji"], case["aji_plus"] = aggregated_jaccard(truth, found)
        cases.append(case)
    return cases


def edges(mask):
    return mask & ~ndimage.binary_erosion(mask)


def masks():
    import torch
    from monai.metrics import (
        compute_average_surface_distance,
        compute_dice,
        compute_hausdorff_distance,
        compute_iou,
    )

    rng = np.random.default_rng(1)
    classes = 3

    def smooth(size, shift=0.0):
        field = ndimage.gaussian_filter(rng.normal(size=(classes, *size)), (0, 4, 4))
        return field.argmax(0)

    whole = np.ones((6, 5), int)
    dot = np.zeros((9, 11), int)
    dot[0, 0] = 1
    far = np.zeros((9, 11), int)
    far[8, 10] = 1
    pairs = {
        "absent everywhere": (np.zeros((4, 6), int), np.zeros((4, 6), int)),
        "whole image": (whole, whole),
        "corners": (dot, far),
        "missed": (dot, np.zeros_like(dot)),
        "invented": (np.zeros_like(dot), dot),
    }
    for k, size in enumerate([(37, 53), (64, 41), (20, 90)]):
        truth = smooth(size)
        noise = smooth(size)
        pairs[f"unrelated {k}"] = (truth, noise)
        pairs[f"rolled {k}"] = (truth, np.roll(truth, (2, -3), (0, 1)))
        eroded = np.where(ndimage.binary_erosion(truth == 1, iterations=2), 1, 0)
        pairs[f"eroded {k}"] = (truth, eroded)
    cases = []
    for name, (truth, found) in pairs.items():
        one_hot = [
            torch.tensor(np.stack([mask == k for k in range(classes)])[None].astype(np.float64))
            for mask in (found, truth)
        ]
        case = dict(name=name, size=truth.shape, truth=runs(truth), found=runs(found))
        case["confusion"] = [
            [int(((truth == t) & (found == f)).sum()) for f in range(classes)] for t in range(classes)
        ]
        # With ignore_empty=False MONAI says 1 where both are empty.
        case["dice_one"] = compute_dice(*one_hot, ignore_empty=False)[0].tolist()
        case["iou_one"] = compute_iou(*one_hot, ignore_empty=False)[0].tolist()
        case["surfaces"] = []
        for class_ in range(classes):
            a, b = truth == class_, found == class_
            if not a.any() or not b.any():
                case["surfaces"].append(None)
                continue
            pair = [mask[:, class_ : class_ + 1] for mask in one_hot]
            row = {}
            # MONAI's spacing is (rows, columns).
            for key, spacing in [("pixels", (1.0, 1.0)), ("spaced", (0.5, 1.25))]:
                hausdorff = lambda p: float(
                    compute_hausdorff_distance(
                        *pair, include_background=True, percentile=p, spacing=spacing
                    )
                )
                average = float(
                    compute_average_surface_distance(
                        *pair, include_background=True, symmetric=True, spacing=spacing
                    )
                )
                # medpy's definitions, and Csurka's boundary F1, by SciPy.
                ea, eb = edges(a), edges(b)
                to_truth = ndimage.distance_transform_edt(~ea, sampling=spacing)[eb]
                to_found = ndimage.distance_transform_edt(~eb, sampling=spacing)[ea]
                near = [float((d <= 2.0).mean()) for d in (to_truth, to_found)]
                row[key] = dict(
                    hausdorff=hausdorff(None),
                    hausdorff_95=hausdorff(95),
                    average=average,
                    medpy_hd95=float(np.percentile(np.hstack((to_truth, to_found)), 95)),
                    medpy_assd=float((to_truth.mean() + to_found.mean()) / 2),
                    boundary_f1=2 * near[0] * near[1] / sum(near) if sum(near) else 0.0,
                )
            case["surfaces"].append(row)
        cases.append(case)
    return cases


if __name__ == "__main__":
    part = sys.argv[1]
    cases = dict(instances=instances, masks=masks)[part]()
    path = Path(f"crates/eval/tests/goldens/{part}.json")
    path.write_text(json.dumps(cases, separators=(",", ":")) + "\n")
    print(path, path.stat().st_size)
