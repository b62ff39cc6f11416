"""What rows have of the submissions of their files, as `files.download_all` reads it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from firsthandapi._sync.client import FirstHandClient


def columns_of(
    client: FirstHandClient, job_id: str, submissions: Iterable[str | None]
) -> dict[str | None, Mapping[str, Any]]:
    """The columns of a job's submissions, by their ids. A request per hundred."""
    from firsthandapi._sync.waiting import Waiting  # pydantic, which an import of this module does not load
    from firsthandapi._sync.workers import Workers

    columns: dict[Any, Mapping[str, Any]] = {}
    if ids := frozenset(filter(None, submissions)):
        transport = client._transport  # pyright: ignore[reportPrivateUsage] # of one house
        Workers(transport, Waiting(transport, job_id, patient=False)).read(ids, columns)
    return columns
