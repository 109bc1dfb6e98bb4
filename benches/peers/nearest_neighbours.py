"""Exact nearest neighbours at 100,000 × 768, k = 10: Cleanslide against scikit-learn.

Run from the repository root, in an environment with scikit-learn 1.9 and numpy:
    cargo build --release -p cleanslide-audit --examples
    python benches/peers/nearest_neighbours.py [--rows 100000] [--runs 3] [--metrics euclidean cosine]
        [--json PATH]

The peer is NearestNeighbors(algorithm="brute").kneighbors(), each row left out of its own
neighbours. Both get the same 32-bit embeddings (clusters whose negative part is cut off, as after a
ReLU) and two threads. Sides alternate, each run in a process of its own. Time is the wall time of
the call (for the peer fit and kneighbors). Memory is the peak resident size during the call less
that after loading ("extra"), and that peak itself ("total"). The indices are compared: rows whose
ten neighbours are the same set.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import paired

COLUMNS, NEIGHBOURS, THREADS = 768, 10, "2"
METRICS = ["euclidean", "cosine"]


def generate(path, rows):
    import numpy as np

    rng = np.random.default_rng(0)
    centres = rng.normal(scale=0.5, size=(200, COLUMNS)).astype(np.float32)
    with open(path, "wb") as file:
        for start in range(0, rows, 10_000):
            count = min(10_000, rows - start)
            block = rng.standard_normal((count, COLUMNS), dtype=np.float32)
            block += centres[rng.integers(0, len(centres), count)]
            np.maximum(block, 0, out=block)
            block.tofile(file)


def peer(path, rows, metric, output):
    """Runs in a process of its own."""
    import time

    import numpy as np
    from sklearn.neighbors import NearestNeighbors

    features = np.fromfile(path, dtype=np.float32).reshape(rows, COLUMNS)
    before = memory("VmRSS:")
    Path("/proc/self/clear_refs").write_text("5")
    start = time.perf_counter()
    search = NearestNeighbors(n_neighbors=NEIGHBOURS, algorithm="brute", metric=metric)
    _, indices = search.fit(features).kneighbors()
    seconds = time.perf_counter() - start
    peak = memory("VmHWM:")
    indices.astype("<u8").tofile(output)
    print(json.dumps({"seconds": seconds, "before": before, "peak": peak}))


def memory(field):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1])
    raise KeyError(field)


def run(command):
    environment = os.environ | {
        "RAYON_NUM_THREADS": THREADS,
        "OMP_NUM_THREADS": THREADS,
        "OPENBLAS_NUM_THREADS": THREADS,
    }
    output = subprocess.run(
        [str(part) for part in command],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(output.stdout.splitlines()[-1])


def same_rows(first, second):
    import numpy as np

    first, second = (
        np.sort(np.fromfile(path, dtype="<u8").reshape(-1, NEIGHBOURS), axis=1)
        for path in (first, second)
    )
    return float((first == second).all(axis=1).mean())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--metrics", nargs="+", default=METRICS)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--target", type=Path, default=Path(os.environ.get("CARGO_TARGET_DIR", "target")))
    parser.add_argument("--peer", nargs=4)
    arguments = parser.parse_args()
    if arguments.peer:
        path, rows, metric, output = arguments.peer
        peer(path, int(rows), metric, output)
        return
    ours = arguments.target / "release/examples/bench_nearest_neighbours"
    rows, claims = arguments.rows, []
    with tempfile.TemporaryDirectory() as folder:
        data, own, other = (f"{folder}/{name}" for name in ("features.f32", "ours", "peer"))
        generate(data, rows)
        for metric in arguments.metrics:
            commands = {
                "ours": [ours, data, rows, COLUMNS, NEIGHBOURS, metric, own],
                "peer": [sys.executable, __file__, "--peer", data, rows, metric, other],
            }
            results = {side: [] for side in commands}
            for _ in range(arguments.runs):
                for side, command in commands.items():
                    results[side].append(run(command))
                    print(metric, side, results[side][-1], flush=True)
            print(f"rows with the same neighbours: {same_rows(own, other):.6f}")
            claims += report(results, metric, arguments)
    paired.write(arguments.json, claims)


def report(results, metric, arguments):
    measures = {
        "time (s)": lambda result: result["seconds"],
        "extra memory (MB)": lambda result: (result["peak"] - result["before"]) / 1024,
        "total memory (MB)": lambda result: result["peak"] / 1024,
    }
    alone = f"python benches/peers/nearest_neighbours.py --metrics {' '.join(arguments.metrics)}"
    command = "just bench-peers" if arguments.metrics == METRICS else alone
    print(f"{'name':45} {'ours':>10} {'peer':>10}  ratio")
    claims = []
    for measure, value in measures.items():
        own, other = (
            statistics.median(value(result) for result in results[side]) for side in ("ours", "peer")
        )
        line = paired.claim(
            f"nearest neighbours at {arguments.rows} x {COLUMNS}, k {NEIGHBOURS}, {metric}, {measure}, "
            "vs scikit-learn brute force",
            "time ratio" if "time" in measure else "memory ratio",
            [value(result) for result in results["ours"]],
            [value(result) for result in results["peer"]],
            command,
        )
        print(f"{metric + ', ' + measure:45} {own:10.3f} {other:10.3f}  {paired.show(line)}")
        claims.append(line)
    return claims


if __name__ == "__main__":
    main()
