"""Denoise folder of tiles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessingException,
    QgsProcessingOutputFile,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterFile,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterNumber,
)

from .algorithm import Algorithm
from .clouds import OPEN, OUTPUT, memory, memory_in, reported, shown
from .denoise import Denoise
from .options import help_of, named

FOLDER, VPC, WORKERS, INDEPENDENT, VPC_OUT = "FOLDER", "VPC", "WORKERS", "INDEPENDENT", "VPC_OUT"


class DenoiseFolder(Algorithm):
    """Many files in, as many files and a virtual point cloud out."""

    FIGURES = Denoise.FIGURES
    NAME, TITLE = "denoisefolder", "Denoise folder of tiles"
    HELP = (
        "<p>Denoises all point clouds of a folder, or of a virtual point cloud (.vpc), as one cloud: each file is "
        "cleaned together with what lies around it in the others, so that no border shows, and their noise is found in "
        "all of them. Files may be larger than memory.</p><p>Written are as many files with the same names, and a "
        "virtual point cloud of them for QGIS. After a cancel or an error, run it again with the same output folder: "
        "what is done is kept.</p>"
    )

    def initAlgorithm(self, configuration: Any = None) -> None:
        folder = QgsProcessingParameterFile(FOLDER, "Folder of tiles", QgsProcessingParameterFile.Folder, optional=True)
        vpc = QgsProcessingParameterFile(VPC, "or a virtual point cloud", extension="vpc", optional=True)
        apart = QgsProcessingParameterBoolean(INDEPENDENT, "Each file is a cloud of its own", False)
        workers = QgsProcessingParameterNumber(WORKERS, "Workers [processes]", defaultValue=1, minValue=1)
        output = QgsProcessingParameterFolderDestination(OUTPUT, "Denoised tiles")
        opened = QgsProcessingParameterBoolean(OPEN, "Open the result in the map", True)
        self.takes(
            named(folder, "All files with points in this folder are denoised"),
            named(vpc, "All files of this virtual point cloud are denoised"),
            *Denoise.OPTIONS.parameters(),
            named(apart, help_of("batch", "independent"), advanced=True),
            named(workers, help_of("batch", "workers"), advanced=True),
            memory_in("batch"),
            named(output, help_of("batch", "out")),
            named(opened, "Where this QGIS can show point clouds, add the virtual point cloud to the map"),
        )
        self.tells(QgsProcessingOutputFile(VPC_OUT, "Virtual point cloud"))

    def processAlgorithm(self, parameters: dict[str, Any], context: Any, feedback: Any) -> dict[str, Any]:
        given = [name for name in (FOLDER, VPC) if self.parameterAsFile(parameters, name, context)]
        if len(given) != 1:
            raise QgsProcessingException("Give a folder of tiles or a virtual point cloud: one of the two")
        source = self.parameterAsFile(parameters, given[0], context)
        target = self.parameterAsFileOutput(parameters, OUTPUT, context)
        words = ["batch", "--out", target, "--vpc"]
        words += ["--workers", str(self.parameterAsInt(parameters, WORKERS, context))]
        if self.parameterAsBool(parameters, INDEPENDENT, context):
            words.append("--independent")
        spec = [Denoise.OPTIONS.stage(self, parameters, context)]
        if not self.asked([*words, *memory(self, parameters, context), json.dumps(spec), source], feedback):
            return {}
        vpc = str(Path(target) / f"{Path(target).resolve().name}.vpc")
        shown(self, parameters, context, vpc)
        return {OUTPUT: target, VPC_OUT: vpc, **reported(target, *self.FIGURES)}
