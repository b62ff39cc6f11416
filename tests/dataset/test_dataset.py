"""Folders on disk: opening them, whoever they come from; verifying, mending, tables; disks that fail."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pandas as pd
import pyarrow.parquet as pq
import pytest

from firsthandapi import Dataset, FirstHandClient, Progress, Verification
from firsthandapi._core.job_file import JOB_FILE
from firsthandapi._core.manifest import COLUMNS, MANIFEST
from firsthandapi.datasets import _disk
from firsthandapi.datasets._folder import Folder, Source
from firsthandapi.datasets._lock import NAME, FolderLock
from firsthandapi.errors import ConfigurationError, DownloadError, FirstHandError, InvalidArgumentError
from firsthandapi.testing import MockServer

from .support import JOB, api, completed_job, downloads, server_with_job

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="links and pipes as POSIX has them")
FILES = 120


@pytest.fixture(scope="module")
def job() -> Iterator[tuple[MockServer, str]]:
    """A server with a job that is over."""
    yield from server_with_job(FILES)


@pytest.fixture
def server(job: tuple[MockServer, str]) -> Iterator[MockServer]:
    yield job[0]
    job[0].faults.clear()


@pytest.fixture
def client(server: MockServer) -> Iterator[FirstHandClient]:
    with server.client(max_retries=0) as client:
        yield client


@pytest.fixture
def dataset(client: FirstHandClient, job: tuple[MockServer, str], tmp_path: Path) -> Dataset:
    """A whole folder of that job."""
    return client.files.download_all(job[1], tmp_path / "signs")


# ── Opening ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_dataset_is_a_sequence_of_records(dataset: Dataset) -> None:
    """`len`, iteration, where each file is; its repr says what it is of."""
    assert len(dataset) == len(dataset.records) == FILES
    assert list(dataset) == dataset.records
    assert all(dataset.path_of(record).is_file() for record in dataset)
    assert dataset.job is not None
    assert dataset.job.id in repr(dataset)
    assert "120 files" in repr(dataset)


def test_an_opened_folder_is_the_one_that_was_written(dataset: Dataset) -> None:
    """By str and by Path; without job.json there is no job, and all else is the same."""
    assert Dataset.open(str(dataset.path)).records == dataset.records
    (dataset.path / JOB_FILE).unlink()
    opened = Dataset.open(dataset.path)
    assert opened.records == dataset.records
    assert opened.job is None
    assert "no job" in repr(opened)
    assert opened.verify()


@pytest.mark.parametrize("name", ["empty", "missing", "nul\0byte"])
def test_what_is_no_dataset_is_refused(tmp_path: Path, name: str) -> None:
    """An empty folder, none, and a name that none can have."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigurationError):
        Dataset.open(tmp_path / name)


def forge(dest: Path, **changes: Any) -> None:
    """Change the first row of a manifest."""
    first, *rest = (dest / MANIFEST).read_bytes().splitlines(keepends=True)
    row = {**json.loads(first), **changes}
    (dest / MANIFEST).write_bytes(b"".join([json.dumps(row).encode() + b"\n", *rest]))


@pytest.mark.parametrize(
    "name", ["../../secret", "/etc/passwd", "data/../../secret.txt", "data/a\0.jpg", "data/x" * 1_000_000]
)
def test_a_folder_that_leads_outside_is_refused(dataset: Dataset, client: FirstHandClient, name: str) -> None:
    """Before any file is touched, by whoever reads the folder."""
    forge(dataset.path, file_name=name)
    with pytest.raises(ConfigurationError, match="line 1"):
        Dataset.open(dataset.path)
    assert dataset.job is not None
    with pytest.raises(ConfigurationError, match="line 1"):
        client.files.download_all(dataset.job.id, dataset.path)


def link_data(dest: Path, outside: Path) -> None:
    (dest / "data").rename(outside)
    (dest / "data").symlink_to(outside)


