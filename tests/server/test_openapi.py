"""The OpenAPI document, and what the server does, held against each other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from schemathesis import checks

from firsthandapi.testing import MockServer
from firsthandapi_server.contract.operations import OPERATIONS
from firsthandapi_server.state.model import WEBHOOK_EVENTS

from .conftest import Caller
from .test_contract_table import id_for, one_of_each

CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
    checks.missing_required_header,
]
# Their rules reach beyond a schema: a deadline is in the future, a webhook's URL is https.
BEYOND = {"create_job", "create_webhook", "update_webhook"}
PATHS = {operation.path for operation in OPERATIONS}


@pytest.fixture(scope="module")
def busy() -> Iterator[MockServer]:
    """A server with something of everything in it."""
    with MockServer(speed=0) as server:
        server.rate_limit = None
        api = Caller(server, server.api_key)
        api.create_job(accepted_formats=["image/png", "audio/wav", "video/mp4"], files_needed=12)
        server.clock.advance(hours=1)
        api.create_job()
        yield server
    server.check_books()


def test_the_document_has_every_endpoint(busy: MockServer) -> None:
    """Beside /_control the document names the endpoints of the contract, no more and no less."""
    document = Caller(busy, None).get("/openapi.json")
    assert document["info"]["title"] == "FirstHandAPI"  # generators name their package after it
    paths = document["paths"]
    documented = {
        (method.upper(), path)
        for path, operations in paths.items()
        for method in operations
        if not path.startswith("/_control")
    }
    assert documented == {(operation.method, operation.path) for operation in OPERATIONS}


def test_the_document_has_every_event(busy: MockServer) -> None:
    """Each event type is a webhook of the document, and what is delivered has the documented shape."""
    document = Caller(busy, None).get("/openapi.json")
    assert set(document["webhooks"]) == set(WEBHOOK_EVENTS)
    poor = Caller(busy, busy.create_organization(cents=600).api_key)
    poor("POST", f"/v1/jobs/{poor.create_job(price_per_file_cents=100)['id']}/cancel")
    poor("GET", poor("POST", "/v1/billing/credits/purchase", {"amount_cents": 1000}).json["checkout_url"])
    seen: set[str] = set()
    for api in (Caller(busy, busy.api_key), poor):
        for event in api.get("/v1/webhook_events?limit=100")["data"]:
            described = document["webhooks"][event["type"]]["post"]["requestBody"]["content"]
            schema = {**described["application/json"]["schema"], "components": document["components"]}
            jsonschema_rs.Draft202012Validator(schema).validate(event)
            seen.add(event["type"])
    assert {"submission.approved", "job.completed", "job.cancelled"} <= seen
    assert {"credits.low_balance", "credits.purchased"} <= seen


def test_what_the_document_allows_is_not_refused(busy: MockServer) -> None:
    """A body is required where one of its fields is; what only the state can refuse says so in words."""
    api = Caller(busy, None)
    paths = api.get("/openapi.json")
    for path, method, required in (
        ("/_control/faults", "post", False),
        ("/_control/reset", "post", None),
        ("/_control/submit", "post", True),
        ("/_control/settings", "patch", False),
        ("/v1/jobs", "post", True),
        ("/v1/webhook_endpoints/{id}", "patch", False),
    ):
        body = paths["paths"][path][method].get("requestBody")
        assert (body and body["required"]) is required, path
    (cursor,) = (item for item in paths["paths"]["/v1/jobs"]["get"]["parameters"] if item["name"] == "cursor")
    assert "next_cursor" in cursor["schema"]["description"]
    valid = jsonschema_rs.validator_for(cursor["schema"]).is_valid
    assert (valid(""), valid("a b"), valid("MS5hYg")) == (False, False, True)
    schemas = paths["components"]["schemas"]
    for name in ("WebhookBody", "WebhookPatch"):
        schema = {**schemas[name], "components": paths["components"]}
        valid = jsonschema_rs.validator_for(schema).is_valid
        assert (valid({"url": ""}), valid({"url": "https://example.com/x"})) == (False, True)
    assert schemas["JobBody"]["properties"]["deadline"]["description"] == "In the future."


def test_nothing_optional_looks_required(busy: MockServer) -> None:
    """No default stands in the document: generators of TypeScript make such a field required."""
    text = Caller(busy, None)("GET", "/openapi.json").body.decode()
    assert '"default"' not in text
    document = json.loads(text)
    names = [parameter["name"] for parameter in document["paths"]["/v1/jobs"]["get"]["parameters"]]
    assert names == ["limit", "cursor", "status", "type", "created_after"]
    tags = {tag["name"] for tag in document["tags"]}
    for path in document["paths"].values():
        for operation in path.values():
            assert set(operation["tags"]) <= tags
            assert operation["summary"]


@pytest.fixture(scope="module")
def schema(busy: MockServer) -> Any:
    return schemathesis.openapi.from_dict(Caller(busy, None).get("/openapi.json"))


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_schemathesis(busy: MockServer, schema: Any, operation: Any, mode: Any) -> None:
    """Whatever is sent, right or wrong, the answer has a documented status and the documented shape."""
    described = schema[operation.path][operation.method]
    if mode is schemathesis.GenerationMode.NEGATIVE and not list(described.iter_parameters()) + list(
        described.body
    ):
        return
    existing = id_for(operation, one_of_each(busy)) if "{id}" in operation.path else None

    positive = mode is schemathesis.GenerationMode.POSITIVE
    also = [checks.positive_data_acceptance] if positive and operation.name not in BEYOND else []

    @settings(max_examples=settings.default.max_examples // 20, suppress_health_check=list(HealthCheck))
    @given(case=described.as_strategy(generation_mode=mode), real=st.booleans())
    def check(case: Any, real: bool) -> None:
        if existing and (positive or real):
            case.path_parameters = {"id": existing}
        # Made up, an id can be the last word of another operation's path, as "summary" is.
        assume(operation.path.format(**case.path_parameters or {}) not in PATHS - {operation.path})
        if positive and case.query:
            case.query.pop("cursor", None)  # a made-up one is refused, as it should be
        response = case.call(base_url=busy.url, headers={"Authorization": f"Bearer {busy.api_key}"})
        case.validate_response(response, checks=[*CHECKS, *also])

    check()
