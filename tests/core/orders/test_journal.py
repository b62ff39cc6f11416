"""The rules of the journal: what is recorded, which call is the same one, and what may be sent again."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from firsthandapi._core.calls.request import Request, build_request
from firsthandapi._core.orders import journal as rules
from firsthandapi._core.orders.journal import Entry
from firsthandapi._core.orders.record import Account, OrderRecord, read_record

NOW = 1_800_000_000.0
ACCOUNT = Account("https://api.example", "f1", "live")
FIELDS: dict[str, Any] = {
    "type": "data_collection",
    "description": "Photos of street signs",
    "files_needed": 10,
    "accepted_formats": ["image/jpeg", "image/png"],
    "price_per_file_cents": 50,
}


def request(fields: Any = FIELDS, path: str = "/v1/jobs", key: str | None = None) -> Request:
    return build_request("POST", path, body=json.dumps(fields).encode(), idempotency_key=key)


def record(asked: Request | None = None, **changes: Any) -> OrderRecord:
    """The record of a call, as a journal has it."""
    asked = asked or request()
    created = rules.record_of(asked, asked.idempotency_key or "k1", ACCOUNT, NOW)
    return read_record(replace(created, **changes).encode(), "p")


def same(record: OrderRecord, account: Account = ACCOUNT, *, waits: bool = False) -> bool:
    """Whether a call with the digest of the record repeats it."""
    return rules.same_call([Entry("n", 1, record)], account, waits=waits) is not None


def is_alike(first: Request, second: Request, base_url: str = ACCOUNT.base_url) -> bool:
    """Whether a call looks at the records of another one."""
    return rules.digest_of(first, ACCOUNT.base_url) == rules.digest_of(second, base_url)


# ── What is recorded ─────────────────────────────────────────────────────────────────────────────────────


def test_what_is_recorded_is_sent() -> None:
    """The same bytes, in a later process too; a POST without a body has none."""
    fields = {**FIELDS, "title": "Schilder \u2014 \u0416", "metadata": {"n": 2**70, "half": 0.5, "one": 1.0}}
    first = record(request(fields))
    sent = json.loads(rules.bytes_of(first) or b"")
    assert sent["metadata"].pop("firsthandapi_key") == "k1"
    del sent["metadata"]["firsthandapi_request"]
    assert json.dumps(sent) == json.dumps({**fields, "metadata": sent["metadata"]})
    assert rules.bytes_of(record(first_sent_at=1.0)) == rules.bytes_of(record())
    cancel = build_request("POST", "/v1/jobs/job_1/cancel", query=[("a", "b")])
    assert rules.bytes_of(record(cancel)) is None
    assert (record(cancel).path, record(cancel).query) == ("/v1/jobs/job_1/cancel", "a=b")


def test_what_goes_into_the_metadata() -> None:
    """The key and the hash of the request, as far as the 20 keys of the contract go; nothing into other bodies."""

    def sent(count: int | None, **more: Any) -> dict[str, Any]:
        metadata = None if count is None else {f"m{number}": 1 for number in range(count)}
        return rules.record_of(request({**FIELDS, "metadata": metadata, **more}), "k", ACCOUNT, NOW).request[
            "metadata"
        ]

    assert sent(None)["firsthandapi_key"] == "k"
    assert set(sent(2)) == {"m0", "m1", "firsthandapi_key", "firsthandapi_request"}
    assert len(sent(18)) == 20
    assert set(sent(19)) - {f"m{number}" for number in range(19)} == {"firsthandapi_key"}
    assert "firsthandapi_key" not in sent(20)
    assert sent(None, metadata={"firsthandapi_key": "mine"}) == {"firsthandapi_key": "mine"}
    assert sent(None, metadata=5) == 5
    assert record(request({"name": "ci"}, "/v1/api_keys")).request == {"name": "ci"}
    assert record(build_request("POST", "/v1/jobs")).request is None


def test_what_is_kept() -> None:
    """Every POST but one that changes nothing, and those that a folder or a ledger has."""
    assert rules.is_kept(request())
    assert rules.is_kept(request(path="/v1/files/refresh_url"))
    assert not rules.is_kept(request(path="/v1/files/file_1/refresh_url"))
    assert not rules.is_kept(replace(request(), recorded=True))


# ── The same call ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, True),
        ({"accepted_formats": ["image/png", "image/jpeg"]}, True),
        ({"description": "Photos of  street signs\n"}, True),
        ({"deadline": "2030-01-01T00:00:00Z"}, True),
        ({"min_star_rating": 3}, True),
        ({"metadata": {"firsthandapi_key": "k9"}}, True),
        ({"metadata": {"batch": 1}}, False),
        ({"files_needed": 11}, False),
        ({"location": {"city": "Lagos"}}, False),
    ],
)
def test_the_same_job(fields: dict[str, Any], expected: bool) -> None:
    """By what is asked for, and not by how it is written."""
    changed = request({**FIELDS, **fields})
    assert is_alike(request(), changed) is expected


def test_another_call() -> None:
    """Another path, query, or server, and a key of the caller's, which goes by the key alone."""
    queried = build_request("POST", "/v1/jobs", query=[("a", "1")], body=json.dumps(FIELDS).encode())
    variants = [request(path="/v1/api_keys"), queried, request(key="mine"), request(key="k1")]
    assert not any(is_alike(request(), variant) for variant in variants)
    assert not is_alike(request(), request(), "https://other.example")
    assert is_alike(request({**FIELDS, "files_needed": 1}, key="mine"), request(key="mine"))
    assert not is_alike(request(path="/v1/api_keys", key="mine"), request(key="mine"))
    assert not same(record(), replace(ACCOUNT, base_url="https://other.example"))
    assert not same(record(account=None))


