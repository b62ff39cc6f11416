"""API keys (contract §2)."""

from __future__ import annotations

from collections.abc import Sequence

from firsthandapi._async.calls import Body, Headers, Query, Resource
from firsthandapi._async.pages import PageRequest
from firsthandapi._core.arguments import check
from firsthandapi._core.request import check_id
from firsthandapi.types.api_key import ApiKey, ApiKeyCreate, ApiKeyList
from firsthandapi.types.enums import Environment, Scope


class ApiKeys(Resource):
    """Keys of this organization; the key in use needs the scope `keys:manage`."""

    async def create(
        self,
        *,
        name: str,
        scopes: Sequence[Scope] | None = None,
        environment: Environment | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
        extra_headers: Headers | None = None,
        extra_query: Query | None = None,
        extra_body: Body | None = None,
    ) -> ApiKey:
        """Make a key.

        Args:
            name: a label, for people.
            scopes: what it may do; None means everything.
            environment: `live` or `test` (the sandbox); None leaves it to the service.
            idempotency_key, timeout, extra_headers, extra_query, extra_body: see `AsyncFirstHandClient`,
                "Every method".

        Returns:
            The key. Its `secret` is shown this once and never again.

        Raises:
            InvalidArgumentError: an argument is not what the contract allows. Nothing was sent.
            FirstHandApiError: the service answered with an error.
            FirstHandConnectionError: the service could not be reached.

        Contract: §2 "API keys".
        """
        params = check(ApiKeyCreate, {"name": name, "scopes": scopes, "environment": environment})
        return await self._write(
            ApiKey,
            "POST",
            "/v1/api_keys",
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
    ) -> PageRequest[ApiKey]:
        """List keys; their secrets are masked.

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

        Contract: §2 "API keys".
        """
        params = check(ApiKeyList, {"limit": limit, "cursor": cursor})
        return self._list(
            ApiKey,
            "/v1/api_keys",
            params,
            timeout=timeout,
            extra_headers=extra_headers,
            extra_query=extra_query,
        )

    async def rotate(
        self,
        api_key_id: str,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
        extra_headers: Headers | None = None,
        extra_query: Query | None = None,
        extra_body: Body | None = None,
    ) -> ApiKey:
        """Replace a key: the old one works for another 24 hours.

        Args:
            api_key_id: the key's id (`key_…`), not the key itself.
            idempotency_key, timeout, extra_headers, extra_query, extra_body: see `AsyncFirstHandClient`,
                "Every method".

        Returns:
            The new key, its `secret` shown this once. Its id may be another one.

        Raises:
            NotFoundError: there is no such key.
            InvalidArgumentError: an argument is not what the contract allows. Nothing was sent.
            FirstHandApiError: the service answered with an error.
            FirstHandConnectionError: the service could not be reached.

        Contract: §2 "API keys".
        """
        path = f"/v1/api_keys/{check_id(api_key_id, 'api_key_id')}/rotate"
        return await self._write(
            ApiKey,
            "POST",
            path,
            idempotency_key=idempotency_key,
            timeout=timeout,
            extra_headers=extra_headers,
            extra_query=extra_query,
            extra_body=extra_body,
        )

    async def revoke(
        self,
        api_key_id: str,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
        extra_headers: Headers | None = None,
        extra_query: Query | None = None,
        extra_body: Body | None = None,
    ) -> None:
        """Switch a key off, at once and for good.

        Args:
            api_key_id: the key's id (`key_…`), not the key itself.
            idempotency_key, timeout, extra_headers, extra_query, extra_body: see `AsyncFirstHandClient`,
                "Every method".

        Returns:
            Nothing.

        Raises:
            NotFoundError: there is no such key.
            InvalidArgumentError: an argument is not what the contract allows. Nothing was sent.
            FirstHandApiError: the service answered with an error.
            FirstHandConnectionError: the service could not be reached.

        Contract: §2 "API keys".
        """
        path = f"/v1/api_keys/{check_id(api_key_id, 'api_key_id')}/revoke"
        await self._send(
            "POST",
            path,
            idempotency_key=idempotency_key,
            timeout=timeout,
            extra_headers=extra_headers,
            extra_query=extra_query,
            extra_body=extra_body,
        )
