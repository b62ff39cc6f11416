"""The papers of a folder: README.md and croissant.json."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from firsthandapi import ConfigurationError, Dataset
from firsthandapi._core.rows.manifest import MANIFEST

from .support import folder_of
from .test_loading import run

CONTENTS = [b"one", b"two", b"three"]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return folder_of(tmp_path / "signs", CONTENTS, label=["a", None, "b"])


def test_the_papers_are_made_from_the_folder(dataset: Dataset) -> None:
    """The same folder gives the same bytes, and its own papers are written over."""
    card = dataset.write_card(license="cc-by-4.0")
    assert card == dataset.path / "README.md"
    first = card.read_bytes(), (dataset.path / "croissant.json").read_bytes()
    Dataset.open(dataset.path).write_card(license="cc-by-4.0")
    assert (card.read_bytes(), (dataset.path / "croissant.json").read_bytes()) == first
    assert b"# signs\n" in first[0]
    dataset.write_card(name="Street signs")
    assert b"# Street signs\n" in card.read_bytes()
    assert dataset.verify()


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
    manifest, job_file = dataset.path / MANIFEST, dataset.path / "job.json"
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


def test_the_papers_of_a_bucket(dataset: Dataset, tmp_path: Path) -> None:
    """As those of a folder."""
    memory = pytest.importorskip("fsspec.implementations.memory").MemoryFileSystem()
    memory.put(str(dataset.path), f"/{tmp_path.name}/signs", recursive=True)
    there = Dataset.open(f"memory://{tmp_path.name}/signs")
    there.write_card()
    there.write_card()
    assert there.verify()
    assert b"# signs\n" in memory.cat(f"/{tmp_path.name}/signs/README.md")


READ = """
import json, sys, warnings
warnings.simplefilter("ignore")
from huggingface_hub import DatasetCard
import mlcroissant, datasets
folder, cache = sys.argv[1:]
card = DatasetCard.load(folder + "/README.md")
croissant = mlcroissant.Dataset(jsonld=folder + "/croissant.json")
text = lambda value: value.decode() if isinstance(value, bytes) else value
records = [{name: text(value) for name, value in each.items()} for each in croissant.records("rows")]
loaded = datasets.load_dataset("imagefolder", data_dir=folder, cache_dir=cache)["train"]
print(json.dumps({"card": card.data.to_dict(), "errors": list(croissant.metadata.issues.errors), "records": records,
                  "rows": len(loaded)}))
"""


@pytest.mark.skipif(
    None in (importlib.util.find_spec("mlcroissant"), importlib.util.find_spec("datasets")),
    reason="mlcroissant is not installed (make test)",
)
def test_the_papers_are_read_by_others(dataset: Dataset, tmp_path: Path) -> None:
    """Hugging Face parses the card, mlcroissant validates the metadata and loads the rows, and the folder loads as
    before."""
    dataset.write_card(license="cc-by-4.0", name='The "signs": ünïcode')
    read = run(READ, str(dataset.path), str(tmp_path / "cache"))
    assert read["card"]["license"] == "cc-by-4.0"
    assert read["card"]["pretty_name"] == 'The "signs": ünïcode'
    assert read["errors"] == []
    assert [row["rows/file_id"] for row in read["records"]] == [record.file_id for record in dataset]
    assert [row["rows/label"] for row in read["records"]] == ["a", None, "b"]
    assert [row["rows/size_bytes"] for row in read["records"]] == [3, 3, 5]
    assert read["rows"] == 3
