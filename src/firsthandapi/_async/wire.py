"""One exchange over the network: send a request, read the response, and turn every failure into our errors.

It uses the public names of httpcore, the engine of httpx, without `httpx.AsyncClient`: that merges URLs, headers,
cookies, and redirects that no API call needs, takes three times the CPU, and has no timeout for a whole attempt, so a
server that sends one byte at a time could hold it forever.
"""

from __future__ import annotations

import ssl
import time
from typing import Any

import httpcore

from firsthandapi._async.pool import Pool
from firsthandapi._async.streams import abandon, close, connect
from firsthandapi._core.calls.body import BodyReader, Received, TruncatedBodyError
from firsthandapi._core.calls.config import CONNECT_TIMEOUT, Origin
from firsthandapi._core.calls.headers import Headers, RequestHeaders
from firsthandapi._core.calls.places import Place
from firsthandapi._core.calls.request import Request
from firsthandapi._masking import Secret, mask_secrets
from firsthandapi._network.certificates import ssl_context
from firsthandapi._network.failures import causes, distrust, errno_of, speaks_no_tls
from firsthandapi._network.handshakes import Handshake, ProxyError
from firsthandapi._network.proxies import Route
from firsthandapi.errors import FirstHandConnectionError, FirstHandTimeoutError

# Seconds to keep an idle connection. Before the next use, one that the server closed is noticed.
_KEEP_ALIVE = 15.0

# Every exception of httpcore, and whether the request may have reached the service. A test fails if httpcore has one
# that is not here.
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
}
_BELOW = tuple(EXCEPTIONS)


class _RefusedByProxyError(httpcore.ProxyError):
    """The proxy refused, and will refuse again."""


def look_up(error: Exception) -> tuple[type[FirstHandConnectionError], bool]:
    """The meaning of an error, by its nearest class in the table."""
    return next(EXCEPTIONS[base] for base in type(error).__mro__ if base in EXCEPTIONS)


def connection_error(error: Exception, authority: str) -> FirstHandConnectionError:
    """Our error for an exception of httpcore, TLS, or the system."""
    peer: str = getattr(error, "peer", authority)
    kind, sent = look_up(error)
    # A LookupError is a detail of a library.
    texts = (str(cause) for cause in causes(error) if not isinstance(cause, LookupError))
    # A clause of our message, so without a full stop.
    reason = mask_secrets(next(filter(None, texts), type(error).__name__)).rstrip(".")
    untrusted = distrust(error, peer)
    if untrusted is not None:
        what = untrusted
    elif isinstance(error, httpcore.ProxyError):
        what = reason
    elif sent and issubclass(kind, FirstHandTimeoutError):
        what = f"{peer} did not answer in time; increase timeout="
    elif sent:
        what = f"the connection to {peer} broke: {reason}"
    else:
        what = f"could not connect to {peer}: {reason}; check the network, base_url and the proxy settings"
    result = kind(what, request_sent=sent)
    result.untrusted = untrusted is not None
    result.no_tls = speaks_no_tls(error)
    result.proxy_refused = isinstance(error, _RefusedByProxyError)
    result.errno = errno_of(error)
    return result


class Budget:
    """The remaining time of one attempt. httpcore's own timeouts restart with every byte."""

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


