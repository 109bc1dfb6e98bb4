"""Goldens for crates/slide: small slides in TIFF files as tifffile writes them, and their pixels as libtiff's and
OpenSlide's decoders see them.

Pinned: tifffile 2026.3.3, imagecodecs 2026.3.6 (libjpeg-turbo, openjpeg), openslide-python 1.4.7 with openslide-bin 4.0.1.2,
numpy, pillow. tifffile's own JPEG and JPEG 2000 decoders are those of imagecodecs.
Run from the repository root: python oracles/slides.py [folder of slides: ../shared/data/slides]
Writes crates/slide/tests/goldens: the files, `<file>-<level>.png`, and regions of real slides, `regions.json` and .png.
"""

import io
import json
import sys
from pathlib import Path

import imagecodecs
import numpy as np
import openslide
import tifffile
from PIL import Image

OUT = Path("crates/slide/tests/goldens")
REAL = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data/slides")
TILE = (64, 48)


def picture(height, width):
    """Stained tissue, nearly: smooth colours with dark discs, and nothing that repeats."""
    y, x = np.mgrid[:height, :width] / 40
    red = 200 + 40 * np.sin(x + y * y / 7)
    green = 140 + 50 * np.sin(1.3 * y + x)
    blue = 190 + 40 * np.cos(0.7 * x - y)
    image = np.stack([red, green, blue], -1)
    for row, column in [(20, 30), (60, 100), (90, 20), (33, 140), (80, 66)]:
        disc = (y * 40 - row) ** 2 + (x * 40 - column) ** 2 < 90
        image[disc] = (90, 60, 150)
    return image.clip(0, 255).round().astype(np.uint8)


