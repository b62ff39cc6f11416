"""A SOCKS 5 proxy on loopback, and addresses that swallow packets."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator

from raw import Loopback, pump


class Socks(Loopback):
    """A SOCKS 5 proxy that leads every name to this machine."""

    def __init__(self, *, login: tuple[bytes, bytes] | None = None, reply: int = 0) -> None:
        self.login = login
        self.reply = reply
        self.asked: list[tuple[str, int]] = []
        super().__init__()

    def talk(self, sock: socket.socket, number: int) -> None:
        with sock.makefile("rb", buffering=0) as stream:
            offered = stream.read(stream.read(2)[1])
            method = 0 if self.login is None else 2
            if method not in offered:
                sock.sendall(b"\5\xff")
                return
            sock.sendall(bytes([5, method]))
            if self.login is not None:
                stream.read(1)
                given = tuple(stream.read(stream.read(1)[0]) for _ in range(2))
                sock.sendall(b"\1" + (b"\0" if given == self.login else b"\1"))
                if given != self.login:
                    return
            kind = stream.read(4)[3]
            if kind == 3:
                host = stream.read(stream.read(1)[0]).decode()
            else:
                host = socket.inet_ntop(
                    *((socket.AF_INET, stream.read(4)) if kind == 1 else (socket.AF_INET6, stream.read(16)))
                )
            (port,) = struct.unpack(">H", stream.read(2))
            self.asked.append((host, port))
            sock.sendall(bytes([5, self.reply, 0, 3, 4]) + b"here" + b"\0\0")
            if self.reply:
                return
            onward = socket.create_connection(("127.0.0.1", port))
            self.adopt(onward)
            back = self.start(pump, onward, sock)
            pump(sock, onward)
            back.join(5)


@contextlib.contextmanager
def silent_address(host: str, port: int = 0) -> Iterator[int]:
    """The port of a listener whose queue is full: it swallows packets."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
