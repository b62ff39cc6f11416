"""A dataset as its user sees it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firsthandapi._core.counts import count_of
from firsthandapi._core.kinds import Kind, chosen_kind, kind_of
from firsthandapi._core.manifest import COLUMNS, Record
from firsthandapi._core.reports import Progress, Verification
from firsthandapi._display import Displayed
from firsthandapi._masking import Secret, mask_secrets
from firsthandapi._paths import check_path
from firsthandapi._visible import visible
from firsthandapi.errors import ConfigurationError, InvalidArgumentError

from ._folder import Manifest, manifests_of
from ._job_files import JobFiles
from ._store import store_at

if TYPE_CHECKING:
    from collections.abc import Callable

    import datasets  # pyright: ignore[reportMissingTypeStubs] # it ships no types
    import pandas as pd

    from firsthandapi import AsyncFirstHandClient, FirstHandClient
    from firsthandapi._core.job_file import JobFile
    from firsthandapi.types import Job

    from ._folder import Folder
    from ._store import Store


class Dataset(Displayed):
    """A folder of verified files, as `jobs.collect` and `files.download_all` leave it.

    Attributes:
        path: the folder. One in a bucket is a `upath.UPath`, which is used as a `Path` is: `/`, `.name`, `.open()`.
        job: the job as last seen; None if the folder does not say, or has files of several.
        jobs: all jobs of the folder, as last seen.
        records: a row for each file.
    """

    def __init__(self, store: Store, job_files: list[JobFile], manifests: list[Manifest]) -> None:
        self.path = store.root
        self._store = store
        self._job_files = job_files
        jobs = (_job(each.job) for each in job_files if each.job is not None)
        self.jobs: tuple[Job, ...] = tuple({job.id: job for job in jobs}.values())
        self.job = self.jobs[0] if len(self.jobs) == 1 else None
        self._manifests = manifests
        self._manifest_of = {_key(record): m for m in manifests for record in m.records.values()}
        self.records: list[Record] = [record for m in manifests for record in m.records.values()]

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Dataset:
        """Open a folder. It may come from a stranger: its contents are checked before a file is touched.

        Args:
            path: the folder, or the URL of one in a bucket (extra `remote`).

        Returns:
            The dataset; no file is read yet.

        Raises:
            ConfigurationError: there is no dataset, a row names a file outside the folder or one of another row, a
                file is a link, the manifest or job.json is larger than any that this package writes, or an extra
                is missing.
            InvalidArgumentError: `path` is neither a path nor the URL of a bucket.
        """
        dataset = cls._read(store_at(path, "path"))
        for manifest in dataset._manifests:
            manifest.refuse_links()
        return dataset

    @classmethod
    def _read(cls, store: Store) -> Dataset:
        job_files = JobFiles(store).all()
        manifests = [manifest for manifest in _manifests_in(store, job_files) if manifest.read()]
        if not job_files and not manifests:
            raise ConfigurationError(
                f"{store.root} is not a dataset: it contains neither metadata.jsonl nor job.json"
            )
        return cls(store, job_files, manifests)

    @classmethod
    def _of(cls, folder: Folder) -> Dataset:
        """What a run has written. In a bucket another run may have written over its rows, and will add them again."""
        dataset = cls._read(store_at(folder.path, "path"))
        if len(dataset) < sum(len(manifest.records) for manifest in folder.manifests):
            dataset = cls(dataset._store, dataset._job_files, folder.manifests)
        return dataset

    def path_of(self, record: Record) -> Path:
        """Where the file of a row is.

        Args:
            record: a row of this dataset.

        Returns:
            Its path; in a bucket a `upath.UPath`, which opens and reads as a `Path` does.

        Raises:
            InvalidArgumentError: it is a row of another dataset.
        """
        try:
            return self._manifest_of[_key(record)].file(record)
        except KeyError:
            raise InvalidArgumentError(
                f"record must be a row of this dataset, {self._name}", field="record"
            ) from None

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

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __repr__(self) -> str:
        return self._described(str(self.path))

    def _described(self, name: str) -> str:
        state = "no job" if self.job is None else f"{self.job.id} {mask_secrets(self.job.status)}"
        if len(self.jobs) > 1:
            state = count_of(len(self.jobs), "job")
        return f"<Dataset [{name!r}, {count_of(len(self))}, {visible(state)}]>"

    @property
    def _name(self) -> str:
        """What the folder is called, without the way to it; the root of a bucket has no other name."""
        return self.path.name or str(self.path)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ARG002 # IPython calls it with both
        """The plain text that a notebook keeps beside the gallery: without the way to the folder."""
        printer.text(self._described(self._name))

    def verify(self) -> Verification:
        """Read every file, and compare it with the manifest; compare the manifest with the job.

        Returns:
            What is mismatched, missing or extra, by name relative to the folder, and how many approved files have no
            row; truthy if all is well.

        Raises:
            ConfigurationError: a file cannot be read.
        """
        mismatched: list[str] = []
        missing: list[str] = []
        extra: list[str] = []
        listed = {manifest.folder for manifest in self._manifests}
        # A folder whose manifest was lost may still contain files.
        others = [each for each in _manifests_in(self._store, self._job_files) if each.folder not in listed]
        for manifest in [*self._manifests, *others]:
            records = list(manifest.records.values())
            paths = [manifest.file(record) for record in records]
            # hashlib lets other threads run, so several are read at once.
            with ThreadPoolExecutor(max_workers=self._store.readers) as pool:
                for path, state in zip(paths, pool.map(self._state_of, paths, records), strict=True):
                    if state != "ok":
                        (missing if state == "missing" else mismatched).append(self._name_of(path))
            folders = manifest.folders()
            known = {*paths, *folders}
            extra += [
                self._name_of(folder / name)
                for folder in folders
                for name in self._store.names(folder)
                if folder / name not in known and not _in_the_making(name)
            ]
        short = sum(self._short_of(job) for job in self.jobs)
        ok = not (mismatched or missing or short)
        return Verification(ok, tuple(mismatched), tuple(missing), tuple(extra), short)

    def _short_of(self, job: Job) -> int:
        """How many approved files of a job have no row."""
        rows = self.records if job is self.job else self.records_of(job.id)
        return max((job.files_approved or 0) - len(rows), 0)

    def repair(
        self,
        client: FirstHandClient,
        *,
        concurrency: int = 32,
        on_progress: Callable[[Progress], object] | None = None,
    ) -> Verification:
        """Download the files that are missing, mismatched or without a row, and no others. A file and its row stay
        until their successors are in place.

        Args:
            client: a client whose key may read the job.
            concurrency: connections at once, 1 to 64.
            on_progress: called with a `Progress` as files come in.

        Returns:
            What is true afterwards.

        Raises:
            DownloadError: some files could not be downloaded. The others are repaired, and another `repair` tries
                these again.
            ConfigurationError: the folder does not record its job.
            InvalidArgumentError: `client` is not a FirstHandClient; with an AsyncFirstHandClient, use `arepair`.
            FirstHandApiError: the service answered with an error.
        """
        import firsthandapi

        if not isinstance(client, firsthandapi.FirstHandClient):
            raise InvalidArgumentError(
                "client must be a FirstHandClient; with an AsyncFirstHandClient, use await dataset.arepair(client)",
                field="client",
            )
        self._check_job()
        state = self.verify()
        if not state:
            files = client.files
            for job_id, label, bad, short in self._to_repair(state):
                if bad:
                    files._refetch(  # pyright: ignore[reportPrivateUsage] # of one house
                        job_id, self.path, bad, label=label, concurrency=concurrency, on_progress=on_progress
                    )
                if short:
                    files.download_all(
                        job_id, self.path, label=label, concurrency=concurrency, on_progress=on_progress
                    )
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
            What is true afterwards.

        Raises:
            DownloadError: some files could not be downloaded. The others are repaired, and another `arepair` tries
                these again.
            ConfigurationError: the folder does not record its job.
            InvalidArgumentError: `client` is not an AsyncFirstHandClient; with a FirstHandClient, use `repair`.
            FirstHandApiError: the service answered with an error.
        """
        from anyio.to_thread import run_sync

        import firsthandapi

        if not isinstance(client, firsthandapi.AsyncFirstHandClient):
            raise InvalidArgumentError(
                "client must be an AsyncFirstHandClient; with a FirstHandClient, use dataset.repair(client)",
                field="client",
            )
        self._check_job()
        state = await run_sync(self.verify)
        if not state:
            files = client.files
            for job_id, label, bad, short in self._to_repair(state):
                if bad:
                    await files._refetch(  # pyright: ignore[reportPrivateUsage] # of one house
                        job_id, self.path, bad, label=label, concurrency=concurrency, on_progress=on_progress
                    )
                if short:
                    await files.download_all(
                        job_id, self.path, label=label, concurrency=concurrency, on_progress=on_progress
                    )
            await run_sync(self._open_again)
            state = await run_sync(self.verify)
        return state

    def _check_job(self) -> None:
        if not self.jobs:
            raise ConfigurationError(
                f"{self.path} records no job, so its files cannot be downloaded again; restore its job.json, or use "
                "files.download_all into an empty folder"
            )

    def _to_repair(self, state: Verification) -> list[tuple[str, str | None, frozenset[str], int]]:
        """For each job what is to be downloaded: its id, its label, the ids of its files that are mismatched or
        missing, and how many have no row."""
        names = {*state.mismatched, *state.missing}
        bad = [record for record in self.records if self._name_of(self.path_of(record)) in names]
        labels = {each.job_id: each.label for each in self._job_files}
        return [
            (
                job.id,
                labels[job.id],
                frozenset(row.file_id for row in bad if job is self.job or row.job_id == job.id),
                self._short_of(job),
            )
            for job in self.jobs
        ]

    def _open_again(self) -> None:
        self.__dict__.update(Dataset._read(self._store).__dict__)

    def _name_of(self, path: Path) -> str:
        return path.relative_to(self.path).as_posix()

    def _state_of(self, path: Path, record: Record) -> str:
        size = self._store.size_of(path)
        if size is None:
            return "missing"
        same = size == record.size_bytes and self._store.sha256_of(path, size) == record.sha256
        return "ok" if same else "mismatched"

    def to_pandas(self) -> pd.DataFrame:
        """The manifest as a table: its columns, then your own, and `path`, where the file is.

        Raises:
            ConfigurationError: pandas is not installed (extra `pandas`).
        """
        try:
            import pandas as pd
        except ImportError:
            raise ConfigurationError("to_pandas needs an extra: pip install 'firsthandapi[pandas]'") from None
        rows = [
            {**record.extra, **vars(record), "path": str(self.path_of(record))} for record in self.records
        ]
        own = dict.fromkeys(name for record in self.records for name in record.extra if name != "path")
        table: pd.DataFrame = pd.DataFrame(rows, columns=[*COLUMNS, *own, "path"])
        return table

    def to_parquet(self, path: str | os.PathLike[str]) -> Path:
        """Write the manifest as a Parquet file, in one step.

        The types of its columns are the same whatever the rows hold, so the files of several jobs of a kind are
        read together. Your own columns are therefore left out.

        Args:
            path: where to: a file's name, or a URL in a bucket (extra `remote`).

        Returns:
            Where it is.

        Raises:
            ConfigurationError: pandas or pyarrow is not installed (extra `pandas`), or the file cannot be written.
            InvalidArgumentError: `path` is neither a path nor the URL of a bucket.
        """
        from ._parquet import schema_of

        store = store_at(path, "path")
        check_path(path, "path")
        table = self.to_pandas()
        content = BytesIO()
        try:
            table.to_parquet(content, engine="pyarrow", index=False, schema=schema_of(self._kinds()))
        except ImportError:
            raise ConfigurationError(
                "to_parquet needs an extra: pip install 'firsthandapi[pandas]'"
            ) from None
        except ValueError as error:  # pyarrow's own are; a stranger's manifest may hold what Parquet cannot
            raise ConfigurationError(f"{store.root} cannot be written: {type(error).__name__}") from None
        store.replace(store.root, content.getvalue())
        return store.root

    def to_huggingface(self, *, kind: Kind | None = None) -> datasets.Dataset:
        """The dataset as a `datasets.Dataset` of Hugging Face: the media, and the manifest's columns.

            rows = dataset.to_huggingface()
            rows[0]["image"].show()
            rows.filter(lambda row: row["ai_star_rating"] >= 4).push_to_hub("me/signs")

        The first column is called as its kind, `image`, `audio` or `video`, and decodes when it is read: images
        by Pillow, audio and video by torchcodec, which you install for that. Without it, start with
        `rows = rows.cast_column("audio", datasets.Audio(decode=False))`: path and bytes come unchanged.
        `label` is a `ClassLabel` if the dataset has labels; a row without one is None.
        `annotations` is a column of structs; `rows.flatten()`, of undecoded media, makes a column of each of its
        keys. Apart from `label`, the types are the same whatever the rows hold, so datasets of several jobs of a kind
        concatenate; `merge` those with labels instead.

        No file is read or copied here: rows refer to the files where they are. The result's `save_to_disk` and
        `push_to_hub` take the bytes in, of videos from `datasets` 4.6 on; its `to_parquet` writes paths alone.
        Files in a bucket are named by their URL, and read with the credentials that the environment gives.

        Args:
            kind: which media to take, `image`, `audio` or `video`. May be left out if the job takes only one
                kind; of a job of several, each makes a dataset of its own, since their columns differ.

        Returns:
            A row for each file of that kind, in the order of `records`.

        Raises:
            InvalidArgumentError: `kind` is needed, or there is no such kind here.
            ConfigurationError: `datasets` is not installed (extra `huggingface`), a file is missing, or the
                manifest holds what no table can.
        """
        from ._huggingface import rows_with_media

        chosen = chosen_kind(self._kinds(), kind)
        records = [record for record in self.records if kind_of(record.content_type) == chosen]
        return rows_with_media(chosen, [(record, self.path_of(record)) for record in records], self.labels)

    def _kinds(self) -> set[Kind | None]:
        """What it holds, and what may still come; None for files of no kind."""
        types = {record.content_type for record in self.records}
        return {kind_of(name) for name in types.union(*(job.accepted_formats or () for job in self.jobs))}


def _key(record: Record) -> tuple[str, str]:
    """What distinguishes rows. A file that changed its type between two runs has a row among each kind."""
    return record.file_id, record.file_name


def _manifests_in(store: Store, job_files: list[JobFile]) -> list[Manifest]:
    only = job_files[0].job if len(job_files) == 1 and job_files[0].label is None else None
    return manifests_of(store, None if only is None else _job(only).accepted_formats)


def _job(raw: dict[str, Any]) -> Job:
    from firsthandapi._core.decode import decode
    from firsthandapi.errors import UnexpectedResponseError
    from firsthandapi.types.job import Job

    try:
        return decode(Job, Secret(json.dumps(raw).encode()), None)
    except UnexpectedResponseError:
        raise ConfigurationError("job.json: the job is not a valid FirstHandAPI job") from None


def _in_the_making(name: str) -> bool:
    return name.startswith(".") and name.endswith(".part")
