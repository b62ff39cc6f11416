"""No key, secret or signed URL reaches a log record, an error or a repr."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from firsthandapi import errors
from firsthandapi._base.masking import Secret
from firsthandapi._core.orders.record import OrderRecord
from firsthandapi.testing import MockServer

from .support import JOB, Connect


def session(client: Any, server: MockServer) -> list[str]:
    """A day's work, errors included, and every secret it met."""
    secrets = [server.api_key]
    endpoint = client.webhooks.create(url=f"{server.url}/hook?token=5ecretToken")
    secrets += [endpoint.secret, client.webhooks.rotate_secret(endpoint.id).secret, "5ecretToken"]
    secrets.append(client.api_keys.create(name="CI").secret)
    client.webhooks.update(endpoint.id, enabled=False)
    job = client.jobs.create(**{**JOB, "files_needed": 1})
    work = server.submit(job.id)
    server.clock.advance(minutes=1)
    (file,) = client.files.list(job.id)
    url = client.files.refresh_url(work.file_ids[0]).download_url
    secrets += [link.partition("X-Amz-Signature=")[2].partition("&")[0] for link in (file.download_url, url)]
    assert all(secrets)
    server.faults.add(status=503, times=2)
    client.jobs.get(job.id)
    server.faults.add(drop="before")
    client.me()
    return secrets


def failures(client: Any, server: MockServer) -> list[BaseException]:
    """Errors of every kind that a call can end in."""
    problems: list[BaseException] = []

    def fails(call: Any) -> None:
        with pytest.raises(errors.FirstHandError) as caught:
            call()
        problems.append(caught.value)

    fails(lambda: client.jobs.get("job_0"))
    fails(lambda: client.with_options(api_key="fh_live_5ecretPart").me())
    fails(lambda: client.jobs.create(**JOB, idempotency_key="é"))
    fails(lambda: client.jobs.create(**{**JOB, "description": "fh_live_5ecretPart"[:9]}))
    server.faults.add(garbage=True)
    fails(client.me)
    quick = client.with_options(max_retries=0)
    server.faults.add(drop="after")
    fails(quick.me)
    server.faults.add(delay=5)
    fails(lambda: quick.me(timeout=0.1))
    server.faults.clear()  # on busy cores a client may be gone before its request strikes
    server.faults.add(status=500)
    fails(quick.me)
    fails(lambda: client.me(extra_headers={"Authorization": "Bearer fh_live_5ecretPart"}))
    return problems


@pytest.mark.parametrize("owner", ["pooled", "borrowed"])
def test_nothing_secret_is_logged(
    owner: str, connect: Connect, fresh_server: MockServer, caplog: pytest.LogCaptureFixture
) -> None:
    """With every logger at DEBUG, a session with errors and signed URLs leaves no secret in any record."""
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "firsthandapi", "asyncio", "urllib3"):
        caplog.set_level(logging.DEBUG, logger=name)
    http_client = connect.http_client() if owner == "borrowed" else None
    client = connect(fresh_server, http_client=http_client, frozen=True)
    secrets = session(client, fresh_server)
    problems = failures(client, fresh_server)
    text = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    for secret in [*secrets, "5ecretPart"]:
        assert secret not in text
    for error in problems:
        output = "\n".join(chain(error))
        for secret in [*secrets, "5ecretPart"]:
            assert secret not in output


