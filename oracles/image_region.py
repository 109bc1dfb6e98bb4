"""Goldens for crates/image, group `region`.

Pinned: scikit-image 0.26.0, scipy 1.17.1, numpy 2.4.6.
Run from the repository root: python oracles/image_region.py
Writes crates/image/tests/goldens/region_*.json.

scikit-image's watershed takes marker pixels of equal value in the order of its binary heap, which
follows from no rule. The goldens take them in raster order: they come from the same algorithm with a
stable queue, written out below. The script stops unless scikit-image agrees wherever no two marker
pixels are of equal value, and says in how many of the other cases it does.

ImageJ's Find Maxima is written out from its definition (not its flood): a maximum is a group of equal
pixels in one connected part of the image at or above their height minus the prominence, if nothing in
that part is higher. Its point is one of the group's pixels nearest to their mean.
"""

import heapq
import json
from pathlib import Path

import numpy as np
from scipy import ndimage
from skimage import feature, measure, morphology, segmentation

OUT = Path("crates/image/tests/goldens")
# Small integers are written as one digit of base 36 per pixel.
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def plain(value):
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, np.ndarray):
        small = value.ndim == 2 and value.dtype.kind in "bui" and value.size
        if small and value.min() >= 0 and value.max() < 36:
            return ["".join(DIGITS[int(pixel)] for pixel in row) for row in value]
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return value.item()
    return value


def smooth(rng, shape, sigma):
    field = ndimage.gaussian_filter(rng.random(shape), sigma, mode="nearest")
    low, high = field.min(), field.max()
    return (field - low) / (high - low if high > low else 1.0)


def masks(rng):
    checker = np.indices((7, 9)).sum(axis=0) % 2 == 0
    spiral = np.zeros((11, 13), bool)
    spiral[1, 1:12] = spiral[1:10, 11] = spiral[9, 1:12] = spiral[3:10, 1] = True
    spiral[3, 1:10] = spiral[3:8, 9] = spiral[7, 3:10] = True
    comb = np.zeros((6, 70), bool)
    comb[:5, ::2] = True
    comb[5] = True
    cases = {
        "nothing 1x1": np.zeros((1, 1), bool),
        "one 1x1": np.ones((1, 1), bool),
        "row": rng.random((1, 17)) < 0.6,
        "column": rng.random((19, 1)) < 0.6,
        "empty": np.zeros((5, 7), bool),
        "full": np.ones((9, 8), bool),
        "checkerboard": checker,
        "spiral": spiral,
        "comb": comb,
        "wide": rng.random((3, 200)) < 0.7,
    }
    for share, shape in ((0.2, (17, 23)), (0.5, (40, 31)), (0.6, (37, 25)), (0.8, (21, 40))):
        cases[f"random {share}"] = rng.random(shape) < share
    cases["blobs"] = smooth(rng, (39, 33), 2.0) > 0.5
    cases["blobs 2"] = smooth(rng, (40, 40), 3.0) > 0.4
    return cases


def components(cases, rng):
    golden = []
    for name, mask in cases.items():
        entry = dict(name=name, mask=mask)
        for key, connectivity in (("four", 1), ("eight", 2)):
            labels = measure.label(mask, connectivity=connectivity)
            entry[key] = labels
            entry[f"{key} statistics"] = [
                [region.label, region.area, *region.bbox, *region.centroid]
                for region in measure.regionprops(labels)
            ]
        golden.append(entry)
    several = []
    for shape, values in (((1, 9), 3), ((15, 21), 3), ((23, 18), 5), ((9, 9), 2)):
        labels = rng.integers(0, values, shape)
        several.append(dict(
            labels=labels,
            four=measure.label(labels, connectivity=1, background=0),
            eight=measure.label(labels, connectivity=2, background=0),
        ))
    return golden, several


def properties(rng):
    golden = []
    blobs = measure.label(smooth(rng, (40, 37), 2.0) > 0.55)
    gaps = np.where(rng.random((19, 23)) < 0.5, rng.integers(1, 6, (19, 23)) * 7, 0)
    lines = np.zeros((12, 15), int)
    lines[1, 2:12] = 1
    lines[3:11, 4] = 2
    lines[5, 8] = 3
    lines[range(6, 11), range(8, 13)] = 4
    full = np.full((7, 9), 3)
    yy, xx = np.indices((31, 31))
    disc = ((yy - 15) ** 2 + (xx - 15) ** 2 <= 144).astype(int)
    disc[12:18, 9:14] = 2
    for name, labels in dict(
        blobs=blobs, gaps=gaps, lines=lines, full=full, disc=disc, one=np.ones((1, 1), int)
    ).items():
        plane = rng.integers(0, 256, labels.shape).astype(np.uint8)
        regions = []
        for region in measure.regionprops(labels, intensity_image=plane):
            vertical, horizontal = region.axis_major_length, region.axis_minor_length
            regions.append([
                region.label, region.perimeter, region.eccentricity, region.solidity,
                region.equivalent_diameter_area, vertical, horizontal, region.orientation,
                region.intensity_mean, region.intensity_std, region.intensity_min,
                region.intensity_max,
            ])
        golden.append(dict(name=name, labels=labels, plane=plane, regions=regions))
    return golden


