"""Every method of every resource, of both clients: what it sends, what it gives, what it passes on."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from pkgutil import walk_packages
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from firsthandapi import AsyncFirstHandClient, Estimate, FirstHandClient, _async, _sync, types
from firsthandapi._async.calls import Calls as AsyncCalls
from firsthandapi._async.calls import Resource as AsyncResource
from firsthandapi._core.calls import retry
from firsthandapi._core.calls.attempt import call_name
from firsthandapi._sync.calls import Calls, Resource
from firsthandapi.errors import InvalidArgumentError, UnexpectedResponseError
from firsthandapi.testing import MockServer
from firsthandapi_server.contract.operations import OPERATIONS, Operation
from raw import RawRequest, RawServer, Reply, response

from .support import JOB, KEY, Connect, public_methods

# Made of other methods or of downloads, and tested where they are.
MADE_OF_OTHERS = {
    "jobs.wait",
    "jobs.wait_all",
    "jobs.create_and_wait",
    "jobs.follow",
    "jobs.collect",
    "jobs.estimate",
    "files.download",
    "files.download_all",
}
CLIENT_METHODS = {"close", "with_options", "me", "request", "signup"}


# What lists are asked for; other tests ask the same.
QUERIES: dict[str, dict[str, Any]] = {
    "list_jobs": {"type": "data_collection"},
    "list_files": {"min_score": 1},
    "list_submissions": {"min_score": 1},
    "list_job_submissions": {"status": "approved"},
    "list_transactions": {"type": "deduction"},
    "list_events": {"type": "job.completed"},
}
# What the id in a path is of; some calls use it up.
IDS = {"jobs": "job", "files": "file", "submissions": "submission", "webhook_endpoints": "endpoint"}
IDS |= {"webhook_events": "event", "api_keys": "spare_key", "consents": "consent"}


@dataclass
class Case:
    """One method: the request it makes, and what it gives; `call` calls it with a client and ids."""

    operation: Operation

    def __post_init__(self) -> None:
        self.request = f"{self.operation.method} {self.operation.path.replace('{id}', ':id')}"
        self.method = call_name(self.request)
        self.name = (
            f"{self.method} of a job" if self.operation.name == "list_job_submissions" else self.method
        )
        self.is_list = self.operation.is_list
        answer = self.operation.answer
        self.result = None if answer is None else answer.__name__.removeprefix("New")

    def call(self, client: Any, world: Any, **extras: Any) -> Any:
        ids = []
        if ":id" in self.request:
            name = IDS[self.operation.path.split("/")[2]]
            if self.operation.job == "unfinished" or self.operation.method == "DELETE":
                name = f"spare_{name}"
            value = getattr(world, name)
            ids.append(value() if callable(value) else value)
        body = self.operation.body
        arguments = QUERIES.get(self.operation.name, {}) if body is None else body.example()
        return attrgetter(self.method)(client)(*ids, **arguments, **extras)


CASES = [
    pytest.param(case, id=case.name) for case in map(Case, OPERATIONS) if case.operation.name != "signup"
]


@pytest.fixture(scope="module")
def world() -> Iterator[Any]:
    """A server with one of everything: a completed job, its file and submission, an endpoint, an event."""
    with MockServer(speed=0, workers=False) as server, server.client() as client:
        server.rate_limit = None
        endpoint = client.webhooks.create(url=f"{server.url}/hook", events=["job.completed"])
        job = client.jobs.create(**{**JOB, "files_needed": 1})
        work = server.submit(job.id)
        server.clock.advance(minutes=1)
        client.webhooks.update(endpoint.id, enabled=False)
        server._world.consent_of = lambda name, _account: {"object": "consent", "id": name}
        yield SimpleNamespace(
            server=server,
            consent=f"cns_{'0' * 26}",
            job=job.id,
            file=work.file_ids[0],
            submission=work.submission_id,
            endpoint=endpoint.id,
            event=client.webhooks.events.list().data[0].id,
            spare_job=lambda: client.jobs.create(**JOB).id,
            spare_endpoint=lambda: client.webhooks.create(url="https://a.example/spare").id,
            spare_key=lambda: client.api_keys.create(name="spare").id,
        )


@pytest.fixture
def client(connect: Connect, world: Any) -> Any:
    return connect(world.server)


NOWHERE = SimpleNamespace(
    job="job_1",
    file="file_1",
    submission="sub_1",
    endpoint="we_1",
    event="evt_1",
    consent="cns_1",
    spare_job=lambda: "job_1",
    spare_endpoint=lambda: "we_1",
    spare_key=lambda: "key_1",
)


def endpoint_of(method: str, path: str) -> str:
    return f"{method} {re.sub(r'/[a-z]+_([0-9A-Z]{26}|1)(?=/|$)', '/:id', path)}"


@pytest.mark.parametrize("case", CASES)
def test_each_method_against_the_server(client: Any, case: Case, world: Any) -> None:
    """Each method makes the request of the contract, which the strict server takes, and gives its model."""
    received = len(world.server.requests)
    result = case.call(client, world)
    request = world.server.requests[-1]
    assert endpoint_of(request.method, request.path) == case.request
    assert ("idempotency-key" in request.headers) is (request.method == "POST")
    assert ("content-type" in request.headers) is bool(request.body)
    assert len(world.server.requests) > received
    if case.result is None:
        assert result is None
        return
    kind = getattr(types, case.result)
    if case.is_list:
        assert result.data
        assert request.query["limit"] == "100"
        assert all(isinstance(item, kind) for item in result.data)
        assert [item.id for item in result][: len(result.data)] == [item.id for item in result.data]
        response = result.data[0].response
        assert all(item.response is response for item in result.data)
        assert result.response is response
    else:
        assert isinstance(result, kind)
        response = result.response
    assert response.status_code in (200, 201)
    assert response.attempts == 1
    assert response.request_id.startswith("req_")
    assert response.credits_remaining_cents == client.credits_remaining_cents
    assert response.idempotency_key == request.headers.get("idempotency-key")
    assert not response.idempotent_replay
    assert response.content == b""


ANYTHING = {
    "id": "x_1",
    "secret": "whsec_1",
    "object": "list",
    "status": "open",
    "type": "job.completed",
    "name": "n",
    "data": [],
    "has_more": False,
    "next_cursor": None,
    "organization_id": "org_1",
    "api_key": "fh_live_x",
    "credits_cents": 1,
    "checkout_url": "https://a.example",
    "download_url": "https://a.example/f",
    "download_url_expires_at": "2027-01-01T00:00:00Z",
    "created_at": "2027-01-01T00:00:00Z",
}


def answer(seen: list[httpx.Request], request: httpx.Request) -> httpx.Response:
    """What any method can read."""
    seen.append(request)
    data = {**ANYTHING, "data": {}} if "webhook_events/" in str(request.url) else ANYTHING
    return httpx.Response(200, json=data)


EXTRAS: dict[str, Any] = {
    "timeout": 7.5,
    "extra_headers": {"X-Extra": "1"},
    "extra_query": {"zz": 9, "type": "theirs"},
    "extra_body": {"yy": {"a": [None]}},
    "idempotency_key": "mine",
}


@pytest.mark.parametrize("case", CASES)
def test_each_method_passes_its_extras_on(case: Case, connect: Connect) -> None:
    """Each method takes `timeout`, the extras, and where it is a POST a key; all of them reach the wire."""
    seen: list[httpx.Request] = []
    client = connect(handler=partial(answer, seen))
    method = case.request.partition(" ")[0]
    takes = {"timeout", "extra_headers", "extra_query"}
    if method == "POST":
        takes.add("idempotency_key")
    if method in ("POST", "PATCH"):
        takes.add("extra_body")
    method_of = client.target if connect.is_async else client
    names = set(inspect.signature(attrgetter(case.method)(method_of)).parameters)
    assert takes == names & set(EXTRAS)
    case.call(client, NOWHERE, **{name: EXTRAS[name] for name in takes})
    (request,) = seen
    assert request.headers["x-extra"] == "1"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.extensions["timeout"]["read"] == 7.5
    query = dict(request.url.params.multi_items())
    assert query["zz"] == "9"
    assert query["type"] == "theirs"
    if "idempotency_key" in takes:
        assert request.headers["idempotency-key"] == "mine"
    if "extra_body" in takes:
        assert json.loads(request.content)["yy"] == {"a": [None]}


@pytest.fixture
def pair() -> Iterator[tuple[Any, Any]]:
    """A client of each kind that never connects."""
    with FirstHandClient("fh_test_x") as client:
        twin = AsyncFirstHandClient("fh_test_x")
        twin._shared.closed = True
        yield client, twin


def test_no_method_is_left_out(pair: tuple[Any, Any]) -> None:
    """Every operation of the contract has a method, and every method an operation or others that it is made of."""
    tested = {param.values[0].method for param in CASES}
    methods = set(public_methods(pair[0]))
    assert methods - MADE_OF_OTHERS - CLIENT_METHODS == tested - {"me"}, "each method is that of an operation"


def resources(owner: Any) -> Iterator[Any]:
    """Those that users reach from a client or a resource."""
    for name in dir(owner):
        if name[0] != "_" and isinstance(value := getattr(owner, name), (AsyncResource, Resource)):
            yield from (value, *resources(value))


def test_only_what_users_call_is_wrapped(pair: tuple[Any, Any]) -> None:
    """A class that no client leads to has plain methods, and answers a typo inside the package as Python does."""
    inside = {
        kind
        for package in (_async, _sync)
        for info in walk_packages(package.__path__, f"{package.__name__}.")
        for kind in vars(import_module(info.name)).values()
        if inspect.isclass(kind) and kind.__module__ == info.name
    }
    wrapped = {
        kind for kind in inside if any(hasattr(member, "__signature__") for member in vars(kind).values())
    }
    reached = {type(part) for client in pair for part in (client, *resources(client))}
    assert wrapped == reached
    for kind in inside - reached - {AsyncResource, Resource}:
        if issubclass(kind, (AsyncCalls, Calls)):
            with pytest.raises(
                AttributeError, match=f"^'{kind.__name__}' object has no attribute 'chek_time'$"
            ):
                attrgetter("chek_time")(kind.__new__(kind))


def test_every_method_says_what_it_returns(pair: tuple[Any, Any]) -> None:
    """Type checkers see the model of the contract's response, or a page of it."""
    for client, pages in zip(pair, ("Page", "AsyncPageRequest"), strict=True):
        for case in (param.values[0] for param in CASES):
            returned = inspect.signature(attrgetter(case.method)(client)).return_annotation
            assert returned == (f"{pages}[{case.result}]" if case.is_list else str(case.result)), case.name


