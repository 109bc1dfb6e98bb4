"""Convolutions, forward and backward: ours against PyTorch 2.9.0 (CPU, numpy 2.3.4), same machine.

    cargo build --release -p cleanslide-kernels --examples
    python benches/peers/convolution.py [--json PATH]

The layers are those of a U-Net, a ResNet and EfficientNet-Lite0, four images each, f32, two threads. Ours
runs in a process of its own that waits for sizes; it and PyTorch alternate, layer by layer. Both have run
once before they are timed, and both return the result, the gradient of the images and that of the filters.
PyTorch runs with its default memory format and with channels last; it is given the faster of the two.

A run is the best of ROUNDS rounds after WARM_UP that do not count, as others may use the machine.

Prints rows of a table: layer, part, ours, peer, ratio (medians; ratios are ours / peer, below 1 is better), the
rate of ours in operations by definition, and the share of the roofline that ours reaches: the least time that
the machine needs over the time taken. The least time is the longer of two, operations by definition at the
peak rate of multiply-adds, and values that must be read or written once at the bandwidth of memory. Both are
measured first (`bench_machine`). Two things may pass it: Winograd's algorithm, which needs a quarter of the
multiplications, and caches that keep a layer's values from one run to the next.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import time

import paired
import torch

THREADS = 2
PAIRS = 6
WARM_UP = 2
ROUNDS = 15
COMMAND = "just bench-engine"

# images, size, inputs, outputs, kernel, stride, depthwise
LAYERS = {
    "3x3, 64 channels, 128 px": (4, 128, 64, 64, 3, 1, 0),
    "3x3, 256 channels, 32 px": (4, 32, 256, 256, 3, 1, 0),
    "3x3, 32 channels, 256 px": (4, 256, 32, 32, 3, 1, 0),
    "3x3, 512 channels, 16 px": (4, 16, 512, 512, 3, 1, 0),
    "3x3, 3 to 32 channels, 256 px": (4, 256, 3, 32, 3, 1, 0),
    "3x3 stride 2, 128 channels, 64 px": (4, 64, 128, 128, 3, 2, 0),
    "7x7 stride 2, 3 to 64 channels, 224 px": (4, 224, 3, 64, 7, 2, 0),
    "1x1, 64 to 256 channels, 64 px": (4, 64, 64, 256, 1, 1, 0),
    "1x1, 256 to 64 channels, 64 px": (4, 64, 256, 64, 1, 1, 0),
    "depthwise 3x3, 96 channels, 112 px": (4, 112, 96, 96, 3, 1, 1),
    "depthwise 5x5 stride 2, 144 channels, 56 px": (4, 56, 144, 144, 5, 2, 1),
}


def ours(process, layer):
    """Seconds of a forward pass, and of all three; operations by definition."""
    process.stdin.write(" ".join(map(str, layer)) + "\n")
    process.stdin.flush()
    forward, everything, operations, _ = process.stdout.readline().split()
    return float(forward), float(everything), float(operations)


def peer(layer, memory_format):
    """Seconds of a forward pass, and of all three."""
    n, size, inputs, outputs, kernel, stride, depthwise = layer
    module = torch.nn.Conv2d(
        inputs, outputs, kernel, stride, kernel // 2, groups=inputs if depthwise else 1, bias=False
    ).to(memory_format=memory_format)
    images = torch.rand(n, inputs, size, size).to(memory_format=memory_format)
    images.requires_grad_()
    gradient = torch.rand_like(module(images))
    rounds = []
    for _ in range(WARM_UP + ROUNDS):
        start = time.perf_counter()
        with torch.no_grad():
            module(images)
        forward = time.perf_counter() - start
        module.weight.grad = images.grad = None
        start = time.perf_counter()
        module(images).backward(gradient)
        rounds.append((forward, time.perf_counter() - start))
    return [min(part) for part in zip(*rounds[WARM_UP:], strict=True)]


def values(layer):
    """How many values a forward pass reads or writes at least; a gradient as many."""
    n, size, inputs, outputs, kernel, stride, depthwise = layer
    result = (size + kernel // 2 * 2 - kernel) // stride + 1
    filters = outputs * (1 if depthwise else inputs) * kernel**2
    return n * size**2 * inputs + filters + n * result**2 * outputs


def share(what, least, times):
    """The share of the roofline, as a line for results/*.json."""
    shares = [least / seconds for seconds in times]
    return {
        "claim": what,
        "value": statistics.median(shares),
        "low": min(shares),
        "high": max(shares),
        "unit": "share",
        "n": len(shares),
        "command": COMMAND,
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--json")
    arguments = parser.parse_args()
    torch.set_num_threads(THREADS)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target"))
    examples = target / "release/examples"
    environment = {**os.environ, "RAYON_NUM_THREADS": str(THREADS)}
    machine = subprocess.run(
        [examples / "bench_machine"], stdout=subprocess.PIPE, text=True, check=True, env=environment
    )
    peak, bandwidth = map(float, machine.stdout.split())
    print(f"peak {peak / 1e9:.0f} GFLOP/s, memory {bandwidth / 1e9:.1f} GB/s", flush=True)
    process = subprocess.Popen(
        [examples / "bench_convolution"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    formats = [torch.contiguous_format, torch.channels_last]
    claims = []
    for name, layer in LAYERS.items():
        mine, theirs = [], {memory_format: [] for memory_format in formats}
        for _ in range(PAIRS):
            mine.append(ours(process, layer))
            for memory_format in formats:
                theirs[memory_format].append(peer(layer, memory_format))
        for index, part in enumerate(["forward", "forward and backward"]):
            own = [run[index] for run in mine]
            best = min(
                ([run[index] for run in theirs[memory_format]] for memory_format in formats),
                key=statistics.median,
            )
            what = f"convolution {name}, {part}, vs PyTorch"
            line = paired.claim(what, "time ratio", own, best, COMMAND)
            claims.append(line)
            passes = 1 if index == 0 else 3
            operations = mine[0][2]
            least = passes * max(operations / peak, 4 * values(layer) / bandwidth)
            roof = share(f"convolution {name}, {part}, share of the roofline", least, own)
            claims.append(roof)
            print(
                f"| {name} | {part} | {statistics.median(own) * 1e3:.2f} | "
                f"{statistics.median(best) * 1e3:.2f} | {paired.show(line)} | "
                f"{passes * operations / statistics.median(own) / 1e9:.0f} | {roof['value']:.2f} |",
                flush=True,
            )
    process.stdin.close()
    process.wait()
    paired.write(arguments.json, claims)


if __name__ == "__main__":
    main()
