"""No frame that an exception leaves shows a secret: error trackers, `pytest -l`, and rich print its locals."""

from __future__ import annotations

import contextlib
import gc
import logging
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import httpx
import pytest

import firsthandapi
from base.network.servers import Socks
from firsthandapi import errors, webhooks
from firsthandapi._base.masking import Secret
from firsthandapi._core.calls import retry
from firsthandapi.testing import MockServer

from .support import JOB, Connect, FakeStream

ROOT = Path(firsthandapi.__file__).parent
KEY = "fh_live_5ecretPart"


def frames(error: BaseException | None) -> Iterator[FrameType]:
    """Every frame of the package that `error`, or what led to it, has left."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        step: TracebackType | None = error.__traceback__
        while step is not None:
            path = Path(step.tb_frame.f_code.co_filename)
            if path.is_relative_to(ROOT) and not path.is_relative_to(ROOT / "testing"):
                yield step.tb_frame
            step = step.tb_next
        error = error.__cause__ or error.__context__


def shown(error: BaseException | None) -> str:
    """What a tool that prints local variables has to say of the package's frames."""
    lines: list[str] = []
    for frame in frames(error):
        lines += shown_locals(frame)
    return "\n".join(lines)


def shown_locals(frame: FrameType) -> Iterator[str]:
    for name, value in frame.f_locals.items():
        with contextlib.suppress(Exception):  # a half-made `self`
            yield f"{frame.f_code.co_qualname} {name}={value!r}"


def caught(call: Callable[[], object]) -> BaseException:
    with pytest.raises(Exception) as raised:  # noqa: PT011 # whatever it is
        call()
    return raised.value


SECRETS = ("5ecretPart", "5ecretWord", "5ecretSign")


def assert_hidden(error: BaseException) -> None:
    assert list(frames(error)), "no frame of the package: this would prove nothing"
    text = shown(error)
    for secret in SECRETS:
        assert secret not in text, [line for line in text.splitlines() if secret in line]


def test_a_planted_secret_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The look at the frames can fail: it sees a secret that a local variable shows."""
    monkeypatch.setattr(Secret, "__repr__", lambda self: str(self._value))
    error = caught(lambda: firsthandapi.FirstHandClient(api_key=KEY, timeout=0))
    with pytest.raises(AssertionError, match="5ecretPart"):
        assert_hidden(error)


# --- every way in which construction fails

BAD: list[dict[str, Any]] = [
    {"timeout": 0},
    {"deadline": -1},
    {"max_retries": "many"},
    {"max_spend_cents": -5},
    {"verify": "/no/such/file"},
    {"http_client": object()},
    {"base_url": "ftp://x"},
    {"base_url": "https://anna:5ecretWord@api.example"},
    {"base_url": "https://api.example?token=5ecretWord"},
    {"proxy": "ftp://anna:5ecretWord@proxy.example"},
    {"proxy": "http://anna:5ecretWord@proxy.example", "timeout": 0},
    {"api_key": f"{KEY} "},
    {"api_key": f"{KEY}\n"},
]


@pytest.mark.parametrize("options", BAD, ids=lambda options: " ".join(options))
def test_construction(options: dict[str, Any], connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bad option shows neither key nor password, whether they came as arguments or from the environment."""
    arguments = {"api_key": KEY, **options}
    assert_hidden(caught(lambda: connect.client_class(**arguments)))
    monkeypatch.setenv("FIRSTHAND_API_KEY", arguments.pop("api_key"))
    assert_hidden(caught(lambda: connect.client_class(**arguments)))
    if "http_client" not in options:
        parent = connect(api_key="fh_test_parent")
        assert_hidden(
            caught(
                lambda: parent.with_options(**options, **({} if "api_key" in options else {"api_key": KEY}))
            )
        )


def test_file_system() -> None:
    """Nor does one for fsspec that cannot be made, or pickled."""
    pytest.importorskip("fsspec")
    from firsthandapi.filesystem import FirstHandFileSystem

    for arguments in ({"base_url": "ftp://x"}, {"api_key": f"{KEY} "}):
        assert_hidden(caught(lambda fields=arguments: FirstHandFileSystem(**{"api_key": KEY, **fields})))
    file_system = FirstHandFileSystem(KEY, base_url="http://127.0.0.1:9")
    assert_hidden(caught(lambda: pickle.dumps(file_system)))


