"""consents.jsonl, beside the rows: what their workers agreed to."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from firsthandapi._core.rows.consents import (
    CONSENTS,
    LARGEST_CONSENTS,
    encode_consents,
    parse_consents,
    with_lines,
)

from ._lock import taking_notes
from ._store import Store


def consents_in(store: Store) -> dict[str, dict[str, Any]]:
    """The lines by their ids; none if there is no file."""
    return parse_consents(store.read(store.root / CONSENTS, LARGEST_CONSENTS))


def keep_consents(store: Store, new: Mapping[str, Mapping[str, Any]], ids: Collection[str | None]) -> None:
    """Add lines, which undo no withdrawal, and drop those that no row names any more, by the `ids` of all rows. Without
    a change, nothing is written."""
    with taking_notes(store):
        old_lines = consents_in(store)
        new_lines = {key: line for key, line in with_lines(old_lines, new).items() if key in ids}
        if new_lines:
            if new_lines != old_lines:
                store.replace(store.root / CONSENTS, encode_consents(new_lines))
        elif old_lines:
            store.remove(store.root / CONSENTS)