def distance(cases):
    golden = []
    for name, mask in cases.items():
        if mask.all():
            continue
        euclidean = ndimage.distance_transform_edt(mask)
        spaced = ndimage.distance_transform_edt(mask, sampling=(0.5, 1.25))
        golden.append(dict(
            name=name,
            mask=mask,
            squared=np.rint(euclidean**2).astype(int),
            spaced=np.round(spaced, 9) if mask.size < 900 else None,
            blocks=ndimage.distance_transform_cdt(mask, "taxicab"),
            chessboard=ndimage.distance_transform_cdt(mask, "chessboard"),
        ))
    return golden


def stable_watershed(image, markers, mask, connectivity, line):
    height, width = image.shape
    steps = [(-1, 0), (0, -1), (0, 1), (1, 0)]
    if connectivity == 2:
        steps += [(-1, -1), (-1, 1), (1, -1), (1, 1)]
    labels = np.where(mask, markers, 0)
    open_ = mask.copy()
    seeds = np.argwhere(labels)
    queue = [(image[y, x], age, y, x, y, x) for age, (y, x) in enumerate(seeds.tolist())]
    heapq.heapify(queue)
    age = len(queue)

    def around(y, x):
        for dy, dx in steps:
            if 0 <= y + dy < height and 0 <= x + dx < width and open_[y + dy, x + dx]:
                yield y + dy, x + dx

    while queue:
        value, _, y, x, source_y, source_x = heapq.heappop(queue)
        if line:
            if labels[y, x] and (y, x) != (source_y, source_x):
                continue
            label = labels[source_y, source_x]
            own = labels[y, x]
            if not open_[y, x]:
                pass
            elif any(labels[at] not in (0, label) for at in around(y, x)):
                open_[y, x] = False
            else:
                labels[y, x] = label
        for at in around(y, x):
            if labels[at]:
                continue
            age += 1
            if not line:
                labels[at] = labels[y, x]
            heapq.heappush(queue, (max(image[at], value), age, *at, source_y, source_x))
    return labels


