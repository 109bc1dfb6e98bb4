"""Goldens for the audit of pixels, from cleanlab's segmentation module.

Pinned: cleanlab 2.9.0, numpy 2.4.6.
Run from the repository root: python oracles/audit_pixels.py
Writes crates/audit/tests/goldens/pixels.json.

Probabilities are multiples of a power of two, so that they are the same number in 32 and 64 bits.
NumPy's default argsort leaves equal values in an unspecified order, and cleanlab inherits that; the
goldens are made with a stable argsort (first pixel first). For cases without equal scores the
script checks that unpatched cleanlab agrees. cleanlab knows no unlabelled pixels: the case that
has some gives cleanlab the labelled ones only, as one row.
"""

import contextlib
import json
import warnings
from pathlib import Path

import numpy as np
from cleanlab.segmentation.filter import find_label_issues
from cleanlab.segmentation.rank import get_label_quality_scores
from cleanlab.segmentation.summary import common_label_issues

warnings.filterwarnings("ignore")

UNLABELLED = 255


@contextlib.contextmanager
def stable_argsort():
    """`LabelInspector` calls the method of the array, so an array of another class is handed out."""
    from cleanlab.experimental.label_issues_batched import LabelInspector

    class Stable(np.ndarray):
        def argsort(self, *_, **__):
            return np.argsort(np.asarray(self), kind="stable")

    original = LabelInspector.get_quality_scores
    LabelInspector.get_quality_scores = lambda self: original(self).view(Stable)
    try:
        yield
    finally:
        LabelInspector.get_quality_scores = original


def simulated(seed, shape, classes, noise, bits, missing=None, unlabelled=0.0, signal=2.0):
    rng = np.random.default_rng(seed)
    true = rng.integers(0, classes, shape)
    labels = np.where(rng.random(shape) < noise, rng.integers(0, classes, shape), true)
    if missing is not None:
        labels[labels == missing] = (missing + 1) % classes
    logits = rng.normal(size=(*shape, classes))
    np.put_along_axis(
        logits, true[..., None], np.take_along_axis(logits, true[..., None], -1) + signal, -1
    )
    probabilities = np.exp(logits)
    probabilities /= probabilities.sum(axis=-1, keepdims=True)
    units = 2**bits
    rounded = np.floor(probabilities * units)
    best = probabilities.argmax(axis=-1)[..., None]
    missing_units = units - rounded.sum(axis=-1, keepdims=True)
    np.put_along_axis(
        rounded, best, np.take_along_axis(rounded, best, -1) + missing_units, axis=-1
    )
    labels[rng.random(shape) < unlabelled] = UNLABELLED
    return labels, np.moveaxis(rounded, -1, 1), units


def case(name, labels, numerators, units, has_ties=True):
    probabilities = numerators / units
    assert np.array_equal(probabilities.astype(np.float32).astype(np.float64), probabilities)
    seen, given = labels, probabilities
    if (labels == UNLABELLED).any():
        assert len(labels) == 1
        kept = labels[0] != UNLABELLED
        seen = labels[0][kept].reshape(1, 1, -1)
        given = probabilities[0][:, kept].reshape(1, probabilities.shape[1], 1, -1)
    quiet = {"n_jobs": 1, "verbose": False}
    with stable_argsort():
        issues = find_label_issues(seen, given, **quiet)
        by_issues, _ = get_label_quality_scores(seen, given, method="num_pixel_issues", **quiet)
    if not has_ties:
        assert np.array_equal(issues, find_label_issues(seen, given, **quiet)), name
    for batch_size in (1, 100):
        with stable_argsort():
            assert np.array_equal(issues, find_label_issues(seen, given, batch_size=batch_size, **quiet))
    softmin, _ = get_label_quality_scores(seen, given, verbose=False)
    warm, _ = get_label_quality_scores(seen, given, verbose=False, temperature=0.5)
    pairs = common_label_issues(issues, seen, given, top=1000, verbose=False)
    marked = np.zeros(labels.shape, dtype=bool)
    marked[labels != UNLABELLED] = issues.reshape(-1)
    print(name, labels.shape, int(issues.sum()), "issues")
    return {
        "name": name,
        "labels": labels.tolist(),
        "units": units,
        "numerators": numerators.astype(int).tolist(),
        "issues": np.flatnonzero(marked).tolist(),
        "softmin": softmin.tolist(),
        "softmin_half": warm.tolist(),
        "issue_scores": by_issues.tolist(),
        "pairs": [[int(a), int(b), int(c)] for a, b, c in pairs.values.tolist()],
    }


def main():
    wrong_everywhere = np.array([[[1, 1, 0], [0, 0, 1]]])
    sure = np.where(wrong_everywhere[:, None] == np.arange(2)[None, :, None, None], 0, 8)
    cases = [
        case("three images", *simulated(1, (3, 7, 9), 4, 0.2, 24), has_ties=False),
        case("two classes", *simulated(2, (2, 8, 11), 2, 0.25, 24, signal=1.0), has_ties=False),
        case("missing class", *simulated(3, (2, 8, 8), 4, 0.2, 24, missing=2), has_ties=False),
        case("missing first class", *simulated(4, (3, 5, 6), 3, 0.3, 12, missing=0)),
        case("ties", *simulated(5, (3, 9, 8), 4, 0.3, 3)),
        case("more ties", *simulated(6, (4, 6, 7), 3, 0.4, 2, signal=1.0)),
        case("unlabelled", *simulated(7, (1, 13, 12), 4, 0.25, 10, unlabelled=0.3)),
        case("all right", np.array([[[0, 1], [1, 0]]]), np.array([[[[8, 1], [2, 7]], [[0, 7], [6, 1]]]]), 8),
        case("all wrong", wrong_everywhere, sure, 8),
        case("one pixel", np.array([[[1]]]), np.array([[[[6]], [[2]]]]), 8),
    ]
    path = Path("crates/audit/tests/goldens/pixels.json")
    path.write_text(json.dumps({"cases": cases}, separators=(",", ":")) + "\n")
    print(path, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
