"""Networks, forward and in training: ours against PyTorch 2.9.0 and torchvision 0.24.0 (CPU, numpy 2.3.4), same machine.

    cargo build --release --workspace --example bench_networks
    python benches/peers/networks.py [--json PATH] [--only NETWORK] [--pairs 6]

On a GPU, ours through Vulkan and PyTorch's through CUDA, times alone, in f32 (PyTorch is kept from TF32):

    cargo build --release -p cleanslide-nn --features vulkan --example bench_networks
    python benches/peers/networks.py --gpu [--json PATH]

Each side runs in a process of its own that waits for its turn; they alternate. A run makes the network anew and
takes three steps, of which the last is timed. PyTorch runs with its default memory format and with channels
last, in processes of their own, and is given the faster of the two; its memory is that of the same process. f32,
two threads.

unet-step   U-Net of 32, 64, 128 and 256 channels, batch normalisation, 2×2 transposed convolutions; 4 images of
            256² pixels: forward, cross-entropy, backward, Adam
fcos-step   FCOS on ResNet-18 with a feature pyramid of 128 channels from 1/8 on and heads of two convolutions; 4
            images of 256² pixels with 25 cells each: targets, forward, losses, backward, Adam; the peer is torchvision's
simclr-step ResNet-18 with a projection of 512 and 128 values, two views of each of 64 images of 64² pixels: forward,
            NT-Xent, backward, AdamW; the encoder is torchvision's
vit-forward ViT-S/16 without a classifier, 8 images of 224² pixels, without gradients; the peer is timm 1.0.31's

Prints name, ours, peer, ratio (medians; ratios are ours / peer, below 1 is better), then peak memory.
"""

import argparse
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import time

import paired

THREADS = 2
PAIRS = 6
COMMAND = "just bench-engine"
GPU_COMMAND = "just bench-gpu"

# Images and size of each network.
NETWORKS = {"unet-step": (4, 256), "fcos-step": (4, 256), "simclr-step": (64, 64), "vit-forward": (8, 224)}


