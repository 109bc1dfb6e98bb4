"""Curves from our event files for TensorBoard."""

import pathlib
import struct


def scalars(folder, name):
    """Minutes since training began, and value, of each entry of a curve. Standard library only."""
    content = (pathlib.Path(folder) / "events.out.tfevents.cleanslide").read_bytes()
    found, start, place = [], None, 0
    while place < len(content):
        (length,) = struct.unpack_from("<Q", content, place)
        event = content[place + 12 : place + 12 + length]
        place += length + 16
        (when,) = struct.unpack_from("<d", event, 1)
        start = when if start is None else start
        at = event.find(name.encode())
        if at >= 0 and event[at - 1] == len(name):
            (value,) = struct.unpack("<f", event[-4:])
            found.append(((when - start) / 60, value))
    return found
