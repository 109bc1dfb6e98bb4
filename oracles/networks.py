"""Goldens of narrow networks with random weights: scores, gradients and running statistics.

torch==2.9.0, torchvision==0.24.0, segmentation-models-pytorch==0.5.0, timm==1.0.31, safetensors, numpy
Run: python oracles/networks.py [NAME…]
Writes crates/nn/tests/goldens/networks/NAME.safetensors

Each file holds
  weights.*    the parameters, rounded to f16 before anything is worked out, so that the file holds them exactly
  input, probe f16
  predicted    the scores with running statistics
  trained      the scores with the batch's own
  gradient.*   of the sum of trained · probe, by every parameter
  running.*    the running statistics after that
"""

import copy
import sys
from collections import OrderedDict
from functools import partial
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file
from segmentation_models_pytorch.base import SegmentationHead
from segmentation_models_pytorch.decoders.deeplabv3.decoder import DeepLabV3PlusDecoder
from segmentation_models_pytorch.decoders.pspnet.decoder import PSPDecoder
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from segmentation_models_pytorch.encoders._utils import replace_strides_with_dilation
from segmentation_models_pytorch.encoders.timm_efficientnet import EfficientNetBaseEncoder
from timm.layers import SwiGLUPacked
from timm.models.efficientnet import EfficientNet
from timm.models._efficientnet_builder import decode_arch_def
from timm.models.hrnet import HighResolutionNet
from torch import nn
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.fcos import FCOSClassificationHead, FCOSRegressionHead
from torchvision.models.detection.rpn import RPNHead, concat_box_prediction_layers
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import (
    FeaturePyramidNetwork,
    LastLevelMaxPool,
    LastLevelP6P7,
)

FOLDER = Path("crates/nn/tests/goldens/networks")


class Block(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)

    def forward(self, images):
        hidden = torch.relu(self.bn1(self.conv1(images)))
        return torch.relu(self.bn2(self.conv2(hidden)))


class UNet(nn.Module):
    def __init__(self, widths, classes):
        super().__init__()
        self.encoder = nn.ModuleList(map(Block, [3, *widths[:-1]], widths))
        down = list(zip(widths[:0:-1], widths[-2::-1]))
        self.up = nn.ModuleList(nn.ConvTranspose2d(i, o, 2, 2) for i, o in down)
        self.decoder = nn.ModuleList(Block(2 * o, o) for _, o in down)
        self.head = nn.Conv2d(widths[0], classes, 1)

    def forward(self, images):
        levels = []
        for block in self.encoder:
            if levels:
                images = nn.functional.max_pool2d(images, 2)
            images = block(images)
            levels.append(images)
        levels.pop()
        for up, block in zip(self.up, self.decoder):
            images = block(torch.cat([levels.pop(), up(images)], 1))
        return self.head(images)


