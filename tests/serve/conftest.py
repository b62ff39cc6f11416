"""A server of one's own, and browsers that visit it."""

from __future__ import annotations

import json
import re
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest

from firsthandapi import FirstHandClient
from firsthandapi.testing import make
from firsthandapi_server.mock.workers import capture
from firsthandapi_server.rules.jobs import Verdict
from firsthandapi_server.serve.access import FILE, Role
from firsthandapi_server.serve.service import FirstKeys, Service
from firsthandapi_server.state.model import Job, Submission

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{7*7}}\u202eevil"
TITLE = "Street signs"
TABLE = "id,text,quota,gold\nr1,A stop sign,1,\nr2,A street name,2,5\nr3,A shop sign,1,\n"
BOXES = dict.fromkeys(("own_work", "adult", "people_shown_agree"), "yes")
STUDY: dict[str, Any] = {
    "name": "Street signs of Lagos",
    "organizer": "Example Lab",
    "contact": "signs@example.org",
    "languages": ["en", "fr", "ar"],
    "license": "CC-BY-4.0",
    "consent": {
        "version": 2,
        "purposes": ["research", "publication"],
        "text": {"en": "consent.en.md", "fr": "Vous acceptez que vos photos servent à la recherche."},
        "assurances": ["own_work", "adult", "people_shown_agree"],
    },
}
JOB: dict[str, Any] = {
    "title": TITLE,
    "description": "Photos of street signs in daylight",
    "files_needed": 3,
    "accepted_formats": ["image/jpeg", "image/png"],
    "price_per_file_cents": 50,
}


class Visitor:
    """A browser without scripts."""

    def __init__(self, service: Service, **options: Any) -> None:
        self.http = browser(f"http://127.0.0.1:{service.port}", follow_redirects=False, **options)
        self._service = service

    def get(self, path: str, **options: Any) -> httpx.Response:
        """A page."""
        return self.http.get(path, **options)

    def send(self, path: str, page: str | None = None, **fields: str) -> httpx.Response:
        """A form of a page, filled in. After a rating, the time in which it can be undone passes."""
        reply = self.post(path, page, **fields)
        if path == "/review":
            pass_seconds(self._service, 10)
        return reply

    def rate(
        self, submission: str, *stars: object, attempt: int = 1, is_booked: bool = True, **fields: str
    ) -> httpx.Response:
        """Give stars to each file; unless they are booked, they can still be undone."""
        ratings = {f"stars-{number}": str(value) for number, value in enumerate(stars)}
        send = self.send if is_booked else self.post
        return send("/review", submission=submission, attempt=str(attempt), **ratings, **fields)

    def post(self, path: str, page: str | None = None, **fields: str) -> httpx.Response:
        """The same, and no time passes."""
        token = re.search(r'name="form_token" value="(\w+)"', self.get(page or "/sign-in").text)
        assert token is not None
        return self.http.post(path, data={"form_token": token[1], **fields})

    def sign_in(self, role: Role, name: str = "Ana") -> httpx.Response:
        """Sign in with a new token."""
        _, secret = self._service.access.create(role, name, self._service.clock.now())
        return self.send("/sign-in", token=secret)


def fields_of(page: str) -> dict[str, str]:
    """The hidden fields of a page's forms."""
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page))


def browser(url: str, **options: Any) -> httpx.Client:
    """A browser that follows where forms lead, unless told otherwise."""
    # To read certificates takes long.
    settings = {"timeout": 30, "trust_env": False, "verify": False, "follow_redirects": True, **options}
    return httpx.Client(base_url=url, **settings)


def send(http: httpx.Client, page: str, files: Any = None, **fields: str) -> httpx.Response:
    """The form of a page, with its hidden fields."""
    return http.post(page, data={**fields_of(http.get(page).text), **fields}, files=files)


def upload(
    visitor: Visitor, link: str, name: str = "shot.jpg", content: bytes | None = None
) -> httpx.Response:
    """One picture, or another file, by the form of a job."""
    once = secrets.token_hex(16)
    content = content or make("image/jpeg", once, width=160, height=120).content  # the same twice is refused
    return send(visitor.http, link, {"file": (name, content, "image/jpeg")}, upload=once)


class Team:
    """A server of one's own that runs, its buyer, and the browsers that visit it."""

    def __init__(self, folder: Path, stack: ExitStack, key: str | None = None, **options: Any) -> None:
        self.folder = folder
        self.stack = stack
        self.service = stack.enter_context(Service(folder, **options))
        self.world = self.service.world
        self.access = self.service.access
        self.key = key or first_of(self.service).live
        self.buyer = stack.enter_context(FirstHandClient(self.key, self.service.url, max_retries=0))

    def visit(self, role: Role | None = None, name: str = "Ana", **options: Any) -> Visitor:
        """A browser, signed in with a new token."""
        visitor = Visitor(self.service, **options)
        self.stack.callback(visitor.http.close)
        if role is not None:
            assert visitor.sign_in(role, name).status_code == 303
        return visitor

    def job(self, **fields: Any) -> Job:
        """A new job."""
        return self.world.state.jobs[self.buyer.jobs.create(**{**JOB, **fields}).id]

    def path(self, job: Job) -> str:
        """The path of a job's page."""
        return self.service.site.links.path(job)

    def sent(self, job: Job | None = None, **options: Any) -> str:
        """The id of what a worker has sent for a job, or for a new one."""
        return submit(self.service, (job or self.job()).id, **options)

    def find(self, submission: str) -> Submission:
        """What was sent."""
        return self.world.state.submissions[submission]

    def score(self, submission: str, *stars: int, reason: str | None = None, **options: Any) -> None:
        """Decide, without a reviewer: stars for each file, or the same for all."""
        with self.world.lock:
            item = self.find(submission)
            ratings = [*stars] if len(stars) > 1 else [*stars] * len(item.files)
            self.world.jobs.score(item, self.service.clock.now(), Verdict(ratings, reason, **options))


