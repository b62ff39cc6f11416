"""`Campaign`: from Python, and from files that people write."""

from __future__ import annotations

import copy
import json
import os
import pickle
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
    loaded, campaign = Campaign.load(tmp_path / name), Campaign(**FIELDS)
    assert loaded.jobs == campaign.jobs
    assert (loaded.budget_cents, loaded.unique, loaded.name) == (500, True, None)
    assert (loaded.dest, campaign.dest) == (tmp_path / "signs", "signs")
    assert repr(campaign) == "<Campaign ['signs', stop, yield, $5.00]>"
    assert loaded == Campaign(**{**FIELDS, "dest": tmp_path / "signs"})


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


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """And what is no path at all is refused."""
    with pytest.raises(ConfigurationError, match="could not read"):
        Campaign.load(tmp_path / "none.yaml")
    for path in (5, "s3://bucket/signs.yaml"):
        with pytest.raises(InvalidArgumentError, match="path must be the path of a file"):
            Campaign.load(path)  # type: ignore[arg-type]


def test_a_misspelt_argument_is_answered() -> None:
    """From all that a campaign takes."""
    with pytest.raises(InvalidArgumentError, match="did you mean budget_cents"):
        Campaign(**{**FIELDS, "budget_cent": 5})


def test_a_campaign_is_frozen() -> None:
    """What a plan was made of stays what it was; the message says how to make another."""
    campaign = Campaign(**FIELDS)
    for name in ("budget_cents", "dest", "new"):
        with pytest.raises(AttributeError, match=rf"frozen: make another, as in Campaign\(.*'{name}'"):
            setattr(campaign, name, 5)
    with pytest.raises(AttributeError, match="frozen"):
        del campaign.dest
    campaign.jobs["stop"]["files_needed"] = 9
    assert campaign.jobs["stop"]["files_needed"] == 3
    assert pickle.loads(pickle.dumps(campaign)) == copy.deepcopy(campaign) == campaign


def test_campaigns_that_say_the_same_are_equal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """However paths, formats, and defaults are written; of all that differs, they are not."""
    monkeypatch.chdir(tmp_path)
    campaign = Campaign(**FIELDS)
    jobs = {label: {**FIELDS["defaults"], **fields} for label, fields in FIELDS["jobs"].items()}
    for same in (
        {"dest": "./signs/"},
        {"dest": tmp_path / "signs"},
        {"dest": (tmp_path / "signs").as_uri()},
        {"defaults": None, "jobs": {"yield": jobs["yield"], "stop": jobs["stop"]}},
        {"defaults": {**FIELDS["defaults"], "min_star_rating": 3}},
        {"unique": True, "name": None, "moved": {}},
    ):
        twin = Campaign(**{**FIELDS, **same})
        assert twin == campaign
        assert hash(twin) == hash(campaign)
    for changed in (
        {"dest": "sign"},
        {"budget_cents": 501},
        {"unique": False},
        {"name": "signs"},
        {"moved": {"halt": "stop"}},
        {"defaults": {**FIELDS["defaults"], "deadline": "2030-01-01"}},
        {"jobs": {"stop": {"files_needed": 3}}},
    ):
        assert Campaign(**{**FIELDS, **changed}) != campaign
    assert campaign != FIELDS
    assert Campaign(**{**FIELDS, "dest": "memory://signs/"}) == Campaign(
        **{**FIELDS, "dest": "memory://signs"}
    )


