"""A storage that misbehaves on demand: bytes on a socket, no HTTP library in between."""

from __future__ import annotations

import contextlib
import hashlib
import re
import socket
import ssl
import struct
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

CERTIFICATE = Path(__file__).with_name("localhost.pem")


@dataclass
class Request:
    """A request as it came."""

    line: str
    headers: dict[str, str]
    connection: int

    @property
    def target(self) -> str:
        return self.line.split(" ")[1]


@dataclass
class Reply:
    """Bytes to send, and what to do then: `keep`, `close`, `reset`, or `hang` until the client goes."""

    data: bytes
    then: str = "keep"
    pieces: int = 0  # send it in so many bytes at a time, with a pause
    pause: float = 0.0


def response(
    body: bytes = b"", status: int = 200, *, length: int | None = -1, then: str = "keep", **headers: str
) -> Reply:
    """A response with `Content-Length`, or another one, or none."""
    lines = [f"HTTP/1.1 {status} Whatever"]
    if length is not None:
        lines.append(f"Content-Length: {len(body) if length < 0 else length}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return Reply("\r\n".join([*lines, "", ""]).encode("latin-1") + body, then)


Step = Callable[[Request], Reply]


@dataclass
class Storage:
    """Serves `content` for every path, with ranges and an ETag, but first what `script` says."""

    content: bytes = b"x" * 1000
    tls: bool = False
    script: deque[Step | Reply] = field(default_factory=deque)
    requests: list[Request] = field(default_factory=list)
    handler: Step | None = None

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self.open_connections = 0
        self._context = None
        if self.tls:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(CERTIFICATE)
        self._start(self._accept)

    def url(self, path: str = "/file?X-Amz-Signature=verysecret") -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}{path}"

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def etag(self) -> str:
        return f'"{self.sha256[:16]}"'

    def serve(self, request: Request) -> Reply:
        """The file, as a good storage would."""
        match = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
        if match and request.headers.get("if-range") == self.etag:
            start, size = int(match[1]), len(self.content)
            if start >= size:
                return response(status=416)
            span = f"bytes {start}-{size - 1}/{size}"
            return response(self.content[start:], 206, ETag=self.etag, Content_Range=span)
        return response(self.content, ETag=self.etag)

    def cut(self, at: int, then: str = "close") -> Step:
        """The good answer, up to byte `at` of its body."""

        def step(request: Request) -> Reply:
            data = self.serve(request).data
            head = data.index(b"\r\n\r\n") + 4
            return Reply(data[: head + at], then)

        return step

    def close(self) -> None:
        # Closing alone does not wake a thread that accepts.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        number = 0
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            number += 1
            self._sockets.append(sock)
            self._start(self._talk, sock, number)

    def _talk(self, sock: socket.socket, number: int) -> None:
        with self._lock:
            self.open_connections += 1
        try:
            if self._context is not None:
                sock = self._context.wrap_socket(sock, server_side=True)
                self._sockets.append(sock)
            with sock, sock.makefile("rb") as stream:
                while self._answer(sock, stream, number):
                    pass
        except OSError:
            sock.close()
        finally:
            with self._lock:
                self.open_connections -= 1

    def _answer(self, sock: socket.socket, stream: object, number: int) -> bool:
        request = read_request(stream, number)
        if request is None:
            return False
        with self._lock:
            self.requests.append(request)
            step = self.script.popleft() if self.script else (self.handler or self.serve)
        reply = step if isinstance(step, Reply) else step(request)
        if reply.pieces:
            for start in range(0, len(reply.data), reply.pieces):
                sock.sendall(reply.data[start : start + reply.pieces])
                threading.Event().wait(reply.pause)
        else:
            sock.sendall(reply.data)
        if reply.then == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        if reply.then == "hang":
            stream.read(1)
        return reply.then == "keep"


def read_request(stream: object, number: int = 0) -> Request | None:
    lines: list[str] = []
    while True:
        line: bytes = stream.readline()
        if not line.endswith(b"\r\n"):
            return None
        if line == b"\r\n":
            break
        lines.append(line.decode("latin-1").rstrip("\r\n"))
    headers = {}
    for line_text in lines[1:]:
        name, _, value = line_text.partition(":")
        headers[name.lower()] = value.strip()
    return Request(lines[0], headers, number)


class Proxy:
    """A forward proxy: absolute URLs for http, CONNECT for https."""

    def __init__(self, refuse: int | None = None) -> None:
        self.refuse = refuse
        self.requests: list[Request] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for sock in self._sockets:
            sock.close()

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(sock)
            self._start(self._talk, sock)

    def _talk(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError), sock.makefile("rb", buffering=0) as stream:
            request = read_request(stream)
            if request is None:
                return
            self.requests.append(request)
            if self.refuse is not None:
                sock.sendall(f"HTTP/1.1 {self.refuse} No\r\nContent-Length: 0\r\n\r\n".encode())
                sock.shutdown(socket.SHUT_RDWR)
                return
            connect = request.line.startswith("CONNECT")
            host = request.target if connect else request.target.split("/")[2]
            name, _, port = host.partition(":")
            upstream = socket.create_connection((name, int(port)))
            self._sockets.append(upstream)
            if connect:
                sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                path = "/" + request.target.split("/", 3)[3]
                fields = "".join(
                    f"{name}: {value}\r\n"
                    for name, value in request.headers.items()
                    if not name.startswith("proxy-")
                )
                upstream.sendall(f"GET {path} HTTP/1.1\r\n{fields}Connection: close\r\n\r\n".encode())
            self._start(pump, sock, upstream)
            pump(upstream, sock)


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Copy until either end is closed."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)
