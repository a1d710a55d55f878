"""A web server of a file or several, for tests: it answers ranges, counts what it gives, and goes wrong as it is told
to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

Handler = BaseHTTPRequestHandler


@dataclass
class Site:
    """What is served, and what was asked for. ``files``: by their paths, where there are several; what is none of these
    is not there. ``faults``: what is done instead of answering, one a request; None, or what returns True: the answer.
    ``given``: bytes of
    each path."""

    data: bytes
    address: str = ""
    etag: str | None = '"1"'
    modified: str | None = None
    ranges: bool = True
    name: str = "tile.copc.laz"
    asked: list[str | None] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    sent: int = 0
    faults: list[Callable[[Handler], bool | None] | None] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    given: dict[str, int] = field(default_factory=dict)

    def url(self, login: str = "", query: str = "", name: str = "") -> str:
        host = self.address.removeprefix("http://")
        return f"http://{login}{host}/{name or self.name}{query}"


def status(code: int, **headers: str) -> Callable[[Handler], None]:
    """Answer ``code`` and nothing else."""

    def answer(handler: Handler) -> None:
        handler.send_response(code)
        for key, value in headers.items():
            handler.send_header(key, value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


class _Handler(BaseHTTPRequestHandler):
    site: Site
    stop_after: int | None = None

    def log_message(self, *_: Any) -> None: ...

    def do_GET(self) -> None:
        site = self.site
        site.asked.append(self.headers.get("Range"))
        site.headers.append(dict(self.headers))
        fault = site.faults.pop(0) if site.faults else None
        if fault is not None:
            went_well = fault(self)
            if not (went_well or hasattr(fault, "goes_on")):
                return
        name = unquote(self.path.partition("?")[0]).lstrip("/")
        if site.files and name not in site.files:
            return status(404)(self)
        data = site.files.get(name, site.data)
        begin, end = 0, len(data)
        if site.ranges and (asked := self.headers.get("Range")):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            begin, end = int(first), min(int(last or 10**18) + 1, end)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(data)}")
        else:
            self.send_response(200)
        if site.etag:
            self.send_header("ETag", site.etag)
        if site.modified:
            self.send_header("Last-Modified", site.modified)
        self.send_header("Content-Length", str(end - begin))
        self.end_headers()
        body = data[begin:end]
        if self.stop_after is not None:
            body = body[: self.stop_after]
            self.close_connection = True
        site.sent += len(body)
        site.given[name] = site.given.get(name, 0) + len(body)
        try:
            self.wfile.write(body)
        except OSError:  # who asked wanted no more
            self.close_connection = True


def stop_after(count: int) -> Callable[[Handler], None]:
    """Give ``count`` bytes of the answer, and no more."""

    def fault(handler: Handler) -> None:
        handler.stop_after = count  # type: ignore[attr-defined]

    fault.goes_on = True  # type: ignore[attr-defined]
    return fault


@contextmanager
def served(data: bytes = b"", **files: bytes) -> Iterator[Site]:
    """A site at a port of this machine's."""
    site = Site(data, files=files)
    handler = type("Handler", (_Handler,), {"site": site})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    site.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
