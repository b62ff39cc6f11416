"""A service that lies plausibly: its reads lag, its responses get lost, its keys are forgotten. Its accounts are exact.

Every seed draws the same lies.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, Self
from urllib.parse import parse_qsl, urlsplit

from firsthandapi_server.rules.rewrites import REWRITES, Rewrite, checked_rewrites, rewrite

from ._clients import WithClients
from ._raw import RawRequest, RawServer, Reply, json_response, response
from ._waits import moving

DAY = 24 * 3600.0


class ClientClock(Protocol):
    """A client's clock that time passes by."""

    wall: float

    def monotonic(self) -> float:
        """Seconds of a clock that never jumps."""
        ...

    def pass_(self, seconds: float) -> None:
        """Let time pass."""


@dataclass
class Lies:
    """What a `HostileService` gets wrong. All of it may be changed while it runs; times are in seconds, shares 0 to 1.

    Attributes:
        list_lag: how late the list shows a new job.
        get_lag: how long a new job is a 404.
        count_lag: how late `files_approved` is.
        files_lag: how late the list of a job's files is.
        stale: the share of reads of jobs that show them as they were `stale_by` ago.
        stale_by: how old these are.
        lost: the share of POSTs of jobs whose response is lost, whatever they did.
        refused: the share of POSTs that post a job and answer 402.
        broken: the share of responses that break on their way, or say something else, whatever the request did.
        breaks: how; names of `HostileService.BREAKS`, or none for any of them.
        spoiled: the share of downloads that are refused, cut, dropped, or of other bytes.
        no_meta: whether no response shows metadata.
        meta_cut: how many characters of each value of metadata are kept; None for all.
        rewrites: how jobs are shown: True, as other software would write them, the same to a person; or a name or names
            of `MockServer(rewrites=…)`: `upper`, `cut`, `camel`, `drop`, and `text`.
        idem: what a key gets that is known: its response again, an error, or some other job of the account.
        idem_life: how long a key is known.
        forgets: the share of keys that are not known when they come again.
        skew: how much the `Date` of responses is ahead; None for no `Date`.
        pace: how long a file of a job takes; at 0, a job is finished when it is posted.
        short: how many of its files a job never brings.
        cancels: the share of jobs that the service cancels half-way.
        hold: whether a poll is held until the status of its job changes: time passes for the client.
    """

    list_lag: float = 0.0
    get_lag: float = 0.0
    count_lag: float = 0.0
    files_lag: float = 0.0
    stale: float = 0.0
    stale_by: float = 0.0
    lost: float = 0.0
    refused: float = 0.0
    broken: float = 0.0
    breaks: Sequence[str] = ()
    spoiled: float = 0.0
    no_meta: bool = False
    meta_cut: int | None = None
    rewrites: bool | Rewrite | Sequence[Rewrite] = False
    idem: Literal["replay", "409", "422", "other"] = "replay"
    idem_life: float = DAY
    forgets: float = 0.0
    skew: float | None = 0.0
    pace: float = 1.0
    short: int = 0
    cancels: float = 0.0
    hold: bool = False

    def __post_init__(self) -> None:
        checked_rewrites(() if isinstance(self.rewrites, bool) else self.rewrites)

    @classmethod
    def drawn(cls, draw: random.Random) -> Self:
        """Some of them, of any size, such that a caller who tries again comes to an end."""
        lags = [0.0, 3.0, 300.0]
        list_lag = draw.choice(lags)
        idem: Any = draw.choice(["replay", "409", "422", "other"])
        lies = cls(
            list_lag=list_lag,
            get_lag=draw.choice(lags),
            count_lag=draw.choice(lags),
            files_lag=draw.choice(lags),
            stale=draw.choice([0.0, 0.3]),
            stale_by=30.0,
            lost=draw.choice([0.0, 0.5]),
            idem=idem,
            # Nobody could find a job again that neither a key nor a list with metadata shows.
            idem_life=draw.choice([DAY, 120.0]) if list_lag < 30 else DAY,
            no_meta=idem == "replay" and draw.random() < 0.3,
            rewrites=draw.random() < 0.5,
            broken=draw.choice([0.0, 0.1]),
            spoiled=draw.choice([0.0, 0.2]),
        )
        # A job whose metadata is rewritten is found again by its key alone.
        may_hide = idem == "replay" and lies.idem_life == DAY
        names = [name for name in REWRITES if draw.random() < 0.2 and (may_hide or name == "text")]
        return replace(lies, rewrites=names or lies.rewrites)


