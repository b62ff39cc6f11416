"""The Croissant metadata of a dataset. tests/dataset/test_papers.py has it read by mlcroissant."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from core.rows.test_card import JOB, ROWS, card, facts
from core.rows.test_manifest import row_of
from firsthandapi._core.rows.card import summary_of
from firsthandapi._core.rows.croissant import croissant_of, license_url, missing_of
from firsthandapi._core.rows.manifest import MANIFEST, Record, parse_manifest

ALL = {
    "license": "CC-BY-4.0",
    "creator": {"type": "Person", "name": "Ada"},
    "url": "https://example.org/signs",
    "data_limitations": ["One city."],
    "data_biases": ["By day.", "Latin letters."],
    "personal_sensitive_information": ["None."],
    "data_use_cases": ["Training."],
    "data_social_impact": ["Small.", "Good."],
    "has_synthetic_data": False,
}
# Of the specification; mlcroissant does not ask for all of them.
REQUIRED = (
    *("@context", "@type", "conformsTo", "description", "license", "name", "url", "creator", "datePublished"),
    "distribution",
)
NEURIPS = (
    *("rai:dataLimitations", "rai:dataBiases", "rai:personalSensitiveInformation", "rai:dataUseCases"),
    *("rai:dataSocialImpact", "rai:hasSyntheticData", "prov:wasDerivedFrom", "prov:wasGeneratedBy"),
)


def made(**changes: Any) -> Any:
    return json.loads(croissant_of(facts(**changes)))


def sets(document: Any) -> dict[str, dict[str, Any]]:
    """The fields of each record set, by their names."""
    return {node["@id"]: {field["name"]: field for field in node["field"]} for node in document["recordSet"]}


def of_type(content_type: str, ending: str, label: str | None = "stop") -> Record:
    name = f"data/{label}/file_{ending}.{ending}" if label else f"data/file_{ending}.{ending}"
    return replace(row_of(id=f"file_{ending}"), content_type=content_type, file_name=name, label=label)


def test_all_that_is_required_is_there_or_missing() -> None:
    """Of Croissant 1.1 and of the eight fields that conferences ask for; nothing is made up."""
    whole, bare = made(said=ALL), made(said={})
    assert not {*REQUIRED, *NEURIPS} - whole.keys()
    assert missing_of(facts(said=ALL)) == ()
    missing = missing_of(facts(said={}))
    assert {*REQUIRED, *NEURIPS} - bare.keys() == {*missing}
    assert missing[:4] == ("license", "creator", "url", "rai:dataLimitations")
    assert whole["conformsTo"] == [
        "http://mlcommons.org/croissant/1.1",
        "http://mlcommons.org/croissant/RAI/1.0",
    ]
    assert whole["creator"] == {"@type": "sc:Person", "name": "Ada"}
    assert whole["rai:dataBiases"] == ["By day.", "Latin letters."]
    assert whole["rai:dataSocialImpact"] == "Small.\nGood."
    assert whole["rai:hasSyntheticData"] is False


def test_columns_of_one_s_own_are_fields() -> None:
    """With the type of their values; those of several types, with objects, or whose name makes pandas read times are
    none."""
    own_columns: list[dict[str, Any]] = [
        {
            "q": 1,
            "mean": 1,
            "ok": True,
            "note": "a",
            "boxes": [1],
            "odd": 1,
            "seen_at": "x",
            "a b": 1,
            "none": None,
        },
        {"q": None, "mean": 2.5, "ok": False, "note": None, "boxes": [], "odd": True},
        {"mean": None},
    ]
    lines = [json.dumps({**vars(row), **more}).encode() for row, more in zip(ROWS, own_columns, strict=True)]
    rows = parse_manifest(b"\n".join(lines))
    (record_set,) = [table for table in made(subfolders={"": rows})["recordSet"] if table["name"] == "rows"]
    fields = {field["name"]: field for field in record_set["field"] if field["name"].startswith("own_")}
    assert {name: field["dataType"] for name, field in fields.items()} == {
        "own_q": "sc:Integer",
        "own_mean": "sc:Float",
        "own_ok": "sc:Boolean",
        "own_note": "sc:Text",
    }
    assert fields["own_q"]["source"]["extract"] == {"column": "q"}


def test_the_card_says_the_same_numbers() -> None:
    """Word for word."""
    document = made()
    assert document["description"] == document["rai:dataCollection"] == summary_of(facts())
    assert document["description"] in card().replace(
        "`https://api.firsthandapi.com`", "https://api.firsthandapi.com"
    )
    assert document["rai:dataCollectionTimeframe"] == ["2026-01-03T00:00:00Z", "2026-01-05T00:00:00Z"]
    assert (document["dateCreated"], document["datePublished"]) == ("2026-01-03", "2026-01-05")
    assert "wkr_" not in json.dumps(document)


def test_who_annotated_what_is_named() -> None:
    """Stars with the bar of the jobs, and the models; where nothing is rated or recognized, nothing is claimed."""
    job = JOB.model_copy(update={"min_star_rating": 3})
    rows = [replace(ROWS[0], annotations={"annotation_model": "model-1"}), ROWS[1]]
    document = made(jobs=[(job, "stop")], subfolders={"": rows})
    assert document["rai:dataAnnotationProtocol"].endswith("at least 3 stars to be approved.")
    assert document["rai:machineAnnotationTools"] == ["model-1"]
    assert [node["@id"] for node in document["prov:wasGeneratedBy"]] == ["collection", "annotation", "review"]
    bare = made(subfolders={"": [replace(row, ai_star_rating=None, created_at=None) for row in ROWS]})
    assert not {"rai:dataAnnotationProtocol", "rai:dataCollectionTimeframe", "datePublished"} & bare.keys()
    assert [node["@id"] for node in bare["prov:wasGeneratedBy"]] == ["collection"]


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("cc-by-4.0", "https://spdx.org/licenses/CC-BY-4.0"),
        ("CDLA-Permissive-2.0", "https://spdx.org/licenses/CDLA-Permissive-2.0"),
        ("odbl", "https://spdx.org/licenses/ODbL-1.0"),
        ("Our own, 2026", "Our own, 2026"),
        ("https://example.org/license", "https://example.org/license"),
    ],
)
def test_a_license_is_a_page_of_spdx(name: str, url: str) -> None:
    """If it is on its list."""
    assert license_url(name) == url


def test_each_kind_of_file_is_described() -> None:
    """Pictures that loaders read are a column, joined by the name of the file; what they cannot read is described, and
    no field refers to it. Patterns fit files with labels, without, or both."""
    rows = [of_type("image/jpeg", "jpg", None), of_type("image/png", "png"), of_type("image/webp", "webp")]
    document = made(subfolders={"": rows})
    files = {file["@id"]: (file["encodingFormat"], file.get("includes")) for file in document["distribution"]}
    assert files["files"] == (
        ["image/jpeg", "image/png"],
        ["data/*.jpg", "data/*.png", "data/*/*.jpg", "data/*/*.png"],
    )
    assert files["files-webp"] == ("image/webp", ["data/*/*.webp"])
    fields = sets(document)["rows"]
    assert [*fields][:2] == ["image", "file_name"]
    assert fields["file_name"]["references"]["fileSet"] == {"@id": "files"}
    audio = made(subfolders={"audio": [of_type("audio/wav", "wav")]}, manifests={"audio": "1" * 64})
    assert audio["distribution"][1]["includes"] == ["audio/data/*/*.wav"]
    assert "image" not in sets(audio)["audio_rows"]
    assert "references" not in sets(audio)["audio_rows"]["file_name"]
    # An ending that also stands for something else is no picture.
    odd = made(subfolders={"": [of_type("image/jpeg", "bin"), of_type("image/odd", "bin", None)]})
    assert odd["distribution"][1]["@id"] == "files-bin"


def test_columns_have_types() -> None:
    """A label refers to the labels."""
    fields = sets(made())["rows"]
    assert fields["created_at"]["dataType"] == fields["captured_at"]["dataType"] == "sc:DateTime"
    assert fields["ai_star_rating"]["dataType"] == "sc:Integer"
    assert fields["worker_id"]["equivalentProperty"] == "prov:wasAttributedTo"
    assert fields["label"]["references"] == {"field": {"@id": "labels/name"}}
    bare = made(subfolders={"": [replace(row, label=None) for row in ROWS]})
    assert "labels" not in sets(bare)
    assert "references" not in sets(bare)["rows"]["label"]


@pytest.mark.parametrize("text", ["yesterday", "", "0001-01-01T00:00:00Z", "9999-12-31T00:00:00Z"])
def test_what_is_no_time_is_no_date(text: str) -> None:
    """A stranger's row may say anything: it makes no date, and no column that a version of pandas reads as times."""
    rows = [replace(ROWS[0], created_at=text, captured_at=text), *ROWS[1:]]
    odd = made(subfolders={"": rows})
    fields = sets(odd)["rows"]
    assert ("created_at" in fields) == ("captured_at" in fields) == (not text)
    assert odd["rai:dataCollectionTimeframe"][0] == "2026-01-04T00:00:00Z"
    assert (odd["dateCreated"], odd["datePublished"]) == ("2026-01-04", "2026-01-05")
    assert " from 2026-01-04 to 2026-01-05, from" in odd["description"]
    bare = facts(said=ALL, subfolders={"": rows[:1]})
    assert "datePublished" not in json.loads(croissant_of(bare))
    assert missing_of(bare) == missing_of(facts(said=ALL, subfolders={})) == ("datePublished",)


