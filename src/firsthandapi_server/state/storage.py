"""Where the bytes of submitted files are: in memory, in a folder, or in a bucket.

A file is written once, hashed and size-checked on the way, and moved into place only when it is complete. Its name is
an id of ours: no untrusted text becomes part of a path.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, Protocol, Self

from firsthandapi._base.host import replacing
from firsthandapi.errors import ConfigurationError
from firsthandapi_server.contract.errors import ApiError

from .keeping import NotKeptError
from .model import Details, Facts

CHUNK = 256 << 10
_BUCKET_CHUNK = 4 << 20  # a request each
_NAME = re.compile(r"blob_[0-9A-Z]{26}")


class TooLargeError(ApiError):
    """More bytes came than were allowed."""

    def __init__(self, most: int) -> None:
        super().__init__(413, "payload_too_large", f"The file is larger than {most} bytes.")


class Storage(Protocol):
    """Files by name. Any thread may call in, without the lock of the state."""

    def open(self, name: str) -> BinaryIO:
        """Where the bytes of a file are while they come."""
        ...

    def put(self, name: str, file: BinaryIO) -> None:
        """Move a file into its place, where it outlives a crash of the machine. It is closed then, or of no use."""
        ...

    def read(self, name: str, start: int, stop: int) -> Iterable[bytes]:
        """The bytes from `start` up to `stop`, in pieces; a tuple if they are in memory, and need no thread."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file, or what an interrupted `open` left of it; one that does not exist is no error."""
        ...


