"""The papers of a folder: README.md and croissant.json."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import threading
from datetime import datetime
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from firsthandapi import ConfigurationError, Dataset, FirstHandClient, InvalidArgumentError
from firsthandapi._core.rows.manifest import MANIFEST
from firsthandapi._core.rows.statements import STATEMENTS_FILE
from firsthandapi.testing import MockServer

from .support import JOB, ORDER, completed_job, folder_of, forge, record_in
from .test_loading import run

CONTENTS = [b"one", b"two", b"three"]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return folder_of(tmp_path / "signs", CONTENTS, label=["a", None, "b"])


def test_the_papers_are_made_from_the_folder(dataset: Dataset) -> None:
    """The same folder gives the same bytes, and its own papers are written over."""
    card = dataset.write_card(license="cc-by-4.0")
    assert os.fspath(card) == str(card.path) == str(dataset.path / "README.md")
    assert card.croissant == dataset.path / "croissant.json"
    first = card.path.read_bytes(), card.croissant.read_bytes()
    assert Dataset.open(dataset.path).write_card(license="cc-by-4.0") == card
    assert (card.path.read_bytes(), card.croissant.read_bytes()) == first
    assert b"# signs\n" in first[0]
    dataset.write_card(name="Street signs")
    assert b"# Street signs\n" in card.path.read_bytes()
    assert dataset.verify()


def test_what_was_said_is_remembered(dataset: Dataset) -> None:
    """In its room, until something else is said; what was refused is not, and a folder that says nothing has no
    statements."""
    missing = dataset.write_card().missing
    assert {"license", "creator", "url", "rai:dataLimitations", "rai:hasSyntheticData"} <= {*missing}
    assert not (dataset.path / STATEMENTS_FILE).exists()
    dataset.write_card(license="cc-by-4.0", data_limitations="One city.", splits={"train": 0.5, "odd": 0.5})
    card = Dataset.open(dataset.path).write_card(license="MIT", has_synthetic_data=False)
    assert {*missing} - {*card.missing} == {"license", "rai:dataLimitations", "rai:hasSyntheticData"}
    croissant = json.loads(card.croissant.read_bytes())
    assert croissant["license"] == "https://spdx.org/licenses/MIT"
    assert croissant["rai:dataLimitations"] == ["One city."]
    (rows,) = (table["data"] for table in croissant["recordSet"] if table["@id"] == "split_rows")
    odd = {row["split_rows/file_id"] for row in rows if row["split_rows/split"] == "odd"}
    assert odd == {row.file_id for row in dataset.split(train=0.5, test=0, odd=0.5)["odd"]}
    with pytest.raises(InvalidArgumentError, match=r"^url must be"):
        dataset.write_card(license="CC0-1.0", url="example.org")
    (dataset.path / "README.md").write_text("mine", "utf-8")
    with pytest.raises(ConfigurationError):
        dataset.write_card(license="CC0-1.0")
    assert json.loads((dataset.path / STATEMENTS_FILE).read_bytes())["license"] == "MIT"


@pytest.mark.parametrize("name", ["README.md", "croissant.json"])
def test_what_a_person_wrote_stays(dataset: Dataset, name: str) -> None:
    """Also where they edited ours; unless they say so."""
    path = dataset.path / name
    path.write_bytes(b"# Mine\n")
    with pytest.raises(ConfigurationError, match=r"was not written by firsthandapi.*overwrite=True"):
        dataset.write_card()
    assert path.read_bytes() == b"# Mine\n"
    dataset.write_card(overwrite=True)
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ConfigurationError, match="edited since"):
        dataset.write_card()
    assert dataset.verify()  # of the folder nothing has changed


def test_a_changed_row_or_price_is_found(dataset: Dataset) -> None:
    """And a changed byte, by the row; without a card nothing is compared."""
    dataset.write_card()
    manifest, job_file = dataset.path / MANIFEST, dataset.path / ORDER
    rows, job = manifest.read_text("utf-8"), json.loads(job_file.read_bytes())
    manifest.write_text(rows.replace('"worker_id":"wkr_1"', '"worker_id":"wkr_7"'), "utf-8")
    assert Dataset.open(dataset.path).verify().altered == (MANIFEST,)
    manifest.write_text(rows, "utf-8")
    job["job"]["price_per_file_cents"] = 1
    job_file.write_text(json.dumps(job), "utf-8")
    state = Dataset.open(dataset.path).verify()
    assert (state.altered, state.ok) == (("prices",), False)
    Dataset.open(dataset.path).write_card()
    assert Dataset.open(dataset.path).verify()
    dataset.path_of(dataset.records[0]).write_bytes(b"ONE")
    assert Dataset.open(dataset.path).verify().mismatched == ("data/file_0.jpg",)
    (dataset.path / "README.md").unlink()
    manifest.write_text(rows.replace("wkr_1", "wkr_7"), "utf-8")
    assert Dataset.open(dataset.path).verify().altered == ()


@pytest.mark.parametrize("source", ["collect", "download_all", "copy"])
def test_where_files_come_from_is_the_word_of_the_service(
    quick_server: MockServer, tmp_path: Path, source: str
) -> None:
    """Rows that were edited do not make files of a server for tests into files of people, neither on the card nor in
    what is published."""
    pytest.importorskip("pyarrow")
    folder = tmp_path / "signs"
    with quick_server.client() as client:
        dataset = client.jobs.collect(folder, **JOB, files_needed=2)
        if source == "download_all":
            dataset = client.files.download_all(str(dataset[0].job_id), folder := tmp_path / "again")
        if source == "copy":
            dataset = dataset.copy_to(folder := tmp_path / "copy")
    server = dataset[0].server
    manifest = dataset.path / MANIFEST
    rows = manifest.read_text("utf-8").replace('"simulated"', '"live"')
    manifest.write_text(rows.replace(str(server), "https://api.firsthandapi.com"), "utf-8")
    forge(folder, job_id="job_1")  # of which there is no record
    dataset = Dataset.open(folder)
    assert {row.environment for row in dataset} == {"live"}
    drawn = f"on `{server}`. A program drew 2 files of a server for tests, which cost nothing."
    assert drawn in dataset.write_card().path.read_text("utf-8")
    with pytest.raises(InvalidArgumentError, match="a program or a model made 2 files"):
        dataset.write_card(has_synthetic_data=False)
    dataset.publish(tmp_path / "public")
    assert drawn in (tmp_path / "public" / "README.md").read_text("utf-8")
    assert {(row.environment, row.server) for row in Dataset.open(tmp_path / "public")} == {
        ("simulated", server)
    }


def test_a_job_of_several_origins_leaves_it_to_its_rows(
    client: FirstHandClient, server: MockServer, tmp_path: Path
) -> None:
    """Such as one whose workers are partly simulated, also if a later run shows the others."""
    job_id = completed_job(server, 1)
    client.files.download_all(job_id, tmp_path)
    record = record_in(tmp_path)
    assert record.server == Dataset.open(tmp_path)[0].server
    assert record.with_origins([record.environment], [str(record.server)]) == record
    mixed = record.with_origins(["sandbox"], ["https://signs.example.org"])
    assert (mixed.environment, mixed.server) == ("", "")
    assert mixed.with_origins([record.environment], [str(record.server)]) == mixed


def test_the_papers_of_a_bucket(dataset: Dataset, tmp_path: Path) -> None:
    """As those of a folder."""
    memory = pytest.importorskip("fsspec.implementations.memory").MemoryFileSystem()
    memory.put(str(dataset.path), f"/{tmp_path.name}/signs", recursive=True)
    bucket = Dataset.open(f"memory://{tmp_path.name}/signs")
    bucket.write_card()
    bucket.write_card()
    assert bucket.verify()
    assert b"# signs\n" in memory.cat(f"/{tmp_path.name}/signs/README.md")


READ = """
import json, sys, warnings
warnings.simplefilter("ignore")
from huggingface_hub import DatasetCard
import datasets, mlcroissant
*folders, cache = sys.argv[1:]
text = lambda value: value.decode() if isinstance(value, bytes) else str(value)
read = {}
for folder in folders:
    # This is all that `mlcroissant validate` does.
    croissant = mlcroissant.Dataset(jsonld=folder + "/croissant.json")
    issues = croissant.metadata.ctx.issues
    assert not [*issues.errors, *issues.warnings], issues.report()
    read[folder] = {
        each.uuid: [{name.partition("/")[2]: text(value) for name, value in row.items()}
                    for row in croissant.records(each.uuid)]
        for each in croissant.metadata.record_sets
    }
