"""A copy of a server's folder, while it runs."""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path
from unittest.mock import Mock

import httpx
import pytest

from firsthandapi.errors import ConfigurationError
from firsthandapi.testing import make
from firsthandapi_server.mock.workers import capture
from firsthandapi_server.serve import backup as copying
from firsthandapi_server.serve.backup import back_up
from firsthandapi_server.serve.service import Service

from .conftest import Team, first_of, running


def nothing(_done: int, _files: int) -> None:
    """Progress that nobody looks at."""


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
    assert {each.name for each in target.iterdir()} == {"access.db", "files", "state.db", "study.yaml"}
    with running(target, key=team.key) as restored:
        restored.world.check_books()
        assert restored.access.holder(operator) is not None
        (file,) = restored.buyer.files.list(job_id=job.id)
        assert httpx.get(str(file.download_url), trust_env=False, timeout=60).status_code == 200
        found = {each.status for each in restored.buyer.submissions.list()}
        assert found == {"approved", "rejected", "pending_score"}


def test_a_file_that_goes_meanwhile_makes_a_later_copy(team: Team, tmp_path: Path) -> None:
    """Each row of the copy has its file, and each file its row: a retry replaces files while they are copied."""
    job = team.job()
    world = team.world
    found = [team.find(team.sent(job)) for _ in range(2)]
    for each in found:
        team.score(each.id, 2)

    def on_file(done: int, _files: int) -> None:
        if done == 1:
            with world.lock:
                for each in found:
                    if each.status == "retry_pending":
                        given = make("image/jpeg", each.id).content
                        again = capture(
                            each.job, "image/jpeg", team.service.clock.now(), rating=4, given=given
                        )
                        world.jobs.resubmit(each, [again], team.service.clock.now())

    target = tmp_path / "copy"
    done = back_up(tmp_path / "data", target, on_file)
    with closing(sqlite3.connect(target / "state.db")) as rows:
        names = {name for (name,) in rows.execute("SELECT json_extract(source, '$.name') FROM files")}
    assert (done.files, done.lost) == (2, [])
    assert {each.name for each in target.rglob("blob_*")} == names


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
