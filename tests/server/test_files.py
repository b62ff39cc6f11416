"""Files, their lists and the download host."""

from __future__ import annotations

import hashlib
import http.client
from contextlib import closing
from typing import Any
from xml.etree import ElementTree

import pytest

from firsthandapi.testing import MockServer
from firsthandapi_server.media.sniffing import NAMES

from .conftest import Caller, Reply, scored, send


def download(server: MockServer, url: str, method: str = "GET", **headers: str) -> Reply:
    """A request to the download host."""
    return send(
        server.url, method, url, None, {name.replace("_", "-"): value for name, value in headers.items()}
    )


def code(reply: Reply) -> str | None:
    """The code of an XML error."""
    assert reply.headers["content-type"] == "application/xml"
    root = ElementTree.fromstring(reply.body)
    assert root.tag == "Error"
    return root.findtext("Code")


@pytest.fixture
def file(hand: MockServer, by_hand: Caller) -> Any:
    """An approved file of 1,000 known bytes."""
    job = by_hand.create_job()["id"]
    hand.submit(job, content=bytes(range(250)) * 4, original_filename="../../etc/passwd")
    hand.clock.advance(seconds=15)
    return by_hand.files(job)[0]


@pytest.mark.parametrize("content_type", NAMES)
def test_every_format(server: MockServer, api: Caller, content_type: str) -> None:
    """A file's size, hash and annotations are those of its bytes and its kind."""
    job = api.create_job(accepted_formats=[content_type])["id"]
    server.clock.advance(hours=1)
    for file in api.files(job):
        reply = download(server, file["download_url"])
        assert reply.headers["content-type"] == content_type
        assert int(reply.headers["content-length"]) == file["size_bytes"] == len(reply.body)
        assert hashlib.sha256(reply.body).hexdigest() == file["content_hash"]
        assert file["annotations"]["type"] == content_type.split("/")[0]
        assert (file["width"] is None) == content_type.startswith("audio")
        assert (file["duration_seconds"] is None) == content_type.startswith("image")


def test_given_content(hand: MockServer, file: Any) -> None:
    """Bytes given by hand come back as they are, under the name that the worker gave."""
    assert download(hand, file["download_url"]).body == bytes(range(250)) * 4
    assert file["original_filename"] == "../../etc/passwd"


def test_simulated_annotations(server: MockServer, api: Caller) -> None:
    """Of the simulated workers' pictures some name objects with a confidence, and few have no annotations."""
    job = api.create_job(files_needed=60, price_per_file_cents=10)["id"]
    server.clock.advance(hours=1)
    shapes: list[str] = []
    for file in api.files(job):
        annotations = file["annotations"]
        objects = annotations and annotations["objects"]
        shapes.append("null" if objects is None else type(objects[0]).__name__)
        if shapes[-1] == "dict":
            assert all(isinstance(item["label"], str) and 0 < item["confidence"] <= 1 for item in objects)
    assert shapes.count("null") in (2, 3)
    assert shapes.count("str") > shapes.count("dict") > 10


def test_withdraw(hand: MockServer, by_hand: Caller) -> None:
    """A withdrawn file leaves the list, files_approved falls, its URLs end, and what was paid stays paid."""
    job = by_hand.create_job(files_needed=3)["id"]
    for _ in range(3):
        scored(hand, job)
    first, second, third = by_hand.files(job)
    page = by_hand.get(f"/v1/jobs/{job}/files?limit=1")
    hand.withdraw(second["id"])
    done = by_hand.job(job)
    assert (done["status"], done["files_approved"]) == ("completed", 2)
    assert [file["id"] for file in by_hand.files(job)] == [first["id"], third["id"]]
    rest = by_hand.get(f"/v1/jobs/{job}/files?cursor={page['next_cursor']}")["data"]
    assert [file["id"] for file in rest] == [third["id"]]
    assert by_hand("POST", f"/v1/files/{second['id']}/refresh_url").status == 404
    assert download(hand, second["download_url"]).status == 404
    assert by_hand.get(f"/v1/submissions/{second['submission_id']}")["file_url"] is None
    assert by_hand.get("/v1/billing/credits")["balance_cents"] == 100_000 - 150
    assert by_hand.get("/v1/audit-events")["data"][0]["event_type"] == "file.withdrawn"
    for file_id in (second["id"], "file_nobody"):
        with pytest.raises(ValueError, match="no approved file"):
            hand.withdraw(file_id)


