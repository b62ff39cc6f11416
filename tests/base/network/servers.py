"""A SOCKS 5 proxy on loopback, and addresses that swallow packets."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

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


HOST = "api.example.test"


class Listener:
    """A socket that gives each connection to a thread."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.heads: list[bytes] = []
        self.connections: list[socket.socket] = []
        self.threads = [threading.Thread(target=self._accept)]
        self.threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            connection.settimeout(10)
            self.connections.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,))
            self.threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            self.serve(connection)

    def read_head(self, connection: socket.socket) -> bytes:
        head = b""
        while b"\r\n\r\n" not in head:
            piece = connection.recv(65536)
            if not piece:
                raise ConnectionResetError
            head += piece
        self.heads.append(head)
        return head

    def serve(self, connection: socket.socket) -> None:
        raise NotImplementedError

    def close(self) -> None:
        for each in (self.socket, *self.connections):
            hang_up(each)
        self.socket.close()
        for thread in self.threads:
            thread.join()


def hang_up(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


class Proxy(Listener):
    """Forwards http and tunnels https; every name leads to the same place."""

    def __init__(self, target: int, refuse: bytes = b"") -> None:
        self.target = target
        self.refuse = refuse
        super().__init__()

    def serve(self, connection: socket.socket) -> None:
        head = self.read_head(connection)
        if self.refuse:
            connection.sendall(self.refuse)
            return
        with socket.create_connection(("127.0.0.1", self.target), timeout=10) as onward:
            self.connections.append(onward)
            back = threading.Thread(target=pump, args=(onward, connection))
            if head.startswith(b"CONNECT"):
                connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                back.start()
                pump(connection, onward)
            else:
                back.start()
                with contextlib.suppress(OSError):
                    while True:
                        method, url, rest = head.split(b" ", 2)
                        onward.sendall(method + b" /" + url.split(b"/", 3)[3] + b" " + rest)
                        head = self.read_head(connection)
                hang_up(onward)
            back.join()


class Tls(Listener):
    """Answers every request over TLS with an identity."""

    def __init__(self, certificate: Path) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate)
        super().__init__()

    def serve(self, connection: socket.socket) -> None:
        body = b'{"organization_id":"org_tls"}'
        with self.context.wrap_socket(connection, server_side=True) as secure:
            while True:
                self.read_head(secure)
                secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


class TlsProxy(Tls):
    """A proxy that is itself reached by https."""

    def __init__(self, certificate: Path, target: int) -> None:
        self.target = target
        super().__init__(certificate)

    def serve(self, connection: socket.socket) -> None:
        with self.context.wrap_socket(connection, server_side=True) as secure:
            head = self.read_head(secure)
            if not head.startswith(b"CONNECT"):
                body = b'{"organization_id":"org_proxy"}'
                secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                return
            with socket.create_connection(("127.0.0.1", self.target), timeout=10) as onward:
                self.connections.append(onward)
                secure.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                while ready := select.select([secure, onward], [], [])[0]:
                    source, sink = (secure, onward) if secure in ready else (onward, secure)
                    if not (data := source.recv(65536)):
                        return
                    sink.sendall(data)
