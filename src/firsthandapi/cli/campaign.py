"""`firsthandapi campaign`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .campaign_table import live_table
from .collecting import report
from .options import Timeout
from .output import AsJson, client, dollars, note, print_json, print_table
from .progress import CAMPAIGN_CONTINUES, progress
from .stopping import stoppable

if TYPE_CHECKING:
    from firsthandapi.campaigns import Campaign, CampaignPlan

app = typer.Typer(no_args_is_help=True, help="Collect a dataset of several labels under one budget.")

File = Annotated[
    Path, typer.Argument(metavar="FILE", help="YAML, TOML, or JSON file with dest, budget_cents, and jobs.")
]


@app.command()
def plan(file: File, as_json: AsJson = False) -> None:
    """Show what `campaign run` would order now, and what it would cost.

    Orders nothing. Exits with 1 if the budget does not suffice.

    Example: firsthandapi campaign plan signs.yaml
    """
    found = _plan(_campaign(file))
    if as_json:
        print_json(_json_of(found))
    else:
        typer.echo(str(found))
    if not found.fits:
        raise typer.Exit(1)


@app.command()
def run(
    file: File,
    timeout: Timeout = 86_400,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="Downloads at once.")] = 32,
    as_json: AsJson = False,
) -> None:
    """Order what the campaign lacks, wait for its jobs, and download their files.

    If it stops, run it again: it continues the same jobs, and you never pay twice.

    To order more, edit the file and run it again.

    Exits with 3 on timeout, 4 if the balance is too low.

    Example: firsthandapi campaign run signs.yaml
    """
    campaign = _campaign(file)
    with stoppable():
        try:
            with client() as api, progress(str(campaign.dest), quiet=as_json, live=live_table) as shown:
                dataset = api.campaigns.run(
                    campaign, timeout=timeout, concurrency=concurrency, on_progress=shown
                )
        except KeyboardInterrupt:
            note(CAMPAIGN_CONTINUES)
            raise
    report(dataset, as_json=as_json)


@app.command()
def status(file: File, as_json: AsJson = False) -> None:
    """Show how far each label is, and what the campaign has spent.

    Example: firsthandapi campaign status signs.yaml
    """
    found = _plan(_campaign(file))
    if as_json:
        print_json(_json_of(found))
        return
    print_table(
        ("label", "approved", "coming", "missing", "spent"),
        [
            (
                each.label,
                f"{each.approved:,} of {each.wanted:,}",
                f"{each.coming:,}",
                f"{each.missing:,}",
                dollars(each.spent_cents),
            )
            for each in found.labels
        ],
    )
    typer.echo(f"{dollars(found.spent_cents)} of {dollars(found.budget_cents)} spent")


def _campaign(file: Path) -> Campaign:
    from firsthandapi import Campaign

    return Campaign.load(file)


def _plan(campaign: Campaign) -> CampaignPlan:
    with client() as api:
        return api.campaigns.plan(campaign)


def _json_of(found: CampaignPlan) -> dict[str, Any]:
    return {
        "orders": [vars(order) for order in found.orders],
        "labels": [vars(label) for label in found.labels],
        "cost_cents": found.cost_cents,
        "spent_cents": found.spent_cents,
        "budget_cents": found.budget_cents,
        "fits": found.fits,
    }
