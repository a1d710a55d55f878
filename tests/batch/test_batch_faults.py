"""Batches whose workers, scheduler, disk or inputs fail: in real processes, on small clouds."""

from __future__ import annotations

import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clusters import Cluster
from villages import village, write

from deburr.tiles import memory

#: Moves every point and classifies some, needs figures of the whole cloud and a halo; quick to load.
NOISE = {"type": "filters.noise", "sigma": 0.01, "seed": 5}
SPEC = json.dumps([NOISE, "filters.outlier"])
#: Its figures do not depend on the other files.
NEAR = json.dumps([{"type": "filters.outlier", "method": "radius", "radius": 0.6, "min_k": 3}])
STRIPS, WIDTH = 8, 3.0
NAMES = [f"t{number}.laz" for number in range(STRIPS)]
KEPT = {"ledger.jsonl", "report.json", "report.html", "tiles.csv", "tiles.png"}
#: A file of more points is run in tiles.
MEMORY = str(memory.BASE + memory.PER_POINT * 60_000)
#: In tiles of 12 m each strip is one of two or more, and is put together of these.
CUT = ("--tile", "12", "--workers", "2")


class Place:
    """A folder with strips of one cloud in ``in/``, in which the command line is called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        xyz = village(6000)
        place = xyz[:, 0] - 85_000
        (folder / "in").mkdir()
        for number, name in enumerate(NAMES):
            low = number * WIDTH if number else -1.0
            high = low + WIDTH if 0 < number < STRIPS - 1 else (WIDTH if not number else 99.0)
            write(folder / "in" / name, xyz[(place >= low) & (place < high)])
        (folder / "spec.json").write_text(SPEC)
        (folder / "near.json").write_text(NEAR)

    def begin(self, *words: str, before: tuple[str, ...] = (), **options: Any) -> subprocess.Popen[str]:
        """Call ``pipeline`` with ``words``; ``before``: another command that is to run it."""
        return subprocess.Popen(
            [*before, sys.executable, "-m", "deburr.cli.main", *words],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "DEBURR_THREADS": "1"},
            **options,
        )

    def call(self, *words: str, code: int = 0, **options: Any) -> str:
        """As `begin`, to the end; returns what it says on stderr."""
        return said(self.begin(*words, **options), code)

    def batch(self, out: str, *more: str, code: int = 0, spec: str = "spec.json", **options: Any) -> str:
        return self.call("batch", spec, "in", "--out", out, *more, code=code, **options)

    def report(self, out: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / out / "report.json").read_text())
        return found

    def done(self, out: str) -> list[str]:
        """The ids of all tasks that the ledger says were done, one a time they were."""
        ledger = self.folder / out / "ledger.jsonl"
        written = ledger.read_bytes().splitlines(keepends=True)[1:] if ledger.exists() else []
        records = [json.loads(line) for line in written if line.endswith(b"\n")]
        return [one["record"]["id"] for one in records if one["kind"] in ("survey", "clean", "write")]

    def results(self, out: str) -> dict[str, bytes]:
        return {path.name: content(path) for path in sorted((self.folder / out).glob("*.la[sz]"))}

    def check_whole(self, out: str, expected: dict[str, bytes]) -> None:
        """All is written as it should be, and nothing else is there."""
        assert {path.name for path in (self.folder / out).iterdir()} == {*NAMES, *KEPT}
        assert self.results(out) == expected
        assert wait_for(lambda: not self.processes(), 10), self.processes()

    def at_work(self, out: str) -> bool:
        """Whether a run has begun, apart from loading itself."""
        return any((self.folder / out / ".deburr").glob("job-*"))

    def processes(self) -> list[str]:
        """Those that work in the folder."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if os.readlink(entry / "cwd") == str(self.folder):
                    found.append((entry / "cmdline").read_text())
        return [one for one in found if one]


