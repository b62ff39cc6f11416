"""A whole server of one's own: from a job to a picture on the buyer's disk, and over its restarts."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from PIL import Image

from cli.support import Cli
from firsthandapi import ConfigurationError, FirstHandClient, WebhookSignatureError
from firsthandapi._base.host.lan import lan_addresses
from firsthandapi.testing import make
from firsthandapi.webhooks import unwrap, verify_signature
from firsthandapi_server.mock.workers import SandboxWorkers
from firsthandapi_server.rules.jobs import Verdict
from firsthandapi_server.serve.access import FILE, Access, Role
from firsthandapi_server.serve.clock import RealClock
from firsthandapi_server.serve.service import Service
from firsthandapi_server.sqlite import open_world
from firsthandapi_server.state.model import DeliveryAttempt
from processes import stopped, unmeasured

from .conftest import JOB, browser, first_of, running, send, submit, write

T = TypeVar("T")
PICTURE = make("image/jpeg", "picture").content


@dataclass
class Server:
    """A server in a process of its own."""

    process: subprocess.Popen[str]
    said: str
    folder: Path

    @property
    def url(self) -> str:
        """Its address."""
        match = re.search(r"at (http://\S+)", self.said)
        assert match is not None
        return match[1]

    def secret(self, kind: str) -> str:
        """A key or token of its first start."""
        match = re.search(rf"fh_{kind}_\w+", (self.folder / "first-keys.txt").read_text(encoding="ascii"))
        assert match is not None
        return match[0]

    def end(self, number: int) -> int:
        """Its exit code after a signal."""
        stopped(self.process, number)
        return self.process.returncode


@contextmanager
def served(folder: Path, *options: str) -> Iterator[Server]:
    """`firsthandapi serve`, ready."""
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    # A rating counts sooner: the ten seconds are of `test_panel.py`, where the clock is the test's.
    code += "from firsthandapi_server.serve import panel; panel.UNDO_SECONDS = 0.1\n"
    code += "from firsthandapi.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "serve", str(folder), "--port", "0", "--no-log", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=unmeasured(PYTHONIOENCODING="utf-8"),
    )
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if "Ctrl-C" in line:
            break
    try:
        yield Server(process, "".join(lines), folder)
    finally:
        process.kill()
        process.communicate()


def soon(look: Callable[[], T | None]) -> T:
    """What there is, as soon as there is something."""
    ends = time.monotonic() + 200
    while not (value := look()):
        assert time.monotonic() < ends
        time.sleep(0.01)
    return value


@contextmanager
def receiver(*statuses: int) -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """A receiver of webhooks that responds with these statuses, and then with 204; and what came."""
    got: list[tuple[str, bytes]] = []
    codes = [*statuses]

    class Receive(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            got.append((self.headers["x-firsthandapi-signature"], body))
            self.send_response(codes.pop(0) if codes else 204)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Receive) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/hooks", got
        server.shutdown()
        thread.join()


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send Ctrl-C to one child")
def test_from_a_job_to_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An upload that a reviewer approves is in the buyer's folder, and a webhook told so; a restart keeps all."""
    folder = tmp_path / "data"
    with (
        served(folder) as server,
        receiver() as (hooks, got),
        ThreadPoolExecutor() as pool,
        browser(server.url) as operator,
        browser(server.url) as person,
    ):
        assert str(folder / "first-keys.txt") in server.said
        assert "fh_" not in server.said
        key = server.secret("live")
        with FirstHandClient(key, server.url) as client:
            hook = client.webhooks.create(url=hooks, events=["job.completed"])
            collected = pool.submit(
                client.jobs.collect, tmp_path / "signs", timeout=200, **{**JOB, "files_needed": 1}
            )
            send(operator, "/sign-in", token=server.secret("operator"))
            link = soon(lambda: re.search(rf"{server.url}(/w/[\w-]+)", operator.get("/console").text))[1]
            send(person, link, files={"file": ("IMG_1.jpg", PICTURE, "image/jpeg")})
            send(operator, "/review", **{"stars-0": "5", "reason": "Sharp"})
            dataset = collected.result(200)
            (record,) = dataset.records
            with (
                Image.open(tmp_path / "signs" / record.file_name) as picture,
                Image.open(io.BytesIO(PICTURE)) as sent,
            ):
                assert picture.tobytes() == sent.tobytes()
            assert (record.ai_star_rating, record.original_filename) == (5, "IMG_1.jpg")
            assert record.annotations is None
            assert dataset.verify().ok
            signature, body = soon(lambda: got)[0]
            assert hook.secret is not None
            verify_signature(body, signature, hook.secret)
            assert json.loads(body)["data"]["id"] == dataset.job.id
            balance = client.billing.credits().balance_cents
        busy = Cli(monkeypatch, capsys)("serve", str(folder), "--port", "0")
        assert busy.code == 2
        assert "is in use by another process" in busy.err
        assert server.end(signal.SIGINT) == 0
    with served(folder) as server:
        assert "fh_" not in server.said
        with FirstHandClient(key, server.url) as client:
            assert client.billing.credits().balance_cents == balance
            (job,) = client.jobs.list()
            assert (job.status, job.files_approved) == ("completed", 1)
            (file,) = client.files.list(job.id)
            copy = client.files.download(file, tmp_path / "again.jpg")
            assert copy.read_bytes() == (tmp_path / "signs" / record.file_name).read_bytes()
        assert server.end(signal.SIGTERM) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"host": "0.0.0.0"}, "listening on 0.0.0.0 needs --public-url"),
        # Others reach it, whatever it calls itself: without tokens they would be taken for this machine.
        ({"host": "0.0.0.0", "public_url": "http://localhost:8080"}, "needs --public-url, an address beyond"),
        (
            {"public_url": "https://photos.example.org"},
            "that needs a token for workers and one for operators; create with: firsthandapi server tokens create",
        ),
        ({"host": "0.0.0.0", "public_url": "http://10.0.0.1"}, "not served beyond this machine"),
        ({"public_url": "photos.example.org"}, "--public-url is not the address of a host"),
        ({"public_url": "https://photos.example.org/path"}, "--public-url is not the address of a host"),
        (
            {"public_url": "https://ana:secret@photos.example.org"},
            "--public-url is not the address of a host",
        ),
        ({"public_url": "https://photos.example.org:0"}, "--public-url is not the address of a host"),
        ({"public_url": "https://photos.example.org:x"}, "--public-url is not the address of a host"),
        ({"public_url": "ftp://photos.example.org"}, "--public-url is not the address of a host"),
    ],
)
def test_beyond_this_machine_with_tokens_only(tmp_path: Path, options: dict[str, str], message: str) -> None:
    """Whoever listens to others has a token for workers and one for operators, and says what the address is."""
    with pytest.raises(ConfigurationError, match=re.escape(message)) as caught:
        Service(tmp_path / "new", **options)  # type: ignore[arg-type] # mypy takes them for any parameter; each is a text, as these are
    assert "secret" not in str(caught.value)
    assert not (tmp_path / "new").exists()


