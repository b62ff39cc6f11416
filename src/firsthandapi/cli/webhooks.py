"""`firsthandapi webhooks`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from firsthandapi._base.counts import count_of
from firsthandapi.types.enums import EventType

from .account import check_changes
from .choices import EventTypes, complete_several, only, several, words
from .events import event_facts
from .options import Limit, Port, argument, option
from .output import SAVE_IT, AsJson, Output, command, joined, many, moment, note, one, yes_no
from .pages import group

if TYPE_CHECKING:
    from firsthandapi import FirstHandClient
    from firsthandapi.types import WebhookEndpoint

app: typer.Typer = group("Manage webhook endpoints, and receive events on this machine.")
events_app: typer.Typer = group("List and replay events.")
app.add_typer(events_app, name="events")

EndpointId = Annotated[str, argument("ENDPOINT_ID", "Id of the endpoint, we_….")]
Url = Annotated[str, option("URL", "URL for deliveries: https, or http to this machine.")]


def _events(which: str, panel: str | None = None) -> Any:
    return option(
        "TYPES",
        f"{which}: {words(EventType)}.",
        callback=several(EventType),
        autocompletion=complete_several(EventType),
        rich_help_panel=panel,
    )


Description = Annotated[str | None, option("TEXT", "Description of the endpoint.")]


@command(app)
def create(
    api: FirstHandClient,
    url: Url,
    events: Annotated[EventTypes | None, _events("Event types, joined by commas; by default, all")] = None,
    description: Description = None,
) -> Output:
    """Create an endpoint, to whose URL the service sends events.

    The secret that signs deliveries is shown only once.

    Example: firsthandapi webhooks create --url https://example.com/hooks
    """
    return _shown(api.webhooks.create(url=url, events=events, description=description))


@command(app, "list")
def list_endpoints(api: FirstHandClient, limit: Limit = 20) -> Output:
    """List endpoints, newest first.

    Example: firsthandapi webhooks list
    """
    from firsthandapi._base.masking import mask_secrets

    return many(
        api.webhooks.list(limit=min(limit, 100)),
        limit,
        ("id", "enabled", "events", "url"),
        lambda endpoint: (
            endpoint.id,
            yes_no(endpoint.enabled),
            _which(endpoint.events or ()),
            # Such a URL often contains a token.
            joined(mask_secrets(endpoint.url or ""), endpoint.description),
        ),
    )


@command(app)
def get(api: FirstHandClient, endpoint_id: EndpointId) -> Output:
    """Show an endpoint.

    Example: firsthandapi webhooks get we_01JD…
    """
    return _shown(api.webhooks.get(endpoint_id))


@command(app)
def update(
    api: FirstHandClient,
    endpoint_id: EndpointId,
    url: Annotated[str | None, option("URL", "URL for deliveries.")] = None,
    events: Annotated[EventTypes | None, _events("New event types, joined by commas")] = None,
    description: Description = None,
    enabled: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Send events to the endpoint, or stop.")
    ] = None,
) -> Output:
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
    return _shown(api.webhooks.update(endpoint_id, **changes))


@command(app)
def delete(api: FirstHandClient, endpoint_id: EndpointId) -> None:
    """Delete an endpoint.

    Example: firsthandapi webhooks delete we_01JD…
    """
    api.webhooks.delete(endpoint_id)
    note(f"Deleted {endpoint_id}.")


@command(app, "rotate-secret")
def rotate_secret(api: FirstHandClient, endpoint_id: EndpointId) -> Output:
    """Replace the secret of an endpoint by a new one, which is shown only once.

    For a day, let your receiver accept both: unwrap() takes several secrets.

    Example: firsthandapi webhooks rotate-secret we_01JD…
    """
    return _shown(api.webhooks.rotate_secret(endpoint_id))


@command(events_app, "list")
def list_events(
    api: FirstHandClient,
    type: Annotated[EventType | None, only("type", EventType)] = None,
    limit: Limit = 20,
) -> Output:
    """List events, newest first.

    Example: firsthandapi webhooks events list --type job.completed
    """
    return many(
        api.webhooks.events.list(type=type, limit=min(limit, 100)),
        limit,
        ("id", "type", "date", "details"),
        lambda event: (event.id, event.type, moment(event.created_at), event_facts(event)),
    )


@command(events_app)
def replay(
    api: FirstHandClient,
    event_id: Annotated[str, argument("EVENT_ID", "Id of the event, evt_….")],
) -> Output:
    """Deliver an event again to every endpoint that subscribes to it.

    Example: firsthandapi webhooks events replay evt_01JD…
    """
    return one(
        api.webhooks.events.replay(event_id),
        lambda event: (("id", event.id), ("type", event.type), ("details", event_facts(event) or None)),
    )


@command(app)
def listen(
    port: Port = 8000,
    url: Annotated[
        str | None,
        option(
            "URL",
            "Public URL of a tunnel. An endpoint for it is created, and deleted at the end.",
            rich_help_panel="With a tunnel",
        ),
    ] = None,
    events: Annotated[
        EventTypes | None, _events("Event types for that endpoint; by default, all", "With a tunnel")
    ] = None,
    json: AsJson = False,
) -> None:
    """Receive webhooks on this machine, and print each verified event once.

    With --json, it prints one line of JSON per event. Deliveries that are not
    signed with the secret of the endpoint are rejected, and reported on standard
    error. Press Ctrl-C to stop it.

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
    if {*get_args(EventType)} <= {*events}:
        return "all"
    return events[0] if len(events) == 1 else count_of(len(events), "type")


def _shown(endpoint: WebhookEndpoint) -> Output:
    return one(
        endpoint,
        lambda endpoint: (
            ("id", endpoint.id),
            ("url", endpoint.url),
            ("events", ", ".join(endpoint.events or ()) or None),
            ("enabled", yes_no(endpoint.enabled)),
            ("description", endpoint.description),
            ("secret", endpoint.secret),
        ),
        advice=SAVE_IT if endpoint.secret else None,
    )
