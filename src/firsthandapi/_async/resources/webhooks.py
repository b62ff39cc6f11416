"""Webhook endpoints and events (contract §2, §6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

from firsthandapi._async.calls import Resource
from firsthandapi._async.pages import AsyncPageRequest
from firsthandapi._core.calls.arguments import check
from firsthandapi._core.calls.request import check_id
from firsthandapi.types.enums import EventType
from firsthandapi.types.event import WebhookEvent
from firsthandapi.types.options import BodyOptions, PostOptions, RequestOptions
from firsthandapi.types.page import ListParams
from firsthandapi.types.webhook import (
    WebhookCreateParams,
    WebhookEndpoint,
    WebhookEventListParams,
    WebhookUpdateParams,
)

if TYPE_CHECKING:
    cached_property = property  # for Jedi, as in client.py
else:
    from functools import cached_property

_SECRET = (
    "secret",
    "endpoint",
    "and its secret is shown only once; for a new one, call webhooks.rotate_secret with its id, or delete it",
)


class WebhookEvents(Resource):
    """Webhook events, delivered or not; reading needs the scope `webhooks:read`, replaying `webhooks:write`."""

    def list(
        self,
        *,
        type: EventType | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        **options: Unpack[RequestOptions],
    ) -> AsyncPageRequest[WebhookEvent]:
        """List events.

        Args:
            type: only events of this type, such as `submission.approved`.
            limit: items per page, 1 to 100; None asks for 100, since requests are limited.
            cursor: `next_cursor` of an earlier page: start after that page.
            **options: `timeout` (seconds for one attempt, above 0), `extra_headers`, `extra_query`; see `jobs.create`.

        Returns:
            The first page when awaited; `async for` walks the items of every page, newest first.

        Raises:
            PaginationError: the service repeated a cursor (while walking).
            FirstHandError: any other failure; its subclass names it.

        Contract: §2 "Webhook endpoints and events".
        """
        params = check(WebhookEventListParams, {"type": type, "limit": limit, "cursor": cursor})
        return self._list(WebhookEvent, "/v1/webhook_events", params, **options)

    async def replay(self, event_id: WebhookEvent | str, **options: Unpack[PostOptions]) -> WebhookEvent:
        """Deliver an event again, to every endpoint that subscribes to its type.

        Args:
            event_id: the event, or its id (`evt_…`).
            **options: `timeout` (seconds for one attempt, above 0), `extra_headers`, `extra_query`,
                `extra_body`, `idempotency_key`; see `jobs.create`.

        Returns:
            The event. Its id is the same, so a receiver that deduplicates skips it.

        Raises:
            NotFoundError: no event has this id.
            FirstHandError: any other failure; its subclass names it.

        Contract: §2 "Webhook endpoints and events".
        """
        path = f"/v1/webhook_events/{check_id(event_id, 'event_id')}/replay"
        return await self._write(WebhookEvent, "POST", path, **options)


class Webhooks(Resource):
    """Where events are sent; reading needs the scope `webhooks:read`, the rest `webhooks:write`."""

    @cached_property
    def events(self) -> WebhookEvents:
        """List and replay events."""
        return WebhookEvents(self._transport)

    async def create(
        self,
        *,
        url: str,
        events: Sequence[EventType] | None = None,
        description: str | None = None,
        **options: Unpack[PostOptions],
    ) -> WebhookEndpoint:
        """Create an endpoint: the service sends events to its URL.

        Args:
            url: https; http to this machine is for tests against the bundled server.
            events: event types to send; None means all.
            description: a note, for people.
            **options: `timeout` (seconds for one attempt, above 0), `extra_headers`, `extra_query`,
                `extra_body`, `idempotency_key`; see `jobs.create`.

        Returns:
            The endpoint. Its `secret`, for `firsthandapi.webhooks`, is shown only once.

        Raises:
            UnexpectedResponseError: the response has no `secret`; the message names the endpoint that exists.
            FirstHandError: any other failure; its subclass names it.

        Contract: §2 "Webhook endpoints and events".
        """
        params = check(WebhookCreateParams, {"url": url, "events": events, "description": description})
        return await self._write(WebhookEndpoint, "POST", "/v1/webhook_endpoints", params, _SECRET, **options)

    def list(
        self, *, limit: int | None = None, cursor: str | None = None, **options: Unpack[RequestOptions]
    ) -> AsyncPageRequest[WebhookEndpoint]:
        """List endpoints, without their secrets.

        Args:
            limit: items per page, 1 to 100; None asks for 100, since requests are limited.
            cursor: `next_cursor` of an earlier page: start after that page.
            **options: `timeout` (seconds for one attempt, above 0), `extra_headers`, `extra_query`; see `jobs.create`.

        Returns:
            The first page when awaited; `async for` walks the items of every page, newest first.

        Raises:
            PaginationError: the service repeated a cursor (while walking).
            FirstHandError: any other failure; its subclass names it.

        Contract: §2 "Webhook endpoints and events".
        """
        params = check(ListParams, {"limit": limit, "cursor": cursor})
        return self._list(WebhookEndpoint, "/v1/webhook_endpoints", params, **options)

    async def get(
        self, endpoint_id: WebhookEndpoint | str, **options: Unpack[RequestOptions]
    ) -> WebhookEndpoint:
        """Read an endpoint.

        Args:
            endpoint_id: the endpoint, or its id (`we_…`).
            **options: `timeout` (seconds for one attempt, above 0), `extra_headers`, `extra_query`; see `jobs.create`.

        Returns:
            The endpoint, without its secret.

        Raises:
            NotFoundError: no endpoint has this id.
            FirstHandError: any other failure; its subclass names it.

        Contract: §2 "Webhook endpoints and events".
        """
        path = f"/v1/webhook_endpoints/{check_id(endpoint_id, 'endpoint_id')}"
        return await self._get(WebhookEndpoint, path, **options)

    async def update(
        self,
        endpoint_id: WebhookEndpoint | str,
        *,
        url: str | None = None,
        events: Sequence[EventType] | None = None,
        description: str | None = None,
        enabled: bool | None = None,
        **options: Unpack[BodyOptions],
    ) -> WebhookEndpoint:
        """Change an endpoint; omitted arguments stay unchanged.

        Args:
            endpoint_id: the endpoint, or its id (`we_…`).
            url: https.
            events: event types to send.
            description: a note, for people.
            enabled: False pauses deliveries.
            **options: `timeout` (seconds for one attempt, above 0), `extra_headers`, `extra_query`,
                `extra_body`; see `jobs.create`.

        Returns:
            The endpoint after the change.

        Raises:
            NotFoundError: no endpoint has this id.
            FirstHandError: any other failure; its subclass names it.

        Contract: §2 "Webhook endpoints and events".
        """
        path = f"/v1/webhook_endpoints/{check_id(endpoint_id, 'endpoint_id')}"
        values = {"url": url, "events": events, "description": description, "enabled": enabled}
        return await self._write(
            WebhookEndpoint,
            "PATCH",
            path,
            check(WebhookUpdateParams, values),
            idempotency_key=None,
            **options,
        )

    async def delete(self, endpoint_id: WebhookEndpoint | str, **options: Unpack[RequestOptions]) -> None:
        """Delete an endpoint. It is no error if an earlier attempt of this call deleted it.

        Args:
            endpoint_id: the endpoint, or its id (`we_…`).
            **options: `timeout` (seconds for one attempt, above 0), `extra_headers`, `extra_query`; see `jobs.create`.

        Raises:
            NotFoundError: no endpoint has this id.
            FirstHandError: any other failure; its subclass names it.

        Contract: §2 "Webhook endpoints and events".
        """
        path = f"/v1/webhook_endpoints/{check_id(endpoint_id, 'endpoint_id')}"
        await self._transport.send(
            self._request("DELETE", path, extra_body=None, idempotency_key=None, **options)
        )

    async def rotate_secret(
        self, endpoint_id: WebhookEndpoint | str, **options: Unpack[PostOptions]
    ) -> WebhookEndpoint:
        """Replace an endpoint's secret. Until every receiver has the new one, pass both to `unwrap`.

        Args:
            endpoint_id: the endpoint, or its id (`we_…`).
            **options: `timeout` (seconds for one attempt, above 0), `extra_headers`, `extra_query`,
                `extra_body`, `idempotency_key`; see `jobs.create`.

        Returns:
            The endpoint with its new `secret`, shown only once.

        Raises:
            NotFoundError: no endpoint has this id.
            UnexpectedResponseError: the response has no `secret`.
            FirstHandError: any other failure; its subclass names it.

        Contract: §2 "Webhook endpoints and events".
        """
        path = f"/v1/webhook_endpoints/{check_id(endpoint_id, 'endpoint_id')}/rotate_secret"
        return await self._write(WebhookEndpoint, "POST", path, None, _SECRET, **options)