def test_a_refused_start_leaves_nothing(tmp_path: Path) -> None:
    """Neither a folder nor, in one that exists, a database of tokens."""
    with Service(tmp_path / "one") as service:
        with pytest.raises(OSError, match="in use"):
            Service(tmp_path / "new", port=service.port)
        with pytest.raises(ConfigurationError, match="is in use by another process"):
            Service(tmp_path / "one")
        service.stop()  # a second time does nothing
    for options in ({"storage": "unknown-scheme://x"}, {"scorer": "unknown"}):
        with pytest.raises(ConfigurationError):
            Service(tmp_path / "new", **options)  # type: ignore[arg-type] # mypy takes them for any parameter; each is a text, as these are
    assert not (tmp_path / "new").exists()
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "state.db").write_bytes(b"no database" * 500)
    with pytest.raises(ConfigurationError, match="is damaged"):
        Service(tmp_path / "new")
    assert not (tmp_path / "new" / "access.db").exists()


def test_keys_of_ones_own(tmp_path: Path) -> None:
    """They say whose they are, so the client sends them to no public service; a new key of the API does too."""
    with running(tmp_path) as team:
        first = first_of(team.service)
        assert re.fullmatch(r"fh_live_own_[0-9a-f]{32}", first.live)
        assert re.fullmatch(r"fh_test_own_[0-9a-f]{32}", first.sandbox)
        assert "fh_live_own_…" in repr(first)
        for key in (first.live, first.sandbox, first.operator):
            assert key not in repr(first)
        with pytest.raises(ConfigurationError, match="FIRSTHAND_BASE_URL"):
            FirstHandClient(first.live, "https://api.firsthandapi.com")
        reader = team.buyer.api_keys.create(name="reader", scopes=["billing:read"])
        assert reader.scopes == ["billing:read"]
        assert (reader.secret or "").startswith("fh_live_own_")


