"""`firsthandapi demo`: run the main job, from post to files on disk, against a bundled server."""

from __future__ import annotations

import os
import shutil
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from queue import Empty, Queue
from typing import TYPE_CHECKING, Annotated

import typer

from firsthandapi._base.counts import count_of
from firsthandapi.errors import FirstHandError

from .options import local_folder, option
from .output import command, dollars, of_needed, stars
from .pages import group
from .stopping import stoppable, wait_for_stop

if TYPE_CHECKING:
    from firsthandapi.datasets import Record
    from firsthandapi.types import Job, WebhookEvent

app = group()

# Virtual seconds per real second: workers submit after 15, and scoring takes 5 to 15 more.
_SPEED = 10.0
_PATIENCE = 60.0


@command(app)
def demo(
    dest: Annotated[Path, option("DIR", "Folder for the files.", parser=local_folder)] = Path(
        "firsthandapi-demo"
    ),
    open_console: Annotated[
        bool, typer.Option("--console", help="Watch it in a browser, and keep the server until Ctrl-C.")
    ] = False,
) -> None:
    """Run a whole job on this machine, without an account or a network.

    A bundled server replaces the service, and simulated workers submit the files.

    Example: firsthandapi demo --console
    """
    from rich.console import Console
    from rich.markup import escape

    from firsthandapi.testing import MockServer

    from .listen import Server

    console = Console(highlight=False, soft_wrap=True)
    say = console.print
    say(
        "[bold]FirstHandAPI[/bold]: you post a job, people capture files, an AI ensemble rates each file 1-5 stars,"
    )
    say("and you get the approved files with annotations. This demo runs all of it on your own machine.\n")

    # A proxy cannot reach a server on this machine.
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
    receiver, hooks = _Receiver(), Server(0)
    with (
        stoppable(),
        MockServer(speed=_SPEED) as server,
        server.client() as client,
        hooks,
        hooks.serving(receiver),
    ):
        say(f"[bold]1.[/bold] A bundled server replaces the service, on {server.url}")
        if open_console:
            say(f"   Watch it in a browser: {server.url}/console")
            webbrowser.open(f"{server.url}/console")
        say(f"   Balance: {dollars(client.billing.credits().balance_cents)}\n")

        endpoint = client.webhooks.create(url=f"{hooks.url}/hooks", events=["job.completed"])
        receiver.secret = endpoint.secret or ""
        say("[bold]2.[/bold] Create a webhook endpoint: the service will report when the job is completed.\n")

        say("[bold]3.[/bold] Post a job: 4 photos at 50 cents each, held in escrow.")
        say("   [dim]client.jobs.create_and_wait(description=…, files_needed=4, …)[/dim]")

        def on_update(job: Job) -> None:
            say(f"   {job.id}  {job.status:<11}  {of_needed(job)} approved")

        job = client.jobs.create_and_wait(
            title="Street signs",
            description="Photos of street signs in daylight, the sign filling most of the frame",
            files_needed=4,
            accepted_formats=["image/jpeg", "image/png"],
            price_per_file_cents=50,
            max_spend_cents=200,
            timeout=_PATIENCE,
            on_update=on_update,
        )
        say(f"   Done. The job cost {dollars(job.total_cost_cents)}.\n")

        say("[bold]4.[/bold] Download the files into a folder, where each appears once it is verified.")
        # One folder per job, so that you can run the demo again.
        dataset = client.files.download_all(job.id, dest / job.id)
        for record in dataset:
            name = escape(record.file_name)
            rating = stars(record.ai_star_rating)
            say(f"   {name}  {rating:<5}  {record.width}x{record.height}  {_summary(record)}")
        say(f"   SHA-256 of all {count_of(len(dataset))} verified: {'yes' if dataset.verify() else 'no'}\n")

        say("[bold]5.[/bold] The webhook arrived, and its signature is valid:")
        event = receiver.event()
        say(f"   {event.id}  {event.type}  {escape(str(event.created_at))}\n")

        say(
            "[bold green]That is the product.[/bold green] "
            f"Balance now: {dollars(client.billing.credits().balance_cents)}"
        )
        say(f"Load it: datasets.load_dataset('imagefolder', data_dir='{escape(str(dataset.path))}')")
        say("The same code runs against the real service with a real key.")
        if open_console:
            say("\nThe console keeps running, and the server does its jobs. Press Ctrl-C to stop it.")
            wait_for_stop()
            return
        say(
            "\nTo watch jobs, requests, webhooks, and money in a browser:\n\n"
            f"  [bold]{escape(_program())} demo --console[/bold]"
        )


def _program() -> str:
    """What a shell runs as this command: its name, or its path if the name on PATH is another one or none."""
    called, named = Path(sys.argv[0]), shutil.which("firsthandapi")
    if called.stem != "firsthandapi" or (named and Path(named).parent.resolve() == called.parent.resolve()):
        return "firsthandapi"
    return f'"{called}"' if " " in str(called) else str(called)


def _summary(record: Record) -> str:
    from rich.markup import escape

    if record.annotations is None:
        return "no annotations"
    objects = ", ".join(item["label"] for item in record.annotations["objects"])
    return escape(f"{objects} ({record.annotations['scene']['setting']})")


class _Receiver:
    """A webhook receiver like a buyer's: it verifies the raw body before it trusts it."""

    def __init__(self) -> None:
        self.secret = ""
        self._events: Queue[WebhookEvent] = Queue()

    def take(self, body: bytes, headers: Sequence[tuple[str, str]]) -> int:
        from firsthandapi.webhooks import unwrap

        try:
            self._events.put(unwrap(body, headers, self.secret))
        except FirstHandError:
            return 400
        return 204

    def event(self) -> WebhookEvent:
        try:
            return self._events.get(timeout=_PATIENCE)
        except Empty:
            raise FirstHandError("the demo received no webhook; report this as a bug") from None
