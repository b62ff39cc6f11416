"""`job.json`: what is read of it, whole or damaged, and what counts as the same request."""

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
from firsthandapi._core.orders.record import (
    KEY_METADATA,
    LARGEST_JOBS,
    LARGEST_RECORD,
    MOST_JOBS,
    OrderRecord,
    UnreadableRecord,
    differing,
    fits,
    is_young,
    key_of,
    parse_record,
    read_record,
)
from firsthandapi._core.orders.request_hash import REQUEST_METADATA, request_hash
from firsthandapi.errors import ConfigurationError
from firsthandapi.types.job_arguments import JobCreateParams

HOUR = 3600.0
ORDERED = OrderRecord(
    {"files_needed": 2, "metadata": {"idempotency_key": "not it"}}, 'a "key" \\ of mine', 1_000.0, None
)
BOUGHT = replace(ORDERED, job={"object": "job", "id": "job_1", "status": "open", "location": {"id": "no"}})
FETCHED = OrderRecord(None, None, None, {"id": "job_1"})
LABELED = replace(BOUGHT, label="stop", request_hash="abc")


@pytest.mark.parametrize(
    "job_file",
    [
        *(ORDERED, BOUGHT, FETCHED, LABELED),
        *(replace(ORDERED, first_sent_at=bound) for bound in (0.0, 253_402_300_799.0)),
    ],
)
def test_job_json_is_read_as_it_was_written(job_file: OrderRecord) -> None:
    """Before the POST, after it, and of a folder that was only downloaded."""
    assert read_record(job_file.encode()) == parse_record(job_file.encode()) == job_file


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2}, {"version": None}, {"request": []}, {"idempotency_key": None}, {"idempotency_key": "ä"},
        {"idempotency_key": 5}, {"first_sent_at": None}, {"first_sent_at": "now"}, {"first_sent_at": True},
        {"first_sent_at": math.nan}, {"first_sent_at": math.inf}, {"first_sent_at": -1}, {"first_sent_at": 1e15},
        {"first_sent_at": 253_402_300_800.0},
        {"job": []}, {"job": {}}, {"job": {"id": 5}}, {"job": {"id": "../me"}}, {"job": "job_1"},
        {"request": None, "job": {"id": "job_1"}},
        {"request": None, "job": {"id": "job_1"}, "idempotency_key": None},
        {"request": None, "job": {"id": "job_1"}, "first_sent_at": None},
        {"request": None, "idempotency_key": None, "first_sent_at": None}, {"request_hash": 5},
    ],
)  # fmt: skip
def test_a_job_json_that_is_not_ours_is_refused(changes: dict[str, Any]) -> None:
    """A request without its key would be bought again; a job without an id cannot be continued."""
    content = json.dumps({"version": 1, **vars(ORDERED), **changes}).encode()
    assert isinstance(read_record(content), UnreadableRecord)
    with pytest.raises(ConfigurationError, match=r"job\.json"):
        parse_record(content)


def test_a_damaged_job_json_names_its_job_as_far_as_it_is_known() -> None:
    """With its id comes the way to its files; without, there is none."""
    with pytest.raises(ConfigurationError, match=r"^job\.json is empty or damaged: [^;]*$"):
        parse_record(b"")
    with pytest.raises(
        ConfigurationError, match=r"^job\.json of job_1 is .*; files\.download_all\('job_1', …\)"
    ):
        parse_record(BOUGHT.encode()[:-3])


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_junk_in_job_json_is_refused(content: bytes) -> None:
    """Any bytes that are not ours are a ConfigurationError."""
    with pytest.raises(ConfigurationError):
        parse_record(content)


def test_what_a_damaged_job_json_still_shows() -> None:
    """Cut anywhere, it shows the key and the job once they are whole, and never another's."""
    content = BOUGHT.encode()
    shown = {(read.idempotency_key, read.job_id) for n in range(len(content) - 1)
             if isinstance(read := read_record(content[:n]), UnreadableRecord)}  # fmt: skip
    assert shown == {(None, None), (BOUGHT.idempotency_key, None), (BOUGHT.idempotency_key, "job_1")}
    assert read_record(b"\0" * 500) == UnreadableRecord()


