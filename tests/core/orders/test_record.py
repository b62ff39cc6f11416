"""The record of an order: what is read of it, what it costs, and what counts as the same request."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.strategies import JSON
from firsthandapi._base.masking import Secret
from firsthandapi._core.calls.config import Config
from firsthandapi._core.orders.record import (
    KEY_METADATA,
    LARGEST_RECORD,
    LARGEST_RECORDS,
    MOST_RECORDS,
    Account,
    OrderRecord,
    account_of,
    differing,
    fits,
    is_young,
    key_of,
    marked,
    read_record,
)
from firsthandapi._core.orders.request_hash import REQUEST_METADATA, request_hash
from firsthandapi.errors import ConfigurationError
from firsthandapi.types.job_arguments import JobCreateParams

HOUR = 3600.0
REQUEST = {"files_needed": 2, "price_per_file_cents": 50}
ORDERED = OrderRecord("order", "k", marked(REQUEST, "k"), 1_000.0)
BOUGHT = replace(ORDERED, job={"object": "job", "id": "job_1", "status": "open", "location": {"id": "no"}})
FETCHED = OrderRecord("job", job={"id": "job_1"})
LABELED = replace(BOUGHT, label="stop", account=Account("http://127.0.0.1:1", "abc", "test", "org_1"))
CALL = OrderRecord("call", 'a "key" \\ of mine', None, 1.5, path="/v1/jobs/job_1/cancel", others=("abc",))
ALLOTMENT = OrderRecord("allotment", "fh-1", None, 2.0, cents=500)


@pytest.mark.parametrize(
    "record",
    [
        *(ORDERED, BOUGHT, FETCHED, LABELED, CALL, ALLOTMENT),
        replace(LABELED, approved=2, duplicates=1, repeated=1, refund_cents=50, closed=True, selected=True),
        replace(ORDERED, before_cents=150),
        ORDERED.refused(5.0, 6.0).not_found(100.0, 100.0),
        *(replace(ORDERED, first_sent_at=bound) for bound in (0.0, 253_402_300_799.0)),
    ],
)
def test_a_record_is_read_as_it_was_written(record: OrderRecord) -> None:
    """Of every kind, before the POST and after it."""
    assert read_record(record.encode(), "x.json") == record


@pytest.mark.parametrize(
    ("record", "changes"),
    [
        *((ORDERED, changes) for changes in (
            {"version": None}, {"version": 0}, {"version": True}, {"kind": "sale"}, {"request": []}, {"request": None},
            {"key": None}, {"key": "ä"}, {"key": 5}, {"key": ""},
            {"first_sent_at": None}, {"first_sent_at": "now"}, {"first_sent_at": True}, {"first_sent_at": math.nan},
            {"first_sent_at": math.inf}, {"first_sent_at": -1}, {"first_sent_at": 253_402_300_800.0},
            {"job": []}, {"job": {}}, {"job": {"id": 5}}, {"job": {"id": "../me"}}, {"job": "job_1"},
            {"label": "../stop"}, {"approved": -1}, {"refund_cents": 101}, {"duplicates": 1},
            {"approved": 1.5}, {"closed": "yes"}, {"account": {}},
            {"suspects": ["x" * 1_000]}, {"suspects": [f"job_{number}" for number in range(1_000)]},
        )),
        *((FETCHED, changes) for changes in ({"job": None}, {"request": {}, "job": None}, {"key": "k"})),
        (CALL, {"key": None}), (ALLOTMENT, {"cents": None}), (ALLOTMENT, {"cents": -1}),
    ],
)  # fmt: skip
def test_a_record_that_is_not_ours_is_refused(record: OrderRecord, changes: dict[str, Any]) -> None:
    """A request without its key would be bought again; a job without an id cannot be continued."""
    content = json.dumps({**json.loads(record.encode()), **changes}).encode()
    with pytest.raises(ConfigurationError, match=r"^x\.json is empty or damaged"):
        read_record(content, "x.json")


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_junk_in_a_record_is_refused(content: bytes) -> None:
    """Any bytes that are not ours are a ConfigurationError, which names the file; so is a record that is cut."""
    with pytest.raises(ConfigurationError, match=r"^x\.json"):
        read_record(content, "x.json")
    with pytest.raises(ConfigurationError, match=r"^x\.json"):
        read_record(BOUGHT.encode()[: len(content)], "x.json")


def test_a_later_version_is_told_from_damage() -> None:
    """An upgrade reads it."""
    content = json.dumps({**json.loads(BOUGHT.encode()), "version": 2}).encode()
    with pytest.raises(ConfigurationError, match=r"x\.json was .*: upgrade firsthandapi$"):
        read_record(content, "x.json")


def test_the_body_that_is_sent() -> None:
    """With the key and the hash of the request, as far as the caller's own metadata leave room for them."""
    assert ORDERED.request == {
        **REQUEST,
        "metadata": {REQUEST_METADATA: request_hash(REQUEST), KEY_METADATA: "k"},
    }
    assert ORDERED.shows_key
    for count, names in ((18, 20), (19, 20), (20, 20)):
        request = {**REQUEST, "metadata": {f"n{n}": n for n in range(count)}}
        record = replace(ORDERED, request=marked(request, "k"))
        assert len(record.request["metadata"]) == names
        assert record.shows_key is (count < 20)
    assert marked(ORDERED.request, "another") == ORDERED.request
    assert marked({"metadata": "mine"}, "k") == {"metadata": "mine"}
    assert not CALL.shows_key


