"""Several jobs in one folder, each with a label: `data/<label>/`."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from client.support import Connect
from firsthandapi import Dataset, FirstHandClient, InvalidArgumentError
from firsthandapi._core.orders.record import ORDERS
from firsthandapi._core.rows.manifest import MANIFEST
from firsthandapi.errors import ConfigurationError, IncompleteJobError, WaitTimeoutError
from firsthandapi.testing import MockServer

from .support import JOB, ORDER, Buyer, api, completed_job, downloads, jobs_bought
from .test_loading import run


def files_of(dataset: Dataset) -> list[str]:
    return sorted(record.file_name for record in dataset)


@pytest.mark.parametrize("at", ["folder", "bucket"])
def test_calls_with_labels_fill_one_folder(buyer: Buyer, at: str) -> None:
    """Each has a job of its own, files in `data/<label>/`, and rows that name the label and the worker."""
    dest = str(buyer.dest / "signs") if at == "folder" else f"memory://{buyer.dest.name}/signs"
    buyer.collect(2, dest, label="stop")
    dataset = buyer.collect(1, dest, label="give way")
    assert buyer.jobs_bought() == 2
    assert [Path(name).parts[:2] for name in files_of(dataset)] == [("data", "give way")] + 2 * [
        ("data", "stop")
    ]
    assert dataset.labels == ["give way", "stop"]
    assert all(Path(record.file_name).parts[1] == record.label for record in dataset)
    assert all((record.worker_id or "").startswith("wkr_") for record in dataset)
    assert dataset.verify()
    assert (dataset.job, len(dataset.jobs)) == (None, 2)
    assert "3 files, 2 jobs" in repr(dataset)


def test_the_same_call_continues_its_job(buyer: Buyer) -> None:
    """As without a label: it posts nothing, and downloads only missing files."""
    first = buyer.collect(2, label="stop")
    buyer.collect(1, label="yield")
    first.path_of(first.records[0]).unlink()
    since = len(buyer.server.requests)
    rerun = buyer.collect(2, label="stop")
    assert downloads(buyer.server, since) == [first.records[0].file_id]
    assert len(rerun) == 3
    assert buyer.jobs_bought() == 2


@pytest.mark.parametrize("lost", ["nothing", "the record", "the label in a copy of it"])
def test_a_label_that_times_out_buys_once(
    server: MockServer, client: FirstHandClient, tmp_path: Path, lost: str
) -> None:
    """However often it does, whatever the job does meanwhile, and whatever somebody does to its record."""
    record = tmp_path / ORDERS / "label-stop.json"
    bought: set[str] = set()
    for _ in range(3):
        with pytest.raises(WaitTimeoutError) as caught:
            client.jobs.collect(
                tmp_path,
                **JOB,
                files_needed=9,
                label="stop",
                timeout=0,
                on_progress=lambda _: lost == "the record" and record.unlink(missing_ok=True),
            )
        job_id = str(getattr(caught.value.job, "id", None))
        bought.add(job_id)
        server.submit(job_id)
        server.clock.advance(minutes=1)
        if lost == "the label in a copy of it":
            job_file = json.loads(record.read_bytes())
            del job_file["label"]
            (tmp_path / ORDER).write_text(json.dumps(job_file), "utf-8")
    assert len(bought) == 1
    assert (tmp_path / ORDER).exists() == (lost == "the label in a copy of it")


def test_a_job_that_ends_early_counts_its_own_files(
    server: MockServer, client: FirstHandClient, tmp_path: Path
) -> None:
    """Those of other labels do not make it whole."""
    client.files.download_all(completed_job(server, 3), tmp_path, label="stop")
    job = client.jobs.create(
        **JOB, files_needed=2, idempotency_key="few", metadata={"firsthandapi_key": "few"}
    )
    server.submit(job.id)
    server.clock.advance(minutes=1)
    client.jobs.cancel(job.id)
    with pytest.raises(IncompleteJobError, match="with 1 of 2 files"):
        client.jobs.collect(tmp_path, **JOB, files_needed=2, label="yield", idempotency_key="few")


# ── What is refused ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("label", ["a/b", "train"])
def test_a_label_must_name_a_folder(
    client: FirstHandClient, server: MockServer, tmp_path: Path, label: Any
) -> None:
    """On every system, and for every loader; nothing was sent, and nothing was created."""
    since = len(server.requests)
    with pytest.raises(InvalidArgumentError) as caught:
        client.jobs.collect(tmp_path / "signs", **JOB, files_needed=1, label=label)
    assert caught.value.field == "label"
    assert len(server.requests) == since
    assert not (tmp_path / "signs").exists()


def test_labels_that_differ_in_case_only_are_refused(
    signs: Dataset, server: MockServer, client: FirstHandClient
) -> None:
    """On many disks both would be one folder."""
    with pytest.raises(InvalidArgumentError, match="use 'stop'"):
        client.files.download_all(completed_job(server, 1), signs.path, label="Stop")


def test_a_folder_with_labels_takes_no_job_without(
    signs: Dataset, server: MockServer, client: FirstHandClient
) -> None:
    """A forgotten `label=` would mix the files of several classes."""
    with pytest.raises(InvalidArgumentError, match="pass label="):
        client.files.download_all(completed_job(server, 1), signs.path)
    since = len(server.requests)
    with pytest.raises(InvalidArgumentError, match="pass label="):
        client.jobs.collect(signs.path, **JOB, files_needed=1)
    assert api(server, since) == []


def test_a_job_has_one_label(
    signs: Dataset, server: MockServer, client: FirstHandClient, tmp_path: Path
) -> None:
    """Its files lie in one folder: another label is refused, also for a folder without labels."""
    job_id = signs.records[0].job_id or ""
    with pytest.raises(InvalidArgumentError, match="labeled 'stop'"):
        client.files.download_all(job_id, signs.path, label="yield")
    plain = client.files.download_all(completed_job(server, 1), tmp_path / "plain")
    assert plain.job is not None
    with pytest.raises(InvalidArgumentError, match="without a label"):
        client.files.download_all(plain.job.id, plain.path, label="stop")


def test_a_key_that_bought_another_label_s_job_is_refused(quick_server: MockServer, tmp_path: Path) -> None:
    """The files of that job have their label; no record of a purchase that never was stays behind."""
    with quick_server.client() as client:
        client.jobs.collect(tmp_path, **JOB, files_needed=1, label="stop", idempotency_key="mine")
        with pytest.raises(InvalidArgumentError, match="labeled 'stop'"):
            client.jobs.collect(tmp_path, **JOB, files_needed=1, label="yield", idempotency_key="mine")
    assert [path.name for path in (tmp_path / ORDERS).iterdir()] == ["label-stop.json"]
    assert jobs_bought(quick_server) == 1


def test_kinds_that_no_loader_reads_together_are_refused(
    signs: Dataset, server: MockServer, client: FirstHandClient
) -> None:
    """Before a job is posted."""
    since = len(server.requests)
    with pytest.raises(ConfigurationError, match="contains image files, and the job takes audio files"):
        client.jobs.collect(
            signs.path, **{**JOB, "accepted_formats": ["audio/wav"]}, files_needed=1, label="hello"
        )
    assert [line for line in api(server, since) if line.startswith("POST")] == []


def test_mixed_media_keep_their_folders(server: MockServer, client: FirstHandClient, tmp_path: Path) -> None:
    """`image/data/<label>/`; a later job of one kind goes to the folder of that kind."""
    formats = ["image/jpeg", "audio/wav"]
    job_id = client.jobs.create(**{**JOB, "accepted_formats": formats}, files_needed=2).id
    for content_type in formats:
        server.submit(job_id, content_type=content_type)
    server.clock.advance(minutes=1)
    client.files.download_all(job_id, tmp_path, label="bell")
    both = client.files.download_all(completed_job(server, 1), tmp_path, label="horn")
    places = sorted(str(both.path_of(row).parent.relative_to(tmp_path).as_posix()) for row in both)
    assert places == ["audio/data/bell", "image/data/bell", "image/data/horn"]
    assert both.verify()


# ── A folder as it is found ──────────────────────────────────────────────────────────────────────────────


def test_a_folder_with_labels_is_verified_and_repaired(
    connect: Connect, server: MockServer, signs: Dataset
) -> None:
    """What is mismatched, missing, or extra, by its name; each job's files come back to their label."""
    stop, yields = signs.records[0], signs.records[2]
    signs.path_of(stop).write_bytes(b"x")
    signs.path_of(yields).unlink()
    (signs.path / "data" / "stop" / "mine.jpg").write_bytes(b"x")
    (signs.path / "data" / "other").mkdir()
    state = signs.verify()
    assert (state.mismatched, state.missing) == ((stop.file_name,), (yields.file_name,))
    assert sorted(state.extra) == ["data/other", "data/stop/mine.jpg"]
    since = len(server.requests)
    client = connect(server)
    assert connect.run(signs.arepair(client.target)) if connect.is_async else signs.repair(client)
    assert sorted(downloads(server, since)) == sorted([stop.file_id, yields.file_id])


