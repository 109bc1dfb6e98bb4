"""Embedding with EfficientNet-Lite0: ours against PyTorch 2.9.0 (efficientnet_lite_pytorch 0.1.0).

    cargo build --release -p cleanslide-nn --example bench_encoder
    python benches/peers/efficientnet_lite.py WEIGHTS.safetensors [--json PATH]

Batches of 16 and 32 images of 224 × 224, two threads, the two alternating, each run in a process of
its own; one batch is not counted, then the median of five. Ours starts from 8-bit images, the peer
from float tensors, in its plain and its channels-last layout: the faster is the peer. Memory is the
peak of the whole process.

Prints name, ours, peer, ratio, memory (medians; ratios are ours / peer, below 1 is better).
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

import paired

THREADS = "2"
ENVIRONMENT = {**os.environ, "RAYON_NUM_THREADS": THREADS, "OMP_NUM_THREADS": THREADS}
ROUNDS = 5


def peer(weights, batch, layout):
    import resource
    import time

    import torch
    from efficientnet_lite_pytorch import EfficientNet
    from safetensors.torch import load_file

    torch.set_num_threads(int(THREADS))
    model = EfficientNet.from_name("efficientnet-lite0").eval()
    model.load_state_dict(load_file(weights), strict=False)
    layout = {"plain": torch.contiguous_format, "channels_last": torch.channels_last}[layout]
    model = model.to(memory_format=layout)
    images = torch.rand(batch, 3, 224, 224).contiguous(memory_format=layout)
    seconds = []
    with torch.inference_mode():
        for _ in range(ROUNDS + 1):
            start = time.perf_counter()
            model.extract_features(images).mean((2, 3))
            seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds[1:], "peak_bytes": peak}))


def run(command):
    done = subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True, text=True)
    result = json.loads(done.stdout.splitlines()[-1])
    return statistics.median(result["seconds"]), result["peak_bytes"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("weights")
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--json")
    parser.add_argument("--peer", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peer:
        return peer(arguments.weights, int(arguments.peer[0]), arguments.peer[1])

    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target"))
    ours = str(target / "release/examples/bench_encoder")
    claims = []
    print("name, ours, peer, ratio, memory")
    for batch in (16, 32):
        sides = {
            "ours": [ours, arguments.weights, str(batch), "224", str(ROUNDS)],
            **{
                layout: [sys.executable, __file__, arguments.weights, "--peer", str(batch), layout]
                for layout in ("plain", "channels_last")
            },
        }
        times = {side: [] for side in sides}
        for _ in range(arguments.runs):
            for side, command in sides.items():
                times[side].append(run(command))
        seconds = {s: statistics.median(t for t, _ in runs) for s, runs in times.items()}
        best = min(("plain", "channels_last"), key=seconds.get)
        what = f"embedding with EfficientNet-Lite0, batches of {batch} at 224 x 224"
        lines = []
        for index, unit in enumerate(["time ratio", "memory ratio"]):
            sides = [[run[index] for run in times[side]] for side in ("ours", best)]
            peak = ", peak memory" if index else ""
            name = f"{what}{peak}, vs PyTorch ({best})"
            lines.append(paired.claim(name, unit, *sides, "just bench-peers"))
        claims += lines
        print(
            f"{what}, {batch / seconds['ours']:.1f} images/s, {batch / seconds[best]:.1f} images/s, "
            f"{paired.show(lines[0])}, {paired.show(lines[1])}"
        )
    paired.write(arguments.json, claims)


if __name__ == "__main__":
    main()
