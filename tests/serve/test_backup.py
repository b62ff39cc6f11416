"""A copy of a server's folder, while it runs."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from contextlib import ExitStack, closing
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import httpx
import pytest

from firsthandapi._base.folder_lock import FolderLock
from firsthandapi.errors import ConfigurationError
from firsthandapi.testing import make
from firsthandapi_server.mock.workers import capture
from firsthandapi_server.serve import backup as copying
from firsthandapi_server.serve import copies
from firsthandapi_server.serve.access import FILE, Access
from firsthandapi_server.serve.backup import Backup
from firsthandapi_server.serve.payouts import Payouts
from firsthandapi_server.serve.service import Service

from .conftest import Open, Team, first_of, running, upload

NOW = 1_700_000_000.0


def nothing(_done: int, _files: int) -> None:
    """Progress that nobody looks at."""


def back_up(
    folder: Path, target: Path | str, on_file: Any = nothing, at: float = NOW, **options: Any
) -> Backup:
    return copies.back_up(folder, target, on_file, at=at, **options)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were hashed."""
    names, digest = list[str](), hashlib.file_digest

    def counted(file: Any, kind: str) -> Any:
        names.append(Path(file.name).name)
        return digest(file, kind)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    return names


@pytest.mark.parametrize("is_running", [True, False])
def test_a_server_starts_from_its_backup(tmp_path: Path, is_running: bool) -> None:
    """On another machine, with the same key, exact books, the same settings, and every file."""
    folder, target = tmp_path / "data", tmp_path / "backups" / "monday"
    with ExitStack() as stack:
        team = Team(folder, stack)
        job = team.job()
        for stars in (5, 1):
            team.score(team.sent(job), stars)
        team.sent(job)
        operator = first_of(team.service).operator
        (folder / "study.yaml").write_text("name: Signs")
        (folder / "first-keys.txt").write_text("secret")
        if not is_running:
            stack.close()
        seen: list[tuple[int, int]] = []
        done = back_up(folder, target, lambda at, of: seen.append((at, of)))
    assert (done.files, done.lost, done.bucket, seen) == (3, [], None, [(1, 3), (2, 3), (3, 3)])
    assert [*target.parent.iterdir()] == [target]
    assert {path.name for path in target.iterdir()} == {"access.db", "files", "state.db", "study.yaml"}
    with running(target, key=team.key) as restored:
        restored.world.check_books()
        assert restored.access.holder(operator) is not None
        (file,) = restored.buyer.files.list(job_id=job.id)
        assert httpx.get(str(file.download_url), trust_env=False, timeout=60).status_code == 200
        statuses = {submission.status for submission in restored.buyer.submissions.list()}
        assert statuses == {"approved", "rejected", "pending_score"}


def test_a_file_that_goes_meanwhile_makes_a_later_copy(team: Team, tmp_path: Path) -> None:
    """Each row of the copy has its file, and each file its row: a retry replaces files while they are copied."""
    job = team.job()
    world = team.world
    submissions = [team.find(team.sent(job)) for _ in range(2)]
    for submission in submissions:
        team.score(submission.id, 2)

    def on_file(done: int, _files: int) -> None:
        if done == 1:
            with world.lock:
                for submission in submissions:
                    if submission.status == "retry_pending":
                        content = make("image/jpeg", submission.id).content
                        retry = capture(
                            submission.job, "image/jpeg", team.service.clock.now(), rating=4, given=content
                        )
                        world.jobs.resubmit(submission, [retry], team.service.clock.now())

    target = tmp_path / "copy"
    done = back_up(tmp_path / "data", target, on_file)
    with closing(sqlite3.connect(target / "state.db")) as rows:
        names = {name for (name,) in rows.execute("SELECT json_extract(source, '$.name') FROM files")}
    assert (done.files, done.lost) == (2, [])
    assert {path.name for path in target.rglob("blob_*")} == names


def test_a_backup_that_was_killed_looks_like_none(team: Team, tmp_path: Path) -> None:
    """The next one removes what it left, and nothing is in its place before all of it is there."""
    job = team.job()
    for _ in range(3):
        team.sent(job)
    target = tmp_path / "copy"

    def killed(done: int, _files: int) -> None:
        if done == 2:
            raise SystemExit

    with pytest.raises(SystemExit):
        back_up(tmp_path / "data", target, killed)
    assert not target.exists()
    (tmp_path / ".copy.part" / "files" / "junk").write_bytes(b"x")
    target.mkdir()
    assert back_up(tmp_path / "data", target, nothing).files == 3
    assert not (target / "files" / "junk").exists()
    assert not (tmp_path / ".copy.part").exists()


