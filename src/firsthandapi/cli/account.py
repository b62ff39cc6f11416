"""`firsthandapi signup`, `whoami`, `balance`, `purchase`, `transactions`, `audit` and `settings`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from firsthandapi.errors import ConfigurationError
from firsthandapi.types import enums

from .choices import JobType, TransactionType, complete_amounts, complete_audit_types, words
from .options import Limit, OfJob
from .output import (
    AsJson,
    client,
    dollars,
    first,
    fitting,
    joined,
    json_text,
    moment,
    note,
    print_facts,
    print_json,
    print_list,
    print_one,
    yes_no,
)

if TYPE_CHECKING:
    from firsthandapi.types import OrganizationSettings

settings = typer.Typer(invoke_without_command=True)


def signup(
    name: Annotated[str, typer.Option(help="The organization's name.")],
    email: Annotated[str, typer.Option(help="Contact email address.")],
    json: AsJson = False,
) -> None:
    """Create an organization and its first API key, which is shown only once.

    Example: firsthandapi signup --name "Street Signs Ltd" --email me@example.com
    """
    from firsthandapi import FirstHandClient

    made = FirstHandClient.signup(name=name, email=email)
    print_one(
        made,
        lambda made: (
            ("organization", made.organization_id),
            ("API key", made.api_key),
            ("credits", dollars(made.credits_cents)),
        ),
        json=json,
    )
    if not json:
        note(
            "Save the key now: it is not stored here and not shown again. "
            "Commands read it from FIRSTHAND_API_KEY."
        )


def whoami(json: AsJson = False) -> None:
    """Show the organization and the scopes of your API key.

    Example: firsthandapi whoami
    """
    with client() as api:
        me = api.me()
    if json:
        print_json(me.model_dump(mode="json"))
        return
    me = fitting(me)
    print_facts(
        (
            ("organization", me.organization_id),
            ("environment", me.environment),
            ("scopes", ", ".join(me.scopes or ["unknown"])),
        )
    )


def balance(json: AsJson = False) -> None:
    """Show the available credits.

    Example: firsthandapi balance
    """
    with client() as api:
        credit = api.billing.credits()
    print_one(
        credit,
        lambda credit: (
            ("available", dollars(credit.balance_cents)),
            ("held in escrow", dollars(credit.held_cents)),
        ),
        json=json,
    )


def purchase(
    amount_cents: Annotated[
        int,
        typer.Argument(help=f"US cents: {words(enums.PurchaseTier)}.", autocompletion=complete_amounts),
    ],
    json: AsJson = False,
) -> None:
    """Purchase credits: print the URL of a page where you pay.

    You are charged only when you pay there. Keep the URL private.

    Example: firsthandapi purchase 2500
    """
    with client() as api:
        checkout = api.billing.purchase(amount_cents)  # type: ignore[arg-type] # the method checks it, and its error lists the amounts
    print_one(checkout, lambda checkout: [("pay here", checkout.checkout_url)], json=json)


def transactions(
    type: Annotated[
        TransactionType | None,
        typer.Option(metavar="TYPE", help=f"Only this type: {words(enums.TransactionType)}."),
    ] = None,
    limit: Limit = 20,
    json: AsJson = False,
) -> None:
    """List credit transactions, newest first.

    Example: firsthandapi transactions --type refund
    """
    with client() as api:
        found = first(api.billing.transactions(type=type, limit=min(limit, 100)), limit)
    print_list(
        found,
        ("id", "type", "amount", "date", "description"),
        lambda one: (
            one.id,
            one.type,
            dollars(one.amount_cents),
            moment(one.created_at),
            joined(one.description, one.expires_at and f"expires {moment(one.expires_at)}"),
        ),
        json=json,
    )


def audit(
    job_id: OfJob = None,
    event_type: Annotated[
        str | None,
        typer.Option(
            metavar="TYPE",
            help="Only this type, such as job.created.",
            autocompletion=complete_audit_types,
        ),
    ] = None,
    limit: Limit = 20,
    json: AsJson = False,
) -> None:
    """List who did what, newest first.

    Example: firsthandapi audit --event-type api_key.created
    """
    with client() as api:
        page = api.audit_events.list(job_id=job_id, event_type=event_type, limit=min(limit, 100))
        found = first(page, limit)
    print_list(
        found,
        ("id", "type", "date", "details"),
        lambda one: (
            one.id,
            one.event_type,
            moment(one.created_at),
            joined(one.job_id, _plain(one.data), one.actor and f"by {_plain(one.actor)}"),
        ),
        json=json,
    )


def _plain(value: Any) -> str | None:
    # The service documents neither shape.
    if value in (None, {}):
        return None
    return value if isinstance(value, str) else json_text(value, indent=None)


@settings.callback()
def show(ctx: typer.Context, json: AsJson = False) -> None:
    """Show the settings of the organization, or change them.

    Example: firsthandapi settings
    """
    if ctx.invoked_subcommand is None:
        with client() as api:
            _show(api.organization.settings(), json=json)


@settings.command()
def update(
    auto_top_up: Annotated[
        bool | None,
        typer.Option(
            "--auto-top-up/--no-auto-top-up",
            help="Purchase credits when the balance is low.",
        ),
    ] = None,
    auto_top_up_threshold_cents: Annotated[
        int | None,
        typer.Option(
            metavar="CENTS",
            help="The balance that counts as low, in US cents.",
            rich_help_panel="Automatic top-up",
        ),
    ] = None,
    auto_top_up_amount_cents: Annotated[
        int | None,
        typer.Option(
            metavar="CENTS",
            help=f"Amount to purchase: {words(enums.PurchaseTier)}.",
            autocompletion=complete_amounts,
            rich_help_panel="Automatic top-up",
        ),
    ] = None,
    default_type: Annotated[
        JobType | None,
        typer.Option(
            metavar="TYPE", help=f"{words(enums.JobType)}.", rich_help_panel="New jobs on the dashboard"
        ),
    ] = None,
    default_price_per_file_cents: Annotated[
        int | None,
        typer.Option(
            metavar="CENTS", help="US cents, 10 to 50,000.", rich_help_panel="New jobs on the dashboard"
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """Change settings; omitted settings stay unchanged.

    Example: firsthandapi settings update --no-auto-top-up
    """
    changes: dict[str, Any] = {
        "auto_top_up_enabled": auto_top_up,
        "auto_top_up_threshold_cents": auto_top_up_threshold_cents,
        "auto_top_up_amount_cents": auto_top_up_amount_cents,
        "default_type": default_type,
        "default_price_per_file_cents": default_price_per_file_cents,
    }
    check_changes(changes)
    with client() as api:
        _show(api.organization.update_settings(**changes), json=json)


def check_changes(changes: dict[str, Any]) -> None:
    """Refuse an update without a change.

    Raises:
        ConfigurationError: no option was given.
    """
    if all(value is None for value in changes.values()):
        raise ConfigurationError(
            "nothing to change: no option was given; pass at least one of those in --help"
        )


def _show(settings: OrganizationSettings, *, json: bool) -> None:
    print_one(
        settings,
        lambda settings: (
            ("automatic top-up", yes_no(settings.auto_top_up_enabled)),
            ("  below", dollars(settings.auto_top_up_threshold_cents)),
            ("  buys", dollars(settings.auto_top_up_amount_cents)),
            ("new jobs' type", settings.default_type),
            ("new jobs' price per file", dollars(settings.default_price_per_file_cents)),
        ),
        json=json,
    )
