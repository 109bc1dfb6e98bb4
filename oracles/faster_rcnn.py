"""What torchvision's Faster R-CNN does with boxes, part by part, and a narrow one from images to losses and boxes.

torch==2.9.0, torchvision==0.24.0, segmentation-models-pytorch==0.5.0, timm==1.0.31, safetensors, numpy
Run: python oracles/faster_rcnn.py
Writes crates/learn/tests/goldens/faster_rcnn.safetensors

Of two images of 64 × 96 pixels, the second without objects, three classes, anchors of 16 pixels in the finest level:
  boxes.N [boxes, 4], labels.N             the objects
  anchors [anchors, 4]
  anchor_matches.N [anchors]               which object an anchor is; −1 background, −2 neither
  answers [2, anchors, 5]                  random scores and offsets of the anchors
  anchor_losses [2], anchor_gradient       of all anchors that are objects or background
  proposals.N [proposals, 4]               what is chosen by the answers
  region_matches.N [proposals + boxes]     the same of the proposals and the objects
  regions [regions, 4 + 16]                random scores and offsets of these
  region_losses [2], region_gradient       of all of them
  encoded.anchors, encoded.regions         every object from one of the first proposals

Of a whole narrow network, with all samples, and 300 candidates of which 150 stay:
  weights.*, images
  losses [4]                               objectness and offsets of anchors, classes and offsets of regions
  found.N [boxes, 6]                       left, top, right, bottom, class and score; from a score of 0.1
"""

from pathlib import Path

import torch
from networks import PyramidBackbone, randomise
from safetensors.torch import save_file
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import fastrcnn_loss
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import MultiScaleRoIAlign, box_iou

SIZE = (64, 96)
STRIDES = (4, 8, 16, 32, 64)
# More than there are, so that nothing is left to chance.
ALL = 1_000_000


def model():
    sizes = tuple((16 << level,) for level in range(5))
    return FasterRCNN(
        PyramidBackbone(),
        min_size=SIZE[0],
        max_size=SIZE[1],
        image_mean=[0.0] * 3,
        image_std=[1.0] * 3,
        rpn_anchor_generator=AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * 5),
        rpn_head=RPNHead(8, 3),
        rpn_pre_nms_top_n_train=300,
        rpn_post_nms_top_n_train=150,
        rpn_pre_nms_top_n_test=300,
        rpn_post_nms_top_n_test=150,
        rpn_batch_size_per_image=ALL,
        box_roi_pool=MultiScaleRoIAlign(["0", "1", "2", "3"], 7, 2),
        box_head=TwoMLPHead(8 * 49, 16),
        box_predictor=FastRCNNPredictor(16, 4),
        box_score_thresh=0.1,
        box_nms_thresh=0.5,
        box_detections_per_img=ALL,
        box_batch_size_per_image=ALL,
    )


def random_boxes(count, generator):
    centres = torch.rand(count, 2, generator=generator) * torch.tensor([SIZE[1], SIZE[0]])
    sides = torch.exp(torch.rand(count, 2, generator=generator) * 2.0 + 2.0)
    boxes = torch.cat([centres - sides / 2, centres + sides / 2], 1)
    boxes[:, 0::2] = boxes[:, 0::2].clamp(0, SIZE[1])
    boxes[:, 1::2] = boxes[:, 1::2].clamp(0, SIZE[0])
    return (boxes * 8).round() / 8


