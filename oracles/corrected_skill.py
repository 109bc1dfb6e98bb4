"""Balanced accuracy against the truth from counts of given and predicted classes and P(true | given), by numpy.

numpy==2.4.6
Run: python oracles/corrected_skill.py
Writes crates/learn/tests/goldens/corrected_skill.json

Each case has `truth_of_given` [given, true], `counts` [given, predicted], the `condition` of the first in the norm of
the greatest sum of a row, and `balanced_accuracy`, the mean of the diagonal of its solution for the second, whose rows
were made to sum to 1.
"""

import json
from pathlib import Path

import numpy as np

rng = np.random.default_rng(11)
cases = []
for number in range(40):
    classes = 2 + number % 4
    noise = np.eye(classes) + rng.uniform(0, 0.5, (classes, classes))
    # Without order, pivots are not on the diagonal.
    noise = noise[rng.permutation(classes)] if number % 8 == 7 else noise
    noise /= noise.sum(axis=1, keepdims=True)
    counts = rng.integers(1, 200, (classes, classes)).astype(float)
    skill = np.linalg.solve(noise, counts / counts.sum(axis=1, keepdims=True))
    cases.append(
        {
            "truth_of_given": noise.tolist(),
            "counts": counts.tolist(),
            "condition": float(np.linalg.cond(noise, np.inf)),
            "balanced_accuracy": float(np.mean(np.diag(skill))),
        }
    )
path = Path(__file__).parent.parent / "crates/learn/tests/goldens/corrected_skill.json"
path.write_text(json.dumps(cases) + "\n")
