"""The command line, end to end."""

from __future__ import annotations

import json
import logging
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result

from deburr.cli import commands
from deburr.core.arrays import Floats
from deburr.core.cloud import PointCloud
from deburr.pipeline import load

Cli = Callable[..., Result]
Save = Callable[..., Path]
NOISE = {"type": "filters.noise", "sigma": 0.1, "tag": "n"}


def _spec(stages: Any) -> str:
    Path("a.json").write_text(json.dumps(stages))
    return "a.json"


def _read(path: str | Path) -> PointCloud:
    reader = load([str(path)]).reader
    assert reader is not None
    return reader.read()


@pytest.mark.parametrize("source", ["in.ply", "in.las", "in.laz"])
def test_run_reads_moves_and_writes(cli: Cli, save: Save, hill: Floats, source: str) -> None:
    save(source, hill)
    done = cli("run", _spec([source, NOISE, "out.laz"]))
    assert done.exit_code == 0, done.stderr
    assert done.stdout == "out.laz\n"
    cloud = _read("out.laz")
    assert len(cloud) == 600
    assert 0.08 < np.std(cloud.xyz - hill) < 0.12
    assert "filters.noise" in done.stderr
    assert "600 points" in done.stderr


def test_input_output_overrides_and_quiet(cli: Cli, save: Save, hill: Floats) -> None:
    save("in.ply", hill)
    words = ["--input", "in.ply", "--output", "out.ply", "--quiet", "--stage.n.sigma=0.5", "--filters.noise.seed", "9"]
    done = cli("run", *words, _spec({"pipeline": [NOISE]}), "--report", "rep")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["out.ply", "rep/report.json", "rep/report.html", "rep/section.png"]
    report = json.loads(Path("rep/report.json").read_text())
    assert report["spec"][1] == {"type": "filters.noise", "tag": "n", "sigma": 0.5, "seed": 9}
    assert Path("rep/section.png").read_bytes().startswith(b"\x89PNG")
    assert 0.4 < np.std(_read("out.ply").xyz - hill) < 0.6
    assert sorted(os.listdir()) == ["a.json", "in.ply", "out.ply", "rep"]


def test_a_report_alone_needs_no_writer(cli: Cli, save: Save, hill: Floats) -> None:
    save("in.ply", hill)
    assert cli("run", '["in.ply", "filters.outlier"]', "--report", "rep").exit_code == 0
    refused = cli("run", '["in.ply", "filters.outlier"]')
    assert refused.exit_code == 2
    assert "writes nothing; end it with a file name, or give --output FILE or --report DIR" in refused.stderr


def test_spec_errors_exit_2_and_list_all(cli: Cli) -> None:
    spec = _spec(["a.ply", {"type": "filters.spd", "stepsize": 1, "steps": 0}, "b.ply"])
    done = cli("run", spec, "--nothing.y=1")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "--nothing.y: the pipeline has no stage 'nothing'; it has readers.ply, filters.spd, writers.ply",
        "a.json: stage 2 (filters.spd): option 'steps' must be a whole number from 1 to 1000, not 0",
        "a.json: stage 2 (filters.spd): unknown option 'stepsize'; did you mean 'step_size'?",
    ]


def test_validate_prints_json_and_exits_2(cli: Cli) -> None:
    good = cli("validate", _spec([NOISE]), "--input", "a.las", "--output", "b.las")
    stages = [{"type": kind, "runs_in": "deburr"} for kind in ("readers.las", "filters.noise", "writers.las")]
    assert (good.exit_code, json.loads(good.stdout)) == (0, {"valid": True, "error_detail": [], "stages": stages})
    bad = cli("validate", "a.json", "--input", "a.las")
    assert bad.exit_code == 2
    assert not json.loads(bad.stdout)["valid"]
    assert "writes nothing" in json.loads(bad.stdout)["error_detail"][0]
    assert cli("validate", "a.json", "--input", "a.las", "--report", "rep").exit_code == 0
    assert os.listdir() == ["a.json"]
    worse = json.loads(cli("validate", '["a.ply", {"type": "filters.spd", "x": 1, "steps": "a"}, "b.ply"]').stdout)
    assert len(worse["error_detail"]) == 2
    broken = cli("validate", "[")
    assert broken.exit_code == 2
    assert not json.loads(broken.stdout)["valid"]