class Upload:
    """A file that is taken in. As a context manager, it leaves nothing unless `finish` was called and all went well.

        with world.state.upload(most=50_000_000) as upload:
            for chunk in chunks:
                upload.write(chunk)
            stored = upload.finish(details, width=4032, height=3024)
            with world.lock:
                world.jobs.submit(job, [File(…, source=stored)], at)

    Args:
        storage: where to.
        name: an id.
        most: how many bytes it may have.
        discard: removes it, after it was finished; by default, the storage does.
    """

    def __init__(
        self, storage: Storage, name: str, most: int, discard: Callable[[str], None] | None = None
    ) -> None:
        self.name = name
        self._discard = discard or storage.remove
        self._storage = storage
        self._most = most
        self._file: BinaryIO | None = storage.open(name)
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, chunk: bytes) -> None:
        """Add bytes. Raises TooLargeError: these would be too many. The file is gone then."""
        if self._file is None:
            raise ValueError("the upload has ended")
        if self.size + len(chunk) > self._most:
            self.abort()
            raise TooLargeError(self._most)
        self._file.write(chunk)
        self._hash.update(chunk)
        self.size += len(chunk)

    def finish(
        self,
        details: Details,
        *,
        width: int | None = None,
        height: int | None = None,
        duration: float | None = None,
    ) -> StoredSource:
        """Put the file in its place, and return it as the source of a `File`."""
        if self._file is None:
            raise ValueError("the upload has ended")
        self._storage.put(self.name, self._file)
        self._file = None
        facts = Facts(self.size, self._hash.hexdigest(), width, height, duration)
        return StoredSource(self._storage, self.name, facts, details)

    def abort(self) -> None:
        """Leave nothing."""
        file, self._file = self._file, None
        if file is not None:
            file.close()
        # The error that led here matters more than this one: a start removes the leftovers.
        with contextlib.suppress(NotKeptError, OSError):
            self._discard(self.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._file is not None or error is not None:
            self.abort()


@dataclass(frozen=True, slots=True)
class StoredSource:
    """The source of a file whose bytes are in a storage."""

    storage: Storage = field(repr=False, compare=False)
    name: str
    _facts: Facts
    _details: Details

    def read(self, start: int, stop: int) -> Iterable[bytes]:
        return self.storage.read(self.name, start, stop)

    def facts(self) -> Facts:
        return self._facts

    def details(self) -> Details:
        return self._details

    def emptied(self) -> StoredSource:
        """What is left of it once its bytes are erased: nothing but when it was made."""
        nothing = Details(self._details.captured_at, {}, None, None)
        return StoredSource(self.storage, self.name, Facts(0, "", None, None, None), nothing)


class MemoryStorage:
    """Files in memory."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}

    def open(self, name: str) -> BinaryIO:  # noqa: ARG002 - the protocol's
        return io.BytesIO()

    def put(self, name: str, file: BinaryIO) -> None:
        file.seek(0)
        self._files[name] = file.read()

    def read(self, name: str, start: int, stop: int) -> Iterable[bytes]:
        return (self._files[name][start:stop],)

    def remove(self, name: str) -> None:
        self._files.pop(name, None)


def place(folder: Path, name: str) -> Path:
    """Where a file is in a folder of files: no folder below gets too many."""
    return folder / _checked(name)[-2:] / name


class LocalStorage:
    """Files in a folder. A file in its place is complete and on disk.

    Args:
        folder: where; created if it does not exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._on_disk: set[str] = set()  # folders whose own names it has flushed; none is ever removed
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def open(self, name: str) -> BinaryIO:
        path = self._path(name)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        return _unfinished(path).open("xb")

    def put(self, name: str, file: BinaryIO) -> None:
        file.flush()
        replacing.flush(file.fileno())
        file.close()
        path = self._path(name)
        replacing.put(_unfinished(path), path)
        if path.parent.name not in self._on_disk:
            replacing.sync_directory(self._folder)
            self._on_disk.add(path.parent.name)

    def read(self, name: str, start: int, stop: int) -> Iterator[bytes]:
        with self._path(name).open("rb") as file:
            file.seek(start)
            while start < stop and (chunk := file.read(min(CHUNK, stop - start))):
                start += len(chunk)
                yield chunk

    def remove(self, name: str) -> None:
        path = self._path(name)
        for target in (path, _unfinished(path)):
            replacing.remove(target)

    def _path(self, name: str) -> Path:
        return place(self._folder, name)


def open_url(url: str) -> tuple[Any, str]:
    """The file system of an fsspec URL, and the path in it, without a slash at the end.
    Raises ConfigurationError: the package of such URLs is not installed, or the URL is none.
    """
    scheme = url.partition(":")[0]
    try:
        # A cached listing would miss newer files.
        location: tuple[Any, str] = import_module("fsspec.core").url_to_fs(
            url, use_listings_cache=False, skip_instance_cache=True
        )
    except ImportError:
        raise ConfigurationError(
            f"storage in {scheme}:// needs its fsspec package: pip install 'firsthandapi[remote]' brings that of S3"
        ) from None
    except Exception:  # libraries raise anything
        raise ConfigurationError(
            f"the storage is not a URL that fsspec knows, but begins with {scheme}: pass one such as s3://bucket/folder"
        ) from None
    return location[0], location[1].rstrip("/")


class BucketStorage:
    """Files in a bucket, or wherever else fsspec writes. A file goes there in one piece, from a temporary file.

    Args:
        url: the folder, such as `s3://photos/submitted`. Credentials come from the environment.
        folder: where the temporary files are; a start after a crash removes them by their names.

    Raises:
        ConfigurationError: the package of such URLs is not installed, or the URL is none.
    """

    def __init__(self, url: str, folder: Path) -> None:
        self._files, self._root = open_url(url)
        self._folder = folder

    def open(self, name: str) -> BinaryIO:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        return self._part(name).open("xb")

    def put(self, name: str, file: BinaryIO) -> None:
        path = self._part(name)
        try:
            file.close()
            with failures_named():
                target = self._path(name)
                self._files.makedirs(target.rpartition("/")[0], exist_ok=True)
                self._files.put_file(str(path), target)
        finally:
            replacing.remove(path)

    def read(self, name: str, start: int, stop: int) -> Iterator[bytes]:
        with failures_named():
            while start < stop:
                end = min(start + _BUCKET_CHUNK, stop)
                piece: bytes = self._files.cat_file(self._path(name), start=start, end=end)
                if not piece:
                    return
                start += len(piece)
                yield piece

    def remove(self, name: str) -> None:
        replacing.remove(self._part(name))
        with failures_named(), contextlib.suppress(FileNotFoundError):
            self._files.rm_file(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self._root}/{_checked(name)}"

    def _part(self, name: str) -> Path:
        return _unfinished(self._folder / _checked(name))


@contextlib.contextmanager
def failures_named() -> Generator[None, None, None]:
    """Libraries raise anything, and their messages may quote secrets."""
    try:
        yield
    except FileNotFoundError:
        raise
    except Exception as error:
        raise NotKeptError(f"the storage of files failed ({type(error).__name__})") from error


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("a name in the storage is an id")
    return name


def _unfinished(path: Path) -> Path:
    return path.with_name(path.name + ".part")
