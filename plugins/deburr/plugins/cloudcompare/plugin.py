"""What CloudCompare holds of the plugin: the actions in its menu."""

from __future__ import annotations

import pycc

from . import settings
from .denoise import denoise


class Deburr(pycc.PythonPluginInterface):
    """The names are those that CloudCompare calls."""

    def __init__(self) -> None:
        pycc.PythonPluginInterface.__init__(self)

    def getActions(self) -> list[pycc.Action]:
        return [pycc.Action("Denoise selected clouds", denoise), pycc.Action("Where the settings are", tell_settings)]


def tell_settings() -> None:
    """Make a file of settings where there is none, and say where it is."""
    file = settings.path()
    try:
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(settings.LEFT, encoding="utf-8")
    except OSError as error:
        pycc.ccLog.Error(f"deburr: {file}: the settings cannot be written ({error.strerror})")
        return
    pycc.ccLog.Print(f"deburr: the settings are in {file}; change them in any editor, they count from the next run on")
