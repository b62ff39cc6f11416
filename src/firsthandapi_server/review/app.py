"""The page, its pictures, and its decisions: for one folder, at one address that only its user knows."""
# A part of Dataset:
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import contextlib
import copy
import re
import secrets
import threading
import time
import webbrowser
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

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
from firsthandapi._core.rows.decisions import Action, Decision, agreement, by_person
from firsthandapi._core.rows.manifest import Record, in_place_of
from firsthandapi._core.rows.opinions import value_of
from firsthandapi.datasets import Dataset
from firsthandapi.datasets._consents import consents_in
from firsthandapi.datasets._manifest import Manifest
from firsthandapi.datasets._rows import Rows
from firsthandapi.errors import ConfigurationError, FirstHandError
from firsthandapi_server.contract.errors import ApiError
from firsthandapi_server.http import browsers
from firsthandapi_server.http.downloads import bytes_response
from firsthandapi_server.http.gate import refusal
from firsthandapi_server.http.reading import MAX_BODY, parse_body, read_body, validate
from firsthandapi_server.http.responses import error_response, json_bytes
from firsthandapi_server.http.server import HttpServer
from firsthandapi_server.media.bounded import Bounded, BoundedError

from .facts import annotations_of, correctable_of, sections_of, transcript_of

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
    files: Rows,
    *,
    port: int = 0,
    open_browser: bool = True,
    by: str | None = None,
    blind: bool = False,
    tell: Callable[[str], object] | None = None,
) -> tuple[Decision, ...]:
    """Show the page until it is done, and return what was decided. `Dataset.review` describes the arguments.

    Raises:
        ConfigurationError: the port is in use.
    """
    tell = tell or partial(print, flush=True)
    dataset = files._whole
    dataset._catch_up()
    page = ReviewPage(files, by=by, blind=blind)
    try:
        server = HttpServer(page, port)
    except OSError as error:
        raise ConfigurationError(
            f"could not use port {port}: {error.strerror or error}; pass 0 to use any free port"
        ) from None
    page.warm()
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
        # What a killed one has left may stay so for somebody who only wants to look.
        with contextlib.suppress(*([] if decided else [FirstHandError])):
            page.carry_out()
    finally:
        tell(in_words(decided))
        dataset._manifests = page.manifests  # whose rows are parsed
        dataset._catch_up()
    if (alpha := files.agreement()) is not None:
        tell(f"Agreement of all reviewers: {alpha:.2f}.")
    return decided


def in_words(decided: Sequence[Decision]) -> str:
    """What was decided, for the terminal: each file counts by its newest decision."""
    newest = {decision.file_id: decision.action for decision in decided}
    counts = Counter(newest.values())
    past = {"accept": "accepted", "exclude": "excluded", "include": "included again", "relabel": "relabeled"}
    parts = [f"{counts[action]:,} {words}" for action, words in past.items() if counts[action]]
    return f"Decided about {count_of(len(newest))}: {', '.join(parts)}." if parts else "Nothing was decided."


class _Decision(BaseModel, extra="forbid"):
    action: Action
    ids: Annotated[list[str], Field(min_length=1, max_length=1000)]
    label: str | None = None
    reason: Annotated[str | None, Field(max_length=2000)] = None


class _Correction(BaseModel, extra="forbid"):
    id: str
    field: Annotated[str, Field(max_length=64)]
    text: Annotated[str, Field(max_length=4000)]


class _Decisions(BaseModel, extra="forbid"):
    decisions: Annotated[list[_Decision], Field(min_length=1, max_length=1000)]


@dataclass(frozen=True)
class _Read:
    """A dataset as last read: replaced as a whole, so that nobody waits for a reading."""

    dataset: Dataset
    rows: dict[str, Record]
    history: dict[str, list[Decision]]

    @cached_property
    def excluded(self) -> set[str]:
        return {row.file_id for row in self.dataset.excluded}

    def add(self, decisions: list[Decision]) -> None:
        """What was decided since."""
        for decision in decisions:
            self.history.setdefault(decision.file_id, []).append(decision)
            if decision.action == "exclude":
                self.excluded.add(decision.file_id)
            elif decision.action == "include":
                self.excluded.discard(decision.file_id)
            elif decision.action == "relabel" and (row := self.rows.get(decision.file_id)) is not None:
                self.rows[decision.file_id] = in_place_of(replace(row, label=decision.label), row)

    @cached_property
    def consents(self) -> dict[str, dict[str, Any]]:
        return consents_in(self.dataset._store)


