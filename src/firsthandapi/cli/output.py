"""Print tables for people and JSON for programs."""

from __future__ import annotations

import atexit
import contextlib
import inspect
import io
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO, TypeVar, cast, get_type_hints

import typer
from typer.models import OptionInfo

from firsthandapi._base import counts
from firsthandapi._base.visible import is_hidden, visible
from firsthandapi._core.calls.config import API_KEY_VARIABLE, KEY_PREFIXES
from firsthandapi._core.calls.integers import int_or_none

from . import is_for_a_person
from .pages import Command

if TYPE_CHECKING:
    from firsthandapi import FirstHandClient, Page
    from firsthandapi.types import Job, JobEventData, Model

M = TypeVar("M", bound="Model")

AsJson = Annotated[bool, typer.Option("--json", help="Print only JSON on standard output.")]
# People keep and share terminals and CI logs, so commands print a signed URL only on request.
_SIGNED = {"download_url", "file_url"}
_SPACES = re.compile("[\t\n\r]")
# A word, and the value that it gets, as in Python; not in quotes, nor in a path.
_ARGUMENT = re.compile(r"(?<![\w'\"`./-])([a-z]\w*)\b(?![./']\w)(?:(=)(?:True\b|([\w.]+))?)?")
# What `fail` has words of its own for.
_OTHER_ADVICE = frozenset({"idempotency_key"})
_ODD = re.compile(r"[^\n -~]")
# Columns: a text with less room than this gets its own line.
_NARROWEST = 20


# What people read below a secret.
SAVE_IT = "Save the secret now: it is not stored here and not shown again."
# Exit code of what fails after a job was posted.
AFTER_THE_ORDER = 5


@dataclass(frozen=True)
class Output:
    """What a command found.

    Attributes:
        data: for programs, with --json: JSON values.
        show: for people: the text, or what prints it.
        advice: what people read after it, on standard error.
        code: the exit code.
        done: what an order has done, which is said if it cannot be printed.
    """

    data: Any
    show: str | Callable[[], None]
    advice: str | None = None
    code: int = 0
    done: str | None = None

    def print(self, *, as_json: bool) -> None:
        """Print it, and end with its exit code."""
        try:
            if as_json or isinstance(self.show, str):
                typer.echo(json_text(self.data) if as_json else self.show)
            else:
                self.show()
        except OSError as error:
            if self.done is None:
                raise
            sys.stdout = nowhere()
            with contextlib.suppress(OSError):
                reason = error.strerror or error
                note(f"firsthandapi: could not write standard output: {reason}; {self.done}")
            raise typer.Exit(AFTER_THE_ORDER) from None
        if self.advice and not as_json:
            note(self.advice)
        if self.code:
            raise typer.Exit(self.code)


def one(
    model: M,
    facts: Callable[[M], Iterable[tuple[str, object]]],
    *,
    urls: bool = False,
    advice: str | None = None,
    done: str | None = None,
) -> Output:
    """The output of a command that shows one object."""
    return Output(
        as_json(model, urls=urls), lambda: print_facts(facts(fitting(model))), advice=advice, done=done
    )


def many(
    page: Page[M],
    limit: int,
    header: Sequence[str],
    row: Callable[[M], Sequence[object]],
    *,
    urls: bool = False,
) -> Output:
    """The output of a command that lists the first `limit` objects."""
    models = list(islice(page, min(limit, sys.maxsize)))
    if page.has_more and len(models) == limit:
        note(f"Showing the first {limit:,}; use --limit to show more.")
    return Output(
        [as_json(model, urls=urls) for model in models],
        lambda: print_table(header, (row(fitting(model)) for model in models)),
    )


def prints(command: Callable[..., Output | None]) -> Callable[..., None]:
    """A command for Typer, made of a function.

    An `api` that it takes is a client, made from the environment. The Output that it returns is printed: with --json,
    which the command takes by itself, for programs.
    """
    parameters = dict(inspect.signature(command).parameters)
    hints = dict(command.__annotations__)
    takes_api = parameters.pop("api", None) is not None
    adds_json = "Output" in hints.pop("return") and "as_json" not in parameters
    if adds_json:
        parameters["as_json"] = inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, default=False)
        hints["as_json"] = AsJson

    @wraps(command)
    def run(**arguments: Any) -> None:
        as_json = arguments.pop("as_json") if adds_json else arguments.get("as_json", False)
        with _speaking_of(signature), client() if takes_api else contextlib.nullcontext() as api:
            output = command(**arguments, api=api) if takes_api else command(**arguments)
        if output is not None:
            output.print(as_json=as_json)

    run.__annotations__ = {name: hint for name, hint in hints.items() if name in parameters}
    # Typer reads the signature, whose annotations must not be text.
    hints = get_type_hints(run, include_extras=True)
    signature = inspect.Signature([item.replace(annotation=hints[name]) for name, item in parameters.items()])
    run.__signature__ = signature  # type: ignore[attr-defined]
    return run


