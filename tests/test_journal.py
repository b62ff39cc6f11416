"""The file of the journal: on the disk, under locks, small."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from firsthandapi import _journal
from firsthandapi._core.orders import journal as rules
from firsthandapi._core.orders.journal import HEADER, Account, Entry
from firsthandapi._journal import JournalFile, LockedError, Step, check_journal, journal_at
from firsthandapi.errors import ConfigurationError
from processes import unmeasured


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "orders.journal"


@pytest.fixture
def file(path: Path) -> Iterator[JournalFile]:
    """A journal; whatever it has open is closed."""
    yield (file := JournalFile(str(path)))
    file._live.clear()
    file._close_if_idle()


def entry(file: JournalFile, number: int = 1, body: str = "{}") -> Entry:
    account = Account("https://api.example", "f1", "live")
    return Entry(f"e{number}", f"k{number}", False, 1.8e9, file.writer, account, "/v1/jobs", body=body)


def begin(file: JournalFile, number: int = 1, body: str = "{}") -> Entry:
    """A POST that is under way from now on."""

    def decide(_: object, __: object) -> Step[Entry]:
        made = entry(file, number, body)
        return Step(made, (rules.began(made),), begins=made)

    return file.step(decide)


def keys(file: JournalFile) -> list[str]:
    return [each.key for each in file.unknown()]


# One POST under way in a process of its own, which then waits to be killed.
OTHER = """if True:
    import sys
    from firsthandapi._core.orders import journal as rules
    from firsthandapi._core.orders.journal import Account, Entry
    from firsthandapi._journal import JournalFile, Step
    file = JournalFile(sys.argv[1])
    def decide(entries, is_live):
        made = Entry("other", "other", False, 1.8e9, file.writer, Account("https://api.example", "f1"), "/v1/jobs")
        return Step(made, (rules.began(made),), begins=made)
    file.step(decide)
    print("begun", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-c", OTHER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=unmeasured()
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        yield process
        process.kill()


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="Windows has no permission bits")
def test_only_its_owner_may_read_it(file: JournalFile, path: Path) -> None:
    """A journal has what was ordered. A file that others may read is theirs no longer."""
    file.check()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    file.check()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_a_call_that_is_under_way_is_not_unknown(file: JournalFile, other: subprocess.Popen[bytes]) -> None:
    """Not in this process, and not in another, until that one dies."""
    mine = begin(file)
    assert keys(file) == []
    file.leave(mine, rules.lost(mine))
    assert keys(file) == ["k1"]
    other.kill()
    other.wait(60)
    assert keys(file) == ["other", "k1"]


def test_a_program_may_read_the_file_meanwhile(file: JournalFile, path: Path) -> None:
    """To open and close it takes no lock away."""
    begin(file)
    path.read_bytes()
    assert keys(JournalFile(str(path))) == []


def test_what_has_ended_leaves_nothing_open(file: JournalFile) -> None:
    """A file that nobody uses can be removed, on Windows too."""
    mine = begin(file)
    assert file._fd >= 0
    file.leave(mine, rules.ended(mine))
    assert file._fd == -1
    assert keys(file) == []


