"""`firsthand://job_…/file_….jpg`: a job's approved files as a file system for fsspec (extra `remote`).

    pandas.read_json("firsthand://job_01JP…/…")
    datasets.load_dataset("imagefolder", data_files="firsthand://job_01JP…/*.jpg", streaming=True)

Nothing is copied: bytes are downloaded when they are read.
"""

# fsspec ships no types.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyright: reportMissingTypeStubs=false, reportUntypedBaseClass=false
from __future__ import annotations

import hashlib
import io
import os
import weakref
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from firsthandapi._core.config import API_KEY_VARIABLE, BASE_URL_VARIABLE
from firsthandapi._core.download import is_too_old
from firsthandapi._core.files import file_name_on_disk
from firsthandapi._core.request import check_id
from firsthandapi._sync.client import FirstHandClient
from firsthandapi.errors import ConfigurationError, InvalidArgumentError, NotFoundError

if TYPE_CHECKING:
    from firsthandapi._download.ranges import RangeReader
    from firsthandapi.types import File

_READ_ONLY = (
    "a job's files can only be read; to change them, copy them first: client.files.download_all(job_id, …)"
)


class _Environment:
    """Tells clients apart that find another key or address in the environment: fsspec keeps file systems by this."""

    def __get__(self, instance: object, owner: type) -> str:
        names = (API_KEY_VARIABLE, BASE_URL_VARIABLE)
        return hashlib.sha256(repr([os.environ.get(name) for name in names]).encode()).hexdigest()


