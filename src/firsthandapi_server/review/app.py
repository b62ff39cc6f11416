"""The page, its pictures, and its decisions: for one folder, at one address that only its user knows."""
# A part of Dataset:
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import threading
import time
import webbrowser
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from jinja2 import Environment, FileSystemLoader
from pydantic import BaseModel, Field
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from firsthandapi._base.counts import count_of
from firsthandapi._base.visible import visible
from firsthandapi._core.files.kinds import kind_of
from firsthandapi._core.rows.decisions import Decision
from firsthandapi._core.rows.manifest import Record
from firsthandapi.datasets import Dataset
from firsthandapi.errors import ConfigurationError, FirstHandError
from firsthandapi_server.contract.errors import ApiError
from firsthandapi_server.http import browsers
from firsthandapi_server.http.downloads import bytes_response
from firsthandapi_server.http.gate import refusal
from firsthandapi_server.http.reading import MAX_BODY, parse_body, read_body, validate
from firsthandapi_server.http.responses import error_response, json_bytes
from firsthandapi_server.http.server import HttpServer
from firsthandapi_server.media.bounded import Bounded, BoundedError

_HERE = Path(__file__).parent
_LOOKS = _HERE.parent / "console" / "static"
_ASSETS = {
    name: (folder / name, media_type)
    for folder, name, media_type in (
        (_LOOKS, "console.css", "text/css"),
        (_LOOKS, "icon.svg", "image/svg+xml"),
        (_HERE / "static", "review.css", "text/css"),
        (_HERE / "static", "review.js", "text/javascript"),
    )
}
# The page itself names these; it asks for the others when it runs.
_FIRST = 200
_SIDE = 320
# Thumbnails that are kept, of about 10 kB each; larger files have none.
_MOST_THUMBNAILS = 4000
_LARGEST_PICTURE = 64 << 20
# A page that is loaded again leaves, and comes back.
_GONE_SECONDS = 5.0
# After so long without a decision, those so far are carried out: that takes a while in a large folder.
_IDLE_SECONDS = 2.0
_MEDIA_TYPE = re.compile(r"[a-z]+/[A-Za-z0-9.+-]+")


def review(
    dataset: Dataset,
    *,
    port: int = 0,
    open_browser: bool = True,
    by: str | None = None,
    tell: Callable[[str], object] | None = None,
) -> tuple[Decision, ...]:
    """Show the page until it is done, and return what was decided. `Dataset.review` describes the arguments.

    Raises:
        ConfigurationError: the port is in use.
    """
    tell = tell or partial(print, flush=True)
    with contextlib.suppress(FirstHandError):  # of one that was killed; this one may only want to look
        dataset._settle()
    page = ReviewPage(dataset, by=by)
    try:
        server = HttpServer(page, port)
    except OSError as error:
        raise ConfigurationError(
            f"could not use port {port}: {error.strerror or error}; pass 0 to use any free port"
        ) from None
    server.start()
    try:
        url = f"http://127.0.0.1:{server.port}{page.path}"
        tell(f"Review {dataset.path} at {url}")
        tell("Click Done there, or close the tab, to end it.")
        if open_browser:
            webbrowser.open(url)
        page.wait()
    except KeyboardInterrupt:
        pass  # another way to end it
    finally:
        server.stop()
        page.close()
    decided = page.decided()
    try:
        page.carry_out()
    finally:
        tell(in_words(decided))
        dataset._catch_up()
    return decided


def in_words(decided: Sequence[Decision]) -> str:
    """What was decided, for the terminal: each file counts by its newest decision."""
    newest = {each.file_id: each.action for each in decided}
    counts = Counter(newest.values())
    past = {"accept": "accepted", "exclude": "excluded", "include": "included again", "relabel": "relabeled"}
    parts = [f"{counts[action]:,} {words}" for action, words in past.items() if counts[action]]
    return f"Decided about {count_of(len(newest))}: {', '.join(parts)}." if parts else "Nothing was decided."


class _Decision(BaseModel, extra="forbid"):
    action: Literal["accept", "exclude", "include", "relabel"]
    ids: Annotated[list[str], Field(min_length=1, max_length=1000)]
    label: str | None = None
    reason: Annotated[str | None, Field(max_length=2000)] = None


class _Decisions(BaseModel, extra="forbid"):
    decisions: Annotated[list[_Decision], Field(min_length=1, max_length=1000)]