def link_manifest(dest: Path, outside: Path) -> None:
    (dest / MANIFEST).rename(outside)
    (dest / MANIFEST).symlink_to(outside)


def link_job(dest: Path, outside: Path) -> None:
    (dest / JOB_FILE).rename(outside)
    (dest / JOB_FILE).symlink_to(outside)


def pipe_manifest(dest: Path, outside: Path) -> None:
    (dest / MANIFEST).unlink()
    os.mkfifo(dest / MANIFEST)


def pipe_job(dest: Path, outside: Path) -> None:
    (dest / JOB_FILE).unlink()
    os.mkfifo(dest / JOB_FILE)


def folder_manifest(dest: Path, outside: Path) -> None:
    (dest / MANIFEST).unlink()
    (dest / MANIFEST).mkdir()


@posix_only
@pytest.mark.parametrize(
    "spoil", [link_data, link_manifest, link_job, pipe_manifest, pipe_job, folder_manifest]
)
def test_links_and_pipes_are_refused(
    dataset: Dataset, client: FirstHandClient, tmp_path: Path, spoil: Callable[[Path, Path], None]
) -> None:
    """A link leads anywhere, and a pipe would be waited for without end."""
    spoil(dataset.path, tmp_path / "outside")
    with pytest.raises(ConfigurationError):
        Dataset.open(dataset.path)
    assert dataset.job is not None
    with pytest.raises(ConfigurationError):
        client.files.download_all(dataset.job.id, dataset.path)


@posix_only
def test_a_link_in_the_place_of_a_kind_is_refused(tmp_path: Path) -> None:
    """The folders for the kinds of a mixed job are as strange as the rest."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "signs").mkdir()
    (tmp_path / "signs" / "image").symlink_to(tmp_path / "outside")
    with pytest.raises(ConfigurationError, match="is a link"):
        Dataset.open(tmp_path / "signs")


@posix_only
def test_a_lock_that_is_a_link_is_refused(client: FirstHandClient, tmp_path: Path) -> None:
    """Taking it would make a file wherever it leads."""
    (tmp_path / NAME).symlink_to(tmp_path / "outside")
    with pytest.raises(ConfigurationError):
        client.jobs.collect(tmp_path, **JOB, files_needed=1)
    assert not (tmp_path / "outside").exists()


@posix_only
def test_a_file_that_is_a_link_is_not_there(
    dataset: Dataset, client: FirstHandClient, tmp_path: Path
) -> None:
    """Even to the right bytes: a folder with it is not opened. One that is open misses the file, and repair puts one in
    its place."""
    path = dataset.path_of(dataset.records[0])
    path.rename(tmp_path / "outside")
    path.symlink_to(tmp_path / "outside")
    with pytest.raises(ConfigurationError, match=f"{path.name} is a link"):
        Dataset.open(dataset.path)
    assert dataset.verify().missing == (dataset.records[0].file_name,)
    assert dataset.repair(client)
    assert not path.is_symlink()


@posix_only
@pytest.mark.parametrize("made", ["link", "pipe"])
def test_what_takes_a_file_s_place_is_not_followed(dataset: Dataset, tmp_path: Path, made: str) -> None:
    """Between the look at a file and its opening, another program may put a link there, or a pipe."""
    path = dataset.path_of(dataset.records[0])
    path.rename(tmp_path / "outside")
    path.symlink_to(tmp_path / "outside") if made == "link" else os.mkfifo(path)
    with pytest.raises(ConfigurationError) if made == "link" else contextlib.nullcontext():
        assert _disk.digest(path)[0] == 0
    assert not _disk.begin_of(path, 9)


@posix_only
def test_an_endless_text_is_not_read(dataset: Dataset) -> None:
    """A stranger's file may have any size; these take no room on the disk, and would fill the memory."""
    for name, says in (("job.json", "larger than 16 MiB"), (MANIFEST, "larger than 512 MiB")):
        before = (dataset.path / name).read_bytes()
        os.truncate(dataset.path / name, 8 << 30)
        with pytest.raises(ConfigurationError, match=f"{name} cannot be read: it is {says}"):
            Dataset.open(dataset.path)
        (dataset.path / name).write_bytes(before)


