"""The lines of consents.jsonl."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from firsthandapi._core.rows.consents import encode_consents, line_of, parse_consents
from firsthandapi.types import Consent

CONSENT = Consent(
    id="cns_1",
    version=2,
    purposes=["research"],
    license="CC-BY-4.0",
    assurances=["adult"],
    text="Ihre Fotos dienen der Forschung – ja.",
    language="de",
    agreed_at=datetime(2026, 1, 2, tzinfo=UTC),
)


def test_a_line_says_all_but_a_name() -> None:
    """What the service does not say is null."""
    assert line_of(CONSENT) == {
        "consent_id": "cns_1",
        "version": 2,
        "purposes": ["research"],
        "license": "CC-BY-4.0",
        "assurances": ["adult"],
        "text": "Ihre Fotos dienen der Forschung – ja.",
        "language": "de",
        "agreed_at": "2026-01-02T00:00:00Z",
        "withdrawn_at": None,
    }
    assert set(line_of(Consent(id="cns_2")).values()) == {"cns_2", None}


def test_what_was_written_is_read() -> None:
    """In the order of the ids, whatever that of the lines was."""
    lines = {"cns_2": line_of(Consent(id="cns_2")), "cns_1": line_of(CONSENT)}
    content = encode_consents(lines)
    assert parse_consents(content) == lines
    assert content == encode_consents(dict(reversed(lines.items())))
    assert [json.loads(line)["consent_id"] for line in content.splitlines()] == ["cns_1", "cns_2"]


def test_what_is_no_line_of_ours_is_left_out() -> None:
    """No file, half a line, another object, and an id that is none."""
    assert parse_consents(None) == {}
    odd = b'{"consent_id":"cns_1"}\n{"consent_id":5}\n[]\n\xff\n\n{"consent_id":"cns_2"'
    assert parse_consents(odd) == {"cns_1": {"consent_id": "cns_1"}}
