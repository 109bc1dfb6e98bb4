"""Goldens for crates/eval.

Versions: scikit-learn 1.9.1, statsmodels 0.15.0, scipy 1.17.1, numpy 2.4.6,
          krippendorff 0.9.0, irrCAC 0.4.4
Run from the repository root: python oracles/eval_metrics.py
Writes crates/eval/tests/goldens/metrics.json
"""

import json
import warnings
from pathlib import Path

import krippendorff
import numpy as np
import pandas as pd
from irrCAC.raw import CAC
from scipy import stats
from sklearn import metrics
from sklearn.calibration import calibration_curve
from statsmodels.stats import inter_rater
from statsmodels.stats.proportion import proportion_confint

OUT = Path("crates/eval/tests/goldens/metrics.json")


def plain(value):
    """numpy to JSON types; float32 is written with all its digits."""
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return value.item()
    return value


def labels(rng, items, classes, skew):
    share = np.arange(classes, 0, -1.0) ** skew
    truth = rng.choice(classes, items, p=share / share.sum())
    noisy = rng.random(items) < 0.35
    predicted = np.where(noisy, rng.choice(classes, items), truth)
    return truth, predicted


def kappas(table):
    def one(wt):
        result = inter_rater.cohens_kappa(table, wt=wt)
        return dict(
            kappa=result.kappa,
            standard_error=result.std_kappa,
            standard_error_if_zero=result.std_kappa0,
            low=result.kappa_low,
            high=result.kappa_upp,
            p_value=result.pvalue_two_sided,
        )

    return dict(unweighted=one(None), linear=one("linear"), quadratic=one("quadratic"))


