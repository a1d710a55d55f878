"""The provider "deburr" of Processing, and its setting: where the command deburr is."""

from __future__ import annotations

from pathlib import Path

from processing.core.ProcessingConfig import ProcessingConfig, Setting
from qgis.core import QgsProcessingProvider
from qgis.PyQt.QtGui import QIcon

from .. import child
from .denoise import Denoise
from .denoise_folder import DenoiseFolder
from .info import Info
from .install import Install
from .outliers import Outliers
from .pipeline_file import PipelineFile

_ICON = Path(__file__).parent / "icon.svg"


class Provider(QgsProcessingProvider):
    """The names are those that QGIS calls."""

    def id(self) -> str:
        return "deburr"

    def name(self) -> str:
        return "deburr"

    def longName(self) -> str:
        return "deburr: point clouds without noise"

    def icon(self) -> QIcon:
        return QIcon(str(_ICON))

    def load(self) -> bool:
        """Show the setting among those of Processing."""
        ProcessingConfig.settingIcons[self.name()] = self.icon()
        told = f"Command deburr, or the folder of its environment (empty: {child.VARIABLE}, or the path)"
        ProcessingConfig.addSetting(Setting(self.name(), child.VARIABLE, told, ""))
        ProcessingConfig.readSettings()
        self.refreshAlgorithms()
        return True

    def unload(self) -> None:
        ProcessingConfig.removeSetting(child.VARIABLE)

    def loadAlgorithms(self) -> None:
        for algorithm in (Denoise, DenoiseFolder, Info, Outliers, PipelineFile, Install):
            self.addAlgorithm(algorithm())
