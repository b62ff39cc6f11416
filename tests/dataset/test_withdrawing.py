"""What a folder remembers of withdrawn files and of exports."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from client.support import Connect
from firsthandapi import Dataset, FirstHandClient
from firsthandapi._base.folder_lock import FolderLock
from firsthandapi._core.rows.withdrawal import EXPORTS, WITHDRAWN, Copy, encode_exports, encode_ids
from firsthandapi.datasets import Reconciliation, _withdrawing
from firsthandapi.datasets._copies import Cleaning
from firsthandapi.datasets._lock import WRITER
from firsthandapi.testing import MockServer

from .support import completed_job, downloads, forge


def test_a_withdrawn_file_that_is_listed_again_is_left_alone(
    connect: Connect, server: MockServer, client: FirstHandClient, tmp_path: Path
) -> None:
    """As by a replica that lags: the folder remembers it."""
    dataset = client.files.download_all(completed_job(server, 2), tmp_path)
    gone = dataset.records[0]
    _withdrawing.remove(dataset._store, dataset._manifests, [gone])
    since = len(server.requests)
    rerun = connect(server).files.download_all(gone.job_id, tmp_path)
    assert downloads(server, since) == []
    assert gone.file_id not in {row.file_id for row in rerun}


def test_a_label_leaves_with_its_last_file(
    server: MockServer, client: FirstHandClient, tmp_path: Path
) -> None:
    """Its folder too: loaders would treat an empty one as a class."""
    for label in ("go", "stop"):
        dataset = client.files.download_all(completed_job(server, 1), tmp_path, label=label)
    server.withdraw(next(row.file_id for row in dataset if row.label == "stop"))
    dataset.reconcile(client)
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["go"]
    assert dataset.verify().extra == ()


def test_exports_that_contain_it_are_named(
    server: MockServer, client: FirstHandClient, tmp_path: Path
) -> None:
    """Those made while the file was there, until it is gone from them, and none that lacks it."""
    pytest.importorskip("pyarrow")
    dataset = client.files.download_all(completed_job(server, 2), tmp_path / "signs")
    all_rows = dataset.to_parquet(tmp_path / "all.parquet")
    server.withdraw(dataset.records[0].file_id)
    lost = tmp_path / "all.moved"
    all_rows.rename(lost)
    assert dataset.reconcile(client).copies == (Copy(str(all_rows), None),)
    dataset.to_parquet(tmp_path / "rest.parquet")
    assert dataset.reconcile(client).exports == (str(all_rows),)
    dataset.to_parquet(all_rows)
    assert dataset.reconcile(client) == Reconciliation()


def test_a_withdrawal_follows_the_copies(server: MockServer, client: FirstHandClient, tmp_path: Path) -> None:
    """Into folders, one that was copied into twice, tables, and copies of copies; each says whether the file is gone,
    and one that could not be reached is named again."""
    pandas = pytest.importorskip("pandas")
    dataset = client.files.download_all(completed_job(server, 3), tmp_path / "signs")
    gone = dataset.records[0].file_id
    rest = dataset.filter(lambda row: row.file_id != gone)
    first = dataset.copy_to(tmp_path / "copy")
    rest.copy_to(tmp_path / "copy")
    second = first.copy_to(tmp_path / "second")
    second.to_parquet(tmp_path / "second.parquet")
    dataset.to_parquet(tmp_path / "all.parquet")
    rest.to_parquet(tmp_path / "rest.parquet")
    dataset.to_parquet(tmp_path / "other.parquet").write_bytes(b"another program's")
    shutil.rmtree(dataset.copy_to(tmp_path / "lost").path)
    first.exclude(gone)
    server.withdraw(gone)
    copies = {Path(copy.url).name: copy.gone for copy in dataset.reconcile(client).copies}
    assert copies == {"copy": True, "all.parquet": True, "other.parquet": None, "lost": None}
    assert list(tmp_path.rglob(f"{gone}*")) == []
    for name in ("copy", "second"):
        assert (len(Dataset.open(tmp_path / name)), Dataset.open(tmp_path / name).verify().ok) == (2, True)
    for name in ("all", "second", "rest"):
        assert gone not in set(pandas.read_parquet(tmp_path / f"{name}.parquet")["file_id"])
    assert {Path(url).name for url in dataset.reconcile(client).exports} == {"other.parquet", "lost"}
    assert (tmp_path / "other.parquet").read_bytes() == b"another program's"


def test_what_a_folder_says_of_itself_removes_nothing_elsewhere(
    server: MockServer, client: FirstHandClient, tmp_path: Path
) -> None:
    """A folder of a stranger's may call any file withdrawn, and any folder its copy: only the service's list counts."""
    dataset = client.files.download_all(completed_job(server, 2), tmp_path / "signs")
    mine = dataset.copy_to(tmp_path / "mine")
    gone = dataset.records[0].file_id
    (dataset.path / WITHDRAWN).write_text(f'{{"file_ids": ["{gone}"]}}', "utf-8")
    report = dataset.reconcile(client)
    assert (report.file_ids, report.copies) == ((gone,), (Copy(str(mine.path), None),))
    assert len(Dataset.open(mine.path)) == 2


def test_a_folder_removes_no_file_of_another_job_elsewhere(
    server: MockServer, client: FirstHandClient, tmp_path: Path
) -> None:
    """Not even one that it has in its rows, as of a job of its own, which does not list it."""
    pytest.importorskip("pyarrow")
    mine = client.files.download_all(completed_job(server, 2), tmp_path / "mine")
    copies = [
        mine.publish(tmp_path / "public").url,
        str(mine.to_parquet(tmp_path / "all.parquet")),
        str(mine.path),
    ]
    strange = client.files.download_all(completed_job(server, 1), tmp_path / "strange")
    gone = mine.records[0].file_id
    (strange.path / WITHDRAWN).write_bytes(encode_ids({gone}))
    (strange.path / EXPORTS).write_bytes(encode_exports({url: {gone} for url in copies}))
    forge(strange.path, file_id=gone)
    copied = client.files.download_all(strange.jobs[0].id, strange.path)
    assert {copy.gone for copy in copied.reconcile(client).copies} == {None}
    for folder in (mine.path, tmp_path / "public"):
        assert (len(Dataset.open(folder)), Dataset.open(folder).verify().ok) == (2, True)
    assert gone in (tmp_path / "all.parquet").read_bytes().decode("latin-1")


def test_a_call_that_was_killed_among_the_copies_is_finished_by_the_next(
    server: MockServer, client: FirstHandClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = client.files.download_all(completed_job(server, 2), tmp_path / "signs")
    copy = dataset.copy_to(tmp_path / "copy")
    gone = dataset.records[0].file_id
    server.withdraw(gone)

    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Cleaning, "clean", killed)
        with pytest.raises(Killed):
            dataset.reconcile(client)
    assert Dataset.open(dataset.path).reconcile(client).copies == (Copy(str(copy.path), True),)
    assert list(tmp_path.rglob(f"{gone}*")) == []


def test_a_copy_that_is_locked_is_not_reached(
    server: MockServer, client: FirstHandClient, tmp_path: Path
) -> None:
    """By a run, say. The next call tries it again."""
    dataset = client.files.download_all(completed_job(server, 2), tmp_path / "signs")
    copy = dataset.copy_to(tmp_path / "copy")
    lock = FolderLock(copy.path, WRITER)
    assert lock.acquire()
    server.withdraw(dataset.records[0].file_id)
    assert dataset.reconcile(client).copies == (Copy(str(copy.path), None),)
    lock.release()
    assert dataset.reconcile(client).copies == (Copy(str(copy.path), True),)
    assert len(Dataset.open(copy.path)) == 1


def test_without_pyarrow_a_table_still_has_it(
    server: MockServer, client: FirstHandClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else could write it."""
    pytest.importorskip("pyarrow")
    dataset = client.files.download_all(completed_job(server, 2), tmp_path / "signs")
    table = dataset.to_parquet(tmp_path / "all.parquet")
    server.withdraw(dataset.records[0].file_id)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    assert dataset.reconcile(client).copies == (Copy(str(table), False),)
