"""What agents may spend: a file that holds whatever happens to it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

import firsthandapi.mcp._ledger as ledger_module
from firsthandapi import ConfigurationError, FirstHandError, InvalidArgumentError
from firsthandapi._core.orders.record import OrderRecord
from firsthandapi._core.orders.request_hash import request_hash
from firsthandapi.datasets._lock import FolderLock
from firsthandapi.mcp import BudgetError, Ledger
from firsthandapi.mcp._ledger import EntryOfLedger
from processes import end_of


def test_an_order_counts_once_at_any_age(tmp_path: Path) -> None:
    """The same fields are one order, days later and when the clock went back; others count besides."""
    now = 1_800_000_000.0
    ledger = Ledger(tmp_path, 250, lambda: now)
    key, fresh = ledger.reserve({"n": 1}, 100)
    assert fresh
    for hours in (22, 2, 24 * 30, -24 * 60):
        now += hours * 3600
        assert ledger.reserve({"n": 1}, 100) == (key, False)
        assert ledger.look({"n": 1}) == (True, 150)
    ledger.reserve({"n": 2}, 100)
    with pytest.raises(BudgetError) as caught:
        ledger.reserve({"n": 3}, 100)
    assert (caught.value.cost_cents, caught.value.left_cents) == (100, 50)


def test_the_key_of_an_order_never_changes(tmp_path: Path) -> None:
    """A ledger outlives the version that wrote it: another key for the same order would buy it again."""
    key, _ = Ledger(tmp_path, 250).reserve({"n": 1}, 100)
    assert key == "fh-245d0a93dd7ff0c0f9d7c19891735d257a3fdee037b6e73e6c568de9c9df7a7c"


def test_an_order_is_known_by_its_job(tmp_path: Path) -> None:
    """Once the service has shown it; until then by its key, which its metadata name where they have room."""
    ledger = Ledger(tmp_path, 250, lambda: 1_800_000_000.0)
    key, _ = ledger.reserve({"n": 1}, 100)
    request = {"files_needed": 1}
    record = EntryOfLedger(ledger, key, request, fresh=True)
    assert record.known_jobs() == (None, ())
    sent = OrderRecord(request, key, 1_800_000_000.0, None, request_hash=request_hash(request))
    record.create_job(sent)
    again = EntryOfLedger(Ledger(tmp_path, 250), key, request, fresh=False)
    assert again.known_jobs() == (sent, ())
    record.write_job(replace(sent, server_sent_at=1_700_000_000.0))
    assert again.known_jobs() == (replace(sent, server_sent_at=1_700_000_000.0), ())
    record.write_job(sent.with_job({"id": "job_1", "status": "open"}))
    known, _ = again.known_jobs()
    assert known is not None
    assert (known.job, known.server_sent_at) == ({"id": "job_1"}, 1_700_000_000.0)
    full = {"metadata": {str(n): n for n in range(20)}}
    key, _ = ledger.reserve(full, 100)
    pending, _ = EntryOfLedger(ledger, key, full, fresh=True).known_jobs()
    assert pending is not None
    assert pending.body() == full


def test_a_job_that_cannot_be_noted_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk after the POST: the next call finds the job by its key. Before it, nothing is sent."""
    ledger = Ledger(tmp_path, 250)
    key, _ = ledger.reserve({}, 100)
    record = EntryOfLedger(ledger, key, {}, fresh=True)

    def full(*_: object) -> None:
        raise ConfigurationError("No space left on device")

    monkeypatch.setattr(ledger, "_write", full)
    sent = OrderRecord({}, key, 1_800_000_000.0, None, server_sent_at=1_800_000_000.0)
    with pytest.raises(ConfigurationError, match="No space"):
        record.write_job(sent)
    record.write_job(sent.with_job({"id": "job_1"}))


def test_an_order_over_a_smaller_budget_is_not_sent_again(tmp_path: Path) -> None:
    """Whatever it was when the order was made."""
    key, _ = Ledger(tmp_path, 250).reserve({"n": 1}, 150)
    assert Ledger(tmp_path, 150).unaffordable(key) is None
    error = Ledger(tmp_path, 149).unaffordable(key)
    assert error is not None
    assert (error.cost_cents, error.left_cents) == (150, 0)
    assert "--budget-cents" in str(error)


def test_two_accounts_in_one_ledger_do_not_share_orders(tmp_path: Path) -> None:
    """The service of the second knows nothing of the first one's key: the same order is paid, and counts, twice."""
    one, two = Ledger(tmp_path, 250, account="a"), Ledger(tmp_path, 250, account="b")
    assert one.reserve({"n": 1}, 100)[0] != two.reserve({"n": 1}, 100)[0]
    assert one.left_cents() == two.left_cents() == 50


def test_a_call_that_was_refused_leaves_another_counted(tmp_path: Path) -> None:
    """Two calls sent one order: the refusal of one says nothing of the other."""
    ledger = Ledger(tmp_path, 250)
    key, _ = ledger.reserve({}, 100)
    ledger.reserve({}, 100)
    ledger.refused(key)
    assert ledger.left_cents() == 150
    ledger.refused(key)
    assert ledger.left_cents() == 250
    ledger.refused(key)
    assert ledger.left_cents() == 250


