"""Telling people, by mail or a webhook: reviewers that work waits, and workers who left an address of their files.

What happened is read from the log that buyers see, and from the payouts, so nothing is forgotten. Its rows name people
by their ids: the address is looked up when a message is sent, and whoever took it back gets none.
"""

from __future__ import annotations

import http.client
import json
import logging
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from firsthandapi.errors import ConfigurationError
from firsthandapi_server.contract.text import said
from firsthandapi_server.http import reach
from firsthandapi_server.rules.world import World
from firsthandapi_server.sqlite import reading
from firsthandapi_server.sqlite.line import Line, counted
from firsthandapi_server.state.state import DAY

from .access import Access
from .mail import Mailer, RefusedError, UnsentError, is_address
from .payees import Payees
from .payouts import Payouts
from .speaking import Words
from .study import Study

PERIOD = 60.0  # how often it looks
GATHERING = 900.0  # what happens to one person in this time is one message
_MOST = 1000  # rows at once
_LATEST = 3 * DAY  # older news are none
_PATIENCE = (60.0, 6 * 3600.0)  # until it is tried again: the first time, and at most
_SECONDS = 10.0
_CURSOR, _NOTIFIED = "told until", "reviewers told at"
_HAPPENED = """
SELECT audit.position, event_type, worker_id FROM audit
JOIN submissions ON submissions.id = json_extract(data, '$.submission_id')
WHERE audit.position > ? AND audit.position <= ? AND event_type IN ('submission.rejected', 'submission.retry_asked')
AND audit.account IN (SELECT id FROM accounts WHERE environment = 'live') ORDER BY audit.position LIMIT ?
"""
_PAYMENTS = """
SELECT worker_id, batch FROM batch_rows JOIN batches ON batches.id = batch
WHERE paid_at >= ? AND batch NOT IN (SELECT subject FROM news_told)
"""
_SUBJECT = said("News of your files")
_LINES = {
    "submission.rejected": said("Files that were rejected: {number}."),
    "submission.retry_asked": said("Files that you may try again: {number}."),
}
_PAID = said("You were paid {amount}. Reference: {reference}")
_PAGE = said("Your page: {url}")
_WHY = said("You get this message because you left this address. To get no more, take it away on your page.")
_log = logging.getLogger("firsthandapi.serve")


def notified(text: str | None, mailer: Mailer | None) -> list[str]:
    """Whom `--notify` names: addresses, and URLs.
    Raises ConfigurationError: one of them is neither, or needs a server of mail.
    """
    names = [name.strip() for name in (text or "").split(",") if name.strip()]
    for name in names:
        if is_address(name):
            if mailer is None:
                raise ConfigurationError(f"--notify {name} needs --smtp, a server of mail")
        elif fault := reach.webhook_url_fault(name):
            raise ConfigurationError(f"--notify names what is no address of mail, and as a URL {fault}")
    return names


