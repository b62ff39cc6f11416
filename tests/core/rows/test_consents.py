"""The lines of consents.jsonl."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from core.rows.test_card import ROWS, card
from firsthandapi._core.rows.consents import (
    encode_consents,
    is_withdrawn,
    license_denied,
    line_of,
    parse_consents,
    under_license,
    with_lines,
)
from firsthandapi._core.rows.witness import Witness
from firsthandapi.errors import InvalidArgumentError
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


# Of three files: the first row names another license than its consent, the second the same by the Hub's name, and the
# third has none.
LINES: dict[str, Any] = {
    "cns_1": {"license": "CC-BY-NC-4.0"},
    "cns_2": {"license": "ODbL-1.0"},
    "cns_3": {"license": "CC-BY-NC-4.0"},
}
NAMED = [
    replace(row, consent_id=consent, license=license_)
    for row, consent, license_ in zip(ROWS, LINES, ("CC-BY-4.0", "odbl", None), strict=True)
]


def test_a_consent_denies_only_a_license_that_differs() -> None:
    """By whichever name; one that is unknown, or names none, denies nothing."""
    assert [license_denied(row, LINES) for row in NAMED] == [("CC-BY-4.0", "CC-BY-NC-4.0"), None, None]
    for lines in ({}, {"cns_1": {}}, {"cns_1": {"license": " "}}, {"cns_1": {"license": 7}}):
        assert license_denied(NAMED[0], lines) is None
    assert license_denied(replace(NAMED[0], consent_id=None), LINES) is None


def test_a_row_is_published_under_a_stated_license_that_its_consent_grants() -> None:
    """Only that one; and a row without a license still names none. The user's own columns stay."""
    stated = [under_license(row, "cc-by-nc-4.0", LINES).license for row in NAMED]
    assert stated == ["CC-BY-NC-4.0", "odbl", None]
    for license_ in (None, "CC-BY-4.0", "CC0-1.0"):
        assert under_license(NAMED[0], license_, LINES) is NAMED[0]


def check(witness: Witness, license_: str | None) -> None:
    """As `publish` does, after `write_card`."""
    witness.check({} if license_ is None else {"license": license_})
    witness.check_licenses(license_)


@pytest.mark.parametrize(
    ("license_", "rows", "message"),
    [
        ("CC-BY-4.0", NAMED[:1], r"1 file granted another: CC-BY-NC-4\.0 \(1 file\), not CC-BY-4\.0"),
        (
            "CC0-1.0",
            NAMED,
            r"3 files granted another: CC-BY-NC-4\.0 \(2 files\), ODbL-1\.0 \(1 file\), not CC0",
        ),
        ("CC-BY-NC-4.0", NAMED, r"1 file granted another: ODbL-1\.0"),
        ("MIT", NAMED[2:], r"1 file granted another: CC-BY-NC-4\.0"),
        (
            None,
            NAMED,
            r"the consents of 1 file grant another .*: CC-BY-NC-4\.0, not CC-BY-4\.0 \(1 file\); state",
        ),
    ],
)
def test_a_license_that_a_consent_contradicts_is_refused(
    license_: str | None, rows: list[Any], message: str
) -> None:
    """With how many do, and both licenses."""
    witness = Witness(rows, LINES)
    with pytest.raises(InvalidArgumentError, match=message) as caught:
        check(witness, license_)
    assert caught.value.field == "license"


@pytest.mark.parametrize(
    ("license_", "rows"), [("CC-BY-NC-4.0", NAMED[::2]), (None, NAMED[1:]), ("odbl", NAMED[1:2])]
)
def test_a_license_of_all_consents_is_taken(license_: str | None, rows: list[Any]) -> None:
    """Whatever their rows say; and none, if no row denies its consent."""
    check(Witness(rows, LINES), license_)


@pytest.mark.parametrize("when", ["2026-01-03T00:00:00Z", "", 0, False])
def test_a_withdrawn_consent_grants_nothing(when: object) -> None:
    """Any time counts, even one that is none: a person is not published by a typing error."""
    lines = {**LINES, "cns_1": {**LINES["cns_1"], "withdrawn_at": when}}
    assert [is_withdrawn(row, lines) for row in NAMED] == [True, False, False]
    witness = Witness(NAMED[:2], lines)
    witness.check_licenses(None)
    witness.check({"license": "ODbL-1.0"})
    assert witness.licenses == {"ODbL-1.0": 1}


def test_no_newer_line_undoes_a_withdrawal() -> None:
    """Such as that of a copy that has not heard of it; its time may become another."""
    stands, ended, later = ({"withdrawn_at": when} for when in (None, "2026-01-03", "2026-01-04"))
    assert with_lines(
        {"cns_1": ended, "cns_2": stands}, {"cns_1": stands, "cns_2": ended, "cns_3": stands}
    ) == {
        "cns_1": ended,
        "cns_2": ended,
        "cns_3": stands,
    }
    assert with_lines({"cns_1": ended}, {"cns_1": later}) == {"cns_1": later}


def test_a_card_counts_what_consents_deny_and_withdraw() -> None:
    """It calls no license granted that a consent denies."""
    text = card(subfolders={"": NAMED}, said={}, consents=LINES, withdrawn=2)
    assert "- ODbL-1.0: 1 file\n- CC-BY-NC-4.0 by the consents, CC-BY-4.0 by the rows: 1 file\n- none" in text
    assert "2 files are not published: their workers have withdrawn the consent." in text
    assert 'license: ["odbl", "unknown"]' in text
    assert "1 file is not published: its worker has" in card(subfolders={"": NAMED}, withdrawn=1)
    denied = card(subfolders={"": NAMED[:1]}, said={}, consents=LINES)
    assert "license" not in denied.partition("<!--")[0]
    lines = {**LINES, "cns_1": {"withdrawn_at": "2026-01-03T00:00:00Z"}}
    rows = [replace(row, license="CC-BY-4.0") for row in NAMED[:2]]
    whole = card(subfolders={"": rows}, said={}, consents={"cns_1": lines["cns_1"]}, withdrawn=1)
    assert "License: CC-BY-4.0, as the workers of 1 file granted it." in whole
