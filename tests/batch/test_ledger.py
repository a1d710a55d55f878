"""The ledger: what was added is there whatever happens next; nothing torn is believed; one writer at a time."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deburr.batch.ledger import Ledger, identity, key_of, output_is
from deburr.batch.work import still_there
from deburr.core.errors import ReadError, RunError, WriteError

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.jsonl"


def _filled(path: Path, count: int = 3) -> list[dict[str, Any]]:
    records = [{"number": number, "name": "Übergröße\n€"} for number in range(count)]
    with Ledger(path) as ledger:
        for number, record in enumerate(records):
            ledger.add(f"key{number}", "tile", record)
    return records


def test_what_was_added_is_found_again_at_once_and_later(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.add("k", "tile", {"points": 3, "box": (1.5, 2)})
        ledger.add("k", "output", {"size": 7})
        ledger.add("k", "tile", {"points": 4, "box": (1.5, 2)})
        assert ledger.get("tile", "k") == {"points": 4, "box": [1.5, 2]}
    for again in (Ledger(path), Ledger(path).__enter__()):
        assert again.get("tile", "k") == {"points": 4, "box": [1.5, 2]}
        assert again.get("output", "k") == {"size": 7}
        assert again.get("tile", "other") is None
        again.__exit__(None, None, None)


def test_looking_leaves_no_trace(path: Path) -> None:
    assert Ledger(path).get("tile", "k") is None
    assert not list(path.parent.iterdir())


def test_a_second_run_goes_on_after_the_first(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.add("a", "tile", {})
    before = path.read_bytes()
    with Ledger(path) as ledger:
        ledger.add("b", "tile", {})
    assert path.read_bytes().startswith(before)
    assert [Ledger(path).get("tile", key) for key in "ab"] == [{}, {}]


def test_wherever_the_last_line_is_torn_the_others_count_and_the_next_is_whole(path: Path) -> None:
    records = _filled(path)
    whole = path.read_bytes()
    last = whole[:-1].rindex(b"\n") + 1
    for end in range(last, len(whole)):
        path.write_bytes(whole[:end])
        assert [Ledger(path).get("tile", f"key{number}") for number in range(3)] == [*records[:2], None]
        with Ledger(path) as ledger:
            ledger.add("new", "tile", {"end": end})
        assert path.read_bytes()[:last] == whole[:last]
        assert Ledger(path).get("tile", "new") == {"end": end}


def test_a_ledger_torn_in_its_first_line_begins_anew(path: Path) -> None:
    _filled(path, 0)
    header = path.read_bytes()
    for end in range(len(header)):
        path.write_bytes(header[:end])
        _filled(path, 1)
        assert Ledger(path).get("tile", "key0") is not None


def test_a_last_line_of_nothing_but_zeros_is_torn(path: Path) -> None:
    """What some file systems leave after a power cut."""
    records = _filled(path)
    with open(path, "ab") as file:
        file.write(b"\0" * 80)
    with Ledger(path) as ledger:
        assert ledger.get("tile", "key2") == records[2]
    assert b"\0" not in path.read_bytes()


@pytest.mark.parametrize("content", [b"x,y,z\n1,2,3\n", b'{"pipeline": []}', b"\x89PNG\n", b"[1]\n", b"\n"])
def test_a_file_that_is_no_ledger_is_refused_and_kept(content: bytes, path: Path) -> None:
    path.write_bytes(content)
    with pytest.raises(RunError, match=r"ledger\.jsonl: is no ledger of deburr; move it away"):
        Ledger(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("line", ["", "{", "[]", '{"kind": "tile"}', '{"kind": 1, "key": "k", "record": {}}'])
def test_a_damaged_line_in_the_middle_is_refused_by_its_number(line: str, path: Path) -> None:
    _filled(path)
    lines = path.read_text().split("\n")
    lines[2] = line
    path.write_text("\n".join(lines))
    with pytest.raises(RunError, match=r"ledger\.jsonl: line 3 is damaged; remove the file"):
        Ledger(path)


def test_each_line_is_on_the_disk_when_add_returns(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        real(descriptor)
        synced.append(os.fstat(descriptor).st_ino)

    with Ledger(path) as ledger:
        monkeypatch.setattr(os, "fsync", fsync)
        ledger.add("a", "tile", {})
        assert synced == [path.stat().st_ino]
    synced.clear()
    path.unlink()
    with Ledger(path):
        assert synced == [path.stat().st_ino, path.parent.stat().st_ino], "a new file's folder, too"


def test_a_full_disk_is_told_and_hurts_no_line(path: Path) -> None:
    resource = pytest.importorskip("resource")
    records = _filled(path)
    whole = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Ledger(path) as ledger:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 10, hard))
        try:
            with pytest.raises(WriteError, match=r"ledger\.jsonl: cannot be written .*; free space"):
                ledger.add("long", "tile", {"text": "x" * 100})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert ledger.get("tile", "long") is None
        assert Ledger(path).get("tile", "key2") == records[2]
        ledger.add("b", "tile", {})
    again = Ledger(path)
    assert [again.get("tile", key) for key in ("key2", "long", "b")] == [records[2], None, {}]


def test_only_one_run_at_a_time_writes(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.add("a", "tile", {})
        with pytest.raises(RunError, match=f"{path.parent}: another run is writing to this folder"), Ledger(path):
            pass
        assert Ledger(path).get("tile", "a") == {}, "to look is allowed"
        ledger.add("b", "tile", {})
    assert os.listdir(path.parent) == [path.name]
    with Ledger(path) as ledger:
        assert ledger.get("tile", "b") == {}


def test_what_another_run_wrote_before_the_lock_is_seen(path: Path) -> None:
    early = Ledger(path)
    _filled(path)
    with early:
        assert early.get("tile", "key1") is not None
        early.add("mine", "tile", {})
    assert Ledger(path).get("tile", "key2") is not None


def test_a_run_that_is_killed_leaves_what_it_was_sure_of_and_no_lock(path: Path) -> None:
    code = """
