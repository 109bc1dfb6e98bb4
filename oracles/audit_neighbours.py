"""Goldens for everything that looks at neighbours, from scikit-learn, cleanlab and PyTorch.

Pinned: scikit-learn 1.9.1, cleanlab 2.9.0, numpy 2.4.6; for HOC additionally torch 2.9.0.
Run from the repository root: python oracles/audit_neighbours.py [neighbours|hoc]
(both parts by default; the parts may run in different environments).
Writes crates/audit/tests/goldens/neighbours.json and hoc.json.

Features are integers divided by 64, the same numbers in 32 and 64 bits.
"""

import json
import sys
import types
import warnings
from pathlib import Path

import numpy as np

warnings.filterwarnings("ignore")
GOLDENS = Path("crates/audit/tests/goldens")


def write(name, content):
    GOLDENS.mkdir(parents=True, exist_ok=True)
    path = GOLDENS / name
    path.write_text(json.dumps(content, separators=(",", ":")) + "\n")
    print(path, path.stat().st_size, "bytes")


def short(values):
    return np.round(np.asarray(values, dtype=np.float64), 12).tolist()


def clusters(seed, items, columns, classes, duplicates):
    """Noisy clusters with an offset from the origin and some identical rows."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, items)
    centres = rng.normal(scale=2.0, size=(classes, columns)) + 4.0
    features = np.rint((centres[truth] + rng.normal(size=(items, columns))) * 64)
    features[rng.choice(items, duplicates, replace=False)] = features[
        rng.choice(items, duplicates)
    ]
    labels = np.where(rng.random(items) < 0.2, rng.integers(0, classes, items), truth)
    return features.astype(int), labels


def neighbour_case(name, seed, items, columns, duplicates, k):
    from cleanlab.datalab.internal.issue_manager.duplicate import NearDuplicateIssueManager
    from cleanlab.datalab.internal.issue_manager.outlier import OutlierIssueManager
    from cleanlab.internal.neighbor.knn_graph import create_knn_graph_and_index
    from cleanlab.internal.outlier import correct_precision_errors, transform_distances_to_scores
    from cleanlab.outlier import OutOfDistribution
    from sklearn.neighbors import NearestNeighbors

    classes = 3
    numerators, labels = clusters(seed, items, columns, classes, duplicates)
    features = numerators / 64
    reference, queries = features[: items * 3 // 4], features[items * 3 // 4 :]
    entry = {
        "name": name,
        "k": k,
        "numerators": numerators.tolist(),
        "labels": labels.tolist(),
        "metrics": {},
    }
    for metric in ("cosine", "euclidean"):
        search = NearestNeighbors(n_neighbors=k, algorithm="brute", metric=metric).fit(features)
        distances, indices = search.kneighbors()
        of_new = NearestNeighbors(n_neighbors=k, algorithm="brute", metric=metric).fit(reference)
        new_distances, new_indices = of_new.kneighbors(queries)
        ood = OutOfDistribution({"k": k})
        graph, _ = create_knn_graph_and_index(features, n_neighbors=k, metric=metric)
        # OutOfDistribution chooses the metric itself; its formula takes the corrected distances.
        corrected = graph.data.reshape(items, -1)
        averages = corrected.mean(axis=1)
        scale = float(max(np.median(averages), 100 * np.finfo(np.float64).eps))
        typicality = correct_precision_errors(
            transform_distances_to_scores(averages, 1, scale), averages, metric
        )
        if metric == "cosine":
            fitted = ood.fit_score(features=features, verbose=False)
            assert np.allclose(fitted, typicality, atol=1e-12)
            new_typicality = short(ood.score(features=queries + 1 / 128))
        else:
            new_typicality = None
        manager = OutlierIssueManager.__new__(OutlierIssueManager)
        _, _, is_outlier = manager._compute_threshold_and_issue_column_from_distances(corrected)
        lab = types.SimpleNamespace(get_info=lambda _: {})
        near = NearDuplicateIssueManager(lab, metric=metric, k=k)
        near.find_issues(features=features)
        entry["metrics"][metric] = {
            "indices": indices.tolist(),
            "distances": short(distances),
            "new_indices": new_indices.tolist(),
            "new_distances": short(new_distances),
            "typicality": short(typicality),
            "new_typicality": new_typicality,
            "outliers": np.flatnonzero(is_outlier).tolist(),
            "near_duplicate_sets": [sorted(map(int, s)) for s in near.near_duplicate_sets],
            "uniqueness": short(near.issues["near_duplicate_score"]),
        }
    return entry


def neighbours():
    cases = [
        neighbour_case("clusters", 1, 200, 6, 0, 10),
        neighbour_case("clusters with identical rows", 2, 160, 5, 20, 10),
    ]
    write("neighbours.json", {"cases": cases})


def hoc():
    """The equations and the search of HOC, by torch's einsum, autograd and Adam."""
    import torch

    torch.set_default_dtype(torch.float64)
    cases = []
    for seed, classes in ((1, 2), (2, 3), (3, 5)):
        rng = np.random.default_rng(seed)
        matrix = np.eye(classes) * 2.5 + rng.random((classes, classes))
        matrix /= matrix.sum(axis=1, keepdims=True)
        prior = rng.random(classes) + 0.5
        prior /= prior.sum()

        def consensus(t, p):
            return (
                torch.einsum("i,ia->a", p, t),
                torch.einsum("i,ia,ib->ab", p, t, t),
                torch.einsum("i,ia,ib,ic->abc", p, t, t, t),
            )

        exact = consensus(torch.tensor(matrix), torch.tensor(prior))
        # Counts of a finite sample, so that the equations have no exact solution.
        counts = [
            torch.tensor(rng.multinomial(5000, e.numpy().ravel()).reshape(e.shape) / 5000)
            for e in exact
        ]
        t_logits = (5 * torch.eye(classes) - 1).requires_grad_()
        p_logits = torch.full((classes,), 1 / classes).requires_grad_()
        optimizer = torch.optim.Adam([t_logits, p_logits], lr=0.1)
        best = (float("inf"), None, None)
        for step in range(501):
            t, p = torch.softmax(t_logits, 1), torch.softmax(p_logits, 0)
            loss = sum(torch.linalg.vector_norm(a - b) for a, b in zip(consensus(t, p), counts))
            if loss.item() < best[0]:
                best = (loss.item(), t.detach().tolist(), p.detach().tolist())
            if step == 20:
                early = best
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        cases.append(
            {
                "matrix": matrix.tolist(),
                "prior": prior.tolist(),
                "expected": [e.numpy().ravel().tolist() for e in exact],
                "counts": [c.numpy().ravel().tolist() for c in counts],
                "best_of_20_steps": early,
                "best": best,
            }
        )
    write("hoc.json", {"cases": cases})


if __name__ == "__main__":
    for part in sys.argv[1:] or ("neighbours", "hoc"):
        {"neighbours": neighbours, "hoc": hoc}[part]()