def test_a_folder_of_countless_names_is_refused(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """They would fill the memory, and take hours to name; opening the folder does not list them."""
    monkeypatch.setattr("firsthandapi.datasets._local.MOST_NAMES", FILES - 1)
    with pytest.raises(ConfigurationError, match="contains more than 119 files"):
        Dataset.open(dataset.path).verify()


def test_ids_that_are_one_name_on_other_disks_get_two(tmp_path: Path) -> None:
    """By the case of their letters, or as a device of Windows. The folder can be read again, on any system."""
    with MockServer(speed=0, workers=False) as server, server.client() as client:
        job_id = completed_job(server, 3)
        page = client.files.list(job_id)
        names = dict(zip(("file_A", "file_a", "CON"), page.data, strict=True))
        folder = Folder(tmp_path / "signs")
        assert folder.lock()
        files = [file.model_copy(update={"id": name}) for name, file in names.items()]
        wanted, _ = folder.plan(files, Source(job_id, mixed=False))
        for one, file in zip(wanted, files, strict=True):
            one.target.write_bytes(b"x")
            sha256 = hashlib.sha256(b"x").hexdigest()
            folder.add(file, Source(job_id, mixed=False), size_bytes=1, sha256=sha256)
        folder.close()
    opened = Dataset.open(tmp_path / "signs")
    assert [record.file_id for record in opened] == [*names]
    assert len({record.file_name.lower() for record in opened}) == 3
    assert opened.records[0].file_name == "data/file_A.jpg"
    assert "con." not in opened.records[2].file_name.lower()
    assert opened.verify()


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", b"\xff", b'{"version": 2}', b"[" * 100_000, b'{"version":1,"job":{"id":"job_1"}}'],
)
def test_junk_in_job_json_is_refused(dataset: Dataset, content: bytes) -> None:
    """Also a job that is none of the service's."""
    (dataset.path / JOB_FILE).write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"job\.json"):
        Dataset.open(dataset.path)


# ── Verifying and mending ────────────────────────────────────────────────────────────────────────────────


def spoil_three(dataset: Dataset) -> tuple[str, str, str]:
    """One file longer, one with other bytes, one gone."""
    longer, other, gone = (dataset.path_of(dataset.records[n]) for n in (3, 50, 110))
    longer.write_bytes(longer.read_bytes() + b"x")
    other.write_bytes(b"x" * other.stat().st_size)
    gone.unlink()
    return f"data/{longer.name}", f"data/{other.name}", f"data/{gone.name}"


def test_verify_names_what_is_wrong(dataset: Dataset) -> None:
    """Mismatched, missing, extra; what is in the making does not count."""
    assert dataset.verify() == Verification(True, (), (), ())
    longer, other, gone = spoil_three(dataset)
    (dataset.path / "data" / "mine.txt").touch()
    (dataset.path / "data" / ".file_1.jpg.0123.part").touch()
    found = dataset.verify()
    assert not found
    assert (set(found.mismatched), found.missing, found.extra) == (
        {longer, other},
        (gone,),
        ("data/mine.txt",),
    )


@pytest.mark.parametrize("left", [None, b""])
def test_files_of_a_lost_manifest_are_extra(dataset: Dataset, left: bytes | None) -> None:
    """All of them are named, though no row is there to miss them."""
    (dataset.path / MANIFEST).unlink() if left is None else (dataset.path / MANIFEST).write_bytes(left)
    opened = Dataset.open(dataset.path)
    assert len(opened) == 0
    assert set(opened.verify().extra) == {record.file_name for record in dataset}


