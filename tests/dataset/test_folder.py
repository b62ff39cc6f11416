"""A folder as a run finds it: written by another, damaged, or on a disk that fails."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from client.support import Connect
from firsthandapi import Campaign, Dataset, FirstHandClient, Verification
from firsthandapi._core.rows import manifest
from firsthandapi._core.rows.manifest import COLUMNS, MANIFEST, RowOrigin
from firsthandapi.datasets import _disk
from firsthandapi.datasets._folder import Folder
from firsthandapi.datasets._lock import WRITER
from firsthandapi.datasets._manifest import Source
from firsthandapi.datasets._orders import OrderRecords
from firsthandapi.datasets._store import store_at
from firsthandapi.errors import (
    ConfigurationError,
    DownloadError,
    InsufficientCreditsError,
    WaitTimeoutError,
)
from firsthandapi.testing import MockServer

from .support import (
    FILES,
    JOB,
    ORDER,
    Again,
    api,
    completed_job,
    downloads,
    failing,
    forge,
    jobs_bought,
    posix_only,
    spoil_three,
)

ORIGIN = RowOrigin("live", "https://api.firsthandapi.com")


@pytest.mark.parametrize("name", ["../../secret", "data/x" * 1_000_000])
def test_a_folder_that_leads_outside_is_refused(dataset: Dataset, rerun: Again, name: str) -> None:
    """Before any file is touched, by whoever reads the folder."""
    forge(dataset.path, file_name=name)
    with pytest.raises(ConfigurationError, match="line 1"):
        Dataset.open(dataset.path)
    with pytest.raises(ConfigurationError, match="line 1"):
        rerun()


def test_no_file_is_bought_whose_row_could_not_be_read_again(
    quick_server: MockServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A manifest has a largest size. A job that is posted is continued; a row beyond the size is not written, so that
    the folder opens."""
    with quick_server.client() as client:
        monkeypatch.setattr(manifest, "LARGEST_MANIFEST", 2 * manifest.USUAL_ROW)
        with pytest.raises(ConfigurationError, match=r"would have 3 rows .* use a different folder"):
            client.jobs.collect(tmp_path / "signs", **JOB, files_needed=3)
        assert jobs_bought(quick_server) == 0
        assert len(client.jobs.collect(tmp_path / "signs", **JOB, files_needed=2)) == 2
        row = (tmp_path / "signs" / MANIFEST).stat().st_size // 2
        monkeypatch.setattr(manifest, "LARGEST_MANIFEST", 2 * row + row // 2)
        assert len(client.jobs.collect(tmp_path / "signs", **JOB, files_needed=2)) == 2
        with pytest.raises(DownloadError, match=r"2 of 4 files could not be .* would have 3 rows"):
            client.files.download_all(completed_job(quick_server, 4), tmp_path / "more")
    opened = Dataset.open(tmp_path / "more")
    assert (len(opened), opened.verify().mismatched) == (2, ())
    monkeypatch.setattr(manifest, "LARGEST_MANIFEST", row)
    with Folder(opened.path).writing() as _, pytest.raises(ConfigurationError, match="would have 2 rows"):
        opened._manifests[0].rewrite()
    assert len(Dataset.open(opened.path)) == 2


@posix_only
@pytest.mark.parametrize(
    ("becomes", "name"),
    [
        ("link", "data"), ("link", MANIFEST), ("link", ORDER),
        ("pipe", MANIFEST), ("pipe", ORDER), ("folder", MANIFEST),
    ],
)  # fmt: skip
def test_links_and_pipes_are_refused(
    dataset: Dataset, rerun: Again, server: MockServer, tmp_path: Path, becomes: str, name: str
) -> None:
    """A link leads anywhere, and a pipe would be waited for without end. The errors say how to get rid of them, and
    then the same call restores what they stood for."""
    outside, thing = tmp_path / "outside", dataset.path / name
    thing.rename(outside)
    if becomes == "link":
        thing.symlink_to(outside)
    else:
        thing.mkdir() if becomes == "folder" else os.mkfifo(thing)
    way_on = (
        "(replace it with what it links to|replace it with the file itself), or (remove it|move it away)$"
    )
    with pytest.raises(ConfigurationError, match=f"{re.escape(str(thing))} is .*; {way_on}"):
        Dataset.open(dataset.path)
    with pytest.raises(ConfigurationError, match=way_on):
        rerun()
    thing.rename(tmp_path / "away")
    if name == "data":
        outside.rename(thing)
    since = len(server.requests)
    assert rerun().verify()
    assert downloads(server, since) == []


_DAMAGES: list[tuple[bytes | dict[str, Any], str]] = [
    (b'{"file_name": "data/file_', "not a JSON object"),
    ({"file_id": 5}, "file_id is not an id"),
    ({"size_bytes": "5"}, "size_bytes must be a whole number"),
    ({"sha256": "x"}, "sha256 must be 64 hex digits"),
    ({"content_type": 5}, "content_type must be text"),
    ({"width": "wide"}, "width must be a number"),
    ({"annotations": []}, "annotations must be an object"),
    (b"9" * (5 << 20), "longer than 4 MiB"),
    ({"file_name": "data/stop/file_1.jpg"}, "file_name is in the folder 'stop', and label differs"),
    ({"file_name": "../x"}, r"file_name must be .*; another program .* unless it is yours"),
]


def test_a_damaged_line_is_named_and_the_advice_works(
    client: FirstHandClient, server: MockServer, tmp_path: Path
) -> None:
    """The error names the line, what is wrong with it, and what to do. That restores the row, and downloads nothing."""
    dataset = client.files.download_all(completed_job(server, 4), tmp_path)
    manifest = dataset.path / MANIFEST
    job = dataset.job
    assert job is not None
    way_on = (
        "remove the line, then run the call that made the folder again, or Dataset.repair, to restore its row"
    )
    for number, (damage, wrong) in enumerate(_DAMAGES):
        lines = manifest.read_bytes().splitlines(keepends=True)
        line = (
            damage if isinstance(damage, bytes) else json.dumps({**json.loads(lines[2]), **damage}).encode()
        )
        manifest.write_bytes(b"".join([*lines[:2], line + b"\n", *lines[3:]]))
        for read in (Dataset.open, lambda path: client.files.download_all(job.id, path)):
            with pytest.raises(
                ConfigurationError, match=f"^{re.escape(str(manifest))}, line 3: {wrong}[;:] {way_on}$"
            ):
                read(dataset.path)
        manifest.write_bytes(b"".join(lines[:2] + lines[3:]))
        since = len(server.requests)
        if number % 2:
            assert Dataset.open(dataset.path).repair(client)
        else:
            assert client.files.download_all(job.id, dataset.path).verify()
        assert downloads(server, since) == []
        assert sorted(manifest.read_bytes().splitlines(keepends=True)) == sorted(lines)


def test_a_damaged_line_of_a_mixed_folder_is_found(tmp_path: Path) -> None:
    """There is a manifest for each kind of media: the error says which one."""
    manifest = tmp_path / "signs" / "image" / MANIFEST
    manifest.parent.mkdir(parents=True)
    manifest.write_bytes(b"{}\n")
    with pytest.raises(ConfigurationError, match=f"^{re.escape(str(manifest))}, line 1: "):
        Dataset.open(tmp_path / "signs")


def _without_its_end(record: dict[str, Any]) -> str:
    return json.dumps(record, indent=2)[:-2]


def _without_its_status(record: dict[str, Any]) -> str:
    return json.dumps({**record, "job": {"id": record["job"]["id"], "status": 5}})


@pytest.mark.parametrize(
    ("spoil", "wrong"),
    [
        (_without_its_end, "is empty or damaged.*remove the file if no job is missing"),
        (_without_its_status, "the job is not a valid FirstHandAPI job; run the call that made the folder again"),
    ],
)  # fmt: skip
def test_a_damaged_record_is_named_and_the_advice_works(
    dataset: Dataset, rerun: Again, server: MockServer, spoil: Callable[[dict[str, Any]], str], wrong: str
) -> None:
    """`open` says which it is, and what restores it."""
    assert dataset.job is not None
    path = dataset.path / ORDER
    path.write_text(spoil(json.loads(path.read_text())))
    with pytest.raises(ConfigurationError, match=f"({ORDER}|{dataset.job.id}).*{wrong}"):
        Dataset.open(dataset.path)
    if spoil is _without_its_end:
        path.unlink()
    since = len(server.requests)
    assert rerun().job == dataset.job
    assert downloads(server, since) == []


def test_a_folder_of_a_later_version_is_left_alone(
    dataset: Dataset, client: FirstHandClient, rerun: Again, tmp_path: Path
) -> None:
    """Until the upgrade, its files can only be downloaded into another folder."""
    assert dataset.job is not None
    path = dataset.path / ORDER
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 99}))
    for read in (Dataset.open, lambda _: rerun()):
        with pytest.raises(
            ConfigurationError, match=f"{ORDER} was written by a later .* upgrade firsthandapi$"
        ):
            read(dataset.path)
    assert client.files.download_all(dataset.job.id, tmp_path / "other").verify()


