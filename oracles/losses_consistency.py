"""Goldens of crates/nn/tests/losses_consistency.rs.

torch==2.9.0, torchvision==0.24.0, numpy==2.3.4
Run: python oracles/losses_consistency.py ADELE
Writes crates/nn/tests/goldens/losses_consistency.json

The argument is a checkout of github.com/Kangningthu/ADELE (Liu et al. 2022), whose SegThor/lib/utils/JSD_loss.py is
run here as it is and is not part of this repository. It decides for a whole image whether to compare, so every item is
an image of one pixel; it sums over its three predictions, which is three times the divergence.

The Kullback-Leibler divergence is torch.nn.functional.kl_div. The Jensen-Shannon divergence with weights is the
entropy of the mean less the mean of the entropies, by torch.distributions: another way than ours to the same.
In double precision.
"""

import importlib.util
import json
import pathlib
import sys

import numpy as np
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
spec = importlib.util.spec_from_file_location(
    "jsd_loss", pathlib.Path(sys.argv[1]) / "SegThor/lib/utils/JSD_loss.py"
)
adele = importlib.util.module_from_spec(spec)
spec.loader.exec_module(adele)

rng = np.random.default_rng(6)
ITEMS, CLASSES = 7, 4


def single(a):
    """Rounds to what f32 can hold, so that both sides see the same input."""
    return torch.tensor(a.astype(np.float32).astype(np.float64))


weights = single(rng.uniform(0, 1, ITEMS))
weights[1] = 0.0


def mean(values):
    return (weights * values).sum() / weights.sum()


def kullback_leibler(temperature, detached, spread):
    first, second = (
        single(rng.normal(0, spread, (ITEMS, CLASSES))).requires_grad_() for _ in range(2)
    )
    a, b = (logits / temperature for logits in (first, second))
    a, b = (a.detach() if detached == "first" else a), (b.detach() if detached == "second" else b)
    values = F.kl_div(
        F.log_softmax(b, 1), F.log_softmax(a, 1), reduction="none", log_target=True
    ).sum(1)
    mean(values).backward()
    return {
        "temperature": temperature,
        "detached": detached,
        "logits": [first.tolist(), second.tolist()],
        "per_item": values.tolist(),
        "gradients": [
            torch.zeros(ITEMS, CLASSES).tolist() if logits.grad is None else logits.grad.tolist()
            for logits in (first, second)
        ],
    }


def jensen_shannon(shares, spread):
    logits = [
        single(rng.normal(0, spread, (ITEMS, CLASSES))).requires_grad_() for _ in shares
    ]
    w = torch.tensor(shares) / sum(shares)
    p = [torch.softmax(z, 1) for z in logits]
    entropy = lambda probs: torch.distributions.Categorical(probs=probs).entropy()  # noqa: E731
    values = entropy(sum(s * q for s, q in zip(w, p)))
    values = values - sum(s * entropy(q) for s, q in zip(w, p))
    mean(values).backward()
    return {
        "shares": shares,
        "logits": [z.tolist() for z in logits],
        "per_item": values.tolist(),
        "gradients": [z.grad.tolist() for z in logits],
    }


def confident(threshold):
    common = rng.normal(0, 2, (ITEMS, CLASSES))
    logits = [single(common + rng.normal(0, 0.4, common.shape)).requires_grad_() for _ in range(3)]
    images = [z[:, :, None, None] for z in logits]
    _, _, values, mixture = adele.calc_jsd_multiscale(
        torch.ones(3), torch.zeros(ITEMS, 1, 1, dtype=torch.long), *images, threshold
    )
    # Within the published clamp, so that it changes nothing.
    assert mixture.min() > 1e-3 and mixture.max() < 1 - 1e-3
    values = values[:, 0, 0] / 3
    (weights * values).sum().backward()
    return {
        "threshold": threshold,
        "logits": [z.tolist() for z in logits],
        "confident": (values > 0).double().tolist(),
        "per_item": values.tolist(),
        "gradients": [z.grad.tolist() for z in logits],
    }


golden = {
    "weights": weights.tolist(),
    "kullback_leibler": [
        kullback_leibler(1.0, "first", 2.0),
        kullback_leibler(2.5, "second", 2.0),
        kullback_leibler(0.7, "neither", 2.0),
        kullback_leibler(1.0, "neither", 30.0),
    ],
    "jensen_shannon": [
        jensen_shannon([1.0, 1.0], 2.0),
        jensen_shannon([0.5, 0.3, 0.2], 2.0),
        jensen_shannon([3.0, 1.0], 10.0),
    ],
    "confident": confident(0.5),
}
assert 0 < sum(golden["confident"]["confident"]) < ITEMS
path = pathlib.Path("crates/nn/tests/goldens/losses_consistency.json")
path.write_text(json.dumps(golden, allow_nan=False) + "\n")
print(golden["confident"]["confident"], golden["confident"]["per_item"])
