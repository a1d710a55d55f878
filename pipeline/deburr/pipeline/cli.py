"""The command line: `pipeline run denoise.json`. The module of a command is imported when the command is called.

stdout carries results only (for `run` and `denoise`: the paths of the files written, one a line); all else goes to
stderr. Exit codes: 0 done, 1 the run failed, 2 the spec or the command is wrong, 130 interrupted.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from importlib import import_module
from typing import Any, NoReturn

import click

from deburr.core.errors import DeburrError

#: Command -> module, help line. The line stands here so that --help imports no module.
_COMMANDS = {
    "run": ("deburr.pipeline.cli_run", "Run the pipeline of a JSON file."),
    "validate": ("deburr.pipeline.cli_run", "Check a pipeline without reading a point."),
    "denoise": ("deburr.pipeline.cli_run", "Denoise one file; no JSON needed."),
    "batch": ("deburr.pipeline.cli_batch", "Run a pipeline over many files, tile by tile."),
    "info": ("deburr.pipeline.cli_info", "What is in a point cloud."),
    "stages": ("deburr.pipeline.cli_stages", "The stages there are, and their options."),
    "schema": ("deburr.pipeline.cli_stages", "JSON Schema of pipelines, for editors."),
    "weights": ("deburr.pipeline.cli_weights", "Import and show network weights."),
    "train": ("deburr.pipeline.cli_train", "Train a denoising network."),
    "pdal-script": ("deburr.plugins.cli_pdal", "The path of the script that PDAL's filters.python runs."),
    "pdal-preset": ("deburr.plugins.cli_pdal", "Write a file of options for PDAL's filters.python."),
    "pdal-doctor": ("deburr.plugins.cli_pdal", "Find out why deburr does not run inside PDAL."),
    "convert-pdal": ("deburr.plugins.cli_pdal", "Put the denoiser into a PDAL pipeline."),
}


class _Group(click.Group):
    """Loads commands when they are called, and turns errors into one sentence and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        command = getattr(import_module(_COMMANDS[name][0]), name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in _COMMANDS.items()])

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        try:
            return super().make_context(*args, **kwargs)
        except click.ClickException as error:
            raise _shown(error) from None

    def invoke(self, ctx: click.Context) -> Any:
        # What libraries warn of is for --debug; what users must know, stages put into the report.
        logging.getLogger("py.warnings").addHandler(logging.NullHandler())
        logging.captureWarnings(True)
        try:
            with _terminated_as_interrupted():
                return super().invoke(ctx)
        except DeburrError as error:
            _fail(ctx, str(error), error.exit_code)
        except KeyboardInterrupt:
            _fail(ctx, "interrupted; no output was left half-written", 130)
        except click.ClickException as error:
            raise _shown(error) from None
        except (click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            _fail(ctx, f"unexpected {type(error).__name__}: {error}; run again with --debug for the traceback", 1)
        finally:
            logging.captureWarnings(False)


def _fail(ctx: click.Context, message: str, code: int) -> NoReturn:
    if ctx.find_root().meta.get("debug"):
        raise  # within the handler that called: the traceback is what --debug asks for
    from deburr.pipeline.cli_say import say_all

    say_all(message)
    ctx.exit(code)


def _shown(error: click.ClickException) -> click.ClickException:
    """The error, which says what was typed, without what a terminal would obey."""
    from deburr.core.text import printable

    for name, value in vars(error).items():
        if isinstance(value, str):
            setattr(error, name, printable(value))
    return error


class _terminated_as_interrupted:
    """SIGTERM ends a run as Ctrl-C does, so that temporary files are cleared away."""

    def __enter__(self) -> None:
        def stop(*_: object) -> None:
            raise KeyboardInterrupt

        try:
            self._old: Any = signal.signal(signal.SIGTERM, stop)
        except ValueError:  # not in the main thread: nothing to take over
            self._old = None

    def __exit__(self, *_: object) -> None:
        if self._old is not None:
            signal.signal(signal.SIGTERM, self._old)


def common(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every command: --quiet and --debug."""

    def keep(ctx: click.Context, option: click.Parameter, value: bool) -> bool:
        ctx.find_root().meta[str(option.name)] = value
        return value

    debug = click.option(
        "--debug", is_flag=True, is_eager=True, expose_value=False, callback=keep, help="Show tracebacks and the log."
    )
    quiet = click.option("--quiet", "-q", is_flag=True, help="No progress and no summary; warnings and errors remain.")
    return quiet(debug(command))


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="deburr", prog_name="pipeline")
def cli() -> None:
    """Clean LiDAR and scan point clouds by declarative JSON pipelines."""


def main() -> None:
    """The console script ``pipeline``."""
    cli(prog_name="pipeline")


if __name__ == "__main__":
    main()