def test_a_damaged_file_is_named(team: Team, tmp_path: Path) -> None:
    """A file that is missing, or is not what its row says, does not keep the rest from being copied."""
    job = team.job()
    for _ in range(3):
        team.sent(job)
    gone, bad, _ = sorted((tmp_path / "data" / "files").rglob("blob_*"))
    gone.unlink()
    bad.write_bytes(b"something else")
    done = back_up(tmp_path / "data", tmp_path / "copy", nothing)
    assert (done.files, done.lost) == (2, sorted([gone.name, bad.name]))


def test_what_cannot_be_backed_up_is_refused(tmp_path: Path) -> None:
    """No server, a target with something in it or within the folder itself, and a damaged database."""
    data = tmp_path / "data"
    Service(data).start().stop()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    for folder, target, why in (
        (tmp_path / "full", tmp_path / "copy", "is not the folder of a server"),
        (data, tmp_path / "full", "is not empty"),
        (data, tmp_path / "full" / "mine", "is not empty"),
        (data, data / "copy", "pass a folder elsewhere"),
    ):
        with pytest.raises(ConfigurationError, match=why):
            back_up(folder, target, nothing)
    assert (tmp_path / "full" / "mine").read_text() == "mine"
    with (data / "state.db").open("r+b") as file:
        file.seek(5 * 4096)
        file.write(b"\xa5" * 4096)
    with pytest.raises(ConfigurationError, match="is damaged"):
        back_up(data, tmp_path / "copy", nothing)
    assert not (tmp_path / "copy").exists()


def test_a_full_disk_is_that_of_the_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of the server is not blamed for it."""
    Service(tmp_path / "data").start().stop()
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL
    monkeypatch.setattr(copying, "check_pages", Mock(side_effect=full))
    with pytest.raises(ConfigurationError, match=r"could not write the backup: .*; free some space"):
        back_up(tmp_path / "data", tmp_path / "copy", nothing)


def test_files_in_a_bucket_stay_there(tmp_path: Path) -> None:
    """The databases are copied, and the result says where the files are."""
    bucket = (tmp_path / "bucket").as_uri()
    with Service(tmp_path / "data", storage=bucket):
        done = back_up(tmp_path / "data", tmp_path / "copy", nothing)
    assert (done.files, done.bucket) == (0, bucket)
    with Service(tmp_path / "copy") as restored:
        restored.world.check_books()


# --- made again ---------------------------------------------------------------------------------------------


def blobs(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("blob_*")}


def test_no_byte_is_hashed_twice(team: Team, tmp_path: Path, hashed: list[str]) -> None:
    """A copy that is made again, or beside an earlier one, reads new files alone, and those that were damaged."""
    job, data = team.job(files_needed=9), tmp_path / "data"
    for _ in range(3):
        team.sent(job)
    damaged = sorted((data / "files").rglob("blob_*"))[0]
    whole = damaged.read_bytes()
    damaged.write_bytes(b"x" * len(whole))
    monday, tuesday = tmp_path / "b" / "monday", tmp_path / "b" / "tuesday"
    assert (back_up(data, monday).copied, len(hashed)) == (3, 3)
    damaged.unlink()
    damaged.write_bytes(whole)
    team.sent(job)
    hashed.clear()
    done = back_up(data, monday, at=NOW + 1)
    assert (done.files, done.copied, done.lost, len(hashed)) == (4, 2, [], 2)
    team.sent(job)
    hashed.clear()
    done = back_up(data, tuesday, at=NOW + 2)
    assert (done.files, done.copied, len(hashed)) == (5, 1, 1)
    assert blobs(tuesday) == blobs(data / "files")
    assert {path.name for path in (tmp_path / "b").iterdir()} == {"monday", "tuesday"}
    with running(tuesday, key=team.key) as started:
        started.world.check_books()


def test_an_earlier_copy_stays_until_the_next_is_there(
    team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at any step, something is there to start from, or the next run puts it back."""
    job, data, target = team.job(), tmp_path / "data", tmp_path / "copy"
    team.sent(job)
    back_up(data, target)
    team.sent(job)

    def killed(*_: object) -> None:
        raise SystemExit

    with pytest.raises(SystemExit):
        back_up(data, target, killed)
    assert len(blobs(target)) == 1
    with monkeypatch.context() as patch:
        patch.setattr(copying.replacing, "put", killed)
        with pytest.raises(SystemExit):
            back_up(data, target)
    assert not target.exists()
    with pytest.raises(SystemExit):
        back_up(data, target, killed)
    assert len(blobs(target)) == 1
    assert back_up(data, target).copied == 1
    assert {path.name for path in tmp_path.iterdir()} == {"data", "copy"}


