"""The command line at the main job: post, follow, fetch, verify, with exit codes and JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.support import SPEC, YAML, Cli
from firsthandapi._sync.resources.jobs import Jobs
from firsthandapi.testing import MockServer
from firsthandapi.types import Job


def test_jobs_from_post_to_cancel(runner: Cli, tmp_path: Path) -> None:
    """create, get, list, wait and cancel print tables, or JSON and nothing else."""
    (tmp_path / "job.yaml").write_text(YAML, encoding="utf-8")
    created = runner("jobs", "create", "--spec", "job.yaml", "--json")
    job_id = json.loads(created.out)["id"]
    assert "3 approved" in runner("jobs", "get", job_id).out
    assert job_id in runner("jobs", "list").out
    waited = runner("jobs", "wait", job_id, "--json")
    assert (json.loads(waited.out)["status"], waited.err) == ("completed", "")
    rated = runner("jobs", "rate", job_id, "--rating", "5", "--json")
    assert json.loads(rated.out)["buyer_rating"] == 5
    refused = runner("jobs", "cancel", job_id)
    assert refused.code == 1
    assert "HTTP 409" in refused.err


def test_what_the_service_leaves_out_is_left_out(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that does not say how many files it needs has no line about them."""
    bare = Job(id="job_01JD", status="open")
    monkeypatch.setattr(Jobs, "get", lambda *_: bare)
    monkeypatch.setattr(Jobs, "wait", lambda *_, on_update, **__: on_update(bare) or bare)
    assert cli("jobs", "get", bare.id).out.splitlines() == ["id      job_01JD", "status  open"]
    assert cli("jobs", "wait", bare.id).err == "open\n"


def test_balance_shows_dollars(runner: Cli) -> None:
    """What there is, for people and for programs."""
    assert "$1,000.00" in runner("balance").out
    assert json.loads(runner("balance", "--json").out)["balance_cents"] == 100_000


def test_jobs_follow_prints_each_file(cli: Cli, fresh_server: MockServer) -> None:
    """A line a file, in both forms; the signed URL only on request."""
    with fresh_server.client() as client:
        job = client.jobs.create(**{**SPEC, "files_needed": 2})
    fresh_server.submit(job.id, rating=4)
    fresh_server.submit(job.id, rating=5)
    fresh_server.clock.advance(seconds=60)
    lines = cli("jobs", "follow", job.id).out.splitlines()
    assert len(lines) == 2
    assert all("image/jpeg" in line for line in lines)
    plain = cli("jobs", "follow", job.id, "--json").out.splitlines()
    assert {json.loads(line)["ai_star_rating"] for line in plain} == {4, 5}
    assert "X-Amz" not in "".join(plain)
    assert cli("jobs", "follow", job.id, "--json", "--urls").out.count("X-Amz-Signature") == 2


def test_jobs_rate_shows_the_rating(cli: Cli, fresh_server: MockServer) -> None:
    """Stars and words come back; six stars are a usage error."""
    with fresh_server.client() as client:
        job = client.jobs.create(**{**SPEC, "files_needed": 2})
    fresh_server.submit(job.id)
    fresh_server.submit(job.id)
    fresh_server.clock.advance(seconds=60)
    rated = cli("jobs", "rate", job.id, "--rating", "3", "--feedback", "Sharp")
    assert "★★★" in rated.out
    assert "Sharp" in rated.out
    assert cli("jobs", "rate", job.id, "--rating", "6").code == 2


@pytest.mark.parametrize(
    ("command", "path", "words"),
    [
        (("jobs", "create", "--spec", "{spec}"), "/v1/jobs", "repeat it with --idempotency-key {key}"),
        (("keys", "create", "--name", "ci"), "/v1/api_keys", "look before you repeat it"),
    ],
)
def test_an_unknown_outcome_is_told_in_words_of_the_shell(
    cli: Cli, fresh_server: MockServer, tmp_path: Path, command: tuple[str, ...], path: str, words: str
) -> None:
    """After a POST that may have arrived, the message names the option of the command, not a Python argument."""
    spec = tmp_path / "job.yaml"
    spec.write_text(YAML, encoding="utf-8")
    fresh_server.faults.add(path=path, method="POST", garbage=True, times=2)
    ran = cli.at(fresh_server)(*(part.format(spec=spec) for part in command))
    key = fresh_server.requests[0].headers["idempotency-key"]
    assert ran.code == 1
    assert f"it may have been done: {words.format(key=key)}" in ran.err
    assert "idempotency_key=" not in ran.err
