# Made from _async/borrowed.py by `make generate`. Do not edit.
"""The same exchange over an httpx client of the user's. Alone here httpx is imported."""

from __future__ import annotations

import contextlib
import time

import httpx

from firsthandapi._core.body import BodyReader
from firsthandapi._core.config import CONNECT_TIMEOUT, Origin
from firsthandapi._core.headers import Headers, RequestHeaders
from firsthandapi._core.request import Request
from firsthandapi._masking import Secret, mask_secrets
from firsthandapi._sync.wire import EXCEPTIONS as HTTPCORE_EXCEPTIONS
from firsthandapi._sync.wire import look_up
from firsthandapi.errors import (
    ConfigurationError,
    FirstHandConnectionError,
    FirstHandError,
    FirstHandTimeoutError,
)

# Every exception of httpx, and whether the request may have reached the service. A test fails when httpx
# grows one that is not here.
EXCEPTIONS: dict[type[Exception], tuple[type[FirstHandConnectionError], bool]] = {
    httpx.HTTPError: (FirstHandConnectionError, True),
    httpx.RequestError: (FirstHandConnectionError, True),
    httpx.TransportError: (FirstHandConnectionError, True),
    httpx.TimeoutException: (FirstHandTimeoutError, True),
    httpx.ConnectTimeout: (FirstHandTimeoutError, False),
    httpx.ReadTimeout: (FirstHandTimeoutError, True),
    httpx.WriteTimeout: (FirstHandTimeoutError, True),
    httpx.PoolTimeout: (FirstHandTimeoutError, False),
    httpx.NetworkError: (FirstHandConnectionError, True),
    httpx.ConnectError: (FirstHandConnectionError, False),
    httpx.ReadError: (FirstHandConnectionError, True),
    httpx.WriteError: (FirstHandConnectionError, True),
    httpx.CloseError: (FirstHandConnectionError, True),
    httpx.ProtocolError: (FirstHandConnectionError, True),
    httpx.LocalProtocolError: (FirstHandConnectionError, False),
    httpx.RemoteProtocolError: (FirstHandConnectionError, True),
    httpx.ProxyError: (FirstHandConnectionError, False),
    httpx.UnsupportedProtocol: (FirstHandConnectionError, False),
    httpx.DecodingError: (FirstHandConnectionError, True),
    httpx.TooManyRedirects: (FirstHandConnectionError, True),
    httpx.HTTPStatusError: (FirstHandConnectionError, True),
    httpx.InvalidURL: (FirstHandConnectionError, False),
    httpx.CookieConflict: (FirstHandConnectionError, False),
    httpx.StreamError: (FirstHandConnectionError, True),
    httpx.StreamConsumed: (FirstHandConnectionError, True),
    httpx.StreamClosed: (FirstHandConnectionError, True),
    httpx.ResponseNotRead: (FirstHandConnectionError, True),
    httpx.RequestNotRead: (FirstHandConnectionError, True),
    TimeoutError: (FirstHandTimeoutError, True),
    # What a transport of the user's may let through.
    **HTTPCORE_EXCEPTIONS,
}


class BorrowedWire:
    """Exchanges over `http_client=`. It is never closed here: it belongs to the caller."""

    def __init__(self, origin: Origin, http_client: httpx.Client) -> None:
        self._origin = origin
        self._client = http_client

    def exchange(
        self, request: Request, headers: RequestHeaders, *, timeout: float
    ) -> tuple[int, tuple[tuple[bytes, bytes], ...], Secret[bytes]]:
        """Send the request once and read the whole response: status, headers, body.

        Raises:
            FirstHandConnectionError: the network failed, or `timeout` seconds were not enough.
            UnexpectedResponseError: the body is over 32 MiB.
        """
        ends = time.monotonic() + timeout
        url = f"{self._origin.url}{self._origin.prefix}{request.path}"
        try:
            outgoing = self._client.build_request(
                request.method,
                f"{url}?{request.query}" if request.query else url,
                headers=list(headers),
                content=request.body,
                timeout=httpx.Timeout(timeout, connect=min(CONNECT_TIMEOUT, timeout)),
            )
            with contextlib.nullcontext(timeout):
                response = self._client.send(outgoing, auth=None, follow_redirects=False, stream=True)
                try:
                    raw_headers = tuple(response.headers.raw)
                    if response.is_stream_consumed:
                        # Read already: by an event hook of the caller's, or a transport that mocks.
                        return response.status_code, raw_headers, Secret(response.read())
                    reader = BodyReader(response.status_code, Headers(raw_headers))
                    for chunk in response.iter_raw():
                        reader.feed(chunk)
                        # httpx's own timeout restarts with every byte.
                        if time.monotonic() > ends:
                            raise TimeoutError
                    return response.status_code, raw_headers, Secret(reader.finish())
                finally:
                    chunk = b""  # a body may contain a secret, and tracebacks show local variables
                    response.close()
        except FirstHandError:
            raise
        except tuple(EXCEPTIONS) as error:
            # Their own text may quote what the service echoed, so it does not come along.
            raise self._mapped(error) from None
        except RuntimeError as error:
            # httpx says so when its client is closed.
            if not self._client.is_closed:
                raise
            raise ConfigurationError(
                "http_client is closed; keep it open as long as the client is used"
            ) from error

    def _mapped(self, error: Exception) -> FirstHandConnectionError:
        kind, sent = look_up(EXCEPTIONS, error)
        reason = mask_secrets(str(error)) or type(error).__name__
        if issubclass(kind, FirstHandTimeoutError):
            reason = "it did not answer in time; raise timeout="
        return kind(f"the request to {self._origin.authority} failed: {reason}", request_sent=sent)

    def close(self) -> None:
        """Nothing: the caller closes what the caller opened."""
