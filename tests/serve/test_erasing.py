"""Erasing: nothing of a file or a person is left on disk, and the books stand."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from cli.support import Cli
from firsthandapi import FirstHandClient
from firsthandapi.testing import make
from firsthandapi_server.rules.world import World
from firsthandapi_server.serve import service as serving
from firsthandapi_server.serve.access import FILE
from firsthandapi_server.serve.clock import RealClock
from firsthandapi_server.serve.copies import back_up
from firsthandapi_server.serve.ratings import Gold, Ratings
from firsthandapi_server.serve.receiving import Receiving
from firsthandapi_server.serve.service import Service
from firsthandapi_server.sqlite import traces
from firsthandapi_server.sqlite.traces import earned
from firsthandapi_server.state.model import File
from firsthandapi_server.state.storage import LocalStorage
from processes import unmeasured

from .conftest import BOXES, Team, Visitor, fields_of, upload, write

NAME, FILENAME, REASON = "Zanzibar Quux", "kwijibo", "Frobnicated"
DAY = 86400.0


class House(Team):
    """A study by invitation, a buyer, and a person whose name, files, and verdicts can be found on disk."""

    def __init__(self, folder: Path, stack: ExitStack, **options: Any) -> None:
        self._study = write(folder, join="invited", retention_days={"rejected": 30})
        self.time = 0.0
        super().__init__(folder / "data", stack, study=self._study, clock=self._clock(), **options)

    def _clock(self) -> RealClock:
        return RealClock(lambda: 1_700_000_000 + self.time)

    def again(self) -> Service:
        """Start it again."""
        service = Service(self.folder, study=self._study, clock=self._clock())
        self.service = self.stack.enter_context(service)
        self.world, self.access = service.world, service.access
        return service

    def joins(self, name: str) -> tuple[Visitor, str]:
        """A person joins; their browser, and their id."""
        token, secret = self.access.create("worker", name, self.service.clock.now())
        person = self.visit()
        assert person.send("/sign-in", token=secret).status_code == 303
        assert person.send("/join", "/join", **BOXES).status_code == 303
        return person, token.id

    def works(self) -> tuple[Visitor, str]:
        """A person joins, and has one file approved, one rejected, one to be retried, one waiting, one on its way."""
        person, worker = self.joins(NAME)
        self.buyer.webhooks.create(url="http://127.0.0.1:9/hook")
        job = self.job(files_needed=4)
        link = self.path(job)
        for stars in (5, 1, 2, None):
            assert upload(person, link, f"{FILENAME}.jpg").status_code == 303
            (waiting,) = self.world.state.waiting()
            if stars is not None:
                self.score(waiting.id, stars, reason=REASON)
        names = f"filename {_base64(FILENAME)},filetype {_base64('image/jpeg')},job_id {_base64(job.id)}"
        headers = {"tus-resumable": "1.0.0", "upload-length": "900000", "upload-metadata": names}
        begun = person.http.post("/uploads", headers={**headers, "origin": self.service.url})
        assert begun.status_code == 201, begun.text
        piece = {
            "tus-resumable": "1.0.0",
            "upload-offset": "0",
            "content-type": "application/offset+octet-stream",
        }
        sent = person.http.patch(
            begun.headers["location"], content=make("image/jpeg", "p").content[:300], headers=piece
        )
        assert sent.status_code == 204, sent.text
        return person, worker

    def file_ids(self, worker: str) -> list[str]:
        """The files of a person, the approved one first."""
        with self.service.world.lock:
            return [file.id for file in files_of(self.service.world, worker)]

    def found(self, *words: str | bytes) -> list[tuple[str, str]]:
        """Which of these are anywhere in the folder, in names or in bytes."""
        needles = [word.encode() if isinstance(word, str) else word for word in words]
        return [
            (str(path.relative_to(self.folder)), repr(needle[:20]))
            for path in self.folder.rglob("*")
            for needle in needles
            if needle in str(path).encode() or (path.is_file() and needle in path.read_bytes())
        ]

    def contents(self) -> list[bytes]:
        """The bytes of all files, and of those on their way."""
        return [
            path.read_bytes()[-200:]
            for path in self.folder.rglob("*")
            if path.is_file() and path.name.startswith(("blob_", "upload_")) and path.suffix != ".json"
        ]


def files_of(world: World, worker: str) -> list[File]:
    """The files of a person; the lock is held."""
    return [file for row in world.state.submissions.values() if row.worker_id == worker for file in row.files]


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()


Open = Callable[..., House]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """The command line, in this process."""
    return Cli(monkeypatch, capsys)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Open]:
    """Opens the study."""
    with ExitStack() as stack:
        yield partial(House, tmp_path, stack)


def _by_the_person(house: House, person: Visitor, worker: str) -> None:
    reply = person.send("/me/delete", "/me")
    assert (reply.status_code, reply.headers["location"]) == (303, f"/me/deleted/{worker}")
    assert worker in person.get(reply.headers["location"]).text


def _by_the_operator(house: House, person: Visitor, worker: str) -> None:
    operator = house.visit("operator")
    done = operator.send("/console/erase", "/console/people", subject=worker)
    assert done.headers["location"] == "/console/people?done=erased#erase"
    assert operator.send("/console/erase", "/console/people", subject="wkr_nobody").status_code == 404


def _by_command(house: House, person: Visitor, worker: str) -> None:
    assert serving.erase(house.folder, house.access, worker)


def _by_command_alone(house: House, person: Visitor, worker: str) -> None:
    house.service.stop()
    access = serving.Access(house.folder / FILE)
    assert serving.erase(house.folder, access, worker)
    access.close()


@pytest.mark.parametrize("act", [_by_the_person, _by_the_operator, _by_command, _by_command_alone])
def test_nothing_of_a_person_is_left_on_disk(house: Open, act: Callable[[House, Visitor, str], None]) -> None:
    """Not a byte of a file, no name, no word of a reviewer; pay, charges, and the record of consent stay."""
    home = house()
    person, worker = home.works()
    contents = home.contents()
    assert len(contents) == 5
    with home.world.lock:
        sent = home.world.state.submissions.values()
        (rejected,) = [submission for submission in sent if submission.status == "rejected"]
    ratings = Ratings(home.access)
    ratings.give(rejected, "tok_1", [1], f"{REASON}, too", 1.0)
    ratings.mark(Gold(rejected.files[0].id, rejected.id, 1, "tok_1", 1.0))
    appeal = {"submission": rejected.id, "words": f"{FILENAME} is right"}
    assert person.send("/me/appeal", "/me", **appeal).status_code == 303
    assert home.found(NAME, FILENAME, REASON)
    act(home, person, worker)
    assert home.found(NAME, FILENAME, REASON, *contents) == []
    if act is _by_command_alone:
        home.again()
    assert Ratings(home.access).gold() == []
    with home.world.lock:
        home.world.check_books()
    with closing(sqlite3.connect(home.folder / FILE)) as rows:
        ((person_id, withdrawn_at),) = rows.execute("SELECT worker_id, withdrawn_at FROM consents")
    assert (person_id, withdrawn_at is not None) == (worker, True)
    with FirstHandClient(home.key, home.service.url, max_retries=0) as buyer:
        (job,) = buyer.jobs.list()
        assert [*buyer.files.list(job.id)] == []
        statuses = [submission.status for submission in buyer.submissions.list(job.id)]
        assert sorted(statuses) == ["approved", "rejected", "rejected", "rejected"]
        assert home.world.state.jobs[job.id].escrow.paid == 50
    with closing(Visitor(home.service).http) as http:
        http.cookies.update(person.http.cookies)
        assert http.get("/me").status_code == 303


def test_one_file_is_erased(house: Open) -> None:
    """The others stay, and so does the person; the pages say that it is erased."""
    home = house()
    person, worker = home.works()
    file_id, next_id = home.file_ids(worker)[:2]
    blobs = {*home.folder.rglob("blob_*")}
    assert serving.erase(home.folder, home.access, file_id)
    assert len(blobs - {*home.folder.rglob("blob_*")}) == 1
    page = person.get("/me").text
    assert "<bdi>Erased</bdi>" in page
    assert FILENAME in page
    with home.world.lock:
        submission = home.world.state.submissions.values()
        first = next(iter(submission))
        assert (first.files[0].is_erased, first.files[0].id == file_id, next_id) == (True, True, next_id)
    link = home.service.site.links.path(first.job)
    assert person.get(f"{link}/media/{first.id}/{file_id}").status_code == 404
    assert person.get(link).status_code == 200
    assert serving.erase(home.folder, home.access, file_id), "a second time changes nothing"
    assert [*home.service.eraser.state.same_as(first.files[0], 9)] == []
    assert back_up(home.folder, home.folder.parent / "copy", lambda _done, _all: None, at=0.0).lost == []


def test_an_upload_keeps_no_name_of_an_erased_file(house: Open) -> None:
    """What it remembers for a day is that it was submitted, so that a lost answer makes nothing twice."""
    home = house()
    person, worker = home.joins(NAME)
    job = home.job()
    content = make("image/jpeg", "one").content
    fields = {
        "filename": f"{FILENAME}.jpg",
        "filetype": "image/jpeg",
        "job_id": job.id,
        "latitude": "6.5243793",
    }
    metadata = ",".join(f"{key} {_base64(value)}" for key, value in fields.items())
    tus = {"tus-resumable": "1.0.0", "origin": home.service.url}
    length = str(len(content))
    begun = person.http.post(
        "/uploads", headers={**tus, "upload-length": length, "upload-metadata": metadata}
    )
    path = begun.headers["location"]
    piece = {**tus, "upload-offset": "0", "content-type": "application/offset+octet-stream"}
    assert person.http.patch(path, content=content, headers=piece).status_code == 204
    assert serving.erase(home.folder, home.access, home.file_ids(worker)[0])
    assert home.found(FILENAME, fields["latitude"]) == []
    assert person.http.head(path, headers=tus).headers["upload-offset"] == length
    assert len(job.submissions) == 1


def test_what_was_said_of_a_first_attempt_goes_with_the_second(house: Open) -> None:
    """The payload of its event names the file of the first attempt alone, which is gone already."""
    home = house()
    person, worker = home.joins(NAME)
    home.buyer.webhooks.create(url="http://127.0.0.1:9/hook")
    job = home.job()
    link = home.path(job)
    assert upload(person, link).status_code == 303
    (submission,) = job.submissions
    home.score(submission.id, 2, reason=REASON)
    assert upload(person, f"{link}?retry={submission.id}").status_code == 303
    assert submission.attempt == 2
    assert serving.erase(home.folder, home.access, home.file_ids(worker)[0])
    assert home.found(REASON) == []


def test_what_is_unknown_is_refused(house: Open) -> None:
    """An id that nobody has is an error, and no wish."""
    home = house()
    with pytest.raises(serving.ConfigurationError, match="check the id"):
        serving.erase(home.folder, home.access, f"wkr_{'0' * 26}")
    assert home.access.erasures() == []


@pytest.mark.parametrize("step", ["remove", "compact", "fulfill", "stop"])
def test_what_was_stopped_is_finished_at_the_next_start(
    house: Open, step: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Wherever a server dies, a wish stays until nothing is left."""
    home = house()
    _, worker = home.works()
    contents = home.contents()

    def dies(*_: object) -> None:
        raise OSError("no")

    with monkeypatch.context() as broken:
        owner = {"remove": LocalStorage, "compact": traces, "fulfill": serving.Access}.get(step)
        if owner is None:
            home.service.eraser.stop()
        else:
            broken.setattr(owner, step, dies)
        home.access.wish(worker, 1.0, "somebody")
        assert not home.service.eraser.run()
        assert "tries again" in caplog.text
        home.service.stop()
    home.again()
    assert home.access.erasures() == []
    assert home.found(NAME, FILENAME, REASON, *contents) == []
    home.world.check_books()


