"""What a monitor asks for: `/healthz`, whether the server can take work, and `/metrics`, its figures for Prometheus."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from firsthandapi._version import __version__
from firsthandapi.server.http.browsers import HEADERS
from firsthandapi.server.pages.console.face import PageError
from firsthandapi.server.sqlite import DATABASE, is_damage
from firsthandapi.server.state.keeping import DamagedError, NotKeptError
from firsthandapi.types.enums import JobStatus, SubmissionStatus

from .access import FILE
from .bounds import BOUNDS
from .reception import Reception

if TYPE_CHECKING:
    from firsthandapi.server.sqlite.kept import KeptState

HEALTH = "/healthz"
METRICS = "/metrics"
_SECONDS = 5.0  # until a server that answers nothing is called busy
_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Seconds from a submission to its review.
_AGES = (60, 600, 3600, 6 * 3600, 86400, 3 * 86400, 7 * 86400)
_LIVE = "JOIN accounts ON accounts.id = {}.account AND environment = 'live'"

Samples = Iterable[tuple[str, Mapping[str, str], float]]


class Health:
    """Answers monitors.

    Args:
        reception: knows who asks.
        folder: the folder of the server; None where nothing is kept.
        requests: how many responses had each status.
    """

    def __init__(self, reception: Reception, folder: Path | None, requests: Mapping[int, int]) -> None:
        self._reception = reception
        self._folder = folder
        self._requests = requests

    # --- health -----------------------------------------------------------------------------------------

    async def health(self) -> Response:
        """200 if the state can be written and the disk has room, else 503 with the reasons; no secret, no path."""
        try:
            async with asyncio.timeout(_SECONDS):
                problems = await asyncio.to_thread(lambda: [*self.problems()])
        except TimeoutError:
            problems = [f"The server has been busy for {_SECONDS:.0f} seconds."]
        if problems:
            return JSONResponse({"status": "failing", "problems": problems}, 503, HEADERS)
        return JSONResponse({"status": "ok"}, headers=HEADERS)

    def problems(self) -> Iterator[str]:
        """What keeps the server from working, in words."""
        state = cast("KeptState", self._reception.world.state)
        damage = [each for each in (state.damage, self._reception.access.damage) if each is not None]
        yield from damage
        if self._folder is None:
            return
        if not damage:
            try:
                state.check()
                self._reception.access.look("SELECT 1")
            except NotKeptError as error:
                yield error.message
        for name in (DATABASE, FILE):
            path = self._folder / name
            if not path.is_file():
                yield f"{name} is missing: stop the server, and restore the folder from a backup."
            elif not os.access(path, os.W_OK) or not os.access(self._folder, os.W_OK):
                yield f"{name} cannot be written to: check the permissions of the folder."
        with contextlib.suppress(OSError):
            free = shutil.disk_usage(self._folder).free
            if free < BOUNDS.spare_bytes:
                yield f"The disk has {free >> 20} MiB left, and uploads need {BOUNDS.spare_bytes >> 20}: make room."

    # --- metrics ----------------------------------------------------------------------------------------

    async def metrics(self, request: Request) -> Response:
        """The figures, for a signed-in operator, or for a bearer token of one."""
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            holder = self._reception.access.holder(secret.strip())
            is_welcome = holder is not None and holder.may("operator")
        else:
            is_welcome = self._reception.may(request, "operator")
        if not is_welcome:
            headers = {**HEADERS, "www-authenticate": "Bearer"}
            words = "Send the token of an operator, after the word Bearer, in the header Authorization.\n"
            return Response(words, 401, headers, "text/plain")
        if self._folder is None:
            raise PageError(404, "This server keeps nothing that could be counted.")
        try:
            text = await asyncio.to_thread(self._text, self._folder)
        except sqlite3.Error as error:
            raise (DamagedError(str(error)) if is_damage(error) else NotKeptError(str(error))) from error
        return Response(text, 200, HEADERS, _TYPE)

    def _text(self, folder: Path) -> str:
        lines: list[str] = []
        # Connections of its own: a scrape holds up nobody.
        with contextlib.closing(_reader(folder / DATABASE)) as state:
            for name, kind, words, samples in self._families(state, folder):
                full = f"firsthandapi_{name}"
                lines += [f"# HELP {full} {words}", f"# TYPE {full} {kind}"]
                for suffix, labels, value in samples:
                    text = ",".join(f'{key}="{each}"' for key, each in labels.items())
                    lines.append(f"{full}{suffix}{f'{{{text}}}' if text else ''} {value:.15g}")
        return "\n".join(lines) + "\n"

    def _families(self, state: sqlite3.Connection, folder: Path) -> Iterator[tuple[str, str, str, Samples]]:
        def counted(table: str, statuses: Iterable[str]) -> Samples:
            sql = f"SELECT status, count(*) FROM {table} {_LIVE.format(table)} GROUP BY status"  # noqa: S608 - no input
            counts = dict.fromkeys(statuses, 0) | dict(state.execute(sql))
            return [("", {"status": status}, count) for status, count in counts.items()]

        def one(value: float) -> Samples:
            return [("", {}, value)]

        now = self._reception.world.clock.now()
        waiting, oldest = state.execute(
            f"SELECT count(*), min(submitted_at) FROM submissions {_LIVE.format('submissions')} "  # noqa: S608 - no input
            "WHERE status = 'pending_score'"
        ).fetchone()
        pending, failed = state.execute(
            "SELECT count(*) FILTER (WHERE status = 'pending'), count(*) FILTER (WHERE status = 'failed') "
            "FROM deliveries WHERE status IN ('pending', 'failed')"
        ).fetchone()
        credits = state.execute(
            "SELECT available, held, spent FROM books JOIN accounts ON accounts.id = books.id "
            "WHERE environment = 'live' ORDER BY books.position LIMIT 1"
        ).fetchone()
        disk = shutil.disk_usage(folder)
        uploads = dict(
            self._reception.access.look(
                "SELECT what, count(*) FROM activity WHERE what GLOB 'upload.*' GROUP BY what"
            )
        )
        yield "build_info", "gauge", "The version that runs.", [("", {"version": __version__}, 1)]
        yield "healthy", "gauge", "Whether /healthz answers 200.", one(not any(self.problems()))
        yield "jobs", "gauge", "Jobs by status.", counted("jobs", get_args(JobStatus))
        yield (
            "submissions",
            "gauge",
            "Submissions by status.",
            counted("submissions", get_args(SubmissionStatus)),
        )
        yield "reviews_waiting", "gauge", "Submissions that wait for a review.", one(waiting)
        yield (
            "reviews_oldest_wait_seconds",
            "gauge",
            "How long the oldest submission has waited for a review.",
            one(max(0.0, now - oldest) if waiting else 0),
        )
        yield "review_age_seconds", "histogram", "Time from a submission to its review.", _ages(state)
        yield (
            "uploads_total",
            "counter",
            "Uploads that became submissions, by whether they were a second try.",
            [("", {"kind": kind}, uploads.get(f"upload.{kind}", 0)) for kind in ("received", "repeated")],
        )
        yield (
            "responses_total",
            "counter",
            "Responses to API calls and page visits since the start, by HTTP status.",
            [("", {"code": str(code)}, count) for code, count in sorted(self._requests.items())],
        )
        yield (
            "credits_cents",
            "gauge",
            "The organization's money, in US cents.",
            [
                ("", {"kind": kind}, cents)
                for kind, cents in zip(("available", "held", "paid"), credits or (), strict=False)
            ],
        )
        yield "webhooks_waiting", "gauge", "Webhook deliveries that wait for an attempt.", one(pending)
        yield "webhooks_failed", "gauge", "Webhook deliveries that were given up.", one(failed)
        yield "disk_free_bytes", "gauge", "Free bytes of the disk with the folder.", one(disk.free)
        yield "disk_size_bytes", "gauge", "All bytes of the disk with the folder.", one(disk.total)


def _ages(state: sqlite3.Connection) -> Samples:
    within = ", ".join(f"count(*) FILTER (WHERE age <= {age})" for age in _AGES)
    row = state.execute(
        f"SELECT {within}, count(*), coalesce(sum(age), 0) FROM (SELECT scored_at - submitted_at AS age "  # noqa: S608 - no input
        f"FROM submissions {_LIVE.format('submissions')} WHERE scored_at IS NOT NULL)"
    ).fetchone()
    *buckets, count, total = row
    yield from (("_bucket", {"le": str(age)}, found) for age, found in zip(_AGES, buckets, strict=True))
    yield "_bucket", {"le": "+Inf"}, count
    yield "_sum", {}, total
    yield "_count", {}, count


def _reader(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)
