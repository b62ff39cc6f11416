"""Where webhooks may be sent: a server must not become somebody's way into the network around it."""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
from collections.abc import Callable

from .loopback import is_loopback

# These carry an IPv4 address inside, and a gateway may lead to it.
_CARRIERS = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("2002::/16"))

Reach = Callable[[str, int], list[str]]


class OutOfReachError(Exception):
    """A host that webhooks may not be sent to, and why."""


def this_machine(host: str, port: int) -> list[str]:
    """The addresses of a host if all of them are this machine's: `localhost` is a name, and resolvers differ.

    Raises:
        OutOfReachError: it is another machine.
    """
    addresses = _addresses(host, port) if is_loopback(host) else []
    if addresses and all(is_loopback(each) for each in addresses):
        return addresses
    raise OutOfReachError("not sent: the bundled server delivers to this machine only")


def the_internet(host: str, port: int) -> list[str]:
    """The addresses of a host if all of them are public.

    Raises:
        OutOfReachError: one of them is not, or the host has none.
    """
    addresses = _addresses(host, port)
    if not addresses:
        raise OutOfReachError("not sent: the host name has no address")
    if all(_is_public(each) for each in addresses):
        return addresses
    raise OutOfReachError(
        "not sent: the address is private; the operator can allow it with --private-webhooks"
    )


def the_internet_or_this_machine(host: str, port: int) -> list[str]:
    """As `the_internet`, and this machine as well: for a server that only this machine reaches.

    Raises:
        OutOfReachError: it is neither.
    """
    return this_machine(host, port) if is_loopback(host) else the_internet(host, port)


def anywhere(host: str, port: int) -> list[str]:
    """The addresses of a host.

    Raises:
        OutOfReachError: it has none.
    """
    addresses = _addresses(host, port)
    if not addresses:
        raise OutOfReachError("not sent: the host name has no address")
    return addresses


def connection(
    scheme: str, host: str, port: int | None, reach: Reach, timeout: float
) -> http.client.HTTPConnection:
    """A connection to an address that was checked, not to what the name leads to a moment later.

    Raises:
        OutOfReachError: the host may not be reached.
    """
    port = port or (443 if scheme == "https" else 80)
    addresses = reach(host, port)
    kind = _PinnedTls if scheme == "https" else _Pinned
    return kind(host, port, addresses, timeout)


class _Pinned(http.client.HTTPConnection):
    def __init__(self, host: str, port: int, addresses: list[str], timeout: float) -> None:
        super().__init__(host, port, timeout=timeout)
        self._addresses = addresses

    def connect(self) -> None:
        """Connect to the first address that answers."""
        *others, last = self._addresses
        for address in others:
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
        """Connect, and let the receiver prove the host's name."""
        super().connect()
        context = ssl.create_default_context()
        # The handshake comes after `sock` is set, so that a receiver that takes too long over it can be cut off.
        secured = context.wrap_socket(self.sock, server_hostname=self.host, do_handshake_on_connect=False)
        self.sock = secured
        secured.do_handshake()


def _addresses(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [str(address[0]) for *_, address in found]


def _is_public(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return _is_public(str(address.ipv4_mapped))
        if any(address in carrier for carrier in _CARRIERS):
            return False
    return address.is_global and not address.is_multicast
