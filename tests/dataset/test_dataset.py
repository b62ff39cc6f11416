"""Folders on disk: opening them, whoever they come from; verifying, mending, tables; disks that fail."""

from __future__ import annotations

import json
import pickle
from importlib.util import find_spec
from pathlib import Path

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
from firsthandapi._core.orders.job_file import JOB_FILE
from firsthandapi._core.rows.manifest import MANIFEST
from firsthandapi.datasets import DatasetView
from firsthandapi.errors import DownloadError, FirstHandError
from firsthandapi.testing import MockServer

from .support import (
    FILES,
    api,
    differ,
    downloads,
    folder_of,
    forge,
    spoil_three,
)

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


# ── Verifying and mending ────────────────────────────────────────────────────────────────────────────────


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


# ── What a run finds ─────────────────────────────────────────────────────────────────────────────────────


def test_splits_are_views_of_the_folder(tmp_path: Path) -> None:
    """They iterate, know their files, and go to pandas; together they are the whole."""
    pandas = pytest.importorskip("pandas")
    dataset = folder_of(
        tmp_path, [bytes([n]) for n in range(40)], worker_id=[f"wkr_{n // 2}" for n in range(40)]
    )
    parts = dataset.split(train=0.7, test=0.2, validation=0.1)
    assert [*parts] == ["train", "test", "validation"]
    assert sorted(each.file_id for part in parts.values() for each in part) == sorted(
        each.file_id for each in dataset
    )
    train = parts["train"]
    assert isinstance(train, DatasetView)
    assert (train.name, train.dataset, len(train)) == ("train", dataset, len(train.records))
    assert train.path_of(train.records[0]) == dataset.path_of(train.records[0])
    table = train.to_pandas()
    assert list(table["file_id"]) == [record.file_id for record in train]
    assert set(table["worker_id"]).isdisjoint(parts["test"].to_pandas()["worker_id"])
    assert len(pandas.read_parquet(train.to_parquet(tmp_path / "train.parquet"))) == len(train)
    assert repr(train) == f"<DatasetView ['train', {len(train)} files]>"
    assert [record.file_id for record in pickle.loads(pickle.dumps(train))] == list(table["file_id"])
    assert train.duplicates() == []


@pytest.mark.skipif(find_spec("datasets") is None, reason="datasets is not installed (make test)")
@pytest.mark.filterwarnings("ignore")
def test_splits_number_the_labels_in_one_way(tmp_path: Path) -> None:
    """Also where one has no row of some label."""
    labels = ["a", "b"] * 8
    dataset = folder_of(tmp_path, [bytes([n]) for n in range(16)], label=labels, worker_id=labels)
    parts = dataset.split(train=0.5, test=0.5, seed=next(n for n in range(99) if differ(dataset, n)))
    names = {tuple(part.to_huggingface().features["label"].names) for part in parts.values()}
    assert names == {("a", "b")}
    assert sorted(label for part in parts.values() for label in part.labels) == ["a", "b"]


def test_a_split_that_cannot_be_is_refused(tmp_path: Path) -> None:
    """Shares that are not the whole, and a seed that is no int."""
    dataset = folder_of(tmp_path, [b"x"])
    with pytest.raises(InvalidArgumentError, match=r"train=0.8 \+ test=0.2 \+ validation=0.1 is not 1"):
        dataset.split(validation=0.1)
    with pytest.raises(InvalidArgumentError, match="seed"):
        dataset.split(seed="x")  # type: ignore[arg-type] # what is tested
