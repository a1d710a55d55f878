"""Denoise point cloud."""

from __future__ import annotations

from .one_filter import OneFilter
from .options import Options


class Denoise(OneFilter):
    """One file in, one file out."""

    OPTIONS = Options(
        "filters.spd",
        ("noise", "max_displacement", "strength", "classes", "where", "dimensions"),
        ("steps", "device", "strips", "normals", "spread", "keep_original"),
    )
    FIGURES, RESULT = ("NOISE", "MOVED_MEDIAN", "MOVED_MAX"), "Denoised"
    NAME, TITLE = "denoise", "Denoise point cloud"
    HELP = (
        "<p>Moves points onto the surface that they were measured on, so that surfaces become thin. The file that is "
        "written has the same points in the same order, with all of their attributes; nothing is removed, and nothing "
        "else changed.</p><p>Which one is wanted? Single points that lie far off, such as birds, are not moved "
        "but flagged or removed: by <i>Flag outliers</i>, or QGIS's own <i>Filter noise</i>, which moves nothing. "
        "Surfaces that are rough from the scanner's own error are for this one. Where both are the matter, flag first: "
        "points of class 7 and 18 and withheld ones are neither used nor moved.</p><p>Lengths are in the units of the "
        "cloud. Clouds in degrees must be reprojected first. Tiles of one area are for <i>Denoise folder of tiles</i>, "
        "which sees across their borders.</p>"
    )
