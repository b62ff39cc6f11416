"""What rows prove of a dataset."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from core.rows.test_card import ROWS, card, facts
from firsthandapi._core.rows.card import card_of
from firsthandapi._core.rows.croissant import croissant_of, missing_of
from firsthandapi._core.rows.witness import Witness
from firsthandapi.errors import InvalidArgumentError

MODEL = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
# A file of a person, of a model, of the sandbox, and of a server for tests; of the last, nothing is known.
FIVE = [
    replace(row, file_id=f"file_{number}", **changes)
    for number, (row, changes) in enumerate(
        zip(
            [*ROWS, *ROWS],
            [
                {"rated_by": "person", "license": "CC-BY-4.0", "consent_id": "cns_1"},
                {
                    "digital_source_type": MODEL,
                    "rated_by": "model:claude-haiku-5-5",
                    "license": "CC-BY-NC-4.0",
                },
                {"environment": "sandbox", "rated_by": "rules"},
                {"environment": "simulated", "server": "http://127.0.0.1:8080"},
                {"environment": None, "server": None, "ai_star_rating": None},
            ],
            strict=False,
        )
    )
]
WHOLE: dict[str, Any] = {"subfolders": {"": FIVE}, "said": {}}


def test_each_sentence_has_its_count() -> None:
    """Who made the files, who rated them, and whose consent is named."""
    text = card(**WHOLE)
    for sentence in (
        "People made 1 file.",
        "A model made 1 file, as its Content Credentials say.",
        "A program drew 1 file of the sandbox, which cost nothing.",
        "A program drew 1 file of a server for tests, which cost nothing.",
        "The service rated 1 file with 1 to 5 stars.",
        "People rated 1 file",
        "A program rated 1 file",
        "The model claude-haiku-5-5 rated 1 file",
        "1 file of 5 names the consent of the worker.",
        "- CC-BY-4.0: 1 file\n- CC-BY-NC-4.0: 1 file\n- none named: 3 files",
        "on `http://127.0.0.1:8080` and `https://api.firsthandapi.com` for $1.50.",
    ):
        assert sentence in text, sentence
    assert 'license: ["cc-by-4.0", "cc-by-nc-4.0", "unknown"]' in text


def test_what_is_true_of_no_file_is_not_said() -> None:
    """A sentence whose count is none is left out, be it of people, models, programs, raters, or consent."""
    drawn = [replace(row, environment="simulated", ai_star_rating=None) for row in ROWS]
    text = card(subfolders={"": drawn}, said={})
    for word in ("People", "worker", "model", "sandbox", "rated", "onsent", "$1"):
        assert word not in text.replace("| Label | Files | Workers |", "").replace("unrated", ""), word
    assert "A program drew 3 files of a server for tests, which cost nothing." in text
    people = card(said={})
    for word in ("program", "model", "Consent"):
        assert word not in people, word


def test_what_a_program_drew_is_not_by_workers() -> None:
    """Nor is a whole of which it drew a part."""
    assert "3 files by " in card(said={})
    unknown = card(subfolders={"": [replace(ROWS[0], worker_id=None), *ROWS[1:]]}, said={})
    assert "3 files by at least " in unknown
    part = card(subfolders={"": [replace(ROWS[0], environment="sandbox"), *ROWS[1:]]}, said={})
    assert "3 files by " not in part
    assert "People made 2 files. A program drew 1 file of the sandbox" in part


def test_what_a_campaign_has_spent_is_told() -> None:
    """In place of the price of the jobs that it ordered; of a rehearsal, nothing."""
    spent: dict[str, Any] = {"spent_cents": 30, "ordered": frozenset({"job_1"})}
    assert "for $0.30. People made 3 files." in card(**spent)
    drawn = [replace(row, environment="sandbox") for row in ROWS]
    assert "on `https://api.firsthandapi.com`. A program drew 3 files" in card(
        subfolders={"": drawn}, **spent
    )


def test_the_metadata_says_the_same() -> None:
    """Synthetic data is known from the rows, the platform is the service, and nobody is named who has made nothing."""
    mixed = json.loads(croissant_of(facts(**WHOLE)))
    assert mixed["rai:hasSyntheticData"] is True
    assert mixed["rai:dataCollectionType"] == ["Manual Human Curator", "Software Collection"]
    assert mixed["rai:dataAnnotationPlatform"] == ["http://127.0.0.1:8080", "https://api.firsthandapi.com"]
    drawn = facts(subfolders={"": [replace(row, environment="simulated") for row in ROWS]}, said={})
    document = json.loads(croissant_of(drawn))
    assert document["rai:dataCollectionType"] == ["Software Collection"]
    assert "People" not in json.dumps(document)
    assert "rai:annotationsPerItem" not in document
    (collection, *_) = document["prov:wasGeneratedBy"]
    assert [agent["prov:label"] for agent in collection["prov:wasAssociatedWith"]] == [
        "https://api.firsthandapi.com"
    ]
    assert "rai:hasSyntheticData" not in missing_of(drawn)
    assert "rai:hasSyntheticData" in missing_of(facts(said={}))


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        (
            {"license": "CC0-1.0"},
            r"the workers of 2 files granted another: CC-BY-4\.0 \(1 file\), CC-BY-NC-4\.0",
        ),
        ({"license": "cc-by-4.0"}, r"the workers of 1 file granted another: CC-BY-NC-4\.0 \(1 file\)"),
        ({"has_synthetic_data": False}, r"has_synthetic_data: a program or a model made 3 files"),
    ],
)
def test_what_rows_contradict_is_refused(statements: dict[str, Any], message: str) -> None:
    """With how many do."""
    with pytest.raises(InvalidArgumentError, match=message) as caught:
        Witness(FIVE).check(statements)
    assert caught.value.field == next(iter(statements))


@pytest.mark.parametrize("statements", [{}, {"license": "cc-by-4.0"}, {"has_synthetic_data": True}])
def test_what_no_row_contradicts_is_taken(statements: dict[str, Any]) -> None:
    """Case does not matter, a file of which nothing is known contradicts nothing, and synthetic data may be stated."""
    Witness([FIVE[0], *FIVE[2:]]).check(statements)


def test_a_license_has_two_names() -> None:
    """That of Hugging Face, and that of SPDX; a blank one is none."""
    Witness([replace(ROWS[0], license="ODbL-1.0")]).check({"license": "odbl"})
    spelled = [
        replace(row, license=name) for row, name in zip(ROWS, ("odbl", "ODbL-1.0", "odbl-1.0"), strict=True)
    ]
    assert "License: ODbL-1.0, as the workers of 3 files granted it." in card(
        subfolders={"": spelled}, said={}
    )
    blank = [replace(row, license=license_) for row, license_ in zip(ROWS, ("", " \n", None), strict=True)]
    text = card(subfolders={"": blank}, said={})
    assert "No license is named." in text
    assert "license" not in text.partition("<!--")[0]


def test_invalid_credentials_are_not_believed() -> None:
    """Neither that a model made the file, nor, because they say so, that people did."""
    for state, sentence in (
        ("invalid", ""),
        ("valid", "A model made 3 files"),
        (None, "A model made 3 files"),
    ):
        rows = [replace(row, digital_source_type=MODEL, c2pa_state=state) for row in ROWS]
        text = card(subfolders={"": rows}, said={})
        assert sentence in text
        assert "People made" not in text
        assert ("A model made" in text) is bool(sentence)
        assert Witness(rows).is_synthetic is (True if sentence else None)


def test_what_raters_flagged_is_counted() -> None:
    """Of a file that is flagged as synthetic, nobody says that people made it, or that a machine did not."""
    flags = (["synthetic", "stock", "stock"], ["stock", "<b>"], [])
    rows = [replace(row, flags=given) for row, given in zip(ROWS, flags, strict=True)]
    flagged = facts(subfolders={"": rows}, said={})
    text = card_of(flagged, b"{}").decode()
    for sentence in (
        "2 files are flagged as stock.",
        "1 file is flagged as synthetic.",
        "People made 2 files.",
    ):
        assert sentence in text
    assert "<b>" not in text
    analysis = [
        "1 file is flagged as <b>.",
        "2 files are flagged as stock.",
        "1 file is flagged as synthetic.",
    ]
    assert json.loads(croissant_of(flagged))["rai:dataAnnotationAnalysis"] == analysis
    with pytest.raises(InvalidArgumentError, match="1 file is flagged as synthetic"):
        Witness(rows).check({"has_synthetic_data": False})
    Witness(rows).check({"has_synthetic_data": True})
    Witness(rows[1:]).check({"has_synthetic_data": False})


def test_the_name_of_a_server_is_plain_text() -> None:
    """It may come from a stranger's folder, and can create neither HTML nor a link."""
    odd = "<img src=x>[a](http://b.example)\n\n# Title"
    text = card(subfolders={"": [replace(row, server=odd) for row in ROWS]}, said={})
    assert "on &lt;img `src=x>[a](http://b.example)" in text
    assert "<img" not in text
    assert "\n# Title" not in text


