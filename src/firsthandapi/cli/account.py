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
    as_json,
    client,
    dollars,
    first,
    joined,
    json_text,
    moment,
    note,
    print_facts,
    print_json,
    print_list,
    yes_no,
)

if TYPE_CHECKING:
    from firsthandapi.types import OrganizationSettings

settings = typer.Typer(invoke_without_command=True)


def signup(
    name: Annotated[str, typer.Option(help="The organization's name.")],
    email: Annotated[str, typer.Option(help="Whom to write to.")],
    json: AsJson = False,
) -> None:
    """Make an organization and its first API key, which is shown this once.

    Example: firsthandapi signup --name "Street Signs Ltd" --email me@example.com
    """
    from firsthandapi import FirstHandClient

    made = FirstHandClient.signup(name=name, email=email)
    if json:
        print_json(as_json(made))
        return
    print_facts(
        (
            ("organization", made.organization_id),
            ("API key", made.api_key),
            ("credits", dollars(made.credits_cents)),
        )
    )
    note("Keep the key now: it is not shown again, nor stored here. Commands read it from FIRSTHAND_API_KEY.")


def whoami(json: AsJson = False) -> None:
    """Show whose key this is, and what it may do.

    Example: firsthandapi whoami
    """
    with client() as api:
        me = api.me()
    if json:
        print_json(me.model_dump(mode="json"))
        return
    print_facts(
        (
            ("organization", me.organization_id),
            ("environment", me.environment),
            ("scopes", ", ".join(me.scopes or ["unknown"])),
        )
    )


def balance(json: AsJson = False) -> None:
    """Show what there is to spend.

    Example: firsthandapi balance
    """
    with client() as api:
        credit = api.billing.credits()
    if json:
        print_json(as_json(credit))
        return
    print_facts(
        (("available", dollars(credit.balance_cents)), ("held in escrow", dollars(credit.held_cents)))
    )


def purchase(
    amount_cents: Annotated[
        int,
        typer.Argument(help=f"US cents: {words(enums.PurchaseTier)}.", autocompletion=complete_amounts),
    ],
    json: AsJson = False,
) -> None:
    """Buy credits: prints the address of a page to pay on.

    Nothing is bought before somebody pays there. The address is yours alone.

    Example: firsthandapi purchase 2500
    """
    with client() as api:
        checkout = api.billing.purchase(amount_cents)  # type: ignore[arg-type] # checked there, with a message that says what is sold
    if json:
        print_json(as_json(checkout))
        return
    print_facts((("pay here", checkout.checkout_url),))


def transactions(
    type: Annotated[
        TransactionType | None,
        typer.Option(metavar="TYPE", help=f"Only these: {words(enums.TransactionType)}."),
    ] = None,
    limit: Limit = 20,
    json: AsJson = False,
) -> None:
    """List movements of credits, newest first.

    Example: firsthandapi transactions --type refund
    """
    with client() as api:
        found = first(api.billing.transactions(type=type, limit=min(limit, 100)), limit)
    print_list(
        found,
        ("id", "type", "amount", "booked", "what for"),
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
            help="Only of this type, such as job.created.",
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
        ("id", "type", "when", "what"),
        lambda one: (
            one.id,
            one.event_type,
            moment(one.created_at),
            joined(one.job_id, _plain(one.data), one.actor and f"by {_plain(one.actor)}"),
        ),
        json=json,
    )


def _plain(value: Any) -> str | None:
    # Neither shape is documented.
    if value in (None, {}):
        return None
    return value if isinstance(value, str) else json_text(value, indent=None)


@settings.callback()
def show(ctx: typer.Context, json: AsJson = False) -> None:
    """Show the organization's settings, or change them.

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
            help="Whether to buy credits when they run low.",
        ),
    ] = None,
    auto_top_up_threshold_cents: Annotated[
        int | None,
        typer.Option(metavar="CENTS", help='What "low" is, in US cents.', rich_help_panel="Automatic top-up"),
    ] = None,
    auto_top_up_amount_cents: Annotated[
        int | None,
        typer.Option(
            metavar="CENTS",
            help=f"What to buy then: {words(enums.PurchaseTier)}.",
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
            metavar="CENTS", help="In US cents, 10 to 50,000.", rich_help_panel="New jobs on the dashboard"
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """Change settings; what is left out stays as it is.

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
    """Refuse an update of nothing.

    Raises:
        ConfigurationError: no option was given.
    """
    if all(value is None for value in changes.values()):
        raise ConfigurationError("nothing to change: give at least one option; --help lists them")


def _show(settings: OrganizationSettings, *, json: bool) -> None:
    if json:
        print_json(as_json(settings))
        return
    print_facts(
        (
            ("automatic top-up", yes_no(settings.auto_top_up_enabled)),
            ("  below", dollars(settings.auto_top_up_threshold_cents)),
            ("  buys", dollars(settings.auto_top_up_amount_cents)),
            ("new jobs' type", settings.default_type),
            ("new jobs' price a file", dollars(settings.default_price_per_file_cents)),
        )
    )
