"""A storage that misbehaves on demand, and a proxy."""

from __future__ import annotations

import hashlib
import re
import socket
import threading
from functools import lru_cache

from raw import Loopback, RawServer, Reply, Request, Step, pump, read_request, response


@lru_cache(maxsize=8)
def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Storage(RawServer):
    """Serves `content` for every path, with ranges and an ETag, but first what `script` says."""

    def __init__(self, content: bytes = b"x" * 1000, *, tls: bool = False) -> None:
        self.content = content
        super().__init__(self.serve, tls=tls)

    def url(self, path: str = "/file?X-Amz-Signature=verysecret") -> str:
        return f"{self.base_url}{path}"

    @property
    def sha256(self) -> str:
        return _sha256(self.content)

    @property
    def etag(self) -> str:
        return f'"{self.sha256[:16]}"'

    def serve(self, request: Request) -> Reply:
        """The file, as a good storage would."""
        match = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
        if match and request.headers.get("if-range", self.etag) == self.etag:
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


class Proxy(Loopback):
    """A forward proxy: absolute URLs for http, CONNECT for https."""

    def __init__(self, refuse: int | None = None) -> None:
        self.refuse = refuse
        self.requests: list[Request] = []
        super().__init__()

    def talk(self, sock: socket.socket, number: int) -> None:
        with sock.makefile("rb", buffering=0) as stream:
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
            self.adopt(upstream)
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
            self.start(pump, sock, upstream)
            pump(upstream, sock)


def chunked(body: bytes, size: int, tail: bytes = b"0\r\n\r\n") -> bytes:
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x;ext=1\r\n%s\r\n" % (len(part), part) for part in parts) + tail


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


# Not those of a bundled server that other tests share.
OURS = ("firsthandapi-download", "firsthandapi-storing")


def names() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(OURS)]


def full_listener() -> socket.socket:
    """A listener whose queue is full: connecting to it hangs."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    return listener
