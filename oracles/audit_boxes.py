"""Goldens for the audit of boxes, from cleanlab's ObjectLab.

Pinned: cleanlab 2.9.0, numpy 2.4.6.
Run from the repository root: python oracles/audit_boxes.py
Writes crates/audit/tests/goldens/boxes.json.

NumPy's default argsort leaves equal scores in an unspecified order; the goldens are made with a
stable argsort. Average precisions that cleanlab rounds to 32 bits are kept as they are: the test
allows for it.
"""

import json
import warnings
from pathlib import Path

import numpy as np

from cleanlab.object_detection import filter, rank

warnings.filterwarnings("ignore")
original = np.argsort
np.argsort = lambda values, *args, **kwargs: original(values, *args, **(kwargs | {"kind": "stable"}))


def random_box(rng, size):
    left, top = rng.integers(0, size - 8, 2)
    width, height = rng.integers(4, 40, 2)
    return [float(left), float(top), float(min(left + width, size)), float(min(top + height, size))]


def simulated(seed, images, classes, size=120, empty=0.0, copies=False):
    """Labels with planted errors, predictions with some of their own."""
    rng = np.random.default_rng(seed)
    given, predicted = [], []
    for _ in range(images):
        labels, predictions = [], []
        for _ in range(0 if rng.random() < empty else rng.integers(1, 8)):
            box, kind = random_box(rng, size), int(rng.integers(0, classes))
            error = rng.random()
            label, name = list(box), kind
            if error < 0.15:
                name = int(rng.integers(0, classes))
            elif error < 0.3:
                label = [value + float(shift) for value, shift in zip(box, rng.integers(1, 12) * np.ones(4))]
            if not 0.3 <= error < 0.42:
                labels.append((label, name))
            if copies and error > 0.85:
                labels.append((list(label), (name + 1) % classes))
            if rng.random() < 0.9:
                score = float(rng.choice([0.97, 0.99, 0.95, 0.5, 0.75, 0.3]))
                moved = [value + float(shift) for value, shift in zip(box, rng.normal(0, 0.7, 4).round(1))]
                predictions.append((moved, kind, score))
        if rng.random() < 0.5:
            predictions.append((random_box(rng, size), int(rng.integers(0, classes)), 0.98))
        given.append(labels)
        predicted.append(predictions)
    return given, predicted


def numbers(values):
    return [None if np.isnan(value) else float(value) for value in values]


def case(name, given, predicted, classes):
    labels = [
        {
            "bboxes": np.array([box for box, _ in image], dtype=float).reshape(-1, 4),
            "labels": np.array([kind for _, kind in image], dtype=int),
        }
        for image in given
    ]
    predictions, order = [], []
    for image in predicted:
        kinds, places = [], []
        for kind in range(classes):
            mine = [i for i, entry in enumerate(image) if entry[1] == kind]
            places += mine
            kinds.append(np.array([image[i][0] + [image[i][2]] for i in mine], dtype=float).reshape(-1, 5))
        predictions.append(kinds)
        order.append(places)
    result = {
        "name": name,
        "classes": classes,
        "labels": [[[*box, kind] for box, kind in image] for image in given],
        "predictions": [[[*box, kind, score] for box, kind, score in image] for image in predicted],
    }
    for check in (True, False):
        inputs = rank._get_valid_inputs_for_compute_scores(0.9, labels, predictions)
        raw = {
            "overlooked": rank.compute_overlooked_box_scores(auxiliary_inputs=inputs),
            "badly_located": rank.compute_badloc_box_scores(auxiliary_inputs=inputs),
            "swapped": rank.compute_swap_box_scores(
                auxiliary_inputs=inputs, overlapping_label_check=check
            ),
        }
        # cleanlab has the boxes of one class after those of another; ours come as they were given.
        unsorted = []
        for values, places in zip(raw["overlooked"], order):
            image = np.full(len(places), np.nan)
            image[places] = values
            unsorted.append(image)
        found = {
            "overlooked": [numbers(image) for image in unsorted],
            "badly_located": [numbers(image) for image in raw["badly_located"]],
            "swapped": [numbers(image) for image in raw["swapped"]],
            "images": {name: rank.pool_box_scores_per_image(raw[name]).tolist() for name in raw},
            "quality": rank.get_label_quality_scores(
                labels, predictions, overlapping_label_check=check, verbose=False
            ).tolist(),
            "issues": filter.find_label_issues(
                labels, predictions, overlapping_label_check=check
            ).tolist(),
        }
        thresholds = filter._get_per_class_ap(labels, predictions)
        found["thresholds"] = [float(thresholds[kind]) for kind in range(classes)]
        flags = {}
        for kind, places in (("overlooked", order), ("badly_located", None), ("swapped", None)):
            boxes = [np.array(image) for image in raw[kind]]
            classes_of = [
                rank._separate_prediction(prediction)[1] if kind == "overlooked" else label["labels"]
                for prediction, label in zip(predictions, labels)
            ]
            per_box = filter._find_label_issues_per_box(
                boxes, filter._process_class_list(classes_of, thresholds), 0.8
            )
            rows = []
            for image, (marks, count) in enumerate(zip(per_box, map(len, classes_of))):
                marks = np.asarray(marks)[:count]
                if places is not None:
                    marks = np.array([marks[places[image].index(i)] for i in range(count)], bool)
                rows.append([bool(mark) for mark in marks])
            flags[kind] = rows
        found["flags"] = flags
        result["with_overlap_check" if check else "without"] = found
    flagged = result["with_overlap_check"]
    print(name, "issues", sum(flagged["issues"]), "of", len(given), flagged["thresholds"])
    return result


def main():
    box = [10.0, 10.0, 30.0, 40.0]
    cases = [
        case("errors", *simulated(1, 12, 3), 3),
        case("many classes", *simulated(2, 10, 7), 7),
        case("empty images", *simulated(3, 12, 2, empty=0.5), 2),
        case("two classes on one box", *simulated(4, 10, 3, copies=True), 3),
        case("one image", *simulated(5, 1, 2), 2),
        case("only overlooked", [[]], [[(box, 0, 0.99), (box, 1, 0.96)]], 2),
        case("nothing predicted", [[(box, 0)], [(box, 1)]], [[], []], 2),
        case("nothing at all", [[], []], [[], []], 2),
        case("thresholds are exact", [[(box, 0)]], [[(box, 0, 0.5), (box, 1, 0.95)]], 2),
        case(
            "far away",
            [[(box, 0)], [(box, 0)]],
            [[([90010.0, 10.0, 90030.0, 40.0], 0, 0.99)], [(box, 0, 0.99)]],
            1,
        ),
    ]
    path = Path("crates/audit/tests/goldens/boxes.json")
    path.write_text(json.dumps({"cases": cases}, separators=(",", ":")) + "\n")
    print(path, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