@contextlib.contextmanager
def _speaking_of(command: inspect.Signature) -> Generator[None, None, None]:
    """Put the options of a command into the message of a failure, in place of the arguments of a method."""
    from firsthandapi.errors import FirstHandError, InvalidArgumentError

    try:
        yield
    except FirstHandError as error:
        options = {
            name: (about.param_decls or (f"--{name.replace('_', '-')}",))[0].partition("/")[0]
            for name, parameter in command.parameters.items()
            for about in getattr(parameter.annotation, "__metadata__", ())
            if isinstance(about, OptionInfo) and name not in _OTHER_ADVICE
        }
        field = error.field if isinstance(error, InvalidArgumentError) else None

        def spoken(match: re.Match[str]) -> str:
            name, equals, value = match.groups()
            if name in options and (equals or name == field or "_" in name):
                return f"{options[name]} {value}" if value else options[name]
            return match[0]

        # The time of one attempt, which is no option.
        message = error.message.replace("; increase timeout=", "; try again later")
        error.message = _ARGUMENT.sub(spoken, message)
        raise


def command(
    app: typer.Typer, name: str | None = None, **options: Any
) -> Callable[[Callable[..., Output | None]], Callable[..., None]]:
    """Add a command to `app`, as `prints` makes it."""
    return lambda function: app.command(name, cls=Command, **options)(prints(function))


def client() -> FirstHandClient:
    """Create a client from the environment.
    Raises ConfigurationError: the API key is missing, or belongs to another service, and must not be sent.
    """
    from firsthandapi import ConfigurationError, FirstHandClient

    key = os.environ.get(API_KEY_VARIABLE)
    if key and not key.startswith(KEY_PREFIXES):
        raise ConfigurationError(
            f"{API_KEY_VARIABLE} is not a FirstHandAPI key: it does not start with {' or '.join(KEY_PREFIXES)}; "
            "copy the key again from your dashboard or server"
        )
    return FirstHandClient()


def printable(value: object) -> str:
    """Text on one line that a terminal shows and does not obey."""
    return visible(_SPACES.sub(" ", str(value)))


def json_text(value: Any, *, indent: int | None = 2) -> str:
    """JSON with the same value, and dangerous characters escaped, so that a terminal can show it."""
    # If standard output is not UTF-8, as in a Windows pipe, escapes represent all other characters.
    ascii_only = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    # All line breaks come from `indent`: json.dumps escapes those in strings.
    return _ODD.sub(lambda match: json.dumps(match[0])[1:-1] if is_hidden(match[0]) else match[0], text)


def as_json(model: Model, *, urls: bool = False) -> dict[str, Any]:
    """A model as JSON values, with signed URLs only if `urls`."""
    value: dict[str, Any] = model.model_dump(mode="json", exclude_none=True)
    return value if urls else _unsigned(value)


def _unsigned(value: Any) -> Any:
    # At any depth, because the data of an event may contain a file; but `metadata` belongs to the user.
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


def ready_output() -> None:
    """Make the output take any text, and replace what the caller closed, as with `>&-`."""
    for name in ("stdout", "stderr"):
        stream: Any = getattr(sys, name)
        if stream is None:
            setattr(sys, name, nowhere())
        elif isinstance(stream, io.TextIOWrapper):
            # A Windows pipe has 255 characters, and a table may contain Japanese.
            stream.reconfigure(errors="backslashreplace")


def nowhere() -> TextIO:
    """Replace an output that failed: Python would write its buffer again at exit, and fail."""
    stream = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 # closed at the very end
    atexit.register(stream.close)
    return stream


def note(text: str) -> None:
    """Print a note for a person on standard error."""
    typer.echo(printable(text), err=True)


def joined(*parts: object) -> str:
    """Join the known parts of a line with two spaces."""
    return "  ".join(printable(part) for part in parts if part not in (None, ""))


