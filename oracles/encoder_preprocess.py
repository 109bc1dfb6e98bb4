"""Golden of the bilinear resize with antialiasing.

pillow==13.0.0, numpy==2.4.6, safetensors==0.8.0
Run: python oracles/encoder_preprocess.py
Writes crates/nn/tests/goldens/resize.safetensors

Three images (reduced, enlarged, and one side of each) from a fixed generator, small enough to commit,
with what PIL's Image.resize(..., BILINEAR) makes of them.
"""

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

rng = np.random.default_rng(7)
tensors = {}
for name, (width, height), side in [("reduced", (71, 50), 32), ("enlarged", (13, 9), 32), ("mixed", (70, 11), 32)]:
    smooth = rng.integers(0, 256, (height // 4 + 1, width // 4 + 1, 3), dtype=np.uint8)
    image = np.array(Image.fromarray(smooth).resize((width, height), Image.Resampling.BICUBIC))
    noise = rng.integers(-30, 31, image.shape)
    image = np.clip(image.astype(int) + noise, 0, 255).astype(np.uint8)
    resized = np.array(Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR))
    tensors[f"{name}.image"] = image
    tensors[f"{name}.resized"] = resized
save_file(tensors, "crates/nn/tests/goldens/resize.safetensors")