def test_sync_and_async_are_alike(pair: tuple[Any, Any]) -> None:
    """Both clients have the same methods with the same parameters, defaults and annotations."""
    client, twin = pair
    methods, twins = public_methods(client), public_methods(twin)
    assert list(methods) == list(twins)
    for name, method in methods.items():
        ours = inspect.signature(method).parameters
        theirs = inspect.signature(twins[name]).parameters
        assert list(ours) == list(theirs), name
        for parameter, mirror in zip(ours.values(), theirs.values(), strict=True):
            assert (parameter.default, parameter.kind) == (mirror.default, mirror.kind), (name, parameter)
            if parameter.name != "http_client":
                assert parameter.annotation == mirror.annotation
    init = inspect.signature(FirstHandClient).parameters
    assert list(init) == list(inspect.signature(AsyncFirstHandClient).parameters)
    attributes = {name for name in dir(FirstHandClient) if not name.startswith("_")}
    assert attributes == {name for name in dir(AsyncFirstHandClient) if not name.startswith("_")}


def test_arguments_after_the_first_are_named(pair: tuple[Any, Any]) -> None:
    """A method takes at most the object's id, or what a call is about, by position."""
    for name, method in public_methods(pair[0]).items():
        by_position = [
            p.name
            for p in inspect.signature(method).parameters.values()
            if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        ]
        allowed = {"request": 2, "with_options": 2, "files.download": 2, "files.download_all": 2}.get(name, 1)
        assert len(by_position) <= allowed, name


