"""Bad input gets one clear sentence, the right exit code, and harms nothing: no partial output, old outputs intact."""

from __future__ import annotations

import json
import os
import pickle
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from deburr.core.arrays import Floats
from deburr.core.cloud import PointCloud
from deburr.pipeline import load

Cli = Callable[..., Result]
Save = Callable[..., Path]
OLD = b"an output of yesterday"


@pytest.fixture
def fails(cli: Cli, tmp_path: Path) -> Callable[..., str]:
    """Runs a command that must fail with ``code`` in one sentence, and harm nothing; returns the sentence."""

    def call(*words: str | Path, code: int) -> str:
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        done = cli(*words, "--quiet")
        assert done.exit_code == code, done.output
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1, done.stderr
        assert "Traceback" not in done.stderr
        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
        return done.stderr.strip()

    return call


Fails = Callable[..., str]
FORMATS = ("ply", "las", "laz")


def _spec(*stages: object) -> str:
    return json.dumps(stages)


# The input ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMATS)
def test_missing_file(fails: Fails, kind: str) -> None:
    said = fails("run", _spec(f"missing.{kind}", "filters.outlier", "out.ply"), code=1)
    assert said.startswith(f"stage 1 (readers.{'ply' if kind == 'ply' else 'las'}): missing.{kind}: ")


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("content", [b"", b"no point cloud at all", b"\0" * 1000, b"LASF", b"ply\n"])
def test_not_what_the_extension_says(fails: Fails, tmp_path: Path, kind: str, content: bytes) -> None:
    (tmp_path / f"in.{kind}").write_bytes(content)
    assert f"in.{kind}: " in fails("run", _spec(f"in.{kind}", "filters.outlier", "out.ply"), code=1)


def test_a_folder_is_no_input(fails: Fails, tmp_path: Path) -> None:
    for kind in FORMATS:
        (tmp_path / f"in.{kind}").mkdir()
        assert f"in.{kind}: " in fails("run", _spec(f"in.{kind}", "out.ply"), code=1)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("kind", FORMATS)
def test_truncated(fails: Fails, save: Save, hill: Floats, kind: str, share: float) -> None:
    path = save(f"in.{kind}", np.tile(hill, (20, 1)))
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert f"in.{kind}: " in fails("run", _spec(f"in.{kind}", "filters.outlier", "out.ply"), code=1)


# The spec -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ("filters.spdd", "unknown stage type 'filters.spdd'; did you mean 'filters.spd'?"),
        ({"type": "filters.spd", "stepsize": 0.2}, "unknown option 'stepsize'; did you mean 'step_size'?"),
        ({"type": "filters.spd", "steps": "ten"}, "option 'steps' must be a whole number from 1 to 1000, not 'ten'"),
        ({"type": "filters.spd", "strength": 1.5}, "option 'strength' must be a number from 0 to 1, not 1.5"),
        ({"type": "filters.spd", "noise": -0.1}, "option 'noise' must be 'auto' or a number greater than 0, not -0.1"),
    ],
)
def test_stages_and_options(fails: Fails, tmp_path: Path, stage: object, said: str) -> None:
    (tmp_path / "denoise.json").write_text(_spec("in.ply", stage, "out.ply"))
    whole = fails("run", "denoise.json", code=2)
    assert whole.startswith("denoise.json: stage 2")
    assert said in whole


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000 + "]" * 100_000, "nested deeper than 64 levels"),
        ('{"pipeline":' * 50_000, "nested deeper than 64 levels"),
        ('["' + "a" * 10_000_000 + '"]', "longer than 1 MB"),
        ('["in.las",' + '"filters.spd",' * 60_000 + '"out.las"]', "has 60,002 stages, more than 1,000"),
        ("ply\nformat ascii 1.0\n", "is a point cloud, not a spec; clean it with 'pipeline denoise IN OUT'"),
        ("LASF", "is a point cloud, not a spec"),
        ("[" + "1," * 5_000_000 + "1]", "longer than 1 MB"),
        ("", "the file is empty"),
        ('["in.ply" "out.ply"]', "line 1, column 11: not JSON"),
    ],
    ids=["deep", "deep objects", "long", "many stages", "PLY", "LAS", "long list", "empty", "syntax"],
)
def test_specs_that_are_none(fails: Fails, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "a.json").write_text(text)
    assert said in fails("run", "a.json", code=2)


def test_missing_spec(fails: Fails) -> None:
    assert fails("run", "nowhere.json", code=2) == "nowhere.json: no such file; check the path of the spec"


