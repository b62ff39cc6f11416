"""The handshake with a proxy: CONNECT and SOCKS 5, without I/O.

A handshake is a generator. It yields the bytes to send, which may contain a password, and the maximum number of bytes
to receive. Send it the received bytes, or none if the proxy closed the connection. When it returns, the connection
leads to the origin.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Generator

from firsthandapi._base.masking import Secret

Handshake = Generator[tuple[Secret[bytes], int], bytes, None]

_NOTHING = Secret(b"")

_CHECK = "check the proxy settings"
_LOG_IN = "put the user name and the password into the URL of the proxy"

_MOST_HEAD_BYTES = 16 * 1024
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: [^\r\n]*)?\r?\n")
_SOCKS_REPLIES = {
    1: "general failure",
    2: "its rules forbid the connection",
    3: "the network is unreachable",
    4: "the host is unreachable",
    5: "the connection was refused",
    6: "the connection took too long",
    7: "it does not support connections",
    8: "it does not support this kind of address",
}


class ProxyError(Exception):
    """The proxy did not connect to the origin. `transient`: another attempt may succeed."""

    def __init__(self, reason: str, *, check: str = _CHECK, transient: bool = False) -> None:
        super().__init__(f"{reason}; {check}")
        self.transient = transient


def connect_tunnel(host: str, port: int, headers: Secret[list[tuple[str, str]]]) -> Handshake:
    """Ask an HTTP proxy for a tunnel. Raises ProxyError: the proxy refuses, or is not a proxy."""
    head = _something((yield Secret(_connect_request(host, port, headers.reveal())), _MOST_HEAD_BYTES))
    while b"\r\n\r\n" not in head:
        if len(head) >= _MOST_HEAD_BYTES:
            raise ProxyError("the proxy's response is not HTTP")
        head += _something((yield _NOTHING, _MOST_HEAD_BYTES))
    match = _STATUS_LINE.match(head)
    if match is None:
        raise ProxyError("the proxy's response is not HTTP")
    if not match[1].startswith(b"2"):
        status = match[1].decode("ascii")
        raise ProxyError(
            f"the proxy refused to connect to {host}: HTTP {status}",
            check=_LOG_IN if status == "407" else _CHECK,
            transient=status in ("408", "429") or status.startswith("5"),
        )
    # TLS comes next, where the client sends first.
    if not head.endswith(b"\r\n\r\n"):
        raise ProxyError("the proxy sent more than its response")


def _connect_request(host: str, port: int, headers: list[tuple[str, str]]) -> bytes:
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def socks5(host: str, port: int, login: Secret[tuple[str, str]] | None) -> Handshake:
    """Ask a SOCKS 5 proxy for a connection (RFC 1928, RFC 1929). The proxy looks up names.
    Raises ProxyError: the proxy refuses, or is not a proxy.
    """
    answer = yield from _exactly(2, Secret(b"\5\1\0" if login is None else b"\5\2\0\2"))
    if answer[0] != 5:
        raise ProxyError("the proxy's response is not SOCKS 5")
    if answer[1] == 2 and login is not None:
        if any(not 1 <= len(part.encode()) <= 255 for part in login.reveal()):
            raise ProxyError("the user name and the password for the proxy must be 1 to 255 bytes long")
        request = Secret(b"\1" + b"".join(_counted(part) for part in login.reveal()))
        if (yield from _exactly(2, request))[1] != 0:
            raise ProxyError("the proxy refused the user name or the password", check=_LOG_IN)
    elif answer[1] != 0:
        requirement = "a user name and a password" if login is None else "a different way to log in"
        raise ProxyError(f"the proxy requires {requirement}", check=_LOG_IN)
    if len(host) > 255:
        raise ProxyError("a host name must be at most 255 bytes long")
    answer = yield from _exactly(4, Secret(b"\5\1\0" + _address(host) + port.to_bytes(2, "big")))
    if answer[1] != 0:
        reason = _SOCKS_REPLIES.get(answer[1], f"reply {answer[1]}")
        raise ProxyError(
            f"the proxy refused to connect to {host}: {reason}", transient=answer[1] in (1, 3, 4, 5, 6)
        )
    # The address that the proxy connects from, which nobody needs.
    length = {1: 4, 4: 16}.get(answer[3])
    if length is None:
        length = (yield from _exactly(1))[0]
    yield from _exactly(length + 2)


def _exactly(
    size: int, request: Secret[bytes] = _NOTHING
) -> Generator[tuple[Secret[bytes], int], bytes, bytes]:
    """Send `request`, and receive `size` bytes."""
    came = _something((yield request, size))
    while len(came) < size:
        came += _something((yield _NOTHING, size - len(came)))
    return came


def _something(came: bytes) -> bytes:
    if not came:
        raise ProxyError("the proxy closed the connection", transient=True)
    return came


def _counted(text: str) -> bytes:
    return bytes([len(text.encode())]) + text.encode()


def _address(host: str) -> bytes:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return b"\3" + _counted(host)
    return (b"\1" if address.version == 4 else b"\4") + address.packed
