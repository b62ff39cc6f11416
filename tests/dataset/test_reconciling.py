"""Files that the service has withdrawn, removed from a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from client.support import Connect
from firsthandapi import (
    ConfigurationError,
    Dataset,
    FirstHandClient,
    IncompleteJobError,
    InvalidArgumentError,
    NotFoundError,
)
from firsthandapi._base.folder_lock import FolderLock
from firsthandapi._core.orders.record import ORDERS
from firsthandapi._core.rows.kept import VERSIONS
from firsthandapi._core.rows.manifest import MANIFEST
from firsthandapi.datasets import Reconciliation
from firsthandapi.datasets._lock import WRITER
from firsthandapi.testing import MockServer

from .support import JOB, ORDER, completed_job, reconcile

pytestmark = pytest.mark.async_slow


@pytest.mark.parametrize("at", ["folder", "bucket"])
def test_a_withdrawn_file_goes_and_stays_away(
    connect: Connect, server: MockServer, client: FirstHandClient, tmp_path: Path, at: str
) -> None:
    """With its row; the others stay, and `verify` is content."""
    dest = str(tmp_path) if at == "folder" else f"memory://{tmp_path.name}/signs"
    dataset = client.files.download_all(completed_job(server, 3), dest, label="stop")
    second = client.files.download_all(completed_job(server, 1), dest, label="yield")
    assert reconcile(connect, connect(server), dataset) == Reconciliation()
    gone = dataset.records[1]
    path = dataset.path_of(gone)
    server.withdraw(gone.file_id)
    result = reconcile(connect, connect(server), dataset)
    assert (result.removed, result.file_ids) == ((gone.file_name,), (gone.file_id,))
    assert not path.exists()
    assert {row.file_id for row in dataset} == {row.file_id for row in second} - {gone.file_id}
    assert dataset.verify()
    assert Dataset.open(dest).verify()


def test_a_count_that_a_withdrawal_has_lowered_is_not_waited_for(
    quick_server: MockServer, tmp_path: Path
) -> None:
    """By the next calls, whose record has seen the low count only: the folder had all of the files once."""
    call = {**JOB, "files_needed": 2}
    with quick_server.client() as client:
        dataset = client.jobs.collect(tmp_path, **call)
        quick_server.withdraw(dataset.records[0].file_id)
        for _ in range(2):
            assert len(client.jobs.collect(tmp_path, timeout=0, **call)) == 2
        dataset.reconcile(client)
        for _ in range(2):
            with pytest.raises(IncompleteJobError, match="is completed with 1 of 2 files"):
                client.jobs.collect(tmp_path, timeout=0, **call)


@pytest.mark.both
def test_files_of_a_job_without_a_record_are_left_alone(
    connect: Connect, server: MockServer, client: FirstHandClient, tmp_path: Path
) -> None:
    """A list of the other job does not name them, and says nothing of them."""
    first = completed_job(server, 1)
    client.files.download_all(first, tmp_path, label="stop")
    client.files.download_all(completed_job(server, 2), tmp_path, label="yield")
    (tmp_path / ORDERS / f"job-{first}.json").unlink()
    dataset = Dataset.open(tmp_path)
    assert reconcile(connect, connect(server), dataset) == Reconciliation()
    assert len(Dataset.open(tmp_path)) == 3
    # Nor do they stand in for a row that the recorded job lacks.
    first_row, *rows = (tmp_path / MANIFEST).read_bytes().splitlines(keepends=True)
    assert first.encode() in first_row
    (tmp_path / MANIFEST).write_bytes(b"".join([first_row, *rows[1:]]))
    assert Dataset.open(tmp_path).verify().short == 1


@pytest.mark.both
def test_a_list_that_lags_removes_nothing(
    connect: Connect, server: MockServer, client: FirstHandClient, tmp_path: Path
) -> None:
    """The job counts more files than the list shows; its id says so."""
    dataset = client.files.download_all(completed_job(server, 3), tmp_path)
    assert dataset.job is not None

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/files"):
            return httpx.Response(200, json={"data": [], "next_cursor": None})
        return httpx.Response(
            200, json={"id": request.url.path[9:], "status": "completed", "files_approved": 3}
        )

    assert reconcile(connect, connect(handler=answer), dataset) == Reconciliation(unsure=(dataset.job.id,))
    assert dataset.verify()


@pytest.mark.parametrize("step", ["replace", "_forget", "remove", "rewrite"])
def test_a_call_that_was_cut_short_is_finished_by_the_next(
    server: MockServer, client: FirstHandClient, tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it ended: no file is left without a row, and nothing comes back."""
    dataset = client.files.download_all(completed_job(server, 3), tmp_path)
    version = dataset.write_lock()
    gone = dataset.records[0]
    path = dataset.path_of(gone)
    server.withdraw(gone.file_id)

    class Crash(BaseException):
        pass

    def crash(*_: Any) -> None:
        raise Crash

    owners = {"rewrite": "_manifest.Manifest", "_forget": "_withdrawing"}
    owner = f"firsthandapi.datasets.{owners.get(step, '_local.Local')}"
    with monkeypatch.context() as patch:
        patch.setattr(f"{owner}.{step}", crash)
        with pytest.raises(Crash):
            dataset.reconcile(client)
    opened = Dataset.open(tmp_path)
    assert gone.file_id in {row.file_id for row in opened}
    result = opened.reconcile(client)
    assert result.file_ids == (gone.file_id,)
    assert not path.exists()
    assert opened.verify()
    assert Dataset.open(tmp_path, version=version).withdrawn == 1
    assert all(gone.sha256 not in path.read_text("utf-8") for path in (tmp_path / VERSIONS).iterdir())


