"""The options of `serve` from a file and from the environment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.support import Cli
from firsthandapi._base.host import descriptors
from firsthandapi_server.media import LIMITS
from firsthandapi_server.serve import service
from firsthandapi_server.serve.bounds import BOUNDS, Bounds

FILE_OF_ALL = """port: 1
host: 127.0.0.2
private_webhooks: true
log: false
study: study.yaml
max_picture_mb: 9
max_uploads: 7
spare_mb: 1
"""


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `serve` starts a server with; limits are as before afterwards."""
    options: dict[str, Any] = {}

    def started(_folder: Path, **arguments: Any) -> None:
        options.update(arguments, limits=dict(LIMITS), uploads=BOUNDS.uploads, spare=BOUNDS.spare_bytes)
        raise OSError(98, "in use", "there")

    monkeypatch.setattr(service, "Service", started)
    for kind, most in LIMITS.items():
        monkeypatch.setitem(LIMITS, kind, most)
    for name in Bounds.__slots__:
        monkeypatch.setattr(BOUNDS, name, getattr(BOUNDS, name))
    return options


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("serve.yaml", FILE_OF_ALL),
        ("serve.json", json.dumps(dict(line.split(": ") for line in FILE_OF_ALL.splitlines()))),
    ],
)
def test_a_flag_wins_over_a_variable_and_that_over_the_file(
    shell: Cli, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, text: str
) -> None:
    """In the folder of the server, or where --config or its variable says; a path in it is beside it."""
    (tmp_path / "data").mkdir()
    file = tmp_path / "data" / name
    file.write_text(text)
    shell("serve", str(tmp_path / "data"))
    assert (options["port"], options["host"], options["private_webhooks"]) == (1, "127.0.0.2", True)
    assert (options["on_request"], options["study"]) == (None, file.with_name("study.yaml"))
    assert (options["limits"]["image"], options["uploads"], options["spare"]) == (9 << 20, 7, 1 << 20)
    monkeypatch.setenv("FIRSTHAND_SERVE_PORT", "2")
    monkeypatch.setenv("FIRSTHAND_SERVE_HOST", "")  # as in a compose file where nothing was filled in
    shell("serve", str(tmp_path / "data"))
    assert (options["port"], options["host"]) == (2, "127.0.0.2")
    shell("serve", str(tmp_path / "data"), "--port", "3", "--log")
    assert (options["port"], options["on_request"] is None) == (3, False)
    file.rename(tmp_path / name)
    shell("serve", str(tmp_path / "data"))
    assert (options["port"], options["host"]) == (2, "127.0.0.1")
    shell("serve", "--config", str(tmp_path / name), str(tmp_path / "data"))
    assert (options["port"], options["host"]) == (2, "127.0.0.2")
    monkeypatch.setenv("FIRSTHAND_SERVE_CONFIG", str(tmp_path / name))
    shell("serve", str(tmp_path / "data"))
    assert options["host"] == "127.0.0.2"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("prot: 8080", "serve.yaml: prot is not a setting of serve; did you mean port?"),
        ("config: other.yaml", "serve.yaml: config is not a setting of serve"),
        ("port: many", "serve.yaml: port: "),
        ("port: 70000", "serve.yaml: port: "),
        ("port: true", "serve.yaml: port must be a value, not a switch"),
        ("log: 5", "serve.yaml: log must be true or false"),
        ("host: [a]", "serve.yaml: host must be a single value"),
        ("- port", "serve.yaml must contain names and values"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(
    shell: Cli, options: dict[str, Any], tmp_path: Path, text: str, why: str
) -> None:
    """Of a file: before anything is created."""
    (tmp_path / "serve.yaml").write_text(text)
    refused = shell("serve", str(tmp_path))
    assert (refused.code, options) == (2, {})
    assert why in refused.err


def test_a_wrong_variable_is_refused_by_name(
    shell: Cli, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of the environment, and two files with settings."""
    monkeypatch.setenv("FIRSTHAND_SERVE_PUBLIC_URI", "https://photos.example.org")
    refused = shell("serve", str(tmp_path))
    assert (
        "FIRSTHAND_SERVE_PUBLIC_URI is not a setting of serve; did you mean FIRSTHAND_SERVE_PUBLIC_URL?"
        in refused.err
    )
    monkeypatch.delenv("FIRSTHAND_SERVE_PUBLIC_URI")
    monkeypatch.setenv("FIRSTHAND_SERVE_QQ", "1")
    assert "see: firsthandapi serve --help" in shell("serve", str(tmp_path)).err
    monkeypatch.delenv("FIRSTHAND_SERVE_QQ")
    monkeypatch.setenv("FIRSTHAND_SERVE_MAX_VIDEO_MB", "lots")
    assert "FIRSTHAND_SERVE_MAX_VIDEO_MB: " in shell("serve", str(tmp_path)).err
    for name in ("serve.yaml", "serve.toml"):
        (tmp_path / name).write_text("")
    assert "remove one of the two" in shell("serve", str(tmp_path)).err
    assert options == {}


def test_a_server_may_have_many_connections(
    shell: Cli, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The limit of this process is raised before the server decides how many it takes."""
    calls: list[bool] = []
    monkeypatch.setattr(descriptors, "raise_limit", lambda: calls.append(not options))
    shell("serve", str(tmp_path / "data"))
    assert options
    assert calls == [True]
