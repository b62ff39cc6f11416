"""Content Credentials of files, read in a process of its own."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from firsthandapi.testing import make
from firsthandapi_server.media import credentials
from firsthandapi_server.media.bounded import Bounded
from signed import SOURCES, broken, root, sign

pytestmark = pytest.mark.skipif(
    not credentials.is_installed(), reason="c2pa-python is not installed (make test)"
)

JPEG = make("image/jpeg", "a").content
NONE = {"state": "none", "signer": None, "digital_source_type": None}
INVALID = {**NONE, "state": "invalid"}


@pytest.mark.parametrize("content_type", ["image/jpeg", "image/png", "image/webp", "audio/wav", "video/mp4"])
def test_what_a_camera_signed(content_type: str) -> None:
    """Valid by itself, trusted by a list; who signed, and what it was made by."""
    signed = sign(make(content_type, "a").content, content_type, "digitalCapture")
    facts = {"signer": "Camera 1", "digital_source_type": SOURCES + "digitalCapture"}
    assert credentials.verdict_of(signed, content_type) == {"state": "valid", **facts}
    assert credentials.verdict_of(signed, content_type, root()) == {"state": "trusted", **facts}


def test_what_a_model_made(tmp_path: Path) -> None:
    """It says so; a path is read as bytes are."""
    path = tmp_path / "x.jpg"
    path.write_bytes(sign(JPEG, "image/jpeg", "trainedAlgorithmicMedia"))
    facts = credentials.verdict_of(str(path), "image/jpeg")
    assert (facts["state"], facts["digital_source_type"]) == ("valid", SOURCES + "trainedAlgorithmicMedia")


def test_what_does_not_hold_says_nothing() -> None:
    """Neither who signed nor what it was made by; also of half a file."""
    signed = sign(JPEG, "image/jpeg", "digitalCapture")
    assert credentials.verdict_of(broken(signed), "image/jpeg") == INVALID
    assert credentials.verdict_of(signed[: len(signed) // 2], "image/jpeg") == INVALID


@pytest.mark.parametrize("content", [JPEG, b"", b"\xff\xd8junk"])
def test_a_file_without_credentials(content: bytes) -> None:
    """Whatever else it is."""
    assert credentials.verdict_of(content, "image/jpeg") == NONE


def test_nothing_is_fetched() -> None:
    """A file may name any address; nobody is asked for its credentials, and it has none."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/store.c2pa"
        assert (
            credentials.verdict_of(sign(JPEG, "image/jpeg", "digitalCapture", remote=url), "image/jpeg")
            == NONE
        )
        with pytest.raises(TimeoutError):
            server.accept()


def test_no_verdict_where_it_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of another type, of a file that is gone, and where memory or time run out; the next file is read again."""
    assert credentials.verdict_of(JPEG, None) is None
    assert credentials.verdict_of(JPEG, "text/plain") is None
    assert credentials.verdict_of(str(tmp_path / "gone.jpg"), "image/jpeg") is None
    bounded: Any = Bounded("firsthandapi_server.media.credentials:read", seconds=0)
    with monkeypatch.context() as patched:
        patched.setattr(credentials, "_bounded", bounded)
        assert credentials.verdict_of(JPEG, "image/jpeg") is None
    bounded.close()
    assert credentials.verdict_of(JPEG, "image/jpeg") == NONE