import sys
from deburr.batch.ledger import Ledger
with Ledger(sys.argv[1]) as ledger:
    for number in range(100_000):
        ledger.add(str(number), "tile", {"number": number, "fill": "x" * 5000})
        print(number, flush=True)
"""
    for wanted in (1, 5, 17):
        path.unlink(missing_ok=True)
        with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(wanted):
                process.stdout.readline()
            process.kill()
            sure = wanted + len(process.stdout.read().splitlines())
        with Ledger(path) as ledger:
            assert all(ledger.get("tile", str(number)) for number in range(sure))
            ledger.add("next", "tile", {})
        assert all(json.loads(line) for line in path.read_text().splitlines())


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="cannot be written"), Ledger(tmp_path / "none" / "ledger.jsonl"):
        pass
    with pytest.raises(ReadError, match="cannot be read"):
        Ledger(tmp_path)


def test_a_system_without_locks_is_warned_of(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def flock(descriptor: int, flags: int) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", flock)
    assert _filled(path)
    assert "cannot be locked" in caplog.text


# Keys


def test_a_key_is_the_digest_of_the_canonical_text() -> None:
    text = '["a",{"b":[1,null,0.5],"c":true}]'
    assert key_of("a", {"c": True, "b": (1, None, 0.5)}) == hashlib.sha256(text.encode()).hexdigest()


@given(_JSON, _JSON)
def test_keys_are_equal_where_values_are(one: Any, other: Any) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (key_of(one) == key_of(other)) == same
    assert key_of(json.loads(json.dumps(one))) == key_of(one)
    assert key_of(one, other) != key_of([one, other])


# Files


def test_a_file_is_known_by_place_size_and_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.las"
    file.write_bytes(b"12345")
    os.utime(file, ns=(0, 1_234_567_891))
    monkeypatch.chdir(tmp_path)
    assert identity("a.las") == {"path": str(file.resolve()), "size": 5, "mtime_ns": 1_234_567_891}
    (tmp_path / "link.las").symlink_to(file)
    assert identity("link.las") == identity(file)
    for wrong in ("none.las", tmp_path):
        with pytest.raises(ReadError, match=r"check the path|is no file"):
            identity(wrong)


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _link_to_a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
@pytest.mark.parametrize("make", [_pipe, _link_to_a_device, Path.mkdir])
def test_what_a_ledger_names_is_read_from_files_alone(make: Callable[[Path], None], tmp_path: Path) -> None:
    """It may name anything, and a device without end would fill the memory."""
    make(tmp_path / "sums.json")
    make(tmp_path / "shape.json")
    assert not still_there({"sums": str(tmp_path / "sums.json")})
    assert not still_there({"pieces": {"0": str(tmp_path)}})
    assert not still_there({"sums": "/dev/zero"})
    for name in ("sums", "shape"):
        (tmp_path / f"{name}.json").rename(tmp_path / f"{name}.old")
    (tmp_path / "sums.json").write_text("{}")
    (tmp_path / "shape.json").write_text('{"count": 0, "ends": null, "kinds": {}, "taken": []}')
    assert still_there({"sums": str(tmp_path / "sums.json"), "pieces": {"0": str(tmp_path)}})


def test_an_output_is_still_there_only_if_nothing_touched_it(tmp_path: Path) -> None:
    file = tmp_path / "a.las"
    file.write_bytes(b"12345")
    record = identity(file)
    assert output_is(file, record)
    assert not output_is(tmp_path / "b.las", record)
    assert not output_is(file, {})
    os.utime(file, ns=(0, record["mtime_ns"] + 1))
    assert not output_is(file, record)
    file.write_bytes(b"123456")
    os.utime(file, ns=(0, record["mtime_ns"]))
    assert not output_is(file, record)
    file.unlink()
    file.mkdir()
    assert not output_is(file, record)
