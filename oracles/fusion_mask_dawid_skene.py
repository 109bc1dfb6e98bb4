"""Golden for Dawid-Skene on masks: crowd-kit 1.4.2 (pandas 3.1.1, numpy 2.4.6).

    python oracles/fusion_mask_dawid_skene.py

writes crates/weak/tests/goldens/fusion_mask_dawid_skene.json. Run from the repository root. Every pixel
is a task; '.' in a mask is unlabelled, null in the answer a pixel that nobody labelled.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from crowdkit.aggregation import DawidSkene

OUT = Path("crates/weak/tests/goldens/fusion_mask_dawid_skene.json")


def main():
    rng = np.random.default_rng(11)
    shape, classes, accuracy = (9, 13), 3, (0.95, 0.85, 0.8, 0.6)
    truth = np.kron(rng.integers(0, classes, (3, 5)), np.ones((4, 3), int))[: shape[0], : shape[1]]
    masks = []
    for share in accuracy:
        wrong = (truth + rng.integers(1, classes, shape)) % classes
        mask = np.where(rng.random(shape) < share, truth, wrong)
        mask[rng.random(shape) < 0.15] = -1
        mask[4, 5:7] = -1
        masks.append(mask)
    votes = [
        (pixel, expert, int(mask.flat[pixel]))
        for pixel in range(truth.size)
        for expert, mask in enumerate(masks)
        if mask.flat[pixel] >= 0
    ]
    model = DawidSkene(n_iter=100, tol=1e-5)
    model.fit(pd.DataFrame(votes, columns=["task", "worker", "label"]))
    posterior = model.probas_.sort_index(axis=1)
    golden = {
        "masks": [
            ["".join("." if v < 0 else str(v) for v in row) for row in mask] for mask in masks
        ],
        "classes": classes,
        "iterations": len(model.loss_history_),
        "posterior": [
            posterior.loc[pixel].tolist() if pixel in posterior.index else None
            for pixel in range(truth.size)
        ],
    }
    OUT.write_text(json.dumps(golden) + "\n")


main()