def test_a_folder_without_its_data_is_missing_all(dataset: Dataset) -> None:
    """And no error."""
    (dataset.path / "data").rename(dataset.path / "elsewhere")
    assert len(dataset.verify().missing) == FILES


def test_repair_fetches_the_bad_ones_only(
    dataset: Dataset, client: FirstHandClient, server: MockServer
) -> None:
    """Each once; the list is read as far as need be; the progress is told."""
    assert dataset.job is not None
    listed = {file.id: number for number, file in enumerate(client.files.list(dataset.job.id))}
    dataset.records.sort(key=lambda record: listed[record.file_id])  # so that one is on the second page
    bad = spoil_three(dataset)
    since = len(server.requests)
    told: list[Progress] = []
    assert dataset.repair(client, on_progress=told.append)
    assert sorted(f"data/{file_id}.jpg" for file_id in downloads(server, since)) == sorted(bad)
    assert len(api(server, since)) == 3
    assert told[-1].files_done == 3
    assert len(dataset) == FILES
    since = len(server.requests)
    assert dataset.repair(client)
    assert server.requests[since:] == []


def test_repair_reads_no_page_in_vain(dataset: Dataset, client: FirstHandClient, server: MockServer) -> None:
    """A bad file on the first page ends the walk there."""
    dataset.path_of(next(r for r in dataset if r.file_id == newest(client, dataset))).unlink()
    since = len(server.requests)
    assert dataset.repair(client)
    assert len(api(server, since)) == 2


def newest(client: FirstHandClient, dataset: Dataset) -> str:
    assert dataset.job is not None
    return client.files.list(dataset.job.id).data[0].id


def test_repair_mends_a_row_that_was_forged(dataset: Dataset, client: FirstHandClient) -> None:
    """What the service says counts, not what the folder says."""
    truth = dataset.records[0]
    forge(dataset.path, sha256="0" * 64)
    opened = Dataset.open(dataset.path)
    assert opened.verify().mismatched == (truth.file_name,)
    assert opened.repair(client)
    assert {record.file_id: record.sha256 for record in opened}[truth.file_id] == truth.sha256


def test_repair_that_fails_keeps_files_and_rows(
    dataset: Dataset, client: FirstHandClient, server: MockServer
) -> None:
    """What could be downloaded is repaired. Rows stay: the folder does not pass for whole, and can be tried again."""
    bad = spoil_three(dataset)
    rows = (dataset.path / MANIFEST).read_bytes()
    server.faults.add(path=f"/files/{bad[0][5:-4]}", status=404, times=None)
    with pytest.raises(DownloadError, match=r"1 of 3 .* run the same call again to retry only these"):
        dataset.repair(client)
    assert (dataset.path / MANIFEST).read_bytes() == rows
    assert Dataset.open(dataset.path).verify() == Verification(False, (bad[0],), (), ())
    server.faults.clear()
    assert dataset.repair(client) == Verification(True, (), (), ())


def test_a_folder_with_fewer_rows_than_approved_files_is_short(
    dataset: Dataset, client: FirstHandClient
) -> None:
    """As after a row was lost: `verify` is not ok, and `repair` brings the rest."""
    first, *rest = (dataset.path / MANIFEST).read_bytes().splitlines(keepends=True)
    (dataset.path / MANIFEST).write_bytes(b"".join(rest[1:]))
    (dataset.path / json.loads(first)["file_name"]).unlink()
    opened = Dataset.open(dataset.path)
    extra = json.loads(rest[0])["file_name"]
    assert opened.verify() == Verification(False, (), (), (extra,), short=2)
    assert opened.repair(client) == Verification(True, (), (), ())
    assert len(opened) == FILES


