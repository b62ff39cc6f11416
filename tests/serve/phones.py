"""Phones that work on the jobs of a server of one's own: plain forms over a real socket."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx

from firsthandapi_server.mock.media import make
from firsthandapi_server.state.model import Job

from .conftest import Nobody, Team, browser, fields_of

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{7*7}}"
JPEG = make("image/jpeg", "a").content


class Server(Team):
    """A server whose submissions wait for the test to score them."""

    def job(self, **fields: Any) -> Job:
        """A new job for two JPEG files."""
        values = {"title": None, "files_needed": 2, "accepted_formats": ["image/jpeg"], **fields}
        return super().job(**values)

    def phone(self, job: Job) -> Phone:
        """A browser that has opened the page of a job."""
        phone = Phone(self.service.port, self.path(job))
        phone.open()
        return phone


def words_of(answer: httpx.Response) -> str:
    """What a script shows to the worker."""
    return str(answer.json()["words"])


class Phone:
    """A browser of a worker, which keeps the hidden fields of the last page, and no connection."""

    def __init__(self, port: int, path: str) -> None:
        self.port = port
        self.path = path
        self.hidden: dict[str, str] = {}
        self.http = browser(
            "", timeout=60, follow_redirects=False, limits=httpx.Limits(max_keepalive_connections=0)
        )

    @property
    def cookie(self) -> str:
        """The header."""
        return "; ".join(f"{name}={value}" for name, value in self.http.cookies.items())

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """One request."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.request(method, f"http://127.0.0.1:{self.port}{path}", content=body, headers=sent)

    def stall(self, method: str, path: str, body: bytes, length: int, **headers: str) -> socket.socket:
        """A connection that announces so many bytes, sends these, and says nothing more."""
        sent = {"host": "127.0.0.1", "cookie": self.cookie, "content-length": str(length)}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        connection.sendall(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        return connection

    def open(self, path: str | None = None) -> str:
        """The page, whose hidden fields are kept."""
        answer = self.send("GET", path or self.path)
        assert answer.status_code == 200, answer.text
        self.hidden = fields_of(answer.text)
        return answer.text

    def post(self, path: str, **fields: str) -> httpx.Response:
        """Send a form without files."""
        body = urlencode({"form_token": self.hidden["form_token"], **fields})
        return self.send("POST", path, body, content_type="application/x-www-form-urlencoded")

    def upload(self, *files: tuple[str, bytes], script: bool = True, **fields: str) -> httpx.Response:
        """Send the form with files."""
        body, kind = form({**self.hidden, **fields}, files)
        accept = "application/json" if script else "text/html"
        return self.send("POST", self.path, body, content_type=kind, accept=accept, user_agent=ANDROID)

    def shot(self, content: bytes = JPEG, **fields: str) -> httpx.Response:
        """Send one picture."""
        return self.upload(("shot.jpg", content), **fields)


ANDROID = "Mozilla/5.0 (Linux; Android 15; Pixel 8) AppleWebKit/537.36 Chrome/130.0.0.0 Mobile Safari/537.36"


def blobs_of(files: Iterable[Any]) -> set[str]:
    """The names under which a server keeps the bytes of files."""
    return {file.source.name for file in files}


def form(fields: dict[str, str], files: Any = (), boundary: str = "----a1b2") -> tuple[bytes, str]:
    """A form as browsers send it."""
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    for name, content in files:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        head += "Content-Type: image/jpeg\r\n\r\n"
        parts.append(head.encode() + content + b"\r\n")
    parts.append(f"--{boundary}--\r\n".encode())
    return b"".join(parts), f"multipart/form-data; boundary={boundary}"


@contextmanager
def served(folder: Path, **options: Any) -> Iterator[Server]:
    """Such a server over a folder."""
    with ExitStack() as stack:
        server = Server(folder, stack, **options)
        server.world.jobs.jury = Nobody()
        yield server
        with server.world.lock:
            server.world.check_books()
