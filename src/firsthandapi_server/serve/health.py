"""What a monitor asks for: `/healthz`, whether the server can take work, and `/metrics`, its figures for Prometheus."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from firsthandapi._base.version import __version__
from firsthandapi.types.enums import JobStatus, SubmissionStatus
from firsthandapi_server.http.browsers import HEADERS
from firsthandapi_server.sqlite import DATABASE, is_damage
from firsthandapi_server.state.keeping import DamagedError, NotKeptError

from .access import FILE
from .bounds import BOUNDS
from .opinions import Opinions
from .programs import MODEL, Program
from .reception import Reception

if TYPE_CHECKING:
    from firsthandapi_server.sqlite.kept import KeptState

HEALTH = "/healthz"
METRICS = "/metrics"
_SECONDS = 5.0  # until a server that answers nothing is called busy
_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Seconds from a submission to its review.
_AGES = (60, 600, 3600, 6 * 3600, 86400, 3 * 86400, 7 * 86400)
_OF_PROGRAMS = {
    "asked": "Questions that programs were asked.",
    "answered": "Questions that programs answered.",
    "failed": "Questions that programs failed on.",
    "cents": "What programs have cost, in US cents; what is under way counts at its most.",
}
_LIVE = "JOIN accounts ON accounts.id = {}.account AND environment = 'live'"


class Health:
    """Answers monitors; `requests` has how many responses had each status."""

    def __init__(
        self, reception: Reception, folder: Path, requests: Mapping[int, int], programs: Iterable[Program]
    ) -> None:
        self._reception = reception
        self._folder = folder
        self._programs = programs
        self._opinions = Opinions(reception.access)
        self._requests = requests
        self._thread = ThreadPoolExecutor(1, "firsthandapi-health")  # of its own: others' threads may be busy

    # --- health -----------------------------------------------------------------------------------------

    async def health(self) -> Response:
        """200 if the state can be written and the disk has room, else 503 with the reasons; no secret, no path."""
        try:
            async with asyncio.timeout(_SECONDS):
                loop = asyncio.get_running_loop()
                problems, figures = await loop.run_in_executor(self._thread, self._look)
        except TimeoutError:
            problems, figures = [f"The server has been busy for {_SECONDS:.0f} seconds."], {}
        if problems:
            return JSONResponse({"status": "failing", "problems": problems}, 503, HEADERS)
        return JSONResponse({"status": "ok", **figures}, headers=HEADERS)

    def _look(self) -> tuple[list[str], dict[str, Any]]:
        """The problems; without any, what the model was asked."""
        problems = [*self.problems()]
        names = {program.rater for program in self._programs if program.rater.startswith(MODEL)}
        figures = [
            asdict(model) for model in ([] if problems else self._opinions.figures()) if model.rater in names
        ]
        return problems, {"ai": figures[0]} if figures else {}

    def problems(self) -> Iterator[str]:
        """What keeps the server from working, in words."""
        state = cast("KeptState", self._reception.world.state)
        damage = [damage for damage in (state.damage, self._reception.access.damage) if damage is not None]
        yield from damage
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
        try:
            text = await asyncio.to_thread(self._text)
        except sqlite3.Error as error:
            raise (DamagedError(str(error)) if is_damage(error) else NotKeptError(str(error))) from error
        return Response(text, 200, HEADERS, _TYPE)

    def _text(self) -> str:
        lines: list[str] = []

        def add(name: str, kind: str, words: str, samples: Mapping[str, float] | float) -> None:
            full = f"firsthandapi_{name}"
            lines.extend((f"# HELP {full} {words}", f"# TYPE {full} {kind}"))
            value_by_sample = samples if isinstance(samples, Mapping) else {"": samples}
            lines.extend(f"{full}{sample} {value:.15g}" for sample, value in value_by_sample.items())

        # A connection of its own: a scrape holds up nobody.
        uri = f"{(self._folder / DATABASE).absolute().as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=5)) as state:
            self._count(state, add)
        return "\n".join([*lines, ""])

    def _count(self, state: sqlite3.Connection, add: Callable[..., None]) -> None:
        def counted(table: str, statuses: Iterable[str]) -> dict[str, float]:
            sql = f"SELECT status, count(*) FROM {table} {_LIVE.format(table)} GROUP BY status"  # noqa: S608 - no input
            return _by("status", dict.fromkeys(statuses, 0) | dict(state.execute(sql)))

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
        disk = shutil.disk_usage(self._folder)
        uploads: dict[str, int] = dict.fromkeys(("received", "repeated"), 0) | dict(
            self._reception.access.look(
                "SELECT substr(what, 8), count(*) FROM activity "
                "WHERE what IN ('upload.received', 'upload.repeated') GROUP BY what"
            )
        )
        wait = max(0.0, now - oldest) if waiting else 0
        money: dict[str, int] = dict(zip(("available", "held", "paid"), credits or (), strict=False))
        asked = self._opinions.figures()
        responses = {str(code): count for code, count in sorted(self._requests.items())}
        add("build_info", "gauge", "The version that runs.", _by("version", {__version__: 1}))
        add("healthy", "gauge", "Whether /healthz answers 200.", not any(self.problems()))
        add("jobs", "gauge", "Jobs by status.", counted("jobs", get_args(JobStatus)))
        by_status = counted("submissions", get_args(SubmissionStatus))
        add("submissions", "gauge", "Submissions by status.", by_status)
        add("reviews_waiting", "gauge", "Submissions that wait for a review.", waiting)
        words = "How long the oldest submission has waited for a review."
        add("reviews_oldest_wait_seconds", "gauge", words, wait)
        add("review_age_seconds", "histogram", "Time from a submission to its review.", _ages(state))
        words = "Uploads that became submissions, by whether they were a second try."
        add("uploads_total", "counter", words, _by("kind", uploads))
        words = "Responses to API calls and page visits since the start, by HTTP status."
        add("responses_total", "counter", words, _by("code", responses))
        add("credits_cents", "gauge", "The organization's money, in US cents.", _by("kind", money))
        add("webhooks_waiting", "gauge", "Webhook deliveries that wait for an attempt.", pending)
        add("webhooks_failed", "gauge", "Webhook deliveries that were given up.", failed)
        for name, words in _OF_PROGRAMS.items() if self._programs else ():
            counts = {figure.rater: getattr(figure, name) for figure in asked}
            if name == "cents":  # it goes down once it is known what a question has cost
                add("ai_cents", "gauge", words, _by("rater", counts))
            else:
                add(f"ai_{name}_total", "counter", words, _by("rater", counts))
        add("disk_free_bytes", "gauge", "Free bytes of the disk with the folder.", disk.free)
        add("disk_size_bytes", "gauge", "All bytes of the disk with the folder.", disk.total)


def _by(label: str, counts: Mapping[str, float]) -> dict[str, float]:
    """Samples of a metric that has a label, from the value of each."""
    return {f"{{{label}={json.dumps(value, ensure_ascii=False)}}}": count for value, count in counts.items()}


def _ages(state: sqlite3.Connection) -> dict[str, float]:
    within = ", ".join(f"count(*) FILTER (WHERE age <= {age})" for age in _AGES)
    row = state.execute(
        f"SELECT {within}, count(*), coalesce(sum(age), 0) FROM (SELECT scored_at - submitted_at AS age "  # noqa: S608 - no input
        f"FROM submissions {_LIVE.format('submissions')} WHERE scored_at IS NOT NULL)"
    ).fetchone()
    *buckets, count, total = row
    aged = zip((*map(str, _AGES), "+Inf"), (*buckets, count), strict=True)
    return {**{f'_bucket{{le="{age}"}}': number for age, number in aged}, "_sum": total, "_count": count}