def test_every_method_is_documented(pair: tuple[Any, Any]) -> None:
    """Each method's text names every parameter, and none that it does not take."""
    for client in pair:
        for name, method in public_methods(client).items():
            text = inspect.getdoc(method) or ""
            assert text, name
            for parameter in inspect.signature(method).parameters:
                assert re.search(rf"\b{parameter}\b", text), (name, parameter)


@pytest.mark.parametrize("name", ["limit", "cursor"])
def test_extra_query_of_a_list(client: Any, name: str, world: Any) -> None:
    """`extra_query` says where to start and how much to ask for, and holds no later page at one place."""
    for _ in range(3):
        world.spare_endpoint()
    first = client.webhooks.list(limit=1)
    extra = {"limit": 1, "cursor": first.next_cursor}
    received = len(world.server.requests)
    items = list(client.webhooks.list(extra_query={name: extra[name]}))
    assert len({item.id for item in items}) == len(items) >= 3
    if name == "cursor":
        assert first.data[0].id not in {item.id for item in items}
    requests = world.server.requests[received:]
    assert {request.query["limit"] for request in requests} == ({"1"} if name == "limit" else {"100"})


def test_bad_arguments_are_told_before_a_list_is_walked(client: Any, world: Any) -> None:
    """A list with bad arguments fails where it is made, and nothing is sent."""
    received = len(world.server.requests)
    for arguments in (
        {"limit": 0},
        {"limit": 101},
        {"status": "done"},
        {"timeout": 0},
        {"extra_headers": {"Host": "x"}},
        {"extra_query": [1]},
    ):
        with pytest.raises(InvalidArgumentError) as caught:
            client.jobs.list(**arguments)
        assert caught.value.field == next(iter(arguments))
    assert len(world.server.requests) == received