def said(process: subprocess.Popen[str], code: int = 0) -> str:
    """Wait for the end, which must be with ``code``; what was said on stderr."""
    _, errors = process.communicate(timeout=120)
    assert process.returncode == code, errors
    assert "Traceback" not in errors, errors
    assert "unexpected" not in errors
    return errors


def content(path: Path) -> bytes:
    """The bytes of a LAS file, without the day in its header."""
    found = path.read_bytes()
    return found[:90] + found[94:]


def wait_for(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    end = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < end:
        time.sleep(0.01)
    return value


def damaged(path: Path) -> None:
    """Turn a bit in the name of the program that wrote a LAS file; size and time stay as they were."""
    before = path.stat()
    content_ = bytearray(path.read_bytes())
    content_[58 + 20] ^= 1  # in the generating software's name
    path.write_bytes(content_)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def lines(path: Path) -> int:
    try:
        return path.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(word) for word in text.split()]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """What runs give that nothing goes wrong in: ``files`` of whole strips, ``cut`` of tiles."""
    place = Place(tmp_path_factory.mktemp("undisturbed"))
    place.batch("files")
    place.batch("cut", *CUT)
    return place


@pytest.fixture
def place(tmp_path: Path, undisturbed: Place) -> Place:
    found = Place.__new__(Place)
    found.folder = tmp_path
    shutil.copytree(undisturbed.folder / "in", tmp_path / "in")
    for name in ("spec.json", "near.json"):
        shutil.copy(undisturbed.folder / name, tmp_path)
    return found


# -- processes ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_a_try(place: Place, undisturbed: Place) -> None:
    run = place.begin("batch", "spec.json", "in", "--out", "out", *CUT)
    wait_for(lambda: lines(place.folder / "out" / "ledger.jsonl") > 10)
    workers = children(run.pid)
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    said(run)
    place.check_whole("out", undisturbed.results("cut"))
    report = place.report("out")
    assert report["failed"] == []
    assert Counter(place.done("out")) == Counter(undisturbed.done("cut"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in (2, 3, 4))])
def test_killed_at_ten_random_moments_and_run_again(place: Place, undisturbed: Place, seed: int) -> None:
    moments = random.Random(seed)
    ledger = place.folder / "out" / "ledger.jsonl"
    total = lines(undisturbed.folder / "cut" / "ledger.jsonl")
    # Two after the last line, while reports are written.
    after = sorted(moments.sample(range(1, total), 8)) + [total] * 2
    for number, count in enumerate(after):
        for job in (place.folder / "out" / ".deburr").glob("job-*"):
            job.unlink()  # so that the next one is this run's
        run = place.begin("batch", "spec.json", "in", "--out", "out", *CUT)
        wait_for(lambda: run.poll() is not None or (place.at_work("out") and lines(ledger) >= count))  # noqa: B023
        time.sleep(moments.uniform(0, 0.3 if count == total else 0.05))
        sent = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)[number % 3]
        run.send_signal(sent)
        _, errors = run.communicate(timeout=60)
        # By the signal itself where it comes at the very end, when nothing is left to be cleared away.
        assert run.returncode in ((-9, 0) if sent == signal.SIGKILL else (130, 0, -sent)), errors
        assert "Traceback" not in errors, errors
        if run.returncode == 130:
            assert wait_for(lambda: not place.processes(), 1), "an interrupted run ends its workers itself"
    place.batch("out", *CUT)
    place.check_whole("out", undisturbed.results("cut"))
    report = place.report("out")
    assert report["tasks_done"] + report["tasks_resumed"] >= 3 * STRIPS
    assert report["tasks_resumed"] > report["tasks_done"]
    # What was done is done once; at each kill no more than one task a worker is lost before it is in the ledger.
    assert max(Counter(place.done("out")).values()) == 1


