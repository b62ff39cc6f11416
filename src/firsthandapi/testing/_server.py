"""The bundled server, as tests use it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from firsthandapi_server.mock.bundled import BundledServer

if TYPE_CHECKING:
    from firsthandapi import AsyncFirstHandClient, FirstHandClient


class MockServer(BundledServer):
    """FirstHandAPI on a loopback port: every endpoint, with state, simulated workers and virtual time.

        with MockServer() as server:
            client = server.client()

    Args:
        seed: decides the files and the ratings of the simulated workers.
        speed: virtual seconds per real second; at 0 only `clock.advance` moves time.
        workers: whether simulated workers do the jobs; without them, only `submit` adds files.
        port: the port to listen on; 0 uses any free port.
        rate_limit: requests per key in 60 virtual seconds; None for no limits at all. At speed 0 a spent window
            ends only with `clock.advance`, and requests beyond it are refused immediately.
        idempotency_keys: which POSTs need an Idempotency-Key: `all` that the contract names, or `jobs`, which is
            POST /v1/jobs alone, as 0.1.0 of this package has it.
        api_key: the live key, `fh_live_…`; a new one when left out. The sandbox key is the same after `fh_test_`.
        public_url: the address by which programs and people reach the server, such as that of a proxy in front of it:
            scheme, host, and port, http or https. All URLs that the server gives out begin with it, and requests to
            it are accepted. By default it is `url`.
        on_request: called in the server's thread with each request, once it is answered or dropped.

    Attributes:
        clock: `clock.advance(days=7)` advances time, `clock.now()` returns it.
        faults: `faults.add(…)` adds a fault.
        workers: whether simulated workers do the jobs.

    Raises:
        ValueError: `api_key` or `public_url` cannot be used.
    """

    def client(self, **options: Any) -> FirstHandClient:
        """A client of this server with its live key.

        Args:
            options: what `FirstHandClient` takes, such as `max_retries=0` or another `api_key`.

        Returns:
            The client, for a `with` or a `close`.
        """
        from firsthandapi import FirstHandClient

        arguments: dict[str, Any] = {"api_key": self.api_key, "base_url": self.url, **options}
        return FirstHandClient(**arguments)

    def async_client(self, **options: Any) -> AsyncFirstHandClient:
        """Like `client`, for asyncio and trio.

        Args:
            options: what `AsyncFirstHandClient` takes.

        Returns:
            The client, for an `async with` or a `close`.
        """
        from firsthandapi import AsyncFirstHandClient

        arguments: dict[str, Any] = {"api_key": self.api_key, "base_url": self.url, **options}
        return AsyncFirstHandClient(**arguments)
