"""Guards money: the journal of a client's POSTs. Decides which are unfinished, which call repeats one, what is sent.

`_journal.py` has the file. It has a line of JSON for each event: a POST that is about to be sent, and its outcome. A
line that cannot be read, such as one that a crash has torn, affects no other. A finished POST needs no line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any, cast

from firsthandapi._core.calls.arguments import json_bytes
from firsthandapi._core.calls.loose_json import load, members
from firsthandapi._core.calls.request import Request
from firsthandapi._masking import mask_secrets
from firsthandapi._visible import visible
from firsthandapi.errors import ConfigurationError, FirstHandError

from .record import KEY_METADATA, Account, ShownJob, fits, job_id_of, key_of
from .request_hash import REQUEST_METADATA, canonical, hash_to_send, plain, plain_value

HEADER = b'{"firsthandapi_journal": 1}\n'
JOBS = "/v1/jobs"
# A file that is larger is compacted where that halves it.
COMPACTED_OVER = 64 * 1024

_VERSION = re.compile(rb'\{"firsthandapi_journal": ([0-9]{1,9})\}')
# Refreshing a URL changes nothing, and happens thousands of times.
_HARMLESS = re.compile(r"/v1/files/[^/]+/refresh_url")
# These have the same effect done twice: after the key is too old, they are sent again with a new one, not refused.
_REPEATABLE = re.compile(
    r"/v1/(?:jobs/[^/]+/(?:cancel|rate)|api_keys/[^/]+/revoke|webhook_events/[^/]+/replay)"
)
_MOST_METADATA = 20
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
    """

    key: str
    method: str
    path: str
    at: datetime
    job_id: str | None
    summary: str


@dataclass(frozen=True)
class Entry:
    """One POST.

    Attributes:
        id: names the entry; two entries may have one key.
        key: the idempotency key.
        own: whether the caller chose the key: then only a call with this key is the same one.
        at: when it was written down, in Unix seconds: the key was sent then or later.
        writer: the number whose lock the process holds that sends it.
        account: whose POST it is.
        path, query, body: the request, as it is sent.
        job_id: the job of a `create_and_wait`, which is finished when it returns.
        lost: whether its call has ended without an answer, or before its end; then its writer no longer counts.
        others: fingerprints of API keys that have sent this key since, and got an answer of their own.
    """

    id: str
    key: str
    own: bool
    at: float
    writer: int
    account: Account
    path: str
    query: str = ""
    body: str | None = None
    job_id: str | None = None
    lost: bool = False
    others: tuple[str, ...] = field(default=())

    def pending(self) -> Pending:
        """The entry as callers see it."""
        return Pending(
            self.key,
            "POST",
            self.path,
            datetime.fromtimestamp(self.at, UTC),
            self.job_id,
            _summary(self.body),
        )


# ── Writing lines ──────────────────────────────────────────────────────────────────────────────────────


def is_kept(request: Request) -> bool:
    """Whether a POST belongs in the journal: none that a folder or a ledger records, and none that changes nothing."""
    return not request.recorded and not _HARMLESS.fullmatch(request.path)


def marked(request: Request, key: str) -> bytes | None:
    """The body to send. That of a job gets the key into its metadata, and the hash of the request, if there is room."""
    body = request.body
    if request.path != JOBS or body is None:
        return body
    asked = members(load(body))
    given: Any = asked.get("metadata") or {}
    metadata = members(given)
    if not isinstance(given, dict) or KEY_METADATA in metadata or len(metadata) >= _MOST_METADATA:
        return body
    marks = {KEY_METADATA: key}
    if (hashed := hash_to_send({**asked, "metadata": metadata})) is not None:
        marks[REQUEST_METADATA] = hashed
    return json_bytes({**asked, "metadata": {**metadata, **marks}}, "body")


def began(entry: Entry) -> bytes:
    """The line of a POST that is about to be sent."""
    return _line({"op": "post", **asdict(entry)})


