"""Goldens for maps of embeddings (t-SNE), from scikit-learn.

Pinned: scikit-learn 1.9.1, numpy 2.4.6. Run from the repository root: python oracles/audit_tsne.py
Writes crates/audit/tests/goldens/tsne.json.

Steps are those of scikit-learn's own functions for the gradient and the descent, in 64 bits; of their probabilities those
that follow are computed in 64 bits from what it rounds to 32.
"""

import json
from pathlib import Path

import numpy as np
from scipy.spatial.distance import squareform
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE, _t_sne

PERPLEXITY = 8.0
STEPS = 20
RATE = 50.0

rng = np.random.default_rng(5)
kind = rng.integers(0, 3, 45)
centres = rng.normal(scale=2.0, size=(3, 6))
features = (np.rint((centres[kind] + rng.normal(size=(45, 6))) * 64) / 64).astype(np.float32)

distances = np.square(features[:, None].astype(np.float64) - features[None]).sum(axis=2)
condensed = _t_sne._joint_probabilities(distances.astype(np.float32), PERPLEXITY, 0).astype(np.float64)
joint = squareform(condensed)

start = rng.normal(scale=1e-2, size=(45, 2))


def descend(places, factor, momentum):
    options = dict(
        it=0, max_iter=STEPS, n_iter_check=10**6, momentum=momentum, learning_rate=RATE,
        min_grad_norm=0.0, n_iter_without_progress=10**6, verbose=0,
        args=[condensed * factor, 1, 45, 2],
        kwargs=dict(skip_num_points=0),
    )
    moved, _, _ = _t_sne._gradient_descent(_t_sne._kl_divergence, places.ravel().copy(), **options)
    return moved.reshape(-1, 2)


exaggerated = descend(start, 12.0, 0.5)
places = descend(exaggerated, 1.0, 0.8)

components = PCA(n_components=2, svd_solver="full").fit_transform(features.astype(np.float64))
components = components / components[:, 0].std() * 1e-4
# Descents end in different places: .250 to .295 here.
worst = max(
    TSNE(perplexity=PERPLEXITY, method="exact", init=init, random_state=seed, max_iter=1000).fit(features).kl_divergence_
    for init in ("pca", "random")
    for seed in range(4)
)
content = {
    "perplexity": PERPLEXITY,
    "features": features.tolist(),
    "joint": joint.tolist(),
    "start": start.tolist(),
    "exaggerated": exaggerated.tolist(),
    "places": places.tolist(),
    "steps": STEPS,
    "learning_rate": RATE,
    "components": components.tolist(),
    "divergence": float(worst),
}
path = Path("crates/audit/tests/goldens/tsne.json")
path.write_text(json.dumps(content, separators=(",", ":")) + "\n")
print(path, path.stat().st_size, "bytes", worst)
