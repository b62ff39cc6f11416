"""The room of a folder, `.firsthandapi/`: all that is not the dataset itself."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from firsthandapi import ConfigurationError, Dataset, FirstHandClient
from firsthandapi._base.folder_lock import FolderLock
from firsthandapi._base.names import ROOM
from firsthandapi._core.rows.manifest import DATA, MANIFEST
from firsthandapi.datasets import _lock
from firsthandapi.datasets._disk import make_room
from firsthandapi.datasets._lock import NOTES
from firsthandapi.testing import MockServer

from .support import JOB, completed_job, downloads, folder_of, posix_only

SHOWN = {DATA, MANIFEST, ROOM}
PAPERS = {"README.md", "croissant.json", "dataset.lock"}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_folder_shows_what_the_dataset_is(
    server: MockServer, client: FirstHandClient, tmp_path: Path
) -> None:
    """Whatever was done with it: all else is in the room, of which no copy has more than its own."""
    job_id = completed_job(server, 4)
    dataset = client.files.download_all(job_id, tmp_path / "signs", label="stop")
    dataset.exclude(dataset.records[0], reason="blurred")
    dataset.relabel(dataset.records[0], "yield")
    assert names(dataset.path) == SHOWN
    server.withdraw(dataset.records[0].file_id)
    dataset.reconcile(client)
    dataset.write_card(license="MIT")
    dataset.write_lock()
    assert names(dataset.path) == SHOWN | PAPERS
    copy = dataset.filter(lambda _: True).copy_to(tmp_path / "copy")
    merged = Dataset.merge([dataset], tmp_path / "merged")
    splits = dataset.split(train=0.5, test=0.5).copy_to(tmp_path / "splits")
    assert names(dataset.path / ROOM) == {
        *("orders", "decisions.jsonl", "excluded", "withdrawn.json", "exports.json", "card.json"),
        *("splits.jsonl", "versions", "rows.seal", "rows-excluded.seal", "lock", "notes.lock"),
    }
    assert (names(copy.path), names(merged.path), names(splits)) == (SHOWN, SHOWN, {"train", "test"})
    assert names(splits / "train") == SHOWN
    assert names(merged.path / ROOM) == {"orders", "decisions.jsonl", "rows.seal", "lock", "notes.lock"}
    assert dataset.verify()
    assert merged.verify()


@pytest.mark.parametrize("label", [None, "stop"])
def test_rows_without_a_room_lead_to_their_job(
    quick_server: MockServer, tmp_path: Path, label: str | None
) -> None:
    """Nothing is bought again, no file comes again, and `verify` says what is missing until it is restored."""
    call = {**JOB, "files_needed": 2}
    with quick_server.client() as client:
        dataset = client.jobs.collect(tmp_path, label=label, **call)
        dataset.write_card(license="MIT")  # it keeps a hash of the prices, which the records have
        assert dataset.verify().diary
        shutil.rmtree(tmp_path / ROOM)
        opened = Dataset.open(tmp_path)
        assert (opened.verify().ok, opened.verify().diary) == (True, False)
        assert "from 1 job on `http://127.0.0.1" in opened.write_card().path.read_text()
        jobs, since = len(list(client.jobs.list())), len(quick_server.requests)
        rerun = client.jobs.collect(tmp_path, label=label, **call)
        assert (rerun.records, rerun.verify().diary) == (dataset.records, True)
        assert (len(list(client.jobs.list())), downloads(quick_server, since)) == (jobs, [])


@posix_only
def test_a_room_that_is_a_link_is_refused(
    server: MockServer, client: FirstHandClient, tmp_path: Path
) -> None:
    """By whoever reads or writes, for it may lead anywhere; nothing is ordered, and nothing is written there."""
    dataset = client.files.download_all(completed_job(server, 1), tmp_path / "signs")
    copy = dataset.filter(lambda _: True).copy_to(tmp_path / "copy")
    elsewhere = (dataset.path / ROOM).rename(tmp_path / "elsewhere")
    contents = names(elsewhere)
    (dataset.path / ROOM).symlink_to(elsewhere, target_is_directory=True)
    jobs = len(list(client.jobs.list()))
    for act in (
        lambda: Dataset.open(dataset.path),
        lambda: client.jobs.collect(dataset.path, **JOB, files_needed=1),
        lambda: Dataset.merge([copy], dataset.path),
        lambda: dataset.exclude(dataset.records),
        lambda: dataset.reconcile(client),
        dataset.write_card,
        dataset.write_lock,
    ):
        with pytest.raises(ConfigurationError, match=rf"\{ROOM} is a link"):
            act()
    assert (names(elsewhere), len(list(client.jobs.list()))) == (contents, jobs)


def test_a_file_in_the_place_of_the_room_is_named(client: FirstHandClient, tmp_path: Path) -> None:
    """Nothing is ordered."""
    (tmp_path / ROOM).touch()
    jobs = len(list(client.jobs.list()))
    with pytest.raises(ConfigurationError, match=rf"\{ROOM} is a file, not a folder"):
        client.jobs.collect(tmp_path, **JOB, files_needed=1)
    assert len(list(client.jobs.list())) == jobs


def test_notes_are_taken_by_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes a moment, so whoever has taken longer is named; what only remembers an export goes on without."""
    monkeypatch.setattr(_lock, "_NOTES_SECONDS", 0.0)
    dataset = folder_of(tmp_path / "signs", [b"x"])
    make_room(dataset.path)
    lock = FolderLock(dataset.path, NOTES)
    assert lock.acquire()
    for act in (lambda: dataset.accept("file_0"), dataset.write_lock, dataset.write_card):
        with pytest.raises(ConfigurationError, match=r"notes\.lock for 0 seconds; run the same call again"):
            act()
    assert dataset.filter(lambda _: True).copy_to(tmp_path / "copy").verify()
    lock.release()
    dataset.accept("file_0")
