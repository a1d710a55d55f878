"""For the scripts beside this: PyQGIS with Processing and the plugin, as QGIS starts them."""

import sys
from typing import Any

sys.path.append("/usr/share/qgis/python/plugins")

from processing.core.Processing import Processing
from qgis.core import QgsApplication


def started(gui: bool = False) -> tuple[Any, Any]:
    """The application, which must be kept, and the provider."""
    application = QgsApplication([], gui)
    application.initQgis()
    Processing.initialize()
    from deburr_qgis import classFactory

    plugin = classFactory(None)
    plugin.initProcessing()
    application.plugin = plugin
    return application, QgsApplication.processingRegistry().providerById("deburr")
