"""The commands, and the exit codes of their failures."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any, cast
from urllib.parse import urlsplit

import typer

from firsthandapi._core.calls.config import BASE_URL_VARIABLE
from firsthandapi._core.calls.counts import dollars
from firsthandapi._core.calls.lost_answers import how_to_repeat
from firsthandapi._host.loopback import is_loopback
from firsthandapi._version import __version__
from firsthandapi.errors import (
    ConfigurationError,
    DeadlineExceededError,
    FirstHandConnectionError,
    FirstHandError,
    FirstHandTimeoutError,
    InsufficientCreditsError,
    InvalidArgumentError,
    WaitTimeoutError,
)

from . import (
    account,
    agents,
    campaign,
    deciding,
    files,
    is_for_an_agent,
    jobs,
    journal,
    keys,
    server,
    submissions,
    webhooks,
)
from .collecting import collect, verify
from .conformance import conformance
from .credentials import content_credentials
from .options import local_folder
from .output import AFTER_THE_ORDER, Output, command, json_text, nowhere, printable
from .progress import continues
from .review import review
from .serve import serve
from .serving import mock_server
from .summary import summary
from .versions import diff, lock

# First match wins.
EXIT_CODES: list[tuple[type[FirstHandError], int]] = [
    (ConfigurationError, 2),
    (InvalidArgumentError, 2),
    (WaitTimeoutError, 3),
    (DeadlineExceededError, 3),
    (FirstHandTimeoutError, 3),
    (InsufficientCreditsError, 4),
    (FirstHandError, 1),
]


def exit_code(error: FirstHandError) -> int:
    """Which code an error exits with."""
    code = next(code for kind, code in EXIT_CODES if isinstance(error, kind))
    return AFTER_THE_ORDER if code in (1, 2) and error.job is not None else code


# What Typer raises for an invalid command line; its module is private.
_UsageError = cast("type[Exception]", typer.BadParameter.__mro__[1])

_START, _WORK, _ACCOUNT, _TOOLS = "Getting started", "Jobs and files", "Account", "Tools"

app = typer.Typer(
    name="firsthandapi",
    help="FirstHandAPI: post a job, and get a folder of verified, annotated, human-made files.\n\n"
    "Commands read the API key from FIRSTHAND_API_KEY, and the address from FIRSTHAND_BASE_URL.\n\n"
    "To start without an account, on your own machine: firsthandapi demo\n\n"
    "Exit codes: 0 done, 1 failed, 2 usage, 3 timed out, 4 out of credits, 5 failed after a job was posted.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def run() -> None:
    """Run the command line. Turn our errors and usage errors into one line and an exit code."""
    _ready_output()
    try:
        code = _with_short_help(typer.main.get_command(app))(prog_name="firsthandapi", standalone_mode=False)
    except FirstHandError as error:
        _fail(_in_the_shell(error), exit_code(error), continues(error.job) if error.job else _advice(error))
    except typer.Abort:
        _fail("stopped", 1)
    except _UsageError as error:
        _misused(error)
    except OSError as error:
        # The client maps its own: the others come from the output, such as a full disk.
        if error.filename is None:
            sys.stdout = nowhere()
        _fail(f"could not write {error.filename or 'standard output'}: {error.strerror or error}", 1)
    else:
        sys.exit(code if isinstance(code, int) else 0)


def _with_short_help(command: Any) -> Any:
    """The command, with more room for the texts of its options: no type of a flag, N for a number in a range, and the
    range in the text."""
    parameters = command.get_params

    def shorter(context: Any) -> list[Any]:
        found: list[Any] = parameters(context)
        for each in found:
            kind = getattr(each, "type", None)  # where older versions of Typer have the bounds
            low, high = (
                next((got for of in (each, kind) if (got := getattr(of, bound, None)) is not None), None)
                for bound in ("min", "max")
            )
            ranged = low is not None or high is not None
            if each.metavar is None and (ranged or getattr(each, "is_flag", False)):
                each.metavar = "N" if ranged else ""
            if ranged and each.help and hasattr(each, "_get_number_range_help_str"):
                # Typer's own, such as [0<=x<=65535], stands in the column of the types, and is broken across lines.
                each._get_number_range_help_str = lambda: None
                bounds = f"From {low:,}." if high is None else f"{low:,} to {high:,}."
                each.help = each.help if bounds in each.help else f"{each.help} {bounds}"
        return found

    command.get_params = shorter
    for below in getattr(command, "commands", {}).values():
        _with_short_help(below)
    return command


def _in_the_shell(error: FirstHandError) -> str:
    """The message, with the option of the command in place of the argument of the method, and amounts in dollars."""
    if isinstance(error, InsufficientCreditsError) and error.required_cents is not None:
        balance = dollars(error.current_balance_cents or 0)
        return (
            f"the job costs {dollars(error.required_cents)}, and the balance is {balance}: buy credits with "
            f"`firsthandapi purchase 2500`, or request fewer files (HTTP 402, {error.request_id})"
        )
    key = error.idempotency_key
    if key is None:
        return str(error)
    takes_key = sys.argv[1:3] == ["jobs", "create"]
    repeat = (
        f"repeat it with --idempotency-key {shlex.quote(key)}" if takes_key else "look before you repeat it"
    )
    return str(error).replace(how_to_repeat(key, recorded=False), f"; it may have been done: {repeat}")


def _advice(error: FirstHandError) -> str | None:
    host = urlsplit(os.environ.get(BASE_URL_VARIABLE, "")).hostname or ""
    if isinstance(error, FirstHandConnectionError) and error.request_sent is False and is_loopback(host):
        return "Is the server running? To start one: firsthandapi mock-server"
    return None


def _ready_output() -> None:
    for name in ("stdout", "stderr"):
        stream: Any = getattr(sys, name)
        if stream is None:  # the caller closed it, as with `>&-`
            setattr(sys, name, nowhere())
        elif isinstance(stream, io.TextIOWrapper):
            # A Windows pipe has 255 characters, and a table may contain Japanese.
            stream.reconfigure(errors="backslashreplace")


def _misused(error: Any) -> None:
    # Typer would draw a box of six lines. If it printed help instead, the message is empty.
    message = error.format_message().replace("Value error, ", "").rstrip(".")
    if not message:
        sys.exit(2)
    where = error.ctx.command_path if error.ctx else "firsthandapi"
    _fail(f"{message}; run {where} --help for usage", 2)


def _fail(message: str, code: int, advice: str | None = None) -> None:
    with contextlib.suppress(OSError):
        if is_for_an_agent() and "--json" in sys.argv:
            error = {"message": message, "exit_code": code} | ({"advice": advice} if advice else {})
            typer.echo(json_text({"error": error}, indent=None), err=True)
            sys.exit(code)
        typer.echo(f"firsthandapi: {printable(message)}", err=True)
        if advice:
            typer.echo(printable(advice), err=True)
    sys.exit(code)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"firsthandapi {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[  # Typer calls _version itself
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None: ...


@app.command(rich_help_panel=_START)
def demo(
    dest: Annotated[
        Path, typer.Option(parser=local_folder, metavar="DIR", help="Folder for the files.")
    ] = Path("firsthandapi-demo"),
) -> None:
    """Run the whole main job on a bundled server, without an account or a network.

    Example: firsthandapi demo
    """
    from .demo import run_demo

    run_demo(dest)


app.command(rich_help_panel=_START)(account.signup)
app.command(rich_help_panel=_START)(account.whoami)


@command(app, rich_help_panel=_START)
def doctor(
    dest: Annotated[
        Path, typer.Option(parser=local_folder, metavar="DIR", help="Folder where you want to collect files.")
    ] = Path(),
) -> Output:
    """Check everything that a call depends on, and print a report for a ticket.

    It covers versions, extras, disk, proxy, certificates, service, clock, key,
    scopes, rate limit, and credits. It works offline and without a key.

    The report contains no secret: it masks keys and proxy passwords, your home
    directory, and your user name. Exits with 1 if a check fails.

    Example: firsthandapi doctor
    """
    from .doctor import examine

    return examine(dest)


app.command(rich_help_panel=_WORK)(collect)
app.command(rich_help_panel=_WORK)(verify)
app.command(rich_help_panel=_WORK)(review)
app.command(rich_help_panel=_WORK)(summary)
command(app, "content-credentials", rich_help_panel=_WORK)(content_credentials)
command(app, rich_help_panel=_WORK)(lock)
command(app, rich_help_panel=_WORK)(diff)
for _decision in (deciding.exclude, deciding.include, deciding.accept, deciding.relabel):
    app.command(rich_help_panel=_WORK)(_decision)
app.command(rich_help_panel=_ACCOUNT)(account.credits)
app.command(rich_help_panel=_ACCOUNT)(account.purchase)
app.command(rich_help_panel=_ACCOUNT)(account.transactions)
app.command(rich_help_panel=_ACCOUNT)(account.audit)


app.command("mock-server", rich_help_panel=_TOOLS)(mock_server)
app.command(rich_help_panel=_TOOLS)(serve)
app.command(rich_help_panel=_TOOLS)(conformance)
app.command(rich_help_panel=_TOOLS)(agents.mcp)
app.command(rich_help_panel=_TOOLS)(agents.skill)

for _group, _name, _panel in (
    (campaign.app, "campaign", _WORK),
    (jobs.app, "jobs", _WORK),
    (files.app, "files", _WORK),
    (submissions.app, "submissions", _WORK),
    (account.settings, "settings", _ACCOUNT),
    (keys.app, "keys", _ACCOUNT),
    (webhooks.app, "webhooks", _TOOLS),
    (journal.app, "journal", _TOOLS),
    (server.app, "server", _TOOLS),
):
    app.add_typer(_group, name=_name, rich_help_panel=_panel)

# Older names, for scripts.
app.command("balance", hidden=True)(account.credits)
app.command(hidden=True)(server.checkpoint)
app.add_typer(server.tokens, name="tokens", hidden=True)
