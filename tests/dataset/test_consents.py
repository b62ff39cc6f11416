"""consents.jsonl: what the workers of a folder agreed to."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from client.support import Connect
from firsthandapi.testing import MockServer
from firsthandapi_server.mock.workers import Capture

from .support import api, completed_job, reconcile


@pytest.fixture
def agreed(server: MockServer, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Consents as the server shows them, by their ids. Each file names one of its own."""
    consents: dict[str, Any] = {}
    plain = Capture.details

    def details(self: Capture) -> Any:
        fields = plain(self)
        digest = hashlib.sha256(self.seed.encode()).hexdigest()[:8]
        return replace(fields, more={**fields.more, "consent_id": f"cns_{digest}"})

    monkeypatch.setattr(Capture, "details", details)
    monkeypatch.setattr(server._world, "consent_of", lambda key, _account: consents.get(key))
    return consents


def named(server: MockServer, job_id: str) -> list[str]:
    """The consents of a job's files."""
    with server.client() as client:
        return sorted(str(file.consent_id) for file in client.files.list(job_id))


def consents(*ids: str) -> dict[str, Any]:
    return {name: {"object": "consent", "id": name, "version": 2, "text": "Ja."} for name in ids}


def lines(folder: Path) -> list[str]:
    """The ids in consents.jsonl."""
    path = folder / "consents.jsonl"
    return (
        [json.loads(line)["consent_id"] for line in path.read_text("utf-8").splitlines()]
        if path.exists()
        else []
    )


def asked(server: MockServer, since: int) -> int:
    return sum(line.startswith("GET /v1/consents/") for line in api(server, since))


def test_each_consent_that_a_row_names_gets_a_line(
    connect: Connect, server: MockServer, agreed: dict[str, Any], tmp_path: Path
) -> None:
    """Once, with a request each; one that the service has erased gets none, and is asked for again by the next run."""
    job_id = completed_job(server, 3)
    ids = named(server, job_id)
    agreed.update(consents(ids[0], ids[2]))
    client = connect(server)
    since = len(server.requests)
    dataset = client.files.download_all(job_id, tmp_path)
    assert sorted(str(row.consent_id) for row in dataset) == ids
    assert (lines(tmp_path), asked(server, since)) == ([ids[0], ids[2]], 3)
    agreed.update(consents(ids[1]))
    since = len(server.requests)
    client.files.download_all(job_id, tmp_path)
    assert (lines(tmp_path), asked(server, since)) == (ids, 1)
    stat, since = (tmp_path / "consents.jsonl").stat(), len(server.requests)
    client.files.download_all(job_id, tmp_path)
    assert ((tmp_path / "consents.jsonl").stat().st_ino, asked(server, since)) == (stat.st_ino, 0)
    assert dataset.verify()


def test_a_server_without_consents_writes_none(
    connect: Connect, server: MockServer, agreed: dict[str, Any], tmp_path: Path
) -> None:
    """And is not asked for hundreds."""
    job_id = completed_job(server, 5)
    since = len(server.requests)
    connect(server).files.download_all(job_id, tmp_path)
    assert (lines(tmp_path), asked(server, since)) == ([], 3)
    assert not (tmp_path / "consents.jsonl").exists()


def test_a_consent_that_cannot_be_read_ends_no_run(
    connect: Connect,
    server: MockServer,
    agreed: dict[str, Any],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One warning says why, and the same call asks again."""
    job_id = completed_job(server, 2)
    ids = named(server, job_id)
    agreed.update(consents(*ids))
    server.faults.add(path="/v1/consents", status=403, times=1)
    client = connect(server)
    with caplog.at_level(logging.WARNING, "firsthandapi.download"):
        client.files.download_all(job_id, tmp_path)
    assert caplog.text.count("some consents of the rows are unknown so far") == 1
    assert lines(tmp_path) == []
    client.files.download_all(job_id, tmp_path)
    assert lines(tmp_path) == ids


def test_reconcile_notes_when_a_consent_was_withdrawn(
    connect: Connect, server: MockServer, agreed: dict[str, Any], tmp_path: Path
) -> None:
    """And asks for no other again. One that the service has forgotten stays while a row names it."""
    job_id = completed_job(server, 3)
    ids = named(server, job_id)
    agreed.update(consents(*ids))
    agreed[ids[0]]["withdrawn_at"] = "2026-01-02T00:00:00Z"
    client = connect(server)
    dataset = client.files.download_all(job_id, tmp_path)
    agreed[ids[1]]["withdrawn_at"] = "2026-01-03T00:00:00Z"
    del agreed[ids[2]]
    since = len(server.requests)
    reconcile(connect, client, dataset)
    assert asked(server, since) == 2
    lines = [json.loads(line) for line in (tmp_path / "consents.jsonl").read_text("utf-8").splitlines()]
    assert [(line["consent_id"], line["withdrawn_at"]) for line in lines] == [
        (ids[0], "2026-01-02T00:00:00Z"),
        (ids[1], "2026-01-03T00:00:00Z"),
        (ids[2], None),
    ]


def test_a_copy_has_the_consents_of_its_rows(
    server: MockServer, agreed: dict[str, Any], tmp_path: Path
) -> None:
    """And a folder whose file was withdrawn has none of it."""
    job_id = completed_job(server, 3)
    ids = named(server, job_id)
    agreed.update(consents(*ids))
    with server.client() as client:
        dataset = client.files.download_all(job_id, tmp_path / "signs")
        chosen = dataset.filter(lambda row: row.consent_id != ids[1]).copy_to(tmp_path / "copy")
        assert lines(chosen.path) == [ids[0], ids[2]]
        gone = next(row for row in dataset if row.consent_id == ids[1])
        server.withdraw(gone.file_id)
        dataset.reconcile(client)
        assert lines(dataset.path) == [ids[0], ids[2]]
        for row in [*dataset]:
            server.withdraw(row.file_id)
        dataset.reconcile(client)
        assert not (dataset.path / "consents.jsonl").exists()