class ReviewPage:
    """An ASGI application over one dataset. A decision is written down at once; files move when there is time."""

    def __init__(self, dataset: Dataset, *, by: str | None = None) -> None:
        # The rows as last read, by id: replaced together, so that nobody waits for a reading.
        self._read = dataset, _by_id(dataset)
        self._by = by
        self._decided: list[Decision] = []
        self._known = dataset._as_written
        self._decided_at = self._carried_out_at = 0.0
        # Decisions are written in the order in which they arrived.
        self._in_turn = asyncio.Lock()
        self._deciding, self._reading, self._lock = threading.Lock(), threading.Lock(), threading.Lock()
        self._done = threading.Event()
        # The tabs that show it, and since when there is none. Requests with decisions that are not written down yet.
        self._tabs: set[str] = set()
        self._left_at: float | None = None
        self._coming = 0
        self._thumbnail = Bounded("firsthandapi_server.media.thumbnails:thumbnail")
        self._thumbnails: OrderedDict[str, bytes | None] = OrderedDict()
        self._templates = Environment(loader=FileSystemLoader(_HERE / "templates"), autoescape=True)
        # Whoever else works on this machine, or a page of somebody's in the same browser, does not know it.
        self.path = f"/{secrets.token_urlsafe(16)}/"
        pages = [
            Route("/", self._page),
            Route("/rows", self._rows),
            Route("/duplicates", self._duplicates),
            Route("/thumbnails/{file_id}", self._picture),
            Route("/files/{file_id}", self._file),
            Route("/transcripts/{file_id}", self._transcript),
            Route("/static/{name}", self._asset),
            Route("/decisions", self._decide, methods=["POST"]),
            Route("/done", self._end, methods=["POST"]),
            Route("/left", self._leave, methods=["POST"]),
        ]
        self._app: ASGIApp = Starlette(
            routes=[Mount(self.path.rstrip("/"), routes=pages)],
            exception_handlers={ApiError: _refused},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        error = refusal(scope["method"], scope["headers"])
        if error is not None:
            await error_response(error)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def wait(self) -> None:
        """Return when the page is done, or was closed."""
        tried_at = 0.0
        while not self._done.wait(0.2):
            now, left_at = time.monotonic(), self._left_at
            is_gone = left_at is not None and now - max(left_at, self._decided_at) > _GONE_SECONDS
            if is_gone and not self._coming:
                return
            if tried_at < self._decided_at < now - _IDLE_SECONDS:
                tried_at = now
                with contextlib.suppress(FirstHandError):  # the end tries again
                    self.carry_out()

    def carry_out(self) -> None:
        """Move the files that were decided about.
        Raises ConfigurationError: a file cannot be moved.
        """
        decided_at = self._decided_at
        if decided_at > self._carried_out_at:
            self._read[0]._settle()
            self._carried_out_at = decided_at
            self._read_again()

    def close(self) -> None:
        """End the processes that make thumbnails."""
        self._thumbnail.close()

    def decided(self) -> tuple[Decision, ...]:
        """The decisions of this page so far, newest last."""
        with self._deciding:
            return tuple(self._decided)

    # --- what it shows ----------------------------------------------------------------------------------

    def _row(self, file_id: str) -> tuple[Record, Path]:
        """A row and where its file is. One that became a link since the folder was opened may lead anywhere."""
        dataset, rows = self._read
        try:
            row = rows[file_id]
            path = dataset._path_now(row, self._known)
        except KeyError:
            raise ApiError(404, "not_found", "No such file is in this folder.") from None
        if path is None or not path.is_file() or (type(path) is type(Path()) and path.is_symlink()):
            raise ApiError(404, "not_found", "The file is missing: repair the dataset.")
        return row, path

    def _read_again(self) -> tuple[Dataset, list[Record]]:
        """All rows, with those that a run has brought, and what others have decided."""
        with self._reading:
            dataset, rows = self._read
            if dataset._has_changed():
                dataset = Dataset(dataset._store)
                rows = _by_id(dataset)
                self._read = dataset, rows
            return dataset, list(rows.values())

    def _page(self, _: Request) -> Response:
        # The page is there again. Pictures that it asked for before it left say nothing of that.
        self._left_at = None
        dataset, rows = self._read_again()
        page = self._templates.get_template("review.html").render(
            name=visible(dataset.path.name),
            total=len(rows),
            first=[(row.file_id, kind_of(row.content_type), _name(row)) for row in rows[:_FIRST]],
        )
        return Response(page, headers=browsers.HEADERS, media_type="text/html")

    def _rows(self, request: Request) -> Response:
        self._tabs.update(request.query_params.getlist("tab"))
        self._left_at = None
        dataset, rows = self._read_again()
        newest = {each.file_id: each for each in dataset.decisions}
        excluded = {row.file_id for row in dataset.excluded}
        shown = [_shown(row, newest.get(row.file_id), row.file_id in excluded) for row in rows]
        return _json({"rows": shown, "labels": dataset.labels})

    def _duplicates(self, _: Request) -> Response:
        return _json([[row.file_id for row in group] for group in self._read[0].duplicates()])

    def _picture(self, request: Request) -> Response:
        row, path = self._row(request.path_params["file_id"])
        with self._lock:
            known = self._thumbnails.get(row.sha256, b"")
        if known == b"":
            known = self._small(row, path)
            if known is None and not path.is_file():  # a decision has moved it meanwhile
                known = self._small(*self._row(row.file_id))
            with self._lock:
                self._thumbnails[row.sha256] = known
                while len(self._thumbnails) > _MOST_THUMBNAILS:
                    self._thumbnails.popitem(last=False)
        if known is None:
            raise ApiError(404, "not_found", "No thumbnail can be made of this file.")
        return Response(known, headers=browsers.MEDIA_HEADERS, media_type="image/jpeg")

    def _small(self, row: Record, path: Path) -> bytes | None:
        if kind_of(row.content_type) != "image":
            return None
        try:
            with path.open("rb") as file:
                content = file.read(_LARGEST_PICTURE + 1)
            is_small = len(content) <= _LARGEST_PICTURE
            return self._thumbnail(content, row.content_type, _SIDE) if is_small else None
        except (BoundedError, OSError):
            return None

    def _file(self, request: Request) -> Response:
        row, path = self._row(request.path_params["file_id"])
        # Bytes are shown as a picture, a sound, or a video, whatever they are, or not at all.
        said = row.content_type or ""
        media_type = said if kind_of(said) and _MEDIA_TYPE.fullmatch(said) else "application/octet-stream"
        size = self._read[0]._store.size_of(path) or 0
        headers = {**browsers.MEDIA_HEADERS, "etag": f'"{row.sha256}"'}
        return bytes_response(request, partial(_pieces, path), size, headers, media_type)

    def _transcript(self, request: Request) -> Response:
        row = self._read[1].get(request.path_params["file_id"])
        text = None if row is None else row.text
        return _json({"text": None if text is None else visible(" ".join(text.split()))})

    def _asset(self, request: Request) -> Response:
        try:
            path, media_type = _ASSETS[request.path_params["name"]]
        except KeyError:
            raise ApiError(404, "not_found", "No such file is here.") from None
        return Response(path.read_bytes(), headers=browsers.HEADERS, media_type=media_type)

    # --- what it does -----------------------------------------------------------------------------------

    async def _decide(self, request: Request) -> Response:
        self._coming += 1
        try:
            body = await read_body(request.receive, MAX_BODY + 1)
            parsed = parse_body(body, request.headers.get("content-type"))
            several = parsed if "decisions" in parsed else {"decisions": [parsed]}
            decisions: list[_Decision] = validate(_Decisions, several).decisions
            async with self._in_turn:
                await run_in_threadpool(self._write_down, decisions)
        finally:
            self._coming -= 1
        return Response(status_code=204)

    def _write_down(self, decisions: list[_Decision]) -> None:
        """Write each one down. One that cannot be is refused alone."""
        refused: FirstHandError | None = None
        with self._deciding:
            for each in decisions:
                reason = each.reason or None if each.action in ("exclude", "relabel") else None
                label = each.label or "" if each.action == "relabel" else None
                try:
                    self._known, new = self._read[0]._note(
                        each.action, each.ids, self._known, label=label, reason=reason, by=self._by
                    )
                except FirstHandError as error:
                    refused = refused or error
                else:
                    self._decided += new
            self._decided_at = time.monotonic()
        if refused is not None:
            raise ApiError(409, "conflict", str(refused))

    def _end(self, _: Request) -> Response:
        # Once the response is sent: the server then cuts every connection.
        return Response(status_code=204, background=BackgroundTask(self._done.set))

    def _leave(self, request: Request) -> Response:
        self._tabs.difference_update(request.query_params.getlist("tab"))
        self._left_at = None if self._tabs else time.monotonic()
        return Response(status_code=204)


def _by_id(dataset: Dataset) -> dict[str, Record]:
    """All rows, in the order of their ids, which is that of their creation."""
    rows = sorted((*dataset.records, *dataset.excluded), key=lambda row: row.file_id)
    return {row.file_id: row for row in rows}


def _shown(row: Record, newest: Decision | None, is_excluded: bool) -> dict[str, Any]:
    """A row as the page has it. It writes all of it as text."""
    state = "excluded" if is_excluded else "undecided" if newest is None else "accepted"
    shown = {
        "id": row.file_id,
        "kind": kind_of(row.content_type),
        "name": _name(row),
        "label": row.label,
        "stars": row.ai_star_rating,
        "type": row.content_type,
        "bytes": row.size_bytes,
        "width": row.width,
        "height": row.height,
        "seconds": row.duration_seconds,
        "job": row.job_id,
        "captured": row.captured_at,
        "state": state,
        "reason": None if newest is None else newest.reason,
        "by": None if newest is None else newest.by,
    }
    return {
        name: visible(value) if isinstance(value, str) else value
        for name, value in shown.items()
        if value is not None
    }


def _name(row: Record) -> str:
    return row.file_name.rpartition("/")[2]


def _pieces(path: Path, start: int, stop: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        while start < stop and (piece := file.read(min(1 << 18, stop - start))):
            start += len(piece)
            yield piece


def _json(value: Any) -> Response:
    return Response(json_bytes(value), headers=browsers.HEADERS, media_type="application/json")


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101 # the only one that it is registered for
    return error_response(error)
