"""The commands, and what their failures exit with: 1 failed, 2 usage, 3 timed out, 4 out of credits."""

from __future__ import annotations

import contextlib
import io
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from firsthandapi._version import __version__
from firsthandapi.errors import (
    ConfigurationError,
    DeadlineExceededError,
    FirstHandError,
    FirstHandTimeoutError,
    InsufficientCreditsError,
    InvalidArgumentError,
    WaitTimeoutError,
)

from . import account, agents, files, jobs, keys, submissions, webhooks
from .collecting import collect, verify
from .options import local_folder
from .output import AsJson, nowhere, printable

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
# What Typer raises for a command line that it cannot read; its module is private.
_UsageError = cast("type[Exception]", typer.BadParameter.__mro__[1])

_START, _WORK, _ACCOUNT, _TOOLS = "Getting started", "Jobs and files", "Account", "Tools"

app = typer.Typer(
    name="firsthandapi",
    help="FirstHandAPI: post a job, get back a folder of verified, annotated, human-made files.\n\n"
    "The API key is read from FIRSTHAND_API_KEY, the address from FIRSTHAND_BASE_URL.\n\n"
    "First steps, on your own machine and without an account: firsthandapi demo\n\n"
    "Exit codes: 0 done, 1 failed, 2 usage, 3 timed out, 4 out of credits.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def run() -> None:
    """Run the command line. Errors of ours, and of usage, become one line and an exit code."""
    _ready_output()
    try:
        code = app(prog_name="firsthandapi", standalone_mode=False)
    except FirstHandError as error:
        _fail(str(error), next(code for kind, code in EXIT_CODES if isinstance(error, kind)))
    except typer.Abort:
        _fail("stopped", 1)
    except _UsageError as error:
        _misused(error)
    except OSError as error:
        # The client's are mapped: what is left is output that finds no room, such as on a full disk.
        if error.filename is None:
            sys.stdout = nowhere()
        _fail(f"{error.filename or 'standard output'} cannot be written: {error.strerror or error}", 1)
    else:
        sys.exit(code if isinstance(code, int) else 0)


def _ready_output() -> None:
    for name in ("stdout", "stderr"):
        stream: Any = getattr(sys, name)
        if stream is None:  # closed by who started this, as with `>&-`
            setattr(sys, name, nowhere())
        elif isinstance(stream, io.TextIOWrapper):
            # A Windows pipe has 255 characters, and a table may be in Japanese.
            stream.reconfigure(errors="backslashreplace")


def _misused(error: Any) -> None:
    # Typer would draw a box of six lines. Where help was printed instead, the message is empty.
    message = error.format_message().replace("Value error, ", "").rstrip(".")
    if not message:
        sys.exit(2)
    where = error.ctx.command_path if error.ctx else "firsthandapi"
    _fail(f"{message}; {where} --help tells more", 2)


def _fail(message: str, code: int) -> None:
    with contextlib.suppress(OSError):
        typer.echo(f"firsthandapi: {printable(message)}", err=True)
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
        Path, typer.Option(parser=local_folder, metavar="DIR", help="Where the files go.")
    ] = Path("firsthandapi-demo"),
) -> None:
    """Run the whole main job on a bundled server: no account, no network, a few seconds.

    Example: firsthandapi demo
    """
    from .demo import run_demo

    run_demo(dest)


app.command(rich_help_panel=_START)(account.signup)
app.command(rich_help_panel=_START)(account.whoami)


@app.command(rich_help_panel=_START)
def doctor(
    dest: Annotated[
        Path, typer.Option(parser=local_folder, metavar="DIR", help="The folder that files are to go to.")
    ] = Path(),
    json: AsJson = False,
) -> None:
    """Check all that a call depends on: a report for a ticket, nothing secret in it.

    Versions, extras, disk, proxy, certificates, the way to the service, clock,
    key, scopes, rate limit, credits. Works offline and without a key.

    Keys and proxy passwords are masked, your home directory and user name left
    out. Exits with 1 if something failed.

    Example: firsthandapi doctor
    """
    from .doctor import examine

    examine(dest, json=json)


app.command(rich_help_panel=_WORK)(collect)
app.command(rich_help_panel=_WORK)(verify)
app.command(rich_help_panel=_ACCOUNT)(account.balance)
app.command(rich_help_panel=_ACCOUNT)(account.purchase)
app.command(rich_help_panel=_ACCOUNT)(account.transactions)
app.command(rich_help_panel=_ACCOUNT)(account.audit)


class _IdempotencyKeys(StrEnum):
    ALL = "all"
    JOBS = "jobs"


@app.command("mock-server", rich_help_panel=_TOOLS)
def mock_server(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free port.")] = 8080,
    speed: Annotated[float, typer.Option(help="Virtual seconds a second.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Decides what the simulated workers do.")] = 0,
    workers: Annotated[bool, typer.Option(help="Whether simulated workers work on jobs.")] = True,
    idempotency_keys: Annotated[
        _IdempotencyKeys,
        typer.Option(
            help="Which POSTs need an Idempotency-Key: all that the contract names, or POST /v1/jobs."
        ),
    ] = _IdempotencyKeys.ALL,
) -> None:
    """Serve the API on this machine until Ctrl-C, to try things out and for tests.

    It prints what to set so that every client, of any language, talks to it.

    Example: firsthandapi mock-server --port 0 --speed 10
    """
    import threading

    from firsthandapi.testing import MockServer

    if not 0 <= speed < 10**9:  # nan is neither
        raise ConfigurationError("--speed must be a number of virtual seconds a second, 0 or more")
    try:
        started = MockServer(
            port=port, speed=speed, seed=seed, workers=workers, idempotency_keys=idempotency_keys.value
        ).start()
    except OSError as error:
        raise ConfigurationError(
            f"--port {port} cannot be used: {error.strerror}; 0 takes a free one"
        ) from None
    with started as server:
        typer.echo("The bundled FirstHandAPI server is running. In another terminal:\n")
        # `set` in cmd and `$env:` in PowerShell differ; the values are what matters.
        typer.echo(f"  export FIRSTHAND_BASE_URL={server.url}")
        typer.echo(f"  export FIRSTHAND_API_KEY={server.api_key}")
        typer.echo("  firsthandapi whoami\n\nCtrl-C stops it.")
        sys.stdout.flush()
        try:
            # On Windows Ctrl-C is noticed only between two waits.
            while not threading.Event().wait(0.5):
                pass
        except KeyboardInterrupt:
            typer.echo("\nStopped.")


app.command(rich_help_panel=_TOOLS)(agents.mcp)
app.command(rich_help_panel=_TOOLS)(agents.skill)

for _group, _name, _panel in (
    (jobs.app, "jobs", _WORK),
    (files.app, "files", _WORK),
    (submissions.app, "submissions", _WORK),
    (account.settings, "settings", _ACCOUNT),
    (keys.app, "keys", _ACCOUNT),
    (webhooks.app, "webhooks", _TOOLS),
):
    app.add_typer(_group, name=_name, rich_help_panel=_panel)
