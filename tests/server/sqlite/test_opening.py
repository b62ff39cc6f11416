"""Opening a folder, leaving it, and what stands in the way."""

from __future__ import annotations

import gc
import hashlib
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import weakref
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from firsthandapi.errors import ConfigurationError
from firsthandapi_server.contract.text import iso, new_id
from firsthandapi_server.mock.workers import SandboxWorkers
from firsthandapi_server.rules.world import World
from firsthandapi_server.sqlite import DATABASE, FILES, checkpoint, open_world
from firsthandapi_server.sqlite.migrations import STEPS, UNRELEASED
from firsthandapi_server.sqlite.opening import reading
from firsthandapi_server.sqlite.traces import earned
from firsthandapi_server.state.model import Delivery, DeliveryAttempt, Details, Facts, File, Job, Submission
from firsthandapi_server.state.state import YEAR
from firsthandapi_server.state.storage import StoredSource

from .support import FullDisk, HandClock, Reviewer, fields_of, kept, picture

DAY = 86400.0
NEWEST = UNRELEASED + len(STEPS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that does not exist yet."""
    return tmp_path / "kept"


@pytest.fixture
def world(folder: Path) -> Iterator[World]:
    """A new world in the folder, in which nothing is scored by itself."""
    instance = open_world(folder, HandClock())
    instance.jobs.jury = Reviewer()
    yield instance
    instance.close()


def posted(world: World, **fields: object) -> Job:
    """A job of a new organization."""
    with world.lock:
        at = world.clock.now()
        owner = world.accounts.create_organization("Name", "a@b.example", free_tier=False, at=at)
        body = {**fields_of(**fields), "deadline": iso(at + DAY)}
        return world.jobs.create(owner.key.account, body, "key_1", at, "http://x")


def submitted(world: World, job: Job, content: bytes = b"picture") -> Submission:
    """A submission with one file, which came as an upload."""
    with world.state.upload(100) as upload:
        upload.write(content)
        source = upload.finish(Details(world.clock.now(), {}, "US-CA", None))
        with world.lock:
            at = world.clock.now()
            return world.jobs.submit(job, [File(new_id("file_", at), "image/jpeg", source, "x.jpg", at)], at)


def blobs(folder: Path) -> set[str]:
    """The files in the storage."""
    return {path.name for path in folder.joinpath(FILES).rglob("blob_*")}


# --- restarts -------------------------------------------------------------------------------------------


def test_what_was_due_is_due_again(folder: Path) -> None:
    """After a restart, deadlines, reviews, credit, and webhooks continue: one thing happens once."""
    clock = HandClock()
    world = open_world(folder, clock)
    world.jobs.jury = Reviewer()
    sent: list[Delivery] = []
    world.events.send = lambda delivery, _at: sent.append(delivery)
    job = posted(world, files_needed=2)
    with world.lock:
        account = job.account
        world.credits.grant(account, 100, clock.now())
        world.events.create_endpoint(account, "http://127.0.0.1:9/x", None, None, clock.now())
        waits = submitted(world, job)
        event = world.events.emit(account, "any.thing", {}, clock.now())
    clock.advance(1)
    world.delivered(sent[0], DeliveryAttempt(clock.now(), 500, None))
    snapshot = picture(world.state)
    job_id, waits_id, event_id = job.id, waits.id, event.id
    world.close()
    del job, account, waits, event
    sent.clear()

    clock = HandClock(clock.now())
    world = open_world(folder, clock)
    reviewer = world.jobs.jury = Reviewer()
    retries: list[Delivery] = []
    world.events.send = lambda delivery, _at: retries.append(delivery)
    assert picture(world.state) == snapshot
    world.resume()
    assert [submission.id for submission in reviewer.waiting] == [waits_id]
    clock.advance(58)
    assert retries == []
    clock.advance(2)
    assert [(delivery.event.id, len(delivery.attempts)) for delivery in retries] == [(event_id, 1)]
    world.delivered(retries[0], DeliveryAttempt(clock.now(), 200, None))
    job = world.state.jobs[job_id]
    assert job.status == "open"
    clock.advance(DAY)
    assert job.status == "cancelled"
    account = job.account
    clock.advance(YEAR - 31 * DAY)
    assert [event.type for event in account.events][-1] == "credits.expiring_soon"
    world.close()
    del account, job

    clock = HandClock(clock.now())
    world = open_world(folder, clock)
    world.resume()
    clock.advance(31 * DAY)
    account = world.state.organizations[0].accounts["live"]
    types = [event.type for event in account.events]
    assert (types.count("credits.expiring_soon"), types.count("credits.expired")) == (1, 1)
    world.check_books()
    world.close()


def test_settings_of_the_first_start_stay(world: World, folder: Path) -> None:
    """The signing secret is decided once: download URLs outlive the process."""
    secret = world.state.url_secret
    world.close()
    world = open_world(folder, HandClock())
    assert world.state.url_secret == secret
    world.close()


def test_a_start_reads_little(world: World, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many files there are, a start reads a handful of rows, and a page of a list reads a page."""
    job = posted(world, files_needed=600)
    at = world.clock.now()
    details, facts = Details(at, {}, "US-CA", None), Facts(1, "", None, None, None)
    with world.lock:
        for _ in range(300):
            source = StoredSource(world.state.storage, new_id("blob_", at), facts, details)
            file = File(new_id("file_", at), "image/jpeg", source, "x.jpg", at)
            submission = world.jobs.submit(job, [file], at)
            world.jobs.score(submission, at)
    world.close()
    del job, submission

    world = open_world(folder, HandClock())
    state = kept(world)
    table_names: list[str] = []
    real = state.made

    def made(table: Any, row: Any) -> Any:
        table_names.append(table.name)
        return real(table, row)

    monkeypatch.setattr(state, "made", made)
    world.resume()
    assert [name for name in table_names if name not in ("organizations", "accounts", "books", "lots")] == []
    account = state.organizations[0].accounts["live"]
    assert len(account.events) == 600
    assert len(table_names) < 10
    assert account.events[-1].type == "submission.approved"
    assert table_names.count("events") <= 128
    world.close()


def test_jobs_that_were_worked_on_leave_memory(folder: Path) -> None:
    """However many jobs the simulated worker of the sandbox has done, it holds none of them."""
    clock = HandClock()
    world = open_world(folder, clock)
    world.jobs.workforce = SandboxWorkers(world)
    live = posted(world).account
    with world.lock:
        fields, at = fields_of(files_needed=1), clock.now()
        account = live.organization.accounts["test"]
        job = world.jobs.create(account, fields, "key_1", at, "http://x")
    clock.advance(60)
    assert job.status == "completed"
    gone = weakref.ref(job)
    del job
    gc.collect()
    assert gone() is None
    world.close()


# --- uploads and files ----------------------------------------------------------------------------------


def test_bytes_without_a_row_go_at_the_next_start(world: World, folder: Path) -> None:
    """An upload in which the process died, and one that no submission took, are removed; what has a row stays."""
    job = posted(world)
    sent = submitted(world, job)
    name = sent.files[0].source.name  # type: ignore[attr-defined] # it is stored
    half = world.state.upload(100)
    half.write(b"half")
    half._file.close()  # type: ignore[union-attr] # as the end of a process does
    whole = world.state.upload(100)
    whole.write(b"whole")
    whole.finish(Details(0, {}, "US-CA", None))
    with world.state.upload(100) as given_up:
        given_up.write(b"x")
    assert len([path for path in folder.joinpath(FILES).rglob("*") if path.is_file()]) == 3
    world.close()
    world = open_world(folder, HandClock())
    assert [path.name for path in folder.joinpath(FILES).rglob("*") if path.is_file()] == [name]
    assert world.state.submissions[sent.id].files[0].content() == b"picture"
    assert kept(world).query("SELECT * FROM loose") == []
    world.close()


def test_a_stop_leaves_no_name_for_uploads_to_come(world: World, folder: Path) -> None:
    """Many names are written down with one flush: after a stop, no start looks for files that never came."""
    state = kept(world)
    with state.upload(100) as first:
        ahead = state.query("SELECT name FROM loose")
        with state.upload(100) as second:
            assert state.query("SELECT name FROM loose") == ahead
    assert {(first.name,), (second.name,)} < {*ahead}
    world.close()
    with reading(folder) as query:
        assert {name for (name,) in query("SELECT name FROM loose")} <= {first.name, second.name}


class Stubborn:
    """A storage that removes nothing."""

    def __init__(self, real: object) -> None:
        self._real = real

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)

    def remove(self, name: str) -> None:
        """Fail."""
        raise PermissionError(name)


