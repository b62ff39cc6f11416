"""`firsthandapi conformance`: print what came of checking a server against the contract."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from firsthandapi._base.counts import count_of

from . import is_for_a_person
from .options import argument, option
from .output import AsJson, can_show, command, json_text, note, print_hanging, print_table
from .pages import group
from .stopping import stoppable

if TYPE_CHECKING:
    from collections.abc import Callable

    from firsthandapi.conformance import Report, Result

_MARKS = {"holds": "✓", "differs": "✗", "not tried": "–"}
_PLAIN = {"holds": "+", "differs": "x", "not tried": "-"}
# Beyond so many, a reason says how many promises it concerns, not which.
_NAMED = 8


app = group()


@command(app)
def conformance(
    url: Annotated[str, argument("URL", "Address of the server, such as http://127.0.0.1:8080.")],
    only: Annotated[
        list[str] | None, option("PATTERN", "Only promises that match, such as 'jobs.*'; repeatable.")
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="With a live key, write as well, which holds up to $5.00.")
    ] = False,
    timeout: Annotated[float, option("SECONDS", "Maximum time for all promises.", min=1)] = 900.0,
    json: AsJson = False,
) -> None:
    """Check which promises of the wire contract a server keeps.

    With a sandbox key, fh_test_…, in FIRSTHAND_API_KEY, it tries everything. With
    a live key it only reads, unless you pass --write.

    At the end it cancels its jobs, revokes its keys, deletes its webhook
    endpoints, and restores the settings.

    Exits with 1 if a promise differs.

    Example: firsthandapi conformance http://127.0.0.1:8080
    """
    from firsthandapi.conformance import check

    with stoppable(), _told_what_is_left(), _progress() as show:
        report = check(url, only=only or (), write=write, timeout=timeout, on_result=show)
    if json:
        typer.echo(json_text(report.as_dict()))
    else:
        _print(report)
    for words in report.left:
        note(f"could not be removed: {words}")
    if not report.ok:
        raise typer.Exit(1)


@contextmanager
def _told_what_is_left() -> Generator[None]:
    try:
        yield
    except KeyboardInterrupt as error:
        for words in getattr(error, "__notes__", ()):
            note(words)
        raise


@contextmanager
def _progress() -> Generator[Callable[[Result], None] | None]:
    if not is_for_a_person(sys.stderr):
        yield None
        return
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True).status("Checking the server against the contract …") as status:
        yield lambda result: status.update(Text(f"{result.endpoint}: {result.id}"))  # `:id:` is no emoji


def _print(report: Report) -> None:
    marks = _marks(sys.stdout)
    endpoints: dict[str, list[Result]] = {}
    for result in report:
        endpoints.setdefault(result.endpoint, []).append(result)
    print_table(
        ("", "Holds", "Differs", "Not tried", "Endpoint"),
        [(marks[_worst(results)], *_counts(results), endpoint) for endpoint, results in endpoints.items()],
    )
    for words, (result, *others) in report.causes.items():
        typer.echo()
        if others:
            count = len({each.endpoint for each in (result, *others)})
            where = f" at {count_of(count, 'endpoint')}" if count > 1 else ""
            print_hanging(f"{count_of(len(others) + 1, 'promise')}{where} differ for one reason: ", words)
        print_hanging(f"{marks['differs']} {result.id}  ", result.endpoint, style="red")
        reading = ", by our reading of the contract" if result.ours else ""
        print_hanging("  promised  ", f"{result.promised} ({result.section}{reading})")
        print_hanging("  came      ", result.came or "")
        if result.curl:
            print_hanging("  repeat    ", result.curl)
        if others:
            more = f", and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
            print_hanging("  also      ", f"{', '.join(each.id for each in others[:_NAMED])}{more}")
    _print_untried(report, marks["not tried"])
    typer.echo()
    if len(report.of("differs")) > _NAMED:
        typer.echo("--json shows each promise; --only ID shows one.")
    held, differing, untried = (len(report.of(each)) for each in ("holds", "differs", "not tried"))
    typer.echo(f"{count_of(held, 'promise')} held, {differing} differed, {untried} not tried.")


def _print_untried(report: Report, mark: str) -> None:
    reasons: dict[str, list[str]] = {}
    for result in report.of("not tried"):
        reasons.setdefault(result.why or "", []).append(result.id)
    if reasons:
        typer.echo()
    for why, ids in reasons.items():
        which = ", ".join(ids) if len(ids) <= _NAMED else count_of(len(ids), "promise")
        print_hanging(f"{mark} not tried  ", f"{which}: {why}")


def _worst(results: list[Result]) -> str:
    found = {result.verdict for result in results}
    return next(each for each in ("differs", "holds", "not tried") if each in found)


def _counts(results: list[Result]) -> list[int | None]:
    verdicts = [result.verdict for result in results]
    return [verdicts.count(each) or None for each in ("holds", "differs", "not tried")]


def _marks(stream: TextIO) -> dict[str, str]:
    return _MARKS if can_show(stream, "".join(_MARKS.values())) else _PLAIN
