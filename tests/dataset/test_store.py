"""Where a dataset may be kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from firsthandapi import Dataset, FirstHandClient
from firsthandapi.errors import InvalidArgumentError


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
