"""Approved files, their annotations, and their downloads."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from typing import Any

import pytest

from .checks import has_header, listed, shaped, status, xml_error
from .conftest import SANDBOX_SECONDS
from .exchange import Key, Response
from .server import MAX_DOWNLOAD, Json, Server
from .shapes import DOWNLOAD, FILE, annotated

_WEEK = 7 * 86400


def _files(server: Server, job: Json, **query: Any) -> Response:
    return server.get(f"/v1/jobs/{job['id']}/files", **query).must(listed(FILE))


def test_files_approved(server: Server, completed_job: Json) -> None:
    """A completed job lists as many files as files_approved says, each approved. (§2 "Files")"""
    job = server.read_job(completed_job["id"])
    response = _files(server, job, limit=100, min_score=1)
    count, bar = len(response.items), job.get("min_star_rating") or 3
    is_right = response.object["has_more"] or count == job["files_approved"]
    assert is_right, f"the list has {count} files, and `files_approved` is {job['files_approved']}"
    for file in response.items:
        stars = file["ai_star_rating"]
        assert stars >= bar, f"a file has {stars} stars, and the job asks for {bar}"


def test_files_new(server: Server) -> None:
    """A file is the first in the list as soon as it is approved. (§2 "Files")"""
    server.needs_control("a worker")
    job, seen = server.new_job(min_star_rating=3, files_needed=3), set[str]()
    for number in (1, 2):
        server.work(job["id"], 5)
        response = _files(server, job, limit=100)
        assert len(response.items) == number, (
            f"{len(response.items)} files are listed, and {number} are approved"
        )
        assert response.ids[0] not in seen, "the newest file is not the first in the list"
        seen.add(response.ids[0])


def test_files_min_score_default(server: Server, strangers: tuple[Key, Key]) -> None:
    """Files with fewer than 3 stars are listed only with min_score. (§2 "Files")"""
    key = strangers[1]  # a live key: in the sandbox, every file has 4 stars
    job = server.new_job(key=key, min_star_rating=1)["id"]
    server.work(job, 1)
    for query, count in (({}, 0), ({"min_score": 1}, 1)):
        response = server("GET", f"/v1/jobs/{job}/files", query=query, key=key).must(listed(FILE))
        assert len(response.items) == count, (
            f"{len(response.items)} instead of {count} files with 1 star are listed"
        )


def test_files_withdrawn(server: Server) -> None:
    """A withdrawn file leaves the list, and files_approved falls. (§2 "Files" ‡)"""
    server.needs_control("somebody who withdraws a file")
    job = server.complete_job()
    first = _files(server, job).ids[0]
    server.control("POST", "/withdraw", {"file_id": first})
    assert first not in _files(server, job).ids, "a withdrawn file is still listed"
    now = server.read_job(job["id"])["files_approved"]
    assert now == job["files_approved"] - 1, f"`files_approved` still counts a withdrawn file: {now}"


def test_files_annotations(server: Server, files: Response) -> None:
    """Annotations have the documented fields of their type, or are null. (§3 "Annotations")"""
    described = [file for file in files.items if file.get("annotations") is not None]
    for file in described:
        fault = annotated(file["annotations"])
        assert not fault, f"annotations {fault}"
    assert "annotations" in files.items[0], "`annotations` is missing"
    if not described:
        pytest.skip("no file here has annotations")


def test_files_submissions(server: Server, completed_job: Json, files: Response) -> None:
    """submission_id of a file names a submission of its job. (§3)"""
    page = server.get(f"/v1/jobs/{completed_job['id']}/submissions", limit=100).must(status(200))
    for file in files.items:
        id = file.get("submission_id")
        assert id in (None, *page.ids) or page.object["has_more"], (
            f"a file names {id}, which its job does not list"
        )


def test_files_sandbox(server: Server, files: Response) -> None:
    """In the sandbox, every file has 4 stars. (§7)"""
    if not server.is_sandbox:
        pytest.skip("it is about sandbox keys")
    for file in files.items:
        assert file.get("ai_star_rating") == 4, f"a file has {file.get('ai_star_rating')} stars"


def test_files_refresh(server: Server, files: Response) -> None:
    """A refreshed URL downloads the same file, and expires no earlier. (§2 "Files")"""
    for file in files.items[-2:]:  # a server that mixes them up has to show it
        response = server.post(f"/v1/files/{file['id']}/refresh_url").must(status(200), shaped(DOWNLOAD))
        is_later = response.object["download_url_expires_at"] >= file["download_url_expires_at"]
        assert is_later, "the refreshed URL expires earlier than the first one"
        _hold_content(file, server.download(response.object["download_url"]))


def test_files_expiry(server: Server, file: Json) -> None:
    """A download URL is valid for 7 days. (§2 "Files")"""
    now = server.new_job()["created_at"]  # the server's time, which may be a virtual one
    response = server.post(f"/v1/files/{file['id']}/refresh_url").must(status(200), shaped(DOWNLOAD))
    ends = datetime.fromisoformat(response.object["download_url_expires_at"])
    seconds = (ends - datetime.fromisoformat(now)).total_seconds()
    assert abs(seconds - _WEEK) <= 43200, f"a URL is valid for {seconds / 86400:.1f} days"


def _hold_content(file: Json, response: Response) -> None:
    response.must(status(200))
    size, digest = len(response.body), hashlib.sha256(response.body).hexdigest()
    assert size == file["size_bytes"], (
        f"a download has {size} bytes, and `size_bytes` is {file['size_bytes']}"
    )
    assert file.get("content_hash") in (None, digest), "the SHA-256 of a download is not `content_hash`"


@pytest.fixture
def fresh(server: Server, completed_job: Json) -> list[Json]:
    """The files with URLs of this moment: time may have been moved."""
    files = [
        file for file in _files(server, completed_job, limit=10).items if file["size_bytes"] <= MAX_DOWNLOAD
    ]
    if not files:
        pytest.skip(f"no approved file here has at most {MAX_DOWNLOAD >> 20} MiB")
    return files


@pytest.fixture
def url(fresh: list[Json]) -> str:
    return str(fresh[0]["download_url"])


def test_downloads_content(server: Server, fresh: list[Json]) -> None:
    """The bytes of each file have the size, the SHA-256, and the type that the file says. (§3)"""
    for file in fresh:
        response = server.download(file["download_url"])
        _hold_content(file, response)
        kind = response.headers.get("content-type", "").partition(";")[0]
        assert kind == file["content_type"], (
            f"a download is {kind}, and `content_type` {file['content_type']}"
        )


def test_downloads_identity(server: Server, url: str) -> None:
    """A download comes with its length and without an encoding. (§2 "Files")"""
    response = server.download(url).must(status(200))
    response.must(has_header("content-length", str(len(response.body))))


def test_downloads_range(server: Server, fresh: list[Json]) -> None:
    """Range returns a part of the file, with 206. (§2 "Files")"""
    url, size = fresh[0]["download_url"], fresh[0]["size_bytes"]
    if size < 4:
        pytest.skip("the file is too small")
    whole = server.download(url).must(status(200))
    for span, first, last in (("bytes=1-2", 1, 2), (f"bytes={size - 1}-", size - 1, size - 1)):
        response = server.download(url, Range=span).must(status(206))
        assert response.body == whole.body[first : last + 1], "a range of other bytes"
        response.must(has_header("content-range", f"bytes {first}-{last}/{size}"))
    server.download(url, Range=f"bytes={size}-").must(status(416))


def test_downloads_if_range(server: Server, url: str) -> None:
    """If-Range with the ETag continues; with another one, the whole file comes. (§2 "Files")"""
    etag = server.download(url).must(status(200)).headers.get("etag", "")
    assert etag, "a download without an ETag"
    server.download(url, **{"Range": "bytes=1-", "If-Range": etag}).must(status(206))
    server.download(url, **{"Range": "bytes=1-", "If-Range": '"another"'}).must(status(200))


def test_downloads_tampered(server: Server, url: str) -> None:
    """A changed URL is refused with 403. (§2 "Files")"""
    changed = re.sub(r"(?i)(signature=)([0-9a-z]{4})", lambda hit: f"{hit[1]}{hit[2][::-1]}x", url, count=1)
    if changed == url:
        pytest.skip("the URL has no signature in its query")
    server.download(changed).must(status(403), xml_error)


def test_downloads_key(server: Server, url: str) -> None:
    """A download with an Authorization header is refused with 400. (§2 "Files")"""
    # Not the real key, which must never be sent there.
    server.download(url, Authorization="Bearer fh_test_0").must(status(400), xml_error)


def test_sandbox_completes(server: Server, request: pytest.FixtureRequest) -> None:
    """In the sandbox, a simulated worker completes a job after about 15 seconds. (§7)"""
    if not server.is_sandbox:
        pytest.skip("it is about sandbox keys")
    if not server.settings.get("workers", True):
        pytest.skip("the simulated workers of this server are switched off")
    if not server.has_control:  # where none completes, one wait is enough
        request.getfixturevalue("completed_job")
    job = server.new_job(min_star_rating=3)["id"]
    if server.has_control:
        server.advance(seconds=int(SANDBOX_SECONDS))
    state = server.finished(job, 1.0 if server.has_control else SANDBOX_SECONDS).get("status")
    assert state == "completed", f"a job of the sandbox is {state} after {SANDBOX_SECONDS:g} s"
