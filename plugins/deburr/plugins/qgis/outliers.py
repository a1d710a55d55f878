"""Flag outliers."""

from __future__ import annotations

from .one_filter import OneFilter
from .options import Options


class Outliers(OneFilter):
    """One file in, one file out."""

    OPTIONS = Options(
        "filters.outlier", ("method", "mean_k", "multiplier", "radius", "min_k", "chance", "action", "class")
    )
    FIGURES, RESULT = ("OUTLIERS",), "Flagged"
    NAME, TITLE = "outliers", "Flag outliers"
    HELP = (
        "<p>Finds single points that lie far from all others, and gives them a class (7, noise), withholds or removes "
        "them; it moves none. Surfaces that are rough are for <i>Denoise point cloud</i>.</p><p>statistical: "
        "a point is an outlier if the mean distance to its neighbours is larger than the mean of all plus the "
        "multiplier times their standard deviation. radius: if too few points lie near. Both flag exactly the points "
        "that PDAL's filters.outlier and QGIS's own <i>Filter noise</i> do with the same options. energy: if its place "
        "surprises the network as outliers of this cloud do, not good points; or, given a chance, more than such a "
        "share of the good points does.</p>"
    )
