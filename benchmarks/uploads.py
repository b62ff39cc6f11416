"""Uploads to a server of one's own, against a bare Starlette endpoint that reads the form, writes, and fsyncs."""

from __future__ import annotations

import io
import re
import secrets
import socket
import tempfile
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.client import HTTPConnection
from multiprocessing.connection import Connection
from pathlib import Path

from ._measure import Row, in_turns, ratio
from ._server import running

NEEDS = ("PIL", "python_multipart", "segno", "starlette")  # of the extra serve
_AT_ONCE = 8
_BOUNDARY = "b0undary"


def _bare(folder: str, tell: Connection) -> None:
    import hashlib
    import os

    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route
    from uvicorn import Config, Server

    async def take(request: Request) -> JSONResponse:
        form = await request.form()
        content = await form["file"].read()  # type: ignore[union-attr] # a file
        handle, path = tempfile.mkstemp(dir=folder)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(path).unlink()
        return JSONResponse({"sha256": hashlib.sha256(content).hexdigest()})

    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    tell.send((listening.getsockname()[1], "/", ""))
    app = Starlette(routes=[Route("/", take, methods=["POST"])])
    Server(Config(app, http="h11", lifespan="off", log_config=None)).run(sockets=[listening])


def _serve(folder: str, tell: Connection) -> None:
    from firsthandapi import FirstHandClient
    from firsthandapi_server.serve.service import Service

    with Service(Path(folder), credit_cents=10**9) as service:
        assert service.first is not None
        with FirstHandClient(service.first.live, base_url=service.url) as client:
            job = client.jobs.create(
                description="Photos of street signs in daylight",
                files_needed=10_000,
                accepted_formats=["image/jpeg"],
                price_per_file_cents=10,
            )
        path = service.site.links.path(service.world.state.jobs[job.id])
        tell.send((service.port, path, job.id))
        threading.Event().wait()


def _photo(width: int, height: int, orientation: int) -> bytes:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = orientation
    noise = Image.effect_noise((width // 4, height // 4), 60).convert("RGB")
    out = io.BytesIO()
    noise.resize((width, height), Image.Resampling.BICUBIC).save(out, "JPEG", quality=90, exif=exif.tobytes())
    return out.getvalue()


def _send(port: int, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[str, str]:
    """One request: the cookie that it sets, and its body or where it leads."""
    connection = HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        text = response.read().decode()
        assert response.status in (200, 201, 204), (response.status, text)
        cookie = (response.headers.get("set-cookie") or "").partition(";")[0]
        return cookie, response.headers.get("location") or text
    finally:
        connection.close()


def _form(port: int, path: str, photo: bytes, fields: dict[str, str], cookie: str) -> None:
    body = "".join(
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    body += f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n'
    content = (
        body.encode() + b"Content-Type: image/jpeg\r\n\r\n" + photo + f"\r\n--{_BOUNDARY}--\r\n".encode()
    )
    headers = {
        "content-type": f"multipart/form-data; boundary={_BOUNDARY}",
        "accept": "application/json",
        "cookie": cookie,
    }
    _send(port, "POST", path, content, headers)


def _resumable(port: int, job: str, photo: bytes) -> None:
    cookie = f"firsthand_browser={secrets.token_urlsafe(24)}"
    metadata = {"filename": "a.jpg", "filetype": "image/jpeg", "job_id": job}
    pairs = ",".join(f"{name} {b64encode(value.encode()).decode()}" for name, value in metadata.items())
    headers = {"cookie": cookie, "tus-resumable": "1.0.0"}
    more = {"upload-length": str(len(photo)), "upload-metadata": pairs}
    _, where = _send(port, "POST", "/uploads", None, headers | more)
    more = {"upload-offset": "0", "content-type": "application/offset+octet-stream"}
    _send(port, "PATCH", where, photo, headers | more)


def _each(act: Callable[[int], None], number: int) -> float:
    """Seconds of one upload, where some are sent at the same time."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        start = time.perf_counter()
        for _ in pool.map(act, range(number)):
            pass
        return (time.perf_counter() - start) / number


def rows(quick: bool) -> Iterator[Row]:
    """The time of an upload, in bare ones: each by another person, since nobody sends the same file twice."""
    with ExitStack() as stack:
        bare_folder, folder = (stack.enter_context(tempfile.TemporaryDirectory()) for _ in range(2))
        bare, _, _ = stack.enter_context(running(_bare, bare_folder))
        port, path, job = stack.enter_context(running(_serve, folder))
        page_token = re.compile(r'name="form_token" value="([^"]+)"')

        def somebody(_: int) -> tuple[str, str]:
            cookie, page = _send(port, "GET", path, None, {})
            match = page_token.search(page)
            assert match is not None
            return cookie, match[1]

        for name, size, normally, most in (
            ("small picture", (640, 480, 1), 160, 1 / 0.6),
            ("12 megapixels", (4032, 3024, 1), 24, 1 / 0.7),
            ("12 megapixels, sideways", (4032, 3024, 6), 24, 1 / 0.5),
        ):
            photo, number = _photo(*size), _AT_ONCE if quick else normally

            def by_form(photo: bytes = photo, number: int = number) -> float:
                people = [somebody(index) for index in range(number)]

                def act(index: int) -> None:
                    cookie, token = people[index]
                    fields = {"form_token": token, "upload": secrets.token_hex(16), "utc_offset": "0"}
                    _form(port, path, photo, fields, cookie)

                return _each(act, number)

            measured = in_turns(
                {
                    "bare": lambda: _each(lambda _: _form(bare, "/", photo, {}, ""), number),  # noqa: B023
                    "form": by_form,
                    "tus": lambda: _each(lambda _: _resumable(port, job, photo), number),  # noqa: B023
                },
                1 if quick else 5,
            )
            yield Row(f"{name}, by form", ratio(measured, "form", "bare"), "× bare Starlette", round(most, 2))
            yield Row(f"{name}, in pieces", ratio(measured, "tus", "bare"), "× bare Starlette")
