"""Goldens of crates/nn/tests/losses.rs.

    python oracles/losses.py ACTIVE_PASSIVE_LOSSES ELR

The two arguments are checkouts of the published code of two of the papers, which is run here as it
is and is not part of this repository:
  github.com/HanxunH/Active-Passive-Losses, loss.py (Ma et al. 2020)
  github.com/shengliu66/ELR, ELR/model/loss.py (Liu et al. 2020)
Written with torch 2.9.0 and numpy 2.4.6, in double precision on the CPU.

Where each loss comes from:
  cross-entropy       torch.nn.functional.cross_entropy (soft targets, label smoothing)
  mae, gce, nce       published code; soft targets by expectation over its hard labels
  rce, sce, nce-rce   published code, with its one-hot rows replaced by the soft rows
  focal               published code for values. That code stops the gradient through (1 - p)^gamma,
                      which the paper does not, so the gradient is that of the paper's formula here
  forward correction  torch's softmax, matrix product and cross_entropy, composed as in the paper
                      (the published code is for Keras)
  elr                 published code, its memory included
  bootstrap           torch's softmax and cross_entropy, composed as in the paper
The extreme case of gce is the paper's formula: the published code clamps p at 1e-7, ours does not.
"""

import importlib.util
import json
import pathlib
import sys
import types

import numpy as np
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
OUT = pathlib.Path("crates/nn/tests/goldens/losses.json")


def load(path, name, stubs):
    sys.modules.update(stubs)
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


LAMBDA = 3.0
config = types.SimpleNamespace(
    get_instance=lambda: {"train_loss": {"args": {"lambda": LAMBDA}}}
)
apl = load(
    pathlib.Path(sys.argv[1]) / "loss.py",
    "apl",
    {"mlconfig": types.SimpleNamespace(register=lambda c: c)},
)
apl.device = torch.device("cpu")
elr = load(
    pathlib.Path(sys.argv[2]) / "ELR/model/loss.py",
    "elr",
    {"parse_config": types.SimpleNamespace(ConfigParser=config)},
)
torch.cuda.is_available = lambda: False


def expectation(make):
    """The loss of each item as the mean over hard labels of a published loss of one item."""

    def per_item(z, y):
        loss = make(z.shape[1])
        rows = []
        for i in range(len(z)):
            each = [loss(z[i : i + 1], torch.tensor([k])) for k in range(z.shape[1])]
            rows.append(sum(y[i, k] * each[k] for k in range(z.shape[1])))
        return torch.stack(rows)

    return per_item


def soft_rows(make):
    """A published loss of one item, whose one-hot rows are replaced by the soft row."""

    def per_item(z, y):
        loss = make(z.shape[1])
        original, rows = F.one_hot, []
        try:
            for i in range(len(z)):
                F.one_hot = lambda labels, classes, row=y[i : i + 1]: row
                # SCE also calls CrossEntropyLoss, which takes soft rows as they are.
                rows.append(loss(z[i : i + 1], y[i : i + 1]))
        finally:
            F.one_hot = original
        return torch.stack(rows)

    return per_item


def focal_paper(gamma):
    def per_item(z, y):
        log_p = F.log_softmax(z, 1)
        return -(y * (1 - log_p.exp()) ** gamma * log_p).sum(1)

    return per_item


def forward(transition):
    t = torch.tensor(transition)

    def per_item(z, y):
        return F.cross_entropy(torch.log(F.softmax(z, 1) @ t), y, reduction="none")

    return per_item


def bootstrap(beta, prediction):
    def per_item(z, y):
        own = prediction(F.softmax(z, 1)).detach()
        return F.cross_entropy(z, beta * y + (1 - beta) * own, reduction="none")

    return per_item


def gce_paper(q):
    return lambda z, y: (y * (1 - (q * F.log_softmax(z, 1)).exp()) / q).sum(1)


TRANSITION = [
    [0.7, 0.2, 0.1, 0.0],
    [0.0, 1.0, 0.0, 0.0],
    [0.3, 0.1, 0.5, 0.1],
    [0.05, 0.05, 0.4, 0.5],
]