def test_no_dataset_says_what_is_one(tmp_path: Path) -> None:
    """A mistyped path, or the folder above."""
    with pytest.raises(
        ConfigurationError, match=r"is not a dataset: .*; pass a folder that collect or files\.download_all"
    ):
        Dataset.open(tmp_path)


def test_ids_that_are_one_name_on_other_disks_get_two(tmp_path: Path) -> None:
    """By the case of their letters, or as a device of Windows. The folder can be read again, on any system."""
    with MockServer(speed=0, workers=False) as server, server.client() as client:
        job_id = completed_job(server, 3)
        page = client.files.list(job_id)
        names = dict(zip(("file_A", "file_a", "CON"), page.data, strict=True))
        folder = Folder(tmp_path / "signs")
        assert folder.lock()
        files = [file.model_copy(update={"id": name}) for name, file in names.items()]
        downloads, _ = folder.plan(files, Source(job_id, mixed=False, origin=ORIGIN))
        for download, file in zip(downloads, files, strict=True):
            download.target.write_bytes(b"x")
            sha256 = hashlib.sha256(b"x").hexdigest()
            folder.add(file, Source(job_id, mixed=False, origin=ORIGIN), size_bytes=1, sha256=sha256)
        folder.close()
    opened = Dataset.open(tmp_path / "signs")
    assert [record.file_id for record in opened] == [*names]
    assert len({record.file_name.lower() for record in opened}) == 3
    assert opened.records[0].file_name == "data/file_A.jpg"
    assert "con." not in opened.records[2].file_name.lower()
    assert opened.verify()


