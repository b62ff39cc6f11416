"""What the guide shows of the Hugging Face Hub, against a stand-in for it on this machine."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dataset.support import folder_of
from dataset.test_near import jpeg

pytest.importorskip("datasets", reason="datasets is not installed: make test")
image = pytest.importorskip("PIL.Image")
GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "versions.md"


class Hub(BaseHTTPRequestHandler):
    """One repository: it takes commits and tags, and says what is in it."""

    files: dict[str, bytes]
    tags: list[str]

    def do_GET(self) -> None:
        _, _, folder = self.path.partition("?")[0].partition("/tree/")
        below = folder.partition("/")[2]
        if self.path.startswith("/api/datasets/me/signs") and not folder:
            names = [{"rfilename": name} for name in self.files]
            self.reply({"id": "me/signs", "sha": "a" * 40, "siblings": names, "private": False, "tags": []})
        elif folder and (not below or any(name.startswith(f"{below}/") for name in self.files)):
            sizes = {name: len(content) for name, content in self.files.items()}
            self.reply(
                [
                    {"type": "file", "path": name, "size": size, "oid": "b" * 40}
                    for name, size in sizes.items()
                ]
            )
        else:
            self.reply({"error": "not found"}, 404)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers["content-length"]))
        if "/preupload/" in self.path:
            names = [each["path"] for each in json.loads(sent)["files"]]
            modes = {name: "lfs" if name.endswith(".parquet") else "regular" for name in names}
            self.reply(
                {
                    "files": [
                        {"path": name, "uploadMode": modes[name], "shouldIgnore": False} for name in names
                    ]
                }
            )
        elif self.path.endswith("/objects/batch"):
            up = {"upload": {"href": f"http://{self.headers['host']}/stored"}}
            self.reply({"objects": [{**each, "actions": up} for each in json.loads(sent)["objects"]]})
        elif "/commit/" in self.path:
            for line in map(json.loads, sent.splitlines()):
                if line["key"] == "file":
                    self.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                elif line["key"] == "lfsFile":
                    self.files[line["value"]["path"]] = self.files.pop("stored")
            url = f"http://{self.headers['host']}/datasets/me/signs/commit/{'c' * 40}"
            self.reply({"success": True, "commitOid": "c" * 40, "commitUrl": url})
        elif "/tag/" in self.path:
            self.tags.append(json.loads(sent)["tag"])
            self.reply({})
        else:
            self.reply({"errors": [], "warnings": []})

    def do_PUT(self) -> None:
        self.files["stored"] = self.rfile.read(int(self.headers["content-length"]))
        self.reply({})

    def reply(self, body: Any, status: int = 200) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        if status == 404:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[ThreadingHTTPServer]:
    Hub.files, Hub.tags = {}, []
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_a_dataset_is_pushed_to_the_hub(hub: ThreadingHTTPServer, tmp_path: Path) -> None:
    """As a folder with its card and a tag, and as Parquet with the media in it; nothing hidden goes along."""
    section = GUIDE.read_text(encoding="utf-8").partition("## With the Hugging Face Hub")[2]
    folder, parquet = re.findall(r"```text\n(.*?)```", section, re.DOTALL)[:2]
    dataset = folder_of(
        tmp_path / "signs", [jpeg(image.new("RGB", (48, 36), color)) for color in ("red", "blue")]
    )
    dataset.write_card(license="MIT")
    program = f"from firsthandapi import Dataset\ndataset = Dataset.open('signs')\n{parquet}\n{folder}"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={
            **os.environ,
            "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}",
            "HF_TOKEN": "hf_x",
            "HF_HOME": str(tmp_path / ".huggingface"),
            "HF_HUB_DISABLE_XET": "1",
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert Hub.tags == ["v2.0.0"]
    assert Hub.files["README.md"] == (tmp_path / "signs" / "README.md").read_bytes()
    assert {"README.md", "croissant.json", "metadata.jsonl"} <= Hub.files.keys()
    assert sum(name.endswith(".jpg") for name in Hub.files) == 2
    assert not any(name.startswith(".") for name in Hub.files)
    (table,) = (content for name, content in Hub.files.items() if name.endswith(".parquet"))
    assert table.startswith(b"PAR1")
