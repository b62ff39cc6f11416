"""Which hosts are this machine, and which URLs a webhook endpoint may have."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def webhook_url_fault(url: str) -> str | None:
    """Why an endpoint may not have this URL, or None."""
    if any(ord(character) <= 32 or ord(character) == 127 for character in url):
        return "must not contain spaces or control characters"
    try:
        parts = urlsplit(url)
        port_is_good = parts.port != 0
    except ValueError:
        return "is not a URL"
    host = parts.hostname
    if not host or not port_is_good:
        return "is not an absolute URL"
    if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)):
        return None
    return "must be an https:// URL (http:// is allowed only for this machine)"
