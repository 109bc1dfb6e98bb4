"""Goldens of crates/learn/tests/logistic_regression.rs.

    python oracles/logistic_regression.py

Multinomial logistic regression of scikit-learn on a small random problem, run to convergence: plain,
class-balanced, with item weights, and on standardised features. Written with scikit-learn 1.9.0 and
numpy 2.4.6; see VERSIONS in the file for what wrote it last.
"""

import json
import pathlib

import numpy as np
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

OUT = pathlib.Path("crates/learn/tests/goldens/logistic_regression.json")


def main():
    rng = np.random.default_rng(7)
    n, d, c = 120, 8, 3
    y = rng.choice(c, n, p=[0.6, 0.3, 0.1])
    centres = rng.normal(0, 1, (c, d))
    x = (centres[y] + rng.normal(0, 1.5, (n, d))) * rng.uniform(0.2, 3, d) + rng.normal(0, 2, d)
    x = np.round(x, 4)
    flip = rng.random(n) < 0.2
    y = np.where(flip, rng.integers(0, c, n), y)
    weights = np.round(rng.uniform(0.1, 1, n), 3)
    cases = []
    for C, balanced, weighted, standardised in [
        (1.0, False, False, False),
        (0.003, True, False, True),
        (0.1, True, False, True),
        (0.1, False, True, True),
        (10.0, True, False, False),
    ]:
        features = StandardScaler().fit_transform(x) if standardised else x
        model = LogisticRegression(
            C=C, class_weight="balanced" if balanced else None, tol=1e-10, max_iter=100000
        )
        model.fit(features, y, sample_weight=weights if weighted else None)
        cases.append(
            {
                "c": C,
                "balanced": balanced,
                "weighted": weighted,
                "standardised": standardised,
                "probabilities": model.predict_proba(features).round(8).tolist(),
            }
        )
    golden = {
        "versions": {"scikit-learn": sklearn.__version__, "numpy": np.__version__},
        "features": x.tolist(),
        "labels": y.tolist(),
        "weights": weights.tolist(),
        "cases": cases,
    }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(golden) + "\n")


main()
