"""A dataset in a bucket. Objects are written completely or not at all; nothing can be appended to or locked."""

from __future__ import annotations

import contextlib
import errno
import stat
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any, Final, cast

from firsthandapi._base.folder_lock import FolderLock
from firsthandapi._base.masking import mask_secrets
from firsthandapi._core.orders.record import LARGEST_RECORD
from firsthandapi.errors import ConfigurationError, DownloadError, FirstHandError, InvalidArgumentError

from . import _disk

# Larger files are uploaded in parts of this many bytes. Object stores accept parts of 5 MiB or more, at most 10,000.
PART: Final = 8 * 1024 * 1024
_MOST_PARTS: Final = 9_000
# A request of a store takes long beside what it carries.
_FILES_AT_ONCE: Final = 32
# Each upload in parts keeps one or two of them in memory.
_LARGE_AT_ONCE: Final = 8
_STOPS_WITHIN: Final = 2.0
_MOST_WORDS: Final = 300
# What drivers tell of an object that changes with it.
_STAMPS: Final = ("size", "ETag", "etag", "LastModified", "last_modified", "mtime", "updated", "created")
# The prefix of the temporary folders of runs, which nobody else uses.
_STAGE: Final = ".firsthandapi-stage-"
# A younger temporary folder may not be locked yet.
_YOUNG_SECONDS: Final = 60.0


class Bucket:
    """The objects below a URL. `options` are those of the caller's UPath, for the store's library.
    Raises ConfigurationError: a required package is not installed.
    Raises InvalidArgumentError: no library supports such URLs.
    """

    readers = _FILES_AT_ONCE

    def __init__(self, scheme: str, url: str, options: dict[str, Any], field: str) -> None:
        self._scheme = scheme
        # A cached listing would not show what another process wrote.
        self._options: dict[str, Any] = {**options, "use_listings_cache": False}
        try:
            from upath import UPath
        except ImportError:
            raise _missing("firsthandapi[remote]", scheme) from None
        _check_scheme(scheme, field)
        try:
            # Used like a Path, but not a subclass of it.
            self.root = cast("Path", UPath(url, **self._options))
            _key(self.root / "name")
        except Exception:  # libraries raise anything
            raise InvalidArgumentError(
                f"{field} is a {scheme}:// URL, which names no folder; use the URL of a bucket", field=field
            ) from None

    # Created on use, because it works neither after a fork nor after pickling.
    @property
    def _files(self) -> Any:
        return import_module("fsspec").filesystem(self._scheme, **self._options)

    def writer(self) -> BucketWriter:
        return BucketWriter(self)

    def appender(self, path: Path) -> None:  # noqa: ARG002 # of no object
        return None

    def refuse_link(self, path: Path) -> None:
        pass

    def refuse_links_in(self, folder: Path) -> None:
        pass

    def exists(self, path: Path) -> bool:
        return self.size_of(path) is not None

    def is_no_folder(self, path: Path) -> bool:
        return self.exists(path)

    def size_of(self, path: Path) -> int | None:
        with self._telling(path, "read"):
            try:
                about = self._files.info(_key(path))
            except FileNotFoundError:
                return None
            return int(about["size"]) if about["type"] == "file" else None

    def stamp(self, path: Path) -> object:
        try:
            about = self._files.info(_key(path))
        except Exception:  # of any kind, since drivers have their own
            return None
        return tuple(str(about.get(name)) for name in _STAMPS)

    def read(self, path: Path, most: int = LARGEST_RECORD) -> bytes | None:
        with self._telling(path, "read"):
            try:
                # One more byte shows whether the object is larger. Never request all of it: it may have any size.
                content = bytes(self._files.cat_file(_key(path), start=0, end=most + 1))
            except FileNotFoundError:
                return None
            except Exception:
                if self.size_of(path) == 0:  # stores refuse a range of nothing
                    return b""
                raise
        if len(content) > most:
            raise _disk.too_large(path, most)
        return content

    def begin_of(self, path: Path, most: int) -> bytes | None:
        with contextlib.suppress(Exception):
            return bytes(self._files.cat_file(_key(path), start=0, end=most))
        return None

    def pieces(self, path: Path, size: int) -> Iterator[bytes]:
        for start in range(0, size, PART):
            with self._telling(path, "read"):
                piece = bytes(self._files.cat_file(_key(path), start=start, end=min(start + PART, size)))
            yield piece

    def sizes_in(self, folder: Path) -> dict[Path, int | None]:
        """The names in a folder and the size of each file, from one listing."""
        with self._telling(folder, "read"):
            try:
                entries = self._files.ls(_key(folder), detail=True)
            except FileNotFoundError:
                return {}
        # A folder created in a web console is an object whose name ends with a slash.
        names = {entry["name"].rstrip("/").rpartition("/")[2]: entry for entry in entries}
        names.pop(folder.name, None)
        return {folder / name: e["size"] if e["type"] == "file" else None for name, e in names.items()}

    def names(self, folder: Path) -> list[str]:
        return sorted(path.name for path in self.sizes_in(folder))

    def sizes_below(self) -> dict[str, int]:
        start = f"{_key(self.root).rstrip('/')}/"
        with self._telling(self.root, "read"):
            try:
                objects = self._files.find(start, detail=True)
            except FileNotFoundError:
                return {}
        names = {name.partition(start)[2]: about["size"] for name, about in objects.items()}
        return {name: size for name, size in names.items() if name and not f"/{name}".count("/.")}

    def create(self, path: Path, content: bytes) -> None:
        with self._telling(path, "written"):
            try:
                self._files.pipe_file(_key(path), content, mode="create")
            except Exception as error:
                # Stores report in different ways that the object exists. It may be ours, if a response was lost.
                stored_content = self.read(path)
                if stored_content is None and _knows_no_create(error):
                    self._files.pipe_file(_key(path), content)
                elif stored_content is None:
                    raise
                elif stored_content != content:
                    raise ConfigurationError(
                        f"{path} was just created by another program. "
                        "If that was the same call, run it again: it continues the same job"
                    ) from None

    def replace(self, path: Path, content: bytes) -> None:
        with self._telling(path, "written"):
            self._files.pipe_file(_key(path), content)

    def remove(self, path: Path) -> None:
        with contextlib.suppress(Exception):  # libraries raise anything
            self._files.rm_file(_key(path))

    def copy_into(self, folder: Path, names: Iterable[str], target: Path) -> None:
        for name in names:
            with self._telling(target / name, "written"), contextlib.suppress(FileNotFoundError):
                self._files.cp_file(_key(folder / name), _key(target / name))

    def remove_all(self, folder: Path, names: Iterable[str]) -> None:
        for name in names:
            self.remove(folder / name)

    @contextlib.contextmanager
    def _telling(self, path: Path, verb: str) -> Generator[None, None, None]:
        """Turn any exception of the store's library into our error."""
        try:
            yield
        except FirstHandError:
            raise
        except Exception as error:  # libraries raise anything
            raise ConfigurationError(f"{path} cannot be {verb}: {_words(error)}") from None


