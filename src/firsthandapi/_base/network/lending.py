"""Certificates and proxy of the caller's httpx client, for downloads.

httpx has no public names for them, so its private attributes are read with care; an unknown transport, such as one of
the caller's, lends nothing.
"""

from __future__ import annotations

import ssl
from base64 import b64decode
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from firsthandapi._base.masking import Secret

from .certificates import ssl_context

if TYPE_CHECKING:
    from firsthandapi._core.calls.config import Config

_TRANSPORTS = frozenset({"HTTPTransport", "AsyncHTTPTransport"})


def lend(config: Config, http_client: Any) -> Config:
    """`config` with the certificates and the proxy of `http_client` where `verify` is True and `proxy` is None."""
    transport = _transport_for_downloads(http_client)
    if _kind(transport) == "MockTransport" and config.verify is True:
        # It uses no network, so the default certificates are right.
        return replace(config, verify=ssl_context(True))
    pool = getattr(transport, "_pool", None) if _kind(transport) in _TRANSPORTS else None
    context = getattr(pool, "_ssl_context", None)
    if context is None:
        return config
    if getattr(pool, "_http2", False):
        context = _without_http2(context)
    proxy = _proxy_of(pool)
    return replace(
        config,
        verify=context if config.verify is True else config.verify,
        proxy=proxy if config.proxy is None else config.proxy,
    )


def uses_network(http_client: Any) -> bool:
    """Whether a transport of the client, or what it wraps, is one of httpx's that uses the network."""
    transport = _transport_for_downloads(http_client)
    parts = (transport, *getattr(transport, "__dict__", {}).values())
    return any(kind.__name__ in _TRANSPORTS for part in parts for kind in type(part).__mro__)


def _transport_for_downloads(http_client: Any) -> object:
    """The transport that the client uses for https."""
    mounts = {
        getattr(pattern, "pattern", ""): transport
        for pattern, transport in getattr(http_client, "_mounts", {}).items()
    }
    proxies: dict[str, str] = {}
    if mounts and http_client.trust_env:
        from urllib.request import getproxies  # 15 ms, as in proxies.py

        proxies = getproxies()  # downloads read the same variables themselves
    transports = (
        mounts[f"{scheme}://"]
        for scheme in ("https", "all")
        if f"{scheme}://" in mounts and scheme not in proxies
    )
    return next(transports, getattr(http_client, "_transport", None))


def _kind(transport: object) -> str | None:
    """The class name of a transport of httpx or httpx2; None for any other."""
    kind = transport.__class__
    return kind.__name__ if kind.__module__.partition(".")[0] in ("httpx", "httpx2") else None


def _proxy_of(pool: Any) -> Secret[str] | None:
    url = getattr(pool, "_proxy_url", None)
    if url is None:
        return None
    host = url.host.decode("ascii")
    address = f"[{host}]" if ":" in host else host
    if url.port is not None:
        address += f":{url.port}"
    return Secret(f"{url.scheme.decode('ascii')}://{_login(pool).reveal()}{address}")


def _login(pool: Any) -> Secret[str]:
    pair = getattr(pool, "_proxy_auth", None)
    for name, value in getattr(pool, "_proxy_headers", ()):
        if name.lower() == b"proxy-authorization":
            pair = b64decode(value.partition(b" ")[2]).split(b":", 1)
    return Secret("" if pair is None else ":".join(quote(part, safe="") for part in pair) + "@")


def _without_http2(context: ssl.SSLContext) -> ssl.SSLContext:
    """A context with the same certificates that does not offer HTTP/2, which downloads do not support."""
    plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    plain.check_hostname, plain.verify_mode = context.check_hostname, context.verify_mode
    trusted = b"".join(context.get_ca_certs(binary_form=True))
    if trusted:
        plain.load_verify_locations(cadata=trusted)
    return plain
