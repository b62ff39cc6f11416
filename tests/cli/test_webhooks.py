"""The command line at webhooks: endpoints and events."""

from __future__ import annotations

import json

import pytest

from cli.support import Cli
from firsthandapi.testing import MockServer

JOB_DONE = {"job_id": "job_01JD", "status": "completed", "files_needed": 3, "files_approved": 3}
SECRET = "whsec_0123456789abcdef"


@pytest.fixture
def cli(fresh_server: MockServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(monkeypatch, capsys).at(fresh_server)


def test_an_endpoint_from_create_to_delete(cli: Cli) -> None:
    """create, list, get, update, rotate-secret and delete; the secret is shown when it is new, and only then."""
    made = cli("webhooks", "create", "--url", "https://x.example/hook?token=abc", "--events", "job.completed")
    assert "whsec_" in made.out
    assert "not shown again" in made.err
    listed = cli("webhooks", "list")
    assert "https://x.example/hook?…" in listed.out
    assert "  job.completed  " in listed.out
    (endpoint,) = json.loads(cli("webhooks", "list", "--json").out)
    assert endpoint["events"] == ["job.completed"]
    shown = cli("webhooks", "get", endpoint["id"])
    assert "whsec_" not in shown.out + listed.out
    changed = cli("webhooks", "update", endpoint["id"], "--disable", "--description", "off", "--json")
    assert (json.loads(changed.out)["enabled"], json.loads(changed.out)["description"]) == (False, "off")
    assert cli("webhooks", "update", endpoint["id"], "--enable").out.count("yes") == 1
    rotated = json.loads(cli("webhooks", "rotate-secret", endpoint["id"], "--json").out)
    assert rotated["secret"].startswith("whsec_")
    assert rotated["secret"] not in made.out
    assert cli("webhooks", "update", endpoint["id"]).code == 2
    assert cli("webhooks", "delete", endpoint["id"]).err == f"Deleted {endpoint['id']}.\n"
    assert cli("webhooks", "get", endpoint["id"]).code == 1


def test_events_are_listed_and_replayed(cli: Cli, fresh_server: MockServer) -> None:
    """What each is about stands in its line; a signed URL in its data is left out."""
    done = fresh_server.emit("job.completed", JOB_DONE)
    approved = {
        "submission_id": "sub_01JD",
        "job_id": "job_01JD",
        "ai_star_rating": 4,
        "content_type": "image/png",
        "files": [{"id": "file_1", "download_url": "https://s3.example/a?X-Amz-Signature=abc"}],
    }
    fresh_server.emit("submission.approved", approved)
    fresh_server.emit("credits.low_balance", {"balance_cents": 250})
    fresh_server.emit("job.praised", {"job_id": "job_01JD"})
    listed = cli("webhooks", "events", "list").out
    for part in (
        "job_01JD  completed  3 of 3 files",
        "sub_01JD  image/png  ★★★★",
        "balance $2.50",
        "job.praised",
    ):
        assert part in listed
    everything = cli("webhooks", "events", "list", "--json").out
    assert len(json.loads(everything)) == 4
    assert "X-Amz" not in everything
    assert len(json.loads(cli("webhooks", "events", "list", "--type", "job.completed", "--json").out)) == 1
    assert "3 of 3 files" in cli("webhooks", "events", "replay", done).out
    assert json.loads(cli("webhooks", "events", "replay", done, "--json").out)["id"] == done
