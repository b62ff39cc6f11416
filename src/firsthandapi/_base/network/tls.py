"""TLS over a connection, even over one that already speaks TLS."""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class TlsInTls:
    """TLS within TLS, for an https origin behind an https proxy: `ssl` can only wrap sockets.

    It has the methods of a socket that this package uses.
    """

    def __init__(self, outer: ssl.SSLSocket, context: ssl.SSLContext, host: str) -> None:
        self.outer = outer
        self._timeout = outer.gettimeout()
        self.fileno = outer.fileno
        self.close = outer.close
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.inner = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    def settimeout(self, seconds: float | None) -> None:
        """Limit each call, however many reads and writes of the outer connection it takes."""
        self._timeout = seconds

    def do_handshake(self) -> None:
        self._run(self.inner.do_handshake)

    def recv(self, size: int) -> bytes:
        buffer = bytearray(size)
        return bytes(memoryview(buffer)[: self.recv_into(buffer)])

    def recv_into(self, buffer: bytearray | memoryview) -> int:
        try:
            return self._run(lambda: self.inner.read(len(buffer), buffer))  # type: ignore[return-value] # typeshed knows bytearrays alone
        except ssl.SSLZeroReturnError:
            return 0

    def sendall(self, data: bytes) -> None:
        view = memoryview(data)
        del data  # it contains the API key, and tracebacks show local variables
        while view:
            view = view[self._run(lambda: self.inner.write(view)) :]  # noqa: B023 # it runs at once

    def pending(self) -> int:
        return self.inner.pending() + self._incoming.pending

    def _run(self, step: Callable[[], T]) -> T:
        ends = None if self._timeout is None else time.monotonic() + self._timeout
        while True:
            if ends is not None:
                seconds_left = ends - time.monotonic()
                if seconds_left <= 0:
                    raise TimeoutError
                self.outer.settimeout(seconds_left)
            try:
                result = step()
            except ssl.SSLWantReadError:
                self._flush()
                data = self.outer.recv(65536)
                if data:
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        if data := self._outgoing.read():
            self.outer.sendall(data)


# A connection: a plain or TLS socket, or TLS within TLS.
Link = socket.socket | TlsInTls


def encrypt(link: Link, context: ssl.SSLContext, host: str) -> ssl.SSLSocket | TlsInTls:
    """TLS over `link`, before its handshake. The new socket replaces a plain one.
    Raises ValueError: `host` cannot be in a certificate.
    """
    if isinstance(link, TlsInTls):  # pragma: no cover # a proxy behind a proxy does not exist here
        raise TypeError("TLS twice is enough")
    if isinstance(link, ssl.SSLSocket):
        return TlsInTls(link, context, host)
    host.encode("idna")  # what `wrap_socket` refuses it leaves open
    return context.wrap_socket(link, server_hostname=host, do_handshake_on_connect=False)


def is_readable(link: Link) -> bool:
    """Whether an idle connection has unexpected bytes, or was closed by the peer."""
    if isinstance(link, (ssl.SSLSocket, TlsInTls)) and link.pending():
        return True
    fd = link.fileno()
    if fd == -1:
        return True
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([fd], [], [], 0)[0])  # pragma: no cover # Windows
