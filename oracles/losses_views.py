"""Goldens of crates/nn/tests/losses_views.rs.

torch==2.9.0, lightly==1.5.22, numpy
Run: python oracles/losses_views.py
Writes crates/nn/tests/goldens/losses_views.json

Barlow Twins and DINO are lightly's. Of InfoNCE with keys of the same batch lightly's NTXentLoss has another form, so it
is torch's cross_entropy of cosine similarities. In double precision.
"""

import json
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from lightly.loss import BarlowTwinsLoss, DINOLoss

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
rng = np.random.default_rng(3)


def single(a):
    """Rounds to what f32 can hold, so that both sides see the same input."""
    return torch.tensor(np.asarray(a).astype(np.float32).astype(np.float64))


def views(count, items, features, scale=1.0):
    return [single(rng.normal(0, scale, (items, features))).requires_grad_() for _ in range(count)]


def golden(inputs, loss, **more):
    loss.backward()
    return {
        "views": [view.tolist() for view in inputs],
        "loss": loss.item(),
        "gradients": [view.grad.tolist() for view in inputs],
        **more,
    }


def info_nce(items, features, temperature):
    pair = views(2, items, features)
    queries, keys = (F.normalize(view, dim=1) for view in pair)
    loss = F.cross_entropy(queries @ keys.T / temperature, torch.arange(items))
    return golden(pair, loss, temperature=temperature)


def barlow_twins(items, features, redundancy):
    pair = views(2, items, features)
    return golden(pair, BarlowTwinsLoss(lambda_param=redundancy)(*pair), redundancy=redundancy)


def dino(student_views, items, prototypes, temperatures):
    student = views(student_views, items, prototypes, 0.3)
    teacher = [single(rng.normal(0, 0.1, (items, prototypes))) for _ in range(2)]
    centre = single(rng.normal(0, 0.05, prototypes))
    criterion = DINOLoss(
        output_dim=prototypes,
        warmup_teacher_temp=temperatures[1],
        teacher_temp=temperatures[1],
        warmup_teacher_temp_epochs=0,
        student_temp=temperatures[0],
        center_momentum=0.9,
    ).double()
    criterion.center.copy_(centre.reshape(criterion.center.shape))
    loss = criterion(teacher, student, epoch=1)
    moved = criterion.center.flatten().tolist()
    return golden(
        student,
        loss,
        temperatures=temperatures,
        teacher=[view.tolist() for view in teacher],
        centre=centre.tolist(),
        moved=moved,
    )


result = {
    "info_nce": [info_nce(6, 5, 0.2), info_nce(3, 4, 0.07)],
    "barlow_twins": [barlow_twins(7, 4, 0.0051), barlow_twins(5, 6, 0.5)],
    "dino": [dino(2, 5, 6, [0.1, 0.04]), dino(4, 3, 5, [0.2, 0.07])],
}
path = pathlib.Path("crates/nn/tests/goldens/losses_views.json")
path.write_text(json.dumps(result) + "\n")
