"""What commands print: tables for people, JSON for programs."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from firsthandapi import FirstHandClient
    from firsthandapi.types import Model

T = TypeVar("T")

AsJson = Annotated[
    bool, typer.Option("--json", help="Print JSON on standard output, and nothing else there.")
]
# Terminals and CI logs are kept and shared, so a signed URL is printed only when it is asked for.
_SIGNED = {"download_url", "file_url"}
# Much of what is printed was written by strangers, and a terminal obeys these: C0 and C1 controls move the
# cursor and write to the clipboard, bidirectional ones show text in another order. Joiners make emoji.
_OBEYED = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)


def client() -> FirstHandClient:
    """A client as the environment describes it."""
    from firsthandapi import FirstHandClient

    return FirstHandClient()


def printable(value: object) -> str:
    """Text that a terminal shows and does not obey, on one line."""
    return _OBEYED.sub(lambda m: " " if m[0] in "\t\n\r" else _escape(m), str(value))


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def json_text(value: Any, *, indent: int | None = 2) -> str:
    """JSON that a terminal may be shown: the same value, its dangerous characters written as escapes."""
    # Where standard output is not UTF-8, as in a Windows pipe, escapes carry what it cannot.
    ascii_only = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    # Line breaks left over are those of `indent`: json.dumps escapes the ones inside strings.
    return "\n".join(_OBEYED.sub(_escape, line) for line in text.split("\n"))


def print_json(value: Any) -> None:
    typer.echo(json_text(value))


def as_json(model: Model, *, urls: bool = False) -> dict[str, Any]:
    """A model as a program reads it; signed URLs only if `urls`."""
    value: dict[str, Any] = model.model_dump(mode="json", exclude_none=True)
    return value if urls else _unsigned(value)


def _unsigned(value: Any) -> Any:
    # At any depth: an event's data may hold a whole file.
    if isinstance(value, dict):
        return {name: _unsigned(item) for name, item in value.items() if name not in _SIGNED}  # pyright: ignore[reportUnknownVariableType] # it is JSON
    return [_unsigned(item) for item in value] if isinstance(value, list) else value  # pyright: ignore[reportUnknownVariableType] # it is JSON


def note(text: str) -> None:
    """A remark to a person, beside the result."""
    typer.echo(printable(text), err=True)


def print_line(parts: Iterable[object]) -> None:
    """Parts of one line, those that are known, two spaces apart."""
    typer.echo("  ".join(printable(part) for part in parts if part not in (None, "")))


def print_facts(rows: Iterable[tuple[str, object]]) -> None:
    """One thing: a line for each fact that is known."""
    known = [(name, printable(value)) for name, value in rows if value is not None]
    width = max((len(name) for name, _ in known), default=0)
    for name, value in known:
        typer.echo(f"{name:<{width}}  {value}")


def print_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Many things: a line for each, under a header."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in header:
        # An id cut in two can be neither read nor copied.
        table.add_column(name, no_wrap=name == "id")
    listed = [*rows]
    if not listed:
        note("There are none.")
        return
    for row in listed:
        # As plain text: a worker's words are not markup.
        table.add_row(*(Text("" if value is None else printable(value)) for value in row))
    console = Console()
    if not console.is_terminal:
        # A pipe has no width; a cut id is of no use to anyone.
        console = Console(width=1000)
    console.print(table)


def first(items: Iterable[T], limit: int) -> list[T]:
    """The first `limit` of a list that may be long."""
    return list(islice(items, limit))


def dollars(cents: int | None) -> str | None:
    if cents is None:
        return None
    return f"{'-' if cents < 0 else ''}${abs(cents) / 100:,.2f}"


def stars(rating: int | None) -> str:
    # A rating comes from the network: no line gets longer than five.
    return "★" * min(max(rating or 0, 0), 5)


def moment(time: datetime | None) -> str | None:
    """A time as a table shows it; UTC, like all of the service's."""
    return None if time is None else f"{time:%Y-%m-%d %H:%M}"


def yes_no(value: bool | None) -> str | None:
    return None if value is None else "yes" if value else "no"
