"""One request and its response, and how to repeat it."""

from __future__ import annotations

import json
import shlex
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from firsthandapi._base.loose_json import load, members
from firsthandapi._base.masking import mask_secrets
from firsthandapi._base.visible import visible

_LONGEST = 300
_LONGEST_BODY = 1000
# What zlib calls either of the two formats, with its header.
_GZIP_OR_ZLIB = 47


@dataclass(frozen=True)
class Key:
    """An API key, and the name that stands for it where it would be shown. Without a secret: no key."""

    secret: str | None = field(repr=False)
    name: str = "FIRSTHAND_API_KEY"


NO_KEY = Key(None)


@dataclass(frozen=True)
class Request:
    """A request as it is sent, but for the key."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])  # without Authorization
    body: Any = None  # JSON, if it is not bytes
    key: Key = NO_KEY
    shown: str = ""  # what stands for a URL that is secret

    @property
    def content(self) -> bytes:
        """The body as it is sent."""
        if isinstance(self.body, bytes):
            return self.body
        return b"" if self.body is None else json.dumps(self.body).encode()

    @property
    def curl(self) -> str:
        """A command that repeats it, with variables in place of secrets."""
        words = ["curl", "-i", *([] if self.method == "GET" else ["-X", self.method])]
        words.append(f'"${self.shown}"' if self.shown else shlex.quote(visible(self.url)))
        if self.key.secret is not None:
            words += ["-H", f'"Authorization: Bearer ${self.key.name}"']
        for name, value in self.headers.items():
            words += ["-H", shlex.quote(visible(f"{name}: {value}"))]
        if self.body is not None:
            text = self.content.decode("utf-8", "replace")
            short = text if len(text) <= _LONGEST_BODY else f"{text[:60]}… ({len(text):,} characters)"
            words += ["-d", shlex.quote(visible(short))]
        return " ".join(words)


@dataclass(frozen=True)
class Response:
    """A response, and the request for it."""

    request: Request
    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    seconds: float  # from the first byte sent to the last byte read

    @property
    def encoding(self) -> str:
        """What the body is compressed with, though no request asks for that; empty if it is not."""
        return self.headers.get("content-encoding", "").lower().removeprefix("identity")

    @cached_property
    def content(self) -> bytes:
        """The body, decompressed."""
        if self.encoding in ("gzip", "deflate"):
            with suppress(zlib.error):
                return zlib.decompress(self.body, _GZIP_OR_ZLIB)
        return self.body

    @cached_property
    def json(self) -> Any:
        """The body as JSON; None if it is no JSON."""
        return load(self.content)

    @property
    def object(self) -> dict[str, Any]:
        """The body as a JSON object; an empty one if it is anything else."""
        return members(self.json)

    @property
    def items(self) -> list[dict[str, Any]]:
        """The objects in the body's `data`."""
        data: Any = self.object.get("data")
        return [item for item in data if isinstance(item, dict)] if isinstance(data, list) else []  # pyright: ignore[reportUnknownVariableType] # it is JSON

    @property
    def ids(self) -> list[Any]:
        """The ids of these objects."""
        return [item.get("id") for item in self.items]

    @property
    def ok(self) -> bool:
        """Whether the request succeeded."""
        return 200 <= self.status < 300

    @cached_property
    def text(self) -> str:
        """The status, and the start of the body, on one line and without secrets."""
        return f"{self.status} {shortened(self.content[:4096].decode('utf-8', 'replace'))}".rstrip()

    def must(self, *checks: Check) -> Response:
        """Check the response. Raises PromiseError: one of the checks found something."""
        for check in checks:
            if fault := check(self):
                raise PromiseError(fault, self)
        return self


# What is wrong with a response, in a few words, or None.
Check = Callable[[Response], str | None]


class PromiseError(AssertionError):
    """A promise does not hold; `exchange` is the response that shows it, or a request without one."""

    def __init__(self, fault: str, exchange: Response | Request) -> None:
        super().__init__(fault)
        self.exchange = exchange


class NoResponseError(PromiseError):
    """The server sent no complete response in time."""


def shortened(text: str, most: int = _LONGEST) -> str:
    """Text of a stranger as one short line, without secrets and hidden characters."""
    line = visible(" ".join(mask_secrets(text, cut=True).split()))
    return line if len(line) <= most else f"{line[:most]}…"
