"""Mixtures of two normal distributions of one number, by scikit-learn.

scikit-learn==1.9.1, numpy==2.4.6
Run: python oracles/gaussian_mixture.py
Writes crates/learn/tests/goldens/gaussian_mixture.json

Each case has `values`; `shares`, `means` and `variances` of the two distributions, the lower first, where expectation
maximisation ends that begins with the best split into two; and `evidence`, the Bayesian information criterion of one
distribution less that of two.
"""

import json
from pathlib import Path

import numpy as np
from sklearn.mixture import GaussianMixture


def best_split(values):
    values = np.sort(values)
    sums = [np.var(values[:k]) * k + np.var(values[k:]) * (len(values) - k) for k in range(1, len(values))]
    place = int(np.argmin(sums)) + 1
    return values[:place], values[place:]


def case(values):
    parts = best_split(values)
    two = GaussianMixture(
        2,
        tol=1e-13,
        max_iter=100_000,
        reg_covar=1e-12,
        weights_init=[len(part) / len(values) for part in parts],
        means_init=[[part.mean()] for part in parts],
        precisions_init=[[[1 / part.var()]] for part in parts],
    ).fit(values[:, None])
    one = GaussianMixture(1, reg_covar=1e-12).fit(values[:, None])
    order = np.argsort(two.means_[:, 0])
    return {
        "values": values.tolist(),
        "shares": two.weights_[order].tolist(),
        "means": two.means_[order, 0].tolist(),
        "variances": two.covariances_[order, 0, 0].tolist(),
        "evidence": one.bic(values[:, None]) - two.bic(values[:, None]),
    }


generator = np.random.default_rng(11)
cases = []
for number in range(16):
    count = int(generator.integers(60, 300))
    share = generator.uniform(0.15, 0.6)
    low = int(share * count)
    apart = (1.0, 2.0, 4.0, 8.0)[number % 4]
    values = np.concatenate(
        [generator.normal(0.2, 0.1, low), generator.normal(0.2 + 0.1 * apart, 0.05 + 0.1 * generator.random(), count - low)]
    )
    cases.append(case(np.round(values, 6)))
path = Path(__file__).parent.parent / "crates/learn/tests/goldens/gaussian_mixture.json"
path.write_text(json.dumps(cases) + "\n")