LOSSES = {
    "cross-entropy": (lambda z, y: F.cross_entropy(z, y, reduction="none"),) * 2,
    "cross-entropy smoothed": (
        lambda z, y: F.cross_entropy(z, y, reduction="none", label_smoothing=0.1),
    )
    * 2,
    "focal": (expectation(lambda c: apl.FocalLoss(gamma=2)), focal_paper(2)),
    "focal half": (expectation(lambda c: apl.FocalLoss(gamma=0.5)), focal_paper(0.5)),
    "mae": (expectation(lambda c: apl.MeanAbsoluteError(c)),) * 2,
    "gce": (expectation(lambda c: apl.GeneralizedCrossEntropy(c, q=0.7)),) * 2,
    "rce": (soft_rows(lambda c: apl.ReverseCrossEntropy(c)),) * 2,
    "sce": (soft_rows(lambda c: apl.SCELoss(0.1, 1.0, c)),) * 2,
    "nce": (expectation(lambda c: apl.NormalizedCrossEntropy(c)),) * 2,
    "nce-rce": (soft_rows(lambda c: apl.NCEandRCE(1.0, 1.0, c)),) * 2,
    "forward": (forward(TRANSITION),) * 2,
    "bootstrap soft": (bootstrap(0.8, lambda p: p),) * 2,
    "bootstrap hard": (
        bootstrap(0.8, lambda p: F.one_hot(p.argmax(1), p.shape[1]).to(p.dtype)),
    )
    * 2,
}


def case(name, z, y, w, loss):
    value_of, gradient_of = loss
    logits = torch.tensor(z, requires_grad=True)
    targets, weights = torch.tensor(y), torch.tensor(w)
    values = value_of(logits.detach().clone(), targets)
    mean = (weights * values).sum() / weights.sum()
    (weights * gradient_of(logits, targets)).sum().div(weights.sum()).backward()
    return {
        "loss": name,
        "logits": z.tolist(),
        "targets": y.tolist(),
        "weights": w.tolist(),
        "per_item": values.tolist(),
        "mean": mean.item(),
        "gradient": logits.grad.tolist(),
    }


def single(a):
    """Rounds to what f32 can hold, so that both sides see the same input."""
    return a.astype(np.float32).astype(np.float64)


def main():
    rng = np.random.default_rng(2)
    n, c = 6, 4
    hard = np.eye(c)[rng.integers(0, c, n)]
    soft = rng.dirichlet(np.ones(c) * 0.7, n)
    soft = single(soft / soft.sum(1, keepdims=True))
    ones, weights = np.ones(n), single(rng.uniform(0, 1, n))
    weights[2] = 0.0
    moderate = single(rng.normal(0, 2, (n, c)))
    extreme = single(rng.normal(0, 30, (n, c)))
    cases = []
    for name, loss in LOSSES.items():
        cases.append(case(name, moderate, hard, ones, loss))
        cases.append(case(name, moderate, soft, weights, loss))
        if name == "gce":
            loss = (gce_paper(0.7),) * 2
        if name in ("forward", "focal half"):
            continue  # The references leave the range of numbers here; ours has tests of its own.
        cases.append(case(name, extreme, hard, weights, loss))

    # Two epochs of ELR, item by item, since the published code returns a mean over its batch.
    reference = elr.elr_loss(n, num_classes=c, beta=0.7)
    reference.target = reference.target.double()
    labels = torch.tensor(hard.argmax(1))
    first, second = moderate, single(moderate + rng.normal(0, 1, (n, c)))
    epochs = []
    for z in (first, second):
        logits = torch.tensor(z, requires_grad=True)
        terms = []
        for i in range(n):
            loss = reference([i], logits[i : i + 1], labels[i : i + 1])
            terms.append((loss - F.cross_entropy(logits[i : i + 1], labels[i : i + 1])) / LAMBDA)
        terms = torch.stack(terms)
        terms.mean().backward()
        epochs.append(
            {
                "logits": z.tolist(),
                "memory": reference.target.tolist(),
                "per_item": terms.tolist(),
                "gradient": logits.grad.tolist(),
            }
        )
    OUT.parent.mkdir(parents=True, exist_ok=True)
    golden = {"transition": TRANSITION, "cases": cases, "elr": {"beta": 0.7, "epochs": epochs}}
    OUT.write_text(json.dumps(golden, allow_nan=False) + "\n")


main()