def test_ctrl_c_while_it_is_closed(
    file: JournalFile, other: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next call opens it anew: the number of the closed file may be that of another one by now."""
    close = os.close

    def interrupted(fd: int) -> None:
        monkeypatch.undo()
        close(fd)
        raise KeyboardInterrupt

    one = begin(file, 1)
    monkeypatch.setattr(os, "close", interrupted)
    with pytest.raises(KeyboardInterrupt):
        file.leave(one, rules.lost(one))
    two = begin(file, 2)
    assert keys(file) == ["k1"]
    file.leave(two, rules.ended(two))
    other.kill()


def test_forgetting(file: JournalFile) -> None:
    """By the key, and only what is unknown."""
    one = begin(file)
    assert not file.forget("k1")
    file.leave(one, rules.lost(one))
    assert not file.forget("other")
    assert file.forget("k1")
    assert not file.forget("k1")


def test_threads_and_objects_share_a_file(path: Path) -> None:
    """None loses the line of another."""
    files = [JournalFile(str(path)) for _ in range(3)]

    def work(number: int) -> None:
        file = files[number % 3]
        for step in range(5):
            made = begin(file, 100 * number + step)
            file.leave(made, rules.lost(made) if step == 4 else rules.ended(made))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(keys(files[0])) == sorted(f"k{100 * number + 4}" for number in range(6))


def test_it_stays_small(file: JournalFile, path: Path, other: subprocess.Popen[bytes]) -> None:
    """Finished calls go in time, beside a call of another process, which stays what it is."""
    lost = begin(file, 0)
    file.leave(lost, rules.lost(lost))
    for number in range(1, 120):
        made = begin(file, number, body="x" * 2_000)
        file.leave(made, rules.ended(made))
        assert path.stat().st_size < rules.COMPACTED_OVER + 3_000
    assert keys(file) == ["k0"]
    other.kill()
    other.wait(60)
    assert set(keys(file)) == {"k0", "other"}


def test_a_crash_while_it_is_compacted_loses_nothing(
    file: JournalFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it strikes: between any two writes, and in the middle of one."""
    with monkeypatch.context() as patch:
        patch.setattr(rules, "COMPACTED_OVER", 10**9)
        lost = begin(file, 0)
        file.leave(lost, rules.lost(lost))
        for number in range(1, 36):
            made = begin(file, number, body="x" * 2_000)
            file.leave(made, rules.ended(made))
    assert path.stat().st_size > rules.COMPACTED_OVER
    write, states = _journal._write, list[bytes]()

    def torn(fd: int, at: int, content: bytes) -> None:
        for cut in (0, 1, len(content) // 2, len(content) - 1):
            write(fd, at, content[:cut])
            states.append(path.read_bytes())
        write(fd, at, content)
        states.append(path.read_bytes())

    monkeypatch.setattr(_journal, "_write", torn)
    file.check()
    monkeypatch.undo()
    assert path.stat().st_size < 1_000
    assert len(states) == 10
    for state in states:
        path.write_bytes(state)
        assert keys(file) == ["k0"]
        made = begin(file, 99)
        file.leave(made, rules.lost(made))
        assert keys(file) == ["k0", "k99"]


@pytest.mark.parametrize("cut", [1, 10, 30])
def test_a_torn_line_is_not_continued(file: JournalFile, path: Path, cut: int) -> None:
    """What comes after it has a line of its own."""
    one, two = begin(file, 1), begin(file, 2)
    file.leave(one, rules.lost(one))
    file.leave(two, rules.lost(two))
    path.write_bytes(path.read_bytes()[:-cut])
    three = begin(file, 3)
    file.leave(three, rules.lost(three))
    assert keys(file) == ["k1", "k2", "k3"]  # the torn line said that e2 has ended: its process says so too


def test_a_new_file_that_was_cut(file: JournalFile, path: Path) -> None:
    """It is begun again."""
    path.write_bytes(HEADER[:5])
    one = begin(file)
    file.leave(one, rules.lost(one))
    assert keys(file) == ["k1"]
    assert path.read_bytes().startswith(HEADER)


def test_a_disk_that_is_full_begins_nothing(
    file: JournalFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call ends before it sends anything; the line that was cut loses itself alone."""
    one = begin(file, 1)
    file.leave(one, rules.lost(one))
    write = _journal._write

    def full(fd: int, at: int, content: bytes) -> None:
        write(fd, at, content[:20])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(_journal, "_write", full)
    with pytest.raises(
        ConfigurationError, match="No space left on device; nothing was sent; free disk space"
    ):
        begin(file, 2)
    assert file._fd == -1
    monkeypatch.undo()
    assert keys(file) == ["k1"]


def test_an_end_that_the_disk_refuses_is_written_later(
    file: JournalFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process the call has ended all the same."""
    one = begin(file, 1)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(_journal, "_write", full)
    with pytest.raises(ConfigurationError):
        file.leave(one, rules.ended(one))
    monkeypatch.undo()
    assert keys(file) == []
    assert keys(JournalFile(file.path)) == []


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="Windows removes no open file")
def test_a_file_that_is_removed_is_begun_again(file: JournalFile, path: Path) -> None:
    """What was under way goes with it."""
    begin(file, 1)
    path.unlink()
    two = begin(file, 2)
    file.leave(two, rules.lost(two))
    assert keys(file) == ["k2"]


def test_a_lock_that_nobody_gives_back(file: JournalFile, path: Path) -> None:
    """Such as that of a process which is stopped: the call ends before it sends anything."""
    file.check()
    fd = os.open(path, os.O_RDWR)
    assert _journal.try_lock(fd, 0)
    with pytest.raises(LockedError, match="is locked by another process; nothing was sent"):
        file.step(lambda _, __: Step(None), seconds=0.01)
    assert not file._lock.locked()
    os.close(fd)
    begin(file)


@pytest.mark.parametrize("kind", ["folder", "missing", "pipe", "below a file"])
def test_a_path_that_cannot_be_written(kind: str, tmp_path: Path) -> None:
    """It is refused when the client is made."""
    path = tmp_path / "x"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path = path / "y"
        if kind == "below a file":
            path.parent.write_text("")
    with pytest.raises(
        ConfigurationError, match=r"journal: .* cannot be written to: .*; choose|journal: .* choose"
    ):
        check_journal(path)


@pytest.mark.parametrize("path", [5, "", "a\0b", b"\xff"])
def test_what_is_no_path(path: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said in words; bytes are a path where the system takes them."""
    monkeypatch.chdir(tmp_path)
    if path == b"\xff":
        assert Path(check_journal(path)).exists()
    else:
        with pytest.raises(ConfigurationError, match="journal must be the path of a file"):
            check_journal(path)


def test_a_path_stays_what_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program may change its folder; `~` is the home directory; and one file is one object."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert check_journal("a.journal") == check_journal("~/a.journal") == str(tmp_path / "a.journal")
    (tmp_path / "b").symlink_to(tmp_path / "a.journal")
    assert journal_at(str(tmp_path / "b")) is journal_at(str(tmp_path / "a.journal"))


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="Windows has no fork")
def test_a_forked_child_has_no_call_under_way(file: JournalFile, path: Path) -> None:
    """It lets go of its parent's lock, and of nothing that its parent has under way."""
    shared = journal_at(str(path))
    begin(shared, 1)
    pid = os.fork()
    if pid == 0:  # pragma: no cover # a child is not measured
        two = begin(shared, 2)
        found = keys(shared)
        shared.leave(two, rules.ended(two))
        os._exit(0 if found == [] and shared._fd == -1 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert keys(file) == []
    shared._live.clear()
    shared._close_if_idle()
    assert keys(file) == ["k1"]