def taken(entry: Entry, writer: int) -> bytes:
    """The line of an unknown POST whose call is made again."""
    return _line({"op": "take", "id": entry.id, "writer": writer})


def answered(entry: Entry, job_id: str) -> bytes:
    """The line of a `create_and_wait` that has its job."""
    return _line({"op": "answer", "id": entry.id, "job_id": job_id})


def lost(entry: Entry) -> bytes:
    """The line of a call that was stopped, or ended without a response."""
    return _line({"op": "lost", "id": entry.id})


def opened(entry: Entry) -> bytes:
    """The line of a call that was stopped while its end was written: it counts as not ended."""
    return began(replace(entry, lost=True))


def ended(entry: Entry, answer: str | None = None) -> bytes:
    """The line of a finished POST, with the id in its answer; or of one that was never done, or is forgotten."""
    return _line({"op": "end", "id": entry.id, **({} if answer is None else {"answer": answer})})


def of_another(entry: Entry, account: Account) -> bytes:
    """The line of a POST whose key another account has used for itself."""
    return _line({"op": "other", "id": entry.id, "fingerprint": account.fingerprint})


def snapshot(entries: Iterable[Entry]) -> bytes:
    """A whole file with these entries."""
    return HEADER + b"".join(map(began, entries))


def id_in(content: bytes) -> str | None:
    """The id in an answer, if it has one."""
    return job_id_of(load(content))


# ── Reading lines ──────────────────────────────────────────────────────────────────────────────────────


def is_torn_header(content: bytes) -> bool:
    """Whether a crash has cut the first line of a new file."""
    return len(content) < len(HEADER) and HEADER.startswith(content)


def read(content: bytes, path: str) -> dict[str, Entry]:
    """The entries of a journal, by their ids; finished ones are left out.
    Raises ConfigurationError: it is no journal, or a later version of this package has written it.
    """
    entries: dict[str, Entry] = {}
    if is_torn_header(content):
        return entries
    first, *lines = content.split(b"\n")
    version = _VERSION.fullmatch(first)
    if version is None:
        raise ConfigurationError(
            f"journal: {path} is not a journal of firsthandapi, and stays as it is; choose another path"
        )
    if int(version[1]) > 1:
        raise ConfigurationError(
            f"journal: {path} was written by a later version of firsthandapi; upgrade firsthandapi"
        )
    for line in lines:
        event = members(load(line))
        name = event.get("id")
        if not isinstance(name, str):
            continue
        if event.get("op") == "post" and (entry := _entry(event)) is not None:
            entries[name] = entry
        elif (entry := entries.get(name)) is not None:
            match event:
                case {"op": "end"}:
                    del entries[name]
                case {"op": "lost"}:
                    entries[name] = replace(entry, lost=True)
                case {"op": "take", "writer": int(writer)}:
                    entries[name] = replace(entry, writer=writer, lost=False)
                case {"op": "answer", "job_id": str(job_id)}:
                    entries[name] = replace(entry, job_id=job_id)
                case {"op": "other", "fingerprint": str(fingerprint)}:
                    entries[name] = replace(entry, others=(*entry.others, fingerprint))
                case _:
                    pass
    return entries


def _entry(event: dict[str, Any]) -> Entry | None:
    try:
        given: dict[str, Any] = {each.name: event[each.name] for each in fields(Entry)}
        given |= {"account": Account(**given["account"]), "others": tuple(given["others"])}
        entry = Entry(**given)
    except (TypeError, KeyError):
        return None
    texts = (entry.id, entry.key, entry.path, entry.query, entry.account.base_url, entry.account.fingerprint)
    fits = all(isinstance(text, str) for text in texts) and isinstance(entry.body, str | None)
    return entry if fits and isinstance(entry.at, int | float) and isinstance(entry.writer, int) else None


# ── Recognizing a repeated call ────────────────────────────────────────────────────────────────────────


def unknown(entries: Mapping[str, Entry], is_live: Callable[[Entry], bool]) -> list[Entry]:
    """The entries with an unknown outcome and no live writer, oldest first."""
    return [entry for entry in entries.values() if entry.lost or not is_live(entry)]


