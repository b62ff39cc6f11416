"""The records of a dataset, a ledger, or a journal, and orders that are given up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from firsthandapi._base.folder_lock import FolderLock
from firsthandapi._core.orders.record import ORDERS, OrderRecord, marked
from firsthandapi.datasets._books import forget_order, read_books
from firsthandapi.datasets._disk import make_room
from firsthandapi.datasets._journal import journal_at
from firsthandapi.datasets._local import Local
from firsthandapi.datasets._lock import WRITER
from firsthandapi.errors import ConfigurationError, InvalidArgumentError

from .support import JOB

REQUEST = {**JOB, "files_needed": 3}
ORDER = OrderRecord(key="k1", request=marked(REQUEST, "k1"), first_sent_at=1_000.0)


def written(folder: Path, **records: OrderRecord) -> Path:
    """A folder with these records, by the names of their files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, record in records.items():
        (folder / f"{name}.json").write_bytes(record.encode())
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_book_is_recognized_by_what_is_there(tmp_path: Path) -> None:
    """A dataset's records are in its own room; those of a ledger and of a journal at its root."""
    written(tmp_path / "signs" / ORDERS, order=ORDER)
    written(tmp_path / "ledger", k2=OrderRecord(key="k2", request=marked(REQUEST, "k2"), first_sent_at=1.0))
    (tmp_path / "ledger" / "k1.lock").touch()
    records = read_books([str(tmp_path / "signs"), tmp_path / "ledger"])
    assert [(book, record.key) for book, record in records] == [
        (str(tmp_path / "signs"), "k1"),
        (str(tmp_path / "ledger"), "k2"),
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("metadata.jsonl", "has files, but no records of their orders"),
        ("job.json", "is of an earlier version of firsthandapi"),
        ("ledger.json", "is of an earlier version of firsthandapi"),
        ("package.json", r"package\.json is no record of an order, or is damaged: pass the folder"),
        ("notes.txt", "no orders are recorded in"),
        (None, "no orders are recorded in"),
    ],
)
def test_what_is_no_book_says_so(tmp_path: Path, name: str | None, message: str) -> None:
    """Files without records, an earlier version's folder, and any other one."""
    if name is not None:
        (tmp_path / name).write_text("{}\n")
    with pytest.raises(ConfigurationError, match=message):
        read_books([tmp_path])


def test_a_damaged_record_of_a_ledger_or_a_journal_is_named(tmp_path: Path) -> None:
    """What is no record in any other folder is not: its file may be a program's."""
    make_room(written(tmp_path / "ledger"))
    journal_at(str(tmp_path / "journal")).check()
    for book in (tmp_path / "ledger", tmp_path / "journal"):
        assert read_books([book]) == []
        (book / "k1.json").touch()
        with pytest.raises(ConfigurationError, match=r"k1\.json is empty or damaged"):
            read_books([book])


def test_a_ledger_has_as_many_records_as_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more is refused before any is read."""
    monkeypatch.setattr("firsthandapi.datasets._books.MOST_RECORDS", 1)
    with pytest.raises(ConfigurationError, match="more than 1"):
        read_books([written(tmp_path, k1=ORDER, k2=ORDER)])


def test_an_order_of_a_label_makes_room_for_another_one(tmp_path: Path) -> None:
    """The record of a campaign's order stays where it is: its key is derived from its place."""
    campaign = marked({**REQUEST, "metadata": {"firsthandapi_campaign": "fh-1"}}, "k2")
    orders = written(
        tmp_path / ORDERS,
        **{"label-stop": ORDER, "k2": OrderRecord(key="k2", request=campaign, first_sent_at=1.0)},
    )
    for key in ("k1", "k2"):
        forget_order(tmp_path, key)
    assert [record.forgotten for _, record in read_books([tmp_path])] == [True, True]
    (survivor, given_up) = names(orders)
    assert survivor == "k2.json"
    assert given_up.startswith("key-")


def test_a_call_that_is_being_made_is_not_given_up(tmp_path: Path) -> None:
    """Whoever makes it holds its lock; it is listed, since it may have bought a job."""
    journal = journal_at(str(tmp_path / "journal"))
    journal.check()
    entry = journal.begin("0" * 32, replace(ORDER, kind="call"))
    assert [record.key for _, record in read_books([tmp_path / "journal"])] == ["k1"]
    with pytest.raises(InvalidArgumentError, match="key k1 is of no order"):
        forget_order(tmp_path / "journal", "k1")
    journal.release(entry)
    forget_order(tmp_path / "journal", "k1")
    assert read_books([tmp_path / "journal"]) == []


def test_a_call_that_ends_while_a_journal_is_read_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its record is gone then."""
    written(tmp_path, k1=replace(ORDER, kind="call"))
    monkeypatch.setattr(Local, "read", lambda *_: None)
    assert read_books([tmp_path]) == []


def test_nothing_is_given_up_while_another_process_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run may be sending the order."""
    monkeypatch.setattr("firsthandapi.datasets._books._LOCK_SECONDS", 0.0)
    written(tmp_path, k1=ORDER)
    make_room(tmp_path)
    lock = FolderLock(tmp_path, WRITER)
    assert lock.acquire()
    with pytest.raises(ConfigurationError, match="another process is writing to"):
        forget_order(tmp_path, "k1")
    lock.release()
    forget_order(tmp_path, "k1")
    with pytest.raises(InvalidArgumentError, match="key k1 is of no order"):
        forget_order(tmp_path, "k1")
