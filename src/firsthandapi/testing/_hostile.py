"""A service that lies plausibly: its reads lag, its responses get lost, its keys are forgotten. Its accounts are exact.

Every seed draws the same lies. Its time is that of the client that it follows, so that no test waits.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any, Literal, Protocol, Self
from urllib.parse import parse_qsl, urlsplit

from ._raw import RawServer, Reply, Request, response

DAY = 24 * 3600.0


class Clock(Protocol):
    """What a `FakeClock` is."""

    wall: float

    def monotonic(self) -> float: ...

    def pass_(self, seconds: float) -> None: ...


@dataclass
class Lies:
    """What the service gets wrong. All of it may be changed while it runs; times are in seconds, shares 0 to 1.

    Attributes:
        list_lag: how late the list shows a new job.
        get_lag: how long a new job is a 404.
        count_lag: how late `files_approved` is.
        files_lag: how late the list of a job's files is.
        stale: the share of reads of jobs that show them as they were `stale_by` ago.
        stale_by: how old these are.
        lost: the share of POSTs of jobs whose response is lost, whatever they did.
        refused: the share of POSTs that post a job and answer 402.
        no_meta: whether no response shows metadata.
        rewrites: whether a job is shown as other software would write it: the same to a person.
        idem: what a key gets that is known: its job, an error, or some other job of the account.
        idem_life: how long a key is known.
        skew: how much the `Date` of responses is ahead; None for no `Date`.
        pace: how long a file of a job takes; at 0, a job is finished when it is posted.
        short: how many of its files a job never brings.
        cancels: the share of jobs that the service cancels half-way.
        hold: whether a poll is held until the status of its job changes: time passes for the client that is followed.
    """

    list_lag: float = 0.0
    get_lag: float = 0.0
    count_lag: float = 0.0
    files_lag: float = 0.0
    stale: float = 0.0
    stale_by: float = 0.0
    lost: float = 0.0
    refused: float = 0.0
    no_meta: bool = False
    rewrites: bool = False
    idem: Literal["replay", "409", "422", "other"] = "replay"
    idem_life: float = DAY
    skew: float | None = 0.0
    pace: float = 1.0
    short: int = 0
    cancels: float = 0.0
    hold: bool = False


@dataclass
class HostileJob:
    """A job as it is, whatever the service says of it.

    Attributes:
        files: the ids of its files, oldest first.
        times: when each of them is approved, in seconds since the job was created.
    """

    id: str
    body: dict[str, Any]
    key: str
    created: float
    cancelled: float | None = None
    files: list[str] = field(default_factory=list)
    times: Sequence[float] = ()

    @property
    def label(self) -> str | None:
        """The label that a campaign ordered it for."""
        label: str | None = (self.body.get("metadata") or {}).get("firsthandapi_label")
        return label

    def approved(self, now: float) -> list[str]:
        """The ids of its files that are approved, oldest first."""
        age = min(now, self.cancelled or math.inf) - self.created + 1e-6  # a sum of times is not exact
        return [file_id for file_id, at in zip(self.files, self.times, strict=True) if at <= age]

    def status(self, now: float) -> str:
        if len(self.approved(now)) == len(self.files):
            return "completed"
        if self.cancelled is not None and now >= self.cancelled:
            return "cancelled"
        return "in_progress" if self.approved(now) else "open"

    def next_change(self, now: float) -> float:
        """When its status changes next."""
        first, last = (self.created + either(self.times, default=0.0) for either in (min, max))
        moments = first, last, self.cancelled or math.inf
        return min((moment for moment in moments if moment > now), default=math.inf)

    def cost_cents(self, now: float) -> int:
        """What was paid for it, less what was refunded."""
        files = len(self.approved(now)) if self.status(now) == "cancelled" else len(self.files)
        return files * int(self.body["price_per_file_cents"])


Says = Callable[[Request, int, Any], tuple[int, Any]]


def honest(_request: Request, status: int, body: Any) -> tuple[int, Any]:
    """What `says` is at first."""
    return status, body


class HostileService:
    """The service, on a real socket. `with HostileService(seed, list_lag=3) as service:`.

    Attributes:
        jobs: every job that was posted, oldest first.
        calls: how often each endpoint was called, such as `POST /v1/jobs` and `GET /v1/jobs/:id/files`.
        time: gives Unix seconds, as they are; follow() sets it.
        says: called with each request and the status and body of its response, after the service has done what it was
            asked: returns these, or others. A Reply or bytes are sent as they are, and everything else as JSON.
    """

    api_key = "fh_live_liar0000000000000000"

    def __init__(self, seed: int = 0, **lies: Any) -> None:
        self.lies = Lies(**lies)
        self.jobs: list[HostileJob] = []
        self.calls: Counter[str] = Counter()
        self.time: Callable[[], float] = time.time
        self._pass: Callable[[float], object] = self.pass_
        self.says: Says = honest
        self._random = random.Random(seed)
        self._keys: dict[str, tuple[HostileJob, float, bytes]] = {}
        self._owner: dict[str, HostileJob] = {}
        self._lock = threading.Lock()
        self._server = RawServer(self._reply)
        self.url = self._server.base_url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def follow(self, clock: Clock) -> None:
        """Let time pass as it does for a client, whose clock is set right. A clock that jumps moves nothing here."""
        now = self.time()
        clock.wall, began = now, clock.monotonic()
        self.time = lambda: now + clock.monotonic() - began
        self._pass = clock.pass_

    def pass_(self, seconds: float) -> None:
        """Let time go by while no client runs."""
        before = self.time
        self.time = lambda: before() + seconds

    def once(self, method: str, ends: str, status: int, body: Any) -> None:
        """Answer the next request of this method, whose path ends so, with this."""

        def says(request: Request, *answer: Any) -> tuple[int, Any]:
            if request.method == method and request.target.partition("?")[0].endswith(ends):
                self.says = honest
                return status, body
            return honest(request, *answer)

        self.says = says

    # ── What is so ───────────────────────────────────────────────────────────────────────────────────────

    def spent_cents(self) -> int:
        """What all jobs cost, less refunds."""
        return sum(job.cost_cents(self.time()) for job in self.jobs)

    def paid(self, label: str | None = None) -> list[str]:
        """The ids of the files that are approved by now, of all jobs or of those of a label."""
        jobs = [job for job in self.jobs if label in (None, job.label)]
        return [file_id for job in jobs for file_id in job.approved(self.time())]

    def content(self, file_id: str) -> bytes:
        """The bytes of a file."""
        return b"\xff\xd8\xff\xe0" + hashlib.sha256(file_id.encode()).digest() * 3

    def post(self, body: dict[str, Any], key: str = "somebody-else's") -> HostileJob:
        """Post a job, as a client does."""
        now, pace = self.time(), self.lies.pace
        job = HostileJob(self._id("job"), body, key, now)
        job.files = [self._id("file") for _ in range(body["files_needed"] - self.lies.short)]
        job.times = [pace * (number + 1) for number in range(len(job.files))]
        if self._is_one_of(self.lies.cancels):
            job.cancelled = now + pace * (len(job.files) // 2 + 0.5)
        self.jobs.append(job)
        self._owner |= dict.fromkeys(job.files, job)
        return job

    # ── What it says ─────────────────────────────────────────────────────────────────────────────────────

    def shown(self, job: HostileJob) -> dict[str, Any]:
        """A job as a response shows it now."""
        now = self.time()
        seen = now - (self.lies.stale_by if self._is_one_of(self.lies.stale) else 0.0)
        row = {
            "object": "job",
            **job.body,
            "id": job.id,
            "status": job.status(seen),
            "files_approved": len(job.approved(seen - self.lies.count_lag)),
            "total_cost_cents": len(job.files) * job.body["price_per_file_cents"],
            "created_at": _iso(job.created),
            "updated_at": _iso(seen),
        }
        if self.lies.no_meta:
            row.pop("metadata", None)
        return rewritten(row) if self.lies.rewrites else row

    def _id(self, kind: str) -> str:
        return f"{kind}_01" + "".join(self._random.choices("0123456789ABCDEFGHJKMNPQRSTVWXYZ", k=24))

    def _is_one_of(self, share: float) -> bool:
        return share > 0 and self._random.random() < share

    def _reply(self, request: Request) -> Reply:
        with self._lock:
            status, body = self._answer(request)
            status, body = self.says(request, status, body)
            is_order = request.method == "POST" and request.target == "/v1/jobs"
            if is_order and self._is_one_of(self.lies.lost):
                return Reply(b"", "close")
            headers: dict[str, Any] = {}
            if self.lies.skew is not None:
                headers["Date"] = formatdate(self.time() + self.lies.skew, usegmt=True)
        if isinstance(body, Reply):
            return body
        if isinstance(body, bytes):
            return response(body, status, **headers)
        return response(json.dumps(body).encode(), status, Content_Type="application/json", **headers)

    def _answer(self, request: Request) -> tuple[int, Any]:
        parts = urlsplit(request.target)
        query = dict(parse_qsl(parts.query))
        path = parts.path.strip("/").split("/")
        if path[0] == "files":
            return 200, self.content(path[1])
        called = "/".join(":id" if part.startswith(("job_", "file_")) else part for part in path)
        self.calls[f"{request.method} /{called}"] += 1
        match request.method, path[1:]:
            case "POST", ["jobs"]:
                return self._order(request)
            case "GET", ["jobs"]:
                shown = [job for job in self.jobs if self.time() - job.created >= self.lies.list_lag]
                return 200, _page([self.shown(job) for job in reversed(shown)], query)
            case _, ["jobs", job_id, *rest]:
                job = next((job for job in self.jobs if job.id == job_id), None)
                if job is not None and self.time() - job.created >= self.lies.get_lag:
                    wait = float(request.headers.get("prefer", "wait=0").partition("=")[2])
                    return self._of_a_job(job, rest, query, wait)
            case "POST", ["files", file_id, "refresh_url"] if file_id in self._owner:
                return 200, {"download_url": f"{self.url}/files/{file_id}"}
            case "GET", ["me"]:
                return 200, {"organization_id": "org_1", "environment": "live", "scopes": []}
            case _:
                pass
        return _error(404, "not_found")

    def _of_a_job(
        self, job: HostileJob, rest: Sequence[str], query: dict[str, str], wait: float
    ) -> tuple[int, Any]:
        approved = job.approved(self.time() - self.lies.files_lag)[::-1]
        match rest:
            case []:
                if self.lies.hold:
                    self._pass(min(wait, max(job.next_change(self.time()) - self.time(), 0.0)))
                return 200, self.shown(job)
            case ["cancel"]:
                job.cancelled = self.time() if job.cancelled is None else job.cancelled
                return 200, self.shown(job)
            case ["files"]:
                page = _page(approved, query)
                return 200, page | {"data": [self._file(job, file_id) for file_id in page["data"]]}
            case ["submissions"]:
                rows = [
                    {"id": f"sub_{file_id}", "status": "approved", "worker_id": f"wkr_{file_id}"}
                    for file_id in approved
                ]
                return 200, _page(rows, query)
            case _:
                return _error(404, "not_found")

    def _file(self, job: HostileJob, file_id: str) -> dict[str, Any]:
        content = self.content(file_id)
        return {
            "object": "file",
            "id": file_id,
            "job_id": job.id,
            "submission_id": f"sub_{file_id}",
            "content_type": job.body["accepted_formats"][0],
            "size_bytes": len(content),
            "content_hash": hashlib.sha256(content).hexdigest(),
            "ai_star_rating": 4,
            "download_url": f"{self.url}/files/{file_id}",
        }

    def _order(self, request: Request) -> tuple[int, Any]:
        key, now = request.headers["idempotency-key"], self.time()
        known = self._keys.get(key)
        if known is not None and now - known[1] < self.lies.idem_life:
            return self._repeat(*known, request.body)
        job = self.post(json.loads(request.body), key)
        self._keys[key] = job, now, request.body
        if self._is_one_of(self.lies.refused):
            return _error(402, "insufficient_credits")
        return 201, self.shown(job)

    def _repeat(self, job: HostileJob, _at: float, body: bytes, again: bytes) -> tuple[int, Any]:
        if self.lies.idem == "422":
            return _error(422, "validation_error")
        if self.lies.idem == "409" or body != again:
            return _error(409, "idempotency_error")
        others = [other for other in self.jobs if other is not job]
        if self.lies.idem == "other" and others:
            job = self._random.choice(others)
        return 201, self.shown(job)


def rewritten(row: dict[str, Any]) -> dict[str, Any]:
    """A job as other software would write it: other spaces, numbers, times and names of coordinates, more members."""
    names = {"latitude": "lat", "longitude": "lng"}
    changed: dict[str, Any] = {"of_a_later_version": {"a": 1}}
    for name, value in row.items():
        if name == "location":
            value = {names.get(key, key): item for key, item in value.items()} | {"country": "JP"}
        if name.endswith("_at") or name == "deadline":
            value = value.replace("Z", "+00:00")
        if name in ("description", "worker_guidelines", "title"):
            value = " ".join(value.split())
        if name == "accepted_formats":
            value = value[::-1]
        if name == "metadata":
            value = {key: value[key] for key in reversed(value)}
        changed[name] = value
    return {"min_star_rating": 3, "files_per_submission": 1, "title": None, **changed}


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _page(rows: Sequence[Any], query: dict[str, str]) -> dict[str, Any]:
    start, limit = int(query.get("cursor", "0")), int(query.get("limit", "20"))
    more = start + limit < len(rows)
    return {
        "object": "list",
        "data": rows[start : start + limit],
        "has_more": more,
        "next_cursor": str(start + limit) if more else None,
    }


def _error(status: int, kind: str) -> tuple[int, Any]:
    return status, {"error": {"type": kind, "message": "no"}}
