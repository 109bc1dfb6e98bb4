"""Goldens for the fusion rules: crowd-kit 1.4.2 and cleanlab 2.9.0 (numpy 2.4.6, pandas 3.1.1).

    python oracles/fusion.py [PATH OF amibr/votes.csv]

writes crates/weak/tests/goldens/fusion.json. With the path, it also renews
crates/weak/tests/goldens/amibr_votes.csv from that file; without it, the committed extract is
used. The extract (licence beside it) holds the label indices of three experts on every ninth image (no images, no
names), from the AMi-Br dataset, Copyright (c) 2025 DeepMicroscopy, MIT licence.

Where crowd-kit is driven in a particular way:
- MACE: workers and labels are renamed in order of first appearance before fitting, because its M
  step mixes them up otherwise. The starting parameters are the ones crowd-kit draws; they are
  written to the golden so that the other side can start from the same point. One restart, since
  all its restarts draw the same numbers.
- cleanlab refuses items and annotators without votes: they are left out and come back as null.
- Posteriors of crowd-kit are written without classes that nobody voted for: it never sees them.
"""

import csv
import json
import pathlib
import sys
import warnings

import numpy as np
import pandas as pd
from cleanlab.multiannotator import get_label_quality_multiannotator, get_majority_vote_label
from crowdkit.aggregation import GLAD, MACE, DawidSkene, MajorityVote, OneCoinDawidSkene

GOLDENS = pathlib.Path("crates/weak/tests/goldens")
EXTRACT = GOLDENS / "amibr_votes.csv"


def extract(path):
    """Every ninth image: label indices (0 normal, 1 atypical) of the three experts."""
    index = {"normal": 0, "atypical": 1, "": ""}
    with open(path) as source, open(EXTRACT, "w", newline="") as target:
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow(["expert1", "expert2", "expert3"])
        for row in list(csv.DictReader(source))[::9]:
            writer.writerow([index[row[f"expert{n}"]] for n in (1, 2, 3)])


