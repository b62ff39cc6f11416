"""The downloads of one run, and those that fail."""

from __future__ import annotations

import errno
import pkgutil
import threading
from pathlib import Path
from typing import Any

import pytest

from firsthandapi import Dataset
from firsthandapi._core.rows.manifest import MANIFEST
from firsthandapi.datasets._download.engine import Engine
from firsthandapi.datasets._download.part import DiskError
from firsthandapi.errors import (
    ConfigurationError,
    DownloadError,
    IncompleteJobError,
    IntegrityError,
    WaitTimeoutError,
)
from firsthandapi.testing import MockServer

from .support import (
    Buyer,
    completed_job,
    downloads,
    in_background,
    wait_for_job,
    wait_until,
    whole,
)


def test_one_bad_file_costs_only_itself(patient: Buyer) -> None:
    """All others are there and in the manifest; the error names it, and the same call fetches it alone."""
    job_id = completed_job(patient.server, 12)
    patient.client = patient.connect(patient.server, max_retries=0)
    files = list(patient.client.files.list(job_id))
    bad = [files[4].id, files[7].id]
    patient.server.faults.add(path=f"/files/{bad[0]}", status=404, times=None)
    patient.server.faults.add(path=f"/files/{bad[1]}", drop="before", times=None)
    reports: list[Any] = []
    with pytest.raises(DownloadError) as caught:
        patient.client.files.download_all(job_id, patient.dest, on_progress=reports.append)
    assert {file_id for file_id, _ in caught.value.failures} == set(bad)
    assert "2 of 12" in str(caught.value)
    assert reports[-1].files_done == 10
    assert {r.file_id for r in Dataset.open(patient.dest)} == {file.id for file in files} - set(bad)
    assert whole(patient.dest)
    patient.server.faults.clear()
    since = len(patient.server.requests)
    assert patient.client.files.download_all(job_id, patient.dest).verify()
    assert sorted(downloads(patient.server, since)) == sorted(bad)


def test_many_bad_files_are_told_in_brief(patient: Buyer) -> None:
    """The message shows three, `failures` has them all."""
    job_id = completed_job(patient.server, 5)
    patient.server.faults.add(path="/files/*", status=404, times=None)
    with pytest.raises(DownloadError, match="and 2 more") as caught:
        patient.client.files.download_all(job_id, patient.dest)
    assert len(caught.value.failures) == 5
    assert not (patient.dest / MANIFEST).exists()
    assert len(Dataset.open(patient.dest)) == 0


def test_wrong_bytes_are_never_kept(patient: Buyer) -> None:
    """A file that is not the promised one is an IntegrityError in the list, and not on disk."""
    job_id = completed_job(patient.server, 2)
    patient.server.faults.add(path="/files/*", garbage=True, times=None)
    with pytest.raises(DownloadError) as caught:
        patient.client.files.download_all(job_id, patient.dest)
    assert all(isinstance(error, IntegrityError) for _, error in caught.value.failures)
    assert list((patient.dest / "data").iterdir()) == []


def test_a_failed_file_is_tried_again_at_the_end(patient: Buyer) -> None:
    """A storage that is down for the first file, and well when the job finishes, costs nothing."""
    patient.client = patient.connect(patient.server, max_retries=0)
    patient.server.faults.add(path="/files/*", status=503, times=1)
    reported: list[Any] = []
    with in_background(patient.collect, 2, on_progress=reported.append) as ended:
        job_id = wait_for_job(patient.server)
        for done in (1, 2):
            patient.server.submit(job_id)
            patient.server.clock.advance(minutes=1)
            wait_until(lambda done=done: len(downloads(patient.server)) >= done)
    assert len(ended[0]) == 2
    assert whole(patient.dest)
    assert max(progress.files_failed for progress in reported) == 1
    assert (reported[-1].files_done, reported[-1].files_total, reported[-1].files_failed) == (2, 2, 0)