def test_the_next_run_merges_what_two_writers_left(
    dataset: Dataset, client: FirstHandClient, server: MockServer
) -> None:
    """On a mount whose locks are each machine's own: rows that both wrote are one, and rows that one wrote
    over are back, without a download."""
    rows = (dataset.path / MANIFEST).read_bytes().splitlines(keepends=True)
    (dataset.path / MANIFEST).write_bytes(b"".join(rows[:60] + rows[40:50]))
    since = len(server.requests)
    assert dataset.job is not None
    merged = client.files.download_all(dataset.job.id, dataset.path)
    assert downloads(server, since) == []
    assert merged.verify() == Verification(True, (), (), ())
    assert sorted((dataset.path / MANIFEST).read_bytes().splitlines(keepends=True)) == sorted(rows)


def test_your_own_columns_survive(dataset: Dataset, client: FirstHandClient) -> None:
    """A run that writes rows anew, for whatever reason, keeps what you added to them."""
    rows = [json.loads(line) for line in (dataset.path / MANIFEST).read_bytes().splitlines()]
    mine = [{**row, "split": "train", "path": number} for number, row in enumerate(rows)]
    (dataset.path / MANIFEST).write_text(
        "".join(json.dumps(row) + "\n" for row in mine[:-1]), encoding="utf-8"
    )
    spoil_three(dataset)
    forge(dataset.path, sha256="0" * 64)  # this row is replaced
    opened = Dataset.open(dataset.path)
    assert opened.repair(client)
    kept = [json.loads(line) for line in (dataset.path / MANIFEST).read_bytes().splitlines()]
    assert kept == [*mine[:-1], rows[-1]]
    table = opened.to_pandas()
    assert list(table.columns) == [*COLUMNS, "split", "path"]
    assert list(table["split"])[:-1] == ["train"] * (FILES - 1)
    assert Path(table["path"][0]).is_file()


def test_the_async_client_repairs_too(dataset: Dataset, server: MockServer) -> None:
    """By `await dataset.arepair(client)`; each method names the other where it gets the other's client."""
    spoil_three(dataset)
    rows = (dataset.path / MANIFEST).read_bytes().splitlines(keepends=True)
    (dataset.path / MANIFEST).write_bytes(b"".join(rows[1:]))

    async def repair() -> Verification:
        async with server.async_client() as client:
            opened = Dataset.open(dataset.path)
            with pytest.raises(InvalidArgumentError, match=r"await dataset\.arepair\(client\)"):
                opened.repair(client)  # type: ignore[arg-type]
            assert not await anyio.to_thread.run_sync(opened.verify)
            return await opened.arepair(client)

    assert anyio.run(repair) == Verification(True, (), (), ())
    with (
        server.client() as client,
        pytest.raises(InvalidArgumentError, match=r"use dataset\.repair\(client\)"),
    ):
        anyio.run(dataset.arepair, client)


@pytest.mark.parametrize("key", ["fh_live_" + "0" * 32, None])
def test_repair_takes_nothing_before_it_has_better(
    dataset: Dataset, server: MockServer, key: str | None
) -> None:
    """A wrong key, or a service that is not there: what was changed may be all that there is of it."""
    record, rows = dataset.records[0], (dataset.path / MANIFEST).read_bytes()
    path = dataset.path_of(record)
    path.write_bytes(b"mended by hand")
    wrong = {"api_key": key} if key else {"base_url": "http://127.0.0.1:1", "max_retries": 0}
    with server.client(**wrong) as client, pytest.raises(FirstHandError):
        dataset.repair(client)
    assert path.read_bytes() == b"mended by hand"
    assert (dataset.path / MANIFEST).read_bytes() == rows


def test_repair_needs_a_job_and_a_client(
    dataset: Dataset, client: FirstHandClient, server: MockServer
) -> None:
    """Each says what is missing."""
    with pytest.raises(InvalidArgumentError, match="FirstHandClient"):
        dataset.repair(object())
    (dataset.path / JOB_FILE).unlink()
    with pytest.raises(ConfigurationError, match="records no job"):
        Dataset.open(dataset.path).repair(client)


