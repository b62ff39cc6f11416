"""One exchange over the network: a request out, a response in, and every failure in our words.

This is the one module that knows httpcore, the engine below httpx. It is used by its public names and
without `httpx.AsyncClient` on top, which merges URLs, headers, cookies and redirects that no API call needs,
costs three times the CPU, and cannot bound an attempt against a server that sends one byte at a time.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import httpcore

from firsthandapi._async.bridge import addresses
from firsthandapi._async.pool import Pool
from firsthandapi._core.body import BodyReader, TruncatedBodyError
from firsthandapi._core.config import CONNECT_TIMEOUT, Origin
from firsthandapi._core.headers import Headers, RequestHeaders
from firsthandapi._core.request import Request
from firsthandapi._masking import Secret, mask_secrets
from firsthandapi._tls import ssl_context
from firsthandapi.errors import (
    ConfigurationError,
    FirstHandConnectionError,
    FirstHandError,
    FirstHandTimeoutError,
)

# How long an idle connection is kept. A server that hangs up earlier is noticed before the next use.
_KEEP_ALIVE = 15.0

# Every exception of httpcore, and whether the request may have reached the service. A test fails when
# httpcore grows one that is not here.
EXCEPTIONS: dict[type[Exception], tuple[type[FirstHandConnectionError], bool]] = {
    httpcore.ConnectionNotAvailable: (FirstHandConnectionError, False),
    httpcore.ProxyError: (FirstHandConnectionError, False),
    httpcore.UnsupportedProtocol: (FirstHandConnectionError, False),
    httpcore.ProtocolError: (FirstHandConnectionError, True),
    httpcore.RemoteProtocolError: (FirstHandConnectionError, True),
    httpcore.LocalProtocolError: (FirstHandConnectionError, False),
    httpcore.TimeoutException: (FirstHandTimeoutError, True),
    httpcore.PoolTimeout: (FirstHandTimeoutError, False),
    httpcore.ConnectTimeout: (FirstHandTimeoutError, False),
    httpcore.ReadTimeout: (FirstHandTimeoutError, True),
    httpcore.WriteTimeout: (FirstHandTimeoutError, True),
    httpcore.NetworkError: (FirstHandConnectionError, True),
    httpcore.ConnectError: (FirstHandConnectionError, False),
    httpcore.ReadError: (FirstHandConnectionError, True),
    httpcore.WriteError: (FirstHandConnectionError, True),
    TruncatedBodyError: (FirstHandConnectionError, True),
    OSError: (FirstHandConnectionError, True),
    # A host name that cannot be encoded.
    UnicodeError: (FirstHandConnectionError, False),
}


def look_up(
    exceptions: dict[type[Exception], tuple[type[FirstHandConnectionError], bool]], error: Exception
) -> tuple[type[FirstHandConnectionError], bool]:
    """What `exceptions` says of an error's nearest class; for one it does not know, the careful answer."""
    return next(
        (exceptions[base] for base in type(error).__mro__ if base in exceptions),
        (FirstHandConnectionError, True),
    )


def connection_error(error: Exception, authority: str) -> FirstHandConnectionError:
    """Our error for one of the layers below."""
    kind, sent = look_up(EXCEPTIONS, error)
    reason = mask_secrets(str(error)) or type(error).__name__
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    if issubclass(kind, FirstHandTimeoutError):
        what = f"{authority} did not {'answer' if sent else 'accept a connection'} in time; raise timeout="
    elif sent:
        what = f"the connection to {authority} broke: {reason}"
    else:
        what = (
            f"could not connect to {authority}: {reason}; check the network, base_url and the proxy settings"
        )
    result = kind(what, request_sent=sent)
    result.untrusted = cause is not None
    return result


class Budget:
    """The time that one attempt has left. httpcore's own timeouts start anew with every byte."""

    __slots__ = ("_ends",)

    def __init__(self) -> None:
        self._ends = 0.0

    def start(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds

    def left(self, most: float | None, error: type[Exception]) -> float:
        left = self._ends - time.monotonic()
        if left <= 0:
            raise error("the attempt's time is up")
        return left if most is None else min(left, most)


class _BoundedStream(httpcore.AsyncNetworkStream):
    def __init__(self, stream: httpcore.AsyncNetworkStream, budget: Budget) -> None:
        self._stream = stream
        self._budget = budget

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._stream.read(max_bytes, self._budget.left(timeout, httpcore.ReadTimeout))

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, self._budget.left(timeout, httpcore.WriteTimeout))

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        left = self._budget.left(timeout, httpcore.ConnectTimeout)
        return _BoundedStream(await self._stream.start_tls(ssl_context, server_hostname, left), self._budget)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _BoundedBackend(httpcore.AsyncNetworkBackend):
    def __init__(self, budget: Budget) -> None:
        self._backend = cast("httpcore.AsyncNetworkBackend", httpcore.AnyIOBackend())
        self._budget = budget

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        # The time is that of all addresses together: each of four dead ones would take it anew.
        ends = time.monotonic() + self._budget.left(timeout, httpcore.ConnectTimeout)
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        try:
            found = await addresses(host, port)
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from None
        for address in found:
            left = max(ends - time.monotonic(), 0.001)
            try:
                stream = await self._backend.connect_tcp(
                    address, port, left, local_address, socket_options or ()
                )
                return _BoundedStream(stream, self._budget)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