def test_what_the_rows_prove_is_not_missing() -> None:
    """One license that all workers granted, and a file that says that a machine made it."""
    source = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
    rows = [replace(row, license="CC0-1.0", digital_source_type=source) for row in ROWS]
    document = made(said={}, subfolders={"": rows})
    assert document["license"] == "https://spdx.org/licenses/CC0-1.0"
    assert document["rai:hasSyntheticData"] is True
    assert not {"license", "rai:hasSyntheticData"} & {*missing_of(facts(said={}, subfolders={"": rows}))}
    assert made(said={"license": "MIT"}, subfolders={"": rows})["license"] == "https://spdx.org/licenses/MIT"
    mixed = [
        replace(rows[0], digital_source_type=None),
        replace(rows[1], license=None, digital_source_type="a/digitalCapture"),
    ]
    assert not {"license", "rai:hasSyntheticData"} & made(said={}, subfolders={"": mixed}).keys()


def test_every_manifest_is_named() -> None:
    """Each is a file with its hash, and a record set of its columns; a folder without rows has neither."""
    subfolders = {"image": ROWS, "audio": [of_type("audio/wav", "wav")]}
    document = made(subfolders=subfolders, manifests={"image": "1" * 64, "audio": "2" * 64})
    objects = [file for file in document["distribution"] if file["@type"] == "cr:FileObject"]
    assert [(file["contentUrl"], file["sha256"][0]) for file in objects] == [
        ("image/metadata.jsonl", "1"),
        ("audio/metadata.jsonl", "2"),
    ]
    assert [*sets(document)] == ["labels", "image_rows", "audio_rows"]
    assert made(subfolders={}, manifests={})["recordSet"] == []


