"""Your own server, from its first start to its stop: state, clock, webhooks, and pages on one port."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from starlette.types import Receive, Scope, Send

from firsthandapi._base.folder_lock import FolderLock
from firsthandapi._base.host import replacing
from firsthandapi._base.host.loopback import is_loopback
from firsthandapi.errors import ConfigurationError
from firsthandapi_server.contract.text import mask
from firsthandapi_server.http import reach
from firsthandapi_server.http.deliveries import Sender
from firsthandapi_server.http.gate import host_address
from firsthandapi_server.http.requests import ReceivedRequest
from firsthandapi_server.http.server import HttpServer
from firsthandapi_server.rules.jobs import Workforce
from firsthandapi_server.rules.world import World
from firsthandapi_server.sqlite import DATABASE, FILES, check_pages, explained, open_world, reading
from firsthandapi_server.sqlite.traces import is_known
from firsthandapi_server.state.keeping import NotKeptError
from firsthandapi_server.state.model import SCOPES
from firsthandapi_server.state.storage import BucketStorage, Storage

from .access import FILE, ROLES, Access, Role, new_token
from .advising import Adviser, model_of
from .app import Site
from .clock import RealClock
from .copies import unmark
from .erasing import Eraser
from .mail import Mailer
from .payouts import TERMS, Payouts
from .programs import Program
from .scoring import Scorer, ScorerError, ScorerProcess, find_scorer
from .study import read_study
from .tasks import read_tasks
from .telling import Teller, notified

_STARTED = "started"
# The folder for files that are being uploaded to a bucket.
UPLOADING = "uploading"


@dataclass(frozen=True, slots=True)
class FirstKeys:
    """The API keys and the operator's token that the first start creates, and shows only once."""

    live: str
    sandbox: str
    operator: str

    def __repr__(self) -> str:
        return f"FirstKeys(live={mask(self.live)!r}, sandbox={mask(self.sandbox)!r}, operator={mask(self.operator)!r})"


