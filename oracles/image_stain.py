"""Goldens for stains, from scikit-image, torchstain and a reference of a few lines.

Pinned: scikit-image 0.26.0, torchstain 1.4.1 (its numpy part), numpy 2.4.6.
Run from the repository root: python oracles/image_stain.py
Writes crates/image/tests/goldens/stain.json.

Reinhard's transfer is written here with numpy and skimage.color, because the packages that have it
work in 8-bit Lab.
"""

import json
from pathlib import Path

import numpy as np
from skimage import color
from torchstain.numpy.normalizers import NumpyMacenkoNormalizer


def flat(array, digits=None):
    array = np.asarray(array)
    return (array if digits is None else np.round(array.astype(float), digits)).ravel().tolist()


def tissue(rng, height, width, stains, strength):
    """Amounts of two stains, a fifth of the pixels glass."""
    amounts = rng.gamma(2.0, strength, (height, width, 2))
    amounts[rng.random((height, width)) < 0.2] = 0.01
    density = amounts @ stains + rng.normal(0, 0.01, (height, width, 3))
    return np.clip(240 * np.exp(-density), 0, 255).astype(np.uint8)


def reinhard(image, reference):
    lab, target = color.rgb2lab(image), color.rgb2lab(reference)
    for c in range(3):
        spread = target[..., c].std() / lab[..., c].std()
        lab[..., c] = (lab[..., c] - lab[..., c].mean()) * spread + target[..., c].mean()
    return 255 * color.lab2rgb(lab)


def main():
    rng = np.random.default_rng(2)
    source = tissue(rng, 23, 31, np.array([[0.6, 0.72, 0.35], [0.15, 0.9, 0.4]]), 0.4)
    target = tissue(rng, 20, 27, np.array([[0.68, 0.65, 0.33], [0.22, 0.93, 0.3]]), 0.6)
    special = np.array(
        [[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255], [1, 128, 254]], np.uint8
    )[None]
    amounts = rng.uniform(-0.1, 0.4, (5, 7, 3)).astype(np.float32)
    other = np.array([[0.5, 0.6, 0.62], [0.1, 0.75, 0.65], [0.7, 0.3, 0.1]])
    normaliser = NumpyMacenkoNormalizer()
    estimates = []
    for image, alpha, beta in [(source, 1, 0.15), (target, 1, 0.15), (source, 5, 0.3)]:
        normaliser.fit(image, Io=240, alpha=alpha, beta=beta)
        estimates.append({
            "image": "source" if image is source else "target",
            "percentile": alpha,
            "threshold": beta,
            "densities": normaliser.HERef.T.tolist(),
            "strengths": normaliser.maxCRef.tolist(),
        })
    normaliser.fit(target, Io=240)
    normalised, _, _ = normaliser.normalize(source, Io=240, stains=False)
    golden = {
        "source": flat(source),
        "source_shape": source.shape[:2],
        "target": flat(target),
        "target_shape": target.shape[:2],
        "source_hed": flat(color.rgb2hed(source), 6),
        "special_hed": flat(color.rgb2hed(special), 6),
        "other": other.tolist(),
        "source_other": flat(color.separate_stains(source, np.linalg.inv(other)), 6),
        "amounts": flat(amounts),
        "amounts_rgb": flat(color.hed2rgb(amounts.astype(float)), 6),
        "estimates": estimates,
        "macenko": flat(normalised),
        "reinhard": flat(reinhard(source, target), 3),
    }
    path = Path("crates/image/tests/goldens/stain.json")
    path.write_text(json.dumps(golden, separators=(",", ":")) + "\n")


main()
