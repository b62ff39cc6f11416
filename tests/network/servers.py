"""A SOCKS 5 proxy on loopback, and addresses that swallow packets."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator


class Socks:
    """A SOCKS 5 proxy that leads every name to this machine."""

    def __init__(self, *, login: tuple[bytes, bytes] | None = None, reply: int = 0) -> None:
        self.login = login
        self.reply = reply
        self.asked: list[tuple[str, int]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def __enter__(self) -> Socks:
        return self

    def __exit__(self, *_: object) -> None:
        for sock in [self._listener, *self._sockets]:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for sock in [self._listener, *self._sockets]:
            sock.close()

    def _start(self, target: object, *args: object) -> threading.Thread:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(sock)
            self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError), sock.makefile("rb", buffering=0) as stream:
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
            self._sockets.append(onward)
            back = self._start(pump, onward, sock)
            pump(sock, onward)
            back.join(5)


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Pass bytes on until either end is closed."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for each in (source, sink):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


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