def halved(image):
    height, width = (side // 2 * 2 for side in image.shape[:2])
    image = image[:height, :width].astype(float)
    quarters = [image[row::2, column::2] for row in (0, 1) for column in (0, 1)]
    return (sum(quarters) / 4).round().astype(np.uint8)


def keep(name, pixels):
    """Keeps pixels as a picture of that name, or finds that they are those that are there."""
    path = OUT / f"{name}.png"
    if path.exists():
        assert np.array_equal(np.asarray(Image.open(path)), pixels), path
    Image.fromarray(np.ascontiguousarray(pixels)).save(path, optimize=True)


def encoded(image, encode):
    """The tiles of an image as bytes."""
    y, x = (-side % of for side, of in zip(image.shape[:2], TILE))
    image = np.pad(image, ((0, y), (0, x)) + ((0, 0),) * (image.ndim - 2), mode="edge")
    for row in range(0, image.shape[0], TILE[0]):
        for column in range(0, image.shape[1], TILE[1]):
            yield encode(image[row:row + TILE[0], column:column + TILE[1]])


def pyramid(name, image, levels=3, ome=False, expected=None, **options):
    """A file of a pyramid; its levels as tifffile reads them back."""
    path = OUT / name
    with tifffile.TiffWriter(path, ome=ome, bigtiff=options.pop("bigtiff", False),
                             byteorder=options.pop("byteorder", "<")) as file:
        common = dict(tile=TILE, metadata=options.pop("metadata", None)) | options
        subifds = levels - 1 if ome else 0
        file.write(image, subifds=subifds, **common)
        for _ in range(levels - 1):
            image = halved(image)
            file.write(image, subfiletype=1, **(common | dict(metadata=None)))
    pages = tifffile.TiffFile(path).pages
    pages = [pages[0], *pages[0].pages] if ome else list(pages)
    for number, page in enumerate(pages):
        pixels = page.asarray()
        if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
            pixels = 255 - pixels
        if page.planarconfig == 2 and pixels.ndim == 3:
            pixels = np.moveaxis(pixels, 0, -1)
        if pixels.ndim == 2:
            pixels = np.stack([pixels] * 3, -1)
        keep(f"{expected or name}-{number}", pixels)


def aperio(name, image):
    """Levels of JPEG 2000 of luminance and colour differences, as old Aperio scanners store them; a thumbnail between."""
    path = OUT / name

    def tile(pixels):
        pixels = np.asarray(Image.fromarray(pixels).convert("YCbCr"))
        return imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", mct=False, reversible=True, level=0)

    size = f"{image.shape[1]}x{image.shape[0]}"
    said = f"Aperio Image Library v1\r\n{size} ({TILE[1]}x{TILE[0]}) J2K/YUV16 Q=100|AppMag = 20|MPP = 0.5010"
    with tifffile.TiffWriter(path) as file:
        def level(image, said):
            file.write(encoded(image, tile), shape=image.shape, dtype=np.uint8, tile=TILE, photometric="rgb",
                       compression=33003, description=said, metadata=None, software=False)
        level(image, said)
        file.write(halved(halved(image)), compression="jpeg", description=said + " thumbnail", metadata=None, software=False)
        level(halved(image), said.replace(" (", " -> half ("))
        file.write(halved(halved(image)), compression="lzw", predictor=True, metadata=None, software=False, subfiletype=1,
                   description="Aperio Image Library v1\r\nlabel 10x10")
    slide = openslide.OpenSlide(path)
    assert slide.properties["openslide.vendor"] == "aperio", dict(slide.properties)
    for number, size in enumerate(slide.level_dimensions):
        keep(f"{name}-{number}", np.asarray(slide.read_region((0, 0), number, size).convert("RGB")))
    for of in ("thumbnail", "label"):
        keep(f"{name}-{of}", np.asarray(slide.associated_images[of].convert("RGB")))


def regions():
    """Small regions of real slides, within a level and across its edges; what is outside is white."""
    cases = []
    for name in ["cmu-1-small-region.svs", "tcga-cr-7395.svs", "test3-tritc.ndpi", "cmu-1-small-region-dicom"]:
        path = REAL / name
        file = sorted(path.iterdir())[0] if path.is_dir() else path
        slide = openslide.OpenSlide(file)
        for level in range(min(slide.level_count, 4)):
            width, height = slide.level_dimensions[level]
            whole = slide.read_region((0, 0), level, (width, height))
            white = Image.new("RGBA", whole.size, (255, 255, 255, 255))
            whole = np.asarray(Image.alpha_composite(white, whole).convert("RGB"))
            for left, top in [(width // 2 - 13, height // 3 - 7), (width - 30, height - 21), (-9, -17)]:
                region = np.full((40, 48, 3), 255, np.uint8)
                rows = slice(max(top, 0), min(top + 40, height))
                columns = slice(max(left, 0), min(left + 48, width))
                region[rows.start - top:rows.stop - top, columns.start - left:columns.stop - left] = whole[rows, columns]
                cases.append((dict(slide=name, level=level, left=left, top=top), region))
    sheet = np.concatenate([region for _, region in cases])
    keep("regions", sheet)
    (OUT / "regions.json").write_text(json.dumps([case for case, _ in cases], indent=0) + "\n")


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for old in OUT.iterdir():
        if old.is_file():
            old.unlink()
    image = picture(110, 160)
    grey = image[..., 1]
    microns = dict(resolution=(20000, 20000), resolutionunit="centimeter")
    lossless = dict(photometric="rgb", expected="picture")
    ycc = dict(photometric="ycbcr", compression="jpeg", compressionargs=dict(level=85))
    pyramid("raw.tif", image, **lossless, **microns)
    pyramid("deflate-predicted.tif", image, compression="zlib", predictor=True, **lossless)
    pyramid("lzw-big-endian.tif", image, compression="lzw", predictor=True, byteorder=">", **lossless)
    pyramid("big.tif", image, compression="zlib", bigtiff=True, **lossless)
    separate = dict(planarconfig="separate", compression="zlib")
    pyramid("planes.tif", np.moveaxis(image, -1, 0), levels=1, **separate, **lossless)
    pyramid("sized.tif", image, levels=1, compression="zlib", **lossless, **microns)
    pyramid("strips.tif", image, levels=1, compression="lzw", tile=None, rowsperstrip=17, **lossless)
    pyramid("jpeg2000.tif", image, levels=2, compression="jpeg2000", **lossless)
    pyramid("grey.tif", grey, levels=1, photometric="minisblack", compression="zlib", expected="grey")
    pyramid("inverse.tif", 255 - grey, levels=1, photometric="miniswhite", compression="zlib", expected="grey")
    pyramid("jpeg-420.tif", image, subsampling=(2, 2), **ycc)
    pyramid("jpeg-422.tif", image, levels=1, subsampling=(2, 1), **ycc)
    pyramid("jpeg-444.tif", image, levels=1, subsampling=(1, 1), **ycc)

    def grey_tile(pixels):
        bytes = io.BytesIO()
        Image.fromarray(pixels).save(bytes, "JPEG", quality=85)
        return bytes.getvalue()

    with tifffile.TiffWriter(OUT / "jpeg-grey.tif") as file:
        file.write(encoded(grey, grey_tile), shape=grey.shape, dtype=np.uint8, tile=TILE, photometric="minisblack",
                   compression="jpeg", metadata=None)
    pixels = tifffile.imread(OUT / "jpeg-grey.tif")
    keep("jpeg-grey.tif-0", np.stack([pixels] * 3, -1))
    ome = dict(axes="YXS", PhysicalSizeX=250.0, PhysicalSizeXUnit="nm", PhysicalSizeY=250.0, PhysicalSizeYUnit="nm")
    pyramid("pyramid.ome.tif", image, ome=True, compression="zlib", metadata=ome, **lossless)
    # A macro image before the slide, each of its own scale; and smaller versions below the largest, as libvips writes them.
    with tifffile.TiffWriter(OUT / "series.ome.tif", ome=True) as file:
        macro = ome | dict(PhysicalSizeX=4000.0, PhysicalSizeY=4000.0)
        file.write(image[10:40, 10:90], tile=TILE, photometric="rgb", compression="zlib", metadata=macro)
        file.write(image, tile=TILE, photometric="rgb", compression="zlib", metadata=ome, subifds=1)
        file.write(halved(image), tile=TILE, photometric="rgb", compression="zlib", subfiletype=1, metadata=None)
    with tifffile.TiffWriter(OUT / "below.tif") as file:
        common = dict(tile=TILE, photometric="rgb", compression="zlib", metadata=None, **microns)
        file.write(image, subifds=1, **common)
        file.write(halved(image), subfiletype=1, **common)
    pyramid("aperio-strips.tif", image, levels=1, compression="lzw", tile=None, rowsperstrip=17,
            description="Aperio Image Library v1\r\n160x110|MPP = 0.5", **lossless)

    def rgb_tile(pixels):
        return imagecodecs.jpeg8_encode(pixels, level=85, colorspace="rgb", outcolorspace="rgb")

    with tifffile.TiffWriter(OUT / "jpeg-rgb.tif") as file:
        file.write(encoded(image, rgb_tile), shape=image.shape, dtype=np.uint8, tile=TILE, photometric="rgb",
                   compression="jpeg", metadata=None)
    # Of JPEG that says itself that it is red, green and blue, nothing is converted.
    keep("jpeg-rgb.tif-0", tifffile.imread(OUT / "jpeg-rgb.tif"))
    assert np.abs(tifffile.imread(OUT / "jpeg-rgb.tif").astype(int) - image).mean() < 3
    with tifffile.TiffWriter(OUT / "channels.ome.tif", ome=True) as file:
        file.write(np.stack([grey, grey // 2]), tile=TILE, metadata=dict(axes="CYX"), compression="zlib")
    tifffile.imwrite(OUT / "sixteen-bits.tif", grey.astype(np.uint16) * 256, tile=TILE, metadata=None, compression="zlib")
    tifffile.imwrite(OUT / "zstd.tif", image, tile=TILE, metadata=None, compression="zstd", photometric="rgb")
    aperio("ycc.svs", image)
    regions()


main()