def test_replaced_bytes_that_cannot_be_removed_go_later(world: World, folder: Path) -> None:
    """A retry replaces the files of a submission; where their bytes resist, the next start removes them."""
    job = posted(world)
    submission = submitted(world, job)
    (first,) = blobs(folder)
    with world.lock:
        submission.files[0].wanted_rating = 2
        world.jobs.score(submission, world.clock.now())
    assert submission.status == "retry_pending"
    state = world.state
    real = state.storage
    state.storage = Stubborn(real)  # type: ignore[assignment] # like one
    with world.state.upload(100) as upload:
        upload.write(b"better")
        source = upload.finish(Details(world.clock.now(), {}, "US-CA", None))
        with world.lock:
            at = world.clock.now()
            file = File(new_id("file_", at), "image/jpeg", source, "x.jpg", at)
            world.jobs.resubmit(submission, [file], at)
    assert len(blobs(folder)) == 2
    world.close()
    world = open_world(folder, HandClock())
    (second,) = blobs(folder)
    assert second != first
    world.close()


def test_a_checkpoint_of_ones_own_keeps_the_locks(world: World, folder: Path) -> None:
    """To close any descriptor of a file drops the POSIX locks that a process has on it, those of its SQLite too."""
    program = (
        "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('PRAGMA journal_mode = DELETE')"
    )
    checkpoint(folder)
    process = subprocess.run(
        [sys.executable, "-c", program, str(folder / DATABASE)], capture_output=True, text=True, check=False
    )
    assert "database is locked" in process.stderr


