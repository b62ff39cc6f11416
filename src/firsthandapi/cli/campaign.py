"""`firsthandapi campaign`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firsthandapi._base.counts import count_of
from firsthandapi.errors import ConfigurationError

from . import is_for_a_person
from .campaign_table import live_table
from .collecting import collected
from .options import Concurrency, Timeout, argument
from .output import AsJson, Output, client, command, dollars, print_table, printable
from .pages import group
from .progress import CAMPAIGN_CONTINUES, progress
from .taking_away import taken_away

if TYPE_CHECKING:
    from firsthandapi import FirstHandClient
    from firsthandapi.campaigns import Campaign, CampaignPlan, LabelPlan

app: typer.Typer = group("Collect files of several labels under one budget.")

File = Annotated[Path, argument("FILE", "YAML, TOML, or JSON file with dest, budget_cents, and jobs.")]


@command(app)
def plan(api: FirstHandClient, file: File) -> Output:
    """Show which jobs `campaign run` would post now, and their cost.

    It posts nothing. Exits with 1 if the budget is too low.

    Example: firsthandapi campaign plan signs.yaml
    """
    found = api.campaigns.plan(_campaign(file))
    return Output(_json_of(found), str(found), code=0 if found.fits else 1)


@command(app)
def run(
    file: File,
    timeout: Timeout = 86_400,
    concurrency: Concurrency = 32,
    as_json: AsJson = False,
) -> Output:
    """Post the jobs of a campaign, wait for them, and download their files.

    If it stops, run it again: it continues the same jobs, and you never pay twice.

    To collect more files, edit FILE and run it again.

    Exits with 3 on timeout, and with 4 if the balance is too low.

    Example: firsthandapi campaign run signs.yaml
    """
    campaign = _campaign(file)
    dest = str(campaign.dest)
    display = progress(dest, quiet=as_json, live=live_table, advice=CAMPAIGN_CONTINUES)
    with taken_away(dest), client() as api, display as report:
        return collected(
            api.campaigns.run(campaign, timeout=timeout, concurrency=concurrency, on_progress=report)
        )


@command(app)
def status(api: FirstHandClient, file: File) -> Output:
    """Show the progress of each label, and the cost so far.

    Example: firsthandapi campaign status signs.yaml
    """
    found = api.campaigns.plan(_campaign(file))
    rows = [
        (
            each.label,
            f"{each.approved:,} of {each.wanted:,}",
            f"{each.coming:,}",
            f"{each.missing:,}",
            dollars(each.spent_cents),
        )
        for each in found.labels
    ]

    def show() -> None:
        print_table(("label", "approved", "coming", "missing", "spent"), rows)
        typer.echo(f"{dollars(found.spent_cents)} of {dollars(found.budget_cents)} spent")

    return Output(_json_of(found), show)


@command(app)
def cancel(
    api: FirstHandClient,
    file: File,
    label: Annotated[str, argument("LABEL", "Label whose unfinished jobs you want to cancel.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Cancel them without asking.")] = False,
) -> Output:
    """Cancel the unfinished jobs of a label.

    The service refunds missing files. You keep approved files. The command shows
    the refund and asks first.

    The next `campaign run` posts a job for the missing files again. To prevent
    that, decrease files_needed of the label, or remove the label from FILE.

    Example: firsthandapi campaign cancel signs.yaml stop
    """
    campaign = _campaign(file)
    before = _of(api.campaigns.plan(campaign), label)
    if before is not None and before.refundable_cents and not yes:
        _ask(label, before)
    jobs = api.campaigns.cancel(campaign, label)
    after = api.campaigns.plan(campaign)
    now = _of(after, label)
    refund = before.spent_cents - now.spent_cents if before and now else 0
    again = sum(order.files for order in after.orders if order.label == label)
    name = printable(label)
    return Output(
        {"jobs": [job.id for job in jobs], "refund_cents": refund},
        f"{count_of(len(jobs), 'job')} cancelled, {dollars(refund)} refunded."
        if jobs
        else f"{name} has no unfinished job.",
        advice=f"The next `campaign run` requests {count_of(again)} for {name} again. To prevent that, decrease "
        "its files_needed, or remove the label from the file."
        if jobs and again
        else None,
    )


def _ask(label: str, plan: LabelPlan) -> None:
    question = (
        f"{label} has unfinished jobs with {count_of(plan.coming)} to come. Cancelling them refunds up to "
        f"{dollars(plan.refundable_cents)}."
    )
    if not is_for_a_person(sys.stdin):
        raise ConfigurationError(f"{question} Nothing was cancelled; pass --yes to cancel them")
    typer.confirm(f"{question} Cancel them?", abort=True, err=True)


def _of(plan: CampaignPlan, label: str) -> LabelPlan | None:
    return next((each for each in plan.labels if each.label == label), None)


def _campaign(file: Path) -> Campaign:
    from firsthandapi import Campaign

    return Campaign.load(file)


def _json_of(found: CampaignPlan) -> dict[str, Any]:
    return {
        "orders": [
            {**vars(order), "price_per_file_cents": order.price_per_file_cents} for order in found.orders
        ],
        "labels": [vars(label) for label in found.labels],
        "cost_cents": found.cost_cents,
        "spent_cents": found.spent_cents,
        "budget_cents": found.budget_cents,
        "fits": found.fits,
    }