class ReviewPage:
    """An ASGI application over some files of a dataset. A decision is written down at once; files move when there is
    time."""

    def __init__(self, files: Rows, *, by: str | None = None, blind: bool = False) -> None:
        self._by, self._blind, self._has = by, blind, files._has
        dataset = files._whole
        self._read = self._state_of(dataset)
        self._decided: list[Decision] = []
        self._known = dataset._as_written
        self._decided_at = 0.0
        # The time of the newest decision that moves a file, and of the newest one whose file was moved: a review that
        # was killed may have left some.
        self._moves_at, self._moved_at = 0.0 if dataset._is_carried_out() else time.monotonic(), 0.0
        # In a large folder, all rows are written again, which slows the page down.
        self._idle_seconds = 0.0
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
            Route("/rows/{file_id}", self._facts),
            Route("/duplicates", self._duplicates),
            Route("/thumbnails/{file_id}", self._picture),
            Route("/files/{file_id}", self._file),
            Route("/static/{name}", self._asset),
            Route("/decisions", partial(self._write, self._decide), methods=["POST"]),
            Route("/corrections", partial(self._write, self._correct), methods=["POST"]),
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
            idle_since = max(self._moves_at, self._decided_at)
            if tried_at < self._moves_at and idle_since < now - max(_IDLE_SECONDS, self._idle_seconds):
                tried_at = now
                with contextlib.suppress(FirstHandError):  # the end tries again
                    self.carry_out()
                self._idle_seconds = 4 * (time.monotonic() - now)

    def carry_out(self) -> None:
        """Move the files that were decided about.
        Raises ConfigurationError: a file cannot be moved.
        """
        moves_at = self._moves_at
        if moves_at > self._moved_at:
            dataset = copy.copy(self._read.dataset)
            dataset._carry_out()
            self._moved_at = moves_at
            self._read_again(dataset)

    @property
    def manifests(self) -> list[Manifest]:
        """The rows as last read."""
        return self._read.dataset._manifests

    def warm(self) -> None:
        """Start what makes thumbnails while the browser starts."""
        if any(kind_of(row.content_type) == "image" for row in islice(self._read.rows.values(), _FIRST)):
            self._thumbnail.warm()
            self._thumbnail.warm()

    def close(self) -> None:
        """End the processes that make thumbnails."""
        self._thumbnail.close()

    def decided(self) -> tuple[Decision, ...]:
        """The decisions of this page so far, newest last."""
        with self._deciding:
            return tuple(self._decided)

    # --- what it shows ----------------------------------------------------------------------------------

    def _row(self, file_id: str) -> Record:
        try:
            return self._read.rows[file_id]
        except KeyError:
            raise ApiError(404, "not_found", "No such file is in this folder.") from None

    def _row_and_path(self, file_id: str) -> tuple[Record, Path]:
        """A row and where its file is. One that became a link since the folder was opened may lead anywhere."""
        row, dataset = self._row(file_id), self._read.dataset
        path = dataset._path_now(row, self._known)
        if path is None or not path.is_file() or (type(path) is type(Path()) and path.is_symlink()):
            raise ApiError(404, "not_found", "The file is missing: repair the dataset.")
        return row, path

    def _state_of(self, dataset: Dataset) -> _Read:
        # In the order of their ids, which is that of their creation.
        rows = sorted((*dataset.records, *dataset.excluded), key=lambda row: row.file_id)
        history: dict[str, list[Decision]] = {}
        for decision in dataset.decisions:
            history.setdefault(decision.file_id, []).append(decision)
        return _Read(dataset, {row.file_id: row for row in rows if self._has(row.file_id)}, history)

    def _read_again(self, decided: Dataset | None = None) -> _Read:
        """All rows, with those that a run has brought, and what others have decided; or those of a copy."""
        with self._reading:
            dataset = decided or copy.copy(self._read.dataset)
            if dataset._has_changed():
                dataset._catch_up()
                self._read = self._state_of(dataset)
            return self._read

    def _page(self, _: Request) -> Response:
        # The page is there again. Pictures that it asked for before it left say nothing of that.
        self._left_at = None
        read = self._read_again()
        page = self._templates.get_template("review.html").render(
            name=visible(read.dataset.path.name),
            by=self._by and visible(self._by),
            blind=self._blind,
            total=len(read.rows),
            first=[(row.file_id, kind_of(row.content_type)) for row in islice(read.rows.values(), _FIRST)],
        )
        return Response(page, headers=browsers.HEADERS, media_type="text/html")

    def _rows(self, request: Request) -> Response:
        self._tabs.update(request.query_params.getlist("tab"))
        self._left_at = None
        read = self._read_again()
        rows = [*read.rows.values()]
        states = [self._state(read, row.file_id) for row in rows]
        columns: dict[str, list[Any]] = {
            "kind": [kind_of(row.content_type) for row in rows],
            "label": [self._label(read, row) for row in rows],
            "worker": [row.worker_id for row in rows],
            "job": [row.job_id for row in rows],
            "state": [state for state, _ in states],
            "mine": [choice is not None for _, choice in states],
            "reason": [
                self._reason(read, row.file_id) if state == "excluded" else None
                for row, (state, _) in zip(rows, states, strict=True)
            ],
        }
        if not self._blind:
            columns["stars"] = [row.ai_star_rating for row in rows]
            columns["flags"] = [tuple(row.flags or ()) for row in rows]
            newest = [by_person(read.history.get(row.file_id, ())).get(row.file_id, {}) for row in rows]
            columns["people"] = [len(people) for people in newest]
            columns["disputed"] = [_is_disputed(people.values()) for people in newest]
        data = {
            "ids": [row.file_id for row in rows],
            "columns": {name: _pooled(values) for name, values in columns.items()},
            "labels": sorted({*columns["label"]} - {None}) if self._blind else read.dataset.labels,
            "agreement": None
            if self._blind
            else agreement(decision for row in rows for decision in read.history.get(row.file_id, ())),
        }
        return _json(data)

    def _state(self, read: _Read, file_id: str) -> tuple[str, Decision | None]:
        """What the page says of a file, and the newest decision of whoever looks at it. Blind, only that counts."""
        history = read.history.get(file_id, ())
        choice = next((entry for entry in reversed(history) if entry.by == self._by), None)
        if self._blind:
            return (
                "undecided" if choice is None else "excluded" if choice.action == "exclude" else "accepted"
            ), choice
        return ("excluded" if file_id in read.excluded else "accepted" if history else "undecided"), choice

    def _reason(self, read: _Read, file_id: str) -> str | None:
        """Why a file is excluded, so that somebody who includes it can undo that."""
        history = (entry for entry in reversed(read.history.get(file_id, ())) if entry.action == "exclude")
        return next((entry.reason for entry in history if not self._blind or entry.by == self._by), None)

    def _label(self, read: _Read, row: Record) -> str | None:
        """The label of a file, unless it says what somebody else has decided."""
        if self._blind:
            newest = next(
                (entry for entry in reversed(read.history.get(row.file_id, ())) if entry.action == "relabel"),
                None,
            )
            if newest is not None and newest.by != self._by:
                return None
        return row.label

    def _facts(self, request: Request) -> Response:
        row, read = self._row(request.path_params["file_id"]), self._read
        state, choice = self._state(read, row.file_id)
        is_open = choice is not None or not self._blind
        label = row.label if is_open else self._label(read, row)
        consent = read.consents.get(row.consent_id) if row.consent_id else None
        return _json(
            {
                "state": state,
                "label": label and visible(label),
                "sections": sections_of(row, label, consent, is_rated=is_open),
                "annotations": annotations_of(row),
                "correctable": correctable_of(row),
                "transcript": transcript_of(row),
                "decisions": [_decided(entry) for entry in read.history.get(row.file_id, ())]
                if is_open
                else [],
            }
        )

    def _duplicates(self, _: Request) -> Response:
        same: dict[str, list[str]] = {}
        for row in self._read.rows.values():
            same.setdefault(row.sha256, []).append(row.file_id)
        return _json([ids for ids in same.values() if len(ids) > 1])

    def _picture(self, request: Request) -> Response:
        row, path = self._row_and_path(request.path_params["file_id"])
        with self._lock:
            content = self._thumbnails.get(row.sha256, b"")
        if content == b"":
            content = self._small(row, path)
            if content is None and not path.is_file():  # a decision has moved it meanwhile
                content = self._small(*self._row_and_path(row.file_id))
            with self._lock:
                self._thumbnails[row.sha256] = content
                while len(self._thumbnails) > _MOST_THUMBNAILS:
                    self._thumbnails.popitem(last=False)
        if content is None:
            raise ApiError(404, "not_found", "No thumbnail can be made of this file.")
        return Response(content, headers=browsers.MEDIA_HEADERS, media_type="image/jpeg")

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
        row, path = self._row_and_path(request.path_params["file_id"])
        # Bytes are shown as a picture, a sound, or a video, whatever they are, or not at all.
        mime = row.content_type or ""
        media_type = mime if kind_of(mime) and _MEDIA_TYPE.fullmatch(mime) else "application/octet-stream"
        size = self._read.dataset._store.size_of(path) or 0
        headers = {**browsers.MEDIA_HEADERS, "etag": f'"{row.sha256}"'}
        return bytes_response(request, partial(_pieces, path), size, headers, media_type)

    def _asset(self, request: Request) -> Response:
        try:
            path, media_type = _ASSETS[request.path_params["name"]]
        except KeyError:
            raise ApiError(404, "not_found", "No such file is here.") from None
        return Response(path.read_bytes(), headers=browsers.HEADERS, media_type=media_type)

    # --- what it does -----------------------------------------------------------------------------------

    async def _write(self, write: Callable[[dict[str, Any]], None], request: Request) -> Response:
        """Have something of the person written down."""
        self._coming += 1
        try:
            body = await read_body(request.receive, MAX_BODY + 1)
            parsed = parse_body(body, request.headers.get("content-type"))
            async with self._in_turn:
                await run_in_threadpool(write, parsed)
        finally:
            self._coming -= 1
        return Response(status_code=204)

    def _correct(self, body: dict[str, Any]) -> None:
        correction: _Correction = validate(_Correction, body)
        row = self._row(correction.id)
        value = value_of(row, correction.field, correction.text)
        with self._deciding:
            dataset = copy.copy(self._read.dataset)
            try:
                dataset.correct(row.file_id, {correction.field: value}, by=self._by)
            except FirstHandError as error:
                raise ApiError(409, "conflict", str(error)) from None
            self._read = self._state_of(dataset)
            self._decided_at = time.monotonic()

    def _decide(self, body: dict[str, Any]) -> None:
        """Write each decision down. One that cannot be is refused alone."""
        several = body if "decisions" in body else {"decisions": [body]}
        decisions: list[_Decision] = validate(_Decisions, several).decisions
        refused: FirstHandError | None = None
        with self._deciding:
            for decision in decisions:
                reason = decision.reason or None if decision.action in ("exclude", "relabel") else None
                label = decision.label or "" if decision.action == "relabel" else None
                for action, ids in self._acts(decision):
                    try:
                        self._known, new = self._read.dataset._note(
                            action, ids, self._known, label=label, reason=reason, by=self._by
                        )
                    except FirstHandError as error:
                        refused = refused or error
                    else:
                        self._decided += new
                        self._read.add(new)
                        if action != "accept":
                            self._moves_at = time.monotonic()
            self._decided_at = time.monotonic()
        if refused is not None:
            raise ApiError(409, "conflict", str(refused))

    def _acts(self, decision: _Decision) -> list[tuple[Action, list[str]]]:
        """What is written down for a decision. Blind, people may include a file again that somebody else has included
        before: then they accept it."""
        ids = decision.ids
        if not (self._blind and decision.action == "include"):
            return [(decision.action, ids)]
        out = [file_id for file_id in ids if file_id in self._read.excluded]
        acts: list[tuple[Action, list[str]]] = [
            ("include", out),
            ("accept", [file_id for file_id in ids if file_id not in out]),
        ]
        return [act for act in acts if act[1]]

    def _end(self, _: Request) -> Response:
        # Once the response is sent: the server then cuts every connection.
        return Response(status_code=204, background=BackgroundTask(self._done.set))

    def _leave(self, request: Request) -> Response:
        self._tabs.difference_update(request.query_params.getlist("tab"))
        self._left_at = None if self._tabs else time.monotonic()
        return Response(status_code=204)


def _pooled(values: list[Any]) -> dict[str, list[Any]]:
    """A column as the page has it: its different values, and for each row the place of its own."""
    places = {value: place for place, value in enumerate(dict.fromkeys(values))}
    pool = [visible(value) if isinstance(value, str) else value for value in places]
    return {"values": pool, "places": [places[value] for value in values] if len(pool) > 1 else []}


def _is_disputed(newest: Iterable[Decision]) -> bool:
    """Whether people have decided differently about a file, by the newest decision of each."""
    return len({(decision.action == "exclude", decision.label) for decision in newest}) > 1


def _decided(decision: Decision) -> dict[str, str | None]:
    fields = {name: getattr(decision, name) for name in ("by", "action", "label", "reason")}
    return {
        **{name: value and visible(value) for name, value in fields.items()},
        "at": f"{decision.at:%Y-%m-%d %H:%M} UTC",
    }


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
