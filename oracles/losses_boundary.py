"""Goldens of the boundary loss in crates/nn/tests/losses_region.rs and of its distances in
crates/learn/src/segment/signed_distances.rs.

torch==2.9.0, numpy==2.3.4, scipy==1.17.1
Run: python oracles/losses_boundary.py BOUNDARY_LOSS
Writes crates/nn/tests/goldens/losses_boundary.json and crates/learn/tests/goldens/signed_distances.json

The argument is a checkout of github.com/LIVIAETS/boundary-loss (Kervadec et al. 2019), whose losses.py and utils.py
are run here as they are and are not part of this repository; packages that it imports for other purposes are
replaced by nothing. It computes in single precision.
"""

import json
import pathlib
import sys
import types

import numpy as np
import torch

for name in ["tqdm", "skimage", "skimage.io", "medpy", "medpy.metric", "medpy.metric.binary"]:
    sys.modules[name] = types.ModuleType(name)
sys.modules["tqdm"].tqdm = sys.modules["skimage.io"].imsave = print
sys.modules["medpy.metric.binary"].hd = print
sys.path.insert(0, sys.argv[1])
import losses  # noqa: E402
import utils  # noqa: E402


def distances(mask, classes):
    one_hot = np.stack([mask == k for k in range(classes)]).astype(np.int64)
    return utils.one_hot2dist(one_hot, dtype=np.float64)


def case(mask, classes):
    return {
        "classes": classes,
        "mask": mask.tolist(),
        "distances": np.round(distances(mask, classes), 9).tolist(),
    }


rng = np.random.default_rng(9)
rows, columns = np.mgrid[:12, :17]
discs = np.zeros((12, 17), int)
discs[(rows - 4) ** 2 + (columns - 5) ** 2 < 14] = 1
discs[(rows - 8) ** 2 + (columns - 13) ** 2 < 20] = 2
# Of four classes one has no pixel.
goldens = [case(discs, 4), case(rng.integers(0, 3, (9, 8)), 3)]
pathlib.Path("crates/learn/tests/goldens/signed_distances.json").write_text(
    json.dumps(goldens) + "\n"
)

mask, classes = discs[2:8, 2:10], 3
maps = torch.tensor(distances(mask, classes), dtype=torch.float32)[None]
logits = torch.tensor(rng.normal(0, 2, (1, classes, *mask.shape)), dtype=torch.float32)
logits.requires_grad_()
value = losses.BoundaryLoss(idc=list(range(classes)))(torch.softmax(logits, 1), maps)
value.backward()


def items(images):
    return images[0].permute(1, 2, 0).reshape(-1, classes).tolist()


golden = {
    "logits": items(logits.detach()),
    "distances": items(maps),
    "loss": value.item(),
    "gradient": items(logits.grad),
}
pathlib.Path("crates/nn/tests/goldens/losses_boundary.json").write_text(json.dumps(golden) + "\n")
print(value.item())
