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
from firsthandapi import ConfigurationError, Dataset, InvalidArgumentError
from firsthandapi._core.rows.manifest import MANIFEST, parse_manifest
from firsthandapi.datasets import Copy
from firsthandapi.testing import MockServer
from firsthandapi_server.mock.workers import Capture

from .support import api, completed_job, folder_of, forge, reconcile


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


def consenting(tmp_path: Path, **columns: list[Any]) -> Dataset:
    """Three files whose consents grant CC-BY-NC-4.0; the rows of two of them name CC-BY-4.0, and the third none."""
    columns = {"license": ["CC-BY-4.0", "CC-BY-4.0", None], **columns}
    ids = [f"cns_{n}" for n in range(3)]
    dataset = folder_of(tmp_path / "signs", [b"one", b"two", b"three"], consent_id=ids, **columns)
    withdraw(dataset)
    return dataset


def withdraw(dataset: Dataset, *withdrawn: str) -> None:
    """Write consents.jsonl, in which these are withdrawn."""
    rows = [
        {
            "consent_id": row.consent_id,
            "license": "CC-BY-NC-4.0",
            "withdrawn_at": "2026-01-03T00:00:00Z" if row.consent_id in withdrawn else None,
        }
        for row in dataset
    ]
    text = "".join(f"{json.dumps(row)}\n" for row in rows)
    (dataset.path / "consents.jsonl").write_text(text, "utf-8")


def published(dest: Path) -> list[tuple[str, str | None]]:
    """The consent and the license of each row of a publication."""
    return [(str(row.consent_id), row.license) for row in parse_manifest((dest / MANIFEST).read_bytes())]


def test_consents_decide_the_license_of_a_publication(tmp_path: Path) -> None:
    """Nothing is published under a license that a consent denies: rows, card, and metadata name the one it grants."""
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    dataset, dest = consenting(tmp_path), tmp_path / "public"
    denied = r"the consents of 2 files grant another .* CC-BY-NC-4\.0, not CC-BY-4\.0 \(2 files"
    for _ in range(2):
        with pytest.raises(InvalidArgumentError, match=denied):
            dataset.publish(dest)
        dataset.write_card()  # which states no license
    with pytest.raises(InvalidArgumentError, match=r"3 files granted another: CC-BY-NC-4\.0"):
        dataset.write_card(license="CC-BY-4.0")
    assert not dest.exists()
    dataset.write_card(license="cc-by-nc-4.0")
    dataset.publish(dest)
    granted = [("cns_0", "CC-BY-NC-4.0"), ("cns_1", "CC-BY-NC-4.0"), ("cns_2", None)]
    assert published(dest) == granted
    assert [*pandas.read_parquet(dest / "metadata.parquet")["license"].dropna()] == ["CC-BY-NC-4.0"] * 2
    assert 'license: "cc-by-nc-4.0"' in (dest / "README.md").read_text("utf-8")
    document = json.loads((dest / "croissant.json").read_bytes())
    assert document["license"] == "https://spdx.org/licenses/CC-BY-NC-4.0"
    assert [row.license for row in dataset] == ["CC-BY-4.0", "CC-BY-4.0", None]
    assert dataset.publish(dest).files == 0
    # A consent may be known only later.
    lines = (dataset.path / "consents.jsonl").read_text("utf-8").replace("-NC", "")
    (dataset.path / "consents.jsonl").write_text(lines, "utf-8")
    with pytest.raises(InvalidArgumentError, match=r"another: CC-BY-4\.0 \(3 files\), not cc-by-nc-4\.0"):
        dataset.publish(dest)