@pytest.mark.parametrize("owner", ["pooled", "borrowed"])
def test_the_whole_main_job_shows_no_secret(
    owner: str, connect: Connect, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """From the key to the folder, through every fault, every logger at DEBUG: nothing seen or kept has a secret."""
    http_client = connect.http_client() if owner == "borrowed" else None
    assert secrets_shown(connect, tmp_path, caplog, http_client) == []
    assert {"httpx" if owner == "borrowed" else "firsthandapi"} <= {record.name for record in caplog.records}


def secrets_shown(
    connect: Connect, folder: Path, caplog: pytest.LogCaptureFixture, http_client: Any = None
) -> list[str]:
    """The secrets that the whole main job shows in logs, callbacks, errors, and reprs, or keeps in its folder."""
    caplog.set_level(logging.DEBUG)
    seen: list[object] = []
    with MockServer(speed=300) as server:
        client = connect(server, http_client=http_client, on_attempt=seen.append, frozen=True)
        for path in ("/v1/jobs", "/v1/jobs/*", "/files/*"):
            server.faults.add(path=path, drop="after")
            server.faults.add(path=path, garbage=True)
            server.faults.add(path=path, status=503)
        server.faults.add(path="/files/*", cut=100)
        server.faults.add(path="/files/*", expired_url=True)
        server.faults.add(path="/files/*", status=404)
        dest = folder / "signs"
        for _ in range(5):
            try:
                dataset = client.jobs.collect(dest, **{**JOB, "files_needed": 6}, on_progress=seen.append)
                break
            except errors.FirstHandError as error:
                seen += [*chain(error), vars(error), *traceback.format_exception(error)]
        (job,) = client.jobs.list()
        urls = [file.download_url or "" for file in client.files.list(job.id)]
        seen += [repr(dataset), repr(list(dataset)), repr(client), repr(client.files.list(job.id).data)]
    assert len(dataset) == len(urls) == 6
    contents = [path.read_bytes().decode("utf-8", "replace") for path in dest.rglob("*") if path.is_file()]
    text = "\n".join(
        [*map(str, seen), *(f"{record.getMessage()} {vars(record)}" for record in caplog.records), *contents]
    )
    signed = [url.partition("X-Amz-Signature=")[2].partition("&")[0] for url in urls]
    assert all(signed)
    assert job.id in text
    return [secret for secret in (server.api_key, *signed, "X-Amz-Signature") if secret in text]


def log_each_use(patch: pytest.MonkeyPatch) -> None:
    """As in a line that somebody adds to see what goes wrong."""
    reveal = Secret.reveal

    def logged(self: Secret[Any]) -> Any:
        logging.getLogger("firsthandapi").debug("sends %s", reveal(self))
        return reveal(self)

    patch.setattr(Secret, "reveal", logged)


def name_the_url_in_errors(patch: pytest.MonkeyPatch) -> None:
    init = errors.FirstHandError.__init__

    def told(self: errors.FirstHandError, message: str) -> None:
        init(self, f"{message}: https://files.example/x.jpg?X-Amz-Signature=1")

    patch.setattr(errors.FirstHandError, "__init__", told)


def keep_the_url_in_the_folder(patch: pytest.MonkeyPatch) -> None:
    encode = OrderRecord.encode
    more = b', "url": "https://files.example/x.jpg?X-Amz-Signature=1"}\n'
    patch.setattr(OrderRecord, "encode", lambda self: encode(self).removesuffix(b"}\n") + more)


LEAKS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "a log line": log_each_use,
    "a repr": lambda patch: patch.setattr("firsthandapi.types._base._masked", lambda _name, value, *_: value),
    "an error": name_the_url_in_errors,
    "a callback": lambda patch: patch.setattr(
        "firsthandapi._core.calls.attempt.Attempt.__str__", lambda self: "?X-Amz-Signature=1"
    ),
    "a file": keep_the_url_in_the_folder,
}


@pytest.mark.parametrize("leak", LEAKS)
def test_the_scan_finds_a_planted_secret(
    leak: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the main job may leak one, the scan above sees it."""
    LEAKS[leak](monkeypatch)
    connect = Connect("sync")
    try:
        assert secrets_shown(connect, tmp_path, caplog) != []
    finally:
        connect.close()


def chain(error: BaseException | None) -> list[str]:
    """The texts of an error and of all that led to it: what a traceback shows."""
    texts: list[str] = []
    while error is not None:
        texts += [str(error), repr(error), repr(error.args)]
        error = error.__cause__ or error.__context__
    return texts