def same_call(
    candidates: Iterable[Entry], account: Account, request: Request, *, waits: bool
) -> Entry | None:
    """The unknown POST that `request` repeats. `waits`: it is a `create_and_wait`, which also continues a job."""
    for entry in candidates:
        if request.idempotency_key is None:
            is_same = not entry.own and asks_the_same(entry, request)
        else:
            is_same = entry.key == request.idempotency_key and entry.path == request.path
        if is_same and _may_be_of(entry, account) and (waits or entry.job_id is None):
            return entry
    return None


def asks_the_same(entry: Entry, request: Request) -> bool:
    """Whether a request asks for what an entry does."""
    then = _asked(entry.path, entry.query, entry.body)
    return then == _asked(request.path, request.query, request.body)


def is_of(entry: Entry, account: Account) -> bool:
    """Whether an entry is surely of `account`."""
    then = entry.account
    return then.fingerprint == account.fingerprint or (
        then.organization is not None and then.organization == account.organization
    )


def _may_be_of(entry: Entry, account: Account) -> bool:
    then = entry.account
    if then.base_url != account.base_url or account.fingerprint in entry.others:
        return False
    if then.fingerprint == account.fingerprint:
        return True
    # An API key may have been rotated. What both say of themselves must be the same.
    return then.environment == account.environment and (
        None in (then.organization, account.organization) or then.organization == account.organization
    )


def _asked(path: str, query: str, body: bytes | str | None) -> tuple[str, str, str]:
    value = load(body or b"null")
    if path == JOBS and isinstance(value, dict):
        return path, query, canonical(plain(cast("dict[str, Any]", value)))
    return path, query, canonical(plain_value(value))


# ── Allowed steps ──────────────────────────────────────────────────────────────────────────────────────


def is_repeatable(path: str) -> bool:
    """Whether this can be repeated harmlessly with another key."""
    return _REPEATABLE.fullmatch(path) is not None


def never_left(error: BaseException) -> bool:
    """Whether the POST that ended in `error` was never sent. Whatever the service responds, it may have done it."""
    return isinstance(error, FirstHandError) and error.request_sent is False


def shows_key(entry: Entry) -> bool:
    """Whether a search finds what an entry has done: the metadata of a job name the key."""
    return entry.path == JOBS and key_of(members(load(entry.body or ""))) == entry.key


def may_have_bought(entry: Entry, job: ShownJob) -> bool:
    """Whether an entry may have bought `job`, of which the service shows no metadata."""
    return fits(job, members(load(entry.body or "")))


def refusal(entry: Entry, path: str) -> ConfigurationError:
    """The error for a POST that cannot be settled."""
    error = ConfigurationError(
        f"the journal has this call with the idempotency key {entry.key}: its outcome is unknown, the same key is too "
        "old to be sent again safely, and what it did cannot be looked up. If nothing came of it, "
        f"client.journal.forget({entry.key!r}) or `firsthandapi journal forget {path} {entry.key}` lets the call go "
        "out again; nothing was sent"
    )
    error.idempotency_key = entry.key
    return error


# ── JSON ───────────────────────────────────────────────────────────────────────────────────────────────


def _line(event: dict[str, Any]) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode() + b"\n"


def _summary(body: str | None) -> str:
    asked = members(load(body or ""))
    text = str(asked.get("title") or asked.get("description") or asked.get("name") or asked.get("url") or "")
    rest = [f"{asked[name]} {unit}" for name, unit in _UNITS.items() if isinstance(asked.get(name), int)]
    cut = text[:_SHOWN] + ("…" if len(text) > _SHOWN else "")
    return visible(mask_secrets(", ".join([*([cut] if cut else []), *rest]), cut=len(text) > _SHOWN))


_UNITS = {
    "files_needed": "files",
    "price_per_file_cents": "cents per file",
    "amount_cents": "cents",
    "rating": "stars",
}
