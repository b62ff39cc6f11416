"""A server of bytes, with no HTTP library in between: what it sends, and when it breaks off, is a script."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Self


@dataclass
class RawRequest:
    """A request as it came. `names` are those of its headers, in small letters, each as often as it came."""

    line: str
    headers: dict[str, str]
    connection: int
    body: bytes = b""
    names: Sequence[str] = ()

    @property
    def method(self) -> str:
        return self.line.split(" ")[0]

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
    head: bytes = b""  # send it first, in one piece


Step = Callable[[RawRequest], Reply]


def response(
    body: bytes = b"", status: int = 200, *, length: int | None = -1, then: str = "keep", **headers: str
) -> Reply:
    """A response with `Content-Length`, or another one, or none."""
    lines = [f"HTTP/1.1 {status} Whatever"]
    if length is not None:
        lines.append(f"Content-Length: {len(body) if length < 0 else length}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return Reply("\r\n".join([*lines, "", ""]).encode("latin-1") + body, then)


def json_response(body: Any, status: int = 200, **headers: Any) -> Reply:
    """A response of JSON."""
    return response(json.dumps(body).encode(), status, Content_Type="application/json", **headers)


def read_request(stream: BinaryIO, number: int = 0) -> RawRequest | None:
    """The next request of a connection; None when the client has gone."""
    lines: list[str] = []
    while True:
        line = stream.readline()
        if not line.endswith(b"\r\n"):
            return None
        if line == b"\r\n":
            break
        lines.append(line.decode("latin-1").rstrip("\r\n"))
    fields = [(name.lower(), value.strip()) for name, _, value in (text.partition(":") for text in lines[1:])]
    headers = dict(fields)
    length = int(headers.get("content-length", 0))
    body = stream.read(length)
    if len(body) < length:
        return None
    return RawRequest(lines[0], headers, number, body, [name for name, _ in fields])


class Loopback:
    """Listens on 127.0.0.1 and plays each connection on a thread of its own, until it is closed."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        # Every connection, those that were made for a client as well.
        self.sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.lock = threading.Lock()
        self.open_connections = 0
        self.start(self._accept)

    def talk(self, sock: socket.socket, number: int) -> None:
        """One connection, from its first byte to its last. An OSError ends it."""
        raise NotImplementedError

    def adopt(self, sock: socket.socket) -> socket.socket:
        """A socket that ends with the server."""
        self.sockets.append(sock)
        return sock

    def start(self, target: Callable[..., None], *args: object) -> threading.Thread:
        """A thread that ends with the server."""
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def close(self) -> None:
        """Cut everything, and wait for the threads."""
        for sock in [self._listener, *self.sockets]:
            # Closing alone does not wake a thread that accepts or reads.
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for sock in [self._listener, *self.sockets]:
            sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        number = 0
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            number += 1
            # Before the client can ask anything, so that whoever counts is never early.
            with self.lock:
                self.open_connections += 1
            self.start(self._play, self.adopt(sock), number)

    def _play(self, sock: socket.socket, number: int) -> None:
        try:
            with sock:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.talk(sock, number)
        except OSError:
            pass
        finally:
            with self.lock:
                self.open_connections -= 1


class RawServer(Loopback):
    """Plays the steps of `script`, one a request over all connections, and then `handler` for ever."""

    def __init__(self, handler: Step) -> None:
        self.script: deque[Step | Reply] = deque()
        self.handler = handler
        self.requests: list[RawRequest] = []
        super().__init__()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def talk(self, sock: socket.socket, number: int) -> None:
        with sock.makefile("rb") as stream:
            while self._answer(sock, stream, number):
                pass

    def _answer(self, sock: socket.socket, stream: BinaryIO, number: int) -> bool:
        request = read_request(stream, number)
        if request is None:
            return False
        with self.lock:
            self.requests.append(request)
            step = self.script.popleft() if self.script else self.handler
        reply = step if isinstance(step, Reply) else step(request)
        sock.sendall(reply.head)
        if reply.pieces:
            for start in range(0, len(reply.data), reply.pieces):
                sock.sendall(reply.data[start : start + reply.pieces])
                threading.Event().wait(reply.pause)
        else:
            sock.sendall(reply.data)
        if reply.then == "reset":
            reset(sock)
        if reply.then == "hang":
            stream.read(1)
        return reply.then == "keep"


def reset(sock: socket.socket) -> None:
    """Let closing the socket send RST, not FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