def test_what_an_order_costs() -> None:
    """All of it, until a search that began long enough after its refusal, by both clocks, has not found it; and all of
    it again once its key is sent again, or its job is found after all."""
    assert ORDERED.cost_cents == BOUGHT.cost_cents == 100
    assert ALLOTMENT.cost_cents == 500
    assert CALL.cost_cents == 0
    assert ORDERED.not_found(1e6, 1e6).cost_cents == 100  # nobody has refused it
    refused = ORDERED.refused(10.0, 20.0)
    for began, server_began, cost in (
        (69.9, 80.0, 100), (70.0, 79.9, 100), (70.0, 80.0, 0), (70.0, None, 0), (5.0, 80.0, 100),
    ):  # fmt: skip
        record = refused.not_found(began, server_began)
        assert record.cost_cents == cost
        assert record.sent_again().cost_cents == record.with_job({"id": "job_1"}).cost_cents == 100
        assert record.refused(0.0, None).cost_cents == 100
    assert replace(ORDERED, forgotten=True).is_free
    hidden = replace(refused, request=REQUEST)
    assert hidden.not_found(70.0, 80.0).cost_cents == 100  # no search would find its job
    assert replace(ORDERED, request={"files_needed": "many"}).cost_cents == 0


@pytest.mark.parametrize(
    ("key", "environment"), [("fh_live_abc", "live"), ("fh_test_abc", "test"), ("other", ""), (None, "")]
)
def test_an_account_shows_no_api_key(key: str | None, environment: str) -> None:
    """A digest tells it apart from others."""
    config = Config(base_url="http://127.0.0.1:1", api_key=None if key is None else Secret(key))
    account = account_of(config, "org_1")
    assert account.environment == environment
    assert key is None or key not in repr(account)


@pytest.mark.parametrize(
    ("created", "young"),
    [("1970-01-02T00:00:00Z", True), ("1970-01-01T23:59:59Z", False), ("soon", False), (None, False)],
)
def test_how_old_the_key_of_a_job_is(created: str | None, young: bool) -> None:
    """As old as the job; of a job that does not say when it was created, nothing is known."""
    assert is_young({"created_at": created}, 47 * HOUR) is young


@pytest.mark.parametrize(
    ("first", "second", "names"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1, "b": 1}, {"a": 2}, ["a", "b"]),
        ({"accepted_formats": ["x", "y"]}, {"accepted_formats": ["y", "x"]}, []),
        ({"accepted_formats": ["x", "y"]}, {"accepted_formats": ["x"]}, ["accepted_formats"]),
        ({"example": ["x", "y"]}, {"example": ["y", "x"]}, ["example"]),
        ({"accepted_formats": "x"}, {"accepted_formats": ["x"]}, ["accepted_formats"]),
        ({"deadline": "2027"}, {"deadline": "2028"}, []),
        ({"location": {"city": "A"}}, {"location": {"city": "B"}}, ["location"]),
    ],
)
def test_what_makes_another_request(first: Any, second: Any, names: list[str]) -> None:
    """Not the order of formats, and not a deadline, which a script makes from the clock."""
    assert differing(first, second) == differing(second, first) == names


