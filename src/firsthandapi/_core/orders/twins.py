"""Two jobs with one key: a service has posted twice what it should have posted once, and both are charged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from firsthandapi.types.enums import TERMINAL_JOB_STATUSES

from .record import ShownJob, key_of

_NEVER = datetime.max.replace(tzinfo=UTC)


def oldest_first(jobs: Iterable[ShownJob]) -> list[ShownJob]:
    """Jobs by their age, in the same order on every machine."""
    return sorted(jobs, key=lambda job: (_created(job), str(job["id"])))


def warning(used: Mapping[str, Any], twin: Mapping[str, Any]) -> str:
    """What to say of a job that has the key of the one that is used."""
    text = f"{used['id']} and {twin['id']} were both posted with idempotency key {key_of(twin)}, and both are charged"
    if twin.get("status") in TERMINAL_JOB_STATUSES:
        return f"{text}: {twin['id']} is {twin['status']}, so ask the service for its refund"
    return f"{text}: if you do not want {twin['id']}, run firsthandapi jobs cancel {twin['id']}"


def _created(job: ShownJob) -> datetime:
    try:
        moment = datetime.fromisoformat(str(job.get("created_at")))
    except ValueError:
        return _NEVER
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