@pytest.mark.parametrize("name", ["_manifest.Manifest.rewrite", "_disk.Appender.add"], ids=["first", "later"])
def test_a_row_that_the_disk_refuses_once_is_there_in_the_end(
    name: str, patient: Buyer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that returns has written each row: one that failed is no row yet when its file is tried again."""
    path = f"firsthandapi.datasets.{name}"
    write, failures = pkgutil.resolve_name(path), [1]

    def refuse_once(*arguments: Any) -> None:
        if failures:
            failures.clear()
            raise ConfigurationError("metadata.jsonl cannot be written: Input/output error")
        write(*arguments)

    monkeypatch.setattr(path, refuse_once)
    monkeypatch.setattr(f"firsthandapi._{patient.connect.kind}.following.HEAD_EVERY", 2.5)
    with in_background(patient.collect, 3) as ended:
        job_id = wait_for_job(patient.server)
        for done in (1, 2, 3):
            patient.server.submit(job_id)
            patient.server.clock.advance(minutes=1)
            wait_until(lambda done=done: len(downloads(patient.server)) >= done)
    assert not failures
    assert len(ended[0]) == 3
    assert whole(patient.dest)


@pytest.mark.parametrize("ends", ["completed", "cancelled", "timeout"])
def test_whatever_ends_a_run_names_the_failed_files(patient: Buyer, ends: str) -> None:
    """DownloadError, IncompleteJobError and WaitTimeoutError all have `failures`, and the job."""
    patient.client = patient.connect(patient.server, max_retries=0)
    patient.server.faults.add(path="/files/*", status=404, times=None)
    with pytest.raises(WaitTimeoutError) as begun:
        patient.collect(2, timeout=0)
    job = begun.value.job
    assert begun.value.failures == ()
    work = [patient.server.submit(job.id) for _ in range(2 if ends == "completed" else 1)]
    patient.server.clock.advance(minutes=1)
    if ends == "cancelled":
        with patient.server.client() as client:
            client.jobs.cancel(job.id)
    kind: type[Exception] = {"completed": DownloadError, "cancelled": IncompleteJobError}.get(
        ends, WaitTimeoutError
    )
    for timeout in (1, 20) if ends == "timeout" else (60,):
        with pytest.raises(kind) as caught:
            patient.collect(2, timeout=timeout)
        if caught.value.failures:  # on busy cores no file has failed yet after a second
            break
    assert {file_id for file_id, _ in caught.value.failures} == {
        file_id for task in work for file_id in task.file_ids
    }
    assert caught.value.job.id == job.id
    if ends == "cancelled":
        assert "1 more could not be downloaded" in str(caught.value)
        assert "the escrow of the 1 not approved was refunded" in str(caught.value)


def test_a_full_disk_ends_the_run_at_once(patient: Buyer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job is not waited for to its end, and the error has it; with room again the same call continues."""

    def full(*_: Any) -> None:
        raise DiskError(OSError(errno.ENOSPC, "No space left on device"), "file.jpg cannot be written")

    with pytest.raises(WaitTimeoutError) as begun:
        patient.collect(2, timeout=0)
    work = patient.server.submit(begun.value.job.id)
    patient.server.clock.advance(minutes=1)
    with monkeypatch.context() as patched:
        patched.setattr("firsthandapi.datasets._download.part.Part.write", full)
        with pytest.raises(DownloadError, match="No space left") as caught:
            patient.collect(2)
    assert [file_id for file_id, _ in caught.value.failures] == list(work.file_ids)
    assert caught.value.job.status == "in_progress"
    patient.server.submit(begun.value.job.id)
    patient.server.clock.advance(minutes=1)
    assert len(patient.collect(2)) == 2


def test_ctrl_c_while_a_run_ends_leaves_no_thread(
    fresh_server: MockServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A notebook lives on after it."""
    job_id = completed_job(fresh_server, 3)
    close, threads = Engine.close, set(threading.enumerate())

    def interrupted(self: Engine, *, cancel: bool = False) -> None:
        monkeypatch.setattr(Engine, "close", close)
        raise KeyboardInterrupt

    monkeypatch.setattr(Engine, "close", interrupted)
    with fresh_server.client() as client, pytest.raises(KeyboardInterrupt):
        client.files.download_all(job_id, tmp_path)
    for thread in set(threading.enumerate()) - threads:
        if "download" in thread.name:
            thread.join(30)
            assert not thread.is_alive()
    assert whole(tmp_path)
