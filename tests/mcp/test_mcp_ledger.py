"""What agents may spend: a folder of records that holds whatever happens to it."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

import firsthandapi.mcp._ledger as ledger_module
from firsthandapi import ConfigurationError, FirstHandError, InvalidArgumentError
from firsthandapi._base.folder_lock import FolderLock
from firsthandapi._base.names import ROOM
from firsthandapi._core.orders.ordering import Walk
from firsthandapi._core.orders.record import Account, OrderRecord, marked
from firsthandapi.datasets._lock import WRITER
from firsthandapi.mcp import BudgetError, Ledger
from firsthandapi.mcp._ledger import OrderInLedger
from processes import end_of

NOW = 1_800_000_000.0
MINE = Account("https://api.example.com", "fingerprint", "test")


def record_of(ledger: Ledger, number: int, cents: int = 100) -> OrderRecord:
    """An order as it is before its first POST."""
    key = ledger.key({"n": number})
    request = {"files_needed": 1, "price_per_file_cents": cents, "metadata": {"n": number}}
    return OrderRecord("order", key, marked(request, key), NOW, account=MINE)


def test_the_records_are_what_was_spent(tmp_path: Path) -> None:
    """Whatever was sent counts, in each session; what would cost more than is left is refused, and not written."""
    ledger = Ledger(tmp_path, 250, account=MINE)
    first = record_of(ledger, 1)
    ledger.write(first)
    assert Ledger(tmp_path, 250).left_cents() == 150
    assert (ledger.room(first.key or "", 100), ledger.room("other", 100)) == ((0, 150), (100, 150))
    ledger.write(record_of(ledger, 2))
    with pytest.raises(BudgetError, match="--budget-cents") as caught:
        ledger.write(record_of(ledger, 3))
    assert (caught.value.cost_cents, caught.value.left_cents) == (100, 50)
    assert ledger.left_cents() == 50
    ledger.remove(first.key or "")
    assert ledger.left_cents() == 150
    assert {path.stem for path in tmp_path.glob("*.*")} == {".firsthandapi", record_of(ledger, 2).key}


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="Windows has no permission bits")
def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    """Nor may anybody else take its locks, whatever the umask of the program."""
    mask = os.umask(0)
    try:
        ledger = Ledger(tmp_path / "ledger", 250)
        ledger.write(record_of(ledger, 1))
        turn = ledger.turn("k")
        assert turn.acquire()
        turn.release()
    finally:
        os.umask(mask)
    room = ledger.folder / ROOM
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in (ledger.folder, room)} == {0o700}
    files = [*ledger.folder.glob("*.json"), room / "k.lock"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_the_key_of_an_order_never_changes(tmp_path: Path) -> None:
    """A ledger outlives the version that wrote it: another key for the same order would buy it again."""
    ledger = Ledger(tmp_path, 250, account=MINE)
    assert ledger.key({"n": 1}) == "fh-b99d1b53d7d7508d67c10754f38c134b657e4fa698a0c8fe208a643158ac3181"
    assert (
        ledger.campaign_key("/signs") == "fh-8fdc28239cad1081d3483c2bf42e6cab497804af72cdc4a8f4bd1141f6247049"
    )


def test_two_accounts_in_one_ledger_do_not_share_orders(tmp_path: Path) -> None:
    """The service of the second knows nothing of the first one's key: the same order is paid, and counts, twice."""
    first = Ledger(tmp_path, 250, account=MINE)
    second = Ledger(tmp_path, 250, account=replace(MINE, base_url="https://other.example.com"))
    assert first.key({"n": 1}) != second.key({"n": 1})
    first.write(record_of(first, 1))
    second.write(record_of(second, 1))
    assert first.left_cents() == second.left_cents() == 50


