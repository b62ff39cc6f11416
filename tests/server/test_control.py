"""`/_control`: what the Python object can do, for tests in other languages."""

from __future__ import annotations

import base64
import http.client
import inspect
import os
import shutil
import subprocess
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from firsthandapi.testing import MockServer, ReceivedRequest
from firsthandapi_server.mock.bundled import BundledServer
from firsthandapi_server.mock.control import ACTIONS

from .conftest import JOB, Caller, Receiver, Reply

NODE_TEST = Path(__file__).with_name("control.test.mjs")


def control(server: MockServer, method: str, path: str, body: Any = None) -> Reply:
    """A call without a key."""
    return Caller(server, None)(method, f"/_control{path}", body)


def test_a_whole_job(hand: MockServer, by_hand: Caller) -> None:
    """Submit, advance, rate down and retry, withdraw: each as by the Python object."""
    job = by_hand.create_job(accepted_formats=["image/png", "image/jpeg"])["id"]
    reply = control(
        hand,
        "POST",
        "/submit",
        {
            "job_id": job,
            "content_base64": base64.b64encode(b"photo").decode(),
            "annotations": None,
            "rating": 5,
        },
    )
    assert reply.status == 201
    second = control(hand, "POST", "/submit", {"job_id": job, "rating": 2, "content_type": "image/jpeg"}).json
    now = control(hand, "GET", "").json["now"]
    assert control(hand, "POST", "/advance", {"seconds": 15}).json["now"] > now
    retry = {"job_id": job, "retry_of": second["submission_id"], "latitude": 1.5, "location_verified": True}
    assert control(hand, "POST", "/submit", retry).json["submission_id"] == second["submission_id"]
    control(hand, "POST", "/advance", {"minutes": 1})
    assert by_hand.job(job)["status"] == "completed"
    made_up, file = by_hand.files(job)
    assert (file["size_bytes"], file["annotations"], file["id"]) == (5, None, reply.json["file_ids"][0])
    assert made_up["annotations"]["type"] == "image"
    submission = by_hand.get(f"/v1/submissions/{second['submission_id']}")
    assert (submission["submission_latitude"], submission["location_verified"]) == (1.5, True)
    assert control(hand, "POST", "/withdraw", {"file_id": file["id"]}).status == 204
    assert by_hand.job(job)["files_approved"] == 1
    assert control(hand, "POST", "/check_books").status == 204


def test_several_files_and_a_score_by_hand(hand: MockServer, by_hand: Caller) -> None:
    """A submission of several files, each with its own bytes and stars, and one that is scored when asked."""
    job = by_hand.create_job(files_needed=4, files_per_submission=3, accepted_formats=["image/png"])["id"]
    photos = [base64.b64encode(name.encode()).decode() for name in ("one", "two", "three" * 400_000)]
    body = {
        "job_id": job,
        "content_base64": photos,
        "rating": [5, 1, 3],
        "original_filename": ["a", "b", "c"],
    }
    reply = control(hand, "POST", "/submit", body)
    assert (reply.status, len(reply.json["file_ids"])) == (201, 3)
    hand.clock.advance(minutes=1)
    assert {file["original_filename"] for file in by_hand.files(job)} == {"a", "c"}
    second = control(hand, "POST", "/submit", {"job_id": job}).json["submission_id"]
    score = {"submission_id": second, "rating": 2}
    assert control(hand, "POST", "/score", score).status == 204
    assert by_hand.get(f"/v1/submissions/{second}")["status"] == "retry_pending"
    hand.clock.advance(seconds=4)
    retry = {"job_id": job, "retry_of": second, "rating": 5}
    assert control(hand, "POST", "/submit", retry).status == 201
    # The score of the first attempt, which was due 5 to 15 seconds after it came, is none of the second's.
    job_of = hand._world.state.submissions[second]
    hand._world.jobs._score_due(job_of, 1, hand.clock.now())
    assert by_hand.get(f"/v1/submissions/{second}")["status"] == "pending_score"
    hand.clock.advance(seconds=15)
    assert by_hand.get(f"/v1/submissions/{second}")["status"] == "approved"
    for wrong in ({**score, "rating": 6}, score, {"submission_id": "sub_x", "rating": 1}):
        assert control(hand, "POST", "/score", wrong).status == 400
    with pytest.raises(ValueError, match="1 to 5"):
        hand.score(second, 0)