@dataclass
class HostileJob:
    """A job as it is, whatever the service says of it.

    Attributes:
        id: `job_…`.
        body: what it was posted with.
        key: its idempotency key.
        created: when it was posted, in Unix seconds.
        cancelled: when it was cancelled, or None.
        files: the ids of all files that it brings, in order.
        times: when each of them is approved, in seconds since it was posted.
    """

    id: str
    body: dict[str, Any]
    key: str
    created: float
    cancelled: float | None = None
    files: list[str] = field(default_factory=list[str])
    times: Sequence[float] = ()

    @property
    def label(self) -> str | None:
        """The label that a campaign ordered it for."""
        metadata: Mapping[str, str] = self.body.get("metadata") or {}
        return metadata.get("firsthandapi_label")

    def approved(self, now: float) -> list[str]:
        """The ids of its files that are approved, oldest first."""
        age = min(now, self.cancelled or math.inf) - self.created + 1e-6  # a sum of times is not exact
        return [file_id for file_id, at in zip(self.files, self.times, strict=True) if at <= age]

    def status(self, now: float) -> str:
        """Its status at a time."""
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


Says = Callable[[RawRequest, int, Any], tuple[int, Any]]


class Created(NamedTuple):
    """What a POST made that is no job.

    Attributes:
        path: such as `/v1/api_keys`.
        key: the idempotency key.
        id: the id of what was made, or the new secret.
    """

    path: str
    key: str
    id: str


class _Kept(NamedTuple):
    """What a key has done."""

    result: Any
    time: float
    body: bytes


def honest(_request: RawRequest, status: int, body: Any) -> tuple[int, Any]:
    """What `says` is at first."""
    return status, body


def _failure(status: int, kind: str) -> Callable[[int, Any, bytes], Reply]:
    return lambda _status, _body, _whole: json_response(_error(status, kind)[1], status)


def _changed(change: Callable[[dict[str, Any]], Any]) -> Callable[[int, Any, bytes], Reply]:
    """A response that can be read, and says something else of an object."""
    return lambda status, body, _whole: json_response(change(body) if "id" in body else body, status)


