"""Addresses of servers and proxies."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from firsthandapi._base.masking import Secret
from firsthandapi.errors import ConfigurationError

CONNECT_TIMEOUT = 5.0
DEFAULT_PORTS = {"http": 80, "https": 443}

_PROXY_SCHEMES = frozenset({"http", "https", "socks5", "socks5h"})


class Origin(NamedTuple):
    """The server that `base_url` names, and the prefix that every path gets."""

    scheme: str
    host: str
    port: int
    prefix: str

    @property
    def authority(self) -> str:
        """The `Host` header; it leaves out the default port of the scheme."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}"


def check_proxy(url: Secret[str], source: str) -> Secret[str]:
    """Return `url` if it is the URL of a proxy.
    Raises ConfigurationError: it is not. The message does not show the URL, which may contain a password.
    """
    if not _is_proxy(url.reveal()):
        raise ConfigurationError(f"{source} must be a URL such as http://proxy.example:3128 or socks5://…")
    return url


def _is_proxy(url: object) -> bool:
    parts = split(url) if isinstance(url, str) else None
    return parts is not None and parts.scheme in _PROXY_SCHEMES and bool(parts.hostname)


def split(url: str) -> SplitResult | None:
    """The parts of a URL, or None if it is none."""
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises if it is not a port
    except ValueError:
        return None
    return parts
