"""One writer per folder. The lock ends when its process ends for any reason."""

from __future__ import annotations

from pathlib import Path

from firsthandapi._base.host.locking import FileLock, NoLocksError
from firsthandapi.errors import ConfigurationError

NAME = ".firsthandapi.lock"


class FolderLock:
    """An exclusive lock on a folder, between processes and between threads."""

    def __init__(self, folder: Path, name: str = NAME) -> None:
        self._folder = folder
        self._lock = FileLock(folder / name)

    def acquire(self) -> bool:
        """Take the lock if it is free."""
        try:
            return self._lock.acquire()
        except NoLocksError as error:
            raise ConfigurationError(
                f"{self._folder} is on a file system without locks ({error.strerror}); use a local folder"
            ) from None
        except OSError as error:
            raise ConfigurationError(
                f"{self._folder} cannot be written to: {error.strerror}; check its permissions and the disk"
            ) from None

    def release(self) -> None:
        self._lock.release()
