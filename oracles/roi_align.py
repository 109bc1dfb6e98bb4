"""What torchvision makes of boxes on a feature pyramid: MultiScaleRoIAlign and its gradients.

torch==2.9.0, torchvision==0.24.0, safetensors, numpy
Run: python oracles/roi_align.py
Writes crates/nn/tests/goldens/roi_align.safetensors

For two images of 256 × 192 pixels with levels of stride 4, 8, 16 and 32, and of two channels:
  level.N            the features
  boxes.N [boxes, 4] of the first and the second image: from smaller than a cell to larger than the image, some
                     that reach over its edges or lie beside it
  pooled, probe      [boxes, channels, 7, 7] of the boxes of both images
  gradient.N         of the sum of pooled · probe, by the features
"""

from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import save_file
from torchvision.ops import MultiScaleRoIAlign

SIZE = (256, 192)
STRIDES = (4, 8, 16, 32)


def random_boxes(count, generator):
    centres = torch.rand(count, 2, generator=generator) * torch.tensor([SIZE[1], SIZE[0]])
    sides = torch.exp(torch.rand(count, 2, generator=generator) * 4.7 + 1.0)
    boxes = torch.cat([centres - sides / 2, centres + sides / 2], 1)
    return (boxes * 8).round() / 8


def main():
    generator = torch.Generator().manual_seed(11)
    levels = OrderedDict()
    for number, stride in enumerate(STRIDES):
        shape = (2, 2, SIZE[0] // stride, SIZE[1] // stride)
        level = torch.randn(shape, generator=generator).half().float()
        levels[str(number)] = level.requires_grad_()
    beside = torch.tensor([[-60.0, -60.0, -20.0, -20.0], [180.0, 240.0, 300.0, 400.0]])
    around = torch.tensor([[-150.0, -180.0, 350.0, 420.0]])
    # Sides of exactly 112 and 224, where the level changes, and none at all.
    exact = torch.tensor([[8.0, 8.0, 120.0, 120.0], [0.0, 0.0, 224.0, 224.0], [9.0, 9.0, 9.0, 9.0]])
    boxes = [
        torch.cat([random_boxes(14, generator), beside, around]),
        torch.cat([exact, random_boxes(9, generator)]),
    ]
    pool = MultiScaleRoIAlign([str(number) for number in range(4)], 7, 2)
    pooled = pool(levels, boxes, [SIZE, SIZE])
    probe = torch.randn(pooled.shape, generator=generator).half().float()
    (pooled * probe).sum().backward()
    content = {"pooled": pooled.detach(), "probe": probe.half()}
    for number, level in levels.items():
        content[f"level.{number}"] = level.detach().half()
        content[f"gradient.{number}"] = level.grad
    content |= {f"boxes.{image}": of for image, of in enumerate(boxes)}
    path = Path("crates/nn/tests/goldens/roi_align.safetensors")
    save_file({name: value.contiguous() for name, value in content.items()}, path)
    print({name: tuple(value.shape) for name, value in content.items()})


if __name__ == "__main__":
    main()
