"""Where the fit of a network to labels slows down, by scipy: the curve a (1 - exp(-x^b / c)) fitted as ADELE does
(Liu et al., arXiv 2110.03740), and the relative change of its slope.

scipy==1.17.1, numpy==2.4.6
Run: python oracles/deceleration.py
Writes crates/learn/tests/goldens/deceleration.json

Each case has `values`, measured after the epochs 1, 2, ...; `residual`, the weighted sum of squares of scipy's fit;
and `change`, for each epoch the share of the first slope by which the slope differs from it.
"""

import json
import warnings
from pathlib import Path

import numpy as np
from scipy.optimize import curve_fit


def curve(x, a, b, c):
    return a * (1 - np.exp(-(x**b) / c))


def slope(x, a, b, c):
    return a * b / c * np.exp(-(x**b) / c) * x ** (b - 1)


def case(values):
    epochs = np.arange(1, len(values) + 1, dtype=float)
    sigma = np.geomspace(1, 0.1, len(values))
    best = None
    # Of several starts the best: from (1, 1, 1) alone, as there, scipy may end in a local minimum.
    for start in [(1, 1, 1), (0.5, 0.5, 1), (0.9, 0.9, 10), (0.3, 0.3, 0.5)]:
        found, _ = curve_fit(
            curve,
            epochs,
            values,
            p0=start,
            method="trf",
            sigma=sigma,
            absolute_sigma=True,
            bounds=([0, 0, 0], [1, 1, np.inf]),
            ftol=1e-15,
            xtol=1e-15,
            gtol=1e-15,
            max_nfev=20000,
        )
        residual = float((((values - curve(epochs, *found)) / sigma) ** 2).sum())
        if best is None or residual < best[0]:
            best = residual, found
    residual, found = best
    first = slope(1.0, *found)
    change = np.abs(slope(epochs, *found) - first) / first
    return {"values": values.tolist(), "residual": residual, "change": change.tolist()}


generator = np.random.default_rng(7)
cases = []
for number in range(24):
    epochs = np.arange(1, generator.integers(4, 30) + 1.0)
    a, b, c = generator.uniform(0.3, 0.95), generator.uniform(0.4, 1), generator.uniform(0.5, 8)
    noise = generator.normal(0, (0, 0.01, 0.03)[number % 3], len(epochs))
    values = np.clip(curve(epochs, a, b, c) + noise, 0, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases.append(case(values))
path = Path(__file__).parent.parent / "crates/learn/tests/goldens/deceleration.json"
path.write_text(json.dumps(cases, indent=1) + "\n")
