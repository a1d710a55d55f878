"""The tree of an E57 file: its XML, kept as it is spelt, so that what nobody knows is written as it was read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from deburr.formats.e57.pages import Pages, damaged

#: Elements in each other; the standard has about ten.
_DEEPEST = 50


@dataclass(eq=False)
class Node:
    """An element. ``text`` is what stands in it, where it has no children."""

    name: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Node] = field(default_factory=list)
    text: str = ""

    @property
    def type(self) -> str:
        """The kind of node: Structure, Vector, CompressedVector, Integer, ScaledInteger, Float, String, Blob."""
        return self.attributes.get("type", "")

    def find(self, *names: str) -> Node | None:
        """The first child of the first name, and so on from there; None if there is none."""
        node: Node | None = self
        for name in names:
            node = next((child for child in node.children if child.name == name), None) if node else None
        return node

    def add(self, name: str, type_: str, text: str = "", **attributes: str) -> Node:
        """A new child."""
        child = Node(name, {"type": type_, **attributes}, text=text)
        self.children.append(child)
        return child

    def walk(self) -> Iterator[Node]:
        """This element and all below it."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting += reversed(node.children)

    def copied(self) -> Node:
        """The same elements anew."""
        return Node(self.name, dict(self.attributes), [child.copied() for child in self.children], self.text)


def parse(pages: Pages) -> Node:
    """The tree of a file. Raises `ReadError`."""
    return _Parser(pages.path).parse(pages.read(*pages.xml).tobytes())


class _Parser:
    def __init__(self, path: str) -> None:
        self.path = path
        self.open: list[Node] = []
        self.root: Node | None = None

    def parse(self, text: bytes) -> Node:
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = self._entities  # which E57 has not, and which can be made to swell
        try:
            parser.Parse(text, True)
        except (expat.ExpatError, ValueError, LookupError) as error:
            raise damaged(self.path, f"its XML cannot be read ({error})") from error
        if self.root is None or self.root.name.rpartition(":")[2] != "e57Root":
            raise damaged(self.path, "its XML is none of E57")
        return self.root

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        node = Node(name, dict(attributes))
        if len(self.open) >= _DEEPEST:
            raise damaged(self.path, "its XML is nested too deep")
        if self.open:
            self.open[-1].children.append(node)
        else:
            self.root = node
        self.open.append(node)

    def _end(self, _: str) -> None:
        node = self.open.pop()
        if node.children:
            node.text = ""

    def _text(self, text: str) -> None:
        self.open[-1].text += text

    def _entities(self, *_: object) -> None:
        raise damaged(self.path, "its XML declares a document type, which E57 has not")


def as_xml(root: Node) -> bytes:
    """The XML of a tree."""
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + "".join(_lines(root)).encode("utf-8", "replace")


def _lines(node: Node) -> Iterator[str]:
    told = "".join(f" {name}={quoteattr(value)}" for name, value in node.attributes.items())
    if node.children:
        yield f"<{node.name}{told}>\n"
        for child in node.children:
            yield from _lines(child)
        yield f"</{node.name}>\n"
    elif node.text:
        yield f"<{node.name}{told}>{escape(node.text, {chr(13): '&#13;'})}</{node.name}>\n"
    else:
        yield f"<{node.name}{told}/>\n"
