"""What pages need to open without a network. How they open: `tests/console/test_offline.py`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from firsthandapi_server.serve import offline

from .conftest import BOXES, STUDY, Lab, Team, Visitor, running, write


@contextmanager
def studied(folder: Path, **fields: Any) -> Iterator[Lab]:
    """A server with a study."""
    with ExitStack() as stack:
        yield Lab(folder / "data", stack, study=write(folder, **fields))


def worker_of(team: Team) -> str:
    """The script of the service worker."""
    return team.visit().get("/offline.js").text


def loads(visitor: Visitor, path: str) -> dict[str, int]:
    """What a browser loads with a page, and the bytes of each."""
    page = visitor.get(path)
    assert page.status_code == 200
    paths = re.findall(r'(?:src|href)="(/(?:static|study)/[^"]+)"', page.text)
    return {path: len(page.content)} | {asset: len(visitor.get(asset).content) for asset in paths}


def test_the_worker_keeps_what_pages_of_workers_load(tmp_path: Path) -> None:
    """All of it. A browser asks whether there is another worker, at the cost of a few bytes."""
    (tmp_path / "logo.svg").write_text("<svg/>", encoding="utf-8")
    with studied(tmp_path, logo="logo.svg") as study:
        visitor, job = study.joined(), study.job()
        loaded = {*loads(visitor, "/me"), *loads(visitor, study.path(job))} - {"/me", study.path(job)}
        assert {"/static/queue.js", "/static/work.js", "/study/logo"} < loaded
        script = visitor.get("/offline.js")
        assert [path for path in loaded if f'"{path}"' not in script.text] == []
        assert script.headers["content-type"] == "text/javascript; charset=utf-8"
        assert script.headers["cache-control"] == "no-cache"
        reply = visitor.get("/offline.js", headers={"if-none-match": script.headers["etag"]})
        assert (reply.status_code, reply.content) == (304, b"")


def test_another_version_has_another_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same files have the same one after a start; if one differs, so does the worker."""
    with running(tmp_path / "a") as team:
        old_worker = worker_of(team)
    with running(tmp_path / "b") as team:
        assert worker_of(team) == old_worker
    folder = tmp_path / "static"
    folder.mkdir()
    for name in offline.ASSETS:
        (folder / name).write_bytes(b"")
    monkeypatch.setattr(offline, "FRAME", tmp_path)
    with running(tmp_path / "c") as team:
        after = worker_of(team)
    assert after != old_worker
    assert after.splitlines()[1:] == old_worker.splitlines()[1:]


def test_a_phone_installs_the_page(tmp_path: Path) -> None:
    """By the name of the study and its logo; without a study, by ours. The page names the manifest, and may load it."""
    (tmp_path / "logo.png").write_bytes(b"")
    with studied(tmp_path, logo="logo.png") as study:
        page = study.joined().get("/me")
        assert '<link rel="manifest" href="/manifest.webmanifest"' in page.text
        assert "manifest-src 'self'" in page.headers["content-security-policy"]
        answer = study.visit().get("/manifest.webmanifest")
        assert answer.headers["content-type"] == "application/manifest+json"
        manifest = answer.json()
        assert (manifest["name"], manifest["start_url"]) == (STUDY["name"], "/me")
        assert manifest["display"] == "standalone"
        assert [icon["src"] for icon in manifest["icons"]] == ["/study/logo", "/static/icon.svg"]
        with running(tmp_path / "alone") as team:
            manifest = team.visit().get("/manifest.webmanifest").json()
            assert (manifest["name"], manifest["start_url"]) == ("FirstHandAPI", "/")
            assert [icon["src"] for icon in manifest["icons"]] == ["/static/icon.svg"]


def test_the_first_page_is_small(tmp_path: Path) -> None:
    """Whoever scans the code loads 32 KB, and the rest once they have joined."""
    with studied(tmp_path) as study:
        loaded = loads(study.visit(), "/join")
        assert sum(loaded.values()) <= 32 << 10, loaded


def test_a_page_sends_what_is_its_visitors(tmp_path: Path) -> None:
    """Each page of somebody who may send files says whose they are; none does where nobody may, or where somebody else
    may be about to sign in, and none of staff does."""

    def sender(visitor: Visitor, path: str) -> str | None:
        match = re.search(r'data-person="(\w+)"', visitor.get(path).text)
        return match and match[1]

    with studied(tmp_path, join="invited") as study:
        worker, operator = study.visit("worker"), study.visit("operator")
        assert [sender(worker, path) for path in ("/join", "/privacy", "/nothing")] == [None] * 3
        for visitor in (worker, operator):
            visitor.send("/join", "/join", **BOXES)
        senders = {sender(worker, path) for path in ("/me", "/privacy", "/nothing", study.path(study.job()))}
        assert len(senders) == 1
        assert None not in senders
        assert sender(worker, "/sign-in") is None
        assert sender(study.visit(), "/privacy") is None
        assert sender(operator, "/me") not in (None, *senders)
        assert [sender(operator, path) for path in ("/console", "/review", "/console/people")] == [None] * 3


def test_who_leaves_has_the_browser_forget_everything(tmp_path: Path) -> None:
    """By a header, as also a browser without scripts understands it; nothing else has it."""
    with studied(tmp_path) as study:
        everything = '"cache", "storage"'
        visitor = study.joined()
        assert "clear-site-data" not in visitor.get("/me").headers
        assert visitor.send("/me/delete", "/me").headers["clear-site-data"] == everything
        signed_in = study.visit("worker")
        assert signed_in.send("/sign-out").headers["clear-site-data"] == everything
