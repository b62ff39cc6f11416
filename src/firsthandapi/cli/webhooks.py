"""`firsthandapi webhooks`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from firsthandapi._core.calls.counts import count_of
from firsthandapi.types import enums

from .account import check_changes
from .choices import EventType, EventTypes, complete_several, several, words
from .events import event_facts
from .options import Limit
from .output import (
    AsJson,
    client,
    first,
    joined,
    moment,
    note,
    print_list,
    print_one,
    yes_no,
)

if TYPE_CHECKING:
    from firsthandapi.types import WebhookEndpoint

app = typer.Typer(
    no_args_is_help=True, help="Manage webhook endpoints and events, and receive events locally."
)
events_app = typer.Typer(no_args_is_help=True, help="List and replay events.")
app.add_typer(events_app, name="events")

EndpointId = Annotated[str, typer.Argument(help="Id of the endpoint, we_….")]
Url = Annotated[str, typer.Option(metavar="URL", help="URL for deliveries: https, or http to this machine.")]


def _events(which: str, panel: str | None = None) -> Any:
    return typer.Option(
        metavar="TYPES",
        callback=several(enums.EventType),
        autocompletion=complete_several(enums.EventType),
        help=f"{which}, joined by commas: {words(enums.EventType)}.",
        rich_help_panel=panel,
    )


Description = Annotated[str | None, typer.Option(help="Description of the endpoint.")]


@app.command()
def create(
    url: Url,
    events: Annotated[EventTypes | None, _events("Event types (default: all)")] = None,
    description: Description = None,
    json: AsJson = False,
) -> None:
    """Create an endpoint: the service sends events to its URL.

    The secret that signs the deliveries is shown only once.

    Example: firsthandapi webhooks create --url https://example.com/hooks
    """
    with client() as api:
        _show(api.webhooks.create(url=url, events=events, description=description), json=json)


@app.command("list")
def list_endpoints(limit: Limit = 20, json: AsJson = False) -> None:
    """List endpoints, newest first.

    Example: firsthandapi webhooks list
    """
    from firsthandapi._masking import mask_secrets

    with client() as api:
        found = first(api.webhooks.list(limit=min(limit, 100)), limit)
    print_list(
        found,
        ("id", "enabled", "events", "url"),
        lambda one: (
            one.id,
            yes_no(one.enabled),
            _which(one.events or ()),
            # Such a URL often contains a token.
            joined(mask_secrets(one.url or ""), one.description),
        ),
        json=json,
    )


@app.command()
def get(endpoint_id: EndpointId, json: AsJson = False) -> None:
    """Show an endpoint.

    Example: firsthandapi webhooks get we_01JD…
    """
    with client() as api:
        _show(api.webhooks.get(endpoint_id), json=json)


@app.command()
def update(
    endpoint_id: EndpointId,
    url: Annotated[str | None, typer.Option(metavar="URL", help="URL for deliveries.")] = None,
    events: Annotated[EventTypes | None, _events("New event types")] = None,
    description: Description = None,
    enabled: Annotated[bool | None, typer.Option("--enable/--disable", help="Send events, or stop.")] = None,
    json: AsJson = False,
) -> None:
    """Change an endpoint; omitted options stay unchanged.

    Example: firsthandapi webhooks update we_01JD… --disable
    """
    changes: dict[str, Any] = {
        "url": url,
        "events": events,
        "description": description,
        "enabled": enabled,
    }
    check_changes(changes)
    with client() as api:
        _show(api.webhooks.update(endpoint_id, **changes), json=json)


@app.command()
def delete(endpoint_id: EndpointId) -> None:
    """Delete an endpoint.

    Example: firsthandapi webhooks delete we_01JD…
    """
    with client() as api:
        api.webhooks.delete(endpoint_id)
    note(f"Deleted {endpoint_id}.")


@app.command("rotate-secret")
def rotate_secret(endpoint_id: EndpointId, json: AsJson = False) -> None:
    """Replace the secret of an endpoint. The new one is shown only once.

    Let receivers accept both for a day: unwrap() takes several secrets.

    Example: firsthandapi webhooks rotate-secret we_01JD…
    """
    with client() as api:
        _show(api.webhooks.rotate_secret(endpoint_id), json=json)


@events_app.command("list")
def list_events(
    type: Annotated[
        EventType | None,
        typer.Option(metavar="TYPE", help=f"Only this type: {words(enums.EventType)}."),
    ] = None,
    limit: Limit = 20,
    json: AsJson = False,
) -> None:
    """List events, newest first.

    Example: firsthandapi webhooks events list --type job.completed
    """
    with client() as api:
        found = first(api.webhooks.events.list(type=type, limit=min(limit, 100)), limit)
    print_list(
        found,
        ("id", "type", "date", "details"),
        lambda one: (one.id, one.type, moment(one.created_at), event_facts(one)),
        json=json,
    )


@events_app.command()
def replay(
    event_id: Annotated[str, typer.Argument(help="Id of the event, evt_….")], json: AsJson = False
) -> None:
    """Deliver an event again to every endpoint subscribed to it.

    Example: firsthandapi webhooks events replay evt_01JD…
    """
    with client() as api:
        event = api.webhooks.events.replay(event_id)
    print_one(
        event,
        lambda event: (("id", event.id), ("type", event.type), ("details", event_facts(event) or None)),
        json=json,
    )


@app.command()
def listen(
    port: Annotated[
        int,
        typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 uses any free port."),
    ] = 8000,
    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Public address of a tunnel. Create an endpoint for it, and delete it at the end.",
            rich_help_panel="Where events come from",
        ),
    ] = None,
    events: Annotated[
        EventTypes | None, _events("Event types for the endpoint (default: all)", "Where events come from")
    ] = None,
    json: Annotated[
        bool,
        typer.Option("--json", help="Print only JSON on standard output, one line per event."),
    ] = False,
) -> None:
    """Receive webhooks on this machine and print each verified event once, until Ctrl-C.

    It rejects deliveries that are not signed with the secret of the endpoint,
    and reports them on standard error.

    Behind a tunnel (ngrok, cloudflared, ssh -R) to the port:

      firsthandapi webhooks listen --url https://something.tunnel.example

    For an endpoint that you created, pass its secret in a variable, because
    every user of the machine can see command lines:

      FIRSTHAND_WEBHOOK_SECRET=whsec_… firsthandapi webhooks listen

    For a bundled server in FIRSTHAND_BASE_URL, pass no option.
    """
    from .listen import run_listener

    run_listener(port=port, url=url, events=events, json=json)


def _which(events: Sequence[str]) -> str:
    """Summarize event types; `get` lists them all."""
    if {*get_args(enums.EventType)} <= {*events}:
        return "all"
    return events[0] if len(events) == 1 else count_of(len(events), "type")


def _show(endpoint: WebhookEndpoint, *, json: bool) -> None:
    print_one(
        endpoint,
        lambda endpoint: (
            ("id", endpoint.id),
            ("url", endpoint.url),
            ("events", ", ".join(endpoint.events or ()) or None),
            ("enabled", yes_no(endpoint.enabled)),
            ("description", endpoint.description),
            ("secret", endpoint.secret),
        ),
        json=json,
    )
    if endpoint.secret and not json:
        note("Save the secret now: it is not stored here and not shown again.")
