"""Goldens for STAPLE on masks: SimpleITK 2.5.7 (ITK 5.4), numpy 2.4.6.

    python oracles/fusion_staple.py

writes crates/weak/tests/goldens/fusion_staple.json. Run from the repository root.

Binary cases come from `STAPLEImageFilter`. Cases with several classes come from
`MultiLabelSTAPLEImageFilter` where its first vote has no ties. Where it has, ITK counts a tied pixel in
the next row of its table (ITK's pull request 6579); there the golden is the algorithm written out below
in double precision without that fault, and the script stops unless the same code with the fault agrees
with SimpleITK.
"""

import json
from pathlib import Path

import numpy as np
import SimpleITK as sitk

OUT = Path("crates/weak/tests/goldens/fusion_staple.json")


def blobs(rng, shape, classes):
    """Smooth regions of classes."""
    field = rng.random((shape[0] // 4 + 2, shape[1] // 4 + 2))
    field = np.kron(field, np.ones((4, 4)))[: shape[0], : shape[1]]
    return np.digitize(field, np.linspace(0, 1, classes + 1)[1:-1]).astype(np.uint8)


def experts(rng, truth, classes, accuracy):
    masks = []
    for share in accuracy:
        wrong = (truth + rng.integers(1, classes, truth.shape)) % classes
        right = rng.random(truth.shape) < share
        masks.append(np.where(right, truth, wrong).astype(np.uint8))
    return masks


def images(masks):
    return [sitk.GetImageFromArray(mask) for mask in masks]


def rows(mask):
    return ["".join(str(int(pixel)) for pixel in row) for row in mask]


def binary(name, masks, weight=1.0, iterations=100_000):
    staple = sitk.STAPLEImageFilter()
    staple.SetForegroundValue(1)
    staple.SetConfidenceWeight(weight)
    staple.SetMaximumIterations(iterations)
    probability = sitk.GetArrayFromImage(staple.Execute(images(masks)))
    assert np.isfinite(probability).all(), name
    return {
        "name": name,
        "masks": [rows(mask) for mask in masks],
        "confidence_weight": weight,
        "iterations": iterations,
        "elapsed": staple.GetElapsedIterations(),
        "sensitivity": list(staple.GetSensitivity()),
        "specificity": list(staple.GetSpecificity()),
        "probability": probability.tolist(),
    }


def votes(masks, classes):
    """The majority at each pixel, `classes` where it is tied."""
    counts = np.stack([sum(mask == k for mask in masks) for k in range(classes)])
    winner = counts.argmax(axis=0)
    tied = (counts == counts.max(axis=0)).sum(axis=0) > 1
    return np.where(tied, classes, winner)


def multi_label(masks, classes, fault, threshold=1e-5):
    """Table [experts, classes + 1, classes] and posterior of the algorithm of ITK."""
    seed = votes(masks, classes)
    tables = np.zeros((len(masks), classes + 1, classes))
    for table, mask in zip(tables, masks):
        flat = table.reshape(-1)
        for vote, truth in zip(mask.ravel(), seed.ravel()):
            if truth < classes or fault:
                flat[int(vote) * classes + int(truth)] += 1
    sums = tables.sum(axis=2, keepdims=True)
    tables = np.divide(tables, sums, out=tables.copy(), where=sums > 0)
    prior = np.bincount(np.concatenate([m.ravel() for m in masks]), minlength=classes)
    prior = prior / prior.sum()

    def expect():
        weights = np.broadcast_to(prior, (*masks[0].shape, classes)).copy()
        for table, mask in zip(tables, masks):
            weights *= table[mask]
        sums = weights.sum(axis=2, keepdims=True)
        return np.divide(weights, sums, out=weights, where=sums > 0)

    for _ in range(100_000):
        weights = expect()
        update = np.zeros_like(tables)
        for table, mask in zip(update, masks):
            np.add.at(table, mask.ravel(), weights.reshape(-1, classes))
        sums = update.sum(axis=1, keepdims=True)
        update = np.divide(update, sums, out=update, where=sums > 0)
        moved = np.abs(update - tables).max()
        tables = update
        if moved < threshold:
            break
    return tables, expect()


def several(name, masks, classes):
    staple = sitk.MultiLabelSTAPLEImageFilter()
    found = sitk.GetArrayFromImage(staple.Execute(images(masks)))
    matrices = [
        np.reshape(staple.GetConfusionMatrix(k), (classes + 1, classes)) for k in range(len(masks))
    ]
    ties = int((votes(masks, classes) == classes).sum())
    tables, posterior = multi_label(masks, classes, fault=True)
    # Single against double precision.
    assert np.abs(tables - matrices).max() < 1e-3, (name, np.abs(tables - matrices).max())
    if ties:
        tables, posterior = multi_label(masks, classes, fault=False)
        best = np.sort(posterior, axis=2)
        undecided = best[..., -1] - best[..., -2] < 1e-9
        found = np.where(undecided, classes, posterior.argmax(axis=2))
    else:
        tables = np.array(matrices)
    return {
        "name": name,
        "masks": [rows(mask) for mask in masks],
        "classes": classes,
        "ties": ties,
        # [experts, vote, truth]
        "tables": np.asarray(tables)[:, :classes].tolist(),
        "labels": rows(found),
    }


def main():
    rng = np.random.default_rng(7)
    truth = blobs(rng, (13, 17), 2)
    three = experts(rng, truth, 2, (0.95, 0.85, 0.7))
    five = experts(rng, blobs(rng, (19, 11), 2), 2, (0.97, 0.9, 0.9, 0.8, 0.6))
    golden = {
        "binary": [
            binary("three", three),
            binary("three, half the confidence", three, weight=0.5),
            binary("three, one iteration", three, iterations=1),
            binary("three, four iterations", three, iterations=4),
            binary("five", five),
            binary("two", three[:2]),
            binary("one", three[:1]),
            binary("one pixel of foreground", [np.eye(1, 9, 4, dtype=np.uint8)] * 3),
            binary("one expert drew nothing", [five[0], five[1], five[0] * 0]),
            binary("one expert drew everything", [five[0], five[1], five[0] * 0 + 1]),
            binary("the same", [truth, truth, truth]),
        ],
        "several": [],
    }
    truth = blobs(rng, (21, 15), 3)
    odd = experts(rng, truth, 3, (0.95, 0.9, 0.8))
    clear = votes(odd, 3) < 3
    untied = [np.where(clear, mask, 0).astype(np.uint8) for mask in odd]
    golden["several"] += [
        several("three experts without ties", untied, 3),
        several("three experts with ties", odd, 3),
        several("two classes", three, 2),
        several("four experts, four classes", experts(
            rng, blobs(rng, (16, 16), 4), 4, (0.9, 0.85, 0.8, 0.7)
        ), 4),
        several("the same", [truth] * 3, 3),
        several("one expert", [truth], 3),
    ]
    text = json.dumps(golden)
    OUT.write_text(text + "\n")
    print(f"{OUT}: {len(text)} bytes")


main()
