"""A server of one's own, and browsers that visit it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from firsthandapi import FirstHandClient
from firsthandapi.server.pages.serve.access import Role
from firsthandapi.server.pages.serve.service import Service
from firsthandapi.testing import make
from firsthandapi.testing._workers import capture

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{7*7}}\u202eevil"
JOB: dict[str, Any] = {
    "title": "Street signs",
    "description": "Photos of street signs in daylight",
    "files_needed": 3,
    "accepted_formats": ["image/jpeg", "image/png"],
    "price_per_file_cents": 50,
}


class Visitor:
    """A browser without scripts."""

    def __init__(self, service: Service, **options: Any) -> None:
        options = {
            "timeout": 30,
            "trust_env": False,
            "verify": False,
            **options,
        }  # to read certificates takes long
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{service.port}", **options)
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

    def post(self, path: str, page: str | None = None, **fields: str) -> httpx.Response:
        """The same, and no time passes."""
        token = re.search(r'name="form_token" value="(\w+)"', self.get(page or "/sign-in").text)
        assert token is not None
        return self.http.post(path, data={"form_token": token[1], **fields})

    def sign_in(self, role: Role, name: str = "Ana") -> httpx.Response:
        """Sign in with a new token."""
        _, secret = self._service.access.create(role, name, self._service.clock.now())
        return self.send("/sign-in", token=secret)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A server that runs."""
    with Service(tmp_path / "data") as running:
        yield running
        running.world.check_books()


@pytest.fixture
def visit(service: Service) -> Iterator[Callable[..., Visitor]]:
    """Makes browsers."""
    made: list[Visitor] = []

    def new(role: Role | None = None, **options: Any) -> Visitor:
        visitor = Visitor(service, **options)
        made.append(visitor)
        if role is not None:
            assert visitor.sign_in(role).status_code == 303
        return visitor

    yield new
    for visitor in made:
        visitor.http.close()


@pytest.fixture
def buyer(service: Service) -> Iterator[FirstHandClient]:
    """A client with the key of the first start."""
    assert service.first is not None
    with FirstHandClient(service.first.live, service.url, max_retries=0) as client:
        yield client


def pass_seconds(service: Service, seconds: float) -> None:
    """Let time pass for a server, and what is due then happen."""
    clock = service.clock
    before = clock._time
    clock._time = lambda: before() + seconds
    clock.run_due()
    with service.world.lock:  # what its own thread has begun
        service.site.panel.book(clock.now())


def submit(service: Service, job_id: str, *, files: int = 1, name: str | None = None, **options: Any) -> str:
    """Submit pictures, as a worker's page does; the id of the submission."""
    world = service.world
    with world.lock:
        job, now = world.state.jobs[job_id], world.clock.now()
        made = [
            capture(
                job, "image/jpeg", now, rating=4, name=name, given=make("image/jpeg", f"{number}").content
            )
            for number in range(files)
        ]
        return world.jobs.submit(job, made, now, **options).id