def test_the_file_of_the_first_keys(tmp_path: Path) -> None:
    """Only its owner reads it, its variables are those of a client, and its link signs the operator in."""
    file = tmp_path / "keys"
    with Service(tmp_path / "data", keys_file=file) as service:
        first = first_of(service)
        assert file.read_text(encoding="ascii").splitlines()[1:] == [
            f"# Sign in as the operator: {service.url}/sign-in#{first.operator}",
            f"# Key of the sandbox: {first.sandbox}",
            f"FIRSTHAND_BASE_URL={service.url}",
            f"FIRSTHAND_API_KEY={first.live}",
        ]
        assert os.name == "nt" or file.stat().st_mode & 0o777 == 0o600
    file.unlink()
    with Service(tmp_path / "data", keys_file=file):
        assert not file.exists()


def test_no_keys_work_that_could_not_be_written(tmp_path: Path) -> None:
    """The next start is the first one: nobody could have seen those keys."""
    (tmp_path / "keys").mkdir()
    with pytest.raises(ConfigurationError, match=re.escape(str(tmp_path / "keys"))):
        Service(tmp_path / "data", keys_file=tmp_path / "keys")
    assert not (tmp_path / "data").exists()
    with Service(tmp_path / "data") as service:
        assert service.first is not None
        assert (len(service.world.state.organizations), len(service.access.tokens())) == (1, 1)


@pytest.mark.parametrize("lost", ["missing", "empty", "without_rows"])
@pytest.mark.parametrize("parts", ["files and tokens", "files", "tokens"])
def test_a_lost_database_is_no_first_start(tmp_path: Path, parts: str, lost: str) -> None:
    """A folder with files or tokens of an earlier start gets no new keys: the words say what to do."""
    folder = tmp_path / "data"
    with running(folder) as team:
        if "files" in parts:
            team.sent()
    if "tokens" not in parts:
        (folder / "access.db").unlink()
    backup = (folder / "state.db").rename(tmp_path / "backup.db")
    if lost == "empty":
        (folder / "state.db").touch()
    elif lost == "without_rows":
        open_world(tmp_path / "fresh", RealClock()).close()
        (tmp_path / "fresh" / "state.db").rename(folder / "state.db")
    old_names = sorted(path.name for path in folder.iterdir())
    state = "missing" if lost == "missing" else "empty"
    with pytest.raises(
        ConfigurationError,
        match=rf"contains the {parts} of an earlier start, but state\.db, which keeps its jobs and money, is {state}: "
        r"put state\.db back from a backup, or use another folder$",
    ):
        Service(folder)
    assert sorted(path.name for path in folder.iterdir()) == old_names
    backup.replace(folder / "state.db")
    with Service(folder) as service:
        assert service.first is None


def test_tokens_may_come_before_the_first_start(tmp_path: Path) -> None:
    """A server for others needs them; a first start that failed may be tried again."""
    access = Access(tmp_path / FILE)
    roles: tuple[Role, ...] = ("worker", "operator")
    for role in roles:
        access.create(role, "Ana", 0)
    access.close()
    open_world(tmp_path, RealClock()).close()
    with Service(tmp_path, public_url="https://photos.example.org") as service:
        assert service.first is not None


@pytest.fixture
def address() -> str:
    """An address of this machine that is not 127.0.0.1."""
    addresses = lan_addresses() or (["127.0.0.2"] if sys.platform != "darwin" else [])
    if not addresses:
        pytest.skip("this machine has one address alone")
    return addresses[0]


