"""Prints which files QGIS is told to open, as JSON: where it has none of the providers, one, and with OPEN off.

What opens layers is a stand-in: Debian's QGIS has no provider of point clouds.
"""

import json

import pyqgis
from qgis.core import QgsProcessingContext

application, provider = pyqgis.started()

from deburr_qgis.qgis import clouds  # noqa: E402

algorithm = provider.algorithm("denoise").create()


class Registry:
    """Has the providers that are given."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def instance(self) -> "Registry":
        return self

    def providerMetadata(self, name: str) -> object:
        return name if name in self.names else None


def opened(path: str, **given: object) -> list[str]:
    context = QgsProcessingContext()
    clouds.shown(algorithm, given, context, path)
    return [f"{name}: {one.name}" for name, one in context.layersToLoadOnCompletion().items()]


told = {"as it is": opened("/there/a.laz")}
clouds.QgsProviderRegistry = Registry("pdal")
told["pdal"] = [opened(path) for path in ("/there/a b.LAZ", "/there/a.ply", "/there/a.vpc", "")]
told["off"] = opened("/there/a.laz", OPEN=False)
clouds.QgsProviderRegistry = Registry("pdal", "vpc")
told["vpc"] = opened("/there/a.vpc")
print(json.dumps(told))