# The output ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMATS)
def test_output_folder(fails: Fails, save: Save, hill: Floats, tmp_path: Path, kind: str) -> None:
    save("in.ply", hill)
    (tmp_path / "file").write_bytes(OLD)
    (tmp_path / f"folder.{kind}").mkdir()
    assert "does not exist; create it" in fails("denoise", "in.ply", f"no/out.{kind}", code=1)
    assert "is a file, not a folder" in fails("denoise", "in.ply", f"file/out.{kind}", code=1)
    assert "is a folder" in fails("denoise", "in.ply", f"folder.{kind}", code=1)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that not even root may write to: /proc")
def test_a_folder_that_nobody_may_write_to(fails: Fails, save: Save, hill: Floats) -> None:
    save("in.ply", hill)
    assert "/proc cannot be written" in fails("denoise", "in.ply", "/proc/out.ply", code=1)


def test_devices_are_not_replaced(fails: Fails, save: Save, hill: Floats, tmp_path: Path) -> None:
    save("in.ply", hill)
    os.mkfifo(tmp_path / "pipe.ply")
    assert "is a device or pipe" in fails("run", _spec("in.ply", "pipe.ply"), code=1)
    assert (tmp_path / "pipe.ply").is_fifo()


def test_output_is_the_input(fails: Fails, save: Save, hill: Floats, tmp_path: Path) -> None:
    save("in.laz", hill)
    (tmp_path / "soft.laz").symlink_to("in.laz")
    os.link("in.laz", tmp_path / "hard.laz")
    for name in ("in.laz", "./in.laz", "soft.laz", "hard.laz"):
        assert "is the input file itself" in fails("denoise", "in.laz", name, code=2)


def _limited(tmp_path: Path, output: Path, spec: str) -> None:
    """Run ``spec`` where no file may grow beyond 8 kB; it must fail in a sentence and leave ``output`` as it was."""
    before = sorted(path.name for path in output.parent.iterdir())
    done = subprocess.run(
        [sys.executable, "-m", "deburr.cli.main", "run", spec, "--quiet"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192)),
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert f"{output}: cannot be written (" in done.stderr
    assert "free space or choose another output path" in done.stderr
    assert output.read_bytes() == OLD
    assert sorted(path.name for path in output.parent.iterdir()) == before