def test_a_row_of_another_dataset_has_no_path_here(dataset: Dataset) -> None:
    """It is named as the fault."""
    with pytest.raises(InvalidArgumentError, match="row of this dataset, signs"):
        dataset.path_of(replace(dataset.records[0], file_id="file_other"))


# ── Tables ───────────────────────────────────────────────────────────────────────────────────────────────


def test_what_a_stranger_wrote_stays_text_in_the_repr(dataset: Dataset) -> None:
    """No escape code comes through it, and no key."""
    job_file = json.loads((dataset.path / JOB_FILE).read_bytes())
    job_file["job"]["status"] = "\x1b[2J\n" + "fh_live_" + "0" * 32
    (dataset.path / JOB_FILE).write_text(json.dumps(job_file))
    shown = repr(Dataset.open(dataset.path))
    assert shown.isprintable()
    assert "\\u001b[2J" in shown
    assert "0" * 32 not in shown


def test_a_table_has_a_row_for_each_file(dataset: Dataset) -> None:
    """The manifest's columns, and where the file is."""
    table = dataset.to_pandas()
    assert list(table.columns) == [*COLUMNS, "path"]
    assert list(table["file_id"]) == [record.file_id for record in dataset]
    assert all(Path(path).is_file() for path in table["path"])


def test_parquet_comes_back_as_it_was(dataset: Dataset, tmp_path: Path) -> None:
    """Annotations as structs; nothing else is left behind; an old file is replaced."""
    target = tmp_path / "signs.parquet"
    target.write_bytes(b"old")
    assert dataset.to_parquet(target) == target
    rows = pq.read_table(target).to_pylist()
    assert [{name: row[name] for name in COLUMNS} for row in rows] == [vars(record) for record in dataset]
    assert [path.name for path in tmp_path.glob("*.parquet*")] == ["signs.parquet"]
    assert not [*tmp_path.glob(".*")]


def test_a_table_of_nothing_is_one(client: FirstHandClient, tmp_path: Path) -> None:
    """With all its columns."""
    job_id = client.jobs.create(**JOB, files_needed=1).id
    empty = client.files.download_all(job_id, tmp_path / "empty")
    assert len(empty.to_pandas()) == 0
    assert list(pd.read_parquet(empty.to_parquet(tmp_path / "x.parquet")).columns) == [*COLUMNS, "path"]


@pytest.mark.parametrize(
    "formats", [["image/png"], ["audio/wav"], ["video/mp4"], ["image/png", "audio/wav", "video/mp4"]]
)
def test_parquet_files_of_several_jobs_are_read_together(
    client: FirstHandClient, server: MockServer, tmp_path: Path, formats: list[str]
) -> None:
    """Their types do not hang on the rows: none, without annotations, with an unknown width, or full."""
    files: list[Path] = []
    for come, submitted in (
        ([], {}),
        (formats, {"annotations": None}),
        (formats, {"content": b"?"}),
        (formats, {}),
    ):
        job_id = client.jobs.create(**{**JOB, "accepted_formats": formats}, files_needed=8).id
        for content_type in come:
            server.submit(job_id, content_type=content_type, **submitted)
        server.clock.advance(minutes=1)
        dataset = client.files.download_all(job_id, tmp_path / job_id)
        files.append(dataset.to_parquet(tmp_path / f"{job_id}.parquet"))
    schemas = [pq.read_schema(path) for path in files]
    assert all(schema.equals(schemas[0]) for schema in schemas)
    assert schemas[0].names == [*COLUMNS, "path"]
    assert pq.read_table(files).num_rows == 3 * len(formats)


@pytest.mark.parametrize("place", ["missing/x.parquet", "file/x.parquet", "folder"])
def test_parquet_that_cannot_be_written(dataset: Dataset, tmp_path: Path, place: str) -> None:
    """Is an error of ours, and leaves nothing behind."""
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigurationError, match="cannot be written"):
        dataset.to_parquet(tmp_path / place)
    assert not [*tmp_path.rglob("*.part")]


