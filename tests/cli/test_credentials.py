"""`firsthandapi content-credentials`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dataset.support import folder_of, forge
from firsthandapi import Dataset
from firsthandapi.testing import MockServer, make
from firsthandapi_server.media import credentials
from signed import SOURCES, broken, root, sign

from .support import Cli

pytestmark = pytest.mark.skipif(
    not credentials.is_installed(), reason="c2pa-python is not installed (make test)"
)

JPEG = make("image/jpeg", "a").content


def rows(path: Path) -> list[tuple[Any, ...]]:
    dataset = Dataset.open(path)
    assert dataset.verify().mismatched == ()
    return [(row.c2pa_state, row.c2pa_signer, row.digital_source_type) for row in dataset]


def test_each_row_says_what_its_file_says(runner: Cli, server: MockServer, tmp_path: Path) -> None:
    """A camera's, a model's, a broken one, and none; with a list of certificates, who is trusted. What a server read
    before it changed the file stays."""
    camera = sign(JPEG, "image/jpeg", "digitalCapture")
    model = sign(JPEG, "image/jpeg", "trainedAlgorithmicMedia")
    folder = folder_of(tmp_path / "signs", [camera, model, broken(camera), JPEG]).path
    ran = runner("content-credentials", "signs", "--json")
    assert json.loads(ran.out) == {
        "files": 4,
        "states": {"valid": 2, "invalid": 1, "none": 1},
        "made_by_models": 1,
    }
    assert rows(folder) == [
        ("valid", "Camera 1", f"{SOURCES}digitalCapture"),
        ("valid", "Camera 1", f"{SOURCES}trainedAlgorithmicMedia"),
        ("invalid", None, None),
        ("none", None, None),
    ]
    # A row of a file that is signed no more.
    forge(folder, original_sha256="ab" * 32, c2pa_state="trusted", c2pa_signer="Other")
    (tmp_path / "list.pem").write_text(root(), "utf-8")
    ran = runner("content-credentials", "signs", "--trust", "list.pem")
    assert (
        ran.out
        == "invalid  1 file\nnone     1 file\ntrusted  2 files\n1 file of them made by a model, as they say\n"
    )
    assert [(state, signer) for state, signer, _ in rows(folder)[:2]] == [
        ("trusted", "Other"),
        ("trusted", "Camera 1"),
    ]


def test_a_list_that_is_none(runner: Cli, tmp_path: Path) -> None:
    """Nothing is read with it."""
    folder_of(tmp_path / "signs", [JPEG])
    (tmp_path / "list.pem").write_text("no list", "utf-8")
    for name in ("list.pem", "gone.pem"):
        ran = runner("content-credentials", "signs", "--trust", name)
        assert ran.code == 2
        assert "contains no certificates; pass a PEM file" in ran.err
