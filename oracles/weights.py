"""Small checkpoints as `torch.save` writes them, and the same as safetensors.

torch==2.9.0, safetensors
Run: python oracles/weights.py
Writes crates/nn/tests/goldens/weights/{state,legacy,nested,half}.pth and state.safetensors

state    the state of a module, as a zip archive
legacy   the same, as the pickle of PyTorch before 1.6
nested   the state of a DataParallel module under `state_dict`, beside an epoch and an optimiser
half     the state in f16
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

FOLDER = Path("crates/nn/tests/goldens/weights")


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(3)
    module = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Linear(3, 2))
    with torch.no_grad():
        # Exact in f16, and stored with other strides than it has.
        for tensor in module.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(tensor.half().float())
    module = module.to(memory_format=torch.channels_last)
    state = module.state_dict()
    torch.save(state, FOLDER / "state.pth")
    torch.save(state, FOLDER / "legacy.pth", _use_new_zipfile_serialization=False)
    optimizer = torch.optim.Adam(module.parameters())
    parallel = nn.DataParallel(module)
    torch.save(
        {"epoch": 7, "state_dict": parallel.state_dict(), "optimizer": optimizer.state_dict()},
        FOLDER / "nested.pth",
    )
    torch.save({n: t.half() if t.is_floating_point() else t for n, t in state.items()}, FOLDER / "half.pth")
    save_file({n: t.contiguous() for n, t in state.items()}, FOLDER / "state.safetensors")
    print({name: tuple(tensor.shape) for name, tensor in state.items()})


if __name__ == "__main__":
    main()
