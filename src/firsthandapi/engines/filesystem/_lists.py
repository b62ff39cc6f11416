"""The lists of jobs that processes share which multiprocessing started, such as the workers of a DataLoader.

One lists a job, and the others read the list from a file in the machine's folder for temporary files. It contains URLs,
so only this user may read it. Its name and its signature come from the key of multiprocessing, which is random and
which a process inherits from the one that starts it: no other program finds the file, or makes one that is believed.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import tempfile
import time
from collections.abc import Generator, Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from firsthandapi._base.host.locking import FileLock, taken_within
from firsthandapi._base.host.replacing import remove, replace

if TYPE_CHECKING:
    from firsthandapi.types import File

_NAME = "firsthandapi-list-"
# After as many seconds, the URLs of a file that a killed program left have expired.
_OLD = 7 * 86_400
# So long another process may take to list a job; a rate limit may pause it.
_LISTED_WITHIN = 300


class Lists:
    """The lists of an account.

    Args:
        account: what tells it apart.
    """

    def __init__(self, *account: str) -> None:
        self._account = account
        self._is_used = False

    @contextlib.contextmanager
    def lock(self, job_id: str) -> Generator[None]:
        """Keep the other processes from listing a job, as far as the machine has locks."""
        lock = FileLock(self._path(job_id, ".lock"), 0o600)
        with contextlib.suppress(OSError):
            taken_within(_LISTED_WITHIN, lock.acquire)
        try:
            yield
        finally:
            lock.release()

    def version(self, job_id: str) -> int:
        """What changes when a process lists the job again; 0 before the first has."""
        try:
            return self._path(job_id).stat().st_mtime_ns
        except OSError:
            return 0

    def read(self, job_id: str) -> list[File] | None:
        """The files of a job, if a process has listed it."""
        from firsthandapi.types import File

        try:
            signature, *lines = self._path(job_id).read_bytes().splitlines()
        except (OSError, ValueError):
            return None
        if not hmac.compare_digest(signature, _signature(lines)):
            return None
        return [File.model_validate_json(line) for line in lines]

    def write(self, job_id: str, files: Iterable[File]) -> None:
        """Give the others the list of a job. A machine without a place for it costs requests alone."""
        lines = [file.model_dump_json().encode() for file in files]
        with contextlib.suppress(OSError):
            replace(self._path(job_id), b"\n".join([_signature(lines), *lines]), 0o600)
            _remove(_NAME, cutoff=time.time() - _OLD)

    def forget(self, job_id: str) -> None:
        """Remove the list of a job."""
        with contextlib.suppress(OSError):
            remove(self._path(job_id))

    def close(self) -> None:
        """Remove all lists of the account, if this is the process that started the others."""
        from multiprocessing import parent_process

        if self._is_used and parent_process() is None:
            _remove(self._prefix)

    @property
    def _prefix(self) -> str:
        return f"{_NAME}{_digest(*self._account)}-"

    def _path(self, job_id: str, suffix: str = "") -> Path:
        self._is_used = True
        return Path(tempfile.gettempdir()) / f"{self._prefix}{_digest(job_id)}{suffix}"


def _remove(prefix: str, *, cutoff: float = float("inf")) -> None:
    user = getattr(os, "getuid", int)()  # Windows tells no users apart here
    for path in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        with contextlib.suppress(OSError):
            status = path.lstat()
            if status.st_uid == user and status.st_mtime < cutoff:
                remove(path)


def _key() -> bytes:
    from multiprocessing import current_process

    return bytes(current_process().authkey)


def _digest(*parts: str) -> str:
    return hmac.new(_key(), repr(parts).encode(), sha256).hexdigest()[:32]


def _signature(lines: Sequence[bytes]) -> bytes:
    return hmac.new(_key(), b"\n".join(lines), sha256).hexdigest().encode()
