"""`Dataset` and `DatasetView`: the public interface to a folder of files."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from firsthandapi._base.counts import count_of
from firsthandapi._base.masking import mask_secrets
from firsthandapi._base.visible import visible
from firsthandapi._core.files.kinds import Kind, is_mixed, kind_of
from firsthandapi._core.files.labels import check_label
from firsthandapi._core.orders.record import ORDERS, OrderRecord, ShownJob, load
from firsthandapi._core.orders.reports import Progress, Verification
from firsthandapi._core.rows.decisions import (
    DECISIONS,
    EXCLUDED,
    Action,
    Decided,
    Decision,
    check_words,
    ids_of,
)
from firsthandapi._core.rows.manifest import Record, check_length, in_place_of, label_of, with_own
from firsthandapi._core.rows.own import check_own
from firsthandapi._core.rows.publication import Publication
from firsthandapi._core.rows.versions import Diff, Version
from firsthandapi._core.rows.withdrawal import Reconciliation
from firsthandapi.errors import ConfigurationError, InvalidArgumentError, UnexpectedResponseError
from firsthandapi.types._base import fitting

from ._decisions import carry_out_rest, decided_in, hidden_in, relabeled, write_down
from ._folder import Folder
from ._manifest import Manifest, all_manifests, key_of, no_collector
from ._orders import OrderRecords, labels_of
from ._own import note_column
from ._reconciling import reconciling
from ._rows import Rows
from ._store import Store, store_at, writing
from ._withdrawing import note_export, withdrawn_ids

if TYPE_CHECKING:
    from firsthandapi import AsyncFirstHandClient, FirstHandClient
    from firsthandapi.types import Job

    from ._papers import Card
    from ._versions import KeptRows


class Dataset(Rows):
    """A folder of verified files, as `jobs.collect` and `files.download_all` leave it.

    Attributes:
        path: the folder, absolute. One in a bucket is a `upath.UPath`, used as a `Path` is: `/`, `.name`, `.open()`.
        job: the job as last seen; None if the folder does not record it, or has files of several jobs.
        jobs: all jobs of the folder, as last seen.
        records: a row for each file that is not excluded.
        excluded: the rows of the excluded files.
        decisions: the decisions about the files, newest last.
    """

    def __init__(self, store: Store) -> None:
        self.path: Path = store.root
        self._store = store
        # What it has if it was opened as a version.
        self._kept: KeptRows | None = None
        self._manifests: list[Manifest] = []
        self._open_again()

    @no_collector()
    def _open_again(self) -> None:
        """Read the folder."""
        if self._kept is not None:
            from ._versions import at_version

            vars(self).update(vars(at_version(Dataset(self._store), self._kept.version)))
            return
        store = self._store
        orders = [order for order in OrderRecords(store).all().values() if not order.forgotten]
        manifests = self._places(orders)
        # Before they are read.
        stamps = {path: store.stamp(path) for path in (store.root / DECISIONS, *(m.path for m in manifests))}
        manifests = [manifest for manifest in manifests if manifest.read()]
        decided = decided_in(store)
        if not (orders or manifests or decided.decisions):
            raise ConfigurationError(
                f"{store.root} is not a dataset: it contains neither metadata.jsonl nor {ORDERS}; pass a folder that "
                "collect or files.download_all has filled"
            )
        self._load(orders, manifests, decided, stamps)

    def _load(
        self,
        orders: list[OrderRecord],
        manifests: list[Manifest],
        decided: Decided,
        stamps: dict[Path, object] | None = None,
    ) -> None:
        """Show what was read. Without stamps, a later `_catch_up` reads the folder again."""
        # What can fail comes first.
        jobs = [_job(order.job) for order in orders if order.job is not None]
        self._hidden = hidden_in(self._store, self._places(orders), decided)
        self.jobs: tuple[Job, ...] = tuple({job.id: job for job in jobs}.values())
        self.job: Job | None = self.jobs[0] if len(self.jobs) == 1 else None
        self._orders = orders
        self._manifests = manifests
        self._as_written = decided
        rows = {key_of(row): (row, m) for m in manifests for row in m.records.values()}
        shown_now = [row for row, _ in rows.values()]
        rows_hidden = (row for manifest in self._hidden for row in manifest.records.values())
        self._decided = decided.spelled([label_of(row) for row in (*shown_now, *rows_hidden)])
        # Other paths where a file may be while a decision about it is carried out.
        self._moving: dict[tuple[str, str], list[Path]] = {}
        key_by_id = {row.file_id: key for key, (row, _) in rows.items()} if self._hidden else {}
        out = {*self._decided.excluded}
        for manifest in self._hidden:
            for row in manifest.records.values():
                if row.file_id in key_by_id:
                    self._moving.setdefault(key_by_id[row.file_id], []).append(manifest.file(row))
                    continue
                rows[key_of(row)] = row, manifest
                if row.file_id not in self._decided.included:
                    out.add(row.file_id)
        for key, (row, manifest) in rows.items():
            if (labeled := relabeled(row, self._decided)).file_name != row.file_name:
                self._moving.setdefault(key, []).append(manifest.file(labeled))
        self._manifest_of = {key: manifest for key, (_, manifest) in rows.items()}
        decided_rows = [self._decided.applied_to(row) for row, _ in rows.values()]
        self.records: list[Record] = [row for row in decided_rows if row.file_id not in out]
        self.excluded: tuple[Record, ...] = tuple(row for row in decided_rows if row.file_id in out)
        self.decisions: tuple[Decision, ...] = tuple(self._decided.decisions)
        # The files that were read, each with its stamp, or with "" if it may have changed since.
        self._stamps = stamps or dict.fromkeys((self.path / DECISIONS, *(m.path for m in manifests)), "")

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, version: Version | str | None = None) -> Dataset:
        """Open a folder. It may come from a stranger: its contents are checked before a file is touched.

        Args:
            path: the folder, or the URL of one in a bucket (extra `remote`).
            version: open the dataset as it was in this version, by its number, such as `1.2.0`, or as `write_lock` or
                `versions` returned it: with the files that were excluded since, and without those that the service has
                withdrawn since. It only reads: what would change it raises a ConfigurationError.

        Returns:
            The dataset; no file is read yet.

        Raises:
            ConfigurationError: the folder has no dataset, does not know that version, or has not kept its rows; a row
                names a file outside the folder or the file of another row; a file is a link; the manifest or a record
                is larger than this package writes; or an extra is missing.
            InvalidArgumentError: `path` is neither a path nor the URL of a bucket, or `version` is not a version.
        """
        dataset = cls(store_at(path, "path"))
        for manifest in [*dataset._manifests, *dataset._hidden]:
            manifest.refuse_links()
        if version is not None:
            from ._versions import at_version

            return at_version(dataset, version)
        return dataset

    @classmethod
    def merge(
        cls,
        datasets: Mapping[str, Dataset | str | os.PathLike[str]] | Iterable[Dataset | str | os.PathLike[str]],
        dest: str | os.PathLike[str],
    ) -> Dataset:
        """Copy several datasets into one folder, each file verified.

            signs = Dataset.merge({"stop": "stop/", "yield": "yield/"}, "signs/")

        Run it again, even with more datasets, to copy missing files. The sources stay unchanged.

        Args:
            datasets: datasets or their folders. A dict gives each one a label; in a list, each keeps its own labels.
            dest: the folder or bucket; created if missing.

        Returns:
            The merged dataset, with the jobs of all sources.

        Raises:
            ConfigurationError: a source is not a dataset, a file of it is missing or mismatched, their media cannot be
                loaded together, the manifest would be too large to be read again, another process is writing to
                `dest`, or `dest` cannot be written to. Files copied so far are good, and the same call copies the rest.
            InvalidArgumentError: `dest` is the folder of a job, a label is not allowed, or a file would have two
                labels.
        """
        from ._merging import sources_of

        return cls._copied(
            [
                (source if isinstance(source, Dataset) else cls.open(cast("str", source)), label)
                for source, label in sources_of(datasets)
            ],
            dest,
        )

    @classmethod
    def _copied(cls, sources: Sequence[tuple[Rows, str | None]], dest: str | os.PathLike[str]) -> Dataset:
        from ._merging import merge_into

        folder = Folder(dest)
        for source, _ in sources:
            whole = source._whole  # pyright: ignore[reportPrivateUsage] # of one house
            whole._catch_up()
            if whole.path.absolute() == folder.path.absolute():
                raise InvalidArgumentError(
                    f"dest is the folder of a source, {folder.path}; use a different folder", field="dest"
                )
        with folder.writing():
            merge_into(folder, sources)
        for source, _ in sources:
            note_export(source._store, str(folder.path.absolute()), source.records, adds=True)
        return cls(store_at(dest, "dest"))

    @classmethod
    def _of(cls, folder: Folder) -> Dataset:
        """The dataset that a run has written. In a bucket, another run may have overwritten its rows; it adds them
        again."""
        dataset = cls(store_at(folder.path, "path"))
        if len(dataset) < sum(len(manifest.records) for manifest in folder.manifests):
            dataset._load(dataset._orders, folder.manifests, dataset._as_written, dataset._stamps)
        return dataset

    def path_of(self, record: Record) -> Path:
        if self._kept is not None and (place := self._kept.path_of(record)) is not None:
            return place
        try:
            path = self._manifest_of[key_of(record)].file(record)
        except KeyError:
            raise InvalidArgumentError(
                f"record must be a row of this dataset, {self._name}", field="record"
            ) from None
        places = self._moving.get(key_of(record), ())
        return next(
            (place for place in places if not self._store.exists(path) and self._store.exists(place)), path
        )

    def _places(self, orders: list[OrderRecord]) -> list[Manifest]:
        """The manifests that a folder with these orders may have. Those that were read are not parsed again, as long as
        they are unchanged."""
        only = orders[0].job if len(orders) == 1 and orders[0].label is None else None
        formats = None if only is None else fitting(_job(only)).accepted_formats
        several = formats is None or is_mixed(formats)
        read = {manifest.path: manifest for manifest in self._manifests}
        places = all_manifests(self._store) if several else [Manifest(self._store, "")]
        return [read.get(manifest.path, manifest) for manifest in places]

    @property
    def _whole(self) -> Dataset:
        return self

    def _view(self, name: str, records: list[Record], classes: Rows | None = None) -> DatasetView:
        return DatasetView(self, name, records, classes)

    def _has(self, file_id: str) -> bool:  # noqa: ARG002 # a view has some
        return True

    @property
    def versions(self) -> tuple[Version, ...]:
        """The versions that `write_lock` has written, oldest first; `open(path, version=…)` opens each.

        Raises:
            ConfigurationError: dataset.lock is damaged, or was written by a newer version of this package.
        """
        from ._versions import versions_in

        return versions_in(self._store)

    @property
    def withdrawn(self) -> int:
        """The number of its files that the service has withdrawn: in a dataset that was opened as a version, those that
        the version had. Their rows are gone."""
        return len(withdrawn_ids(self._store) if self._kept is None else self._kept.snapshot.lost)

    def _check_writable(self) -> None:
        """Raises ConfigurationError: the dataset was opened as a version."""
        if self._kept is not None:
            raise ConfigurationError(
                f"{self._name} was opened as version {self._kept.version}, which only reads: use Dataset.open without "
                "version to change the dataset, or copy_to to make a folder of this version"
            )

    def _set_columns(self, columns: Mapping[str, Mapping[str, Any]]) -> None:
        """Write columns of rows, by file id.

        Raises:
            ConfigurationError: another process is writing to the folder, or it cannot be written to.
        """
        self._check_writable()
        folder = Folder(self.path)
        with folder.writing():
            folder.set_columns(columns)
        self._open_again()

    def add_column(self, name: str, values: Mapping[str, Any], *, by: str | None = None) -> None:
        """Add a column of your own, or replace it. Rows, tables, exports, copies, and versions have it.

            dataset.add_column("quality", {record.file_id: 0.5 for record in dataset})
            dataset[0].extra["quality"]

        Args:
            name: its name, of 1 to 64 characters, and no column of this package.
            values: JSON values by file id, each of at most 1,048,576 characters as JSON; other rows get None. Excluded
                files may be among them.
            by: the person who says so, of at most 2,000 characters, for `.firsthandapi/columns.jsonl`.

        Raises:
            InvalidArgumentError: an argument is not allowed, or an id is of no file of the dataset. Nothing was
                changed.
            ConfigurationError: another process is writing to the folder, or it cannot be written to.
        """
        self._check_writable()
        self._catch_up()
        _, who = check_words(None, by)
        rows = {record.file_id: record for record in (*self.records, *self.excluded)}
        checked = check_own(name, values, rows.keys())
        for file_id, value in checked.items():
            check_length(with_own(rows[file_id], name, value), "values")
        folder = Folder(self.path)
        with folder.writing():
            folder.set_own(name, checked)
            note_column(self._store, name, who)
        self._open_again()

    def correct(self, record: Record | str, fields: Mapping[str, Any], *, by: str | None = None) -> None:
        """Correct what was recognized in a file. No model replaces it.

            dataset.correct(record, {"text_extraction": "STOP"}, by="ana")

        Args:
            record: a row, or a file's id.
            fields: new values by name: fields of `ImageAnnotations`, `AudioAnnotations`, or `VideoAnnotations`, by the
                file's kind of media. None says that there is nothing.
            by: the person who says so, of at most 2,000 characters, for `.firsthandapi/annotations.jsonl`.

        Raises:
            InvalidArgumentError: the file is not in this dataset, a field is none of its kind of media, or a value is
                of another type. Nothing was changed.
            ConfigurationError: another process is writing to the folder, or it cannot be written to.
        """
        from firsthandapi._core.rows.opinions import check_fields, columns_corrected

        from ._opinions import note_correction

        self._check_writable()
        self._catch_up()
        (file_id,) = ids_of(record)
        row = next((record for record in self.records if record.file_id == file_id), None)
        if row is None:
            raise InvalidArgumentError(f"record: {file_id} is no file of {self._name}", field="record")
        checked = check_fields(row, fields)
        check_words(None, by)
        columns = columns_corrected(row, checked)
        check_length(in_place_of(replace(row, **columns), row), "fields")
        folder = Folder(self.path)
        with folder.writing():
            note_correction(self._store, row, checked, by)
            folder.set_columns({file_id: columns})
        self._open_again()

    def _by_folder(self) -> dict[str, list[Record]]:
        """The rows that are not excluded, by the folder of their manifest, relative to the dataset's: as they are once
        all decisions are carried out, which takes a run's end if one has the folder."""
        rows: dict[str, list[Record]] = {}
        for record in self.records:
            name, row = self._placed(record)
            rows.setdefault(name, []).append(row)
        return rows

    def _placed(self, record: Record) -> tuple[str, Record]:
        """The folder of a row's manifest, and the row, as both are once all decisions are carried out."""
        if self._kept is not None:
            return self._kept.places[key_of(record)], record
        name = self._manifest_of[key_of(record)].subfolder
        return name.removeprefix(EXCLUDED).lstrip("/"), relabeled(record, self._decided)

    def _kinds(self) -> set[Kind | None]:
        """The kinds of media that the dataset contains or may contain later; None for other files."""
        types = {record.content_type for record in self.records}
        return {
            kind_of(name) for name in types.union(*(fitting(job).accepted_formats or () for job in self.jobs))
        }

    def exclude(
        self,
        which: Record | str | Iterable[Record | str],
        *,
        reason: str | None = None,
        by: str | None = None,
    ) -> None:
        """Exclude files: move their rows out of the manifest and their bytes to `.firsthandapi/excluded/`, so that no
        loader sees them and no run downloads them again. `include` restores them.

            dataset.exclude(record, reason="blurred", by="ana")

        Decisions are appended to `.firsthandapi/decisions.jsonl`. Any number of processes may decide at the same time,
        even while a run is writing to the folder: the run then moves the files when it ends. In a bucket, where nothing
        can be locked, decide in one process at a time.

        Args:
            which: a row, a file's id, or an iterable of either.
            reason: the reason, as text of at most 2,000 characters.
            by: the person who decides, of at most 2,000 characters.

        Raises:
            InvalidArgumentError: a file is not in this dataset, or an argument is not allowed. Nothing was changed.
            ConfigurationError: the folder cannot be read or written to.
        """
        self._decide("exclude", which, reason=reason, by=by)

    def include(self, which: Record | str | Iterable[Record | str], *, by: str | None = None) -> None:
        """Include excluded files again: restore their rows and bytes. Files that are not excluded stay unchanged. In a
        copy without `.firsthandapi/excluded/`, `repair` then downloads the files again.

        Args:
            which: a row, a file's id, or an iterable of either.
            by: the person who decides, of at most 2,000 characters.

        Raises:
            InvalidArgumentError: a file is not in this dataset, or an argument is not allowed. Nothing was changed.
            ConfigurationError: the folder cannot be read or written to.
        """
        self._decide("include", which, by=by)

    def accept(self, which: Record | str | Iterable[Record | str], *, by: str | None = None) -> None:
        """Record that you have reviewed and accepted files. Nothing else changes: an excluded file stays excluded.

        Args:
            which: a row, a file's id, or an iterable of either.
            by: the person who decides, of at most 2,000 characters.

        Raises:
            InvalidArgumentError: a file is not in this dataset, or an argument is not allowed. Nothing was changed.
            ConfigurationError: the folder cannot be read or written to.
        """
        self._decide("accept", which, by=by)

    def relabel(
        self,
        which: Record | str | Iterable[Record | str],
        label: str,
        *,
        reason: str | None = None,
        by: str | None = None,
    ) -> None:
        """Give files a different label, and move them to its folder. Runs do not move them back.

        Args:
            which: a row, a file's id, or an iterable of either.
            label: the label; it may be new to the dataset.
            reason: the reason, as text of at most 2,000 characters.
            by: the person who decides, of at most 2,000 characters.

        Raises:
            InvalidArgumentError: the dataset has no labels, a file is not in it, or an argument is not allowed. Nothing
                was changed.
            ConfigurationError: the folder cannot be read or written to.
        """
        self._decide("relabel", which, label=label, reason=reason, by=by)

    def _labels_here(self, orders: Iterable[OrderRecord], manifests: Iterable[Manifest]) -> frozenset[str]:
        """The labels of the folder's jobs and rows."""
        rows = (row for manifest in (*manifests, *self._hidden) for row in manifest.records.values())
        return labels_of(orders, rows)

    def _decide(
        self,
        action: Action,
        which: object,
        *,
        label: str | None = None,
        reason: str | None = None,
        by: str | None = None,
    ) -> None:
        decisions = self._checked(action, which, label, reason, by)
        if action == "accept":
            written = write_down(self._store, decisions, baseline=self._as_written)
            if self._only_accepts(written):
                return
        places = {manifest.folder: manifest for manifest in (*self._places(self._orders), *self._manifests)}
        decided = labels = None
        try:
            if label is not None:  # a run may have brought labels meanwhile
                for manifest in places.values():
                    manifest.read()
                labels = self._labels_here(OrderRecords(self._store).all().values(), places.values())
            decided = write_down(self._store, decisions, labels, self._as_written)
            if action != "accept":  # which moves nothing
                decided = carry_out_rest(self._store, [*places.values()], Decided())
        finally:
            manifests = [manifest for manifest in places.values() if manifest.records]
            self._load(self._orders, manifests, decided_in(self._store) if decided is None else decided)

    def _only_accepts(self, decided: Decided) -> bool:
        """Take over what was written if it leaves all rows as they are, as `accept` does: nothing is read again."""
        old = self._as_written.decisions
        new = decided.decisions[len(old) :]
        if decided.decisions[: len(old)] != old or any(decision.action != "accept" for decision in new):
            return False
        for decision in new:
            self._decided.add(decision)
        self.decisions = (*self.decisions, *new)
        self._as_written, self._stamps = decided, {**self._stamps, self._store.root / DECISIONS: ""}
        return True

    def _note(
        self,
        action: Action,
        which: object,
        baseline: Decided,
        *,
        label: str | None = None,
        reason: str | None = None,
        by: str | None = None,
    ) -> tuple[Decided, list[Decision]]:
        """Write decisions down, for `_carry_out` to carry out. Returns all of the folder, and those that are new.
        `baseline`: those of the folder as last read.
        """
        decisions = self._checked(action, which, label, reason, by)
        labels = (
            None
            if label is None
            else self._labels_here(OrderRecords(self._store).all().values(), self._manifests)
        )
        decided = write_down(self._store, decisions, labels, baseline)
        return decided, [note for note in decided.decisions[-len(decisions) :] if note.at == decisions[0].at]

    def _carry_out(self) -> None:
        """Carry out what was written down, unless a run has the folder: it does when it ends. `_catch_up` shows the
        result."""
        manifests = [copy.copy(manifest) for manifest in self._places(self._orders)]
        carry_out_rest(self._store, manifests, Decided())
        self._manifests = manifests

    def _is_carried_out(self) -> bool:
        """Whether all decisions are carried out, as far as the folder was read."""
        excluded, included = self._decided.excluded, self._decided.included
        return not (
            self._moving
            or any(file_id in manifest.records for manifest in self._manifests for file_id in excluded)
            or any(file_id in manifest.records for manifest in self._hidden for file_id in included)
        )

    def _path_now(self, record: Record, decided: Decided) -> Path | None:
        """Where the file of a row is, even while these decisions are carried out; None if it is missing."""
        manifest = self._manifest_of[key_of(record)]
        folder = f"{manifest.subfolder.removeprefix(EXCLUDED).strip('/')}/".lstrip("/")
        names = dict.fromkeys((record.file_name, relabeled(record, decided).file_name))
        paths = [self.path / f"{place}{folder}{name}" for place in ("", f"{EXCLUDED}/") for name in names]
        return next((path for path in (manifest.file(record), *paths) if self._store.exists(path)), None)

    def _checked(
        self, action: Action, which: object, label: str | None, reason: str | None, by: str | None
    ) -> list[Decision]:
        """The decisions that a caller asks for. An unknown id is refused before anything changes."""
        self._check_writable()
        if action == "relabel":
            if not self._labels_here(OrderRecords(self._store).all().values(), self._manifests):
                raise InvalidArgumentError(
                    "label: this dataset has no labels; collect, download_all, or merge into a folder with labels "
                    "first",
                    field="label",
                )
            label = check_label(label)
        ids = ids_of(which)
        reason, by = check_words(reason, by)
        if unknown := self._unknown(ids, action):
            self._open_again()  # a run may have downloaded them meanwhile
            unknown = self._unknown(ids, action)
        if unknown:
            raise InvalidArgumentError(
                f"{unknown[0]!r} is not a file of this dataset, {self._name}; nothing was changed",
                field="which",
            )
        now = datetime.now(UTC)
        return [Decision(file_id, action, label, reason, by, now) for file_id in ids]

    def _unknown(self, ids: list[str], action: Action) -> list[str]:
        rows: list[Collection[str]] = [manifest.records for manifest in (*self._manifests, *self._hidden)]
        if action == "include":  # a copy may lack `excluded/`: then `repair` downloads them again
            rows.append(self._decided.excluded)
        return [file_id for file_id in ids if not any(file_id in records for records in rows)]

    def write_card(
        self,
        *,
        license: str | None = None,
        creator: str | Mapping[str, str] | None = None,
        url: str | None = None,
        content_url: str | None = None,
        name: str | None = None,
        data_limitations: str | Sequence[str] | None = None,
        data_biases: str | Sequence[str] | None = None,
        personal_sensitive_information: str | Sequence[str] | None = None,
        data_use_cases: str | Sequence[str] | None = None,
        data_social_impact: str | Sequence[str] | None = None,
        data_release_maintenance_plan: str | Sequence[str] | None = None,
        has_synthetic_data: bool | None = None,
        splits: Mapping[str, float] | None = None,
        overwrite: bool = False,
    ) -> Card:
        """Write a dataset card for Hugging Face, README.md, and Croissant 1.1 metadata with the RAI extension,
        croissant.json, which mlcroissant loads, including the pictures.

            card = dataset.write_card(license="CC-BY-4.0", creator="Example Lab")
            print(card.missing)

        Both say only what the rows prove, each sentence with its number of files: who made them, who rated them, under
        which licenses and whose consent, in jobs of which service. What you state is marked as yours. `missing` names
        the facts that only a person can state, until you state them.
        The folder remembers your statements in `.firsthandapi/card.json`, so you can leave them out in the next call.

        The card contains a hash of all rows and prices, so `verify` finds any change of them. After a run that adds
        files, write the card again.

        Args:
            license: the license of the files: an SPDX id, such as `CC-BY-4.0`, or your own name for it. Leave it out if
                their workers have granted some: the card lists these. If a consent grants another license than its row
                names, the consent decides: state its license, under which `publish` then publishes the row.
            creator: the creator of the dataset: the name of an organization, or a dict with `name` and optionally
                `type` (`Organization` or `Person`), `url`, and `email`.
            url: the https URL of the dataset's page.
            content_url: the https URL under which the folder's files can be downloaded, such as
                `https://example.org/signs/`. The Croissant metadata then name files by absolute URLs, as the checker of
                NeurIPS requires, and rows without their pictures, which mlcroissant reads only from this machine.
                `publish` to the Hugging Face Hub states it by itself.
            name: the name of the dataset; the folder's name by default.
            data_limitations: uses that the data is unsuitable for, and why. This and the following arguments take a
                text of at most 10,000 characters, or a list of such texts.
            data_biases: known biases.
            personal_sensitive_information: personal or sensitive attributes that the files show.
            data_use_cases: intended uses of the data, and those that it was validated for.
            data_social_impact: how the use of the data may affect people.
            data_release_maintenance_plan: who updates the dataset, and how withdrawn files are removed. Never in
                `missing`.
            has_synthetic_data: whether a machine made any of the data. Rows know it of files of the sandbox and of a
                server for tests, and of those whose Content Credentials say so. False is also refused if a rater has
                flagged a file as synthetic.
            splits: the share of each split in the metadata, as for `split`; by default train=0.8 and test=0.2. The
                splits are those of `split` with these shares. If rows have your own column `split`, it decides instead.
            overwrite: whether to replace a README.md or croissant.json that another program or a person wrote or
                edited.

        Returns:
            The paths of the card and the metadata, and the names of the missing statements.

        Raises:
            ConfigurationError: a README.md or croissant.json exists that is not ours or was edited, the statements are
                damaged, or a file cannot be written.
            InvalidArgumentError: an argument is not allowed, or rows or consents contradict it; the message says how
                many.
        """
        from ._papers import write_papers

        self._check_writable()
        values = {
            "license": license,
            "creator": creator,
            "url": url,
            "content_url": content_url,
            "name": name,
            "data_limitations": data_limitations,
            "data_biases": data_biases,
            "personal_sensitive_information": personal_sensitive_information,
            "data_use_cases": data_use_cases,
            "data_social_impact": data_social_impact,
            "data_release_maintenance_plan": data_release_maintenance_plan,
            "has_synthetic_data": has_synthetic_data,
            "splits": splits,
        }
        return write_papers(self, values, overwrite=overwrite)

    def write_lock(self) -> Version:
        """Write `dataset.lock`, with a hash for each row, and return the version of the dataset. Trusts the manifest:
        `verify` compares the files with it. The folder keeps the rows of each version in `.firsthandapi/versions/`, so
        that `open(path, version=…)` opens it.

        Unchanged rows keep their version. Otherwise MAJOR increases if rows were changed or removed, MINOR if rows or
        columns were added, PATCH if the same rows are arranged differently. The first version is 1.0.0.

        Returns:
            The version.

        Raises:
            ConfigurationError: dataset.lock is damaged, was written by a newer version of this package, or cannot be
                written.
        """
        from ._versions import write_lock

        self._check_writable()
        return write_lock(self)

    def publish(
        self,
        dest: str | os.PathLike[str],
        *,
        splits: Mapping[str, DatasetView] | None = None,
        private: bool = True,
        tag: str | None = None,
    ) -> Publication:
        """Publish the dataset, or its next version: its files, rows, `consents.jsonl`, card, metadata, and lock, and
        nothing else of its folder (extra `pandas`). Files of workers who have withdrawn their consent are left out.

            dataset.write_card(license="CC-BY-4.0", creator="Example Lab")
            dataset.publish("hf://example-lab/signs", tag="v1.0.0")
            dataset.publish("signs-public", splits=dataset.split())

        Locks the rows as `write_lock` does, and writes the card of the statements of `write_card`. Rows that name
        another license than their consent are published under the one that you have stated, if it is the consent's, and
        are refused if you have stated none. Again, only changed
        files are written, and those that the dataset no longer has are removed. The next call completes one that was
        interrupted: the rows come last, and on the Hub up to 500 files are one commit. `datasets.load_dataset` loads
        the result, and `reconcile` removes withdrawn files from it.

        Args:
            dest: `hf://owner/name`, a repository of the Hugging Face Hub (extra `huggingface`; HF_TOKEN, HF_ENDPOINT),
                created if missing; or a bucket (extra `remote`) or folder that is empty or was published to.
            splits: as `split` returns them: each goes to a folder of its name, such as `train/`. Rows in none of them
                are left out.
            private: on the Hub: True creates a private repository, and refuses a public one; False makes it public.
            tag: on the Hub: a new tag for this state.

        Returns:
            Its URL, its version, and the number of files written.

        Raises:
            ConfigurationError: `dest` is not empty and no publication, or its README.md was edited; a file is missing
                or mismatched; the dataset has no file; an extra is missing; or `dest` cannot be written to. The same
                call continues.
            InvalidArgumentError: an argument is not allowed; rows or consents contradict a statement of `write_card`;
                or rows name another license than their consents, and none is stated.
        """
        from ._publishing import publish

        return publish(self, dest, splits=splits, private=private, tag=tag)

    @staticmethod
    def diff(
        a: Dataset | Version | str | os.PathLike[str], b: Dataset | Version | str | os.PathLike[str]
    ) -> Diff:
        """Compare two versions by their rows, without reading the files.

            print(Dataset.diff("signs-v1/dataset.lock", "signs").added)

        Args:
            a: the older version: a dataset, its folder, a `Version`, or a dataset.lock file. Both may be in a bucket.
            b: the newer version.

        Returns:
            The differences, by file id; `changes` has the old and new values.

        Raises:
            ConfigurationError: a folder has no dataset, or a lock is damaged.
            InvalidArgumentError: an argument is none of these, or is an earlier version, whose rows are not kept.
        """
        from ._versions import diff, lock_at

        old_side, new_side = (
            side if isinstance(side, Dataset | Version) else lock_at(side, field) or Dataset.open(side)
            for side, field in ((a, "a"), (b, "b"))
        )
        return diff(old_side, new_side)

    def __repr__(self) -> str:
        return self._described(str(self.path))

    def _described(self, name: str) -> str:
        state = "no job" if self.job is None else f"{self.job.id} {mask_secrets(self.job.status)}"
        if len(self.jobs) > 1:
            state = count_of(len(self.jobs), "job")
        version = "" if self._kept is None else f", version {self._kept.version}"
        return f"<Dataset [{name!r}{version}, {count_of(len(self))}, {visible(state)}]>"

    @property
    def _name(self) -> str:
        """The folder's name without its path, for messages and notebooks."""
        return self.path.name or str(self.path)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ARG002 # IPython calls it with both
        """The plain text that a notebook stores with the gallery, without the folder's path."""
        printer.text(self._described(self._name))

    def verify(self) -> Verification:
        """Read every file, including excluded ones, and compare it with the manifest; compare the manifest with the
        job.

        Returns:
            The mismatched, missing, and extra files, by name relative to the folder, and the number of approved files
            without a row; truthy if everything matches.

        Raises:
            ConfigurationError: a file cannot be read.
        """
        from ._verifying import verified

        self._catch_up()
        return verified(self)

    def accept_edits(self) -> None:
        """Accept rows that were edited outside of this package, such as in an editor: until then `verify` calls them
        altered, whatever card or lock was written since. What the records of orders say still outranks them.

        Raises:
            ConfigurationError: another process is writing to the folder, or it cannot be written to.
        """
        self._check_writable()
        with writing(self._store):
            self._open_again()
            for manifest in (*self._manifests, *self._hidden):
                manifest.accept_edits()

    def _rows_of(self, job: Job) -> list[Record]:
        """The rows of a job, including excluded ones. A row without a job belongs to the only job."""
        return [
            row
            for row in (*self.records, *self.excluded)
            if row.job_id == job.id or (row.job_id is None and job is self.job)
        ]

    def repair(
        self,
        client: FirstHandClient,
        *,
        concurrency: int = 32,
        on_progress: Callable[[Progress], object] | None = None,
    ) -> Verification:
        """Download only files that are missing, mismatched, or without a row. A file and its row stay until their
        replacements are in place.

        Args:
            client: a client whose key may read the job.
            concurrency: connections at once, 1 to 64.
            on_progress: called with a `Progress` as files come in.

        Returns:
            The result of `verify` after the repair.

        Raises:
            DownloadError: some files could not be downloaded. The others are repaired, and another `repair` tries
                these again.
            ConfigurationError: the folder does not record its job.
            InvalidArgumentError: `client` is not a FirstHandClient; with an AsyncFirstHandClient, use `arepair`.
            FirstHandApiError: the service responded with an error.
        """
        from ._verifying import repairs

        self._check_client(client, "repair")
        state = self.verify()
        if not state:
            for _ in repairs(self, client, state, concurrency=concurrency, on_progress=on_progress):
                pass
            self._open_again()
            state = self.verify()
        return state

    async def arepair(
        self,
        client: AsyncFirstHandClient,
        *,
        concurrency: int = 32,
        on_progress: Callable[[Progress], object] | None = None,
    ) -> Verification:
        """`repair` for the async client: `await dataset.arepair(client)`. Files are read in a thread, so the event
        loop keeps running.

        Args:
            client: a client whose key may read the job.
            concurrency: connections at once, 1 to 64.
            on_progress: called with a `Progress` as files come in; a coroutine function is awaited.

        Returns:
            The result of `verify` after the repair.

        Raises:
            DownloadError: some files could not be downloaded. The others are repaired, and another `arepair` tries
                these again.
            ConfigurationError: the folder does not record its job.
            InvalidArgumentError: `client` is not an AsyncFirstHandClient; with a FirstHandClient, use `repair`.
            FirstHandApiError: the service responded with an error.
        """
        from anyio.to_thread import run_sync

        from ._verifying import repairs

        self._check_client(client, "arepair")
        state = await run_sync(self.verify)
        if not state:
            for download in repairs(self, client, state, concurrency=concurrency, on_progress=on_progress):
                await download
            await run_sync(self._open_again)
            state = await run_sync(self.verify)
        return state

    def reconcile(self, client: FirstHandClient) -> Reconciliation:
        """Remove the files that the service has withdrawn, with their rows. Runs do not download them again.

        A file is withdrawn if the list of its job no longer shows it, and the job counts fewer approved files than
        before. Rows of splits and tables that you made earlier still name it. Consents in consents.jsonl get their
        `withdrawn_at`. Files of workers who have withdrawn their consent go from copies and publications; the folder
        keeps them until the service withdraws them.

        Args:
            client: a client whose key may read the jobs.

        Returns:
            The removed files, and the exports that contain them, or files of withdrawn consents.

        Raises:
            ConfigurationError: the folder records no job, another process is writing to it, or a file cannot be
                removed; the same call removes the rest.
            NotFoundError: the key may not see a job of the folder. Nothing of that job was removed.
            InvalidArgumentError: `client` is not a FirstHandClient; with an AsyncFirstHandClient, use `areconcile`.
            FirstHandApiError: the service responded with an error.

        Contract: §10 "Withdrawn files".
        """
        self._check_client(client, "reconcile")
        with reconciling(self) as run:
            for job in self.jobs:
                run.note(*client.files._listed(job.id))  # pyright: ignore[reportPrivateUsage] # of one house
            run.note_consents(client.consents._lines(run.consents()))  # pyright: ignore[reportPrivateUsage] # of one house
            return run.done()

    async def areconcile(self, client: AsyncFirstHandClient) -> Reconciliation:
        """`reconcile` for the async client: `await dataset.areconcile(client)`. Files are removed in a thread, so the
        event loop keeps running.

        Args:
            client: a client whose key may read the jobs.

        Returns:
            The removed files, and the exports that contain them.

        Raises:
            ConfigurationError: the folder records no job, another process is writing to it, or a file cannot be
                removed; the same call removes the rest.
            NotFoundError: the key may not see a job of the folder. Nothing of that job was removed.
            InvalidArgumentError: `client` is not an AsyncFirstHandClient; with a FirstHandClient, use `reconcile`.
            FirstHandApiError: the service responded with an error.

        Contract: §10 "Withdrawn files".
        """
        from anyio.to_thread import run_sync

        self._check_client(client, "areconcile")
        locked = reconciling(self)
        run = await run_sync(locked.__enter__)
        try:
            for job in self.jobs:
                listed = await client.files._listed(job.id)  # pyright: ignore[reportPrivateUsage] # of one house
                await run_sync(run.note, *listed)
            lines = await client.consents._lines(run.consents())  # pyright: ignore[reportPrivateUsage] # of one house
            await run_sync(run.note_consents, lines)
            return await run_sync(run.done)
        finally:
            locked.__exit__(None, None, None)

    def _check_client(self, client: object, method: str) -> None:
        self._check_writable()
        if method.startswith("a"):
            kind = "AsyncFirstHandClient"
            says = f"an AsyncFirstHandClient; with a FirstHandClient, use dataset.{method[1:]}(client)"
        else:
            kind = "FirstHandClient"
            says = f"a FirstHandClient; with an AsyncFirstHandClient, use await dataset.a{method}(client)"
        if kind not in (base.__name__ for base in type(client).__mro__):  # the clients stand on this package
            raise InvalidArgumentError(f"client must be {says}", field="client")
        if not self.jobs:
            raise ConfigurationError(
                f"{self.path} records no job, so its files cannot be downloaded again; restore {ORDERS}, or use "
                "files.download_all into an empty folder"
            )

    def _catch_up(self) -> None:
        """Read the folder again if its rows or decisions have changed: exports and checks obey what others decided
        since."""
        if self._has_changed():
            self._open_again()

    def _has_changed(self) -> bool:
        now = {path: self._store.stamp(path) for path in self._stamps}
        # What was emptied is no dataset any more: its rows are missing.
        return now != self._stamps and any(now.values())

    def _name_of(self, path: Path) -> str:
        return path.relative_to(self.path).as_posix()


