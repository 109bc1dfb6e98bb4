"""Goldens for confident learning, from cleanlab.

Pinned: cleanlab 2.9.0, numpy 2.4.6, scikit-learn 1.9.1, pandas 3.1.1.
Run from the repository root: python oracles/audit_confident_learning.py
Writes crates/audit/tests/goldens/confident_learning.json.

Probabilities are multiples of a power of two, so that they are the same number in 32 and 64 bits.
NumPy's default argsort leaves equal values in an unspecified order, which differs from processor
to processor; cleanlab inherits that. The goldens are made with a stable argsort (lowest index
first). For cases without equal scores the script checks that unpatched cleanlab agrees.
"""

import contextlib
import json
import warnings
from pathlib import Path

import numpy as np
from cleanlab import count, dataset, filter, outlier, rank

warnings.filterwarnings("ignore")

FILTERS = [
    "prune_by_noise_rate",
    "prune_by_class",
    "both",
    "confident_learning",
    "predicted_neq_given",
    "low_normalized_margin",
    "low_self_confidence",
]
OPTIONS = [(1, 1.0), (0, 1.0), (5, 1.0), (1, 0.5), (12, 0.25)]


@contextlib.contextmanager
def stable_argsort():
    original = np.argsort
    np.argsort = lambda values, axis=-1, **_: original(values, axis=axis, kind="stable")
    try:
        yield
    finally:
        np.argsort = original


def on_grid(probabilities, bits):
    """Rounds rows to multiples of 2^-bits that sum to exactly 1."""
    units = 2**bits
    rounded = np.floor(probabilities * units)
    rounded[np.arange(len(rounded)), rounded.argmax(axis=1)] += units - rounded.sum(axis=1)
    return rounded / units


def simulated(seed, items, classes, noise, bits, weights=None, signal=2.0, missing=None):
    rng = np.random.default_rng(seed)
    true = rng.choice(classes, size=items, p=weights)
    labels = np.where(rng.random(items) < noise, rng.integers(0, classes, items), true)
    if missing is not None:
        labels[labels == missing] = (missing + 1) % classes
    logits = rng.normal(size=(items, classes))
    logits[np.arange(items), true] += signal
    probabilities = np.exp(logits)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return labels, on_grid(probabilities, bits)


def flags(labels, probabilities):
    found = {}
    for name in FILTERS:
        prunes = name in ("prune_by_noise_rate", "prune_by_class", "both")
        for min_examples, fraction in OPTIONS if prunes else OPTIONS[:1]:
            mask = filter.find_label_issues(
                labels,
                probabilities,
                filter_by=name,
                min_examples_per_class=min_examples,
                frac_noise=fraction,
                n_jobs=1,
            )
            found[f"{name},{min_examples},{fraction}"] = np.flatnonzero(mask).tolist()
    return found


def short(values):
    """Nine decimals: a thousandth of the tolerance of the tests."""
    return np.round(np.asarray(values, dtype=np.float64), 9).tolist()


def numerators(probabilities):
    """The smallest power of two of which all probabilities are multiples, and the multiples."""
    units = 1
    while not np.array_equal(np.rint(probabilities * units), probabilities * units):
        units *= 2
    return units, (probabilities * units).astype(int).tolist()


def case(name, labels, probabilities, has_ties):
    labels = np.asarray(labels)
    probabilities = np.asarray(probabilities, dtype=np.float64)
    assert np.array_equal(probabilities.astype(np.float32).astype(np.float64), probabilities)
    with stable_argsort():
        issues = flags(labels, probabilities)
        confident_joint = count.compute_confident_joint(labels, probabilities, calibrate=False)
        calibrated = count.compute_confident_joint(labels, probabilities)
        joint = count.estimate_joint(labels, probabilities)
        classes = dataset.rank_classes_by_label_quality(labels, probabilities)
        overlaps = dataset.find_overlapping_classes(labels, probabilities)
        order = {
            method: filter.find_label_issues(
                labels, probabilities, return_indices_ranked_by=method, n_jobs=1
            ).tolist()
            for method in ("self_confidence", "normalized_margin", "confidence_weighted_entropy")
        }
    if not has_ties:
        assert issues == flags(labels, probabilities), name
        assert np.array_equal(calibrated, count.compute_confident_joint(labels, probabilities))
    units, multiples = numerators(probabilities)
    latent = {}
    for consistent in (False, True):
        prior, noise, inverse = count.estimate_latent(
            calibrated, labels, converge_latent_estimates=consistent
        )
        latent[str(consistent).lower()] = {
            "prior": short(prior),
            "noise_matrix": short(noise),
            "inverse_noise_matrix": short(inverse),
        }
    scores = {}
    for method in ("self_confidence", "normalized_margin", "confidence_weighted_entropy"):
        scores[method] = short(
            rank.get_label_quality_scores(labels, probabilities, method=method)
        )
        if method != "confidence_weighted_entropy":
            scores[method + "_adjusted"] = short(
                rank.get_label_quality_scores(
                    labels, probabilities, method=method, adjust_pred_probs=True
                )
            )
    typicality = {}
    for method in ("entropy", "least_confidence"):
        for adjusted in (False, True):
            ood = outlier.OutOfDistribution({"method": method, "adjust_pred_probs": adjusted})
            typicality[f"{method},{str(adjusted).lower()}"] = short(
                ood.fit_score(
                    pred_probs=probabilities, labels=labels if adjusted else None, verbose=False
                )
            )
    return {
        "name": name,
        "labels": labels.tolist(),
        "units": units,
        "numerators": multiples,
        "thresholds": np.asarray(count.get_confident_thresholds(labels, probabilities)).tolist(),
        "confident_joint": confident_joint.tolist(),
        "calibrated_joint": calibrated.tolist(),
        "joint": joint.tolist(),
        "issue_count": int(count.num_label_issues(labels, probabilities)),
        "issues": issues,
        "order": order,
        "latent": latent,
        "scores": scores,
        "health_score": dataset.overall_label_health_score(labels, probabilities, verbose=False),
        "classes": classes.sort_values("Class Index")[
            [
                "Class Index",
                "Label Issues",
                "Inverse Label Issues",
                "Label Noise",
                "Inverse Label Noise",
                "Label Quality Score",
            ]
        ].values.tolist(),
        "overlaps": overlaps.sort_values(["Class Index A", "Class Index B"])[
            ["Class Index A", "Class Index B", "Num Overlapping Examples", "Joint Probability"]
        ].values.tolist(),
        "typicality": typicality,
    }


