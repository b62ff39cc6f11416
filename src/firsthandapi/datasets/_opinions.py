"""The file of what was said of a folder's files: it grows line by line, goes with copies, and forgets."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from firsthandapi._core.rows.decisions import check_words
from firsthandapi._core.rows.manifest import Record, iso
from firsthandapi._core.rows.opinions import LARGEST_OPINIONS, OPINIONS, encode, lines_kept

from ._lock import taking_notes
from ._store import append

if TYPE_CHECKING:
    from ._store import Store

# In a bucket, where nothing can be appended, so many lines are written at once.
_WRITTEN_AT_ONCE = 25


def note_correction(store: Store, record: Record, fields: Mapping[str, Any], by: str | None) -> None:
    """Write down what a person has corrected, and who."""
    _, who = check_words(None, by)
    line = {"sha256": record.sha256, "corrected": dict(fields), "by": who, "at": iso(datetime.now(UTC))}
    _add_lines(store, encode(line))


def keep_opinions(store: Store, source: Store, hashes: frozenset[str]) -> None:
    """Copy what was said of these files, by their SHA-256, to another folder."""
    if not (lines := lines_kept(source.read(source.root / OPINIONS, LARGEST_OPINIONS), hashes.__contains__)):
        return
    with taking_notes(store):
        content = store.read(store.root / OPINIONS, LARGEST_OPINIONS) or b""
        old_lines = set(content.splitlines())
        new = [line for line in lines.splitlines() if line not in old_lines]
        if new and len(content) + len(lines) <= LARGEST_OPINIONS:
            store.replace(store.root / OPINIONS, content + b"".join(line + b"\n" for line in new))


def forget_opinions(store: Store, hashes: frozenset[str]) -> None:
    """Erase what was said of these files. The caller holds the lock of notes."""
    content = store.read(store.root / OPINIONS, LARGEST_OPINIONS)
    remaining = lines_kept(content, lambda sha256: sha256 not in hashes)
    if content is not None and remaining != content:
        store.replace(store.root / OPINIONS, remaining)


class AnswerLog:
    """Adds lines to the file of answers, from several threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._waiting: list[bytes] = []

    def add(self, line: bytes) -> None:
        """Add a line, on the disk when this returns; in a bucket, several at once."""
        with self._lock:
            self._waiting.append(line)
            if self._store.appender(self._store.root) is not None or len(self._waiting) >= _WRITTEN_AT_ONCE:
                self._write()

    def close(self) -> None:
        with self._lock:
            self._write()

    def _write(self) -> None:
        if self._waiting:
            _add_lines(self._store, b"".join(self._waiting))
            self._waiting.clear()


def _add_lines(store: Store, lines: bytes) -> None:
    path = store.root / OPINIONS
    with taking_notes(store):
        # Half a line, which a crash has left, must not spoil the next.
        if not append(store, path, b"\n" + lines):
            store.replace(path, (store.read(path, LARGEST_OPINIONS) or b"") + lines)