def test_deprecations(hand: MockServer, by_hand: Caller) -> None:
    """An endpoint is deprecated as by the Python object, and gone when its time has come."""
    body = {"path": "/v1/me", "method": "get", "sunset": "2020-01-01", "link": "https://example.com/next"}
    assert control(hand, "POST", "/deprecate", body).status == 204
    reply = by_hand("GET", "/v1/me")
    assert (reply.status, reply.headers["deprecation"]) == (410, "true")


def test_faults(hand: MockServer, by_hand: Caller) -> None:
    """A fault strikes the API, is listed until it is used up, and can be removed; /_control itself is spared."""
    added = control(hand, "POST", "/faults", {"path": "/v1/me", "status": 503, "times": 2, "retry_after": 1})
    assert (added.status, added.json["times"]) == (201, 2)
    control(hand, "POST", "/faults", {"status": 500, "times": None})
    assert by_hand("GET", "/v1/me").status == 503
    listed = control(hand, "GET", "/faults").json["data"]
    assert [(fault["path"], fault["times"]) for fault in listed] == [("/v1/me", 1), ("*", None)]
    assert [fault["does"] for fault in listed] == ["responds with 503; Retry-After: 1", "responds with 500"]
    third = control(hand, "POST", "/faults", {"path": "/v1/jobs", "delay": 1}).json["id"]
    assert control(hand, "POST", "/faults/remove", {"id": third}).status == 204
    assert control(hand, "POST", "/faults/remove", {"id": third}).status == 400
    assert [by_hand("GET", "/v1/me").status for _ in range(2)] == [503, 500]
    assert len(control(hand, "GET", "/faults").json["data"]) == 1
    assert control(hand, "DELETE", "/faults").status == 204
    assert by_hand("GET", "/v1/me").status == 200


def test_events_and_what_came(hand: MockServer, by_hand: Caller, receiver: Receiver) -> None:
    """Emit events, and read requests and deliveries; requests to /_control are not among them."""
    by_hand("POST", "/v1/webhook_endpoints", {"url": receiver.url})
    emitted = control(hand, "POST", "/emit", {"type": "job.paused", "data": {"a": 1}})
    control(hand, "POST", "/advance", {})
    assert [event["id"] for event in receiver.events] == [emitted.json["event_id"]]
    (delivery,) = control(hand, "GET", "/deliveries").json["data"]
    assert (delivery["status"], delivery["attempts"][0]["status"]) == ("delivered", 200)
    (request,) = control(hand, "GET", "/requests").json["data"]
    assert (request["method"], request["path"], request["status"]) == ("POST", "/v1/webhook_endpoints", 201)
    assert request["headers"]["idempotency-key"]
    assert receiver.url in request["body"]


def test_accounts_and_settings(hand: MockServer) -> None:
    """Make organizations and keys, grant credits, and change settings one by one."""
    poor = control(hand, "POST", "/organizations", {"cents": 0}).json
    assert Caller(hand, poor["api_key"])("POST", "/v1/jobs", JOB).status == 402
    assert Caller(hand, poor["test_api_key"])("POST", "/v1/jobs", JOB).status == 201
    key = control(hand, "POST", "/keys", {"scopes": ["jobs:read"], "environment": "test"}).json["api_key"]
    assert Caller(hand, key).get("/v1/me")["scopes"] == ["jobs:read"]
    assert control(hand, "POST", "/credits", {"cents": 500}).status == 204
    api = Caller(hand, hand.api_key)
    assert api.get("/v1/billing/credits")["balance_cents"] == 100_500
    changed = control(hand, "PATCH", "/settings", {"idempotency_keys": "jobs", "rate_limit": 1}).json
    assert (changed["idempotency_keys"], changed["rate_limit"]) == ("jobs", 1)
    assert changed["organization_rate_limit"] == 500
    assert [api("GET", "/v1/me").status for _ in range(2)] == [200, 429]
    assert control(hand, "PATCH", "/settings", {"rate_limit": None}).json["rate_limit"] is None
    assert api("GET", "/v1/me").status == 200