def test_a_file_that_cannot_be_removed_keeps_its_row(
    server: MockServer, client: FirstHandClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names it."""
    dataset = client.files.download_all(completed_job(server, 1), tmp_path)
    gone = dataset.records[0]
    server.withdraw(gone.file_id)
    monkeypatch.setattr("firsthandapi.datasets._local.Local.remove", lambda *_: None)
    with pytest.raises(ConfigurationError, match="cannot be removed"):
        dataset.reconcile(client)
    assert gone.file_id in (tmp_path / MANIFEST).read_text("utf-8")
    monkeypatch.undo()
    assert dataset.reconcile(client).removed == (gone.file_name,)
    assert not (tmp_path / MANIFEST).exists()  # loaders refuse an empty one


def test_another_account_s_key_removes_nothing(
    server: MockServer, client: FirstHandClient, tmp_path: Path
) -> None:
    """To it the job does not exist, which says nothing about its files."""
    dataset = client.files.download_all(completed_job(server, 1), tmp_path)
    organization = server.create_organization(cents=0)
    with server.client(api_key=organization.api_key) as stranger, pytest.raises(NotFoundError):
        dataset.reconcile(stranger)
    assert dataset.verify()


def test_a_folder_that_is_written_to_is_left_alone(
    server: MockServer, client: FirstHandClient, tmp_path: Path
) -> None:
    """Until the other process has finished."""
    dataset = client.files.download_all(completed_job(server, 1), tmp_path)
    lock = FolderLock(tmp_path, WRITER)
    assert lock.acquire()
    with pytest.raises(ConfigurationError, match="another process is writing"):
        dataset.reconcile(client)
    lock.release()
    (tmp_path / ORDER).write_bytes(b"{")
    with pytest.raises(ConfigurationError, match=r"order\.json is empty or damaged"):
        dataset.reconcile(client)
    assert lock.acquire()  # it was given back
    lock.release()


def test_each_method_names_the_other_for_the_other_client(
    server: MockServer, client: FirstHandClient, tmp_path: Path
) -> None:
    """As `repair` and `arepair` do."""
    dataset = client.files.download_all(completed_job(server, 1), tmp_path)
    with pytest.raises(InvalidArgumentError, match=r"await dataset\.areconcile"):
        dataset.reconcile("client")  # type: ignore[arg-type] # what is tested
    with pytest.raises(InvalidArgumentError, match=r"use dataset\.reconcile"):
        anyio.run(dataset.areconcile, client)  # type: ignore[arg-type] # what is tested
