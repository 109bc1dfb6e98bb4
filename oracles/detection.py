"""What torchvision's FCOS makes of boxes: which location answers for which, the losses with their gradients, and the
boxes that are decoded from scores.

torch==2.9.0, torchvision==0.24.0, safetensors, numpy
Run: python oracles/detection.py
Writes crates/learn/tests/goldens/detection.safetensors

For two images of 128 × 96 pixels with levels of stride 8 to 128 and three classes:
  boxes.N [boxes, 4], labels.N [boxes]     the objects
  classes, sides, centredness              random answers of all locations
  losses [3], gradient.*                   of the classes, the boxes and the centredness
  found.N [boxes, 6]                       left, top, right, bottom, class and score of what is decoded
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList

SIZE = (128, 96)
STRIDES = (8, 16, 32, 64, 128)


def model():
    backbone = nn.Identity()
    backbone.out_channels = 32
    return FCOS(backbone, 3, score_thresh=0.2, nms_thresh=0.5, detections_per_img=1000)


def random_boxes(count, generator):
    centres = torch.rand(count, 2, generator=generator) * torch.tensor([SIZE[1], SIZE[0]])
    # From small to as large as the image.
    sides = torch.exp(torch.rand(count, 2, generator=generator) * 2.7 + 2.0)
    low, high = centres - sides / 2, centres + sides / 2
    boxes = torch.cat([low, high], 1)
    boxes[:, 0::2] = boxes[:, 0::2].clamp(0, SIZE[1])
    boxes[:, 1::2] = boxes[:, 1::2].clamp(0, SIZE[0])
    return (boxes * 8).round() / 8


def main():
    generator = torch.Generator().manual_seed(7)
    network = model()
    levels = [torch.zeros(2, 32, -(-SIZE[0] // s), -(-SIZE[1] // s)) for s in STRIDES]
    images = ImageList(torch.zeros(2, 3, *SIZE), [SIZE, SIZE])
    # Its sides are given in cells of the image's size over the level's, which is the stride only where it divides.
    anchors = AnchorGenerator(tuple((s,) for s in STRIDES), ((1.0,),) * 5)
    placed = []
    for level, stride in zip(levels, STRIDES):
        rows, columns = level.shape[-2:]
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        centre = torch.stack([x, y, x, y], -1).reshape(-1, 4) * stride
        placed.append(centre + anchors.cell_anchors[STRIDES.index(stride)])
    counts = [len(level) for level in placed]
    placed = [torch.cat(placed).float()] * 2
    locations = sum(counts)

    targets = []
    for count in (9, 0):
        boxes = random_boxes(count, generator) if count else torch.zeros(0, 4)
        labels = torch.randint(0, 3, (count,), generator=generator)
        targets.append({"boxes": boxes, "labels": labels})
    output = {
        "cls_logits": torch.randn(2, locations, 3, generator=generator),
        "bbox_regression": torch.rand(2, locations, 4, generator=generator) * 6,
        "bbox_ctrness": torch.randn(2, locations, 1, generator=generator),
    }
    output = {name: value.half().float().requires_grad_() for name, value in output.items()}
    losses = network.compute_loss(targets, output, placed, counts)
    sum(losses.values()).backward()

    with torch.no_grad():
        split = {name: list(value.split(counts, 1)) for name, value in output.items()}
        found = network.postprocess_detections(
            split, [list(of.split(counts)) for of in placed], images.image_sizes
        )
    names = {"cls_logits": "classes", "bbox_regression": "sides", "bbox_ctrness": "centredness"}
    content = {"losses": torch.stack([value.detach() for value in losses.values()])}
    for theirs, ours in names.items():
        content[ours] = output[theirs].detach().half()
        content[f"gradient.{ours}"] = output[theirs].grad
    for image, (target, boxes) in enumerate(zip(targets, found)):
        content[f"boxes.{image}"] = target["boxes"]
        content[f"labels.{image}"] = target["labels"].float()
        columns = [boxes["boxes"], boxes["labels"][:, None], boxes["scores"][:, None]]
        content[f"found.{image}"] = torch.cat(columns, 1)
    path = Path("crates/learn/tests/goldens/detection.safetensors")
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in content.items()}, path)
    print({name: tuple(value.shape) for name, value in content.items()}, list(losses))


if __name__ == "__main__":
    main()