def test_a_missing_extra_is_named(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    monkeypatch.setattr(pd.DataFrame, "to_parquet", lambda *_, **__: __import__("pyarrow_that_is_not_there"))
    with pytest.raises(ConfigurationError, match=r"firsthandapi\[pandas\]"):
        dataset.to_parquet(tmp_path / "x.parquet")
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ConfigurationError, match=r"firsthandapi\[pandas\]"):
        dataset.to_pandas()


# ── Disks that fail ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_dest_that_is_a_file_is_refused(
    client: FirstHandClient, server: MockServer, tmp_path: Path, place: str
) -> None:
    """Before anything is sent."""
    (tmp_path / "file").touch()
    since = len(server.requests)
    with pytest.raises(ConfigurationError, match="cannot be created"):
        client.jobs.collect(tmp_path / place, **JOB, files_needed=1)
    assert server.requests[since:] == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_read_only_is_refused(client: FirstHandClient, tmp_path: Path) -> None:
    """Before anything is sent."""
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigurationError, match="cannot be written to"):
        client.jobs.collect(tmp_path, **JOB, files_needed=1)


def failing(monkeypatch: pytest.MonkeyPatch, function: str, ending: str, code: int = errno.ENOSPC) -> None:
    """Make a function of os fail for paths with this ending (or for all descriptors)."""
    real = getattr(os, function)

    def fail(first: Any, *args: Any, **kwargs: Any) -> Any:
        if not ending or str(first).endswith(ending):
            raise OSError(code, os.strerror(code))
        return real(first, *args, **kwargs)

    monkeypatch.setattr(os, function, fail)


def test_a_disk_that_is_full_before_the_post_buys_nothing(
    client: FirstHandClient, server: MockServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """job.json cannot be written, so the job is not posted, and no half of it is left."""
    since = len(server.requests)
    failing(monkeypatch, "fsync", "")
    with pytest.raises(ConfigurationError, match=r"job\.json cannot be written"):
        client.jobs.collect(tmp_path, **JOB, files_needed=1)
    assert server.requests[since:] == []
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_a_row_that_cannot_be_written_is_its_files_failure(
    client: FirstHandClient, job: tuple[MockServer, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other files come; the same call takes the file in when the disk is well again."""
    add, left = _disk.Appender.add, [1]

    def fail_once(self: _disk.Appender, line: bytes) -> None:
        if left and left.pop():
            raise ConfigurationError("the disk is full")
        add(self, line)

    monkeypatch.setattr(_disk.Appender, "add", fail_once)
    with pytest.raises(DownloadError, match="1 of 120"):
        client.files.download_all(job[1], tmp_path)
    assert len(Dataset.open(tmp_path)) == FILES - 1
    since = len(job[0].requests)
    assert len(client.files.download_all(job[1], tmp_path)) == FILES
    assert downloads(job[0], since) == []


def test_half_a_row_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk takes a part of the line: it would make the whole manifest unreadable."""
    path = tmp_path / "x"
    path.write_bytes(b"one\n")
    end = _disk.Appender(path)
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:2]))
    with pytest.raises(ConfigurationError, match="disk is full"):
        end.add(b"two\n")
    monkeypatch.undo()
    end.add(b"three\n")
    end.close()
    assert path.read_bytes() == b"one\nthree\n"


