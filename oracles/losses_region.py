"""Goldens of the losses of regions in crates/nn/tests/losses_region.rs.

segmentation-models-pytorch==0.5.0, torch==2.9.0
Run: python oracles/losses_region.py
Writes crates/nn/tests/goldens/losses_region.json

All classes occur: the package counts absent ones as 0 in the mean, ours leaves them out. Probabilities of
some items are 0 and 1, and the items of weight 0 are those that the package is told to ignore.
"""

import json
import pathlib

import torch
from segmentation_models_pytorch.losses import DiceLoss, JaccardLoss, TverskyLoss

torch.set_default_dtype(torch.float64)
torch.manual_seed(7)
ITEMS, CLASSES, IGNORED = 60, 3, 255
logits = torch.randn(ITEMS, CLASSES) * 3
logits[:5] *= 100
classes = torch.randint(0, CLASSES, (ITEMS,))
ignored = torch.rand(ITEMS) < 0.2
# The package's losses of several classes ignore items in their intersection only, so it is given what is
# not ignored.
kept = ~ignored
golden = {
    "logits": logits.tolist(),
    "classes": classes.tolist(),
    "weights": kept.double().tolist(),
    "cases": [],
}
for name, false_positives, false_negatives, loss in [
    ("dice", 0.5, 0.5, DiceLoss("multiclass")),
    ("jaccard", 1.0, 1.0, JaccardLoss("multiclass")),
    ("tversky", 0.3, 0.7, TverskyLoss("multiclass", alpha=0.3, beta=0.7)),
]:
    given = logits.clone().requires_grad_()
    value = loss(given[kept].T[None, :, :, None], classes[kept][None, :, None])
    value.backward()
    golden["cases"].append(
        {
            "name": name,
            "false_positives": false_positives,
            "false_negatives": false_negatives,
            "loss": value.item(),
            "gradient": given.grad.tolist(),
        }
    )
path = pathlib.Path("crates/nn/tests/goldens/losses_region.json")
path.write_text(json.dumps(golden) + "\n")
print({case["name"]: case["loss"] for case in golden["cases"]})