def test_denoise_builds_a_checked_pipeline(cli: Cli, save: Save, hill: Floats) -> None:
    save("in.ply", hill)
    done = cli("denoise", "in.ply", "out.ply", "--noise=-1", "--steps", "x")
    assert done.exit_code == 2
    assert done.stderr.splitlines() == [
        "stage 2 (filters.spd): option 'noise' must be 'auto' or a number greater than 0, not '-1'",
        "stage 2 (filters.spd): option 'steps' must be a whole number from 1 to 1000, not 'x'",
    ]


@pytest.mark.parametrize("words", [("--version",), ("--help",), ("-h",), ("run", "--help"), ("weights", "--help")])
def test_help_and_version(cli: Cli, words: tuple[str, ...]) -> None:
    done = cli(*words)
    assert done.exit_code == 0
    assert "pipeline" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("runn",), "No such command"),
        (("run",), "Missing argument"),
        (("run", "a.json", "--outptu", "x"), "No such option"),
        (("run", "a.json", "--filters.spd.noise"), "needs a value"),
    ],
)
def test_wrong_usage_exits_2(cli: Cli, words: tuple[str, ...], said: str) -> None:
    done = cli(*words)
    assert done.exit_code == 2
    assert said in done.stderr


@pytest.mark.parametrize("words", [(), ("weights",)])
def test_a_command_alone_shows_its_help(cli: Cli, words: tuple[str, ...]) -> None:
    shown = cli(*words).output.splitlines()
    assert shown == cli(*words, "--help").output.splitlines()
    assert len(shown) > 5


def test_tracebacks_come_with_debug_only(cli: Cli) -> None:
    spec = _spec(["missing.ply", NOISE, "b.ply"])
    done = cli("run", spec)
    assert done.exit_code == 1
    assert done.stderr.count("\n") == 2  # the stage that began, and what stopped it
    assert "a.json: stage 1 (readers.ply): missing.ply:" in done.stderr
    assert type(cli("run", spec, "--debug").exception).__name__ == "ReadError"


