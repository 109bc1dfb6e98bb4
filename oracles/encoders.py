"""Goldens of narrow pretrained encoders with random weights, in files as they are published: embeddings of one image.

torch==2.9.0, torchvision==0.24.0, timm==1.0.31, safetensors, numpy
Run: python oracles/encoders.py
Writes crates/nn/tests/goldens/encoders/NAME.safetensors, a file of an encoder for each of ENCODERS, with parameters
rounded to f16 before anything is worked out, and reference.safetensors:
  image   [32, 32, 3], values 0 to 255
  NAME    the embedding of this image, for ResNets of 7 × 7 of it side by side, worked out in f64

Networks are timm's and torchvision's. Where files have the names of Hugging Face's transformers or of DINOv2, these are
timm's parameters under other names: renaming and dividing them is the work of this script, not of those libraries.
"""

import json
from functools import partial
from pathlib import Path

import numpy as np
import timm
import torch
from safetensors.torch import save_file
from timm.layers import SwiGLUPacked
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from networks import randomise, resnet

FOLDER = Path("crates/nn/tests/goldens/encoders")
SIZE = 32
IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
OWN = ([0.7, 0.5, 0.6], [0.2, 0.3, 0.25])
GATED = {"mlp_layer": SwiGLUPacked, "act_layer": nn.SiLU, "mlp_ratio": 3.0}
SCALED = {"init_values": 0.1}


def transformer(**further):
    return timm.models.VisionTransformer(
        SIZE, 8, embed_dim=16, depth=2, num_classes=0, global_pool="", **further
    )


def prefixed(prefix, state):
    return {prefix + name: tensor for name, tensor in state.items()}


def card(pooling):
    fields = {"kind": "embeddings", "name": "ours", "size": SIZE, "mean": OWN[0], "std": OWN[1]}
    return {"cleanslide": json.dumps(fields | {"pooling": pooling, "heads": 2})}


def with_whole_position(state):
    """The position of the class token apart, as DINOv2 keeps it and timm does not."""
    # Few digits, so that f16 holds the difference exactly. The model's own class token changes with it.
    whole = state["cls_token"].mul_(256).round_().div_(256)
    position = torch.randn(1, 1, 16).mul(256).round().div(256)
    state["cls_token"] = whole - position
    state["pos_embed"] = torch.cat([position, state["pos_embed"]], 1)
    return state


def own_dinov2(model):
    """DINOv2's names inside a checkpoint of its training."""
    state = with_whole_position(model.state_dict())
    for name in list(state):
        other = name.replace("mlp.fc1", "mlp.w12").replace("mlp.fc2", "mlp.w3")
        state[other.replace("reg_token", "register_tokens")] = state.pop(name)
    state["mask_token"] = torch.zeros(1, 16)
    twin = {"student.backbone.patch_embed.proj.weight": state["patch_embed.proj.weight"] * 2}
    head = {"teacher.dino_head.last_layer.weight": torch.zeros(3, 16)}
    return prefixed("teacher.backbone.", state) | twin | head


def hugging_face(state, inside):
    """Names of Hugging Face, with queries, keys and values apart; `inside` names what differs between its networks."""
    outside = {
        "cls_token": "embeddings.cls_token",
        "reg_token": "embeddings.register_tokens",
        "pos_embed": "embeddings.position_embeddings",
        "patch_embed.proj": "embeddings.patch_embeddings.projection",
        "norm": "layernorm",
    }
    renamed = {}
    for name, tensor in state.items():
        if not name.startswith("blocks."):
            stem, _, kind = name.rpartition(".") if name not in outside else (name, "", "")
            renamed[outside[stem] + ("." + kind if kind else "")] = tensor
            continue
        _, index, name = name.split(".", 2)
        before = f"encoder.layer.{index}."
        if name.startswith("attn.qkv."):
            for part, values in zip(["query", "key", "value"], tensor.chunk(3)):
                kind = name.rpartition(".")[2]
                renamed[f"{before}attention.attention.{part}.{kind}"] = values
            continue
        for theirs, other in inside.items():
            name = name.replace(theirs, other)
        renamed[before + name] = tensor
    return renamed