class Service:
    """One server over one folder.

        with Service(Path("photos"), port=8080) as service:
            print(service.url)

    Args:
        folder: the folder for all data; created if it does not exist.
        host: the address to listen on. Beyond this machine, the server needs a token for workers and one for operators.
        port: the port; 0 uses any free port.
        public_url: the address by which people reach the server, such as that of a proxy with TLS in front of it.
        credit_cents: the balance that the organization of a new folder starts with, in US cents.
        scorer: a scorer that rates files before the reviewers do: its entry point, or `module:name`.
        scorer_seconds: maximum seconds of the scorer for one file.
        ai: a model that advises the reviewers, as `provider:name`; None for none.
        ai_url: the address of the server that the model is asked at; by default its library's own.
        speech: a model that transcribes sounds for it.
        ai_max_cents_a_day: what it may cost a day, in UTC; None for any amount.
        ai_decides: whether its stars decide alone, as far as people who rated blind have found them right.
        smtp: the server by which people get mail, as a URL; None for none.
        mail_from: the address that mail comes from.
        notify: who is told that work waits for reviewers: addresses and URLs, with commas between them.
        private_webhooks: whether webhooks may also be sent to private addresses.
        clock: the clock; None for the machine's.
        storage: an fsspec URL, such as that of a bucket, where the server stores files. The first start decides;
            without it, the server stores them in the folder.
        keys_file: the file into which the first start writes its keys and the operator's link before they work; None
            writes no file.
        lan: whether `host` is an address in a local network that people reach without a proxy. Operators and reviewers
            without a token then get one, and this machine also reaches the server as 127.0.0.1.
        sandbox: creates the simulated workers of the sandbox; None for none.
        study: a file that describes the study that people join; None for none.
        on_request: called in the server's thread with each request of the API after its response.

    Attributes:
        port: the port that the server listens on.
        first: what the first start created; None at later starts.
        tokens: the tokens that this start created, by role.

    Raises:
        ConfigurationError: the folder is in use, options contradict each other, the study is invalid, or the scorer or
            the model cannot be used.
        OSError: the port is in use.
    """

    def __init__(
        self,
        folder: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        public_url: str | None = None,
        credit_cents: int = 100_000,
        scorer: str | None = None,
        scorer_seconds: float = 60.0,
        ai: str | None = None,
        ai_url: str | None = None,
        speech: str | None = None,
        ai_max_cents_a_day: float | None = None,
        ai_decides: bool = False,
        smtp: str | None = None,
        mail_from: str | None = None,
        notify: str | None = None,
        private_webhooks: bool = False,
        clock: RealClock | None = None,
        storage: str | None = None,
        keys_file: Path | None = None,
        sandbox: Callable[[World], Workforce] | None = None,
        study: Path | None = None,
        lan: bool = False,
        on_request: Callable[[ReceivedRequest], None] | None = None,
    ) -> None:
        self._host = host
        self._given_url = None if public_url is None else _checked(public_url)
        self.is_lan = lan
        is_local = self.is_local
        self.study = None if study is None else read_study(study)
        tasks = {} if self.study is None else read_tasks(self.study)
        if scorer is not None:
            find_scorer(scorer)
        if ai is None and (ai_url, speech, ai_max_cents_a_day, ai_decides) != (None, None, None, False):
            raise ConfigurationError("--ai-url, --speech, --ai-max-cents-a-day, and --ai-decides need --ai")
        model = None if ai is None else model_of(ai, ai_url, speech, ai_max_cents_a_day, self.study)
        if (smtp is None) != (mail_from is None):
            raise ConfigurationError("--smtp and --mail-from need each other")
        mailer = None if smtp is None else Mailer.of(smtp, mail_from or "")
        recipients = notified(notify, mailer)
        # Refuses an invalid URL before it is stored.
        bucket = None if storage is None else BucketStorage(storage, folder / UPLOADING)
        # Roles that need a token beyond this machine: whoever may join needs none.
        is_open_study = self.study is not None and self.study.join == "open"
        self._needed: tuple[Role, ...] = ("operator",) if is_open_study else ("worker", "operator")
        needs_tokens = not (is_local or lan)
        # A refused start leaves nothing behind, so checks that do not need the folder come first.
        if needs_tokens and not (folder / FILE).is_file():
            self._check_tokens(folder, "--new ")
        # Undo the steps in reverse order, even if the next step fails.
        self._undo = ExitStack()
        # The port first: if it is in use, nobody would see the keys of a first start.
        self._http: HttpServer | None = HttpServer(
            self._serve, port, host, *(["127.0.0.1"] if lan else ()), is_behind_proxy=needs_tokens
        )
        self._undo.callback(self._http.stop)
        is_new, is_open, was_there, is_ours = not (folder / FILE).exists(), False, folder.exists(), False
        try:
            process = None if scorer is None else self._loaded(ScorerProcess(scorer, scorer_seconds))
            self.port = self._http.port
            self.access = Access(folder / FILE)
            self._undo.callback(self.access.close)
            if needs_tokens:
                self._check_tokens(folder, "", self.access)
            self.clock = clock or RealClock()
            store = self._storage(folder, storage, bucket)
            self.world = open_world(folder, self.clock, storage=store, left=self._left(folder))
            self._undo.callback(self.world.close)
            is_ours = not was_there  # nobody else has it: its lock is held
            self.tokens: dict[Role, str] = {}
            self.first = self._first_start(credit_cents, keys_file)
            is_open = True
            self.access.first_value(_STARTED, "yes")
            unmark(self.access)
            self.programs: list[Program] = []
            if process is not None:
                self.programs.append(Scorer(self.world, self.access, folder / UPLOADING, process))
            if model is not None:
                room, budget = folder / UPLOADING, ai_max_cents_a_day
                self.programs.append(
                    Adviser(self.world, self.access, room, model, budget, decides=ai_decides)
                )
            self.world.credits.needs_operator = True
            if self.study is not None:
                self._check_currency(folder, self.study.currency)
                self.world.jobs.terms = self.study.terms
                self.access.remember(TERMS, json.dumps(self.study.terms))
            days = None if self.study is None else self.study.retention_days.rejected
            self.eraser = Eraser(self.world, self.access, folder / UPLOADING, days)
            self.site = Site(
                self.world,
                self.access,
                self.programs,
                self.eraser,
                folder=folder,
                url=self.url,
                public=None if is_local else self.url,
                is_proxied=needs_tokens,
                on_request=on_request,
                study=self.study,
                tasks=tasks,
            )
            self.world.jobs.jury = self.site.panel
            self._sender = Sender(self.world.delivered, self._reach(private_webhooks))
            self.world.events.send = self._sender.send
            may_reach = self._reach(private_webhooks)
            self.teller = Teller(
                self.world, self.access, folder, self.url, self.study, mailer, recipients, may_reach
            )
            if sandbox is not None:
                self.world.jobs.workforce = sandbox(self.world)
            self._resume()
            self.eraser.run()
        except BaseException as error:
            self._undo.close()
            if is_ours and not is_open:
                shutil.rmtree(folder, ignore_errors=True)  # of what was made nobody has seen anything
            elif is_new and not is_open:
                replacing.remove(folder / FILE)
            if isinstance(error, NotKeptError):
                raise explained(folder / (FILE if self.access.damage else DATABASE), error) from None
            raise

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.site(scope, receive, send)

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches the server."""
        public = self._given_url is not None and not is_loopback(urlsplit(self._given_url).hostname or "")
        if public or self.is_lan:
            return False
        if is_loopback(self._host):
            return True
        raise ConfigurationError(
            f"listening on {self._host} needs --public-url, an address beyond this machine: the server must know it "
            "for links and downloads; pass the address by which people reach it, such as "
            "--public-url https://photos.example.org"
        )

    def _storage(self, folder: Path, url: str | None, chosen: Storage | None) -> Storage | None:
        """The storage that the first start chose; a different one would not have its files."""
        place = self.access.first_value("storage", url or "")
        if url is not None and url.rstrip("/") != place.rstrip("/"):
            raise ConfigurationError(
                f"--storage differs from that of the first start, {place or 'which is the folder itself'}: leave it out"
            )
        return chosen or kept_storage(self.access, folder)

    def _check_currency(self, folder: Path, currency: str) -> None:
        payouts = Payouts(self.access, folder)
        if currency != payouts.currency and payouts.owed():
            raise ConfigurationError(
                f"the study's currency is {currency}, and people are owed money in {payouts.currency}: put it into a "
                f"batch first, with: firsthandapi server payouts {folder} --batch"
            )

    def _loaded(self, process: ScorerProcess) -> ScorerProcess:
        self._undo.callback(process.close)
        try:
            process.start()
        except ScorerError as error:
            raise ConfigurationError(f"the scorer cannot be used: {error}; check --scorer") from None
        return process

    def _reach(self, private_webhooks: bool) -> reach.Reach:
        if private_webhooks:
            return reach.anywhere
        return reach.the_internet_or_this_machine if self.is_local else reach.the_internet

    def _resume(self) -> None:
        """Continue where the server stopped, including the simulated workers."""
        self.world.jobs.retry_seconds = 3600.0 * self.site.panel.settings.retry_hours
        self.world.resume(live=False)
        with self.world.lock:
            self.site.panel.resume()
            self.site.tasks.resume()
            for organization in self.world.state.organizations:
                for job in organization.accounts["test"].jobs:
                    if not job.is_terminal:
                        self.world.jobs.workforce.job_posted(job, self.clock.now())

    def _check_tokens(self, folder: Path, new: str, access: Access | None = None) -> None:
        missing = [role for role in self._needed if access is None or not access.has_token(role, good=True)]
        if missing:
            create = f"firsthandapi server tokens create {new}{folder} --role"
            roles = " and one for ".join(f"{role}s" for role in self._needed)
            raise ConfigurationError(
                f"not served beyond this machine: that needs a token for {roles}; create with: "
                + " and ".join(f"{create} {role}" for role in missing)
            )

    def _left(self, folder: Path) -> str | None:
        """A trace of an earlier start in the folder, or None. With a trace, an empty database means a lost one."""
        remains = ["files"] if next((folder / FILES).glob("*/blob_*"), None) else []
        remains += ["tokens"] if self.access.has_value(_STARTED) else []
        return " and ".join(remains) or None

    def _first_start(self, credit_cents: int, keys_file: Path | None) -> FirstKeys | None:
        """Create what is missing: at the first start keys and an operator, and in a local network a reviewer as well.

        No worker: a token that everybody uses would make one person of all.
        """
        at, first = self.clock.now(), None
        roles: tuple[Role, ...] = ("operator", "reviewer") if self.is_lan else ()
        lacking: list[Role] = [
            role for role in ROLES if role in roles and not self.access.has_token(role, good=True)
        ]
        with self.world.lock, self.access.transaction() as rows:
            is_first = not self.world.state.organizations
            if is_first and "operator" not in lacking:
                lacking.append("operator")
            for role in lacking:
                self.tokens[role] = new_token(rows, role, f"First {role}", at)[1]
            if is_first:
                accounts = self.world.accounts
                live = accounts.create_organization(
                    "My organization", "owner@example.com", free_tier=False, at=at, cents=credit_cents
                )
                sandbox = accounts.create_key(
                    live.key.account.organization.accounts["test"], "Default key", SCOPES, "system", at
                )
                first = FirstKeys(live.secret, sandbox.secret, self.tokens["operator"])
            if keys_file is not None and self.tokens:
                # Inside the transactions, so that the file has all that is valid, even after a power failure.
                try:
                    replacing.replace(keys_file, self._as_file(keys_file, first).encode(), 0o600)
                except OSError as error:
                    raise explained(keys_file, error) from None
        return first

    def _as_file(self, path: Path, first: FirstKeys | None) -> str:
        """The keys file after what an earlier start has left in it: variables for a shell, Docker, or systemd, and the
        rest in comments."""
        old_text = path.read_text(encoding="utf-8") if path.is_file() else ""
        start = "start" if first is None else "first start"
        lines = [f"# The {start} of this server created these keys. Save them, and delete this file."]
        lines += [
            f"# Sign in as the {role}: {self.url}/sign-in#{token}" for role, token in self.tokens.items()
        ]
        if first is not None:
            lines.append(f"# Key of the sandbox: {first.sandbox}")
            lines += [f"FIRSTHAND_BASE_URL={self.url}", f"FIRSTHAND_API_KEY={first.live}"]
        return old_text + "\n".join([*lines, ""])

    # --- life -------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Accept requests."""
        if self._http is not None:
            self._http.start()
            self._sender.start()
            for program in self.programs:
                program.start()
            self.clock.start()
            self.eraser.start()
            self.teller.start()
        return self

    def stop(self) -> None:
        """Close every connection, end every thread, and close the folder."""
        http, self._http = self._http, None
        if http is not None:
            http.stop()
            self.teller.stop()
            self.eraser.stop()
            self.clock.stop()
            for program in self.programs:
                program.stop()
            self._sender.stop()
            self._undo.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *raised: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The address by which people reach the server."""
        if self._given_url is not None:
            return self._given_url
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.port}"


def erase(folder: Path, access: Access, subject: str) -> bool:
    """Erase a worker or a file in a folder: by the server that runs there, or without one, here.

    Returns:
        Whether it is erased; otherwise a running server, which had a minute, still has to do it.

    Raises ConfigurationError: there is no such worker or file, or the folder is damaged.
    """
    with reading(folder) as query:
        if not access.is_person(subject) and not is_known(query, subject):
            raise ConfigurationError(f"nothing was erased: {folder} has no {subject}; check the id")
    clock = RealClock()
    access.wish(subject, clock.now(), "command line")
    lock, until = FolderLock(folder), time.monotonic() + 60
    while access.wishes(subject):
        if lock.acquire():
            lock.release()
            world = open_world(folder, clock, storage=kept_storage(access, folder))
            try:
                is_done = Eraser(world, access, folder / UPLOADING).run()
            finally:
                world.close()
            if not is_done:
                check_pages(folder / DATABASE)
                check_pages(folder / FILE)
            return is_done
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def kept_storage(access: Access, folder: Path) -> Storage | None:
    """The storage that the first start chose; None for the folder itself."""
    url = access.first_value("storage", "")
    return BucketStorage(url, folder / UPLOADING) if url else None


def _checked(url: str) -> str:
    try:
        return host_address(url)
    except ValueError as error:
        raise ConfigurationError(f"--public-url {error}") from None
