"""The command line: `pipeline run denoise.json`. The module of a command is imported when the command is called.

stdout carries results only (for `run` and `denoise`: the paths of the files written, one a line); all else goes to
stderr, as lines for programs with `--progress json`. Exit codes: 0 done, 1 the run failed, 2 the spec or the command is
wrong, 130 interrupted.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from difflib import get_close_matches
from math import inf
from pathlib import Path
from typing import IO, Any, NoReturn

import click

from deburr.cli import commands
from deburr.cli import streams as _streams
from deburr.cli.complete import STAGE
from deburr.cli.shared import asks_for_json
from deburr.core.errors import DeburrError
from deburr.core.interrupts import ask, repeated

#: The exit code of what was interrupted.
_INTERRUPTED = 130


class _Group(click.Group):
    """Loads commands when they are called, and turns errors into one sentence and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(commands.names())

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        return commands.get(name)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            raise click.UsageError(f"{error.message}{_HABITS.get(args[0], '')}", ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(commands.lines())

    def main(self, args: Sequence[str] | None = None, *more: Any, **options: Any) -> Any:
        from deburr.cli.say import in_json

        with in_json(asks_for_json(sys.argv[1:] if args is None else args)):
            return super().main(args, *more, **options)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        try:
            return super().make_context(*args, **kwargs)
        except click.ClickException as error:
            raise _shown(error) from None

    def invoke(self, ctx: click.Context) -> Any:
        import logging  # which help does without

        # What libraries warn of is for --debug; what users must know, stages put into the report.
        logging.getLogger("py.warnings").addHandler(logging.NullHandler())
        logging.captureWarnings(True)
        try:
            with _interruptible():
                return super().invoke(ctx)
        except DeburrError as error:
            _fail(ctx, str(error), error.exit_code)
        except KeyboardInterrupt:
            _fail(ctx, "interrupted; no output was left half-written", _INTERRUPTED)
        except click.NoSuchOption as error:
            raise _shown(_explained(error)) from None
        except click.ClickException as error:
            raise _shown(error) from None
        except (click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            _fail(ctx, f"unexpected {type(error).__name__}: {error}; run again with --debug for the traceback", 1)
        finally:
            logging.captureWarnings(False)


#: What PDAL's users are in the habit of, and what it is called here.
_HABITS = {
    "pipeline": " The command is 'pipeline run SPEC'.",
    "translate": " Give 'pipeline denoise IN OUT', or 'pipeline run SPEC --input IN --output OUT'.",
    "merge": " Give 'pipeline run' a list of files with 'filters.merge' behind them.",
    "tile": " Give 'pipeline batch SPEC INPUTS --out DIR --retile SIDE'.",
    "--validate": "the command is 'pipeline validate SPEC'",
    "--metadata": "give '--report DIR', and see report.json in it",
    "--stats": "give 'pipeline info FILE' alone",
    "--all": "give 'pipeline info FILE' alone",
    "--stream": "leave it out; '--memory SIZE' runs large files in tiles",
    "--nostream": "leave it out; '--memory SIZE' runs large files in tiles",
    "--progress": "leave it out; progress is shown on stderr",
    "--log": "give '--debug', which shows the log on stderr",
}


def _explained(error: click.NoSuchOption) -> click.ClickException:
    """The error with the option that was meant, if one is near: dashes, which all have in common, make none so."""
    habit = _HABITS.get(error.option_name)
    if habit is not None:
        return click.UsageError(f"No such option: {error.option_name}: {habit}.", error.ctx)
    names = {} if error.ctx is None else {n.lstrip("-"): n for p in error.ctx.command.params for n in p.opts}
    near = get_close_matches(error.option_name.lstrip("-"), [n for n in names if len(n) > 1], n=2, cutoff=0.7)
    return click.NoSuchOption(error.option_name, possibilities=[names[n] for n in near], ctx=error.ctx)


def _fail(ctx: click.Context, message: str, code: int) -> NoReturn:
    from deburr.cli.say import is_json, say_all, tell

    if ctx.find_root().meta.get("debug"):
        if not is_json():
            raise  # within the handler that called: the traceback is what --debug asks for
        from traceback import format_exc

        tell({"note": format_exc()})
    say_all(message)
    ctx.exit(code)


def _shown(error: click.ClickException) -> click.ClickException:
    """The error, which says what was typed, without what a terminal would obey."""
    from deburr.cli.say import is_json
    from deburr.core.text import printable

    if is_json():
        return _Told(error)
    if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):  # of click 8.2: the help, as it stands
        return error
    for name, value in vars(error).items():
        if isinstance(value, str):
            setattr(error, name, printable(value))
    return error


class _Told(click.ClickException):
    """An error of the command line, for a program that reads stderr."""

    def __init__(self, error: click.ClickException) -> None:
        super().__init__(error.format_message())
        vars(self)["exit_code"] = error.exit_code

    def show(self, file: IO[Any] | None = None) -> None:
        from deburr.cli.say import say_all

        say_all(self.message)


#: What ends a run as Ctrl-C does: a request, a terminal that is closed, Ctrl-\\, a limit of processor time; on Windows
#: Ctrl-Break, which is what a program that began it can send.
_ENDING = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGXCPU", "SIGBREAK")
#: Seconds: what comes so soon after an interrupt is the same one, and must not tear its clearing away apart.
_SAME = 1.0


class _interruptible:
    """Whatever asks the process to end interrupts it, so that temporary files are cleared away.

    A terminal that is closed asks several times over, and so may whoever presses Ctrl-C. What is ignored (by nohup, or
    in the background) stays ignored. An interrupt may come out as another error: Python makes a RuntimeError of one
    that hits a class being made, which libraries do as they load, and some of them turn any end into an error of
    theirs. So every error that follows on an interrupt is the interrupt.
    """

    def __init__(self) -> None:
        self._asked = False
        self._before: dict[int, Any] = {}
        self._last = -inf
        self._repeated = repeated(KeyboardInterrupt, self._again)

    def __enter__(self) -> None:
        self._repeated.__enter__()
        for name in _ENDING:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                with suppress(ValueError):  # not in the main thread: nothing to take over
                    self._before[number] = signal.signal(number, self._interrupt)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._repeated.__exit__(None, None, None)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        ends = isinstance(error, click.exceptions.Exit | BrokenPipeError) or not isinstance(error, Exception)
        if self._asked and not ends:
            raise KeyboardInterrupt

    def _interrupt(self, *_: object) -> None:
        self._asked = True
        now = time.monotonic()
        same, self._last = now - self._last < _SAME, now
        if not same:
            raise KeyboardInterrupt

    def _again(self) -> None:
        self._last = -inf
        ask(signal.SIGINT)


def _as_pdal(ctx: click.Context, option: click.Parameter, value: Any) -> None:
    """PDAL's `--drivers` and `--options NAME`: what `stages` prints."""
    if not value or ctx.resilient_parsing:
        return
    from deburr.cli.stages import stages

    try:
        ctx.invoke(stages, name=None if value is True or value == "all" else value, quiet=False)
    except DeburrError as error:
        _fail(ctx, str(error), error.exit_code)
    ctx.exit()


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="deburr", prog_name="pipeline")
@click.option("--drivers", is_flag=True, is_eager=True, expose_value=False, callback=_as_pdal, help="As 'stages'.")
@click.option(
    "--options",
    metavar="STAGE",
    type=STAGE,
    is_eager=True,
    expose_value=False,
    callback=_as_pdal,
    help="As 'stages STAGE'.",
)
def cli() -> None:
    """Clean LiDAR and scan point clouds by declarative JSON pipelines."""


def main() -> None:
    """The console scripts ``pipeline`` and ``deburr``, and ``python -m deburr``: one command."""
    _streams.settle()
    try:
        cli(prog_name="deburr" if Path(sys.argv[0]).stem in ("deburr", "__main__") else "pipeline")
    except SystemExit as end:
        # What was asked for is done or given up; an interrupt that comes now must not make its end look otherwise.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if end.code == _INTERRUPTED:
            # All is cleared away by now. A library that was being loaded would not survive being taken down in order,
            # and Python itself may remember the interrupt and end by the signal instead.
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError, AttributeError):
                    stream.flush()
            os._exit(_INTERRUPTED)
        raise
    except OSError as error:  # of help, which click prints itself
        _streams.drop_results()
        click.echo(f"stdout: cannot be written ({error.strerror or error}); free space, or send it elsewhere", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
