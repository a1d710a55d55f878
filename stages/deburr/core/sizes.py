"""Amounts of bytes, as people write them."""

from __future__ import annotations

import re

_SIZE = re.compile(r"\s*(\d{1,18}(?:\.\d{1,18})?)\s*([kmgt]?)(i?)b?\s*", re.IGNORECASE)


def parse(text: str) -> int | None:
    """The bytes of ``2GB``, ``1500 MB``, ``1.5GiB``, or of a plain number; None for what is no amount."""
    match = _SIZE.fullmatch(text)
    if match is None:
        return None
    step = 1024 if match[3] else 1000
    return int(float(match[1]) * step ** " kmgt".index(match[2].lower() or " "))
