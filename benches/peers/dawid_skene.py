"""Dawid-Skene: ours against crowd-kit 1.4.2 (pandas 3.1.1, numpy 2.4.6), same votes, same machine.

    cargo build --release -p cleanslide-weak --example bench_dawid_skene
    python benches/peers/dawid_skene.py [--json PATH]

100,000 tasks, 10 annotators who all vote, 5 classes; both with their defaults (100 iterations,
tolerance 1e-5), which are the same, so both run the same number of iterations. The two alternate,
each run in a process of its own with two threads; only the fit is timed, with votes already in
memory (a DataFrame there, `Votes` here). Memory is the peak of the whole process. Stops with an
error if the numbers of iterations or the posteriors (1e-4) differ.

Prints name, ours, peer, ratio, memory (medians; ratios are ours / peer, below 1 is better).
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import numpy as np
import paired

COMMAND = "just bench-peers"
THREADS = "2"
ENVIRONMENT = {
    **os.environ,
    **{
        name: THREADS
        for name in (
            "RAYON_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
            "NUMEXPR_NUM_THREADS",
        )
    },
}


def generate(path, items, annotators, classes):
    """Annotators of mixed skill, each with a favourite mistake; imbalanced classes."""
    rng = np.random.default_rng(0)
    prior = np.arange(classes, 0, -1) / (classes * (classes + 1) / 2)
    truth = rng.choice(classes, size=items, p=prior)
    skill = np.linspace(0.35, 0.8, annotators)
    votes = np.empty((items, annotators), dtype=np.uint32)
    for annotator in range(annotators):
        right = rng.random(items) < skill[annotator]
        neighbour = rng.random(items) < 0.5
        wrong = (truth + np.where(neighbour, 1, rng.integers(1, classes, size=items))) % classes
        votes[:, annotator] = np.where(right, truth, wrong)
    triplets = np.column_stack([
        np.repeat(np.arange(items), annotators),
        np.tile(np.arange(annotators), items),
        votes.ravel(),
    ])
    header = np.array([items, annotators, classes])
    np.concatenate([header, triplets.ravel()]).astype("<u4").tofile(path)


def peer(path, output):
    """Runs crowd-kit in this process."""
    import time

    import pandas as pd
    from crowdkit.aggregation import DawidSkene

    triplets = np.fromfile(path, dtype="<u4")[3:].reshape(-1, 3).astype(np.int64)
    frame = pd.DataFrame(triplets, columns=["task", "worker", "label"])
    del triplets
    model = DawidSkene()
    start = time.perf_counter()
    model.fit(frame)
    seconds = time.perf_counter() - start
    with open("/proc/self/status") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    posterior = model.probas_.sort_index().sort_index(axis=1).to_numpy(dtype="<f8")
    np.ascontiguousarray(posterior).tofile(output)
    print(json.dumps({
        "seconds": seconds, "iterations": len(model.loss_history_), "peak_kib": peak,
    }))


def run(command):
    done = subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    target = os.environ.get("CARGO_TARGET_DIR", "target")
    parser.add_argument("--binary", default=f"{target}/release/examples/bench_dawid_skene")
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--annotators", type=int, default=10)
    parser.add_argument("--classes", type=int, default=5)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--peer", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        return peer(*options.peer)

    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        votes, our_out, their_out = (f"{folder}/{name}" for name in ("votes", "ours", "theirs"))
        generate(votes, options.items, options.annotators, options.classes)
        for _ in range(options.runs):
            ours.append(run([options.binary, votes, our_out]))
            theirs.append(run([sys.executable, __file__, "--peer", votes, their_out]))
        difference = np.abs(np.fromfile(our_out) - np.fromfile(their_out)).max()
    iterations = {r["iterations"] for r in ours + theirs}
    if len(iterations) != 1 or difference > 1e-4:
        sys.exit(f"different results: iterations {iterations}, posteriors differ by {difference}")

    size = f"{options.items} x {options.annotators}, {options.classes} classes"
    print(f"{size}, {iterations.pop()} iterations, posteriors differ by at most {difference:.1e}")
    claims = []
    row = {}
    for key, unit in (("seconds", "time ratio"), ("peak_kib", "memory ratio")):
        sides = [[run[key] for run in side] for side in (ours, theirs)]
        row[key] = [statistics.median(side) for side in sides]
        what = "peak memory, " if unit == "memory ratio" else ""
        line = paired.claim(f"Dawid-Skene at {size}, {what}vs crowd-kit", unit, *sides, COMMAND)
        row[unit] = paired.show(line)
        claims.append(line)
    print("name, ours, peer, ratio, memory")
    print(
        f"dawid_skene, {row['seconds'][0]:.3f} s, {row['seconds'][1]:.2f} s, "
        f"{row['time ratio']}, {row['memory ratio']} "
        f"({row['peak_kib'][0] / 1024:.0f} of {row['peak_kib'][1] / 1024:.0f} MiB)"
    )
    paired.write(options.json, claims)


main()
