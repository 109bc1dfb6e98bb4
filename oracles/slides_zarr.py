"""Goldens for crates/slide: the pyramid of oracles/slides.py in OME-Zarr, as zarr-python writes it.

Pinned: zarr 3.1.6, numcodecs 0.16.6, numpy, pillow.
Run from the repository root after oracles/slides.py: python oracles/slides_zarr.py
Writes crates/slide/tests/goldens/zarr: 0.4 (Zarr 2: Blosc with LZ4, zlib, and raw chunks beside a chunk that was never written),
0.5 (Zarr 3: shards of chunks in zstd), and the layout of bioformats2raw.
"""

import shutil
from pathlib import Path

import numcodecs
import numpy as np
import zarr
from PIL import Image

GOLDENS = Path("crates/slide/tests/goldens")
OUT = GOLDENS / "zarr"
CHUNK = (64, 48)


def levels(name, count):
    return [np.asarray(Image.open(GOLDENS / f"{name}-{level}.png").convert("RGB")) for level in range(count)]


def multiscales(axes, count, scale, unit):
    """What OME-Zarr says of a pyramid; y and x of a pixel are `scale` wide."""
    kinds = dict(t="time", c="channel", z="space", y="space", x="space")
    described = [dict(name=axis, type=kinds[axis]) | (dict(unit=unit) if axis in "yx" else {}) for axis in axes]
    datasets = [
        dict(path=str(level), coordinateTransformations=[
            dict(type="scale", scale=[scale * 2**level if axis in "yx" else 1.0 for axis in axes])])
        for level in range(count)
    ]
    return [dict(name="picture", axes=described, datasets=datasets)]


def arranged(image, axes):
    """`[y, x, c]` in other axes, of which some may be new."""
    order = [dict(y=0, x=1, c=2)[axis] for axis in axes if axis in "yxc"]
    image = np.transpose(image, order)
    for at, axis in enumerate(axes):
        if axis not in "yxc":
            image = np.expand_dims(image, at)
    return image


def write(group, name, image, axes, channels=None, shards=None, **options):
    """An array in chunks of `CHUNK`, with `channels` of the channels in each."""
    sizes = dict(y=CHUNK[0], x=CHUNK[1], c=channels, t=1, z=1)
    array = group.create_array(
        name, shape=image.shape, dtype=np.uint8, chunks=[sizes[axis] for axis in axes],
        shards=[sizes[axis] * shards.get(axis, 1) for axis in axes] if shards else None, fill_value=0,
        chunk_key_encoding=dict(name="v2", separator="/") if group.metadata.zarr_format == 2 else None, **options)
    array[...] = image


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    pictures = levels("picture", 3)

    group = zarr.open_group(OUT / "blosc.ome.zarr", mode="w", zarr_format=2)
    described = multiscales("tczyx", 3, 0.25, "micrometer")
    group.attrs["multiscales"] = [described[0] | dict(version="0.4")]
    blosc = numcodecs.Blosc(cname="lz4", clevel=5, shuffle=numcodecs.Blosc.SHUFFLE)
    for level, image in enumerate(pictures):
        write(group, str(level), arranged(image, "tczyx"), "tczyx", 1, compressors=blosc)

    group = zarr.open_group(OUT / "layout.ome.zarr", mode="w", zarr_format=2)
    group.attrs["bioformats2raw.layout"] = 3
    series = group.create_group("0")
    series.attrs["multiscales"] = [multiscales("cyx", 2, 250.0, "nanometer")[0] | dict(version="0.4")]
    for level, image in enumerate(pictures[:2]):
        write(series, str(level), arranged(image, "cyx"), "cyx", 3, compressors=numcodecs.Zlib(6))

    group = zarr.open_group(OUT / "grey.ome.zarr", mode="w", zarr_format=2)
    described = multiscales("yx", 1, 1.0, "micrometer")[0]
    for axis in described["axes"]:
        axis.pop("unit")
    group.attrs["multiscales"] = [described | dict(version="0.4")]
    grey = levels("grey", 1)[0][..., 0].copy()
    # zarr-python does not write a chunk that has nothing but the value of what was never written.
    grey[64:, 48:96] = 0
    write(group, "0", grey, "yx", compressors=None)

    group = zarr.open_group(OUT / "shards.ome.zarr", mode="w", zarr_format=3)
    described = multiscales("yxc", 3, 0.25, "micrometer")
    group.attrs["ome"] = dict(version="0.5", multiscales=described)
    zstd = zarr.codecs.ZstdCodec(level=5)
    for level, image in enumerate(pictures):
        write(group, str(level), image, "yxc", 3, shards=dict(y=1, x=2), compressors=zstd)

    for folder in sorted(OUT.iterdir()):
        for old in folder.rglob(".zmetadata"):
            old.unlink()


main()
