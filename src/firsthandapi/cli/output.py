"""What commands print: tables for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from firsthandapi import FirstHandClient
    from firsthandapi.types import Model

AsJson = Annotated[
    bool, typer.Option("--json", help="Print JSON on standard output, and nothing else there.")
]
# Terminals and CI logs are kept and shared, so a signed URL is printed only when it is asked for.
_SIGNED = {"download_url", "file_url"}


def client() -> FirstHandClient:
    """A client as the environment describes it."""
    from firsthandapi import FirstHandClient

    return FirstHandClient()


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def as_json(model: Model, *, urls: bool = False) -> dict[str, Any]:
    """A model as a program reads it; signed URLs only if `urls`."""
    return model.model_dump(mode="json", exclude_none=True, exclude=None if urls else _SIGNED)


def print_facts(rows: Iterable[tuple[str, object]]) -> None:
    """One thing: a line for each fact that is known."""
    known = [(name, str(value)) for name, value in rows if value is not None]
    width = max(len(name) for name, _ in known)
    for name, value in known:
        typer.echo(f"{name:<{width}}  {value}")


def print_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Many things: a line for each, under a header."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*header, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        # As plain text: a worker's words are not markup.
        table.add_row(*(Text("" if value is None else str(value)) for value in row))
    console = Console()
    if not console.is_terminal:
        # A pipe has no width; a cut id is of no use to anyone.
        console = Console(width=1000)
    console.print(table)


def dollars(cents: int | None) -> str | None:
    return None if cents is None else f"${cents / 100:,.2f}"


def stars(rating: int | None) -> str:
    return "★" * (rating or 0)