loaded = datasets.load_dataset("imagefolder", data_dir=folders[0], cache_dir=cache)["train"]
card = DatasetCard.load(folders[0] + "/README.md").data.to_dict()
print(json.dumps({"card": card, "read": read, "rows": len(loaded)}))
"""


@pytest.mark.slow
@pytest.mark.skipif(
    None in (importlib.util.find_spec("mlcroissant"), importlib.util.find_spec("datasets")),
    reason="mlcroissant is not installed (make test)",
)
def test_the_papers_are_read_by_others(client: FirstHandClient, server: MockServer, tmp_path: Path) -> None:
    """Of folders that a job has filled, with labels and without, of pictures, sound, video, and all three: mlcroissant
    validates the metadata without a warning and loads every record set, each picture as a picture. Hugging Face parses
    the card and loads the folder as before."""
    expected: dict[str, tuple[list[str], str | None]] = {
        "labels": (["image/jpeg"], "stop"),
        "pictures": (["image/png", "image/webp"], None),
        "sound": (["audio/mpeg", "audio/wav"], "dog"),
        "mixed": (["image/jpeg", "audio/wav", "video/mp4"], "thing"),
    }
    folders: dict[str, Dataset] = {}
    for name, (formats, label) in expected.items():
        fields: dict[str, Any] = {**JOB, "accepted_formats": formats}
        job_id = client.jobs.create(**fields, files_needed=3).id
        for format_ in (formats * 3)[:3]:
            server.submit(job_id, content_type=format_)
        server.clock.advance(minutes=1)
        folders[name] = client.files.download_all(job_id, tmp_path / name, label=label)
        folders[name].add_column("quality", {folders[name][0].file_id: 0.5})
        folders[name].write_card(license="CC-BY-4.0", name='The "signs": ünïcode')
    loaded = run(READ, *(str(folder.path) for folder in folders.values()), str(tmp_path / "cache"))
    assert (loaded["card"]["license"], loaded["card"]["pretty_name"]) == ("cc-by-4.0", 'The "signs": ünïcode')
    assert loaded["rows"] == 3
    read = {name: loaded["read"][str(dataset.path)] for name, dataset in folders.items()}
    for name, dataset in folders.items():
        tables = [rows for id_, rows in read[name].items() if id_.endswith("rows") and id_ != "split_rows"]
        rows = {row["file_id"]: row for table in tables for row in table}
        assert {*rows} == {record.file_id for record in dataset}
        qualities = [rows[record.file_id].get("own_quality", "None") for record in dataset]
        assert qualities == ["0.5", "None", "None"]
        for record in dataset:
            row = rows[record.file_id]
            assert row["file_name"].endswith(record.file_name.rpartition("/")[2])
            assert (row["label"], row["size_bytes"]) == (str(record.label), str(record.size_bytes))
            assert datetime.fromisoformat(row["created_at"]) == datetime.fromisoformat(str(record.created_at))
            readable = record.content_type in ("image/jpeg", "image/png")
            assert row.get("image", "None").startswith("<PIL" if readable else "None")
        assert {row["file_id"] for row in read[name]["split_rows"]} <= {*rows}
    assert read["labels"]["labels"] == [{"name": "stop"}]
    assert [*read["mixed"]][2:] == ["image_rows", "audio_rows", "video_rows", "split_rows"]


# What the checker of NeurIPS does: it has the text alone, and no folder.
CHECK = """
import json, sys
import mlcroissant
croissant = mlcroissant.Dataset(jsonld=json.load(open(sys.argv[1])))
assert not croissant.metadata.ctx.issues.errors
read = {each.uuid: len([*croissant.records(each.uuid)]) for each in croissant.metadata.record_sets}
print(json.dumps(read))
"""


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("mlcroissant") is None, reason="mlcroissant is not installed (make test)"
)
def test_every_table_loads_from_a_url(dataset: Dataset, tmp_path: Path) -> None:
    """From the metadata alone, as a checker of papers loads them."""
    served = functools.partial(SimpleHTTPRequestHandler, directory=str(dataset.path))
    with ThreadingHTTPServer(("127.0.0.1", 0), served) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        card = dataset.write_card(license="MIT", content_url=f"http://127.0.0.1:{server.server_port}")
        read = run(CHECK, str(card.croissant), str(tmp_path / "cache"))
        server.shutdown()
    assert read == {"labels": 2, "splits": 2, "rows": 3, "split_rows": 3}