@pytest.mark.parametrize("name", ["a.yaml", "a.yml", "a.json"])
@pytest.mark.parametrize("dest", ["signs", "../sign 2", "/tmp/signs", "s3://bucket/signs", "~/signs"])
def test_a_campaign_that_was_saved_is_loaded_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, dest: str
) -> None:
    """Equal, from whatever folder; what all labels share stands there once."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plans").mkdir()
    defaults = {**FIELDS["defaults"], "title": "0x10: yes", "metadata": {"é": [1, None, "01"]}}
    fields = {
        **FIELDS,
        "dest": dest,
        "defaults": defaults,
        "unique": False,
        "replace_excluded": False,
        "name": "n",
        "moved": {"a": "stop"},
    }
    for campaign in (
        Campaign(**fields),
        Campaign(**{**FIELDS, "dest": dest, "jobs": {"stop": {"files_needed": 1}}}),
    ):
        for path in (Path("plans") / name, tmp_path / name):
            campaign.save(path)
            assert Campaign.load(path) == campaign
        assert Campaign(**campaign.to_dict()) == campaign
        assert Campaign.load(path).moved == campaign.moved
    assert Campaign(**FIELDS).to_dict() == FIELDS


@pytest.mark.parametrize("dest", ["signs", "signs/", "./signs", "a/../signs"])
def test_a_campaign_keeps_its_dest_as_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, dest: str
) -> None:
    """From Python and from a file, through dicts and files of other folders: it identifies the campaign."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    file = tmp_path / "here" / "a.json"
    file.write_text(json.dumps({**FIELDS, "dest": dest}))
    original = Campaign(**{**FIELDS, "dest": dest})
    assert original._spec.dest == "signs"
    for path in (file, Path("here/a.json")):
        loaded = Campaign.load(path)
        assert loaded.dest == path.parent / dest
        copies = [Campaign(**json.loads(json.dumps(loaded.to_dict()))), pickle.loads(pickle.dumps(loaded))]
        for folder in ("here", "there"):
            for campaign in (*copies, loaded):
                campaign.save(tmp_path / folder / "b.json")
                copies.append(Campaign.load(tmp_path / folder / "b.json"))
        for campaign in copies:
            assert (campaign, campaign._spec.dest) == (loaded, "signs")
    loaded.save(file)
    assert json.loads(file.read_text())["dest"] == Path(dest).as_posix()


def test_a_whole_path_and_a_bucket_identify_a_campaign_by_themselves(tmp_path: Path) -> None:
    """As they always did; `.` and what is above are relative."""
    for dest in (tmp_path, str(tmp_path), tmp_path.as_uri(), "~/signs", "s3://bucket/signs"):
        assert Campaign(**{**FIELDS, "dest": dest})._spec.dest is None
    for dest, written in ((".", "."), ("./", "."), ("../a//b/", "../a/b"), (Path("signs"), "signs")):
        assert Campaign(**{**FIELDS, "dest": dest})._spec.dest == written


def test_a_path_on_another_drive_is_saved_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows knows no relative way to it."""

    def relpath(path: Path, start: Path) -> str:
        raise ValueError(path, start)

    monkeypatch.setattr(os.path, "relpath", relpath)
    Campaign(**FIELDS).save(tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text())["dest"] == str(Path.cwd() / "signs")


@pytest.mark.parametrize(
    ("dest", "says"),
    [
        (None, "dest must be a path or a URL"),
        (5, "dest must be a path or a URL"),
        (b"signs", "dest must be a path or a URL"),
        ("", "dest is empty"),
        ("s3://key:secret@bucket/x", "must be a URL without credentials"),
    ],
)
def test_a_dest_that_is_none_is_refused_at_once(dest: Any, says: str) -> None:
    """Before anything is read or sent."""
    with pytest.raises(InvalidArgumentError, match=says) as refused:
        Campaign(**{**FIELDS, "dest": dest})
    assert refused.value.field == "dest"


def test_many_labels_are_counted(tmp_path: Path) -> None:
    """A repr stays a line; a UPath is shown as the URL that it is."""
    from upath import UPath

    jobs = {f"class {n}": {"files_needed": 1} for n in range(200)}
    campaign = Campaign(**{**FIELDS, "jobs": jobs, "dest": UPath("memory://signs")})
    assert repr(campaign).startswith("<Campaign ['memory://signs")
    assert repr(campaign).endswith("', class 0, class 1, class 2, class 3, class 4, 200 labels, $5.00]>")
