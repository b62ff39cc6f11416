"""Attempts, as those who watch see them."""

from __future__ import annotations

from typing import Any

import pytest

from firsthandapi import Attempt, FirstHandClient, FirstHandError
from firsthandapi._core.calls.attempt import _CALLS, call_name
from firsthandapi.server.contract.operations import OPERATIONS


def attempt(**changes: Any) -> Attempt:
    """An attempt of `jobs.create` that succeeded."""
    values: dict[str, Any] = {
        "method": "POST",
        "path": "/v1/jobs",
        "endpoint": "POST /v1/jobs",
        "number": 1,
        "status": 201,
        "error": None,
        "seconds": 1.2344,
        "request_id": "req_1",
        "idempotency_key": None,
        "retry_in": None,
    }
    return Attempt(**{**values, **changes})


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "POST /v1/jobs 201 1234 ms attempt 1 req_1"),
        ({"request_id": None, "number": 2}, "POST /v1/jobs 201 1234 ms attempt 2"),
        ({"status": None, "error": FirstHandError("x"), "request_id": None},
         "POST /v1/jobs FirstHandError 1234 ms attempt 1"),
    ],
)  # fmt: skip
def test_an_attempt_is_one_line(changes: dict[str, Any], line: str) -> None:
    """A log line names the request, its outcome, its time, its number, and the request id if there is one."""
    assert str(attempt(**changes)) == line


def test_each_call_is_a_method_of_the_client() -> None:
    """A span is named after a method that exists."""
    with FirstHandClient("fh_test_x") as client:
        for name in _CALLS.values():
            target: Any = client
            for part in name.split("."):
                target = getattr(target, part)
            assert callable(target)


def test_each_endpoint_has_the_name_of_its_method() -> None:
    """Each endpoint has a name for logs and traces; an unknown one keeps its own."""
    served = {f"{each.method} {each.path.replace('{id}', ':id')}" for each in OPERATIONS}
    assert set(_CALLS) == served, "each endpoint needs a line in _CALLS of _core/calls/attempt.py"
    assert call_name("GET /v1/new") == "GET /v1/new"
