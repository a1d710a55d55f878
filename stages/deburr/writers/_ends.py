"""What writers of formats without a place for everything have in common: what is refused, told, and put on disk."""

from __future__ import annotations

from collections.abc import Iterable

from deburr.core.cloud import PointCloud, located
from deburr.core.errors import WriteError
from deburr.core.files import replacing
from deburr.writers._parts import beside_points


def check_places(cloud: PointCloud, path: str) -> None:
    """Refuse points that lost their coordinates on the way. Raises `WriteError`."""
    if not (cloud.located | ~located(cloud.original)).all():
        raise WriteError(f"{path}: some coordinates are not finite, though they were read so; remove those points")


def left_out(cloud: PointCloud, name: str, own: type, path: str) -> list[str]:
    """Warnings of what the format ``name`` has no place for, dimensions aside; its writer holds all of the sources
    ``own``."""
    found = []
    if cloud.crs is not None:
        found.append(f"{path}: {name} cannot hold the coordinate system; note it elsewhere, or write LAS")
    if beside := beside_points(cloud.source, own):
        found.append(f"{path}: {name} has no place for {beside} of the file that was read, which were left out")
    return found


def put(path: str, blocks: Iterable[bytes]) -> None:
    """Write ``blocks`` to ``path``, which is replaced when all are written."""
    with replacing(path) as temporary, open(temporary, "wb") as stream:
        for block in blocks:
            stream.write(block)
