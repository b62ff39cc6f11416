"""`job.json`: the request of a folder, and the job that it bought."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from firsthandapi._core.calls import loose_json
from firsthandapi._core.calls.decode import decode
from firsthandapi._core.calls.idempotency import KEY_LIFETIME, check_key, is_known
from firsthandapi._core.calls.request import check_id
from firsthandapi._core.files.labels import is_label
from firsthandapi._masking import Secret
from firsthandapi.errors import ConfigurationError, InvalidArgumentError

from .request_hash import (
    REQUEST_METADATA,
    canonical,
    plain,
    request_hash,
    request_hash_of,
    text_in_metadata,
)

if TYPE_CHECKING:
    from firsthandapi.types.job import Job

# A job as the service shows it, and as `job.json` contains it.
ShownJob = dict[str, Any]

JOB_FILE = "job.json"
# In a folder with labels: one file per job, like job.json, named by the label or the job's id.
JOBS = "jobs"
# The most that is read from an untrusted folder: files in `jobs/`, and their bytes in total.
MOST_JOBS = 10_000
LARGEST_JOBS = 64 * 1024 * 1024
# The most that is read of an untrusted file. A job is a few kilobytes, of which only the metadata have no bound; in
# memory, JSON takes up to 25 times its length.
LARGEST_RECORD = 16 * 1024 * 1024
KEY_METADATA = "firsthandapi_key"

# The end of the year 9999, in Unix seconds.
_END_OF_TIME = 253_402_300_800.0
_VERSION = 1
_ALWAYS = ("request", "idempotency_key", "first_sent_at", "job")
# What can be read of a damaged file: members of the outermost object, as `encode` indents them.
_KEY = re.compile(rb'\n  "idempotency_key": ("(?:[^"\\\n]|\\.){1,400}")')
_JOB_ID = re.compile(rb'\n  "job": \{\n(?:    [^\n]*\n)*?    "id": ("[A-Za-z0-9_\-]{1,128}")')
# Older pages of the service name coordinates so; a service may show the other name.
_COORDINATES = {"lat": "latitude", "lng": "longitude", "lon": "longitude"}
# A meter in degrees: a service may round by that.
_CLOSE = 1e-5
_NOT_SHOWN: tuple[Any, ...] = (None, "", [], {})


@dataclass(frozen=True)
class OrderRecord:
    """What `job.json` contains: enough to continue after a crash at any point, and to buy nothing twice.

    Attributes:
        request: the body of the POST, without the key; None for a folder made by `download_all`.
        idempotency_key: the key it is sent with; None likewise.
        first_sent_at: Unix seconds of the moment before the first POST.
        job: the job as last seen; None until the service has responded.
        label: the label of its files; None for a folder without labels.
        request_hash: the hash that is sent with the request; None if it is sent without one.
        repeated: how many of its files have no row, because its list shows them twice, or another job has brought them.
        server_sent_at: the service's time at that moment, in Unix seconds; None if it is not known.
        selected: whether the folder is to have some of its files only, as those of a view.
    """

    request: dict[str, Any] | None
    idempotency_key: str | None
    first_sent_at: float | None
    job: ShownJob | None
    label: str | None = None
    request_hash: str | None = None
    server_sent_at: float | None = None
    repeated: int | None = None
    selected: bool | None = None

    def members(self) -> dict[str, Any]:
        """The members to write: optional ones only where they are set."""
        return {name: value for name, value in vars(self).items() if value is not None or name in _ALWAYS}

    def encode(self) -> bytes:
        members = {"version": _VERSION, **self.members()}
        return json.dumps(members, ensure_ascii=False, indent=2).encode("utf-8", "replace") + b"\n"

    def body(self) -> dict[str, Any]:
        """The body of the POST, the same every time."""
        request = self.request or {}
        marks = {REQUEST_METADATA: self.request_hash, KEY_METADATA: self.idempotency_key}
        own: dict[str, Any] = request.get("metadata") or {}
        return {**request, "metadata": own | {name: mark for name, mark in marks.items() if mark is not None}}

    @property
    def shows_key(self) -> bool:
        """Whether its job will carry the key, so that a search finds it."""
        return key_of(self.body()) == self.idempotency_key

    @property
    def job_id(self) -> str | None:
        """The job's id; None until the service has responded."""
        return job_id_of(self.job)

    def with_job(self, job: ShownJob) -> OrderRecord:
        """The same with the job as last seen."""
        return replace(self, job=job)

    def is_young(self, now: float, server_now: float | None = None) -> bool:
        """Whether the service certainly still knows the key. A clock that was set back makes its age unknown."""
        sent_at, server_sent_at = self.first_sent_at or 0.0, self.server_sent_at
        return is_known(sent_at, now, server_sent_at=server_sent_at, server_now=server_now)


@dataclass(frozen=True)
class UnreadableRecord:
    """A `job.json` that a crash, a disk or a later version of this package has left, and what can still be read of it.

    Attributes:
        idempotency_key: the key, or None if it cannot be read.
        job_id: the job's id, or None likewise.
        newer: whether a later version wrote it.
    """

    idempotency_key: str | None = None
    job_id: str | None = None
    newer: bool = False


def read_record(content: bytes) -> OrderRecord | UnreadableRecord:
    """`job.json`, checked, or what can be read of it."""
    row = loose_json.members(loose_json.load(content))
    version = row.get("version")
    job_file = record_in(row) if version == _VERSION else None
    if job_file is not None:
        return job_file
    key, job = row.get("idempotency_key"), row.get("job")
    if not row:
        key, job = _salvaged(_KEY, content), {"id": _salvaged(_JOB_ID, content)}
    newer = isinstance(version, int) and version > _VERSION
    return UnreadableRecord(key if _is_key(key) else None, job_id_of(job), newer)


