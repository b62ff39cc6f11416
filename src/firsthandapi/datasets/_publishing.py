"""Publish a dataset: its files, rows, consents, card, metadata, and lock, and nothing else of its folder."""
# A part of Dataset:
# pyright: reportPrivateUsage=false

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firsthandapi._base.counts import count_of
from firsthandapi._base.names import ROOM
from firsthandapi._base.watching import logger
from firsthandapi._core.files.annotations import has_speech
from firsthandapi._core.files.kinds import KINDS, Kind, place_in, within
from firsthandapi._core.rows.card import CARD, LARGEST_CARD, card_of, is_unchanged
from firsthandapi._core.rows.consents import CONSENTS, encode_consents, under_license
from firsthandapi._core.rows.croissant import CROISSANT, croissant_of
from firsthandapi._core.rows.manifest import (
    LARGEST_MANIFEST,
    MANIFEST,
    Record,
    manifest_line,
    parse_manifest,
    with_origin,
)
from firsthandapi._core.rows.publication import (
    TABLE,
    Publication,
    check_split,
    hub_repo,
    is_ours,
    place_of_rows,
    placed,
    split_in,
)
from firsthandapi._core.rows.splits import Rule
from firsthandapi._core.rows.statements import check_text
from firsthandapi._core.rows.versions import (
    LARGEST_LOCK,
    LOCK_FILE,
    Version,
    encode_lock,
    read_lock,
    table_of,
)
from firsthandapi.errors import ConfigurationError, InvalidArgumentError

from ._consents import consents_in
from ._papers import SPLITS, edited_in, facts_of, origins_of, statements_in
from ._parquet import own_values, schema_with_own
from ._shelf import Item, Shelf, StoreShelf, item_of
from ._splitting import split
from ._store import store_at
from ._versions import now_of, write_lock
from ._withdrawing import note_export, withdrawn_in

if TYPE_CHECKING:
    from ._dataset import Dataset, DatasetView
    from ._rows import Rows


def publish(
    dataset: Dataset,
    dest: str | os.PathLike[str],
    *,
    splits: Mapping[str, DatasetView] | None,
    private: bool,
    tag: str | None,
) -> Publication:
    """Bring a publication up to date. A death leaves what the next call completes: the lock comes first, as the sign
    that the place is ours, and the rows last.
    Raises ConfigurationError: the place is not ours, or cannot be written to.
    Raises InvalidArgumentError: an argument is not allowed.
    """
    shelf = _shelf_at(dest, private=private, tag=tag)
    _check_apart(dataset, shelf)
    dataset._catch_up()
    parts = _parts(dataset, splits)
    _check_rows(dataset, [row for rows in parts.values() for _, row in rows.values()])
    publication = _Published(shelf)
    publication.check_ours()
    version = write_lock(dataset) if dataset._kept is None else dataset._kept.version
    places = placed({name: rows.values() for name, rows in parts.items()}, shelf.most)
    paths = {(folder, row.file_name): path for rows in parts.values() for path, (folder, row) in rows.items()}
    media = [
        Item(
            within(place, row.file_name),
            row.size_bytes,
            row.sha256,
            media=(row, paths[place_in(place), row.file_name]),
        )
        for place, (_, rows) in places.items()
        for row in rows
    ]
    lock, *papers = _papers(dataset, {place: rows for place, (_, rows) in places.items()}, version, shelf)
    items = [lock, *media, *papers]
    changed = [item for item in items if not shelf.has(item, publication.hashes)]
    stale = publication.names_gone({item.name for item in items})
    shelf.check_new(is_changed=bool(changed or stale))
    published = [row for _, rows in places.values() for row in rows]
    note_export(dataset._store, shelf.key, published, adds=True)
    shelf.write(dataset._store, changed, stale)
    if withdrawn := withdrawn_in(dataset):
        shelf.erase(withdrawn)
    note_export(dataset._store, shelf.key, published, adds=False)
    altered = (MANIFEST,) if edited_in(dataset) & {row.file_id for row in published} else ()
    if altered:
        logger().warning(
            "%s", f"{shelf.url} has rows that were edited outside of firsthandapi: its card says so"
        )
    return Publication(shelf.url, version, len(changed), altered)


def publication_at(url: str) -> Shelf | None:
    """Where a publication is; None if this is another kind of copy."""
    shelf = _shelf_at(url, private=None, tag=None)
    if isinstance(shelf, StoreShelf):
        root = shelf.store.root
        if not shelf.store.exists(root / LOCK_FILE) or shelf.store.names(root / ROOM):
            return None
    return shelf


