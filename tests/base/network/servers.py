"""Proxies on loopback, and addresses that swallow packets."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

from raw import CERTIFICATE, Loopback, RawRequest, pump, read_request, server_context


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
                login = tuple(stream.read(stream.read(1)[0]) for _ in range(2))
                sock.sendall(b"\1" + (b"\0" if login == self.login else b"\1"))
                if login != self.login:
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


HOST = "api.example.test"


class Proxy(Loopback):
    """A forward proxy: whole URLs for http, CONNECT for https. With `target`, every name leads to that port."""

    def __init__(self, target: int | None = None, *, refuse: str = "") -> None:
        self.target = target
        self.refuse = refuse
        self.requests: list[RawRequest] = []
        super().__init__()

    def reach(self, authority: str) -> socket.socket:
        """A connection to who is asked for."""
        name, _, port = authority.rpartition(":")
        place = (name, int(port)) if self.target is None else ("127.0.0.1", self.target)
        return self.adopt(socket.create_connection(place, timeout=10))

    def talk(self, sock: socket.socket, number: int) -> None:
        onward: socket.socket | None = None
        with sock.makefile("rb") as stream:
            while (request := read_request(stream)) is not None:
                self.requests.append(request)
                if self.refuse:
                    sock.sendall(f"HTTP/1.1 {self.refuse}\r\nContent-Length: 0\r\n\r\n".encode())
                    return
                if request.method == "CONNECT":
                    onward = self.reach(request.target)
                    sock.sendall(TUNNEL)
                    back = self.start(pump, onward, sock)
                    pump(sock, onward)
                    back.join(5)
                    return
                _, _, authority, path = request.target.split("/", 3)
                if onward is None:
                    onward = self.reach(authority)
                    self.start(pump, onward, sock)
                fields = (
                    f"{name}: {value}\r\n"
                    for name, value in request.headers.items()
                    if not name.startswith("proxy-")
                )
                onward.sendall(f"{request.method} /{path} HTTP/1.1\r\n{''.join(fields)}\r\n".encode())
        if onward is not None:
            onward.shutdown(socket.SHUT_RDWR)


TUNNEL = b"HTTP/1.1 200 Connection established\r\n\r\n"


class TlsProxy(Proxy):
    """A proxy that is itself reached by https, and that makes tunnels."""

    def __init__(self, target: int | None = None, *, certificate: Path = CERTIFICATE) -> None:
        self.context = server_context(certificate)
        super().__init__(target)

    def talk(self, sock: socket.socket, number: int) -> None:
        secure = self.adopt(self.context.wrap_socket(sock, server_side=True))
        with secure, secure.makefile("rb") as stream:
            request = read_request(stream)
            if request is None:
                return
            self.requests.append(request)
            onward = self.reach(request.target)
            secure.sendall(TUNNEL)
            # Two threads cannot share a connection of ssl.
            while ready := select.select([secure, onward], [], [])[0]:
                source, sink = (secure, onward) if secure in ready else (onward, secure)
                if not (data := source.recv(65536)):
                    return
                sink.sendall(data)
