"""The U-Net of the benches, in PyTorch: that of `cleanslide_nn::networks::UNet`."""

import torch
from torch import nn


def block(inputs, outputs):
    layers = []
    for channels in (inputs, outputs):
        layers += [
            nn.Conv2d(channels, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    def __init__(self, widths=(32, 64, 128, 256), classes=2):
        super().__init__()
        self.encoder = nn.ModuleList(map(block, [3, *widths[:-1]], widths))
        down = list(zip(widths[:0:-1], widths[-2::-1]))
        self.up = nn.ModuleList(nn.ConvTranspose2d(i, o, 2, 2) for i, o in down)
        self.decoder = nn.ModuleList(block(2 * o, o) for _, o in down)
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
