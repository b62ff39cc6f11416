"""The rules of the journal: what is written down, which call is the same one, and what may be sent again."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsthandapi._core.calls.request import Request, build_request
from firsthandapi._core.orders import journal as rules
from firsthandapi._core.orders.journal import HEADER, Account, Entry
from firsthandapi._masking import Secret
from firsthandapi.errors import (
    ConfigurationError,
    FirstHandApiError,
    FirstHandConnectionError,
    UnexpectedResponseError,
)

NOW = 1_800_000_000.0
ACCOUNT = Account("https://api.example", "f1", "live")
FIELDS: dict[str, Any] = {
    "type": "data_collection",
    "description": "Photos of street signs",
    "files_needed": 10,
    "accepted_formats": ["image/jpeg", "image/png"],
    "price_per_file_cents": 50,
}


def entry(number: int = 1, **changes: Any) -> Entry:
    body = changes.pop("fields", FIELDS)
    made = Entry(f"e{number}", f"k{number}", False, NOW, 7, ACCOUNT, "/v1/jobs", body=json.dumps(body))
    return replace(made, **changes)


def request(fields: Any = FIELDS, path: str = "/v1/jobs", key: str | None = None) -> Request:
    return build_request("POST", path, body=json.dumps(fields).encode(), idempotency_key=key)


def same(one: Entry, asked: Request, account: Account = ACCOUNT, *, waits: bool = False) -> bool:
    return rules.same_call([one], account, asked, waits=waits) is one


# ── The file ─────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_written_is_read() -> None:
    """An entry, and each thing that may become of it."""
    first = entry()
    written = HEADER + rules.began(first)
    assert rules.read(written, "p") == {"e1": first}
    for line, expected in (
        (rules.lost(first), replace(first, lost=True)),
        (rules.lost(first) + rules.taken(first, 9), replace(first, writer=9)),
        (rules.answered(first, "job_1"), replace(first, job_id="job_1")),
        (rules.of_another(first, replace(ACCOUNT, fingerprint="f2")), replace(first, others=("f2",))),
    ):
        assert rules.read(written + line, "p") == {"e1": expected}
        assert rules.read(rules.snapshot([expected]), "p") == {"e1": expected}
    assert rules.read(written + rules.ended(first, "job_1"), "p") == {}


@given(st.data())
def test_a_torn_line_loses_itself_alone(data: st.DataObject) -> None:
    """Wherever the end is cut, all lines before it count; and what is written behind it does."""
    lines = [rules.began(entry(number)) for number in range(3)]
    content = HEADER + b"".join(lines)
    cut = data.draw(st.integers(0, len(content)))
    whole = max(content[:cut].count(b"\n") - 1, 0)
    found = (
        rules.read(content[:cut], "p") if cut >= len(HEADER) or rules.is_torn_header(content[:cut]) else {}
    )
    assert set(found) in ({f"e{n}" for n in range(whole)}, {f"e{n}" for n in range(whole + 1)})
    if cut >= len(HEADER):
        assert "e9" in rules.read(content[:cut] + b"\n" + rules.began(entry(9)), "p")


@pytest.mark.parametrize(
    "junk",
    [b"", b"[]", b"{}", b'{"op":"post"}', b'{"op":"post","id":"x"}', b'{"op":"end","id":"x"}', b"\xff\xfe", b"\0" * 9,
     b'{"op":"later","id":"e1"}', b'{"op":"take","id":"e1","writer":"x"}', b'{"op":"post","id":5}',
     rules.began(entry(2)).replace(b'"path":"/v1/jobs"', b'"path":5').rstrip(),
     rules.began(entry(2)).replace(b'"account":{', b'"account":{"more":1,').rstrip()],
)  # fmt: skip
def test_a_line_of_another_kind_is_skipped(junk: bytes) -> None:
    """Whatever a disk or a later version has left."""
    assert set(rules.read(HEADER + rules.began(entry()) + junk + b"\n", "p")) == {"e1"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"my notes\n", "is not a journal of firsthandapi, and stays as it is"),
        (b'{"version": 1}', "is not a journal"),
        (HEADER.replace(b"1", b"2"), "later version"),
    ],
)
def test_another_file_is_left_alone(content: bytes, said: str) -> None:
    """A path that was mistyped must not cost somebody's file; what a later version has written may mean more."""
    with pytest.raises(ConfigurationError, match=said):
        rules.read(content, "p")


