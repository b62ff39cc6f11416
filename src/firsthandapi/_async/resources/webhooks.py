"""Webhook endpoints and events (contract §2, §6)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from firsthandapi._async.calls import Body, Headers, Query, Resource
from firsthandapi._async.pages import PageRequest
from firsthandapi._core.arguments import check
from firsthandapi._core.request import check_id
from firsthandapi.types.enums import EventType
from firsthandapi.types.event import WebhookEvent
from firsthandapi.types.page import ListParams
from firsthandapi.types.webhook import WebhookCreate, WebhookEndpoint, WebhookEventList, WebhookUpdate


class WebhookEvents(Resource):
    """What was sent, or should have been; reading needs the scope `webhooks:read`, replaying `webhooks:write`."""

    def list(
        self,
        *,
        type: EventType | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        timeout: float | None = None,
        extra_headers: Headers | None = None,
        extra_query: Query | None = None,
    ) -> PageRequest[WebhookEvent]:
        """List events.

        Args:
            type: only events of this type, such as `submission.approved`.
            limit: items a page, 1 to 100; None asks for 100, since requests are what is scarce.
            cursor: `next_cursor` of an earlier page: start after it.
            timeout, extra_headers, extra_query: see `AsyncFirstHandClient`, "Every method".

        Returns:
            The first page when awaited; `async for` walks the items of every page, newest first.

        Raises:
            PaginationError: the service repeats a cursor (while walking).
            InvalidArgumentError: an argument is not what the contract allows. Nothing was sent.
            FirstHandApiError: the service answered with an error.
            FirstHandConnectionError: the service could not be reached.

        Contract: §2 "Webhook endpoints and events".
        """
        params = check(WebhookEventList, {"type": type, "limit": limit, "cursor": cursor})
        return self._list(
            WebhookEvent,
            "/v1/webhook_events",
            params,
            timeout=timeout,
            extra_headers=extra_headers,
            extra_query=extra_query,
        )

    async def replay(
        self,
        event_id: str,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
        extra_headers: Headers | None = None,
        extra_query: Query | None = None,
        extra_body: Body | None = None,
    ) -> WebhookEvent:
        """Deliver an event again, to every endpoint subscribed to it.

        Args:
            event_id: its id (`evt_…`).
            idempotency_key, timeout, extra_headers, extra_query, extra_body: see `AsyncFirstHandClient`,
                "Every method".

        Returns:
            The event. Its id is the same, so a receiver that deduplicates will skip it.

        Raises:
            NotFoundError: there is no such event.
            InvalidArgumentError: an argument is not what the contract allows. Nothing was sent.
            FirstHandApiError: the service answered with an error.
            FirstHandConnectionError: the service could not be reached.

        Contract: §2 "Webhook endpoints and events".
        """
        path = f"/v1/webhook_events/{check_id(event_id, 'event_id')}/replay"
        return await self._write(
            WebhookEvent,
            "POST",
            path,
            idempotency_key=idempotency_key,
            timeout=timeout,
            extra_headers=extra_headers,
            extra_query=extra_query,
            extra_body=extra_body,
        )


class Webhooks(Resource):
    """Where events are sent; reading needs the scope `webhooks:read`, the rest `webhooks:write`."""

    @cached_property
    def events(self) -> WebhookEvents:
        """What was sent."""
        return WebhookEvents(self._transport)

    async def create(
        self,
        *,
        url: str,
        events: Sequence[EventType] | None = None,
        description: str | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
        extra_headers: Headers | None = None,
        extra_query: Query | None = None,
        extra_body: Body | None = None,
    ) -> WebhookEndpoint:
        """Have events sent to a URL.

        Args:
            url: https; http to this machine is for tests against the bundled server.
            events: which ones; None means all.
            description: a note, for people.
            idempotency_key, timeout, extra_headers, extra_query, extra_body: see `AsyncFirstHandClient`,
                "Every method".

        Returns:
            The endpoint. Its `secret`, for `firsthandapi.webhooks`, is shown this once.

        Raises:
            InvalidArgumentError: an argument is not what the contract allows. Nothing was sent.
            FirstHandApiError: the service answered with an error.
            FirstHandConnectionError: the service could not be reached.

        Contract: §2 "Webhook endpoints and events".
        """
        params = check(WebhookCreate, {"url": url, "events": events, "description": description})
        return await self._write(
            WebhookEndpoint,
            "POST",
            "/v1/webhook_endpoints",
            params,
            idempotency_key=idempotency_key,
            timeout=timeout,
            extra_headers=extra_headers,
            extra_query=extra_query,
            extra_body=extra_body,
        )

    def list(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        timeout: float | None = None,
        extra_headers: Headers | None = None,
        extra_query: Query | None = None,
    ) -> PageRequest[WebhookEndpoint]:
        """List endpoints, without their secrets.

        Args:
            limit: items a page, 1 to 100; None asks for 100, since requests are what is scarce.
            cursor: `next_cursor` of an earlier page: start after it.
            timeout, extra_headers, extra_query: see `AsyncFirstHandClient`, "Every method".

        Returns:
            The first page when awaited; `async for` walks the items of every page, newest first.

        Raises:
            PaginationError: the service repeats a cursor (while walking).
            InvalidArgumentError: an argument is not what the contract allows. Nothing was sent.
            FirstHandApiError: the service answered with an error.
            FirstHandConnectionError: the service could not be reached.

        Contract: §2 "Webhook endpoints and events".
        """
        params = check(ListParams, {"limit": limit, "cursor": cursor})
        return self._list(
            WebhookEndpoint,
            "/v1/webhook_endpoints",
            params,
            timeout=timeout,
            extra_headers=extra_headers,
            extra_query=extra_query,
        )

    async def get(
        self,
        endpoint_id: str,
        *,
        timeout: float | None = None,
        extra_headers: Headers | None = None,
        extra_query: Query | None = None,
    ) -> WebhookEndpoint:
        """Read an endpoint.

        Args:
            endpoint_id: its id (`we_…`).
            timeout, extra_headers, extra_query: see `AsyncFirstHandClient`, "Every method".

        Returns:
            The endpoint, without its secret.

        Raises:
            NotFoundError: there is no such endpoint.
            InvalidArgumentError: an argument is not what the contract allows. Nothing was sent.
            FirstHandApiError: the service answered with an error.
            FirstHandConnectionError: the service could not be reached.

        Contract: §2 "Webhook endpoints and events".
        """
        path = f"/v1/webhook_endpoints/{check_id(endpoint_id, 'endpoint_id')}"
        return await self._get(
            WebhookEndpoint,
            path,
            timeout=timeout,
            extra_headers=extra_headers,
            extra_query=extra_query,
        )

    async def update(
        self,
        endpoint_id: str,
        *,
        url: str | None = None,
        events: Sequence[EventType] | None = None,
        description: str | None = None,
        enabled: bool | None = None,
        timeout: float | None = None,
        extra_headers: Headers | None = None,
        extra_query: Query | None = None,
        extra_body: Body | None = None,
    ) -> WebhookEndpoint:
        """Change an endpoint; what is left out stays as it is.

        Args:
            endpoint_id: its id (`we_…`).
            url: https.
            events: which ones.
            description: a note, for people.
            enabled: False pauses deliveries.
            timeout, extra_headers, extra_query, extra_body: see `AsyncFirstHandClient`, "Every method".

        Returns:
            The endpoint as it is now.

        Raises:
            NotFoundError: there is no such endpoint.
            InvalidArgumentError: an argument is not what the contract allows. Nothing was sent.
            FirstHandApiError: the service answered with an error.
            FirstHandConnectionError: the service could not be reached.

        Contract: §2 "Webhook endpoints and events".
        """
        path = f"/v1/webhook_endpoints/{check_id(endpoint_id, 'endpoint_id')}"
        values = {"url": url, "events": events, "description": description, "enabled": enabled}
        return await self._write(
            WebhookEndpoint,
            "PATCH",
            path,
            check(WebhookUpdate, values),
            timeout=timeout,
            extra_headers=extra_headers,
            extra_query=extra_query,
            extra_body=extra_body,
        )

    async def delete(
        self,
        endpoint_id: str,
        *,
        timeout: float | None = None,
        extra_headers: Headers | None = None,
        extra_query: Query | None = None,
    ) -> None:
        """Delete an endpoint. One that a retried attempt finds gone is success.

        Args:
            endpoint_id: its id (`we_…`).
            timeout, extra_headers, extra_query: see `AsyncFirstHandClient`, "Every method".

        Returns:
            Nothing.

        Raises:
            NotFoundError: there is no such endpoint.
            InvalidArgumentError: an argument is not what the contract allows. Nothing was sent.
            FirstHandApiError: the service answered with an error.
            FirstHandConnectionError: the service could not be reached.

        Contract: §2 "Webhook endpoints and events".
        """
        path = f"/v1/webhook_endpoints/{check_id(endpoint_id, 'endpoint_id')}"
        await self._send(
            "DELETE",
            path,
            timeout=timeout,
            extra_headers=extra_headers,
            extra_query=extra_query,
        )

    async def rotate_secret(
        self,
        endpoint_id: str,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
        extra_headers: Headers | None = None,
        extra_query: Query | None = None,
        extra_body: Body | None = None,
    ) -> WebhookEndpoint:
        """Replace an endpoint's secret. Receivers may give both to `unwrap` meanwhile.

        Args:
            endpoint_id: its id (`we_…`).
            idempotency_key, timeout, extra_headers, extra_query, extra_body: see `AsyncFirstHandClient`,
                "Every method".

        Returns:
            The endpoint with its new `secret`, shown this once.

        Raises:
            NotFoundError: there is no such endpoint.
            InvalidArgumentError: an argument is not what the contract allows. Nothing was sent.
            FirstHandApiError: the service answered with an error.
            FirstHandConnectionError: the service could not be reached.

        Contract: §2 "Webhook endpoints and events".
        """
        path = f"/v1/webhook_endpoints/{check_id(endpoint_id, 'endpoint_id')}/rotate_secret"
        return await self._write(
            WebhookEndpoint,
            "POST",
            path,
            idempotency_key=idempotency_key,
            timeout=timeout,
            extra_headers=extra_headers,
            extra_query=extra_query,
            extra_body=extra_body,
        )