def record_in(row: Mapping[str, Any]) -> OrderRecord | None:
    """The order that a JSON object describes; None if it is not a valid one."""
    request, key, sent, job, label, digest, served, repeated, selected = (
        row.get(member.name) for member in fields(OrderRecord)
    )
    is_whole = (
        _is_ordered(request, key, sent)
        and (job is None or job_id_of(job))
        and (request is not None or job is not None)
        and (label is None or is_label(label))
        and (digest is None or isinstance(digest, str))
        and (served is None or _is_time(served))
        and (repeated is None or type(repeated) is int)
        and isinstance(selected, bool | None)
    )
    return (
        OrderRecord(request, key, sent, job, label, digest, served, repeated, selected) if is_whole else None
    )


def parse_record(content: bytes, path: str = JOB_FILE) -> OrderRecord:
    """`job.json`, checked. `path` is what errors call it. Raises ConfigurationError: it cannot be read."""
    job_file = read_record(content)
    if isinstance(job_file, UnreadableRecord):
        raise unreadable(job_file, path)
    return job_file


def unreadable(job_file: UnreadableRecord, path: str = JOB_FILE) -> ConfigurationError:
    """The error for a `job.json` that cannot be read."""
    job_id = job_file.job_id
    of = "" if job_id is None else f" of {job_id}"
    if job_file.newer:
        # This version does not touch the folder: it could lose the later version's data.
        way = "" if job_id is None else f"; files.download_all({job_id!r}, …) fills a different folder"
        return ConfigurationError(
            f"{path}{of} was written by a later version of firsthandapi: upgrade firsthandapi{way}"
        )
    way = "" if job_id is None else f"; files.download_all({job_id!r}, …) downloads its files"
    return ConfigurationError(
        f"{path}{of} is empty or damaged: run the call that started the folder again to restore it{way}"
    )


def _salvaged(pattern: re.Pattern[bytes], content: bytes) -> str | None:
    found = pattern.findall(content)
    return loose_json.load(found[-1]) if found else None


def _is_key(key: Any) -> bool:
    try:
        return bool(check_key(key))
    except InvalidArgumentError:
        return False


def _is_ordered(request: Any, key: Any, sent: Any) -> bool:
    """Whether these are a request with its key and time, or nothing of it."""
    if request is None:
        return key is None and sent is None
    return isinstance(request, dict) and _is_time(sent) and _is_key(key)


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _END_OF_TIME


def job_id_of(job: Any) -> str | None:
    """The id of a job, if it is one that can be asked for."""
    try:
        return check_id(loose_json.members(job).get("id"), "id")
    except InvalidArgumentError:
        return None


def is_young(job: Mapping[str, Any], now: float) -> bool:
    """Whether the service surely still knows the key that bought `job`."""
    try:
        created = datetime.fromisoformat(str(job.get("created_at"))).timestamp()
    except (ValueError, OverflowError):
        return False
    return now - created <= KEY_LIFETIME


def dump(job: Job) -> ShownJob:
    """A job as `job.json` contains it."""
    return job.model_dump(mode="json", exclude_none=True)


def load(shown: ShownJob) -> Job:
    """A job as `dump` has left it. Raises UnexpectedResponseError: it is not one."""
    from firsthandapi.types.job import Job

    return decode(Job, Secret(json.dumps(shown).encode()), None)


# ── Is it the same? ────────────────────────────────────────────────────────────────────────────────────


def differing(recorded: Mapping[str, Any], request: Mapping[str, Any]) -> list[str]:
    """The fields in which two requests ask for different things."""
    one, other = plain(recorded), plain(request)
    names = one.keys() | other.keys()
    return sorted(name for name in names if canonical(one.get(name)) != canonical(other.get(name)))


def fits(job: Mapping[str, Any], request: Mapping[str, Any]) -> bool:
    """Whether `job` is what `request` asks for: by the hash that it carries, or else by every field that it shows.

    A service may leave fields out, add its defaults, and write values in another form.
    """
    from firsthandapi.types._base import fitting
    from firsthandapi.types.job import Job
    from firsthandapi.types.job_arguments import JobCreateParams

    digest = request_hash_of(job)
    if digest is not None:
        return digest == request_hash(request)
    shown, asked = plain(job), plain(request)
    # A value of another type than documented cannot be compared; that of a place still names another one.
    read = fitting(Job.model_validate({"id": "", "status": "", **job}))
    # The fields of the caller's extra_body, except names that a job itself sets.
    names = JobCreateParams.model_fields.keys() | (asked.keys() - Job.model_fields.keys())
    return all(
        _same(name, shown.get(name), asked.get(name))
        for name in names
        if job.get(name) not in _NOT_SHOWN and (name == "location" or getattr(read, name, None) is not None)
    )


def key_of(job: Mapping[str, Any]) -> str | None:
    """The key that `collect` bought a job with; None for any other job."""
    key = text_in_metadata(job, KEY_METADATA)
    return key if _is_key(key) else None


def _same(name: str, shown: Any, asked: Any) -> bool:
    if name == "location" and isinstance(shown, dict) and isinstance(asked, dict):
        one, other = (
            {_COORDINATES.get(key, key): item for key, item in place.items()}
            for place in (cast("dict[str, Any]", shown), cast("dict[str, Any]", asked))
        )
        both = one.keys() & other.keys()
        return bool(both) and all(_close(one[key], other[key]) for key in both)
    return canonical(shown) == canonical(asked)


def _close(one: Any, other: Any) -> bool:
    numbers = [value for value in (one, other) if isinstance(value, int | float)]
    return abs(numbers[0] - numbers[1]) <= _CLOSE if len(numbers) == 2 else canonical(one) == canonical(other)