def test_a_buyer_learns_of_it_as_of_any_withdrawal(house: Open, tmp_path: Path) -> None:
    """Their folder lets go of the file, and nothing that they decide changes what was paid."""
    home = house()
    _, worker = home.works()
    (job,) = home.buyer.jobs.list()
    dataset = home.buyer.files.download_all(job.id, tmp_path / "bought")
    (record,) = dataset
    paid = earned(home.service.eraser.state.query)
    assert paid == [(worker, 1, 50)]
    dataset.exclude(record)
    assert earned(home.service.eraser.state.query) == paid
    dataset.include(record)
    assert serving.erase(home.folder, home.access, worker)
    home.buyer.files.download_all(job.id, tmp_path / "bought")
    assert dataset.reconcile(home.buyer).removed == (record.file_name,)
    assert not [*(tmp_path / "bought" / "data").iterdir()]
    assert earned(home.service.eraser.state.query) == paid


def test_nothing_is_left_in_a_bucket(house: Open) -> None:
    """The command finds the bucket by itself, with and without a server that runs."""
    pytest.importorskip("fsspec", reason="it comes with the extra remote")
    home = house(storage="memory://erasing")
    person, worker = home.works()
    bucket = import_module("fsspec.core").url_to_fs("memory://erasing")[0]
    first, *rest = home.file_ids(worker)
    assert len(bucket.find("/erasing")) == 4
    assert serving.erase(home.folder, home.access, first)
    assert len(bucket.find("/erasing")) == 3
    _by_command_alone(home, person, worker)
    assert (bucket.find("/erasing"), rest != []) == ([], True)


