"""Decisions about the files of a folder: recorded first, then carried out by the process that locks the folder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from firsthandapi._core.files.labels import check_spelling
from firsthandapi._core.rows.decisions import (
    DECISIONS,
    EXCLUDED,
    LARGEST_DECISIONS,
    Decided,
    Decision,
    decision_line,
    parse_decisions,
    source_of,
)
from firsthandapi._core.rows.manifest import Record, data_folder, in_place_of, label_of
from firsthandapi.errors import ConfigurationError

from ._lock import taking_notes
from ._manifest import Manifest
from ._store import Store, append


def decided_in(store: Store, baseline: Decided | None = None) -> Decided:
    """The decisions of a folder. `baseline`: as last read; only what was appended since is parsed."""
    path = store.root / DECISIONS
    return parse_decisions(store.read(path, LARGEST_DECISIONS), str(path), baseline)


def spelled(store: Store, decided: Decided, manifests: Iterable[Manifest]) -> Decided:
    """The decisions with the labels spelled as in these manifests, which have been read."""
    if not decided.labels:
        return decided
    manifests = list(manifests)
    hidden = hidden_in(store, manifests, decided)
    return decided.spelled(label_of(row) for place in (*manifests, *hidden) for row in place.records.values())


def write_down(
    store: Store,
    decisions: list[Decision],
    labels: Iterable[str] | None = None,
    baseline: Decided | None = None,
) -> Decided:
    """Append the decisions that change anything to those of the folder, and flush them to the disk; returns them all.
    `labels`: the labels of the folder, if new ones may not differ from them, or from those of earlier decisions, only
    in the case of letters.
    `baseline`: the decisions of the folder as last read.
    Raises InvalidArgumentError: a label is spelled differently.
    """
    path = store.root / DECISIONS
    store.refuse_link(store.root / EXCLUDED)
    content = store.read(path, LARGEST_DECISIONS)
    decided = parse_decisions(content, str(path), baseline)
    _check_labels(decisions, decided, labels)
    if not any(map(decided.changes, decisions)):
        return decided
    with taking_notes(store):
        if (content_now := store.read(path, LARGEST_DECISIONS)) != content:
            content = content_now
            decided = parse_decisions(content, str(path), decided)
            _check_labels(decisions, decided, labels)
        new: list[bytes] = []
        for decision in decisions:
            if decided.changes(decision):
                decided.add(decision)
                new.append(decision_line(decision))
        # A line that a crash has cut off must not spoil the next line.
        lines = b"".join([b"\n", *new] if content and not content.endswith(b"\n") else new)
        if len(content or b"") + len(lines) > LARGEST_DECISIONS:
            raise ConfigurationError(
                f"{path} would be larger than {LARGEST_DECISIONS >> 20} MiB, the most that can be read again; "
                "remove lines that later lines about the same file replace"
            )
        if not append(store, path, lines):
            store.replace(path, (content or b"") + lines)
        decided.source = source_of((content or b"") + lines)
    return decided


def _check_labels(decisions: list[Decision], decided: Decided, labels: Iterable[str] | None) -> None:
    if labels is not None:
        spellings = decided.spelled(labels).spellings.values()
        for label in {decision.label for decision in decisions if decision.label is not None}:
            check_spelling(label, spellings)


def hidden_in(store: Store, manifests: Iterable[Manifest], decided: Decided) -> list[Manifest]:
    """Read the manifests of the files excluded from these manifests; both are in `excluded/`.
    Raises ConfigurationError: a manifest cannot be read, or is not one of ours.
    """
    hidden = [_hidden_of(store, manifest) for manifest in manifests if decided.decisions]
    return [manifest for manifest in hidden if manifest.read()]


def _hidden_of(store: Store, manifest: Manifest) -> Manifest:
    store.refuse_link(store.root / EXCLUDED)
    return Manifest(store, f"{EXCLUDED}/{manifest.subfolder}".rstrip("/"))


def carry_out_rest(store: Store, manifests: list[Manifest], done: Decided) -> Decided:
    """Carry out new decisions if the folder is not locked. Otherwise the process that locks it does, and checks again
    when it unlocks the folder. Returns the decisions as last read."""
    while len((decided := decided_in(store)).decisions) > len(done.decisions):
        writer = store.writer()
        if not writer.lock():
            break
        try:
            # Again: until the folder was locked, another process may have carried out later ones.
            decided = decided_in(store)
            for manifest in manifests:
                manifest.read()
            done = spelled(store, decided, manifests)
            carry_out(store, manifests, done)
        finally:
            writer.release()
    return decided


def carry_out(store: Store, manifests: Iterable[Manifest], decided: Decided) -> None:
    """Carry out the remaining decisions. The caller holds the lock of the folder. After a crash at any point, the same
    call does the rest: a file moves before its row, so a row that differs from the decisions shows what is left to do.
    `manifests`: those of the folder, read.
    `decided`: the decisions about its files, as `spelled` returns them.
    """
    for manifest in manifests if decided.decisions else ():
        hidden = _hidden_of(store, manifest)
        hidden.read()
        rows = list(manifest.records.values())
        out = [row for row in rows if row.file_id in decided.excluded]
        _move(store, manifest, hidden, [(row, row) for row in out])
        back = [row for row in hidden.records.values() if row.file_id in decided.included]
        _move(store, hidden, manifest, [(row, relabeled(row, decided)) for row in back])
        moved = [(row, relabeled(row, decided)) for row in manifest.records.values()]
        _move(store, manifest, manifest, [(row, new) for row, new in moved if new.file_name != row.file_name])


def relabeled(row: Record, decided: Decided) -> Record:
    """The row with the label and the path that a decision has given its file."""
    label = decided.labels.get(row.file_id)
    if label is None:
        return row
    name = f"{data_folder(label)}/{row.file_name.rpartition('/')[2]}"
    if (name, label) == (row.file_name, row.label):
        return row
    return in_place_of(replace(row, file_name=name, label=label), row)


def _move(store: Store, source: Manifest, target: Manifest, rows: list[tuple[Record, Record]]) -> None:
    """Move files and replace their rows."""
    if not rows:
        return
    ways: dict[tuple[Path, Path], list[str]] = defaultdict(list)
    for row, new in rows:
        path = source.file(row)
        ways[path.parent, target.file(new).parent].append(path.name)
    for (folder, into), names in ways.items():
        store.refuse_link(folder)
        store.refuse_link(into)
        store.copy_into(folder, names, into)
    # In new dicts: others may have the old ones.
    moved = {new.file_id: new for _, new in rows}
    target.edited = target.edited | (source.edited & moved.keys())
    if target is not source:
        target.records = {**target.records, **moved}
        target.rewrite()
    for (folder, _), names in ways.items():
        store.remove_all(folder, names)
        if rest := {*names}.intersection(store.names(folder)):
            raise ConfigurationError(
                f"{folder / min(rest)} cannot be removed: another program may have it open; close that, then run the "
                "same call again"
            )
    if target is source:
        source.records = {**source.records, **moved}
    else:
        source.records = {file_id: row for file_id, row in source.records.items() if file_id not in moved}
    source.rewrite()
