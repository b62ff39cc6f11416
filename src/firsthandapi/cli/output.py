"""What commands print: tables for people, JSON for programs."""

from __future__ import annotations

import atexit
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO, TypeVar, cast

import typer

from firsthandapi._visible import is_hidden, visible

if TYPE_CHECKING:
    from firsthandapi import FirstHandClient, Page
    from firsthandapi.types import Model

T = TypeVar("T")
M = TypeVar("M", bound="Model")

AsJson = Annotated[
    bool, typer.Option("--json", help="Print JSON on standard output, and nothing else there.")
]
# Terminals and CI logs are kept and shared, so a signed URL is printed only when it is asked for.
_SIGNED = {"download_url", "file_url"}
_SPACES = re.compile("[\t\n\r]")
_ODD = re.compile(r"[^\n -~]")
# Columns: less than this for a text is worse than a line of its own.
_NARROWEST = 20


def client() -> FirstHandClient:
    """A client as the environment describes it."""
    from firsthandapi import FirstHandClient

    return FirstHandClient()


def printable(value: object) -> str:
    """Text that a terminal shows and does not obey, on one line."""
    return visible(_SPACES.sub(" ", str(value)))


def json_text(value: Any, *, indent: int | None = 2) -> str:
    """JSON that a terminal may be shown: the same value, its dangerous characters written as escapes."""
    # Where standard output is not UTF-8, as in a Windows pipe, escapes carry what it cannot.
    ascii_only = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    # Line breaks left over are those of `indent`: json.dumps escapes the ones inside strings.
    return _ODD.sub(lambda match: json.dumps(match[0])[1:-1] if is_hidden(match[0]) else match[0], text)


def print_json(value: Any) -> None:
    typer.echo(json_text(value))


def as_json(model: Model, *, urls: bool = False) -> dict[str, Any]:
    """A model as a program reads it; signed URLs only if `urls`."""
    value: dict[str, Any] = model.model_dump(mode="json", exclude_none=True)
    return value if urls else _unsigned(value)


def _unsigned(value: Any) -> Any:
    # At any depth, since an event's data may hold a whole file; but what `metadata` holds is the user's own.
    if isinstance(value, list):
        items: list[Any] = value  # pyright: ignore[reportUnknownVariableType] # it is JSON
        return [_unsigned(item) for item in items]
    if not isinstance(value, dict):
        return value
    return {
        name: item if name == "metadata" else _unsigned(item)
        for name, item in cast("dict[str, Any]", value).items()
        if name not in _SIGNED
    }


def nowhere() -> TextIO:
    """In place of an output that failed: what is left in its buffer would be tried again at the end, and fail."""
    stream = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 # closed at the very end
    atexit.register(stream.close)
    return stream


def note(text: str) -> None:
    """A remark to a person, beside the result."""
    typer.echo(printable(text), err=True)


def joined(*parts: object) -> str:
    """Those parts of a line that are known, two spaces apart."""
    return "  ".join(printable(part) for part in parts if part not in (None, ""))


def print_line(parts: Iterable[object]) -> None:
    """A line of its own."""
    typer.echo(joined(*parts))


def print_facts(rows: Iterable[tuple[str, object]]) -> None:
    """One thing: a line for each fact that is known."""
    known = [(printable(name), str(value)) for name, value in rows if value is not None]
    width = max((len(name) for name, _ in known), default=0)
    for name, value in known:
        print_hanging(f"{name:<{width}}  ", value)


def print_hanging(start: str, text: str, *, style: str = "", indent: int | None = None) -> None:
    """`text` after `start`; what does not fit a terminal's line stands below it, not below `start`.

    With an `indent` all of it stands below, so far from the edge. `style` is for the first word of `start`.
    """
    text, below = printable(text), indent is not None
    if not sys.stdout.isatty():
        # Programs and logs read lines: each stays whole.
        typer.echo((start + text).rstrip())
        return
    from rich.cells import cell_len
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    indent = cell_len(start) if indent is None else indent
    # As plain text: a worker's words are not markup.
    lines = [line.plain.rstrip() for line in Text(text).wrap(console, max(console.width - indent, 10))]
    begun = start.rstrip() if below else start + (lines.pop(0) if lines else "")
    line = Text(begun.rstrip())
    line.stylize(style, 0, len(begun.partition(" ")[0]) if style != "bold" else None)
    console.print(line, soft_wrap=True)
    for rest in lines:
        console.print(Text(" " * indent + rest), soft_wrap=True)


def print_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Many things: a line for each, under a header.

    An id, a time or a sum cut in two can be neither read nor copied, so only the last column is ever wrapped;
    on a terminal with no room for it, it stands below the others, which themselves go on below where there is
    no room for them.
    """
    listed = [["" if value is None else printable(value) for value in row] for row in rows]
    if not listed:
        note("There are none.")
        return
    from rich.cells import cell_len

    columns = [*zip(header, *listed, strict=True)][:-1]
    widths = [max(map(cell_len, column)) for column in columns]
    used = sum(widths) + 2 * len(widths)
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else 1_000_000
    indent = 4 if room - used < _NARROWEST else None
    for number, (*cells, last) in enumerate([header, *listed]):
        start, place = "", 0
        for cell, width in zip(cells, widths, strict=True):
            if place and place + width > room:
                start = f"{start.rstrip()}\n    "
                place = 4
            start += f"{cell}{' ' * (width - cell_len(cell))}  "
            place += width + 2
        print_hanging(start, last, style="" if number else "bold", indent=indent)


def print_list(
    found: Sequence[M],
    header: Sequence[str],
    row: Callable[[M], Sequence[object]],
    *,
    json: bool,
    urls: bool = False,
) -> None:
    """What a list command found: a table for people, JSON for programs."""
    if json:
        print_json([as_json(one, urls=urls) for one in found])
    else:
        print_table(header, map(row, found))


def first(page: Page[T], limit: int) -> list[T]:
    """The first `limit` of a list that may be long; who reads them learns that they are not all."""
    found = list(islice(page, min(limit, sys.maxsize)))
    if page.has_more and len(found) == limit:
        note(f"These are the first {limit}; --limit raises that.")
    return found


def dollars(cents: int | None) -> str | None:
    if cents is None:
        return None
    # In whole numbers: no float holds what a service may send.
    return f"{'-' if cents < 0 else ''}${abs(cents) // 100:,}.{abs(cents) % 100:02}"


def stars(rating: int | None) -> str:
    # A rating comes from the network: no line gets longer than five.
    return star(sys.stdout) * min(max(rating or 0, 0), 5)


def star(stream: TextIO) -> str:
    """A star as `stream` can show it."""
    try:
        "★".encode(stream.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return "*"
    return "★"


def moment(time: datetime | None) -> str | None:
    """A time as a table shows it; UTC, like all of the service's."""
    return None if time is None else f"{time:%Y-%m-%d %H:%M}"


def yes_no(value: bool | None) -> str | None:
    return None if value is None else "yes" if value else "no"
