"""Remove withdrawn files from the copies of a dataset, and from copies of these."""
# A part of Dataset:
# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Collection, Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any

from firsthandapi._core.rows.publication import TABLE
from firsthandapi.errors import FirstHandError

from ._orders import OrderRecords
from ._store import Store, store_at, writing
from ._withdrawing import exports_of, note_cleaned, remove

if TYPE_CHECKING:
    from ._dataset import Dataset

_LARGEST_TABLE = 1024 * 1024 * 1024


class Cleaning:
    """One withdrawal on its way through the copies.

    Args:
        kind: Dataset.
        start: where the files are gone already.
        jobs: their jobs as they are now, by id, for the records of copies.
        asked: the ids of the jobs whose files the service has listed in full: a copy loses none of another job.
    """

    def __init__(
        self, kind: type[Dataset], start: str, jobs: Mapping[str, Any], asked: Collection[str]
    ) -> None:
        self._kind = kind
        self._seen = {start}
        self._jobs = jobs
        self._asked = asked

    def clean(self, of: Store, url: str, gone: Collection[str]) -> bool | None:
        """Remove these files from a copy `of` a dataset, which then forgets that it has them. Returns whether none is
        left there; None if it could not be reached."""
        from ._publishing import publication_at, withdraw

        self._seen.add(url)
        try:
            if (shelf := publication_at(url)) is not None:
                done: bool | None = withdraw(self._kind(of), shelf, gone, self._asked) or None
            else:
                store = store_at(url, "url")
                is_table = store.size_of(store.root) is not None
                clean = self._clean_table if is_table else self._clean_folder
                done = clean(store, gone)
        except FirstHandError:
            return None
        if done:
            note_cleaned(of, url, gone)
        return done

    def _clean_folder(self, store: Store, gone: Collection[str]) -> bool | None:
        copy = self._kind(store)
        with writing(store) as writer:
            copy._open_again()
            rows = [row for row in (*copy.records, *copy.excluded) if row.file_id in gone]
            if any(row.job_id not in self._asked for row in rows):
                return None
            remove(store, [*copy._manifests, *copy._hidden], rows)
            for job in copy.jobs:
                if job.id in self._jobs:
                    OrderRecords(store).note(job.id, self._jobs[job.id], writer)
        # Of a publication that somebody uses as a dataset.
        tables = [name for name in store.sizes_below() if name.rpartition("/")[2] == TABLE]
        cleaned = [self._clean_table(store_at(store.root / name, "url"), gone) for name in tables]
        below = {url: files for url, files in exports_of(store, gone).items() if url not in self._seen}
        done = [self.clean(store, url, files) for url, files in below.items()]
        return all(done + cleaned)

    def _clean_table(self, store: Store, gone: Collection[str]) -> bool | None:
        """Write a Parquet file without the rows of these files."""
        try:
            import pyarrow.parquet  # pyright: ignore[reportMissingTypeStubs] # it ships none
        except ImportError:
            return False
        parquet: Any = pyarrow.parquet
        content = store.read(store.root, _LARGEST_TABLE)
        try:
            table = parquet.read_table(BytesIO(content or b""))
            rows = [
                *zip(table.column("file_id").to_pylist(), table.column("job_id").to_pylist(), strict=True)
            ]
        except (KeyError, OSError, ValueError):  # another program has put something else there
            return None
        if any(file_id in gone and job_id not in self._asked for file_id, job_id in rows):
            return None
        written = BytesIO()
        parquet.write_table(table.filter([file_id not in gone for file_id, _ in rows]), written)
        store.replace(store.root, written.getvalue())
        return True