def test_what_goes_into_the_metadata() -> None:
    """The key and the hash of the request, as far as the 20 keys of the contract go; nothing into other bodies."""

    def sent(count: int | None, **more: Any) -> dict[str, Any]:
        metadata = None if count is None else {f"m{number}": 1 for number in range(count)}
        return json.loads(rules.marked(request({**FIELDS, "metadata": metadata, **more}), "k") or b"")[
            "metadata"
        ]

    assert sent(None)["firsthandapi_key"] == "k"
    assert set(sent(2)) == {"m0", "m1", "firsthandapi_key", "firsthandapi_request"}
    assert len(sent(18)) == 20
    assert set(sent(19)) - {f"m{number}" for number in range(19)} == {"firsthandapi_key"}
    assert "firsthandapi_key" not in sent(20)
    assert sent(None, metadata={"firsthandapi_key": "mine"}) == {"firsthandapi_key": "mine"}
    assert sent(None, metadata=5) == 5
    assert rules.marked(request({"name": "ci"}, "/v1/api_keys"), "k") == b'{"name": "ci"}'
    assert rules.marked(build_request("POST", "/v1/jobs"), "k") is None


def test_what_is_kept() -> None:
    """Every POST but one that changes nothing, and those that a folder or a ledger has."""
    assert rules.is_kept(request())
    assert rules.is_kept(request(path="/v1/files/refresh_url"))
    assert not rules.is_kept(request(path="/v1/files/file_1/refresh_url"))
    assert not rules.is_kept(replace(request(), recorded=True))


def test_the_id_of_an_answer() -> None:
    """Nothing else of it is kept; a key is no id."""
    assert rules.id_in(b'{"id": "job_1", "secret": "whsec_x"}') == "job_1"
    for content in (b"", b"[]", b"{}", b'{"id": 5}', b'{"id": "fh_live_x"}', b'{"id": "a/b"}'):
        assert rules.id_in(content) is None


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
    assert same(entry(), request({**FIELDS, **fields})) is expected


def test_another_call() -> None:
    """Another path, query, or server, and a key of the caller's, which goes by the key alone."""
    assert not same(entry(), request(path="/v1/api_keys"))
    assert not same(entry(query="a=1"), request())
    assert not same(entry(), request(), replace(ACCOUNT, base_url="https://other.example"))
    assert not same(entry(own=True), request())
    assert not same(entry(), request(key="mine"))
    assert same(entry(own=True, key="mine"), request({**FIELDS, "files_needed": 1}, key="mine"))
    assert same(
        entry(path="/v1/jobs/job_1/cancel", body=None), build_request("POST", "/v1/jobs/job_1/cancel")
    )


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
    written = entry(account=replace(ACCOUNT, organization=organization))
    assert same(written, request(), replace(ACCOUNT, **changes)) is expected
    is_sure = rules.is_of(written, replace(ACCOUNT, **changes))
    assert is_sure is (expected and (changes.get("organization") is not None or not changes))


def test_an_account_that_has_used_the_key_for_itself() -> None:
    """Its next call is a new one, and the entry stays for the other."""
    written = entry(others=("f2",))
    assert not same(written, request(), replace(ACCOUNT, fingerprint="f2"))
    assert same(written, request())


def test_only_a_call_that_waits_continues_a_job() -> None:
    """`create` is finished by its answer; `create_and_wait` when it returns."""
    assert same(entry(job_id="job_1"), request(), waits=True)
    assert not same(entry(job_id="job_1"), request())
    assert same(entry(), request(), waits=True)


def test_what_is_unknown() -> None:
    """A call whose process lives is none, unless it has ended."""
    entries = {"e1": entry(1), "e2": entry(2, writer=8), "e3": entry(3, lost=True)}
    found = rules.unknown(entries, lambda one: one.writer == 7)
    assert [one.id for one in found] == ["e2", "e3"]


def test_the_environment_of_a_key() -> None:
    """By its prefix; a key without one has none."""
    assert [rules.environment_of(Secret(key)) for key in ("fh_live_x", "fh_test_x", "x")] == [
        "live",
        "test",
        "",
    ]


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


@pytest.mark.parametrize(
    ("error", "request_sent", "expected"),
    [
        (FirstHandConnectionError("refused"), False, True),
        (FirstHandConnectionError("broke"), True, False),
        (FirstHandConnectionError("of the caller's client"), None, False),
        (FirstHandApiError("x", status=402, type="insufficient_credits"), True, False),
        (UnexpectedResponseError("x"), True, False),
        (KeyboardInterrupt(), None, False),
    ],
)
def test_what_has_never_left(error: Any, request_sent: bool | None, expected: bool) -> None:
    """Nothing else is known to have done nothing."""
    error.request_sent = request_sent
    assert rules.never_left(error) is expected


def test_a_refusal_names_the_key_and_the_way_out() -> None:
    """In Python and in the shell."""
    error = rules.refusal(entry(), "orders.journal")
    assert error.idempotency_key == "k1"
    assert "client.journal.forget('k1') or `firsthandapi journal forget orders.journal k1`" in str(error)
    assert "what it did cannot be looked up" in str(rules.refusal(entry(path="/v1/api_keys"), "p"))


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
    pending = entry(fields=fields).pending()
    assert pending.summary == expected
    assert (pending.key, pending.method, pending.path, pending.at.timestamp()) == (
        "k1",
        "POST",
        "/v1/jobs",
        NOW,
    )
