"""Refuse requests from web pages of other hosts; accept programs, and pages of this server.

A page of another host can reach a loopback port in two ways: it sends a request whose response it cannot read (`Origin`
names the page), or its own host name changes to resolve to 127.0.0.1 (`Host` names the page).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Any
from urllib.parse import urlsplit

from firsthandapi._base.host.loopback import is_loopback
from firsthandapi_server.contract.errors import ApiError

_ADDED_BY_PROXIES = (b"forwarded", b"x-forwarded-for", b"x-real-ip")
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]]+))(?::[0-9]*)?")


def refusal(
    method: str, headers: Iterable[tuple[bytes, bytes]], public: str | None = None
) -> ApiError | None:
    """The reason to refuse a request with this method and these headers, or None.

    Args:
        method: the HTTP method.
        headers: the headers, with names in lower case.
        public: the address of a server that other machines reach, such as `https://photos.example.org`, or None.
    """
    browser: dict[bytes, str] = {}
    for name, raw in headers:
        value = raw.decode("latin-1")
        if name == b"host" and not _names_this_server(value, public):
            address = "127.0.0.1 or localhost" if public is None else public
            message = f"This server does not know this host name: call it as {address}."
            return ApiError(421, "misdirected_request", message)
        if name == b"origin" and not _is_own_page(value, public):
            return _foreign_page()
        if name.startswith(b"sec-fetch-") or name == b"origin":
            browser[name] = value
    # Without an Origin: an image, a script, or a link that someone follows. Only the link is allowed.
    if browser.get(b"sec-fetch-site") == "cross-site" and b"origin" not in browser:
        followed = (
            method in ("GET", "HEAD")
            and browser.get(b"sec-fetch-mode") == "navigate"
            and browser.get(b"sec-fetch-dest") == "document"
        )
        return None if followed else _foreign_page()
    return None


def forwarded(headers: Iterable[tuple[bytes, bytes]]) -> ApiError | None:
    """The reason why a server without a proxy refuses a request from one, or None."""
    for name, _ in headers:
        if name in _ADDED_BY_PROXIES:
            message = (
                f"A proxy passed this request on ({name.decode('latin-1')}), but this server was started without "
                "one, and would take everyone for one visitor: start it with --public-url and the address by which "
                "people reach it, such as --public-url https://photos.example.org."
            )
            return ApiError(403, "forbidden", message)
    return None


def visitor_address(scope: Mapping[str, Any], *, is_behind_proxy: bool) -> str:
    """Whoever sent a request, by address; of IPv6 the network, because each visitor has 2^64 addresses.

    Args:
        scope: the request's.
        is_behind_proxy: whether the last address in `X-Forwarded-For` is the visitor's.
    """
    if is_behind_proxy:
        # The proxy adds the last address; visitors can forge the ones before it.
        lines = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
        last = ",".join(lines).rpartition(",")[2].strip()
        if last:
            return _counted(last)
    return _counted(scope["client"][0]) if scope["client"] else "unknown"


def _counted(text: str) -> str:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return text[:100]
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or IPv6Network((address, 64), strict=False))
    return str(address)


def host_address(url: str) -> str:
    """The address of a host as browsers name it, without the default port of its scheme.
    Raises ValueError: the URL is not the address of a host; the message says why.
    """
    parts = urlsplit(url)
    try:
        port_is_good = parts.port != 0
    except ValueError:
        port_is_good = False
    is_good = (
        parts.scheme in ("http", "https")
        and parts.hostname
        and port_is_good
        and parts.path in ("", "/")
        and not (parts.query or parts.fragment or parts.username or parts.password)
    )
    if not is_good:
        raise ValueError(
            "is not the address of a host: pass scheme, host, and port alone, such as https://photos.example.org"
        )
    return (
        f"{parts.scheme}://{parts.netloc.lower().removesuffix(':443' if parts.scheme == 'https' else ':80')}"
    )


def _foreign_page() -> ApiError:
    return ApiError(403, "forbidden", "This server accepts no requests from web pages of other hosts.")


def _names_this_server(host: str, public: str | None) -> bool:
    host = host.strip().lower()
    if public is not None and host == urlsplit(public).netloc.lower():
        return True
    match = _HOST.fullmatch(host)
    return match is not None and is_loopback(match[1] or match[2])


def _is_own_page(origin: str, public: str | None) -> bool:
    if public is not None and origin.lower() == public.lower():
        return True
    try:
        return is_loopback(urlsplit(origin).hostname or "")
    except ValueError:
        return False