def test_the_list_of_submissions_picks_its_endpoint(client: Any, world: Any) -> None:
    """With a job and none of the filters that only the general endpoint knows, the per-job one is asked."""
    job = f"/v1/jobs/{world.job}/submissions"
    for arguments, path in (
        ({}, job),
        ({"status": "approved"}, job),
        ({"min_score": 1}, "/v1/submissions"),
        ({"start_date": "2020-01-01"}, "/v1/submissions"),
        ({"end_date": "2100-01-01T00:00:00Z"}, "/v1/submissions"),
    ):
        items = client.submissions.list(world.job, **arguments).data
        request = world.server.requests[-1]
        assert request.path == path
        assert request.query.get("job_id") == (world.job if path == "/v1/submissions" else None)
        assert [item.id for item in items] == [world.submission]


# An object of each kind in place of its id, and the classes that are not of that kind.
OBJECTS: dict[str, Any] = {
    "job": types.Job(id="job_1", status="open"),
    "file": types.File(id="file_1"),
    "submission": types.Submission(id="sub_1", status="approved"),
    "endpoint": types.WebhookEndpoint(id="we_1"),
    "event": types.JobEvent(id="evt_1", type="job.completed"),
    "consent": types.Consent(id="cns_1"),
    "key": types.ApiKey(id="key_1"),
}


def in_place_of_ids(objects: dict[str, Any]) -> SimpleNamespace:
    kinds = {name: objects[name.removeprefix("open_").removeprefix("spare_")] for name in vars(NOWHERE)}
    values = {
        name: (lambda kind=kind: kind) if callable(vars(NOWHERE)[name]) else kind
        for name, kind in kinds.items()
    }
    return SimpleNamespace(**values)


