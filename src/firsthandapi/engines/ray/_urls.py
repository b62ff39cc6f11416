"""The actor that alone holds the API key and the request budget: it lists files, and gives workers their URLs."""

# Ray is an extra, so type checkers may not find it.
# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false
from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, cast

from firsthandapi._base.masking import Secret
from firsthandapi._base.names import disk_key, file_name_on_disk
from firsthandapi._core.files.download import is_too_old
from firsthandapi._core.files.kinds import folder_of, is_mixed
from firsthandapi._core.rows.manifest import Record, RowOrigin, completed, origin_of, record_of
from firsthandapi._sync.client import FirstHandClient
from firsthandapi.engines._submissions import columns_of
from firsthandapi.types import File
from firsthandapi.types._base import fitting

from ._cluster import result_of

# A page of a list brings so many URLs for one request; to refresh one by itself costs a request too.
_PAGE = 100

# The client in the actor sends the requests of so many calls within its budget.
_CALLS_AT_ONCE = 16

Url = tuple[str, datetime | None]


@dataclass(frozen=True)
class Keeper:
    """The way to the actor, for the driver and the workers.

    Attributes:
        actor: the handle of a `Urls`.
        base_url: the service's address.
    """

    actor: Any
    base_url: str

    @classmethod
    def start(cls, key: Secret[str], base_url: str) -> Keeper:
        """Start the actor. Ray keeps what it was started with, the key included, to start it again after a crash."""
        import ray

        remote: Any = ray.remote
        # It is idle most of the time. If it dies, calls wait for the next.
        options = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1}
        actor = remote(max_concurrency=_CALLS_AT_ONCE, **options)(Urls)
        return cls(actor.remote(key, base_url), base_url)

    def files(self, job_ids: list[str], min_score: int) -> list[Record]:
        """The rows of the approved files of some jobs, each once. A request per hundred.

        One that the service promises no size or SHA-256 has 0 or an empty one, until it is downloaded.
        """
        return cast("list[Record]", result_of(self.actor.files.remote(job_ids, min_score)))

    def completed(self, files: list[Record]) -> list[Record]:
        """The rows with the columns of their submissions. A request per hundred of each job, once."""
        return cast("list[Record]", result_of(self.actor.completed.remote(files)))

    def urls(self, files: list[tuple[str, str]]) -> list[Secret[Url]]:
        """The URLs of some files, each given as its job's id and its own, none of them expired."""
        return cast("list[Secret[Url]]", result_of(self.actor.urls.remote(files)))

    def fresh(self, file_id: str) -> Url:
        """A new URL for a file whose URL was refused."""
        return cast("Url", result_of(self.actor.fresh.remote(file_id)))


class Urls:
    """Runs as an actor, in a process of its own; `Keeper` has its methods. A new one after a crash knows nothing."""

    def __init__(self, key: Secret[str], base_url: str) -> None:
        self._client = FirstHandClient(key.reveal(), base_url)
        self._urls: dict[str, Url] = {}
        self._files: dict[str, dict[str, str | None]] = {}  # by job, the submission of each file
        self._columns: dict[str, Mapping[str | None, Mapping[str, Any]]] = {}  # by job, then by submission
        self._lock = threading.RLock()

    def files(self, job_ids: list[str], min_score: int) -> list[Record]:
        files = {file.id: (job_id, file) for job_id in job_ids for file in self._list(job_id, min_score)}
        mixed = is_mixed(file.content_type for _, file in files.values() if file.content_type)
        taken: set[str] = set()
        origin = origin_of(self._client._config)  # pyright: ignore[reportPrivateUsage] # of one house
        return [_row(job_id, file, origin, mixed=mixed, taken=taken) for job_id, file in files.values()]

    def completed(self, files: list[Record]) -> list[Record]:
        return [
            completed(row, self._columns_of(row.job_id or "").get(row.submission_id, {})) for row in files
        ]

    def _columns_of(self, job_id: str) -> Mapping[str | None, Mapping[str, Any]]:
        with self._lock:
            if job_id not in self._columns:
                if job_id not in self._files:
                    self._list(job_id, 1)
                self._columns[job_id] = columns_of(self._client, job_id, self._files[job_id].values())
            return self._columns[job_id]

    def urls(self, files: list[tuple[str, str]]) -> list[Secret[Url]]:
        for job_id in {job_id for job_id, file_id in files if self._is_old(file_id)}:
            with self._lock:
                file_ids = self._files.get(job_id, {})
                old = sum(map(self._is_old, file_ids))
                # Those of a job expire together: then a list is cheaper than a request for each.
                if not file_ids or old > -(-len(file_ids) // _PAGE):
                    self._list(job_id, 1)
        return [Secret(self.fresh(file) if self._is_old(file) else self._urls[file]) for _, file in files]

    def fresh(self, file_id: str) -> Url:
        file = fitting(self._client.files.refresh_url(file_id))
        self._urls[file_id] = file.download_url or "", file.download_url_expires_at
        return self._urls[file_id]

    def _list(self, job_id: str, min_score: int) -> list[File]:
        files = [*map(fitting, self._client.files.list(job_id, min_score=min_score))]
        self._urls |= {f.id: (f.download_url, f.download_url_expires_at) for f in files if f.download_url}
        self._files[job_id] = {file.id: file.submission_id for file in files}
        return files

    def _is_old(self, file_id: str) -> bool:
        url, expires_at = self._urls.get(file_id, ("", None))
        return not url or is_too_old(expires_at, now=time.time())


def _row(job_id: str, file: File, origin: RowOrigin, *, mixed: bool, taken: set[str]) -> Record:
    subfolder = folder_of(file.content_type, mixed=mixed)
    name = file_name_on_disk(file.id, file.content_type)
    if disk_key(name) in taken:  # ids that differ only in case are one file on many disks
        name = file_name_on_disk(file.id, file.content_type, plain=False)
    taken.add(disk_key(name))
    row = record_of(file, name, job_id=job_id, origin=origin)
    return replace(row, file_name=f"{subfolder}/{row.file_name}") if subfolder else row
