"""What fsspec asks of a file system, and the answers."""

# fsspec ships no types.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyright: reportMissingTypeStubs=false, reportUntypedBaseClass=false
from __future__ import annotations

import hashlib
import io
import os
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fsspec.spec import AbstractBufferedFile, AbstractFileSystem, make_instance

from firsthandapi._core.calls.config import API_KEY_VARIABLE, BASE_URL_VARIABLE
from firsthandapi._core.files.download import failure
from firsthandapi._core.rows.manifest import MANIFEST
from firsthandapi._masking import secret_or_none
from firsthandapi._sync.client import FirstHandClient
from firsthandapi.errors import ConfigurationError, NotFoundError

from ._account import account_of, id_in

if TYPE_CHECKING:
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

    Each folder also has a `metadata.jsonl`, which `ls` leaves out: a row per file, with the columns that a
    downloaded dataset has, and the file's name relative to the folder.

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
        key, url = secret_or_none(api_key), secret_or_none(base_url)
        del api_key, base_url
        super().__init__(**storage_options)
        self._account = account_of(
            FirstHandClient(None if key is None else key.reveal(), None if url is None else url.reveal())
        )

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
        job_id, name = _parts(path)
        if not job_id:
            found = [_folder(job.id) for job in self._account.client.jobs.list()]
        elif name:
            found = [self.info(path)]
        else:
            found = [
                _entry(job_id, name, file)
                for name, file in self._account.files(job_id, refresh=refresh).items()
            ]
        return found if detail else [entry["name"] for entry in found]

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """What is known of a job or file.

        Raises:
            FileNotFoundError: there is no such job or file.
        """
        job_id, name = _parts(path)
        if not job_id:
            return _folder("")
        if name == MANIFEST:
            size = len(self._account.manifest(job_id))
            return {"name": f"{job_id}/{MANIFEST}", "size": size, "type": "file", "created": None}
        if not name:
            if self._account.known(job_id) is None:
                try:
                    self._account.client.jobs.get(id_in(job_id, path))
                except NotFoundError:
                    raise FileNotFoundError(path) from None
            return _folder(job_id)
        if (files := self._account.known(job_id)) is not None:
            file = files.get(name)
            if file is None:
                raise FileNotFoundError(path)
            entry = _entry(job_id, name, file)
            if entry["size"] is None:  # the service may leave it out, but fsspec needs it to open the file
                entry["size"] = self._account.read(job_id, name, 0, 1)[1]
            return entry
        # One file needs no list: the response to its URL contains its size.
        size = self._account.read(job_id, name, 0, 1)[1]
        return {"name": f"{job_id}/{name}", "size": size, "type": "file", "created": None}

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        """The bytes of a file from `start` up to `end`; negative numbers count from its end.

        All bytes of a listed file are compared with its listed size and SHA-256; a part, with the size alone.

        Raises:
            FileNotFoundError: there is no such file.
            IntegrityError: the storage has other bytes than listed, in two downloads.
            DownloadError: it cannot be downloaded.
        """
        if (start or 0) < 0 or (end or 0) < 0:
            size = self.info(path)["size"]
            start = max(size + start, 0) if start is not None and start < 0 else start
            end = max(size + end, 0) if end is not None and end < 0 else end
        if end is not None and end <= (start or 0):
            return b""
        return self._account.read(*_parts(path), start or 0, end)[0]

    def _open(  # pyright: ignore[reportIncompatibleMethodOverride] # fsspec passes these by name
        self, path: str, mode: str = "rb", block_size: int | None = None, **options: Any
    ) -> Any:
        if mode != "rb":
            raise io.UnsupportedOperation(_READ_ONLY)
        options.pop("autocommit", None)
        found = self.info(path)
        options.setdefault("size", found["size"])
        file = FirstHandFile(self, path, mode, block_size, **options)  # pyright: ignore[reportArgumentType] # None is its default
        file.expect(found.get("sha256"))
        return file

    def created(self, path: str) -> datetime | None:
        """When a file was approved and created; None if it is not known."""
        created: datetime | None = self.info(path).get("created")
        return created

    modified = created  # a file never changes

    def ukey(self, path: str) -> str:
        """What changes when a file's bytes do: its SHA-256, if the service reports it."""
        found = self.info(path)
        return str(found.get("sha256") or f"{found['name']} {found['size']}")

    def invalidate_cache(self, path: str | None = None) -> None:
        """Forget the listings."""
        self._account.forget(_parts(path)[0] if path else "")

    def close(self) -> None:
        """Close the idle connections; reading opens others."""
        self._account.readers.close()

    # ── Writing ──────────────────────────────────────────────────────────────────────────────────────────

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise io.UnsupportedOperation(_READ_ONLY)

    cp_file = mv = rm = _rm = rm_file = rmdir = mkdir = makedirs = touch = pipe_file = put_file = _refuse

    # ── Leaving the process ──────────────────────────────────────────────────────────────────────────────

    def _arguments(self) -> dict[str, Any]:
        """Those it was made with, by name."""
        positional = dict(zip(("api_key", "base_url"), self.storage_args, strict=False))
        return {**positional, **self.storage_options}

    def to_dict(self, **_: Any) -> dict[str, Any]:
        """What describes the file system: never the key."""
        described: dict[str, Any] = super().to_dict(include_password=False)
        described |= {**self._arguments(), "args": ()}
        described.pop("api_key", None)
        return described

    def __reduce__(self) -> Any:
        # A DataLoader's workers make their own client. fsspec would put the key into the pickle.
        arguments = self._arguments()
        key = secret_or_none(arguments.pop("api_key", None))
        # Workers find it in the environment, which they inherit.
        if key is not None and key != secret_or_none(os.environ.get(API_KEY_VARIABLE)):
            raise ConfigurationError(
                "a file system with api_key= cannot be pickled: it would carry the key; set FIRSTHAND_API_KEY instead"
            )
        return make_instance, (type(self), (), arguments)

    def __repr__(self) -> str:
        return f"<FirstHandFileSystem {self._account.client!r}>"


class FirstHandFile(AbstractBufferedFile):  # type: ignore[misc] # fsspec ships no types
    """A file that is downloaded in parts, when they are read.

    Read from its beginning to its end, in however many parts, it is compared with its listed SHA-256.
    """

    _sha256: str | None = None

    def expect(self, sha256: str | None) -> None:
        """Hash what is read from the beginning on, to compare it at the end."""
        self._sha256 = sha256
        self._digest = hashlib.sha256()
        self._hashed = 0

    def _fetch_range(self, start: int, end: int) -> bytes:
        content: bytes = self.fs.cat_file(self.path, start, end)
        # What came whole has been compared, and downloaded again if it was wrong.
        if self._sha256 and len(content) < self.size and start <= self._hashed < start + len(content):
            self._digest.update(memoryview(content)[self._hashed - start :])
            self._hashed = start + len(content)
            if self._hashed == self.size and self._digest.hexdigest() != self._sha256.strip().lower():
                file_id = _parts(self.path)[1].partition(".")[0]
                raise failure(file_id, "its SHA-256 differs from the promised one", mismatch=True)
        return content


def _parts(path: str) -> tuple[str, str]:
    plain = str(FirstHandFileSystem._strip_protocol(path))  # pyright: ignore[reportPrivateUsage] # of its own class
    job_id, _, name = plain.strip("/").partition("/")
    return job_id, name


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
