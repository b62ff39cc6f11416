"""The same exchange over an httpx client: the caller's, of httpx or httpx2, or our own, which a tool of tests sees."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import anyio

from firsthandapi._base.masking import Secret, mask_secrets
from firsthandapi._base.network.certificates import ssl_context
from firsthandapi._base.network.failures import distrust, errno_of
from firsthandapi._base.origins import CONNECT_TIMEOUT, Origin
from firsthandapi._core.calls.body import BodyReader, TruncatedBodyError
from firsthandapi._core.calls.headers import Headers, RequestHeaders
from firsthandapi._core.calls.request import Request
from firsthandapi.errors import (
    ConfigurationError,
    FirstHandConnectionError,
    FirstHandError,
    FirstHandTimeoutError,
)

if TYPE_CHECKING:
    import ssl

    import httpx

# Every exception of httpx, by its name, since httpx2 has the same names and classes of its own; and whether the request
# may have reached the service. A test fails when httpx or httpx2 grows one that is not here.
EXCEPTIONS: dict[str, tuple[type[FirstHandConnectionError], bool]] = {
    "HTTPError": (FirstHandConnectionError, True),
    "RequestError": (FirstHandConnectionError, True),
    "TransportError": (FirstHandConnectionError, True),
    "TimeoutException": (FirstHandTimeoutError, True),
    "ConnectTimeout": (FirstHandTimeoutError, False),
    "ReadTimeout": (FirstHandTimeoutError, True),
    "WriteTimeout": (FirstHandTimeoutError, True),
    "PoolTimeout": (FirstHandTimeoutError, False),
    "NetworkError": (FirstHandConnectionError, True),
    "ConnectError": (FirstHandConnectionError, False),
    "ReadError": (FirstHandConnectionError, True),
    "WriteError": (FirstHandConnectionError, True),
    "CloseError": (FirstHandConnectionError, True),
    "ProtocolError": (FirstHandConnectionError, True),
    "LocalProtocolError": (FirstHandConnectionError, False),
    "RemoteProtocolError": (FirstHandConnectionError, True),
    "ProxyError": (FirstHandConnectionError, False),
    "UnsupportedProtocol": (FirstHandConnectionError, False),
    "DecodingError": (FirstHandConnectionError, True),
    "TooManyRedirects": (FirstHandConnectionError, True),
    "HTTPStatusError": (FirstHandConnectionError, True),
    "InvalidURL": (FirstHandConnectionError, False),
    "CookieConflict": (FirstHandConnectionError, False),
    "StreamError": (FirstHandConnectionError, True),
    "StreamConsumed": (FirstHandConnectionError, True),
    "StreamClosed": (FirstHandConnectionError, True),
    "ResponseNotRead": (FirstHandConnectionError, True),
    "RequestNotRead": (FirstHandConnectionError, True),
    # Of the engines below, which a transport of the user's may let through.
    "ConnectionNotAvailable": (FirstHandConnectionError, False),
}
_PACKAGES = frozenset({"httpx", "httpx2", "httpcore", "httpcore2"})


def look_up(error: Exception) -> tuple[type[FirstHandConnectionError], bool] | None:
    """The meaning of a network error; None for any other exception: a bug of ours, or one of a mock or a hook."""
    for base in type(error).__mro__:
        if base.__module__.partition(".")[0] in _PACKAGES and base.__name__ in EXCEPTIONS:
            return EXCEPTIONS[base.__name__]
    if isinstance(error, TimeoutError):
        return FirstHandTimeoutError, True
    if isinstance(error, (OSError, TruncatedBodyError)):
        return FirstHandConnectionError, True
    return None


class BorrowedWire:
    """Exchanges over `http_client=`, which the caller closes."""

    def __init__(
        self,
        origin: Origin,
        http_client: httpx.AsyncClient,
        *,
        check: str = "the certificates of http_client, and the clock",
    ) -> None:
        self._origin = origin
        self._client = http_client
        self._check = check

    async def exchange(
        self, request: Request, headers: RequestHeaders, *, timeout: float
    ) -> tuple[int, Headers, Secret[bytes]]:
        """Send the request once and read the whole response: status, headers, body.
        Raises FirstHandConnectionError: the network failed, or `timeout` seconds were not enough.
        Raises UnexpectedResponseError: the body is larger than 32 MiB.
        """
        ends = time.monotonic() + timeout
        url = f"{self._origin.url}{self._origin.prefix}{request.path}"
        try:
            outgoing = self._client.build_request(
                request.method,
                f"{url}?{request.query}" if request.query else url,
                headers=list(headers),
                content=request.body,
                timeout=(min(CONNECT_TIMEOUT, timeout), timeout, timeout, timeout),
            )
            with anyio.fail_after(timeout):
                response = await self._client.send(outgoing, auth=None, follow_redirects=False, stream=True)
                try:
                    received_headers = Headers(response.headers.raw)
                    if response.is_stream_consumed:
                        # Read already: by an event hook of the caller's, or a transport that mocks.
                        return response.status_code, received_headers, Secret(await response.aread())
                    reader = BodyReader(response.status_code, received_headers)
                    try:
                        async for chunk in response.aiter_raw():
                            reader.feed(chunk)
                            # httpx's own timeout restarts with every byte.
                            if time.monotonic() > ends:
                                raise TimeoutError  # noqa: TRY301 # as httpx itself would
                        body = Secret(reader.finish())
                    except Exception as error:
                        if response.status_code < 400 or look_up(error) is None:
                            raise
                        # The status shows the error; an incomplete body must not hide it.
                        body = Secret(reader.so_far())
                    return response.status_code, received_headers, body
                finally:
                    chunk = b""  # a body may contain a secret, and tracebacks show local variables
                    await response.aclose()
        except FirstHandError:
            raise
        except Exception as error:
            entry = look_up(error)
            if entry is not None:
                # Not chained: their text may quote secrets that the service echoed.
                raise self._mapped(error, *entry) from None
            # httpx says so when its client is closed.
            if isinstance(error, RuntimeError) and self._client.is_closed:
                raise ConfigurationError(
                    "http_client is closed; keep it open as long as the client is used"
                ) from error
            raise

    def _mapped(self, error: Exception, kind: type[FirstHandConnectionError], sent: bool) -> Exception:
        reason = mask_secrets(str(error)) or type(error).__name__
        # httpx itself raises only its subclasses; pytest-httpx says by this one which response it lacks.
        if issubclass(kind, FirstHandTimeoutError) and type(error).__name__ != "TimeoutException":
            reason = "it did not answer in time; increase timeout="
        authority = self._origin.authority
        untrusted = distrust(error, authority, check=self._check)
        result = kind(untrusted or f"the request to {authority} failed: {reason}", request_sent=sent)
        result.untrusted = untrusted is not None
        # httpx has only these words for it.
        result.proxy_refused = type(error).__name__ == "ProxyError" and reason.startswith(("403 ", "407 "))
        result.errno = errno_of(error)
        return result

    async def aclose(self) -> None:
        """Do nothing: the caller closes the client."""


class InterceptedWire:
    """Exchanges while a tool of tests answers in place of httpx: each over a new httpx client, which keeps nothing when
    the tool is done."""

    def __init__(
        self, origin: Origin, *, proxy: Secret[str] | None, verify: bool | str | ssl.SSLContext
    ) -> None:
        self._origin = origin
        self._proxy = proxy
        self._context = ssl_context(verify)

    async def exchange(
        self, request: Request, headers: RequestHeaders, *, timeout: float
    ) -> tuple[int, Headers, Secret[bytes]]:
        """As of `BorrowedWire`."""
        async with self._http_client() as http_client:
            wire = BorrowedWire(self._origin, http_client, check="verify=, SSL_CERT_FILE, and the clock")
            return await wire.exchange(request, headers, timeout=timeout)

    def _http_client(self) -> httpx.AsyncClient:
        import httpx

        proxy = None
        if self._proxy is not None:
            # Of the two names for SOCKS, older versions know only one; both leave it to the proxy to look up hosts.
            proxy = httpx.Proxy(
                self._proxy.reveal().replace("socks5h://", "socks5://", 1),
                ssl_context=self._context if self._proxy.reveal().startswith("https:") else None,
            )
        try:
            return httpx.AsyncClient(verify=self._context, proxy=proxy, trust_env=False)
        except ImportError:
            raise ConfigurationError(
                "a SOCKS proxy needs socksio while a tool of tests mocks httpx: pip install 'httpx[socks]'"
            ) from None

    async def aclose(self) -> None:
        """Do nothing: no client outlives its exchange."""