def hard_case(rng, items, classes, skew, weighted, drop=None):
    truth, predicted = labels(rng, items, classes, skew)
    if drop is not None:  # a class that is predicted but never true
        truth = np.where(truth == drop, 0, truth)
    weight = rng.random(items).round(3) * 3 if weighted else None
    names = np.arange(classes)
    matrix = metrics.confusion_matrix(truth, predicted, labels=names, sample_weight=weight)
    f1 = lambda **how: metrics.f1_score(
        truth, predicted, labels=names, sample_weight=weight, **how
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        case = dict(
            classes=classes,
            truth=truth,
            predicted=predicted,
            weights=weight,
            confusion=matrix,
            accuracy=metrics.accuracy_score(truth, predicted, sample_weight=weight),
            balanced_accuracy=metrics.balanced_accuracy_score(
                truth, predicted, sample_weight=weight
            ),
            sensitivity=metrics.recall_score(
                truth, predicted, labels=names, average=None, sample_weight=weight,
                zero_division=np.nan,
            ),
            precision=metrics.precision_score(
                truth, predicted, labels=names, average=None, sample_weight=weight,
                zero_division=np.nan,
            ),
            # Specificity is the recall of "not this class".
            specificity=[
                metrics.recall_score(truth != k, predicted != k, sample_weight=weight)
                for k in names
            ],
            f1=f1(average=None, zero_division=np.nan),
            f1_macro_skip=metrics.f1_score(
                truth, predicted, average="macro", sample_weight=weight
            ),
            f1_macro_zero=f1(average="macro", zero_division=0),
            f1_macro_one=f1(average="macro", zero_division=1),
            f1_weighted=f1(average="weighted", zero_division=0),
            kappa=kappas(matrix),
        )
    for key in ("sensitivity", "precision", "f1"):
        case[key] = [None if np.isnan(v) else v for v in np.asarray(case[key], float)]
    return case


def binary_case(rng, items, decimals, weighted, prevalence=0.3):
    positive = rng.random(items) < prevalence
    score = rng.normal(size=items) + positive
    if decimals is not None:  # ties
        score = score.round(decimals)
    score = score.astype(np.float32)
    weight = rng.integers(0, 4, items).astype(float) if weighted else None
    return dict(
        positive=positive,
        score=score,
        weights=weight,
        auroc=metrics.roc_auc_score(positive, score, sample_weight=weight),
        average_precision=metrics.average_precision_score(
            positive, score, sample_weight=weight
        ),
        midranks=stats.rankdata(score),
    )


def probability_case(rng, items, classes, decimals, weighted):
    truth = rng.choice(classes, items)
    logits = rng.normal(size=(items, classes)) + 1.2 * (truth[:, None] == np.arange(classes))
    if decimals is not None:
        logits = logits.round(decimals)
    p = np.exp(logits)
    p = (p / p.sum(1, keepdims=True)).astype(np.float32)
    weight = rng.random(items).round(3) * 2 if weighted else None
    one_hot = truth[:, None] == np.arange(classes)
    per_class = lambda metric: [
        metric(one_hot[:, k], p[:, k], sample_weight=weight) for k in range(classes)
    ]
    case = dict(
        truth=truth,
        probabilities=p,
        weights=weight,
        auroc_per_class=per_class(metrics.roc_auc_score),
        average_precision_per_class=per_class(metrics.average_precision_score),
        macro_average_precision=metrics.average_precision_score(
            one_hot, p, average="macro", sample_weight=weight
        ),
        brier=metrics.brier_score_loss(
            truth, p, labels=range(classes), scale_by_half=False, sample_weight=weight
        ),
        negative_log_likelihood=metrics.log_loss(
            truth, p, labels=range(classes), sample_weight=weight
        ),
        most_probable=p.argmax(1),
    )
    if classes > 2:
        case["macro_auroc"] = metrics.roc_auc_score(
            truth, p, multi_class="ovr", average="macro", sample_weight=weight
        )
    else:
        case["macro_auroc"] = np.mean(case["auroc_per_class"])
    if weight is None:
        confidence, correct = p.max(1).astype(float), p.argmax(1) == truth
        case["reliability"] = {
            ours: dict(
                zip(
                    ("accuracy", "confidence"),
                    calibration_curve(correct, confidence, n_bins=10, strategy=theirs),
                )
            )
            for ours, theirs in (("equal_width", "uniform"), ("equal_mass", "quantile"))
        }
        # Expected calibration error, straight from its definition over explicit bins.
        edges = np.arange(11) / 10
        gaps, shares = [], []
        for low, high in zip(edges[:-1], edges[1:]):
            inside = (confidence > low) & (confidence <= high)
            if inside.any():
                gaps.append(abs(correct[inside].mean() - confidence[inside].mean()))
                shares.append(inside.mean())
        case["expected_calibration_error"] = float(np.dot(gaps, shares))
        case["maximum_calibration_error"] = max(gaps)
        if decimals is None:
            chunks = np.array_split(np.argsort(confidence, kind="stable"), 10)
            case["expected_calibration_error_equal_mass"] = sum(
                len(c) / items * abs(correct[c].mean() - confidence[c].mean()) for c in chunks
            )
    return case


def ratings_case(rng, items, raters, classes, missing):
    truth = rng.choice(classes, items)
    votes = np.where(
        rng.random((items, raters)) < 0.6,
        truth[:, None],
        rng.choice(classes, (items, raters)),
    ).astype(float)
    votes[rng.random((items, raters)) < missing] = np.nan
    counts = np.stack([(votes == k).sum(1) for k in range(classes)], 1)
    case = dict(ratings=counts)
    if missing == 0:
        case["fleiss"] = inter_rater.fleiss_kappa(counts)
    # irrCAC rounds to five digits by default.
    case["fleiss_with_gaps"] = CAC(pd.DataFrame(votes), digits=15).fleiss()["est"][
        "coefficient_value"
    ]
    for level in ("nominal", "ordinal", "interval"):
        case[level] = krippendorff.alpha(
            value_counts=counts,
            value_domain=np.arange(classes),
            level_of_measurement=level,
        )
    return case


def bootstrap_case(rng, method, level):
    """Scipy's replicates and its interval of them."""
    data = rng.exponential(size=60)
    statistic = lambda x, axis: np.mean(x, axis) / np.std(x, axis)
    result = stats.bootstrap(
        (data,), statistic, n_resamples=999, confidence_level=level, method=method,
        random_state=np.random.default_rng(1), vectorized=True,
    )
    return dict(
        method=method.lower(),
        level=level,
        value=statistic(data, None),
        replicates=result.bootstrap_distribution,
        jackknife=[statistic(np.delete(data, i), None) for i in range(len(data))],
        low=result.confidence_interval.low,
        high=result.confidence_interval.high,
    )


def whole_bootstrap_case(rng, method):
    """An interval from start to end; only its random numbers differ from ours."""
    data = rng.exponential(size=80)
    result = stats.bootstrap(
        (data,), np.mean, n_resamples=100_000, confidence_level=0.9, method=method,
        random_state=np.random.default_rng(1), vectorized=True, batch=1000,
    )
    return dict(
        method=method.lower(),
        level=0.9,
        data=data,
        standard_error=result.standard_error,
        low=result.confidence_interval.low,
        high=result.confidence_interval.high,
    )


def main():
    rng = np.random.default_rng(20)
    goldens = dict(
        hard=[
            hard_case(rng, 60, 2, 1.0, False),
            hard_case(rng, 150, 3, 1.0, False),
            hard_case(rng, 150, 3, 1.0, True),
            hard_case(rng, 200, 6, 1.5, False, drop=5),
            hard_case(rng, 200, 6, 1.5, True, drop=3),
            hard_case(rng, 7, 5, 0.0, False),
        ],
        binary=[
            binary_case(rng, 100, None, False),
            binary_case(rng, 150, 1, False),
            binary_case(rng, 150, 0, False),
            binary_case(rng, 150, 1, True),
            binary_case(rng, 150, 0, True, prevalence=0.9),
        ],
        probability=[
            probability_case(rng, 100, 2, None, False),
            probability_case(rng, 200, 3, None, False),
            probability_case(rng, 150, 5, 0, False),
            probability_case(rng, 150, 4, None, True),
            probability_case(rng, 150, 3, 0, True),
        ],
        ratings=[
            ratings_case(rng, 30, 4, 3, 0.0),
            ratings_case(rng, 40, 5, 5, 0.0),
            ratings_case(rng, 60, 5, 4, 0.4),
            ratings_case(rng, 60, 3, 2, 0.5),
        ],
        proportion=[
            dict(
                zip(
                    ("successes", "trials", "level", "low", "high"),
                    (k, n, level, *proportion_confint(k, n, 1 - level, method="wilson")),
                )
            )
            for k, n, level in [
                (0, 10, 0.95), (10, 10, 0.95), (7, 10, 0.95), (1, 3, 0.8), (512, 4000, 0.99),
            ]
        ],
        interval=[
            bootstrap_case(rng, method, level)
            for method in ("percentile", "BCa")
            for level in (0.95, 0.8)
        ],
        whole_interval=[whole_bootstrap_case(rng, method) for method in ("percentile", "BCa")],
        sign_test=stats.binomtest(20, 25).pvalue,
    )
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(plain(goldens), allow_nan=False) + "\n")
    print(OUT, OUT.stat().st_size)


if __name__ == "__main__":
    main()
