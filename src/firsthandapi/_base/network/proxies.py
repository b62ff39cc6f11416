"""Choose the proxy for a host, and the way through it."""

from __future__ import annotations

import ipaddress
import os
import re
import sys
from base64 import b64encode
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from firsthandapi._base.masking import Secret
from firsthandapi._base.origins import DEFAULT_PORTS, Origin, check_proxy

from .handshakes import Handshake, connect_tunnel, socks5

# An entry of `NO_PROXY`: a name, an address, or a network, IPv6 with or without brackets, and a port.
_ENTRY = re.compile(
    r"(?:\[(?P<bracketed>[^\]]+)\](?P<length>/\d+)?|(?P<name>[^:\[\]]+))(?::(?P<port>\d+))?|(?P<bare>[^\[\]]*:[^\[\]]*:[^\[\]]*)"
)
_DEFAULT_PORTS = {**DEFAULT_PORTS, "socks5": 1080, "socks5h": 1080}


def choose_proxy(origin: Origin, proxy: Secret[str] | None) -> Secret[str] | None:
    """The proxy for requests to `origin`: first the option, then the system's settings.

    The settings are `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, and `NO_PROXY`, or those of macOS and Windows, as urllib
    reads them; `NO_PROXY` may also contain networks.
    Raises ConfigurationError: a variable is not the URL of a proxy.
    """
    if proxy is not None:
        return proxy
    if sys.platform == "linux" and not any(name.lower().endswith("_proxy") for name in os.environ):
        return None  # where there is nothing but variables
    from urllib.request import getproxies, proxy_bypass  # 15 ms that only the first request pays

    proxies = {
        scheme: Secret(url if "://" in url or scheme == "no" else f"http://{url}")
        for scheme, url in getproxies().items()
        if url
    }
    address = proxies.get(origin.scheme) or proxies.get("all")
    if address is None:
        return None
    direct = proxies.get("no")
    if direct is not None:
        if is_exempt(direct.reveal(), origin.host, origin.port):
            return None
    elif proxy_bypass(f"{origin.host}:{origin.port}") or proxy_bypass(
        origin.host
    ):  # the settings of the system
        return None
    return check_proxy(address, f"{origin.scheme.upper()}_PROXY" if origin.scheme in proxies else "ALL_PROXY")


def is_exempt(no_proxy: str, host: str, port: int) -> bool:
    """Whether `NO_PROXY` lists a host: by name, domain, address, or network (`10.0.0.0/8`, `fd00::/8`), each with or
    without a port, or by `*`. Names are not looked up."""
    return any(_exempts(entry.lower(), host.lower(), port) for entry in no_proxy.replace(",", " ").split())


def _exempts(entry: str, host: str, port: int) -> bool:
    match = _ENTRY.fullmatch(entry)
    if match is None or match["port"] not in (None, str(port)):
        return False
    name = f"{match['bracketed'] or match['bare'] or match['name']}{match['length'] or ''}"
    if name == "*":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = name.lstrip("*").lstrip(".")
        return bool(name) and (host == name or host.endswith(f".{name}"))
    try:
        return address in ipaddress.ip_network(name, strict=False)
    except ValueError:
        return False


class Route(NamedTuple):
    """The way to an origin, directly or through a proxy.

    Attributes:
        origin: the destination.
        host, port: the address to connect to, which may be the proxy's.
        kind: the scheme of the proxy; empty without one.
        login: user name and password for the proxy, or None.
    """

    origin: Origin
    host: str
    port: int
    kind: str = ""
    login: Secret[tuple[str, str]] | None = None

    @classmethod
    def to(cls, origin: Origin, proxy: Secret[str] | None) -> Route:
        """The way to `origin` through the proxy with this URL, or directly for None."""
        if proxy is None:
            return cls(origin, origin.host, origin.port)
        # No local variable holds the parts: one is the password, and tracebacks show variables.
        host, port, kind = _where(urlsplit(proxy.reveal()))
        return cls(origin, host, port, kind, _login(urlsplit(proxy.reveal())))

    @property
    def peer(self) -> str:
        """The peer's name for messages, without user and password."""
        if not self.kind:
            return self.origin.authority
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"the proxy {self.kind}://{host}:{self.port}"

    @property
    def proxy_tls(self) -> bool:
        """Whether the proxy itself speaks TLS."""
        return self.kind == "https"

    @property
    def forwarded(self) -> bool:
        """Whether the proxy forwards requests, so that they need absolute URLs and `proxy_headers`."""
        return self.origin.scheme == "http" and self.kind in ("http", "https")

    def proxy_headers(self) -> list[tuple[str, str]]:
        """The header with user and password for an HTTP proxy, if its URL has them."""
        if self.login is None:
            return []
        pair = b64encode(":".join(self.login.reveal()).encode()).decode("ascii")
        return [("Proxy-Authorization", f"Basic {pair}")]

    def handshake(self) -> Handshake | None:
        """The handshake that makes the proxy connect to the origin; None if it needs none."""
        if self.kind in ("socks5", "socks5h"):
            return socks5(self.origin.host, self.origin.port, self.login)
        if self.kind and not self.forwarded:
            return connect_tunnel(self.origin.host, self.origin.port, Secret(self.proxy_headers()))
        return None


def _where(parts: SplitResult) -> tuple[str, int, str]:
    return parts.hostname or "", parts.port or _DEFAULT_PORTS[parts.scheme], parts.scheme


def _login(parts: SplitResult) -> Secret[tuple[str, str]] | None:
    if parts.username is None:
        return None
    return Secret((unquote(parts.username), unquote(parts.password or "")))
