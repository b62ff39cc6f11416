"""A dataset's folder. Every step leaves it consistent for the next reader or writer."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firsthandapi._base.ids import is_id
from firsthandapi._base.names import file_name_on_disk, is_name_of_ours
from firsthandapi._core.campaigns.ledger import campaign_of
from firsthandapi._core.files.download import Wanted
from firsthandapi._core.files.kinds import PLACES, Kind, folder_of, is_mixed, is_mixed_with, kind_of
from firsthandapi._core.files.labels import check_label, check_spelling
from firsthandapi._core.orders.record import ORDERS, OrderRecord, OtherOrders, differing
from firsthandapi._core.rows.consents import CONSENTS
from firsthandapi._core.rows.decisions import EXCLUDED, Decided, Decision, carried
from firsthandapi._core.rows.manifest import (
    MANIFEST,
    Record,
    RowOrigin,
    data_folder,
    in_place_of,
    label_of,
    manifest_line,
    origin_of_file,
)
from firsthandapi.errors import ConfigurationError, FirstHandError, InvalidArgumentError

from ._consents import consents_in, keep_consents
from ._copying import at_once, copied
from ._decisions import carry_out, carry_out_rest, decided_in, hidden_in, spelled, write_down
from ._local import Local
from ._manifest import Manifest, Source, all_manifests
from ._opinions import keep_opinions
from ._orders import OrderRecords, labels_of
from ._store import Store, being_written, refuse_earlier, store_at
from ._withdrawing import withdrawn_ids

if TYPE_CHECKING:
    from firsthandapi.types.file import File


class Folder:
    """A dataset's folder while it is written to. One writer at a time: `lock` first. `label` is that of this run's
    files; None for a folder of one job, without labels."""

    def __init__(self, dest: str | os.PathLike[str], label: str | None = None) -> None:
        self._store = store_at(dest, "dest")
        self._writer = self._store.writer()
        self.path = self._store.root
        self.label = None if label is None else check_label(label)
        self._orders = OrderRecords(self._store)
        self._record = self._orders.main if self.label is None else self._orders.path_of_label(self.label)
        # The labels of the other jobs here.
        self._others: dict[str, str | None] = {}
        self._manifests: dict[str, Manifest] = {}
        # As they are until this run writes to one.
        self._before: dict[str, Manifest] = {}
        # The threads that download write rows.
        self._rows = threading.Lock()
        self._stopped = self._closed = False
        # The ids of files that must not be downloaded again; read on first use.
        self._withdrawn: frozenset[str] | None = None
        self.decided = Decided()
        self._locked = False
        # By job, where the service has shown files to come from.
        self._origins: dict[str, set[RowOrigin]] = {}

    def lock(self) -> bool:
        """Lock the folder if no other writer has it; create it if necessary. Carries out the remaining decisions about
        its files.
        Raises ConfigurationError: it is of an earlier version, or cannot be written to.
        """
        refuse_earlier(self._store)
        if not self._writer.lock():
            return False
        try:
            self._carry_out()
        except BaseException:
            self._writer.release()
            raise
        self._locked = True
        return True

    @contextmanager
    def writing(self) -> Generator[None, None, None]:
        """Lock the folder for this block. Raises ConfigurationError: another process is writing to it."""
        if not self.lock():
            raise being_written(self.path)
        try:
            yield
        finally:
            self.close()

    def _carry_out(self) -> None:
        self.decided = decided_in(self._store)
        if self.decided.decisions:
            manifests = self._manifests_now()
            self.decided = spelled(self._store, self.decided, manifests)
            carry_out(self._store, manifests, self.decided)
            self._before = dict(zip(PLACES, manifests, strict=True))

    def stop(self) -> None:
        """Drop the files that are not yet in the folder. `close` writes the rows of the others in one step."""
        self._stopped = True
        self._writer.stop()

    def close(self) -> None:
        """Flush and unlock the folder."""
        try:
            with self._rows:
                self._closed = True
                for manifest in self._manifests.values():
                    manifest.close()
                if self._locked:
                    self._carry_out()  # what was decided in the meantime
                for manifest in self._manifests.values():
                    manifest.remove_empty()
                if self._locked:
                    with suppress(FirstHandError):  # as on a full disk: the next run records them
                        self._orders.note_origins(self._origins, self._writer)
        finally:
            self._writer.release()
        if self._locked:
            carry_out_rest(self._store, all_manifests(self._store), self.decided)

    @property
    def manifests(self) -> list[Manifest]:
        """Those that this run has written to, in the order in which they are read."""
        return [self._manifests[name] for name in PLACES if name in self._manifests]

    # ── The record of the order ──────────────────────────────────────────────────────────────────────────

    def known_order(self, job_id: str | None = None) -> tuple[OrderRecord | None, tuple[str, ...]]:
        """The record of the order; without one, also the jobs that the rows name.
        `job_id`: the job, where it is known; else the one of the folder, or of the label.
        Raises ConfigurationError: a record is damaged, or the folder contains files whose job is unknown.
        Raises InvalidArgumentError: the label is another's of this folder, or the job has another label.
        """
        records = {path: record for path, record in self._orders.all().items() if not record.forgotten}
        if self.label is not None:
            return self._known_of_label(self.label, job_id, records)
        if (record := records.get(self._record)) is not None:
            return record, ()
        if records:
            merged = None if job_id is None else records.get(self._orders.path_of_job(job_id))
            if merged is None or merged.label is not None:
                raise InvalidArgumentError(
                    "dest is a folder of several jobs, with labels; pass label=, or use a different folder",
                    field="label",
                )
            self._record = self._orders.path_of_job(str(job_id))
            return merged, ()
        job_ids: list[str] = []
        for row in (*self._rows_here(), *self._rows_excluded(self.decided)):
            if row.job_id is None:
                raise ConfigurationError(
                    f"{self.path} contains {MANIFEST} but no record of its order in {ORDERS}, so its job is unknown; "
                    f"restore {ORDERS}, or use a different folder"
                )
            job_ids.append(row.job_id)
        return None, tuple(dict.fromkeys(job_ids))

    def others(self) -> OtherOrders:
        """What the other records of the folder say."""
        records = self._orders.all()
        return OtherOrders.of(record for path, record in records.items() if path != self._record)

    def _known_of_label(
        self, label: str, job_id: str | None, records: dict[Path, OrderRecord]
    ) -> tuple[OrderRecord | None, tuple[str, ...]]:
        rows = [*self._rows_here(), *self._rows_excluded(self.decided)]
        check_spelling(label, labels_of(records.values(), rows))
        record = records.get(self._record)
        self._others.update(
            (entry.job_id, entry.label)
            for path, entry in records.items()
            if path != self._record and entry.job_id is not None
        )
        if record is not None and record.job_id is not None:
            # Another record of its job, such as a copy, must not take it from the label.
            self._others.pop(record.job_id, None)
        if job_id is None:
            named = {row.job_id: None for row in rows if label_of(row) == label and row.job_id is not None}
            return record, () if record is not None else tuple(named.keys() - self._others.keys())
        if record is not None and record.job_id == job_id:
            return record, ()
        self._record = self._orders.path_of_job(job_id)
        self._check_label_of(job_id)
        self._others.pop(job_id, None)
        return records.get(self._record), ()

    def labels(self) -> frozenset[str]:
        return labels_of(self._orders.all().values(), self._rows_here())

    def _read_once(self, name: str) -> Manifest:
        """A manifest. The lock is held: until this run writes, nobody does."""
        if name not in self._before:
            manifest = Manifest(self._store, name)
            manifest.read()
            self._before[name] = manifest
        return self._before[name]

    def _manifests_now(self) -> list[Manifest]:
        """All manifests, with what this run has written."""
        return [self._manifests.get(name) or self._read_once(name) for name in PLACES]

    def _manifests_here(self) -> list[Manifest]:
        return [manifest for manifest in map(self._read_once, PLACES) if manifest.records]

    def _rows_here(self) -> Iterator[Record]:
        for manifest in self._manifests_here():
            yield from manifest.records.values()

    def _check_label_of(self, job_id: str) -> None:
        if self._others.get(job_id, self.label) != self.label:
            label = self._others[job_id]
            state = "without a label" if label is None else f"labeled {label!r}"
            raise InvalidArgumentError(
                f"{job_id} is already in this folder, {state}; use that label, or merge it into a different folder: "
                "Dataset.merge({label: dataset}, folder)",
                field="label",
            )

    def has_job_for(self, request: Mapping[str, Any]) -> bool:
        """Whether the job that `request` asks for was bought for this folder. The lock need not be held."""
        record = self._orders.read(self._record)
        return (
            record is not None
            and record.request is not None
            and record.job is not None
            and not differing(record.request, request)
        )

    def create(self, record: OrderRecord) -> None:
        """Record a job, of which there must be no record yet, and have it on the disk before anything is bought.
        Raises ConfigurationError: there is one, or it cannot be written.
        Raises InvalidArgumentError: it would be too large to be read again.
        """
        self._orders.create(self._record, record, self._writer)

    def write(self, record: OrderRecord) -> None:
        """Replace the record of the job.
        Raises InvalidArgumentError: the job is here with another label.
        """
        if record.job_id in self._others:
            # Found by the caller's idempotency key: nothing was bought.
            self.remove()
            self._check_label_of(record.job_id)
        self._orders.write(self._record, record, self._writer)

    def restore(self, record: OrderRecord) -> None:
        """Write the record of the job again if somebody has removed it: without it the same call would post another."""
        if not self._store.exists(self._record):
            self.create(record)

    def remove(self) -> None:
        """Remove the record of an order whose key was never sent."""
        self._orders.remove(self._record)

    def take_decisions(self, decided: Decided, ids: Iterable[str], *, labels: bool) -> None:
        """Write down what was decided about files of another dataset; their labels only if they keep them."""
        if decisions := carried(decided, self.decided, ids, labels=labels):
            write_down(self._store, decisions)
            self.decided = self.decided_now()

    def note_jobs(self, records: Mapping[str, OrderRecord]) -> None:
        """Record jobs of another dataset beside those that are here, by their ids."""
        for job_id, record in records.items():
            self._orders.write(self._orders.path_of_job(job_id), record, self._writer)

    def check_jobs(self, records: Mapping[str, OrderRecord]) -> None:
        """Check that the records of these jobs can be read again, before any is written.
        Raises ConfigurationError: they would be too many, or too large.
        """
        self._orders.check_room({self._orders.path_of_job(job_id): item for job_id, item in records.items()})

    def is_mixed(self, formats: list[str] | None) -> bool:
        """Whether the files of a job that takes these formats go to a folder for each kind of media.
        Raises ConfigurationError: loaders could not read these formats beside what is in the folder already.
        """
        if self._record == self._orders.main:
            return is_mixed(formats)
        return is_mixed_with(formats, self._kinds_here(), str(self.path))

    def _kinds_here(self) -> dict[str, set[Kind | None]]:
        return {
            manifest.subfolder: {kind_of(row.content_type) for row in manifest.records.values()}
            for manifest in self._manifests_here()
        }

    def check_room(self, coming: Iterable[tuple[list[str], int]]) -> None:
        """Find out before anything is bought whether manifests with these files, by their formats, can be read again.
        Raises ConfigurationError: a manifest would be too large.
        """
        files = Counter[str]()
        for formats, number in coming:
            mixed = self.is_mixed(formats)
            for name in {folder_of(content_type, mixed=mixed) for content_type in formats}:
                files[name] += number
        for name, number in files.items():
            self._read_once(name).check_room(number)

    def check(self, formats: list[str], *, findable: bool, label: str | None = None, files: int = 0) -> None:
        """Find whatever would prevent the downloads of a job, before it is posted.
        `formats`: the content types of its files.
        `findable`: whether a job that was posted for this folder is found by something else than the folder.
        `label`: of its files; None for that of the folder.
        `files`: how many it will bring, unless it is posted already.
        Raises ConfigurationError: a manifest, or what has the name of its folder, is not one of ours, a file where the
        job's files go is a link, the list of withdrawn files is damaged, nothing says of which job the files here are,
        or a manifest would be too large to be read again.
        """
        self._withdrawn_ids()
        if not self._orders.read(self._record):
            self.check_room([(formats, files)])
        mixed = self.is_mixed(formats)
        for name in {folder_of(content_type, mixed=mixed) for content_type in formats}:
            manifest = self._read_once(name)
            target = manifest.folder / data_folder(label or self.label)
            for folder in (manifest.data, target):
                # `Dataset.open` refuses them once a row is there.
                self._store.refuse_links_in(folder)
            if not (manifest.records or findable or self._orders.read(self._record)):
                self._refuse_files(target)
            for folder in (manifest.folder, manifest.data, target):
                if self._store.is_no_folder(folder):
                    raise ConfigurationError(
                        f"{folder} is not a folder, where the dataset needs one; move it away"
                    )

    def refuse_links(self) -> None:
        """Refuse what `Dataset.open` refuses, before anything is bought for the folder.
        Raises ConfigurationError: a file is a link, as the caches of other tools make them.
        """
        if isinstance(self._store, Local):  # a bucket has no links
            for manifest in (*self._manifests_here(), *self._hidden(decided_in(self._store))):
                manifest.refuse_links()

    def _refuse_files(self, folder: Path) -> None:
        """Refuse files whose job is forgotten: it may be the one that is to be posted."""
        name = next(filter(is_name_of_ours, self._store.names(folder)), None)
        if name is not None:
            raise ConfigurationError(
                f"{folder} contains {name}, but neither {MANIFEST} nor a record says of which job; "
                "files.download_all(job_id, …) into this folder restores both and downloads no file again; for another "
                "job use a different folder"
            )

    # ── Merging ─────────────────────────────────────────────────────────────────────────────────────────

    def start_merging(self, formats: list[str]) -> bool:
        """Whether files of these types go to a folder for each kind of media.
        Raises ConfigurationError: loaders could not read them beside what is in the folder already.
        Raises InvalidArgumentError: it is the folder of a job, which its own call would no longer continue.
        """
        if self._orders.read(self._orders.main) is not None:
            raise InvalidArgumentError(
                f"dest is the folder of a job: {self.path} contains its record; merge into a different folder",
                field="dest",
            )
        return is_mixed_with(formats, self._kinds_here(), str(self.path))

    def check_taking(self, rows: Iterable[tuple[Record, str | None]], *, mixed: bool) -> None:
        """Check that manifests with these rows, each with its label, can be read again, before any is written.
        Raises ConfigurationError: one would be too large.
        """
        number, size, ids = Counter[str](), Counter[str](), set[str]()
        for record, label in rows:
            name = folder_of(record.content_type, mixed=mixed)
            if record.file_id not in ids and record.file_id not in self._read_once(name).records:
                ids.add(record.file_id)
                file_name = f"{data_folder(label)}/{file_name_on_disk(record.file_id, record.content_type)}"
                row = replace(record, file_name=file_name, label=label or record.label)
                number[name] += 1
                size[name] += len(manifest_line(in_place_of(row, record)))
        for name in number:
            self._read_once(name).check_room(number[name], size[name])

    def take(
        self,
        source: Store,
        rows: Iterable[tuple[Record, Path, str | None]],
        *,
        mixed: bool,
        edited: Collection[str],
    ) -> None:
        """Copy verified files of another dataset, each from its path and with its label, and write their rows; skip
        files that are here, withdrawn, or excluded. `edited`: the ids of rows that others have changed.
        Raises ConfigurationError: one is missing or mismatched, or the folder cannot be written to.
        Raises InvalidArgumentError: one is here with another label.
        """
        copies = {
            target: (manifest, path, record, label)
            for record, path, name in rows
            for manifest, target, label in self._places_of(record, name, mixed=mixed)
        }

        def copy(target: Path) -> Path:
            _, path, record, _ = copies[target]
            copied(source, path, record, self._writer.fetch_to(target))
            self._writer.put(target)
            return target

        with at_once(source, self._store) as pool:
            for target in pool.map(copy, copies):
                manifest, _, record, label = copies[target]
                row = replace(
                    record, file_name=f"{data_folder(label)}/{target.name}", label=label or record.label
                )
                manifest.add(in_place_of(row, record), is_edited=record.file_id in edited)

    def _places_of(
        self, record: Record, label: str | None, *, mixed: bool
    ) -> Iterator[tuple[Manifest, Path, str | None]]:
        """Where the file of a row of another dataset is to be, with its label here; nowhere if it is not to come."""
        if record.file_id in self._withdrawn_ids() or record.file_id in self.decided.excluded:
            return
        label = self.decided.labels.get(record.file_id, label)
        manifest = self._manifest_named(folder_of(record.content_type, mixed=mixed), label)
        row = manifest.records.get(record.file_id)
        if row is not None and label_of(row) != label:
            raise InvalidArgumentError(
                f"{record.file_id} would have two labels, {label_of(row)!r} and {label!r}; take it out of one source",
                field="datasets",
            )
        target = manifest.path_of(record.file_id, record.content_type, label)
        if row is None or self._writer.size_of(target) != record.size_bytes:
            yield manifest, target, label

    # ── Files ────────────────────────────────────────────────────────────────────────────────────────────

    def plan(
        self, files: list[File], source: Source, *, is_repeat: bool = False
    ) -> tuple[list[Wanted], list[File]]:
        """The files to download, and those that the folder has, or had until they were withdrawn. A row stays until
        its successor is in place.

        With `is_repeat`, download every file whose bytes differ from those of the service, whatever its row says.
        Raises ConfigurationError: the folder cannot be read or written to, or is not one of ours.
        """
        tasks: list[Wanted] = []
        present_files: list[File] = []
        with self._rows:
            withdrawn = self._withdrawn_ids()
            for file in files:
                self._origins.setdefault(source.job_id, set()).add(origin_of_file(file, source.origin))
                manifest = self._manifest_for(file, source)
                is_out = file.id in self.decided.excluded
                if file.id in withdrawn or (is_out and not (is_repeat and file.id in manifest.records)):
                    present_files.append(file)
                    continue
                there_already = not is_repeat and manifest.has(file, self._writer)
                if there_already or manifest.adopt(file, source, self._writer):
                    present_files.append(file)
                    continue
                target = self._writer.fetch_to(manifest.path_of(file.id, file.content_type, source.label))
                url = file.download_url, _believable(file.download_url_expires_at)
                tasks.append(Wanted.of(file, target, url))
        return tasks, present_files

    def add(self, file: File, source: Source, *, size_bytes: int, sha256: str) -> None:
        """Take in a downloaded and verified file: put it into the folder, write its row. Any thread may call this.
        Raises FirstHandError: the file or its row could not be written.
        """
        with self._rows:
            manifest = self._manifest_for(file, source)
            path = manifest.path_of(file.id, file.content_type, source.label)
        record = manifest.row(file, path, source, size_bytes=size_bytes, sha256=sha256)
        self._writer.put(path)
        with self._rows:
            # One that came too late is taken in by the next run: by now this one has another writer.
            if self._stopped and not self._closed:
                manifest.keep(record)
            elif not self._closed:
                manifest.add(record)

    def files_decided(self) -> tuple[dict[str, dict[str, str]], Decided]:
        """By job, the SHA-256 of each file by its id, those of excluded files too, and what was decided about them; of
        no file where nothing was decided. The lock need not be held.
        """
        decided, files = decided_in(self._store), dict[str, dict[str, str]]()
        labels = set[str | None]()
        for row in (*self._rows_here(), *self._rows_excluded(decided)) if decided.decisions else ():
            files.setdefault(str(row.job_id), {})[row.file_id] = row.sha256
            labels.add(label_of(row))
        return files, decided.spelled(labels)

    def decided_now(self) -> Decided:
        """What was decided so far: this run obeys what was decided before it."""
        return spelled(self._store, decided_in(self._store), self._manifests_now())

    def _hidden(self, decided: Decided) -> list[Manifest]:
        return hidden_in(self._store, all_manifests(self._store), decided)

    def _rows_excluded(self, decided: Decided) -> Iterator[Record]:
        for manifest in self._hidden(decided):
            yield from manifest.records.values()

    def rows_in_place(self) -> list[Record]:
        """The rows whose files are in the folder, by their size, and those of excluded files. The lock is held."""
        in_place = [
            record
            for manifest in self._manifests_here()
            for record in manifest.records.values()
            if manifest.size_of(manifest.file(record), self._writer) == record.size_bytes
        ]
        return [*self._rows_excluded(self.decided), *in_place]

    def known_files(self, job_id: str) -> int:
        """How many files of a job the folder has or had: those with a row, and withdrawn ones, of whichever job."""
        rows = (*self._rows_here(), *self._rows_excluded(self.decided))
        return len({row.file_id for row in rows if row.job_id == job_id} | self._withdrawn_ids())

    def move_label(self, old: str, new: str) -> None:
        """Move the files, rows, and records of a label to another. After a crash, the same call moves the rest."""
        # Else its decisions would move files back.
        former = [file_id for file_id, label in self.decided.labels.items() if label == old]
        if former:
            now = datetime.now(UTC)
            write_down(self._store, [Decision(key, "relabel", new, None, None, now) for key in former])
            self.decided = decided_in(self._store)
        for manifest in (*self._manifests_here(), *self._hidden(self.decided)):
            manifest.move_label(old, new)
        for path, record in self._orders.all().items():
            if (
                record.label != old or campaign_of(record.request or {}) is not None
            ):  # the ledger writes these
                continue
            renamed, place = replace(record, label=new), self._orders.path_of_label(new)
            is_free = path == self._orders.path_of_label(old) and self._orders.read(place) in (None, renamed)
            self._orders.write(place if is_free else path, renamed, self._writer)
            if is_free:
                self._orders.remove(path)

    def rows_written(self) -> list[Record]:
        """The rows of the manifests that this run has written to."""
        with self._rows:
            return [row for manifest in self._manifests.values() for row in manifest.records.values()]

    def unknown_submissions(self, job_ids: Collection[str]) -> dict[str, frozenset[str]]:
        """By job, of these, the submissions whose rows lack columns."""
        unknown: dict[str, frozenset[str]] = {}
        with self._rows:
            for manifest in self._manifests.values():
                for job_id, submissions in manifest.unknown_submissions(job_ids).items():
                    unknown[job_id] = unknown.get(job_id, frozenset()) | submissions
        return unknown

    def note_submissions(self, columns: Mapping[str, Mapping[str, Any]]) -> None:
        with self._rows:
            for manifest in self._manifests.values():
                manifest.note_submissions(columns)

    def unknown_consents(self) -> list[str]:
        """The consents that rows of this run name, and consents.jsonl does not have; what is no id is nobody's."""
        named = {row.consent_id for row in self.rows_written() if row.consent_id is not None}
        return sorted(key for key in named - consents_in(self._store).keys() if is_id(key)) if named else []

    def note_consents(self, lines: Mapping[str, Mapping[str, Any]]) -> None:
        """Add lines to consents.jsonl, and drop those of rows that are gone."""
        if lines or self._store.exists(self.path / CONSENTS):
            rows = [row for manifest in self._manifests_now() for row in manifest.records.values()]
            rows += self._rows_excluded(self.decided)
            keep_consents(self._store, lines, {row.consent_id for row in rows})

    def note_opinions(self, source: Store, hashes: frozenset[str]) -> None:
        """Add what was said of files in another folder, by their SHA-256."""
        keep_opinions(self._store, source, hashes)

    def set_columns(self, columns: Mapping[str, Mapping[str, Any]]) -> None:
        with self._rows:
            for name in PLACES:
                if not columns.keys().isdisjoint(self._read_once(name).records):
                    self._manifest_named(name, None).set_columns(columns)

    def set_own(self, name: str, values: Mapping[str, Any]) -> None:
        """Write a column of the user's own in every row, those of excluded files too."""
        with self._rows:
            for place in PLACES:
                if self._read_once(place).records:
                    self._manifest_named(place, None).set_own(name, values)
        for manifest in self._hidden(self.decided):
            manifest.set_own(name, values)
            manifest.rewrite()

    def write_rows(self) -> None:
        with self._rows:
            for manifest in self._manifests.values():
                manifest.close()

    def write_many_rows(self) -> bool:
        """Write the waiting rows if there are many or they have waited for a long time: to write each as it comes would
        cost the square of their number. Returns whether none is waiting."""
        with self._rows:
            for manifest in self._manifests.values():
                manifest.catch_up()
            return all(manifest.is_written for manifest in self._manifests.values())

    def catch_up(self) -> None:
        """Write the rows that have waited for a long time.
        Raises ConfigurationError: they cannot be written, or no file can be written any more.
        """
        self._writer.check()
        # Whoever has it is writing, and in a store that hangs is at it for minutes. No `acquire`: a Ctrl-C right
        # after one would leave it locked, and `close` waiting for ever; only `with` takes it and keeps it in one step.
        if not self._rows.locked():
            with self._rows:
                for manifest in self._manifests.values():
                    manifest.catch_up()

    def _withdrawn_ids(self) -> frozenset[str]:
        if self._withdrawn is None:
            self._withdrawn = withdrawn_ids(self._store)
        return self._withdrawn

    def _manifest_for(self, file: File, source: Source) -> Manifest:
        name = folder_of(file.content_type, mixed=source.mixed)
        if file.id in self.decided.excluded:
            name = f"{EXCLUDED}/{name}".rstrip("/")
            return self._manifest_named(name, None)
        return self._manifest_named(name, source.label)

    def _manifest_named(self, name: str, label: str | None) -> Manifest:
        manifest = self._manifests.get(name)
        if manifest is None:
            manifest = Manifest(self._store, name)
            manifest.read()
            manifest.prepare(self._writer)
            self._manifests[name] = manifest
            self._before.pop(name, None)
        if label is not None:
            manifest.open_folder(manifest.folder / data_folder(label), self._writer)
        return manifest


def _believable(expires_at: datetime | None) -> datetime | None:
    """When a URL just listed ends; None if our clock says that was before: then it is the clock that is wrong."""
    return None if expires_at is None or expires_at.timestamp() <= time.time() else expires_at
