"""`job.json`: what a folder was ordered with, and what is to be done about its job."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, cast

from firsthandapi.errors import ConfigurationError, InvalidArgumentError

from .idempotency import check_key
from .request import check_id

JOB_FILE = "job.json"
# Of one that comes from a stranger. A job is a few kilobytes, of which only the metadata have no bound; in memory, JSON
# takes up to 25 times its length.
LARGEST_JOB_FILE = 16 * 1024 * 1024

# Within this time the service surely still knows an idempotency key (it keeps them for 24 hours).
KEY_LIFETIME = 23 * 3600.0
# A clock that went back by more than this tells nothing about a key's age.
CLOCK_SLACK = 300.0
KEY_METADATA = "firsthandapi_key"

# The end of the year 9999, in Unix seconds.
_END_OF_TIME = 253_402_300_800.0


@dataclass(frozen=True)
class JobFile:
    """What `job.json` holds: enough to go on after a crash at any point, and to buy nothing twice.

    Attributes:
        request: the body of the POST, without the key; None for a folder made by `download_all`.
        idempotency_key: the key it is sent with; None likewise.
        first_sent_at: Unix seconds of the moment before the first POST.
        job: the job as last seen; None until the service has answered.
    """

    request: dict[str, Any] | None
    idempotency_key: str | None
    first_sent_at: float | None
    job: dict[str, Any] | None

    def encode(self) -> bytes:
        return (
            json.dumps({"version": 1, **vars(self)}, ensure_ascii=False, indent=2).encode("utf-8", "replace")
            + b"\n"
        )


def parse_job_file(content: bytes) -> JobFile:
    """`job.json`, checked.

    Raises:
        ConfigurationError: it is not one of ours.
    """
    try:
        loaded = json.loads(content)
    except (ValueError, RecursionError):
        loaded = None
    row: dict[str, Any] = cast("dict[str, Any]", loaded) if isinstance(loaded, dict) else {}
    request, key, sent, job = (row.get(member.name) for member in fields(JobFile))
    if row.get("version") != 1 or not (_is_ordered(request, key, sent) and _is_job(job)):
        raise ConfigurationError(
            f"{JOB_FILE} is not one that this version of firsthandapi wrote; use another folder, "
            "or restore the file: it says which job was bought for this folder"
        )
    if request is None and job is None:
        raise ConfigurationError(f"{JOB_FILE} names neither a request nor a job; use another folder")
    return JobFile(request, key, sent, job)


def _is_ordered(request: Any, key: Any, sent: Any) -> bool:
    """Whether these are a request with its key and time, or nothing of it."""
    if request is None:
        return key is None and sent is None
    try:
        check_key(key)
    except InvalidArgumentError:
        return False
    is_time = isinstance(sent, int | float) and not isinstance(sent, bool) and 0 <= sent < _END_OF_TIME
    return isinstance(request, dict) and is_time


def _is_job(job: Any) -> bool:
    if job is None:
        return True
    try:
        return isinstance(job, dict) and bool(check_id(cast("Any", job).get("id"), "id"))
    except InvalidArgumentError:
        return False


Step = Literal["post", "find", "continue"]


def next_step(found: JobFile, *, now: float) -> Step:
    """What to do about the job of a folder: `post` it (again), `find` it, or `continue` it.

    An old key is never sent again: the service may have forgotten it, and would sell a second job. A clock
    that jumped back makes the key's age unknown, which is treated as old.
    """
    if found.job is not None:
        return "continue"
    age = now - (found.first_sent_at or 0.0)
    return "post" if -CLOCK_SLACK <= age <= KEY_LIFETIME else "find"


def check_same_request(found: JobFile, request: Mapping[str, Any], key: str | None) -> None:
    """Refuse another request into a folder that has one.

    Raises:
        InvalidArgumentError: the folder belongs to another job.
    """
    if found.request is None:
        raise InvalidArgumentError(
            "dest holds the files of a job that download_all fetched; collect into another folder",
            field="dest",
        )
    differing = sorted(
        name for name in {*found.request, *request} if found.request.get(name) != request.get(name)
    )
    if differing:
        raise InvalidArgumentError(
            f"dest belongs to another request: {', '.join(differing)} differ from its {JOB_FILE}. "
            "Use another folder, or the same arguments to continue that job",
            field="dest",
        )
    if key is not None and key != found.idempotency_key:
        raise InvalidArgumentError(
            f"dest belongs to a request with another idempotency_key ({found.idempotency_key}); "
            "leave it out to continue that job",
            field="idempotency_key",
        )
