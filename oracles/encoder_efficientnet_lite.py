"""Golden of a narrow EfficientNet-Lite with random weights.

efficientnet_lite_pytorch==0.1.0 (pip install --no-deps), torch==2.9.0, safetensors==0.8.0, numpy==2.4.6
Run: python oracles/encoder_efficientnet_lite.py
Writes crates/nn/tests/goldens/efficientnet_lite_narrow{,_reference}.safetensors

Weights and input are rounded to f16 before the forward pass (in f32), so the small file holds them
exactly. The image size is odd: it tests the side on which SAME padding puts the odd pixel, for an
odd size with stride 2 and, after it, for an even size.
"""

from pathlib import Path

import torch
from efficientnet_lite_pytorch import EfficientNet
from efficientnet_lite_pytorch.utils import BlockDecoder, GlobalParams
from safetensors.torch import save_file

SIZE = 35
torch.manual_seed(20)
blocks = BlockDecoder.decode(
    # A stage's first block always changes channels here, as in the real networks: the package leaves
    # its skip connection out (it compares the list [1] with 1), whatever the channels.
    ["r1_k3_s11_e1_i32_o64", "r2_k3_s22_e6_i64_o32", "r2_k5_s22_e3_i32_o64", "r1_k5_s11_e6_i64_o96"]
)
parameters = GlobalParams(
    width_coefficient=0.25, depth_coefficient=1.0, image_size=SIZE, dropout_rate=0.2,
    num_classes=5, batch_norm_momentum=0.99, batch_norm_epsilon=1e-3, drop_connect_rate=0.2,
    depth_divisor=8, min_depth=None, relu_fn="relu6", fix_head_stem=False, local_pooling=False,
    use_se=False,
)
model = EfficientNet(blocks, parameters).eval()
with torch.no_grad():
    for name, tensor in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2.0)
        elif "_bn" in name and name.endswith("weight"):
            tensor.uniform_(0.5, 2.5)
        elif "_bn" in name:
            tensor.uniform_(-0.5, 0.5)
        else:
            fan_in = tensor[0].numel()
            tensor.normal_(0.0, (2.0 / fan_in) ** 0.5)
        tensor.copy_(tensor.half().float())
    image = torch.randn(3, 3, SIZE, SIZE).half().float()
    embedding = model.extract_features(image).mean((2, 3))
    logits = model(image)

for name, tensor in model.state_dict().items():
    print(name, tuple(tensor.shape))
folder = Path("crates/nn/tests/goldens")
weights = {n: t.half() for n, t in model.state_dict().items() if t.is_floating_point()}
save_file(weights, folder / "efficientnet_lite_narrow.safetensors")
save_file(
    {"input": image.half(), "embedding": embedding.contiguous(), "logits": logits.contiguous()},
    folder / "efficientnet_lite_narrow_reference.safetensors",
)
print("embedding", embedding.min().item(), embedding.mean().item(), embedding.max().item())