def test_the_next_run_merges_what_two_writers_left(
    dataset: Dataset, rerun: Again, server: MockServer
) -> None:
    """On a mount whose locks are each machine's own: rows that both wrote are one, and rows that one wrote
    over are back, without a download."""
    rows = (dataset.path / MANIFEST).read_bytes().splitlines(keepends=True)
    (dataset.path / MANIFEST).write_bytes(b"".join(rows[:60] + rows[40:50]))
    since = len(server.requests)
    merged = rerun()
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
    lines = [json.loads(line) for line in (dataset.path / MANIFEST).read_bytes().splitlines()]
    assert lines == [*mine[:-1], rows[-1]]
    table = opened.to_pandas()
    assert list(table.columns) == [*COLUMNS, "split", "path"]
    assert list(table["split"])[:-1] == ["train"] * (FILES - 1)
    assert Path(table["path"][0]).is_file()


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_dest_that_is_a_file_is_refused(
    client: FirstHandClient, server: MockServer, tmp_path: Path, place: str
) -> None:
    """Before anything is sent."""
    (tmp_path / "file").touch()
    since = len(server.requests)
    words = re.escape(f"{tmp_path / 'file'} is a file, not a folder; choose a different folder")
    with pytest.raises(ConfigurationError, match=words):
        client.jobs.collect(tmp_path / place, **JOB, files_needed=1)
    assert server.requests[since:] == []


@posix_only
@pytest.mark.parametrize(
    ("folder", "label"), [("data", None), ("data", "stop"), ("data/stop", "stop"), ("image/data", None)]
)
def test_a_link_where_the_files_would_go_is_refused(
    client: FirstHandClient, server: MockServer, tmp_path: Path, folder: str, label: str | None
) -> None:
    """Before anything is sent: the folder could not be opened once it was paid for. Elsewhere links disturb nobody."""
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / "mine.jpg").symlink_to(tmp_path)
    since = len(server.requests)
    is_beside = folder == "image/data"  # where a job of several kinds of media has its pictures
    refused = (
        pytest.raises(WaitTimeoutError) if is_beside else pytest.raises(ConfigurationError, match="is a link")
    )
    with refused:
        client.jobs.collect(tmp_path, **JOB, files_needed=1, label=label, timeout=0)
    assert bool(server.requests[since:]) == is_beside