def test_a_local_network_needs_nothing_made_before(tmp_path: Path, address: str) -> None:
    """Operators and reviewers get a token, once, and workers none that all would share; people reach the address,
    programs on this machine 127.0.0.1."""
    folder, keys = tmp_path / "data", tmp_path / "keys"
    with Service(folder, host=address, lan=True, keys_file=keys) as service:
        assert {*service.tokens} == {"reviewer", "operator"}
        assert service.url == f"http://{address}:{service.port}"
        for role, token in service.tokens.items():
            assert f"# Sign in as the {role}: {service.url}/sign-in#{token}\n" in keys.read_text()
        with httpx.Client(trust_env=False, timeout=60) as http:
            assert http.get(f"{service.url}/sign-in").status_code == 200
            assert http.get(f"{service.url}/console").headers["location"].startswith("/sign-in")
            assert http.get(f"{service.url}/", headers={"x-forwarded-for": "8.8.8.8"}).status_code == 403
            assert http.get(f"{service.url}/", headers={"host": "evil.example"}).status_code == 421
        assert service.first is not None
        with FirstHandClient(service.first.live, f"http://127.0.0.1:{service.port}") as client:
            assert client.jobs.list().data == []
    old_text = keys.read_text()
    with Service(folder, host=address, lan=True, keys_file=keys) as service:
        assert (service.first, service.tokens, keys.read_text()) == (None, {}, old_text)
        (operator,) = [token for token in service.access.tokens() if token.role == "operator"]
        service.access.revoke(operator.id, 1)
    with Service(folder, host=address, lan=True, keys_file=keys) as service:
        assert {*service.tokens} == {"operator"}
        assert keys.read_text().startswith(old_text)
    study = write(tmp_path)
    with Service(tmp_path / "open", host=address, lan=True, study=study) as service:
        assert {*service.tokens} == {"reviewer", "operator"}


def test_with_tokens_beyond_this_machine(tmp_path: Path) -> None:
    """A good token of each is enough; a revoked one is none. An address of this machine needs none."""
    with Service(tmp_path) as service:
        (operator,) = service.access.tokens()
        service.access.create("worker", "Ana", 0)
    with Service(tmp_path, host="0.0.0.0", public_url="http://10.0.0.1:8080") as service:
        assert (service.url, service.is_local) == ("http://10.0.0.1:8080", False)
        service.access.revoke(operator.id, 1)
    with pytest.raises(
        ConfigurationError, match=r"create with: firsthandapi server tokens create \S+ --role operator$"
    ):
        Service(tmp_path, public_url="http://10.0.0.1:8080")
    with Service(tmp_path, public_url="http://localhost:8080") as service:
        assert service.is_local
    with Service(tmp_path, host="::1") as service:
        assert service.url == f"http://[::1]:{service.port}"
        assert httpx.get(f"{service.url}/sign-in", trust_env=False, timeout=60).status_code == 200


def test_the_sandbox_has_a_simulated_worker(tmp_path: Path) -> None:
    """A job of the sandbox completes by itself, also over a restart; a live one waits for people."""
    now = [2_000_000_000.0]
    job = {**JOB, "files_needed": 2}

    def completed(service: Service, client: FirstHandClient, job_id: str) -> bool:
        now[0] += 15
        service.clock.run_due()
        return client.jobs.get(job_id).status == "completed"

    with Service(tmp_path, clock=RealClock(lambda: now[0]), sandbox=SandboxWorkers) as service:
        assert service.first is not None
        key = service.first.sandbox
        with FirstHandClient(service.first.live, service.url) as client:
            live = client.jobs.create(**job).id
        with FirstHandClient(key, service.url) as client:
            first = client.jobs.create(**job).id
            assert soon(lambda: completed(service, client, first))
            assert {file.ai_star_rating for file in client.files.list(first)} == {4}
            second = client.jobs.create(**job).id
        assert not service.world.state.jobs[live].submissions
        person = submit(service, live)
        with service.world.lock:
            service.world.jobs.score(service.world.state.submissions[person], now[0], Verdict([1]))
        now[0] += 60
        service.clock.run_due()
        assert len(service.world.state.jobs[live].submissions) == 1, "nobody is simulated where people work"
    with Service(tmp_path, clock=RealClock(lambda: now[0]), sandbox=SandboxWorkers) as service:
        with FirstHandClient(key, service.url) as client:
            assert soon(lambda: completed(service, client, second))
        service.world.check_books()