def test_a_mistake_in_code_is_one_line_too(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("deburr.pipeline.plan.load", broken)
    done = cli("run", "a.json")
    assert done.exit_code == 1
    assert done.stderr == "unexpected ZeroDivisionError: oops; run again with --debug for the traceback\n"


def test_terminal_shows_bars_and_pipes_show_lines(save: Save, hill: Floats, tmp_path: Path) -> None:
    import pty

    save("in.ply", hill)
    spec = json.dumps([str(tmp_path / "in.ply"), "filters.outlier", str(tmp_path / "out.ply")])
    command = [sys.executable, "-m", "deburr.cli.main", "run", spec]
    ours, theirs = pty.openpty()
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=theirs, env={**os.environ, "TERM": "xterm"}, check=True
    )
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert "\x1b[" in shown
    assert done.stdout.decode() == f"{tmp_path / 'out.ply'}\n"
    plain = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "\x1b[" not in plain.stderr
    assert "2/3 filters.outlier" in plain.stderr


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing(save: Save, hill: Floats, tmp_path: Path, sent: signal.Signals) -> None:
    source = save("in.ply", hill)
    output = tmp_path / "out.ply"
    output.write_text("old")
    # A writer that says when it has begun, then takes its time.
    script = f"""
import sys, time
from pathlib import Path
from deburr.core.files import replacing
from deburr.writers.ply import Ply

def write(self, cloud):
    with replacing(self.filename) as temporary:
        temporary.write_text("half")
        print("writing", flush=True)
        time.sleep(60)

Ply.write = write
from deburr.cli.main import cli
cli(["run", '["{source}", "{output}"]'])
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    time.sleep(0.1)
    process.send_signal(sent)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.endswith("interrupted; no output was left half-written\n")
    assert "Traceback" not in errors
    assert output.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.ply", "out.ply"]


def test_train_passes_its_arguments_on(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*given: object) -> dict[str, object]:
        logging.getLogger("deburr.train").info("step 1")
        return {"given": list(given)}

    monkeypatch.setattr("deburr.train.run", run)
    done = cli("train", "a.json", "--init", "w.safetensors")
    assert json.loads(done.stdout) == {"given": ["a.json", "w.safetensors", False]}
    assert done.stderr == "step 1\n"
    assert cli("train", "a.json", "--resume", "--quiet").stderr == ""


def test_weights_are_imported_and_shown(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deburr.nn.weights.import_checkpoint", lambda source, target: {"from": source})
    done = cli("weights", "import", "a.pt", "b.safetensors")
    assert (done.exit_code, done.stdout) == (0, "b.safetensors\n")
    assert json.loads(done.stderr) == {"from": "a.pt"}
    monkeypatch.setattr("deburr.nn.weights.read", lambda path: ({}, {"of": path}))
    assert json.loads(cli("weights", "show", "b.safetensors").stdout) == {"of": "b.safetensors"}
    assert json.loads(cli("weights", "show", "bundled").stdout)["of"].endswith("deburr.safetensors")


@pytest.mark.parametrize("words", [("-",), ("--stdin",), ("-s",), ("-", "--stdin")])
def test_the_spec_may_come_from_stdin(cli: Cli, save: Save, hill: Floats, words: tuple[str, ...]) -> None:
    from click.testing import CliRunner

    from deburr.cli.main import cli as group

    save("in.ply", hill)
    cli("--version")  # into the folder
    text = '// from PDAL\n["in.ply", "filters.outlier", "out.ply"]'
    assert CliRunner().invoke(group, ["run", "-q", *words], input=text).output == "out.ply\n"
    assert json.loads(CliRunner().invoke(group, ["validate", *words], input=text).stdout)["valid"]
    for bad, said in (('"in.ply"', "must be a list of stages"), ("[", "line 1"), ("", "the file is empty")):
        done = CliRunner().invoke(group, ["run", *words], input=bad)
        assert (done.exit_code, done.stderr[:6]) == (2, "stdin:")
        assert said in done.stderr
    assert cli("run", "a.json", "--stdin").exit_code == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("denoise", "a", "b", "--clases", "2"), "Did you mean"),
        (("run", "a", "--classes", "2"), "No such option '--classes'.\n"),
        (("run", "a", "--validate"), "the command is 'pipeline validate SPEC'"),
        (("translate", "a", "b"), "'pipeline denoise IN OUT'"),
        (("stages", "spt"), "did you mean 'filters.spd'?"),
        (("validate", '["a.las", "spd", "b.las"]'), "did you mean 'filters.spd'?"),
        (("validate", '["a.las", {"type": "outlier"}, "b.las"]'), "did you mean 'filters.outlier'?"),
        (("info", "."), "pipeline batch"),
        (("denoise", "a.laz"), "pipeline denoise a.laz OUT"),
        (("denoise", ".", "out.las"), "pipeline batch '[\"filters.spd\"]' . --out DIR"),
    ],
)
def test_what_was_meant_is_said(cli: Cli, words: tuple[str, ...], said: str) -> None:
    done = cli(*words)
    assert done.exit_code == 2
    assert said in done.output


def test_stages_are_found_by_their_short_names_as_pdal_asks_for_them(cli: Cli) -> None:
    told = cli("stages", "filters.spd").stdout
    assert cli("stages", "spd").stdout == cli("--options", "spd").stdout == told
    assert "classes and where choose" in " ".join(told.split())
    assert cli("--drivers").stdout == cli("stages").stdout
    assert cli("--options", "nothing").exit_code == 2


@pytest.mark.parametrize("name", [*commands.names(), "weights show", "weights judge", "weights import"])
def test_no_help_shows_the_marks_of_markup(cli: Cli, name: str) -> None:
    done = cli(*name.split(), "--help")
    assert done.exit_code == 0
    assert "`" not in done.stdout


def test_several_files_are_denoised_into_a_folder(cli: Cli, save: Save, hill: Floats) -> None:
    for name in ("a.ply", "b.ply"):
        save(name, hill[:100])
    refused = cli("denoise", "?.ply", "out")
    assert refused.exit_code == 2
    assert "out: does not exist, and 2 files need a folder" in refused.stderr
    assert "needs the dimension 'Classification'" in cli("denoise", "a.ply", "c.ply", "--classes", "2,6").stderr
    words = ["--mkdir", "--where", "Z > 1e9", "--dimensions", "Displacement,NoiseLevel", "-q"]
    done = cli("denoise", "?.ply", "out", *words, "--report", "rep")
    assert done.stderr.count("no point may move") == 2
    assert [line for line in done.stdout.splitlines() if line.startswith("out")] == ["out/a.ply", "out/b.ply"]
    spec = json.loads(Path("rep/b/report.json").read_text())["spec"][1]
    assert spec["dimensions"] == ["Displacement", "NoiseLevel"]
    assert "NoiseLevel" in _read("out/a.ply").dims
    Path("x").mkdir()
    save("x/a.ply", hill[:100])
    assert "is the name of several inputs" in cli("denoise", "a.ply", "x/a.ply", "out").stderr


def test_one_bad_file_stops_no_other(cli: Cli, save: Save, hill: Floats, tmp_path: Path) -> None:
    save("b.ply", hill)
    (tmp_path / "a.ply").write_text("no cloud")
    (tmp_path / "c.ply").write_bytes(b"")
    (tmp_path / "out").mkdir()
    done = cli("denoise", "a.ply", "b.ply", "c.ply", "out")
    assert done.exit_code == 1
    assert "a.ply: is not a PLY file" in done.stderr
    assert "c.ply: is empty (0 bytes)" in done.stderr
    last = done.stderr.strip().split("\n")[-1]
    assert last == "2 of 3 files were not cleaned: a.ply, c.ply; above it says why. The others are in out"
    assert os.listdir(tmp_path / "out") == ["b.ply"]
    alone = cli("denoise", "a.ply", "d.ply")
    assert alone.exit_code == 1
    assert "not cleaned" not in alone.stderr


def test_a_missing_folder_is_made_when_asked(cli: Cli, save: Save, hill: Floats) -> None:
    save("in.ply", hill)
    refused = cli("run", '["in.ply", "new/deep/out.ply"]')
    assert refused.exit_code == 1
    assert "folder new/deep does not exist; create it ('--mkdir' does)" in refused.stderr
    assert cli("run", '["in.ply", "new/deep/out.ply"]', "--mkdir").exit_code == 0
    assert len(_read("new/deep/out.ply")) == 600


def test_validate_looks_for_the_files_that_filters_read(cli: Cli) -> None:
    filters = [{"type": "filters.spd", "weights": "w.safetensors"}, {"type": "filters.metrics", "reference": "r.las"}]
    spec = json.dumps(["a.las", *filters, "b.las"])
    done = cli("validate", spec)
    assert done.exit_code == 2
    assert [error.split(": ")[1] for error in json.loads(done.stdout)["error_detail"]] == ["w.safetensors", "r.las"]


def test_info_of_several_files_and_of_heads(cli: Cli, save: Save, hill: Floats) -> None:
    for name in ("a.las", "b.las"):
        save(name, hill)
    told = json.loads(cli("info", "?.las", "--json", "--summary").stdout)
    assert [(one["file"], one["points"], one["spacing"]) for one in told] == [
        ("a.las", 600, None),
        ("b.las", 600, None),
    ]
    np.testing.assert_allclose(told[0]["bounds"]["min"], hill.min(axis=0), atol=0.011)
    assert json.loads(cli("info", "a.las", "--json").stdout)["spacing"] > 0
    done = cli("info", "nothing.las", "a.las")
    assert done.exit_code == 1
    assert "nothing.las" in done.stderr
    assert "a.las" in done.stdout


def _bare(words: list[str], folder: Path, redirected: str, **env: str) -> subprocess.CompletedProcess[str]:
    """The command as a shell starts it, with its streams ``redirected``."""
    line = shlex.join([sys.executable, "-m", "deburr.cli.main", *words]) + " " + redirected
    return subprocess.run(
        line, shell=True, cwd=folder, env={**os.environ, **env}, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("redirected", ["2>&-", "2>/dev/full", "<&- 2>&-"])
def test_words_that_nobody_hears_stop_nothing(save: Save, hill: Floats, tmp_path: Path, redirected: str) -> None:
    save("in.ply", hill)
    spec = json.dumps(["in.ply", {"type": "filters.noise", "sigma": 0.1}, "out.ply"])
    done = _bare(["run", spec], tmp_path, redirected)
    assert (done.returncode, done.stdout) == (0, "out.ply\n")
    assert len(_read(tmp_path / "out.ply")) == len(hill)
    # The old stderr's number went to no file that was written.
    assert (tmp_path / "out.ply").read_bytes().startswith(b"ply\n")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize(
    ("redirected", "why"), [(">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")]
)
@pytest.mark.parametrize("words", [["schema"], ["--help"], ["stages"]])
def test_results_that_nobody_gets_are_an_error(tmp_path: Path, words: list[str], redirected: str, why: str) -> None:
    done = _bare(words, tmp_path, redirected)
    assert done.returncode == 1
    assert done.stderr == f"stdout: cannot be written ({why}); free space, or send it elsewhere\n"


def test_a_backend_that_is_none_spoils_no_picture(save: Save, hill: Floats, tmp_path: Path) -> None:
    save("in.ply", hill)
    spec = json.dumps(["in.ply", "filters.outlier", "out.ply"])
    done = _bare(["run", spec, "--report", "rep"], tmp_path, "", MPLBACKEND="junk")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "rep/section.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("sent", "code"), [("SIGHUP", 130), ("SIGQUIT", 130), ("SIGXCPU", 130), ("SIGINT SIGHUP SIGTERM SIGINT", 130)]
)
def test_whatever_ends_a_run_lets_it_clear_away(tmp_path: Path, sent: str, code: int) -> None:
    script = """