def as_f32(rows):
    """Decimal fractions of cleanlab's tests, as the nearest 32-bit numbers."""
    return np.array(rows, dtype=np.float32).astype(np.float64)


def cleanlab_test_cases():
    """Inputs that stand inline in cleanlab's tests/test_filter_count.py."""
    rows = [
        [0.9, 0.1, 0.0],
        [0.8, 0.1, 0.1],
        [0.1, 0.0, 0.9],
        [0.9, 0.0, 0.1],
        [0.1, 0.3, 0.6],
        [0.1, 0.0, 0.9],
        [0.1, 0.0, 0.9],
        [0.1, 0.0, 0.9],
    ]
    yield "removing a class, present", [0, 0, 0, 0, 1, 2, 2, 2], rows
    yield "removing a class, gone", [0, 0, 0, 0, 2, 2, 2, 2], rows
    yield "shared example", [0, 0, 1, 1, 1, 1, 1, 1, 1, 2], (
        [[0.9, 0.1, 0], [0.6, 0.2, 0.2], [0.1, 0, 0.9]] + [[0.1, 0.8, 0.1]] * 6 + [[0.1, 0.1, 0.8]]
    )
    yield "missing classes", [0, 0, 2, 2], [
        [0.9, 0.0, 0.1, 0.0],
        [0.8, 0.0, 0.2, 0.0],
        [0.1, 0.0, 0.9, 0.0],
        [0.95, 0.0, 0.05, 0.0],
    ]
    yield "missing classes with probability", [0, 0, 2, 2], [
        [0.9, 0.1, 0.0, 0.0],
        [0.8, 0.1, 0.1, 0.0],
        [0.1, 0.0, 0.9, 0.0],
        [0.9, 0.025, 0.025, 0.05],
    ]
    yield "predicted is not given", [0, 0, 1, 1, 2], [
        [0.9, 0.1, 0],
        [0.6, 0.2, 0.2],
        [0.3, 0.3, 0.4],
        [0.1, 0.1, 0.8],
        [0.4, 0.5, 0.1],
    ]


def main():
    cases = [
        case("noise", *simulated(1, 300, 4, 0.2, 20), has_ties=False),
        case("imbalanced", *simulated(2, 300, 5, 0.15, 20, [0.5, 0.3, 0.12, 0.06, 0.02]), False),
        case("missing class", *simulated(3, 250, 4, 0.2, 20, missing=2), False),
        case("two classes", *simulated(4, 200, 2, 0.25, 20, signal=1.0), False),
        case("many classes", *simulated(5, 300, 12, 0.3, 20, signal=3.0), has_ties=True),
        case("ties", *simulated(6, 300, 4, 0.3, 3), has_ties=True),
        case("ties, missing class", *simulated(7, 300, 6, 0.3, 2, missing=0), has_ties=True),
    ]
    cases += [
        case(f"cleanlab tests: {name}", labels, as_f32(rows), has_ties=True)
        for name, labels, rows in cleanlab_test_cases()
    ]
    path = Path("crates/audit/tests/goldens/confident_learning.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"cases": cases}, separators=(",", ":")) + "\n")
    print(path, path.stat().st_size, "bytes")
    for entry in cases:
        print(entry["name"], {key: len(value) for key, value in list(entry["issues"].items())[:1]})


if __name__ == "__main__":
    main()
