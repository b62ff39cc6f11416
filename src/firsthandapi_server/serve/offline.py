"""Pages that open without a network: their service worker, and the manifest by which phones install them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from firsthandapi_server.console.face import HERE as FRAME
from firsthandapi_server.http.browsers import HEADERS, unchanged_or

from .reception import HERE, ME, Reception
from .study import LOGOS

# What the pages of workers load.
ASSETS = ("console.css", "console.js", "icon.svg", "queue.js", "video.svg", "work.css", "work.js")
# How long somebody waits for the server before they see the page of before.
PATIENCE_SECONDS = 8.0
_HEADERS = {**HEADERS, "cache-control": "no-cache"}


class Offline:
    """What is beside the pages of workers. A service worker sees what is on its own level and below."""

    def __init__(self, reception: Reception) -> None:
        self._reception = reception
        self._worker = self._written()

    def routes(self) -> Iterable[Route]:
        """Where it is."""
        yield Route("/offline.js", self._show_worker, methods=["GET"])
        yield Route("/manifest.webmanifest", self._show_manifest, methods=["GET"])

    def _written(self) -> bytes:
        """The worker. It differs if anything does that it keeps, so that browsers take it for a new one."""
        script = (HERE / "static" / "offline.js").read_bytes()
        files = [folder / "static" / name for name in ASSETS for folder in (HERE, FRAME)]
        content = b"".join(file.read_bytes() for file in files if file.is_file())
        study = self._reception.study
        logo = [] if study is None or study.logo is None else ["/study/logo"]
        values = {
            "VERSION": hashlib.sha256(script + content).hexdigest()[:16],
            "ASSETS": [f"{self._reception.static}/{name}" for name in ASSETS] + logo,
            "PATIENCE": PATIENCE_SECONDS * 1000,
        }
        lines = "".join(f"const {name} = {json.dumps(value)};\n" for name, value in values.items())
        return lines.encode() + script

    async def _show_worker(self, request: Request) -> Response:
        return unchanged_or(request, Response(self._worker, 200, _HEADERS, "text/javascript; charset=utf-8"))

    async def _show_manifest(self, request: Request) -> Response:
        study, static = self._reception.study, self._reception.static
        icons = {f"{static}/icon.svg": "image/svg+xml"}
        if study is not None and study.logo is not None:
            icons = {"/study/logo": LOGOS[study.logo.suffix.lower()], **icons}
        language = self._reception.words(request).language
        name = "FirstHandAPI" if study is None else study.name_in(language)[0]
        home = "/" if study is None else ME
        manifest = {
            "id": home,
            "name": name,
            "short_name": name,
            "start_url": home,
            "scope": "/",
            "display": "standalone",
            "icons": [{"src": icon, "sizes": "any", "type": kind} for icon, kind in icons.items()],
        }
        return unchanged_or(request, JSONResponse(manifest, 200, _HEADERS, "application/manifest+json"))
