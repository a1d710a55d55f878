"""Opens the dialog of an algorithm and saves what it looks like: dialog.py ALGORITHM light|dark PICTURE."""

import sys

import pyqgis
from qgis.core import QgsApplication
from qgis.PyQt.QtCore import QTimer

application, provider = pyqgis.started(gui=True)

from processing.gui.AlgorithmDialog import AlgorithmDialog  # noqa: E402

name, style, picture = sys.argv[1:]
if style == "dark":
    QgsApplication.setUITheme("Night Mapping")
dialog = AlgorithmDialog(provider.algorithm(name).create())
dialog.resize(1000, 620)
dialog.show()


def save() -> None:
    assert dialog.grab().save(picture)
    print(dialog.windowTitle())
    application.quit()


QTimer.singleShot(1500, save)
application.exec_()