SIGNS: dict[str, Any] = {
    "type": "data_collection",
    "description": "Photos of street signs",
    "files_needed": 2,
    "accepted_formats": ["image/jpeg", "image/png"],
    "price_per_file_cents": 50,
}
# For each further field of a request: what is asked, the same in other words, and something else.
FIELDS: dict[str, tuple[Any, list[Any], list[Any]]] = {
    "type": ("feedback", ["feedback"], ["data_collection"]),
    "description": (
        " street\n signs & café",
        ["street signs &amp; café", "STREET SIGNS & CAFE\u0301"],
        ["street sings"],
    ),
    "files_needed": (2, [2.0], [3]),
    "accepted_formats": (["image/png", "image/gif"], [["image/gif", "image/png"]], [["image/gif"]]),
    "price_per_file_cents": (50, [50.0], [60]),
    "title": ("signs", ["signs ", ""], ["cats"]),
    "min_star_rating": (4, [4.0], [3, 5]),
    "files_per_submission": (2, [2.0], [1, 3]),
    "scoring_criteria": ("sharp", ["sharp\n"], ["blurred"]),
    "min_width": (1000, [1000.0], [10]),
    "min_height": (1000, [1000.0], [10]),
    "worker_guidelines": ("by day", ["by  day"], ["by night"]),
    "location": (
        {"latitude": 35.68, "longitude": 139.69, "radius_km": 20},
        [
            {"lat": 35.68, "lng": 139.69, "radius_km": 20.0},
            {"latitude": 35.680001, "longitude": 139.69, "radius_km": 20, "country": "JP"},
            {"radius_km": 20, "lon": 139.69, "lat": 35.68},
            {},
        ],
        [
            {"latitude": 35.69, "longitude": 139.69, "radius_km": 20},
            {"lat": 35.68, "lng": -139.69},
            {"latitude": 35.68, "longitude": 139.69, "radius_km": 5},
            {"city": "Kyoto", "state": "Kyoto"},
            "Kyoto",
        ],
    ),
    "max_workers": (3, [3.0], [4]),
    "metadata": (
        {"set": "train", "n": 1.0},
        [{"n": 1, "set": "train", KEY_METADATA: "k"}, {}, {"SET": "TRAIN"}],
        [],
    ),
}


@pytest.mark.parametrize("name", FIELDS)
def test_a_job_without_a_hash_is_compared_by_each_field(name: str) -> None:
    """As far as it shows that: it may leave a field out, or write it in another form; nothing else is that job."""
    asked, same, variants = FIELDS[name]
    request = {**SIGNS, name: asked}
    job = {**request, "id": "job_1", "status": "open", "of_a_later_version": [1]}
    assert fits(job, request)
    assert fits({**job, name: None}, request)
    for value in same:
        assert fits({**job, name: value}, request)
    for value in variants:
        assert not fits({**job, name: value}, request)
    if name not in SIGNS:
        assert fits(job, SIGNS) is (name == "metadata")  # what was not asked for


def test_every_field_of_a_request_is_compared() -> None:
    """A field of a later version needs a row above. A deadline, which scripts make from the clock, never counts."""
    assert {*FIELDS, "deadline"} == {*JobCreateParams.model_fields}
    assert fits({**SIGNS, "deadline": "2028"}, {**SIGNS, "deadline": "2027"})


def test_the_defaults_of_the_service_are_what_was_asked_for() -> None:
    """Shown where nothing was asked, and asked for where nothing is shown."""
    defaults = {"min_star_rating": 3, "files_per_submission": 1}
    assert fits({**SIGNS, **defaults}, SIGNS)
    assert fits(SIGNS, {**SIGNS, **defaults})
    assert not fits({**SIGNS, "min_star_rating": 3}, {**SIGNS, "min_star_rating": 4})


def test_what_an_extra_body_asks_for_is_compared() -> None:
    """Unless its name is that of something which a job becomes."""
    request = {**SIGNS, "priority": "high", "status": "draft"}
    assert fits({**SIGNS, "priority": "high", "status": "open"}, request)
    assert fits({**SIGNS, "status": "open"}, request)
    assert not fits({**SIGNS, "priority": "low"}, request)


def test_the_hash_of_a_job_decides() -> None:
    """However the service writes the rest: the job of another request is never taken, and one's own always is."""
    metadata = {REQUEST_METADATA: request_hash(SIGNS)}
    assert fits({"title": "Untitled", "metadata": metadata}, SIGNS)
    assert not fits({**SIGNS, "metadata": metadata}, {**SIGNS, "min_width": 100})


@pytest.mark.parametrize(
    ("metadata", "key"),
    [
        ({KEY_METADATA: "k"}, "k"),
        ({}, None),
        (None, None),
        ({KEY_METADATA: 5}, None),
        ([], None),
        ({KEY_METADATA: ""}, None),
    ],
)
def test_the_key_of_a_job(metadata: Any, key: str | None) -> None:
    """It is in the metadata, if collect has posted the job."""
    assert key_of({"id": "job_1", "metadata": metadata}) == key


def test_the_bounds_are_those_of_the_guide() -> None:
    """A stranger's folder is opened within these."""
    guide = (Path(__file__).parents[3] / "docs" / "guides" / "security.md").read_text(encoding="utf-8")
    mib = 1024 * 1024
    assert (16 * mib, 10_000, 64 * mib) == (LARGEST_RECORD, MOST_RECORDS, LARGEST_RECORDS)
    line = "| a record of an order | over 16 MiB; of all records, at most 10,000 and 64 MiB are read |"
    assert line in " ".join(guide.split())
