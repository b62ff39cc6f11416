"""`firsthandapi mock-server`: the bundled server until Ctrl-C, with a line per request."""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
import time
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from firsthandapi.errors import ConfigurationError
from firsthandapi_server.rules.rewrites import Rewrite

from .choices import complete_several, several, words
from .options import Log, Port, option
from .output import command
from .pages import group
from .stopping import stoppable, wait_for_stop

if TYPE_CHECKING:
    from firsthandapi.testing import ReceivedRequest

    Rewrites = list[Rewrite]
else:
    Rewrites = list[str]  # `several` splits each value at commas, and checks the words

app: typer.Typer = group()


@command(app, "mock-server")
def mock_server(
    port: Port = 8080,
    speed: Annotated[
        float, option("N", "Virtual seconds per real second; at 0, only /_control/advance moves time.")
    ] = 1.0,
    seed: Annotated[int, option("N", "Seed for the simulated workers.")] = 0,
    workers: Annotated[
        bool, typer.Option(help="Simulate workers, or leave jobs to /_control/submit.")
    ] = True,
    idempotency_keys: Annotated[
        Literal["all", "jobs"],
        option(
            "WHICH",
            "POSTs that need an Idempotency-Key: all that the contract names, or jobs: only POST /v1/jobs.",
        ),
    ] = "all",
    rewrite: Annotated[
        Rewrites | None,
        option(
            "NAME",
            f"Rewrite new jobs when they are stored: {words(Rewrite)}, joined by commas.",
            callback=several(Rewrite),
            autocompletion=complete_several(Rewrite),
        ),
    ] = None,
    api_key: Annotated[str | None, option("KEY", "Live API key, fh_live_…; by default, a new one.")] = None,
    public_url: Annotated[
        str | None, option("URL", "URL by which programs reach the server, such as that of a proxy.")
    ] = None,
    log: Log = True,
) -> None:
    """Serve the API on this machine, for tests and experiments.

    It prints the variables that clients need, and the URL of its console, which
    shows jobs, requests, webhooks, and money. Tests control it through /_control,
    which /openapi.json describes. Press Ctrl-C to stop it.

    Example: firsthandapi mock-server --port 0 --speed 10
    """
    from firsthandapi.testing import MockServer

    if not 0 <= speed < 10**9:  # nan is neither
        raise ConfigurationError("--speed must be a number of virtual seconds per real second, 0 or more")
    lines = Lines()
    try:
        started = MockServer(
            port=port,
            speed=speed,
            seed=seed,
            workers=workers,
            idempotency_keys=idempotency_keys,
            rewrites=rewrite or (),
            api_key=api_key,
            public_url=public_url,
            on_request=lines.add if log else None,
        ).start()
    except OSError as error:
        raise ConfigurationError(
            f"could not use --port {port}: {error.strerror}; pass 0 to use any free port"
        ) from None
    except ValueError as error:
        option = str(error).partition(" ")[0].replace("_", "-")  # it begins with the argument
        raise ConfigurationError(f"could not use --{option}: {error}") from None
    with stoppable(), contextlib.closing(lines), started as server:
        typer.echo("The bundled FirstHandAPI server is running. In another terminal:\n")
        # `set` in cmd and `$env:` in PowerShell differ; the values are what matters.
        typer.echo(f"  export FIRSTHAND_BASE_URL={server.public_url}")
        typer.echo(f"  export FIRSTHAND_API_KEY={server.api_key}")
        typer.echo("  firsthandapi whoami\n")
        typer.echo(f"The API key of its sandbox is {server.test_api_key}.")
        typer.echo(f"Watch and drive it in a browser: {server.public_url}/console")
        if public_url is not None:
            typer.echo(f"Let the proxy pass requests on to {server.url}, with their Host.")
        typer.echo("Press Ctrl-C to stop it.")
        sys.stdout.flush()
        wait_for_stop()


class Lines:
    """Prints requests from its own thread: a stderr that nobody reads must not stop the server."""

    def __init__(self) -> None:
        self._queue: queue.Queue[str | None] = queue.Queue(1000)
        self._thread = threading.Thread(target=self._print, name="firsthandapi-log", daemon=True)
        self._thread.start()

    def add(self, request: ReceivedRequest) -> None:
        """Print a line soon. Lines are dropped where they are not read in time."""
        seconds = time.time() - request.time
        clock = time.strftime("%H:%M:%S", time.localtime(request.time))
        outcome = "dropped" if request.status is None else str(request.status)
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(
                f"{clock} {request.method} {request.target} {outcome} {seconds * 1000:.0f} ms"
            )

    def close(self) -> None:
        """Print the remaining lines. Where they are not read, wait a few seconds, no more."""
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)
        self._thread.join(5)

    def _print(self) -> None:
        while (line := self._queue.get()) is not None:
            try:
                # Past Python's own buffer: whoever holds its lock at exit, blocked, aborts the interpreter.
                os.write(sys.stderr.fileno(), f"{line}\n".encode())
            except (AttributeError, OSError, ValueError):  # closed: nobody reads it
                return