def test_webhooks_of_a_public_server(tmp_path: Path) -> None:
    """A private address gets nothing unless that is allowed; then, also after a refusal and restarts, what verifies."""
    now = [2_000_000_000.0]
    with Service(tmp_path, clock=RealClock(lambda: now[0])) as service:
        assert service.first is not None
        key = service.first.live
        service.access.create("worker", "Ana", 0)

    def after(attempts: int, seconds: float, *, private_webhooks: bool) -> DeliveryAttempt:
        """The last attempt, once there are so many."""
        now[0] += seconds
        with Service(
            tmp_path,
            clock=RealClock(lambda: now[0]),
            public_url="https://photos.example.org",
            private_webhooks=private_webhooks,
        ) as service:
            if attempts == 1:
                with FirstHandClient(key, f"http://127.0.0.1:{service.port}") as client:
                    secrets.append(client.webhooks.create(url=hooks, events=["job.cancelled"]).secret or "")
                    client.jobs.cancel(client.jobs.create(**JOB).id)

            def made() -> tuple[DeliveryAttempt, ...] | None:
                service.clock.run_due()
                with service.world.lock:
                    (delivery,) = service.world.state.deliveries
                    return delivery.attempts if len(delivery.attempts) == attempts else None

            return soon(made)[-1]

    secrets: list[str] = []
    with receiver(500) as (hooks, got):
        error = after(1, 0, private_webhooks=False).error
        assert error is not None
        assert "--private-webhooks" in error
        assert not got
        assert after(2, 60, private_webhooks=True).status == 500
        assert after(3, 300, private_webhooks=True).ok
    first, second = (
        unwrap(body, {"X-FirstHandAPI-Signature": signature}, secrets[0]) for signature, body in got
    )
    assert first.id == second.id
    assert first.type == "job.cancelled"
    with pytest.raises(WebhookSignatureError):
        unwrap(got[0][1], {"X-FirstHandAPI-Signature": got[0][0]}, "whsec_another")


def test_files_go_where_the_first_start_put_them(tmp_path: Path) -> None:
    """A later start finds them by itself, still waiting for a reviewer, and refuses another place."""
    url = (tmp_path / "bucket").as_uri()
    with running(tmp_path / "data", storage=url) as team:
        submission = team.sent()
    assert [*(tmp_path / "bucket").rglob("blob_*")]
    assert not [*(tmp_path / "data").rglob("blob_*")]
    for place in (None, url):
        with Service(tmp_path / "data", storage=place) as service:
            (waiting,) = service.world.state.waiting()
            assert waiting.id == submission
            (file,) = waiting.files
            assert file.content().startswith(b"\xff\xd8")
    other_place = (tmp_path / "other").as_uri()
    with pytest.raises(ConfigurationError, match="--storage differs from that of the first start, file://"):
        Service(tmp_path / "data", storage=other_place)
    Service(tmp_path / "plain").stop()
    with pytest.raises(ConfigurationError, match="which is the folder itself: leave it out"):
        Service(tmp_path / "plain", storage=other_place)


def test_a_secret_is_shown_again_until_the_server_stops(tmp_path: Path) -> None:
    """A repeated request for a key shows it again, from memory alone; after a restart it is refused, and tells why."""
    keyed = {"Idempotency-Key": "one"}
    calls = [
        ("/v1/api_keys", {"name": "ci"}),
        ("/v1/webhook_endpoints", {"url": "http://127.0.0.1:9/"}),
        ("/v1/auth/signup", {"name": "Ana", "email": "ana@example.com"}),
    ]
    seen: list[list[httpx.Response]] = []
    live = ""
    for _ in range(2):
        with Service(tmp_path / "data") as service:
            live = live or getattr(service.first, "live", "")
            headers = {**keyed, "Authorization": f"Bearer {live}"}
            for _ in range(2):
                seen.append(
                    [
                        httpx.post(service.url + path, json=body, headers=headers, timeout=60)
                        for path, body in calls
                    ]
                )
    assert [[reply.status_code for reply in replies] for replies in seen] == [[201, 201, 200]] * 2 + [
        [409] * 3
    ] * 2
    assert [reply.json() for reply in seen[0]] == [reply.json() for reply in seen[1]]
    for reply in seen[2]:
        assert reply.json()["error"]["type"] == "idempotency_error"
        assert "rotate the key or the secret" in reply.json()["error"]["message"]