def test_what_killed_backups_leave_goes(team: Team, tmp_path: Path) -> None:
    """Under whatever name the next one is made: nobody would erase anything there. One that runs stays."""
    team.sent(team.job())
    data, room = tmp_path / "data", tmp_path / "b"

    def killed(*_: object) -> None:
        raise SystemExit

    with pytest.raises(SystemExit):
        back_up(data, room / "monday", killed)
    back_up(data, room / "tuesday", at=NOW)
    (room / "tuesday").rename(room / ".tuesday.gone.part")  # it was being removed
    back_up(data, room / "wednesday", at=NOW + 1)
    (room / ".notes.part").mkdir()
    assert len([*room.iterdir()]) == 4
    for path in room.iterdir():
        os.utime(path, (0, 0))
    lock = FolderLock(room / ".monday.part")
    assert lock.acquire()
    back_up(data, room / "thursday", at=NOW + 2)
    lock.release()
    names = {"wednesday", "thursday", ".notes.part"}
    assert {path.name for path in room.iterdir()} == {*names, ".monday.part"}
    back_up(data, room / "thursday", at=NOW + 3)
    assert {path.name for path in room.iterdir()} == names


def test_what_is_no_copy_is_not_replaced(tmp_path: Path) -> None:
    """A server that has started from a copy, and the copy of another server."""
    for name in ("data", "other"):
        Service(tmp_path / name).start().stop()
        back_up(tmp_path / name, tmp_path / f"{name} copy")
    with pytest.raises(ConfigurationError, match=r"is not empty, and is no backup of"):
        back_up(tmp_path / "data", tmp_path / "other copy")
    Service(tmp_path / "data copy").start().stop()
    with pytest.raises(ConfigurationError, match="is not empty, and is no backup of"):
        back_up(tmp_path / "data", tmp_path / "data copy")


def test_old_copies_go(tmp_path: Path) -> None:
    """Those of the same server beside a new one; nothing else is touched."""
    day = 86_400.0
    for name in ("data", "other"):
        Service(tmp_path / name).start().stop()
    back_up(tmp_path / "other", tmp_path / "b" / "other")
    (tmp_path / "b" / "notes").mkdir()
    for number in range(4):
        done = back_up(tmp_path / "data", tmp_path / "b" / f"{number}", at=NOW + number * day, keep_days=1.5)
    assert done.expired == [str((tmp_path / "b" / "1").resolve())]
    assert {path.name for path in (tmp_path / "b").iterdir()} == {"2", "3", "notes", "other"}


# --- what is erased later -----------------------------------------------------------------------------------


@pytest.mark.parametrize("is_away", [False, True])
def test_a_copy_forgets_what_was_erased_later(tmp_path: Path, is_away: bool) -> None:
    """A server that starts from a copy, or from what was restored from one, erases first whom the server has erased
    since: also if the disk of the copy was not there meanwhile."""
    data, target = tmp_path / "data", tmp_path / "disk" / "copy"
    with running(data) as team:
        job = team.job()
        gone, rest = team.sent(job, worker="wkr_" + "1" * 26), team.sent(job, worker="wkr_" + "2" * 26)
        back_up(data, target)
        if is_away:
            (tmp_path / "disk").rename(tmp_path / "away")
        team.service.eraser.ask("wkr_" + "1" * 26, "operator")
        assert team.service.eraser.run()
        if is_away:
            (tmp_path / "away").rename(tmp_path / "disk")
            team.service.eraser._next_sweep = 0.0
            assert team.service.eraser.run()
        assert len(blobs(target)) == 2
    copies.restore(target, tmp_path / "restored", nothing)
    for folder in (tmp_path / "restored", target):
        with running(folder, key=team.key) as started:
            assert [file.is_erased for name in (gone, rest) for file in started.find(name).files] == [
                True,
                False,
            ]
            started.world.check_books()
        assert len(blobs(folder)) == 1
    with pytest.raises(ConfigurationError, match="is not empty: pass a new folder"):
        copies.restore(target, tmp_path / "restored", nothing)


