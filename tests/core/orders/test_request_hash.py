"""The hash of a request, by which its job is recognised."""

from __future__ import annotations

from typing import Any

import pytest

from core.strategies import Int64
from firsthandapi._core.orders.request_hash import (
    REQUEST_METADATA,
    canonical,
    hash_in,
    hash_to_send,
    plain,
    request_hash,
)

SIGNS: dict[str, Any] = {
    "type": "data_collection",
    "description": "Photos of street signs",
    "files_needed": 2,
    "accepted_formats": ["image/jpeg"],
    "price_per_file_cents": 50,
}
# Each hash made with `printf '…' | sha256sum` from the canonical JSON beside it, not with this package.
GOLDEN: list[tuple[dict[str, Any], str, str]] = [
    (
        SIGNS,
        '{"accepted_formats":["image/jpeg"],"description":"Photos of street signs","files_needed":2,'
        '"price_per_file_cents":50,"type":"data_collection"}',
        "650c6ac5283ea92ee992297000589f24b62be937298ae3ca723330150041d89e",
    ),
    (
        {
            "type": "feedback",
            "title": "a",
            "description": "Straßenschilder\n  bei Nacht\n",
            "files_needed": 20.0,
            "accepted_formats": ["image/png", "image/jpeg"],
            "price_per_file_cents": 50,
            "min_star_rating": 4,
            "files_per_submission": 1,
            "location": {"latitude": 35.68, "longitude": 139.0, "radius_km": 20},
            "deadline": "2027-01-01",
            "metadata": {"set": "train", "weights": [1, 0.5, None, True], "firsthandapi_key": "k"},
        },
        '{"accepted_formats":["image/jpeg","image/png"],"description":"Straßenschilder bei Nacht","files_needed":20,'
        '"location":{"latitude":35.68,"longitude":139,"radius_km":20},'
        '"metadata":{"set":"train","weights":[1,0.5,null,true]},"min_star_rating":4,"price_per_file_cents":50,'
        '"title":"a","type":"feedback"}',
        "075b04b013d00e13ec400ed9bc0beb1610ad0806f2e24822f68e3fa31146afec",
    ),
    ({}, "{}", "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"),
]


@pytest.mark.parametrize(("body", "text", "digest"), GOLDEN, ids=["short", "long", "empty"])
def test_golden_values(body: dict[str, Any], text: str, digest: str) -> None:
    """A hash is the same in every run, on every machine, in every version."""
    assert canonical(plain(body)) == text
    assert request_hash(body) == digest


@pytest.mark.parametrize(
    "more",
    [
        {"description": " Photos  of\nstreet signs\n"},
        {"files_needed": 2.0},
        {"files_needed": Int64(2)},
        {"accepted_formats": ("image/jpeg", "image/jpeg")},
        {"title": None},
        {"deadline": "2027-01-01"},
        {"min_star_rating": 3, "files_per_submission": 1},
        {"metadata": {}},
        {"metadata": {"firsthandapi_key": "k", REQUEST_METADATA: "of old", "firsthandapi_label": "stop"}},
    ],
    ids=lambda more: ", ".join(more),
)
def test_what_asks_for_the_same(more: dict[str, Any]) -> None:
    """Spaces, forms of numbers, defaults, a deadline, and what this package adds make no other request."""
    assert request_hash({**SIGNS, **more}) == request_hash(SIGNS)


def test_the_order_of_members_means_nothing() -> None:
    """At any depth; neither does the order of formats."""
    location = {"latitude": 1.5, "longitude": 2, "radius_km": 3}
    first = {**SIGNS, "location": location, "accepted_formats": ["image/png", "image/gif"]}
    second = {name: first[name] for name in reversed(first)}
    second |= {"location": dict(reversed(location.items())), "accepted_formats": ["image/gif", "image/png"]}
    assert request_hash(first) == request_hash(second)


@pytest.mark.parametrize(
    "more",
    [
        {"description": "Photos of street sign s"},
        {"type": "feedback"},
        {"files_needed": 3},
        {"accepted_formats": ["image/png"]},
        {"min_star_rating": 4},
        {"files_per_submission": 2},
        {"title": "signs"},
        {"scoring_criteria": "sharp"},
        {"min_width": 1},
        {"worker_guidelines": "by day"},
        {"location": {"city": "Kyoto", "state": "Kyoto"}},
        {"max_workers": 3},
        {"metadata": {"set": "train"}},
        {"metadata": {"set": None}},
        {"of_a_later_version": True},
    ],
    ids=lambda more: ", ".join(more),
)
def test_what_asks_for_something_else(more: dict[str, Any]) -> None:
    """Every other field counts, also one that this version does not know."""
    assert request_hash({**SIGNS, **more}) != request_hash(SIGNS)


def test_true_is_not_one() -> None:
    """What Python calls equal need not be the same JSON."""
    number, boolean = ({**SIGNS, "metadata": {"n": value}} for value in (1, True))
    assert request_hash(number) != request_hash(boolean)


def test_the_callers_metadata_come_first() -> None:
    """The contract allows 20 keys: with one for the idempotency key, the hash is left out of 19."""
    for keys, has_room in ((18, True), (19, False)):
        body = {**SIGNS, "metadata": {str(n): n for n in range(keys)}}
        assert hash_to_send(body) == (request_hash(body) if has_room else None)
    assert hash_to_send({**SIGNS, "metadata": None}) == request_hash(SIGNS)


@pytest.mark.parametrize("metadata", [None, {}, [], {REQUEST_METADATA: 5}])
def test_a_job_without_a_hash(metadata: Any) -> None:
    """It was bought by an earlier version or another program, or the service shows no metadata."""
    assert hash_in({"metadata": metadata}) is None
