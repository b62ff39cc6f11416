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

from ._folder import Manifest, job_file_of, manifests_of
from ._store import store_at

if TYPE_CHECKING:
    from collections.abc import Callable

    import datasets  # pyright: ignore[reportMissingTypeStubs] # it ships no types
    import pandas as pd

    from firsthandapi import AsyncFirstHandClient, FirstHandClient
    from firsthandapi.types import Job

    from ._folder import Folder
    from ._store import Store


class Dataset(Displayed):
    """A folder of verified files, as `jobs.collect` and `files.download_all` leave it.

    Attributes:
        path: the folder. One in a bucket is a `upath.UPath`, which is used as a `Path` is: `/`, `.name`, `.open()`.
        job: the job as last seen, or None if the folder does not say.
        records: a row for each file.
    """

    def __init__(self, store: Store, job: Job | None, manifests: list[Manifest]) -> None:
        self.path = store.root
        self._store = store
        self.job = job
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
        job_file = job_file_of(store)
        job = None if job_file is None or job_file.job is None else _job(job_file.job)
        manifests = [manifest for manifest in _manifests_in(store, job) if manifest.read()]
        if job_file is None and not manifests:
            raise ConfigurationError(
                f"{store.root} is not a dataset: it contains neither metadata.jsonl nor job.json"
            )
        return cls(store, job, manifests)

    @classmethod
    def _of(cls, folder: Folder) -> Dataset:
        """What a run has written. In a bucket another run may have written over its rows, and will add them again."""
        dataset = cls._read(store_at(folder.path, "path"))
        if len(dataset) < sum(len(manifest.records) for manifest in folder.manifests):
            dataset = cls(dataset._store, dataset.job, folder.manifests)
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

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __repr__(self) -> str:
        return self._described(str(self.path))

    def _described(self, name: str) -> str:
        state = "no job" if self.job is None else f"{self.job.id} {mask_secrets(self.job.status)}"
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
        others = [each for each in _manifests_in(self._store, self.job) if each.folder not in listed]
        for manifest in [*self._manifests, *others]:
            records = list(manifest.records.values())
            paths = [manifest.file(record) for record in records]
            # hashlib lets other threads run, so several are read at once.
            with ThreadPoolExecutor(max_workers=self._store.readers) as pool:
                for path, state in zip(paths, pool.map(self._state_of, paths, records), strict=True):
                    if state != "ok":
                        (missing if state == "missing" else mismatched).append(self._name_of(path))
            known = {path.name for path in paths}
            extra += [
                self._name_of(manifest.data / name)
                for name in self._store.names(manifest.data)
                if name not in known and not _in_the_making(name)
            ]
        approved = (self.job and self.job.files_approved) or 0
        short = max(approved - len(self.records), 0)
        ok = not (mismatched or missing or short)
        return Verification(ok, tuple(mismatched), tuple(missing), tuple(extra), short)

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
        job_id = self._job_id()
        state = self.verify()
        if not state:
            files = client.files
            if bad := self._bad(state):
                files._refetch(job_id, self.path, bad, concurrency=concurrency, on_progress=on_progress)  # pyright: ignore[reportPrivateUsage] # of one house
            if state.short:
                files.download_all(job_id, self.path, concurrency=concurrency, on_progress=on_progress)
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
        job_id = self._job_id()
        state = await run_sync(self.verify)
        if not state:
            files = client.files
            if bad := self._bad(state):
                await files._refetch(  # pyright: ignore[reportPrivateUsage] # of one house
                    job_id, self.path, bad, concurrency=concurrency, on_progress=on_progress
                )
            if state.short:
                await files.download_all(job_id, self.path, concurrency=concurrency, on_progress=on_progress)
            await run_sync(self._open_again)
            state = await run_sync(self.verify)
        return state

    def _job_id(self) -> str:
        if self.job is None:
            raise ConfigurationError(
                f"{self.path} records no job, so its files cannot be downloaded again; restore its job.json, or use "
                "files.download_all into an empty folder"
            )
        return self.job.id

    def _bad(self, state: Verification) -> frozenset[str]:
        """The ids of files that are mismatched or missing."""
        names = {*state.mismatched, *state.missing}
        return frozenset(each.file_id for each in self.records if self._name_of(self.path_of(each)) in names)

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
        `annotations` is a column of structs; `rows.flatten()`, of undecoded media, makes a column of each of its
        keys. The types are the same whatever the rows hold, so datasets of several jobs of a kind concatenate.

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
        return rows_with_media(chosen, [(record, self.path_of(record)) for record in records])

    def _kinds(self) -> set[Kind | None]:
        """What it holds, and what may still come; None for files of no kind."""
        types = {record.content_type for record in self.records}
        return {kind_of(name) for name in types.union((self.job and self.job.accepted_formats) or ())}


def _key(record: Record) -> tuple[str, str]:
    """What distinguishes rows. A file that changed its type between two runs has a row among each kind."""
    return record.file_id, record.file_name


def _manifests_in(store: Store, job: Job | None) -> list[Manifest]:
    return manifests_of(store, None if job is None else job.accepted_formats)


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
