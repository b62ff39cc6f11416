"""`firsthandapi mcp` and `skill`, for agents."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from .options import cents, option
from .output import command
from .pages import group

app: typer.Typer = group()


@command(app)
def mcp(
    http: Annotated[
        int | None, option("PORT", "Serve HTTP on 127.0.0.1, not standard input.", min=0, max=65535)
    ] = None,
    budget_cents: Annotated[int, cents("Budget for all sessions together.", min=0)] = 2500,
    confirm_cents: Annotated[
        int | None, cents("Ask the person before an order that costs more.", min=0)
    ] = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Offer no tool that changes anything.")
    ] = False,
    ledger: Annotated[
        Path | None, option("DIR", "Folder of the ledger; by default, one per API key.")
    ] = None,
    campaigns: Annotated[
        Path | None, option("DIR", "Folder for campaigns and downloads; by default, beside the ledger.")
    ] = None,
) -> None:
    """Serve the API to agents over the Model Context Protocol.

    A ledger on disk, which all sessions share, limits what agents spend.
    Without FIRSTHAND_API_KEY the only tool is signup.

    Example: firsthandapi mcp --budget-cents 5000
    """
    import anyio

    from firsthandapi.mcp import Options, serve

    options = Options(
        budget_cents=budget_cents,
        confirm_cents=confirm_cents,
        read_only=read_only,
        ledger=None if ledger is None else ledger.expanduser(),
        campaigns=None if campaigns is None else campaigns.expanduser().absolute(),
    )

    def listening(url: str) -> None:
        typer.echo(f"Serving {url} until Ctrl-C.", err=True)

    anyio.run(lambda: serve(options, http_port=http, on_listening=listening))


@command(app)
def skill() -> None:
    """Print SKILL.md, the instructions for agents that use this SDK.

    Example: firsthandapi skill > SKILL.md
    """
    typer.echo((files("firsthandapi") / "SKILL.md").read_text(encoding="utf-8"), nl=False)