@pytest.mark.parametrize("kind", FORMATS)
def test_a_size_limit(save: Save, hill: Floats, tmp_path: Path, kind: str) -> None:
    save("in.ply", np.tile(hill, (30, 1)) + np.random.default_rng(0).random((18_000, 3)))
    output = tmp_path / f"out.{kind}"
    output.write_bytes(OLD)
    _limited(tmp_path, output, _spec("in.ply", str(output)))


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("needs the command 'mount'")
    if done.returncode:
        pytest.skip(f"needs the right to mount a small file system: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("kind", FORMATS)
def test_disk_full(cli: Cli, save: Save, hill: Floats, tiny_disk: Path, kind: str) -> None:
    save("in.ply", np.tile(hill, (30, 1)) + np.random.default_rng(0).random((18_000, 3)))
    output = tiny_disk / f"out.{kind}"
    output.write_bytes(OLD)
    done = cli("run", _spec("in.ply", str(output)), "--quiet")
    assert (done.exit_code, done.stdout) == (1, "")
    assert f"{output}: cannot be written (" in done.stderr
    assert done.stderr.count("\n") == 1
    assert output.read_bytes() == OLD
    assert [path.name for path in tiny_disk.iterdir()] == [output.name]


@pytest.mark.parametrize("kind", FORMATS)
def test_disk_full_at_the_last_moment(
    fails: Fails, save: Save, hill: Floats, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    save("in.ply", hill)
    (tmp_path / f"out.{kind}").write_bytes(OLD)
    monkeypatch.setattr("deburr.core.files.os.fsync", full)
    said = fails("run", _spec("in.ply", f"out.{kind}"), code=1)
    assert f"out.{kind}: cannot be written (No space left on device); free space" in said


def test_a_report_that_cannot_be_written(fails: Fails, save: Save, hill: Floats, tmp_path: Path) -> None:
    save("in.ply", hill)
    (tmp_path / "file").write_bytes(OLD)
    assert "the report's folder cannot be made" in fails("run", _spec("in.ply", "out.ply"), "--report", "file", code=1)


# Weights ------------------------------------------------------------------------------------------------------------


class _Evil:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Callable[[Path], object], tuple[Path]]:
        return Path.touch, (self.victim,)


@pytest.mark.parametrize("content", ["pickle", "text", "empty", "huge header"])
def test_weights_that_are_none(fails: Fails, save: Save, hill: Floats, tmp_path: Path, content: str) -> None:
    save("in.ply", hill)
    bodies = {
        "pickle": pickle.dumps(_Evil(tmp_path / "owned")),
        "text": b"these are no weights",
        "empty": b"",
        "huge header": (2**60).to_bytes(8, "little") + b"{}",
    }
    (tmp_path / "w.safetensors").write_bytes(bodies[content])
    spd = {"type": "filters.spd", "model": "spd", "weights": "w.safetensors"}
    said = fails("run", _spec("in.ply", spd, "out.ply"), code=1)
    assert said.startswith("stage 2 (filters.spd): w.safetensors: ")
    assert "w.safetensors: " in fails("weights", "show", "w.safetensors", code=1)
    assert not (tmp_path / "owned").exists()


def test_missing_weights(fails: Fails, save: Save, hill: Floats) -> None:
    save("in.ply", hill)
    spd = {"type": "filters.spd", "model": "spd", "weights": "missing.safetensors"}
    assert "missing.safetensors: " in fails("run", _spec("in.ply", spd, "out.ply"), code=1)


@pytest.mark.parametrize("content", ["pickle", "text", "torch"])
def test_checkpoints_that_are_not_supported(fails: Fails, tmp_path: Path, content: str) -> None:
    import torch

    path = tmp_path / "ckpt.pt"
    if content == "torch":
        torch.save({"state_dict": {"other.weight": torch.zeros(3)}}, path)
    else:
        path.write_bytes(pickle.dumps(_Evil(tmp_path / "owned")) if content == "pickle" else b"no checkpoint")
    assert "ckpt.pt: " in fails("weights", "import", "ckpt.pt", "out.safetensors", code=1)
    assert not (tmp_path / "owned").exists()


# Clouds too small to denoise ----------------------------------------------------------------------------------------


def _read(path: str) -> PointCloud:
    reader = load([path]).reader
    assert reader is not None
    return reader.read()


SIZES = [(0, False), (1, False), (20, False), (20, True), (500, True)]


def _unchanged(done: Result, before: str, after: str, count: int) -> None:
    assert done.exit_code == 0, done.stderr
    assert "stage 2 (filters.spd): warning: " in done.stderr
    assert "left unchanged" in done.stderr
    assert np.array_equal(_read(before).xyz, _read(after).xyz)
    assert len(_read(after)) == count


@pytest.fixture(scope="module")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published network, untrained."""
    from deburr.nn.spd.network import SpdNet
    from deburr.nn.weights import save as save_weights

    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    save_weights(path, SpdNet().state_dict(), {"model": "spd"})
    return path


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(("count", "equal"), SIZES)
def test_too_few_points_pass_unchanged(
    cli: Cli, save: Save, hill: Floats, random_weights: Path, kind: str, count: int, equal: bool
) -> None:
    save(f"in.{kind}", np.repeat(hill[:1], count, axis=0) if equal else hill[:count])
    spd = {"type": "filters.spd", "model": "spd", "weights": str(random_weights)}
    done = cli("run", _spec(f"in.{kind}", spd, f"out.{kind}"), "--report", "rep", "--quiet")
    _unchanged(done, f"in.{kind}", f"out.{kind}", count)


@pytest.mark.parametrize(("count", "equal"), SIZES)
def test_too_few_points_for_the_default_model(cli: Cli, save: Save, hill: Floats, count: int, equal: bool) -> None:
    from deburr.nn.deburr import BUNDLED

    if not BUNDLED.exists():
        pytest.skip(f"the bundled weights are missing: {BUNDLED}")
    save("in.laz", np.repeat(hill[:1], count, axis=0) if equal else hill[:count])
    _unchanged(cli("denoise", "in.laz", "out.laz", "--quiet"), "in.laz", "out.laz", count)
    assert cli("info", "in.laz", "--json").exit_code == 0


@pytest.mark.parametrize(("count", "equal"), SIZES)
def test_too_few_points_for_any_filter(cli: Cli, save: Save, hill: Floats, count: int, equal: bool) -> None:
    save("in.ply", np.repeat(hill[:1], count, axis=0) if equal else hill[:count])
    filters = ["filters.outlier", "filters.normalize", "filters.metrics", {"type": "filters.noise", "sigma": 0.1}]
    done = cli("run", _spec("in.ply", *filters, "out.ply"), "--report", "rep")
    assert done.exit_code == 0, done.stderr
    assert len(_read("out.ply")) == count


@pytest.mark.parametrize("kind", ["las", "laz", "copc.laz", "ply", "xyz", "pcd", "e57"])
def test_an_empty_file_is_called_empty(fails: Fails, tmp_path: Path, kind: str) -> None:
    (tmp_path / f"in.{kind}").write_bytes(b"")
    assert f"in.{kind}: is empty (0 bytes)" in fails("info", f"in.{kind}", code=1)
    assert f"in.{kind}: is empty (0 bytes)" in fails("denoise", f"in.{kind}", "out.ply", code=1)
    assert not (tmp_path / "out.ply").exists()