def test_macos_has_on_the_disk_what_is_committed(world: World) -> None:
    """Not in its memory only, which the power takes with it. Other systems keep the setting, and need it not."""
    for setting in ("fullfsync", "checkpoint_fullfsync"):
        assert kept(world).query(f"PRAGMA {setting}") == [(1,)]


# --- migrations -----------------------------------------------------------------------------------------


def test_a_folder_is_read_without_a_start(world: World, folder: Path) -> None:
    """Commands that read it find its tables, and change nothing that is kept."""
    with world.lock:
        posted(world)
    world.close()
    with reading(folder) as query:
        assert earned(query) == []
        assert len(query("SELECT * FROM jobs")) == 1
        with pytest.raises(sqlite3.OperationalError):
            query("DELETE FROM jobs")


@pytest.mark.parametrize("version", [1, UNRELEASED])
def test_a_version_before_the_release_is_refused(folder: Path, version: int) -> None:
    """No released version has written it, so nothing is migrated, and it stays as it is."""
    open_world(folder, HandClock()).close()
    with closing(sqlite3.connect(folder / DATABASE)) as rows:
        rows.execute(f"PRAGMA user_version = {version}")
    with pytest.raises(ConfigurationError, match=rf"version {version}, .*: use another folder"):
        open_world(folder, HandClock())
    with closing(sqlite3.connect(folder / DATABASE)) as rows:
        assert rows.execute("PRAGMA user_version").fetchone() == (version,)


def test_a_newer_version_is_refused(folder: Path) -> None:
    """A folder of a newer version is refused with both versions in the message, and stays as it is."""
    open_world(folder, HandClock()).close()
    with closing(sqlite3.connect(folder / DATABASE)) as rows:
        rows.execute("PRAGMA user_version = 999")
    with pytest.raises(ConfigurationError, match=rf"version 999, .* version {NEWEST}"):
        open_world(folder, HandClock())
    with closing(sqlite3.connect(folder / DATABASE)) as rows:
        assert rows.execute("PRAGMA user_version").fetchone() == (999,)


