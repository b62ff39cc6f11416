"""Attempts, as those who watch see them."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import pytest

from firsthandapi import Attempt, FirstHandClient, FirstHandError
from firsthandapi._core.calls.attempt import call_name
from firsthandapi_server.contract.operations import OPERATIONS


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


def test_each_endpoint_has_the_name_of_its_method() -> None:
    """A span is named after the method that makes the call; an unknown endpoint keeps its own name."""
    with FirstHandClient("fh_test_x") as client:
        for route in OPERATIONS:
            name = call_name(f"{route.method} {route.path.replace('{id}', ':id')}")
            assert callable(attrgetter(name)(client)), (
                f"{route.name}: no method, or no rule in call_name, for {name}"
            )
    for unknown in ("GET /v1/new", "PUT /v1/jobs/:id", "GET /"):
        assert call_name(unknown) == unknown


def test_the_methods_of_two_endpoints_differ() -> None:
    """Except for the submissions of one job, and of all."""
    names = [call_name(f"{route.method} {route.path.replace('{id}', ':id')}") for route in OPERATIONS]
    assert [name for name in {*names} if names.count(name) > 1] == ["submissions.list"]