def test_a_file_whose_consent_is_withdrawn_is_not_published(tmp_path: Path) -> None:
    """Not in splits either, and the next publication loses it; the card counts it, and nothing else names it."""
    pytest.importorskip("pyarrow")
    dataset, dest = consenting(tmp_path, license=[None] * 3), tmp_path / "public"
    dataset.publish(dest)
    gone = dataset[0]
    withdraw(dataset, "cns_0")
    with pytest.raises(ConfigurationError, match="no file to publish: 1 file withdrawn"):
        dataset.publish(tmp_path / "split", splits={"train": dataset.filter(lambda row: row is gone)})
    dataset.write_card()
    dataset.publish(dest)
    assert [consent for consent, _ in published(dest)] == lines(dest) == ["cns_1", "cns_2"]
    for name in dest.rglob("*"):
        assert (
            not name.is_file()
            or name.name == "dataset.lock"
            or gone.file_id.encode() not in name.read_bytes()
        )
    assert not (dest / gone.file_name).exists()
    said = "1 file is not published: its worker has withdrawn the consent."
    for card in (dataset.path / "README.md", dest / "README.md"):
        assert said in card.read_text("utf-8")
    assert json.loads((dest / "croissant.json").read_bytes())["rai:dataCollectionMissingData"] == said
    assert Dataset.diff(dataset, dest / "dataset.lock").withdrawn == (gone.file_id,)
    withdraw(dataset, "cns_0", "cns_1", "cns_2")
    with pytest.raises(ConfigurationError, match="3 files withdrawn"):
        dataset.publish(dest)


def test_copies_lose_a_file_whose_consent_is_withdrawn(
    server: MockServer, agreed: dict[str, Any], tmp_path: Path
) -> None:
    """If the service says so: what is written in a folder removes nothing elsewhere. The folder keeps it as long as the
    service lists it."""
    pytest.importorskip("pyarrow")
    job_id = completed_job(server, 3)
    agreed.update(consents(*named(server, job_id)))
    with server.client() as client:
        dataset = client.files.download_all(job_id, tmp_path / "signs")
        gone, *rest = dataset.records
        rest_ids = [row.file_id for row in rest]
        dataset.copy_to(tmp_path / "copy")
        dataset.publish(tmp_path / "public")
        withdraw(dataset, str(gone.consent_id))
        # An edit does not move a withdrawal to another file.
        forge(dataset.path, consent_id=str(rest[0].consent_id))
        assert dataset.reconcile(client).copies == ()
        assert len(Dataset.open(tmp_path / "copy")) == 3
        agreed[str(gone.consent_id)]["withdrawn_at"] = "2026-01-03T00:00:00Z"
        places = [str(tmp_path / name) for name in ("copy", "public")]
        (tmp_path / "public").rename(tmp_path / "away")
        assert dataset.reconcile(client).copies == (Copy(places[0], True), Copy(places[1], None))
        (tmp_path / "away").rename(tmp_path / "public")  # the next call reaches it
        result = dataset.reconcile(client)
        assert (result.copies, result.removed) == ((Copy(places[1], True),), ())
        for place in places:
            assert [row.file_id for row in Dataset.open(place)] == rest_ids
            assert not (Path(place) / gone.file_name).exists()
            assert lines(Path(place)) == sorted(str(row.consent_id) for row in rest)
        since = len(server.requests)
        assert dataset.reconcile(client).copies == ()
        assert asked(server, since) == 2
    assert len(dataset) == 3


def test_a_denied_license_does_not_keep_a_withdrawn_file(
    server: MockServer, agreed: dict[str, Any], tmp_path: Path
) -> None:
    """Removing it is no publication."""
    pytest.importorskip("pyarrow")
    job_id = completed_job(server, 2)
    ids = named(server, job_id)
    agreed.update(consents(*ids))
    with server.client() as client:
        dataset = client.files.download_all(job_id, tmp_path / "signs")
        dataset.write_card(license="CC-BY-4.0")
        dataset.publish(tmp_path / "public")
        for consent in agreed.values():
            consent["license"] = "CC-BY-NC-4.0"
        agreed[str(dataset[0].consent_id)]["withdrawn_at"] = "2026-01-03T00:00:00Z"
        assert dataset.reconcile(client).copies == (Copy(str(tmp_path / "public"), True),)
        assert len(Dataset.open(tmp_path / "public")) == 1


def test_a_stale_copy_undoes_no_withdrawal(tmp_path: Path) -> None:
    """Whichever is merged last."""
    dataset = consenting(tmp_path)
    stale = dataset.copy_to(tmp_path / "stale")
    withdraw(dataset, "cns_0")
    for number, sources in enumerate(([dataset, stale], [stale, dataset])):
        merged = Dataset.merge(sources, tmp_path / f"merged {number}")
        text = (merged.path / "consents.jsonl").read_text("utf-8")
        assert text == (dataset.path / "consents.jsonl").read_text("utf-8").replace(": ", ":").replace(
            ", ", ","
        )
