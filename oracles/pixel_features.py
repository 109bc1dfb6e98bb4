"""Measurements of pixels at several scales, by SciPy.

Run from the repository root:
    pip install numpy==2.4.6 scipy==1.17.1
    python oracles/pixel_features.py
Writes crates/learn/tests/goldens/pixel_features.json.
"""

import json

import numpy
from scipy import ndimage

HEIGHT, WIDTH = 13, 17
# The same numbers without a file: a fixed arithmetic of row, column and channel.
row, column, channel = numpy.meshgrid(
    numpy.arange(HEIGHT), numpy.arange(WIDTH), numpy.arange(3), indexing="ij"
)
image = (row * row * 7 + column * 13 * (channel + 1) + row * column * 5) % 256

planes = [image[..., c] / 255 for c in range(3)]
features = list(planes)
brightness = sum(planes) / 3
for sigma in [1, 2, 4, 8]:

    def blur(plane):
        return ndimage.gaussian_filter(plane, sigma, mode="reflect", truncate=4.0)

    def difference(plane, kernel):
        return ndimage.correlate(plane, numpy.array(kernel, float), mode="reflect")

    features += [blur(plane) for plane in planes]
    smooth = blur(brightness)
    down = difference(smooth, [[-0.5], [0], [0.5]])
    right = difference(smooth, [[-0.5, 0, 0.5]])
    features.append(numpy.hypot(down, right) * sigma)
    variance = blur(brightness**2) - smooth**2
    features.append(numpy.sqrt(numpy.maximum(variance, 0)))
    hessian = numpy.empty((HEIGHT, WIDTH, 2, 2))
    hessian[..., 0, 0] = difference(smooth, [[1], [-2], [1]])
    hessian[..., 1, 1] = difference(smooth, [[1, -2, 1]])
    mixed = difference(smooth, [[0.25, 0, -0.25], [0, 0, 0], [-0.25, 0, 0.25]])
    hessian[..., 0, 1] = hessian[..., 1, 0] = mixed
    smaller, larger = numpy.moveaxis(numpy.linalg.eigvalsh(hessian * sigma**2), -1, 0)
    features += [larger, smaller]

# Some pixels are enough, those of the corners and borders among them.
places = [(0, 0), (0, 16), (12, 0), (12, 16), (0, 8), (6, 0), (5, 9), (11, 3), (7, 15)]
golden = {
    "height": HEIGHT,
    "width": WIDTH,
    "pixels": [
        {
            "row": r,
            "column": c,
            "features": [float(f"{plane[r, c]:.9g}") for plane in features],
        }
        for r, c in places
    ],
}
with open("crates/learn/tests/goldens/pixel_features.json", "w") as file:
    json.dump(golden, file, indent=1)
    file.write("\n")
