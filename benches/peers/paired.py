"""Ratios of paired runs, as lines for results/*.json.

Ours and the peer alternate. The value is the median of the ratios ours / peer of runs that followed
each other. The interval is that of the sign test: the smallest and the largest of n ratios enclose
the median with confidence 1 - 2 / 2^n, at least 95 % from six pairs on; for fewer there is none.
"""

import json
import statistics
from pathlib import Path


def claim(what, unit, ours, peer, command):
    """One line: `unit` is "time ratio" or "memory ratio"; `ours` and `peer` are paired."""
    ratios = [a / b for a, b in zip(ours, peer, strict=True)]
    enough = len(ratios) >= 6
    return {
        "claim": what,
        "value": statistics.median(ratios),
        "low": min(ratios) if enough else None,
        "high": max(ratios) if enough else None,
        "unit": unit,
        "n": len(ratios),
        "command": command,
    }


def show(line):
    """The ratio with its interval, or with the spread of the few pairs there are."""
    if line["low"] is None:
        return f"{line['value']:.3f} (no interval: {line['n']} pairs)"
    return f"{line['value']:.3f} [{line['low']:.3f}, {line['high']:.3f}]"


def write(path, claims):
    if path:
        Path(path).write_text(json.dumps(claims, indent=1) + "\n")
