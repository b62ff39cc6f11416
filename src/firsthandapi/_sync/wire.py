# Made from _async/wire.py by `make generate`. Do not edit.
"""One exchange over the network: send a request, read the response, and turn every failure into our errors.

It uses h11, the engine of httpx, without `httpx.Client`: that merges URLs, headers, cookies, and redirects that no
API call needs, takes locks, runs a state machine of its own, and has no timeout for a whole attempt, so a server that
sends one byte at a time could hold it forever.
"""

from __future__ import annotations

import ssl
import time
from typing import Any

import h11

from firsthandapi._base.host.clock import ticks
from firsthandapi._base.masking import Secret, mask_secrets
from firsthandapi._base.network.certificates import ssl_context
from firsthandapi._base.network.failures import causes, distrust, errno_of, speaks_no_tls
from firsthandapi._base.network.handshakes import Handshake, ProxyError
from firsthandapi._base.network.proxies import Route
from firsthandapi._base.origins import CONNECT_TIMEOUT, Origin
from firsthandapi._core.calls.body import BodyReader, TruncatedBodyError
from firsthandapi._core.calls.headers import Headers, RequestHeaders
from firsthandapi._core.calls.places import Place
from firsthandapi._core.calls.request import Request
from firsthandapi._sync.pool import Pool
from firsthandapi._sync.streams import Stream, connect
from firsthandapi.errors import FirstHandConnectionError, FirstHandTimeoutError

# Seconds to keep an idle connection, which seldom survives a suspend, so that counts. Before the next use, one that the
# server closed is noticed.
_KEEP_ALIVE = 15.0
_MOST_HEAD_BYTES = 100 * 1024
_MOST_BYTES = 64 * 1024  # at once
_TLS_TOO_SLOW = "the TLS handshake took too long"

# Whatever the network, a proxy, or a server that breaks the rules can raise.
_FAILURES = (OSError, ProxyError, h11.ProtocolError, TruncatedBodyError)


def connection_error(error: Exception, peer: str, *, sent: bool) -> FirstHandConnectionError:
    """Our error for one of `_FAILURES`. `sent`: whether the request may have reached the service."""
    late = isinstance(error, TimeoutError)
    # A LookupError is a detail of a library.
    texts = (str(cause) for cause in causes(error) if not isinstance(cause, LookupError))
    unnamed = "the peer closed it" if isinstance(error, ConnectionError) else type(error).__name__  # anyio's
    # A clause of our message, so without a full stop.
    reason = mask_secrets(next(filter(None, texts), unnamed)).rstrip(".")
    untrusted = distrust(error, peer)
    if untrusted is not None:
        problem = untrusted
    elif isinstance(error, ProxyError):
        problem = reason
    elif speaks_no_tls(error):
        problem = (
            f"could not connect to {peer}: it answers, but not in TLS 1.2 or later; if it is a server of your own "
            "without TLS, write http:// in base_url or the proxy settings, else check the network"
        )
    elif not sent:
        problem = f"could not connect to {peer}: {reason}; check the network, base_url and the proxy settings"
    elif late:
        problem = f"{peer} did not answer in time; increase timeout="
    else:
        problem = f"the connection to {peer} broke: {reason}"
    result = (FirstHandTimeoutError if late else FirstHandConnectionError)(problem, request_sent=sent)
    result.untrusted = untrusted is not None
    result.no_tls = speaks_no_tls(error)
    result.proxy_refused = isinstance(error, ProxyError) and not error.transient
    result.errno = errno_of(error)
    return result


