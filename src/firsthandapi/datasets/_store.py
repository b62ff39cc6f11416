"""The storage of a dataset: a folder on this machine, or a bucket."""
# What a protocol asks for has no body:
# pyright: reportReturnType=false

from __future__ import annotations

import hashlib
import os
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from firsthandapi._base.paths import bucket_url, local_path
from firsthandapi._core.orders.record import LARGEST_RECORD
from firsthandapi.errors import ConfigurationError, InvalidArgumentError

if TYPE_CHECKING:
    from . import _disk


# What a folder of a version before 1.0 has at its root: that of a dataset, or of an agents' ledger.
_EARLIER = frozenset(
    ("job.json", "campaign.json", "jobs", "decisions.jsonl", ".excluded", "withdrawn.json", "ledger.json")
)


class Writer(Protocol):
    """Writes the files of one run. Call `lock` first, and `release` last."""

    def lock(self) -> bool:
        """Lock the folder if no other writer has it; create it if necessary."""

    def prepare(self, folder: Path) -> None:
        """Create a folder for files, and remove incomplete files of dead processes there."""

    def size_of(self, path: Path) -> int | None:
        """The size of a file, as `Store.size_of` returns it; fast enough to call for each file."""

    def fetch_to(self, path: Path) -> Path:
        """The name under which a file for `path` is downloaded."""

    def put(self, path: Path) -> None:
        """Move a downloaded and verified file to `path`. Any thread may call this.
        Raises FirstHandError: the file could not be put there.
        """

    def check(self) -> None:
        """Raise an error if no more files can be written.
        Raises ConfigurationError: no file can be written any more.
        """

    def stop(self) -> None:
        """Drop the files that are not yet in the folder."""

    def release(self) -> None:
        """Unlock the folder."""


class Store(Protocol):
    """A folder or bucket to read and write. Every failure is a ConfigurationError, here and in what stands on it. Has
    no state, and can be pickled."""

    @property
    def root(self) -> Path:
        """The dataset's folder."""

    @property
    def readers(self) -> int:
        """The best number of files to read at the same time."""

    def writer(self) -> Writer:
        """The writer of one run."""

    def appender(self, path: Path) -> _disk.Appender | None:
        """An appender for a file; None if the storage does not support appending."""

    def refuse_links_in(self, folder: Path) -> None:
        """Check that no file of a folder is a link. Raises ConfigurationError: a file is a link."""

    def refuse_link(self, path: Path) -> None:
        """Check that a path is not a link. Raises ConfigurationError: it is a link, or cannot be checked."""

    def exists(self, path: Path) -> bool:
        """Whether there is anything of that name."""

    def is_no_folder(self, path: Path) -> bool:
        """Whether the path exists and is not a folder."""

    def size_of(self, path: Path) -> int | None:
        """The size of a plain file; None for anything else."""

    def stamp(self, path: Path) -> object:
        """A value that changes when a file does, or None if it cannot be looked at."""

    def read(self, path: Path, most: int = LARGEST_RECORD) -> bytes | None:
        """A file's content, or None if there is nothing of that name.
        Raises ConfigurationError: it has more than `most` bytes, or cannot be read.
        """

    def begin_of(self, path: Path, most: int) -> bytes | None:
        """The first bytes of a file, `most` at most; None if it cannot be read."""

    def pieces(self, path: Path, size: int) -> Iterator[bytes]:
        """The content of a file of `size` bytes, piece by piece."""

    def names(self, folder: Path) -> list[str]:
        """The names in a folder, in order.
        Raises ConfigurationError: there are more than `MOST_NAMES`, or it cannot be read.
        """

    def sizes_below(self) -> dict[str, int]:
        """The size of each file below the root, by its name relative to that, without links and what is hidden.
        Raises ConfigurationError: it cannot be read.
        """

    def create(self, path: Path, content: bytes) -> None:
        """Write a file that must not exist, completely or not at all.
        Raises ConfigurationError: it exists, or cannot be written.
        """

    def replace(self, path: Path, content: bytes) -> None:
        """Write a file in one step: a reader sees the old or the new one."""

    def remove(self, path: Path) -> None:
        """Remove a file if it exists and can be removed."""

    def copy_into(self, folder: Path, names: Iterable[str], target: Path) -> None:
        """Have files of a folder in another one as well. Those that are missing stay missing."""

    def remove_all(self, folder: Path, names: Iterable[str]) -> None:
        """Remove files of a folder, and the folder unless it contains others."""


def refuse_earlier(store: Store) -> None:
    """Refuse a folder of an earlier version. Raises ConfigurationError: it is one."""
    for name in store.names(store.root):
        if name in _EARLIER:
            raise ConfigurationError(
                f"{store.root / name} is of an earlier version of firsthandapi: this version does not continue its "
                "folders; use a different folder, and files.download_all for the files of its jobs"
            )


@contextmanager
def writing(store: Store) -> Generator[Writer, None, None]:
    """Lock a folder for this block.
    Raises ConfigurationError: another process is writing to it, or it is of an earlier version.
    """
    refuse_earlier(store)
    writer = store.writer()
    if not writer.lock():
        raise being_written(store.root)
    try:
        yield writer
    finally:
        writer.release()


def being_written(folder: Path) -> ConfigurationError:
    return ConfigurationError(
        f"another process is writing to {folder}; run the same call again when it has finished, or stop it first"
    )


def append(store: Store, path: Path, lines: bytes) -> bool:
    """Add lines to a file, on the disk when this returns. Returns False, and adds none, if there is no such file yet or
    the storage cannot append: the caller then replaces it."""
    end = store.appender(path)
    if end is None or not store.size_of(path):
        return False
    try:
        end.add(lines)
    finally:
        end.close()
    return True


def sha256_of(store: Store, path: Path, size: int) -> str:
    """The SHA-256 of a file of `size` bytes, in hex."""
    sha256 = hashlib.sha256()
    for piece in store.pieces(path, size):
        sha256.update(piece)
    return sha256.hexdigest()


def store_at(folder: str | os.PathLike[str], field: str) -> Store:
    """The store of a folder, given as a path, a URL, or the `UPath` of a bucket. Nothing is looked at.
    `folder`: which.
    `field`: the argument's name, for errors.
    Raises InvalidArgumentError: it is none of these.
    Raises ConfigurationError: it is in a bucket, and what that needs is not installed.
    """
    text, options = _text_of(folder)
    if not isinstance(text, str):
        raise InvalidArgumentError(f"{field} must be a path or a URL, as a str or a Path", field=field)
    path = local_path(text, field)
    if path is None:
        scheme, url = bucket_url(text, field)
        from ._bucket import Bucket

        return Bucket(scheme, url, options, field)
    from ._local import Local

    try:
        # From here on, `os.chdir` changes nothing. Links and `..` stay as they were written.
        return Local(path.absolute())
    except OSError as error:
        raise ConfigurationError(
            f"{field} is relative, and the current folder cannot be read: {error.strerror}; use an absolute path"
        ) from None


def _text_of(folder: Any) -> tuple[object, dict[str, Any]]:
    try:
        text = cast("object", os.fspath(folder))
    except TypeError:
        options: Any = getattr(folder, "storage_options", None)
    else:
        return text, {}
    # A UPath, such as Dataset.path of a bucket; it may have been given options by its user.
    return (str(folder), dict(options)) if hasattr(folder, "protocol") and options is not None else (None, {})
