"""README and docs say what is: their commands, JSON and Python run as they stand, page by page, from top to bottom."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import click
import doc_pages
import numpy as np
import pytest
import reference_pages
from click.testing import CliRunner, Result
from doc_pages import DOCS, GENERATED, ROOT, Block
from PIL import Image

from deburr.cli.main import cli
from deburr.core.arrays import Dims
from deburr.core.cloud import PointCloud
from deburr.core.registry import _own, stage_class
from deburr.filters.spd import Spd
from deburr.pipeline import load, report_schema, run
from deburr.pipeline.describe import stage
from deburr.readers.las import LasReader
from deburr.train.recipe import Recipe
from deburr.writers.las import LasWriter

PAGES = [doc_pages.name(page) for page in doc_pages.pages()]
_KINDS = ("readers", "filters", "writers")
#: What is followed for longer than the others: real clouds, several processes.
_LONG = ("tutorials/first_cloud.md", "tutorials/folder.md", "how_to/cluster.md")
#: What else is typed in pages: nothing that these tests could hold to anything.
OTHERS = re.compile(
    r"(\. \S+/activate|CloudCompare -SILENT .*|dask (scheduler|worker) .*|apt install .*|(uv )?pip install .*"
    r"|_(PIPELINE|DEBURR)_COMPLETE=\w+_source pipeline > .*)$"
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the files that the pages speak of."""
    random = np.random.default_rng(0)
    plan = random.uniform(0, 5, (400, 2))
    clean = np.column_stack([plan, 0.1 * plan[:, 0]]) + np.array([500_000, 5_400_000, 300])
    dims: Dims = {
        "Classification": np.full(400, 2, np.uint8),
        "Intensity": np.full(400, 9, np.uint16),
        "ReturnNumber": np.ones(400, np.uint8),
    }
    for name, sigma in (("clean_scan", 0.0), ("truth", 0.0), ("noisy_scan", 0.03), ("noisy", 0.03)):
        noisy = clean + random.normal(0, 1, clean.shape) * sigma
        LasWriter(filename=str(tmp_path / f"{name}.laz")).write(PointCloud(noisy, dims))
    (tmp_path / "tiles").mkdir()
    for name, part in (("west", noisy[:, 0] < 500_002.5), ("east", noisy[:, 0] >= 500_002.5)):
        LasWriter(filename=str(tmp_path / "tiles" / f"{name}.laz")).write(PointCloud(noisy[part]))
    spec = next(block for block in doc_pages.blocks("reference/json.md", "json") if '"pipeline"' in block.text)
    (tmp_path / "denoise.json").write_text(spec.text)
    shutil.copytree(ROOT / "sample_data", tmp_path / "sample_data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Reader:
    """Whoever does what a page says, in an empty folder but for the files that it speaks of."""

    def __init__(self, page: str) -> None:
        self.page, self.names, self.results = page, dict[str, Any](), list[Any]()

    def follow(self) -> Reader:
        """Do all of it."""
        for block in doc_pages.blocks(self.page):
            if block.language not in ("text", "eval-rst"):
                getattr(self, block.language)(block)
        return self

    def sh(self, block: Block) -> None:
        for line in block.commands():
            program, *words = shlex.split(line)
            assert program == "pipeline", f"{line}: is no command of deburr's; give it as console"
            if words[0] == "train":  # minutes
                parsed(words)
                continue
            result = call(words)
            assert result.exit_code == 0, f"{line}\n{result.output}"

    def console(self, block: Block) -> None:
        """Shown and not run, since it needs what is not here; but no command, option or target that there is not."""
        for line in block.commands():
            program, *words = shlex.split(line.split(" | ")[-1])
            if program == "pipeline":
                parsed(words)
            elif program == "make":
                assert re.search(rf"^{words[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), line
            else:
                assert OTHERS.match(line), f"{line}: what is this?"

    def json(self, block: Block) -> None:
        value = json.loads(block.text)
        if doc_pages.is_recipe(value):
            Recipe.model_validate(value)
        elif block.of_pdal:
            assert self.page == "tutorials/pdal.md", "tests/pdal/test_pages.py runs those of one page"
        elif block.file is not None:  # run by a command
            load(value, input="noisy.laz", output="clean.laz")
        else:
            self.results.append(run(value))
            assert Path(load(value).writers[0].filename).stat().st_size > 0

        if block.file is not None:
            Path(block.file).write_text(block.text)
            lines = [
                line
                for kind in ("sh", "console")
                for one in doc_pages.blocks(self.page, kind)
                for line in one.commands()
            ]
            assert any(block.file in line for line in lines), f"{block.file}: no command takes it"

    def jsonl(self, block: Block) -> None:
        kinds = {next(iter(json.loads(line))) for line in block.text.splitlines()}
        assert kinds == {"progress", "warning", "error", "note"}

    def python(self, block: Block) -> None:
        if not block.of_pdal:
            exec(compile(block.text, self.page, "exec"), self.names)


def call(words: list[str]) -> Result:
    return CliRunner().invoke(cli, words, prog_name="pipeline")


def parsed(words: list[str]) -> None:
    """Read the line as the command line does. Raises for commands and options that there are not."""
    with click.Context(cli, info_name="pipeline") as context:
        _, command, rest = cli.resolve_command(context, list(words))
        assert command is not None
        while isinstance(command, click.Group):
            command, rest = command.commands[rest[0]], rest[1:]
        command.make_context(words[0], rest, parent=context)


@pytest.mark.filterwarnings("ignore::deburr.core.errors.DeburrWarning")
@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=[pytest.mark.slow] if page in _LONG else []) for page in PAGES]
)
def test_a_page_runs(page: str, folder: Path) -> None:
    Reader(page).follow()