class Connection:
    """An HTTP/1.1 connection to the service, which its first request opens.

    Attributes:
        peer: the name, for messages, of who was spoken to last: the service, or a proxy.
        sent: whether the current request may have reached the service.
        used: whether an earlier request went over it.
        idle: whether the last exchange ran to its end, and nothing came after it.
        place: taken while in use; None while idle.
    """

    __slots__ = (
        *("_context", "_engine", "_expires", "_headers", "_route", "_stream"),
        *("idle", "peer", "place", "sent", "used"),
    )

    def __init__(self, route: Route, context: ssl.SSLContext | None, headers: RequestHeaders) -> None:
        self._route = route
        self._context = context
        self._headers = headers  # of every request
        self._engine = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MOST_HEAD_BYTES)
        self._stream: Any = None
        self._expires = 0.0
        self.peer = route.peer
        self.sent = self.idle = self.used = False
        self.place: Place | None = None

    def exchange(
        self, request: Request, target: str, headers: RequestHeaders, seconds: float
    ) -> tuple[int, Headers, Secret[bytes]]:
        """Send the request, and read the whole response. Raises one of `_FAILURES`; TimeoutError after `seconds`."""
        ends = time.monotonic() + seconds
        self.sent = self.idle = False
        self.used = self._stream is not None
        stream = self._stream or self._open(min(CONNECT_TIMEOUT, seconds))
        status, received, reader = 0, Headers(), None
        try:
            with stream.within(ends - time.monotonic()):
                self._send(request, target, headers)
                status, received = self._head()
                reader = BodyReader(status, received)
                self._receive(reader)
            body = Secret(reader.finish())
        except _FAILURES:
            if reader is None or status < 400:
                raise
            # The status shows the error; an incomplete body must not hide it.
            return status, received, Secret(reader.so_far())
        # A server or a proxy may send bytes after its response, such as a body with a 204, or an error page: they would
        # be read as the next response.
        engine = self._engine
        is_done = engine.our_state is engine.their_state is h11.DONE and engine.trailing_data == (b"", False)
        # A response with two framings may be a smuggled one: whoever else reads it may see another end (RFC 9112, 6.3).
        if is_done and not ("content-length" in received and "transfer-encoding" in received):
            engine.start_next_cycle()
            self.idle, self._expires = True, ticks() + _KEEP_ALIVE
        return status, received, body

    def _send(self, request: Request, target: str, headers: RequestHeaders) -> None:
        # No local variable holds the events: one contains the API key, and tracebacks show them.
        data = Secret(
            b"".join(
                map(
                    self._engine.send,  # type: ignore[arg-type] # it returns None for the end of a connection only
                    (
                        h11.Request(
                            method=request.method,
                            target=target,
                            headers=[*self._headers, *_framing(request), *headers],
                        ),
                        h11.Data(data=request.body or b""),
                        h11.EndOfMessage(),
                    ),
                )
            )
        )
        self.sent = True
        try:
            self._write(data)
        except TimeoutError:
            raise
        except OSError:
            pass  # a server may respond before it has read everything, and close

    def _write(self, data: Secret[bytes]) -> None:
        try:
            self._stream.write(data)
        except BaseException as error:
            raise error.with_traceback(None)  # noqa: B904 # the frames below contain the data

    def _head(self) -> tuple[int, Headers]:
        head = self._next()
        # After 101, no other response comes.
        while head.status_code < 200 and head.status_code != 101:
            head = self._next()
        return head.status_code, Headers(head.headers.raw_items())

    def _receive(self, reader: BodyReader) -> None:
        try:
            while isinstance(event := self._next(), h11.Data):
                reader.feed(bytes(event.data))
        finally:
            event = None  # a body may contain a secret, and tracebacks show local variables

    def _next(self) -> Any:
        while (event := self._engine.next_event()) is h11.NEED_DATA:
            data = Secret(self._stream.read(_MOST_BYTES))
            if not data.reveal() and self._engine.their_state is h11.SEND_RESPONSE:
                raise ConnectionError("the server closed it without a response")
            self._engine.receive_data(data.reveal())
        return event

    def usable(self) -> bool:
        """Whether the next request may go over it: it is idle, young enough, and the server still listens."""
        return ticks() < self._expires and not self._stream.is_readable()

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()

    def abandon(self) -> None:  # pragma: no cover # threads have no loop that could be closed
        """Close it where its event loop is closed."""
        if self._stream is not None:
            self._stream.abandon()

    def _open(self, seconds: float) -> Stream:
        ends = time.monotonic() + seconds
        route, context = self._route, self._context
        # Kept at once, so that whatever fails closes it.
        self._stream = stream = connect(route.host, route.port, seconds)
        step = _TLS_TOO_SLOW
        try:
            with stream.within(ends - time.monotonic()):
                # After the await, coverage misses the branch.
                if route.proxy_tls and context is not None:  # pragma: no branch # see above
                    stream.start_tls(context, route.host)
                handshake = route.handshake()
                if handshake is not None:
                    step = "it did not answer in time"
                    self._perform(handshake)
                    step = _TLS_TOO_SLOW
                self.peer = route.origin.authority
                if route.origin.scheme == "https" and context is not None:  # pragma: no branch # see above
                    context.set_alpn_protocols(["http/1.1"])
                    stream.start_tls(context, route.origin.host)
        except TimeoutError:
            raise TimeoutError(step) from None
        return stream

    def _perform(self, handshake: Handshake) -> None:
        try:
            request, size = next(handshake)
            while True:
                if request.reveal():
                    self._write(request)
                request, size = handshake.send(self._stream.read(size))
        except StopIteration:
            pass


class Wire:
    """Connections to one origin. One call of `exchange` is one attempt; the transport retries."""

    def __init__(
        self, origin: Origin, *, proxy: Secret[str] | None, verify: bool | str | ssl.SSLContext
    ) -> None:
        route = Route.to(origin, proxy)
        context = ssl_context(verify) if origin.scheme == "https" or route.proxy_tls else None
        self._prefix = (origin.url if route.forwarded else "") + origin.prefix
        headers = RequestHeaders(
            [("Host", origin.authority), *(route.proxy_headers() if route.forwarded else ())]
        )
        self._pool = Pool(lambda: Connection(route, context, headers))

    def exchange(
        self, request: Request, headers: RequestHeaders, *, timeout: float
    ) -> tuple[int, Headers, Secret[bytes]]:
        """Send the request once and read the whole response: status, headers, body.
        Raises FirstHandConnectionError: the network failed, or `timeout` seconds were not enough.
        Raises UnexpectedResponseError: the body is larger than 32 MiB.
        """
        target = self._prefix + request.path + (f"?{request.query}" if request.query else "")
        ends = time.monotonic() + timeout
        long_poll = request.wait is not None
        connection = self._pool.acquire(timeout, long_poll=long_poll)
        try:
            return connection.exchange(request, target, headers, ends - time.monotonic())
        except _FAILURES as error:
            if connection.used:
                # After a suspend, or a restart of what is in between, the others are probably dead as well, and none of
                # them may cost the next attempt.
                self._pool.close_idle()
            # Not chained: their text may quote secrets that the service echoed.
            raise connection_error(error, connection.peer, sent=connection.sent) from None
        finally:
            # After any exception, cancellation included, the response may be half read.
            self._pool.release(connection, reusable=connection.idle, long_poll=long_poll)

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()


def _framing(request: Request) -> list[tuple[bytes, bytes]]:
    if request.body is None and request.method in ("GET", "HEAD", "OPTIONS", "DELETE"):
        return []
    return [(b"Content-Length", b"%d" % len(request.body or b""))]
