"""The recipe of `just train-nuclei` in PyTorch 2.9.0 (CPU, two threads), trained as long as ours.

    python benches/peers/nuclei.py RUN DATA OUT        (numpy 2.3.4, pillow 13.0.0, scipy 1.17.1, scikit-image 0.26.0)

RUN is our run: its split.csv says which images each fold learns from, validates and predicts, and its events
how long each fold took. DATA has `images` and `instances_corrected`. Network, targets, loss, optimiser, learning
rates, crops, flips, turns and colours are those of ours, with PyTorch's operators; so is the way from classes of
pixels to objects, with SciPy's and scikit-image's. A fold has as many minutes as ours had: its number of epochs
is what its second epoch says will fit, and the learning rate falls over just these. The network of the best
validation predicts.

Writes OUT/masks/ID.png (16 bits) and OUT/curves.json: minutes and validation Dice of each epoch of each fold.
"""

import csv
import json
import pathlib
import sys
import time

import numpy as np
import torch
from nuclei_events import scalars
from PIL import Image
from scipy import ndimage
from skimage.segmentation import watershed
from torch import nn
from unet import UNet

THREADS, BATCH, CROP, RATE, DECAY, BORDER, LEAST = 2, 4, 256, 1e-3, 1e-4, 2, 20
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)


def classes_of(objects):
    """0 background, 1 inside, 2 where something else is within the width of a border."""
    side = 2 * BORDER + 1
    objects = objects.astype(np.int64)
    differs = (
        ndimage.maximum_filter(objects, side, mode="nearest") != objects
    ) | (ndimage.minimum_filter(objects, side, mode="nearest") != objects)
    classes = np.where(objects == 0, 0, np.where(differs, 2, 1))
    for number in np.unique(objects):
        of = objects == number
        if number and not (classes[of] == 1).any():
            # All border: its deepest pixels are inside.
            depth = ndimage.distance_transform_cdt(np.pad(of, 1), "chessboard")[1:-1, 1:-1]
            classes[of & (depth == depth.max())] = 1
    return classes.astype(np.uint8)


def objects_of(probabilities):
    inside = probabilities[1]
    belongs = 1 - probabilities[0] > 0.5
    cores, _ = ndimage.label(inside > 0.5)
    grown = watershed(1 - inside, cores, mask=belongs)
    alone, _ = ndimage.label(belongs & (grown == 0))
    objects = np.where(alone > 0, alone + grown.max(), grown)
    areas = np.bincount(objects.ravel())
    kept = np.flatnonzero(areas >= LEAST)
    numbers = np.zeros(len(areas), np.uint16)
    kept = kept[kept > 0]
    numbers[kept] = np.arange(1, len(kept) + 1)
    return numbers[objects]


def crop(image, classes, rng):
    height, width = classes.shape
    top, left = rng.integers(height - CROP + 1), rng.integers(width - CROP + 1)
    image = image[top : top + CROP, left : left + CROP]
    classes = classes[top : top + CROP, left : left + CROP]
    if rng.random() < 0.5:
        image, classes = image[:, ::-1], classes[:, ::-1]
    turns = rng.integers(4)
    image, classes = np.rot90(image, turns), np.rot90(classes, turns)
    grey = np.array([0.299, 0.587, 0.114], np.float32)
    brightness, contrast, saturation = rng.uniform(0.9, 1.1, 3).astype(np.float32)
    mean = np.clip((image @ grey).mean() * brightness, 0, 1)
    image = np.clip(image * brightness, 0, 1)
    image = np.clip(mean + (image - mean) * contrast, 0, 1)
    middle = (image @ grey)[..., None]
    image = np.clip(middle + (image - middle) * saturation, 0, 1)
    return (image - MEAN) / DEVIATION, classes


def dice_loss(probabilities, targets):
    both = (probabilities * targets).sum((0, 2, 3))
    truth = targets.sum((0, 2, 3))
    index = 2 * both / (probabilities.sum((0, 2, 3)) + truth).clamp_min(1e-7)
    present = truth > 0
    return (1 - index)[present].mean()


