"""Wheels for pip, made in no time and without a network."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile

#: Tells its version, and of anything else that it was asked.
_TOLD = """import sys
def main():
    if sys.argv[1:] != ["--version"]:
        sys.exit(f"asked: {sys.argv[1]}")
    print("deburr, version %s")
"""


def told(folder: Path, version: str) -> str:
    """A wheel that brings a command ``deburr``, which tells of ``version``."""
    wheel, facts = folder / "deburr-1-py3-none-any.whl", "deburr-1.dist-info"
    with ZipFile(wheel, "w") as file:
        file.writestr("told.py", _TOLD % version)
        file.writestr(f"{facts}/METADATA", "Metadata-Version: 2.1\nName: deburr\nVersion: 1\n")
        file.writestr(f"{facts}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{facts}/entry_points.txt", "[console_scripts]\ndeburr = told:main\n")
        file.writestr(f"{facts}/RECORD", "")
    return str(wheel)