def watershed(rng):
    golden = []
    ties = [0, 0]

    def add(name, image, markers, mask=None):
        entry = dict(name=name, image=image, kind=str(image.dtype), markers=markers)
        if mask is not None:
            entry["mask"] = mask
        inside = np.ones(image.shape, bool) if mask is None else mask
        seeds = image[(markers != 0) & inside]
        tied = len(set(seeds.tolist())) < len(seeds)
        for connectivity in (1, 2):
            for line in (False, True):
                stable = stable_watershed(image, markers, inside, connectivity, line)
                peer = segmentation.watershed(
                    image, markers, connectivity=connectivity, mask=mask, watershed_line=line
                )
                same = np.array_equal(stable, peer)
                assert same or tied, (name, connectivity, line)
                if tied:
                    ties[0] += same
                    ties[1] += 1
                entry[f"{('four', 'eight')[connectivity - 1]}{' line' if line else ''}"] = stable
        golden.append(entry)

    def seeds(shape, count):
        markers = np.zeros(shape, int)
        at = rng.choice(markers.size, count, replace=False)
        markers.ravel()[at] = rng.permutation(count) + 1
        return markers

    def distinct(image, markers):
        """Makes the marker pixels' values different."""
        at = np.flatnonzero(markers)
        image.ravel()[at] = rng.permutation(np.arange(len(at)) * 3).astype(image.dtype)
        return image

    for index, shape in enumerate(((9, 13), (25, 31), (33, 20), (1, 15), (17, 1))):
        field = smooth(rng, shape, 1.5)
        markers = seeds(shape, min(7, shape[0] * shape[1] // 3))
        bytes_ = (field * 20).astype(np.uint8)
        add(f"u8 distinct {index}", distinct(bytes_.copy(), markers), markers)
        add(f"u16 distinct {index}", distinct((field * 900).astype(np.uint16), markers), markers)
        mask = rng.random(shape) < 0.8
        add(f"u8 mask {index}", distinct(bytes_.copy(), markers), markers, mask)
        add(f"f32 {index}", field.astype(np.float32), markers)
    blobs = smooth(rng, (37, 40), 2.0) > 0.45
    depth = ndimage.distance_transform_edt(blobs)
    peaks = feature.peak_local_max(depth, min_distance=2, labels=measure.label(blobs))
    markers = np.zeros(blobs.shape, int)
    markers[tuple(peaks.T)] = np.arange(len(peaks)) + 1
    add("blobs", (-depth).astype(np.float32), markers, blobs)
    wide = segmentation.expand_labels(markers, 1.5) * blobs
    add("wide markers", (255 - 20 * depth).clip(0, 255).astype(np.uint8), wide, blobs)
    add("flat", np.full((11, 12), 7, np.uint8), seeds((11, 12), 4))
    add("no markers", np.full((5, 4), 7, np.uint8), np.zeros((5, 4), int))
    add("noise", rng.integers(0, 5, (21, 19)).astype(np.uint8), seeds((21, 19), 9))
    add("one", np.full((1, 1), 7, np.uint8), np.full((1, 1), 3))
    print(f"watershed: scikit-image agrees in {ties[0]} of {ties[1]} cases with tied markers")
    return golden


def find_maxima(image, prominence):
    """For each maximum, the pixels that its point may be."""
    values = image.astype(float)
    maxima = set()
    for y, x in np.argwhere(morphology.local_maxima(image, connectivity=2)):
        height = values[y, x]
        parts = measure.label(values >= height - prominence, connectivity=2)
        part = parts == parts[y, x]
        if values[part].max() > height:
            continue
        group = np.argwhere(part & (values == height))
        gaps = ((group - group.mean(axis=0)) ** 2).sum(axis=1)
        near = group[gaps <= gaps.min() + 1e-9]
        maxima.add(tuple(sorted(map(tuple, near.tolist()))))
    return sorted(maxima)


def maxima(rng):
    golden = []
    images = {
        "flat": np.full((5, 6), 9, np.uint8),
        "one": np.full((1, 1), 9, np.uint8),
        "row": rng.integers(0, 6, (1, 21)).astype(np.uint8),
        "column": rng.integers(0, 6, (21, 1)).astype(np.uint8),
        "coarse": rng.integers(0, 4, (17, 19)).astype(np.uint8),
        "noise": rng.integers(0, 256, (23, 20)).astype(np.uint8),
        "smooth": (smooth(rng, (33, 40), 1.5) * 255).astype(np.uint8),
        "terraces": ((smooth(rng, (31, 33), 2.0) * 12).astype(np.uint8) * 20),
        "u16": (smooth(rng, (25, 27), 1.2) * 40000).astype(np.uint16),
        "f32": smooth(rng, (29, 26), 1.2).astype(np.float32),
        "negative": (smooth(rng, (21, 26), 1.2) - 0.7).astype(np.float32),
    }
    for name, image in images.items():
        span = 40000 if image.dtype == np.uint16 else 1 if image.dtype == np.float32 else 255
        heights = [0.05, 0.3] if span == 1 else [1, 20, 100] if span == 255 else [900, 9000]
        entry = dict(
            name=name,
            kind=str(image.dtype),
            image=image,
            four=morphology.local_maxima(image, connectivity=1),
            eight=morphology.local_maxima(image, connectivity=2),
            heights=[
                [
                    height,
                    morphology.h_maxima(image, height).astype(bool),
                    morphology.h_maxima(
                        image, height, footprint=ndimage.generate_binary_structure(2, 1)
                    ).astype(bool),
                ]
                for height in heights
            ],
            prominences=[[height, find_maxima(image, height)] for height in heights],
            peaks=[],
        )
        for distance, absolute, relative, border, most in (
            (1, None, None, 0, None),
            (1, None, None, 1, None),
            (2, None, 0.4, 0, None),
            (3, None, None, 3, None),
            (5, 0.5 * span, 0.2, 0, None),
            (2, None, None, 0, 3),
        ):
            found = feature.peak_local_max(
                image, distance, absolute, relative, exclude_border=border,
                num_peaks=np.inf if most is None else most,
            )
            entry["peaks"].append([distance, absolute, relative, border, most, found.tolist()])
        golden.append(entry)
    return golden


def skeleton(cases):
    return [
        dict(mask=mask, skeleton=morphology.skeletonize(mask, method="zhang"))
        for mask in cases.values()
    ]


def main():
    rng = np.random.default_rng(3)
    cases = masks(rng)
    single, several = components(cases, rng)
    shapes = dict(cases)
    yy, xx = np.indices((40, 40))
    shapes["ring"] = abs(np.hypot(yy - 19, xx - 20) - 13) < 4
    shapes["bar"] = (abs(yy - xx * 0.4 - 10) < 5) & (xx > 3) & (xx < 36)
    golden = dict(
        components=single,
        several=several,
        properties=properties(rng),
        distance=distance(cases),
        watershed=watershed(rng),
        maxima=maxima(rng),
        skeleton=skeleton(shapes),
    )
    OUT.mkdir(parents=True, exist_ok=True)
    for name, part in golden.items():
        text = json.dumps(plain(part), separators=(",", ":"))
        (OUT / f"region_{name}.json").write_text(text + "\n")
        print(f"{name}: {len(text)} bytes")


main()