class HostileService(WithClients):
    """A FirstHandAPI that lags, loses responses, forgets keys, and lies, on a real socket. Its accounts are exact.

        with HostileService(seed=7) as service, service.client() as client:
            …
            assert service.spent_cents() == 150

    What code pays on it, it pays on any service: the seed draws the lies, unless you name some, such as `list_lag=60`;
    all others are then left out. It knows jobs, their files, and every POST that makes something.
    The waits of its clients take no real time: they move its own.

    Args:
        seed: of the random numbers.
        lies: fields of `Lies`.

    Attributes:
        api_key: a live key; it takes any other one as well.
        lies: what it gets wrong.
        jobs: every job that was posted, oldest first.
        created: what other POSTs made, oldest first.
        calls: how often each endpoint was called, such as `POST /v1/jobs` and `GET /v1/jobs/:id/files`.
        says: called with each request and the status and body of its response, after the service has done what it was
            asked: returns these, or others. A Reply or bytes are sent as they are, and everything else as JSON.
    """

    api_key = "fh_live_hostile0000000000000"
    # How a response breaks: takes its status, its body, and the bytes of that.
    BREAKS: ClassVar[Mapping[str, Callable[[int, Any, bytes], Reply]]] = {
        "500": _failure(500, "internal_error"),
        "503": _failure(503, "service_unavailable"),
        "504": _failure(504, "gateway_timeout"),
        "html502": lambda _status, _body, _whole: response(b"<html>Bad gateway</html>", 502),
        "html200": lambda _status, _body, _whole: response(b"<html>Log in to the wireless network</html>"),
        "redirect": lambda _status, _body, _whole: response(b"", 307, Location="/v1/elsewhere"),
        "empty": lambda _status, _body, _whole: response(b""),
        "pending": lambda _status, _body, _whole: json_response(
            {"object": "operation", "status": "pending"}, 202
        ),
        "drop": lambda _status, _body, _whole: Reply(b"", "close"),
        "reset": lambda _status, _body, _whole: Reply(b"", "reset"),
        "garbage": lambda _status, _body, _whole: Reply(b"\0\1\2garbage\r\n\r\n", "close"),
        "cut": lambda status, _body, whole: response(
            whole[: len(whole) // 2], status, length=len(whole), then="reset"
        ),
        "long": lambda status, _body, whole: response(whole, status, length=len(whole) + 50, then="close"),
        "no id": _changed(lambda body: {name: value for name, value in body.items() if name != "id"}),
        "nulls": _changed(
            lambda body: {**dict.fromkeys(body), "id": body["id"], "object": body.get("object")}
        ),
        "strings": _changed(
            lambda body: {name: f"{value}" if type(value) is int else value for name, value in body.items()}
        ),
        "wrapped": _changed(lambda body: {"data": body}),
        "made up": _changed(lambda body: {**body, "id": body["id"].partition("_")[0] + "_01" + "Z" * 24}),
    }

    def __init__(self, seed: int = 0, **lies: Any) -> None:
        self._random = random.Random(seed)  # noqa: S311 # it hides nothing
        self.lies = Lies(**lies) if lies else Lies.drawn(self._random)
        self.jobs: list[HostileJob] = []
        self.created: list[Created] = []
        self.calls: Counter[str] = Counter()
        self.says: Says = honest
        self._time: Callable[[], float] = time.time
        self._advanced = 0.0
        self._pass: Callable[[float], object] = self.advance
        self._keys: dict[tuple[str, str], _Kept] = {}
        self._owner: dict[str, HostileJob] = {}
        self._lock = threading.Lock()
        self._moving = threading.Lock()
        self._server = RawServer(self._reply)
        self._open = ExitStack()
        self._open.callback(self._server.close)
        self._open.enter_context(moving(self._server.port, self))

    @property
    def url(self) -> str:
        """Its address."""
        return self._server.base_url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Cut every connection."""
        self._open.close()

    # ── Time ─────────────────────────────────────────────────────────────────────────────────────────────

    def now(self) -> float:
        """Its time, in Unix seconds: the machine's, and what it was advanced by."""
        return self._time() + self._advanced

    def advance(self, seconds: float) -> None:
        """Let time go by.

        Args:
            seconds: how much.
        """
        with self._moving:
            self._advanced += seconds

    def reach(self, when: float) -> None:
        """Let time go by until `when`, if it is not that late yet.

        Args:
            when: the time, in Unix seconds.
        """
        with self._moving:
            self._advanced += max(when - self.now(), 0.0)

    def follow(self, clock: ClientClock) -> None:
        """Let time pass as it does for a client, whose clock is set right. If that jumps, nothing moves here.

        Args:
            clock: the client's clock.
        """
        now = self.now()
        clock.wall, began = now, clock.monotonic()
        self._time, self._advanced = (lambda: now + clock.monotonic() - began), 0.0
        self._pass = clock.pass_

    def once(self, method: str, ends: str, status: int, body: Any) -> None:
        """Answer the next request of this method, whose path ends so, with this.

        Args:
            method: such as `POST`.
            ends: the end of the path.
            status: the status.
            body: bytes, or what is sent as JSON.
        """

        def says(request: RawRequest, *answer: Any) -> tuple[int, Any]:
            if request.method == method and request.target.partition("?")[0].endswith(ends):
                self.says = honest
                return status, body
            return honest(request, *answer)

        self.says = says

    # ── What is so ───────────────────────────────────────────────────────────────────────────────────────

    def spent_cents(self) -> int:
        """What all jobs cost, less refunds."""
        return sum(job.cost_cents(self.now()) for job in self.jobs)

    def paid(self, label: str | None = None) -> list[str]:
        """List the ids of the files that are approved by now.

        Args:
            label: that of a campaign; None for those of all jobs.

        Returns:
            The ids.
        """
        jobs = [job for job in self.jobs if label in (None, job.label)]
        return [file_id for job in jobs for file_id in job.approved(self.now())]

    def content(self, file_id: str) -> bytes:
        """Make the bytes of a file.

        Args:
            file_id: its id.

        Returns:
            The bytes, which are always the same.
        """
        return b"\xff\xd8\xff\xe0" + hashlib.sha256(file_id.encode()).digest() * 3

    def post(self, body: dict[str, Any], key: str = "somebody-else's") -> HostileJob:
        """Post a job, as a client does.

        Args:
            body: the body of the request.
            key: its idempotency key.

        Returns:
            The job.
        """
        now, pace = self.now(), self.lies.pace
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
        """Show a job as a response shows it now.

        Args:
            job: the job.

        Returns:
            The object of the response.
        """
        now = self.now()
        moment = now - (self.lies.stale_by if self._is_one_of(self.lies.stale) else 0.0)
        row: dict[str, Any] = {
            "object": "job",
            **job.body,
            "id": job.id,
            "status": job.status(moment),
            "files_approved": len(job.approved(moment - self.lies.count_lag)),
            "total_cost_cents": len(job.files) * job.body["price_per_file_cents"],
            "created_at": _iso(job.created),
            "updated_at": _iso(moment),
        }
        if self.lies.no_meta:
            row.pop("metadata", None)
        elif self.lies.meta_cut is not None:
            row["metadata"] = {
                name: str(value)[: self.lies.meta_cut] for name, value in row["metadata"].items()
            }
        if self.lies.rewrites is True:
            return rewritten(row)
        return rewrite(row, checked_rewrites(self.lies.rewrites or ()))

    def _id(self, kind: str) -> str:
        return f"{kind}_01" + "".join(self._random.choices("0123456789ABCDEFGHJKMNPQRSTVWXYZ", k=24))

    def _is_one_of(self, share: float) -> bool:
        return share > 0 and self._random.random() < share

    def _reply(self, request: RawRequest) -> Reply:
        with self._lock:
            status, body = self._answer(request)
            status, body = self.says(request, status, body)
            is_order = request.method == "POST" and request.target == "/v1/jobs"
            if is_order and self._is_one_of(self.lies.lost):
                return Reply(b"", "close")
            headers: dict[str, Any] = {}
            if self.lies.skew is not None:
                headers["Date"] = formatdate(self.now() + self.lies.skew, usegmt=True)
            if isinstance(body, Reply):
                return body
            if isinstance(body, bytes):
                return self._sent(request, body, status, headers)
            if self._is_one_of(self.lies.broken):
                name = self._random.choice([*(self.lies.breaks or self.BREAKS)])
                return self.BREAKS[name](status, body, json.dumps(body).encode())
        return json_response(body, status, **headers)

    def _sent(self, request: RawRequest, body: bytes, status: int, headers: dict[str, Any]) -> Reply:
        """Bytes as they are, or those of a download that may be spoiled."""
        if not request.target.startswith("/files/") or not self._is_one_of(self.lies.spoiled):
            return response(body, status, **headers)
        spoiled = [
            response(b"<Error/>", 403),
            response(body[:-1] + b"!"),
            response(body[: len(body) // 2], length=len(body), then="close"),
            Reply(b"", "close"),
        ]
        return self._random.choice(spoiled)

    def _answer(self, request: RawRequest) -> tuple[int, Any]:
        parts = urlsplit(request.target)
        query = dict(parse_qsl(parts.query))
        path = parts.path.strip("/").split("/")
        if path[0] == "files":
            return 200, self.content(path[1])
        endpoint = "/".join(":id" if part.startswith(("job_", "file_")) else part for part in path)
        self.calls[f"{request.method} /{endpoint}"] += 1
        match request.method, path[1:]:
            case "POST", ["jobs"]:
                return self._order(request)
            case "GET", ["jobs"]:
                jobs = [job for job in self.jobs if self.now() - job.created >= self.lies.list_lag]
                return 200, _page([self.shown(job) for job in reversed(jobs)], query)
            case _, ["jobs", job_id, *rest]:
                job = next((job for job in self.jobs if job.id == job_id), None)
                if job is not None and self.now() - job.created >= self.lies.get_lag:
                    wait = float(request.headers.get("prefer", "wait=0").partition("=")[2])
                    return self._of_a_job(job, rest, query, wait)
            case "POST", ["files", file_id, "refresh_url"] if file_id in self._owner:
                return 200, {"download_url": f"{self.url}/files/{file_id}"}
            case "POST", ["api_keys"] | ["webhook_endpoints"] | ["billing", "credits", "purchase"]:
                return self._once(request, "/".join(path[1:]))
            case "POST", ["api_keys", _, "rotate"] | ["webhook_endpoints", _, "rotate_secret"]:
                return self._once(request, path[1])
            case "GET", ["me"]:
                return 200, {"organization_id": "org_1", "environment": "live", "scopes": []}
            case _:
                pass
        return _error(404, "not_found")

    def _of_a_job(
        self, job: HostileJob, rest: Sequence[str], query: dict[str, str], wait: float
    ) -> tuple[int, Any]:
        approved = job.approved(self.now() - self.lies.files_lag)[::-1]
        match rest:
            case []:
                if self.lies.hold:
                    self._pass(min(wait, max(job.next_change(self.now()) - self.now(), 0.0)))
                return 200, self.shown(job)
            case ["cancel"]:
                job.cancelled = self.now() if job.cancelled is None else job.cancelled
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

    def _order(self, request: RawRequest) -> tuple[int, Any]:
        entry = self._kept(request)
        if entry is not None:
            return self._refusal(entry, request) or (201, self.shown(self._repeated(entry.result)))
        job = self.post(json.loads(request.body), request.headers["idempotency-key"])
        self._keep(request, job)
        if self._is_one_of(self.lies.refused):
            return _error(402, "insufficient_credits")
        return 201, self.shown(job)

    def _once(self, request: RawRequest, kind: str) -> tuple[int, Any]:
        """Make what is no job."""
        entry = self._kept(request)
        if entry is not None:
            return self._refusal(entry, request) or (200, entry.result)
        id_ = self._id({"api_keys": "key", "webhook_endpoints": "we"}.get(kind, "checkout"))
        hook: dict[str, Any] = {"object": "webhook_endpoint", "enabled": True, "events": []}
        fields: dict[str, dict[str, Any]] = {
            "api_keys": {"object": "api_key", "scopes": [], "secret": f"fh_live_{id_}"},
            "webhook_endpoints": {**hook, "secret": f"whsec_{id_}"},
        }
        row = {"id": id_, **fields.get(kind, {"checkout_url": f"{self.url}/checkout/{id_}"})}
        self.created.append(Created(request.target, request.headers["idempotency-key"], id_))
        self._keep(request, row)
        return 201, row

    def _kept(self, request: RawRequest) -> _Kept | None:
        """What the key of a request has done already, if it is still known."""
        entry = self._keys.get((request.target, request.headers["idempotency-key"]))
        if entry is None or self.now() - entry.time >= self.lies.idem_life:
            return None
        return None if self._is_one_of(self.lies.forgets) else entry

    def _keep(self, request: RawRequest, result: Any) -> None:
        key = request.target, request.headers["idempotency-key"]
        self._keys[key] = _Kept(result, self.now(), request.body)

    def _refusal(self, entry: _Kept, request: RawRequest) -> tuple[int, Any] | None:
        """The error for a key that is known; None for the first response again."""
        if self.lies.idem == "422":
            return _error(422, "validation_error")
        if self.lies.idem == "409" or entry.body != request.body:
            return _error(409, "idempotency_error")
        return None

    def _repeated(self, job: HostileJob) -> HostileJob:
        """The job of a key that is known, or, for a service that mixes them up, some other one."""
        strangers = [stranger for stranger in self.jobs if stranger is not job]
        return self._random.choice(strangers) if self.lies.idem == "other" and strangers else job


def rewritten(row: dict[str, Any]) -> dict[str, Any]:
    """A job as other software would write it: other spaces, numbers, times and names of coordinates, more members."""
    names = {"latitude": "lat", "longitude": "lng"}
    changed: dict[str, Any] = {"of_a_later_version": {"a": 1}, **row}
    if row.get("location"):
        changed["location"] = {names.get(key, key): item for key, item in row["location"].items()} | {
            "country": "JP"
        }
    for name in row:
        if name.endswith("_at") or name == "deadline":
            changed[name] = row[name].replace("Z", "+00:00")
        if name in ("description", "worker_guidelines", "title") and row[name]:
            changed[name] = " ".join(row[name].split())
    changed["accepted_formats"] = row["accepted_formats"][::-1]
    if "metadata" in row:
        changed["metadata"] = {key: row["metadata"][key] for key in reversed(row["metadata"])}
    return {"min_star_rating": 3, "files_per_submission": 1, "title": None, **changed}


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _page(rows: Sequence[Any], query: dict[str, str]) -> dict[str, Any]:
    start, limit = int(query.get("cursor", "0")), int(query.get("limit", "20"))
    has_more = start + limit < len(rows)
    return {
        "object": "list",
        "data": rows[start : start + limit],
        "has_more": has_more,
        "next_cursor": str(start + limit) if has_more else None,
    }


def _error(status: int, kind: str) -> tuple[int, Any]:
    return status, {"error": {"type": kind, "message": "no"}}
