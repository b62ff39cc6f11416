"""A server of one's own behind nginx and Caddy, with the configurations that the guide shows: `make console`."""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from firsthandapi import FirstHandClient
from firsthandapi.testing import make
from firsthandapi_server.serve.service import Service
from processes import free_port
from raw import make_certificate
from serve.conftest import JOB, browser, first_of, send

if not os.environ.get("FIRSTHAND_CONSOLE"):
    pytest.skip("run: make console", allow_module_level=True)
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
CADDY = shutil.which("caddy")
if shutil.which("openssl") is None:
    pytest.skip("openssl, which makes the certificate, is not installed", allow_module_level=True)

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "operating.md"
HOST = "photos.example.org"


@dataclass
class Public:
    """A server behind the proxy."""

    service: Service
    url: str
    trust: str

    def browser(self) -> httpx.Client:
        """A browser on the other side of the proxy."""
        return browser(self.url, verify=ssl.create_default_context(cafile=self.trust))


def shown(title: str) -> str:
    """A file that the guide shows."""
    match = re.search(rf'```text title="{title}"\n(.*?)```', GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert match is not None
    return match[1]


@contextmanager
def running(command: list[str], port: int, log: Path) -> Iterator[None]:
    """A proxy that listens."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        ends = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 5).close()
                break
            except OSError:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < ends
                time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def caddy(folder: Path, port: int, upstream: int) -> Iterator[None]:
    """Caddy with the configuration of the guide, but for port, certificate, and upstream."""
    site = shown("Caddyfile")
    files = (
        f"tls {folder / 'cert.pem'} {folder / 'key.pem'}\nlog {{\noutput file {folder / 'access.log'}\n}}\n"
    )
    for old, new in (
        (f"{HOST} {{\n", f"https://{HOST}:{port} {{\nbind 127.0.0.1\n{files}"),
        ("127.0.0.1:8080", f"127.0.0.1:{upstream}"),
    ):
        assert site.count(old) == 1, old
        site = site.replace(old, new)
    file = folder / "Caddyfile"
    options = f"admin off\nauto_https disable_redirects\nstorage file_system {folder / 'caddy'}"
    file.write_text(f"{{\n{options}\n}}\n{site}")
    command = [str(CADDY), "run", "--adapter", "caddyfile", "--config", str(file)]
    with running(command, port, folder / "error.log"):
        yield


@contextmanager
def nginx(folder: Path, port: int, upstream: int) -> Iterator[None]:
    """nginx with the configuration of the guide, but for port, certificate, and upstream."""
    server = shown("nginx.conf")
    for old, new in (
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        ("http://127.0.0.1:8080", f"http://127.0.0.1:{upstream}"),
        (f"/etc/letsencrypt/live/{HOST}/fullchain.pem", str(folder / "cert.pem")),
        (f"/etc/letsencrypt/live/{HOST}/privkey.pem", str(folder / "key.pem")),
    ):
        assert server.count(old) == 1, old
        server = server.replace(old, new)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {folder / kind};\n" for kind in kinds)
    user = "user root;\n" if os.name != "nt" and os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"{user}daemon off;\npid {folder / 'pid'};\nerror_log {folder / 'error.log'};\nevents {{}}\n"
        f"http {{\naccess_log {folder / 'access.log'};\n{temporary}{server}}}\n"
    )
    places = ["-e", str(folder / "error.log"), "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with running([str(NGINX), *places], port, folder / "error.log"):
        yield


@pytest.fixture(params=["nginx", "caddy"])
def public(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Public]:
    """A server that people reach as https://photos.example.org, which leads to this machine."""
    if (CADDY if request.param == "caddy" else NGINX) is None:
        pytest.skip(f"{request.param} is not installed")
    proxy = caddy if request.param == "caddy" else nginx
    make_certificate(tmp_path, f"DNS:{HOST}")
    real = socket.getaddrinfo

    def resolve(host: Any, *arguments: Any, **options: Any) -> Any:
        is_ours = host in (HOST, HOST.encode())
        return real("127.0.0.1" if is_ours else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    port = free_port()
    url = f"https://{HOST}:{port}"
    with Service(tmp_path / "data") as first:
        keys = first_of(first)
        first.access.create("worker", "Ana", 0)
    with Service(tmp_path / "data", public_url=url) as service, proxy(tmp_path, port, service.port):
        service.first = keys
        yield Public(service, url, str(tmp_path / "cert.pem"))
        service.world.check_books()


@pytest.mark.firsthand(live=True)  # its own server's, which the proxy makes reachable by a name
def test_the_main_job_over_tls(public: Public, tmp_path: Path) -> None:
    """Through the proxy of the guide a worker uploads, a reviewer rates, and the buyer waits and downloads."""
    service = public.service
    _, worker_token = service.access.create("worker", "Ben", 0)
    _, reviewer_token = service.access.create("reviewer", "Cem", 0)
    large = make("image/jpeg", "large", width=640, height=480).content
    with (
        FirstHandClient(first_of(service).live, public.url, verify=public.trust) as client,
        public.browser() as worker,
        public.browser() as reviewer,
    ):
        job = client.jobs.create(**{**JOB, "files_needed": 1})
        link = service.site.links.url(service.world.state.jobs[job.id])
        assert link.startswith(f"{public.url}/w/")
        path = link.removeprefix(public.url)
        assert worker.get(path).url.path == "/sign-in"
        assert send(worker, f"/sign-in?next={path}", token=worker_token).url.path == path
        cookies = [cookie for cookie in worker.cookies.jar if cookie.name.startswith("__Host-")]
        assert len(cookies) == 2
        assert all(cookie.secure for cookie in cookies)
        assert send(worker, path, files={"file": ("a.jpg", large, "image/jpeg")}).status_code == 200
        assert send(reviewer, "/sign-in", token=reviewer_token).url.path == "/review"
        assert "It counts" in send(reviewer, "/review", **{"stars-0": "5"}).text
        done = client.jobs.get(job.id, wait=60)
        assert done.status == "completed"
        (file,) = client.files.list(job.id)
        assert str(file.download_url).startswith(f"{public.url}/files/")
        assert client.files.download(file, tmp_path / "a.jpg").stat().st_size == file.size_bytes
        (submission,) = client.submissions.list(job.id)
        assert str(submission.worker_id).startswith("wkr_")
    logged = (tmp_path / "access.log").read_text() + (tmp_path / "error.log").read_text()
    assert "fh_" not in logged


def test_the_proxy_tells_visitors_apart(public: Public) -> None:
    """An address that the visitor makes up does not count; the one that the proxy adds does."""
    with public.browser() as visitor:
        for number in range(3):
            visitor.headers["x-forwarded-for"] = f"9.9.9.{number}"
            assert send(visitor, "/sign-in", token="fh_worker_wrong").status_code == 403
    assert [*public.service.site.limits._failures._windows] == ["127.0.0.1"]


def test_the_console_stays_live(public: Public) -> None:
    """What happens shows on an open page: the proxy passes it on at once."""
    with public.browser() as visitor:
        send(visitor, "/sign-in", token=first_of(public.service).operator)
        with visitor.stream("GET", "/console/live?requests=1") as events:
            lines = events.iter_lines()
            assert next(lines) == "retry: 2000"
            with public.browser() as another:
                another.get("/v1/me")
            assert next(line for line in lines if line.startswith("event:")) == "event: change"