def test_an_order_that_nobody_approved_must_be_known(tmp_path: Path) -> None:
    """Whoever was not asked because the order existed, or cost too much, gets no new one when that has changed."""
    ledger = Ledger(tmp_path, 250)
    with pytest.raises(FirstHandError, match="call again"):
        ledger.reserve({"n": 1}, 100, new=False)
    key, _ = ledger.reserve({"n": 1}, 100)
    assert ledger.reserve({"n": 1}, 100, new=False) == (key, False)


def test_coordinates_are_fields_like_any_other(tmp_path: Path) -> None:
    """The order of keys changes nothing; a value without a JSON form is named."""
    ledger = Ledger(tmp_path, 250)
    key, _ = ledger.reserve({"location": {"latitude": 48.1, "longitude": 11.5}}, 100)
    assert ledger.reserve({"location": {"longitude": 11.5, "latitude": 48.1}}, 100) == (key, False)
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    for odd in (float("nan"), float("inf"), deep, 10**5000):
        with pytest.raises(InvalidArgumentError, match="metadata"):
            ledger.reserve({"metadata": {"n": odd}}, 1)
    assert ledger.left_cents() == 150


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"version": 1, "orders": {"k": 5}}',
        b'{"version": 1, "orders": {"k": {"cost_cents": -5, "at": 1.0, "calls": 1}}}',
        b'{"version": 1, "orders": {"k": {"cost_cents": 5',
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_a_damaged_ledger_spends_nothing(tmp_path: Path, content: bytes) -> None:
    """What was spent is unknown then; the file stays as it is, for a person to look at."""
    (tmp_path / "ledger.json").write_bytes(content)
    with pytest.raises(ConfigurationError, match="damaged"):
        Ledger(tmp_path, 250).reserve({}, 1)
    assert (tmp_path / "ledger.json").read_bytes() == content


def test_a_ledger_of_a_newer_version_spends_nothing(tmp_path: Path) -> None:
    """It may count what this version does not understand."""
    (tmp_path / "ledger.json").write_text('{"version": 2, "orders": []}')
    with pytest.raises(ConfigurationError, match="update firsthandapi"):
        Ledger(tmp_path, 250).reserve({}, 1)


def test_a_ledger_that_cannot_be_kept_spends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is a file, a ledger that is a folder, a full disk: each is named, and leaves nothing behind."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="--ledger"):
        Ledger(tmp_path / "file", 250).reserve({}, 1)
    (tmp_path / "a" / "ledger.json").mkdir(parents=True)
    with pytest.raises(ConfigurationError, match="could not read"):
        Ledger(tmp_path / "a", 250).reserve({}, 1)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    ledger = Ledger(tmp_path / "b", 250)
    ledger.reserve({"n": 1}, 100)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(ConfigurationError, match="No space left on device; nothing was ordered"):
            ledger.reserve({"n": 2}, 100)
    assert ledger.left_cents() == 150
    assert {path.name for path in (tmp_path / "b").iterdir()} == {"ledger.json", ".firsthandapi.lock"}


def test_a_ledger_behind_a_link_is_one_ledger(tmp_path: Path) -> None:
    """The link stays a link, and whoever comes by another way counts the same orders."""
    here, there = Ledger(tmp_path / "here", 250), tmp_path / "there"
    here.reserve({"n": 1}, 100)
    there.mkdir()
    try:
        (there / "ledger.json").symlink_to(here.path)
    except OSError:
        pytest.skip("this system makes no links")
    linked = Ledger(there, 250)
    linked.reserve({"n": 2}, 100)
    assert (there / "ledger.json").is_symlink()
    assert here.left_cents() == linked.left_cents() == 50


def test_without_a_home_directory_the_ledger_needs_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose user has no name: it is said, and nothing is spent."""

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(ConfigurationError, match="--ledger"):
        ledger_module.default_folder("fh_test_x")


def test_a_ledger_that_stays_locked_spends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was stopped in the wrong moment costs a call, not an answer."""
    monkeypatch.setattr(ledger_module, "_LOCK_SECONDS", 0.05)
    ledger = Ledger(tmp_path, 250)
    lock = FolderLock(tmp_path)
    assert lock.acquire()
    with pytest.raises(ConfigurationError, match="locked by another process: nothing was ordered"):
        ledger.reserve({}, 1)
    lock.release()
    ledger.reserve({}, 1)


def test_orders_of_many_threads_and_processes_add_up(tmp_path: Path) -> None:
    """Not one is lost, and not one is sold over the budget."""
    code = (
        "import sys; from pathlib import Path; from firsthandapi.mcp import BudgetError, Ledger\n"
        "ledger = Ledger(Path(sys.argv[1]), 300)\n"
        "for number in range(12):\n"
        "    try: print(ledger.reserve({'n': number, 'by': sys.argv[2]}, 10)[0])\n"
        "    except BudgetError: pass\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), "process"], stdout=subprocess.PIPE, text=True
    )
    keys: list[str] = []

    def reserve(name: str) -> None:
        ledger = Ledger(tmp_path, 300)
        for number in range(12):
            with contextlib.suppress(BudgetError):
                keys.append(ledger.reserve({"n": number, "by": name}, 10)[0])

    threads = [threading.Thread(target=reserve, args=(str(each),)) for each in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    out, _ = end_of(process)
    keys += out.split()
    assert len(set(keys)) == len(keys) == 30
    assert set(json.loads((tmp_path / "ledger.json").read_text())["orders"]) == set(keys)
