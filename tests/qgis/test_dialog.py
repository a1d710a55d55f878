"""The dialogs under a display that nobody sees, light and dark; DEBURR_PICTURES keeps them."""

from __future__ import annotations

import os
import shutil
import struct
from pathlib import Path

import matplotlib.image
import pytest
from real_qgis import Qgis

pytestmark = pytest.mark.slow
XVFB = ("xvfb-run", "-a", "-s", "-screen 0 1280x1024x24")


@pytest.mark.skipif(shutil.which("xvfb-run") is None, reason="needs Xvfb")
@pytest.mark.parametrize("style", ["light", "dark"])
def test_the_dialog_opens(qgis: Qgis, tmp_path: Path, style: str) -> None:
    picture = Path(os.environ.get("DEBURR_PICTURES", str(tmp_path))) / f"qgis_{style}.png"
    said = qgis.python("dialog.py", "denoise", style, picture, before=XVFB, QT_QPA_PLATFORM="xcb")
    assert said.strip() == "Denoise point cloud"
    assert struct.unpack(">II", picture.read_bytes()[16:24]) == (1000, 620)
    shades = matplotlib.image.imread(picture)[..., :3].mean(axis=2)
    assert (shades.mean() > 0.5) == (style == "light")
    assert shades.std() > 0.05
