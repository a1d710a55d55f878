"""What a description of deburr's says that an option takes, as what a dialog can offer. Needs no QGIS."""

from __future__ import annotations

import re


def kind(allowed: str) -> str:
    """``choice`` or ``choices`` of words, ``boolean``, ``whole`` or ``number``, a ``list`` of numbers, or ``text``."""
    if allowed == "true or false":
        return "boolean"
    if allowed.startswith("a list of"):
        return "choices" if "'" in allowed else "list"
    if re.fullmatch(r"'[^']*'((, | or )'[^']*')+", allowed):
        return "choice"
    # 'auto' or a number: what is left out is 'auto'.
    if "whole number" in allowed:
        return "whole"
    return "number" if "number" in allowed else "text"


def choices(allowed: str) -> list[str]:
    """The words there are to choose from."""
    return re.findall(r"'([^']*)'", allowed)


def limits(allowed: str) -> tuple[float | None, float | None]:
    """The least and the largest number, as far as they are told; what must be greater than the least is deburr's to
    say."""
    number = r"(-?\d+(?:\.\d+)?)"
    if found := re.search(f"from {number} to {number}", allowed):
        return float(found[1]), float(found[2])
    low = re.search(f"(?:greater than|of at least) {number}", allowed)
    high = re.search(f"of at most {number}", allowed)
    return (float(low[1]) if low else None), (float(high[1]) if high else None)
