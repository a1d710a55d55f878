"""Flag outliers."""

from __future__ import annotations

from typing import Any

from .algorithm import Algorithm
from .clouds import cloud_in, cloud_out, memory_in, report_figures, report_out
from .denoise import cleaned
from .options import Options

OPTIONS = Options("filters.outlier", ("method", "mean_k", "multiplier", "radius", "min_k", "action", "class"))
FIGURES = ("OUTLIERS",)


class Outliers(Algorithm):
    """One file in, one file out."""

    NAME, TITLE = "outliers", "Flag outliers"
    HELP = (
        "<p>Finds single points that lie far from all others, and gives them a class (7, noise), withholds or removes "
        "them. It flags exactly the points that PDAL's filters.outlier and QGIS's own <i>Filter noise</i> do with the "
        "same options, and moves none; surfaces that are rough are for <i>Denoise point cloud</i>.</p><p>statistical: "
        "a point is an outlier if the mean distance to its neighbours is larger than the mean of all plus the "
        "multiplier times their standard deviation. radius: if too few points lie near.</p>"
    )

    def initAlgorithm(self, configuration: Any = None) -> None:
        for one in (cloud_in(), *OPTIONS.parameters(), memory_in("run"), *cloud_out("Flagged"), report_out()):
            self.addParameter(one)
        for one in report_figures(*FIGURES):
            self.addOutput(one)

    def processAlgorithm(self, parameters: dict[str, Any], context: Any, feedback: Any) -> dict[str, Any]:
        return cleaned(self, OPTIONS, FIGURES, parameters, context, feedback)
