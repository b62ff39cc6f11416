"""`firsthandapi signup`, `whoami`, `credits`, `purchase`, `transactions`, `audit` and `settings`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from firsthandapi.errors import ConfigurationError
from firsthandapi.types.enums import JobType, PurchaseTier, TransactionType

from .choices import complete_amounts, complete_audit_types, only, words
from .options import Limit, OfJob, OfJobId, argument, cents, option
from .output import (
    Output,
    client,
    command,
    dollars,
    fitting,
    joined,
    json_text,
    many,
    moment,
    one,
    print_facts,
    prints,
    yes_no,
)
from .pages import Command, group

if TYPE_CHECKING:
    from firsthandapi import FirstHandClient
    from firsthandapi.types import OrganizationSettings

app: typer.Typer = group()
settings: typer.Typer = group(
    "Show the settings of the organization, or change them.\n\nExample: firsthandapi settings",
    invoke_without_command=True,
    subcommand_metavar="[COMMAND] [ARGS]...",
)
app.add_typer(settings, name="settings")
_TOP_UP, _NEW_JOBS = "Automatic top-up", "New jobs on the dashboard"


@command(app)
def signup(
    name: Annotated[str, option("NAME", "Name of the organization.")],
    email: Annotated[str, option("EMAIL", "Contact email address.")],
) -> Output:
    """Create an organization and its first API key, which is shown only once.

    Example: firsthandapi signup --name "Street Signs Ltd" --email me@example.com
    """
    from firsthandapi import FirstHandClient

    return one(
        FirstHandClient.signup(name=name, email=email),
        lambda account: (
            ("organization", account.organization_id),
            ("API key", account.api_key),
            ("credits", dollars(account.credits_cents)),
        ),
        advice="Save the key now: it is not stored here and not shown again. "
        "Commands read it from FIRSTHAND_API_KEY.",
    )


@command(app)
def whoami(api: FirstHandClient) -> Output:
    """Show the organization and the scopes of your API key.

    Example: firsthandapi whoami
    """
    me = api.me()
    identity = fitting(me)
    facts = (
        ("organization", identity.organization_id),
        ("environment", identity.environment),
        ("scopes", ", ".join(identity.scopes or ["unknown"])),
    )
    return Output(me.model_dump(mode="json"), lambda: print_facts(facts))


@command(app)
def credits(api: FirstHandClient) -> Output:
    """Show the available credits.

    Example: firsthandapi credits
    """
    return one(
        api.billing.credits(),
        lambda credit: (
            ("available", dollars(credit.balance_cents)),
            ("held in escrow", dollars(credit.held_cents)),
        ),
    )


app.command("balance", cls=Command)(credits)  # its older name


@command(app)
def purchase(
    api: FirstHandClient,
    amount_cents: Annotated[
        int, argument("CENTS", f"Amount: {words(PurchaseTier)}.", autocompletion=complete_amounts)
    ],
) -> Output:
    """Print the URL of a page where you pay for credits.

    You pay only on that page. Keep the URL private.

    Example: firsthandapi purchase 2500
    """
    checkout = api.billing.purchase(amount_cents)  # type: ignore[arg-type] # the method checks it, and its error lists the amounts
    return one(checkout, lambda checkout: [("pay here", checkout.checkout_url)])


@command(app)
def transactions(
    api: FirstHandClient,
    type: Annotated[TransactionType | None, only("type", TransactionType)] = None,
    limit: Limit = 20,
) -> Output:
    """List credit transactions, newest first.

    Example: firsthandapi transactions --type refund
    """
    return many(
        api.billing.transactions(type=type, limit=min(limit, 100)),
        limit,
        ("id", "type", "amount", "date", "description"),
        lambda entry: (
            entry.id,
            entry.type,
            dollars(entry.amount_cents),
            moment(entry.created_at),
            joined(entry.description, entry.expires_at and f"expires {moment(entry.expires_at)}"),
        ),
    )


@command(app)
def audit(
    api: FirstHandClient,
    job_id: OfJob = None,
    event_type: Annotated[
        str | None,
        option("TYPE", "Only this type, such as job.created.", autocompletion=complete_audit_types),
    ] = None,
    limit: Limit = 20,
    of_job: OfJobId = None,
) -> Output:
    """List who changed what, newest first.

    Example: firsthandapi audit --event-type api_key.created
    """
    return many(
        api.audit_events.list(job_id=job_id or of_job, event_type=event_type, limit=min(limit, 100)),
        limit,
        ("id", "type", "date", "details"),
        lambda event: (
            event.id,
            event.event_type,
            moment(event.created_at),
            joined(event.job_id, _plain(event.data), event.actor and f"by {_plain(event.actor)}"),
        ),
    )


def _plain(value: Any) -> str | None:
    # The service documents neither shape.
    if value in (None, {}):
        return None
    return value if isinstance(value, str) else json_text(value, indent=None)


@settings.callback()
@prints
def show(ctx: typer.Context) -> Output | None:
    if ctx.invoked_subcommand is not None:
        return None
    with client() as api:
        return _shown(api.organization.settings())


@command(settings)
def update(
    api: FirstHandClient,
    auto_top_up: Annotated[
        bool | None,
        typer.Option(
            "--auto-top-up/--no-auto-top-up",
            help="Purchase credits when the balance is low, or stop doing so.",
        ),
    ] = None,
    auto_top_up_threshold_cents: Annotated[
        int | None, cents("Balance below which to purchase.", _TOP_UP)
    ] = None,
    auto_top_up_amount_cents: Annotated[
        int | None,
        cents(f"Amount to purchase: {words(PurchaseTier)}.", _TOP_UP, autocompletion=complete_amounts),
    ] = None,
    default_type: Annotated[
        JobType | None, option("TYPE", f"Type: {words(JobType)}.", rich_help_panel=_NEW_JOBS)
    ] = None,
    default_price_per_file_cents: Annotated[
        int | None, cents("Price per file, 10 to 50,000.", _NEW_JOBS)
    ] = None,
) -> Output:
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
    return _shown(api.organization.update_settings(**changes))


def check_changes(changes: dict[str, Any]) -> None:
    """Refuse an update without a change. Raises ConfigurationError: no option was given."""
    if all(value is None for value in changes.values()):
        raise ConfigurationError(
            "nothing to change: no option was given; pass at least one of those in --help"
        )


def _shown(settings: OrganizationSettings) -> Output:
    return one(
        settings,
        lambda settings: (
            ("automatic top-up", yes_no(settings.auto_top_up_enabled)),
            ("  below", dollars(settings.auto_top_up_threshold_cents)),
            ("  purchases", dollars(settings.auto_top_up_amount_cents)),
            ("new jobs' type", settings.default_type),
            ("new jobs' price per file", dollars(settings.default_price_per_file_cents)),
        ),
    )
