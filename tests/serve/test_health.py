"""What a monitor asks for: whether the server can take work, and its figures."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from firsthandapi_server.serve import health
from firsthandapi_server.serve.bounds import BOUNDS
from server.sqlite.support import FullDisk

from .conftest import Team, first_of

_SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="[^"\\\n]*",?)+)\})? (\S+)')


def parsed(text: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """The samples of Prometheus text by name and labels; anything that the format does not allow fails."""
    samples: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    kinds: dict[str, str] = {}
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# "):
            _, word, name, rest = line.split(" ", 3)
            assert word in ("HELP", "TYPE")
            if word == "TYPE":
                assert rest in ("counter", "gauge", "histogram")
                assert name not in kinds
                assert rest != "counter" or name.endswith("_total")
                kinds[name] = rest
            continue
        match = _SAMPLE.fullmatch(line)
        assert match is not None, line
        family = [*kinds][-1]
        suffixes = ("_bucket", "_sum", "_count") if kinds[family] == "histogram" else ("",)
        assert match[1].removeprefix(family) in suffixes
        labels = tuple(re.findall(r'([a-z]+)="([^"]*)"', match[2] or ""))
        assert labels not in samples.setdefault(match[1], {})
        samples[match[1]][labels] = float(match[3])
    return samples


def test_a_server_that_works_is_healthy(team: Team) -> None:
    """By any name of the machine and without a sign-in; no part of the log of requests."""
    for headers in ({}, {"host": "10.0.0.5:8080"}, {"x-forwarded-for": "10.0.0.9"}):
        answer = httpx.get(f"{team.service.url}/healthz", headers=headers, trust_env=False, timeout=60)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert httpx.head(f"{team.service.url}/healthz", trust_env=False, timeout=60).status_code == 200
    assert team.service.site.log.latest() == []


@pytest.mark.parametrize("cause", ["disk", "state", "missing", "busy"])
def test_a_server_that_cannot_work_says_why(
    team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cause: str
) -> None:
    """In words, and without a path or a secret."""
    held = ExitStack()
    if cause == "disk":
        monkeypatch.setattr(BOUNDS, "spare_bytes", 1 << 60)
    elif cause == "missing":
        tmp_path.joinpath("data", "state.db").rename(tmp_path / "lost.db")
    elif cause == "busy":
        monkeypatch.setattr(health, "_SECONDS", 0.05)
        held.enter_context(team.world.lock)
    else:
        held.enter_context(FullDisk(team.world, "BEGIN"))
    with held:
        answer = httpx.get(f"{team.service.url}/healthz", trust_env=False, timeout=60)
    assert answer.status_code == 503
    (problem,) = answer.json()["problems"]
    assert problem.endswith(".")
    assert "/" not in problem


def test_metrics_are_for_operators(team: Team) -> None:
    """With a session or a bearer token of an operator; the API's key and other roles are nobody here."""
    _, worker = team.access.create("worker", "Ana", 0)
    gone, revoked = team.access.create("operator", "Gone", 0)
    team.access.revoke(gone.id, 1)
    url = f"{team.service.url}/metrics"
    for secret in ("wrong", worker, revoked, first_of(team.service).live):
        refused = httpx.get(url, headers={"authorization": f"Bearer {secret}"}, trust_env=False, timeout=60)
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert httpx.get(url, trust_env=False, timeout=60).status_code == 401
    assert team.visit("reviewer").get("/metrics").status_code == 401
    headers = {"authorization": f"Bearer {first_of(team.service).operator}", "host": "10.0.0.5:8080"}
    assert httpx.get(url, headers=headers, trust_env=False, timeout=60).status_code == 200
    assert team.visit("operator").get("/metrics").status_code == 200


def test_the_figures_are_those_of_the_state(team: Team) -> None:
    """Jobs, submissions, waits, uploads, responses, money, webhooks, and disk, as Prometheus reads them."""
    job = team.job()
    with team.world.lock:
        first = team.find(team.sent(job))
        team.world.jobs.score(first, first.submitted_at + 90)
    team.sent(job)
    team.access.note("upload.received", 1.0, "wkr_1", job.id, files=1)
    assert team.buyer.billing.credits().held_cents == 100
    answer = team.visit("operator").get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    figures = {name.removeprefix("firsthandapi_"): values for name, values in parsed(answer.text).items()}
    assert figures["healthy"] == {(): 1}
    for name, statuses in (("jobs", ["in_progress"]), ("submissions", ["pending_score", "approved"])):
        assert {labels[0][1]: count for labels, count in figures[name].items() if count} == dict.fromkeys(
            statuses, 1
        )
        assert len(figures[name]) > len(statuses)
    assert figures["reviews_waiting"] == {(): 1}
    assert 0 <= figures["reviews_oldest_wait_seconds"][()] < 60
    ages = {labels[0][1]: count for labels, count in figures["review_age_seconds_bucket"].items()}
    assert (ages["60"], ages["600"], ages["+Inf"]) == (0, 1, 1)
    assert figures["review_age_seconds_count"] == {(): 1}
    assert figures["uploads_total"] == {(("kind", "received"),): 1, (("kind", "repeated"),): 0}
    assert figures["responses_total"][(("code", "200"),)] >= 2
    money = {labels[0][1]: cents for labels, cents in figures["credits_cents"].items()}
    assert money == {"available": 99_850, "held": 100, "paid": 50}
    assert figures["webhooks_waiting"] == figures["webhooks_failed"] == {(): 0}
    assert 0 < figures["disk_free_bytes"][()] <= figures["disk_size_bytes"][()]


def test_a_label_is_written_as_prometheus_reads_it() -> None:
    """A program may have any name."""
    assert health._by("rater", {'scorer:a"b\\c\né': 1}) == {'{rater="scorer:a\\"b\\\\c\\né"}': 1}