def simulate(seed, items, annotators, classes, accuracy, keep):
    """Votes with holes: annotator a is right with accuracy[a], else votes class (truth + 1)."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(classes, size=items)
    votes = []
    for item in range(items):
        for annotator in range(annotators):
            if rng.random() < keep[annotator]:
                right = rng.random() < accuracy[annotator]
                wrong = rng.choice([c for c in classes if c != truth[item]])
                votes.append((item, annotator, int(truth[item] if right else wrong)))
    return truth, votes


def probabilities(rng, truth, classes, strength):
    """Model probabilities that single precision holds exactly, leaning to the truth."""
    logits = rng.normal(size=(len(truth), classes))
    logits[np.arange(len(truth)), truth] += strength
    p = np.exp(logits)
    p /= p.sum(axis=1, keepdims=True)
    return p.astype(np.float32).astype(np.float64)


def sets():
    rng = np.random.default_rng(11)

    # Eight annotators of mixed skill, one of them with a single vote, class 2 of 5 never voted.
    truth, votes = simulate(
        1, 70, 8, [0, 1, 3, 4], [0.9, 0.8, 0.85, 0.6, 0.3, 0.75, 0.7, 0.0],
        [0.8, 0.7, 0.6, 0.7, 0.6, 0.3, 0.5, 0.0],
    )
    votes.append((5, 7, 4))
    yield "crowd", 70, 8, 5, votes, probabilities(rng, truth, 5, 2.0)

    # Two to four annotators per item and many ties; an item (40) and an annotator (3) that
    # nobody shares; classes in an order of first appearance that is not sorted.
    truth, votes = simulate(2, 40, 3, [2, 1, 0], [0.7, 0.65, 0.6], [0.8, 0.8, 0.8])
    votes += [(40, 3, 2), (41, 0, 0), (41, 1, 1), (42, 1, 2), (42, 2, 1)]
    p = probabilities(rng, np.append(truth, [2, 0, 1]), 3, 1.0)
    p[41] = [0.25, 0.25, 0.5]
    p[42] = [0.5, 0.25, 0.25]
    yield "ties", 43, 4, 3, votes, p

    # Item 3 of 6 has no votes, annotator 2 of 4 has none, a class of 3 has none: nothing but holes.
    votes = [(0, 0, 1), (0, 1, 1), (1, 0, 0), (1, 3, 1), (2, 1, 0), (4, 3, 1), (4, 1, 1), (5, 0, 0)]
    yield "holes", 6, 4, 3, votes, probabilities(rng, np.array([1, 0, 0, 2, 1, 0]), 3, 1.0)

    # Two annotators in perfect symmetry: only lots can settle items 0 and 1 without a model.
    votes = [(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0), (2, 0, 0), (2, 1, 0), (3, 0, 1), (3, 1, 1)]
    yield "lots", 4, 2, 2, votes, probabilities(rng, np.array([0, 1, 0, 1]), 2, 1.0)

    # A class that appears only as a lonely wrong vote, and annotators who are worse than chance.
    truth, votes = simulate(4, 60, 5, [0, 1], [0.95, 0.9, 0.85, 0.2, 0.5], [1.0, 0.9, 0.9, 0.9, 0.9])
    votes = [v for v in votes if v[:2] != (7, 1)] + [(7, 1, 2)]
    yield "adversary", 60, 5, 3, votes, probabilities(rng, truth, 3, 2.5)

    with open(EXTRACT) as source:
        rows = [[row[f"expert{n}"] for n in (1, 2, 3)] for row in csv.DictReader(source)]
    votes = [(i, a, int(c)) for i, row in enumerate(rows) for a, c in enumerate(row) if c != ""]
    truth = np.array([round(np.mean([int(c) for c in row if c != ""])) for row in rows])
    yield "amibr", len(rows), 3, 2, votes, probabilities(rng, truth, 2, 1.5)


def table(frame, rows, columns):
    """A data frame as a list of rows; rows it lacks are None, columns it lacks are 0."""
    full = frame.reindex(index=rows, columns=columns, fill_value=np.nan)
    out = []
    for index, row in full.iterrows():
        known = index in frame.index
        out.append([0.0 if np.isnan(v) else float(v) for v in row] if known else None)
    return out


def series(values, index):
    return [float(values[i]) if i in values.index else None for i in index]


def dawid_skene(frame, items, annotators, classes, model):
    model.fit(frame)
    out = {
        "posterior": table(model.probas_, items, classes),
        "iterations": len(model.loss_history_),
        "labels": [int(model.labels_[i]) if i in model.labels_.index else None for i in items],
    }
    if isinstance(model, OneCoinDawidSkene):
        out["accuracy"] = series(model.skills_, annotators)
    else:
        # errors_ is [(worker, vote), truth]; the golden is [worker][truth][vote].
        out["confusion"] = [
            np.array(table(model.errors_.loc[a], classes, classes), dtype=object).tolist()
            if a in model.errors_.index.get_level_values(0) else None
            for a in annotators
        ]
    return out


def glad(frame, items, annotators, classes, orders=0, **options):
    """With `orders`, also how far crowd-kit moves when the rows of its input change places."""
    model = GLAD(**options).fit(frame)
    again = [GLAD(**options).fit(frame.sample(frac=1, random_state=n)) for n in range(orders)]
    moved = lambda a, b: float((a.sort_index() - b.sort_index()).abs().to_numpy().max())
    return {
        "spread": {
            "posterior": max([moved(m.probas_, model.probas_) for m in again], default=0.0),
            "ability": max([moved(m.alphas_, model.alphas_) for m in again], default=0.0),
            "difficulty": max(
                [moved(np.exp(-m.betas_), np.exp(-model.betas_)) for m in again], default=0.0
            ),
        },
        "posterior": table(model.probas_, items, classes),
        "ability": series(model.alphas_, annotators),
        "difficulty": series(np.exp(-model.betas_), items),
        "iterations": len(model.loss_history_),
    }


def mace(frame, items, annotators, classes, method):
    workers, worker_names = pd.factorize(frame["worker"])
    labels, label_names = pd.factorize(frame["label"])
    renamed = pd.DataFrame({"task": frame["task"], "worker": workers, "label": labels})
    model = MACE(method=method, n_restarts=1)
    model._initialize(len(worker_names), len(label_names))
    start = model.spamming_.copy(), model.thetas_.copy()
    model.fit(renamed)
    posterior = model.probas_.copy()
    posterior.columns = label_names
    spamming = model.spamming_[:, 0] / model.spamming_.sum(axis=1)
    thetas = model.thetas_ / model.thetas_.sum(axis=1, keepdims=True)
    by_worker = lambda values, columns: pd.DataFrame(values, index=worker_names, columns=columns)
    return {
        "start_guessing": table(by_worker(start[0], [0, 1]), annotators, [0, 1]),
        "start_strategy": table(by_worker(start[1], label_names), annotators, classes),
        "posterior": table(posterior, items, classes),
        "guessing": series(pd.Series(spamming, index=worker_names), annotators),
        "strategy": table(by_worker(thetas, label_names), annotators, classes),
    }


def widen(votes, items, annotators):
    """Labels as cleanlab wants them, with the items and annotators that have votes."""
    wide = np.full((items, annotators), np.nan)
    for item, annotator, label in votes:
        wide[item, annotator] = label
    rows = np.flatnonzero(~np.isnan(wide).all(axis=1))
    columns = np.flatnonzero(~np.isnan(wide).all(axis=0))
    return wide[np.ix_(rows, columns)], rows, columns


def spread(values, index, length, kind=float):
    """Values back at their places; None elsewhere and for NaN."""
    out = [None] * length
    for i, value in zip(index, values):
        out[i] = None if np.isnan(value) else kind(value)
    return out


def crowdlab(votes, items, annotators, p, consensus):
    wide, rows, columns = widen(votes, items, annotators)
    np.random.seed(0)
    result = get_label_quality_multiannotator(
        wide, p[rows], consensus_method=consensus, return_weights=True, verbose=False
    )
    quality = result["label_quality"]
    stats = result["annotator_stats"].sort_index()
    of_items = lambda values, kind=float: spread(values, rows, items, kind)
    of_annotators = lambda values, kind=float: spread(values, columns, annotators, kind)
    return {
        "labels": of_items(quality["consensus_label"], int),
        "quality": of_items(quality["consensus_quality_score"]),
        "agreement": of_items(quality["annotator_agreement"]),
        "vote_quality": [
            (item, int(columns[column]), float(value))
            for item, row in zip(rows.tolist(), result["detailed_label_quality"].to_numpy())
            for column, value in enumerate(row)
            if not np.isnan(value)
        ],
        "annotator_quality": of_annotators(stats["annotator_quality"]),
        "annotator_agreement": of_annotators(stats["agreement_with_consensus"]),
        "worst_class": of_annotators(stats["worst_class"], int),
        "model_weight": float(result["model_weight"]),
        "annotator_weight": of_annotators(result["annotator_weight"]),
    }


def cleanlab_majority(votes, items, annotators):
    """cleanlab's majority without a model; -1 where it had to draw lots, None without votes."""
    wide, rows, _ = widen(votes, items, annotators)
    draws = []
    for seed in range(30):
        np.random.seed(seed)
        draws.append(get_majority_vote_label(wide, verbose=False))
    same = [int(c[0]) if (c == c[0]).all() else -1 for c in np.array(draws).T]
    return spread(same, rows, items, int)