class FirstHandFileSystem(AbstractFileSystem):  # type: ignore[misc] # fsspec ships no types
    """The jobs of an API key, each a folder of its approved files.

    Args:
        api_key: else `FIRSTHAND_API_KEY`.
        base_url: else `FIRSTHAND_BASE_URL`, else the public service.
        **storage_options: those of fsspec.

    Raises:
        ConfigurationError: there is no key, or an option is bad.
    """

    protocol = "firsthand"
    root_marker = ""
    _extra_tokenize_attributes = ("environment",)
    environment = _Environment()

    def __init__(
        self, api_key: str | None = None, base_url: str | None = None, **storage_options: Any
    ) -> None:
        super().__init__(**storage_options)
        self._client = FirstHandClient(api_key, base_url)
        # Those that no thread uses at the moment, with their connections.
        self._readers: list[RangeReader] = []
        # fsspec keeps a file system for as long as the program runs.
        weakref.finalize(self, _close, self._client, self._readers)
        self._files: dict[str, dict[str, File]] = {}
        self._urls: dict[str, tuple[str, datetime | None]] = {}

    # ── Reading ──────────────────────────────────────────────────────────────────────────────────────────

    def ls(self, path: str, detail: bool = True, refresh: bool = False, **_: Any) -> list[Any]:
        """List a job's files, or all jobs.

        Args:
            path: `job_…`, one of its files, or nothing for all jobs.
            detail: whether to return dicts, or names alone.
            refresh: whether to ask the service again; else a list is read once.

        Raises:
            FileNotFoundError: there is no such job or file.
        """
        job_id, name = _parts(_plain(path))
        if not job_id:
            found = [_folder(job.id) for job in self._client.jobs.list()]
        elif name:
            found = [self.info(path)]
        else:
            found = [_entry(job_id, name, file) for name, file in self._listed(job_id, refresh).items()]
        return found if detail else [entry["name"] for entry in found]

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """What is known of a job or file.

        Raises:
            FileNotFoundError: there is no such job or file.
        """
        job_id, name = _parts(_plain(path))
        if not job_id:
            return _folder("")
        if not name:
            if job_id not in self._files:
                try:
                    self._client.jobs.get(_id(job_id, path))
                except NotFoundError:
                    raise FileNotFoundError(path) from None
            return _folder(job_id)
        if job_id in self._files:
            file = self._files[job_id].get(name)
            if file is None:
                raise FileNotFoundError(path)
            return _entry(job_id, name, file)
        # One file needs no list: the response to its URL contains its size.
        size = self._range(path, 0, 1)[1]
        return {"name": f"{job_id}/{name}", "size": size, "type": "file"}

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        """The bytes of a file from `start` up to `end`; negative numbers count from its end.

        Raises:
            FileNotFoundError: there is no such file.
            DownloadError: it cannot be downloaded.
        """
        if (start or 0) < 0 or (end or 0) < 0:
            size = self.info(path)["size"]
            start = max(size + start, 0) if start is not None and start < 0 else start
            end = max(size + end, 0) if end is not None and end < 0 else end
        if end is not None and end <= (start or 0):
            return b""
        return self._range(path, start or 0, end)[0]

    def _open(  # pyright: ignore[reportIncompatibleMethodOverride] # fsspec passes these by name
        self, path: str, mode: str = "rb", block_size: int | None = None, **options: Any
    ) -> Any:
        if mode != "rb":
            raise io.UnsupportedOperation(_READ_ONLY)
        options.pop("autocommit", None)
        options.setdefault("size", self.info(path)["size"])
        return FirstHandFile(self, path, mode, block_size, **options)  # pyright: ignore[reportArgumentType] # None is its default

    def created(self, path: str) -> datetime | None:
        """When a file was approved and created."""
        created: datetime | None = self.info(path).get("created")
        return created

    def ukey(self, path: str) -> str:
        """What changes when a file's bytes do: its SHA-256, if the service reports it."""
        return str(self.info(path).get("sha256") or _plain(path))

    def invalidate_cache(self, path: str | None = None) -> None:
        """Forget the listings."""
        job_id = _parts(_plain(path))[0] if path else ""
        for each in [job_id] if job_id else [*self._files]:
            self._files.pop(each, None)

    def close(self) -> None:
        """Close the connections."""
        _close(self._client, self._readers)

    # ── What is not to be done ───────────────────────────────────────────────────────────────────────────

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise io.UnsupportedOperation(_READ_ONLY)

    cp_file = mv = rm = _rm = rm_file = rmdir = mkdir = makedirs = touch = pipe_file = put_file = _refuse

    # ── The way to a file ────────────────────────────────────────────────────────────────────────────────

    def _listed(self, job_id: str, refresh: bool = False) -> dict[str, File]:
        if refresh or job_id not in self._files:
            files: dict[str, File] = {}
            try:
                for file in self._client.files.list(_id(job_id, job_id), min_score=1):
                    files[file_name_on_disk(file.id, file.content_type)] = file
                    if file.download_url is not None:
                        self._urls[file.id] = file.download_url, file.download_url_expires_at
            except NotFoundError:
                raise FileNotFoundError(job_id) from None
            self._files[job_id] = files
        return self._files[job_id]

    def _range(self, path: str, start: int, end: int | None) -> tuple[bytes, int]:
        job_id, name = _parts(_plain(path))
        if not name or (job_id in self._files and name not in self._files[job_id]):
            raise FileNotFoundError(path)
        file_id = _id(name.partition(".")[0], path)
        try:
            reader = self._readers.pop()
        except IndexError:
            from firsthandapi._download.ranges import RangeReader

            reader = RangeReader(self._client._config)  # pyright: ignore[reportPrivateUsage] # of one house
        try:
            return reader.read(file_id, lambda stale: self._url(file_id, stale), start, end)
        except NotFoundError:
            raise FileNotFoundError(path) from None
        finally:
            self._readers.append(reader)

    def _url(self, file_id: str, stale: bool) -> str:
        import time

        url, expires_at = self._urls.get(file_id, ("", None))
        if stale or not url or is_too_old(expires_at, now=time.time()):
            fresh = self._client.files.refresh_url(file_id)
            url = fresh.download_url or ""
            self._urls[file_id] = url, fresh.download_url_expires_at
        return url

    def to_dict(self, **_: Any) -> dict[str, Any]:
        """What describes the file system: never the key."""
        described: dict[str, Any] = super().to_dict(include_password=False)
        described.pop("api_key", None)
        return described

    def __reduce__(self) -> Any:
        # A DataLoader's workers make their own client. fsspec would put the key into the pickle.
        if self.storage_options.get("api_key") is not None:
            raise ConfigurationError(
                "a file system with api_key= cannot be pickled: it would carry the key; set FIRSTHAND_API_KEY instead"
            )
        return super().__reduce__()

    def __repr__(self) -> str:
        return f"<FirstHandFileSystem {self._client!r}>"


class FirstHandFile(AbstractBufferedFile):  # type: ignore[misc] # fsspec ships no types
    """A file that is downloaded in parts, when they are read."""

    def _fetch_range(self, start: int, end: int) -> bytes:
        content: bytes = self.fs.cat_file(self.path, start, end)
        return content


def _close(client: FirstHandClient, readers: list[RangeReader]) -> None:
    client.close()
    while readers:
        readers.pop().close()


def _plain(path: str) -> str:
    return str(FirstHandFileSystem._strip_protocol(path))  # pyright: ignore[reportPrivateUsage] # of its own class


def _parts(path: str) -> tuple[str, str]:
    job_id, _, name = path.strip("/").partition("/")
    return job_id, name


def _id(value: str, path: str) -> str:
    try:
        return check_id(value, "path")
    except InvalidArgumentError:
        raise FileNotFoundError(path) from None


def _folder(name: str) -> dict[str, Any]:
    return {"name": name, "size": 0, "type": "directory"}


def _entry(job_id: str, name: str, file: File) -> dict[str, Any]:
    return {
        "name": f"{job_id}/{name}",
        "size": file.size_bytes,
        "type": "file",
        "created": file.created_at,
        "content_type": file.content_type,
        "sha256": file.content_hash,
        "ai_star_rating": file.ai_star_rating,
    }
