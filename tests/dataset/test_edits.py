"""Rows that were edited by somebody else than this package."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from firsthandapi import ConfigurationError, Dataset, FirstHandClient
from firsthandapi._base.folder_lock import FolderLock
from firsthandapi._core.rows.manifest import MANIFEST
from firsthandapi._core.rows.seals import seal_file
from firsthandapi.datasets._lock import WRITER
from firsthandapi.testing import MockServer

from .support import JOB, completed_job, folder_of, forge

EDITED = "1 row was edited by hand or by another program."


@pytest.fixture
def signs(client: FirstHandClient, server: MockServer, tmp_path: Path) -> Dataset:
    return client.files.download_all(completed_job(server, 3), tmp_path / "signs", label="stop")


def test_edits_stay_until_their_owner_accepts_them(
    client: FirstHandClient, signs: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No card, lock, run, decision, column, or copy makes them rows that this package wrote."""
    pytest.importorskip("pyarrow")
    forge(signs.path, license="CC0-1.0")
    dataset = Dataset.open(signs.path)
    assert not dataset.verify()
    dataset.write_card()
    dataset.write_lock()
    dataset.exclude(dataset[2])
    dataset.relabel(dataset[1], "yield")
    dataset.add_column("quality", {dataset[0].file_id: 0.5})
    client.files.download_all(str(dataset[0].job_id), dataset.path, label="stop")
    dataset.write_card()
    assert dataset.verify().altered == (MANIFEST,)
    assert Dataset.open(signs.path).verify().altered == (MANIFEST,)
    whole = dataset.filter(lambda row: row.license is None)
    assert dataset.publish(tmp_path / "some", splits={"train": whole}).altered == ()
    with caplog.at_level(logging.WARNING, "firsthandapi"):
        assert dataset.publish(tmp_path / "public").altered == (MANIFEST,)
    assert "has rows that were edited outside of firsthandapi" in caplog.text
    for place in (dataset.path, tmp_path / "public"):
        assert EDITED in (place / "README.md").read_text("utf-8")
        assert EDITED in (place / "croissant.json").read_text("utf-8")
    copies = [dataset.copy_to(tmp_path / "copy"), Dataset.merge([dataset], tmp_path / "merged")]
    assert [copy.verify().altered for copy in copies] == [(MANIFEST,)] * 2
    dataset.accept_edits()
    dataset.write_card()
    assert dataset.verify()
    assert Dataset.open(signs.path)[0].license == "CC0-1.0"
    assert dataset.publish(tmp_path / "public").altered == ()
    assert EDITED not in (tmp_path / "public" / "README.md").read_text("utf-8")


@pytest.mark.parametrize("at", ["folder", "bucket"])
def test_what_this_package_writes_is_no_edit(
    client: FirstHandClient, server: MockServer, tmp_path: Path, at: str
) -> None:
    """Whatever it is, and wherever."""
    dest = str(tmp_path / "signs") if at == "folder" else f"memory://{tmp_path.name}/signs"
    dataset = client.files.download_all(completed_job(server, 3), dest, label="stop")
    client.files.download_all(completed_job(server, 2), dest, label="yield")
    steps: list[Any] = [
        lambda: dataset.exclude(dataset[0]),
        lambda: dataset.include(dataset.excluded[0]),
        lambda: dataset.relabel(dataset[0], "halt"),
        lambda: dataset.add_column("quality", {dataset[0].file_id: 1}),
        lambda: dataset.correct(dataset[0], {"text_extraction": "STOP"}),
        lambda: dataset.exclude(dataset[1]),
        lambda: server.withdraw(dataset[2].file_id),
        lambda: dataset.reconcile(client),
        lambda: dataset.path_of(dataset[0]).unlink(),
        lambda: dataset.repair(client),
    ]
    for step in steps:
        step()
        assert Dataset.open(dest).verify().altered == ()
    assert Dataset.open(dest).copy_to(tmp_path / "copy").verify()


def test_a_run_that_was_killed_is_no_edit(
    quick_server: MockServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it appended rows, or before a rewrite; and the next run knows what was edited meanwhile."""

    class Crash(BaseException):
        pass

    def crash(*_: Any) -> None:
        raise Crash

    call: dict[str, Any] = {**JOB, "files_needed": 3}
    with quick_server.client() as client:
        with monkeypatch.context() as patch:
            patch.setattr("firsthandapi.datasets._manifest.Manifest.close", crash)
            with pytest.raises(Crash):
                client.jobs.collect(tmp_path, **call)
        dataset = Dataset.open(tmp_path)
        assert len(dataset) > 1
        assert dataset.verify().altered == ()
        assert client.jobs.collect(tmp_path, **call).verify()
        written = (tmp_path / MANIFEST).read_bytes()
        dataset.add_column("quality", {dataset[0].file_id: 1})
        (tmp_path / MANIFEST).write_bytes(written)  # as if the new rows had not come
        assert Dataset.open(tmp_path).verify()
        forge(tmp_path, license="CC0-1.0")
        client.jobs.collect(tmp_path, **call)
        assert Dataset.open(tmp_path).verify().altered == (MANIFEST,)


def test_what_a_run_mends_is_no_edit(client: FirstHandClient, signs: Dataset) -> None:
    """Nor are rows in another order, lines that are lost or repeated, and columns of the user's own."""
    job_id, manifest = str(signs[0].job_id), signs.path / MANIFEST
    first, second, third = manifest.read_bytes().splitlines(keepends=True)
    for rows in (
        [third, second, first],
        [first, third],
        [first, second, third, first],
        [first, second, third[:-20]],
        [first.replace(b"}\n", b',"split":"train"}\n'), second, third],
    ):
        manifest.write_bytes(b"".join(rows))
        assert Dataset.open(signs.path).verify().altered == ()
        assert client.files.download_all(job_id, signs.path, label="stop").verify()
    forge(signs.path, sha256="0" * 64)
    opened = Dataset.open(signs.path)
    assert opened.verify().altered == (MANIFEST,)
    assert opened.repair(client)


def test_an_excluded_row_can_be_edited_too(signs: Dataset) -> None:
    """It comes back with its edit."""
    signs.exclude(signs[0])
    hidden = signs.path / ".firsthandapi/excluded/excluded.jsonl"
    hidden.write_bytes(
        hidden.read_bytes().replace(b'"simulated"', b'"live"').replace(b'"license":null', b'"license":"MIT"')
    )
    dataset = Dataset.open(signs.path)
    assert dataset.verify().altered == (MANIFEST,)
    dataset.accept_edits()
    dataset.include(dataset.excluded[0])
    assert dataset.verify()


def test_of_rows_without_a_seal_nothing_is_concluded(tmp_path: Path) -> None:
    """As in a copy without hidden files: only the card knows them."""
    folder_of(tmp_path / "signs", [b"one", b"two"])
    forge(tmp_path / "signs", license="MIT")
    dataset = Dataset.open(tmp_path / "signs")
    assert dataset.verify()
    assert not (dataset.path / seal_file("")).exists()
    dataset.write_card()
    forge(dataset.path, license="CC0-1.0")
    assert Dataset.open(dataset.path).verify().altered == (MANIFEST,)


def test_edits_are_not_accepted_beside_a_run(signs: Dataset) -> None:
    """Nor in a version, whose rows were locked."""
    version = signs.write_lock()
    lock = FolderLock(signs.path, WRITER)
    assert lock.acquire()
    with pytest.raises(ConfigurationError, match="another process is writing"):
        signs.accept_edits()
    lock.release()
    with pytest.raises(ConfigurationError, match="which only reads"):
        Dataset.open(signs.path, version=version).accept_edits()