def withdraw(dataset: Dataset, shelf: Shelf, gone: Collection[str], asked: Collection[str]) -> bool:
    """Remove files from a publication of a dataset, and what is said of them. Nothing else of it changes. Returns
    False, and leaves all as it is, if one of them is of another job than those that were `asked` about.
    Raises ConfigurationError: it cannot be reached, or is none.
    """
    publication = _Published(shelf)
    if any(
        row.job_id not in asked for rows in publication.rows.values() for row in rows if row.file_id in gone
    ):
        return False
    rows = {
        place: remaining
        for place, rows in publication.rows.items()
        if (remaining := [row for row in rows if row.file_id not in gone])
    }
    items = _papers(dataset, rows, publication.version(), shelf, [*gone])
    names = {within(place, row.file_name) for place, remaining in rows.items() for row in remaining}
    removed = publication.names_gone(names | {item.name for item in items})
    if {*removed} - {CONSENTS}:  # else it has none of them, and may be another dataset's by now
        shelf.write(dataset._store, [item for item in items if not shelf.has(item, {})], removed)
    shelf.erase(gone)
    return True


class _Published:
    """What a place has now."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._names = shelf.names()
        self.rows: dict[str, list[Record]] = {}
        for name in self._names:
            place = place_of_rows(name)
            if place is not None and LOCK_FILE in self._names:
                content = shelf.read(name, LARGEST_MANIFEST) or b""
                self.rows[place] = parse_manifest(content, f"{shelf.key}: {name}")
        self.hashes = {
            within(place, row.file_name): row.sha256 for place, rows in self.rows.items() for row in rows
        }

    def check_ours(self) -> None:
        """Raises ConfigurationError: there is something else, or a card that a person wrote."""
        if self._names and LOCK_FILE not in self._names:
            raise ConfigurationError(
                f"{self._shelf.key} is not empty, and has no {LOCK_FILE} of a publication: publish into an empty "
                "place, or remove what is there"
            )
        if self._names:
            self.version()
        card = self._shelf.read(CARD, LARGEST_CARD) if CARD in self._names else None
        if card is not None and not is_unchanged(card):
            raise ConfigurationError(
                f"{self._shelf.key}: {CARD} was edited since it was published; state what it says with write_card, "
                "then remove it there"
            )

    def version(self) -> Version:
        return read_lock(self._shelf.read(LOCK_FILE, LARGEST_LOCK) or b"", f"{self._shelf.key}: {LOCK_FILE}")

    def names_gone(self, names: Collection[str]) -> list[str]:
        """The names of ours, also those that a death has left, that are none of these."""
        ours = self.hashes.keys() | {name for name in self._names if is_ours(name)}
        return sorted((ours & {*self._names}).difference(names))


def _shelf_at(dest: Any, *, private: bool | None, tag: str | None) -> Shelf:
    if private is not None and not isinstance(private, bool):
        raise InvalidArgumentError("private must be True or False", field="private")
    repo = hub_repo(str(dest))  # of a UPath too
    if tag is not None:
        check_text(tag, "tag")
        if repo is None:
            raise InvalidArgumentError(
                "tag needs a repository of the Hub, as in hf://owner/name", field="tag"
            )
    if repo is None:
        return StoreShelf(store_at(dest, "dest"))
    from ._hub import Hub

    return Hub(repo, private=private, tag=tag)


def _check_apart(dataset: Dataset, shelf: Shelf) -> None:
    """Raises InvalidArgumentError: the place is in the dataset's folder, or around it."""
    if isinstance(shelf, StoreShelf):
        source, target = dataset.path.resolve(), shelf.store.root.resolve()
        if source == target or source in target.parents or target in source.parents:
            raise InvalidArgumentError(
                f"dest is in the folder of the dataset, {dataset.path}, or around it; use a folder beside it",
                field="dest",
            )


def _parts(
    dataset: Dataset, splits: Mapping[str, DatasetView] | None
) -> dict[str, dict[Path, tuple[str, Record]]]:
    """By split, or by "" for all: by the path of its file, each row with the folder of its manifest.
    Raises ConfigurationError: there is no row.
    Raises InvalidArgumentError: a split cannot be published.
    """
    chosen: Mapping[str, Rows] = {"": dataset} if splits is None else splits
    if not isinstance(chosen, Mapping):
        raise InvalidArgumentError("splits must map names to views: dataset.split()", field="splits")
    for name, view in (splits or {}).items():
        check_split(name)
        if getattr(view, "_whole", None) is not dataset:
            raise InvalidArgumentError(
                "splits must be those of this dataset: dataset.split()", field="splits"
            )
    withdrawn, consents = withdrawn_in(dataset), consents_in(dataset._store)
    license, origins = statements_in(dataset._store).get("license"), origins_of(dataset)

    def published(row: Record) -> tuple[str, Record]:
        folder, placed_row = dataset._placed(row)
        placed_row = with_origin(placed_row, *origins.get(row.job_id, (None, None)))
        return folder, under_license(placed_row, license, consents)

    parts = {
        name: {dataset.path_of(row): published(row) for row in rows if row.file_id not in withdrawn}
        for name, rows in chosen.items()
    }
    paths = [path for rows in parts.values() for path in rows]
    if not paths:
        gone = sum(len(rows) for rows in chosen.values())
        why = f": {count_of(gone)} withdrawn by workers or the service" if gone else ""
        raise ConfigurationError(f"{dataset._name} has no file to publish{why}")
    if len({*paths}) < len(paths):
        raise InvalidArgumentError(
            "splits: a file is in two of them, which would leak; use dataset.split()", field="splits"
        )
    return parts


