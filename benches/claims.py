"""Estimates as they are shown in pages and kept for machines, for the scripts that write results/. Needs nothing but Python."""


def shown(estimate, sign=""):
    """An estimate with its interval; nothing of none."""
    if estimate is None:
        return ""
    value, low, high = (estimate[key] for key in ("value", "low", "high"))
    return f"{value:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"


def share(text, estimate, count, command):
    """What a command found of a share, of so many images or labels."""
    interval = {key: estimate[key] for key in ("value", "low", "high")}
    return {"claim": text, **interval, "unit": "share", "n": count, "command": command}