def probabilities_of(network, image):
    pixels = torch.from_numpy(((image - MEAN) / DEVIATION).transpose(2, 0, 1)[None].copy())
    with torch.no_grad():
        return torch.softmax(network(pixels), 1)[0].numpy()


def validation_dice(network, items, images, classes):
    both, sizes = np.zeros(3), np.zeros(3)
    for item in items:
        predicted = probabilities_of(network, images[item]).argmax(0)
        for number in range(3):
            both[number] += ((predicted == number) & (classes[item] == number)).sum()
            sizes[number] += (predicted == number).sum() + (classes[item] == number).sum()
    return float((2 * both / sizes)[1:].mean())


def train(items, validation, images, classes, minutes):
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    network = UNet(classes=3).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY)
    steps = -(-len(items) // BATCH)
    start, epochs, curve, best = time.perf_counter(), None, [], (-1.0, None)
    epoch = 0
    while epochs is None or epoch < epochs:
        began = time.perf_counter()
        network.train()
        order = rng.permutation(items)
        for step in range(steps):
            # Until the number of epochs is known the rate is near its highest anyway.
            done = (epoch * steps + step) / (epochs * steps) if epochs else 0
            rise = min((epoch * steps + step + 1) / steps, 1)
            for group in optimizer.param_groups:
                group["lr"] = RATE * rise * 0.5 * (1 + np.cos(np.pi * done))
            chosen = [order[i % len(order)] for i in range(step * BATCH, (step + 1) * BATCH)]
            crops = [crop(images[item], classes[item], rng) for item in chosen]
            pixels = torch.from_numpy(np.stack([c[0] for c in crops]).transpose(0, 3, 1, 2).copy())
            pixels = pixels.to(memory_format=torch.channels_last)
            given = torch.from_numpy(np.stack([c[1] for c in crops])).long()
            optimizer.zero_grad()
            scores = network(pixels)
            targets = nn.functional.one_hot(given, 3).permute(0, 3, 1, 2).float()
            loss = nn.functional.cross_entropy(scores, given)
            loss = loss + dice_loss(torch.softmax(scores, 1), targets)
            loss.backward()
            optimizer.step()
        network.eval()
        dice = validation_dice(network, validation, images, classes)
        if dice > best[0]:
            best = (dice, {k: v.clone() for k, v in network.state_dict().items()})
        epoch += 1
        now = time.perf_counter()
        curve.append([(now - start) / 60, dice])
        if epoch == 2:
            epochs = max(3, 2 + int((minutes * 60 - (now - start)) / (now - began)))
            print(f"{epochs} epochs fit into {minutes:.1f} minutes", flush=True)
    network.load_state_dict(best[1])
    return network, curve


def main():
    run, data, out = map(pathlib.Path, sys.argv[1:4])
    torch.set_num_threads(THREADS)
    (out / "masks").mkdir(parents=True, exist_ok=True)
    with (run / "split.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    read = lambda folder, name: np.asarray(Image.open(data / folder / f"{name}.png"))
    images, classes = {}, {}
    for row in rows:
        name = row["image"]
        rgb = Image.open(data / "images" / f"{name}.png").convert("RGB")
        images[name] = np.asarray(rgb).astype(np.float32) / 255
        classes[name] = classes_of(read("instances_corrected", name))
    curves = {}
    for part in [name for name in rows[0] if name.startswith("fold-")]:
        role = lambda what: [row["image"] for row in rows if row[part] == what]
        minutes = scalars(run / part, "validation Dice")[-1][0]
        network, curves[part] = train(role("learns"), role("validates"), images, classes, minutes)
        for name in role("predicts"):
            objects = objects_of(probabilities_of(network, images[name]))
            Image.fromarray(objects).save(out / "masks" / f"{name}.png")
        print(part, f"{curves[part][-1][0]:.1f} minutes, best Dice {max(d for _, d in curves[part]):.3f}", flush=True)
        (out / "curves.json").write_text(json.dumps(curves))


if __name__ == "__main__":
    main()
