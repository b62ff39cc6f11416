"""`firsthandapi webhooks`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from firsthandapi.types import enums

from .account import check_changes
from .choices import EventType, words
from .events import event_facts
from .options import Limit
from .output import (
    AsJson,
    as_json,
    client,
    first,
    joined,
    moment,
    note,
    print_facts,
    print_json,
    print_list,
    yes_no,
)

if TYPE_CHECKING:
    from firsthandapi.types import WebhookEndpoint

app = typer.Typer(no_args_is_help=True, help="Receive events: endpoints, what was sent, a local listener.")
events_app = typer.Typer(no_args_is_help=True, help="What was sent, or should have been.")
app.add_typer(events_app, name="events")

EndpointId = Annotated[str, typer.Argument(help="The endpoint's id, we_….")]
Url = Annotated[str, typer.Option(metavar="URL", help="Where to deliver: https, or http to this machine.")]
Events = Annotated[
    list[EventType] | None,
    typer.Option(metavar="TYPE", help=f"Which events, once for each: {words(enums.EventType)}."),
]
Description = Annotated[str | None, typer.Option(help="A note, for people.")]


@app.command()
def create(url: Url, events: Events = None, description: Description = None, json: AsJson = False) -> None:
    """Have events sent to a URL; all of them, unless --events says which.

    The secret that deliveries are signed with is shown this once.

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
        ("id", "enabled", "events", "where"),
        lambda one: (
            one.id,
            yes_no(one.enabled),
            _which(one.events or ()),
            # Such a URL often carries a token.
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
    url: Annotated[str | None, typer.Option(metavar="URL", help="Where to deliver.")] = None,
    events: Events = None,
    description: Description = None,
    enabled: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Whether events are sent.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Change an endpoint; what is left out stays as it is.

    Example: firsthandapi webhooks update we_01JD… --disable
    """
    changes: dict[str, Any] = {
        "url": url,
        "events": events or None,
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
    note(f"{endpoint_id} is deleted.")


@app.command("rotate-secret")
def rotate_secret(endpoint_id: EndpointId, json: AsJson = False) -> None:
    """Replace an endpoint's secret. The new one is shown this once.

    Receivers may know both meanwhile: unwrap() takes several secrets.

    Example: firsthandapi webhooks rotate-secret we_01JD…
    """
    with client() as api:
        _show(api.webhooks.rotate_secret(endpoint_id), json=json)


@events_app.command("list")
def list_events(
    type: Annotated[
        EventType | None,
        typer.Option(metavar="TYPE", help=f"Only these: {words(enums.EventType)}."),
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
        ("id", "type", "when", "what"),
        lambda one: (one.id, one.type, moment(one.created_at), event_facts(one)),
        json=json,
    )


@events_app.command()
def replay(
    event_id: Annotated[str, typer.Argument(help="The event's id, evt_….")], json: AsJson = False
) -> None:
    """Deliver an event again, to every endpoint that is subscribed to it.

    Example: firsthandapi webhooks events replay evt_01JD…
    """
    with client() as api:
        event = api.webhooks.events.replay(event_id)
    if json:
        print_json(as_json(event))
        return
    print_facts((("id", event.id), ("type", event.type), ("what", event_facts(event) or None)))


@app.command()
def listen(
    port: Annotated[
        int,
        typer.Option(min=0, max=65535, help="Where to listen, on 127.0.0.1 alone; 0 takes any free port."),
    ] = 8000,
    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="A tunnel's public address. An endpoint is made for it, and deleted at the end.",
            rich_help_panel="Where events come from",
        ),
    ] = None,
    events: Annotated[
        list[EventType] | None,
        typer.Option(
            metavar="TYPE",
            help=f"Which events the endpoint gets, once for each: {words(enums.EventType)}. Left out: all.",
            rich_help_panel="Where events come from",
        ),
    ] = None,
    json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print a line of JSON an event on standard output, and nothing else there."
        ),
    ] = False,
) -> None:
    """Receive webhooks on this machine and print each verified event once, until Ctrl-C.

    What is not signed with the endpoint's secret is refused, with a line on
    standard error.

    Behind a tunnel (ngrok, cloudflared, ssh -R) that leads to the port:

      firsthandapi webhooks listen --url https://something.tunnel.example

    With the secret of an endpoint that you made yourself, by a variable, since
    every user of a machine sees what is typed:

      FIRSTHAND_WEBHOOK_SECRET=whsec_… firsthandapi webhooks listen

    With FIRSTHAND_BASE_URL at a bundled server, no option is needed.
    """
    from .listen import run_listener

    run_listener(port=port, url=url, events=events or None, json=json)


def _which(events: Sequence[str]) -> str:
    """Event types in a word or two; `get` names them all."""
    if {*get_args(enums.EventType)} <= {*events}:
        return "all"
    return events[0] if len(events) == 1 else f"{len(events)} types"


def _show(endpoint: WebhookEndpoint, *, json: bool) -> None:
    if json:
        print_json(as_json(endpoint))
        return
    print_facts(
        (
            ("id", endpoint.id),
            ("url", endpoint.url),
            ("events", ", ".join(endpoint.events or ()) or None),
            ("enabled", yes_no(endpoint.enabled)),
            ("description", endpoint.description),
            ("secret", endpoint.secret),
        )
    )
    if endpoint.secret:
        note("Keep the secret now: it is not shown again, nor stored here.")
