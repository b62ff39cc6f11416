"""Who has added which column of their own, and when."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from firsthandapi._base.names import ROOM
from firsthandapi._core.rows.manifest import iso

from ._lock import taking_notes
from ._store import Store

COLUMNS_FILE = f"{ROOM}/columns.jsonl"
_LARGEST = 16 * 1024 * 1024


def note_column(store: Store, name: str, by: str | None) -> None:
    """Write down that a column was added or replaced."""
    line = {"name": name, "by": by, "at": iso(datetime.now(UTC))}
    with taking_notes(store):
        path = store.root / COLUMNS_FILE
        content = store.read(path, _LARGEST) or b""
        store.replace(path, content + json.dumps(line, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