def test_files_at_a_url_are_named_by_it() -> None:
    """The rows can then be downloaded, and no field asks for what could not be read from there."""
    online, bare = made(said={"content_url": "https://example.org/signs/"}), made(said={})
    (rows,), (local,) = (
        [file for file in document["distribution"] if file["@type"] == "cr:FileObject"]
        for document in (online, bare)
    )
    assert (rows["contentUrl"], local["contentUrl"]) == (f"https://example.org/signs/{MANIFEST}", MANIFEST)
    assert sets(bare)["rows"].keys() - sets(online)["rows"].keys() == {"image"}
    assert "fileSet" not in json.dumps(online["recordSet"])
    assert "relative to https://example.org/signs/." in json.dumps(online["distribution"])


def test_splits_are_a_table_of_their_own() -> None:
    """In the metadata, which need no further file for it; unless the rows have a column for them."""
    parts = {"train": ROWS[:1], "validation": [], "odd": ROWS[1:2]}
    document = made(splits=parts)
    assert {file["contentUrl"] for file in document["distribution"] if "contentUrl" in file} == {MANIFEST}
    splits, rows = (table for table in document["recordSet"] if table["@id"] in ("splits", "split_rows"))
    assert rows["data"] == [
        {"split_rows/file_id": "file_0", "split_rows/split": "train"},
        {"split_rows/file_id": "file_1", "split_rows/split": "odd"},
    ]
    assert splits["dataType"] == "cr:Split"
    types = [split["splits/url"] for split in splits["data"]]
    assert types == ["cr:TrainingSplit", "cr:ValidationSplit", "cr:Split"]
    row = (
        b'{"file_name":"data/f.jpg","file_id":"f","size_bytes":1,"sha256":"'
        + b"0" * 64
        + b'","split":"test"}\n'
    )
    own_document = made(subfolders={"": parse_manifest(row)})
    assert sets(own_document)["rows"]["split"]["references"] == {"field": {"@id": "splits/name"}}
    assert "split_rows" not in sets(own_document)