def hugging_face_vit(model):
    # So small that a token's variance is as what is added to it.
    for name in ["cls_token", "pos_embed", "patch_embed.proj.weight", "patch_embed.proj.bias"]:
        tensor = model.state_dict()[name]
        tensor.copy_((tensor / 256).half())
    inside = {
        "attn.proj": "attention.output.dense",
        "norm1": "layernorm_before",
        "norm2": "layernorm_after",
        "mlp.fc1": "intermediate.dense",
        "mlp.fc2": "output.dense",
    }
    heads = {"vit.pooler.dense.weight": torch.zeros(16, 16), "classifier.weight": torch.zeros(3, 16)}
    return prefixed("vit.", hugging_face(model.state_dict(), inside)) | heads


def hugging_face_dinov2(model):
    inside = {
        "attn.proj": "attention.output.dense",
        "ls1.gamma": "layer_scale1.lambda1",
        "ls2.gamma": "layer_scale2.lambda1",
        "mlp.fc1": "mlp.weights_in",
        "mlp.fc2": "mlp.weights_out",
    }
    state = hugging_face(with_whole_position(model.state_dict()), inside)
    return state | {"embeddings.mask_token": torch.zeros(1, 16)}


def of_moco(model):
    state = model.state_dict()
    query = prefixed("module.encoder_q.", state | {"fc.0.weight": torch.zeros(3, 32)})
    key = {"module.encoder_k.layer1.0.conv1.weight": state["layer1.0.conv1.weight"] * 2}
    return query | key | {"module.queue": torch.zeros(3, 5)}


def of_torchvision(model):
    return model.state_dict() | {"fc.weight": torch.zeros(3, 128), "fc.bias": torch.zeros(3)}


def average(features):
    return features.mean((2, 3))


def whole(tokens):
    return tokens[:, 0]


def patches(tokens):
    return tokens[:, -((SIZE // 8) ** 2) :].mean(1)


def both(tokens):
    return torch.cat([whole(tokens), patches(tokens)], 1)


# Network, its file, metadata, mean and deviation, embedding.
ENCODERS = {
    "timm": (
        lambda: transformer(num_heads=2),
        nn.Module.state_dict,
        card("class-token"),
        OWN,
        whole,
    ),
    "timm_registers": (
        lambda: transformer(num_heads=2, reg_tokens=3, **SCALED),
        lambda model: prefixed("backbone.", model.state_dict()),
        card("mean-of-patches"),
        OWN,
        patches,
    ),
    "timm_gated": (
        lambda: transformer(num_heads=2, reg_tokens=3, no_embed_class=True, **GATED, **SCALED),
        nn.Module.state_dict,
        card("class-token-and-mean-of-patches"),
        OWN,
        both,
    ),
    "dinov2": (
        lambda: transformer(num_heads=1, reg_tokens=3, no_embed_class=True, **GATED, **SCALED),
        own_dinov2,
        None,
        IMAGENET,
        whole,
    ),
    "hugging_face_vit": (
        lambda: transformer(num_heads=1, norm_layer=partial(nn.LayerNorm, eps=1e-12)),
        hugging_face_vit,
        None,
        IMAGENET,
        whole,
    ),
    "hugging_face_dinov2": (
        lambda: transformer(num_heads=1, reg_tokens=3, no_embed_class=True, **GATED, **SCALED),
        hugging_face_dinov2,
        None,
        IMAGENET,
        whole,
    ),
    "resnet_basic": (
        lambda: resnet(BasicBlock, [1, 2, 1, 1]),
        of_moco,
        None,
        IMAGENET,
        average,
    ),
    "resnet_bottleneck": (
        lambda: resnet(Bottleneck, [1, 2, 1, 1]),
        of_torchvision,
        None,
        IMAGENET,
        average,
    ),
}


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(20)
    image = rng.integers(0, 256, (SIZE, SIZE, 3)).astype(np.float32)
    reference = {"image": torch.tensor(image).half()}
    for name, (build, file, metadata, (mean, std), embed) in ENCODERS.items():
        torch.manual_seed(20)
        model = build()
        randomise(model)
        content = {n: t.half().contiguous() for n, t in file(model).items() if t.is_floating_point()}
        save_file(content, FOLDER / f"{name}.safetensors", metadata)
        times = 224 // SIZE if name.startswith("resnet") else 1
        values = torch.tensor(np.tile(image, (times, times, 1)))
        values = (values.double() / 255 - torch.tensor(mean).double()) / torch.tensor(std).double()
        with torch.no_grad():
            features = model.double().eval()(values.permute(2, 0, 1)[None])
        reference[name] = embed(features)[0].float()
        print(name, tuple(reference[name].shape), float(reference[name].abs().max()))
    save_file(reference, FOLDER / "reference.safetensors")


if __name__ == "__main__":
    main()