def test_a_refused_order_counts_until_a_late_search_has_not_found_it(tmp_path: Path) -> None:
    """For a minute nobody can know: the message says what is held. One that was bought, or of another account, stays
    counted; so does one whose job would show no key."""
    now = NOW
    ledger = Ledger(tmp_path, 400, lambda: now, account=MINE)
    second = Ledger(tmp_path, 400, lambda: now)
    free, bought = record_of(ledger, 1).refused(NOW, NOW), record_of(ledger, 2).refused(NOW, None)
    theirs = replace(record_of(second, 3), account=None).refused(NOW, None)
    full = replace(record_of(ledger, 4), request={"files_needed": 1, "price_per_file_cents": 100})
    for record in (free, bought, theirs, full.refused(NOW, None)):
        ledger.write(record)
    held = (
        "0 of 400 cents left, and 200 more are held for a minute by orders that the service refused: nothing"
    )
    with pytest.raises(BudgetError, match=f"{held} was ordered; call again in a minute, ask"):
        ledger.write(record_of(ledger, 5))
    jobs = [{"id": "job_2", "metadata": {"firsthandapi_key": bought.key}}]
    now += 59
    assert ledger.refused() == []
    ledger.looked([], Walk(now, now))
    assert ledger.left_cents() == 0
    now += 1
    assert {record.key for record in ledger.refused()} == {free.key, bought.key}
    ledger.looked(jobs, Walk(now, now - 1))  # by the service's clock it is too early
    assert ledger.left_cents() == 0
    assert ledger.has_job("job_2")
    ledger.looked(jobs, Walk(now, now))
    assert (ledger.left_cents(), ledger.refused()) == (100, [])
    assert [record.key for record in second.refused()] == [theirs.key]


def test_a_search_frees_nothing_where_a_job_may_be_the_order_with_its_metadata_rewritten(
    tmp_path: Path,
) -> None:
    """Unless a job of this ledger has shown its key unchanged, or the job has other terms."""
    ledger = Ledger(tmp_path, 300, account=MINE)
    refused = record_of(ledger, 1).refused(NOW, None)
    ledger.write(refused)
    rewritten = {"id": "job_8", "metadata": {"firsthandapi_key": (refused.key or "").upper()}}
    search = Walk(NOW + 60, None, (rewritten,))
    ledger.looked([], search)
    assert ledger.left_cents() == 200
    ledger.looked([], replace(search, unmarked=({**rewritten, "files_needed": 999},)))
    assert ledger.left_cents() == 300
    ledger.write(refused)
    seen = record_of(ledger, 2)
    ledger.write(seen.with_job({"id": "job_2", "metadata": {"firsthandapi_key": seen.key}}))
    ledger.looked([], search)
    assert ledger.left_cents() == 200


def test_an_order_that_costs_nothing_costs_again_before_it_is_sent_again(tmp_path: Path) -> None:
    """As far as the budget goes, and as the person was asked; a job that was found after all counts in any case."""
    ledger = Ledger(tmp_path, 150, account=MINE)
    free = record_of(ledger, 1).refused(NOW, None).not_found(NOW + 60, None)
    ledger.write(free)
    assert (ledger.left_cents(), ledger.obstacle(free.key or "")) == (150, None)
    with pytest.raises(FirstHandError, match="another session changed the budget"):
        ledger.write(free.sent_again(), most_more=99)
    ledger.write(record_of(ledger, 2))
    with pytest.raises(BudgetError, match="50 of 150 cents left: nothing was ordered; ask for fewer"):
        ledger.write(free.sent_again())
    assert ledger.record(free.key or "") == free
    ledger.write(free.with_job({"id": "job_1"}))
    assert (ledger.left_cents(), ledger.room("k", 0)) == (0, (0, -50))


def test_an_order_over_a_smaller_budget_is_not_sent_again(tmp_path: Path) -> None:
    """Whatever it was when the order was made. One that the person has given up costs nothing, and is sent again with
    another key."""
    ledger = Ledger(tmp_path, 250, account=MINE)
    record = record_of(ledger, 1)
    key = record.key or ""
    assert ledger.obstacle(key) is None
    ledger.write(record)
    assert Ledger(tmp_path, 100).obstacle(key) is None
    error = Ledger(tmp_path, 99).obstacle(key)
    assert isinstance(error, BudgetError)
    assert (error.cost_cents, error.left_cents) == (100, 0)
    assert "--budget-cents" in str(error)
    ledger.write(replace(record, forgotten=True))
    assert ledger.left_cents() == 250
    ledger.write(record_of(ledger, 2))
    assert Ledger(tmp_path, 99).obstacle(key) is None  # though the budget is spent
    assert ledger.key({"n": 1}) not in (key, ledger.key({"n": 2}))


