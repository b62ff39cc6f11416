"""What fsspec asks of a file system, and the answers."""

# fsspec ships no types.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyright: reportMissingTypeStubs=false, reportUntypedBaseClass=false
from __future__ import annotations

import hashlib
import io
import os
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem, make_instance
from fsspec.utils import isfilelike

from firsthandapi._base.masking import secret_or_none
from firsthandapi._core.calls.config import API_KEY_VARIABLE, BASE_URL_VARIABLE
from firsthandapi._core.files.download import failure
from firsthandapi._core.rows.manifest import MANIFEST
from firsthandapi._sync.client import FirstHandClient
from firsthandapi.errors import ConfigurationError, InvalidArgumentError, NotFoundError

from ._account import account_of, id_in
from ._ahead import GrowingReadAhead
from ._bulk import Plan, at_once

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

    Each folder also has a `metadata.jsonl`: a row per file, with the columns that a downloaded dataset has, and the
    file's name relative to the folder. `walk`, `find`, `glob`, and `get` see it; `ls`, the list of what people made,
    leaves it out.

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
    environment: _Environment = _Environment()

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

    def ls(
        self, path: str, detail: bool = True, refresh: bool = False, manifest: bool = False, **_: Any
    ) -> list[Any]:
        """List a job's files, or all jobs.

        Args:
            path: `job_…`, one of its files, or nothing for all jobs.
            detail: whether to return dicts, or names alone.
            refresh: whether to ask the service again; else a list is read once.
            manifest: whether to list a job's `metadata.jsonl` too.

        Raises:
            FileNotFoundError: there is no such job or file.
        """
        job_id, name = _parts(path)
        if not job_id:
            entries = [_folder(job.id) for job in self._account.client.jobs.list()]
        elif name:
            entries = [self.info(path)]
        else:
            entries = [
                _entry(job_id, name, file)
                for name, file in self._account.files(job_id, refresh=refresh).items()
            ]
            if manifest:
                entries.append(self.info(f"{job_id}/{MANIFEST}"))
        return entries if detail else [entry["name"] for entry in entries]

    def walk(self, path: str, *args: Any, **options: Any) -> Any:
        """Folders and their files, as `os.walk`: `find`, `glob`, and a recursive `get` go by it."""
        return super().walk(path, *args, **{"manifest": True, **options})

    def glob(self, path: str, maxdepth: int | None = None, **options: Any) -> Any:
        """Files by a pattern. One that cannot mean the manifest, such as `*.jpg`, costs none of its requests."""
        manifest = fnmatchcase(MANIFEST, path.rpartition("/")[2])
        return super().glob(path, maxdepth, **{"manifest": manifest, **options})

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """What is known of a job or file.

        Raises:
            FileNotFoundError: there is no such job or file.
        """
        return self._info(path, listed=True)

    def _info(self, path: str, *, listed: bool) -> dict[str, Any]:
        """As `info`; unless `listed`, the size alone of a file whose job is large and was not listed."""
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
        id_in(name.partition(".")[0], path)
        account, job_id = self._account, id_in(job_id, path)
        files = account.files(job_id) if listed else account.files_if_few(job_id)
        if files is None:
            size = account.read(job_id, name, 0, 1, bound=False)[1]
            return {"name": f"{job_id}/{name}", "size": size, "type": "file", "created": None}
        if (file := files.get(name)) is None:
            raise FileNotFoundError(path)
        entry = _entry(job_id, name, file)
        if entry["size"] is None:  # the service may leave it out, but fsspec needs it to open the file
            entry["size"] = account.read(job_id, name, 0, 1)[1]
        return entry

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        """The bytes of a file from `start` up to `end`; negative numbers count from its end.

        All bytes of a file are compared with its listed size and SHA-256; a part, with the size alone.

        Raises:
            FileNotFoundError: there is no such file.
            IntegrityError: the storage has other bytes than listed, in two downloads.
            DownloadError: it cannot be downloaded.
        """
        if (start or 0) < 0 or (end or 0) < 0:
            size = self._info(path, listed=False)["size"]
            start = max(size + start, 0) if start is not None and start < 0 else start
            end = max(size + end, 0) if end is not None and end < 0 else end
        if end is not None and end <= (start or 0):
            self._info(path, listed=False)  # also nothing of a file that does not exist is an error
            return b""
        return self._account.read(*_parts(path), start or 0, end)[0]

    # ── Many at once ─────────────────────────────────────────────────────────────────────────────────────

    def cat(self, path: Any, recursive: bool = False, on_error: str = "raise", **options: Any) -> Any:
        """The bytes of files, downloaded side by side.

        Args:
            path: a path, a pattern, or a list of them.
            recursive: whether folders stand for their files.
            on_error: `raise` the first error, `return` errors in place of bytes, or `omit` the files that have one.
            **options: `start` and `end`, as `cat_file` takes them.

        Returns:
            The bytes of each by its path; those alone of one path that is no pattern.
        """
        paths = self.expand_path(path, recursive=recursive)
        if isinstance(path, str) and paths == [self._strip_protocol(path)]:
            return self.cat_file(paths[0], **options)
        if recursive:
            paths = [path for path in paths if _parts(path)[1]]
        calls = [partial(self.cat_file, path, **options) for path in paths]
        pairs = zip(paths, self._at_once(paths, calls, raising=on_error == "raise"), strict=True)
        return {path: part for path, part in pairs if on_error == "return" or not isinstance(part, Exception)}

    def cat_ranges(
        self,
        paths: list[str],
        starts: Any,
        ends: Any,
        max_gap: int | None = None,
        on_error: str = "return",
        **_: Any,
    ) -> list[Any]:
        """Parts of files, downloaded side by side.

        Args:
            paths: the files, one for each part.
            starts: the first byte of each, or one for all.
            ends: the byte after the last of each, or one for all.
            max_gap: not supported.
            on_error: `return` an error in place of bytes, or `raise` the first.

        Returns:
            The bytes, in the order of the paths.
        """
        if max_gap is not None:
            raise NotImplementedError("parts are read as given: leave out max_gap")
        if not isinstance(paths, list):
            raise TypeError("paths must be a list")
        starts = starts if isinstance(starts, list) else [starts] * len(paths)
        ends = ends if isinstance(ends, list) else [ends] * len(paths)
        if not len(paths) == len(starts) == len(ends):
            raise ValueError("paths, starts, and ends must be of the same length")
        calls = [partial(self.cat_file, *part) for part in zip(paths, starts, ends, strict=True)]
        return self._at_once(paths, calls, raising=on_error != "return")

    def _at_once(self, paths: list[str], calls: Sequence[Callable[[], bytes]], *, raising: bool) -> list[Any]:
        """What each call returns, or its error, unless that is raised."""
        self._account.prepare(map(_parts, paths))
        return at_once(calls, raising=raising)

    def get(  # pyright: ignore[reportIncompatibleMethodOverride] # fsspec's returns nothing
        self,
        rpath: Any,
        lpath: Any,
        recursive: bool = False,
        callback: Any = DEFAULT_CALLBACK,
        maxdepth: int | None = None,
        on_error: str = "raise",
        **_: Any,
    ) -> list[Exception | None] | None:
        """Copy files to this machine, side by side. Each is put in place when it is complete and verified.

        Args:
            rpath: a path, a pattern, or a list of them.
            lpath: where to: a path, or one for each of a list of paths.
            recursive: whether folders stand for their files.
            callback: one of fsspec, called for each copied file.
            maxdepth: how many levels deep.
            on_error: `raise` the first error after all other files are copied, `omit` errors, or `return` them.

        Returns:
            Where `on_error` is `return`: for each copy, its error or None, in the order of the paths.
        """
        plan = Plan(self)
        AbstractFileSystem.get(plan, rpath, lpath, recursive=recursive, maxdepth=maxdepth)  # pyright: ignore[reportArgumentType] # it does what a plan needs
        copies = [(*_parts(remote), Path(local)) for remote, local in plan.copies]
        callback.set_size(len(copies))

        def on_copied(place: int, size: int) -> None:
            with callback.branched(*plan.copies[place]) as child:
                child.set_size(size)
                child.relative_update(size)
            callback.relative_update()

        self._account.prepare(copy[:2] for copy in copies)
        errors = self._account.copy(copies, on_copied)
        if on_error == "raise":
            for error in filter(None, errors):
                raise error
        return errors if on_error == "return" else None

    def get_file(
        self,
        rpath: str,
        lpath: Any = None,
        callback: Any = DEFAULT_CALLBACK,
        outfile: Any = None,
        **options: Any,
    ) -> None:
        """Copy a file to this machine, in one step, or write it to an open file."""
        if outfile is not None or isfilelike(lpath):
            super().get_file(rpath, lpath, callback=callback, outfile=outfile, **options)
            return

        def on_copied(_: int, size: int) -> None:
            callback.set_size(size)
            callback.relative_update(size)

        (error,) = self._account.copy([(*_parts(rpath), Path(lpath))], on_copied)
        if error is not None:
            raise error

    # ── Opening ──────────────────────────────────────────────────────────────────────────────────────────

    def _open(  # pyright: ignore[reportIncompatibleMethodOverride] # fsspec passes these by name
        self, path: str, mode: str = "rb", block_size: int | None = None, **options: Any
    ) -> Any:
        if mode != "rb":
            raise io.UnsupportedOperation(_READ_ONLY)
        options.pop("autocommit", None)
        info = self._info(path, listed=False)
        options.setdefault("size", info["size"])
        file = FirstHandFile(self, path, mode, block_size, **options)  # pyright: ignore[reportArgumentType] # None is its default
        file.expect(info.get("sha256"), listed="sha256" in info or _parts(path)[1] == MANIFEST)
        return file

    def created(self, path: str) -> datetime | None:
        """When a file was approved and created; None if it is not known."""
        created: datetime | None = self.info(path).get("created")
        return created

    modified = created  # a file never changes

    def sign(self, path: str, expiration: int = 100, **_: Any) -> str:
        """A fresh signed URL of a file. Whoever has it has the file.

        Args:
            path: the file.
            expiration: the seconds for which it must be valid. The service decides for how long it is: 7 days.

        Raises:
            FileNotFoundError: there is no such file.
            InvalidArgumentError: the service gives out no URL that is valid for so long.
            NotImplementedError: it is the manifest, which has no URL.
        """
        job_id, name = _parts(path)
        if name == MANIFEST:
            raise NotImplementedError(
                f"{MANIFEST} has no URL: it is made from the list; read it with cat_file"
            )
        url, expires_at = self._account.sign(job_id, name)
        if expires_at is not None and expires_at.timestamp() < time.time() + expiration:
            raise InvalidArgumentError(
                f"expiration is longer than a URL is valid: the service's ends at {expires_at.isoformat()}",
                field="expiration",
            )
        return url

    def ukey(self, path: str) -> str:
        """What changes when a file's bytes do: its SHA-256, if the service reports it."""
        info = self.info(path)
        return str(info.get("sha256") or f"{info['name']} {info['size']}")

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

    cache: Any
    _sha256: str | None = None
    _listed = True

    def expect(self, sha256: str | None, *, listed: bool) -> None:
        """Hash what is read from the beginning on, to compare it at the end; the job is then `listed` at the latest.
        Before the first read."""
        self._sha256, self._listed = sha256, listed
        if self.cache.name == GrowingReadAhead.name:  # fsspec's own, which begins with a whole block
            self.cache = GrowingReadAhead(self.cache.blocksize, self._fetch_range, self.size)
        self._digest = hashlib.sha256()
        self._hashed = 0

    def read(self, length: int | None = -1) -> bytes:
        """So many bytes, or all that are left. What reaches the end is bound by the list."""
        if not self._listed and (length is None or length < 0 or self.loc + length >= self.size):
            info = self.fs.info(self.path)
            self._sha256, self._listed = info["sha256"], True
            if info["size"] != self.size:
                raise self._differs(f"the storage has {self.size} bytes, but {info['size']} were promised")
            self._compare()
        return bytes(super().read(-1 if length is None else length))

    def _fetch_range(self, start: int, end: int) -> bytes:
        content: bytes = self.fs._account.read(*_parts(self.path), start, end, bound=self._listed)[0]
        # What came whole of a listed file has been compared, and downloaded again if it was wrong.
        whole = self._listed and len(content) == self.size
        if not whole and start <= self._hashed < start + len(content):
            self._digest.update(memoryview(content)[self._hashed - start :])
            self._hashed = start + len(content)
            self._compare()
        return content

    def _compare(self) -> None:
        if (
            self._sha256
            and self._hashed == self.size
            and self._digest.hexdigest() != self._sha256.strip().lower()
        ):
            raise self._differs("its SHA-256 differs from the promised one")

    def _differs(self, reason: str) -> Exception:
        return failure(_parts(self.path)[1].partition(".")[0], reason, mismatch=True)


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