class BucketWriter:
    """Downloads files into a temporary folder on this machine, and uploads them once they are verified."""

    def __init__(self, store: Bucket) -> None:
        self._store = store
        self._stage: Path | None = None
        self._stage_lock: FolderLock | None = None
        self._sizes: dict[Path, dict[Path, int | None]] = {}
        self._refused: ConfigurationError | None = None
        self._stopped = threading.Event()
        self._slots = threading.Semaphore(_FILES_AT_ONCE), threading.Semaphore(_LARGE_AT_ONCE)
        self._uploads: set[Any] = set()  # add and discard are atomic

    def lock(self) -> bool:
        """Create the temporary folder, and return True: a bucket has no lock."""
        try:
            self._stage = Path(mkdtemp(prefix=_STAGE))
        except OSError as error:
            raise ConfigurationError(
                f"could not create a temporary folder, which downloads into a bucket need: {error.strerror}"
            ) from None
        self._stage_lock = FolderLock(self._stage)
        # If this folder cannot be locked, do not clear the others.
        with contextlib.suppress(OSError, ConfigurationError):
            self._stage_lock.acquire()
            _clear_beside(self._stage)
        return True

    def prepare(self, folder: Path) -> None:
        # One listing for all files, because a request per file may take longer than its download.
        self._sizes[folder] = self._store.sizes_in(folder)

    def size_of(self, path: Path) -> int | None:
        return self._sizes[path.parent].get(path)

    def fetch_to(self, path: Path) -> Path:
        if self._stage is None:
            raise ConfigurationError("the bucket is not open for writing")
        return self._stage / path.name

    def put(self, path: Path) -> None:
        fetched = self.fetch_to(path)
        try:
            size = fetched.stat().st_size
            slots = self._slots[size > PART]
            self._wait_for(slots)
            try:
                self._upload(fetched, path, size)
            finally:
                slots.release()
            self._sizes.setdefault(path.parent, {})[path] = size
        except FirstHandError:
            raise
        except Exception as error:
            words = f"{path} cannot be written: {_words(error)}"
            if isinstance(error, PermissionError):
                self._refused = ConfigurationError(words)
            raise DownloadError(words) from None
        finally:
            _disk.remove(fetched)

    def check(self) -> None:
        if self._refused is not None:
            raise self._refused

    def stop(self) -> None:
        self._stopped.set()
        # Otherwise uploaded parts would stay, invisible but paid for.
        aborts = [threading.Thread(target=_abort, args=(up,), daemon=True) for up in list(self._uploads)]
        for thread in aborts:
            thread.start()
        for thread in aborts:
            thread.join(_STOPS_WITHIN / len(aborts))

    def release(self) -> None:
        self._stopped.set()
        stage, self._stage = self._stage, None
        if self._stage_lock is not None:
            self._stage_lock.release()
        if stage is not None:
            rmtree(stage, ignore_errors=True)

    # ── In the threads that downloaded ──────────────────────────────────────────────────────────────────────

    def _wait_for(self, slots: threading.Semaphore) -> None:
        while not slots.acquire(timeout=0.2):
            self._check_running()

    def _check_running(self) -> None:
        if self._stopped.is_set():
            raise DownloadError("the run was cancelled")

    def _upload(self, fetched: Path, path: Path, size: int) -> None:
        """Write an object that is visible only once it is complete."""
        files = self._store._files  # pyright: ignore[reportPrivateUsage] # of one house
        self._check_running()
        if size <= PART:
            files.pipe_file(_key(path), fetched.read_bytes())
            return
        part = max(PART, -(-size // _MOST_PARTS))
        # With autocommit, closing the object, which its destructor also does, would create an incomplete one.
        upload = files.open(_key(path), "wb", block_size=part, autocommit=False)
        self._uploads.add(upload)
        try:
            with fetched.open("rb") as content:
                while piece := content.read(part):
                    self._check_running()
                    upload.write(piece)
            upload.close()
            self._check_running()
            upload.commit()
        except BaseException:
            _abort(upload)
            raise
        finally:
            self._uploads.discard(upload)


def _clear_beside(stage: Path) -> None:
    """Remove the temporary folders of killed processes, which may contain many large files."""
    owner, now = stage.stat().st_uid, time.time()
    for folder in stage.parent.glob(f"{_STAGE}*"):
        with contextlib.suppress(OSError, ConfigurationError):
            about = folder.lstat()
            ours = stat.S_ISDIR(about.st_mode) and about.st_uid == owner
            lock = FolderLock(folder)
            if ours and now - about.st_mtime > _YOUNG_SECONDS and lock.acquire():
                lock.release()
                rmtree(folder, ignore_errors=True)


def _key(path: Path) -> str:
    """The name of an object for the store's library."""
    key: str = cast("Any", path).path
    return key


def _knows_no_create(error: Exception) -> bool:
    """Whether the error means that the library or the store cannot refuse to overwrite."""
    return isinstance(error, TypeError | NotImplementedError) or getattr(error, "errno", None) == errno.ENOSYS


def _abort(upload: Any) -> None:
    """Discard the parts of an object; a second call does no harm."""
    with contextlib.suppress(Exception):
        # Otherwise the destructors of some libraries would create an object from the parts.
        upload.closed = True
    with contextlib.suppress(Exception):
        upload.discard()


def _words(error: Exception) -> str:
    """What went wrong and what to do, without secrets, and without naming the store's library."""
    text = getattr(error, "strerror", None) or str(error)
    words = " ".join(mask_secrets(text).split())[:_MOST_WORDS] or type(error).__name__
    if isinstance(error, PermissionError):
        return f"{words}; the credentials must allow listing, reading, writing, and deleting in the bucket"
    if isinstance(error, FileNotFoundError):
        return f"{words}: create the bucket first; firsthandapi does not create buckets"
    if words == "Bad Request":  # S3's response to a HEAD contains no more
        return f"{words}: the credentials have expired, or are for a different region than the bucket"
    return f"{words}; check the URL, the credentials, and the network"


def _check_scheme(scheme: str, field: str) -> None:
    """Check that a library for such URLs is installed.
    Raises InvalidArgumentError: no library is known.
    Raises ConfigurationError: the library is not installed.
    """
    registry = import_module("fsspec.registry")
    try:
        registry.get_filesystem_class(scheme)
    except ValueError:
        raise InvalidArgumentError(
            f"{field} is a URL of an unknown kind, {scheme}://; use s3://, gs://, or another that fsspec knows",
            field=field,
        ) from None
    except ImportError:
        package = registry.known_implementations[scheme]["class"].partition(".")[0]
        raise _missing("firsthandapi[remote]" if package == "s3fs" else package, scheme) from None


def _missing(package: str, scheme: str) -> ConfigurationError:
    return ConfigurationError(
        f"{scheme}:// URLs need a package that is not installed: pip install '{package}'"
    )