import sys, time
from deburr.core.files import replacing
from deburr.cli import main as cli

class Slow(cli._Group):
    def get_command(self, ctx, name):
        return work

@cli.click.command()
def work():
    with replacing("out.txt") as temporary:
        temporary.write_text("half")
        print("writing", flush=True)
        try:
            time.sleep(60)
        finally:
            time.sleep(0.5)

cli.cli.__class__ = Slow
sys.argv[1:] = ["run"]
cli.main()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    for name in sent.split():
        process.send_signal(signal.Signals[name])
        time.sleep(0.05)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (code, "interrupted; no output was left half-written\n")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("error", ["RuntimeError", "DeburrError", "ImportError", "KeyboardInterrupt"])
def test_an_interrupt_that_comes_out_as_another_error_is_one(tmp_path: Path, error: str) -> None:
    script = f"""
import os, signal, sys
from deburr.core.errors import DeburrError
from deburr.cli import main as cli

class Turning(cli._Group):
    def get_command(self, ctx, name):
        return work

@cli.click.command()
def work():
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        raise {error}("Error calling __set_name__") from None

cli.cli.__class__ = Turning
sys.argv[1:] = ["run"]
cli.main()
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (130, "interrupted; no output was left half-written\n")


def test_what_is_ignored_stays_ignored(tmp_path: Path) -> None:
    script = """
