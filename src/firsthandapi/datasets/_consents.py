"""consents.jsonl, beside the rows: what their workers agreed to."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from firsthandapi._core.rows.consents import CONSENTS, LARGEST_CONSENTS, encode_consents, parse_consents

from ._lock import taking_notes
from ._store import Store


def consents_in(store: Store) -> dict[str, dict[str, Any]]:
    """The lines by their ids; none if there is no file."""
    return parse_consents(store.read(store.root / CONSENTS, LARGEST_CONSENTS))


def keep_consents(store: Store, new: Mapping[str, Mapping[str, Any]], ids: Collection[str | None]) -> None:
    """Add lines, and drop those that no row names any more, by the `ids` of all rows. Without a change, nothing is
    written."""
    with taking_notes(store):
        before = consents_in(store)
        after = {each: line for each, line in {**before, **new}.items() if each in ids}
        if after:
            if after != before:
                store.replace(store.root / CONSENTS, encode_consents(after))
        elif before:
            store.remove(store.root / CONSENTS)