@pytest.mark.slow
def test_killed_in_one_process_in_the_middle_of_an_output(place: Place, undisturbed: Place) -> None:
    run = place.begin("batch", "spec.json", "in", "--out", "out")
    wait_for(lambda: (place.folder / "out" / NAMES[2]).exists())
    run.kill()
    run.communicate()
    # As if it had been writing.
    left = place.folder / "out" / ".t3.0123456789ab.laz"
    left.write_bytes(b"half")
    other = place.folder / "out" / ".notes.0123456789ab.laz"
    other.write_bytes(b"the user's own")
    place.batch("out")
    assert not left.exists()
    assert other.exists()
    other.unlink()
    place.check_whole("out", undisturbed.results("files"))
    assert place.report("out")["tasks_resumed"] >= 2


@pytest.fixture
def clusters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Any]]:
    """Starts a Dask scheduler and two workers, in another folder than that of the batch."""
    pytest.importorskip("distributed")
    begun: list[Any] = []

    def start() -> Any:
        begun.append(Cluster(tmp_path_factory.mktemp("cluster"), 2))
        return begun[-1]

    there = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("elsewhere"))
    try:
        yield start
    finally:
        os.chdir(there)
        for one in begun:
            one.end()


@pytest.mark.slow
def test_a_dask_cluster_whose_scheduler_is_killed(
    place: Place, undisturbed: Place, clusters: Callable[[], Any]
) -> None:
    words = ("batch", "spec.json", "in", "--out", "out", "--tile", "12", "--scheduler")
    first = clusters()
    run = place.begin(*words, first.address)
    # In the middle of a pass: all workers know the job.
    wait_for(lambda: len(place.done("out")) > 15 or run.poll() is not None)
    first.scheduler.kill()
    begun = time.monotonic()
    errors = said(run, 1)
    assert time.monotonic() - begun < 15
    assert f"the Dask scheduler at {first.address} is gone" in errors
    assert "run the same command: what is done is kept" in errors
    done = len(place.done("out"))
    second = clusters()
    place.call(*words, second.address)
    place.check_whole("out", undisturbed.results("cut"))
    assert place.report("out")["tasks_resumed"] >= done > 15


# -- disks -------------------------------------------------------------------------------------------------------------


def small(bytes_: int) -> dict[str, Any]:
    """Options of a process whose files cannot grow beyond so many bytes."""
    return {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_, bytes_))}


