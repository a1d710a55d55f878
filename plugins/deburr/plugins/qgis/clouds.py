"""What goes into the algorithms and comes out of them: clouds, the report and its figures."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingOutputHtml,
    QgsProcessingOutputNumber,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterFile,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterString,
    QgsProcessingUtils,
    QgsProviderRegistry,
)

from .options import READS, WRITES, files, help_of, named

INPUT, OUTPUT, REPORT, MEMORY, OPEN = "INPUT", "OUTPUT", "REPORT", "MEMORY", "OPEN"
HTML = "REPORT_HTML"
#: Outputs, what they are, and the figures of a report that they are.
_FIGURES = {
    "NOISE": ("Standard deviation of the noise, in the cloud's units", "noise"),
    "MOVED_MEDIAN": ("How far half of the points moved at most, in the cloud's units", "displacement_median"),
    "MOVED_MAX": ("How far a point moved at most, in the cloud's units", "displacement_max"),
    "OUTLIERS": ("Number of outliers", "flagged"),
}


def cloud_in(name: str = INPUT, optional: bool = False) -> Any:
    """The parameter of a point cloud to be read."""
    parameter = QgsProcessingParameterFile(name, "Point cloud", optional=optional)
    parameter.setFileFilter(f"Point clouds ({' '.join(f'*.{one}' for one in READS)});;All files (*)")
    return named(parameter, f"File with points: {', '.join(READS)}")


def cloud_out(title: str, optional: bool = False) -> list[Any]:
    """The parameters of a point cloud to be written."""
    output = QgsProcessingParameterFileDestination(OUTPUT, title, files(WRITES), optional=optional)
    output.setCreateByDefault(not optional)
    shown = QgsProcessingParameterBoolean(OPEN, "Open the result in the map", True)
    return [
        named(output, f"File to be written: {', '.join(WRITES)}"),
        named(shown, "Where this QGIS can show point clouds, add the result to the map"),
    ]


def report_out() -> Any:
    """The parameter of the folder of a report."""
    parameter = QgsProcessingParameterFolderDestination(REPORT, "Report", optional=True)
    parameter.setCreateByDefault(True)
    return named(parameter, "Folder for report.html (before and after, in 3-D), section.png and report.json")


def report_folder(algorithm: QgsProcessingAlgorithm, parameters: dict[str, Any], context: Any) -> str:
    """The folder that is wanted, or one of those that QGIS clears away when it ends."""
    folder = algorithm.parameterAsFileOutput(parameters, REPORT, context)
    return str(folder or QgsProcessingUtils.generateTempFilename("report"))


def report_figures(*names: str) -> list[Any]:
    """What is told of a run."""
    return [QgsProcessingOutputHtml(HTML, "Report")] + [
        QgsProcessingOutputNumber(name, _FIGURES[name][0]) for name in names
    ]


def reported(folder: str, *names: str) -> dict[str, Any]:
    """The outputs that `report_figures` announces, as the report in ``folder`` has them."""
    results: dict[str, Any] = {}
    page = Path(folder, "report.html")
    if page.exists():
        results[HTML] = str(page)
    report = json.loads(Path(folder, "report.json").read_text(encoding="utf-8"))
    figures = dict(report.get("totals", {}))
    for stage in report["stages"]:
        figures.update(stage["figures"])
        figures.update({f"displacement_{name}": value for name, value in (stage.get("moved") or {}).items()})
    for name in names:
        if (value := figures.get(_FIGURES[name][1])) is not None:
            results[name] = value
    return results


def memory_in(command: str) -> Any:
    """The parameter of the memory that may be used."""
    parameter = QgsProcessingParameterString(MEMORY, "Memory [bytes, MB, GB]", None, optional=True)
    return named(parameter, help_of(command, "memory"), advanced=True)


def memory(algorithm: QgsProcessingAlgorithm, parameters: dict[str, Any], context: Any) -> list[str]:
    """The words for a command of the memory that may be used, if it is limited."""
    size = algorithm.parameterAsString(parameters, MEMORY, context)
    return ["--memory", size] if size else []


#: The provider of QGIS's that shows files of an extension: not every QGIS has each.
_SHOWN_BY = {".las": "pdal", ".laz": "pdal", ".vpc": "vpc"}


def shown(algorithm: QgsProcessingAlgorithm, parameters: dict[str, Any], context: Any, path: str) -> None:
    """Have QGIS open the file once all is done, if that is wanted and it can."""
    name, extension = os.path.splitext(os.path.basename(path))
    provider = _SHOWN_BY.get(extension.lower())
    if provider is None or not algorithm.parameterAsBool(parameters, OPEN, context):
        return
    if QgsProviderRegistry.instance().providerMetadata(provider) is not None:
        details = QgsProcessingContext.LayerDetails(
            name, context.project(), OUTPUT, QgsProcessingUtils.LayerHint.PointCloud
        )
        context.addLayerToLoadOnCompletion(path, details)
