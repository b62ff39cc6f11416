"""One file, over one connection, in the caller's thread."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from firsthandapi._base.host.clock import HostClock
from firsthandapi._base.host.replacing import sync_directory
from firsthandapi._base.names import file_name_on_disk
from firsthandapi._base.paths import check_path, local_path
from firsthandapi._base.watching import OnAttempt
from firsthandapi._core.files.download import Wanted, allowed_schemes, failure
from firsthandapi.errors import InvalidArgumentError
from firsthandapi.types._base import fitting

from .exchange import Session
from .network import Network, StoppedError
from .transfer import DiskFullError, Refresh, Rules, transfer
from .watching import Watch

if TYPE_CHECKING:
    from firsthandapi.types.file import File


def target_of(path: str | os.PathLike[str]) -> Path | None:
    """`path` as a Path, or None for one in a bucket. One with a trailing slash, which Path drops, is a directory: it is
    created."""
    text = str(path) if hasattr(path, "protocol") else os.fspath(path)
    check_path(text, "path")
    target = local_path(text, "path")
    if target is None:
        return None
    if text.endswith(("/", os.sep)):
        try:
            target.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise InvalidArgumentError(
                f"path: could not create the directory: {reason}", field="path"
            ) from None
    return target


def download_file(
    file: File,
    path: Path,
    *,
    base_url: str,
    network: Network,
    max_retries: int,
    refresh: Refresh,
    on_attempt: OnAttempt | None,
    tracing: bool = True,
    clock: HostClock | None = None,
) -> Path:
    """Download `file` to `path`, or into it if it is a directory. See `files.download`."""
    file = fitting(file)
    # Unlike `Path.is_dir`, this does not raise for a name that is too long; the write does.
    if os.path.isdir(path):  # noqa: PTH112 # see above
        path /= file_name_on_disk(file.id, file.content_type)
    task = Wanted.of(file, path)
    rules = Rules(
        schemes=allowed_schemes(base_url),
        max_retries=max_retries,
        refresh=refresh,
        on_bytes=lambda _: None,
        clock=clock or HostClock(),
        spare_processor=lambda: True,
        watch=Watch(on_attempt, tracing),
    )
    session = Session(network)
    try:
        outcome = transfer(task, session, rules)
    except DiskFullError as error:
        raise error.error from None
    except StoppedError:
        raise failure(file.id, "the download was cancelled") from None
    finally:
        session.close()
    if outcome.error is not None:
        raise outcome.error
    sync_directory(task.target.parent)
    return task.target
