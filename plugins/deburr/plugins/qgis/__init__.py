"""The plugin of QGIS: deburr's work as algorithms of Processing.

It is packed by `make qgis-plugin` and runs in the Python of QGIS, where deburr is not: so nothing here imports deburr,
which is run as a command (`child.py`, packed beside this folder), and nothing of deburr imports this.
"""

from __future__ import annotations

from typing import Any


def classFactory(interface: Any) -> Any:
    """What QGIS calls to load the plugin."""
    from .plugin import Plugin

    return Plugin()
