"""Folders held against their manifest and their jobs, and mended."""

from __future__ import annotations

import json

import anyio
import pytest

from firsthandapi import (
    ConfigurationError,
    Dataset,
    FirstHandClient,
    InvalidArgumentError,
    Progress,
    Verification,
)
from firsthandapi._core.rows.manifest import MANIFEST
from firsthandapi.errors import DownloadError, FirstHandError
from firsthandapi.testing import MockServer

from .support import FILES, ORDER, api, downloads, forge, spoil_three


def test_verify_names_what_is_wrong(dataset: Dataset) -> None:
    """Mismatched, missing, extra; what is in the making does not count."""
    assert dataset.verify() == Verification(True, (), (), ())
    longer, fake, gone = spoil_three(dataset)
    (dataset.path / "data" / "mine.txt").touch()
    (dataset.path / "data" / ".file_1.jpg.0123.part").touch()
    report = dataset.verify()
    assert not report
    assert (set(report.mismatched), report.missing, report.extra) == (
        {longer, fake},
        (gone,),
        ("data/mine.txt",),
    )


@pytest.mark.parametrize("content", [None, b""])
def test_files_of_a_lost_manifest_are_extra(dataset: Dataset, content: bytes | None) -> None:
    """All of them are named, though no row is there to miss them."""
    (dataset.path / MANIFEST).unlink() if content is None else (dataset.path / MANIFEST).write_bytes(content)
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
    reports: list[Progress] = []
    assert dataset.repair(client, on_progress=reports.append)
    assert sorted(f"data/{file_id}.jpg" for file_id in downloads(server, since)) == sorted(bad)
    assert len(api(server, since)) == 3
    assert reports[-1].files_done == 3
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


def test_the_async_client_repairs_too(dataset: Dataset, server: MockServer) -> None:
    """By `await dataset.arepair(client)`; each method names the other where it gets the other's client."""
    spoil_three(dataset)
    rows = (dataset.path / MANIFEST).read_bytes().splitlines(keepends=True)
    (dataset.path / MANIFEST).write_bytes(b"".join(rows[1:]))

    async def repair() -> Verification:
        async with server.async_client() as client:
            opened = Dataset.open(dataset.path)
            with pytest.raises(InvalidArgumentError, match=r"await dataset\.arepair\(client\)"):
                opened.repair(client)  # type: ignore[arg-type] # the wrong client is what is tried
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
    (dataset.path / ORDER).unlink()
    with pytest.raises(ConfigurationError, match="records no job"):
        Dataset.open(dataset.path).repair(client)
