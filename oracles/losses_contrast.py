"""Goldens of crates/nn/tests/losses_contrast.rs.

torch==2.9.0, pytorch-metric-learning==2.9.0, numpy==2.3.4
Run: python oracles/losses_contrast.py
Writes crates/nn/tests/goldens/losses_contrast.json

NT-Xent and the supervised contrastive loss are the package's, which gives the loss of each anchor; weights are applied
to these. Items of weight 0, and unlabelled ones that shall be absent, are not given to it; unlabelled ones that are
something to differ from get a class of their own each. The contrast with prototypes has no published code: it is
torch's cosine_similarity and cross_entropy over the prototypes that were seen. In double precision.
"""

import json
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from pytorch_metric_learning.losses import NTXentLoss, SelfSupervisedLoss, SupConLoss
from pytorch_metric_learning.reducers import DoNothingReducer

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
rng = np.random.default_rng(8)
FEATURES, CLASSES = 5, 3


def single(a):
    """Rounds to what f32 can hold, so that both sides see the same input."""
    return torch.tensor(np.asarray(a).astype(np.float32).astype(np.float64))


def nt_xent(items, temperature):
    views = [single(rng.normal(0, 1, (items, FEATURES))).requires_grad_() for _ in range(2)]
    weights = single(rng.uniform(0.1, 1, items))
    weights[1] = 0.0
    kept = weights > 0
    loss = SelfSupervisedLoss(NTXentLoss(temperature, reducer=DoNothingReducer()))
    parts = loss(*(view[kept] for view in views))["loss"]
    anchors = parts["indices"][0] % int(kept.sum())
    shares = weights[kept][anchors]
    value = (shares * parts["losses"]).sum() / shares.sum()
    value.backward()
    return {
        "temperature": temperature,
        "views": [view.tolist() for view in views],
        "weights": weights.tolist(),
        "loss": value.item(),
        "gradients": [view.grad.tolist() for view in views],
    }


def one_hot(classes):
    """Rows of zeros for items of class -1."""
    return [[float(k == c) for k in range(CLASSES)] for c in classes]


def supervised(classes, temperature, unlabelled):
    items = len(classes)
    features = single(rng.normal(0, 1, (items, FEATURES))).requires_grad_()
    weights = single(rng.uniform(0.1, 1, items))
    weights[2] = 0.0
    labels = torch.tensor(classes)
    own_class = torch.where(labels < 0, CLASSES + torch.arange(items), labels)
    kept = (weights > 0) & ((labels >= 0) | (unlabelled == "negative"))
    loss = SupConLoss(temperature, reducer=DoNothingReducer())
    values = loss(features[kept], own_class[kept])["loss"]["losses"]
    same = own_class[kept][:, None] == own_class[kept][None]
    shares = weights[kept] * (same.sum(1) > 1)
    value = (shares * values).sum() / shares.sum()
    value.backward()
    return {
        "temperature": temperature,
        "unlabelled": unlabelled,
        "features": features.tolist(),
        "targets": one_hot(classes),
        "weights": weights.tolist(),
        "loss": value.item(),
        "gradient": features.grad.tolist(),
    }


class Bank:
    def __init__(self):
        self.means = torch.zeros(CLASSES, FEATURES)
        self.seen = [False] * CLASSES

    def move(self, momentum, features, labels, weights):
        for c in range(CLASSES):
            own = (labels == c) & (weights > 0)
            if own.any():
                w = weights[own][:, None]
                batch = (w * F.normalize(features[own])).sum(0) / w.sum()
                old = self.means[c] if self.seen[c] else batch
                self.means[c] = torch.lerp(batch, old, momentum)
                self.seen[c] = True


def prototypes(batches, momentum, temperature, margin):
    clean_bank, noisy_bank, steps = Bank(), Bank(), []
    for classes, is_clean in batches:
        items = len(classes)
        features = single(rng.normal(0, 1, (items, FEATURES)))
        features += single(3 * np.eye(FEATURES)[np.maximum(classes, 0)])
        features = single(features).requires_grad_()
        labels, selected = torch.tensor(classes), torch.tensor(is_clean)
        weights = single(rng.uniform(0.1, 1, items))
        weights[0] = 0.0
        clean, noisy = weights * (selected == 1), weights * (selected == 0)
        with torch.no_grad():
            clean_bank.move(momentum, features, labels, clean)
            noisy_bank.move(momentum, features, labels, noisy)
        banks = [(clean_bank, c) for c in range(CLASSES)] + [
            (noisy_bank, c) for c in range(CLASSES)
        ]
        seen = [i for i, (bank, c) in enumerate(banks) if bank.seen[c]]
        directions = torch.stack([banks[i][0].means[banks[i][1]] for i in seen]).clone()
        total, shares = 0.0, 0.0
        for z, y, w_clean, w_noisy in zip(features, labels, clean, noisy):
            if y < 0 or not clean_bank.seen[y]:
                continue
            similar = F.cosine_similarity(z[None], directions)
            own = seen.index(int(y))
            nce = F.cross_entropy(similar[None] / temperature, torch.tensor([own]))
            hinge = F.relu(similar[own] - margin)
            total = total + w_clean * nce + w_noisy * hinge
            shares = shares + w_clean + w_noisy
        value = total / shares
        value.backward()
        steps.append(
            {
                "features": features.tolist(),
                "targets": one_hot(classes),
                "clean": clean.tolist(),
                "noisy": noisy.tolist(),
                "means": [clean_bank.means.tolist(), noisy_bank.means.tolist()],
                "seen": [list(clean_bank.seen), list(noisy_bank.seen)],
                "loss": value.item(),
                "gradient": features.grad.tolist(),
            }
        )
    return {
        "momentum": momentum,
        "temperature": temperature,
        "margin": margin,
        "steps": steps,
    }


golden = {
    "nt_xent": [nt_xent(6, 0.5), nt_xent(4, 0.07)],
    "supervised": [
        supervised([0, 0, 1, 1, 2, 1, 0, 2], 0.1, "absent"),
        # Class 2 has one item, and two have no label.
        supervised([0, -1, 1, 1, 2, 1, 0, -1], 0.1, "absent"),
        supervised([0, -1, 1, 1, 2, 1, 0, -1], 0.5, "negative"),
    ],
    # Class 1 is never clean in the first batch, class 2 never noisy before the last; -1 in the second list stands for
    # items that are neither.
    "prototypes": prototypes(
        [
            ([0, 0, 1, 2, 0, -1], [1, 1, 0, 1, 0, 1]),
            ([1, 0, 1, 1, 0, 2], [1, 0, 1, 0, 1, -1]),
            ([2, 2, 2, 1, 0, 1, 0], [1, 1, 0, 1, 0, 0, 1]),
        ],
        0.99,
        0.1,
        0.2,
    ),
}
path = pathlib.Path("crates/nn/tests/goldens/losses_contrast.json")
path.write_text(json.dumps(golden, allow_nan=False) + "\n")
print([step["loss"] for step in golden["prototypes"]["steps"]])