def main():
    warnings.simplefilter("ignore")
    if len(sys.argv) > 1:
        extract(sys.argv[1])
    goldens = {}
    for name, items, annotators, classes, votes, p in sets():
        # Shuffled, so that nothing rests on the order of the input.
        order = np.random.default_rng(3).permutation(len(votes))
        frame = pd.DataFrame([votes[i] for i in order], columns=["task", "worker", "label"])
        rows, workers, labels = range(items), range(annotators), range(classes)
        arguments = frame, rows, workers, labels
        # In order of the labels: crowd-kit gives ties to the class that its input names first.
        majority = MajorityVote().fit(frame.sort_values("label"))
        golden = {
            "items": items,
            "annotators": annotators,
            "classes": classes,
            "votes": votes,
            "majority": {
                "posterior": table(majority.probas_, rows, labels),
                "labels": [
                    int(majority.labels_[i]) if i in majority.labels_.index else None for i in rows
                ],
                "agreement": series(majority.skills_, workers),
            },
            "dawid_skene": dawid_skene(*arguments, DawidSkene()),
            "dawid_skene_long": dawid_skene(*arguments, DawidSkene(n_iter=400, tol=1e-12)),
            "one_coin": dawid_skene(*arguments, OneCoinDawidSkene()),
            "glad": glad(*arguments, orders=8),
            "glad_long": glad(
                *arguments, n_iter=300, tol=1e-10, m_step_tol=1e-7, m_step_max_iter=500
            ),
            "mace_vb": mace(*arguments, "vb"),
            "mace_em": mace(*arguments, "em"),
        }
        golden["probabilities"] = [[float(v) for v in row] for row in p]
        golden["majority_cleanlab"] = cleanlab_majority(votes, items, annotators)
        for method in ("best_quality", "majority_vote"):
            golden[f"crowdlab_{method}"] = crowdlab(votes, items, annotators, p, method)
        goldens[name] = golden
    # Twelve significant digits: a million times finer than the strictest tolerance (1e-6).
    text = json.dumps(goldens, default=lambda v: v.item())
    rounded = json.loads(text, parse_float=lambda v: float(f"{float(v):.12g}"))
    for name, golden in goldens.items():
        # These are input, exact in single precision.
        rounded[name]["probabilities"] = golden["probabilities"]
    GOLDENS.joinpath("fusion.json").write_text(json.dumps(rounded, separators=(",", ":")) + "\n")


main()
