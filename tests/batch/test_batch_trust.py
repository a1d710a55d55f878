"""Batches of inputs that cannot be trusted: unreadable, replaced meanwhile, edited with their times kept; and ledgers
that no run has written. In this process, with filters that are quick."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result

from deburr.batch import work
from deburr.batch.ledger import Ledger, key_of
from deburr.core.arrays import Floats
from deburr.readers.las import LasReader
from deburr.scratch.results import put_together
from deburr.writers.las import LasWriter

Cli = Callable[..., Result]
#: Its figures do not depend on the other files; and one whose figures do.
NEAR = [{"type": "filters.outlier", "method": "radius", "radius": 0.6, "min_k": 3}]
WHOLE = [{"type": "filters.noise", "sigma": 0.01, "seed": 5}, {"type": "filters.outlier", "multiplier": 1.0}]
NAMES = ("t0.las", "t1.las", "t2.las", "t3.las")


def strip(number: float, count: int = 400) -> Floats:
    """(count, 3): one of several strips of 5 m beside each other along x."""
    random = np.random.default_rng(int(number))
    plan = random.uniform(0, 5, (count, 2)) + np.array([5 * number, 0.0])
    return np.column_stack((plan, 0.1 * np.sin(plan[:, 0]) + random.normal(0, 0.02, count)))


def write(path: Path, xyz: Floats) -> None:
    from deburr.core.cloud import PointCloud

    lattice = {f"scale_{a}": 0.001 for a in "xyz"} | {f"offset_{a}": 0.0 for a in "xyz"}
    path.parent.mkdir(exist_ok=True)
    cloud = PointCloud(xyz, {"Classification": np.full(len(xyz), 2, np.uint8)})
    LasWriter.model_validate({"filename": str(path), **lattice}).write(cloud)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with four strips in ``in/`` and two specs; pictures are not drawn."""
    for name in ("batch.map.draw", "show.noise_map.leave"):
        monkeypatch.setattr(f"deburr.{name}", lambda *given: _drawn(given))
    for number, name in enumerate(NAMES):
        write(tmp_path / "in" / name, strip(number))
    (tmp_path / "near.json").write_text(json.dumps(NEAR))
    (tmp_path / "whole.json").write_text(json.dumps(WHOLE))
    return tmp_path


def _drawn(given: tuple[Any, ...]) -> None:
    for one in given:
        if isinstance(one, Path) and one.suffix == ".png":
            one.write_bytes(b"x")


def results(folder: Path) -> dict[str, bytes]:
    """The bytes of LAS files, without the day in their headers."""
    found = {path.name: path.read_bytes() for path in sorted(folder.glob("*.las"))}
    return {name: content[:90] + content[94:] for name, content in found.items()}