def consent(**fields: Any) -> dict[str, Any]:
    """The field of a study, with these of its own changed."""
    return {"consent": {**STUDY["consent"], **fields}}


def write(folder: Path, **fields: Any) -> Path:
    """A study in a folder, with these fields changed; None leaves one out. JSON is YAML."""
    (folder / "consent.en.md").write_text("You agree that your photos serve research.\n", encoding="utf-8")
    values = {name: value for name, value in {**STUDY, **fields}.items() if value is not None}
    path = folder / "study.yaml"
    path.write_text(json.dumps(values), encoding="utf-8")
    return path


class Nobody:
    """A jury that sees to everything, and says nothing by itself."""

    def submitted(self, submission: Submission, at: float) -> bool:
        return True


class Lab(Team):
    """A server with a study."""

    def joined(self, **fields: str) -> Visitor:
        """A browser of somebody who has joined."""
        visitor = self.visit()
        answer = visitor.send("/join", "/join", **{**BOXES, **fields})
        assert (answer.status_code, answer.headers["location"]) == (303, "/me"), answer.text
        return visitor

    def records(self) -> list[dict[str, Any]]:
        """The records of consent, as they are kept."""
        with closing(sqlite3.connect(self.folder / FILE)) as rows:
            rows.row_factory = sqlite3.Row
            return [dict(row) for row in rows.execute("SELECT * FROM consents ORDER BY given_at, consent_id")]

    def shown(self, visitor: Visitor, job: Job, **query: str) -> str | None:
        """The row that somebody is shown on the page of a job."""
        page = visitor.get(self.path(job), params=query).text
        return fields_of(page).get("task_id")

    def work(self, visitor: Visitor, job: Job) -> Submission:
        """What somebody sends for the row that they are shown."""
        answer = upload(visitor, self.path(job))
        assert answer.status_code == 303, answer.text
        return job.submissions[-1]

    def open_rows(self) -> dict[str, int]:
        """How many files are still wanted of each row."""
        with self.world.lock:
            counts = self.service.site.tasks.counts(TITLE, 0, 100)
        return {row.id: row.quota - row.taken for row in counts if row.taken < row.quota}


Open = Callable[..., Lab]


@pytest.fixture(scope="session", autouse=True)
def patient() -> Iterator[None]:
    """Busy cores may take longer for a picture than a server waits."""
    with pytest.MonkeyPatch.context() as patch:
        for bounded in ("media.upright._decode", "state.thumbnails._draw"):
            patch.setattr(f"firsthandapi_server.{bounded}._seconds", 200)
        yield


@contextmanager
def running(folder: Path, **options: Any) -> Iterator[Team]:
    """A server over a folder, until the end of the block."""
    with ExitStack() as stack:
        yield Team(folder, stack, **options)


def first_of(service: Service) -> FirstKeys:
    """What the first start of a server has made."""
    assert service.first is not None
    return service.first


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    """A server that runs."""
    with running(tmp_path / "data") as server:
        yield server
        server.world.check_books()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """A server that runs, for tests that need nothing of it but what they make."""
    with running(tmp_path_factory.mktemp("shared") / "data") as server:
        yield server
        server.world.check_books()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Open]:
    """Opens a server with a study, perhaps with a table of tasks, or again with other values."""
    with ExitStack() as stack:
        keys: list[str] = []

        def start(
            running: ExitStack = stack,
            options: Mapping[str, Any] | None = None,
            table: str | None = None,
            **fields: Any,
        ) -> Lab:
            if table is not None:
                (tmp_path / "prompts.csv").write_text(table, encoding="utf-8")
                fields = {"tasks": {TITLE: "prompts.csv"}, **fields}
            study = write(tmp_path, **fields)
            server = Lab(tmp_path / "data", running, *keys[:1], study=study, **(options or {}))
            keys.append(server.key)
            server.world.jobs.jury = Nobody()
            return server

        yield start


def stand_still(service: Service) -> None:
    """Let no time pass for a server by itself."""
    now = service.clock._time() + 1  # a clock that is set back goes on at half its speed
    service.clock._time = lambda: now


def pass_seconds(service: Service, seconds: float) -> None:
    """Let time pass for a server, and what is due then happen."""
    clock = service.clock
    old_time = clock._time
    clock._time = lambda: old_time() + seconds
    clock.run_due()
    with service.world.lock:  # what its own thread has begun
        service.site.panel.book(clock.now())


@cache
def numbered(number: int) -> bytes:
    """A picture, which is drawn once."""
    return make("image/jpeg", f"{number}").content


def submit(service: Service, job_id: str, *, files: int = 1, name: str | None = None, **options: Any) -> str:
    """Submit pictures, as a worker's page does; the id of the submission."""
    world = service.world
    with world.lock:
        job, now = world.state.jobs[job_id], world.clock.now()
        shots = [
            capture(job, "image/jpeg", now, rating=4, name=name, given=numbered(number))
            for number in range(files)
        ]
        return world.jobs.submit(job, shots, now, **options).id
