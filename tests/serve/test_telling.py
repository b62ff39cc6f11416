"""Workers who left an address learn what became of their files; reviewers learn that work waits."""

from __future__ import annotations

import http.server
import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from firsthandapi import ConfigurationError
from firsthandapi_server.http import reach
from firsthandapi_server.serve import mail as mailing
from firsthandapi_server.serve import telling
from firsthandapi_server.serve.service import Service

from .conftest import BOXES, Open, pass_seconds, upload
from .smtp import Post, post

FROM = {"mail_from": "study@example.org"}


@pytest.fixture
def mail() -> Iterator[Post]:
    with post() as office:
        yield office


def tell(study: Any, seconds: float = telling.GATHERING) -> None:
    """Look, let time pass, and look again."""
    study.service.teller.run()
    pass_seconds(study.service, seconds)
    study.service.teller.run()


def test_what_became_of_files(lab: Open, mail: Post) -> None:
    """One message with all that happened in a quarter of an hour, in the language of the consent, once."""
    study = lab(options={"smtp": mail.url, **FROM})
    job = study.job(files_needed=6)
    person, stranger = study.visit(), study.joined()
    person.get("/join?lang=fr")
    assert person.send("/join", "/join", **BOXES).status_code == 303
    assert person.send("/me/pay", "/me/pay", contact="ana@example.org").status_code == 303
    study.service.teller.run()
    for sender, stars in ((person, 1), (person, 1), (person, 2), (person, 5), (stranger, 1)):
        assert upload(sender, study.path(job)).status_code == 303
        study.score(job.submissions[-1].id, stars)
    study.service.teller.run()
    assert mail.messages == []
    operator = study.visit("operator", "Olga")
    where = operator.send("/console/payouts/batch", "/console/payouts").headers["location"]
    batch = where.partition("batch=")[2].partition("&")[0]
    operator.send("/console/payouts/paid", where, batch=batch, reference="SEPA 7")
    tell(study)
    (message,) = mail.messages
    assert (message["to"], message["from"]) == ("ana@example.org", "study@example.org")
    assert message["subject"] == "Des nouvelles de vos fichiers"
    text = message.get_content()
    assert "Fichiers refusés : 2." in text
    assert "Fichiers que vous pouvez réessayer : 1." in text
    assert "Vous avez été payé 0.50 USD. Référence : SEPA 7" in text
    assert f"{study.service.url}/me" in text
    tell(study)
    assert len(mail.messages) == 1


def test_mail_that_is_not_taken(lab: Open, mail: Post, caplog: pytest.LogCaptureFixture) -> None:
    """Tried again where it may be taken later, ever more rarely; not where it is refused. Others get theirs meanwhile,
    and no log has an address."""
    study = lab(options={"smtp": mail.url, **FROM})
    job = study.job(files_needed=6)
    study.service.teller.run()
    for name in ("later", "never", "well"):
        person = study.joined()
        person.send("/me/pay", "/me/pay", contact=f"{name}@example.org")
        assert upload(person, study.path(job)).status_code == 303
        study.score(job.submissions[-1].id, 1)
    tried: list[str] = []

    def answer(address: str) -> int:
        tried.append(address.partition("@")[0])
        return {"later": 451, "never": 550}.get(tried[-1], 250)

    mail.answer = answer
    tell(study)
    assert (sorted(tried), [message["to"] for message in mail.messages]) == (
        ["later", "never", "well"],
        ["well@example.org"],
    )
    for seconds in (59, 2, 60, 58, 3):
        pass_seconds(study.service, seconds)
        study.service.teller.run()
    assert tried[3:] == ["later", "later"]
    mail.answer = lambda _address: 250
    pass_seconds(study.service, 3600)
    study.service.teller.run()
    assert [message["to"] for message in mail.messages] == ["well@example.org", "later@example.org"]
    assert "example.org" not in caplog.text


def test_who_gets_none(lab: Open, mail: Post) -> None:
    """Whoever left no address, or what is none, or took it back, or was erased; and nobody for what was before."""
    study = lab(options={"smtp": mail.url, **FROM})
    job = study.job(files_needed=9)
    people = [study.joined() for _ in range(4)]
    for person, contact in zip(
        people, ("+234 800", "a@b.org, c@d.org", "gone@example.org", "erased@example.org"), strict=True
    ):
        person.send("/me/pay", "/me/pay", contact=contact)
        assert upload(person, study.path(job)).status_code == 303
    for submission in [*job.submissions]:
        study.score(submission.id, 1)
    study.service.teller.run()
    assert study.access.look("SELECT count(*) FROM news") == [(0,)], "it begins with what comes"
    for person in people:
        assert upload(person, study.path(job)).status_code == 303
        study.score(job.submissions[-1].id, 1)
    study.service.teller.run()
    people[2].send("/me/pay", "/me/pay")
    assert people[3].send("/me/delete", "/me").status_code == 303
    tell(study)
    assert (mail.messages, study.access.look("SELECT count(*) FROM news")) == ([], [(0,)])


