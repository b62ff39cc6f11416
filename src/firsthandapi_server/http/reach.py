"""The hosts that webhooks may reach: a server must not give strangers a way into the network around it."""

from __future__ import annotations

import http.client
import ipaddress
import smtplib
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

from firsthandapi._base.host.loopback import is_loopback

# The block of all public IPv6 addresses.
_UNICAST = ipaddress.ip_network("2000::/3")
# Blocks that `is_global` judges differently in different versions of Python: for protocols and relays, for
# documentation, and those that contain an IPv4 address, to which a gateway may lead.
_SPECIAL = [
    ipaddress.ip_network(block)
    for block in ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
]

Reach = Callable[[str, int], list[str]]


class OutOfReachError(Exception):
    """Webhooks may not be sent to this host; the message says why."""


def webhook_url_fault(url: str) -> str | None:
    """The reason why an endpoint may not have this URL, or None."""
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


def this_machine(host: str, port: int) -> list[str]:
    """The addresses of a host if all of them are this machine's. Resolvers differ even for `localhost`.
    Raises OutOfReachError: the host is another machine.
    """
    addresses = _addresses(host, port) if is_loopback(host) else []
    if addresses and all(is_loopback(address) for address in addresses):
        return addresses
    raise OutOfReachError("not sent: the bundled server delivers to this machine only")


def the_internet(host: str, port: int) -> list[str]:
    """The addresses of a host if all of them are public.
    Raises OutOfReachError: an address is not public, or the host has none.
    """
    addresses = anywhere(host, port)
    if all(_is_public(address) for address in addresses):
        return addresses
    raise OutOfReachError(
        "not sent: the address is private; the operator can allow it with --private-webhooks"
    )


def the_internet_or_this_machine(host: str, port: int) -> list[str]:
    """The addresses of a public host or of this machine: for a server that only this machine reaches.
    Raises OutOfReachError: the host is neither.
    """
    return this_machine(host, port) if is_loopback(host) else the_internet(host, port)


def anywhere(host: str, port: int) -> list[str]:
    """The addresses of a host. Raises OutOfReachError: the host has none."""
    addresses = _addresses(host, port)
    if not addresses:
        raise OutOfReachError("not sent: the host name has no address")
    return addresses


def target_of(url: str) -> str:
    """What a request to a URL asks its host for."""
    parts = urlsplit(url)
    return f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"


def connection(url: str, reach: Reach, timeout: float) -> http.client.HTTPConnection:
    """A connection to a checked address; the name may resolve to another one a moment later.
    Raises OutOfReachError: the host may not be reached.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    kind = _PinnedTls if parts.scheme == "https" else _Pinned
    return kind(host, port, reach(host, port), timeout)


def alarm(connection: http.client.HTTPConnection | smtplib.SMTP, seconds: float) -> threading.Timer:
    """Hang up after some seconds: the socket's timeout does not stop a receiver that sends one byte at a time."""
    timer = threading.Timer(seconds, hang_up, [connection])
    timer.daemon = True
    timer.start()
    return timer


def hang_up(connection: http.client.HTTPConnection | smtplib.SMTP) -> None:
    """End a connection, whoever waits on it."""
    if connection.sock is not None:
        with suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)


class _Pinned(http.client.HTTPConnection):
    def __init__(self, host: str, port: int, addresses: list[str], timeout: float) -> None:
        super().__init__(host, port, timeout=timeout)
        self._addresses = addresses

    def connect(self) -> None:
        """Connect to the first address that accepts the connection."""
        *rest, last = self._addresses
        for address in rest:
            try:
                self.sock = socket.create_connection((address, self.port), self.timeout)
                break
            except OSError:
                continue
        else:
            self.sock = socket.create_connection((last, self.port), self.timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class _PinnedTls(_Pinned):
    default_port = 443

    def connect(self) -> None:
        """Connect with TLS, and check that the certificate is for the host's name."""
        super().connect()
        context = ssl.create_default_context()
        # The handshake comes after `sock` is set, so that the alarm can close the socket of a slow receiver.
        secured = context.wrap_socket(self.sock, server_hostname=self.host, do_handshake_on_connect=False)
        self.sock = secured
        secured.do_handshake()


def _addresses(host: str, port: int) -> list[str]:
    try:
        entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [str(address[0]) for *_, address in entries]


def _is_public(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return _is_public(str(address.ipv4_mapped))
        if address not in _UNICAST:
            return False
    return address.is_global and not address.is_multicast and not any(address in block for block in _SPECIAL)