def report(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return found


def edited(path: Path, at: int, bits: int = 1) -> None:
    """Turn bits of a file, as ``rsync -t`` would bring a new version: size and time of change stay."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[at] ^= bits
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def class_of(path: Path, row: int) -> int:
    """Where the class of a point stands in a file, bytes from the beginning."""
    cloud = LasReader.model_validate({"filename": str(path)}).read()
    source: Any = cloud.source
    records = source.records.dtype
    name = "classification" if "classification" in records.names else "raw_classification"
    return int(source.header.offset_to_point_data + row * records.itemsize + records.fields[name][1])


# -- unreadable --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", ["near.json", "whole.json"])
@pytest.mark.parametrize("more", [(), ("--tile", "3")], ids=["files", "tiles"])
@pytest.mark.parametrize("bad", ["t1.las", "t0.las", "t3.las"])
def test_a_file_that_is_cut_off_costs_itself_alone(
    spec: str, more: tuple[str, ...], bad: str, place: Path, cli: Cli
) -> None:
    good = (place / "in" / bad).read_bytes()
    (place / "in" / bad).unlink()
    assert cli("batch", spec, "in", "--out", "without", *more).exit_code == 0
    (place / "in" / bad).write_bytes(good[: len(good) // 2])
    for run in range(2):
        done = cli("batch", spec, "in", "--out", "out", *more)
        assert done.exit_code == 1
        assert results(place / "out") == results(place / "without"), "as if nothing lay there"
        assert done.stdout.split() == [f"out/{name}" for name in NAMES if name != bad]
        found = report(place / "out")
        assert [one["id"] for one in found["failed"]] == [f"in/{bad}"]
        assert found["failed"][0]["error"].startswith(f"readers.las: in/{bad}: promises 400 points and holds")
        assert "\n1 failed:\n" in done.stderr
        assert (found["totals"]["files"], found["totals"]["files_failed"], found["totals"]["points"]) == (4, 1, 1200)
        (warning,) = found["warnings"]
        assert warning.startswith(f"in/{bad}: could not be read, and ")
        assert "beside it were cleaned as if nothing lay there" in warning
        assert f"warning: {warning}" in done.stderr
        assert (found["tasks_done"] == 0) == bool(run), "what was done stays"
    (place / "in" / bad).write_bytes(good)
    assert cli("batch", spec, "in", "--out", "out", *more).exit_code == 0
    assert cli("batch", spec, "in", "--out", "fresh", *more).exit_code == 0
    assert results(place / "out") == results(place / "fresh")
    assert report(place / "out")["warnings"] == []


def test_where_space_is_short_too(place: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are then unpacked when a tile first asks for them."""
    monkeypatch.setattr("deburr.batch.run.is_short", lambda *given: True)
    content = (place / "in" / "t2.las").read_bytes()
    (place / "in" / "t2.las").unlink()
    assert cli("batch", "whole.json", "in", "--out", "without").exit_code == 0
    (place / "in" / "t2.las").write_bytes(content[:-100])
    assert cli("batch", "whole.json", "in", "--out", "out").exit_code == 1
    assert results(place / "out") == results(place / "without")
    assert [one["id"] for one in report(place / "out")["failed"]] == ["in/t2.las"]


def test_a_name_that_is_no_text_costs_itself_alone(place: Path, cli: Cli) -> None:
    name = os.fsdecode(b"t\xff.las")
    shutil.copy(place / "in" / "t0.las", place / "in" / name)
    done = cli("batch", "near.json", "in", "--out", "out", "--vpc")
    assert done.exit_code == 1, done.stderr
    assert r"in/t\xff.las: its name is not UTF-8 text, which reports and lists are made of; rename it" in done.stderr
    assert set(results(place / "out")) == set(NAMES)
    assert report(place / "out")["failed"][0]["id"] == r"in/t\xff.las"


def test_warnings_of_writers_and_readers_are_told_as_by_run(
    place: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lattice of a file that spans all of its integers has no room for points that move outwards."""
    xyz = strip(0)
    xyz[:40, 0] = [-1.0, 6.0] * 20
    path = place / "full.las"
    from deburr.core.cloud import PointCloud

    lattice = {"scale_x": 7 / (2**32 - 2), "offset_x": 2.5, "scale_y": 0.001, "offset_y": 0.0}
    lattice |= {"scale_z": 0.001, "offset_z": 0.0}
    LasWriter.model_validate({"filename": str(path), **lattice}).write(PointCloud(xyz))
    (place / "noise.json").write_text(json.dumps([{"type": "filters.noise", "sigma": 0.05, "seed": 1}]))
    parts = LasReader.parts

    def warning(self: LasReader, size: int) -> Any:
        for part in parts(self, size):
            yield part.note("readers.las", {}, "the file is odd")

    monkeypatch.setattr(LasReader, "parts", warning)
    done = cli("batch", "noise.json", "full.las", "--out", "out")
    assert done.exit_code == 0
    said = report(place / "out")["warnings"]
    assert said[0] == "the file is odd"
    assert len(said) == 2
    assert said[1].startswith("X from ")
    assert "does not fit scale" in said[1]
    assert all(f"warning: {one}\n" in done.stderr for one in said)
    again = cli("batch", "noise.json", "full.las", "--out", "out")
    assert all(f"warning: {one}\n" in again.stderr for one in said), "nor are they forgotten"


# -- changed -----------------------------------------------------------------------------------------------------------


def test_an_input_that_is_replaced_meanwhile_gives_no_output(
    place: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its points were read before, its classes would be read after."""
    path = place / "in" / "t1.las"
    expected = cli("batch", "near.json", "in", "--out", "expected")
    assert expected.exit_code == 0
    once = [path]

    def replaced(reader: Any, *given: Any) -> Any:
        if once and reader.filename == "in/t1.las":
            edited(once.pop(), class_of(path, 7), 4)
        return put_together(reader, *given)

    monkeypatch.setattr(work, "put_together", replaced)
    done = cli("batch", "near.json", "in", "--out", "out")
    assert not once
    assert done.exit_code == 1
    assert "in/t1.las: was changed while it was worked on; run again when nothing writes to it" in done.stderr
    assert set(results(place / "out")) == set(NAMES) - {"t1.las"}
    assert sorted(path.name for path in (place / "out").iterdir() if path.name.startswith(".")) == [".deburr"]
    assert cli("batch", "near.json", "in", "--out", "out").exit_code == 0
    assert cli("batch", "near.json", "in", "--out", "fresh").exit_code == 0
    assert results(place / "out") == results(place / "fresh")


def test_a_large_file_that_is_replaced_meanwhile_gives_no_output(
    place: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = place / "a.las"
    write(path, strip(0, 60_000))

    def replaced(*given: Any) -> Any:
        new = place / "new.las"
        shutil.copy2(path, new)
        edited(new, class_of(path, 7), 4)
        new.rename(path)
        return put_together(*given)

    monkeypatch.setattr("deburr.batch.one_file.too_large", lambda *given: True)
    monkeypatch.setattr(work, "put_together", replaced)
    before = {one.name for one in place.iterdir()}
    done = cli("run", "near.json", "--input", "a.las", "--output", "out.las", "--memory", "1GB")
    assert done.exit_code == 1
    assert "a.las: was changed while it was worked on" in done.stderr
    assert {one.name for one in place.iterdir()} == before


def again(place: Path, cli: Cli, *more: str, code: int = 0) -> set[str]:
    """Run the batch once more; the tiles that were cleaned and the files that were written in it."""
    ledger = place / "out" / "ledger.jsonl"
    before = len(ledger.read_bytes().splitlines()) if ledger.exists() else 1  # the head
    done = cli("batch", "near.json", "in", "--out", "out", *more)
    assert done.exit_code == code, done.stderr
    entries = [json.loads(line) for line in ledger.read_bytes().splitlines()[before:]]
    return {one["record"]["id"] for one in entries if one["kind"] in ("clean", "write")}


def test_edits_that_keep_size_and_time_are_seen_and_a_touch_changes_nothing(place: Path, cli: Cli) -> None:
    assert again(place, cli) == set(NAMES)
    expected = results(place / "out")
    edited(place / "out" / "t2.las", 60)
    assert again(place, cli) == {"t2.las"}
    assert results(place / "out") == expected
    os.utime(place / "in" / "t0.las")
    os.utime(place / "out" / "t3.las")
    assert again(place, cli) == set()
    edited(place / "in" / "t0.las", class_of(place / "in" / "t0.las", 3), 4)
    assert again(place, cli) == {"t0.las", "t1.las"}, "its neighbour sees it, the others do not"
    assert results(place / "out") != expected
    edited(place / "in" / "t0.las", class_of(place / "in" / "t0.las", 3), 4)
    assert again(place, cli) == {"t0.las", "t1.las"}
    assert results(place / "out") == expected


@pytest.mark.parametrize("more", [(), ("--tile", "3")], ids=["files", "tiles"])
@pytest.mark.parametrize("name", ["a.las", "z.las"])
def test_which_files_are_done_again_does_not_hang_on_their_order(
    name: str, more: tuple[str, ...], place: Path, cli: Cli
) -> None:
    path = place / "in" / name
    path.write_bytes(b"LASF and rubbish")
    first = again(place, cli, *more, code=1)
    assert {one[:2] for one in first if one[:1] == "t"} == {"t0", "t1", "t2", "t3"}
    path.unlink()
    assert again(place, cli, *more) == set()
    write(path, strip(900))
    assert {one.removeprefix("write-")[0] for one in again(place, cli, *more)} == {name[0]}, "far away"
    path.unlink()
    assert again(place, cli, *more) == set()
    write(path, strip(4))
    new = {one.removeprefix("write-")[:2] for one in again(place, cli, *more)}
    assert new == {name[:1] + ".", "t3"} or new == {name[:1] + "-", name[:1] + ".", "t3"}, "beside the last"
    assert cli("batch", "near.json", "in", "--out", "fresh", *more).exit_code == 0
    assert results(place / "out") == results(place / "fresh")


# -- ledgers -----------------------------------------------------------------------------------------------------------

NASTY = [None, True, -1, 0, 10**30, 1e308, "", "x", "\0", [], [[]], {}, {"a": 1}, "../../etc/passwd", [None] * 3]


def test_records_that_no_run_has_written_are_not_believed(place: Path, cli: Cli) -> None:
    """Every value of every record in turn, by nasty ones: what they speak of is done again, and told."""
    assert cli("batch", "whole.json", "in", "--out", "out", "--tile", "3").exit_code == 0
    expected, ledger = results(place / "out"), place / "out" / "ledger.jsonl"
    head, *rest = ledger.read_text().splitlines()
    entries = [json.loads(line) for line in rest]
    for number, nasty in enumerate(NASTY):
        spoilt = []
        for place_, entry in enumerate(entries):
            names = sorted(entry["record"])
            name = names[(number + place_) % len(names)]
            record = {**entry["record"], name: nasty}
            signed = key_of(entry["kind"], entry["key"], record)[:16] if number % 2 else entry["sum"]
            spoilt.append(json.dumps({**entry, "record": record, "sum": signed}))
        ledger.write_text("\n".join([head, *spoilt]) + "\n")
        done = cli("batch", "whole.json", "in", "--out", "out", "--tile", "3", "--quiet")
        assert done.exit_code == 0, (nasty, done.stderr)
        assert results(place / "out") == expected, nasty


def test_a_record_that_is_not_sound_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "ledger.jsonl"
    with Ledger(path) as ledger:
        ledger.add("a", "failed", {"error": "it was damaged"})
        ledger.add("b", "failed", {"error": None})
        ledger.add("c", "failed", {"error": 7})
    text = path.read_text()
    path.write_text(text.replace("it was damaged", "it was  mended"))
    with Ledger(path) as ledger:
        assert [ledger.get("failed", key) for key in "abc"] == [None, {"error": None}, None]
        ledger.add("a", "failed", {"error": "new"})
    assert f"{path}: 2 lines are not as a run wrote them; what they tell of is done again" in caplog.text
    assert Ledger(path).get("failed", "a") == {"error": "new"}


@pytest.mark.parametrize("name", ["ledger.jsonl", ".ledger.jsonl.lock"])
@pytest.mark.parametrize("kind", ["pipe", "link", "dangling"])
def test_a_pipe_or_a_link_in_the_place_of_the_ledger(name: str, kind: str, place: Path, cli: Cli) -> None:
    (place / "out").mkdir()
    (place / "victim").write_text("")
    if kind == "pipe":
        os.mkfifo(place / "out" / name)
    else:
        (place / "out" / name).symlink_to(place / ("victim" if kind == "link" else "nowhere"))
    done = cli("batch", "near.json", "in", "--out", "out")
    assert done.exit_code == 1
    assert "ledger.jsonl: cannot be" in done.stderr
    assert (place / "victim").read_text() == ""
    assert not (place / "nowhere").exists()


def test_links_that_are_planted_in_the_output_folder(place: Path, cli: Cli) -> None:
    (place / "out").mkdir()
    (place / "victim").write_text("kept")
    planted = ["t0.las", "report.json", "report.html", "tiles.csv", "tiles.png", "out.vpc"]
    for name in planted:
        (place / "out" / name).symlink_to(place / "victim")
    assert cli("batch", "near.json", "in", "--out", "out", "--vpc").exit_code == 0
    assert (place / "victim").read_text() == "kept"
    assert not any((place / "out" / name).is_symlink() for name in planted)
    (place / "mine").mkdir()
    (place / "out" / ".deburr").symlink_to(place / "mine")
    done = cli("batch", "near.json", "in", "--out", "out")
    assert done.exit_code == 1
    assert ".deburr: scratch is to go there, and it is a link; remove it" in done.stderr
    assert list((place / "mine").iterdir()) == []


def test_scratch_is_for_its_owner_alone(place: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, int] = {}

    def look(*given: Any) -> None:
        for path in (place / "out" / ".deburr", *(place / "out" / ".deburr").rglob("*")):
            seen[path.name] = path.stat().st_mode & 0o777
            assert seen[path.name] == (0o700 if path.is_dir() else 0o600), path

    monkeypatch.setattr("deburr.cli.batch_view.BatchView.done", look)
    assert cli("batch", "whole.json", "in", "--out", "out", "--tile", "3").exit_code == 0
    assert {"points", "head.json", "index.npz", "xyz.npy", "rows.npy", "shape.json", "sums", "pieces"} <= seen.keys()


# -- what is told ------------------------------------------------------------------------------------------------------


def test_a_resumed_run_boasts_of_nothing(place: Path, cli: Cli) -> None:
    assert "points a second" in cli("batch", "near.json", "in", "--out", "out").stderr
    done = cli("batch", "near.json", "in", "--out", "out")
    assert "done in" in done.stderr
    assert "points a second" not in done.stderr


def test_failures_are_counted_by_file(place: Path, cli: Cli) -> None:
    (place / "in" / "t9.las").write_bytes(b"LASF and rubbish")
    for words in ((), ("--retry-failed",)):
        done = cli("batch", "near.json", "in", "--out", "out", *words)
        assert done.exit_code == 1
        assert "/0 " not in done.stderr
        assert "\n1 failed:\n    in/t9.las: " in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--memory", "9" * 400), "is no amount of memory; give one such as 2GB"),
        (("--memory", "9" * 18 + "TB", "--dry-run"), ""),
        (("--workers", "1e29"), "is no whole number"),
        (("--workers", "1" + "0" * 29), "is no whole number"),
        (("--workers", "9" * 5000), "is no whole number"),
        (("--workers", "4097"), "--workers 4097: must be at least 1 and at most"),
        (("--tile", "0.05"), "tiles of 0.05 are too small for points from"),
    ],
)
def test_numbers_beyond_all_measure(words: tuple[str, ...], said: str, place: Path, cli: Cli) -> None:
    done = cli("batch", "near.json", "in", "--out", "out", *words)
    assert done.exit_code == (2 if said else 0)
    assert said in done.stderr
    assert len(done.stderr) < 400