@posix_only
def test_a_link_where_the_files_of_a_campaign_would_go_is_refused(
    client: FirstHandClient, server: MockServer, tmp_path: Path
) -> None:
    """In the folder of any of its labels."""
    (tmp_path / "data" / "stop").mkdir(parents=True)
    (tmp_path / "data" / "stop" / "mine.jpg").symlink_to(tmp_path)
    campaign = Campaign(
        dest=tmp_path,
        budget_cents=1000,
        defaults=JOB,
        jobs={"yield": {"files_needed": 1}, "stop": {"files_needed": 1}},
    )
    since = len(server.requests)
    with pytest.raises(ConfigurationError, match="is a link"):
        client.campaigns.run(campaign, timeout=0)
    assert not [request for request in server.requests[since:] if request.method == "POST"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_read_only_is_refused(client: FirstHandClient, tmp_path: Path) -> None:
    """Before anything is sent."""
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigurationError, match="cannot be written to"):
        client.jobs.collect(tmp_path, **JOB, files_needed=1)


def test_a_disk_that_is_full_before_the_post_buys_nothing(
    client: FirstHandClient, server: MockServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record cannot be written, so the job is not posted, and no half of it is left."""
    since = len(server.requests)
    failing(monkeypatch, "fsync", "")
    with pytest.raises(ConfigurationError, match=r"order\.json cannot be written"):
        client.jobs.collect(tmp_path, **JOB, files_needed=1)
    assert server.requests[since:] == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / WRITER]


@pytest.mark.both
def test_a_disk_that_is_full_after_a_refusal_hides_it_from_nobody(
    connect: Connect, quick_server: MockServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the service says is raised; that it refused is not written down, so the order counts as sent."""
    client, replace = connect(quick_server), os.replace
    quick_server.faults.add(path="/v1/jobs", method="POST", status=402)

    def full(source: Any, target: Any) -> None:
        if "POST /v1/jobs" in api(quick_server):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        with pytest.raises(InsufficientCreditsError):
            client.jobs.collect(tmp_path, **JOB, files_needed=1)
    (record,) = OrderRecords(store_at(tmp_path, "path")).all().values()
    assert (record.job, record.refused_at) == (None, None)
    assert len(client.jobs.collect(tmp_path, **JOB, files_needed=1)) == 1
    assert jobs_bought(quick_server) == 1


@pytest.mark.both
def test_a_disk_that_is_full_after_the_post_names_the_job(
    connect: Connect, quick_server: MockServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message has its id and its key, and the same call continues it."""
    client, replace = connect(quick_server), os.replace

    def full(source: Any, target: Any) -> None:
        if "POST /v1/jobs" in api(quick_server):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        for _ in range(2):
            with pytest.raises(
                ConfigurationError, match="run the same call again, which continues"
            ) as caught:
                client.jobs.collect(tmp_path, **JOB, files_needed=1)
            error = caught.value
            assert error.job is not None
            assert list(quick_server._world.state.jobs) == [error.job.id]
            assert (error.job.metadata or {})["firsthandapi_key"] == error.idempotency_key
            assert f'{error.job.id} exists, with idempotency_key="{error.idempotency_key}"' in str(error)
    assert len(client.jobs.collect(tmp_path, **JOB, files_needed=1)) == 1
    assert jobs_bought(quick_server) == 1


def test_a_row_that_cannot_be_written_is_its_files_failure(
    client: FirstHandClient, server: MockServer, job_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other files come; the same call takes the file in when the disk is well again."""
    add, failures = _disk.Appender.add, [1]

    def fail_once(self: _disk.Appender, line: bytes) -> None:
        if failures and failures.pop():
            raise ConfigurationError("the disk is full")
        add(self, line)

    monkeypatch.setattr(_disk.Appender, "add", fail_once)
    with pytest.raises(DownloadError, match="1 of 120"):
        client.files.download_all(job_id, tmp_path)
    assert len(Dataset.open(tmp_path)) == FILES - 1
    since = len(server.requests)
    assert len(client.files.download_all(job_id, tmp_path)) == FILES
    assert downloads(server, since) == []


def test_a_folder_is_given_back_even_if_flushing_fails(
    client: FirstHandClient, job_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next call must not wait for a writer that is gone."""
    with monkeypatch.context() as patch:
        patch.setattr(_disk.Appender, "close", lambda _: (_ for _ in ()).throw(ConfigurationError("full")))
        with pytest.raises((ConfigurationError, DownloadError)):
            client.files.download_all(job_id, tmp_path)
    folder = Folder(tmp_path)
    assert folder.lock()
    folder.close()


def test_a_torn_manifest_is_mended_by_the_next_run(
    dataset: Dataset, rerun: Again, server: MockServer
) -> None:
    """Its last file is taken in again, not fetched."""
    manifest = dataset.path / MANIFEST
    manifest.write_bytes(manifest.read_bytes()[:-20])
    assert len(Dataset.open(dataset.path)) == FILES - 1
    since = len(server.requests)
    assert rerun().verify()
    assert downloads(server, since) == []
    assert len(manifest.read_bytes().splitlines()) == FILES


def test_a_file_without_a_row_is_held_against_its_hash(
    dataset: Dataset, rerun: Again, server: MockServer
) -> None:
    """Other bytes of the right size are fetched anew, and so is a file of another size."""
    first, second, third = dataset.records[:3]
    manifest = dataset.path / MANIFEST
    manifest.write_bytes(b"".join(manifest.read_bytes().splitlines(keepends=True)[3:]))
    dataset.path_of(first).write_bytes(b"x" * first.size_bytes)
    dataset.path_of(second).write_bytes(b"x")
    since = len(server.requests)
    assert rerun().verify()
    assert sorted(downloads(server, since)) == sorted([first.file_id, second.file_id])
    assert third.file_id in {record.file_id for record in Dataset.open(dataset.path)}


def test_a_row_of_another_hash_is_mended(dataset: Dataset, rerun: Again, server: MockServer) -> None:
    """What the service tells counts: the file was right all along, and is taken in with its true hash."""
    forge(dataset.path, sha256="0" * 64)
    since = len(server.requests)
    rerun = rerun()
    assert rerun.verify()
    assert len(rerun) == FILES
    assert downloads(server, since) == []


@posix_only
def test_a_link_in_the_place_of_a_kind_is_refused(tmp_path: Path) -> None:
    """The folders for the kinds of a mixed job are as strange as the rest."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "signs").mkdir()
    (tmp_path / "signs" / "image").symlink_to(tmp_path / "outside")
    with pytest.raises(ConfigurationError, match="is a link"):
        Dataset.open(tmp_path / "signs")


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
def test_an_endless_text_is_not_read(dataset: Dataset) -> None:
    """A stranger's file may have any size; these take no room on the disk, and would fill the memory."""
    for name, says in ((ORDER, "larger than 16 MiB"), (MANIFEST, "larger than 512 MiB")):
        content = (dataset.path / name).read_bytes()
        os.truncate(dataset.path / name, 8 << 30)
        with pytest.raises(ConfigurationError, match=f"{name} cannot be read: it is {says}"):
            Dataset.open(dataset.path)
        (dataset.path / name).write_bytes(content)


class StruckLock:
    """A lock with a Ctrl-C right after `acquire`. A `with` statement lets none in there."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.locked = self.lock.locked

    def acquire(self, *_: object, **__: object) -> bool:
        self.lock.acquire()
        raise KeyboardInterrupt

    def __enter__(self) -> None:
        self.lock.__enter__()

    def __exit__(self, *_: object) -> None:
        self.lock.release()


def test_ctrl_c_while_rows_are_written_leaves_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is closed after it, and a thread that is writing is not waited for."""
    folder = Folder(tmp_path / "signs")
    lock = StruckLock()
    monkeypatch.setattr(folder, "_rows", lock)
    folder.catch_up()
    assert not lock.locked()
    with lock:
        folder.catch_up()
    folder.close()


@pytest.mark.parametrize("label", [None, "stop"])
def test_files_whose_job_is_forgotten_are_not_bought_again(
    quick_server: MockServer, tmp_path: Path, label: str | None
) -> None:
    """A folder without record and manifest names the way on, which works; a key of one's own finds the job."""
    ordered: dict[str, Any] = {**JOB, "files_needed": 2, "label": label}
    with quick_server.client() as client:
        job = client.jobs.collect(tmp_path, **ordered, idempotency_key="mine").job
        assert job is not None

        def forget() -> None:
            for path in tmp_path.rglob("*.json*"):
                path.unlink()

        count = len(downloads(quick_server))
        forget()
        with pytest.raises(
            ConfigurationError, match=r"contains file_\w+\.jpg, but neither metadata.jsonl nor a record says"
        ):
            client.jobs.collect(tmp_path, **ordered)
        assert len(client.files.download_all(job.id, tmp_path, label=label)) == 2
        forget()
        dataset = client.jobs.collect(tmp_path, **ordered, idempotency_key="mine")
        assert len(dataset) == 2
        assert len(downloads(quick_server)) == count
        assert jobs_bought(quick_server) == 1
        # A file of the user's own is in nobody's way.
        forget()
        for path in [*tmp_path.rglob("file_*")]:
            path.rename(path.with_name(f"mine_{path.name}"))
        assert client.jobs.collect(tmp_path, **ordered).job != job
