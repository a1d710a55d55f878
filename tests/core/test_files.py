"""A file appears under its name only when it is complete."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deburr.core.errors import WriteError
from deburr.core.files import is_pattern, matching, private, private_folder, replacing


@pytest.mark.parametrize("target", ["real.txt", "nowhere.txt", "../other/private.txt"])
def test_a_link_is_replaced_and_what_it_points_at_is_left_alone(target: str, tmp_path: Path) -> None:
    for folder in ("out", "other"):
        (tmp_path / folder).mkdir()
    (tmp_path / "out" / "real.txt").write_text("old")
    (tmp_path / "other" / "private.txt").write_text("old")
    (tmp_path / "other" / "private.txt").chmod(0o777)
    link = tmp_path / "out" / "link.txt"
    link.symlink_to(target)
    with replacing(link) as temporary:
        assert temporary.suffix == ".txt"  # some libraries choose a format by it
        assert temporary.parent == link.parent
        temporary.write_text("new")
        assert link.is_symlink()
    assert not link.is_symlink()
    assert link.read_text() == "new"
    assert not link.stat().st_mode & 0o111, "what the link pointed at hands nothing on"
    assert (tmp_path / "out" / "real.txt").read_text() == "old"
    assert (tmp_path / "other" / "private.txt").read_text() == "old"
    assert sorted(os.listdir(tmp_path / "out")) == ["link.txt", "real.txt"]


def test_a_folder_behind_a_link_is_where_the_user_wants_it(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to("disk")
    with replacing(tmp_path / "out" / "a.txt") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "disk" / "a.txt").read_text() == "new"
    assert (tmp_path / "out").is_symlink()


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
    (tmp_path / "old").write_text("old")
    for name in ("a", "old"):
        with pytest.raises(WriteError, match="cannot be written"), replacing(tmp_path / name):
            pass
    assert (tmp_path / "old").read_text() == "old"
    assert os.listdir(tmp_path) == ["old"]


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
        assert temporary.stat().st_mode & 0o777 == 0o640, "nor is more open to others meanwhile"
        temporary.write_bytes(b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_folder_for_scratch_is_closed_to_others(tmp_path: Path) -> None:
    private_folder(tmp_path / "new" / "scratch")
    (tmp_path / "open").mkdir(mode=0o777)
    private_folder(tmp_path / "open")
    for name in ("new/scratch", "open"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o700
    with open(tmp_path / "open" / "points", "wb", opener=private) as file:
        file.write(b"x")
    assert (tmp_path / "open" / "points").stat().st_mode & 0o777 == 0o600


def test_scratch_is_not_put_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir(mode=0o755)
    (tmp_path / "scratch").symlink_to("mine")
    with pytest.raises(WriteError, match="scratch is to go there, and it is a link; remove it"):
        private_folder(tmp_path / "scratch")
    assert (tmp_path / "mine").stat().st_mode & 0o777 == 0o755
    (tmp_path / "mine" / "points").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic links"):
        private(tmp_path / "mine" / "points", os.O_WRONLY | os.O_CREAT)
    assert not (tmp_path / "victim").exists()
    (tmp_path / "file").write_text("kept")
    with pytest.raises(WriteError, match="not a folder of yours"):
        private_folder(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "kept"


def test_patterns_name_what_they_match_in_order(tmp_path: Path) -> None:
    for name in ("b.las", "a.las", "c.txt", "[a].las"):
        (tmp_path / name).touch()
    assert matching(str(tmp_path / "*.las")) == [str(tmp_path / name) for name in ("[a].las", "a.las", "b.las")]
    assert not is_pattern(str(tmp_path / "[a].las")), "a file's name"
    assert not is_pattern("a.las")
    assert is_pattern(str(tmp_path / "[ab].las"))


def test_a_pattern_longer_than_any_path_matches_nothing_at_once() -> None:
    """Python's own matching takes minutes for it."""
    assert is_pattern("[" * 70_000)
    assert matching("[" * 70_000) == []
