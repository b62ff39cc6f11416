"""A storage that misbehaves on demand, and a proxy."""

from __future__ import annotations

import hashlib
import re
import threading
from functools import lru_cache

from raw import RawRequest, RawServer, Reply, Step, response


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

    def serve(self, request: RawRequest) -> Reply:
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

        def step(request: RawRequest) -> Reply:
            data = self.serve(request).data
            head = data.index(b"\r\n\r\n") + 4
            return Reply(data[: head + at], then)

        return step


def chunked(body: bytes, size: int, tail: bytes = b"0\r\n\r\n") -> bytes:
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x;ext=1\r\n%s\r\n" % (len(part), part) for part in parts) + tail


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


# Not those of a bundled server that other tests share.
OURS = ("firsthandapi-download", "firsthandapi-storing")


def names() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(OURS)]
