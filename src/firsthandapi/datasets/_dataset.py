"""A dataset as its user sees it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firsthandapi._core.dataset import COLUMNS, Progress, Record, Verification, known_extension
from firsthandapi.errors import ConfigurationError, InvalidArgumentError

from ._folder import Manifest, digest, manifests_in, read_job_file, size_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from firsthandapi import FirstHandClient
    from firsthandapi.types import Job


class Dataset:
    """A folder of verified files, as `jobs.collect` and `files.download_all` leave it.

    Attributes:
        path: the folder.
        job: the job as last seen, or None if the folder does not say.
        records: a row for each file.
    """

    def __init__(self, path: Path, job: Job | None, manifests: list[Manifest]) -> None:
        self.path = path
        self.job = job
        self._manifests = manifests
        self._places = {record.file_id: m.file(record) for m in manifests for record in m.records.values()}
        self.records: list[Record] = [record for m in manifests for record in m.records.values()]

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Dataset:
        """Open a folder. It may come from a stranger: what it says is checked before a file is touched.

        Args:
            path: the folder.

        Returns:
            The dataset; no file is read yet.

        Raises:
            ConfigurationError: there is no dataset, or a row names a file outside the folder.
        """
        folder = Path(path)
        job_file = read_job_file(folder)
        raw_job = None if job_file is None else job_file.job
        job = None
        if raw_job is not None:
            job = _job(raw_job)
        manifests = list(manifests_in(folder, None if job is None else job.accepted_formats))
        if job_file is None and not manifests:
            raise ConfigurationError(
                f"{folder} holds no dataset: there is neither a metadata.jsonl nor a job.json"
            )
        return cls(folder, job, manifests)

    def path_of(self, record: Record) -> Path:
        """Where the file of a row is."""
        return self._places[record.file_id]

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __repr__(self) -> str:
        state = "no job" if self.job is None else f"{self.job.id} {self.job.status}"
        return f"<Dataset [{str(self.path)!r}, {len(self)} files, {state}]>"

    def verify(self) -> Verification:
        """Read every file and hold it against the manifest.

        Returns:
            What is mismatched, missing or extra, by name relative to the folder; truthy if all is well.

        Raises:
            ConfigurationError: a file cannot be read.
        """
        mismatched: list[str] = []
        missing: list[str] = []
        extra: list[str] = []
        for manifest in self._manifests:
            prefix = manifest.folder.relative_to(self.path).as_posix()
            prefix = "" if prefix == "." else f"{prefix}/"
            records = list(manifest.records.values())
            # hashlib lets other threads run, so two read at once.
            with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
                for record, state in zip(
                    records, pool.map(_state_of, map(manifest.file, records), records), strict=True
                ):
                    if state == "missing":
                        missing.append(prefix + record.file_name)
                    elif state == "mismatched":
                        mismatched.append(prefix + record.file_name)
            known = {record.file_name for record in records}
            if manifest.data.is_dir():
                names = sorted(f"{manifest.data.name}/{entry.name}" for entry in manifest.data.iterdir())
                extra += [prefix + name for name in names if name not in known and _counts(name)]
        return Verification(not mismatched and not missing, tuple(mismatched), tuple(missing), tuple(extra))

    def repair(
        self,
        client: FirstHandClient,
        *,
        concurrency: int = 32,
        on_progress: Callable[[Progress], object] | None = None,
    ) -> Verification:
        """Fetch what is missing or mismatched anew, and nothing else.

        Args:
            client: a client whose key may read the job.
            concurrency: connections at once, 1 to 64.
            on_progress: called with a `Progress` as files come in.

        Returns:
            What is true afterwards.

        Raises:
            DownloadError: some could not be fetched; the rest is repaired.
            ConfigurationError: the folder does not say which job it is of.
            FirstHandApiError: the service answered with an error.
        """
        import firsthandapi

        if not isinstance(client, firsthandapi.FirstHandClient):
            raise InvalidArgumentError("repair needs a FirstHandClient, the sync one", field="client")
        if self.job is None:
            raise ConfigurationError(f"{self.path} has no job.json, so its files cannot be asked for again")
        state = self.verify()
        if not state:
            bad = {*state.mismatched, *state.missing}
            for manifest in self._manifests:
                for record in manifest.records.values():
                    if manifest.file(record).relative_to(self.path).as_posix() in bad:
                        manifest.file(record).unlink(missing_ok=True)
            client.files.download_all(
                self.job.id, self.path, concurrency=concurrency, on_progress=on_progress
            )
            fresh = Dataset.open(self.path)
            self.__dict__.update(fresh.__dict__)
            state = self.verify()
        return state

    def to_pandas(self) -> pd.DataFrame:
        """The manifest as a table: its columns, and `path`, where the file is.

        Raises:
            ConfigurationError: pandas is not installed (extra `pandas`).
        """
        try:
            import pandas as pd
        except ImportError:
            raise ConfigurationError("to_pandas needs an extra: pip install 'firsthandapi[pandas]'") from None
        rows = [{**asdict(record), "path": str(self.path_of(record))} for record in self.records]
        table: pd.DataFrame = pd.DataFrame(rows, columns=[*COLUMNS, "path"])
        return table

    def to_parquet(self, path: str | os.PathLike[str]) -> Path:
        """Write the manifest as a Parquet file, in one step.

        Args:
            path: where to.

        Returns:
            Where it is.

        Raises:
            ConfigurationError: pandas or pyarrow is not installed (extra `pandas`), or the file cannot be written.
        """
        table = self.to_pandas()
        target = Path(path)
        part = target.with_name(f".{target.name}.part")
        try:
            table.to_parquet(part, engine="pyarrow", index=False)
            part.replace(target)
        except ImportError:
            raise ConfigurationError(
                "to_parquet needs an extra: pip install 'firsthandapi[pandas]'"
            ) from None
        except OSError as error:
            raise ConfigurationError(f"{target} cannot be written: {error.strerror}") from None
        finally:
            part.unlink(missing_ok=True)
        return target


def _job(raw: dict[str, Any]) -> Job:
    import json

    from firsthandapi._core.decode import decode
    from firsthandapi.errors import UnexpectedResponseError
    from firsthandapi.types.job import Job

    try:
        return decode(Job, json.dumps(raw).encode(), None)
    except UnexpectedResponseError:
        raise ConfigurationError("job.json: its job is not one of FirstHandAPI") from None


def _state_of(path: Path, record: Record) -> str:
    size = size_of(path)
    if size is None:
        return "missing"
    if size != record.size_bytes:
        return "mismatched"
    try:
        return "ok" if digest(path)[1] == record.sha256 else "mismatched"
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None


def _counts(name: str) -> bool:
    """Whether a file without a row is worth telling of: one in the making is not."""
    return (
        not name.rpartition("/")[2].startswith(".") or not name.endswith(".part") or not known_extension(name)
    )
