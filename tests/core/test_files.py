"""A file appears under its name only when it is complete."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deburr.core.errors import WriteError
from deburr.core.files import replacing


def test_the_new_file_takes_the_place_of_the_old_through_links(tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("real.txt")
    with replacing(tmp_path / "link.txt") as temporary:
        assert temporary.suffix == ".txt"  # some libraries choose a format by it
        temporary.write_text("new")
        assert (tmp_path / "real.txt").read_text() == "old"
    assert (tmp_path / "real.txt").read_text() == "new"
    assert (tmp_path / "link.txt").is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["link.txt", "real.txt"]


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_a_failure_leaves_the_old_file_alone(tmp_path: Path, error: BaseException) -> None:
    def write() -> None:
        with replacing(tmp_path / "a") as temporary:
            temporary.write_text("half")
            raise error

    (tmp_path / "a").write_text("old")
    with pytest.raises(WriteError if isinstance(error, OSError) else type(error)):
        write()
    assert (tmp_path / "a").read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_nothing_written_is_an_error_too(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="cannot be written"), replacing(tmp_path / "a"):
        pass


def test_a_very_long_name_still_has_a_temporary_one(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 250)
    with replacing(path) as temporary:
        temporary.write_text("x")
    assert path.read_text() == "x"


def test_a_replaced_file_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "cloud.laz"
    path.write_bytes(b"old")
    path.chmod(0o640)
    with replacing(path) as temporary:
        temporary.write_bytes(b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640
