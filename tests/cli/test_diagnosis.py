"""What `firsthandapi doctor` makes of what it finds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from firsthandapi.cli.diagnosis import Answer, Facts, anonymous, diagnose, without_credentials

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


GOOD = Answer(
    status=200,
    seconds=0.1,
    date=NOW,
    received=NOW,
    environment="live",
    scopes=("jobs:read", "jobs:write"),
    remaining=99,
    limit=100,
    credits_cents=2500,
)


def facts(**changes: Any) -> Facts:
    usual: dict[str, Any] = {
        "python": "3.12.1",
        "system": "Linux",
        "version": "1.0.0",
        "base_url": "https://api.firsthandapi.com",
        "key": "fh_live_…",
        "trust": "certifi",
        "free_bytes": 50_000_000_000,
        "answer": GOOD,
    }
    return Facts(**{**usual, **changes})


def answer(**changes: Any) -> Answer:
    return Answer(**{**GOOD.__dict__, **changes})


@pytest.mark.parametrize(
    ("topic", "changes", "state"),
    [
        ("Clock", {"answer": answer(received=NOW + timedelta(seconds=20))}, "ok"),
        ("Clock", {"answer": answer(received=NOW + timedelta(seconds=60))}, "warn"),
        ("Clock", {"answer": answer(received=NOW - timedelta(seconds=60))}, "warn"),
        ("Clock", {"answer": answer(received=NOW - timedelta(seconds=300))}, "fail"),
        ("Clock", {"answer": answer(received=NOW + timedelta(seconds=45), seconds=50.0)}, "ok"),
        ("Clock", {"answer": answer(date=None)}, "warn"),
        ("Disk", {"free_bytes": 500_000_000}, "warn"),
        ("Disk", {"free_bytes": 5_000_000}, "fail"),
        ("Disk", {"free_bytes": None}, "ok"),
        ("Disk", {"folder_problem": "Permission denied"}, "fail"),
        ("Scopes", {"answer": answer(scopes=("jobs:read",))}, "warn"),
        ("Scopes", {"answer": answer(scopes=())}, "warn"),
        ("Rate limit", {"answer": answer(remaining=0)}, "warn"),
        ("Credits", {"answer": answer(credits_cents=0)}, "warn"),
        ("Credits", {"answer": answer(credits_cents=0, environment="test")}, "ok"),
        ("API key", {"key": "…"}, "ok"),
        ("API key", {"key": None, "key_problem": "it holds spaces"}, "fail"),
        ("API key", {"answer": answer(status=401)}, "fail"),
        ("API key", {"answer": Answer(problem="refused")}, "warn"),
        ("Service", {"answer": Answer(problem="TLS failed", untrusted=True)}, "fail"),
        ("Service", {"answer": answer(status=503, problem="HTTP 503")}, "fail"),
        ("Service", {"answer": answer(seconds=None)}, "ok"),
        ("Service", {"answer": Answer()}, "warn"),
        ("Packages", {"dependencies": {"httpx": "0.28", "pydantic": None}}, "fail"),
        ("Packages", {"misfits": ("httpx>=0.27 is needed, not 0.9",)}, "fail"),
        ("Extras", {"extras": {"cli": (), "pandas": ("pandas", "pyarrow")}}, "ok"),
        ("Proxy", {"proxy": "http://proxy.example"}, "ok"),
        ("Proxy", {"proxy_variables": ("NO_PROXY",)}, "ok"),
    ],
)
def test_each_fact_has_its_finding(topic: str, changes: dict[str, Any], state: str) -> None:
    """What is not ok says what to do."""
    (finding,) = [each for each in diagnose(facts(**changes)) if each.topic == topic]
    assert finding.state == state
    assert (finding.fix is None) == (state == "ok")


def test_what_was_not_told_makes_no_line() -> None:
    """No scopes, limit or credits known: no word on them."""
    topics = [each.topic for each in diagnose(facts(answer=Answer(status=200)))]
    assert not {"Scopes", "Rate limit", "Credits"} & {*topics}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://proxy.example:3128", "http://proxy.example:3128"),
        ("http://me:pass@proxy.example:3128/x?token=1", "http://…@proxy.example:3128"),
        ("socks5://me:p@ss@proxy.example", "socks5://…@proxy.example"),
        ("me:pass@proxy.example:3128", "…@proxy.example:3128"),
    ],
)
def test_a_proxy_is_shown_without_credentials(url: str, shown: str) -> None:
    """Scheme, host and port are what a ticket needs."""
    assert without_credentials(url) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/maria/signs", "~/signs"),
        ("/home/maria", "~"),
        ("/home/mariana/signs", "/home/mariana/signs"),
        ("/mnt/maria/signs", "/mnt/<user>/signs"),
        ("C:\\Users\\maria\\x", "C:\\Users\\<user>\\x"),
        ("maria wrote this", "maria wrote this"),
    ],
)
def test_names_of_people_are_left_out_of_paths(text: str, shown: str) -> None:
    """The home directory is `~`; the name goes where it is a part of a path, and nowhere else."""
    assert anonymous(text, home="/home/maria", user="maria") == shown


def test_no_home_hides_nothing() -> None:
    """A home of `/`, or none, leaves the text as it is."""
    assert anonymous("/srv/x", home="/", user="") == "/srv/x"