def test_bad_variables(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bad variable shows neither itself nor the rest of the environment."""
    monkeypatch.setenv("OTHER", "5ecretWord")
    assert_hidden(caught(lambda: connect.client_class()))
    monkeypatch.setenv("FIRSTHAND_API_KEY", f"{KEY} x")
    assert_hidden(caught(lambda: connect.client_class()))
    monkeypatch.setenv("FIRSTHAND_API_KEY", KEY)
    monkeypatch.setenv("FIRSTHAND_BASE_URL", "https://anna:5ecretWord@api.example")
    assert_hidden(caught(lambda: connect.client_class()))
    monkeypatch.delenv("FIRSTHAND_BASE_URL")
    monkeypatch.setenv("HTTPS_PROXY", "ftp://anna:5ecretWord@proxy.example")
    client = connect(max_retries=0)
    assert_hidden(caught(client.me))


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_proxy_that_refuses(scheme: str, connect: Connect) -> None:
    """The error of a proxy does not show the password for it."""
    with Socks(login=(b"anna", b"other")) as socks:
        proxy = f"{scheme}://anna:5ecretWord@127.0.0.1:{socks.port}"
        assert_hidden(caught(connect(proxy=proxy, max_retries=0).me))
    assert_hidden(caught(connect(proxy=proxy, max_retries=0).me))


# --- every way in which a call fails


def answers(**response: Any) -> Callable[[httpx.Request], httpx.Response]:
    return lambda request: httpx.Response(**{"status_code": 200, **response})


@pytest.mark.parametrize(
    "response",
    [
        {"status_code": 404, "json": {"error": {"message": "no", "echo": KEY}}},
        {"status_code": 500, "content": f"<html>{KEY}</html>"},
        {"content": f"not JSON {KEY}"},
        {"json": "whsec_5ecretWord"},
        {
            "json": {
                "data": [{"id": 1, "download_url": "https://x/?X-Amz-Signature=5ecretSign"}],
                "next_cursor": None,
            }
        },
        {"content": KEY.encode(), "headers": {"Content-Encoding": "gzip"}},
    ],
    ids=range(6),
)
def test_answers(response: dict[str, Any], connect: Connect) -> None:
    """A response that ends in an error shows neither the key nor what the body contains."""
    client = connect(api_key=KEY, handler=answers(**response), max_retries=1, frozen=True)
    if "data" in response.get("json", ()):
        assert_hidden(caught(lambda: list(client.files.list("job_1A"))))
        return
    for call in (
        client.me,
        lambda: list(client.files.list("job_1A")),
        lambda: client.webhooks.rotate_secret("we_1A"),
    ):
        assert_hidden(caught(call))


@pytest.mark.parametrize("borrowed", [False, True])
def test_broken_connections(borrowed: bool, connect: Connect, fresh_server: MockServer) -> None:
    """A connection that is refused, cut, or too slow shows no key; nor does a body that is cut."""
    options: dict[str, Any] = {"api_key": KEY, "max_retries": 1}
    if borrowed:
        options["http_client"] = connect.http_client()
    refused = connect(base_url="http://127.0.0.1:9", **options)
    connect.clock(refused)
    assert_hidden(caught(refused.me))
    client = connect(fresh_server, **{**options, "api_key": fresh_server.api_key, "max_retries": 0})
    secrets = (fresh_server.api_key, "whsec_")
    for fault in (
        {"drop": "before"},
        {"drop": "after"},
        {"cut": 200},
        {"delay": 5},
        {"status": 503},
        {"garbage": True},
    ):
        fresh_server.faults.add(**fault)
        error = caught(lambda: client.webhooks.create(url="https://example.com/hook", timeout=0.3))
        text = shown(error)
        assert text
        for secret in secrets:
            assert secret not in text, (fault, [line for line in text.splitlines() if secret in line])


@pytest.mark.parametrize("borrowed", [False, True])
def test_a_bug_below(borrowed: bool, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception that is nobody's network shows no key either."""

    def broken(request: httpx.Request) -> httpx.Response:
        raise AssertionError("nobody mocked this")

    if borrowed:
        client = connect(api_key=KEY, handler=broken, max_retries=0)
    else:
        for half in ("_sync", "_async"):
            monkeypatch.setattr(f"firsthandapi.{half}.pool.Pool.acquire", broken)
        client = connect(api_key=KEY, max_retries=0)
    assert_hidden(caught(client.me))


class _Torn(BaseException):  # like KeyboardInterrupt, which would end the loop of the tests too
    """What Ctrl-C or gevent raises."""


@pytest.mark.parametrize("error", [AssertionError, _Torn])
def test_a_request_that_cannot_be_sent(
    error: type[BaseException], connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is raised below the libraries takes along no frame of theirs, which hold the request."""

    def write(sent: bytes) -> None:
        raise error(f"no {len(sent)} bytes")

    FakeStream(read=bytes, write=write).patch(monkeypatch)
    client = connect(api_key=KEY, base_url="http://127.0.0.1:9", max_retries=0)
    with pytest.raises(error) as raised:
        client.me()
    step, text = raised.value.__traceback__, ""
    while step is not None:
        if step.tb_frame.f_globals["__name__"].partition(".")[0] == "firsthandapi":
            text += "\n".join(shown_locals(step.tb_frame))
        step = step.tb_next
    assert "_exchange" in text
    assert "5ecretPart" not in text, [line for line in text.splitlines() if "5ecretPart" in line]


def test_signup(connect: Connect, fresh_server: MockServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signup whose answer is cut or odd does not show the new key."""
    monkeypatch.setattr(retry, "FIRST_DELAY", 0.0)  # the pauses before retries take no time
    for fault in ({"cut": 100}, {"garbage": True}):
        fresh_server.faults.add(**fault, times=9)
        error = caught(
            lambda: connect.run(
                connect.client_class.signup(
                    name="A", email="a@example.com", base_url=fresh_server.url, timeout=1
                )
            )
        )
        assert "fh_live_" not in shown(error), fault
        fresh_server.faults.clear()


# --- downloads


def test_downloads(connect: Connect, fresh_server: MockServer, tmp_path: Path) -> None:
    """A file that cannot be downloaded shows neither its signed URL nor the key, alone or among others."""
    client = connect(fresh_server, max_retries=0, frozen=True)
    job = client.jobs.create(**{**JOB, "files_needed": 1})
    fresh_server.submit(job.id)
    fresh_server.clock.advance(minutes=1)
    (file,) = client.files.list(job.id)
    signature = file.download_url.partition("X-Amz-Signature=")[2].partition("&")[0]
    assert signature
    wrong = file.model_copy(update={"content_hash": "0" * 64})
    foreign = file.model_copy(update={"download_url": file.download_url.replace("http:", "ftp:")})
    directory = tmp_path / "taken"
    directory.mkdir()
    calls: list[tuple[dict[str, Any], Callable[[], object]]] = [
        ({"expired_url": True, "times": 99}, lambda: client.files.download(file, tmp_path / "a.jpg")),
        (
            {"status": 500, "path": "/files", "times": 99},
            lambda: client.files.download(file, tmp_path / "b.jpg"),
        ),
        ({"drop": "before", "times": 99}, lambda: client.files.download(file, tmp_path / "c.jpg")),
        ({}, lambda: client.files.download(wrong, tmp_path / "d.jpg")),
        ({"status": 404, "times": 99}, lambda: client.files.download(foreign, tmp_path / "e.jpg")),
        ({}, lambda: client.files.download(file, tmp_path / "no" / "such" / "f.jpg")),
        ({"drop": "before", "times": 99}, lambda: client.files.download_all(job.id, tmp_path / "all")),
    ]
    for fault, call in calls:
        if fault:
            fresh_server.faults.add(**fault)
        text = shown(caught(call))
        fresh_server.faults.clear()
        assert text
        for secret in (signature, fresh_server.api_key):
            assert secret not in text, (fault, [line for line in text.splitlines() if secret in line])


# --- every point of a call at which an exception may come


class _HereError(Exception):
    """Thrown at the n-th call of a function of the package."""


# Here secrets come in, as arguments of a public function: before its first line nothing can be done about them.
DOORS = {
    *("public.<locals>.call", "FirstHandClient.__init__", "FirstHandClient.with_options"),
    *("secret_or_none", "_secret_if_given", "Secret.__init__"),
    "TlsInTls.sendall",
}
# Functions that look at a secret from inside, and neither raise nor call what does.
INSIDE = {
    *("_is_one_word", "_problem_of_base_url", "_is_proxy", "_split", "mask_key", "is_loopback", "_where", "_login"),
    *("RequestHeaders.__init__", "RequestHeaders.__init__.<locals>.<genexpr>", "_connect_request", "_counted"),
    *("Secret.reveal", "Secret.__repr__", "Secret.__eq__", "Secret.__hash__", "Route.proxy_headers"),
}  # fmt: skip
# The bodies of responses: decoders read them as they are.
BODIES = {
    *("BodyReader.feed", "BodyReader._take", "BodyReader._keep", "error_from_response", "_parse", "not_json")
}


def raising_at(number: int, call: Callable[[], object]) -> tuple[BaseException | None, bool]:
    """What `call` raises if the n-th call of a function of the package does, and whether there was an n-th."""
    count = 0

    def profile(frame: FrameType, event: str, _: Any) -> None:
        nonlocal count
        if event != "call" or not frame.f_code.co_filename.startswith(str(ROOT)):
            return
        if frame.f_code.co_filename.startswith(str(ROOT / "testing")):
            return
        if frame.f_code.co_qualname in DOORS | INSIDE | BODIES or frame.f_code.co_name.startswith("<"):
            return
        count += 1
        if count == number:
            raise _HereError

    sys.setprofile(profile)
    try:
        call()
    except BaseException as error:
        return error, count >= number
    finally:
        sys.setprofile(None)
    return None, count >= number


@pytest.fixture
def sockets_may_be_left() -> Iterator[None]:
    """An exception in the middle of closing leaves a socket to the garbage collector, which complains; and a record of
    the log, which pytest keeps, would keep its frames until a later test."""
    hook, log = sys.unraisablehook, logging.getLogger("firsthandapi")
    sys.unraisablehook, log.disabled = lambda _: None, True
    yield
    gc.collect()
    sys.unraisablehook, log.disabled = hook, False


def test_an_exception_anywhere(sockets_may_be_left: None, fresh_server: MockServer) -> None:
    """Wherever an exception strikes in construction or in a call, the frames it leaves show no key."""

    def work() -> None:
        client = firsthandapi.FirstHandClient(KEY, fresh_server.url, max_retries=1, timeout=5)
        try:
            with contextlib.suppress(errors.AuthenticationError):
                client.with_options(api_key=KEY + "2", timeout=3).me()
        finally:
            client.close()

    work()  # imports
    assert strikes(work) > 40


def strikes(work: Callable[[], object]) -> int:
    number, struck = 1, 0
    while True:
        error, reached = raising_at(number, work)
        if not reached:
            return struck
        number += 1
        if error is not None:
            struck += 1
            for frame in frames(error):
                if frame.f_code.co_qualname not in DOORS | INSIDE:
                    text = "\n".join(shown_locals(frame))
                    assert "5ecretPart" not in text, (number, frame.f_code.co_qualname, text)


# --- webhooks


@pytest.mark.parametrize(
    ("secret", "signature", "body"),
    [
        ("whsec_5ecretWord", "0" * 64, b"{}"),
        ("whsec_5ecretWord", None, b"{}"),
        ("whsec_5ecretWord", "t=1,v1=" + "0" * 64, b"{}"),
        ("whsec_5ecretWord", "junk", b"{}"),
        ("whsec_5ecretWord", "0" * 64, {}),
        ("whsec_5ecretWord\ud800", "0" * 64, b"{}"),
        (["whsec_5ecretWord", ""], "0" * 64, b"{}"),
        (["whsec_5ecretWord", None], "0" * 64, b"{}"),
        ({"whsec_5ecretWord": 1}, "0" * 64, b"{}"),
        (b"whsec_5ecretWord", "0" * 64, b"{}"),
    ],
    ids=range(10),
)
def test_webhooks(secret: Any, signature: Any, body: Any) -> None:
    """A delivery that is refused shows neither the secret nor the signature that would have been right."""
    right = webhooks.sign(b"{}", "whsec_5ecretWord")
    expected = repr(bytes.fromhex(right))
    calls: list[Callable[[], object]] = [
        lambda: webhooks.verify_signature(body, signature, secret),
        lambda: webhooks.unwrap(body, {"X-FirstHandAPI-Signature": signature}, secret),
        lambda: webhooks.sign(body, secret, timestamp=-1),
    ]
    for call in calls:
        error = caught(call)
        assert_hidden(error)
        assert expected not in shown(error)
        assert right not in shown(error)