import os, signal
signal.signal(signal.SIGHUP, signal.SIG_IGN)
from deburr.cli.main import _interruptible
with _interruptible():
    os.kill(os.getpid(), signal.SIGHUP)
    print("alive")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "alive\n")


def test_lines_stand_above_the_bar_and_not_in_it() -> None:
    import pty

    script = """
import logging, time
import click
from deburr.core.progress import advance
from deburr.cli.batch_view import BatchView
from deburr.cli.progress import shown

with BatchView("m") as view:
    view.stage("denoise", 25, 1000)
    time.sleep(0.2)
    view.resumed(23, 920)
    view.warn("a border is open")
    time.sleep(0.2)

@click.command()
def work():
    with shown(False, narrate=True):
        advance("training", 1, 4)
        time.sleep(0.2)
        logging.getLogger("deburr.x").info("step 1")
        time.sleep(0.2)

work()
"""
    ours, theirs = pty.openpty()
    subprocess.run(
        [sys.executable, "-c", script],
        stderr=theirs,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
        check=True,
        timeout=60,
    )
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    for line in ("23/25 done in an earlier run", "warning: a border is open", "step 1"):
        before, found, after = shown.partition(line)
        assert found, shown
        # A line begins where the bar was wiped out or a line ended, and ends before the bar is drawn again.
        assert before.endswith(("\x1b[2K", "\n")), repr(before[-80:])
        assert after.startswith("\r\n"), repr(after[:80])
