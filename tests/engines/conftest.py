"""Readers whose processes share lists of jobs."""

from __future__ import annotations

import multiprocessing.util
import tempfile
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def temporary() -> Iterator[None]:
    """The lists go with the run: its processes end without what Python does at its end. The folder's path is short, as
    Ray has its sockets there, and the path of a socket ends at 107 bytes."""
    multiprocessing.util.get_temp_dir()  # before, elsewhere: Python takes it away after this folder
    with tempfile.TemporaryDirectory(prefix="tests") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", folder)
        patch.setenv("TMPDIR", folder)
        yield