def _check_rows(dataset: Dataset, rows: Sequence[Record]) -> None:
    """Raises InvalidArgumentError: rows contradict a statement, or the consent of their worker."""
    statements = statements_in(dataset._store)
    witness = facts_of(dataset, statements, {"": rows}).witness
    witness.check(statements)
    witness.check_licenses(statements.get("license"))


def _papers(
    dataset: Dataset,
    places: Mapping[str, Sequence[Record]],
    version: Version,
    shelf: Shelf,
    gone: Sequence[str] = (),
) -> list[Item]:
    """All but the media: the lock first, and the rows last. `gone`: files that were withdrawn just now."""
    store = dataset._store
    records = [row for rows in places.values() for row in rows]
    ids = {row.file_id for row in records}
    now = now_of(dataset)
    withdrawn = {*now.withdrawn, *withdrawn_in(dataset), *gone}
    table = table_of(places, withdrawn=withdrawn, excluded=now.excluded)
    rows = {
        within(place, MANIFEST): b"".join(map(manifest_line, rows)) for place, rows in places.items() if rows
    }
    statements: dict[str, Any] = statements_in(store)
    if shelf.base is not None:
        statements = {"url": shelf.url} | statements | {"content_url": shelf.base}
    parts: dict[str, list[Record]] = {}
    for place, listed in places.items():
        parts.setdefault(split_in(place), []).extend(listed)
    if "" in parts and not any("split" in row.extra for row in records):
        chosen = split(dataset, Rule(statements.get("splits", SPLITS)))
        parts = {name: [row for row in rows if row.file_id in ids] for name, rows in chosen.items()}
    facts = replace(
        facts_of(dataset, statements, places),
        manifests={place: item_of("", rows[within(place, MANIFEST)]).sha256 for place in places},
        splits=parts if "" not in parts else {},
        version=version.number,
        parts={place: name for place in places if (name := split_in(place))},
        table=TABLE,
    )
    croissant = croissant_of(facts)
    consents = {row.consent_id for row in records}
    lines = {consent: line for consent, line in consents_in(store).items() if consent in consents}
    contents = {
        LOCK_FILE: encode_lock(replace(version, tree=table.tree), table),
        **({CONSENTS: encode_consents(lines)} if lines else {}),
        **dict(_tables(dataset, places)),
        CROISSANT: croissant,
        CARD: card_of(facts, croissant),
        **rows,
    }
    return [item_of(name, content) for name, content in contents.items()]


def _tables(dataset: Dataset, places: Mapping[str, Sequence[Record]]) -> Iterator[tuple[str, bytes]]:
    """The rows of each place as Parquet, with the same types in all places for a kind of media.
    Raises ConfigurationError: pyarrow is not installed, or a value has no type.
    """
    try:
        import pyarrow  # pyright: ignore[reportMissingTypeStubs] # it ships none
        import pyarrow.parquet  # pyright: ignore[reportMissingTypeStubs] # it ships none
    except ImportError:
        raise ConfigurationError("publish needs an extra: pip install 'firsthandapi[pandas]'") from None
    pa: Any = pyarrow
    parquet: Any = pyarrow.parquet
    by_kind: dict[str, list[Record]] = {}
    for place, rows in places.items():
        by_kind.setdefault(place_in(place), []).extend(rows)
    for place, rows in places.items():
        kind = place_in(place)
        if kind == "other":
            continue
        kinds: Collection[Kind | None] = [member for member in KINDS if member == kind] or dataset._kinds()
        speech = any(map(has_speech, kinds))
        schema, mixed = schema_with_own(kinds, by_kind[kind])
        schema = schema.remove(schema.get_field_index("path"))
        # The user's own first: none of them replaces one of ours.
        lines = [
            {**own_values(row, mixed), **vars(row), **({"text": row.text} if speech else {})} for row in rows
        ]
        content = BytesIO()
        try:
            parquet.write_table(pa.Table.from_pylist(lines, schema=schema), content)
        except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
            raise ConfigurationError(
                f"{MANIFEST} contains values whose types contradict each other ({type(error).__name__}); restore it "
                "from a backup"
            ) from None
        yield within(place, TABLE), content.getvalue()