def test_whose_word_a_license_is(subtests: pytest.Subtests) -> None:
    """The publisher's, or that of the workers of all files."""
    granted = [replace(row, license="CC-BY-4.0") for row in ROWS]
    for statements, text in (
        ({"license": "CC-BY-4.0"}, "License: CC-BY-4.0. Stated by the publisher."),
        ({}, "License: CC-BY-4.0, as the workers of 3 files granted it."),
    ):
        with subtests.test(text):
            assert text in card(subfolders={"": granted}, said=statements)


def test_a_table_is_named_for_the_hub() -> None:
    """With its manifest and its files: otherwise a few pictures are taken for JSON."""
    files = '{"split": "train", "path": ["metadata.jsonl", "data/**"]}'
    assert f'configs: [{{"config_name": "default", "data_files": [{files}]}}]' in card()
    # One table only: `load_dataset` would read sound as pictures.
    parts = card(subfolders={"image": ROWS, "audio": ROWS, "other": ROWS})
    assert '"config_name": "image"' in parts
    assert '"path": ["image/metadata.jsonl", "image/data/**"]' in parts
    assert parts.count('"config_name"') == 1


def test_who_described_the_files() -> None:
    """Models by their names, and people who corrected them, each with its files; their names are nobody's affair."""
    described = [replace(row, annotations={"annotation_model": "openai:m"}) for row in ROWS]
    corrected = replace(
        described[0], annotations_json='{"type": "image", "objects": [], "corrected": ["objects"]}'
    )
    text = card(subfolders={"": [corrected, *described[1:]]}, said={})
    assert "The model openai:m described 3 files. People corrected the description of 1 file." in text
    assert "described" not in card(subfolders={"": [replace(row, annotations=None) for row in ROWS]}, said={})