def later(end: str, start: str) -> timedelta:
    """How much later one time is."""
    return datetime.fromisoformat(end) - datetime.fromisoformat(start)


def test_reset(receiver: Receiver) -> None:
    """After a reset nothing was ever there, but address and keys are the same, and workers work."""
    with MockServer(speed=0, api_key="fh_live_fixed", rate_limit=50) as server:
        api = Caller(server, server.api_key)
        first = control(server, "GET", "").json
        assert (first["api_key"], first["test_api_key"]) == ("fh_live_fixed", "fh_test_fixed")
        job = api.create_job()["id"]
        api("POST", "/v1/webhook_endpoints", {"url": receiver.url})
        control(server, "POST", "/faults", {"status": 500, "path": "/v1/billing"})
        control(server, "PATCH", "/settings", {"rate_limit": 1, "signature_style": "timestamped", "speed": 3})
        server.deprecate("/v1/me")
        control(server, "POST", "/advance", {"days": 30})
        after = control(server, "POST", "/reset").json
        assert {**after, "now": ""} == {**first, "now": ""}
        assert later(after["now"], first["now"]) < timedelta(days=1)
        assert api("GET", "/v1/me").status == 200
        assert len(server.requests) == 1
        assert api("GET", f"/v1/jobs/{job}").status == 404
        assert api.get("/v1/billing/credits")["balance_cents"] == 100_000
        assert "deprecation" not in api("GET", "/v1/me").headers
        for path in ("jobs", "webhook_endpoints", "webhook_events", "submissions"):
            assert api.get(f"/v1/{path}")["data"] == []
        seen = len(receiver.got)
        job = api.create_job(files_needed=1)["id"]
        server.clock.advance(hours=1)
        assert api.job(job)["status"] == "completed"
        assert len(receiver.got) == seen
        server.check_books()


def test_reset_wakes_and_forgets(receiver: Receiver) -> None:
    """A reset ends a long-poll with a 404, and a delivery under way is not tried again."""
    release = threading.Event()
    receiver.before = lambda: release.wait(60) and None
    receiver.answer = lambda: 500
    with MockServer(workers=False) as server:
        api = Caller(server, server.api_key)
        api("POST", "/v1/webhook_endpoints", {"url": receiver.url})
        server.emit("job.flagged", {})
        job = server._world.state.jobs[api.create_job()["id"]]
        answers: list[int] = []
        poll = threading.Thread(
            target=lambda: answers.append(api("GET", f"/v1/jobs/{job.id}", Prefer="wait=60").status)
        )
        poll.start()
        while not job.listeners or not receiver.got:
            time.sleep(0.001)
        server.reset()
        poll.join()
        assert answers == [404]
        release.set()
        server.clock.advance(days=1)
        assert len(receiver.got) == 1
        assert server.webhook_deliveries == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "field"),
    [
        ("POST", "/submit", {"job_id": "job_nobody"}, 400, None),
        ("POST", "/submit", {}, 400, "job_id"),
        ("POST", "/submit", {"job_id": "x", "content_base64": "%"}, 400, "content_base64"),
        ("POST", "/advance", {"seconds": -1}, 400, None),
        ("POST", "/advance", {"weeks": 1e300}, 400, None),
        ("POST", "/advance", {"fortnights": 1}, 400, "fortnights"),
        ("POST", "/emit", {"type": "job.paused"}, 400, "data"),
        ("POST", "/faults", {"status": 100}, 400, "status"),
        ("POST", "/withdraw", {"file_id": "file_nobody"}, 400, None),
        ("PATCH", "/settings", {"signature_style": "none"}, 400, "signature_style"),
        ("PATCH", "/settings", {"speed": -1}, 400, "speed"),
        ("POST", "/reset", [], 400, None),
        ("GET", "/nothing", None, 404, None),
        ("PUT", "/reset", {}, 405, None),
    ],
)
def test_refusals(
    hand: MockServer, method: str, path: str, body: Any, status: int, field: str | None
) -> None:
    """What is wrong gets the documented envelope."""
    reply = control(hand, method, path, body)
    assert reply.status == status
    if field is not None:
        assert reply.error["details"][0]["field"] == field
    assert reply.error["message"]


