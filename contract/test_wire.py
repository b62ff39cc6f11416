"""What holds of every response. The run has looked at all that it got; these say what it saw."""

from __future__ import annotations

import pytest

from .checks import EVERY_RESPONSE, refused
from .exchange import NO_KEY, Check
from .server import Server


@pytest.mark.parametrize("check", EVERY_RESPONSE, ids=lambda check: check.__name__)
def test_every_response(server: Server, check: Check) -> None:
    """{check.__doc__} (§1)"""
    for path in ("/v1/me", "/v1/jobs?limit=1", "/v1/jobs?limit=0", f"/v1/jobs/job_{'0' * 26}"):
        server.get(path)
    server("GET", "/v1/me", key=NO_KEY)
    if error := server.broken.get(check):
        raise error


def test_errors_request_ids(server: Server) -> None:
    """Each error has a request id of its own. (§1)"""
    errors = [server("GET", "/v1/me", key=NO_KEY).must(refused(401)).object["error"] for _ in range(3)]
    assert len({error["request_id"] for error in errors}) == 3, "two errors have the same request id"
