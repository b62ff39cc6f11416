"""Clients of a server of this package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from firsthandapi import AsyncFirstHandClient, FirstHandClient


class WithClients:
    """A server that makes its own clients."""

    api_key: str
    if TYPE_CHECKING:

        @property
        def url(self) -> str: ...

    def client(self, **options: Any) -> FirstHandClient:
        """A client of this server with its live key.

        Args:
            options: what `FirstHandClient` takes, such as `max_retries=0` or another `api_key`.

        Returns:
            The client, for a `with` or a `close`.
        """
        from firsthandapi import FirstHandClient

        return FirstHandClient(**self._options(options))

    def async_client(self, **options: Any) -> AsyncFirstHandClient:
        """Like `client`, for asyncio and trio.

        Args:
            options: what `AsyncFirstHandClient` takes.

        Returns:
            The client, for an `async with` or a `close`.
        """
        from firsthandapi import AsyncFirstHandClient

        return AsyncFirstHandClient(**self._options(options))

    def _options(self, options: dict[str, Any]) -> dict[str, Any]:
        return {"api_key": self.api_key, "base_url": self.url, **options}
