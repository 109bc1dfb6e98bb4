"""How far boxes overlap, for the scripts that compare them. Needs nothing but Python."""


def overlap(one, other):
    """The intersection over union of two boxes: left, top, right, bottom."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    area = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return width * height / (area[0] + area[1] - width * height)
