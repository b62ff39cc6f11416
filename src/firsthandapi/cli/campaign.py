"""`firsthandapi campaign`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firsthandapi._core.calls.counts import count_of
from firsthandapi.errors import ConfigurationError

from . import is_for_a_person
from .campaign_table import live_table
from .collecting import collected
from .options import Concurrency, Timeout
from .output import AsJson, Output, client, command, dollars, note, print_table, printable
from .progress import CAMPAIGN_CONTINUES, progress
from .stopping import stoppable

if TYPE_CHECKING:
    from firsthandapi import FirstHandClient
    from firsthandapi.campaigns import Campaign, CampaignPlan, LabelPlan

app = typer.Typer(no_args_is_help=True, help="Collect a dataset of several labels under one budget.")

File = Annotated[
    Path, typer.Argument(metavar="FILE", help="YAML, TOML, or JSON file with dest, budget_cents, and jobs.")
]


@command(app)
def plan(api: FirstHandClient, file: File) -> Output:
    """Show what `campaign run` would order now, and what it would cost.

    It orders nothing. Exits with 1 if the budget is too low.

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
    """Order the missing files of a campaign, wait for its jobs, and download them.

    If it stops, run it again: it continues the same jobs, and you never pay twice.

    To order more, edit the file and run it again.

    Exits with 3 on timeout, 4 if the balance is too low.

    Example: firsthandapi campaign run signs.yaml
    """
    campaign = _campaign(file)
    with stoppable():
        try:
            with client() as api, progress(str(campaign.dest), quiet=as_json, live=live_table) as shown:
                return collected(
                    api.campaigns.run(campaign, timeout=timeout, concurrency=concurrency, on_progress=shown)
                )
        except KeyboardInterrupt:
            note(CAMPAIGN_CONTINUES)
            raise


@command(app)
def status(api: FirstHandClient, file: File) -> Output:
    """Show how far each label is, and what the campaign has spent.

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
    label: Annotated[str, typer.Argument(metavar="LABEL", help="Label whose unfinished jobs to cancel.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> Output:
    """Cancel the unfinished jobs of a label. The service refunds missing files; approved files stay.

    The next `campaign run` orders the missing files again, unless you first
    decrease files_needed of the label, or remove the label from the file.

    It shows the refund and asks first.

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
        advice=f"The next `campaign run` orders {count_of(again)} for {name} again. To prevent that, decrease "
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


@app.command()
def forget(
    file: File,
    key: Annotated[str, typer.Argument(metavar="KEY", help="Idempotency key of the order, from the error.")],
) -> None:
    """Give up an order whose job nobody can find.

    First make sure that your account has no job for it: the campaign then
    orders its files again, with another key. If the job shows after all, the
    next run counts it. Refuses an order whose job is known.

    Example: firsthandapi campaign forget signs.yaml fh-…
    """
    from firsthandapi.datasets._ledger import forget_order

    order = forget_order(_campaign(file).dest, key)
    typer.echo(
        f"Forgot an order of {count_of(order.files)} for {printable(order.label)}, {dollars(order.spent_cents)}, whose "
        "response was lost. Its files are ordered again with another key; if a job of that order shows, the next run "
        "counts it."
    )


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
