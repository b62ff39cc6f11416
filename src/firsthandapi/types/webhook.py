"""Webhook endpoints (contract §3 "WebhookEndpoint", §6)."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from firsthandapi._base.host.loopback import is_loopback

from ._base import Items, Model, Params, UtcDatetime
from .enums import EventType, OpenEventType
from .page import ListParams


class WebhookEndpoint(Model):
    """Where events are delivered (contract §3 "WebhookEndpoint").

    Attributes:
        object: not checked.
        id: `we_` and a ULID.
        url: where events are sent.
        events: the event types sent to it.
        description: your own words.
        enabled: whether events are sent.
        secret: the secret that signs deliveries; on `create` and `rotate_secret` only. Store it immediately.
        created_at: when it was created.
    """

    object: Any = None
    id: str
    url: str | None = None
    events: Items[OpenEventType] | None = None
    description: str | None = None
    enabled: bool | None = None
    secret: str | None = None
    created_at: UtcDatetime | None = None


def _webhook_url(value: str) -> str:
    # The value itself is never quoted: webhook URLs often carry a token.
    if any(char.isspace() or not char.isprintable() for char in value):
        raise ValueError("contains spaces or control characters")
    try:
        parts = urlsplit(value)
        scheme, host, _ = parts.scheme, parts.hostname, parts.port
    except ValueError:
        raise ValueError("is not a URL") from None
    if scheme not in ("http", "https"):
        raise ValueError("has another scheme or none")
    if not host:
        raise ValueError("names no host")
    if scheme == "http" and not is_loopback(host):
        raise ValueError("is http:// to another machine")
    return value


WebhookUrl = Annotated[str, AfterValidator(_webhook_url)]

_URL = "an https:// URL (http:// for localhost only)"
_EVENTS = (
    "a list of at least one event type, such as ['submission.approved', 'job.completed']; left out, it is all"
)


class WebhookCreateParams(Params):
    """The arguments of `webhooks.create`."""

    url: WebhookUrl = Field(description=_URL)
    events: list[EventType] | None = Field(default=None, min_length=1, description=_EVENTS)
    description: str | None = Field(default=None, description="a str")


class WebhookUpdateParams(Params):
    """The arguments of `webhooks.update`."""

    url: WebhookUrl | None = Field(default=None, description=_URL)
    events: list[EventType] | None = Field(default=None, min_length=1, description=_EVENTS)
    description: str | None = Field(default=None, description="a str")
    enabled: bool | None = Field(default=None, description="True or False")


class WebhookEventListParams(ListParams):
    """The filters of `webhooks.events.list`."""

    type: EventType | None = Field(
        default=None, description="an event type, such as 'submission.approved' or 'job.completed'"
    )
