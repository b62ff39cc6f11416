"""One request and its response, and how to repeat it; and the ways in which a promise does not hold."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from firsthandapi._base.loose_json import load, members
from firsthandapi._base.masking import mask_secrets
from firsthandapi._base.visible import visible

_LONGEST = 300
_LONGEST_BODY = 1000
_ID = re.compile(r"\b([a-z]{2,5})_[0-9A-Za-z]{20,}\b")


class DiffersError(Exception):
    """The server does something else than promised.

    Attributes:
        came: what it does, in a few words; what differs from case to case comes after `: `.
        exchange: the request and response that show it.
    """

    def __init__(self, came: str, exchange: Exchange | Asked | None = None) -> None:
        super().__init__(came)
        self.came = came
        self.exchange = exchange


class NoResponseError(DiffersError):
    """The server sent no complete response in time."""


class NotTriedError(Exception):
    """The promise cannot be tried against this server; the message says why."""


class OutOfTimeError(Exception):
    """The whole check timed out."""


@dataclass(frozen=True)
class Credential:
    """An API key, and the name that stands for it where it would be shown. Without a secret: no key."""

    secret: str | None = field(repr=False)
    name: str = "FIRSTHAND_API_KEY"


@dataclass(frozen=True)
class Asked:
    """A request as it is sent, but for the key."""

    method: str
    url: str
    headers: Mapping[str, str]  # without Authorization
    body: Any  # JSON, if it is not bytes
    credential: Credential
    shown: str | None = None  # what stands for the URL where it would be shown, if it is secret

    @property
    def content(self) -> bytes:
        """The body as it is sent."""
        if isinstance(self.body, bytes):
            return self.body
        return b"" if self.body is None else json.dumps(self.body).encode()

    @property
    def curl(self) -> str:
        """A command that repeats it, with variables in place of secrets."""
        words = ["curl", "-i"]
        if self.method != "GET":
            words += ["-X", self.method]
        words.append(f'"${self.shown}"' if self.shown else shlex.quote(visible(self.url)))
        if self.credential.secret is not None:
            words += ["-H", f'"Authorization: Bearer ${self.credential.name}"']
        for name, value in self.headers.items():
            # The key of a first request was used: a repetition needs another one to be a first request again.
            words += ["-H", shlex.quote(visible(f"{name}: {value}"))]
        if self.body is not None:
            text = self.content.decode("utf-8", "replace")
            cut = text if len(text) <= _LONGEST_BODY else f"{text[:60]}… ({len(text):,} characters)"
            words += ["-d", shlex.quote(visible(cut))]
        return " ".join(words)


@dataclass(frozen=True)
class Exchange:
    """A request with its response."""

    asked: Asked
    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    seconds: float  # from the first byte sent to the last byte read

    @cached_property
    def json(self) -> Any:
        """The body as JSON; None if it is no JSON."""
        return load(self.body)

    @property
    def object(self) -> dict[str, Any]:
        """The body as a JSON object; an empty one if it is anything else."""
        return members(self.json)

    @property
    def items(self) -> list[dict[str, Any]]:
        """The objects in the body's `data`."""
        found: Any = self.object.get("data")
        return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []  # pyright: ignore[reportUnknownVariableType] # it is JSON

    @property
    def ids(self) -> list[Any]:
        """The ids of these objects."""
        return [item.get("id") for item in self.items]

    @property
    def ok(self) -> bool:
        """Whether the request succeeded."""
        return 200 <= self.status < 300

    @property
    def excerpt(self) -> str:
        """The status, and the start of the body, on one line and without secrets."""
        return f"{self.status} {self.text}".rstrip()

    @cached_property
    def text(self) -> str:
        """The start of the body."""
        return shortened(self.body[:4096].decode("utf-8", "replace"))

    def must(self, *checks: Check) -> Exchange:
        """Check the response. Raises DiffersError: one of the checks found something."""
        for check in checks:
            if came := check(self):
                raise DiffersError(came, self)
        return self

    def hold(self, holds: Any, came: str) -> None:
        """Raise a DiffersError with `came`, unless something holds."""
        if not holds:
            raise DiffersError(came, self)


# What is wrong with a response, in a few words, or None.
Check = Callable[[Exchange], str | None]


def shortened(text: str, most: int = _LONGEST) -> str:
    """Text of a stranger as one short line, without secrets and hidden characters."""
    line = visible(" ".join(mask_secrets(text, cut=True).split()))
    return line if len(line) <= most else f"{line[:most]}…"


def cause(came: str) -> str:
    """What is common to all differences that one fault of a server makes: the words without what was seen.

    A refusal counts by its status and type, wherever it comes: an endpoint that is missing is one fault.
    """
    words = came.partition(": ")[0]
    if refusal := re.match(r"([45]\d\d .+) instead of ", words):
        words = f"{refusal[1]} instead of another response"
    return _ID.sub(r"\1_…", words)
