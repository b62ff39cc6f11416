"""What a feedback job asks people to judge."""

from __future__ import annotations

import re
from typing import Any

import pytest

from .conftest import EVIL, Team

CONTENT: list[Any] = [
    "Is this headline clear?",
    "https://cdn.example.org/logo.PNG?size=2",
    "https://cdn.example.org:8443/jingle.mp3",
    "http://[2001:db8::1]/clip.mp4",
    "https://example.org/report.html",
    "javascript:alert(1)//.png",
    "https://evil.example;script-src *.js/x.png",
    "https://ana:secret@example.org/x.png",
    "data:image/png;base64,AAAA",
    EVIL,
    5,
]


def directive(policy: str, name: str) -> list[str]:
    match = re.search(rf"{name} ([^;]*)", policy)
    assert match is not None
    return match[1].split()


@pytest.mark.parametrize("role", ["worker", "reviewer"])
def test_what_is_to_be_judged(shared: Team, role: str) -> None:
    """Texts as texts, http addresses as links, pictures and players by their ending, from these hosts alone; nothing
    runs, and no host learns where its visitor comes from."""
    job = shared.job(type="feedback", metadata={"content": CONTENT})
    visitor = shared.visit()
    if role == "reviewer":
        shared.sent(job)
        reply = visitor.get(f"/review?job={job.id}")
    else:
        reply = visitor.get(shared.path(job))
    page, policy = reply.text, reply.headers["content-security-policy"]
    assert "Is this headline clear?" in page
    assert (
        '<img src="https://cdn.example.org/logo.PNG?size=2" alt="" loading="lazy" referrerpolicy="no-referrer">'
        in page
    )
    assert '<audio controls preload="none" src="https://cdn.example.org:8443/jingle.mp3"></audio>' in page
    assert '<video controls preload="none" src="http://[2001:db8::1]/clip.mp4"></video>' in page
    assert page.count('rel="noopener noreferrer nofollow"') == 4
    assert 'href="https://example.org/report.html"' in page
    assert not re.search(r'(?:href|src)="(?:javascript|data|https://evil|https://ana)', page)
    assert "<script>alert" not in page
    base = ["'self'", "blob:"] if role == "worker" else ["'self'"]
    assert directive(policy, "img-src") == ["https://cdn.example.org", *base]
    assert directive(policy, "media-src") == ["https://cdn.example.org:8443", "http://[2001:db8::1]", *base]
    assert directive(policy, "script-src") == ["'self'"]
    assert reply.headers["referrer-policy"] == "same-origin"


@pytest.mark.parametrize(
    "fields", [{"type": "data_collection"}, {"metadata": {}}, {"metadata": {"content": {"a": 1}}}]
)
def test_other_jobs(shared: Team, fields: dict[str, Any]) -> None:
    """They show nothing, and allow no other host."""
    job = shared.job(**{"type": "feedback", "metadata": {"content": CONTENT}, **fields})
    reply = shared.visit().get(shared.path(job))
    assert 'id="judged"' not in reply.text
    assert "https://" not in reply.headers["content-security-policy"]


def test_a_text(shared: Team) -> None:
    """In place of a list."""
    job = shared.job(type="feedback", metadata={"content": "Rate\nthis poem."})
    assert "Rate\nthis poem." in shared.visit().get(shared.path(job)).text
