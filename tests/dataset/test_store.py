"""Where a dataset may be kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from firsthandapi import Campaign, Dataset, FirstHandClient
from firsthandapi.errors import ConfigurationError, InvalidArgumentError

from .support import JOB, folder_of


@pytest.mark.parametrize("url", ["data://a/b", "simplecache://a/b", "generic://a/b"])
def test_a_url_that_is_no_place_is_refused(url: str) -> None:
    """Also one that the store's library knows, and cannot join a name to."""
    with pytest.raises(InvalidArgumentError, match="names no folder"):
        Dataset.open(url)


@pytest.mark.parametrize("place", [None, 5, b"signs", object()])
def test_what_names_no_place_is_refused(client: FirstHandClient, place: Any) -> None:
    """By its name."""
    with pytest.raises(InvalidArgumentError) as caught:
        client.files.download_all("job_1", place)
    assert caught.value.field == "dest"
    with pytest.raises(InvalidArgumentError) as caught:
        Dataset.open(place)
    assert caught.value.field == "path"


def test_a_url_of_a_folder_is_that_folder(client: FirstHandClient, job_id: str, tmp_path: Path) -> None:
    """`file://` has all that a local folder has."""
    dataset = client.files.download_all(job_id, (tmp_path / "my signs").as_uri())
    assert dataset.path == tmp_path / "my signs"
    assert isinstance(dataset.path, Path)
    assert Dataset.open((tmp_path / "my signs").as_uri()).verify()


@pytest.mark.parametrize(
    ("at", "name"),
    [
        *(("folder", name) for name in ("job.json", "campaign.json", "decisions.jsonl", "withdrawn.json")),
        *((at, name) for at in ("folder", "bucket") for name in ("jobs/stop.json", ".excluded/x")),
    ],
)
def test_a_folder_of_an_earlier_version_is_refused(
    client: FirstHandClient, tmp_path: Path, at: str, name: str
) -> None:
    """By whoever opens it or would write to it, and nothing is ordered for it or written there."""
    dataset = folder_of(tmp_path / "signs", [b"x"])
    if at == "folder":
        root: Any = tmp_path / "old"
    else:
        root = Dataset.merge([dataset], f"memory://{tmp_path.name}/new").path.parent / "old"
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"{}")
    jobs = len(list(client.jobs.list()))
    for act in (
        lambda: Dataset.open(root),
        lambda: client.jobs.collect(root, **JOB, files_needed=1),
        lambda: client.campaigns.plan(
            Campaign(dest=str(root), budget_cents=100, jobs={"stop": {**JOB, "files_needed": 1}})
        ),
        lambda: client.files.download_all("job_1", root),
        lambda: Dataset.merge([dataset], root),
        lambda: dataset.split(train=0.5, test=0.5).copy_to(root),
    ):
        with pytest.raises(ConfigurationError, match=r"old/\S+ is of an earlier version of firsthandapi: "):
            act()
    assert [path.name for path in root.iterdir()] == [name.partition("/")[0]]
    assert len(list(client.jobs.list())) == jobs
