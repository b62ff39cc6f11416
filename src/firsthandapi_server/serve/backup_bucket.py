"""Copies of a server's folder in a bucket: files that never change, and the databases of one moment, which a small
object names last. A copy that is made again sends only new files.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, cast

from firsthandapi.errors import ConfigurationError
from firsthandapi_server.sqlite import DATABASE, FILES
from firsthandapi_server.state.keeping import NotKeptError
from firsthandapi_server.state.storage import failures_named, open_url, place

from .access import FILE, Access
from .backup import Backup, Mark, files_of, learn, settings_of, snapshots, transfer, whole

_HEAD, _NEWS = "backup.json", "news.json"


class _Bucket:
    """A folder of objects."""

    def __init__(self, url: str) -> None:
        self._files, self._root = open_url(url)

    def sizes(self, folder: str) -> dict[str, int]:
        """The size of each object in a folder, by its name."""
        with failures_named():
            try:
                info_by_path = self._files.find(self._path(folder), detail=True)
            except FileNotFoundError:
                return {}
        return {str(path).rpartition("/")[2]: int(info["size"] or 0) for path, info in info_by_path.items()}

    def folders(self) -> list[str]:
        """The names of the folders in it."""
        with failures_named():
            try:
                infos = self._files.ls(self._root, detail=True)
            except FileNotFoundError:
                return []
        return [
            str(info["name"]).rstrip("/").rpartition("/")[2] for info in infos if info["type"] == "directory"
        ]

    def put(self, path: Path, name: str) -> None:
        """Send a file."""
        with failures_named():
            target = self._path(name)
            self._files.makedirs(target.rpartition("/")[0], exist_ok=True)
            self._files.put_file(str(path), target)

    def get(self, name: str, path: Path) -> None:
        """Bring a file."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with failures_named():
            self._files.get_file(self._path(name), str(path))

    def write(self, name: str, value: object) -> None:
        """Replace a small object."""
        with failures_named():
            self._files.makedirs(self._root, exist_ok=True)
            self._files.pipe_file(self._path(name), json.dumps(value).encode())

    def read(self, name: str) -> Any:
        """A small object; None without it."""
        with failures_named():
            try:
                return json.loads(self._files.cat_file(self._path(name)))
            except (FileNotFoundError, ValueError):
                return None

    def remove(self, name: str) -> None:
        """Remove an object, or a folder of them."""
        with failures_named():
            self._files.rm(self._path(name), recursive=True)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


def back_up_to(folder: Path, url: str, on_file: Callable[[int, int], None], mark: Mark) -> Backup:
    """Copy the folder of a server, which may be running, to a bucket. An earlier copy there is replaced in one step.

    Raises ConfigurationError: the folder or the bucket cannot be used, another server has its copy there, or a database
        is damaged.
    """
    bucket = _Bucket(url)
    with tempfile.TemporaryDirectory() as room:
        try:
            head = bucket.read(_HEAD)
            if (head is None and bucket.sizes("")) or (head is not None and head["server"] != mark.server):
                raise ConfigurationError(
                    "another server has its backup there, or something else: pass a new URL"
                )
            return _sent(folder, Path(room), bucket, on_file, mark, head)
        except NotKeptError as error:
            raise ConfigurationError(
                f"could not write the backup: {error}; check the URL, and try again"
            ) from None


def _sent(
    folder: Path,
    room: Path,
    bucket: _Bucket,
    on_file: Callable[[int, int], None],
    mark: Mark,
    head: dict[str, Any] | None,
) -> Backup:
    bucket_of_files = snapshots(folder, room)
    sizes, lost = bucket.sizes(FILES), set(() if head is None else cast("list[str]", head["lost"]))

    def send(name: str, size: int) -> Path | None:
        if sizes.get(name) == size and name not in lost:
            return None
        path = place(folder / FILES, name)
        bucket.put(path, f"{FILES}/{name}")
        return path

    rows = [] if bucket_of_files else files_of(room)
    backup = transfer(rows, on_file, send)
    backup.bucket = bucket_of_files
    moment = f"at-{mark.at:.3f}"
    for path in (room / DATABASE, room / FILE, *settings_of(folder)):
        bucket.put(path, f"{moment}/{path.name}")
    bucket.write(_HEAD, {"server": mark.server, "at": mark.at, "lost": backup.lost, "moment": moment})
    # Of no copy any more: what was erased, and earlier moments.
    for name in sizes.keys() - {name for name, _, _ in rows}:
        bucket.remove(f"{FILES}/{name}")
    for name in bucket.folders():
        if name.startswith("at-") and name != moment:
            bucket.remove(name)
    return backup


def restore_from(url: str, target: Path, on_file: Callable[[int, int], None]) -> Backup:
    """Bring a copy from a bucket to a new folder, verified, from which a server starts; it erases first what was erased
    meanwhile.

    Raises ConfigurationError: there is no copy, or the folder or the bucket cannot be used.
    """
    bucket = _Bucket(url)
    try:
        head = bucket.read(_HEAD)
        if head is None:
            raise ConfigurationError("no backup is there: check the URL")
        with whole(target) as part:
            return _brought(bucket, head, part, on_file)
    except (NotKeptError, OSError) as error:
        raise ConfigurationError(f"could not restore the backup: {error}; try again") from None


def _brought(
    bucket: _Bucket, head: dict[str, Any], part: Path, on_file: Callable[[int, int], None]
) -> Backup:
    for name in bucket.sizes(head["moment"]):
        bucket.get(f"{head['moment']}/{name}", part / name)
    for name in (DATABASE, FILE):
        (part / name).chmod(0o600)
    with closing(Access(part / FILE)) as access:
        if news := bucket.read(_NEWS):
            learn(access, news, head["at"])
        storage = access.first_value("storage", "")

    def bring(name: str, _size: int) -> Path:
        path = place(part / FILES, name)
        bucket.get(f"{FILES}/{name}", path)
        return path

    backup = transfer([] if storage else files_of(part), on_file, bring)
    backup.bucket = storage or None
    return backup


def tell_bucket(url: str, server: str, news: Mapping[str, list[Any]]) -> bool:
    """Write down, beside a copy in a bucket, what happened since. Returns whether the copy is there."""
    bucket = _Bucket(url)
    head = bucket.read(_HEAD)
    if head is None or head["server"] != server:
        return False
    if bucket.read(_NEWS) != json.loads(json.dumps(news)):
        bucket.write(_NEWS, news)
    return True