def test_books_that_do_not_add_up(hand: MockServer) -> None:
    """The check of the books is a 409 that says where they do not add up."""
    hand._organization.accounts["live"].book.available += 1
    assert "available" in control(hand, "POST", "/check_books").error["message"]
    assert control(hand, "POST", "/check_books").status == 409
    hand.reset()


def test_the_document_has_every_action(hand: MockServer) -> None:
    """/openapi.json describes each action, and what is answered has a schema."""
    document = Caller(hand, None).get("/openapi.json")
    for action in ACTIONS:
        described = document["paths"]["/_control" + action.path][action.method.lower()]
        assert described["security"] == []
        assert ("content" in described["responses"][str(action.status)]) == (action.answer is not None)
        assert ("requestBody" in described) == (action.described(hand).body is not None)
    assert len({action.described(hand).name for action in ACTIONS}) == len(ACTIONS)


def test_an_action_takes_what_its_method_takes(hand: MockServer) -> None:
    """Each parameter of a method is a field of its action's body, required and described as there."""
    schemas = Caller(hand, None).get("/openapi.json")["components"]["schemas"]
    submit = schemas["SubmitBody"]
    renamed = {"content": "content_base64"}
    taken = [*inspect.signature(MockServer.submit).parameters][1:]
    assert [*submit["properties"]] == [renamed.get(name, name) for name in taken]
    assert submit["required"] == ["job_id"]
    assert all("description" in field for field in submit["properties"].values())
    assert [*schemas["SettingsBody"]["properties"]] == [
        name for name, held in vars(BundledServer).items() if isinstance(held, property) and held.fset
    ]


@pytest.mark.parametrize("key", ["", "fh_test_x", "fh_live_", "fh_live_a b", "fh_live_" + "x" * 101])
def test_bad_key(key: str) -> None:
    """A key that no header could carry, or of the sandbox, is a ValueError that does not quote it."""
    with pytest.raises(ValueError, match="fh_live_ and 1 to 100") as caught:
        MockServer(api_key=key)
    assert not key or key == "fh_live_" or key not in str(caught.value)


def test_on_request() -> None:
    """The callback gets each request once, with its status, and None where the connection was dropped."""
    got: list[ReceivedRequest] = []
    with MockServer(speed=0, on_request=got.append) as server:
        api = Caller(server, server.api_key)
        api("GET", "/v1/jobs?cursor=%0Afh_live_secret")
        server.faults.add(drop="after")
        with pytest.raises((OSError, http.client.HTTPException)):
            api("GET", "/v1/me")
        assert [(request.target, request.status) for request in got] == [
            ("/v1/jobs?cursor=%0Afh_live_…", 400),
            ("/v1/me", None),
        ]


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node 20: https://nodejs.org")
def test_node() -> None:
    """A test suite in JavaScript drives the server by `/_control` alone."""
    with MockServer(speed=0, workers=False) as server:
        environment = {**os.environ, "FIRSTHAND_BASE_URL": server.url}
        done = subprocess.run(
            ["node", "--test", str(NODE_TEST)], env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "# pass 3" in done.stdout
        server.check_books()


def test_a_wrong_method_names_the_right_ones(api: Caller) -> None:
    """A 405 has an Allow header, as RFC 9110 wants it."""
    reply = api("PUT", "/_control/reset", {})
    assert (reply.status, reply.headers["allow"]) == (405, "POST")