def test_no_page_and_no_block_is_overlooked() -> None:
    assert len(PAGES) > 25
    for page in PAGES:
        fences = re.findall(r"^```", doc_pages.text(page), re.MULTILINE)
        toctrees = len(re.findall(r"^```\{(?:toctree|eval-rst)\}$", doc_pages.text(page), re.MULTILINE))
        assert len(fences) == 2 * (len(doc_pages.blocks(page)) + toctrees), page
    languages = {block.language for page in PAGES for block in doc_pages.blocks(page)}
    assert languages <= {"sh", "console", "json", "jsonl", "python", "text"}
    # What the README once held alone is somewhere to be run.
    counts = {kind: sum(len(doc_pages.blocks(page, kind)) for page in PAGES) for kind in ("sh", "json", "python")}
    assert counts["sh"] >= 20
    assert counts["json"] >= 20
    assert counts["python"] >= 4


@pytest.mark.filterwarnings("ignore::deburr.core.errors.DeburrWarning")
def test_what_is_undone_is_as_it_was(folder: Path) -> None:
    Reader("how_to/undo.md").follow()
    first = LasReader(filename="noisy.laz").read()
    for again in ("noisy_again.laz", "noisy_once_more.laz"):
        other = LasReader(filename=again).read()
        assert first.xyz.tobytes() == other.xyz.tobytes()
        assert first.dims.keys() == other.dims.keys()
    assert (LasReader(filename="undoable.laz").read().xyz != first.xyz).any()


def test_noise_that_was_added_is_removed(folder: Path) -> None:
    results = Reader("how_to/evaluate.md").follow().results
    figures = [stage["figures"] for result in results for stage in result.report["stages"]]
    (paired,) = (one for one in figures if "own_rms" in one.get("now", ()))
    assert paired["now"]["own_rms"] != paired["as_read"]["own_rms"]


@pytest.mark.filterwarnings("ignore::deburr.core.errors.DeburrWarning")
def test_python_cleans(folder: Path) -> None:
    names = Reader("reference/python.md").follow().names
    xyz, flat = np.asarray(names["xyz"]), {}
    for name in ("xyz", "clean", "there"):
        cloud = np.asarray(names[name])
        flat[name] = abs(cloud[:, 2] - 0.2 * cloud[:, 0]).mean()
    assert len(xyz) == len(names["there"]) == 2000
    assert max(flat["clean"], flat["there"]) < 0.6 * flat["xyz"]
    assert (folder / "out" / "section.png").is_file()


def test_the_recipes_are_of_both_kinds() -> None:
    recipes = [json.loads(block.text) for block in doc_pages.blocks("how_to/train.md", "json")]
    assert [Recipe.model_validate(recipe).objective for recipe in recipes] == [
        "self_supervised",
        "strips",
        "score_matching",
        "mirror",
        "score",
    ]
    shown = {word for block in doc_pages.blocks("how_to/train.md", "sh") for line in block.commands()
             for word in line.split() if word.startswith("--")}  # fmt: skip
    assert shown == {"--init", "--resume", "--prepare", "--count"}


def test_the_knobs_are_the_codes() -> None:
    between = doc_pages.text("reference/knobs.md").split("<!-- knobs: begin -->\n")[1].split("<!-- knobs: end -->")[0]
    rows = [[cell.strip().strip("`") for cell in line.split("|")[1:-1]] for line in between.splitlines()[2:]]
    assert {len(row) for row in rows} == {4}
    told = {row[0]: row[3] for row in rows}
    expert = {"model", "weights", "step_size", "step_decay", "neighbors"}
    fields = Spd.model_fields
    assert told.keys() == fields.keys() - expert - {"tag", "user_data"}
    for name, default in told.items():
        value = fields[name].default
        if value is not None:
            assert default == (json.dumps(value) if not isinstance(value, str) else value), name


