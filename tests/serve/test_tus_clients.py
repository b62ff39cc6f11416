"""Clients of tus that others wrote send to `/uploads`: tus-js-client, which most pages use, and tuspy.

`make tus` installs them and runs this. They stay out of `make test`, since they need node and a network.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from firsthandapi_server.mock.media import make
from firsthandapi_server.serve.bounds import BOUNDS

from .phones import JPEG, Phone, Server, served
from .test_upload_crashes import check, running

_HOME = os.environ.get("FIRSTHAND_TUS")
pytestmark = pytest.mark.skipif(not _HOME, reason="install node (https://nodejs.org), then run: make tus")
TUSPY = """
import json, sys
from tusclient.client import TusClient
given = json.loads(sys.argv[1])
for file in given["files"]:
    client = TusClient(given["endpoint"], headers={"Cookie": given["cookie"]})
    client.uploader(file["path"], chunk_size=1000, metadata=file["metadata"]).upload()
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server whose disk may be full."""
    with mock.patch.object(BOUNDS, "spare_bytes", 0), served(tmp_path / "data") as host:
        yield host


def order(phone: Phone, job: str, paths: list[Path], **more: Any) -> dict[str, Any]:
    """What a client is to send."""
    group = {"group": "a", "group_size": str(len(paths))} if len(paths) > 1 else {}
    fields = {"filetype": "image/jpeg", "job_id": job, **group}
    return {
        "home": _HOME,
        "endpoint": f"http://127.0.0.1:{phone.port}/uploads",
        "cookie": phone.cookie,
        "files": [{"path": str(path), "metadata": {"filename": path.name, **fields}} for path in paths],
        **more,
    }


def node(order: dict[str, Any]) -> subprocess.Popen[str]:
    """tus-js-client at work."""
    script = Path(__file__).with_name("tus.mjs")
    command = ["node", str(script), json.dumps(order)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def pictures(folder: Path, count: int) -> list[Path]:
    """Pictures on disk."""
    paths = [folder / f"{number}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(make("image/jpeg", str(number)).content)
    assert len(JPEG) > 2000  # more than two pieces
    return paths


@pytest.mark.parametrize("client", ["tus-js-client", "tuspy"])
@pytest.mark.parametrize("count", [1, 2])
def test_a_client_sends(server: Server, tmp_path: Path, client: str, count: int) -> None:
    """In pieces, one file or a group: one submission of them all."""
    job = server.job(files_needed=9, files_per_submission=2)
    phone = server.phone(job)
    sent_order = order(phone, job.id, pictures(tmp_path, count))
    if client == "tuspy":
        python = Path(_HOME or "") / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
        subprocess.run([python, "-c", TUSPY, json.dumps(sent_order)], check=True, timeout=60)
    else:
        with node(sent_order) as process:
            output, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert output.count('["POST",201]') == count
    (submission,) = job.submissions
    assert [file.original_filename for file in submission.files] == [f"{index}.jpg" for index in range(count)]


def test_a_client_that_was_killed_resumes(server: Server, tmp_path: Path) -> None:
    """A page that was closed after a piece goes on after it, and creates no second upload."""
    phone = server.phone(job := server.job())
    sent_order = order(phone, job.id, pictures(tmp_path, 1), storage=str(tmp_path / "urls.json"))
    with node({**sent_order, "waits": True}) as process:
        assert process.stdout is not None
        assert [process.stdout.readline().strip() for _ in range(2)] == ['["POST",201]', '["PATCH",204]']
        process.kill()
    with node(sent_order) as process:
        output, _ = process.communicate(timeout=60)
    assert output.startswith('["HEAD",200]')
    assert "POST" not in output
    assert len(job.submissions) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is a POSIX signal")
def test_a_killed_server(tmp_path: Path) -> None:
    """The server dies after a piece; the client tries again until it is back, and goes on after its last byte."""
    folder = tmp_path / "data"
    with running(folder) as (port, link, server):
        phone = Phone(port, link)
        phone.open()
        sent_order = order(phone, f"job_{link.rpartition('/')[2][:26]}", pictures(tmp_path, 1), waits=True)
        with node(sent_order) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            for _ in range(2):
                process.stdout.readline()
            server.kill()
            server.join(30)
            process.stdin.write("\n")
            process.stdin.flush()
            with running(folder, port=port):
                output, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert '["HEAD",200]' in output
    check(folder, 1)