def test_every_failure_of_the_disk_is_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading, hashing, appending, flushing and replacing."""
    path = tmp_path / "x"
    path.write_bytes(b"one\n")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        _disk.digest(tmp_path / "missing")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        _disk.read(path / "below", 9)
    with pytest.raises(ConfigurationError, match="cannot be written"):
        _disk.Appender(tmp_path / "missing").add(b"x\n")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        _disk.replace(tmp_path / "missing" / "x", b"")
    with pytest.raises(ConfigurationError, match="was just created"):
        _disk.create(path, b"two\n")
    end = _disk.Appender(path)
    end.add(b"two\n")
    failing(monkeypatch, "fsync", "")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        end.close()
    with pytest.raises(ConfigurationError, match="cannot be written"):
        _disk.replace(path, b"three\n")
    assert path.read_bytes() == b"one\ntwo\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["x"]


def test_a_file_system_without_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A memory stick has none; a file that is there is still not written over."""
    failing(monkeypatch, "link", "", errno.EPERM)
    _disk.create(tmp_path / "x", b"one")
    assert (tmp_path / "x").read_bytes() == b"one"
    with pytest.raises(ConfigurationError, match="was just created"):
        _disk.create(tmp_path / "x", b"two")
    assert [entry.name for entry in tmp_path.iterdir()] == ["x"]


def test_a_folder_that_cannot_be_listed(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is an error of ours."""

    def fail(*_: Any, **__: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "scandir", fail)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        dataset.verify()


# ── The lock ─────────────────────────────────────────────────────────────────────────────────────────────


def test_one_writer_has_the_folder(tmp_path: Path) -> None:
    """Until it gives it back; giving back what one has not does no harm."""
    first, second = FolderLock(tmp_path), FolderLock(tmp_path)
    assert first.acquire()
    assert not second.acquire()
    second.release()
    assert not second.acquire()
    first.release()
    assert second.acquire()
    second.release()


def test_a_folder_is_given_back_even_if_flushing_fails(
    client: FirstHandClient, job: tuple[MockServer, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next call must not wait for a writer that is gone."""
    with monkeypatch.context() as patch:
        patch.setattr(_disk.Appender, "close", lambda _: (_ for _ in ()).throw(ConfigurationError("full")))
        with pytest.raises((ConfigurationError, DownloadError)):
            client.files.download_all(job[1], tmp_path)
    folder = Folder(tmp_path)
    assert folder.lock()
    folder.close()


# ── What a run finds ─────────────────────────────────────────────────────────────────────────────────────


def test_a_torn_manifest_is_mended_by_the_next_run(
    dataset: Dataset, client: FirstHandClient, server: MockServer
) -> None:
    """Its last file is taken in again, not fetched."""
    manifest = dataset.path / MANIFEST
    manifest.write_bytes(manifest.read_bytes()[:-20])
    assert len(Dataset.open(dataset.path)) == FILES - 1
    since = len(server.requests)
    assert dataset.job is not None
    assert client.files.download_all(dataset.job.id, dataset.path).verify()
    assert downloads(server, since) == []
    assert len(manifest.read_bytes().splitlines()) == FILES


def test_a_file_without_a_row_is_held_against_its_hash(
    dataset: Dataset, client: FirstHandClient, server: MockServer
) -> None:
    """Other bytes of the right size are fetched anew, and so is a file of another size."""
    first, second, third = dataset.records[:3]
    manifest = dataset.path / MANIFEST
    manifest.write_bytes(b"".join(manifest.read_bytes().splitlines(keepends=True)[3:]))
    dataset.path_of(first).write_bytes(b"x" * first.size_bytes)
    dataset.path_of(second).write_bytes(b"x")
    since = len(server.requests)
    assert dataset.job is not None
    assert client.files.download_all(dataset.job.id, dataset.path).verify()
    assert sorted(downloads(server, since)) == sorted([first.file_id, second.file_id])
    assert third.file_id in {record.file_id for record in Dataset.open(dataset.path)}


def test_a_row_of_another_hash_is_mended(
    dataset: Dataset, client: FirstHandClient, server: MockServer
) -> None:
    """What the service tells counts: the file was right all along, and is taken in with its true hash."""
    forge(dataset.path, sha256="0" * 64)
    since = len(server.requests)
    assert dataset.job is not None
    again = client.files.download_all(dataset.job.id, dataset.path)
    assert again.verify()
    assert len(again) == FILES
    assert downloads(server, since) == []