@pytest.mark.parametrize(
    "contact",
    [
        "a@=?utf-8?q?=0d=0aBcc=3ax=40example=2eorg?=.c",
        "=?utf-8?q?a=2cb=40?=@example.org",
        "=?utf-8?q?@?=.[.c",
    ],
)
def test_a_contact_is_one_address_and_stops_nobody(lab: Open, mail: Post, contact: str) -> None:
    """What headers read as more than an address gets nothing; whoever has a domain in their own alphabet, theirs."""
    study = lab(options={"smtp": mail.url, **FROM})
    job = study.job()
    study.service.teller.run()
    for address in (contact, "ana@bücher.example"):
        person = study.joined()
        assert person.send("/me/pay", "/me/pay", contact=address).status_code == 303
        assert upload(person, study.path(job)).status_code == 303
        study.score(job.submissions[-1].id, 1)
    mail.farewell = 250  # what a server says once it has a message makes it no other one
    tell(study)
    tell(study, 7200)
    (message,) = mail.messages
    assert (message["to"], message["bcc"]) == ("ana@xn--bcher-kva.example", None)


def mail_to(port: int) -> None:
    mailer = mailing.Mailer.of(f"smtp://127.0.0.1:{port}", "study@example.org")
    mailer.send("ana@example.org", "News", "None")


def post_to(port: int) -> None:
    telling.post(f"http://127.0.0.1:{port}", {}, reach.this_machine)


@pytest.mark.parametrize(
    ("send", "line"), [(mail_to, b"220-so be it\r\n"), (post_to, b"HTTP/1.1 100 Continue\r\n\r\n")]
)
def test_a_server_that_never_ends(
    monkeypatch: pytest.MonkeyPatch, send: Callable[[int], None], line: bytes
) -> None:
    """Whatever it says meanwhile, a message has its time: others wait for it."""
    ended = threading.Event()

    class Endless(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                while not ended.wait(0.02):
                    self.wfile.write(line)

    for module in (mailing, telling):
        monkeypatch.setattr(module, "_SECONDS", 0.2)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Endless) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        late = threading.Timer(5, ended.set)
        late.start()
        with pytest.raises(mailing.UnsentError, match="Disconnected"):
            send(server.server_address[1])
        assert not ended.is_set()
        late.cancel()
        ended.set()
        server.shutdown()


@contextmanager
def hook() -> Iterator[tuple[str, list[Any]]]:
    """A webhook of a team's chat."""
    bodies: list[Any] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/hook", bodies
        server.shutdown()


def test_reviewers_learn_that_work_waits(lab: Open, mail: Post) -> None:
    """Once it has waited, by mail and by a webhook; once a day while it waits, and again after there was none. What
    fails keeps nobody else from being told."""
    with hook() as (url, bodies):
        study = lab(
            options={"smtp": mail.url, "notify": f"team@example.org, http://127.0.0.1:9/, {url}", **FROM}
        )
        job = study.job(files_needed=9)
        study.sent(job)
        study.service.teller.run()
        assert bodies == []
        tell(study)
        assert [message["subject"] for message in mail.messages] == ["1 submission waits for a review"]
        waits = f"1 submission waits for a review: {study.service.url}/review"
        assert bodies == [{"text": waits, "waiting": 1, "url": f"{study.service.url}/review"}]
        tell(study)
        assert len(bodies) == 1
        tell(study, 86_400)
        assert len(bodies) == len(mail.messages) == 2
        study.score(job.submissions[0].id, 5)
        tell(study)
        study.sent(job)
        tell(study)
        assert len(bodies) == 3


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"smtp": "smtp://127.0.0.1"}, "--smtp and --mail-from need each other"),
        ({"smtp": "mail.example.org", **FROM}, "--smtp must be a URL such as smtp://"),
        ({"smtp": "smtp://x:y@h:99999", **FROM}, "--smtp must be a URL such as smtp://"),
        ({"smtp": "smtp://127.0.0.1", "mail_from": "Lab <a@b.org>"}, "--mail-from must be an address"),
        ({"notify": "team@example.org"}, "--notify team@example.org needs --smtp"),
        ({"notify": "http://example.org/x"}, "must be an https:// URL"),
    ],
)
def test_settings_that_cannot_be(tmp_path: Path, options: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigurationError, match=why) as refused:
        Service(tmp_path / "data", **options)
    assert "x:y" not in str(refused.value)
    assert not (tmp_path / "data").exists()
