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
    campaign_plan = api.campaigns.plan(_campaign(file))
    return Output(_json_of(campaign_plan), str(campaign_plan), code=0 if campaign_plan.fits else 1)


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
    campaign_plan = api.campaigns.plan(_campaign(file))
    rows = [
        (
            label.label,
            f"{label.approved:,} of {label.wanted:,}",
            f"{label.coming:,}",
            f"{label.missing:,}",
            dollars(label.spent_cents),
        )
        for label in campaign_plan.labels
    ]

    def show() -> None:
        print_table(("label", "approved", "coming", "missing", "spent"), rows)
        typer.echo(f"{dollars(campaign_plan.spent_cents)} of {dollars(campaign_plan.budget_cents)} spent")

    return Output(_json_of(campaign_plan), show)


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
    old_plan = _of(api.campaigns.plan(campaign), label)
    if old_plan is not None and old_plan.refundable_cents and not yes:
        _ask(label, old_plan)
    jobs = api.campaigns.cancel(campaign, label)
    campaign_plan = api.campaigns.plan(campaign)
    new_plan = _of(campaign_plan, label)
    refund = old_plan.spent_cents - new_plan.spent_cents if old_plan and new_plan else 0
    file_count = sum(order.files for order in campaign_plan.orders if order.label == label)
    name = printable(label)
    return Output(
        {"jobs": [job.id for job in jobs], "refund_cents": refund},
        f"{count_of(len(jobs), 'job')} cancelled, {dollars(refund)} refunded."
        if jobs
        else f"{name} has no unfinished job.",
        advice=f"The next `campaign run` requests {count_of(file_count)} for {name} again. To prevent that, decrease "
        "its files_needed, or remove the label from the file."
        if jobs and file_count
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
    return next((entry for entry in plan.labels if entry.label == label), None)


def _campaign(file: Path) -> Campaign:
    from firsthandapi import Campaign

    return Campaign.load(file)


def _json_of(plan: CampaignPlan) -> dict[str, Any]:
    return {
        "orders": [
            {**vars(order), "price_per_file_cents": order.price_per_file_cents} for order in plan.orders
        ],
        "labels": [vars(label) for label in plan.labels],
        "cost_cents": plan.cost_cents,
        "spent_cents": plan.spent_cents,
        "budget_cents": plan.budget_cents,
        "fits": plan.fits,
    }
