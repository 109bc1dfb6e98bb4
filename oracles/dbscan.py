"""Clusters of points, by scikit-learn.

scikit-learn==1.9.1, numpy==2.4.6
Run: python oracles/dbscan.py
Writes crates/eval/tests/goldens/dbscan.json

Each case has `points`, the distance `within`, the number `least`, and the cluster of each point, -1 of none.
"""

import json
from pathlib import Path

import numpy as np
from sklearn.cluster import DBSCAN

generator = np.random.default_rng(5)
cases = []
for number in range(12):
    middles = generator.uniform(0, 400, (int(generator.integers(1, 6)), 2))
    groups = [generator.normal(middle, generator.uniform(5, 40), (int(generator.integers(5, 40)), 2)) for middle in middles]
    points = np.round(np.concatenate([*groups, generator.uniform(0, 400, (20, 2))]), 3)
    generator.shuffle(points)
    within, least = float(generator.choice([15, 25, 40])), int(generator.choice([3, 5, 10]))
    clusters = DBSCAN(eps=within, min_samples=least).fit_predict(points)
    cases.append({"points": points.tolist(), "within": within, "least": least, "clusters": clusters.tolist()})
path = Path(__file__).parent.parent / "crates/eval/tests/goldens/dbscan.json"
path.write_text(json.dumps(cases) + "\n")