def parts(network, targets, generator):
    rpn, heads = network.rpn, network.roi_heads
    levels = [torch.zeros(2, 8, -(-SIZE[0] // s), -(-SIZE[1] // s)) for s in STRIDES]
    images = ImageList(torch.zeros(2, 3, *SIZE), [SIZE, SIZE])
    anchors = rpn.anchor_generator(images, levels)
    counts = [3 * level[0, 0].numel() for level in levels]
    content = {"anchors": anchors[0].half()}
    assert (content["anchors"].float() == anchors[0]).all()

    def matches(matcher, boxes, objects):
        if len(objects) == 0:
            return torch.full((len(boxes),), -1)
        return matcher(box_iou(objects, boxes))

    for image, target in enumerate(targets):
        content[f"boxes.{image}"] = target["boxes"]
        content[f"labels.{image}"] = target["labels"].float() - 1
        found = matches(rpn.proposal_matcher, anchors[0], target["boxes"])
        content[f"anchor_matches.{image}"] = found.half()

    answers = torch.randn(2, len(anchors[0]), 5, generator=generator) * 0.6
    # Some that grow by more than is allowed.
    answers[:, ::50, 3:] += 5.0
    # No two scores of an image are equal, and none is 0: their order and its gradient would be nobody's rule.
    for of_image in answers:
        order = torch.randperm(len(of_image), generator=generator)
        of_image[:, 0] = (order + 0.5) / 256 - 3
    answers = answers.half().float().requires_grad_()
    content["answers"] = answers.detach().half()
    scores, offsets = answers[..., :1].reshape(-1, 1), answers[..., 1:].reshape(-1, 4)
    labels, matched = rpn.assign_targets_to_anchors(anchors, targets)
    wanted = rpn.box_coder.encode(matched, anchors)
    losses = rpn.compute_loss(scores, offsets, labels, wanted)
    sum(losses).backward()
    content["anchor_losses"] = torch.stack(losses).detach()
    content["anchor_gradient"] = answers.grad

    with torch.no_grad():
        decoded = rpn.box_coder.decode(offsets, anchors).view(2, -1, 4)
        proposals, _ = rpn.filter_proposals(decoded, scores, [SIZE, SIZE], counts)
    for image, (of, target) in enumerate(zip(proposals, targets)):
        content[f"proposals.{image}"] = of
        both = torch.cat([of, target["boxes"]])
        found = matches(heads.proposal_matcher, both, target["boxes"])
        content[f"region_matches.{image}"] = found.half()

    regions, _, labels, wanted = heads.select_training_samples(proposals, targets)
    count = sum(map(len, regions))
    assert count == sum(map(len, proposals)) + len(targets[0]["boxes"])
    said = torch.randn(count, 20, generator=generator).half().float().requires_grad_()
    losses = fastrcnn_loss(said[:, :4], said[:, 4:], labels, wanted)
    sum(losses).backward()
    content["regions"] = said.detach().half()
    content["region_losses"] = torch.stack(losses).detach()
    content["region_gradient"] = said.grad

    objects = targets[0]["boxes"]
    some = proposals[0][: len(objects)]
    for name, weights in (("anchors", (1.0,) * 4), ("regions", (10.0, 10.0, 5.0, 5.0))):
        content[f"encoded.{name}"] = BoxCoder(weights).encode_single(objects, some)
    return content


def whole(network, targets):
    images = (torch.randn(2, 3, *SIZE)).half()
    content = {"images": images}
    state = network.state_dict().items()
    content |= {f"weights.{n}": t.half() for n, t in state if t.is_floating_point()}
    with torch.no_grad():
        found = network.eval()(list(images.float()))
        losses = network.train()(list(images.float()), targets)
    names = ("loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg")
    content["losses"] = torch.stack([losses[name] for name in names])
    for image, boxes in enumerate(found):
        columns = [boxes["boxes"], boxes["labels"][:, None] - 1, boxes["scores"][:, None]]
        content[f"found.{image}"] = torch.cat(columns, 1)
    return content


def main():
    torch.set_num_threads(1)
    torch.manual_seed(3)
    generator = torch.Generator().manual_seed(7)
    network = model()
    randomise(network)
    with torch.no_grad():
        # So that scores are not all but certain, and boxes stay near those that they are of.
        blocks = [block[0] for block in network.backbone.fpn.layer_blocks]
        heads = [network.rpn.head.bbox_pred, network.roi_heads.box_predictor.bbox_pred]
        for layer, factor in [(block, 32) for block in blocks] + [(head, 4) for head in heads]:
            layer.weight.copy_((layer.weight / factor).half())
            layer.bias.copy_((layer.bias / factor).half())
    targets = []
    for count in (7, 0):
        boxes = random_boxes(count, generator) if count else torch.zeros(0, 4)
        labels = torch.randint(1, 4, (count,), generator=generator)
        targets.append({"boxes": boxes, "labels": labels})
    content = parts(network, targets, generator) | whole(network, targets)
    path = Path("crates/learn/tests/goldens/faster_rcnn.safetensors")
    save_file({name: value.contiguous() for name, value in content.items()}, path)
    print({n: tuple(v.shape) for n, v in content.items() if not n.startswith("weights.")})
    print(content["losses"], content["found.0"][::9])


if __name__ == "__main__":
    main()
