"""What counts as an int."""

from __future__ import annotations

import json
from typing import Any

import pytest

from client.support import JOB
from core.strategies import Int64
from firsthandapi import FirstHandClient, idempotency_key
from firsthandapi._core.calls import arguments
from firsthandapi._core.calls.integers import as_int, int_or_none
from firsthandapi._core.calls.request import build_request
from firsthandapi._core.calls.spend import check_spend
from firsthandapi.errors import SpendLimitError
from firsthandapi.types import JobCreateParams


class Array:
    """Something with `__index__` that is no integer, such as an array of two."""

    def __index__(self) -> int:
        raise TypeError("only integer scalar arrays can be converted to a scalar index")


@pytest.mark.parametrize("value", [True, 1.0, "1", None, [1], Array()])
def test_what_is_no_int_stays(value: Any) -> None:
    """A bool, a float, a str, and an array are not made ints."""
    assert as_int(value) is value
    assert int_or_none(value) is None


def test_integers_of_other_libraries_are_ints_everywhere() -> None:
    """As an argument, in a body or a query, as seconds, cents, and parts of a key, an index is its int."""
    fields = {**JOB, "files_needed": Int64(10), "metadata": {"batch": Int64(7), "rows": [Int64(1)]}}
    params = arguments.check(JobCreateParams, fields)
    assert type(params.files_needed) is int
    sent = json.loads(arguments.body(params, {"more": Int64(2)}))
    assert (sent["files_needed"], sent["metadata"], sent["more"]) == (10, {"batch": 7, "rows": [1]}, 2)
    request = build_request("GET", "/v1/jobs", timeout=Int64(5), extra_query={"a": Int64(3)})  # type: ignore[arg-type]
    assert (request.timeout, request.query) == (5.0, "a=3")
    with pytest.raises(SpendLimitError):
        check_spend(Int64(10), Int64(50), 499)
    assert idempotency_key("a", Int64(5)) == idempotency_key("a", 5)
    with FirstHandClient("fh_test_x", max_retries=Int64(2), max_spend_cents=Int64(9)) as client:  # type: ignore[arg-type]
        assert (client._config.max_retries, client._config.max_spend_cents) == (2, 9)
