"""`Campaign`: from Python, and from files that people write."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from firsthandapi import Campaign
from firsthandapi.errors import ConfigurationError, InvalidArgumentError

FIELDS: dict[str, Any] = {
    "dest": "signs",
    "budget_cents": 500,
    "defaults": {
        "description": "Photos of street signs in daylight",
        "accepted_formats": ["image/jpeg"],
        "price_per_file_cents": 50,
    },
    "jobs": {"stop": {"files_needed": 3}, "yield": {"files_needed": 2}},
}
YAML = """
dest: signs
budget_cents: 500
defaults: {description: Photos of street signs in daylight, accepted_formats: [image/jpeg], price_per_file_cents: 50}
jobs:
  stop: {files_needed: 3}
  yield: {files_needed: 2}
"""
TOML = """
dest = "signs"
budget_cents = 500
[defaults]
description = "Photos of street signs in daylight"
accepted_formats = ["image/jpeg"]
price_per_file_cents = 50
[jobs]
stop.files_needed = 3
yield.files_needed = 2
"""


@pytest.mark.parametrize(
    ("name", "text"), [("a.yaml", YAML), ("a.yml", YAML), ("a.toml", TOML), ("a.json", json.dumps(FIELDS))]
)
def test_every_format_makes_the_same_campaign(tmp_path: Path, name: str, text: str) -> None:
    """As from Python; a folder is relative to the file."""
    (tmp_path / name).write_text(text, encoding="utf-8")
    loaded, made = Campaign.load(tmp_path / name), Campaign(**FIELDS)
    assert loaded.jobs == made.jobs
    assert (loaded.budget_cents, loaded.unique, loaded.name) == (500, True, None)
    assert (loaded.dest, made.dest) == (tmp_path / "signs", "signs")
    assert repr(made) == "<Campaign ['signs', stop, yield]>"


def test_a_bucket_and_a_whole_path_stay_as_they_are(tmp_path: Path) -> None:
    """They are relative to nothing."""
    path = tmp_path / "a.json"
    for dest in ("s3://bucket/signs", str(tmp_path / "elsewhere")):
        path.write_text(json.dumps({**FIELDS, "dest": dest, "unique": False, "name": "signs"}))
        campaign = Campaign.load(str(path))
        assert str(campaign.dest) == dest
        assert (campaign.unique, campaign.name) == (False, "signs")


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"budget": 500}, "'budget' is not a field of a campaign; did you mean budget_cents?"),
        ({"zzz": 500}, "'zzz' is not a field of a campaign; use one of: dest, budget_cents"),
        ({"dest": None}, "dest is required"),
        ({"budget_cents": None}, "budget_cents is required"),
        ({"jobs": None}, "jobs is required"),
        ({"dest": 5}, "dest must be a path or a URL"),
    ],
)
def test_what_a_file_lacks_is_named(tmp_path: Path, changed: dict[str, Any], says: str) -> None:
    """With the file and the way out."""
    path = tmp_path / "signs.json"
    path.write_text(json.dumps({**FIELDS, **changed}))
    with pytest.raises(ConfigurationError) as refused:
        Campaign.load(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert says in str(refused.value)


def test_what_is_not_allowed_in_a_file_is_named_with_it(tmp_path: Path) -> None:
    """As from Python, with the file before."""
    path = tmp_path / "signs.json"
    path.write_text(json.dumps({**FIELDS, "jobs": {"stop": {"files_needed": 0}}}))
    with pytest.raises(InvalidArgumentError) as refused:
        Campaign.load(path)
    assert str(refused.value).startswith(f"{path}: jobs.stop.files_needed must be an int")
    assert refused.value.field == "jobs.stop.files_needed"
    path.write_text(json.dumps({**FIELDS, "dest": ""}))
    with pytest.raises(InvalidArgumentError) as refused:
        Campaign.load(path)
    assert str(refused.value).startswith(f"{path}: dest is empty")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "must contain names and values, such as `budget_cents: 50000`"),
        ("a: 1\na: 2", "is not valid YAML: a occurs twice"),
        ("jobs: {stop: {files_needed: 010}}", "YAML does not read 010 as the decimal number"),
        ("[" * 100_000, "is nested too deeply"),
    ],
)
def test_a_file_that_is_not_valid_is_refused(tmp_path: Path, text: str, says: str) -> None:
    """Where a parser would take it for something else, too."""
    path = tmp_path / "signs.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        Campaign.load(path)
    assert says in str(refused.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """And what is no path at all is refused."""
    with pytest.raises(ConfigurationError, match="could not read"):
        Campaign.load(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"dest: \xe9")
    with pytest.raises(ConfigurationError, match="it is not UTF-8"):
        Campaign.load(tmp_path / "latin.yaml")
    for path in (5, "s3://bucket/signs.yaml"):
        with pytest.raises(InvalidArgumentError, match="path must be the path of a file"):
            Campaign.load(path)  # type: ignore[arg-type]


def test_without_the_extra_yaml_is_refused_and_json_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The core install has no YAML."""
    monkeypatch.setitem(sys.modules, "yaml", None)
    (tmp_path / "a.yaml").write_text(YAML)
    with pytest.raises(ConfigurationError, match="pip install"):
        Campaign.load(tmp_path / "a.yaml")
    (tmp_path / "a.json").write_text(json.dumps(FIELDS))
    assert Campaign.load(tmp_path / "a.json").jobs


def test_a_misspelt_argument_is_answered() -> None:
    """From all that a campaign takes."""
    with pytest.raises(InvalidArgumentError, match="did you mean budget_cents"):
        Campaign(**{**FIELDS, "budget_cent": 5})
