"""Guards money: the journal of a client's POSTs. Decides which call repeats an unfinished one.

`datasets/_journal.py` has the folder, with a record of each unfinished POST.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from firsthandapi._base.loose_json import load, members
from firsthandapi._base.masking import mask_secrets
from firsthandapi._base.visible import visible
from firsthandapi._core.calls.arguments import json_bytes
from firsthandapi._core.calls.request import Request

from .record import JOBS_PATH, Account, OrderRecord, is_of, marked
from .request_hash import canonical, plain, plain_value

# Refreshing a URL changes nothing, and happens thousands of times.
_HARMLESS = re.compile(r"/v1/files/[^/]+/refresh_url")
# These have the same effect done twice: after the key is too old, they are sent again with a new one, not refused.
_REPEATABLE = re.compile(
    r"/v1/(?:jobs/[^/]+/(?:cancel|rate)|api_keys/[^/]+/revoke|webhook_events/[^/]+/replay)"
)
_SHOWN = 60


@dataclass(frozen=True)
class Pending:
    """A POST in a client's journal whose outcome is unknown, or a `create_and_wait` that was stopped.

    Attributes:
        key: its idempotency key.
        method: the HTTP method, `POST`.
        path: the path, without the query.
        at: when it was first sent, by the clock of the machine that sent it.
        job_id: the job of a stopped `create_and_wait`, or None.
        summary: the beginning of the request, for people.
        refused: whether the service has refused it since it was last sent. The same call sends its key again, because
            the service may have done what it refused.
    """

    key: str
    method: str
    path: str
    at: datetime
    job_id: str | None
    summary: str
    refused: bool = False


@dataclass(frozen=True)
class Entry:
    """A record in a journal: the name of its file, and the number of its lock."""

    name: str
    slot: int
    record: OrderRecord


def pending(record: OrderRecord) -> Pending:
    """A record as callers see it."""
    return Pending(
        record.key or "",
        record.method,
        record.path,
        datetime.fromtimestamp(record.first_sent_at or 0.0, UTC),
        record.job_id,
        _summary(record.request),
        record.refused_at is not None,
    )


# ── What is recorded ───────────────────────────────────────────────────────────────────────────────────


def is_kept(request: Request) -> bool:
    """Whether a POST belongs in the journal: none that a folder or a ledger records, and none that changes nothing."""
    return not request.recorded and not _HARMLESS.fullmatch(request.path)


def record_of(request: Request, key: str, account: Account, now: float) -> OrderRecord:
    """The record of a POST that is about to be sent. The body of a job gets the key into its metadata, and the hash of
    the request, if there is room."""
    body = body_of(request)
    is_job = request.path == JOBS_PATH and isinstance(body, dict)
    return OrderRecord(
        "call",
        key,
        marked(members(body), key) if is_job else body,
        now,
        account=account,
        path=request.path,
        query=request.query,
        own=request.idempotency_key is not None,
    )


def body_of(request: Request) -> Any:
    """The body of a request, without marks; None if it has none."""
    return None if request.body is None else load(request.body)


def bytes_of(record: OrderRecord) -> bytes | None:
    """The body of a record as it is sent."""
    return None if record.request is None else json_bytes(record.request, "body")


# ── Recognizing a repeated call ────────────────────────────────────────────────────────────────────────


def digest_of(request: Request, base_url: str) -> str:
    """What the same call has in common, and no other one: the name of its record begins with it."""
    import hashlib  # it loads OpenSSL

    key = request.idempotency_key
    same = [base_url, *_asked(request)] if key is None else [request.path, key]
    return hashlib.sha256(canonical(same).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def same_call(entries: Iterable[Entry], account: Account, *, waits: bool) -> Entry | None:
    """The entry, of those with its digest, that a call of `account` repeats: rather one that is surely its own.
    `waits`: it is a `create_and_wait`, which also continues a job."""
    same = [
        item for item in entries if _may_be_of(item.record, account) and (waits or item.record.job is None)
    ]
    return min(same, key=lambda item: not is_of(item.record, account), default=None)


def _may_be_of(record: OrderRecord, account: Account) -> bool:
    then = record.account
    if then is None or then.base_url != account.base_url or account.fingerprint in record.others:
        return False
    if then.fingerprint == account.fingerprint:
        return True
    # An API key may have been rotated. What both say of themselves must be the same.
    return then.environment == account.environment and (
        None in (then.organization, account.organization) or then.organization == account.organization
    )


def _asked(request: Request) -> list[str]:
    body = body_of(request)
    is_job = request.path == JOBS_PATH and isinstance(body, dict)
    return [request.path, request.query, canonical(plain(members(body)) if is_job else plain_value(body))]


def is_repeatable(path: str) -> bool:
    """Whether this can be repeated harmlessly with another key."""
    return _REPEATABLE.fullmatch(path) is not None


def title_of(request: Mapping[str, Any]) -> str:
    """The beginning of a request, for people, without secrets."""
    names = ("title", "description", "name", "url")
    text = str(next(filter(None, map(request.get, names)), ""))
    is_cut = len(text) > _SHOWN
    return visible(mask_secrets(text[:_SHOWN] + "…" * is_cut, cut=is_cut))


def _summary(request: Any) -> str:
    asked = members(request)
    counts = [f"{asked[name]} {unit}" for name, unit in _UNITS.items() if isinstance(asked.get(name), int)]
    return ", ".join(filter(None, [title_of(asked), *counts]))


_UNITS = {
    "files_needed": "files",
    "price_per_file_cents": "cents per file",
    "amount_cents": "cents",
    "rating": "stars",
}
