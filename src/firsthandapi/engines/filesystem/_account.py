"""What is known of the jobs of an API key: files, URLs, connections. All file systems of a process share it, and what
was listed also the processes that multiprocessing starts."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import queue
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firsthandapi._base.host.replacing import replace
from firsthandapi._base.names import file_name_on_disk
from firsthandapi._core.calls.ratelimit import fingerprint
from firsthandapi._core.calls.request import check_id
from firsthandapi._core.files.download import Wanted, is_too_old
from firsthandapi._core.rows.manifest import (
    MANIFEST,
    RowOrigin,
    completed,
    manifest_line,
    origin_of,
    record_of,
)
from firsthandapi._sync.client import FirstHandClient
from firsthandapi.engines._submissions import columns_of
from firsthandapi.errors import (
    DownloadError,
    FirstHandError,
    IntegrityError,
    InvalidArgumentError,
    NotFoundError,
)

from ._lists import Lists

if TYPE_CHECKING:
    from firsthandapi.datasets._download.ranges import Readers
    from firsthandapi.types import File

# A URL alone costs a request, a list one per page: after so many alone, or as many as the list has pages, the list is
# cheaper.
_MOST_ALONE = 8
_PAGE = 100
# The first byte of a part costs five requests: these pages, a URL, and two downloads.
_MOST_LOOKED = 2
# How many seconds files that cannot be read are taken to be there after one of their job was.
_STILL_THERE = 10

OnCopied = Callable[[int, int], object]

# fsspec makes a file system per thread. Apart, each would list each job, and spend the key's requests by itself.
_accounts: weakref.WeakValueDictionary[tuple[str, str], AccountFiles] = weakref.WeakValueDictionary()


def account_of(client: FirstHandClient) -> AccountFiles:
    """The account that `client` reaches, with the client of the first that reached it."""
    config = client._config  # pyright: ignore[reportPrivateUsage] # of one house
    # An account that is not taken closes its client as it goes.
    return _accounts.setdefault((fingerprint(config.api_key), config.base_url), AccountFiles(client))


class AccountFiles:
    """The jobs and files of an API key. Any thread may call it."""

    def __init__(self, client: FirstHandClient) -> None:
        from firsthandapi.datasets._download.ranges import Readers

        self.client = client
        self.readers = Readers(client._config)  # pyright: ignore[reportPrivateUsage] # of one house
        self._files: dict[str, dict[str, File]] = {}
        self._manifests: dict[str, bytes] = {}
        self._columns: dict[str, Mapping[str | None, Mapping[str, Any]]] = {}  # by job, then by submission
        self._urls: dict[str, tuple[str, datetime | None]] = {}
        self._alone: Counter[str] = Counter()
        self._large: set[str] = set()  # jobs with more pages than a part may cost
        self._there_until: dict[str, float] = {}
        self._listing: dict[str, threading.RLock] = {}
        config = client._config  # pyright: ignore[reportPrivateUsage] # of one house
        self._lists = Lists(fingerprint(config.api_key), config.base_url)
        self._versions: dict[str, int] = {}  # of the shared lists, as last read or written
        # fsspec keeps its file systems for as long as the program runs.
        weakref.finalize(self, _close, client, self.readers, self._lists, os.getpid())

    def start_in_child(self) -> None:
        """Start over in a forked child: the threads that held these locks do not exist there."""
        self._listing = {}
        self.readers.start_in_child()

    def known(self, job_id: str) -> dict[str, File] | None:
        """A job's files by their names, if they were listed."""
        return self._files.get(job_id)

    def forget(self, job_id: str) -> None:
        """Forget the list of a job; of all, if it is empty."""
        for listed_id in [job_id] if job_id else [*self._files]:
            self._files.pop(listed_id, None)
            self._manifests.pop(listed_id, None)
            self._columns.pop(listed_id, None)
            self._lists.forget(listed_id)
        self._large.discard(job_id) if job_id else self._large.clear()

    def files(self, job_id: str, *, refresh: bool = False) -> dict[str, File]:
        """A job's files by their names, listed once. Raises FileNotFoundError: there is no such job."""
        with self._lock(job_id):
            if not refresh and (files := self._known(job_id)) is not None:
                return files
            version = self._lists.version(job_id)
            with self._lists.lock(job_id):
                # By another process, while this one waited.
                was_listed = self._lists.version(job_id) != version
                return (was_listed and self._adopted(job_id)) or self._listed(job_id) or {}

    def files_if_few(self, job_id: str) -> dict[str, File] | None:
        """As `files`, but None for a job that is not listed yet and has many pages."""
        with self._lock(job_id):
            files = self._known(job_id)
            if files is None and job_id not in self._large:
                files = self._listed(job_id, most_pages=_MOST_LOOKED)
            return files

    def _known(self, job_id: str) -> dict[str, File] | None:
        """A job's files, if this process has listed it, or another one has."""
        files = self._files.get(job_id)
        return self._adopted(job_id) if files is None else files

    def _adopted(self, job_id: str) -> dict[str, File] | None:
        """A job's files as another process has listed them, if it did so after this one."""
        version = self._lists.version(job_id)
        if version == self._versions.get(job_id, 0):
            return None
        self._versions[job_id] = version
        files = self._lists.read(job_id)
        return None if files is None else self._take(job_id, files)

    def _listed(self, job_id: str, *, most_pages: int | None = None) -> dict[str, File] | None:
        from firsthandapi.types._base import fitting  # pydantic, which an import of this module does not load

        files: list[File] = []
        try:
            page = self.client.files.list(id_in(job_id, job_id), min_score=1)
            for number, batch in enumerate(page.pages(), 1):
                files += map(fitting, batch.data)
                if number == most_pages and batch.has_more:
                    self._large.add(job_id)
                    self._note_urls(files)
                    return None
        except NotFoundError:
            raise FileNotFoundError(job_id) from None
        self._lists.write(job_id, files)
        self._versions[job_id] = self._lists.version(job_id)
        return self._take(job_id, files)

    def _take(self, job_id: str, files: Iterable[File]) -> dict[str, File]:
        self._note_urls(files)
        self._manifests.pop(job_id, None)
        self._columns.pop(job_id, None)
        self._files[job_id] = {file_name_on_disk(file.id, file.content_type): file for file in files}
        return self._files[job_id]

    def _note_urls(self, files: Iterable[File]) -> None:
        for file in files:
            if file.download_url is not None:
                self._urls[file.id] = file.download_url, file.download_url_expires_at

    def manifest(self, job_id: str) -> bytes:
        """A job's files as the rows of a dataset."""
        with self._lock(job_id):
            files = self.files(job_id)
            if job_id not in self._manifests:
                self._manifests[job_id] = self._rows(job_id, files)
            return self._manifests[job_id]

    def _rows(self, job_id: str, files: Mapping[str, File]) -> bytes:
        with self._lock(job_id):
            if job_id not in self._columns:
                ids = (file.submission_id for file in self.files(job_id).values())
                self._columns[job_id] = columns_of(self.client, job_id, ids)
            columns = self._columns[job_id]
        origin = origin_of(self.client._config)  # pyright: ignore[reportPrivateUsage] # of one house
        return b"".join(
            _row(job_id, name, file, origin, columns.get(file.submission_id, {}))
            for name, file in files.items()
        )

    def read(
        self, job_id: str, name: str, start: int, end: int | None, *, bound: bool = True
    ) -> tuple[bytes, int]:
        """The bytes of a file from `start` up to `end`, None for its end, and its size.

        The listed size binds every read, the listed SHA-256 a read of the whole file, for which a job is listed unless
        the caller does it (`bound`).
        Raises FileNotFoundError: there is no such file.
        Raises IntegrityError: the storage has other bytes than listed, twice.
        Raises DownloadError: it cannot be downloaded.
        """
        if name == MANIFEST:
            content = self.manifest(job_id)
            return content[start:end], len(content)
        file_id, file = self._find(job_id, name, whole=bound and start == 0 and end is None)
        url: str | None = None

        def url_of(stale: bool) -> str:
            nonlocal url
            url, _ = self._url(job_id, file_id, refused=url if stale else None)
            return url

        size_bytes, sha256 = (None, None) if file is None else (file.size_bytes, file.content_hash)
        try:
            with self.readers.take() as reader:
                content, size = reader.read(file_id, url_of, start, end, size_bytes=size_bytes, sha256=sha256)
        except (NotFoundError, DownloadError) as error:
            raise self._judged(job_id, name, error) from None
        if file is None and bound and start == 0 and len(content) == size:  # the part was the whole
            return self.read(job_id, name, 0, None)
        return content, size

    def prepare(self, places: Iterable[tuple[str, str]]) -> None:
        """Before many files are read: list the jobs of those whose URLs would cost more requests one by one."""
        files = [(job_id, name) for job_id, name in places if name and name != MANIFEST]
        for job_id, count in Counter(
            job_id for job_id, name in files if self._is_old(name.partition(".")[0])
        ).items():
            # Whoever reads a file of a job that does not exist is told so.
            with contextlib.suppress(FileNotFoundError):
                self._list_if_cheaper(id_in(job_id, job_id), count)

    def copy(self, copies: Sequence[tuple[str, str, Path]], on_copied: OnCopied) -> list[Exception | None]:
        """Download files side by side, each in one step, verified where it is listed.
        `copies`: job, name, and where to; without a name, a folder is created.
        `on_copied`: called in this thread with the place in `copies` and the size of each file that is there.
        Returns why each is missing, or None.
        """
        from firsthandapi.datasets._download.engine import Engine
        from firsthandapi.datasets._download.transfer import Outcome

        config = self.client._config  # pyright: ignore[reportPrivateUsage] # of one house
        errors: list[Exception | None] = [None] * len(copies)
        places: dict[int, int] = {}  # by the id of the download, since two may be equal
        wanted_by_id: dict[
            str, tuple[str, str | None]
        ] = {}  # by that of the file: its job, and the URL it has
        done: queue.Queue[Outcome] = queue.Queue()

        def refresh(file_id: str) -> tuple[str, datetime | None]:
            job_id, refused = wanted_by_id[file_id]
            fresh = self._url(job_id, file_id, refused=refused)
            wanted_by_id[file_id] = job_id, fresh[0]
            return fresh

        with Engine(config, refresh=refresh, on_done=done.put) as engine:
            for place, (job_id, name, target) in enumerate(copies):
                try:
                    if job_id and not name:
                        self.files(job_id)  # one that does not exist is no folder
                    (target.parent if name else target).mkdir(parents=True, exist_ok=True)
                    if not name:
                        continue
                    if name == MANIFEST:
                        continue  # last
                    download = self._wanted(job_id, name, target)
                    wanted_by_id[download.file_id] = job_id, download.url
                    engine.submit(download)
                    places[id(download)] = place
                except (OSError, FirstHandError) as error:
                    errors[place] = error
            missing = len(places)
            while missing:
                try:
                    # In slices: a queue that is waited for without end swallows Ctrl-C on Windows.
                    outcome = done.get(timeout=0.5)
                except queue.Empty:
                    continue
                missing -= 1
                place = places[id(outcome.wanted)]
                if outcome.error is None:
                    on_copied(place, outcome.size_bytes)
                else:
                    errors[place] = self._judged(*copies[place][:2], outcome.error)
        for place, (job_id, name, target) in enumerate(copies):
            if name == MANIFEST and errors[place] is None:
                try:
                    content = self._manifest_of(job_id, copies, errors)
                    replace(target, content)
                    on_copied(place, len(content))
                except (OSError, FirstHandError) as error:
                    errors[place] = error
        return errors

    def _manifest_of(
        self, job_id: str, copies: Sequence[tuple[str, str, Path]], errors: Sequence[Exception | None]
    ) -> bytes:
        """The manifest to put beside copies: the rows of those that came; of all files, if none was asked for."""
        came = {
            name: error is None
            for (job, name, _), error in zip(copies, errors, strict=True)
            if job == job_id and name not in ("", MANIFEST)
        }
        if not came:
            return self.manifest(job_id)
        files = self.files(job_id).items()
        return self._rows(job_id, {name: file for name, file in files if came.get(name)})

    def sign(self, job_id: str, name: str) -> tuple[str, datetime | None]:
        """A fresh URL of a file, and when it expires. Raises FileNotFoundError: there is no such file."""
        file_id, _ = self._find(job_id, name, whole=True)
        try:
            return self._refreshed(file_id)
        except NotFoundError:
            raise self._gone(job_id, name) from None

    def _judged(self, job_id: str, name: str, error: NotFoundError | DownloadError) -> Exception:
        """What an error of a download means: the service may no longer have the file, whatever the storage says."""
        causes = [error] if isinstance(error, NotFoundError) else [cause for _, cause in error.failures]
        if any(isinstance(cause, NotFoundError) for cause in causes):
            return self._gone(job_id, name)
        if isinstance(error, IntegrityError):
            return error
        with self._lock(job_id):
            # A storage that is down is not worth a question for each file.
            if time.monotonic() >= self._there_until.get(job_id, 0):
                try:
                    self._refreshed(name.partition(".")[0])
                except NotFoundError:
                    return self._gone(job_id, name)
                except FirstHandError:
                    pass
                self._there_until[job_id] = time.monotonic() + _STILL_THERE
        return error

    def _find(self, job_id: str, name: str, *, whole: bool) -> tuple[str, File | None]:
        """The id of a file, and what is listed of it: None is for a part alone, of a job that is large."""
        path = f"{job_id}/{name}"
        file_id = id_in(name.partition(".")[0], path)
        self._list_if_cheaper(id_in(job_id, path))
        # A URL says neither of which job a file is, nor its type, size, and hash.
        files = self.files(job_id) if whole else self.files_if_few(job_id)
        if files is not None and name not in files:
            raise FileNotFoundError(path)
        return file_id, None if files is None else files[name]

    def _wanted(self, job_id: str, name: str, target: Path) -> Wanted:
        _, file = self._find(job_id, name, whole=True)
        assert file is not None  # noqa: S101 # the job is listed
        return Wanted.of(file, target, self._urls.get(file.id, (None, None)))

    def _gone(self, job_id: str, name: str) -> FileNotFoundError:
        """Take a file that the service no longer has off the list: its worker may have withdrawn it."""
        with self._lock(job_id):
            if (files := self._files.get(job_id)) is not None:
                self._files[job_id] = {key: file for key, file in files.items() if key != name}
                self._manifests.pop(job_id, None)
        return FileNotFoundError(f"{job_id}/{name}")

    def _lock(self, job_id: str) -> threading.RLock:
        return self._listing.setdefault(job_id, threading.RLock())

    def _list_if_cheaper(self, job_id: str, more: int = 0) -> None:
        """List a job of which many URLs were asked for alone, or are about to be: it was not listed, or its URLs have
        expired together."""
        if self._many_alone(job_id, more):
            with self._lock(job_id):
                if self._many_alone(job_id, more):  # and no other thread has listed it meanwhile
                    if self._adopted(job_id) is None:
                        self.files(job_id, refresh=True)
                    self._alone[job_id] = 0

    def _many_alone(self, job_id: str, more: int = 0) -> bool:
        pages = -(-len(self.known(job_id) or ()) // _PAGE)
        return self._alone[job_id] + more >= max(_MOST_ALONE, pages)

    def _url(self, job_id: str, file_id: str, *, refused: str | None) -> tuple[str, datetime | None]:
        """A URL other than the one that was refused."""
        if self._is_old(file_id, refused):
            # One at a time: of many that were refused at once, most find theirs in the list that the others cost.
            with self._lock(job_id):
                if self._is_old(file_id, refused):
                    self._list_if_cheaper(job_id)
                if self._is_old(file_id, refused):
                    self._alone[job_id] += 1
                    self._refreshed(file_id)
        return self._urls[file_id]

    def _refreshed(self, file_id: str) -> tuple[str, datetime | None]:
        from firsthandapi.types._base import fitting

        fresh = fitting(self.client.files.refresh_url(file_id))
        self._urls[file_id] = fresh.download_url or "", fresh.download_url_expires_at
        return self._urls[file_id]

    def _is_old(self, file_id: str, refused: str | None = None) -> bool:
        url, expires_at = self._urls.get(file_id, ("", None))
        return url in ("", refused) or is_too_old(expires_at, now=time.time())


def id_in(value: str, path: str) -> str:
    """An id that stands in a path. Raises FileNotFoundError: it is none."""
    try:
        return check_id(value, "path")
    except InvalidArgumentError:
        raise FileNotFoundError(path) from None


def _row(job_id: str, name: str, file: File, origin: RowOrigin, columns: Mapping[str, Any]) -> bytes:
    """A row of the manifest. Size and SHA-256 are the service's: nothing was downloaded, nothing verified. They are
    null if it promises none."""
    record = completed(record_of(file, name, job_id=job_id, origin=origin), columns)
    promised: Any = {"size_bytes": file.size_bytes, "sha256": record.sha256 or None}
    return manifest_line(dataclasses.replace(record, file_name=name, **promised))


def _close(client: FirstHandClient, readers: Readers, lists: Lists, pid: int) -> None:
    client.close()
    readers.close()
    if os.getpid() == pid:  # not of a forked child
        lists.close()


def _start_in_child() -> None:  # pragma: no cover # it runs in a forked child, which is not measured
    for account in list(_accounts.values()):
        account.start_in_child()


if hasattr(os, "register_at_fork"):  # pragma: no branch # Windows has no fork
    # Before any thread of the child can read.
    os.register_at_fork(after_in_child=_start_in_child)
