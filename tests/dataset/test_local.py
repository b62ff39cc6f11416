"""What the listing of a folder may cost."""

from __future__ import annotations

import errno
import os
from typing import Any

import pytest

from firsthandapi import Dataset
from firsthandapi.errors import ConfigurationError

from .support import FILES


def test_a_folder_of_countless_names_is_refused(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """They would fill the memory, and take hours to name; opening the folder does not list them."""
    monkeypatch.setattr("firsthandapi.datasets._local.MOST_NAMES", FILES - 1)
    with pytest.raises(ConfigurationError, match="contains more than 119 files; move away those that"):
        Dataset.open(dataset.path).verify()


def test_a_folder_that_cannot_be_listed(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is an error of ours."""

    def fail(*_: Any, **__: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "scandir", fail)
    with pytest.raises(
        ConfigurationError, match=r"cannot be read: Permission denied; check its permissions and the disk$"
    ):
        dataset.verify()