@pytest.mark.parametrize("case", [case for case in CASES if ":id" in case.values[0].request])
def test_an_object_stands_for_its_id(case: Case, connect: Connect) -> None:
    """Every method that takes an id takes the object, and refuses one of another kind by its name."""
    seen: list[httpx.Request] = []
    client = connect(handler=partial(answer, seen))
    case.call(client, NOWHERE)
    case.call(client, in_place_of_ids(OBJECTS))
    assert seen[0].url == seen[1].url
    objects = [*OBJECTS.values()]
    wrong = dict(zip(OBJECTS, [*objects[1:], objects[0]], strict=True))
    with pytest.raises(InvalidArgumentError, match=r"must be an? \w+ or its id, not a value of type \w+$"):
        case.call(client, in_place_of_ids(wrong))
    assert len(seen) == 2


def test_a_job_filters_by_its_id(connect: Connect) -> None:
    """As `job_id=` too; and waits, follows, and downloads take the job."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url.params.get("job_id")))
        return httpx.Response(
            200, json={"data": [], "id": "job_1", "status": "completed", "files_approved": 0}
        )

    client, job, file = connect(handler=answer), OBJECTS["job"], OBJECTS["file"]
    client.submissions.summary(job_id=job)
    client.submissions.list(job_id=job, min_score=1)
    client.audit_events.list(job_id=job)
    assert asked == ["job_1"] * 3
    assert client.jobs.wait(job).id == "job_1"
    assert [*client.jobs.follow(job)] == []
    sent = len(asked)
    for call in (
        partial(client.submissions.summary, job_id=file),
        partial(client.audit_events.list, job_id=file),
        partial(client.jobs.wait, file),
        partial(client.jobs.follow, file),
        partial(client.files.download_all, file, "nowhere"),
    ):
        with pytest.raises(
            InvalidArgumentError, match=r"^job_id must be a Job or its id, not a value of type File$"
        ):
            call()
    assert len(asked) == sent


def test_an_estimate_from_one_s_own_history(connect: Connect, fresh_server: MockServer) -> None:
    """Its jobs are those of the same type and format; what it takes is what `create` takes, and nothing is posted."""
    client = connect(fresh_server)
    sounds = {**JOB, "accepted_formats": ["audio/wav"]}
    first, second, third, cancelled = (
        client.jobs.create(**{**fields, "files_needed": 1}) for fields in (JOB, JOB, sounds, JOB)
    )
    client.jobs.create(**JOB)  # not finished
    for job, rating in ((first, 1), (first, 5), (third, 1), (third, 1), (third, 5)):
        fresh_server.submit(job.id, rating=rating)
        fresh_server.clock.advance(minutes=30)
    fresh_server.clock.advance(hours=2)
    fresh_server.submit(second.id, rating=5)
    fresh_server.clock.advance(minutes=1)
    client.jobs.cancel(cancelled.id)
    posts = [request for request in fresh_server.requests if request.method == "POST"]
    estimate = client.jobs.estimate(**JOB, max_spend_cents=1, idempotency_key="k", extra_headers={"X-A": "b"})
    assert (estimate.cost_cents, estimate.jobs) == (100, 3)
    assert estimate.approval_rate == pytest.approx(2 / 3)  # those to the recording count elsewhere
    assert estimate.hours_p50 == pytest.approx(
        (first_hours(client, first.id) + first_hours(client, second.id)) / 2
    )
    assert estimate.hours_p50 < estimate.hours_p90 < first_hours(client, second.id)
    assert posts == [request for request in fresh_server.requests if request.method == "POST"]
    assert client.jobs.estimate(**JOB, type="feedback") == Estimate(100, 0, None, None, None)
    assert client.jobs.estimate(**JOB, extra_body={"files_needed": 3}).cost_cents == 150


def first_hours(client: Any, job_id: str) -> float:
    job = client.jobs.get(job_id)
    return float((job.completed_at - job.created_at).total_seconds() / 3600)


@pytest.mark.parametrize(("listed", "paths"), [(0, "jjj"), (1, "jjjs"), (50, "jjss")])
def test_an_estimate_takes_four_requests_at_most(listed: int, paths: str, connect: Connect) -> None:
    """However long the lists are: an older page where the newest jobs are of another kind, else of submissions."""
    asked: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        posted = {"created_at": "2026-11-01T00:00:00Z", "completed_at": "2026-11-01T03:00:00Z"}
        job = {**posted, "type": "data_collection", "status": "completed", "accepted_formats": ["image/jpeg"]}
        jobs = [{**job, "id": f"job_{len(asked)}_{number}"} for number in range(listed)]
        submissions = [{"id": "sub_1", "status": "approved", "job_id": "job_1_0"}]
        data: Any = jobs if request.url.path == "/v1/jobs" else submissions
        return httpx.Response(200, json={"data": data, "has_more": True, "next_cursor": f"c{len(asked)}"})

    estimate = connect(handler=handler).jobs.estimate(**JOB, timeout=7, extra_query={"zz": "1"})
    assert "".join(request.url.path.rpartition("/")[2][0] for request in asked) == paths
    assert {request.url.params["zz"] for request in asked} == {"1"}
    assert [request.url.params.get("status") for request in asked[:2]] == ["completed", "cancelled"]
    if listed:
        assert asked[-1].url.params["start_date"] == "2026-11-01T00:00:00Z"
        assert estimate.approval_rate == 1.0
        assert estimate.hours_p90 == 3.0


def test_an_estimate_of_what_cannot_be_posted(connect: Connect) -> None:
    """Wrong arguments are refused as by `create`, before anything is sent."""
    client = connect(base_url="http://127.0.0.1:9")
    for wrong in ({"files_needed": 0}, {"extra_body": {"files_needed": "3"}}, {"timeout": 0}):
        with pytest.raises(InvalidArgumentError):
            client.jobs.estimate(**{**JOB, **wrong})


def test_the_client_s_own_request(client: Any, world: Any) -> None:
    """`client.request` calls what this version does not know, with key, query, body and the raw answer."""
    response = client.request("get", "/v1/jobs", params={"limit": 1, "status": None}, timeout=5)
    assert world.server.requests[-1].query == {"limit": "1"}
    assert response.status_code == 200
    assert response.json()["object"] == "list"
    assert json.loads(response.content) == response.json()
    reply = client.request(
        "POST",
        "/v1/jobs",
        json={"type": "data_collection", **JOB},
        idempotency_key="one",
        extra_headers={"X-A": "b"},
    )
    assert reply.status_code == 201
    assert reply.idempotency_key == "one"
    assert world.server.requests[-1].headers["x-a"] == "b"
    retry = client.request("POST", "/v1/jobs", json={"type": "data_collection", **JOB}, idempotency_key="one")
    assert retry.idempotent_replay
    assert retry.json() == reply.json()
    endpoint = client.webhooks.create(url="https://a.example")
    assert client.request("DELETE", f"/v1/webhook_endpoints/{endpoint.id}").json() is None
    assert client.request("HEAD", "/v1/jobs").content == b""


@pytest.mark.parametrize(
    ("method", "path", "json", "field"),
    [("TRACE", "/v1/jobs", None, "method"), ("GET", "/v1/../x", None, "path"), ("POST", "/v1/jobs", {1: 2}, "json")],
)  # fmt: skip
def test_bad_requests(method: str, path: str, json: Any, field: str, connect: Connect, world: Any) -> None:
    """What cannot be sent as given is refused by the name of its argument."""
    with pytest.raises(InvalidArgumentError) as caught:
        connect(world.server).request(method, path, json=json)
    assert caught.value.field == field


def test_signup(connect: Connect, world: Any) -> None:
    """Signing up needs no key, sends none, and gives one that works."""
    signup = connect.run(
        connect.client_class.signup(
            name="Acme", email="a@acme.example", base_url=world.server.url, idempotency_key="one"
        )
    )
    request = world.server.requests[-1]
    assert "authorization" not in request.headers
    assert request.headers["idempotency-key"] == "one"
    assert json.loads(request.body) == {"name": "Acme", "email": "a@acme.example"}
    assert signup.api_key not in repr(signup)
    client = connect(world.server, api_key=signup.api_key)
    assert client.me().organization_id == signup.organization_id
    with pytest.raises(InvalidArgumentError):
        connect.run(connect.client_class.signup(name="Acme", email=None, base_url=world.server.url))


def sign_up(connect: Connect, base_url: str) -> Any:
    return connect.run(connect.client_class.signup(name="A", email="a@b.c", base_url=base_url))


SHOWN_ONCE: dict[str, tuple[str, Any]] = {
    "the checkout co_1 exists, but nobody can open it": ("checkout_url", lambda c: c.billing.purchase(1000)),
    "the API key key_1 exists, .* call api_keys.rotate": ("secret", lambda c: c.api_keys.create(name="ci")),
    "the API key key_2 exists, .* or revoke it": ("secret", lambda c: c.api_keys.rotate("key_0")),
    "the endpoint we_1 exists, .* call webhooks.rotate_secret": (
        "secret",
        lambda c: c.webhooks.create(url="https://example.com/hook"),
    ),
    "the endpoint we_0 exists, .* or delete it": ("secret", lambda c: c.webhooks.rotate_secret("we_0")),
    "the organization org_1 exists, .* ask support": ("api_key", None),
}


@pytest.mark.parametrize("value", [None, 5])
@pytest.mark.parametrize("text", SHOWN_ONCE)
def test_a_success_without_what_it_alone_shows(
    text: str, value: Any, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Is none: it is asked for once more, and the error says what exists and how to repeat the call. The journal keeps
    the call."""
    monkeypatch.setattr(retry, "FIRST_DELAY", 0.0)
    name, call = SHOWN_ONCE[text]
    seen: list[str | None] = []
    thing = {"id": text.split()[2 if "API" not in text else 3], name: value}
    if call is None:
        thing["organization_id"] = thing.pop("id")

    def answer(request: RawRequest) -> Reply:
        if request.target == "/v1/me":
            return response(b"{}", Content_Type="application/json")
        seen.append(request.headers.get("idempotency-key"))
        return response(json.dumps(thing).encode(), Content_Type="application/json", X_Request_Id="req_1")

    with RawServer(answer) as server:
        client = connect(base_url=server.base_url, journal=tmp_path / "journal")
        with pytest.raises(UnexpectedResponseError, match=f"no {name}: {text}") as caught:
            call(client) if call else sign_up(connect, server.base_url)
        error = caught.value
        assert seen == [error.idempotency_key] * 2
        assert (error.status, error.fields, error.request_id) == (200, (name,), "req_1")
        assert f'idempotency_key="{error.idempotency_key}"' in str(error)
        keys = [] if call is None else [error.idempotency_key]
        assert [entry.key for entry in client.journal.pending()] == keys


def test_reprs(client: Any, connect: Connect, world: Any) -> None:
    """The repr of a client, a resource and a page says what a person needs, without the key."""
    about = f"[base_url={world.server.url}, key=fh_live_…, open]"
    assert repr(client) == f"<{connect.client_class.__name__} {about}>"
    assert repr(client.jobs) == f"<Jobs {about}>"
    world.spare_endpoint()
    page = client.webhooks.list(limit=1)
    assert repr(page) == f"<{'AsyncPage' if connect.is_async else 'Page'} [1 item, has_more=True]>"