@pytest.mark.parametrize(
    ("changes", "organization", "expected"),
    [
        ({}, None, True),
        ({"fingerprint": "f2"}, None, True),  # a rotated key, perhaps: the service says more
        ({"fingerprint": "f2", "organization": "org_1"}, "org_1", True),
        ({"fingerprint": "f2", "organization": "org_2"}, "org_1", False),
        ({"fingerprint": "f2", "environment": "test"}, None, False),
    ],
)
def test_the_same_account(changes: dict[str, Any], organization: str | None, expected: bool) -> None:
    """The environment and organization of the API key, which may have been rotated since."""
    written = record(account=replace(ACCOUNT, organization=organization))
    assert same(written, replace(ACCOUNT, **changes)) is expected
    is_sure = rules.is_of(written, replace(ACCOUNT, **changes))
    assert is_sure is (expected and (changes.get("organization") is not None or not changes))


def test_an_account_that_has_used_the_key_for_itself() -> None:
    """Its next call is a new one, and the entry stays for the other. Of two, its own comes first."""
    written = record(others=("f2",))
    assert not same(written, replace(ACCOUNT, fingerprint="f2"))
    assert same(written)
    entries = [Entry(name, 1, record(account=replace(ACCOUNT, fingerprint=name))) for name in ("f1", "f2")]
    assert rules.same_call(entries, replace(ACCOUNT, fingerprint="f2"), waits=False) == entries[1]


def test_only_a_call_that_waits_continues_a_job() -> None:
    """`create` is finished by its answer; `create_and_wait` when it returns."""
    assert same(record(job={"id": "job_1"}), waits=True)
    assert not same(record(job={"id": "job_1"}))
    assert same(record(), waits=True)


# ── What may be done ─────────────────────────────────────────────────────────────────────────────────────


def test_what_does_no_harm_twice() -> None:
    """To cancel, rate, revoke, and replay; to create, rotate, and purchase does."""
    harmless = (
        "/v1/jobs/job_1/cancel",
        "/v1/jobs/job_1/rate",
        "/v1/api_keys/key_1/revoke",
        "/v1/webhook_events/e/replay",
    )
    assert all(map(rules.is_repeatable, harmless))
    for path in ("/v1/jobs", "/v1/api_keys", "/v1/api_keys/key_1/rotate", "/v1/billing/credits/purchase"):
        assert not rules.is_repeatable(path)


# ── What people see ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (FIELDS, "Photos of street signs, 10 files, 50 cents per file"),
        ({"amount_cents": 1000}, "1000 cents"),
        ({"name": "ci"}, "ci"),
        ({"url": "https://a.example/x?token=S3CRET"}, "https://a.example/x?…"),
        ({"description": "x" * 61}, "x" * 60 + "…"),
        ({"title": "fh_live_S3CRET\x1b"}, "fh_live_…"),
        (None, ""),
    ],
)
def test_a_summary(fields: Any, expected: str) -> None:
    """One printable line without secrets."""
    pending = rules.pending(record(request(fields)))
    assert pending.summary == expected
    assert (pending.key, pending.method, pending.path, pending.at.timestamp()) == (
        "k1",
        "POST",
        "/v1/jobs",
        NOW,
    )
    assert not pending.refused
    assert rules.pending(record().refused(NOW, None)).refused