def mounted(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a shell ``script`` that may mount; nobody else sees that, and it is gone with the script."""
    command = ["unshare", "-Urm", "sh", "-ec", script]
    try:
        tried = subprocess.run([*command[:2], "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("needs the command 'unshare'")
    if tried.returncode:
        pytest.skip("needs the right to mount in a namespace of its own")
    pipeline = f'pipeline() {{ "{sys.executable}" -m deburr.cli.main "$@"; }}\n'
    return subprocess.run(
        [*command[:-1], pipeline + script], cwd=folder, capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "DEBURR_THREADS": "1"},
    )  # fmt: skip


@pytest.mark.slow
def test_scratch_is_full(place: Place, undisturbed: Place) -> None:
    errors = place.batch("out", *CUT, code=1, **small(15_000))
    assert "cannot be unpacked there (File too large); free space" in errors
    assert not place.results("out")
    assert not list((place.folder / "out").glob(".*.laz"))
    place.batch("out", *CUT)
    place.check_whole("out", undisturbed.results("cut"))


@pytest.mark.slow
def test_the_disk_of_the_outputs_is_full(place: Place, undisturbed: Place) -> None:
    script = """
    mkdir out && mount -t tmpfs -o size=40k none out && mkdir out/.deburr && mount -t tmpfs -o size=1g none out/.deburr
    pipeline batch spec.json in --out out > first 2> errors && exit 9 || test $? = 1
    mkdir half && cp -a out/. half
    mount -o remount,size=1g out
    pipeline batch spec.json in --out out
    umount out/.deburr
    rmdir out/.deburr
    mkdir whole && cp -a out/. whole
    """
    done = mounted(script, place.folder)
    assert done.returncode == 0, done.stderr
    errors = (place.folder / "errors").read_text()
    assert "cannot be written (No space left on device); free space" in errors
    assert "Traceback" not in errors, errors
    expected = undisturbed.results("files")
    # What is there is whole.
    half = place.results("half")
    assert half.items() < expected.items()
    assert not list((place.folder / "half").glob(".t*"))
    place.check_whole("whole", expected)
    if half:
        assert place.report("whole")["tasks_resumed"] > 0


@pytest.mark.slow
def test_too_little_room_for_scratch_is_said_beforehand(place: Place) -> None:
    done = mounted(
        "mkdir out; mount -t tmpfs -o size=200k none out; pipeline batch spec.json in --out out", place.folder
    )
    assert done.returncode == 1
    assert "of scratch space are needed and" in done.stderr
    assert done.stdout == ""


@pytest.mark.slow
def test_an_output_folder_that_cannot_be_written(place: Place) -> None:
    (place.folder / "file").write_text("")
    for out in ("file", "file/out"):
        assert "cannot be made" in place.batch(out, code=1)
    script = "mkdir out; mount -t tmpfs -o ro none out; pipeline batch spec.json in --out out"
    done = mounted(script, place.folder)
    assert done.returncode == 1
    assert "cannot be written (Read-only file system); choose another output" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list((place.folder / "out").iterdir())


# -- inputs ------------------------------------------------------------------------------------------------------------


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def garbage(path: Path) -> None:
    path.write_bytes(b"garbage" * 1000)


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), pytest.param(CUT, marks=pytest.mark.long)], ids=["files", "tiles"])
def test_a_file_that_is_cut_off_fails_alone(place: Place, undisturbed: Place, more: tuple[str, ...]) -> None:
    bad = place.folder / "in" / "t3.laz"
    good = bad.read_bytes()
    bad.unlink()
    place.batch("without", *more)
    expected = place.results("without")
    bad.write_bytes(good)
    cut_off(bad)
    for _ in range(2):
        errors = place.batch("out", *more, code=1)
        report = place.report("out")
        assert [one["id"] for one in report["failed"]] == ["in/t3.laz"]
        assert "readers.las: in/t3.laz: " in report["failed"][0]["error"]
        assert place.results("out") == expected, "as if nothing lay there"
        assert report["totals"]["files_failed"] == 1
        assert "\n1 failed:\n    in/t3.laz: " in errors
        (warning,) = report["warnings"]
        assert re.search(
            r"^in/t3\.laz: could not be read, and .*t2\.laz.* beside it were cleaned as if nothing", warning
        )
        assert f"warning: {warning}" in errors
    assert report["tasks_done"] == 0, "and what was done stays"
    # And as if nothing had happened.
    bad.write_bytes(good)
    place.batch("out", *more)
    place.check_whole("out", undisturbed.results("cut" if more else "files"))


@pytest.mark.slow
def test_a_file_that_cannot_be_read_at_all(place: Place, undisturbed: Place) -> None:
    bad = place.folder / "in" / "t3.laz"
    good = bad.read_bytes()
    garbage(bad)
    errors = place.batch("out", code=1)
    report = place.report("out")
    assert set(place.results("out")) == set(NAMES) - {"t3.laz"}
    assert [one["id"] for one in report["failed"]] == ["in/t3.laz"]
    assert report["failed"][0]["error"].startswith("readers.las: in/t3.laz: ")
    assert "in/t3.laz" in errors
    assert report["totals"]["files_failed"] == 1
    shutil.copytree(place.folder / "out", place.folder / "again", copy_function=shutil.copy2)
    bad.write_bytes(good)
    # Its neighbours were written as if nothing lay there, and that is not kept a secret.
    errors = place.batch("out", "--retry-failed", code=1)
    assert "t3.laz" in place.results("out")
    assert "t2.laz, t4.laz: is not done, or what lies around it has changed since" in errors
    place.batch("again")
    assert place.results("again") == undisturbed.results("files")
    place.batch("out")
    place.check_whole("out", undisturbed.results("files"))


@pytest.mark.slow
@pytest.mark.parametrize("spoil", [cut_off, garbage])
def test_context_that_cannot_be_read(place: Place, undisturbed: Place, spoil: Callable[[Path], None]) -> None:
    good = place.folder / "in" / "t7.laz"
    bad = place.folder / "t7.laz"
    good.rename(bad)
    kept = bad.read_bytes()
    words = ("batch", "spec.json", "in", "--context", "t7.laz", "--out", "out")
    place.call(*words)
    expected = place.results("out")
    assert set(expected) == set(NAMES[:-1])
    shutil.rmtree(place.folder / "out")
    spoil(bad)
    errors = place.call(*words, code=1)
    assert "t7.laz" in errors
    assert all("t7.laz" in one["error"] for one in place.report("out")["failed"])
    assert len(place.results("out")) >= 6
    bad.unlink()
    assert "t7.laz: does not exist" in place.call(*words, code=2)
    bad.write_bytes(kept)
    place.call(*words)
    assert place.results("out") == expected


# -- the same folder again ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_runs_into_one_folder(place: Place, undisturbed: Place) -> None:
    first = place.begin("batch", "spec.json", "in", "--out", "out", *CUT)
    wait_for(lambda: (place.folder / "out" / ".ledger.jsonl.lock").exists())
    first.send_signal(signal.SIGSTOP)
    errors = place.batch("out", *CUT, code=1)
    first.send_signal(signal.SIGCONT)
    assert errors == "out: another run is writing to this folder; wait for it, or end it\n"
    said(first)
    place.check_whole("out", undisturbed.results("cut"))


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), pytest.param(CUT, marks=pytest.mark.long)], ids=["files", "tiles"])
def test_only_what_must_be_done_again_is(place: Place, more: tuple[str, ...]) -> None:
    def again(*words: str) -> list[str]:
        """What is done in another run, without the surveys."""
        count = len(place.done("out"))
        place.batch("out", *more, *words, spec="near.json")
        return [id_ for id_ in place.done("out")[count:] if not id_.startswith("survey")]

    def of(*numbers: int) -> bool:
        return {id_.removeprefix("write-").partition(".")[0] for id_ in new} == {f"t{number}" for number in numbers}

    new = again()
    assert of(*range(STRIPS))
    expected, whole = place.results("out"), place.report("out")
    times = {name: (place.folder / "out" / name).stat().st_mtime_ns for name in NAMES}
    assert again() == []
    report = place.report("out")
    assert (report["tasks_done"], report["totals"]["points"]) == (0, whole["totals"]["points"])
    assert report["stages"] == whole["stages"]
    assert {name: (place.folder / "out" / name).stat().st_mtime_ns for name in NAMES} == times
    # Outputs that somebody deleted or changed.
    (place.folder / "out" / "t5.laz").unlink()
    with open(place.folder / "out" / "t6.laz", "ab") as file:
        file.write(b"x")
    new = again()
    assert of(5, 6)
    assert place.results("out") == expected
    # An output that is damaged, at the time and of the size that it had.
    damaged(place.folder / "out" / "t2.laz")
    new = again()
    assert of(2)
    assert place.results("out") == expected
    # Who only touches a file changes nothing.
    os.utime(place.folder / "in" / "t0.laz")
    os.utime(place.folder / "out" / "t1.laz")
    assert again() == []
    # An input that changed, though its size and its time are what they were: its neighbours see it, the others do not.
    damaged(place.folder / "in" / "t0.laz")
    new = again()
    assert of(0, 1), new
    assert {name for name, found in place.results("out").items() if found != expected[name]} <= {"t0.laz", "t1.laz"}
    damaged(place.folder / "in" / "t0.laz")
    new = again()
    assert of(0, 1), new
    assert place.results("out") == expected
    # A file that cannot be read, one that lies far away, and these gone again: whichever comes first by name.
    for name in ("a.laz", "z.laz"):
        (place.folder / "in" / name).write_bytes(b"LASF rubbish")
        count = len(place.done("out"))
        place.batch("out", *more, spec="near.json", code=1)
        assert place.done("out")[count:] == []
        write(place.folder / "in" / name, village(500) + np.array([5000.0, 0, 0]))
        assert {one.removeprefix("write-")[0] for one in again()} == {name[0]}
        (place.folder / "in" / name).unlink()
        (place.folder / "out" / name).unlink()
        assert again() == []
    # An option that matters, and back.
    new = again("--filters.outlier.min_k=4")
    assert of(*range(STRIPS))
    new = again()
    assert of(*range(STRIPS))
    assert place.results("out") == expected


def test_files_are_cut_as_before_while_memory_allows(
    place: Place, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is free changes from run to run; what was done must not be lost for that."""
    taken = []
    for free in (4e9, 3.9e9, 4.4e9, 3e9):
        monkeypatch.setattr(memory, "available", lambda free=free: int(free))
        assert cli("batch", "near.json", "in", "--out", "out", "--quiet").exit_code == 0
        written = (place.folder / "out" / "ledger.jsonl").read_text().splitlines()[1:]
        records = [record["record"] for record in map(json.loads, written) if record["kind"] == "memory"]
        taken.append(records[-1]["bytes"])
    assert taken == [3_200_000_000] * 3 + [2_400_000_000]


# -- one file that is larger than memory -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """``a.laz``, which is run in tiles, and ``expected.las`` of it."""
    found = Place.__new__(Place)
    found.folder = tmp_path_factory.mktemp("large")
    write(found.folder / "a.laz", village(130_000))
    (found.folder / "spec.json").write_text(SPEC)
    stream(found, "expected.las")
    return found


def streaming(place: Place, output: str) -> tuple[str, ...]:
    return ("run", "spec.json", "--input", "a.laz", "--output", output, "--memory", MEMORY)


def stream(place: Place, output: str, **options: Any) -> str:
    return place.call(*streaming(place, output), **options)


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_scratch_of_a_large_file_is_removed(large: Place, tmp_path: Path, sent: signal.Signals) -> None:
    shutil.copytree(large.folder, tmp_path, dirs_exist_ok=True)
    place = Place.__new__(Place)
    place.folder = tmp_path
    before = set(tmp_path.iterdir())
    run = place.begin(*streaming(place, "out.las"))
    wait_for(lambda: list(tmp_path.glob(".out.las.deburr-*/pieces/*")) or run.poll() is not None)
    run.send_signal(sent)
    _, errors = run.communicate(timeout=30)
    assert "Traceback" not in errors, errors
    left = set(tmp_path.iterdir()) - before
    if sent == signal.SIGKILL:
        assert len(left) == 1
        (tmp_path / ".out.0123456789ab.las").write_bytes(b"as if it had been writing")
    else:
        assert run.returncode == 130
        assert left == set()
    stream(place, "out.las")
    assert set(tmp_path.iterdir()) - before == {tmp_path / "out.las"}
    assert content(tmp_path / "out.las") == content(tmp_path / "expected.las")


@pytest.mark.slow
def test_the_disk_is_full_for_a_large_file(large: Place) -> None:
    before = set(large.folder.iterdir())
    errors = stream(large, "out.las", code=1, **small(1_000_000))
    assert "cannot be unpacked there (File too large); free space" in errors
    assert set(large.folder.iterdir()) == before
    script = """
    mkdir disk && mount -t tmpfs -o size={} none disk
    pipeline run spec.json --input a.laz --output disk/out.las --memory MEMORY && exit 9 || test $? = 1
    test -z "$(ls -A disk)" && umount disk && rmdir disk
    """.replace("MEMORY", MEMORY)
    done = mounted(script.format("2m"), large.folder)
    assert done.returncode == 0, done.stderr
    assert "of scratch space are needed and" in done.stderr
    done = mounted(script.format("10m"), large.folder)
    assert done.returncode == 0, done.stderr
    assert "disk/out.las: cannot be written (No space left on device); free space" in done.stderr
