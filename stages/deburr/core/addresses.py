"""Names that are addresses on the web rather than paths, and how they are shown: without what only their owner may
know. Names and passwords stand before the host, and the query of a signed address opens what it leads to."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

#: What is said of a web server that is to be written to.
NO_FILES = "lies on a web server, which takes no files; write to a store (s3://, gs://, az://), or to a file here"
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
#: Those of which somebody has made a path have lost a slash.
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]{1,15}://|(?:https?|s3|gs|gcs|az|abfss?):/"
_ANYWHERE = re.compile(rf"(\b(?:{_SCHEME}))([^\s/?#'\"]*@)?([^\s?#'\"]*)([?#][^\s'\"]*)?")

#: What signatures of stores' addresses consist of: Amazon's and Google's, Azure's, and CloudFront's.
_SIGNS = re.compile(
    r"x-(amz|goog)-[a-z-]+|x-id|s[eirpstv]|ses|sig|sip|spr|sk[estv]|skoid|sktid"
    r"|signature|expires|policy|key-pair-id|awsaccesskeyid|googleaccessid",
    re.IGNORECASE,
)


def is_address(name: str) -> bool:
    """Whether ``name`` is an address, such as ``https://host/file.laz``."""
    return _ADDRESS.match(name) is not None


def was_address(path: object) -> bool:
    """Whether ``path`` is an address, or was one before somebody made a path of it."""
    return re.match(_SCHEME, str(path)) is not None


def is_told(address: str) -> bool:
    """Whether what anybody may see of ``address`` tells the file from all others: it has no query, or one that signs
    it and does nothing else. Other queries may name a file."""
    query = urlsplit(address).query
    return all(_SIGNS.fullmatch(name) for name, _ in parse_qsl(query, keep_blank_values=True))


def shown(text: str) -> str:
    """``text`` with the addresses in it as anybody may see them."""
    return _ANYWHERE.sub(_shown, text) if ":/" in text else text


def _shown(found: re.Match[str]) -> str:
    scheme, _, place, secret = found.groups()
    return scheme + place + (":" if (secret or "").endswith(":") else "")  # of the sentence


@dataclass(frozen=True)
class Address:
    """An address in the place of a path: it is named by its last segment, and shown without what is secret."""

    full: str = field(repr=False)

    def __str__(self) -> str:
        return shown(self.full)

    @property
    def name(self) -> str:
        """Of the file: the path's last segment."""
        return PurePosixPath(str(self).partition("://")[2].partition("/")[2]).name

    @property
    def stem(self) -> str:
        """That without its extension."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """Its extension, with the dot."""
        return PurePosixPath(self.name).suffix

    def join(self, link: str) -> Address:
        """Where a ``link`` in this file leads to, which may be relative. The query of a signed address is this file's
        alone; a name and password are those of the server."""
        if is_address(link):
            return Address(link)
        scheme, place, path, _, _ = urlsplit(self.full)
        if link.startswith("//"):
            return Address(f"{scheme}:{link}")
        to, _, query = link.partition("?") if scheme in ("http", "https") else (link, "", "")
        if scheme in ("http", "https"):
            to = quote(to, safe="/%:@!$&'()*+,;=~")  # lists are written with blanks as well as with %20
        path = posixpath.normpath(posixpath.join(posixpath.dirname(path) or "/", to))
        return Address(urlunsplit((scheme, place, "/" + path.lstrip("/"), query, "")))


#: What a file is named by.
Named = Path | Address


def spelt(path: object) -> str:
    """``path`` or address as who opens it needs it, with what is secret."""
    return path.full if isinstance(path, Address) else str(path)


def name_of(path: str) -> str:
    """The name of the file at a path or address."""
    return Address(path).name if is_address(path) else PurePath(path).name