def test_a_migration_that_fails_changes_nothing(
    world: World, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step that breaks leaves the version as it was, so that the next start tries again."""
    posted(world)
    world.close()
    broken = (*STEPS, "CREATE TABLE extra (id); INSERT INTO nowhere VALUES (1);")
    monkeypatch.setattr("firsthandapi_server.sqlite.migrations.STEPS", broken)
    with pytest.raises(ConfigurationError, match="nowhere"):
        open_world(folder, HandClock())
    with closing(sqlite3.connect(folder / DATABASE)) as rows:
        assert rows.execute("PRAGMA user_version").fetchone() == (NEWEST,)
        assert rows.execute("SELECT name FROM sqlite_master WHERE name = 'extra'").fetchall() == []
    monkeypatch.undo()
    open_world(folder, HandClock()).close()


# --- what stands in the way -----------------------------------------------------------------------------


def test_a_second_server_is_refused(world: World, folder: Path) -> None:
    """A folder has one server, in whichever process: the next is told so."""
    with pytest.raises(ConfigurationError, match="in use by another process: stop that server first"):
        open_world(folder, HandClock())
    posted(world)
    world.close()
    open_world(folder, HandClock()).close()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no permission bits")
def test_only_the_owner_may_look(world: World, folder: Path) -> None:
    """Folder and database are closed to others: the secrets of webhooks are in it."""
    posted(world)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.joinpath(FILES).stat().st_mode) == 0o700
    for name in (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm"):
        assert stat.S_IMODE(folder.joinpath(name).stat().st_mode) == 0o600


def test_damage_is_named(world: World, folder: Path) -> None:
    """A database that is none, and one with a hole, are errors that say what to do."""
    posted(world)
    world.close()
    path = folder / DATABASE
    good = path.read_bytes()
    path.write_bytes(b"not a database, but long enough to be taken for one" * 100)
    with pytest.raises(ConfigurationError, match=r"is damaged .*: restore the folder from a backup"):
        open_world(folder, HandClock())
    with pytest.raises(ConfigurationError, match="is damaged"):
        checkpoint(folder)
    path.write_bytes(good[: len(good) // 2])
    with pytest.raises(ConfigurationError, match="is damaged"):
        open_world(folder, HandClock())
    path.write_bytes(good)
    open_world(folder, HandClock()).close()


def test_no_place_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that cannot be created or written to is an error that names it."""
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(ConfigurationError, match="cannot be created"):
        open_world(file / "kept", HandClock())

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(ConfigurationError, match="cannot be written to"):
        open_world(tmp_path / "kept", HandClock())


def test_a_full_disk_at_the_start(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes no more at the start is an error, and the lock is free again."""

    def refuse(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("firsthandapi_server.sqlite.opening.migrate", refuse)
    with pytest.raises(ConfigurationError, match=r"database or disk is full.*free disk space"):
        open_world(folder, HandClock())
    monkeypatch.undo()
    open_world(folder, HandClock()).close()


def test_a_full_disk_at_the_end(world: World, folder: Path) -> None:
    """Where it cannot be written when a key was used last, the folder is free for the next server all the same."""
    account = posted(world).account
    with world.lock:
        account.organization.keys[0].last_used_at = 1.0
    with FullDisk(world, "UPDATE keys") as disk:
        world.close()
    assert disk.failed
    open_world(folder, HandClock()).close()


# --- backups --------------------------------------------------------------------------------------------


def test_a_copy_after_a_checkpoint_is_whole(world: World, folder: Path, tmp_path: Path) -> None:
    """While a server runs, a checkpoint writes all into the database: a copy of it and the files is a backup."""
    job = posted(world)
    submission = submitted(world, job)
    checkpoint(folder)
    assert folder.joinpath(f"{DATABASE}-wal").stat().st_size == 0
    backup = tmp_path / "backup"
    backup.mkdir()
    shutil.copy(folder / DATABASE, backup)
    shutil.copytree(folder / FILES, backup / FILES)
    snapshot = picture(world.state)
    with world.lock:
        world.jobs.score(submission, world.clock.now())  # the server goes on
    world.close()
    copy = open_world(backup, HandClock())
    assert picture(copy.state) == snapshot
    copy.check_books()
    copy.close()


def test_a_checkpoint_needs_a_service(tmp_path: Path) -> None:
    """A folder without a database is named."""
    with pytest.raises(ConfigurationError, match="is not the folder of a server"):
        checkpoint(tmp_path)


def test_a_checkpoint_that_is_kept_from_ending(world: World, folder: Path) -> None:
    """Whoever reads for long keeps a checkpoint from ending, which is said."""
    with closing(sqlite3.connect(folder / DATABASE)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM jobs").fetchall()
        posted(world)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("firsthandapi_server.sqlite.opening.BUSY_SECONDS", 0.05)
            with pytest.raises(ConfigurationError, match="is busy"):
                checkpoint(folder)


def test_a_closed_world_takes_no_more(world: World) -> None:
    """After `close`, an act fails, and a second `close` is nothing."""
    world.close()
    world.close()
    with pytest.raises(Exception, match="has stopped"):
        posted(world)


def test_a_database_of_before_has_its_indexes_and_replies(folder: Path) -> None:
    """A database of an earlier version gets what it lacks, and keeps its replies: nothing is paid twice."""
    folder.mkdir()
    slot = ("org live", "POST", "/v1/jobs", "key")
    with closing(sqlite3.connect(folder / DATABASE)) as rows, rows:
        rows.executescript(f"{STEPS[0]} PRAGMA user_version = {UNRELEASED + 1}")
        digest = hashlib.sha256("\n".join(slot).encode()).digest()
        rows.execute("INSERT INTO replies VALUES (?, 'print', 201, '{}', 1e12, 'as it came')", (digest,))
    with closing(open_world(folder, HandClock())) as world:
        reply = world.state.replies.get(slot, 0.0)
        assert reply is not None
        assert (reply.fingerprint, reply.status) == ("print", 201)
        indexes = kept(world).query("SELECT name FROM sqlite_schema WHERE type = 'index'")
        assert {"submissions_by_status", "events_about", "expiring_replies"} <= {name for (name,) in indexes}
