"""Goldens of the classical encoder's measurements.

scikit-image==0.26.0, scipy==1.17.1, numpy==2.4.6, safetensors==0.8.0
Run: python oracles/encoder_classical.py
Writes crates/nn/tests/goldens/classical.safetensors: the image (uint8 [height, width, 3]) and one
vector per group of measurements, in the order of the encoder's names.
"""

import numpy as np
from safetensors.numpy import save_file
from scipy import ndimage, stats
from skimage.color import separate_stains
from skimage.feature import graycomatrix, graycoprops, local_binary_pattern
from skimage.filters import threshold_otsu
from skimage.measure import label, regionprops

HEIGHT, WIDTH = 72, 90

# A stained picture: smooth eosin, dark blue discs and ellipses, two white holes, noise.
rng = np.random.default_rng(11)
y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
eosin = 0.35 + 0.15 * ndimage.gaussian_filter(rng.standard_normal((HEIGHT, WIDTH)), 4) * 8
nuclei = np.zeros((HEIGHT, WIDTH))
for cy, cx, ry, rx in [(15, 20, 6, 6), (40, 45, 9, 5), (58, 70, 5, 8), (20, 66, 4, 4), (70, 10, 6, 5)]:
    nuclei = np.maximum(nuclei, ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1)
haematoxylin = 0.1 + 0.8 * ndimage.gaussian_filter(nuclei.astype(float), 0.8)
for cy, cx, r in [(55, 28, 7), (12, 44, 5)]:
    hole = (y - cy) ** 2 + (x - cx) ** 2 < r * r
    eosin[hole] = haematoxylin[hole] = 0.0
vectors = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
density = haematoxylin[..., None] * vectors[0] + eosin[..., None] * vectors[1]
image = 245 * 10.0**-density + rng.normal(0, 4, density.shape)
image = np.clip(np.rint(image), 0, 255).astype(np.uint8)


def describe(values):
    return [values.mean(), values.std(), stats.skew(values, axis=None),
            *np.percentile(values, [5, 25, 50, 75, 95])]


# scikit-image's stains are (ln value / ln 1e-6) · M⁻¹, clipped at 0: a sixth of ours in units of
# optical density. The clipping is undone by separating with the negative matrix too.
residual = np.cross(vectors[0], vectors[1])
matrix = np.vstack([vectors, residual / np.linalg.norm(residual)])
unmixing = np.linalg.inv(matrix)
counted = np.maximum(image, 1)
stains = 6 * (separate_stains(counted, unmixing) - separate_stains(counted, -unmixing))
h, e, r = np.moveaxis(stains, -1, 0)

groups = {}
groups["colour"] = [f(image[..., c] / 255.0) for c in range(3) for f in (np.mean, np.std)]
groups["stain"] = [*describe(h), *describe(e), *describe(r), np.corrcoef(h.ravel(), e.ravel())[0, 1]]
ring = np.floor(4 * np.maximum(np.abs(2 * x + 1 - WIDTH) / WIDTH, np.abs(2 * y + 1 - HEIGHT) / HEIGHT))
groups["layout"] = [v for k in range(4) for v in
                    (h[ring == k].mean(), h[ring == k].std(), e[ring == k].mean())]

h8 = np.clip(np.rint(h * 100), 0, 255).astype(np.uint8)
pattern = []
for points, radius in [(8, 1), (16, 2), (24, 3)]:
    codes = local_binary_pattern(h8, points, radius, method="uniform")
    codes = codes[radius:-radius, radius:-radius].astype(int)
    pattern += list(np.bincount(codes.ravel(), minlength=points + 2) / codes.size)
groups["pattern"] = pattern

levels = np.minimum(h8 // 8, 15)
texture = []
for d in (1, 2, 4):
    straight = graycomatrix(levels, [d], [0, np.pi / 2], 16, symmetric=True)
    diagonal = graycomatrix(levels, [d * np.sqrt(2)], [np.pi / 4, 3 * np.pi / 4], 16, symmetric=True)
    counts = np.concatenate([straight, diagonal], axis=3).astype(float).sum(axis=3, keepdims=True)
    counts /= counts.sum()
    texture += [graycoprops(counts, p)[0, 0] for p in
                ("contrast", "dissimilarity", "homogeneity", "energy", "correlation", "entropy")]
groups["texture"] = texture

scale = []
for sigma in (1.0, 2.0, 4.0):
    smooth = ndimage.gaussian_filter(h, sigma, mode="nearest", truncate=4.0)
    dx = ndimage.correlate1d(smooth, [-0.5, 0, 0.5], axis=1, mode="nearest")
    dy = ndimage.correlate1d(smooth, [-0.5, 0, 0.5], axis=0, mode="nearest")
    blob = sigma**2 * ndimage.laplace(smooth, mode="nearest")
    scale += [sigma * np.hypot(dx, dy).mean(), np.abs(blob).mean(), blob.std()]
groups["scale"] = scale


def shape(region):
    """Roundness, eccentricity; each pixel is a unit square."""
    mu = region.moments_central
    area = mu[0, 0]
    covariance = np.array([[mu[2, 0], mu[1, 1]], [mu[1, 1], mu[0, 2]]]) / area + np.eye(2) / 12
    small, large = np.linalg.eigvalsh(covariance)
    return area / (2 * np.pi * np.trace(covariance)), np.sqrt(1 - small / large)


def offset(region):
    cy, cx = region.centroid
    return np.hypot((2 * cy - HEIGHT + 1) / HEIGHT, (2 * cx - WIDTH + 1) / WIDTH)


def of_size(mask):
    return [region for region in regionprops(label(mask, connectivity=2)) if region.area >= 16]


def median(values):
    return np.median(values) if len(values) else 0.0


def iqr(values):
    return np.subtract(*np.percentile(values, [75, 25]))


binomial = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1])
smooth = (ndimage.correlate(h8.astype(int), binomial, mode="nearest") + 128) // 256
threshold = threshold_otsu(smooth.astype(np.uint8))
mask = smooth > threshold
share = mask.mean()
between = share * (1 - share) * (smooth[mask].mean() - smooth[~mask].mean()) ** 2
regions = of_size(mask)
areas = np.log1p([region.area for region in regions])
round_, eccentric = np.array([shape(region) for region in regions]).T
centre = min(regions, key=offset)
groups["nuclei"] = [
    threshold / 100, between / smooth.var(), share, len(regions) * 1e4 / mask.size,
    median(areas), iqr(areas), np.percentile(areas, 90), median(round_), iqr(round_), median(eccentric),
    h[mask].mean(), h[mask].std(), e[mask].mean(), h[~mask].mean(), e[~mask].mean(),
    np.log1p(centre.area), *shape(centre), offset(centre),
]

white = (image >= 210).all(axis=2)
holes = [
    region for region in of_size(white)
    if shape(region)[0] >= 0.8 and region.bbox[0] > 0 and region.bbox[1] > 0
    and region.bbox[2] < HEIGHT and region.bbox[3] < WIDTH
]
groups["vacuoles"] = [
    white.mean(), sum(r.area for r in holes) / white.size, len(holes) * 1e4 / white.size,
    median([np.log1p(r.area) for r in holes]), median([shape(r)[0] for r in holes]),
]

for name, values in groups.items():
    print(name, len(values), np.round(values, 4))
tensors = {name: np.array(values, dtype=np.float32) for name, values in groups.items()}
save_file(tensors | {"image": image}, "crates/nn/tests/goldens/classical.safetensors")