class Teller:
    """A thread that tells people."""

    def __init__(
        self,
        world: World,
        access: Access,
        folder: Path,
        url: str,
        study: Study | None,
        mailer: Mailer | None,
        notify: Sequence[str],
        may_reach: reach.Reach,
    ) -> None:
        self._world = world
        self._access = access
        self._folder = folder
        self._url = url
        self._study = study
        self._mailer = mailer
        self._notify = notify
        self._reach = may_reach
        self._payees = Payees(access)
        self._payouts = Payouts(access, folder)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Tell from now on."""
        if self._mailer is not None or self._notify:
            self._thread = threading.Thread(target=self._watch, name="firsthandapi-teller", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop, after the message that is being sent at the latest."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(_SECONDS)

    def _watch(self) -> None:
        while not self._stopping.wait(PERIOD):
            try:
                self.run()
            except Exception:
                if self._stopping.is_set():  # what it reads is closed
                    return
                _log.exception("not everybody was told; the server tries again")

    def run(self) -> None:
        """Tell what there is to tell now."""
        now = self._world.clock.now()
        if self._mailer is not None:
            self._gather(now)
            self._send(self._mailer, now)
        if self._notify:
            self._notify_reviewers(now)

    # --- workers ----------------------------------------------------------------------------------------

    def _gather(self, now: float) -> None:
        """Write down what is to be told, once, of what happened since the last look."""
        with reading(self._folder) as query:  # a connection of its own: it holds up nobody
            ((latest,),) = query("SELECT coalesce(max(position), 0) FROM audit")
            # The first time, it begins with what comes.
            cursor = int(self._access.first_value(_CURSOR, str(latest)))
            events = query(_HAPPENED, cursor, latest, _MOST)
        until = events[-1][0] if len(events) == _MOST else latest
        with self._access.transaction() as rows:
            news = [(worker, event, "", now) for _, event, worker in events]
            for worker, batch in rows.execute(_PAYMENTS, (now - _LATEST,)).fetchall():
                news.append((worker, "paid", batch, now))
            rows.executemany("INSERT INTO news (worker, what, subject, at, due) VALUES (?, ?, ?, ?, 0)", news)
            payments = {(subject,) for _, event, subject, _ in news if event == "paid"}
            rows.executemany("INSERT INTO news_told VALUES (?)", payments)
            rows.execute("REPLACE INTO secrets VALUES (?, ?)", (_CURSOR, str(until).encode()))

    def _send(self, mailer: Mailer, now: float) -> None:
        """Send each person one message with all their news, once the oldest has waited for others."""
        sql = (
            "SELECT worker, max(id), max(tries) FROM news GROUP BY worker "
            "HAVING min(at) <= ? AND max(due) <= ? ORDER BY min(at) LIMIT ?"
        )
        payees = self._payees.all()
        for worker, last, tries in self._access.look(sql, now - GATHERING, now, _MOST):
            if self._stopping.is_set():
                return
            contact = payees[worker].contact.strip() if worker in payees else ""
            news = self._access.look(
                "SELECT what, subject, at FROM news WHERE worker = ? AND id <= ?", worker, last
            )
            try:
                if is_address(contact) and max(at for *_, at in news) > now - _LATEST:
                    subject, text = self._message(worker, [(event, about) for event, about, _ in news])
                    mailer.send(contact, subject, text)
            except RefusedError:
                _log.warning("the server of mail refuses the address of %s", worker)
            except UnsentError as error:
                _log.warning("no mail was sent to %s (%s); the server tries again", worker, error)
                first, most = _PATIENCE
                wait = min(first * 2.0 ** min(tries, 20), most)
                with self._access.transaction() as rows:
                    sql = "UPDATE news SET tries = tries + 1, due = ? WHERE worker = ? AND id <= ?"
                    rows.execute(sql, (now + wait, worker, last))
                continue
            with self._access.transaction() as rows:
                rows.execute("DELETE FROM news WHERE worker = ? AND id <= ?", (worker, last))

    def _message(self, worker: str, news: Sequence[tuple[str, str]]) -> tuple[str, str]:
        sql = "SELECT language FROM consents WHERE worker_id = ? ORDER BY given_at DESC LIMIT 1"
        languages = self._access.look(sql, worker)
        words = Words(languages[0][0] if languages else "en")
        counts = Counter(event for event, _ in news)
        lines = [words(line, number=counts[event]) for event, line in _LINES.items() if counts[event]]
        batches = {subject for event, subject in news if event == "paid"}
        lines += [
            words(_PAID, amount=f"{payout.cents / 100:.2f} {payout.currency}", reference=payout.reference)
            for payout in self._payouts.of(worker)
            if payout.batch in batches
        ]
        name = "" if self._study is None else self._study.controller
        text = "\n".join([*lines, "", words(_PAGE, url=f"{self._url}/me"), "", words(_WHY), "", name, ""])
        return words(_SUBJECT), text

    # --- reviewers --------------------------------------------------------------------------------------

    def _notify_reviewers(self, now: float) -> None:
        """Once a day while work waits, and again when it has waited for others after there was none."""
        with reading(self._folder) as query:
            number = len(line := Line(query))
            ((oldest,),) = query(
                "SELECT min(submitted_at) FROM submissions WHERE id = ?", *(line.part(0, 1) or [""])
            )
        last = float(self._access.remembered(_NOTIFIED, "0"))
        if not number:
            if last:
                self._access.remember(_NOTIFIED, "0")
            return
        if now - oldest < GATHERING or now - last < DAY:
            return
        self._access.remember(_NOTIFIED, str(now))
        words = "1 submission waits" if number == 1 else f"{counted(number)} submissions wait"
        text = f"{words} for a review: {self._url}/review"
        for recipient in self._notify:
            try:
                if is_address(recipient):
                    assert self._mailer is not None  # noqa: S101 - `notified` has looked
                    self._mailer.send(recipient, f"{words} for a review", f"{text}\n")
                else:
                    body = {"text": text, "waiting": number, "url": f"{self._url}/review"}
                    post(recipient, body, self._reach)
            except (RefusedError, UnsentError) as error:
                where = "an address" if is_address(recipient) else urlsplit(recipient).hostname
                _log.warning("--notify: %s was not told that work waits (%s)", where, error or "refused")


def post(url: str, body: Mapping[str, object], may_reach: reach.Reach) -> None:
    """Send JSON to a webhook. Raises UnsentError: it was not taken."""
    headers = {"Content-Type": "application/json"}
    try:
        connection = reach.connection(url, may_reach, _SECONDS)
        alarm = reach.alarm(connection, _SECONDS)
        try:
            connection.request("POST", reach.target_of(url), json.dumps(body), headers)
            status = connection.getresponse().status
        finally:
            alarm.cancel()
            connection.close()
    except reach.OutOfReachError as error:
        raise UnsentError(str(error)) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise UnsentError(type(error).__name__) from None
    if not 200 <= status < 300:
        raise UnsentError(f"it answers {status}")
