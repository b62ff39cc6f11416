"""API keys (contract §2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from firsthandapi._async.calls import Resource
from firsthandapi._async.pages import AsyncPageRequest
from firsthandapi._core.calls.arguments import check
from firsthandapi._core.calls.request import check_id
from firsthandapi.types.api_key import ApiKey, ApiKeyCreateParams, ApiKeyListParams
from firsthandapi.types.enums import Environment, KeyScope
from firsthandapi.types.options import PostOptions, RequestOptions

_SECRET = (
    "secret",
    "API key",
    "and its secret is shown only once; for a new one, call api_keys.rotate with its id, or revoke it",
)


class ApiKeys(Resource):
    """API keys of this organization; the API key in use needs the scope `keys:manage`."""

    async def create(
        self,
        *,
        name: str,
        scopes: Sequence[KeyScope] | None = None,
        environment: Environment | None = None,
        **options: Unpack[PostOptions],
    ) -> ApiKey:
        """Create an API key.

        Args:
            name: a label, for people.
            scopes: what the key may do; None means everything.
            environment: `live` or `test` (the sandbox); None leaves it to the service.
            **options: `timeout` (seconds for one attempt, above 0), `extra_headers`, `extra_query`,
                `extra_body`, `idempotency_key`; see `jobs.create`.

        Returns:
            The API key. Its `secret` is shown only once.

        Raises:
            UnexpectedResponseError: the response has no `secret`; the message names the key that exists without it.
            FirstHandError: any other failure; its subclass names it.

        Contract: §2 "API keys".
        """
        params = check(ApiKeyCreateParams, {"name": name, "scopes": scopes, "environment": environment})
        return await self._write(ApiKey, "POST", "/v1/api_keys", params, _SECRET, **options)

    def list(
        self, *, limit: int | None = None, cursor: str | None = None, **options: Unpack[RequestOptions]
    ) -> AsyncPageRequest[ApiKey]:
        """List API keys; their secrets are masked.

        Args:
            limit: items per page, 1 to 100; None asks for 100, since requests are limited.
            cursor: `next_cursor` of an earlier page: start after that page.
            **options: `timeout` (seconds for one attempt, above 0), `extra_headers`, `extra_query`; see `jobs.create`.

        Returns:
            The first page when awaited; `async for` walks the items of every page, newest first.

        Raises:
            PaginationError: the service repeated a cursor (while walking).
            FirstHandError: any other failure; its subclass names it.

        Contract: §2 "API keys".
        """
        params = check(ApiKeyListParams, {"limit": limit, "cursor": cursor})
        return self._list(ApiKey, "/v1/api_keys", params, **options)

    async def rotate(self, api_key_id: ApiKey | str, **options: Unpack[PostOptions]) -> ApiKey:
        """Replace an API key: the old one works for another 24 hours.

        Args:
            api_key_id: the key, or its id (`key_…`), not the key itself.
            **options: `timeout` (seconds for one attempt, above 0), `extra_headers`, `extra_query`,
                `extra_body`, `idempotency_key`; see `jobs.create`.

        Returns:
            The new API key, its `secret` shown only once. Its id may differ from the old one's.

        Raises:
            NotFoundError: no API key has this id.
            UnexpectedResponseError: the response has no `secret`; the message names the key that exists without it.
            FirstHandError: any other failure; its subclass names it.

        Contract: §2 "API keys".
        """
        path = f"/v1/api_keys/{check_id(api_key_id, 'api_key_id')}/rotate"
        return await self._write(ApiKey, "POST", path, None, _SECRET, **options)

    async def revoke(self, api_key_id: ApiKey | str, **options: Unpack[PostOptions]) -> None:
        """Revoke an API key, immediately and for good.

        Args:
            api_key_id: the key, or its id (`key_…`), not the key itself.
            **options: `timeout` (seconds for one attempt, above 0), `extra_headers`, `extra_query`,
                `extra_body`, `idempotency_key`; see `jobs.create`.

        Raises:
            NotFoundError: no API key has this id.
            FirstHandError: any other failure; its subclass names it.

        Contract: §2 "API keys".
        """
        path = f"/v1/api_keys/{check_id(api_key_id, 'api_key_id')}/revoke"
        await self._transport.send(self._request("POST", path, **options))
