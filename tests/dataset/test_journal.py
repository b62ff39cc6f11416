"""The folder of the journal: on the disk, under locks, and empty of what has ended."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from firsthandapi._base.host import locking, replacing
from firsthandapi._base.host.byte_locks import try_lock
from firsthandapi._core.orders.journal import Entry
from firsthandapi._core.orders.record import Account, OrderRecord
from firsthandapi.datasets import _journal
from firsthandapi.datasets._journal import LOCK_FILE, JournalFolder, LockedError, check_journal, journal_at
from firsthandapi.errors import ConfigurationError
from processes import unmeasured

ACCOUNT = Account("https://api.example", "f1", "live")
DIGEST = "0" * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "orders.journal"


@pytest.fixture
def folder(path: Path) -> Iterator[JournalFolder]:
    """A journal; whatever it has open is closed."""
    yield (folder := JournalFolder(str(path)))
    let_go(folder)


def let_go(folder: JournalFolder) -> None:
    """As a process does that ends."""
    folder._held.clear()
    folder._close_if_idle()


def begin(folder: JournalFolder, number: int = 1, digest: str = DIGEST) -> Entry:
    """A POST that is under way from now on."""
    return folder.begin(digest, OrderRecord("call", f"k{number}", {}, 1.8e9 + number, account=ACCOUNT))


def keys(folder: JournalFolder) -> list[str]:
    return [pending.key for pending in folder.pending()]


def names(folder: JournalFolder) -> set[str]:
    return {child.name for child in Path(folder.path).iterdir()} - {LOCK_FILE}


def full(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


# One POST under way in a process of its own, which then waits to be killed.
OTHER = """if True:
    import sys
    from firsthandapi._core.orders.record import Account, OrderRecord
    from firsthandapi.datasets._journal import JournalFolder
    folder = JournalFolder(sys.argv[1])
    folder.begin("0" * 32, OrderRecord("call", "other", {}, 1.8e9, account=Account("https://api.example", "f1")))
    print("begun", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def rival(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-c", OTHER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=unmeasured()
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        yield process
        process.kill()


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="Windows has no permission bits")
def test_only_its_owner_may_read_it(folder: JournalFolder, path: Path) -> None:
    """A journal has what was ordered. A folder that others may read is theirs no longer."""
    entry = begin(folder)
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert {stat.S_IMODE(child.stat().st_mode) for child in path.iterdir()} == {0o600}
    folder.release(entry)
    path.chmod(0o755)
    folder.check()
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    folder.write(entry)
    assert stat.S_IMODE((path / entry.name).stat().st_mode) == 0o600


def test_a_call_that_is_under_way_is_not_unknown(
    folder: JournalFolder, rival: subprocess.Popen[bytes]
) -> None:
    """Not in this process, and not in another, until that one dies."""
    mine = begin(folder)
    assert keys(folder) == []
    folder.release(mine)
    assert keys(folder) == ["k1"]
    rival.kill()
    rival.wait(60)
    assert keys(folder) == ["other", "k1"]


def test_the_oldest_is_first(folder: JournalFolder) -> None:
    """Whatever their files are called."""
    for number in (1, 3, 2):
        folder.release(begin(folder, number, f"{9 - number}" * 32))
    assert keys(folder) == ["k1", "k2", "k3"]


def test_what_continues_a_call_keeps_it(folder: JournalFolder, path: Path) -> None:
    """What the block takes out of the list is under way; the others are free again."""
    for number in (1, 2):
        folder.release(begin(folder, number))
    with folder.unresolved(DIGEST) as entries:
        mine = entries.pop(0)
        elsewhere = JournalFolder(str(path))
        assert mine.record.key == "k1"
        with pytest.raises(LockedError), elsewhere.unresolved(DIGEST, seconds=0):
            pass
        with elsewhere.unresolved("1" * 32, seconds=0) as nothing:  # other calls wait for nobody
            assert nothing == []
    assert keys(folder) == keys(elsewhere) == ["k2"]
    folder.end(mine)
    assert len(names(folder)) == 1


def test_a_call_reads_no_record_of_another_call(
    folder: JournalFolder, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is pending, it costs a listing of names; nor does a call read those that are under way."""
    for number in range(5):
        folder.release(begin(folder, number, f"{number}" * 32))
    begin(folder, 6, "a" * 32)
    read: list[str] = []
    read_bytes = Path.read_bytes

    def noted(path: Path) -> bytes:
        read.append(path.name)
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", noted)
    for digest in ("3" * 32, "a" * 32):
        with folder.unresolved(digest) as entries:
            assert [entry.record.key for entry in entries] == (["k3"] if digest[0] == "3" else [])
    assert [name[:2] for name in read] == ["33"]


def test_a_call_that_ends_meanwhile(
    folder: JournalFolder, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name was listed, but its file is gone: its number is free again."""
    entry = begin(folder)
    elsewhere = JournalFolder(str(path))
    taken_within = locking.taken_within

    def ending(seconds: float, take: Callable[[], bool]) -> bool:
        folder.end(entry)
        return taken_within(seconds, take)

    monkeypatch.setattr(_journal, "taken_within", ending)
    with elsewhere.unresolved(DIGEST) as entries:
        assert entries == []
        assert elsewhere._held == {0}
    assert elsewhere._fd == -1


def test_a_program_may_read_the_folder_meanwhile(folder: JournalFolder, path: Path) -> None:
    """To open and close its files takes no lock away."""
    begin(folder)
    for child in path.iterdir():
        child.read_bytes()
    assert keys(JournalFolder(str(path))) == []


def test_what_has_ended_leaves_nothing(folder: JournalFolder) -> None:
    """A folder that nobody uses can be removed, on Windows too."""
    mine = begin(folder)
    assert folder._fd >= 0
    folder.end(mine)
    assert folder._fd == -1
    assert keys(folder) == []
    assert names(folder) == set()


def test_ctrl_c_while_it_is_closed(
    folder: JournalFolder, rival: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next call opens it anew: the number of the closed file may be that of another one by now."""
    close = os.close

    def interrupted(fd: int) -> None:
        monkeypatch.undo()
        close(fd)
        raise KeyboardInterrupt

    entry = begin(folder, 1)
    monkeypatch.setattr(os, "close", interrupted)
    with pytest.raises(KeyboardInterrupt):
        folder.release(entry)
    two = begin(folder, 2)
    assert keys(folder) == ["k1"]
    folder.end(two)
    rival.kill()


def test_forgetting(folder: JournalFolder) -> None:
    """By the key, and only what is unknown."""
    entry = begin(folder)
    assert not folder.forget("k1")
    folder.release(entry)
    assert not folder.forget("other")
    assert folder.forget("k1")
    assert not folder.forget("k1")


def test_threads_and_objects_share_a_folder(path: Path) -> None:
    """None loses the record of another."""
    folders = [JournalFolder(str(path)) for _ in range(3)]

    def work(number: int) -> None:
        folder = folders[number % 3]
        for step in range(5):
            entry = begin(folder, 100 * number + step)
            (folder.release if step == 4 else folder.end)(entry)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(keys(folders[0])) == sorted(f"k{100 * number + 4}" for number in range(6))
    assert {folder._fd for folder in folders} == {-1}


def test_a_number_that_another_call_has(
    folder: JournalFolder, rival: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of this process or of another: the next number is taken."""
    (name,) = names(folder)
    taken = int(name.split("-")[1].removesuffix(".json"), 16)
    numbers = iter([7, taken, 7, 8])
    monkeypatch.setattr("random.randrange", lambda *_: next(numbers))
    assert [begin(folder).slot, begin(folder).slot] == [7, 8]
    rival.kill()


@pytest.mark.parametrize("step", ["write", "create"])
def test_a_crash_while_a_record_is_written_leaves_none(
    folder: JournalFolder, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Its file has another name until it is complete; that of a process which has died is removed by the next call."""
    entry = begin(folder, 1)

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "link" if step == "create" else "replace", killed)
        patch.setattr(replacing, "_discard", lambda _: None)
        with pytest.raises(KeyboardInterrupt):
            begin(folder, 2) if step == "create" else folder.write(entry)
    folder.release(entry)
    assert len(names(folder)) == 2
    assert keys(folder) == ["k1"]
    assert names(folder) == {entry.name}


def test_ctrl_c_once_a_record_has_its_name(folder: JournalFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its call was not sent, so it is none whose outcome is unknown."""

    def stopped(_: Any) -> None:
        raise KeyboardInterrupt

    folder.check()
    with monkeypatch.context() as patch:
        patch.setattr(replacing, "sync_directory", stopped)
        with pytest.raises(KeyboardInterrupt):
            begin(folder)
    assert names(folder) == set()
    assert folder._held == set()


def test_a_disk_that_is_full_begins_nothing(folder: JournalFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The call ends before it sends anything, and leaves nothing."""
    with monkeypatch.context() as patch:
        patch.setattr(replacing, "flush", full)
        with pytest.raises(
            ConfigurationError, match="No space left on device; nothing was sent; free disk space"
        ):
            begin(folder)
    assert folder._fd == -1
    assert keys(folder) == []
    assert names(folder) == set()


def test_a_record_that_the_disk_does_not_remove(
    folder: JournalFolder, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To nobody it is a call that was stopped, as long as this process lives."""
    entry = begin(folder)
    monkeypatch.setattr(replacing, "remove", full)
    with pytest.raises(
        ConfigurationError, match=rf"{entry.name} cannot be removed: No space .*; remove the file"
    ):
        folder.end(entry)
    assert keys(folder) == keys(JournalFolder(str(path))) == []
    let_go(folder)
    assert keys(folder) == ["k1"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("cut", "is empty or damaged"),
        ("unreadable", r"cannot be read: .*\.json is not a plain file; nothing was sent"),
        ("elsewhere", r"cannot be read: .*\.json is not a plain file; nothing was sent"),
    ],
)
def test_a_record_that_is_damaged_stops_its_call_alone(
    folder: JournalFolder, path: Path, damage: str, message: str
) -> None:
    """With its path; what could be guessed of it is not."""
    entry = begin(folder)
    folder.release(entry)
    if damage == "cut":
        (path / entry.name).write_bytes(b'{"version": 1')
    elif damage == "elsewhere":
        (path / entry.name).rename(path.parent / "elsewhere")
        (path / entry.name).symlink_to(path.parent / "elsewhere")
    else:
        (path / entry.name).unlink()
        (path / entry.name).mkdir()
    for look in (folder.pending, lambda: folder.forget("k1"), lambda: folder.unresolved(DIGEST).__enter__()):
        with pytest.raises(ConfigurationError, match=rf"{path}.* {message}"):
            look()
        assert folder._fd == -1
    with folder.unresolved("1" * 32) as entries:
        assert entries == []


@pytest.mark.parametrize("kind", ["folder", "lock file"])
@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="Windows removes no open file")
def test_a_folder_that_is_removed_is_created_again(folder: JournalFolder, path: Path, kind: str) -> None:
    """What was under way stays under way."""
    entry = begin(folder, 1)
    for name in [entry.name, LOCK_FILE] if kind == "folder" else [LOCK_FILE]:
        (path / name).unlink()
    if kind == "folder":
        path.rmdir()
        assert folder._slots("") == []
    two = begin(folder, 2)
    folder.release(two)
    assert keys(JournalFolder(str(path))) == ["k2"]
    folder.end(entry)
    assert keys(folder) == ["k2"]


def test_a_lock_that_nobody_gives_back(folder: JournalFolder, path: Path) -> None:
    """Such as that of a process which is stopped: the call ends before it sends anything."""
    folder.release(begin(folder))
    fd = os.open(path / LOCK_FILE, os.O_RDWR)
    assert try_lock(fd, 0)
    with pytest.raises(LockedError, match="is locked by another process; nothing was sent"):
        folder.unresolved(DIGEST, seconds=0.01).__enter__()
    assert folder._fd == -1
    begin(folder)  # another call need not look
    os.close(fd)


def test_a_file_system_without_locks(
    folder: JournalFolder, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said when the client is created."""

    def refuse(*_: object) -> bool:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(_journal, "try_lock", refuse)
    with pytest.raises(
        ConfigurationError, match="cannot be written to: No locks available; nothing was sent"
    ):
        check_journal(path)
    assert journal_at(str(path))._fd == -1


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="Windows opens what a link leads to")
def test_a_link_in_place_of_the_lock(path: Path, tmp_path: Path) -> None:
    """Nothing is locked where the link leads: another process may have another link."""
    path.mkdir()
    (path / LOCK_FILE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match=r"cannot be written to: .*links"):
        check_journal(path)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("kind", ["file", "missing", "pipe", "below a file", "another folder"])
def test_a_path_that_cannot_be_written(kind: str, tmp_path: Path) -> None:
    """It is refused when the client is created, and what exists stays as it is."""
    path = tmp_path / "x"
    expected = "cannot be written to"
    if kind == "file":
        path.write_text('{"firsthandapi_journal": 1}\n')
        expected = (
            "is a file: a journal of an earlier version, or another file; it stays as it is, and nothing"
        )
    elif kind == "pipe":
        os.mkfifo(path)
        expected = "is a file"
    elif kind == "another folder":
        path.mkdir(0o755)
        (path / "metadata.jsonl").write_text("")
        expected = "is not a journal of firsthandapi: it contains other files"
    else:
        path = path / "y"
        if kind == "below a file":
            path.parent.write_text("")
    paths = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigurationError, match=rf"journal: .*{expected}.*choose another path"):
        check_journal(path)
    assert sorted(tmp_path.rglob("*")) == paths
    if kind == "file":
        with pytest.raises(ConfigurationError, match=expected):
            journal_at(str(path))._slots("")


@pytest.mark.parametrize("path", [5, "", "a\0b", b"\xff"])
def test_what_is_no_path(path: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said in words; bytes are a path where the system takes them."""
    monkeypatch.chdir(tmp_path)
    if path == b"\xff":
        assert Path(check_journal(path)).exists()
    else:
        with pytest.raises(ConfigurationError, match="journal must be the path of a folder"):
            check_journal(path)


def test_a_path_stays_what_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program may change its folder; `~` is the home directory; and one folder is one object."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert check_journal("a.journal") == check_journal("~/a.journal") == str(tmp_path / "a.journal")
    (tmp_path / "b").symlink_to(tmp_path / "a.journal")
    assert journal_at(str(tmp_path / "b")) is journal_at(str(tmp_path / "a.journal"))


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="Windows has no fork")
def test_a_forked_child_has_no_call_under_way(folder: JournalFolder, path: Path) -> None:
    """It lets go of its parent's lock, and of nothing that its parent has under way."""
    shared = journal_at(str(path))
    begin(shared, 1)
    # With it, a child that outlives its parent would keep the locks.
    inherited = Path(f"/dev/fd/{shared._fd}")
    pid = os.fork()
    if pid == 0:  # pragma: no cover # a child is not measured
        is_closed = not inherited.exists()
        two = begin(shared, 2)
        pending = keys(shared)
        shared.end(two)
        os._exit(0 if is_closed and pending == [] and shared._fd == -1 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert keys(folder) == []
    let_go(shared)
    assert keys(folder) == ["k1"]
