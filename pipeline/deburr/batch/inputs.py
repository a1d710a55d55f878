"""Which files a batch reads: folders, globs and virtual point clouds become lists of files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from deburr.core.addresses import Address, Named, is_address
from deburr.core.cut import Box
from deburr.core.errors import DeburrError, SpecError, did_you_mean
from deburr.core.files import is_pattern, matching
from deburr.core.registry import by_extension, extensions, stage_class
from deburr.core.stage import Reader

_VPC = ".vpc"
#: Extensions of lists of files.
_LISTS = (_VPC, ".json", ".geojson")
Identity = tuple[int | str, ...]


def kind_of(path: str | Named) -> str | None:
    """The type of the reader for a file of this extension; None if there is none."""
    return by_extension("readers", str(path))


def expand(words: Sequence[str], known: Sequence[Named] = (), bounds: Box | None = None) -> list[Named]:
    """The files that ``words`` name, in their order: files, folders, globs, and lists: virtual point clouds (.vpc) and
    catalogues (STAC, .json); files and lists may be addresses. Of files that a list says to lie far from ``bounds``,
    none is given.

    A folder gives the point clouds directly in it, a glob those that match, by name and without hidden ones. Of what
    may be something else, as .txt, only a name or a glob that ends so gives any. Files that are among the ``known``
    are left out. Raises `SpecError` with all problems: a name that stands for nothing, a file of no known format, a
    file that is named twice, be it through a link.
    """
    if not words:
        raise SpecError("no inputs are given; name files, folders, globs or a .vpc file")
    problems: list[str] = []
    found: list[Named] = []
    for word in words:
        try:
            found += _expanded(word, bounds)
        except SpecError as error:
            problems += error.errors
        except DeburrError as error:
            problems.append(str(error))
        except OSError as error:
            problems.append(f"{word}: cannot be read ({error.strerror}); check the path and its permissions")
    first: dict[Identity, Named] = {}
    taken = {identity(path) for path in known}
    kept = []
    for path in found:
        if isinstance(path, Path) and not path.is_file():
            problems.append(f"{path}: is no file, or a link to none; remove it, or name the files themselves")
            continue
        key = identity(path)
        if key in first:
            problems.append(f"{path}: is named twice{_also(first[key], path)}; name it once")
        elif key not in taken:
            kept.append(path)
        first.setdefault(key, path)
    if problems:
        raise SpecError(problems)
    return kept


def files(words: Sequence[str], batch: str) -> list[Path]:
    """The files that ``words`` name: files, existing or not, and globs; a name that is a file's is no glob.

    Raises `SpecError` for a folder or a virtual point cloud, with the command ``batch`` that takes them, and for a glob
    that matches no point cloud.
    """
    found: list[Path] = []
    for word in words:
        path = Path(word)
        if path.is_dir() or path.suffix.lower() == _VPC:
            what = "a folder" if path.is_dir() else "a virtual point cloud"
            raise SpecError(f"{word}: is {what}, and files are taken here; give them, or clean all of it with: {batch}")
        found += _matching(word) if is_pattern(word) else [path]
    return found


def identity(path: str | Named) -> Identity:
    """What is the same for all names and links of one file; of an address, what is shown of it, since reports and
    ledgers know a file by that."""
    if isinstance(path, Address):
        return (str(path),)
    state = os.stat(path)
    return state.st_dev, state.st_ino


def _also(first: Named, path: Named) -> str:
    return "" if str(first) == str(path) else f", also as {first}"


def _expanded(word: str, bounds: Box | None) -> list[Named]:
    if is_address(word):
        return _of_file(Address(word), bounds)
    path = Path(word)
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if _is_cloud(file, "") and file.name[0] != ".")
        if not files:
            raise SpecError(f"{word}: this folder holds no point clouds ({_known()}); name another")
        return [*files]
    if path.exists():
        return _of_file(path, bounds)
    if not is_pattern(word):
        raise SpecError(f"{word}: does not exist{_near(path) or '; check the path'}")
    return [*_matching(word)]


def _matching(word: str) -> list[Path]:
    path = Path(word)
    if path.exists():  # no pattern after all
        return [path]
    matches = [Path(match) for match in matching(word)]
    files = [file for file in matches if _is_cloud(file, path.suffix)]
    if not files:
        others = "but other files" if matches else "and no other file"
        raise SpecError(f"{word}: matches no point clouds ({_known()}) {others}; check the pattern")
    return files


def _of_file(path: Named, bounds: Box | None) -> list[Named]:
    if path.suffix.lower() in _LISTS:
        from deburr.batch import lists

        found = lists.read(path, bounds)
        problems = [f"{path}: names {file}, which {_unknown(file)}" for file in found if kind_of(file) is None]
        if problems:
            raise SpecError(problems)
        return found
    if kind_of(path) is None:
        raise SpecError(f"{path}: {_unknown(path)}")
    return [path]


def _is_cloud(path: Path, named: str) -> bool:
    """Whether a file is a point cloud by its extension; ``named``: that of the words which it was found by."""
    kind, extension = kind_of(path), path.suffix.lower()
    if kind is None or path.is_dir():
        return False
    reader = stage_class(kind)
    doubtful = issubclass(reader, Reader) and extension.removeprefix(".") in reader.ambiguous
    return not doubtful or extension == named.lower()


def _unknown(path: Named) -> str:
    missing = "that is known" if path.suffix else "to tell its format"
    return f"has no extension {missing} ({_known()}); rename or convert it"


def _known() -> str:
    return ", ".join(f".{extension}" for extension in sorted(extensions("readers")))


def _near(path: Path) -> str:
    try:
        names = [file.name for file in path.parent.iterdir()]
    except OSError:
        return ""
    return did_you_mean(path.name, names)
