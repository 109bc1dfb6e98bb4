"""Goldens for crates/data, group `formats_imagej`: regions as the PyPI package roifile writes them.

Pinned: roifile 2026.2.10, numpy.
Run from the repository root: python oracles/formats_imagej.py
Writes crates/data/tests/goldens/formats_imagej.json.

With `check FILE` it prints what roifile reads from a file of ours.
"""

import json
import sys
from pathlib import Path

import numpy as np
from roifile import ROI_OPTIONS, ROI_TYPE, ImagejRoi, roiread

OUT = Path("crates/data/tests/goldens/formats_imagej.json")


def case(name, roi, expected):
    return dict(name=name, bytes=roi.tobytes().hex(), expected=expected)


def main():
    whole = np.array([[3, 4], [13, 4], [13, 20], [3, 9]], np.float32)
    broken = whole + np.array([[0.25, 0.5]], np.float32)
    far = whole + np.array([[40000, 35000]], np.float32)
    rectangle = ImagejRoi(roitype=ROI_TYPE.RECT, left=-3, top=4, right=20, bottom=9, version=228)
    oval = ImagejRoi(
        roitype=ROI_TYPE.OVAL, left=1, top=2, right=11, bottom=22, version=228,
        options=ROI_OPTIONS.SUB_PIXEL_RESOLUTION, xd=1.5, yd=2.25, widthd=10.0, heightd=20.5,
    )
    points = ImagejRoi.frompoints(whole, name="dots")
    points.roitype = ROI_TYPE.POINT
    named = ImagejRoi.frompoints(whole, name="Zelle 有丝", position=5, c=1, z=2, t=3)
    named.roitype = ROI_TYPE.TRACED
    named.group = 7
    named.stroke_color = bytes([255, 10, 20, 30])
    line = ImagejRoi.frompoints(whole)
    line.roitype = ROI_TYPE.POLYLINE
    cases = [
        case("rectangle", rectangle, dict(rectangle=[-3, 4, 20, 9])),
        case("sub-pixel oval", oval, dict(ellipse=[1.5, 2.25, 11.5, 22.75])),
        case("sub-pixel polygon", ImagejRoi.frompoints(broken), dict(polygon=broken.tolist())),
        case("polygon", ImagejRoi.frompoints(whole.astype(np.int32)), dict(polygon=whole.tolist())),
        case("far polygon", ImagejRoi.frompoints(far.astype(np.int32)), dict(polygon=far.tolist())),
        case("points", points, dict(points=points.coordinates().tolist(), sub_pixel=bool(
            points.options & ROI_OPTIONS.SUB_PIXEL_RESOLUTION))),
        case("named", named, dict(
            polygon=named.coordinates().tolist(), name="Zelle 有丝",
            # frompoints counts from 0, files from 1.
            position=named.position, channel=named.c_position, slice=named.z_position,
            frame=named.t_position, group=7, colour=[10, 20, 30],
        )),
        case("line", line, dict(refused=True)),
    ]
    OUT.write_text(json.dumps(cases, separators=(",", ":"), ensure_ascii=False) + "\n")
    print(OUT, OUT.stat().st_size)


def check(path):
    rois = roiread(path)
    for roi in rois if isinstance(rois, list) else [rois]:
        shape = roi.coordinates(multi=True) if roi.composite else roi.coordinates()
        print(roi.roitype.name, repr(roi.name), repr(roi.props), np.asarray(shape, object).tolist())


if len(sys.argv) == 3 and sys.argv[1] == "check":
    check(sys.argv[2])
else:
    main()
