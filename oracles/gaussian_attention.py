"""Goldens of crates/learn/src/segment/gaussian_attention.rs: the formula of Xiao et al. (arXiv 2104.02602) with SciPy's
Gaussian filter, in double precision.

scipy==1.17.1, numpy==2.3.4
Run: python oracles/gaussian_attention.py
Writes crates/learn/tests/goldens/gaussian_attention.json
"""

import json
import pathlib

import numpy as np
from scipy.ndimage import gaussian_filter

rng = np.random.default_rng(1)
rows, columns = np.mgrid[:14, :18]
# A cell on a ground of another colour, in the 256 levels of a picture; the cell reaches the border.
cell = (rows - 4) ** 2 + (columns - 3) ** 2 < 30
image = np.where(cell[..., None], [120, 60, 140], [230, 190, 215]) + rng.integers(-20, 20, (14, 18, 3))
image = (image / 255).astype(np.float32).astype(np.float64)
blurred = gaussian_filter(image, sigma=3, radius=5, mode="mirror", axes=(0, 1))
weights = 50 * np.abs(image - blurred).mean(2) + 1
golden = {"image": np.round(image, 9).tolist(), "weights": np.round(weights, 9).tolist()}
path = pathlib.Path("crates/learn/tests/goldens/gaussian_attention.json")
path.write_text(json.dumps(golden) + "\n")
print(weights.min(), weights.max())