def test_the_body_that_is_sent() -> None:
    """With what was written down of it: the hash, if there is one, and the key."""
    metadata = {"idempotency_key": "not it", KEY_METADATA: BOUGHT.idempotency_key}
    assert BOUGHT.body() == {"files_needed": 2, "metadata": metadata}
    assert replace(BOUGHT, request={"files_needed": 2}, request_hash="abc").body() == {
        "files_needed": 2,
        "metadata": {REQUEST_METADATA: "abc", KEY_METADATA: BOUGHT.idempotency_key},
    }


def test_a_later_version_is_told_from_damage() -> None:
    """It names its job, and an upgrade reads it."""
    content = json.dumps({"version": 2, **vars(BOUGHT)}).encode()
    assert read_record(content) == UnreadableRecord(BOUGHT.idempotency_key, "job_1", newer=True)
    for job, words in (
        (BOUGHT.job, r"job_1 was .*: upgrade firsthandapi; files\.download_all\('job_1', …\) fills"),
        (None, r"job\.json was .*: upgrade firsthandapi$"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            parse_record(json.dumps({"version": 2, **vars(BOUGHT), "job": job}).encode())
    with pytest.raises(ConfigurationError, match="damaged"):
        parse_record(json.dumps({"version": True, **vars(BOUGHT)}).encode()[:-20])


@pytest.mark.parametrize(
    ("created", "young"),
    [("1970-01-02T00:00:00Z", True), ("1970-01-01T23:59:59Z", False), ("soon", False), (None, False)],
)
def test_how_old_the_key_of_a_job_is(created: str | None, young: bool) -> None:
    """As old as the job; of a job that does not say when it was created, nothing is known."""
    assert is_young({"created_at": created}, 47 * HOUR) is young


@pytest.mark.parametrize(
    ("one", "other", "names"),
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
def test_what_makes_another_request(one: Any, other: Any, names: list[str]) -> None:
    """Not the order of formats, and not a deadline, which a script makes from the clock."""
    assert differing(one, other) == differing(other, one) == names


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
    "description": (" street\n signs", ["street signs"], ["street sings", "Street signs"]),
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
        [{"n": 1, "set": "train", KEY_METADATA: "k"}, {}],
        [{"set": "test"}],
    ),
}


@pytest.mark.parametrize("name", FIELDS)
def test_a_job_without_a_hash_is_compared_by_each_field(name: str) -> None:
    """As far as it shows that: it may leave a field out, or write it in another form; nothing else is that job."""
    asked, same, others = FIELDS[name]
    request = {**SIGNS, name: asked}
    job = {**request, "id": "job_1", "status": "open", "of_a_later_version": [1]}
    assert fits(job, request)
    assert fits({**job, name: None}, request)
    for value in same:
        assert fits({**job, name: value}, request)
    for value in others:
        assert not fits({**job, name: value}, request)
    if name not in SIGNS:
        assert not fits(job, SIGNS)  # what was not asked for


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
    [({KEY_METADATA: "k"}, "k"), ({}, None), (None, None), ({KEY_METADATA: 5}, None), ([], None)],
)
def test_the_key_of_a_job(metadata: Any, key: str | None) -> None:
    """It is in the metadata, if collect has posted the job."""
    assert key_of({"id": "job_1", "metadata": metadata}) == key


def test_a_key_that_is_torn_is_no_key() -> None:
    """What is left of a damaged file is read as JSON, or not at all."""
    found = read_record(b'{\n  "idempotency_key": "a\\q",\n  "job')
    assert isinstance(found, UnreadableRecord)
    assert found.idempotency_key is None


def test_the_bounds_are_those_of_the_guide() -> None:
    """A stranger's folder is opened within these."""
    guide = (Path(__file__).parents[3] / "docs" / "guides" / "security.md").read_text(encoding="utf-8")
    mib = 1024 * 1024
    assert (16 * mib, 10_000, 64 * mib) == (LARGEST_RECORD, MOST_JOBS, LARGEST_JOBS)
    for said in ("a `job.json` over 16 MiB", "in `jobs/`, at most 10,000 records and 64 MiB are read"):
        assert said in " ".join(guide.split())


def test_a_label_that_names_no_folder_is_refused() -> None:
    """A record may come from a stranger; one without a label does not mention it."""
    assert b"label" not in BOUGHT.encode()
    odd = LABELED.encode().replace(b'"stop"', b'"../stop"')
    assert read_record(odd) == UnreadableRecord(LABELED.idempotency_key, "job_1")