def test_every_stage_has_its_page_with_every_option() -> None:
    made = reference_pages.stage_pages()
    assert made.keys() == {"stages/index.md", *(f"stages/{name}.md" for name in _own())}
    for name in _own():
        page, described = made[f"stages/{name}.md"], stage(name)
        assert f"[`{name}`]({name}.md)" in made["stages/index.md"]
        for option in described.options:
            assert f"| `{option.name}` |" in page, f"{name}: {option.name}"
            assert option.description, f"{name}: {option.name} is not described"
        for figure, told in stage_class(name).reports.items():
            assert f"| `{figure}` |" in page, f"{name}: {figure}"
            assert told.description, f"{name}: {figure} is not described"
        example = json.loads(re.findall(r"^```json\n(.*?)^```", page, re.DOTALL | re.MULTILINE)[0])
        kind, around = name.partition(".")[0], ["noisy.laz", "filters.spd", "clean.laz"]
        load([*around[: _KINDS.index(kind)], example, *around[_KINDS.index(kind) + 1 :]])


def test_every_command_has_its_page_with_every_option() -> None:
    made = reference_pages.command_pages()
    assert {"commands/run.md", "commands/weights_import.md", "commands/convert-pdal.md"} < made.keys()
    for name, command in reference_pages.own_commands():
        page = made[f"commands/{name.replace(' ', '_')}.md"]
        for option in (one for one in command.params if isinstance(one, click.Option)):
            assert option.opts[0] in page, f"{name}: {option.opts[0]}"
            assert option.help, f"{name}: {option.opts[0]} is not described"


def test_the_report_and_the_recipe_have_every_key() -> None:
    run_, batch = report_schema.schema()["oneOf"]
    page = reference_pages.report_page()
    for key in {*run_["properties"], *batch["properties"]}:
        assert f"| `{key}` |" in page
    assert "| `stages[].moved.median` |" in page
    recipe = reference_pages.recipe_page()
    for name, field in Recipe.model_fields.items():
        assert f"| `{name}` |" in recipe
        assert field.description, name


def test_links_lead_somewhere() -> None:
    """Between the pages as they lie in the repository; the site's own are checked where it is built."""
    wrong = []
    for page in [*doc_pages.pages(), *(ROOT / name for name in ("CONTRIBUTING.md", "DESIGN.md", "SECURITY.md"))]:
        prose = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
        for target in re.findall(r"\]\(([^)\s]+)\)", prose):
            if "://" in target:
                continue
            path = (page.parent / target.partition("#")[0]).resolve()
            generated = path.is_relative_to(DOCS) and path.relative_to(DOCS).as_posix().startswith(GENERATED)
            if not generated and not path.exists():
                wrong.append(f"{page.name}: {target}")
    assert wrong == []


def test_files_that_are_named_exist() -> None:
    for page in PAGES:
        for path in re.findall(r"(?<![\w/])(?:sample_data|benchmarks|stages)/[\w/.]*\w", doc_pages.text(page)):
            if not path.startswith(("stages/index", "stages/filters.", "stages/readers.", "stages/writers.")):
                assert (ROOT / path).exists(), f"{page}: {path}"
    assert (ROOT / "sample_data" / "section.png").stat().st_size < 300_000


def test_pictures_are_small_and_shown() -> None:
    pictures = {path.name for path in (DOCS / "pictures").glob("*.png")}
    shown = {one for page in PAGES for one in re.findall(r"pictures/(\w+\.png)", doc_pages.text(page))}
    assert pictures == shown
    assert all((DOCS / "pictures" / name).stat().st_size < 150_000 for name in pictures)


def test_the_picture_of_the_sample_is_of_the_demo_as_it_is() -> None:
    """Its title, which the file holds as text, has the distances that README shows."""
    title = Image.open(ROOT / "sample_data" / "section.png").info["Title"]
    told = re.search(r"distance to the true surface, RMS +(.*)", doc_pages.text("README.md"))
    assert told is not None
    assert title.split(": ")[1] == told[1]


@pytest.mark.parametrize(
    ("question", "word"),
    [
        ("how to denoise a folder", "pipeline batch"),
        ("what Uncertainty means", "Uncertainty"),
        ("how to undo", "filters.restore"),
        ("why a forest hardly changes", "forest"),
    ],
)
def test_the_readme_answers(question: str, word: str) -> None:
    """In a few lines of its own, and with a link to the page that tells all of it."""
    text = doc_pages.text("README.md")
    assert len(text.splitlines()) < 200, "two pages"
    (paragraph,) = (part for part in text.split("\n\n") if word in part and "](docs/" in part)
    assert len(paragraph) > 150, question