class DatasetView(Rows):
    """Some rows of a dataset, such as those of a split or a filter. Files stay where they are.

    A view that you already hold leaves out files excluded later, and shows the new label of relabeled ones.

    Attributes:
        name: the name of the view, such as `train`.
        dataset: the dataset that the rows belong to.
        records: the rows, in the order of the dataset.
    """

    def __init__(
        self, dataset: Dataset, name: str, records: list[Record], classes: Rows | None = None
    ) -> None:
        self.name = name
        self.dataset = dataset
        self._ids = {row.file_id for row in records}
        self._rows, self._as_of = records, dataset.records
        self._store = dataset._store
        self._classes = classes

    def path_of(self, record: Record) -> Path:
        return self.dataset.path_of(record)

    @property
    def _whole(self) -> Dataset:
        return self.dataset

    @property
    def records(self) -> list[Record]:
        if self._as_of is not self.dataset.records:  # a decision was made since
            rows = [row for row in self.dataset.records if row.file_id in self._ids]
            self._rows, self._as_of = rows, self.dataset.records
        return self._rows

    def _has(self, file_id: str) -> bool:
        return file_id in self._ids

    def _all_labels(self) -> list[str]:
        return self.labels if self._classes is None else self._classes._all_labels()

    def __repr__(self) -> str:
        return f"<DatasetView [{self.name!r}, {count_of(len(self))}]>"


def _job(job: ShownJob) -> Job:
    try:
        return load(job)
    except UnexpectedResponseError:
        raise ConfigurationError(
            f"the record of {job['id']}: the job is not a valid FirstHandAPI job; run the call that made the folder "
            "again to restore it"
        ) from None