def test_a_copy_forgets_what_a_restored_server_erases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy that it came from, one that was made after it, and one whose making was killed at its end."""
    data, person = tmp_path / "data", "wkr_" + "1" * 26
    with running(data) as team:
        team.sent(team.job(), worker=person)
        for number in range(2):
            back_up(data, tmp_path / f"{number}", at=NOW + number)
        with monkeypatch.context() as patch:
            patch.setattr(copying, "_tidy", Mock(side_effect=SystemExit))
            with pytest.raises(SystemExit):
                back_up(data, tmp_path / "2", at=NOW + 2)
    copies.restore(tmp_path / "0", tmp_path / "restored", nothing)
    for folder, names in (("restored", ("0", "1")), ("data", ("2",))):
        with running(tmp_path / folder, key=team.key) as started:
            started.service.eraser.ask(person, "operator")
            assert started.service.eraser.run()
        for name in names:
            with closing(Access(tmp_path / name / FILE)) as copy:
                assert copy.wishes(person), name


@pytest.mark.parametrize("is_bucket", [False, True])
def test_a_copy_learns_who_withdrew_and_who_was_paid(lab: Open, tmp_path: Path, is_bucket: bool) -> None:
    """A server that is restored from it keeps nothing of whoever withdrew, and owes nobody what they have got."""
    target = f"memory://news-{tmp_path.name}" if is_bucket else tmp_path / "copy"
    with ExitStack() as first:
        study = lab(first)
        job, people = study.job(files_needed=4), [study.joined() for _ in range(2)]
        for person in people:
            assert upload(person, study.path(job)).status_code == 303
            study.score(job.submissions[-1].id, 5)
        assert upload(people[0], study.path(job)).status_code == 303
        back_up(study.folder, target, at=study.service.clock.now())
        operator = study.visit("operator", "Olga")
        operator.send("/console/payouts/batch", "/console/payouts")
        (batch,) = Payouts(study.access, study.folder).batches()
        operator.send("/console/payouts/paid", "/console/payouts", batch=batch.id, reference="SEPA 7")
        assert people[0].send("/me/withdraw", "/me", confirm="1").status_code == 303
        assert study.service.eraser.run()
        rows = Payouts(study.access, study.folder).rows()
    copies.restore(target, tmp_path / "restored", nothing)
    with running(tmp_path / "restored", key=study.key) as started:
        access = started.service.access
        assert Payouts(access, tmp_path / "restored").rows() == rows
        assert access.look("SELECT count(*), count(withdrawn_at) FROM consents") == [(2, 1)]
        assert access.look("SELECT count(*) FROM passports") == [(1,)]
        sent = [*started.world.state.submissions.values()]
        assert [(submission.status, submission.files[0].withdrawn) for submission in sent] == [
            ("approved", True),
            ("approved", False),
            ("rejected", False),
        ]
        started.world.check_books()


# --- to a bucket --------------------------------------------------------------------------------------------


def test_a_copy_in_a_bucket(tmp_path: Path, hashed: list[str]) -> None:
    """Only new files are sent, an earlier moment ends in one step, and what was erased later is erased at the start."""
    data, url = tmp_path / "data", f"memory://backups-{tmp_path.name}/photos"
    with running(data) as team:
        job = team.job(files_needed=9)
        gone = team.sent(job, worker="wkr_" + "1" * 26)
        team.sent(job)
        (data / "study.yaml").write_text("name: Signs")
        done = back_up(data, url, at=NOW)
        assert (done.files, done.copied, done.lost) == (2, 2, [])
        rest = team.sent(job)
        hashed.clear()
        done = back_up(data, url, at=NOW + 1)
        assert (done.files, done.copied, len(hashed)) == (3, 1, 1)
        team.service.eraser.ask("wkr_" + "1" * 26, "operator")
        assert team.service.eraser.run()
    Service(tmp_path / "other").start().stop()
    with pytest.raises(ConfigurationError, match="another server has its backup there"):
        back_up(tmp_path / "other", url)
    seen: list[tuple[int, int]] = []
    report = copies.restore(url, tmp_path / "restored", lambda at, of: seen.append((at, of)))
    assert (report.files, report.lost, seen) == (3, [], [(1, 3), (2, 3), (3, 3)])
    assert (tmp_path / "restored" / "study.yaml").read_text() == "name: Signs"
    with running(tmp_path / "restored", key=team.key) as started:
        assert [file.is_erased for name in (gone, rest) for file in started.find(name).files] == [True, False]
        started.world.check_books()
    assert len(blobs(tmp_path / "restored")) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"data", "other", "restored"}


def test_a_bucket_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while files are sent, the earlier copy is what is restored; without one, that is said."""
    data, url = tmp_path / "data", f"memory://backups-{tmp_path.name}/photos"
    with pytest.raises(ConfigurationError, match="no backup is there"):
        copies.restore(url, tmp_path / "restored", nothing)
    with running(data) as team:
        job = team.job(files_needed=9)
        team.sent(job)
        back_up(data, url, at=NOW)
        team.sent(job)

        def killed(*_: object) -> None:
            raise SystemExit

        with pytest.raises(SystemExit):
            back_up(data, url, killed, at=NOW + 1)
        assert copies.restore(url, tmp_path / "restored", nothing).files == 1
        assert back_up(data, url, at=NOW + 2).copied <= 1
        files = import_module("fsspec.core").url_to_fs(url)[0]
        monkeypatch.setattr(type(files), "pipe_file", Mock(side_effect=RuntimeError("secret")))
        with pytest.raises(
            ConfigurationError, match=r"could not write the backup: .*RuntimeError"
        ) as refused:
            back_up(data, url, at=NOW + 3)
        assert "secret" not in str(refused.value)
