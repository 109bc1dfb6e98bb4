"""Goldens of crates/nn/tests/losses_complementary.rs.

torch==2.9.0, numpy==2.3.4
Run: python oracles/losses_complementary.py COMPLEMENTARY LABEL_SETS
Writes crates/nn/tests/goldens/losses_complementary.json

The arguments are checkouts of published code, which is run here as it is and is not part of this repository:
  github.com/MiriamHaegele/complementary-loss-segmentation, complementary_loss.py (Hägele et al. 2024)
  github.com/LucasFidon/label-set-loss-functions (Fidon et al. 2021)
In double precision, which the second is made to keep. The first is written for TensorFlow; the seven functions of it that it calls are given to it
from torch. It takes one label for an image, so every item is an image of one pixel.

Negative learning and the extreme case of partial labels have no code that stays in range: they are sums over the
classes by torch.logsumexp. The second repository's cross-entropy has a constant, the logarithm of the size of
the set, which is taken off.
"""

import importlib.util
import json
import pathlib
import sys
import types

import numpy as np
import torch

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
torch.Tensor.float = torch.Tensor.double
OUT = pathlib.Path("crates/nn/tests/goldens/losses_complementary.json")


def tensorflow():
    module = types.ModuleType("tensorflow")
    module.Tensor = torch.Tensor
    module.clip_by_value = torch.clamp
    module.transpose = torch.t
    module.gather = lambda matrix, rows: matrix[rows]
    module.einsum = torch.einsum
    module.math = types.SimpleNamespace(pow=torch.pow, log=torch.log)
    module.reduce_mean = lambda values, axis: values.mean(axis)
    return module


sys.modules["tensorflow"] = tensorflow()
spec = importlib.util.spec_from_file_location(
    "complementary_loss", pathlib.Path(sys.argv[1]) / "complementary_loss.py"
)
published = importlib.util.module_from_spec(spec)
spec.loader.exec_module(published)
sys.path.insert(0, sys.argv[2])
from label_set_loss_functions.loss import (  # noqa: E402
    LeafDiceLoss,
    MarginalizedCrossEntropyLoss,
    MarginalizedDiceLoss,
)

CLASSES = 4
# Rows: what liver cancer of either kind is called not to be, and two other tissues, which are called either.
TRANSITION = [
    [0.0, 1.0, 0.0, 0.0],
    [1.0, 0.0, 0.0, 0.0],
    [0.5, 0.3, 0.0, 0.2],
    [0.25, 0.25, 0.5, 0.0],
]
# Labels from CLASSES on stand for sets.
SETS = {4: [0, 1], 5: [1, 2, 3], 6: [2, 3], 7: [0, 1, 2, 3]}


def rows_of(labels):
    rows = np.zeros((len(labels), CLASSES))
    for row, label in zip(rows, labels):
        row[SETS.get(int(label), [int(label)])] = 1.0
    return rows


def complementary(gamma):
    def per_item(logits, labels):
        p = torch.softmax(logits, 1)[:, None, None, :]
        q = torch.tensor(TRANSITION)
        return published.weak_complementary_biased_label_loss(labels, p, q, gamma)

    return per_item


def negative(logits, labels):
    others = [
        torch.logsumexp(torch.cat([row[:k], row[k + 1 :]]), 0) for row, k in zip(logits, labels)
    ]
    return torch.logsumexp(logits, 1) - torch.stack(others)


def partial(logits, labels):
    loss = MarginalizedCrossEntropyLoss(SETS, reduction="none")
    sizes = torch.tensor([float(len(SETS.get(int(label), [0]))) for label in labels])
    return loss(logits[:, :, None], labels[:, None]) - sizes.log()


def partial_in_range(logits, labels):
    of = [
        torch.logsumexp(row[SETS.get(int(label), [int(label)])], 0)
        for row, label in zip(logits, labels)
    ]
    return torch.logsumexp(logits, 1) - torch.stack(of)


def case(name, loss, z, labels, w):
    logits = torch.tensor(z, requires_grad=True)
    values = loss(logits, torch.tensor(labels))
    mean = (torch.tensor(w) * values).sum() / w.sum()
    mean.backward()
    return {
        "loss": name,
        "logits": z.tolist(),
        "targets": rows_of(labels).tolist(),
        "weights": w.tolist(),
        "per_item": values.tolist(),
        "mean": mean.item(),
        "gradient": logits.grad.tolist(),
    }


def region(name, loss, z, labels):
    logits = torch.tensor(z, requires_grad=True)
    value = loss(logits.T[None], torch.tensor(labels)[None])
    value.backward()
    return {
        "loss": name,
        "logits": z.tolist(),
        "targets": rows_of(labels).tolist(),
        "weights": [1.0] * len(z),
        "mean": value.item(),
        "gradient": logits.grad.tolist(),
    }


def single(a):
    """Rounds to what f32 can hold, so that both sides see the same input."""
    return a.astype(np.float32).astype(np.float64)


rng = np.random.default_rng(4)
items = 8
weights = single(rng.uniform(0, 1, items))
weights[3] = 0.0
moderate = single(rng.normal(0, 2, (items, CLASSES)))
extreme = single(rng.normal(0, 30, (items, CLASSES)))
labels = rng.integers(0, CLASSES, items)
sets = np.array([4, 5, 6, 7, 0, 4, 5, 3])
cases = [
    case("complementary", complementary(2), moderate, labels, weights),
    case("complementary unfocused", complementary(0), moderate, labels, weights),
    case("complementary half", complementary(0.5), moderate, labels, weights),
    case("complementary", complementary(2), extreme, labels, weights),
    case("negative learning", negative, moderate, labels, weights),
    case("negative learning", negative, extreme, labels, weights),
    case("partial label", partial, moderate, sets, weights),
    case("partial label", partial, moderate, labels, weights),
    case("partial label", partial_in_range, extreme, sets, weights),
]
regions = [
    region("leaf dice", LeafDiceLoss(SETS), moderate, sets),
    region("marginalised dice", MarginalizedDiceLoss(SETS), moderate, sets),
    region("leaf dice", LeafDiceLoss(SETS), extreme, labels),
    region("marginalised dice", MarginalizedDiceLoss(SETS), extreme, labels),
]
golden = {"transition": TRANSITION, "cases": cases, "regions": regions}
OUT.write_text(json.dumps(golden, allow_nan=False) + "\n")
print({case["loss"]: case["mean"] for case in cases + regions})
