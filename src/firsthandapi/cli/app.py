"""The commands, and what their failures exit with: 1 failed, 2 usage, 3 timed out, 4 out of credits."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

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

from .collecting import collect, verify
from .output import AsJson, client, print_facts, print_json
from .resources import balance, files, jobs, submissions

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

app = typer.Typer(
    name="firsthandapi",
    help="FirstHandAPI: post a job, get back a folder of verified, annotated, human-made files.\n\n"
    "The API key is read from FIRSTHAND_API_KEY, the address from FIRSTHAND_BASE_URL.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def run() -> None:
    """Run the command line. Errors of ours become one line and an exit code."""
    try:
        app()
    except FirstHandError as error:
        typer.echo(f"firsthandapi: {error}", err=True)
        sys.exit(next(code for kind, code in EXIT_CODES if isinstance(error, kind)))


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


@app.command()
def demo(
    dest: Annotated[Path, typer.Option(help="Where the files go.")] = Path("firsthandapi-demo"),
) -> None:
    """Run the whole main job on a bundled server: no account, no network, a few seconds."""
    from .demo import run_demo

    run_demo(dest)


@app.command("mock-server")
def mock_server(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free port.")] = 8080,
    speed: Annotated[float, typer.Option(help="Virtual seconds a second.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Decides what the simulated workers do.")] = 0,
    workers: Annotated[bool, typer.Option(help="Whether simulated workers work on jobs.")] = True,
) -> None:
    """Serve the API on this machine until Ctrl-C, for trying things out and for tests in any language."""
    import threading

    from firsthandapi.testing import MockServer

    with MockServer(port=port, speed=speed, seed=seed, workers=workers) as server:
        typer.echo("The bundled FirstHandAPI server is running. In another terminal:\n")
        # `set` in cmd and `$env:` in PowerShell differ; the values are what matters.
        typer.echo(f"  export FIRSTHAND_BASE_URL={server.url}")
        typer.echo(f"  export FIRSTHAND_API_KEY={server.api_key}")
        typer.echo("  firsthandapi whoami\n\nCtrl-C stops it.")
        sys.stdout.flush()
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            typer.echo("\nStopped.")


@app.command()
def whoami(as_json: AsJson = False) -> None:
    """Show whose key this is, and what it may do."""
    with client() as api:
        me = api.me()
    if as_json:
        print_json(me.model_dump(mode="json"))
        return
    print_facts(
        (
            ("organization", me.organization_id),
            ("environment", me.environment),
            ("scopes", ", ".join(me.scopes or ["unknown"])),
        )
    )


app.command()(collect)
app.command()(verify)
app.command()(balance)
app.add_typer(jobs, name="jobs")
app.add_typer(files, name="files")
app.add_typer(submissions, name="submissions")