def test_a_job_that_cannot_be_recorded_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk after the POST: the next call finds the job by its key. Before it, nothing is sent."""
    ledger = Ledger(tmp_path, 250, account=MINE)
    record = record_of(ledger, 1)
    order = OrderInLedger(ledger, record.key or "", None)
    order.create(record)
    assert (order.is_new, order.known_order()) == (True, (record, ()))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigurationError, match="No space left on device; nothing was ordered"):
        order.write(replace(record, server_sent_at=NOW))
    order.write(record.with_job({"id": "job_1"}))
    with pytest.raises(ConfigurationError, match="No space"):
        ledger.write(record_of(ledger, 2))
    assert order.known_order() == (record, ())
    order.remove()
    assert order.known_order() == (None, ())
    assert [path.name for path in tmp_path.iterdir()] == [".firsthandapi"]


def test_coordinates_are_fields_like_any_other(tmp_path: Path) -> None:
    """The order of keys changes nothing; a value without a JSON form is named."""
    ledger = Ledger(tmp_path, 250)
    key = ledger.key({"location": {"latitude": 48.1, "longitude": 11.5}})
    assert ledger.key({"location": {"longitude": 11.5, "latitude": 48.1}}) == key
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    for odd in (float("nan"), float("inf"), deep, 10**5000):
        with pytest.raises(InvalidArgumentError, match="metadata"):
            ledger.key({"metadata": {"n": odd}})


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_a_damaged_record_spends_nothing(tmp_path: Path, content: bytes) -> None:
    """What was spent is unknown then; the file is named, and stays as it is for a person to look at."""
    ledger = Ledger(tmp_path, 250, account=MINE)
    ledger.write(record_of(ledger, 1))
    (path,) = tmp_path.glob("*.json")
    path.write_bytes(content)
    for spend in (lambda: ledger.write(record_of(ledger, 2)), lambda: ledger.allot("a", 1)):
        with pytest.raises(ConfigurationError, match=f"{path.name} is empty or damaged"):
            spend()
    assert path.read_bytes() == content


def test_a_ledger_of_another_version_spends_nothing(tmp_path: Path) -> None:
    """A later one may count what this version does not understand; of an earlier one, nothing is continued."""
    ledger = Ledger(tmp_path, 250)
    (tmp_path / "k.json").write_text('{"version": 2}')
    with pytest.raises(ConfigurationError, match="upgrade firsthandapi"):
        ledger.write(record_of(ledger, 1))
    (tmp_path / "k.json").rename(tmp_path / "ledger.json")
    with pytest.raises(ConfigurationError, match=r"ledger\.json is of an earlier version of firsthandapi"):
        ledger.write(record_of(ledger, 1))


def test_a_ledger_that_cannot_be_kept_spends_nothing(tmp_path: Path) -> None:
    """A folder that is a file, or a record that is a folder or leads elsewhere: each is named."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="--ledger"):
        Ledger(tmp_path / "file", 250).left_cents()
    (tmp_path / "a" / "k.json").mkdir(parents=True)
    with pytest.raises(ConfigurationError, match=r"k\.json is not a plain file"):
        Ledger(tmp_path / "a", 250).left_cents()
    ledger = Ledger(tmp_path / "b", 250)
    ledger.write(record_of(ledger, 1))
    (path,) = ledger.folder.glob("*.json")
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match=f"{path.name} is not a plain file"):
        ledger.left_cents()


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
    ledger.left_cents()
    lock = FolderLock(tmp_path, WRITER)
    assert lock.acquire()
    with pytest.raises(ConfigurationError, match="locked by another process: nothing was ordered"):
        ledger.left_cents()
    lock.release()
    ledger.left_cents()


@pytest.mark.slow
def test_orders_of_many_threads_and_processes_add_up(tmp_path: Path) -> None:
    """Not one is lost, and not one is sold over the budget."""
    code = (
        "import sys; from pathlib import Path; from firsthandapi._core.orders.record import OrderRecord\n"
        "from firsthandapi.mcp import BudgetError, Ledger\n"
        "ledger = Ledger(Path(sys.argv[1]), 300)\n"
        "for number in range(12):\n"
        "    key = ledger.key({'n': number, 'by': 'process'})\n"
        "    try: ledger.write(OrderRecord('order', key, {'files_needed': 1, 'price_per_file_cents': 10}, 1.0))\n"
        "    except BudgetError: pass\n"
        "    else: print(key)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    keys: list[str] = []

    def order(by: int) -> None:
        ledger = Ledger(tmp_path, 300)
        for number in range(12):
            record = record_of(ledger, 100 * by + number, 10)
            with contextlib.suppress(BudgetError):
                ledger.write(record)
                keys.append(record.key or "")

    threads = [threading.Thread(target=order, args=(by,)) for by in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    out, _ = end_of(process)
    keys += out.split()
    assert len(set(keys)) == len(keys) == 30
    assert {path.stem for path in tmp_path.glob("*.json")} == set(keys)