def print_line(parts: Iterable[object]) -> None:
    """Print one line."""
    typer.echo(joined(*parts))


def print_facts(rows: Iterable[tuple[str, object]]) -> None:
    """Print one object: a line for each known fact."""
    facts = [(printable(name), str(value)) for name, value in rows if value is not None]
    width = max((len(name) for name, _ in facts), default=0)
    for name, value in facts:
        print_hanging(f"{name:<{width}}  ", value)


def print_hanging(start: str, text: str, *, style: str = "", indent: int | None = None) -> None:
    """Print `text` after `start`; on a terminal, wrap it below itself, not below `start`.

    With `indent`, print all of it below, at that column. `style` applies to the first word of `start`.
    """
    text, below = printable(text), indent is not None
    if not is_for_a_person(sys.stdout):
        # Programs and logs read lines: each stays whole.
        typer.echo((start + text).rstrip())
        return
    from rich.cells import cell_len
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    indent = cell_len(start) if indent is None else indent
    # As plain text: the words of a worker are not markup.
    lines = [line.plain.rstrip() for line in Text(text).wrap(console, max(console.width - indent, 10))]
    begun = start.rstrip() if below else start + (lines.pop(0) if lines else "")
    line = Text(begun.rstrip())
    line.stylize(style, 0, len(begun.partition(" ")[0]) if style != "bold" else None)
    console.print(line, soft_wrap=True)
    for rest in lines:
        console.print(Text(" " * indent + rest), soft_wrap=True)


def print_table(
    header: Sequence[str], rows: Iterable[Sequence[object]], *, none: str = "No results."
) -> None:
    """Print many objects: a line for each, under a header.

    Only the last column is wrapped, because nobody can read or copy half an id, a time, or an amount. On a narrow
    terminal, the last column stands below the others, and the others continue on the next line.
    """
    listed = [["" if value is None else printable(value) for value in row] for row in rows]
    if not listed:
        note(none)
        return
    from rich.cells import cell_len

    columns = [*zip(header, *listed, strict=True)][:-1]
    widths = [max(map(cell_len, column)) for column in columns]
    used = sum(widths) + 2 * len(widths)
    room = shutil.get_terminal_size().columns if is_for_a_person(sys.stdout) else 1_000_000
    indent = 4 if room - used < _NARROWEST else None
    for number, (*cells, last) in enumerate([header, *listed]):
        start, column = "", 0
        for cell, width in zip(cells, widths, strict=True):
            if column and column + width > room:
                start = f"{start.rstrip()}\n    "
                column = 4
            start += f"{cell}{' ' * (width - cell_len(cell))}  "
            column += width + 2
        print_hanging(start, last, style="" if number else "bold", indent=indent)


def fitting(model: M) -> M:
    """The model with None for what is not of its documented type."""
    from firsthandapi.types._base import fitting as fitted  # it loads pydantic, for which --help has no time

    return fitted(model)


def dollars(cents: int | None) -> str | None:
    return None if cents is None else counts.dollars(cents)


def cost_of(job: Job) -> str | None:
    """What a job costs, in its currency."""
    return None if job.total_cost_cents is None else counts.money(job.total_cost_cents, job.currency)


def of_needed(job: Job | JobEventData, *, bare: bool = False) -> str | None:
    """`2 of 3 files`, or `2 of 3` if `bare`; None if the service does not say how many a job needs."""
    needed, approved = int_or_none(job.files_needed), int_or_none(job.files_approved)
    if needed is None:
        return None
    return f"{approved or 0:,} of {f'{needed:,}' if bare else counts.count_of(needed)}"


def stars(rating: int | None) -> str:
    # A rating comes from the network: print at most five stars.
    return star(sys.stdout) * min(max(rating or 0, 0), 5)


def star(stream: TextIO) -> str:
    """A star that `stream` can show."""
    return "★" if can_show(stream, "★") else "*"


def can_show(stream: TextIO, text: str) -> bool:
    """Whether the encoding of `stream` has all characters of `text`."""
    try:
        text.encode(stream.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def clock(seconds: float) -> str:
    """A duration as hours, minutes, and seconds: `1:02:03`."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def moment(time: datetime | None) -> str | None:
    """A time in a table, in UTC like every time of the service."""
    return None if time is None else f"{time:%Y-%m-%d %H:%M}"


def yes_no(value: bool | None) -> str | None:
    return None if value is None else "yes" if value else "no"
