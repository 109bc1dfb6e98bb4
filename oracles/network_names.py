"""Names and shapes of all tensors of a network of timm's, as files of public parameters have them.

timm==1.0.31, torch==2.9.0
Run: python oracles/network_names.py
Writes crates/nn/tests/goldens/weights/hrnet_w18_small.json
"""

import json
from pathlib import Path

import timm

FOLDER = Path("crates/nn/tests/goldens/weights")


def main():
    name = "hrnet_w18_small"
    state = timm.create_model(name).state_dict()
    shapes = {n: list(t.shape) for n, t in state.items() if t.is_floating_point()}
    (FOLDER / f"{name}.json").write_text(json.dumps(shapes, separators=(",", ":")) + "\n")
    print(name, len(shapes), "tensors")
    for name in ["hrnet_w18_small", "hrnet_w18", "hrnet_w48"]:
        state = timm.create_model(name, head="").state_dict()
        values = sum(t.numel() for t in state.values() if t.is_floating_point())
        print(name, values, "values without the classifier")


if __name__ == "__main__":
    main()