def test_a_file_that_comes_while_its_owner_is_erased_is_not_taken(
    house: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However far it is: nothing of it is kept."""
    home = house()
    person, worker = home.joins(NAME)
    link = home.service.site.links.path(home.job())
    cleaned = Receiving._cleaned  # pyright: ignore[reportPrivateUsage]

    def meanwhile(*args: Any) -> Any:
        home.service.eraser.ask(worker, worker)
        assert home.service.eraser.run()
        return cleaned(*args)

    monkeypatch.setattr(Receiving, "_cleaned", meanwhile)
    sent = upload(person, link, f"{FILENAME}.jpg")
    assert sent.status_code == 303
    assert "/w/" not in sent.headers["location"]
    assert home.found(NAME, FILENAME) == []
    assert not [*home.folder.rglob("blob_*")]


def test_a_person_without_a_study_is_erased(team: Team) -> None:
    """They have no token, only files; what comes back from their browser is new."""
    submission = team.find(team.sent(name="kwijibo.jpg"))
    assert serving.erase(team.folder, team.access, submission.worker_id)
    assert submission.status == "rejected"
    assert not [*(team.folder / "files").rglob("blob_*")]


def test_rejected_files_are_erased_when_their_time_is_over(house: Open) -> None:
    """After the days that the study says, on the server's clock; the verdict and everything else stay."""
    home = house()
    _, worker = home.works()
    blobs = {*home.folder.rglob("blob_*")}
    home.time = 29 * DAY
    home.service.eraser.run()
    assert {*home.folder.rglob("blob_*")} == blobs
    home.time = 31 * DAY
    home.service.eraser.run()
    assert len(blobs - {*home.folder.rglob("blob_*")}) == 1
    (job,) = home.buyer.jobs.list()
    (rejected,) = home.buyer.submissions.list(job.id, status="rejected")
    assert rejected.ai_reasoning == REASON
    with home.world.lock:
        assert [file.is_erased for file in files_of(home.world, worker)] == [False, True, False, False]


def test_failed_sign_ins_are_forgotten(house: Open) -> None:
    """Their addresses are nowhere in the folder after thirty days; nothing else of the log goes."""
    home = house()
    home.visit("operator")
    stranger = home.visit()
    assert stranger.send("/sign-in", token="fh_worker_0").status_code == 403
    home.time = 20 * DAY
    assert stranger.send("/sign-in", token="fh_worker_0").status_code == 403

    def logged(event: str) -> int:
        return len(home.access.look("SELECT 1 FROM activity WHERE what = ?", event))

    for day, failures in ((29, 2), (31, 1), (51, 0)):
        home.time = day * DAY
        assert home.service.eraser.run()
        assert (logged("sign_in.failed"), logged("sign_in")) == (failures, 1)
    assert home.found('{"address": "127.0.0.1"}') == []


def test_a_file_that_was_refused_beside_an_approved_one_is_rejected(house: Open) -> None:
    """On the person's own page, in what they take along, and when the time of rejected files is over."""
    home = house()
    person, worker = home.joins(NAME)
    world = home.world
    link = home.service.site.links.path(home.job(files_per_submission=2))
    hidden = fields_of(person.get(link).text)
    shots = [("file", (f"{letter}.jpg", make("image/jpeg", letter).content, "image/jpeg")) for letter in "ab"]
    assert person.http.post(link, data=hidden, files=shots).status_code == 303
    (waiting,) = world.state.waiting()
    home.score(waiting.id, 5, 1)
    page = person.get("/me").text
    assert re.findall(r'id="file_\w+" data-status="(\w+)"', page) == ["approved", "rejected"]
    export = json.loads(ZipFile(io.BytesIO(person.get("/me/data.zip").content)).read("data.json"))
    assert [(file["status"], file["stars"]) for file in export["files"]] == [("approved", 5), ("rejected", 1)]
    home.time = 31 * DAY
    home.service.eraser.run()
    with world.lock:
        assert [file.is_erased for file in files_of(world, worker)] == [False, True]


def test_a_person_takes_their_data_along(house: Open, cli: Cli, tmp_path: Path) -> None:
    """By their page and by command: all that is known of them, their files, and nothing of anybody else."""
    home = house()
    person, worker = home.works()
    guest, _ = home.joins("Somebody else")
    taken = person.get("/me/data.zip")
    assert taken.headers["content-type"] == "application/zip"
    archive = ZipFile(io.BytesIO(taken.content))
    assert archive.testzip() is None
    export = json.loads(archive.read("data.json"))
    assert (export["worker_id"], export["name"], export["earned_cents"]) == (worker, NAME, 50)
    assert [file["status"] for file in export["files"]] == [
        "approved",
        "rejected",
        "retry_pending",
        "pending_score",
    ]
    assert {file["original_filename"] for file in export["files"]} == {f"{FILENAME}.jpg"}
    assert [file["reason"] for file in export["files"]] == [REASON, REASON, REASON, None]
    assert export["consents"][0]["purposes"] == ["research", "publication"]
    assert export["consents"][0]["notice"].startswith("You agree")
    assert "study.joined" in [entry["what"] for entry in export["log"]]
    for file in export["files"]:
        assert hashlib.sha256(archive.read(file["file"])).hexdigest() == file["sha256"]
    assert json.loads(ZipFile(io.BytesIO(guest.get("/me/data.zip").content)).read("data.json"))["files"] == []
    copy = tmp_path / "taken.zip"
    command = ("server", "export", str(home.folder), "--worker", worker, "--to", str(copy))
    assert cli(*command).out == f"Wrote {copy}.\n"
    if os.name == "posix":
        assert copy.stat().st_mode & 0o077 == 0
    assert sorted(ZipFile(copy).namelist()) == sorted(archive.namelist())
    assert "could not write" in cli(*command).err
    assert "check the id" in cli(*command[:4], f"wkr_{'0' * 26}", *command[5:]).err
    blob = next(home.folder.rglob("blob_*"))
    blob.unlink()
    assert len(ZipFile(io.BytesIO(person.get("/me/data.zip").content)).namelist()) == 4, (
        "one was erased meanwhile"
    )
    person.http.cookies.clear()
    assert person.get("/me/data.zip").status_code == 303


def test_a_person_takes_along_a_file_of_any_size(house: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file beyond the limit of a plain ZIP file, 2 GiB, has an entry that allows it."""
    home = house()
    person, _ = home.joins(NAME)
    assert upload(person, home.path(home.job())).status_code == 303
    with monkeypatch.context() as patch:
        patch.setattr("zipfile.ZIP64_LIMIT", 100)
        taken = person.get("/me/data.zip").content
    archive = ZipFile(io.BytesIO(taken))
    assert archive.testzip() is None
    (file,) = json.loads(archive.read("data.json"))["files"]
    assert hashlib.sha256(archive.read(file["file"])).hexdigest() == file["sha256"]


# An erasure that kills itself at a step.
DYING = """
import os, signal, sys
from pathlib import Path
from firsthandapi_server.serve import erasing, service
from firsthandapi_server.serve.access import Access
from firsthandapi_server.state.storage import LocalStorage

folder, worker, name, moment = sys.argv[1:]
owner = {"let_go": erasing.Eraser, "empty": erasing.Eraser, "drop_parts": erasing.Eraser, "remove": LocalStorage,
         "compact": erasing.traces}.get(name, Access)
name = name if hasattr(owner, name) else f"_{name}"
real = getattr(owner, name)

def dies(*args):
    if moment == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    real(*args)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(owner, name, dies)
service.erase(Path(folder), Access(Path(folder) / "access.db"), worker)
"""
STEPS = ("wish", "forget", "drop_parts", "let_go", "forget_files", "remove", "empty", "compact", "fulfill")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is a POSIX signal")
def test_an_erasure_that_is_killed_at_any_step_is_finished(house: Open, tmp_path: Path) -> None:
    """From the wish on, the next start leaves nothing on disk, and books that add up."""
    home = house()
    _, worker = home.works()
    contents = home.contents()
    home.service.stop()
    whole = home.folder
    for step in STEPS:
        for moment in ("before", "after"):
            home.folder = tmp_path / f"{step} {moment}"
            shutil.copytree(whole, home.folder)
            command = [sys.executable, "-c", DYING, str(home.folder), worker, step, moment]
            ended = subprocess.run(command, env=unmeasured(), check=False, timeout=120)
            assert ended.returncode == -signal.SIGKILL, (step, moment)
            service = home.again()
            asked = (step, moment) != ("wish", "before")
            assert (home.found(NAME, FILENAME, REASON, *contents) == []) is asked, (step, moment)
            assert service.access.erasures() == []
            with service.world.lock:
                service.world.check_books()
            home.service.stop()
