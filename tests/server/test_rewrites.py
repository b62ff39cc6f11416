"""`rewrites` of the bundled server and of `HostileService`: a job comes back different from how it was posted."""

from __future__ import annotations

from typing import Any

import pytest

from firsthandapi.testing import HostileService, MockServer
from firsthandapi_server.rules.rewrites import REWRITES

from .conftest import Caller
from .test_control import control

TEXT = " Photos of cafe\u0301s & bars "
JOB: dict[str, Any] = {
    "type": "data_collection",
    "description": TEXT,
    "title": TEXT,
    "files_needed": 1,
    "accepted_formats": ["image/jpeg"],
    "price_per_file_cents": 50,
    "metadata": {"batch_name": "a" * 40, "count": 7},
}
TEXTS: dict[str, Any] = dict.fromkeys(("description", "title"), "Photos of caf\u00e9s &amp; bars")
CHANGES: dict[str, dict[str, Any]] = {
    "upper": {"metadata": {"batch_name": "A" * 40, "count": 7}},
    "cut": {"metadata": {"batch_name": "a" * 32, "count": 7}},
    "camel": {"metadata": {"batchName": "a" * 40, "count": 7}},
    "drop": {"metadata": None},
    "text": TEXTS,
    "camel upper text": {"metadata": {"batchName": "A" * 40, "count": 7}, **TEXTS},
}


def test_every_rewrite_is_tested() -> None:
    assert {*REWRITES} <= {*CHANGES}


@pytest.mark.parametrize("names", CHANGES)
def test_a_job_is_stored_rewritten(names: str) -> None:
    """Every response shows it so. Its key belongs to the body that was sent."""
    with MockServer(speed=0, rewrites=names.split()) as server:  # type: ignore[arg-type]
        api = Caller(server, server.api_key)
        job = api("POST", "/v1/jobs", JOB, Idempotency_Key="k").json
        assert {name: job[name] for name in JOB} == {**JOB, **CHANGES[names]}
        assert api("POST", "/v1/jobs", JOB, Idempotency_Key="k").json == job
        assert api.get(f"/v1/jobs/{job['id']}") == job
        assert api.get("/v1/jobs")["data"] == [job]
        assert api("POST", "/v1/jobs", {**JOB, **CHANGES[names]}, Idempotency_Key="k").status == 409


@pytest.mark.parametrize("names", CHANGES)
def test_the_hostile_service_shows_it_rewritten(names: str) -> None:
    """And counts it as it was posted."""
    with HostileService(rewrites=names.split()) as service:
        job = service.post(JOB)
        shown = service.shown(job)
        assert {name: shown[name] for name in JOB} == {**JOB, **CHANGES[names]}
        assert job.body == JOB


def test_one_name_is_enough() -> None:
    with MockServer(speed=0, rewrites="upper") as server:
        assert server.rewrites == ("upper",)


@pytest.mark.parametrize("kind", [MockServer, HostileService])
@pytest.mark.parametrize(
    ("name", "advice"), [("uper", "did you mean 'upper'"), ("lists", "use upper, cut, camel, drop, or text")]
)
def test_an_unknown_rewrite_is_refused(kind: Any, name: str, advice: str) -> None:
    with pytest.raises(ValueError, match=f"rewrites has no '{name}': {advice}"):
        kind(rewrites=["text", name])


def test_a_test_in_another_language_changes_them() -> None:
    """By /_control; a reset returns to those that the server was started with."""
    with MockServer(speed=0, rewrites=["drop"]) as server:
        changed = control(server, "PATCH", "/settings", {"rewrites": ["text", "camel"]}).json
        assert changed["rewrites"] == ["camel", "text"]
        assert control(server, "PATCH", "/settings", {"rewrites": ["uper"]}).status == 400
        assert Caller(server, server.api_key)("POST", "/v1/jobs", JOB).json["metadata"] == {
            "batchName": "a" * 40,
            "count": 7,
        }
        server.reset()
        assert server.rewrites == ("drop",)
