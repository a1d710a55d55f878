"""Open3D for the benchmarks: rays against meshes, and point clouds in formats that deburr does not read."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from typing import Any

from deburr.core.errors import ReadError
from deburr.core.interrupts import whole_import


def open3d() -> Any:
    """Open3D, with the libusb it links to loaded first: a bare machine has none. Raises `ReadError` where it is not."""
    with suppress(ImportError, OSError, TypeError):
        import libusb_package

        ctypes.CDLL(str(libusb_package.get_library_path()), mode=ctypes.RTLD_GLOBAL)
    try:
        return whole_import("open3d")
    except ModuleNotFoundError as error:
        raise ReadError("this benchmark needs Open3D, which is not installed; pip install 'deburr[open3d]'") from error
    except (ImportError, OSError) as error:
        raise ReadError(
            f"this benchmark needs Open3D, which cannot be loaded ({error}); install what it names, "
            "on Debian: apt install libegl1 libgl1 libx11-6"
        ) from error