def test_given_annotations(hand: MockServer, by_hand: Caller) -> None:
    """Annotations can be given, or left out."""
    job = by_hand.create_job()["id"]
    scored(hand, job, annotations={"type": "smell"})
    scored(hand, job, annotations=None)
    assert [file["annotations"] for file in by_hand.files(job)] == [None, {"type": "smell"}]


def test_url_tampered_with(hand: MockServer, file: Any) -> None:
    """Any change to the path or the query is a 403, whatever it is."""
    url = file["download_url"]
    for changed in (
        url.replace("604800", "9999999"),
        url.replace("/files/file_", "/files/file_X"),
        url[:-1] + ("0" if url[-1] != "0" else "1"),
        url + "&more=1",
        url + "&X-Amz-Expires=604800",
        url.partition("?")[0],
        url + "%ED%A0%80",
    ):
        assert download(hand, changed).status == 403
    assert code(download(hand, url[:-1] + "Z")) == "SignatureDoesNotMatch"
    assert download(hand, url, "HEAD").status == 403
    assert download(hand, url, "DELETE").status == 405


@pytest.mark.parametrize(
    ("byte_range", "status", "start", "end"),
    [
        ("bytes=0-9", 206, 0, 10),
        ("bytes=990-", 206, 990, 1000),
        ("bytes=-10", 206, 990, 1000),
        ("bytes=-5000", 206, 0, 1000),
        ("bytes=990-5000", 206, 990, 1000),
        ("bytes=1000-", 416, 0, 0),
        ("bytes=-0", 416, 0, 0),
        ("bytes=9-3", 200, 0, 1000),
        ("bytes=-", 200, 0, 1000),
        ("bytes=0-1,5-6", 200, 0, 1000),
        ("items=0-9", 200, 0, 1000),
    ],
)
def test_range(hand: MockServer, file: Any, byte_range: str, status: int, start: int, end: int) -> None:
    """A range gives that part, one beyond the end a 416, and what is no range the whole."""
    reply = download(hand, file["download_url"], Range=byte_range)
    assert reply.status == status
    if status == 416:
        assert code(reply) == "InvalidRange"
        assert reply.headers["content-range"] == "bytes */1000"
    else:
        assert reply.body == (bytes(range(250)) * 4)[start:end]
        assert reply.headers["accept-ranges"] == "bytes"
    if status == 206:
        assert reply.headers["content-range"] == f"bytes {start}-{end - 1}/1000"


def test_conditions(hand: MockServer, file: Any) -> None:
    """If-Range, If-Match and If-None-Match go by the strong ETag."""
    url = file["download_url"]
    whole = download(hand, url)
    etag = whole.headers["etag"]
    assert etag.startswith('"')
    part = {"Range": "bytes=0-9"}
    assert download(hand, url, If_Range=etag, **part).status == 206
    assert download(hand, url, If_Range=whole.headers["last-modified"], **part).status == 206
    assert download(hand, url, If_Range='"other"', **part).status == 200
    assert download(hand, url, If_Match=etag).status == 200
    assert download(hand, url, If_Match='"other"').status == 412
    unchanged = download(hand, url, If_None_Match=f'"other", {etag}')
    assert (unchanged.status, unchanged.body) == (304, b"")
    assert download(hand, url, If_None_Match="*").status == 304


def test_keep_alive(hand: MockServer, file: Any) -> None:
    """Many downloads go over one connection."""
    with closing(http.client.HTTPConnection(hand.url.removeprefix("http://"))) as connection:
        for _ in range(3):
            connection.request("GET", file["download_url"].removeprefix(hand.url))
            response = connection.getresponse()
            assert response.status == 200
            response.read()
            assert connection.sock is not None
