"""Rows of a dataset, all or some of them, and the tables that are made of them."""
# A part of Dataset:
# pyright: reportPrivateUsage=false

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, overload

from firsthandapi._base.display import Displayed
from firsthandapi._base.habits import Led, LedClass
from firsthandapi._base.paths import check_path
from firsthandapi._core.calls.integers import int_or_none
from firsthandapi._core.files.annotations import has_speech
from firsthandapi._core.files.kinds import Kind, chosen_kind, kind_of
from firsthandapi._core.rows.decisions import Decision, agreement, check_words
from firsthandapi._core.rows.duplicates import check_near, groups, same_bytes
from firsthandapi._core.rows.manifest import COLUMNS, Record
from firsthandapi._core.rows.splits import Rule, check_parts, check_seed
from firsthandapi.errors import ConfigurationError, InvalidArgumentError

from ._store import Store, store_at
from ._withdrawing import note_export

if TYPE_CHECKING:
    import datasets  # pyright: ignore[reportMissingTypeStubs] # it ships no types
    import pandas as pd

    from firsthandapi._core.rows.opinions import AnnotationReport
    from firsthandapi.ai import Annotator

    from ._dataset import Dataset, DatasetView
    from ._splitting import Splits


class Rows(Displayed, Led, metaclass=LedClass):
    """Rows of a dataset, with their files.

    Attributes:
        records: a row for each file.
    """

    _store: Store

    if TYPE_CHECKING:  # an attribute of one, which the other computes

        @property
        def records(self) -> list[Record]: ...

    def path_of(self, record: Record) -> Path:
        """The path of a row's file.

        Args:
            record: a row of this dataset.

        Returns:
            The path; in a bucket a `upath.UPath`, which opens and reads like a `Path`.

        Raises:
            InvalidArgumentError: the row belongs to another dataset.
        """
        raise NotImplementedError

    @property
    def labels(self) -> list[str]:
        """The labels of the rows, each once, in alphabetical order."""
        return sorted({record.label for record in self.records if record.label is not None})

    def records_of(self, job_id: str) -> list[Record]:
        """The rows of one job.

        Args:
            job_id: the job's id (`job_…`).

        Returns:
            Its rows, in the order of `records`; none if the folder has no file of it.
        """
        return [record for record in self.records if record.job_id == job_id]

    def filter(self, keep: Callable[[Record], object]) -> DatasetView:
        """The rows for which `keep` returns something true.

            good = dataset.filter(lambda record: (record.ai_star_rating or 0) >= 4)

        Args:
            keep: called with each row.

        Returns:
            A view, as `split` returns it: it iterates its rows, goes to pandas, Hugging Face, and Parquet, and
            `copy_to` makes a folder of it. A label that has no row in it is no class of it.

        Raises:
            InvalidArgumentError: `keep` is not callable.
        """
        if not callable(keep):
            raise InvalidArgumentError("keep must be a function of a Record", field="keep")
        return self._view("filter", [record for record in self.records if keep(record)])

    def select(self, *, labels: str | Iterable[str]) -> DatasetView:
        """The rows of some labels.

        Args:
            labels: a label, or several.

        Returns:
            A view, as `filter` returns it.

        Raises:
            InvalidArgumentError: the dataset has no such label.
        """
        names = [labels] if isinstance(labels, str) else list(labels)
        if unknown := [name for name in names if name not in self.labels]:
            raise InvalidArgumentError(
                f"labels: no label {unknown[0]!r} exists here, only {', '.join(self.labels) or 'none'}",
                field="labels",
            )
        return self._view("select", [record for record in self.records if record.label in names])

    def annotate(
        self,
        model: str | Annotator,
        *,
        speech: str | None = None,
        base_url: str | None = None,
        max_cents: float | None = None,
        dry_run: bool = False,
        replace: bool = False,
        concurrency: int = 8,
        on_progress: Callable[[AnnotationReport], object] | None = None,
    ) -> AnnotationReport:
        """Have a model describe the files, in the columns `annotations` and `annotations_json` (extra `ai`).

            dataset.annotate("anthropic:claude-haiku-5-5", max_cents=200)

        Answers are kept in `.firsthandapi/annotations.jsonl`, by the bytes and the question: a call after a kill, a
        second call, and a copy of the folder ask nothing twice. A picture is sent reduced to 1,568 pixels and without
        metadata, with the words of its job: no id, no name, no place. Annotations of the service stay, and so does what
        a person has corrected. While it runs, no other process can write to the folder.

        Args:
            model: `anthropic:` or `openai:` with the name of a model, or an `Annotator` of your own.
            speech: a model that transcribes sounds and videos, as `openai:gpt-4o-transcribe`; without one, sounds are
                not asked about.
            base_url: the address of the server that `model` is asked at, as `http://127.0.0.1:11434/v1` for Ollama.
            max_cents: the most that this call may spend, in cents, what is under way included.
            dry_run: ask nothing, and say what it would cost. Needs no key.
            replace: replace annotations that the rows have already.
            concurrency: questions at once, 1 to 64.
            on_progress: called with an `AnnotationReport` after each answer.

        Returns:
            What was known, asked, and spent.

        Raises:
            InvalidArgumentError: an argument is not allowed.
            ConfigurationError: a key or the extra is missing, the service refuses the key or the model, a price is
                unknown and `max_cents` is given, another process is writing to the folder, or it cannot be written to.
                Answers so far are kept.
        """
        from threading import Event

        from ._annotating import annotate

        return annotate(
            self,
            model,
            speech=speech,
            base_url=base_url,
            max_cents=max_cents,
            dry_run=dry_run,
            replace=replace,
            concurrency=concurrency,
            on_progress=on_progress,
            over=Event(),
        )

    async def aannotate(
        self,
        model: str | Annotator,
        *,
        speech: str | None = None,
        base_url: str | None = None,
        max_cents: float | None = None,
        dry_run: bool = False,
        replace: bool = False,
        concurrency: int = 8,
        on_progress: Callable[[AnnotationReport], object] | None = None,
    ) -> AnnotationReport:
        """`annotate` in threads, so that the event loop keeps running: with its arguments, result, and errors.
        Cancelled, it ends once what is under way has ended. `on_progress` is called on the event loop; a coroutine
        function is awaited.
        """
        from ._annotating import aannotate

        return await aannotate(
            self,
            model,
            on_progress,
            speech=speech,
            base_url=base_url,
            max_cents=max_cents,
            dry_run=dry_run,
            replace=replace,
            concurrency=concurrency,
        )

    def _view(self, name: str, records: list[Record], classes: Rows | None = None) -> DatasetView:
        """Some of these rows, with the labels of `classes` or, by default, their own."""
        return self._whole._view(name, records, classes)

    @property
    def _whole(self) -> Dataset:
        """The dataset that the rows belong to."""
        raise NotImplementedError

    def _all_labels(self) -> list[str]:
        """The labels that tables number: all splits number them in the same way."""
        return self.labels

    def split(
        self,
        train: float = 0.8,
        test: float = 0.2,
        seed: int = 0,
        *,
        near: int | bool | None = None,
        stratify: bool = True,
        **more: float,
    ) -> Splits:
        """Split the rows without leaks, and with each label in its proportion.

            parts = dataset.split(train=0.8, test=0.2)
            parts["train"].to_huggingface()
            parts.copy_to("signs-split/")  # the datasets signs-split/train and signs-split/test

        No worker and no duplicate is in two splits. Workers are taken in the order of a hash, and each goes to the
        split where their labels are most short, so the same rows give the same splits on every machine. Workers with
        duplicates of each other's files go together, unless they have more files than the smallest split. If a
        duplicate of a row, by another worker, is in a different split, the row is in no split. A split without a file
        of a label, and rows in no split, are logged as a WARNING.

        The folder remembers the splits of these arguments in `.firsthandapi/splits.jsonl`, so that later rows never
        move earlier ones; not those of a dataset that `open` has opened with `version=`.

        Rows without a `worker_id` count as one worker per submission.

        Args:
            train: the share of the training split, 0 to 1.
            test: the share of the test split, 0 to 1.
            seed: any int; a different seed gives different splits.
            near: which files count as duplicates, as for `duplicates`.
            stratify: whether labels keep their proportions. If False, the hash alone chooses the split of a worker.
            **more: the shares of further splits, such as `validation=0.1`. All shares add up to 1.

        Returns:
            A dict with a view for each split by name, which iterates its rows and goes to pandas and Hugging Face.

        Raises:
            ConfigurationError: `near` needs the extra `images`, or `.firsthandapi/splits.jsonl` is damaged.
            InvalidArgumentError: the shares do not add up to 1, or an argument is not allowed.
        """
        from ._splitting import Splits, split, warn

        parts = check_parts({"train": train, "test": test, **more})
        if not isinstance(stratify, bool):
            raise InvalidArgumentError("stratify must be True or False", field="stratify")
        rule = Rule(parts, check_seed(seed), check_near(near), stratify)
        rows = split(self, rule)
        warn(rows, rule, len(self))
        return Splits((name, self._view(name, records, self)) for name, records in rows.items())

    def review(
        self, *, port: int = 0, open_browser: bool = True, by: str | None = None, blind: bool = False
    ) -> tuple[Decision, ...]:
        """Review the files in a browser: accept, exclude, or relabel them (extra `serve`).

            decided = dataset.review(by="ana")
            dataset.filter(lambda record: record.flags).review(by="ana")

        The page runs only on this machine, without an account or a network. Its address is printed. The call returns
        when you click Done, close the tab, or press Ctrl-C. A dataset shows its excluded files, too; a view shows
        those that are excluded after it was made.

        Args:
            port: 0 to 65535; 0 uses any free port.
            open_browser: whether to open the page in a browser.
            by: the person who decides, for `decisions` and `agreement`.
            blind: whether to hide ratings, reasons, and the decisions of others until this person has decided about
                the file, so that nobody's opinion depends on another's.

        Returns:
            The decisions of this review, newest last.

        Raises:
            ConfigurationError: the extra is not installed, or the port is in use.
            InvalidArgumentError: an argument is not allowed.
        """
        self._whole._check_writable()
        checked = int_or_none(port)
        if checked is None or not 0 <= checked <= 65535:
            raise InvalidArgumentError("port must be an int from 0 to 65535", field="port")
        check_words(None, by)
        if not isinstance(blind, bool):
            raise InvalidArgumentError("blind must be True or False", field="blind")
        try:
            from firsthandapi_server.review.app import review
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("firsthandapi"):
                raise
            raise ConfigurationError('a review needs an extra: pip install "firsthandapi[serve]"') from None
        return review(self, port=checked, open_browser=open_browser, by=by, blind=blind)

    def agreement(self) -> float | None:
        """How far the people who decided about the files agree, as Krippendorff's alpha for ordinal values.

            dataset.review(by="ana", blind=True)
            dataset.review(by="ben", blind=True)
            print(dataset.agreement())

        The newest decision of each person about a file counts: it was excluded, relabeled, or kept, in this order.
        Decisions without `by` do not count.

        Returns:
            1.0 if all agree, about 0 if they agree as if by chance, and less if they agree more seldom than that. None
            if no file has decisions of two people, or if all decisions are the same.
        """
        self._whole._catch_up()
        return agreement(decision for decision in self._whole.decisions if self._has(decision.file_id))

    def _has(self, file_id: str) -> bool:
        """Whether these are, or were, rows of this file: it may be excluded."""
        raise NotImplementedError

    def copy_to(self, dest: str | os.PathLike[str]) -> Dataset:
        """Copy these rows, with their verified files, into a new dataset.

            dataset.filter(lambda record: record.ai_star_rating == 5).copy_to("best/")

        The copy has the jobs and the decisions about the files, without the excluded files. Its `verify` and `repair`
        handle only its own rows. Run it again to copy missing files.

        Args:
            dest: the folder or bucket; created if missing.

        Returns:
            The dataset of the copies.

        Raises:
            ConfigurationError: a file is missing or mismatched, another process is writing to `dest`, or `dest` cannot
                be written to. Files copied so far are good, and the same call copies the rest.
            InvalidArgumentError: `dest` is the folder of the dataset itself, or of a job.
        """
        return self._whole._copied([(self, None)], dest)

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    @overload
    def __getitem__(self, which: int) -> Record: ...
    @overload
    def __getitem__(self, which: slice) -> list[Record]: ...
    def __getitem__(self, which: int | slice) -> Record | list[Record]:
        """The row or the rows at these places of `records`."""
        if isinstance(which, str):
            raise TypeError(
                f"dataset[{which!r}]: a dataset has rows: use [record.{which} for record in dataset], "
                "dataset.to_pandas() for columns, or dataset.split() for splits"
            )
        return self.records[which]

    @overload
    def duplicates(self, *, near: int | bool | None = None) -> list[tuple[Record, ...]]: ...
    @overload
    def duplicates(
        self, *, near: int | bool | None = None, against: Rows
    ) -> list[tuple[tuple[Record, ...], tuple[Record, ...]]]: ...
    def duplicates(
        self, *, near: int | bool | None = None, against: Rows | None = None
    ) -> list[tuple[Record, ...]] | list[tuple[tuple[Record, ...], tuple[Record, ...]]]:
        """Find files with the same content.

            for first, *others in dataset.duplicates():
                print(first.file_name, "is also", [record.file_name for record in others])

            for here, there in train.duplicates(against=test, near=True):
                print(here[0].file_name, "is also", there[0].file_name)

        Args:
            near: None for files of the same bytes, by their SHA-256; no file is read. True also finds images that are
                crops, other sizes, or recompressions of each other (extra `images`), by a perceptual hash of 64 bits
                of which 10 may differ, and a second look at their pixels. It finds no mirrored or turned images, and
                few small crops. Or the number of bits, 0 to 20; above 12, large datasets take much longer. Each image
                is read once: its dataset keeps the hashes in `.firsthandapi/`.
            against: another dataset or view, to find what both contain.

        Returns:
            The groups of duplicates, each with two rows or more, in the order of `records`. In a group of near
            duplicates each row is near to one and the same of them. An image that is near to two groups is in one of
            them. With `against`, the groups that contain rows of both: for each, the rows of this dataset and the rows
            of the other one. Images that are near to each other, one on each side, are in one group; of one that is
            near to many, some pairs count.

        Raises:
            ConfigurationError: `near` needs the extra `images`.
            InvalidArgumentError: `near` or `against` is not allowed.
        """
        if against is None:
            return groups(self.records, [*same_bytes(self.records), *self._near_pairs(near)])
        if not isinstance(against, Rows):
            raise InvalidArgumentError("against must be a Dataset or a view of one", field="against")
        records = [*self.records, *against.records]
        pairs = [*same_bytes(records), *self._near_pairs(near, against)]
        between = len(self.records)
        sides = [
            tuple(tuple(records[n] for n in group if (n < between) is is_own) for is_own in (True, False))
            for group in groups(range(len(records)), pairs)
        ]
        return [(own_rows, other_rows) for own_rows, other_rows in sides if own_rows and other_rows]

    def _near_pairs(self, near: int | bool | None, *views: Rows) -> list[tuple[int, int]]:
        """Pairs of near duplicates, by position in `records`, then in those of others: enough of them to join each
        group. None if only the same bytes count."""
        bits = check_near(near)
        if bits is None:
            return []
        from ._near import Side, near_pairs

        sides = [
            Side(view._store, view.records, [view.path_of(record) for record in view.records])
            for view in (self, *views)
        ]
        return near_pairs(*sides, bits=bits)

    def to_pandas(self) -> pd.DataFrame:
        """The manifest as a table: its columns, then your own, and `path`, the path of the file. For audio and video,
        the column `text` is the transcript.

        Raises:
            ConfigurationError: pandas is not installed (extra `pandas`).
        """
        try:
            import pandas as pd
        except ImportError:
            raise ConfigurationError("to_pandas needs an extra: pip install 'firsthandapi[pandas]'") from None
        self._whole._catch_up()
        speech = any(map(has_speech, self._whole._kinds()))
        rows = [
            {
                **record.extra,  # first: none of them replaces one of ours
                **vars(record),
                **({"text": record.text} if speech else {}),
                "path": str(self.path_of(record)),
            }
            for record in self.records
        ]
        names = dict.fromkeys([*COLUMNS, *(["text"] * speech), *(name for row in rows for name in row)])
        names.pop("path", None)
        table: pd.DataFrame = pd.DataFrame(rows, columns=[*names, "path"])
        return table

    def to_parquet(self, path: str | os.PathLike[str], *, bytes: bool = False) -> Path:
        """Write the manifest as a Parquet file, in one step.

            dataset.to_parquet("signs.parquet", bytes=True)
            datasets.load_dataset("parquet", data_files="signs.parquet")["train"][0]["image"].show()

        The types of its columns do not depend on the rows, so you can read the files of several jobs with the same
        kind of media together. Your own columns come last, with the type of their values, or as JSON text if these have
        none in common.

        Args:
            path: the path of the file, or a URL in a bucket (extra `remote`).
            bytes: whether to write the media themselves, in a first column that is named after their kind, `image`,
                `audio`, or `video`, in place of `path`. `load_dataset` of Hugging Face decodes it. Each file is
                verified. The whole file is in memory meanwhile: write large datasets in parts, by `filter` or `split`.

        Returns:
            The path of the file.

        Raises:
            ConfigurationError: pandas or pyarrow is not installed (extra `pandas`), the file cannot be written, or,
                with `bytes`, a file of the dataset is missing or mismatched.
            InvalidArgumentError: `path` is neither a path nor the URL of a bucket, or `bytes` is no bool.
        """
        from ._parquet import as_json, schema_with_own, write_with_media

        if not isinstance(bytes, bool):
            raise InvalidArgumentError("bytes must be True or False", field="bytes")
        store = store_at(path, "path")
        check_path(path, "path")
        table = self.to_pandas()
        content = BytesIO()
        try:
            schema, mixed = schema_with_own(self._whole._kinds(), self.records)
            # Where no file has a kind, the types are of all kinds: `text` too, which the table then lacks.
            table = table.reindex(columns=schema.names)
            for name in mixed:
                table[name] = [as_json(record.extra.get(name)) for record in self.records]
            if bytes:
                files = [(record, self.path_of(record)) for record in self.records]
                write_with_media(content, table, schema, files, self._whole._kinds(), self._store)
            else:
                table.to_parquet(content, engine="pyarrow", index=False, schema=schema)
        except ImportError:
            raise ConfigurationError(
                "to_parquet needs an extra: pip install 'firsthandapi[pandas]'"
            ) from None
        except ValueError as error:  # including those of pyarrow, for a value that Parquet cannot represent
            raise ConfigurationError(f"{store.root} cannot be written: {type(error).__name__}") from None
        store.replace(store.root, content.getvalue())
        note_export(self._store, str(store.root.absolute()), self.records, adds=False)
        return store.root

    def to_huggingface(self, *, kind: Kind | None = None) -> datasets.Dataset:
        """The dataset as a `datasets.Dataset` of Hugging Face: the media, and the manifest's columns.

            rows = dataset.to_huggingface()
            rows[0]["image"].show()
            rows.filter(lambda row: row["ai_star_rating"] >= 4).push_to_hub("me/signs")

        The first column is named after the kind of media, `image`, `audio`, or `video`, and is decoded when you read
        it: images by Pillow, audio and video by torchcodec, which you install separately. Without torchcodec, start
        with `rows = rows.cast_column("audio", datasets.Audio(decode=False))` to get the path and the bytes unchanged.
        `label` is a `ClassLabel` if the dataset has labels, and None in a row without one. For audio and video, `text`
        is the transcript. `annotations` is a column of structs; with undecoded media, `rows.flatten()` makes a column
        of each of its keys. Except for `label`, the types do not depend on the rows, so you can concatenate datasets
        of several jobs with the same kind of media; `merge` those with labels instead.

        This method reads and copies no file: rows refer to the files. The result's `save_to_disk` and `push_to_hub`
        include the bytes, those of videos with `datasets` 4.6 or later; its `to_parquet` writes only paths. Files in a
        bucket are named by their URL, and read with the credentials of the environment.

        Args:
            kind: the kind of media, `image`, `audio`, or `video`. Required if the job accepts several kinds: each needs
                its own dataset, because their columns differ.

        Returns:
            A row for each file of that kind, in the order of `records`.

        Raises:
            InvalidArgumentError: `kind` is required, or the dataset does not have this kind.
            ConfigurationError: `datasets` is not installed (extra `huggingface`), a file is missing, or a table cannot
                represent a value of the manifest.
        """
        from ._huggingface import rows_with_media

        self._whole._catch_up()
        chosen = chosen_kind(self._whole._kinds(), kind)
        records = [record for record in self.records if kind_of(record.content_type) == chosen]
        return rows_with_media(
            chosen, [(record, self.path_of(record)) for record in records], self._all_labels()
        )