class _Stream(httpcore.AsyncNetworkStream):
    """A stream within the time of the current attempt, which passes received bytes to `received`."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, budget: Budget, received: Received) -> None:
        self._stream = stream
        self._budget = budget
        self._received = received

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = await self._stream.read(max_bytes, self._budget.left(timeout, httpcore.ReadTimeout))
        self._received.feed(data)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if not buffer:  # httpcore's, after a request without a body
            return
        data = Secret(buffer)
        del buffer  # it contains the API key, and tracebacks show local variables
        try:
            await self._stream.write(data.reveal(), self._budget.left(timeout, httpcore.WriteTimeout))
        except BaseException as error:
            raise error.with_traceback(None)  # noqa: B904 # the frames below contain the data

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        try:
            left = self._budget.left(timeout, httpcore.ConnectTimeout)
            encrypted = await self._stream.start_tls(ssl_context, server_hostname, left)
        except BaseException as error:
            # Nobody else could close this connection.
            await close(self._stream)
            if isinstance(error, httpcore.ConnectTimeout):
                raise httpcore.ConnectTimeout("the TLS handshake took too long") from None
            raise
        return _Stream(encrypted, self._budget, self._received)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class Connection:
    """An HTTP/1.1 connection to the service, which its first request opens, the time that its current attempt has left,
    and what came in it.

    httpcore's own connection opens behind a lock that every later request takes again, and knows no proxy of ours.
    """

    __slots__ = ("_budget", "_context", "_opened", "_origin", "_route", "http", "place", "received")

    def __init__(self, origin: httpcore.Origin, route: Route, context: ssl.SSLContext | None) -> None:
        self._origin = origin
        self._route = route
        self._context = context
        self._budget = Budget()
        self._opened: httpcore.AsyncNetworkStream | None = None
        self.http: httpcore.AsyncHTTP11Connection | None = None
        self.received = Received()
        # Taken while in use; None while idle.
        self.place: Place | None = None

    async def begin(self, request: httpcore.Request, seconds: float) -> httpcore.Response:
        """Begin an attempt that may take so long: the head of its response."""
        self._budget.start(seconds)
        self.received.start()
        if self.http is None:
            stream = await self._open()
            self.http = httpcore.AsyncHTTP11Connection(self._origin, stream, _KEEP_ALIVE)
        return await self.http.handle_async_request(request)

    def is_idle(self) -> bool:
        """Whether its last exchange ran to the end."""
        return self.http is not None and self.http.is_idle()

    def usable(self) -> bool:
        """Whether the next request may go over it: it is idle, young enough, and the server still listens."""
        return self.http is not None and self.http.is_idle() and not self.http.has_expired()

    async def aclose(self) -> None:
        if self.http is not None:
            await self.http.aclose()

    def abandon(self) -> None:  # pragma: no cover # threads have no loop that could be closed
        """Close it where its event loop is closed."""
        if self._opened is not None:
            abandon(self._opened)

    async def _open(self) -> httpcore.AsyncNetworkStream:
        timeout = CONNECT_TIMEOUT  # or less, if the attempt has less left
        left = self._budget.left(timeout, httpcore.ConnectTimeout)
        try:
            self._opened = await connect(self._route.host, self._route.port, left)
            stream: httpcore.AsyncNetworkStream = _Stream(self._opened, self._budget, self.received)
            # After the await, coverage misses the branch.
            if self._route.proxy_tls and self._context is not None:  # pragma: no branch # see above
                stream = await stream.start_tls(self._context, self._route.host, timeout)
            handshake = self._route.handshake()
            if handshake is not None:
                try:
                    await _perform(handshake, stream, timeout)
                except BaseException:
                    await close(stream)
                    raise
                self.received.start()  # the response so far was the proxy's
        except _BELOW as error:
            vars(error)["peer"] = self._route.peer  # it may be a proxy
            raise
        if (
            self._route.origin.scheme == "https" and self._context is not None
        ):  # pragma: no branch # see above
            self._context.set_alpn_protocols(["http/1.1"])
            stream = await stream.start_tls(self._context, self._route.origin.host, timeout)
        return stream


async def _perform(handshake: Handshake, stream: httpcore.AsyncNetworkStream, timeout: float | None) -> None:
    try:
        request, size = next(handshake)
        while True:
            await stream.write(request.reveal(), timeout)
            request, size = handshake.send(await stream.read(size, timeout))
    except StopIteration:
        pass
    except (httpcore.ReadTimeout, httpcore.WriteTimeout):
        raise httpcore.ConnectTimeout("it did not answer in time") from None
    except ProxyError as error:
        kind = httpcore.ProxyError if error.transient else _RefusedByProxyError
        raise kind(str(error)) from None


class Wire:
    """Connections to one origin. One call of `exchange` is one attempt; the transport retries."""

    def __init__(
        self, origin: Origin, *, proxy: Secret[str] | None, verify: bool | str | ssl.SSLContext
    ) -> None:
        self._authority = origin.authority
        self._origin = httpcore.Origin(origin.scheme.encode(), origin.host.encode(), origin.port)
        self._route = Route.to(origin, proxy)
        tls = origin.scheme == "https" or self._route.proxy_tls
        self._ssl_context = ssl_context(verify) if tls else None
        self._prefix = (origin.url if self._route.forwarded else "") + origin.prefix
        self._proxy_headers = RequestHeaders(self._route.proxy_headers() if self._route.forwarded else ())
        self._pool = Pool(self._connect)

    def _connect(self) -> Connection:
        return Connection(self._origin, self._route, self._ssl_context)

    async def exchange(
        self, request: Request, headers: RequestHeaders, *, timeout: float
    ) -> tuple[int, Headers, Secret[bytes]]:
        """Send the request once and read the whole response: status, headers, body.
        Raises FirstHandConnectionError: the network failed, or `timeout` seconds were not enough.
        Raises UnexpectedResponseError: the body is larger than 32 MiB.
        """
        target = self._prefix + request.path + (f"?{request.query}" if request.query else "")
        scheme, host, port = self._origin.scheme, self._origin.host, self._origin.port
        url = httpcore.URL(scheme=scheme, host=host, port=port, target=target.encode("ascii"))
        outgoing = httpcore.Request(
            request.method.encode(),
            url,
            headers=[(b"Host", self._authority.encode()), *_framing(request), *self._proxy_headers, *headers],
            content=request.body,
        )
        started = time.monotonic()
        try:
            long_poll = request.wait is not None
            connection = await self._pool.acquire(timeout, long_poll=long_poll)
            done = False
            try:
                response = await connection.begin(outgoing, timeout - (time.monotonic() - started))
                status, received_headers = response.status, Headers(response.headers)
                reader = BodyReader(status, received_headers)
                try:
                    async for chunk in response.aiter_stream():
                        reader.feed(chunk)
                    await response.aclose()
                    body = Secret(reader.finish())
                    # After HEAD, and with these statuses, announced chunks do not follow.
                    bodiless = request.method == "HEAD" or status in (204, 304)
                    chunked = not bodiless and "transfer-encoding" in received_headers
                    done = connection.is_idle() and connection.received.is_all(reader.length, chunked=chunked)
                except _BELOW:
                    if status < 400:
                        raise
                    # The status shows the error; an incomplete body must not hide it.
                    body = Secret(reader.so_far())
            finally:
                chunk = b""  # a body may contain a secret, and tracebacks show local variables
                # After any exception, cancellation included, the response may be half read.
                await self._pool.release(connection, reusable=done, long_poll=long_poll)
        except _BELOW as error:
            # Not chained: their text may quote secrets that the service echoed.
            raise connection_error(error, self._authority) from None
        return status, received_headers, body

    async def aclose(self) -> None:
        """Close every connection."""
        await self._pool.aclose()


def _framing(request: Request) -> list[tuple[bytes, bytes]]:
    if request.body is None and request.method in ("GET", "HEAD", "OPTIONS", "DELETE"):
        return []
    return [(b"Content-Length", b"%d" % len(request.body or b""))]