class Connection:
    """One connection to the service and the time its current attempt has left."""

    __slots__ = ("budget", "http")

    def __init__(self, http: httpcore.AsyncConnectionInterface, budget: Budget) -> None:
        self.http = http
        self.budget = budget

    def usable(self) -> bool:
        """Whether the next request may go over it: it is idle, young enough, and the server still listens."""
        return self.http.is_idle() and not self.http.has_expired()

    async def aclose(self) -> None:
        await self.http.aclose()


class Wire:
    """Connections to one origin. The transport above owns retries; here one call is one exchange."""

    def __init__(
        self, origin: Origin, *, proxy: Secret[str] | None, verify: bool | str | ssl.SSLContext
    ) -> None:
        self._authority = origin.authority
        self._scheme, self._host = origin.scheme.encode(), origin.host.encode()
        self._port = origin.port
        self._prefix = origin.prefix
        self._proxy = proxy
        self._ssl_context = ssl_context(verify) if origin.scheme == "https" or proxy else None
        self._pool = Pool(self._connect)

    def _connect(self) -> Connection:
        budget = Budget()
        backend = _BoundedBackend(budget)
        if self._proxy is None:
            pool = httpcore.AsyncConnectionPool(
                ssl_context=self._ssl_context, keepalive_expiry=_KEEP_ALIVE, network_backend=backend
            )
        else:
            pool = proxy_pool(self._proxy, self._ssl_context, backend)
        # The pool is only asked how to connect. Its own bookkeeping looks at every connection on every
        # request; for a single origin a stack does the same in no time.
        return Connection(
            pool.create_connection(httpcore.Origin(self._scheme, self._host, self._port)), budget
        )

    async def exchange(
        self, request: Request, headers: RequestHeaders, *, timeout: float
    ) -> tuple[int, tuple[tuple[bytes, bytes], ...], Secret[bytes]]:
        """Send the request once and read the whole response: status, headers, body.

        Raises:
            FirstHandConnectionError: the network failed, or `timeout` seconds were not enough.
            UnexpectedResponseError: the body is over 32 MiB.
        """
        target = self._prefix + request.path + (f"?{request.query}" if request.query else "")
        url = httpcore.URL(
            scheme=self._scheme, host=self._host, port=self._port, target=target.encode("ascii")
        )
        outgoing = httpcore.Request(
            request.method.encode(),
            url,
            headers=[(b"Host", self._authority.encode()), *_framing(request), *headers],
            content=request.body,
            extensions={"timeout": {"connect": min(CONNECT_TIMEOUT, timeout)}},
        )
        started = time.monotonic()
        try:
            connection = await self._pool.acquire(timeout)
            done = False
            try:
                connection.budget.start(timeout - (time.monotonic() - started))
                response = await connection.http.handle_async_request(outgoing)
                status, raw_headers = response.status, tuple(response.headers)
                reader = BodyReader(status, Headers(raw_headers))
                async for chunk in response.aiter_stream():
                    reader.feed(chunk)
                await response.aclose()
                body = Secret(reader.finish())
                done = True
            finally:
                chunk = b""  # a body may contain a secret, and tracebacks show local variables
                # Whatever went wrong, cancellation too, leaves a connection in mid-response.
                await self._pool.release(connection, reusable=done)
        except FirstHandError:
            raise
        except Exception as error:  # this is the seam: nothing of the layers below may pass it
            # Their own text may quote what the service echoed, so it does not come along.
            raise connection_error(error, self._authority) from None
        return status, raw_headers, body

    async def aclose(self) -> None:
        """Close every connection."""
        await self._pool.aclose()


def _framing(request: Request) -> list[tuple[bytes, bytes]]:
    if request.body is None and request.method in ("GET", "HEAD", "OPTIONS", "DELETE"):
        return []
    return [(b"Content-Length", b"%d" % len(request.body or b""))]


def proxy_pool(
    proxy: Secret[str], context: ssl.SSLContext | None, backend: httpcore.AsyncNetworkBackend
) -> httpcore.AsyncConnectionPool:
    """What connects through a proxy: forwarding for http, a tunnel for https, or SOCKS 5."""
    scheme, url, auth = _proxy_parts(proxy.reveal())
    if scheme in ("http", "https"):
        return httpcore.AsyncHTTPProxy(
            url, proxy_auth=auth, ssl_context=context, keepalive_expiry=_KEEP_ALIVE, network_backend=backend
        )
    if find_spec("socksio") is None:
        del auth
        raise ConfigurationError("a SOCKS proxy needs one more package: pip install 'httpx[socks]'")
    return httpcore.AsyncSOCKSProxy(
        url, proxy_auth=auth, ssl_context=context, keepalive_expiry=_KEEP_ALIVE, network_backend=backend
    )


def _proxy_parts(proxy: str) -> tuple[str, httpcore.URL, tuple[str, str] | None]:
    parts = urlsplit(proxy)
    auth = (unquote(parts.username), unquote(parts.password or "")) if parts.username is not None else None
    default_port = {"http": 80, "https": 443}.get(parts.scheme, 1080)
    url = httpcore.URL(
        scheme=parts.scheme.encode(),
        host=(parts.hostname or "").encode(),
        port=parts.port or default_port,
        target=b"/",
    )
    return parts.scheme, url, auth