class Process:
    """Runs a network when it is told to."""

    def __init__(self, command):
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "RAYON_NUM_THREADS": str(THREADS)},
        )

    def run(self, network, images, size):
        """Seconds, and the most memory so far in MiB."""
        self.process.stdin.write(f"{network} {images} {size}\n")
        self.process.stdin.flush()
        seconds, memory = self.process.stdout.readline().split()
        return float(seconds), float(memory)

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def peer(memory_format, gpu):
    """Answers lines of standard input as `bench_networks` does."""
    import torch
    from torch import nn
    from unet import UNet

    torch.set_num_threads(THREADS)
    torch.backends.cudnn.allow_tf32 = False
    memory_format = getattr(torch, memory_format)
    device = "cuda" if gpu else "cpu"
    wait = torch.cuda.synchronize if gpu else lambda: None

    def unet_step(images, size):
        network = UNet().to(device, memory_format=memory_format)
        optimizer = torch.optim.Adam(network.parameters(), 1e-3)
        pixels = torch.rand(images, 3, size, size).to(memory_format=memory_format)
        classes = torch.randint(0, 2, (images, size, size))
        for _ in range(3):
            start = time.perf_counter()
            optimizer.zero_grad()
            scores = network(pixels.to(device))
            nn.functional.cross_entropy(scores, classes.to(device)).backward()
            optimizer.step()
            wait()
            seconds = time.perf_counter() - start
        return seconds

    def fcos_step(images, size):
        from torchvision.models import resnet18
        from torchvision.models.detection import FCOS
        from torchvision.models.detection.anchor_utils import AnchorGenerator
        from torchvision.models.detection.backbone_utils import BackboneWithFPN
        from torchvision.models.detection.fcos import FCOSHead
        from torchvision.ops.feature_pyramid_network import LastLevelP6P7

        levels = {f"layer{level}": str(level) for level in (2, 3, 4)}
        backbone = BackboneWithFPN(
            resnet18(), levels, [128, 256, 512], 128, LastLevelP6P7(128, 128)
        )
        anchors = AnchorGenerator(((8,), (16,), (32,), (64,), (128,)), ((1.0,),) * 5)
        network = FCOS(
            backbone,
            num_classes=1,
            min_size=size,
            max_size=size,
            anchor_generator=anchors,
            head=FCOSHead(128, 1, 1, num_convs=2),
        ).to(memory_format=memory_format)
        optimizer = torch.optim.Adam(network.parameters(), 1e-3)
        pixels = torch.rand(images, 3, size, size).to(memory_format=memory_format)
        sides = [24 + number % 5 * 4 for number in range((size // 48) ** 2)]
        corners = [
            (column * 48 + 4, row * 48 + 4) for row in range(size // 48) for column in range(size // 48)
        ]
        cells = [(x, y, x + side, y + side) for (x, y), side in zip(corners, sides)]
        target = {
            "boxes": torch.tensor(cells, dtype=torch.float32),
            "labels": torch.zeros(len(cells), dtype=torch.int64),
        }
        for _ in range(3):
            start = time.perf_counter()
            optimizer.zero_grad()
            sum(network(list(pixels), [target] * images).values()).backward()
            optimizer.step()
            seconds = time.perf_counter() - start
        return seconds

    def simclr_step(images, size):
        from torchvision.models import resnet18

        network = resnet18()
        network.fc = nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 128))
        network = network.to(device, memory_format=memory_format)
        optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
        pixels = torch.rand(2 * images, 3, size, size).to(memory_format=memory_format)
        partner = (torch.arange(2 * images) + images) % (2 * images)
        for _ in range(3):
            start = time.perf_counter()
            optimizer.zero_grad()
            said = nn.functional.normalize(network(pixels.to(device)))
            similar = (said @ said.T / 0.2).fill_diagonal_(float("-inf"))
            nn.functional.cross_entropy(similar, partner.to(device)).backward()
            optimizer.step()
            wait()
            seconds = time.perf_counter() - start
        return seconds

    def vit_forward(images, size):
        import timm

        network = timm.create_model("vit_small_patch16_224", num_classes=0).eval()
        network = network.to(device, memory_format=memory_format)
        pixels = torch.rand(images, 3, size, size).to(device, memory_format=memory_format)
        for _ in range(3):
            start = time.perf_counter()
            with torch.inference_mode():
                network.forward_features(pixels)
            wait()
            seconds = time.perf_counter() - start
        return seconds

    runs = {"unet-step": unet_step, "fcos-step": fcos_step, "simclr-step": simclr_step, "vit-forward": vit_forward}
    for line in sys.stdin:
        network, images, size = line.split()
        seconds = runs[network](int(images), int(size))
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(seconds, memory, flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--json")
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--peer")
    parser.add_argument("--only", choices=NETWORKS)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    arguments = parser.parse_args()
    if arguments.peer:
        peer(arguments.peer, arguments.gpu)
        return
    # What the processes have taken in memory says nothing of a GPU's.
    measures = [("time", "time ratio", 0, 1e3, "ms")]
    if not arguments.gpu:
        measures.append(("peak memory", "memory ratio", 1, 1, "MiB"))
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target"))
    claims = []
    for network, (images, size) in NETWORKS.items():
        if arguments.only not in (None, network):
            continue
        device = "vulkan" if arguments.gpu else "cpu"
        mine = Process([target / "release/examples/bench_networks", device])
        theirs = [
            Process(
                [sys.executable, __file__, "--peer", memory_format]
                + ["--gpu"] * arguments.gpu
            )
            for memory_format in ("contiguous_format", "channels_last")
        ]
        runs = [[], [], []]
        for _ in range(arguments.pairs):
            for process, results in zip([mine, *theirs], runs):
                results.append(process.run(network, images, size))
        for process in [mine, *theirs]:
            process.end()
        seconds = [[run[0] for run in results] for results in runs]
        best = min((1, 2), key=lambda side: statistics.median(seconds[side]))
        for what, unit, part, factor, shown in measures:
            own, other = ([run[part] for run in runs[side]] for side in (0, best))
            where = " on a GPU" if arguments.gpu else ""
            claim = f"{what} of {network}{where}, {images} images of {size} px, vs PyTorch"
            command = GPU_COMMAND if arguments.gpu else COMMAND
            if arguments.only or arguments.pairs != PAIRS:
                parts = ["--gpu"] * arguments.gpu + ["--only", arguments.only] * bool(arguments.only)
                command = " ".join(["python benches/peers/networks.py", *parts, "--pairs", str(arguments.pairs)])
            line = paired.claim(claim, unit, own, other, command)
            claims.append(line)
            print(
                f"{network}, {what}: {statistics.median(own) * factor:.0f} {shown}, "
                f"{statistics.median(other) * factor:.0f} {shown}, {paired.show(line)}",
                flush=True,
            )
    paired.write(arguments.json, claims)


if __name__ == "__main__":
    main()