class NarrowResNet(ResNet):
    """torchvision's, a sixteenth as wide, without the classifier."""

    def _make_layer(self, block, planes, blocks, stride=1, dilate=False):
        if planes == 64:
            self.inplanes = 4
            self.conv1 = nn.Conv2d(3, 4, 7, 2, 3, bias=False)
            self.bn1 = nn.BatchNorm2d(4)
        return super()._make_layer(block, planes // 16, blocks, stride, dilate)

    def forward(self, images):
        hidden = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        return self.layer4(self.layer3(self.layer2(self.layer1(hidden))))


def resnet(*arguments, dilated=0):
    model = NarrowResNet(*arguments)
    del model.fc
    for stage in [model.layer3, model.layer4][2 - dilated :]:
        replace_strides_with_dilation(stage, 2 if stage is model.layer3 or dilated == 1 else 4)
    return model


class Tokens(timm.models.VisionTransformer):
    """Tokens as an image of one column."""

    def forward(self, images):
        return self.forward_features(images).transpose(1, 2)[..., None]


def vision_transformer(**further):
    return Tokens((16, 24), 8, embed_dim=24, depth=2, num_heads=3, num_classes=0, **further)


def gated_vision_transformer(**further):
    return vision_transformer(
        mlp_layer=SwiGLUPacked, act_layer=nn.SiLU, mlp_ratio=1.5, init_values=0.1, reg_tokens=2, **further
    )


def features(encoder, images):
    """As segmentation_models_pytorch's encoders give them, so far as our narrow one has stages."""
    found = [images, encoder.relu(encoder.bn1(encoder.conv1(images)))]
    hidden = encoder.maxpool(found[-1])
    for stage in ("layer1", "layer2", "layer3", "layer4"):
        if hasattr(encoder, stage):
            hidden = getattr(encoder, stage)(hidden)
            found.append(hidden)
    return found


def encoder_unet():
    """segmentation_models_pytorch's decoder and head around our narrow encoder."""

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = resnet(BasicBlock, [1, 1, 1, 1])
            self.decoder = UnetDecoder((3, 4, 4, 8, 16, 32), (24, 16, 8, 8, 4))
            self.segmentation_head = SegmentationHead(4, 3)

        def forward(self, images):
            return self.segmentation_head(self.decoder(features(self.encoder, images)))

    return Network()


def deeplab():
    """segmentation_models_pytorch's decoder and head of DeepLabV3+, without dropout, around our narrow encoder."""

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = resnet(BasicBlock, [1, 1, 1, 1], dilated=1)
            self.decoder = DeepLabV3PlusDecoder(
                (3, 4, 4, 8, 16, 32), 5, 8, (2, 3, 5), 16, aspp_separable=True, aspp_dropout=0.0
            )
            self.segmentation_head = SegmentationHead(8, 2, kernel_size=1, upsampling=4)

        def forward(self, images):
            return self.segmentation_head(self.decoder(features(self.encoder, images)))

    return Network()


def pspnet():
    """segmentation_models_pytorch's decoder and head of PSPNet, without dropout, around half of our narrow encoder."""

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = resnet(BasicBlock, [1, 2, 1, 1])
            del self.encoder.layer3, self.encoder.layer4
            self.decoder = PSPDecoder((3, 4, 4, 8), out_channels=12, dropout=0.0)
            self.segmentation_head = SegmentationHead(12, 2, kernel_size=3, upsampling=8)

        def forward(self, images):
            return self.segmentation_head(self.decoder(features(self.encoder, images)))

    return Network()


def hrnet():
    """timm's network without its classifier, and the head of mmsegmentation's FCNHead on all branches."""

    def stage(block, modules, blocks, *channels):
        return {
            "num_modules": modules,
            "num_branches": len(channels),
            "block_type": block,
            "num_blocks": (blocks,) * len(channels),
            "num_channels": channels,
            "fuse_method": "SUM",
        }

    class Layer(nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.conv = nn.Conv2d(channels, channels, 1, bias=False)
            self.bn = nn.BatchNorm2d(channels)

    class Head(nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.convs = nn.ModuleList([Layer(channels)])
            self.conv_seg = nn.Conv2d(channels, 2, 1)

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            sizes = {
                "stem_width": 4,
                "stage1": stage("BOTTLENECK", 1, 2, 2),
                "stage2": stage("BASIC", 1, 1, 2, 4),
                "stage3": stage("BASIC", 2, 1, 2, 4, 8),
                "stage4": stage("BASIC", 1, 1, 2, 4, 8, 16),
            }
            self.backbone = HighResolutionNet(sizes, head="")
            self.decode_head = Head(2 + 4 + 8 + 16)

        def forward(self, images):
            resize = partial(nn.functional.interpolate, mode="bilinear", align_corners=False)
            branches = self.backbone.forward_features(images)
            finest = branches[0].shape[2:]
            joined = torch.cat([branches[0]] + [resize(b, finest) for b in branches[1:]], 1)
            layer = self.decode_head.convs[0]
            hidden = torch.relu(layer.bn(layer.conv(joined)))
            return resize(self.decode_head.conv_seg(hidden), images.shape[2:])

    return Network()


def fcos():
    """torchvision's pyramid and heads around our narrow encoder: classes, sides and centredness as channels."""

    class Backbone(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = resnet(BasicBlock, [1, 1, 1, 1])
            self.fpn = FeaturePyramidNetwork([8, 16, 32], 8, LastLevelP6P7(8, 8))

    class Head(nn.Module):
        def __init__(self):
            super().__init__()
            norm = partial(nn.GroupNorm, 4)
            self.classification_head = FCOSClassificationHead(8, 1, 3, 2, norm_layer=norm)
            self.regression_head = FCOSRegressionHead(8, 1, 2, norm)

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.backbone = Backbone()
            self.head = Head()

        def forward(self, images):
            body = self.backbone.body
            hidden = body.layer1(body.maxpool(body.relu(body.bn1(body.conv1(images)))))
            features = OrderedDict()
            for name in ("layer2", "layer3", "layer4"):
                hidden = getattr(body, name)(hidden)
                features[name] = hidden
            levels = list(self.backbone.fpn(features).values())
            classes = self.head.classification_head(levels)
            sides, centredness = self.head.regression_head(levels)
            return torch.cat([classes, sides, centredness], 2).transpose(1, 2)[..., None]

    return Network()


def efficientnet_blocks():
    return {
        "block_args": decode_arch_def(
            [
                ["ds_r2_k3_s1_e1_c8"],
                ["ir_r2_k3_s2_e2_c8"],
                ["ir_r1_k5_s2_e2_c8"],
                ["ir_r1_k3_s2_e2_c16"],
                ["ir_r1_k5_s1_e2_c16"],
                ["ir_r1_k5_s2_e2_c16"],
                ["ir_r1_k3_s1_e2_c24"],
            ]
        ),
        "stem_size": 8,
        "act_layer": nn.ReLU6,
    }


def efficientnet_lite():
    """timm's with what its `tf_` variants are built with, the last stride spread."""

    class Network(EfficientNet):
        def __init__(self):
            norm = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01)
            super().__init__(**efficientnet_blocks(), pad_type="same", norm_layer=norm)
            del self.conv_head, self.bn2, self.classifier
            replace_strides_with_dilation(self.blocks[5:], 2)

        def forward(self, images):
            return self.blocks(self.bn1(self.conv_stem(images)))

    return Network()


def efficientnet_unet():
    """segmentation_models_pytorch's, but narrow."""

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            channels = (3, 8, 8, 8, 16, 24)
            self.encoder = EfficientNetBaseEncoder((2, 3, 5), channels, **efficientnet_blocks())
            # Nothing reads them.
            del self.encoder.conv_head, self.encoder.bn2
            self.decoder = UnetDecoder(channels, (16, 16, 8, 8, 4))
            self.segmentation_head = SegmentationHead(4, 2)

        def forward(self, images):
            return self.segmentation_head(self.decoder(self.encoder(images)))

    return Network()


class PyramidBackbone(nn.Module):
    """torchvision's pyramid of all four stages of our narrow encoder."""

    out_channels = 8

    def __init__(self):
        super().__init__()
        self.body = resnet(BasicBlock, [1, 1, 1, 1])
        self.fpn = FeaturePyramidNetwork([4, 8, 16, 32], 8, LastLevelMaxPool())

    def forward(self, images):
        body = self.body
        hidden = body.maxpool(body.relu(body.bn1(body.conv1(images))))
        features = OrderedDict()
        for number in range(4):
            hidden = getattr(body, f"layer{number + 1}")(hidden)
            features[str(number)] = hidden
        return self.fpn(features)


def faster_rcnn():
    """What anchors say, score and offsets one after the other, and what three regions of each image say."""

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.backbone = PyramidBackbone()
            self.rpn = nn.ModuleDict({"head": RPNHead(8, 3)})
            heads = {"box_head": TwoMLPHead(8 * 49, 16), "box_predictor": FastRCNNPredictor(16, 4)}
            self.roi_heads = nn.ModuleDict(heads)

        def forward(self, images):
            levels = self.backbone(images)
            answers = self.rpn["head"](list(levels.values()))
            objectness, offsets = concat_box_prediction_layers(*answers)
            regions = [[2.0, 3, 40, 30], [10, -8, 60, 70], [0, 0, 64, 96]]
            regions = [torch.tensor(regions, dtype=images.dtype)] * len(images)
            sizes = [images.shape[-2:]] * len(images)
            pooled = MultiScaleRoIAlign(["0", "1", "2", "3"], 7, 2)(levels, regions, sizes)
            found = self.roi_heads["box_predictor"](self.roi_heads["box_head"](pooled))
            parts = [objectness, offsets, *found]
            return torch.cat([p.reshape(len(images), -1) for p in parts], 1)[..., None, None]

    return Network()


NETWORKS = {
    "efficientnet_lite": (efficientnet_lite, (2, 3, 67, 90)),
    "efficientnet_unet": (efficientnet_unet, (2, 3, 64, 64)),
    "faster_rcnn": (faster_rcnn, (2, 3, 96, 64)),
    "fcos": (fcos, (2, 3, 96, 64)),
    # Four images: what normalises their means would leave only signs of two.
    "deeplab": (deeplab, (4, 3, 64, 48)),
    # 7 × 5 pixels at 1/8, so that windows overlap. Four images: where the mean of each passes its ReLU, a norm takes
    # its bias away again, and the gradient is 0.
    "pspnet": (pspnet, (4, 3, 56, 40)),
    "hrnet": (hrnet, (2, 3, 96, 64)),
    "encoder_unet": (encoder_unet, (2, 3, 96, 96)),
    "vision_transformer": (vision_transformer, (2, 3, 16, 24)),
    "vision_transformer_gated": (gated_vision_transformer, (2, 3, 16, 24)),
    "vision_transformer_registers": (
        partial(gated_vision_transformer, no_embed_class=True),
        (2, 3, 16, 24),
    ),
    # Positions are for 2 × 3 patches, and there are 5 × 2.
    "vision_transformer_interpolated": (
        partial(vision_transformer, dynamic_img_size=True, reg_tokens=1),
        (2, 3, 40, 16),
    ),
    "resnet_basic": (lambda: resnet(BasicBlock, [1, 2, 1, 1]), (2, 3, 67, 64)),
    "resnet_bottleneck": (
        lambda: resnet(Bottleneck, [1, 1, 1, 2], dilated=2),
        (2, 3, 64, 90),
    ),
    "unet": (lambda: UNet([4, 8, 16], 3), (2, 3, 24, 36)),
}


def randomise(model):
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if not tensor.is_floating_point():
                continue
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2.0)
            elif tensor.dim() > 1:
                tensor.normal_(0.0, (2.0 / tensor[0].numel()) ** 0.5)
            elif name.endswith("weight"):
                tensor.uniform_(0.5, 1.5)
            else:
                tensor.uniform_(-0.5, 0.5)
            tensor.copy_(tensor.half().float())


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[1:] or NETWORKS:
        build, size = NETWORKS[name]
        torch.manual_seed(20)
        model = build()
        randomise(model)
        content = {
            f"weights.{n}": t.half() for n, t in model.state_dict().items() if t.is_floating_point()
        }
        images = torch.randn(size).half()
        with torch.no_grad():
            content["predicted"] = model.eval()(images.float())
        # f64 where sums cancel: the golden is to be nearer the truth than either of us.
        single = copy.deepcopy(model).train()
        model = model.double().train()
        scores = model(images.double())
        probe = torch.randn(scores.shape).half()
        (scores * probe.double()).sum().backward()
        # A value so near the kink of a ReLU that rounding decides on its side would make gradients jump.
        (single(images.float()) * probe.float()).sum().backward()
        largest = max(parameter.grad.abs().max() for parameter in model.parameters())
        for parameter, rounded in zip(model.parameters(), single.parameters()):
            scale = parameter.grad.abs().max()
            if scale < 1e-12 * largest:
                # A bias that a later norm takes away again: only the rounding of sums that cancel is left.
                parameter.grad.zero_()
                scale = largest
            error = (parameter.grad - rounded.grad).abs().max() / scale
            assert error < 1e-4, f"{name}: PyTorch's own gradients in f32 are off by {error}"
        content |= {"input": images, "probe": probe, "trained": scores.detach().float()}
        content |= {f"gradient.{n}": p.grad.float() for n, p in model.named_parameters()}
        content |= {f"running.{n}": b.float() for n, b in model.named_buffers() if "running" in n}
        save_file({n: t.contiguous() for n, t in content.items()}, FOLDER / f"{name}.safetensors")
        print(name, tuple(scores.shape), sum(p.numel() for p in model.parameters()), "parameters")


if __name__ == "__main__":
    main()
