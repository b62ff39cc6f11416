"""Raw HTTP, within bounds: a request has a time for all of its response, and a response a size."""

from __future__ import annotations

import time
from collections.abc import Generator
from concurrent.futures import Future
from contextlib import contextmanager

import anyio
import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal

from firsthandapi._base.network.certificates import ssl_context
from firsthandapi._base.network.proxies import choose_proxy
from firsthandapi._core.calls.config import Config

from ._exchange import Asked, Exchange, NoResponseError, shortened

MAX_BODY = 4 << 20
MAX_DOWNLOAD = 64 << 20


class Wire:
    """Sends requests as they are: no redirect is followed, nothing is retried, no cookie is kept.

    An event loop in a thread of its own sends them, because only there a timeout covers a whole exchange, whatever a
    server does with single bytes. And a request can be under way while others are sent.
    """

    def __init__(self, portal: BlockingPortal, client: httpx.AsyncClient) -> None:
        self._portal = portal
        self._client = client
        self.sent = 0

    def send(self, asked: Asked, seconds: float, most: int = MAX_BODY) -> Exchange:
        """Send a request and read its response.
        Raises NoResponseError: there is none, or not all of it in `seconds`, or it is larger than `most` bytes.
        """
        return self._portal.call(self._exchange, asked, seconds, most)

    def begin(self, asked: Asked, seconds: float) -> Future[Exchange]:
        """Send a request, and let other requests follow before its response."""
        return self._portal.start_task_soon(self._exchange, asked, seconds, MAX_BODY)

    async def _exchange(self, asked: Asked, seconds: float, most: int) -> Exchange:
        self.sent += 1
        headers = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "firsthandapi-conformance"}
        headers.update(asked.headers)
        if asked.credential.secret is not None:
            headers["Authorization"] = f"Bearer {asked.credential.secret}"
        body = bytearray()
        started = time.monotonic()
        try:
            with anyio.fail_after(seconds):
                async with self._client.stream(
                    asked.method, asked.url, headers=headers, content=asked.content or None
                ) as response:
                    async for chunk in response.aiter_raw():
                        body += chunk
                        if len(body) > most:
                            raise NoResponseError(f"more than {most >> 20} MiB of response", asked)
        except TimeoutError:
            raise NoResponseError(f"no complete response within {seconds:g} s", asked) from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as error:
            words = shortened(f"{type(error).__name__}: {error}", 160)
            raise NoResponseError(f"no response: {words}", asked) from None
        received = {name.lower(): value for name, value in response.headers.items()}
        return Exchange(asked, response.status_code, received, bytes(body), time.monotonic() - started)


@contextmanager
def wired(base_url: str) -> Generator[Wire]:
    """A wire to a server, through the proxy for its address."""
    config = Config(api_key=None, base_url=base_url)
    proxy = choose_proxy(config.origin, None)
    client = httpx.AsyncClient(
        verify=ssl_context(True),
        proxy=None if proxy is None else proxy.reveal(),
        trust_env=False,
        follow_redirects=False,
        timeout=None,  # noqa: S113 # of httpx: each exchange as a whole has one
        # Not kept alive for long: a connection that the server has closed meanwhile would look like a fault of it.
        limits=httpx.Limits(keepalive_expiry=2.0),
    )
    with start_blocking_portal() as portal:
        try:
            yield Wire(portal, client)
        finally:
            portal.call(client.aclose)
