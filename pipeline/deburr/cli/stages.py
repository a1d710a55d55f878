"""`pipeline stages`, `pipeline schema`: the stages as the code declares them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from io import StringIO

import click

from deburr.cli.complete import STAGE
from deburr.cli.say import give, result, unmarked
from deburr.cli.shared import common
from deburr.core.text import printable


@click.command()
@click.argument("name", required=False, type=STAGE)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--markdown", is_flag=True, help="Print a Markdown table.")
@common
def stages(name: str | None, as_json: bool, markdown: bool, quiet: bool) -> None:
    """List the stages there are, or the options of the stage NAME with their types, defaults and units."""
    from deburr.pipeline import describe

    described = describe.stages() if name is None else [describe.stage(name)]
    if as_json:
        found = [stage.as_json() for stage in described]
        result(json.dumps(found if name is None else found[0], indent=2))
    elif markdown:
        result(describe.markdown(described, options=name is not None))
    elif name is None:
        _table([(stage.name, unmarked(stage.summary)) for stage in described], ("stage", "what it does"))
        for line in describe.elsewhere():
            give(line)
    else:
        result(f"{described[0].name}\n\n{unmarked(described[0].text)}\n")
        rows = [(o.name, o.allowed, o.default, o.unit, unmarked(o.description)) for o in described[0].options]
        _table(rows, ("option", "takes", "default", "unit", "what it is"))


def _table(rows: Sequence[tuple[str, ...]], header: tuple[str, ...]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # Where no terminal sets a width, lines are as long as they need to be.
    shown, printed = sys.stdout.isatty(), StringIO()
    console = Console(file=printed, force_terminal=shown, width=None if shown else 160)
    table = Table(*header, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    console.print(table)
    result(printed.getvalue(), newline=False)


@click.command()
@click.option("--report", is_flag=True, help="That of report.json instead, of runs and of batches.")
@common
def schema(report: bool, quiet: bool) -> None:
    """Print the JSON Schema of pipelines. An editor that is told of it completes and checks stages and options."""
    from deburr.pipeline import describe, report_schema

    result(json.dumps(report_schema.schema() if report else describe.schema(), indent=2))