def test_a_label_s_missing_rows_are_repaired(signs: Dataset, client: FirstHandClient) -> None:
    """By the counts of each job: the files of one do not stand for those of another."""
    manifest = signs.path / MANIFEST
    manifest.write_bytes(b"".join(manifest.read_bytes().splitlines(keepends=True)[1:]))
    damaged = Dataset.open(signs.path)
    assert damaged.verify().short == 1
    assert damaged.repair(client)
    assert files_of(damaged) == files_of(signs)


def test_links_in_the_folder_of_a_label_are_refused(signs: Dataset, tmp_path: Path) -> None:
    """A file or a folder that leads elsewhere, before it is read."""
    path = signs.path_of(signs.records[0])
    path.rename(tmp_path / "elsewhere.jpg")
    path.symlink_to(tmp_path / "elsewhere.jpg")
    with pytest.raises(ConfigurationError, match="is a link"):
        Dataset.open(signs.path)
    folder = path.parent
    path.unlink()
    folder.rename(tmp_path / "stop")
    folder.symlink_to(tmp_path / "stop")
    with pytest.raises(ConfigurationError, match="is a link"):
        Dataset.open(signs.path)


# ── Loaders ──────────────────────────────────────────────────────────────────────────────────────────────

LOAD = """
import json, sys
import datasets
folder, cache = sys.argv[1:]
train = datasets.load_dataset("imagefolder", data_dir=folder, cache_dir=cache)["train"]
from firsthandapi import Dataset
own = Dataset.open(folder).to_huggingface()
print(json.dumps({"loaded": train["label"][:], "own": own["label"][:], "names": own.features["label"].names}))
"""


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("datasets") is None, reason="datasets is not installed (make test)"
)
def test_labels_load(signs: Dataset, tmp_path: Path) -> None:
    """`imagefolder` gives them as text; `to_huggingface` as a ClassLabel."""
    loaded = run(LOAD, str(signs.path), str(tmp_path / "cache"))
    labels = [record.label for record in signs]
    assert loaded["loaded"] == labels
    assert loaded["names"] == ["stop", "yield"]
    assert [loaded["names"][number] for number in loaded["own"]] == labels
