"""What a format keeps of a cloud, as its writer says it and tests hold it to: the rows of docs/reference/formats.md."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kept:
    """Each field is what a file of the format holds; ``same``: how a file comes out that was read in it, and did not
    move.

    ``exact``: coordinates come back to the last bit; ``order``, ``attributes`` and ``crs``: these come back, all of
    them."""

    same: str
    coordinates: str
    metadata: str
    scans: str
    images: str = "no"
    exact: bool = False
    order: bool = True
    attributes: bool = True
    crs: bool = False


def table(rows: dict[str, Kept]) -> str:
    """A table in Markdown of what the formats keep, by their names."""
    head = "| format | nothing moved | coordinates | order | attributes | CRS | metadata | several scans | images |"
    lines = [head, "| --- " * 9 + "|"]
    for name, kept in rows.items():
        order, attributes, crs = ("yes" if one else "no" for one in (kept.order, kept.attributes, kept.crs))
        cells = (name, kept.same, kept.coordinates, order, attributes, crs, kept.metadata, kept.scans, kept.images)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
